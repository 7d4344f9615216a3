//! Deletes the keys that a caller names, without a listing.

use std::io;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::batch::{Batch, BatchBuilder, BatchFormat};
use super::deleter::Deleter;
use super::{ClearOptions, ClearProof, Shared};
use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::backlog::Batches;
use crate::ops::dialect::Dialect;
use crate::ops::listing::{Strategy, Way};
use crate::ops::retry::Retries;
use crate::ops::{Context, Event};
use crate::protocol::KEY_MAX;
use crate::scope::Scope;

/// How many batches are read ahead of the deletes.
const AHEAD: usize = 4;

/// The result of [`delete`].
#[derive(Debug)]
pub struct Deleted {
    /// Keys that the caller named, as far as they were read.
    pub named: u64,
    /// Keys that were deleted, confirmed by the server.
    pub deleted: u64,
    /// Keys that were not there. If a lost connection made mcflush send a delete again, a key that the first one
    /// deleted may be counted here.
    pub missing: u64,
    /// Keys that no command can name on this server: they may still be there.
    pub unreachable: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it is not complete.
    pub error: Option<Error>,
}

/// Deletes these keys (each of 1 to 250 bytes, of any value), and waits until the server has confirmed each delete. The
/// keys are read on a separate thread as they are needed, so memory holds only some of them. A key that is not there is
/// no failure; a key that no command can name is one.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use mcflush::ops::{Context, clear::delete};
/// let keys = ["shop:1", "shop:2"].map(|key| Ok(Bytes::from(key)));
/// let deleted = delete(&"cache1".parse()?, keys.into_iter(), None, &Context::default()).await;
/// println!("{} of {} were there", deleted.deleted, deleted.named);
/// # Ok(())
/// # }
/// ```
pub async fn delete(
    server: &ServerAddr,
    keys: impl Iterator<Item = io::Result<Bytes>> + Send + 'static,
    rate: Option<NonZeroU32>,
    context: &Context,
) -> Deleted {
    let began = Instant::now();
    context.events.tell(Event::Started);
    let ask = || async { Dialect::learn(&mut context.connect(server).await?).await };
    let (scope, options) = (Scope::everything(), ClearOptions { rate, ..ClearOptions::default() });
    let deleted = match Retries::new(context).until_done(server, ask).await {
        Ok((_, dialect)) => {
            // The named keys take the place of a walk.
            let way = Way { strategy: Strategy::Hash, dialect };
            let shared = Shared::new(server, &scope, &options, context, way);
            let (sender, batches) = channel(AHEAD);
            tokio::task::spawn_blocking(move || read(keys, &sender));
            let deletes = Box::pin(Deleter::new(&shared).run(Reader { batches, shared: &shared })).await;
            let result = deletes.and_then(|()| shared.check_reachable(ClearProof::Walk));
            Deleted {
                named: shared.tally.count_matched(),
                deleted: shared.tally.count_deleted(),
                missing: shared.not_found.load(Relaxed),
                unreachable: shared.tally.count_out_of_reach(),
                took: began.elapsed(),
                error: result.err(),
            }
        }
        Err(error) => {
            Deleted { named: 0, deleted: 0, missing: 0, unreachable: 0, took: began.elapsed(), error: Some(error) }
        }
    };
    context.events.tell(Event::Done { complete: deleted.error.is_none() });
    deleted
}

/// Some keys, and how many.
type Portion = io::Result<(u64, Batch)>;

/// Reads until the end, the first error, or until the receiver is gone.
fn read(keys: impl Iterator<Item = io::Result<Bytes>>, batches: &Sender<Portion>) {
    let (mut batch, mut count) = (BatchBuilder::new(BatchFormat::Keys), 0);
    for key in keys {
        match key {
            Ok(key) if (1..=KEY_MAX).contains(&key.len()) => {
                batch.put(&key);
                count += 1;
            }
            Ok(key) => {
                let error = io::Error::other(format!("a key has 1 to {KEY_MAX} bytes, but this one has {}", key.len()));
                _ = batches.blocking_send(Err(error));
                return;
            }
            Err(error) => {
                _ = batches.blocking_send(Err(error));
                return;
            }
        }
        if batch.is_full()
            && let Some(batch) = batch.finish()
            && batches.blocking_send(Ok((std::mem::take(&mut count), batch))).is_err()
        {
            return;
        }
    }
    if let Some(batch) = batch.finish() {
        _ = batches.blocking_send(Ok((count, batch)));
    }
}

/// The keys as the deletes take them.
struct Reader<'a> {
    batches: Receiver<Portion>,
    shared: &'a Shared<'a>,
}

impl Batches for Reader<'_> {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(batch) = self.batches.recv().await else { return Ok(None) };
        let (keys, batch) = batch?;
        self.shared.tally.matched(keys, 0);
        self.shared.context.events.tell(Event::Listed { keys, in_scope: keys });
        Ok(Some(batch.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{address, server, text, told};

    fn answer(line: &str) -> crate::ops::scripted::Say {
        match line {
            "version" => text("VERSION 1.6.38\r\n"),
            "mn" => text("MN\r\n"),
            "md shop:2 q" => text("NF\r\n"),
            line if line.starts_with("md ") => text(""),
            _ => text("ERROR\r\n"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn named_keys_are_counted_and_told() {
        let (mut context, _) = server(answer);
        let told = told(&mut context);
        let longest = "x".repeat(KEY_MAX);
        let keys = ["shop:1", "shop:2", "y", &longest].map(|key| Ok(Bytes::copy_from_slice(key.as_bytes())));
        let found = delete(&address(), keys.into_iter(), None, &context).await;
        let counts = (found.named, found.deleted, found.missing, found.unreachable);
        assert!(counts == (4, 3, 1, 0) && found.error.is_none(), "{found:?}");
        assert_eq!(*told.lock().unwrap(), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_refuses_an_empty_or_too_long_key_and_sends_nothing() {
        for length in [0, KEY_MAX + 1] {
            let (context, heard) = server(answer);
            let found = delete(&address(), [Ok(Bytes::from("x".repeat(length)))].into_iter(), None, &context).await;
            let error = found.error.expect("no command can name it").to_string();
            assert!(error.contains(&format!("has 1 to 250 bytes, but this one has {length}")), "{error}");
            assert!(!heard.all().iter().any(|line| line.starts_with("md ")), "{:?}", heard.all());
        }
    }
}
