//! Waiting until a server has noted the reads that came before a flush.
//!
//! A read of an item in a COLD list is noted later, by the LRU maintainer, which sets the item's time to that moment: an item
//! that a flush by time has taken is readable again then. A walk before that does not list it. So the walk has to wait until
//! the maintainer has taken notice of all that was read before the flush.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::{Context, Event};
use crate::protocol::stats::StatsGroup;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What a turn of the maintainer takes at most on a server at rest.
const TURN: Duration = Duration::from_secs(1);

/// The notes may be in two parts, of which a turn takes one; the next turn follows at once where there was any. This long
/// after it has begun, it has taken the other.
const SECOND_PART: Duration = Duration::from_millis(200);

/// A maintainer that has not made two turns by then does not run.
const LONGEST: Duration = Duration::from_secs(30);

const WHY: &str = "reads that the server has not noted yet can bring flushed values back";

pub(super) async fn wait(server: &ServerAddr, context: &Context) -> Result<(), Error> {
    let mut client = context.connect(server).await?;
    // Without a maintainer each read is noted at once.
    let Some(first) = turns(&mut client).await? else { return Ok(()) };
    context.events.tell(Event::Waiting { why: WHY, after: TURN });
    let began = Instant::now();
    let mut second_turn = None;
    loop {
        sleep(LOOK).await;
        match turns(&mut client).await? {
            // The turn that was under way at the first look, one from its begin to its end, and another one.
            Some(now) if now >= first.saturating_add(3) => return Ok(()),
            Some(now) if now == first.saturating_add(2) => {
                if second_turn.get_or_insert_with(Instant::now).elapsed() >= SECOND_PART {
                    return Ok(());
                }
            }
            Some(now) if now >= first => {}
            // It was restarted, and holds nothing old.
            _ => return Ok(()),
        }
        if began.elapsed() > LONGEST {
            let what = "the server's LRU maintainer does not run, so its reads are not noted";
            return Err(client.error(Problem::Incomplete(what.into())));
        }
    }
}

/// How often the LRU maintainer has begun a turn; none where there is none.
async fn turns(client: &mut Client) -> Result<Option<u64>, Error> {
    let stats = client.stats(StatsGroup::General).await?;
    let turns = stats.iter().find(|stat| stat.name() == "lru_maintainer_juggles");
    Ok(turns.and_then(|turns| std::str::from_utf8(turns.value()).ok()?.parse().ok()))
}
