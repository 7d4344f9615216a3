//! What a seed chooses: the server, its keys and other clients, what goes wrong, and what mcflush is asked to do.

use std::num::NonZeroU32;
use std::time::Duration;

use mcflush::ops::Filter;
use mcflush::ops::clear::Options;
use mcflush::ops::flush::Flush;

use crate::chance::Chance;

/// What mcflush is asked to do.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    Clear(Options),
    Flush(Flush),
}

impl Job {
    pub const fn keeps_new(self) -> bool {
        matches!(self, Self::Clear(Options { keep_new: true, .. }) | Self::Flush(Flush::Exact { keep_new: true, .. }))
    }
}

/// Another client: what it does, out of a hundred times. What is neither a read nor a store changes or deletes.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Milliseconds between two of its commands, at most.
    pub pace: u64,
    pub reads: u64,
    pub stores: u64,
    /// How often it is about keys in scope.
    pub in_scope: u64,
    /// It uses so many keys of each kind.
    pub keys: u64,
}

/// What goes wrong with connections.
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
}

/// What happens to the server.
#[derive(Debug, Clone, Default)]
pub struct ServerFaults {
    pub restarts_at: Option<Duration>,
    /// How long nobody listens then.
    pub down_for: Duration,
    pub has_new_pid: bool,
    pub flushed_at: Option<Duration>,
    pub moves_pages_at: Option<Duration>,
    /// Milliseconds between two evictions.
    pub evicts_every: Option<u64>,
    /// A flush meets a change in the middle, out of a hundred flushes.
    pub in_the_middle: u64,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub version: [u32; 3],
    pub has_cas: bool,
    pub in_scope: u64,
    pub out_of_scope: u64,
    /// The scope is everything but the keys out of it.
    pub clears_the_rest: bool,
    pub job: Job,
    pub timeout: Duration,
    pub retries: u32,
    pub stops_at: Option<Duration>,
    pub deadline: Option<Duration>,
    pub traffic: Vec<Traffic>,
    pub wire: WireFaults,
    pub server: ServerFaults,
    /// Keys that a dump visits in a millisecond, and commands that a connection executes in one.
    pub dump_pace: u64,
    pub command_pace: u64,
    /// For what is drawn while it runs: by the server and its other clients, for the connections, and by mcflush.
    pub chance: Chance,
    pub wires: Chance,
    pub numbers: Chance,
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
            Job::Clear(Options {
                strategy: None,
                rate,
                verify: it.percent(20),
                keep_new: it.percent(30),
                filter: Filter::default(),
            })
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
        };
        let server = ServerFaults {
            restarts_at: happens(it, 15).then(|| soon(it)),
            down_for: it.millis(0, 2_000),
            has_new_pid: it.percent(70),
            flushed_at: happens(it, 10).then(|| soon(it)),
            moves_pages_at: happens(it, 20).then(|| soon(it)),
            evicts_every: happens(it, 20).then(|| it.within(3, 300)),
            in_the_middle: if happens(it, 50) { it.within(10, 100) } else { 0 },
        };
        let traffic = (0..it.below(4))
            .map(|_| {
                let reads = it.below(101);
                let stores = it.below(101 - reads);
                Traffic { pace: it.within(2, 60), reads, stores, in_scope: it.below(101), keys: it.within(5, 400) }
            })
            .collect();
        Self {
            version,
            has_cas: !it.percent(8),
            in_scope: it.of_any_size(300),
            out_of_scope: it.of_any_size(400),
            clears_the_rest: it.percent(15),
            job,
            timeout: it.millis(1_000, 5_000),
            retries: it.below(7) as u32,
            stops_at: happens(it, 10).then(|| soon(it)),
            deadline: happens(it, 15).then(|| soon(it) * 3),
            traffic,
            wire,
            server,
            dump_pace: it.within(1, 60),
            command_pace: it.within(1, 200),
            wires: it.fork(),
            numbers: it.fork(),
            chance,
        }
    }

    /// Whether the connections are good and nobody stops mcflush: then its counts are exact.
    pub fn is_connected(&self) -> bool {
        let WireFaults { refused, cut, stalled, .. } = self.wire;
        refused + cut + stalled == 0
            && self.server.restarts_at.is_none()
            && self.stops_at.is_none()
            && self.deadline.is_none()
    }

    /// Whether nothing goes wrong that could keep a clear from being complete.
    pub fn has_to_be_complete(&self) -> bool {
        let walks = self.version >= [1, 6, 19];
        let keeps_new_without_age = self.job.keeps_new() && (!self.has_cas || self.version < [1, 5, 0]);
        let is_confused = self.server.moves_pages_at.is_some() && self.job.keeps_new() && self.version < [1, 6, 24];
        // Without CAS nothing tells what is stored meanwhile from what was left.
        let is_told =
            self.has_cas || self.traffic.is_empty() || !matches!(self.job, Job::Clear(Options { verify: true, .. }));
        let is_settled = walks || (self.traffic.is_empty() && self.server.moves_pages_at.is_none());
        self.is_connected()
            && self.wire.busy == 0
            && is_settled
            && is_told
            && !keeps_new_without_age
            && !is_confused
            && self.server.evicts_every.is_none()
            && self.server.flushed_at.is_none()
            && matches!(self.job, Job::Clear(_))
    }
}
