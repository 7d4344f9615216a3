//! `flush_all`: a whole instance.

use std::time::Duration;

use super::retry::{Retries, random};
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Kind, Problem};
use crate::protocol::admin::FlushAll;
use crate::protocol::meta::{MetaGet, MetaSet};
use crate::protocol::stats::StatsGroup;
use crate::protocol::{Exptime, MetaKey, Request};

/// How to flush.
///
/// ```
/// use mcflush::ops::flush::Options;
/// assert_eq!(Options { delay: 30, ..Options::default() }.verify, false);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Store an item before, and see that it is gone after; and flush once more some time later, for what the first one
    /// may have missed.
    ///
    /// Seen on 1.6.38 and 1.6.45, not on 1.6.18: of keys that were read in a burst right before `flush_all`, thousands could
    /// still be read after its `OK`, for as long as they lived. The server notes a read up to a second later, and what it
    /// notes behind the flush counts as newer than that.
    pub verify: bool,
    /// Seconds after which the server flushes, thirty days at most; 0 for now. A flush that was still to come is replaced.
    pub delay: u32,
}

/// Between two flushes. A read is noted up to a second later, with the server's clock of whole seconds as its time, and a
/// flush takes what is of the second before it or older.
const PAUSE: Duration = Duration::from_millis(2100);

/// A flush that the server confirmed with `OK`.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, flush::{Options, flush}};
/// let flushed = flush(&"cache1".parse()?, &Options::default(), &Context::default()).await?;
/// println!("it held {:?}", flushed.items_before);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Items the server held before; none when it does not say (a proxy).
    pub items_before: Option<u64>,
    /// Seconds after which it flushes; 0 when it has.
    pub delay: u32,
}

/// Flushes a whole instance.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, flush::{Options, flush}};
/// let flushed = flush(&"cache1".parse()?, &Options::default(), &Context::default()).await?;
/// assert_eq!(flushed.delay, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, refused, or died with the answer (which is said: the flush may have happened).
pub async fn flush(server: &ServerAddr, options: &Options, context: &Context) -> Result<Flushed, Error> {
    let mut retries = Retries::new(context);
    let mut sent = false;
    loop {
        let error = match context.stop.run_until_cancelled(attempt(server, options, context, &mut sent)).await {
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

async fn attempt(server: &ServerAddr, options: &Options, context: &Context, sent: &mut bool) -> Result<Flushed, Error> {
    let mut client = context.connect(server).await?;
    let items_before = match client.stats(StatsGroup::General).await {
        Ok(stats) => stats
            .iter()
            .find(|stat| stat.name() == "curr_items")
            .and_then(|stat| std::str::from_utf8(stat.value()).ok()?.parse().ok()),
        // A proxy closes here, and an old or strange server may answer anything; the flush itself has to be tried. Only
        // silence is believed, to wait through it twice would tell nothing new, and that user and password are wanted.
        Err(error) if !matches!(error.kind(), Kind::Timeout | Kind::Auth) => {
            client = context.connect(server).await?;
            None
        }
        Err(error) => return Err(error),
    };
    let probe = if options.verify { Some(store_probe(&mut client).await?) } else { None };
    *sent = true;
    let delay = (options.delay > 0).then(|| options.delay.into());
    client.flush_all(FlushAll { delay, noreply: false }).await?;
    if options.verify {
        let why = "what was read just now may have outlived the flush: it is made again";
        context.events.tell(Event::Waiting { why, after: PAUSE });
        tokio::time::sleep(PAUSE).await;
        client.flush_all(FlushAll::default()).await?;
    }
    if let Some(probe) = probe
        && client.meta(Request::MetaGet(MetaGet::new(probe))).await?.is_some()
    {
        let what = "an item stored before flush_all is still there after its OK";
        return Err(client.error(Problem::Incomplete(what.into())));
    }
    Ok(Flushed { items_before, delay: options.delay })
}

/// Stores an item that only this process knows, for a minute at most.
async fn store_probe(client: &mut Client) -> Result<MetaKey, Error> {
    let name = format!("mcflush:probe:{:016x}{:016x}", random(), random());
    // Plain hexadecimal behind a plain word: always a key.
    let key = MetaKey::for_bytes(name).map_err(|error| client.error(Problem::Incomplete(error.to_string())))?;
    let mut store = MetaSet::new(key.clone(), "x");
    store.exptime = Some(Exptime::new(60));
    match client.meta(Request::MetaSet(store)).await? {
        Some(_) => Ok(key),
        None => Err(client.error(Problem::Incomplete("the server did not take the item to verify with".into()))),
    }
}
