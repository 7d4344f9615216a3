//! Which strategy fits a server: its version says it once, and trying says the rest.

use super::Strategy;
use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::retry::{Retries, unless_stopped};
use crate::ops::{Context, Event};
use crate::protocol::Escaped;

/// The first version whose hash walk does not hold a lock while it writes to the client.
const SAFE_HASH_WALK: [u32; 3] = [1, 6, 19];

/// The strategy that was asked for, or the best that is safe for the server's other clients.
pub(in crate::ops) async fn choose(
    server: &ServerAddr,
    asked: Option<Strategy>,
    context: &Context,
    retries: &mut Retries<'_>,
) -> Result<Strategy, Error> {
    let version = loop {
        let ask = async { context.connect(server).await?.version().await };
        match unless_stopped(context, server, ask).await {
            Ok(version) => break version,
            Err(error) => retries.after(error).await?,
        }
    };
    // The one place where the version decides: whether others would freeze cannot be found out by trying.
    let is_safe = version.numbers().is_some_and(|numbers| numbers >= SAFE_HASH_WALK);
    let (strategy, why) = match asked {
        Some(strategy) => (strategy, "as asked"),
        None if is_safe => (Strategy::Hash, "from 1.6.19 on one walk of the hash table lists every key"),
        None => (Strategy::Lru, "before 1.6.19 a walk of the hash table can freeze other clients"),
    };
    if strategy == Strategy::Hash && !is_safe {
        context.events.tell(Event::Warning(
            "before 1.6.19 a walk of the hash table can freeze other clients: it was asked for, and no promise to them holds",
        ));
    }
    let why = format!("version {}: {why}", Escaped(version.as_bytes()));
    context.events.tell(Event::Strategy { strategy, why });
    Ok(strategy)
}
