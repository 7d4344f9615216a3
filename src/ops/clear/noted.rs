//! Waiting until the server has noted the reads of other clients.
//!
//! A read of an item in a COLD list is noted later, by the LRU maintainer, which sets the item's time to that moment and moves
//! the item to the WARM list. Until then a dump of the LRU lists does not show the item; and where a flush that compares times
//! has taken the item, the note makes it readable again.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::error::{Error, Problem};
use crate::ops::Event;

/// Between two questions to the server, the first time, and at most.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// What a turn of the maintainer takes at most on a server at rest.
const TURN: Duration = Duration::from_secs(1);

/// The notes may be in two parts, of which a turn takes one; the next turn follows at once where there was any. This long
/// after it has begun, it has taken the other.
const SECOND_PART: Duration = Duration::from_millis(200);

/// A wait that a user is told of.
const LONG: Duration = Duration::from_millis(100);

/// A maintainer that has not made two turns by then does not run.
const LONGEST: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// Waits until the server has noted what was read before its LRU maintainer's turn of that number, none for now; gives the
    /// number of the turn that it is at then.
    pub(super) async fn wait_for_notes(&mut self, since: Option<u64>, why: &'static str) -> Result<Option<u64>, Error> {
        let began = Instant::now();
        let (mut first, mut second_turn, mut is_told, mut pause) = (since, None, false, PAUSE);
        loop {
            // Without a maintainer each read is noted at once.
            let Some(now) = self.activity().await?.and_then(|activity| activity.turns) else { return Ok(None) };
            let first = *first.get_or_insert(now);
            // A restarted server holds nothing old.
            let Some(turns) = now.checked_sub(first) else { return Ok(Some(now)) };
            // The turn that was under way at the first question, one from its begin to its end, and another one.
            let are_both_parts_taken =
                turns == 2 && second_turn.get_or_insert_with(Instant::now).elapsed() >= SECOND_PART;
            if turns >= 3 || are_both_parts_taken {
                return Ok(Some(now));
            }
            if began.elapsed() > LONGEST {
                let what = "the server's LRU maintainer does not run, so its reads are not noted";
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
