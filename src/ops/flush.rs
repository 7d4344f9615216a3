//! `flush_all`: a whole instance.

use super::Context;
use super::retry::Retries;
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Kind, Problem};
use crate::protocol::admin::FlushAll;
use crate::protocol::stats::StatsGroup;

/// A flush that the server confirmed with `OK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Items the server held before; none when it does not say (a proxy).
    pub items_before: Option<u64>,
}

/// Flushes a whole instance.
///
/// # Errors
/// The server could not be reached, refused, or died with the answer (which is said: the flush may have happened).
pub async fn flush(server: &ServerAddr, context: &Context) -> Result<Flushed, Error> {
    let mut retries = Retries::new(context);
    let mut sent = false;
    loop {
        let error = match context.stop.run_until_cancelled(attempt(server, context, &mut sent)).await {
            Some(Ok(flushed)) => return Ok(flushed),
            Some(Err(error)) => error,
            None => {
                let problem = Problem::Interrupted { flush_sent: sent };
                return Err(Error { server: server.clone(), problem });
            }
        };
        match retries.after(error).await {
            Ok(()) => {}
            Err(Error { problem: Problem::Lost { like_a_proxy, .. }, server }) if sent => {
                return Err(Error { problem: Problem::FlushUnknown { like_a_proxy }, server });
            }
            Err(error) => return Err(error),
        }
    }
}

async fn attempt(server: &ServerAddr, context: &Context, sent: &mut bool) -> Result<Flushed, Error> {
    let timeout = context.patience.timeout;
    let mut client = Client::connect(server, timeout).await?;
    let items_before = match client.stats(StatsGroup::General).await {
        Ok(stats) => stats
            .iter()
            .find(|stat| stat.name == "curr_items")
            .and_then(|stat| std::str::from_utf8(&stat.value).ok()?.parse().ok()),
        // A proxy closes here, and an old or strange server may refuse; the flush itself has to be tried.
        Err(error) if matches!(error.kind(), Kind::Lost | Kind::Server) => {
            client = Client::connect(server, timeout).await?;
            None
        }
        Err(error) => return Err(error),
    };
    *sent = true;
    client.flush_all(FlushAll::default()).await?;
    Ok(Flushed { items_before })
}
