//! Puts the listed keys in scope into the backlog.

use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;

use super::Shared;
use super::batch::BatchBuilder;
use crate::error::{Error, Problem};
use crate::ops::Event;
use crate::ops::backlog::Filler;
use crate::ops::listing::sample::Sample;
use crate::ops::listing::{ListedItem, Visitor};
use crate::ops::nearest::Nearest;
use crate::protocol::{Escaped, Excerpt};

/// How many keys the error about keys that are left names.
const EXAMPLES: usize = 3;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) listed: u64,
    /// Keys in scope.
    pub(super) matched: u64,
    /// Keys in scope that may have been stored before the clear began.
    pub(super) older: u64,
    /// Some of the older keys, escaped.
    pub(super) examples: Vec<String>,
    /// Whether the walk listed an item whose last access was long before it.
    pub(super) has_long_unread: bool,
    /// The highest CAS of the keys in scope; of all keys, if CAS are compared.
    pub(super) highest_cas: u64,
}

pub(super) struct Lister<'a> {
    shared: &'a Shared<'a>,
    batch: BatchBuilder,
    filler: Filler,
    /// Counted since the last batch, as are `matched` and `bytes`.
    listed: u64,
    matched: u64,
    bytes: u64,
    walk: &'a mut Walk,
    /// A sample of the keys out of scope, if passes are judged.
    sample: Option<&'a mut Sample>,
    /// Prefixes similar to those of the scope, until a key in scope is met.
    nearest: &'a mut Nearest,
    /// A key out of scope, decoded.
    key: BytesMut,
    looks_up_age: bool,
}

impl<'a> Lister<'a> {
    pub(super) fn new(
        shared: &'a Shared<'a>,
        filler: Filler,
        walk: &'a mut Walk,
        sample: Option<&'a mut Sample>,
        nearest: &'a mut Nearest,
    ) -> Self {
        let batch = BatchBuilder::new(shared.format());
        let looks_up_age = shared.looks_up_age();
        let key = BytesMut::new();
        Self { shared, batch, filler, listed: 0, matched: 0, bytes: 0, walk, sample, nearest, key, looks_up_age }
    }

    /// Puts the gathered keys into the backlog.
    ///
    /// # Errors
    /// The backlog has no room for the next batch, or the deletes have ended.
    pub(super) fn hand_on(&mut self) -> Result<(), Error> {
        let (listed, matched) = (std::mem::take(&mut self.listed), std::mem::take(&mut self.matched));
        self.walk.listed += listed;
        self.walk.matched += matched;
        self.shared.tally.matched(matched, std::mem::take(&mut self.bytes));
        self.shared.context.events.tell(Event::Listed { keys: listed, in_scope: matched });
        let Some(batch) = self.batch.finish() else { return Ok(()) };
        if self.filler.push(batch.into_bytes()) {
            return Ok(());
        }
        // Without trouble, the deletes have ended, and their error says why.
        let trouble = self.filler.trouble().unwrap_or_else(|| "no more keys are taken".into());
        Err(self.shared.error(Problem::Spool(trouble)))
    }

    fn note(&mut self, item: ListedItem<'_>) {
        let cas = item.cas();
        self.walk.highest_cas = self.walk.highest_cas.max(cas.unwrap_or_default());
        // If the deletes look up the CAS of each key, they count the old ones.
        if self.looks_up_age || !self.shared.is_older(cas) {
            return;
        }
        self.walk.older += 1;
        if self.walk.examples.len() < EXAMPLES {
            self.walk.examples.push(Escaped(item.raw_key()).to_string());
        }
    }
}

impl Visitor for Lister<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        let Shared { server, scope, options, sieve, .. } = *self.shared;
        if options.compares() {
            let why = match item.cas() {
                None => Some("its listing does not say the CAS of each key"),
                Some(0) => Some("the server keeps no CAS (-C)"),
                Some(_) => None,
            };
            if let Some(why) = why {
                return Err(self.shared.cannot_compare(why));
            }
            self.walk.highest_cas = self.walk.highest_cas.max(item.cas().unwrap_or_default());
        }
        // Whether the filter admits an item whose key is in scope.
        let mut admitted = None;
        let is_wanted =
            |key: &[u8]| scope.contains(key) && matches!(admitted.insert(sieve.admits(item, server)), Ok(true));
        let in_scope = self
            .batch
            .take(item, is_wanted)
            .map_err(|source| self.shared.error(Problem::BadKey { source, excerpt: Excerpt::of(item.raw_key()) }))?;
        if let Some(admitted) = admitted
            && !admitted?
        {
            self.nearest.was_met();
        }
        self.listed += 1;
        if !self.walk.has_long_unread {
            let long_unread = self.shared.long_unread.load(Relaxed);
            self.walk.has_long_unread = item.last_access().is_some_and(|time| time < long_unread);
        }
        if in_scope {
            self.matched += 1;
            self.bytes += item.size();
            self.note(item);
        } else {
            if let Some(sample) = &mut self.sample {
                let watermark = Some(self.shared.watermark.load(Relaxed)).filter(|mark| *mark > 0);
                sample.note(item.raw_key(), item.cas(), watermark);
            }
            if self.walk.matched + self.matched == 0 && self.nearest.is_looking() {
                item.decode_key(self.shared.server, &mut self.key)?;
                self.nearest.look_at(&self.key);
            }
        }
        // The second limit keeps a count on a screen moving while few keys are in scope.
        let due = self.batch.is_full() || self.listed >= 65_536;
        if due { self.hand_on() } else { Ok(()) }
    }
}
