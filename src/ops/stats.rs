//! What a server says of itself.

use super::Context;
use super::retry::Retries;
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::Error;
use crate::protocol::stats::{Stat, StatsGroup};

/// Asks for a group of statistics, in the server's order.
///
/// # Errors
/// The server could not be reached or refused, or it was stopped.
pub async fn stats(server: &ServerAddr, group: StatsGroup, context: &Context) -> Result<Vec<Stat>, Error> {
    let mut retries = Retries::new(context);
    loop {
        let attempt = async {
            Client::connect(server, &context.resolver, context.patience.timeout).await?.stats(group.clone()).await
        };
        match context.stop.run_until_cancelled(attempt).await {
            Some(Ok(stats)) => return Ok(stats),
            Some(Err(error)) => retries.after(error).await?,
            None => return Err(context.stopped(server, false)),
        }
    }
}
