//! Waiting until the server has noted the reads of other clients.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::error::{Error, Problem};
use crate::ops::Event;
use crate::ops::notes::{LONGEST, Notes};

/// The first pause between two questions to the server, and the longest.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// The longest run of the LRU maintainer on a server at rest.
const TURN: Duration = Duration::from_secs(1);

/// A wait longer than this is reported as an event.
const LONG: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Waits until the server has noted all reads from before the LRU maintainer's run number `since`, or, if that is
    /// none, from before now. Returns the number of the maintainer's current run.
    pub(super) async fn wait_for_notes(&mut self, since: Option<u64>, why: &'static str) -> Result<Option<u64>, Error> {
        let began = Instant::now();
        let (mut notes, mut is_told, mut pause) = (since.map(Notes::before), false, PAUSE);
        loop {
            // Without a maintainer, the server notes each read at once.
            let Some(run) = self.activity().await?.and_then(|activity| activity.turns) else { return Ok(None) };
            if notes.get_or_insert_with(|| Notes::before(run)).are_complete(run) {
                return Ok(Some(run));
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
