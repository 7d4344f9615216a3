//! Operations on servers that speak only the binary protocol (`-S`, `-B binary`), which lists no keys.

use super::retry::Retries;
use super::{Context, figure};
use crate::address::ServerAddr;
use crate::binary_client::BinaryClient;
use crate::error::{Error, FailureKind, Problem};
use crate::protocol::Key;
use crate::protocol::admin::ServerVersion;
use crate::protocol::stats::{Stat, StatsGroup};

/// A flush by the binary protocol that the server confirmed, and what the server reported before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BinaryFlushed {
    /// The number of items that the server held; none if it does not report that.
    pub items_before: Option<u64>,
    /// The server's version, which determines what its flush leaves; none if the server does not report it.
    pub version: Option<ServerVersion>,
    /// Whether items have a CAS.
    pub has_cas: bool,
}

/// Flushes a whole server, after a delay in seconds or now (0).
///
/// # Errors
/// The server could not be reached, or refused, or the connection was lost after the flush was sent: then the flush may
/// have taken effect, and the error says so.
pub(super) async fn flush(server: &ServerAddr, delay: u32, context: &Context) -> Result<BinaryFlushed, Error> {
    let mut retries = Retries::new(context);
    let mut sent = false;
    loop {
        let attempt = async {
            let mut client = connect(server, context).await?;
            let flushed = match before(&mut client).await {
                Ok(flushed) => flushed,
                // A server that is not memcached may know no statistics; the flush itself still has to be tried.
                Err(error) if matches!(error.kind(), FailureKind::Timeout | FailureKind::Auth) => return Err(error),
                Err(_) => {
                    client = connect(server, context).await?;
                    BinaryFlushed { items_before: None, version: None, has_cas: false }
                }
            };
            sent = true;
            client.flush_all(delay).await?;
            Ok(flushed)
        };
        let error = match context.stop.run_until_cancelled(attempt).await {
            Some(Ok(flushed)) => return Ok(flushed),
            Some(Err(error)) => error,
            None => return Err(context.stopped(server, sent)),
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

/// Stores an item for a minute.
///
/// # Errors
/// The server could not be reached or refused, or the operation was stopped.
pub(super) async fn store(server: &ServerAddr, key: &Key, context: &Context) -> Result<(), Error> {
    let store = || async { connect(server, context).await?.store(key.clone(), 60).await };
    Retries::new(context).until_done(server, store).await
}

/// Whether an item is there.
///
/// # Errors
/// As [`store`].
pub(super) async fn has(server: &ServerAddr, key: &Key, context: &Context) -> Result<bool, Error> {
    let is_there = || async { connect(server, context).await?.has(key.clone()).await };
    Retries::new(context).until_done(server, is_there).await
}

/// As [`stats`](super::stats::stats).
///
/// # Errors
/// The server could not be reached or refused, or the operation was stopped.
pub(super) async fn stats(
    server: &ServerAddr,
    groups: &[StatsGroup],
    context: &Context,
) -> Result<Vec<Vec<Stat>>, Error> {
    let ask = || async {
        let mut client = connect(server, context).await?;
        let mut answers = Vec::new();
        for group in groups {
            answers.push(client.stats(group.clone()).await?);
        }
        Ok(answers)
    };
    Retries::new(context).until_done(server, ask).await
}

/// What the server reports before a flush.
async fn before(client: &mut BinaryClient) -> Result<BinaryFlushed, Error> {
    let general = client.stats(StatsGroup::General).await?;
    let settings = client.stats(StatsGroup::Settings).await?;
    Ok(BinaryFlushed {
        items_before: figure::number(&general, "curr_items"),
        version: Some(client.version().await?),
        has_cas: figure::text(&settings, "cas_enabled") == Some("yes"),
    })
}

async fn connect(server: &ServerAddr, context: &Context) -> Result<BinaryClient, Error> {
    BinaryClient::connect(server, &context.resolver, &context.access, context.patience.timeout).await
}
