//! Waits until a server's clock of whole seconds has turned, and until it has noted the reads from before.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::notes::{LONGEST, Notes};
use crate::ops::{Context, Event, figure};
use crate::protocol::stats::StatsGroup;

/// The longest that one turn takes.
const TURN: Duration = Duration::from_secs(1);

/// Added to the turns if the server does not report its time.
const MARGIN: Duration = Duration::from_millis(100);

/// The time between two looks at the server's clock.
const LOOK: Duration = Duration::from_millis(100);

/// What mcflush waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The server has noted all reads from before the flush, and its second is in the past.
    TheFlushIsPast,
    /// The server keeps items that are stored from then on.
    StoresStay,
}

impl Until {
    const fn turns(self) -> u32 {
        match self {
            Self::TheFlushIsPast => 2,
            Self::StoresStay => 1,
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::TheFlushIsPast => {
                "items read or stored in the second of the flush may have outlived it: it is sent again"
            }
            Self::StoresStay => "the flush also takes items stored later in the same second",
        }
    }
}

/// # Errors
/// The server's LRU maintainer does not run.
pub(super) async fn wait(until: Until, server: &ServerAddr, context: &Context) -> Result<(), Error> {
    let longest = TURN * until.turns() + MARGIN;
    context.events.tell(Event::Waiting { why: until.why(), after: longest });
    let began = Instant::now();
    // A proxy closes the connection here, and a service may answer an error: then mcflush waits the whole time.
    if let Ok(mut client) = context.connect(server).await
        && let Some(first) = look(&mut client).await
    {
        let mut notes = first.run.filter(|_| until == Until::TheFlushIsPast).map(Notes::before);
        while began.elapsed() < LONGEST {
            sleep(LOOK).await;
            let Some(now) = look(&mut client).await else {
                if let Ok(again) = context.connect(server).await {
                    client = again;
                }
                continue;
            };
            let are_noted = notes.as_mut().zip(now.run).is_none_or(|(notes, run)| notes.are_complete(run));
            if are_noted && now.time >= first.time.saturating_add(until.turns().into()) {
                return Ok(());
            }
        }
        if notes.is_some() {
            let what = "the server's LRU maintainer does not run, and a read that it notes later can bring a flushed item back";
            return Err(Error { server: server.clone(), problem: Problem::Incomplete(what.into()) });
        }
    }
    sleep(longest.saturating_sub(began.elapsed())).await;
    Ok(())
}

/// What a server reports of its progress.
struct Look {
    /// Its clock.
    time: u64,
    /// The run of its LRU maintainer; none if it has none, and notes each read at once.
    run: Option<u64>,
}

/// None if the server does not report its time.
async fn look(client: &mut Client) -> Option<Look> {
    let stats = client.stats(StatsGroup::General).await.ok()?;
    Some(Look { time: figure::number(&stats, "time")?, run: figure::number(&stats, "lru_maintainer_juggles") })
}
