//! Waits until a server's clock of whole seconds has turned.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::Error;
use crate::ops::{Context, Event, figure};
use crate::protocol::stats::StatsGroup;

/// The longest that one turn takes.
const TURN: Duration = Duration::from_secs(1);

/// Added to the turns if the server does not report its time.
const MARGIN: Duration = Duration::from_millis(100);

/// The time between two looks at the server's clock.
const LOOK: Duration = Duration::from_millis(100);

/// If the clock has not turned by then, it does not turn at all.
const LONGEST: Duration = Duration::from_secs(10);

/// What mcflush waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Reads of the flush's second that the server notes late are in the past.
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

pub(super) async fn wait(until: Until, server: &ServerAddr, context: &Context) -> Result<(), Error> {
    let longest = TURN * until.turns() + MARGIN;
    context.events.tell(Event::Waiting { why: until.why(), after: longest });
    let began = Instant::now();
    // A proxy closes the connection here, and a service may answer an error: then mcflush waits the whole time.
    if let Ok(mut client) = context.connect(server).await
        && let Some(first) = time(&mut client).await
    {
        while began.elapsed() < LONGEST {
            sleep(LOOK).await;
            match time(&mut client).await {
                Some(now) if now < first.saturating_add(until.turns().into()) => {}
                Some(_) => return Ok(()),
                None => break,
            }
        }
    }
    sleep(longest.saturating_sub(began.elapsed())).await;
    Ok(())
}

/// The server's clock; none if the server does not report it.
async fn time(client: &mut Client) -> Option<u64> {
    let stats = client.stats(StatsGroup::General).await.ok()?;
    figure::number(&stats, "time")
}
