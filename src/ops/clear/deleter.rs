//! Deletes in batches: quiet, pipelined, each batch closed by a fence.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::batch::Batch;
use super::binary::BinaryDeleter;
use crate::client::Client;
use crate::codec::{Answer, Role};
use crate::error::{Error, Problem};
use crate::ops::Event;
use crate::ops::backlog::Drainer;
use crate::ops::retry::Retries;
use crate::protocol::binary::Deletion;
use crate::protocol::item::Delete;
use crate::protocol::meta::{MetaCode, MetaDelete, MetaGet};
use crate::protocol::{ErrorReply, Key, MetaKey, Reply, Request};

/// Batches sent and not confirmed: enough that the server never waits for the next.
const IN_FLIGHT: usize = 4;

/// Deletes what a backlog gives.
#[derive(Debug)]
pub(super) struct Deleter<'a> {
    shared: &'a Shared<'a>,
    /// Whether the watermark is wanted.
    marks: bool,
    dialect: Dialect,
    binary: BinaryDeleter,
    pace: Option<Pace>,
    /// What is left of a batch that the pace allowed only a part of.
    rest: Option<Batch>,
    /// Sent and not confirmed, oldest first: what goes out again when the connection is lost.
    in_flight: VecDeque<Sent>,
    /// The first delete that the server refused.
    refusal: Option<ErrorReply>,
    /// Before the backlog was at its end.
    is_stopped: bool,
}

/// How deletes are said, as the server turns out to understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Unknown,
    /// `md … q`, closed by `mn`.
    Meta,
    /// `delete … noreply`, closed by `version`: servers before 1.6.
    Classic,
}

#[derive(Debug)]
struct Sent {
    batch: Batch,
    deletes: u64,
    missing: u64,
    refused: u64,
}

impl Sent {
    const fn new(batch: Batch) -> Self {
        Self { batch, deletes: 0, missing: 0, refused: 0 }
    }
}

impl<'a> Deleter<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, marks: bool) -> Self {
        Self {
            shared,
            marks,
            dialect: Dialect::Unknown,
            binary: BinaryDeleter::default(),
            pace: shared.options.rate.map(Pace::new),
            rest: None,
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            refusal: None,
            is_stopped: false,
        }
    }

    /// Deletes until the backlog is at its end, or the operation is stopped; what was sent is confirmed either way.
    ///
    /// # Errors
    /// It was stopped, the connection is lost and stays so, or the server refused a delete: something in scope may be left.
    pub(super) async fn run(mut self, mut backlog: Drainer) -> Result<(), Error> {
        let stop = &self.shared.context.stop;
        // Where there is nothing to delete there is nothing to connect for.
        match stop.run_until_cancelled(self.next(&mut backlog)).await {
            Some(Ok(Some(batch))) => self.in_flight.push_back(Sent::new(batch)),
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) => return Ok(()),
            None => return Err(self.interrupted()),
        }
        let mut retries = Retries::new(self.shared.context);
        loop {
            match self.drain(&mut backlog).await {
                Ok(()) => break,
                Err(error) => retries.after(error).await?,
            }
        }
        if self.is_stopped {
            return Err(self.interrupted());
        }
        let command = if self.dialect == Dialect::Classic { "delete" } else { "md" };
        match self.refusal {
            Some(reply) => Err(self.shared.error(Problem::Refusal { command, reply })),
            None => Ok(()),
        }
    }

    fn interrupted(&self) -> Error {
        self.shared.context.stopped(self.shared.server, false)
    }

    /// One connection's worth of it.
    async fn drain(&mut self, backlog: &mut Drainer) -> Result<(), Error> {
        let mut client = self.shared.context.connect(self.shared.server).await?;
        self.learn_dialect(&mut client).await?;
        self.set_watermark(&mut client).await?;
        client.begin("deleting");
        let mut again = std::mem::take(&mut self.in_flight);
        while let Some(sent) = again.pop_front() {
            if let Err(error) = self.send(&mut client, sent.batch).await {
                self.in_flight.append(&mut again);
                return Err(error);
            }
        }
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            let stop = &self.shared.context.stop;
            let room = more && self.in_flight.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                answer = client.next(), if !self.in_flight.is_empty() => self.answered(&client, answer?)?,
                () = stop.cancelled(), if more => {
                    more = false;
                    self.is_stopped = true;
                }
                batch = self.next(backlog), if room => match batch? {
                    Some(batch) => self.send(&mut client, batch).await?,
                    None => more = false,
                },
            }
        }
        Ok(())
    }

    /// The next keys to delete, when it is time for them. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self, backlog: &mut Drainer) -> Result<Option<Batch>, Error> {
        if let Some(pace) = &self.pace {
            sleep_until(pace.next).await;
        }
        let batch = match self.rest.take() {
            Some(batch) => Some(batch),
            None => backlog.next().await.map(|batch| batch.map(Batch::from_bytes)).map_err(|source| {
                self.shared.error(Problem::Local { doing: "reading back the keys to delete", source })
            })?,
        };
        Ok(match (batch, &mut self.pace) {
            (Some(mut batch), Some(pace)) => {
                let (part, keys) = batch.split(pace.portion);
                pace.took(keys);
                self.rest = (!batch.is_empty()).then_some(batch);
                Some(part)
            }
            (batch, _) => batch,
        })
    }

    async fn learn_dialect(&mut self, client: &mut Client) -> Result<(), Error> {
        if self.dialect == Dialect::Unknown {
            self.dialect = if client.speaks_meta().await? { Dialect::Meta } else { Dialect::Classic };
        }
        Ok(())
    }

    /// Gives a key in scope a fresh CAS and takes it as the mark: whatever has one up to it was stored before now.
    /// Nothing is stored by that, and the key is deleted next.
    async fn set_watermark(&self, client: &mut Client) -> Result<(), Error> {
        if !self.marks || self.shared.watermark.load(Relaxed) != 0 || self.dialect != Dialect::Meta {
            return Ok(());
        }
        for key in self.in_flight.iter().flat_map(|sent| sent.batch.keys()) {
            let Ok(key) = MetaKey::for_bytes(key) else { continue };
            let mark = MetaDelete { invalidate: true, ..MetaDelete::new(key.clone()) };
            let found = client.meta(Request::MetaDelete(mark)).await?;
            if found.is_none() {
                continue;
            }
            let get = MetaGet { cas: true, no_bump: true, ..MetaGet::new(key) };
            if let Some(cas) = client.meta(Request::MetaGet(get)).await?.and_then(|flags| flags.cas()) {
                self.shared.watermark.store(cas.into(), Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send(&mut self, client: &mut Client, batch: Batch) -> Result<(), Error> {
        let keys = batch.keys();
        self.in_flight.push_back(Sent::new(batch));
        let mut deletes = 0;
        for key in keys {
            match self.request(&key) {
                Some(request) => {
                    client.feed(request).await?;
                    deletes += 1;
                }
                None => self.delete_by_binary_protocol(&key).await,
            }
        }
        if let Some(sent) = self.in_flight.back_mut() {
            sent.deletes = deletes;
        }
        client.feed(if self.dialect == Dialect::Classic { Request::Version } else { Request::MetaNoop }).await?;
        client.flush().await
    }

    /// None when no text command can name the key.
    fn request(&self, key: &Bytes) -> Option<Request> {
        Some(match self.dialect {
            Dialect::Classic => Request::Delete(Delete { noreply: true, ..Delete::new(Key::new(key.clone()).ok()?) }),
            Dialect::Unknown | Dialect::Meta => {
                let key = MetaKey::for_bytes(key.clone()).ok()?;
                Request::MetaDelete(MetaDelete { quiet: true, ..MetaDelete::new(key) })
            }
        })
    }

    async fn delete_by_binary_protocol(&mut self, key: &Bytes) {
        match self.binary.delete(self.shared.server, self.shared.context, key).await {
            Some(Deletion::Deleted) => self.shared.tally.deleted(1),
            Some(_) => {}
            None => self.shared.tally.out_of_reach(key),
        }
    }

    fn answered(&mut self, client: &Client, answer: Answer) -> Result<(), Error> {
        let Some(sent) = self.in_flight.front_mut() else { return Err(client.refused(answer.reply)) };
        match answer {
            Answer { reply: Reply::Meta(reply), role: Role::Quiet, .. } if reply.code == MetaCode::Nf => {
                sent.missing += 1;
            }
            Answer { reply: Reply::Error(reply), role: Role::Quiet, .. } => {
                sent.refused += 1;
                self.refusal.get_or_insert(reply);
            }
            Answer { reply: Reply::Noop | Reply::Version(_), .. } => {
                let deleted = sent.deletes.saturating_sub(sent.missing + sent.refused);
                self.shared.tally.deleted(deleted);
                self.shared.context.events.tell(Event::Deleted(deleted));
                self.in_flight.pop_front();
            }
            Answer { reply, .. } => return Err(client.refused(reply)),
        }
        Ok(())
    }
}

/// So many keys a second, in even portions.
#[derive(Debug)]
struct Pace {
    rate: NonZeroU32,
    /// Keys at a time.
    portion: usize,
    /// When the next portion may go.
    next: Instant,
}

impl Pace {
    /// Portions a second: even enough for any second to look like the others.
    const PORTIONS: u32 = 50;

    fn new(rate: NonZeroU32) -> Self {
        Self { rate, portion: rate.get().div_ceil(Self::PORTIONS) as usize, next: Instant::now() }
    }

    fn took(&mut self, keys: usize) {
        let time = Duration::from_secs_f64(keys as f64 / f64::from(self.rate.get()));
        // What was not used while there was nothing to delete is gone; a late timer's delay is not.
        self.next = self.next.max(Instant::now().checked_sub(Duration::from_millis(100)).unwrap_or(self.next)) + time;
    }
}
