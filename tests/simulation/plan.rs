//! The plan that a seed chooses: the server, its keys and other clients, the faults, and the job of mcflush.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use mcflush::ops::Filter;
use mcflush::ops::clear::ClearOptions;
use mcflush::ops::flush::Flush;

use crate::chance::Chance;
use crate::model::Key;
use crate::world::{ODD, key};

/// The job of mcflush.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    Clear(ClearOptions),
    Flush(Flush),
    /// Exactly the keys of [`Plan::named`].
    Delete(Option<NonZeroU32>),
}

impl Job {
    pub const fn keeps_new(self) -> bool {
        matches!(
            self,
            Self::Clear(ClearOptions { keep_new: true, .. }) | Self::Flush(Flush::Exact { keep_new: true, .. })
        )
    }

    /// The conditions on items, in addition to their keys.
    pub fn filter(self) -> Filter {
        if let Self::Clear(options) = self { options.filter } else { Filter::default() }
    }

    /// Whether mcflush deletes an item only if it is still the one that was listed.
    pub fn compares(self) -> bool {
        self.keeps_new() || !self.filter().is_none()
    }
}

/// The way in which the keys in scope are chosen; each way chooses the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Prefixes,
    /// Everything but the keys out of scope.
    TheRest,
    Patterns,
}

/// Another client. `reads` and `stores` are out of a hundred commands; the other commands change or delete items.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// The maximum time between two of its commands, in milliseconds.
    pub pace: u64,
    pub reads: u64,
    pub stores: u64,
    /// How many of a hundred commands are for keys in scope.
    pub in_scope: u64,
    /// The number of keys of each kind that it uses.
    pub keys: u64,
    /// How many of a hundred reads are slow, and hold the item.
    pub holds: u64,
}

/// The faults of connections.
#[derive(Debug, Clone, Default)]
pub struct WireFaults {
    /// Out of a thousand connections.
    pub refused: u64,
    pub cut: u64,
    pub stalled: u64,
    /// Out of a thousand pieces that the server writes.
    pub delayed: u64,
    pub is_split: bool,
    /// Out of a thousand dumps.
    pub busy: u64,
    /// Out of a thousand dumps: from 1.6.19 to 1.6.43 the server garbles the dump of a client that stops reading.
    pub garbled: u64,
}

/// The faults of the server.
#[derive(Debug, Clone, Default)]
pub struct ServerFaults {
    pub restarts_at: Option<Duration>,
    /// How long the server is down then.
    pub down_for: Duration,
    pub has_new_pid: bool,
    pub flushed_at: Option<Duration>,
    /// Milliseconds between a flush and the start of mcflush.
    pub flushed_before: Option<u64>,
    pub moves_pages_at: Option<Duration>,
    /// Milliseconds between two evictions.
    pub evicts_every: Option<u64>,
    /// How many of a hundred flushes come in the middle of a change.
    pub in_the_middle: u64,
    /// The power of two of the buckets that the hash table has at first, if it is small enough to grow.
    pub hash_power: Option<u32>,
    /// Milliseconds between two turns of the LRU maintainer at most, if the machine keeps it from running.
    pub late_turns: Option<u64>,
}

/// The faults of the disk that takes what memory does not hold.
#[derive(Debug, Clone, Default)]
pub struct DiskFaults {
    pub is_missing: bool,
    /// How many bytes it has room for.
    pub room: Option<u64>,
    /// How many batches can be read back.
    pub readable: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub version: [u32; 3],
    pub has_cas: bool,
    pub has_crawler: bool,
    /// The server's clock at the start, in seconds since 1970: behind or ahead of this machine's.
    pub clock: u64,
    pub in_scope: u64,
    pub out_of_scope: u64,
    /// The number of keys with bytes that no text command can carry.
    pub odd: u64,
    /// The number of long keys: more than memory holds.
    pub long: u64,
    pub choice: Choice,
    /// For [`Job::Delete`]: the keys to delete.
    pub named: BTreeSet<Key>,
    pub job: Job,
    /// A second mcflush does the same job at the same time.
    pub is_twice: bool,
    pub timeout: Duration,
    pub retries: u32,
    pub stops_at: Option<Duration>,
    pub deadline: Option<Duration>,
    pub traffic: Vec<Traffic>,
    pub wire: WireFaults,
    pub server: ServerFaults,
    pub disk: DiskFaults,
    /// How many bytes of keys mcflush keeps in memory, and how many a connection holds each way.
    pub memory: usize,
    pub pipe: usize,
    /// The keys that a dump visits in a millisecond, and the commands that a connection executes in a millisecond.
    pub dump_pace: u64,
    pub command_pace: u64,
    /// The random numbers during the run: of the server and its other clients (`chance`), of the connections (`wires`), and
    /// of mcflush (`numbers`).
    pub chance: Chance,
    pub wires: Chance,
    pub numbers: Chance,
}

/// Conditions that only some items of the model meet.
fn filter(chance: &mut Chance) -> Filter {
    match chance.below(4) {
        0 => Filter { larger: Some(chance.within(55, 64)), ..Filter::default() },
        1 => Filter { idle: Some(Duration::from_secs(chance.within(1, 480))), ..Filter::default() },
        2 => Filter { no_expiry: true, ..Filter::default() },
        _ => Filter {
            larger: Some(chance.within(55, 64)),
            idle: Some(Duration::from_secs(chance.within(1, 480))),
            no_expiry: chance.percent(50),
        },
    }
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let it = &mut chance;
        let version = it.pick(&[[1, 4, 25], [1, 5, 22], [1, 6, 9], [1, 6, 18], [1, 6, 24], [1, 6, 38], [1, 6, 45]]);
        let job = if it.percent(25) {
            Job::Flush(Flush::Exact { verify: it.percent(25), keep_new: it.percent(30) })
        } else {
            let rate = if it.percent(10) { NonZeroU32::new(it.within(20, 2_000) as u32) } else { None };
            Job::Clear(
                ClearOptions::default().with_rate(rate).with_verify(it.percent(20)).with_keep_new(it.percent(30)),
            )
        };
        let is_calm = it.percent(15);
        let happens = |it: &mut Chance, percent| !is_calm && it.percent(percent);
        let soon = |it: &mut Chance| Duration::from_millis(it.of_any_size(8_000));
        let wire = WireFaults {
            refused: if happens(it, 20) { it.within(10, 400) } else { 0 },
            cut: if happens(it, 35) { it.within(20, 600) } else { 0 },
            stalled: if happens(it, 15) { it.within(20, 300) } else { 0 },
            delayed: if happens(it, 30) { it.within(1, 300) } else { 0 },
            is_split: happens(it, 30),
            busy: if happens(it, 25) { it.within(10, 700) } else { 0 },
            garbled: 0,
        };
        let server = ServerFaults {
            restarts_at: happens(it, 15).then(|| soon(it)),
            down_for: it.millis(0, 2_000),
            has_new_pid: it.percent(70),
            flushed_at: happens(it, 10).then(|| soon(it)),
            flushed_before: happens(it, 15).then(|| it.within(1, 3_000)),
            moves_pages_at: happens(it, 20).then(|| soon(it)),
            evicts_every: happens(it, 20).then(|| it.within(3, 300)),
            in_the_middle: if happens(it, 50) { it.within(10, 100) } else { 0 },
            hash_power: None,
            late_turns: None,
        };
        let traffic: Vec<_> = (0..it.below(4))
            .map(|_| {
                let reads = it.below(101);
                let stores = it.below(101 - reads);
                Traffic {
                    pace: it.within(2, 60),
                    reads,
                    stores,
                    in_scope: it.below(101),
                    keys: it.within(5, 400),
                    holds: 0,
                }
            })
            .collect();
        // With this many reads, a pass misses many keys.
        let is_read_hard = it.percent(10);
        let traffic = if is_read_hard {
            (0..3)
                .map(|_| Traffic { pace: 2, reads: 100, stores: 0, in_scope: it.within(50, 101), keys: 400, holds: 0 })
                .collect()
        } else {
            traffic
        };
        let has_cas = !it.percent(8);
        let (in_scope, out_of_scope) = (it.of_any_size(300), it.of_any_size(400));
        let choice = if it.percent(15) { Choice::TheRest } else { Choice::Prefixes };
        // These have a separate sequence of random numbers, so that seeds without them give the same runs as before they
        // were added.
        let mut more = Chance::of(!seed);
        let choice = if more.percent(20) { Choice::Patterns } else { choice };
        let mut named = BTreeSet::new();
        let job = match job {
            Job::Clear(options) if more.percent(25) => Job::Clear(options.with_filter(filter(&mut more))),
            Job::Clear(options) if more.percent(15) => {
                for _ in 0..more.of_any_size(400) {
                    named.insert(key(more.percent(60), more.below(500)));
                }
                Job::Delete(options.rate)
            }
            job => job,
        };
        let mut plan = Self {
            version,
            has_cas,
            has_crawler: version >= [1, 5, 0],
            clock: Chance::of(seed.rotate_left(16)).pick(&[1_764_000_000, 4_000_000_000]),
            odd: 0,
            long: 0,
            is_twice: false,
            in_scope,
            out_of_scope,
            choice,
            named,
            job,
            timeout: it.millis(1_000, 5_000),
            retries: it.below(7) as u32,
            stops_at: happens(it, 10).then(|| soon(it)),
            deadline: happens(it, 15).then(|| soon(it) * 3),
            traffic,
            wire,
            server,
            disk: DiskFaults::default(),
            memory: 512 * 1024,
            pipe: 256 * 1024,
            dump_pace: it.within(1, 60),
            command_pace: it.within(1, 200),
            wires: it.fork(),
            numbers: it.fork(),
            chance,
        };
        plan.add_rarities(&mut Chance::of(seed.reverse_bits()), is_calm);
        plan.add_long_keys(&mut Chance::of(seed.rotate_left(32)), is_calm);
        plan
    }

    /// Adds rare conditions, from a separate sequence of random numbers for the same reason.
    fn add_rarities(&mut self, it: &mut Chance, is_calm: bool) {
        if it.percent(15) {
            self.version = it.pick(&[[1, 4, 33], [1, 5, 6], [1, 6, 22]]);
            self.has_crawler = self.version >= [1, 5, 0] || it.percent(60);
        }
        if it.percent(15) {
            self.odd = it.of_any_size(60);
            if it.percent(30) {
                // No other keys are in scope.
                (self.in_scope, self.odd) = (0, self.odd.min(2));
            }
            if let Job::Delete(_) = self.job {
                self.named.extend((0..it.below(self.odd + 1)).map(|number| key(it.percent(60), ODD + number)));
            }
        }
        if it.percent(10) {
            self.server.hash_power = Some(it.within(2, 9) as u32);
        }
        if it.percent(10) && !is_calm {
            self.wire.garbled = it.within(10, 500);
        }
        if it.percent(10) && !is_calm {
            for traffic in &mut self.traffic {
                traffic.holds = it.within(1, 30);
            }
        }
        if it.percent(10) && !is_calm {
            self.server.late_turns = Some(it.within(1_000, 9_000));
        }
        self.is_twice = it.percent(10) && matches!(self.job, Job::Clear(_)) && !self.job.compares();
    }

    /// Adds more keys than memory holds, and faults of the disk that takes them, for the same reason from a third sequence.
    fn add_long_keys(&mut self, it: &mut Chance, is_calm: bool) {
        if !it.percent(10) {
            return;
        }
        self.long = it.within(500, 3_000);
        (self.memory, self.pipe) = (it.below(96 * 1024) as usize, 16 * 1024);
        // Mostly, the server lists faster than it deletes.
        (self.dump_pace, self.command_pace) = (it.within(20, 100), it.within(1, 20));
        if !is_calm {
            self.disk = DiskFaults {
                is_missing: it.percent(8),
                room: it.percent(70).then(|| it.below(400_000)),
                readable: it.percent(15).then(|| it.below(10)),
            };
        }
    }

    /// Whether mcflush reads every dump to its end, because the server can crash when a client closes the connection
    /// during a dump.
    pub fn reads_dumps_to_their_end(&self) -> bool {
        ([1, 6, 19]..[1, 6, 26]).contains(&self.version)
    }

    /// Whether no connection fails and mcflush is not stopped: then its counts are exact.
    pub fn is_connected(&self) -> bool {
        let WireFaults { refused, cut, stalled, .. } = self.wire;
        refused + cut + stalled == 0
            && self.server.restarts_at.is_none()
            && self.stops_at.is_none()
            && self.deadline.is_none()
    }

    /// Whether no fault can keep a clear from being complete.
    pub fn has_to_be_complete(&self) -> bool {
        let walks = self.version >= [1, 6, 19];
        if let Job::Delete(_) = self.job {
            return self.is_connected();
        }
        let has_both = self.job.keeps_new() && !self.job.filter().is_none();
        let cannot_compare = self.job.compares()
            && (!self.has_cas || self.version < [1, 5, 0] || (has_both && self.version < [1, 6, 13]));
        let is_confused = self.server.moves_pages_at.is_some() && self.job.compares() && self.version < [1, 6, 24];
        // Without CAS, mcflush cannot distinguish items that were stored meanwhile from items that were left. Nor can it if
        // the other clear has deleted the items that it would compare with.
        let is_told = (self.has_cas && !self.is_twice)
            || self.traffic.is_empty()
            || !matches!(self.job, Job::Clear(ClearOptions { verify: true, .. }));
        let is_alone = self.traffic.is_empty() && self.server.moves_pages_at.is_none() && !self.is_twice;
        let is_settled = walks || is_alone;
        // Over a connection on which many small pieces come late, one clear may hold the crawler for longer than the other
        // waits for it.
        let is_held_up = self.is_twice && self.wire.delayed >= 100 && self.wire.is_split;
        // These keys break every listing or are left out of it, or no command can mark them.
        let is_odd = self.odd > 0 && (!self.has_crawler || self.job.keeps_new());
        self.is_connected()
            && self.disk.readable.is_none()
            && self.wire.busy + self.wire.garbled == 0
            && !is_odd
            && !is_held_up
            && self.version != [1, 5, 6]
            && is_settled
            && is_told
            && !cannot_compare
            && !is_confused
            && self.server.evicts_every.is_none()
            && self.server.flushed_at.is_none()
            && matches!(self.job, Job::Clear(_))
    }
}
