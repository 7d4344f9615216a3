//! When a server has noted the reads of its clients.
//!
//! The server notes a read of an item in a COLD list later: its LRU maintainer then sets the item's last access to that
//! moment and moves the item to the WARM list. Until then a dump of the LRU lists does not show the item. If a flush
//! that compares times has hidden the item, the note makes it readable again.

use std::time::Duration;

/// If the LRU maintainer has not run three times by then, or the server's clock has not turned, they do not at all.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// The reads that clients made before one moment.
#[derive(Debug)]
pub(super) struct Notes {
    /// The run of the LRU maintainer at that moment; the server counts a run when it begins.
    since: u64,
}

impl Notes {
    pub(super) const fn before(run: u64) -> Self {
        Self { since: run }
    }

    /// Whether the server has noted them all, now that it is in this run.
    pub(super) const fn are_complete(&mut self, run: u64) -> bool {
        if run < self.since {
            // Another client reset the statistics, or the server was restarted: the count begins anew.
            self.since = run;
        }
        // The run under way at that moment may be past its notes. They may be in two parts, and each of the next two runs
        // processes one part at its end; the run after these has to have begun.
        run - self.since >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_whole_runs_note_all_reads() {
        let mut notes = Notes::before(7);
        assert_eq!([7, 8, 9, 10].map(|run| notes.are_complete(run)), [false, false, false, true]);
    }

    #[test]
    fn a_count_that_begins_anew_is_waited_for_anew() {
        let mut notes = Notes::before(1_000);
        assert_eq!([1_001, 0, 2, 3].map(|run| notes.are_complete(run)), [false, false, false, true]);
    }
}
