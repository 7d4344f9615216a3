//! The model on tokio's clock, with mcflush, the other clients, and the faults of the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::model::{Dump, Key, Model, Verb};
use crate::oracle::Oracle;
use crate::plan::{Plan, Traffic};
use crate::talk::{Command, answer, dump_line};

/// The answer to a command.
pub enum Said {
    Text(Vec<u8>),
    Dump(Crawl),
}

/// A dump that holds the crawler until it is dropped.
pub struct Crawl {
    dump: Dump,
    number: u64,
    world: World,
    version: [u32; 3],
    pub is_garbled: bool,
}

impl Crawl {
    pub fn first_line(&self) -> &'static [u8] {
        if self.version >= [1, 6, 43] { b"OK\r\n" } else { b"" }
    }

    pub fn last_line(&self) -> &'static [u8] {
        if self.version >= [1, 5, 4] { b"END\r\n" } else { b"" }
    }
}

impl Drop for Crawl {
    fn drop(&mut self) {
        self.world.with(|state| state.crawl = state.crawl.filter(|number| *number != self.number));
    }
}

pub struct State {
    pub model: Model,
    pub oracle: Oracle,
    /// The dump that holds the crawler.
    crawl: Option<u64>,
    crawls: u64,
    down_until: Option<Instant>,
    /// Cancelled when the server dies.
    life: CancellationToken,
    chance: Chance,
}

/// The state that all connections and clients share.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    plan: Arc<Plan>,
    began: Instant,
    /// The time of the start, in milliseconds since the epoch.
    epoch: u64,
    /// Cancelled when mcflush is done: then the other clients stop.
    pub over: CancellationToken,
}

impl World {
    pub fn new(plan: &Arc<Plan>) -> Self {
        let mut chance = plan.chance.clone();
        let epoch = plan.clock * 1_000 + chance.below(1_000);
        let mut model = Model::new(plan.version, plan.has_cas, epoch - 500_000);
        model.has_crawler = plan.has_crawler;
        model.moves_pages |= plan.server.moves_pages_at.is_some();
        model.hash_power = plan.server.hash_power.unwrap_or(model.hash_power);
        fill(&mut model, plan, &mut chance);
        if let Some(before) = plan.server.flushed_before {
            model.now = epoch - before;
            flush_under_reads(&mut model, plan, &mut chance);
        }
        model.now = epoch;
        if plan.server.late_turns.is_some() {
            read_some(&mut model, &mut chance);
        }
        let state = State {
            model,
            oracle: Oracle::new(plan),
            crawl: None,
            crawls: 0,
            down_until: None,
            life: CancellationToken::new(),
            chance: chance.fork(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            plan: Arc::clone(plan),
            began: Instant::now(),
            epoch,
            over: CancellationToken::new(),
        }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.model.now = self.epoch + self.began.elapsed().as_millis() as u64;
        work(&mut state)
    }

    pub fn life(&self) -> CancellationToken {
        self.with(|state| state.life.clone())
    }

    pub fn is_down(&self) -> bool {
        self.with(|state| state.down_until.is_some_and(|until| Instant::now() < until))
    }

    /// Executes a command of mcflush.
    pub fn execute(&self, command: &Command) -> Said {
        self.with(|state| {
            state.oracle.look(&state.model, command);
            match command.word(0) {
                "lru_crawler" => self.begin_crawl(state, command),
                "flush_all" => {
                    let key = state.change_in_the_middle(&self.plan);
                    state.model.flush_in_the_middle_of(&key);
                    Said::Text(b"OK\r\n".to_vec())
                }
                "append" => {
                    let before = state.model.peek(command.key()).cloned();
                    let said = answer(&mut state.model, command);
                    if let Some(before) = before {
                        state.model.keep_age(command.key(), &before);
                    }
                    Said::Text(said)
                }
                "stats" if command.word(1).is_empty() => {
                    let mut said =
                        format!("STAT lru_crawler_running {}\r\n", u8::from(state.crawl.is_some())).into_bytes();
                    said.extend(answer(&mut state.model, command));
                    Said::Text(said)
                }
                _ => Said::Text(answer(&mut state.model, command)),
            }
        })
    }

    fn begin_crawl(&self, state: &mut State, command: &Command) -> Said {
        let refused = |line: &str| Said::Text(format!("{line}\r\n").into_bytes());
        let version = state.model.version;
        let dump = match (command.word(1), command.word(2)) {
            ("metadump", "all") if version >= [1, 4, 31] && !self.plan.has_crawler => {
                return refused("CLIENT_ERROR lru crawler disabled");
            }
            ("metadump", "all") if version >= [1, 4, 31] => Dump::of_lists(&state.model),
            ("metadump", "hash") if version >= [1, 6, 9] => Dump::Hash(None),
            _ => return refused("ERROR"),
        };
        let waits_for_table = state.model.is_growing && matches!(dump, Dump::Hash(_)) && version >= [1, 6, 28];
        if state.crawl.is_some() || waits_for_table || state.chance.permille(self.plan.wire.busy) {
            let is_locked =
                version >= [1, 6, 28] && matches!(dump, Dump::Hash(_)) && (waits_for_table || state.chance.percent(30));
            return refused(if is_locked {
                "ERROR locked try again later"
            } else {
                "BUSY currently processing crawler request"
            });
        }
        state.crawls += 1;
        state.oracle.begin_dump();
        state.crawl = Some(state.crawls);
        let is_garbled = ([1, 6, 19]..[1, 6, 44]).contains(&version)
            && self.plan.wire.garbled > 0
            && state.chance.permille(self.plan.wire.garbled);
        Said::Dump(Crawl { dump, number: state.crawls, world: self.clone(), version, is_garbled })
    }

    /// Some lines of a dump. None at its end.
    pub fn crawl(&self, crawl: &mut Crawl) -> Option<Vec<u8>> {
        self.with(|state| {
            let version = state.model.version;
            let mut lines = Vec::new();
            if state.model.is_growing && matches!(crawl.dump, Dump::Hash(_)) {
                return Some(lines);
            }
            let State { model, oracle, .. } = state;
            let goes_on = crawl.dump.visit(model, self.plan.dump_pace as usize, |key, item| {
                oracle.is_listed(key);
                dump_line(version, key, item, &mut lines);
            });
            (goes_on || !lines.is_empty()).then_some(lines)
        })
    }

    /// Starts the other clients, the server's own threads, and its faults.
    pub fn set_going(&self) {
        let mut chance = self.with(|state| state.chance.fork());
        let plan = &self.plan;
        self.spawn(self.clone().maintain(chance.fork()), false);
        for traffic in &plan.traffic {
            self.spawn(self.clone().use_keys(traffic.clone(), chance.fork()), true);
        }
        if let Some(at) = plan.server.restarts_at {
            self.spawn(self.clone().restart(at), true);
        }
        if let Some(at) = plan.server.flushed_at {
            let world = self.clone();
            let flush = async move {
                sleep(at).await;
                world.with(|state| {
                    let key = state.change_in_the_middle(&world.plan);
                    state.model.flush_in_the_middle_of(&key);
                });
            };
            self.spawn(flush, true);
        }
        if let Some(at) = plan.server.moves_pages_at {
            self.spawn(self.clone().move_pages(at, chance.fork()), true);
        }
        if plan.server.hash_power.is_some() {
            self.spawn(self.clone().grow(chance.fork()), false);
        }
        if let Some(every) = plan.server.evicts_every {
            let world = self.clone();
            let evict = async move {
                loop {
                    sleep(Duration::from_millis(every)).await;
                    if world.over.is_cancelled() {
                        return;
                    }
                    world.with(|state| {
                        let class = 1 + state.chance.below(2) as u32;
                        state.model.evict(class);
                    });
                }
            };
            self.spawn(evict, true);
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static, ends: bool) {
        let over = if ends { self.over.clone() } else { CancellationToken::new() };
        tokio::spawn(async move { over.run_until_cancelled(work).await });
    }

    async fn maintain(self, mut chance: Chance) {
        let late = self.plan.server.late_turns;
        let mut pause = late.map_or(1_000, |late| chance.within(1, late));
        loop {
            sleep(Duration::from_millis(pause)).await;
            let any = self.with(|state| state.model.maintain());
            // The LRU maintainer sleeps longer if there is nothing to do.
            pause = match late {
                Some(late) => chance.within(1, late),
                None if any => chance.within(1, 50),
                None => (pause * 2).min(1_000),
            };
        }
    }

    /// Grows the hash table, once a second, and never while a dump holds it.
    async fn grow(self, mut chance: Chance) {
        loop {
            sleep(Duration::from_secs(1)).await;
            let begins = self.with(|state| {
                state.model.is_growing = state.crawl.is_none() && state.model.is_table_full();
                state.model.is_growing
            });
            if begins {
                sleep(chance.millis(1, 300)).await;
                self.with(|state| {
                    (state.model.is_growing, state.model.hash_power) = (false, state.model.hash_power + 1)
                });
            }
        }
    }

    async fn use_keys(self, traffic: Traffic, mut chance: Chance) {
        loop {
            sleep(chance.millis(1, traffic.pace)).await;
            // The clock may have woken this task at the moment of the end.
            if self.over.is_cancelled() {
                return;
            }
            let kind = chance.below(100);
            let in_scope = chance.percent(traffic.in_scope);
            let is_odd = self.plan.odd > 0 && chance.percent(10);
            let number = chance.below(if is_odd { self.plan.odd } else { traffic.keys });
            let key = key(in_scope, if is_odd { ODD + number } else { number });
            let held = (traffic.holds > 0 && chance.percent(traffic.holds)).then(|| chance.of_any_size(10_000));
            self.with(|state| {
                let model = &mut state.model;
                if kind < traffic.reads {
                    model.get(&key, true);
                    model.get(&key, true);
                    if let Some(time) = held {
                        model.hold(&key, time);
                    }
                } else if kind < traffic.reads + traffic.stores {
                    let verb = if chance.percent(80) { Verb::Set } else { Verb::Add };
                    let seconds = chance.pick(&[0, 0, 0, 100, 2]);
                    model.store(verb, &key, b"17", 0, seconds);
                } else {
                    match chance.below(4) {
                        0 => _ = model.store(Verb::Append, &key, b"1", 0, 0),
                        1 => _ = model.touch(&key, 1_000),
                        2 => _ = model.delete(&key),
                        _ => _ = model.add(&key, 1, true),
                    }
                }
            });
        }
    }

    async fn restart(self, at: Duration) {
        sleep(at).await;
        // The clock may have woken this task at the moment of the end.
        if self.over.is_cancelled() {
            return;
        }
        self.with(|state| {
            let server = &self.plan.server;
            state.down_until = Some(Instant::now() + server.down_for);
            let pid = state.model.pid + u64::from(server.has_new_pid);
            state.model.restart(pid);
            state.crawl = None;
            std::mem::take(&mut state.life).cancel();
        });
    }

    async fn move_pages(self, at: Duration, mut chance: Chance) {
        sleep(at).await;
        for _ in 0..chance.within(1, 3) {
            self.with(|state| state.model.is_moving_pages = true);
            let mut moved = 0;
            for _ in 0..chance.within(1, 60) {
                sleep(chance.millis(0, 3)).await;
                moved += self.with(|state| {
                    let count = state.model.items.len() as u64;
                    let key = state.model.items.keys().nth(chance.below(count) as usize).cloned();
                    u64::from(key.is_some_and(|(_, key)| state.model.move_page(&key)))
                });
            }
            self.with(|state| {
                state.model.is_moving_pages = false;
                state.model.counters.rescues += moved;
            });
            sleep(chance.millis(0, 2_000)).await;
        }
    }
}

impl State {
    /// The key of the change in the middle of which a flush comes; empty for none.
    fn change_in_the_middle(&mut self, plan: &Plan) -> Key {
        let count = self.model.items.len() as u64;
        if count == 0 || !self.chance.percent(plan.server.in_the_middle) {
            return Key::new();
        }
        let at = self.chance.below(count) as usize;
        self.model.items.keys().nth(at).map(|(_, key)| key.clone()).unwrap_or_default()
    }
}

/// From this number on, keys have bytes that no text command can carry.
pub const ODD: u64 = 1_000;

/// From this number on, keys are long.
pub const LONG: u64 = 1_000_000;

/// A key in scope or out of it. Some have bytes that a listing encodes.
pub fn key(is_in_scope: bool, number: u64) -> Key {
    if number >= LONG {
        return format!("{}:{number:0240}", if is_in_scope { "shop" } else { "blog" }).into_bytes();
    }
    if number >= ODD {
        let app = if is_in_scope { "shop" } else { "blog" };
        return match number % 4 {
            // Too long for base64.
            0 => format!("{app}:a b:{number:0200}"),
            1 => format!("{app}:\r\nflush_all\r\n{number}"),
            2 => format!("{app}:{number}\0z"),
            _ => format!("{app}:a b:{number}"),
        }
        .into_bytes();
    }
    match (is_in_scope, number % 7) {
        (true, 0) => format!("shop:a%b=c&{number}"),
        (true, _) => format!("shop:{number}"),
        (false, 0) => format!("shop:sess:{number}"),
        (false, 1) => format!("shops:gr\u{f6}\u{df}e:{number}"),
        (false, _) => format!("blog:{number}"),
    }
    .into_bytes()
}

/// Clients read some keys twice; the LRU maintainer has yet to note that.
fn read_some(model: &mut Model, chance: &mut Chance) {
    for _ in 0..chance.within(0, 40) {
        let read = key(chance.percent(50), chance.below(400));
        model.get(&read, true);
        model.get(&read, true);
    }
}

/// A client flushes while others read: the server notes some of the reads only after the flush.
fn flush_under_reads(model: &mut Model, plan: &Plan, chance: &mut Chance) {
    read_some(model, chance);
    model.flush_all();
    for _ in 0..chance.below(plan.in_scope + 1) {
        model.store(Verb::Set, &key(chance.percent(70), chance.below(400)), b"9", 0, 0);
    }
}

/// Fills a server that has run for some minutes with items, some of which were read since they were stored.
fn fill(model: &mut Model, plan: &Plan, chance: &mut Chance) {
    let (began, count) = (model.now, plan.in_scope + plan.out_of_scope);
    for number in 0..count {
        model.now = began + 400_000 * number / count;
        let is_in_scope = chance.below(count) < plan.in_scope;
        let seconds = if chance.percent(5) { 500 + chance.below(20) as i64 } else { 0 };
        model.store(Verb::Set, &key(is_in_scope, chance.below(400)), b"9", 0, seconds);
        if chance.percent(20) {
            let read = key(chance.percent(50), chance.below(400));
            model.get(&read, true);
            model.get(&read, true);
        }
        if chance.percent(10) {
            model.maintain();
        }
    }
    for number in 0..plan.odd {
        model.store(Verb::Set, &key(chance.percent(50), ODD + number), b"9", 0, 0);
    }
    for number in 0..plan.long {
        model.store(Verb::Set, &key(chance.percent(80), LONG + number), b"9", 0, 0);
    }
    for _ in 0..20 {
        model.maintain();
    }
}
