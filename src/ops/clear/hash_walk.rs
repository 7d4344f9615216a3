//! A walk of the hash table, which lists every item that is in the table during the whole walk.
//!
//! One thing hides an item that is there: a `flush_all` that compares times. If the server notes a read of the item
//! after that flush, the item becomes readable again, after the walk has passed it. So a walk counts only if no client
//! flushed right before it or during it. Where mcflush cannot exclude that, it walks once more after the server has
//! noted all reads.

use std::sync::atomic::Ordering::Relaxed;

use super::activity::Activity;
use super::lister::Walk;
use super::{ClearProof, Pass, Run};
use crate::error::{Error, Problem};
use crate::ops::dialect::FlushBy;
use crate::protocol::ErrorReply;
use crate::protocol::stats::StatsGroup;

/// How many walks in a row another client's `flush_all` may spoil.
const WALKS_MAX: u32 = 10;

/// Within how many seconds the server notes a read. Measured: up to two; a busy machine may keep it from that for longer.
const NOTED_WITHIN: u64 = 60;

/// Why mcflush waits before a walk.
const BACK: &str = "reads that the server has not noted yet can bring flushed values back";

impl Run<'_> {
    /// The inner error: the server does not list by a hash walk.
    pub(super) async fn by_hash_walk(&mut self) -> Result<Result<ClearProof, ErrorReply>, Error> {
        let began = self.activity().await?;
        if let Err(reply) = self.walk_past_flushes(began).await? {
            return Ok(Err(reply));
        }
        if self.shared.options.verify
            && let Err(reply) = self.verify_by_walks().await?
        {
            return Ok(Err(reply));
        }
        if self.is_confused_by_moves() && Activity::may_have_moved(began, self.activity().await?) {
            return Err(self.moved());
        }
        Ok(Ok(ClearProof::Walk))
    }

    /// Walks until one walk counts.
    async fn walk_past_flushes(&mut self, began: Option<Activity>) -> Result<Result<(), ErrorReply>, Error> {
        let mut before = began;
        let (mut waits, mut are_elsewhere) = (self.is_behind_own_flush, false);
        for number in 0..WALKS_MAX {
            if waits {
                self.wait_for_notes(None, BACK).await?;
            }
            let time = before.map(|before| before.time).unwrap_or_default();
            self.shared.long_unread.store(time.saturating_sub(NOTED_WITHIN), Relaxed);
            let walk = match self.whole_pass().await? {
                Pass::Whole(walk, _) => walk,
                Pass::Refused(reply) => return Ok(Err(reply)),
            };
            are_elsewhere = self.are_elsewhere(&walk, number == 0);
            if are_elsewhere {
                // What is stored from now on does not count as listed again.
                let _ = self.shared.watermark.compare_exchange(0, walk.highest_cas, Relaxed, Relaxed);
                continue;
            }
            let after = self.activity().await?;
            let flushes = |activity: Option<Activity>| activity.and_then(|activity| activity.flushes);
            let is_unflushed = flushes(before) == flushes(after) && !Activity::are_reset(before, after);
            // After a flush, no item is listed that was last read long ago: if one is listed, there was no flush.
            let was_none_before = waits || walk.has_long_unread || flushes(before) == Some(0);
            // A flush that compares CAS brings nothing back, except while it is delayed.
            if is_unflushed && (was_none_before || !self.flushes_by_time().await?) {
                return Ok(Ok(()));
            }
            (before, waits) = (after, true);
        }
        if are_elsewhere {
            return Err(self.shared.error(Problem::Unproven {
                what: format!(
                    "most keys that each of {WALKS_MAX} walks listed were not there to be deleted, as if several servers \
                     answered at this address"
                ),
                instead: "name each server by an address of its own",
            }));
        }
        Err(self.shared.error(Problem::Unproven {
            what: format!(
                "another client sent flush_all during each of {WALKS_MAX} walks, which hides keys for a moment"
            ),
            instead: "stop the client that flushes this server, and run it again",
        }))
    }

    /// Whether most keys that a walk listed were not there to be deleted. Another client deleted them, or they expired; or the
    /// deletes went to another server than the walk, and each later walk lists them again.
    fn are_elsewhere(&self, walk: &Walk, is_first: bool) -> bool {
        let were_there = walk.matched.saturating_sub(self.shared.not_found.load(Relaxed));
        2 * were_there < walk.matched && (is_first || walk.older > 0)
    }

    /// Whether this server's `flush_all` decides by time which items it hides.
    async fn flushes_by_time(&mut self) -> Result<bool, Error> {
        if self.shared.way.dialect.flush_by() == FlushBy::Time {
            return Ok(true);
        }
        Ok(!self.has_cas().await?)
    }

    async fn verify_by_walks(&mut self) -> Result<Result<(), ErrorReply>, Error> {
        // Without a watermark, the first walk met no key in scope, and no key in scope is older.
        let had_any = self.shared.watermark.load(Relaxed) > 0 || self.shared.tally.count_matched() > 0;
        // Keys that other clients stored before the watermark was taken, behind the first walk, look old to the second
        // walk, which deletes them. A third walk lists none of them.
        for is_last in [false, true] {
            match self.whole_pass().await? {
                Pass::Whole(walk, _) if had_any && walk.older > 0 && is_last => {
                    return Err(self.left("the verifying walk", &walk));
                }
                Pass::Whole(walk, _) if had_any && walk.older > 0 => {}
                Pass::Whole(..) => break,
                Pass::Refused(reply) => return Ok(Err(reply)),
            }
        }
        Ok(Ok(()))
    }

    /// Whether an old item that the server moves to another slab page looks new, and would be left.
    fn is_confused_by_moves(&self) -> bool {
        self.shared.options.compares() && self.shared.way.dialect.moves_renew_cas()
    }

    fn left(&self, which: &str, walk: &Walk) -> Error {
        // Keys that cannot be deleted are listed by every walk.
        if let Err(out_of_reach) = self.shared.check_reachable(ClearProof::Walk) {
            return out_of_reach;
        }
        let Walk { older, examples, .. } = walk;
        let such_as = if examples.is_empty() { String::new() } else { format!(", such as {}", examples.join(" ")) };
        self.shared.error(Problem::Incomplete(format!(
            "{which} still listed {older} keys in scope that may be older than the clear{such_as}; they were deleted"
        )))
    }

    /// Whether items have a CAS, by the server's settings.
    pub(super) async fn has_cas(&mut self) -> Result<bool, Error> {
        let settings = self.ask(StatsGroup::Settings).await?;
        Ok(!settings.iter().any(|stat| stat.name() == "cas_enabled" && stat.value() == "no"))
    }
}
