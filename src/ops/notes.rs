//! When a server has noted the reads of its clients.
//!
//! The server notes a read of an item in a COLD list later: its LRU maintainer then sets the item's last access to that
//! moment and moves the item to the WARM list. Until then a dump of the LRU lists does not show the item. If a flush
//! that compares times has hidden the item, the note makes it readable again.

use std::time::Duration;

use tokio::time::Instant;

/// The notes may be in two parts. One run of the maintainer processes one part, and the next run follows at once if
/// there was any. This long after the second run began, the other part is processed too.
const SECOND_PART: Duration = Duration::from_millis(200);

/// The reads that clients made before one moment.
#[derive(Debug)]
pub(super) struct Notes {
    /// The run of the LRU maintainer at that moment; the server counts the runs.
    since: u64,
    second_run: Option<Instant>,
}

impl Notes {
    pub(super) const fn before(run: u64) -> Self {
        Self { since: run, second_run: None }
    }

    /// Whether the server has noted them all, now that it is in this run.
    pub(super) fn are_complete(&mut self, run: u64) -> bool {
        // A restarted server holds no old items.
        let Some(runs) = run.checked_sub(self.since) else { return true };
        // Three runs: the one under way at that moment, a whole one, and another one.
        runs >= 3 || (runs == 2 && self.second_run.get_or_insert_with(Instant::now).elapsed() >= SECOND_PART)
    }
}
