//! The clearing engine: it deletes every key in scope, and no other.
//!
//! The listing and the deletes run at the same time on separate connections. A backlog between them ensures that the
//! listing never waits.

mod activity;
mod batch;
mod binary;
mod deleter;
mod evidence;
mod hash_walk;
mod lister;
mod named;
mod noted;
mod passes;
mod survey;
mod tally;
#[cfg(test)]
mod tests;
mod watermark;

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub(super) use self::activity::Instance;
use self::batch::BatchFormat;
use self::deleter::Deleter;
use self::evidence::Evidence;
use self::lister::{Lister, Walk};
pub use self::named::{Deleted, delete};
pub use self::survey::{Found, Survey, survey};
use self::tally::Tally;
use super::backlog::backlog;
use super::dialect::Dumps;
pub use super::listing::Uncertainty;
use super::listing::sample::Sample;
use super::listing::{self, Coverage, Filter, Sieve, Strategy, Walked, Way};
use super::nearest::Nearest;
use super::retry::Retries;
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, MORE_ROOM, Problem};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{ErrorReply, Excerpt};
use crate::scope::Scope;
use crate::setters::setters;

/// How often a clear gives up a walk for lack of room, each time after deleting the keys that it holds, before it
/// fails.
const GIVEN_UP_MAX: u32 = 100;

/// Batches that memory holds until the spool has taken them: some 4 MB. A clear without room walks again.
const WAITING: usize = 256;

/// Options of a clear.
///
/// ```
/// use mcflush::ops::clear::ClearOptions;
/// let careful = ClearOptions::default().with_verify(true);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClearOptions {
    /// The strategy, for callers that know better; `None` chooses one that is complete and harmless to other clients.
    pub strategy: Option<Strategy>,
    /// At most this many deletes a second.
    pub rate: Option<NonZeroU32>,
    /// Walk once more at the end and find no key in scope that was stored before the clear began. If the clear is
    /// judged by passes, ask for stronger evidence instead.
    pub verify: bool,
    /// Leave items that other clients store after the clear began. mcflush deletes a key only if its item has the CAS
    /// that it was listed with, and if that CAS is no newer than the clear. An item changed in place meanwhile (incr,
    /// append) counts as new.
    pub keep_new: bool,
    /// Of the keys in scope, delete only those whose items meet this filter as they are listed, and only if the item
    /// still has the CAS that it was listed with: an item stored since stays, an item only read since is deleted.
    pub filter: Filter,
}

setters!(ClearOptions {
    with_strategy: strategy: Option<Strategy>,
    with_rate: rate: Option<NonZeroU32>,
    with_verify: verify: bool,
    with_keep_new: keep_new: bool,
    with_filter: filter: Filter,
});

impl ClearOptions {
    /// Whether an item is deleted only if it is still the one that was listed.
    fn compares(&self) -> bool {
        self.keep_new || !self.filter.is_none()
    }

    /// Whether the mark that tells old items from new ones may be given only to an item that is still the listed one: an
    /// item stored since may not meet the filter.
    fn marks_by_cas(&self) -> bool {
        self.keep_new && !self.filter.is_none()
    }
}

/// What a clear did on a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cleared {
    /// Keys listed by the first pass that reached its end, or by the last attempt if none did.
    pub listed: u64,
    /// Keys in scope, over all passes.
    pub matched: u64,
    /// Keys deleted, over all passes.
    pub deleted: u64,
    /// Bytes that the items in scope took on the server, over all passes: header, key and value (only the value if a
    /// cachedump listed them).
    pub bytes: u64,
    /// Keys in scope left over all passes: with `keep_new`, those stored after the clear began; with a filter alone,
    /// those stored after they were listed. `None` without either option.
    pub kept_new: Option<u64>,
    /// The estimated probability that a pass misses a key; none if the clear was not judged by passes.
    pub miss_rate: Option<f64>,
    /// How many old keys are expected to be left; none if the clear was not judged by passes.
    pub doubt: Option<f64>,
    /// If no key in scope was met: the prefixes on the server most similar to those of the scope, most similar first.
    pub nearest: Vec<Bytes>,
    /// Listings made, including a last one that broke off.
    pub passes: u32,
    /// How keys were listed; none if the clear failed before it chose a strategy.
    pub strategy: Option<Strategy>,
    /// Why the clear is complete; none if it is not complete, and then `error` is set.
    pub proof: Option<ClearProof>,
    /// How long it took.
    pub took: Duration,
    /// Why the clear is not complete.
    pub error: Option<Error>,
}

/// Why a clear may be called complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClearProof {
    /// One walk of the hash table reached its end line, and the server confirmed every delete: complete by
    /// construction.
    Walk,
    /// Passes that can miss keys found so few old keys, and found none so often, that none is expected to be left: a
    /// strong hint. (A key held by another client's stalled read stays invisible.)
    Passes,
}

impl ClearProof {
    /// The word for the proof in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::Passes => "passes",
        }
    }
}

/// Deletes every key in scope that was stored before the call.
///
/// If the listing meets keys in scope that were stored meanwhile, they are deleted too; others do not count against the
/// clear.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, clear::{ClearOptions, clear}};
/// use mcflush::scope::{Prefix, Scope};
/// let scope = Scope::of([Prefix::new("shop:")?]);
/// let cleared = clear(&"cache1".parse()?, &scope, &ClearOptions::default(), &Context::default()).await;
/// match cleared.error {
///     None => println!("{} deleted of {} listed", cleared.deleted, cleared.listed),
///     Some(error) => println!("not complete: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
pub async fn clear(server: &ServerAddr, scope: &Scope, options: &ClearOptions, context: &Context) -> Cleared {
    let began = Instant::now();
    context.events.tell(Event::Started);
    let mut retries = Retries::new(context);
    let cleared = match listing::choose(server, options.strategy, context, &mut retries).await {
        Ok(way) => Run::new(Shared::new(server, scope, options, context, way)).run(began).await,
        Err(error) => Cleared {
            listed: 0,
            matched: 0,
            deleted: 0,
            bytes: 0,
            kept_new: options.compares().then_some(0),
            miss_rate: None,
            doubt: None,
            nearest: Vec::new(),
            passes: 0,
            strategy: None,
            proof: None,
            took: began.elapsed(),
            error: Some(error),
        },
    };
    context.events.tell(Event::Done { complete: cleared.proof.is_some() });
    cleared
}

/// One walk of the hash table that deletes what `flush_all` left: every key that it lists, or, if new items are kept,
/// every key no newer than the watermark, which `instance` gave out. If `flush_all` compares times on this server, the
/// walk waits until the server has noted earlier reads.
pub(super) async fn sweep(
    server: &ServerAddr,
    options: &ClearOptions,
    context: &Context,
    way: Way,
    watermark: Option<u64>,
    instance: Option<Instance>,
    flushes_by_time: bool,
) -> Cleared {
    let began = Instant::now();
    let scope = Scope::everything();
    let way = Way { strategy: Strategy::Hash, ..way };
    let mut run = Run::new(Shared::new(server, &scope, options, context, way));
    run.shared.watermark.store(watermark.unwrap_or_default(), Relaxed);
    if let Some(instance) = instance {
        run.shared.instance.get_or_init(|| instance);
    }
    run.is_sweep = true;
    run.is_behind_own_flush = flushes_by_time;
    run.run(began).await
}

/// The state that the listing and the deletes of a clear share.
#[derive(Debug)]
struct Shared<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    options: &'a ClearOptions,
    context: &'a Context,
    way: Way,
    sieve: Sieve,
    tally: Tally,
    /// A CAS that the server gave out after the clear began: an item with this CAS or a lower one was stored before. 0,
    /// which no item has, until it is known.
    watermark: AtomicU64,
    /// A Unix time by the server's clock: the server has noted every read of an item whose last access is before it.
    long_unread: AtomicU64,
    /// Reads and stores of this clear, as the server counts them.
    own_uses: AtomicU64,
    /// Old keys that the deletes of this pass met, if they look up each key's CAS.
    old_met: AtomicU64,
    /// Keys of this pass that the server did not find by their listed names when it was asked to delete them.
    not_found: AtomicU64,
    /// The server process whose CAS are compared.
    instance: OnceLock<Instance>,
}

impl<'a> Shared<'a> {
    fn new(
        server: &'a ServerAddr,
        scope: &'a Scope,
        options: &'a ClearOptions,
        context: &'a Context,
        way: Way,
    ) -> Self {
        Self {
            server,
            scope,
            options,
            context,
            way,
            sieve: Sieve::default(),
            tally: Tally::default(),
            watermark: AtomicU64::new(0),
            long_unread: AtomicU64::new(0),
            own_uses: AtomicU64::new(0),
            old_met: AtomicU64::new(0),
            not_found: AtomicU64::new(0),
            instance: OnceLock::new(),
        }
    }

    /// Whether an item may have been stored before the clear began: without CAS (-C) every item counts.
    fn is_older(&self, cas: Option<u64>) -> bool {
        match (self.watermark.load(Relaxed), cas) {
            (0, _) | (_, None) => true,
            (watermark, Some(cas)) => cas <= watermark,
        }
    }

    /// If CAS are compared, checks that the server was not restarted: a new process counts CAS anew, so new items would
    /// look old.
    fn check_instance(&self, now: Option<Instance>) -> Result<(), Error> {
        let Some(now) = now else { return Ok(()) };
        if now.is_another_than(*self.instance.get_or_init(|| now)) {
            return Err(self.error(Problem::Unproven {
                what: "the server was restarted meanwhile, so the items that it holds are new".into(),
                instead: "check whether any keys in scope are left, and if so run it again",
            }));
        }
        Ok(())
    }

    /// Counts an item that the deletes of a pass looked up.
    fn note_age(&self, cas: Option<u64>) {
        self.own_uses.fetch_add(1, Relaxed);
        if self.is_older(cas) {
            self.old_met.fetch_add(1, Relaxed);
        }
    }

    /// Whether the deletes look up the CAS of each key, because the listing does not give it.
    fn looks_up_age(&self) -> bool {
        self.way.strategy == Strategy::Cachedump && self.watermark.load(Relaxed) > 0
    }

    /// Whether the clear needs a watermark and has none yet.
    fn wants_watermark(&self) -> bool {
        let matters = self.way.strategy != Strategy::Hash || self.options.verify || self.options.keep_new;
        matters && !self.finds_watermark() && self.watermark.load(Relaxed) == 0
    }

    /// Whether the highest CAS of the first listing is the watermark. A mark would give a lower one, but would change
    /// an item; the higher one suffices if items stored meanwhile need not stay.
    fn finds_watermark(&self) -> bool {
        !self.options.filter.is_none() && !self.options.keep_new
    }

    fn format(&self) -> BatchFormat {
        if self.options.compares() { BatchFormat::KeysWithCas } else { BatchFormat::Keys }
    }

    fn check_reachable(&self, proof: ClearProof) -> Result<ClearProof, Error> {
        match self.tally.unreachable() {
            None => Ok(proof),
            Some((count, example)) => Err(self.error(Problem::OutOfReach { count, example: Excerpt::of(&example) })),
        }
    }

    /// The error for a server that cannot delete an item on the condition that it is the listed one.
    fn cannot_compare(&self, why: &'static str) -> Error {
        self.error(if self.options.keep_new { Problem::NoAge { why } } else { Problem::NoCompare { why } })
    }

    fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }
}

/// How a pass ended: a listing to its end, with its deletes.
enum Pass {
    Whole(Walk, Coverage),
    /// The server does not list by this strategy.
    Refused(ErrorReply),
}

struct Run<'a> {
    shared: Shared<'a>,
    retries: Retries<'a>,
    listed_first: Option<u64>,
    /// Keys listed by the last attempt at a pass.
    listed_last: u64,
    passes: u32,
    sample: Sample,
    nearest: Nearest,
    evidence: Evidence,
    /// A connection for questions between the passes.
    aside: Option<Client>,
    /// The run is part of a flush, whose walks are not reported as passes.
    is_sweep: bool,
    /// The caller flushed by time right before.
    is_behind_own_flush: bool,
}

impl<'a> Run<'a> {
    fn new(shared: Shared<'a>) -> Self {
        let Shared { scope, context, .. } = shared;
        Self {
            shared,
            retries: Retries::new(context),
            listed_first: None,
            listed_last: 0,
            passes: 0,
            sample: Sample::new(),
            nearest: Nearest::to(scope),
            evidence: Evidence::default(),
            aside: None,
            is_sweep: false,
            is_behind_own_flush: false,
        }
    }

    async fn run(mut self, began: Instant) -> Cleared {
        let result = self.prove().await.and_then(|proof| self.shared.check_reachable(proof));
        let (proof, error) = match result {
            Ok(proof) => (Some(proof), None),
            Err(error) => (None, Some(error)),
        };
        let tally = &self.shared.tally;
        Cleared {
            listed: self.listed_first.unwrap_or(self.listed_last),
            matched: tally.count_matched(),
            deleted: tally.count_deleted(),
            bytes: tally.count_bytes(),
            kept_new: self.shared.options.compares().then(|| tally.count_kept_new()),
            miss_rate: self.evidence.miss_rate(),
            doubt: self.evidence.doubt(),
            nearest: if tally.count_matched() == 0 { self.nearest.prefixes() } else { Vec::new() },
            passes: self.passes,
            strategy: Some(self.shared.way.strategy),
            proof,
            took: began.elapsed(),
            error,
        }
    }

    async fn prove(&mut self) -> Result<ClearProof, Error> {
        self.check_age().await?;
        if !self.shared.options.filter.is_none() {
            let stats = self.ask(StatsGroup::General).await?;
            self.shared.sieve = Sieve::of(&self.shared.options.filter, self.shared.server, &stats)?;
        }
        loop {
            let refused = match self.by(self.shared.way.strategy).await? {
                Ok(proof) => return Ok(proof),
                Err(reply) => reply,
            };
            let Shared { way, options, server, context, .. } = self.shared;
            self.shared.way = way.after(refused, options.strategy, server, context)?;
            self.check_age().await?;
        }
    }

    /// If CAS are compared: checks that listed items can be told from items that replaced them.
    async fn check_age(&mut self) -> Result<(), Error> {
        if !self.shared.options.compares() {
            return Ok(());
        }
        if self.shared.way.strategy == Strategy::Cachedump {
            let why = "the only listing that this server has (stats cachedump) does not say the CAS of a key";
            return Err(self.shared.cannot_compare(why));
        }
        if self.shared.way.strategy == Strategy::Lru && self.shared.way.dialect.dumps() == Dumps::WithoutHeads {
            let why = "memcached 1.5.5 and 1.5.6 list the newest entry of each LRU list without its CAS";
            return Err(self.shared.cannot_compare(why));
        }
        if self.shared.options.marks_by_cas() && !self.shared.way.dialect.meta_compares() {
            let why = "before 1.6.13 the server does not compare CAS when it marks the item that tells old from new";
            return Err(self.shared.cannot_compare(why));
        }
        let instance = self.activity().await?.map(|activity| activity.instance);
        self.shared.check_instance(instance)?;
        if !self.has_cas().await? {
            return Err(self.shared.cannot_compare("the server keeps no CAS (-C)"));
        }
        Ok(())
    }

    /// The inner error: the server does not list by this strategy.
    async fn by(&mut self, strategy: Strategy) -> Result<Result<ClearProof, ErrorReply>, Error> {
        match strategy {
            Strategy::Hash => self.by_hash_walk().await,
            Strategy::Lru | Strategy::Cachedump => self.by_passes().await,
        }
    }

    fn moved(&self) -> Error {
        self.shared.error(Problem::Unproven {
            what: "the server moved items to other slab pages meanwhile, and before 1.6.24 moved items look new".into(),
            instead: if self.shared.options.keep_new {
                "run it again, or run it without keeping new items"
            } else {
                "run it again"
            },
        })
    }

    /// Lists and deletes to the end of the listing, over new connections if one is lost.
    async fn whole_pass(&mut self) -> Result<Pass, Error> {
        let mut given_up = 0;
        self.sample.begin_pass();
        loop {
            let mut walk = Walk::default();
            self.shared.old_met.store(0, Relaxed);
            self.shared.not_found.store(0, Relaxed);
            // On the heap, because every operation would otherwise reserve room for one or two of these.
            let walked = Box::pin(self.pass(&mut walk)).await;
            self.listed_last = walk.listed;
            match walked {
                Ok(Walked::Whole(coverage)) => {
                    self.listed_first.get_or_insert(walk.listed);
                    walk.older += self.shared.old_met.load(Relaxed);
                    if self.shared.finds_watermark() && self.shared.watermark.load(Relaxed) == 0 {
                        self.shared.watermark.store(walk.highest_cas, Relaxed);
                    }
                    return Ok(Pass::Whole(walk, coverage));
                }
                Err(Error { problem: Problem::Spool(why), .. }) if given_up < GIVEN_UP_MAX => {
                    given_up += 1;
                    self.shared.context.events.tell(Event::Spool(why));
                }
                Err(Error { problem: Problem::Spool(why), .. }) => {
                    return Err(self.shared.error(Problem::Unproven {
                        what: format!("{given_up} walks were given up because listed keys could not be kept ({why})"),
                        instead: MORE_ROOM,
                    }));
                }
                Ok(Walked::Refused(reply)) => {
                    // The server refused, so this was no pass.
                    self.passes -= 1;
                    return Ok(Pass::Refused(reply));
                }
                Err(error) => self.retries.after(error).await?,
            }
        }
    }

    async fn pass(&mut self, walk: &mut Walk) -> Result<Walked, Error> {
        self.passes += 1;
        let Self { shared, sample, nearest, .. } = self;
        let Shared { server, context, way, .. } = *shared;
        shared.tally.begin_pass();
        if !self.is_sweep {
            context.events.tell(Event::Pass(self.passes));
        }
        let (filler, drainer) = backlog(&context.spool, WAITING);
        let sample = (way.strategy != Strategy::Hash).then_some(sample);
        let listing = async {
            let mut lister = Lister::new(shared, filler, walk, sample, nearest);
            let walked = async {
                let mut client = context.connect(server).await?;
                listing::walk(way, &mut client, context, &mut lister).await
            }
            .await;
            // Also after the walk broke off: the keys that it listed exist and are in scope. The backlog holds a last
            // batch even if it has no room for another one.
            let _ = lister.hand_on();
            walked
        };
        let deletes = Deleter::new(shared).run(drainer);
        let (walked, deleted) = both(listing, deletes, way.dialect.closing_crashes()).await;
        // A further try mends a broken connection, on either side.
        deleted.and(walked)
    }

    /// Asks for statistics, on a connection that is kept for further questions.
    async fn ask(&mut self, group: StatsGroup) -> Result<Vec<Stat>, Error> {
        let Shared { server, context, .. } = self.shared;
        loop {
            let ask = async {
                let mut client = match self.aside.take() {
                    Some(client) => client,
                    None => context.connect(server).await?,
                };
                let stats = client.stats(group.clone()).await?;
                Ok((client, stats))
            };
            match context.unless_stopped(server, ask).await {
                Ok((client, stats)) => {
                    self.aside = Some(client);
                    return Ok(stats);
                }
                Err(error) => self.retries.after(error).await?,
            }
        }
    }
}

/// Waits for both. If the deletes fail, the listing has no receiver and is ended: at once, or, where closing the
/// connection can crash the server, when the listing finds that the deletes have ended.
async fn both<T>(
    listing: impl Future<Output = Result<T, Error>>,
    deletes: impl Future<Output = Result<(), Error>>,
    waits: bool,
) -> (Result<T, Error>, Result<(), Error>) {
    let mut listing = std::pin::pin!(listing);
    let mut deletes = std::pin::pin!(deletes);
    tokio::select! {
        // In a fixed order, so that a test with a seed can be repeated.
        biased;
        walked = &mut listing => (walked, deletes.await),
        deleted = &mut deletes => match deleted {
            Ok(()) => (listing.await, Ok(())),
            Err(error) if waits => (listing.await, Err(error)),
            Err(error) => (Err(error), Ok(())),
        },
    }
}
