//! Takes a listing's keys in scope to the backlog.

use super::batch::BatchBuilder;
use super::{Shared, Walk};
use crate::error::{Error, Problem};
use crate::ops::Event;
use crate::ops::backlog::Filler;
use crate::ops::listing::{Listed, Visitor};
use crate::protocol::{Escaped, Excerpt};

/// Keys named in a report of what is left.
const EXAMPLES: usize = 3;

pub(super) struct Lister<'a> {
    shared: &'a Shared<'a>,
    batch: BatchBuilder,
    filler: Filler,
    listed: u64,
    matched: u64,
    bytes: u64,
    walk: &'a mut Walk,
}

impl<'a> Lister<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, filler: Filler, walk: &'a mut Walk) -> Self {
        Self { shared, batch: BatchBuilder::default(), filler, listed: 0, matched: 0, bytes: 0, walk }
    }

    /// Hands on what is gathered; false when there is no room for more.
    fn hand_on(&mut self) -> bool {
        let (listed, matched) = (std::mem::take(&mut self.listed), std::mem::take(&mut self.matched));
        self.shared.tally.listed(listed, matched, std::mem::take(&mut self.bytes));
        self.shared.context.events.tell(Event::Listed { keys: listed, in_scope: matched });
        self.batch.finish().is_none_or(|batch| self.filler.push(batch.into_bytes()))
    }

    /// Hands on the last of it; says why the spool failed, if it did.
    pub(super) fn finish(mut self) -> Option<String> {
        self.hand_on();
        self.filler.trouble()
    }

    fn note(&mut self, item: Listed<'_>) {
        if !self.shared.is_older(item.cas()) {
            return;
        }
        self.walk.older += 1;
        if self.walk.examples.len() < EXAMPLES {
            self.walk.examples.push(Escaped(item.raw_key()).to_string());
        }
    }
}

impl Visitor for Lister<'_> {
    fn visit(&mut self, item: Listed<'_>) -> Result<bool, Error> {
        let in_scope = self
            .batch
            .take(item, self.shared.scope)
            .map_err(|source| self.shared.error(Problem::BadKey { source, excerpt: Excerpt::of(item.raw_key()) }))?;
        self.listed += 1;
        if in_scope {
            self.matched += 1;
            self.bytes += item.size();
            self.walk.matched += 1;
            self.note(item);
        }
        // So often that a count on a screen moves when little is in scope.
        let due = self.batch.is_full() || self.listed >= 65_536;
        Ok(if due { self.hand_on() } else { true })
    }
}
