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

/// Batches sent and not confirmed: enough that the server never waits for the next one, even 20 ms away. mcflush reads
/// answers while it writes; without that, sixteen batches of `delete` over a unix socket made server and client wait
/// for each other.
const IN_FLIGHT: usize = 16;

/// Deletes the keys of a backlog.
#[derive(Debug)]
pub(super) struct Deleter<'a> {
    shared: &'a Shared<'a>,
    /// Chosen by the server's version, until the server has shown that it knows them.
    commands: Commands,
    are_commands_known: bool,
    format: BatchFormat,
    /// Whether a watermark is still to be taken.
    marks: bool,
    /// The key that gave the watermark, with its new CAS: its delete may have to be sent again.
    marked: Option<Record>,
    binary: BinaryDeleter,
    pace: Option<Pace>,
    /// The rest of a batch that the pace has split.
    rest: Option<Batch>,
    /// Batches sent and not confirmed, oldest first.
    in_flight: VecDeque<Sent>,
    /// Batches that a lost connection left unconfirmed, oldest first: they are sent again before any new one.
    again: VecDeque<Batch>,
    /// The first delete that the server refused.
    refusal: Option<ErrorReply>,
    /// A key was left: there is no watermark, and no text command can name the key to take one from it.
    left_unmarked: bool,
    /// Why the rest of the backlog cannot be read.
    unreadable: Option<Error>,
    /// The operation was stopped before the backlog was empty.
    is_stopped: bool,
}

/// How a key is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commands {
    /// `md … q`, closed by `mn`.
    Meta,
    /// The same, but only if the item has the CAS that it was listed with.
    MetaCompare,
    /// `delete`, each answered.
    Classic,
    /// `cas` with an empty value that has already expired, each answered: this deletes an item only if it has that CAS.
    ClassicCompare,
    /// `gets`, then `delete`, both answered: used if the age of each key matters and the listing does not give its CAS.
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
    /// How many deletes before the next fence the server has answered: it did not delete those keys.
    excepted: u64,
    deleted: u64,
    /// Keys left because their items were stored after the clear began.
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
            again: VecDeque::new(),
            refusal: None,
            left_unmarked: false,
            unreadable: None,
            is_stopped: false,
        }
    }

    /// Deletes until the backlog gives no more keys or the operation is stopped. In each case it then waits for the
    /// answers to what it sent.
    ///
    /// # Errors
    /// The operation was stopped, the backlog cannot be read, the connection was lost and could not be restored, or the
    /// server refused a delete: keys in scope may be left.
    pub(super) async fn run(mut self, mut backlog: impl Batches) -> Result<(), Error> {
        let Shared { server, context, .. } = *self.shared;
        // Without a key to delete, no connection is needed.
        match context.unless_stopped(server, self.next(&mut backlog)).await? {
            Some(batch) => self.again.push_back(batch),
            None => return Ok(()),
        }
        let mut retries = Retries::new(context);
        loop {
            match self.drain(&mut backlog).await {
                Ok(()) => break,
                // The marked key may have another CAS than the one that it was listed with, so it has to be listed
                // again.
                Err(error) if self.may_have_marked() => return Err(error),
                Err(error) => retries.after(error).await?,
            }
        }
        if self.is_stopped {
            return Err(context.stopped(server, false));
        }
        if let Some(error) = self.unreadable {
            return Err(error);
        }
        match self.refusal {
            Some(reply) => Err(self.shared.error(Problem::Refusal { command: self.commands.name(), reply })),
            None if self.left_unmarked => Err(self.shared.cannot_compare(
                "one key has to show how old the others are, and no text command can name the keys that are left",
            )),
            None => Ok(()),
        }
    }

    /// Whether a comparing mark may have been lost before its answer, while new items are kept: the marked item would
    /// then look new.
    fn may_have_marked(&self) -> bool {
        // With a filter, there is a mark only if new items are kept.
        self.marks && !self.shared.options.filter.is_none()
    }

    /// Deletes over one connection until it fails or the backlog gives no more keys.
    async fn drain(&mut self, backlog: &mut impl Batches) -> Result<(), Error> {
        let Shared { server, context, .. } = *self.shared;
        for sent in self.in_flight.drain(..).rev() {
            self.again.push_front(sent.batch);
        }
        let mut client = context.connect(server).await?;
        context.unless_stopped(server, self.learn(&mut client)).await?;
        client.begin("deleting");
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            let room = more && self.in_flight.len() < IN_FLIGHT && client.has_room();
            tokio::select! {
                biased;
                answer = client.turn(), if !self.in_flight.is_empty() => self.heard(&mut client, answer?)?,
                () = context.stop.cancelled() => {
                    self.confirm(&mut client).await;
                    self.is_stopped = more || !self.in_flight.is_empty();
                    return Ok(());
                }
                batch = self.next(backlog), if room => match batch {
                    Ok(Some(batch)) => context.unless_stopped(server, self.send(&mut client, batch)).await?,
                    Ok(None) => more = false,
                    Err(error) => (more, self.unreadable) = (false, Some(error)),
                },
            }
        }
        Ok(())
    }

    /// Finds out whether the server knows the meta commands of its version. After a lost connection, also checks that
    /// the server was not restarted, because a new one gives out other CAS.
    async fn learn(&mut self, client: &mut Client) -> Result<(), Error> {
        if !self.are_commands_known {
            if !client.speaks_meta().await? {
                let options = self.shared.options;
                if options.marks_by_cas() {
                    let why = "without meta commands, the server does not compare CAS when it marks the item that tells \
                               old from new";
                    return Err(self.shared.cannot_compare(why));
                }
                self.commands = if options.compares() { Commands::ClassicCompare } else { Commands::Classic };
            }
            self.are_commands_known = true;
        }
        if self.shared.options.compares() {
            let stats = client.stats(StatsGroup::General).await?;
            self.shared.check_instance(Activity::of(&stats).map(|activity| activity.instance))?;
        }
        Ok(())
    }

    /// After a stop, waits for the answers to what was sent, for at most one timeout.
    async fn confirm(&mut self, client: &mut Client) {
        let timeout = self.shared.context.patience.timeout;
        let answers = async {
            while !self.in_flight.is_empty() {
                let Ok(answer) = client.turn().await else { return };
                if self.heard(client, answer).is_err() {
                    return;
                }
            }
        };
        // Deletes that are not confirmed by then are not counted.
        let _ = wait::at_most(timeout, answers).await;
    }

    /// The next keys to delete, when the pace allows them. A caller may drop the future while it waits: no key is lost.
    async fn next(&mut self, backlog: &mut impl Batches) -> Result<Option<Batch>, Error> {
        if let Some(batch) = self.again.pop_front() {
            return Ok(Some(batch));
        }
        if let Some(pace) = &self.pace {
            sleep_until(pace.next).await;
        }
        let batch = match self.rest.take() {
            Some(batch) => Some(batch),
            None => {
                let batch = backlog.next().await.map_err(|source| {
                    self.shared.error(Problem::Local { doing: "reading the keys to delete", source })
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
        // Whether or not sending succeeds, the batch is in flight from here on, so that the next connection sends it
        // again.
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
            // The mark gave this key another CAS.
            let record = match &marked {
                Some(marked) if marked.key == record.key => marked.clone(),
                _ => record,
            };
            if keeps_new && record.cas > watermark {
                // Without a watermark, the mark found on the server no key of this batch that a text command can name.
                sent.kept += u64::from(watermark > 0);
                self.left_unmarked |= watermark == 0 && self.request(&record).is_none();
                continue;
            }
            match self.request(&record) {
                Some(request) => {
                    if self.commands == Commands::ClassicLookUp
                        && let Ok(key) = Key::new(record.key)
                    {
                        let gets = Retrieve { with_cas: true, ..Retrieve::new(key) };
                        client.put(&Request::Retrieve(gets))?;
                    }
                    client.put(&request)?;
                    sent.open += 1;
                }
                None => self.delete_by_binary_protocol(&record, sent).await?,
            }
        }
        if self.commands.has_fence() && sent.open > 0 {
            client.put(&Request::MetaNoop)?;
        }
        Ok(())
    }

    /// Takes the watermark from a key of the batch, after all earlier answers have come. Returns that key with its new
    /// CAS.
    async fn mark(&mut self, client: &mut Client, batch: &Batch) -> Result<Option<Record>, Error> {
        while !self.in_flight.is_empty() {
            let answer = client.turn().await?;
            self.heard(client, answer)?;
        }
        let language = if self.commands.has_fence() { Language::Meta } else { Language::Classic };
        let marked = watermark::take(client, self.shared, language, batch).await?;
        client.begin("deleting");
        match &marked {
            // Without CAS, every item counts as old.
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

    /// `None` if no text command can name the key.
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
            Some(Deletion::Refused(_)) | None => self.shared.tally.out_of_reach(&record.key),
        }
        Ok(())
    }

    /// Handles an answer, if one came, and the answers that arrived with it.
    fn heard(&mut self, client: &mut Client, answer: Option<Answer>) -> Result<(), Error> {
        let mut next = answer;
        while let Some(answer) = next {
            self.answered(client, answer)?;
            next = client.next_here()?;
        }
        Ok(())
    }

    fn answered(&mut self, client: &Client, answer: Answer) -> Result<(), Error> {
        let Some(sent) = self.in_flight.front_mut() else { return Err(client.refused(answer.reply)) };
        let Answer { reply, role, .. } = answer;
        match reply {
            // A quiet delete is answered only if it deleted nothing. The fence's answer confirms the others.
            Reply::Meta(reply) => {
                sent.excepted += 1;
                sent.kept += u64::from(reply.code == MetaCode::Ex);
                self.shared.not_found.fetch_add(u64::from(reply.code == MetaCode::Nf), Relaxed);
                return Ok(());
            }
            Reply::Noop => {
                sent.deleted += sent.open.saturating_sub(sent.excepted);
                sent.open = 0;
            }
            // The batches in flight are sent again over a new connection.
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
            // The classic commands are all answered.
            Reply::Value(value) => {
                self.shared.note_age(value.cas().map(u64::from));
                return Ok(());
            }
            Reply::End => return Ok(()),
            reply @ (Reply::Deleted | Reply::Stored | Reply::Exists | Reply::NotFound) => {
                if self.commands == Commands::ClassicCompare {
                    // The server counts each as a store, and counts one whose CAS matched as a hit too.
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

    /// Adds a fully answered batch to the counts.
    fn confirmed(&self, sent: &Sent) {
        self.shared.tally.deleted(sent.deleted);
        self.shared.tally.kept_new(sent.kept);
        self.shared.context.events.tell(Event::Deleted(sent.deleted));
    }
}

/// Limits the deletes to a number of keys a second, sent in even portions.
#[derive(Debug)]
struct Pace {
    rate: NonZeroU32,
    /// Keys in a portion.
    portion: usize,
    /// When the next portion may be sent.
    next: Instant,
}

impl Pace {
    /// Portions a second: every second then looks alike.
    const PORTIONS: u32 = 50;

    fn new(rate: NonZeroU32) -> Self {
        Self { rate, portion: rate.get().div_ceil(Self::PORTIONS) as usize, next: Instant::now() }
    }

    fn took(&mut self, keys: usize) {
        let time = Duration::from_secs_f64(keys as f64 / f64::from(self.rate.get()));
        // Time without anything to delete is not made up for later; the delay of a late timer is.
        self.next = self.next.max(Instant::now().checked_sub(Duration::from_millis(100)).unwrap_or(self.next)) + time;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ops::clear::ClearOptions;
    use crate::ops::clear::binary::tests::{answering, response};
    use crate::ops::dialect::Dialect;
    use crate::ops::listing::{Strategy, Way};
    use crate::ops::scripted::address;
    use crate::protocol::admin::ServerVersion;
    use crate::scope::Scope;

    #[tokio::test(start_paused = true)]
    async fn what_the_binary_protocol_answers_is_counted() {
        let (context, _) = answering(&[0, 1, 2, 2].map(response));
        let (server, scope, options) = (address(), Scope::everything(), ClearOptions::default());
        let dialect = Dialect::of(&ServerVersion::new("1.6.18".to_owned()).unwrap());
        let shared = Shared::new(&server, &scope, &options, &context, Way { strategy: Strategy::Lru, dialect });
        let mut deleter = Deleter::new(&shared);
        let record = Record { key: Bytes::from_static(b"a b"), cas: 7 };
        let mut sent = Sent::new(Batch::from_bytes(BatchFormat::Keys, Bytes::new()));
        for _ in 0..4 {
            deleter.delete_by_binary_protocol(&record, &mut sent).await.unwrap();
        }
        assert_eq!((sent.deleted, shared.not_found.load(Relaxed), sent.kept), (1, 1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_over_many_portions_and_does_not_make_up_for_rests() {
        let mut pace = Pace::new(NonZeroU32::new(200).unwrap());
        let began = Instant::now();
        assert_eq!((pace.portion, pace.next), (4, began));
        for portions in 1..=10 {
            pace.took(4);
            assert_eq!((pace.next - began).as_millis(), portions * 20);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.took(4);
        assert_eq!((Instant::now() - pace.next).as_millis(), 80);
    }
}
