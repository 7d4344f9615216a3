//! Deletes in batches, pipelined: quiet meta commands closed by a fence, or classic commands with their answers.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::activity::Activity;
use super::batch::{Batch, BatchFormat, Record};
use super::binary::BinaryDeleter;
use super::watermark;
use crate::client::Client;
use crate::codec::{Answer, Role};
use crate::connection::wait;
use crate::error::{Error, Problem};
use crate::ops::Event;
use crate::ops::backlog::Batches;
use crate::ops::dialect::Language;
use crate::ops::retry::Retries;
use crate::protocol::binary::Deletion;
use crate::protocol::item::Delete;
use crate::protocol::meta::{MetaCode, MetaDelete};
use crate::protocol::retrieval::Retrieve;
use crate::protocol::stats::StatsGroup;
use crate::protocol::storage::{Store, StoreVerb};
use crate::protocol::{Cas, ErrorReply, Exptime, Key, Meaning, MetaKey, Reply, Request};

/// Batches sent and not confirmed: enough that the server never waits for the next. Answers are not read while a batch is
/// written, so the requests in flight have to fit into the sockets' buffers: with sixteen batches of `delete` over a unix
/// socket, server and client each waited for the other to read.
const IN_FLIGHT: usize = 4;

/// Deletes what a backlog gives.
#[derive(Debug)]
pub(super) struct Deleter<'a> {
    shared: &'a Shared<'a>,
    /// By the server's version, until the server has shown that it knows them.
    commands: Commands,
    are_commands_known: bool,
    format: BatchFormat,
    /// Whether a watermark is wanted where there is none yet.
    marks: bool,
    /// The key that gave the watermark, with the CAS that the mark gave it: its delete may have to go out again.
    marked: Option<Record>,
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

/// How a key is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commands {
    /// `md … q`, closed by `mn`.
    Meta,
    /// The same, only where the item has the CAS that it was listed with.
    MetaCompare,
    /// `delete`, answered.
    Classic,
    /// `cas` of an empty value that has expired already, answered: a delete of an item with that CAS.
    ClassicCompare,
    /// `gets`, then `delete`, both answered: where the listing does not say a key's CAS, and it matters.
    ClassicLookUp,
}

impl Commands {
    const fn has_fence(self) -> bool {
        matches!(self, Self::Meta | Self::MetaCompare)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Meta | Self::MetaCompare => "md",
            Self::Classic | Self::ClassicLookUp => "delete",
            Self::ClassicCompare => "cas",
        }
    }
}

#[derive(Debug)]
struct Sent {
    batch: Batch,
    /// Deletes that are not confirmed yet.
    open: u64,
    /// Those of them, behind a fence, that the server has said something of: it did not delete them.
    excepted: u64,
    deleted: u64,
    /// Left, because they were stored after the clear began.
    kept: u64,
}

impl Sent {
    const fn new(batch: Batch) -> Self {
        Self { batch, open: 0, excepted: 0, deleted: 0, kept: 0 }
    }
}

impl<'a> Deleter<'a> {
    pub(super) fn new(shared: &'a Shared<'a>) -> Self {
        let compares = shared.options.compares();
        let commands = match (shared.way.dialect.language(), compares) {
            _ if shared.looks_up_age() => Commands::ClassicLookUp,
            (Language::Meta, false) => Commands::Meta,
            (_, true) if shared.way.dialect.meta_compares() => Commands::MetaCompare,
            (_, true) => Commands::ClassicCompare,
            (Language::Classic, false) => Commands::Classic,
        };
        Self {
            shared,
            commands,
            are_commands_known: !commands.has_fence(),
            format: shared.format(),
            marks: shared.wants_watermark(),
            marked: None,
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
    pub(super) async fn run(mut self, mut backlog: impl Batches) -> Result<(), Error> {
        let Shared { server, context, .. } = *self.shared;
        // Where there is nothing to delete there is nothing to connect for.
        match context.unless_stopped(server, self.next(&mut backlog)).await? {
            Some(batch) => self.in_flight.push_back(Sent::new(batch)),
            None => return Ok(()),
        }
        let mut retries = Retries::new(context);
        loop {
            match self.drain(&mut backlog).await {
                Ok(()) => break,
                // The key that was marked may have another CAS than it was listed with: it has to be listed again.
                Err(error) if self.may_have_marked() => return Err(error),
                Err(error) => retries.after(error).await?,
            }
        }
        if self.is_stopped {
            return Err(context.stopped(server, false));
        }
        match self.refusal {
            Some(reply) => Err(self.shared.error(Problem::Refusal { command: self.commands.name(), reply })),
            None => Ok(()),
        }
    }

    /// Whether the connection may have been lost between a mark that compares and its answer, where new items are kept: then
    /// the marked item would look new.
    fn may_have_marked(&self) -> bool {
        let options = self.shared.options;
        self.marks && options.keep_new && !options.filter.is_none() && self.shared.wants_watermark()
    }

    /// One connection's worth of it.
    async fn drain(&mut self, backlog: &mut impl Batches) -> Result<(), Error> {
        let Shared { server, context, .. } = *self.shared;
        let mut client = context.connect(server).await?;
        context.unless_stopped(server, self.learn(&mut client)).await?;
        client.begin("deleting");
        let mut again = std::mem::take(&mut self.in_flight);
        while let Some(sent) = again.pop_front() {
            let result = context.unless_stopped(server, self.send(&mut client, sent.batch)).await;
            if let Err(error) = result {
                self.in_flight.append(&mut again);
                return Err(error);
            }
        }
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            let room = more && self.in_flight.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                answer = client.next(), if !self.in_flight.is_empty() => self.answered(&client, answer?)?,
                () = context.stop.cancelled() => {
                    self.confirm(&mut client).await;
                    self.is_stopped = more || !self.in_flight.is_empty();
                    return Ok(());
                }
                batch = self.next(backlog), if room => match batch? {
                    Some(batch) => context.unless_stopped(server, self.send(&mut client, batch)).await?,
                    None => more = false,
                },
            }
        }
        Ok(())
    }

    /// Finds out whether the server knows the meta commands of its version; and after a lost connection whether it is still
    /// the one whose items have the CAS that they were listed with.
    async fn learn(&mut self, client: &mut Client) -> Result<(), Error> {
        if !self.are_commands_known {
            if !client.speaks_meta().await? {
                let compares = self.shared.options.compares();
                self.commands = if compares { Commands::ClassicCompare } else { Commands::Classic };
            }
            self.are_commands_known = true;
        }
        if self.shared.options.compares() {
            let stats = client.stats(StatsGroup::General).await?;
            self.shared.check_instance(Activity::of(&stats).map(|activity| activity.instance))?;
        }
        Ok(())
    }

    /// After the operation was stopped: what was sent is confirmed, as far as the server does it within one timeout.
    async fn confirm(&mut self, client: &mut Client) {
        let timeout = self.shared.context.patience.timeout;
        let answers = async {
            while !self.in_flight.is_empty() {
                let Ok(answer) = client.next().await else { return };
                if self.answered(client, answer).is_err() {
                    return;
                }
            }
        };
        // What is not confirmed by then is not counted.
        let _ = wait::at_most(timeout, answers).await;
    }

    /// The next keys to delete, when it is time for them. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self, backlog: &mut impl Batches) -> Result<Option<Batch>, Error> {
        if let Some(pace) = &self.pace {
            sleep_until(pace.next).await;
        }
        let batch = match self.rest.take() {
            Some(batch) => Some(batch),
            None => {
                let batch = backlog.next().await.map_err(|cause| {
                    self.shared.error(Problem::Local { doing: "reading the keys to delete", cause })
                })?;
                batch.map(|records| Batch::from_bytes(self.format, records))
            }
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

    async fn send(&mut self, client: &mut Client, batch: Batch) -> Result<(), Error> {
        let records = batch.records();
        let mut sent = Sent::new(batch);
        // From here on the batch is in flight, whatever happens: it goes out again on the next connection.
        let marked = if self.marks { self.mark(client, &sent.batch).await } else { Ok(None) };
        match marked {
            Ok(Some(marked)) => self.marked = Some(marked),
            Ok(None) => {}
            Err(error) => {
                self.in_flight.push_back(sent);
                return Err(error);
            }
        }
        let marked = self.marked.clone();
        let result = self.feed(client, records, marked, &mut sent).await;
        let is_open = sent.open > 0 || result.is_err();
        if is_open {
            self.in_flight.push_back(sent);
        } else {
            self.confirmed(&sent);
        }
        result
    }

    async fn feed(
        &mut self,
        client: &mut Client,
        records: impl Iterator<Item = Record>,
        marked: Option<Record>,
        sent: &mut Sent,
    ) -> Result<(), Error> {
        let watermark = self.shared.watermark.load(Relaxed);
        let keeps_new = self.shared.options.keep_new;
        for record in records {
            // The mark gave it another CAS.
            let record = match &marked {
                Some(marked) if marked.key == record.key => marked.clone(),
                _ => record,
            };
            if keeps_new && record.cas > watermark {
                // Without a watermark no key of this batch is there any more.
                sent.kept += u64::from(watermark > 0);
                continue;
            }
            match self.request(&record) {
                Some(request) => {
                    if self.commands == Commands::ClassicLookUp
                        && let Ok(key) = Key::new(record.key)
                    {
                        let gets = Retrieve { with_cas: true, ..Retrieve::new(key) };
                        client.feed(Request::Retrieve(gets)).await?;
                    }
                    client.feed(request).await?;
                    sent.open += 1;
                }
                None => self.delete_by_binary_protocol(&record, sent).await?,
            }
        }
        if self.commands.has_fence() && sent.open > 0 {
            client.feed(Request::MetaNoop).await?;
        }
        client.flush().await
    }

    /// Takes the watermark from a key of the batch, when everything before is answered; gives that key with its new CAS.
    async fn mark(&mut self, client: &mut Client, batch: &Batch) -> Result<Option<Record>, Error> {
        while !self.in_flight.is_empty() {
            let answer = client.next().await?;
            self.answered(client, answer)?;
        }
        let language = if self.commands.has_fence() { Language::Meta } else { Language::Classic };
        let marked = watermark::take(client, self.shared, language, batch).await?;
        client.begin("deleting");
        match &marked {
            // Without CAS every item counts as old.
            Some(Record { cas: 0, .. }) => self.marks = false,
            Some(Record { cas, .. }) => {
                self.shared.watermark.store(*cas, Relaxed);
                self.marks = false;
            }
            None => {}
        }
        match &marked {
            Some(Record { cas: 0, .. }) if self.shared.options.compares() => {
                Err(self.shared.cannot_compare("the server keeps no CAS (-C)"))
            }
            _ => Ok(marked),
        }
    }

    /// None when no text command can name the key.
    fn request(&self, record: &Record) -> Option<Request> {
        let Record { key, cas } = record.clone();
        Some(match self.commands {
            Commands::Meta => {
                Request::MetaDelete(MetaDelete { quiet: true, ..MetaDelete::new(MetaKey::for_bytes(key).ok()?) })
            }
            Commands::MetaCompare => {
                let delete = MetaDelete::new(MetaKey::for_bytes(key).ok()?);
                Request::MetaDelete(MetaDelete { quiet: true, cas: Some(Cas(cas)), ..delete })
            }
            Commands::Classic | Commands::ClassicLookUp => Request::Delete(Delete::new(Key::new(key).ok()?)),
            Commands::ClassicCompare => {
                let store = Store::new(StoreVerb::Cas(Cas(cas)), Key::new(key).ok()?, "");
                Request::Store(Store { exptime: Exptime::new(-1), ..store })
            }
        })
    }

    async fn delete_by_binary_protocol(&mut self, record: &Record, sent: &mut Sent) -> Result<(), Error> {
        let Shared { server, context, .. } = *self.shared;
        match self.binary.delete(server, context, &record.key, record.cas).await? {
            Some(Deletion::Deleted) => sent.deleted += 1,
            Some(Deletion::Exists) => sent.kept += 1,
            Some(Deletion::NotFound) => {
                self.shared.not_found.fetch_add(1, Relaxed);
            }
            Some(Deletion::Refused(_)) => {}
            None => self.shared.tally.out_of_reach(&record.key),
        }
        Ok(())
    }

    fn answered(&mut self, client: &Client, answer: Answer) -> Result<(), Error> {
        let Some(sent) = self.in_flight.front_mut() else { return Err(client.refused(answer.reply)) };
        let Answer { reply, role, .. } = answer;
        match reply {
            // Quiet ones say what they did not delete, and the fence that the others are deleted.
            Reply::Meta(reply) if role == Role::Quiet && matches!(reply.code, MetaCode::Nf | MetaCode::Ex) => {
                sent.excepted += 1;
                sent.kept += u64::from(reply.code == MetaCode::Ex);
                self.shared.not_found.fetch_add(u64::from(reply.code == MetaCode::Nf), Relaxed);
                return Ok(());
            }
            Reply::Noop => {
                sent.deleted += sent.open.saturating_sub(sent.excepted);
                sent.open = 0;
            }
            // What is in flight is sent again on a fresh connection.
            Reply::Error(reply) if reply.meaning() == Meaning::Transient => {
                return Err(client.refused(Reply::Error(reply)));
            }
            Reply::Error(reply) => {
                self.refusal.get_or_insert(reply);
                if role == Role::Quiet {
                    sent.excepted += 1;
                    return Ok(());
                }
                sent.open = sent.open.saturating_sub(1);
            }
            // Each of the others is answered.
            Reply::Value(value) => {
                self.shared.note_age(value.cas().map(u64::from));
                return Ok(());
            }
            Reply::End => return Ok(()),
            reply @ (Reply::Deleted | Reply::Stored | Reply::Exists | Reply::NotFound) => {
                if self.commands == Commands::ClassicCompare {
                    // The server counts each as a store, and one that met its CAS as a hit too.
                    self.shared.own_uses.fetch_add(1 + u64::from(reply == Reply::Stored), Relaxed);
                }
                sent.deleted += u64::from(matches!(reply, Reply::Deleted | Reply::Stored));
                sent.kept += u64::from(reply == Reply::Exists);
                self.shared.not_found.fetch_add(u64::from(reply == Reply::NotFound), Relaxed);
                sent.open = sent.open.saturating_sub(1);
            }
            reply => return Err(client.refused(reply)),
        }
        if sent.open == 0
            && let Some(sent) = self.in_flight.pop_front()
        {
            self.confirmed(&sent);
        }
        Ok(())
    }

    /// Takes a batch into the counts, all of whose answers have come.
    fn confirmed(&self, sent: &Sent) {
        self.shared.tally.deleted(sent.deleted);
        self.shared.tally.kept_new(sent.kept);
        self.shared.context.events.tell(Event::Deleted(sent.deleted));
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
