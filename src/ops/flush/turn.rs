//! Waiting until a server's clock of whole seconds has turned.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::Error;
use crate::ops::{Context, Event, figure};
use crate::protocol::stats::StatsGroup;

/// What a turn takes at most.
const TURN: Duration = Duration::from_secs(1);

/// Added to the turns where the server does not tell its time.
const MARGIN: Duration = Duration::from_millis(100);

/// Between two looks at the server's clock.
const LOOK: Duration = Duration::from_millis(100);

/// A clock that has not turned by then does not turn at all.
const LONGEST: Duration = Duration::from_secs(10);

/// What the server's clock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// What was noted late for the second of the flush is of the past.
    TheFlushIsPast,
    /// The server keeps what is stored.
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
                "what was read or stored in the second of the flush may have outlived it: it is made again"
            }
            Self::StoresStay => "what is stored in the second of the flush is flushed too",
        }
    }
}

pub(super) async fn wait(until: Until, server: &ServerAddr, context: &Context) -> Result<(), Error> {
    let longest = TURN * until.turns() + MARGIN;
    context.events.tell(Event::Waiting { why: until.why(), after: longest });
    let began = Instant::now();
    // A proxy closes here, and a service may answer an error: then the time that the turns take has to do.
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

/// The server's own clock; none when it does not say.
async fn time(client: &mut Client) -> Option<u64> {
    let stats = client.stats(StatsGroup::General).await.ok()?;
    figure::number(&stats, "time")
}
