//! A small memcached of an old version, for dialects that no Debian package speaks. Its answers are made from those of
//! real servers (`tests/transcripts`), and `dialects::a_scripted_server_says_what_the_real_one_said` compares them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::fake::{Fake, Peer};

/// The server ends a cachedump before it reaches this many bytes.
const CACHEDUMP_LIMIT: usize = 2 << 20;

/// The options of a scripted server.
#[derive(Clone, Debug)]
pub struct Options {
    pub version: &'static str,
    /// `-o lru_crawler`; from 1.5.0 on, the lack of `-o no_lru_crawler`.
    pub crawler: bool,
    /// Each slab class has one LRU list: without `-o lru_maintainer` in old versions, or with `-o no_modern`.
    pub flat: bool,
    /// Without `-C`.
    pub cas: bool,
    /// Without `-X`.
    pub dumps: bool,
    /// How many dumps are garbled first, as after a reader that stalled.
    pub garbled_dumps: usize,
    /// How many lines lose their first byte to a dump without an end line that is still running.
    pub eaten_lines: usize,
    /// A dump repeats itself until the test ends it, and then a few times more.
    pub endless: bool,
    /// How many keys of `shop:` other clients store anew during each dump.
    pub writes: usize,
    /// During how many dumps, from the first on, the server moves items to other slab pages.
    pub moving_dumps: usize,
}

/// How often an endless dump repeats itself after the test has ended it.
const REPEATS: usize = 8;

impl Options {
    /// A server that was started without options.
    pub fn new(version: &'static str) -> Options {
        let is_modern = numbers(version) >= [1, 5, 0];
        Options {
            version,
            crawler: is_modern,
            flat: !is_modern,
            cas: true,
            dumps: true,
            garbled_dumps: 0,
            eaten_lines: 0,
            endless: false,
            writes: 0,
            moving_dumps: 0,
        }
    }

    pub fn start(self) -> Old {
        Old::start(self)
    }
}

fn numbers(version: &str) -> [u32; 3] {
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("three numbers")
}

#[derive(Clone, Debug)]
struct Item {
    key: Vec<u8>,
    value: String,
    cas: u64,
    exptime: i64,
    is_fetched: bool,
    is_stale: bool,
    /// A reader was told that the item is stale, and may store it anew.
    is_claimed: bool,
    /// Whether the item is in the hot list, and not yet in the cold one.
    is_hot: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    items: Vec<Item>,
    last_cas: u64,
    counters: BTreeMap<&'static str, u64>,
    dumps: usize,
    /// How many dumps the client read to their ends.
    dumps_read: usize,
    eaten: usize,
}

pub struct Old {
    fake: Fake,
    server: Arc<Server>,
}

struct Server {
    options: Options,
    numbers: [u32; 3],
    state: Mutex<State>,
    is_ended: AtomicBool,
    /// A real server's answer, for these commands.
    stats: String,
    stats_settings: String,
    stats_items: String,
}

/// The answer of a real server of that version to a command, from a recording.
fn recorded(version: &str, file: &str, command: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(version).join(file);
    let text = std::fs::read_to_string(&path).expect("a transcript");
    let mut lines = text.lines().skip_while(|line| line.strip_prefix("> ") != Some(command));
    let answer = lines.nth(1).and_then(|line| line.strip_prefix("< ")).expect("a recorded answer");
    answer.replace("\\r\\n", "\r\n")
}

impl Old {
    fn start(options: Options) -> Old {
        let version = options.version;
        let server = Arc::new(Server {
            numbers: numbers(version),
            state: Mutex::default(),
            is_ended: AtomicBool::new(false),
            stats: recorded(version, "stats.txt", "stats\\r\\n"),
            stats_settings: recorded(version, "stats.txt", "stats settings\\r\\n"),
            stats_items: recorded(version, "dialect.txt", "stats items\\r\\n"),
            options,
        });
        let fake = Fake::start({
            let server = Arc::clone(&server);
            move |peer| {
                while let Some(line) = peer.line() {
                    let line = server.eat(line);
                    if line == "quit" || !server.answer(&line, peer) {
                        return;
                    }
                }
            }
        });
        Old { fake, server }
    }

    pub fn address(&self) -> &str {
        self.fake.address()
    }

    pub fn fake(&self) -> &Fake {
        &self.fake
    }

    /// Stores an item, as a client did some time ago.
    pub fn put(&self, key: impl AsRef<[u8]>) {
        self.put_value(key, "x");
    }

    pub fn put_value(&self, key: impl AsRef<[u8]>, value: &str) {
        self.server.lock().push(key.as_ref(), value, 0, self.server.options.cas);
    }

    /// Stores an item in the hot list, where the server leaves it.
    pub fn put_hot(&self, key: &str) {
        self.put(key);
        if let Some(item) = self.server.lock().items.last_mut() {
            item.is_hot = true;
        }
    }

    pub fn put_all(&self, prefix: &str, count: usize) {
        (0..count).for_each(|n| self.put(format!("{prefix}{n}")));
    }

    /// The keys that a client can read.
    pub fn keys(&self) -> Vec<String> {
        self.server.lock().items.iter().map(|item| String::from_utf8_lossy(&item.key).into_owned()).collect()
    }

    pub fn count(&self, prefix: &str) -> usize {
        self.keys().iter().filter(|key| key.starts_with(prefix)).count()
    }

    /// Ends an endless dump.
    pub fn end_dumps(&self) {
        self.server.is_ended.store(true, Ordering::SeqCst);
    }

    /// How many dumps began, and how many the client read to their ends.
    pub fn dumps(&self) -> (usize, usize) {
        let state = self.server.lock();
        (state.dumps, state.dumps_read)
    }
}

impl State {
    fn count(&mut self, counter: &'static str) {
        *self.counters.entry(counter).or_default() += 1;
    }

    fn fresh_cas(&mut self, has_cas: bool) -> u64 {
        self.last_cas += 1;
        if has_cas { self.last_cas } else { 0 }
    }

    fn store(&mut self, key: &[u8], value: &str, exptime: i64, has_cas: bool) {
        self.items.retain(|item| item.key != key);
        self.push(key, value, exptime, has_cas);
    }

    /// Adds an item that does not exist yet.
    fn push(&mut self, key: &[u8], value: &str, exptime: i64, has_cas: bool) {
        let cas = self.fresh_cas(has_cas);
        if exptime >= 0 {
            let (key, value) = (key.to_vec(), value.to_owned());
            let (is_fetched, is_stale, is_claimed, is_hot) = (false, false, false, false);
            self.items.push(Item { key, value, cas, exptime, is_fetched, is_stale, is_claimed, is_hot });
        }
    }

    fn find(&mut self, key: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.key == key.as_bytes())
    }

    fn remove(&mut self, key: &str) -> bool {
        let before = self.items.len();
        self.items.retain(|item| item.key != key.as_bytes());
        before > self.items.len()
    }
}

/// The form of the meta commands in a version.
#[derive(Clone, Copy, PartialEq)]
enum Meta {
    Unknown,
    /// 1.5.19 to 1.5.22: a word with the flags, and then the values that they ask for.
    Words,
    /// 1.6.0 to 1.6.9: `OK ` instead of today's `HD`.
    Ok,
    /// As today, but with a space after the code, at least until 1.6.14.
    Spaced,
    Today,
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self) -> Meta {
        match self.numbers {
            numbers if numbers < [1, 5, 19] => Meta::Unknown,
            numbers if numbers < [1, 6, 0] => Meta::Words,
            numbers if numbers < [1, 6, 10] => Meta::Ok,
            numbers if numbers < [1, 6, 19] => Meta::Spaced,
            _ => Meta::Today,
        }
    }

    fn eat(&self, line: String) -> String {
        let mut state = self.lock();
        if state.dumps > 0 && state.eaten < self.options.eaten_lines {
            state.eaten += 1;
            return line.chars().skip(1).collect();
        }
        line
    }

    /// Answers a line; returns false to end the connection.
    fn answer(&self, line: &str, peer: &mut Peer) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["version"] => format!("VERSION {}\r\n", self.options.version),
            ["set" | "append" | "cas", ..] => {
                let Some(data) = peer.line() else { return false };
                self.store(&words, &data)
            }
            ["get" | "gets", keys @ ..] => self.get(keys, words[0] == "gets"),
            ["delete", key] | ["delete", key, "0" | "noreply"] => {
                let mut state = self.lock();
                let is_there = state.remove(key);
                state.count(if is_there { "delete_hits" } else { "delete_misses" });
                let answer = if is_there { "DELETED\r\n" } else { "NOT_FOUND\r\n" };
                if line.ends_with(" noreply") { String::new() } else { answer.into() }
            }
            ["touch", key, _] => {
                let is_there = self.lock().find(key).is_some();
                if is_there { "TOUCHED\r\n".into() } else { "NOT_FOUND\r\n".into() }
            }
            ["flush_all", ..] => {
                let mut state = self.lock();
                state.items.clear();
                state.count("cmd_flush");
                if line.ends_with(" noreply") { String::new() } else { "OK\r\n".into() }
            }
            ["mn"] => match self.meta() {
                Meta::Unknown => "ERROR\r\n".into(),
                Meta::Words => "EN\r\n".into(),
                _ => "MN\r\n".into(),
            },
            ["md", key, flags @ ..] => self.meta_delete(key, flags),
            ["mg", key, flags @ ..] => self.meta_get(key, flags),
            ["stats"] => self.general(),
            ["stats", "settings"] => self.settings(),
            ["stats", "items"] => self.item_stats(),
            ["stats", "cachedump", class, limit] => {
                let bytes = self.cachedump(class, limit);
                peer.send(bytes);
                return true;
            }
            ["lru_crawler", "metadump", target] => return self.metadump(target, peer),
            ["lru_crawler", "mgdump", _] => match self.refusal("key dump") {
                Some(refusal) if self.numbers >= [1, 6, 19] => refusal,
                _ => "ERROR\r\n".into(),
            },
            _ => "ERROR\r\n".into(),
        };
        peer.send(answer);
        true
    }

    fn store(&self, words: &[&str], data: &str) -> String {
        let has_cas = self.options.cas;
        let (key, exptime) = (words[1], words[3].parse().expect("a number"));
        let mut state = self.lock();
        state.count("cmd_set");
        let found = state.find(key).map(|item| (item.value.clone(), item.cas));
        let answer = match (words[0], found) {
            ("append", Some((value, _))) => {
                state.store(key.as_bytes(), &(value + data), exptime, has_cas);
                "STORED\r\n"
            }
            ("append", None) => "NOT_STORED\r\n",
            ("cas", None) => "NOT_FOUND\r\n",
            ("cas", Some((_, cas))) if cas.to_string() != words[5] => "EXISTS\r\n",
            (verb, _) => {
                if verb == "cas" {
                    state.count("cas_hits");
                }
                state.store(key.as_bytes(), data, exptime, has_cas);
                "STORED\r\n"
            }
        };
        if words.last() == Some(&"noreply") { String::new() } else { answer.into() }
    }

    fn get(&self, keys: &[&str], with_cas: bool) -> String {
        let mut state = self.lock();
        let mut answer = String::new();
        for key in keys {
            let Some(item) = state.find(key) else { continue };
            item.is_fetched = true;
            let cas = if with_cas { format!(" {}", item.cas) } else { String::new() };
            answer += &format!("VALUE {key} 0 {}{cas}\r\n{}\r\n", item.value.len(), item.value);
            state.count("get_hits");
        }
        answer + "END\r\n"
    }

    fn meta_delete(&self, key: &str, flags: &[&str]) -> String {
        let meta = self.meta();
        if meta == Meta::Unknown {
            return "ERROR\r\n".into();
        }
        let mut state = self.lock();
        let is_quiet = flags.contains(&"q");
        let wanted = flags.iter().find_map(|flag| flag.strip_prefix('C'));
        let fresh = state.last_cas + 1;
        let code = match state.find(key) {
            None if meta == Meta::Words => "EN",
            None => "NF",
            Some(item) if wanted.is_some_and(|cas| cas != item.cas.to_string()) => "EX",
            Some(item) if flags.contains(&"I") => {
                (item.is_stale, item.is_claimed, item.cas) = (true, false, if self.options.cas { fresh } else { 0 });
                state.last_cas = fresh;
                match meta {
                    Meta::Words => "DE I",
                    Meta::Ok => "OK",
                    _ => "HD",
                }
            }
            Some(_) => {
                state.remove(key);
                match meta {
                    _ if is_quiet => return String::new(),
                    Meta::Words => "DE",
                    Meta::Ok => "OK",
                    _ => "HD",
                }
            }
        };
        match meta {
            Meta::Words if is_quiet => String::new(),
            Meta::Ok | Meta::Spaced => format!("{code} \r\n"),
            _ => format!("{code}\r\n"),
        }
    }

    fn meta_get(&self, key: &str, flags: &[&str]) -> String {
        let meta = self.meta();
        match (meta, flags) {
            (Meta::Unknown, _) => return "ERROR\r\n".into(),
            (Meta::Ok | Meta::Spaced, []) => return "CLIENT_ERROR bad command line format\r\n".into(),
            _ => {}
        }
        let mut state = self.lock();
        let Some(item) = state.find(key) else { return "EN\r\n".into() };
        let is_first = item.is_stale && !item.is_claimed;
        (item.is_fetched, item.is_claimed) = (true, item.is_claimed || item.is_stale);
        let with_value = flags.contains(&"v") || (meta == Meta::Words && flags.is_empty());
        let value = if with_value { format!("{}\r\n", item.value) } else { String::new() };
        if meta == Meta::Words {
            let stale = match (item.is_stale, is_first) {
                (false, _) => "",
                (true, true) => "WX",
                (true, false) => "XZ",
            };
            let answer = match flags {
                [] => format!("{stale}sftv {} 0 -1", item.value.len()),
                ["v"] => format!("{stale}v"),
                _ => format!("{stale}c {}", item.cas),
            };
            return format!("VA {answer}\r\n{value}EN\r\n");
        }
        let stale = match (item.is_stale, is_first) {
            (false, _) => "",
            (true, true) => " X W",
            (true, false) => " Z X",
        };
        let code = match meta {
            _ if with_value => format!("VA {}", item.value.len()),
            Meta::Ok => "OK".into(),
            _ => "HD".into(),
        };
        let cas = if flags.contains(&"c") { format!(" c{}", item.cas) } else { String::new() };
        format!("{code}{cas}{stale}\r\n{value}")
    }

    fn general(&self) -> String {
        let state = self.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = |name: &str| state.counters.get(name).copied().unwrap_or_default();
        let value = |name: &str| match name {
            "curr_items" => Some(state.items.len() as u64),
            "time" => Some(now.as_secs()),
            "uptime" => Some(1_000),
            // One run every ten milliseconds.
            "lru_maintainer_juggles" => Some(now.as_millis() as u64 / 10),
            "get_hits" | "cmd_set" | "cas_hits" | "delete_hits" | "delete_misses" | "cmd_flush" => Some(count(name)),
            "slab_reassign_rescues" => Some(state.dumps.min(self.options.moving_dumps) as u64),
            name if name.starts_with("moves_") => Some(0),
            _ => None,
        };
        with_values(&self.stats, |name| value(name).map(|value| value.to_string()))
    }

    fn settings(&self) -> String {
        let yes = |is: bool| Some(if is { "yes".to_owned() } else { "no".to_owned() });
        with_values(&self.stats_settings, |name| match name {
            "cas_enabled" => yes(self.options.cas),
            "lru_crawler" => yes(self.options.crawler),
            "dump_enabled" => yes(self.options.dumps),
            "lru_maintainer_thread" | "lru_segmented" => yes(!self.options.flat),
            _ => None,
        })
    }

    fn item_stats(&self) -> String {
        let state = self.lock();
        let mut classes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for item in &state.items {
            let (number, hot) = classes.entry(self.class(item)).or_default();
            *number += 1;
            *hot += usize::from(item.is_hot);
        }
        let one = self.stats_items.strip_suffix("END\r\n").expect("it ends");
        let all = classes.into_iter().map(|(class, (number, hot))| {
            let of_class = with_values(one, |name| match name.rsplit(':').next() {
                Some("number") => Some(number.to_string()),
                Some("number_hot") => Some(hot.to_string()),
                Some("number_cold") => Some((number - hot).to_string()),
                _ => None,
            });
            of_class.replace("items:1:", &format!("items:{class}:"))
        });
        all.chain(["END\r\n".to_owned()]).collect()
    }

    /// The size of header, key and value.
    fn size(&self, item: &Item) -> usize {
        48 + if self.options.cas { 8 } else { 0 } + item.key.len() + 1 + item.value.len() + 2
    }

    fn class(&self, item: &Item) -> usize {
        let (size, mut class, mut chunk) = (self.size(item), 1, 96);
        while chunk < size {
            class += 1;
            chunk = (chunk * 5 / 4_usize).next_multiple_of(8);
        }
        class
    }

    /// The answer of a server that does not list its keys.
    fn refusal(&self, what: &str) -> Option<String> {
        if !self.options.dumps {
            return Some(format!("ERROR {what} not allowed\r\n"));
        }
        (!self.options.crawler).then(|| "CLIENT_ERROR lru crawler disabled\r\n".into())
    }

    /// As upstream writes it: each key up to its first NUL, and no entry beyond the limit.
    fn cachedump(&self, class: &str, limit: &str) -> Vec<u8> {
        if !self.options.dumps {
            return b"CLIENT_ERROR stats cachedump not allowed\r\n".to_vec();
        }
        let (class, limit): (usize, usize) = (class.parse().expect("a class"), limit.parse().expect("a limit"));
        // At least until 1.4.31, the time of the server's start means never.
        let never: u64 = if self.numbers < [1, 4, 33] { 1_795_603_946 } else { 0 };
        let mut answer = Vec::new();
        let state = self.lock();
        let listed = state.items.iter().rev().filter(|item| self.class(item) == class && !item.is_hot);
        for item in listed.take(if limit == 0 { usize::MAX } else { limit }) {
            let key = item.key.split(|byte| *byte == 0).next().unwrap_or_default();
            let line = [b"ITEM ", key, format!(" [{} b; {never} s]\r\n", item.value.len()).as_bytes()].concat();
            if answer.len() + line.len() + 6 > CACHEDUMP_LIMIT {
                break;
            }
            answer.extend(line);
        }
        answer.extend(b"END\r\n");
        answer
    }

    fn metadump(&self, target: &str, peer: &mut Peer) -> bool {
        let knows_hash = self.numbers >= [1, 6, 9];
        let refusal = match self.refusal("metadump") {
            _ if self.numbers < [1, 4, 31] => Some("ERROR\r\n".into()),
            None if target == "hash" && !knows_hash => Some("BADCLASS invalid class id\r\n".into()),
            refusal => refusal,
        };
        if let Some(refusal) = refusal {
            peer.send(refusal);
            return true;
        }
        let (dump, has_end) = {
            let mut state = self.lock();
            state.dumps += 1;
            let dump = self.dump(&state, target);
            for n in 0..self.options.writes {
                state.store(format!("shop:new:{n}").as_bytes(), "x", 0, self.options.cas);
                state.count("cmd_set");
            }
            (dump, self.numbers >= [1, 5, 4])
        };
        let mut is_taken = peer.try_send(&dump);
        while is_taken && self.options.endless && !self.is_ended.load(Ordering::SeqCst) {
            is_taken = peer.try_send(&dump);
        }
        if self.options.endless {
            is_taken = (0..REPEATS).all(|_| is_taken && peer.try_send(&dump));
        }
        let is_taken = is_taken && (!has_end || peer.try_send("END\r\n"));
        if is_taken {
            self.lock().dumps_read += 1;
        }
        is_taken
    }

    fn dump(&self, state: &State, target: &str) -> String {
        let leaves_heads_out = matches!(self.numbers, [1, 5, 5 | 6]);
        let mut lines = Vec::new();
        for (at, item) in state.items.iter().enumerate() {
            let class = self.class(item);
            let is_newest = || {
                let mut newer = state.items[at + 1..].iter();
                !newer.any(|newer| self.class(newer) == class && newer.is_hot == item.is_hot)
            };
            let is_asked = matches!(target, "all" | "hash") || target == class.to_string();
            if !is_asked || leaves_heads_out && is_newest() {
                continue;
            }
            let key: String = item.key.iter().copied().map(encode).collect();
            let exp = if item.exptime == 0 { -1 } else { item.exptime };
            let fetched = if item.is_fetched { "yes" } else { "no" };
            let flags = if self.numbers >= [1, 6, 24] { " flags=0" } else { "" };
            lines.push(format!(
                "key={key} exp={exp} la=1795604433 cas={} fetch={fetched} cls={class} size={}{flags}\n",
                item.cas,
                self.size(item)
            ));
        }
        if state.dumps <= self.options.garbled_dumps && lines.len() > 2 {
            // The buffer again from its start, after a part of it.
            let middle = lines.len() / 2;
            let half: String = lines[middle].chars().take(20).collect();
            return lines[..middle].concat() + &half + &lines.concat();
        }
        lines.concat()
    }
}

fn encode(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).into(),
        other => format!("%{other:02X}"),
    }
}

/// `STAT` lines with some values replaced.
fn with_values(lines: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let change = |line: &str| match line.strip_prefix("STAT ").and_then(|rest| rest.split_once(' ')) {
        Some((name, old)) => format!("STAT {name} {}\r\n", value(name).unwrap_or_else(|| old.trim_end().to_owned())),
        None => line.to_owned(),
    };
    lines.split_inclusive("\r\n").map(change).collect()
}
