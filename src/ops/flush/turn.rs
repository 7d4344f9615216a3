//! Waiting until a server's clock of whole seconds has turned twice.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::Error;
use crate::ops::{Context, Event};
use crate::protocol::stats::StatsGroup;

/// What two turns take at most, where the server does not tell its time.
const TWO_TURNS: Duration = Duration::from_millis(2100);

/// Between two looks at the server's clock.
const LOOK: Duration = Duration::from_millis(100);

/// A clock that has not turned twice by then does not turn at all.
const LONGEST: Duration = Duration::from_secs(10);

const WHY: &str = "what was read or stored in the second of the flush may have outlived it: it is made again";

pub(super) async fn wait(server: &ServerAddr, context: &Context) -> Result<(), Error> {
    context.events.tell(Event::Waiting { why: WHY, after: TWO_TURNS });
    let began = Instant::now();
    // A proxy closes here, and a service may answer an error: then the time that two turns take has to do.
    if let Ok(mut client) = context.connect(server).await
        && let Some(first) = time(&mut client).await
    {
        while began.elapsed() < LONGEST {
            sleep(LOOK).await;
            match time(&mut client).await {
                Some(now) if now < first.saturating_add(2) => {}
                Some(_) => return Ok(()),
                None => break,
            }
        }
    }
    sleep(TWO_TURNS.saturating_sub(began.elapsed())).await;
    Ok(())
}

/// The server's own clock; none when it does not say.
async fn time(client: &mut Client) -> Option<u64> {
    let stats = client.stats(StatsGroup::General).await.ok()?;
    let time = stats.iter().find(|stat| stat.name() == "time")?;
    std::str::from_utf8(time.value()).ok()?.parse().ok()
}
