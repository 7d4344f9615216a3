//! The conditions that must hold, whatever goes wrong.

use std::collections::BTreeSet;

use crate::model::{Item, Key, Model};
use crate::plan::{Job, Plan};
use crate::talk::{BINARY_DELETE, Command};

/// Checks each command of mcflush before the model executes it.
#[derive(Debug)]
pub struct Oracle {
    job: Job,
    /// For [`Job::Delete`]: the keys that mcflush is asked to delete.
    named: BTreeSet<Key>,
    /// When mcflush began, as the model counts changes (`began`) and in seconds (`began_at`).
    pub began: u64,
    pub began_at: u64,
    /// When mcflush took its last watermark.
    mark: Option<u64>,
    /// The keys that mcflush marked. The CAS that it then reads of such a key is the watermark, even if another client
    /// stored the key in between.
    marked: Vec<Key>,
    /// The number of items that the model has deleted for mcflush.
    pub deleted: u64,
    flushes: u64,
    /// How many bytes of listed keys mcflush may hold, and holds: from the dump until they are on the disk, or the server
    /// executes their delete. The count can be too low, because a delete may come twice after a lost connection. There is
    /// no limit where mcflush drops some of the keys that it reads (by conditions, or to reach the end of a dump), and
    /// while two clears run at once.
    memory: Option<usize>,
    held: usize,
    /// The conditions that did not hold.
    pub broken: Vec<String>,
}

/// How many bytes of keys mcflush hands on at once.
const BATCH: usize = 16 * 1024;

/// What mcflush holds beside what its spool keeps in memory: batches that are being made, put or sent, and its buffers.
const MEMORY_MORE: usize = 128 * 1024;

/// Written out for the plan's two scopes, so that it does not use the code under test.
fn is_in_scope(key: &[u8]) -> bool {
    key.starts_with(b"shop:") && !key.starts_with(b"shop:sess:")
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

impl Oracle {
    pub fn new(plan: &Plan) -> Self {
        let (job, named) = (plan.job, plan.named.clone());
        let marked = Vec::new();
        let is_counted = !job.compares() && !plan.is_twice && !plan.reads_dumps_to_their_end();
        let memory = is_counted.then_some(plan.memory.max(BATCH) + 2 * plan.pipe + MEMORY_MORE);
        let broken = Vec::new();
        Self { job, named, began: 0, began_at: 0, mark: None, marked, deleted: 0, flushes: 0, memory, held: 0, broken }
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.len() < 5 {
            self.broken.push(what());
        }
    }

    fn is_named(&self, key: &[u8]) -> bool {
        match self.job {
            Job::Flush(_) => true,
            Job::Clear(_) => is_in_scope(key),
            Job::Delete(_) => self.named.contains(key),
        }
    }

    /// Whether an item may have met the conditions when mcflush began. The item's present state does not always show it: a
    /// read since then does not change that it was idle, and a touch has given it an expiry.
    fn was_meant(&self, key: &[u8], item: &Item) -> bool {
        let filter = self.job.filter();
        let size = (50 + key.len() + item.value.len()) as u64;
        filter.larger.is_none_or(|larger| size > larger) && (filter.idle.is_none() || item.changed <= self.began)
    }

    /// Whether an item surely met the conditions when mcflush began, and still does.
    fn is_meant(&self, key: &[u8], item: &Item) -> bool {
        let filter = self.job.filter();
        let is_idle = filter.idle.is_none_or(|idle| item.time + idle.as_secs() <= self.began_at);
        self.was_meant(key, item) && is_idle && (!filter.no_expiry || item.expires.is_none())
    }

    pub fn look(&mut self, model: &Model, command: &Command) {
        let key = command.key();
        let said = || format!("mcflush sent \"{}\"", String::from_utf8_lossy(&command.words.join(&b' ')));
        match command.word(0) {
            "version" | "stats" | "mn" | "lru_crawler" => {}
            // mcflush sends it during a dump without an end line, and the server loses bytes of it.
            rest if "version".ends_with(rest) && model.version < [1, 5, 4] => {}
            "mg" | "gets" => {
                if self.marked.iter().any(|marked| marked == key) && model.peek(key).is_some() {
                    self.mark = Some(model.stamp);
                }
            }
            "delete" => self.deletes(model, key, None),
            BINARY_DELETE => self.deletes(model, key, command.word(2).parse().ok().filter(|cas| *cas > 0)),
            "md" if command.flag('I').is_none() => {
                self.deletes(model, key, command.flag('C').and_then(|cas| cas.parse().ok()));
            }
            "cas" if command.word(3) == "-1" => self.deletes(model, key, command.word(5).parse().ok()),
            "append" | "md" => {
                self.require(self.is_named(key), || format!("{}: not in scope", said()));
                let listed = command.flag('C').and_then(|cas| cas.parse().ok());
                let is_left = |item: &&Item| listed.is_none_or(|listed: u64| listed == item.cas);
                let is_meant = model.peek(key).filter(is_left).is_none_or(|item| self.was_meant(key, item));
                self.require(is_meant, || format!("{}: it does not meet the conditions", said()));
                if model.peek(key).is_some() {
                    self.mark = Some(model.stamp);
                    self.marked.push(key.to_vec());
                }
            }
            "set" => {
                let is_probe = matches!(self.job, Job::Flush(_)) && key.starts_with(b"mcflush:probe:");
                self.require(is_probe, said);
                self.mark = Some(model.stamp + 1);
            }
            "flush_all" => {
                self.require(matches!(self.job, Job::Flush(_)), said);
                let is_again = self.flushes > 0 && self.job.keeps_new();
                self.require(!is_again, || "flush_all was sent again, and takes what is new".into());
                self.flushes += 1;
            }
            _ => self.require(false, said),
        }
    }

    /// A dump begins: mcflush is done with the keys of the one before.
    pub fn begin_dump(&mut self) {
        self.held = 0;
    }

    pub fn is_listed(&mut self, key: &[u8]) {
        if self.is_named(key) {
            self.enters_memory(key.len() + 1);
        }
    }

    pub fn enters_memory(&mut self, bytes: usize) {
        self.held += bytes;
        let held = self.held;
        self.require(self.memory.is_none_or(|memory| held <= memory), || format!("{held} bytes of keys in memory"));
    }

    pub fn leaves_memory(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn deletes(&mut self, model: &Model, key: &[u8], cas: Option<u64>) {
        self.leaves_memory(key.len() + 1);
        self.require(self.is_named(key), || format!("{} was to be deleted, and is not in scope", name(key)));
        self.require(cas.is_some() || !self.job.compares(), || {
            format!("{} was to be deleted whatever it is", name(key))
        });
        let Some(item) = model.peek(key).filter(|item| cas.is_none_or(|cas| cas == item.cas)) else { return };
        self.require(self.was_meant(key, item), || {
            format!("{} was deleted, and does not meet the conditions", name(key))
        });
        self.deleted += 1;
        let is_old = self.mark.is_some_and(|mark| item.changed <= mark);
        self.require(is_old || !self.job.keeps_new(), || format!("{} was deleted, and is new", name(key)));
    }

    /// After a proof: no item that was stored before mcflush began may be readable.
    pub fn look_for_old(&mut self, model: &Model, when: &str) {
        let compares = self.job.compares();
        let old: Vec<_> = model
            .readable()
            .filter(|(key, item)| {
                let stored = if compares { item.changed } else { item.born };
                // An item that a slow reader holds is in no LRU list that is dumped, as docs/RELIABILITY.md says.
                let is_hidden = item.was_held_long && model.version < [1, 6, 19] && matches!(self.job, Job::Clear(_));
                self.is_named(key) && stored <= self.began && self.is_meant(key, item) && !is_hidden
            })
            .map(|(key, item)| format!("{} (cas {}, second {})", name(key), item.cas, item.time))
            .collect();
        self.require(old.is_empty(), || format!("old and readable {when}: {}", old.join(" ")));
    }

    /// After the end: the items that were stored since must exist.
    pub fn look_for_new(&mut self, model: &Model, stored: &[Key]) {
        let lost: Vec<_> = stored.iter().filter(|key| model.peek(key).is_none()).map(|key| name(key)).collect();
        self.require(lost.is_empty(), || format!("stored behind the end, and lost: {}", lost.join(" ")));
    }

    pub fn look_at_count(&mut self, said: u64, is_exact: bool) {
        let deleted = self.deleted;
        let holds = if is_exact { said == deleted } else { said <= deleted };
        self.require(holds, || format!("{said} keys deleted, it says; {deleted}, the server says"));
    }
}
