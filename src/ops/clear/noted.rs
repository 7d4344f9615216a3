//! Waiting until the server has noted the reads of other clients.
//!
//! The server notes a read of an item in a COLD list later: its LRU maintainer then sets the item's last access to that
//! moment and moves the item to the WARM list. Until then a dump of the LRU lists does not show the item. If a flush
//! that compares times has hidden the item, the note makes it readable again.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::error::{Error, Problem};
use crate::ops::Event;

/// The first pause between two questions to the server, and the longest.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// The longest run of the LRU maintainer on a server at rest.
const TURN: Duration = Duration::from_secs(1);

/// The notes may be in two parts. One run of the maintainer processes one part, and the next run follows at once if
/// there was any. This long after the second run began, the other part is processed too.
const SECOND_PART: Duration = Duration::from_millis(200);

/// A wait longer than this is reported as an event.
const LONG: Duration = Duration::from_millis(100);

/// If the maintainer has not run twice by then, it does not run at all.
const LONGEST: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// Waits until the server has noted all reads from before the LRU maintainer's run number `since`, or, if that is
    /// none, from before now. Returns the number of the maintainer's current run.
    pub(super) async fn wait_for_notes(&mut self, since: Option<u64>, why: &'static str) -> Result<Option<u64>, Error> {
        let began = Instant::now();
        let (mut first, mut second_turn, mut is_told, mut pause) = (since, None, false, PAUSE);
        loop {
            // Without a maintainer, the server notes each read at once.
            let Some(now) = self.activity().await?.and_then(|activity| activity.turns) else { return Ok(None) };
            let first = *first.get_or_insert(now);
            // A restarted server holds no old items.
            let Some(turns) = now.checked_sub(first) else { return Ok(Some(now)) };
            // Three runs: the one under way at the first question, a whole one, and another one.
            let are_both_parts_taken =
                turns == 2 && second_turn.get_or_insert_with(Instant::now).elapsed() >= SECOND_PART;
            if turns >= 3 || are_both_parts_taken {
                return Ok(Some(now));
            }
            if began.elapsed() > LONGEST {
                let what = "the server's LRU maintainer does not run, so the server notes no reads";
                return Err(self.shared.error(Problem::Incomplete(what.into())));
            }
            if began.elapsed() > LONG && !std::mem::replace(&mut is_told, true) {
                self.shared.context.events.tell(Event::Waiting { why, after: TURN });
            }
            self.shared.context.pause(self.shared.server, pause).await?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
