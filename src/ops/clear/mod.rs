//! The clearing engine: every key in scope, and no other.
//!
//! A listing and the deletes run side by side on connections of their own, with a backlog between them that
//! never makes the listing wait.

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
use crate::error::{Error, Problem};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{ErrorReply, Excerpt};
use crate::scope::Scope;
use crate::setters::setters;

/// Walks given up for want of room, each after deleting what was held, before the clear is.
const GIVEN_UP_MAX: u32 = 100;

/// How to clear.
///
/// ```
/// use mcflush::ops::clear::ClearOptions;
/// let careful = ClearOptions::default().with_verify(true);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClearOptions {
    /// The strategy for one who knows better; none chooses what is complete and safe for others.
    pub strategy: Option<Strategy>,
    /// At most so many deletes a second.
    pub rate: Option<NonZeroU32>,
    /// Walk once more at the end and find no key in scope that was stored before the clear began; where passes decide, ask
    /// for stronger evidence.
    pub verify: bool,
    /// Leave what other clients store after the clear began. A key is deleted only if its item has the CAS that it was
    /// listed with, and that CAS is no newer than the clear. What was changed in place meanwhile (incr, append) counts as
    /// new.
    pub keep_new: bool,
    /// Of the keys in scope, only those whose items meet this as they are listed. A key is then deleted only if its item has
    /// the CAS that it was listed with: one that is stored since stays. One that is only read since goes.
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
}

/// What a clear did on a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cleared {
    /// Keys seen in the first pass, or in the last attempt at one where none came to its end.
    pub listed: u64,
    /// Keys in scope, over all passes.
    pub matched: u64,
    /// Keys deleted, over all passes.
    pub deleted: u64,
    /// What the items in scope took in the server, over all passes: header, key and value (the value alone where a
    /// cachedump lists them).
    pub bytes: u64,
    /// Keys in scope that were left because they were stored after the clear began, or where new keys are not kept but items
    /// filtered, after they were listed; over all passes. None where neither is so.
    pub kept_new: Option<u64>,
    /// The probability that a pass misses a key, as it was estimated; none where no passes were judged.
    pub miss_rate: Option<f64>,
    /// How many old keys are expected to be left by the passes; none where no passes were judged.
    pub doubt: Option<f64>,
    /// Where no key in scope was met: the prefixes that are there and most like those that were asked for, nearest first.
    pub nearest: Vec<Bytes>,
    /// Listings made, the last one included if it broke off.
    pub passes: u32,
    /// How keys were listed; none when it did not come to that.
    pub strategy: Option<Strategy>,
    /// What makes it complete; none when it is not, and then there is an error.
    pub proof: Option<ClearProof>,
    /// How long it took.
    pub took: Duration,
    /// Why it is not complete.
    pub error: Option<Error>,
}

/// Why a clear may be called complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClearProof {
    /// One walk of the hash table to its end line, every delete confirmed: complete by construction.
    Walk,
    /// Passes over lists that can miss keys found so few old keys, and found none so often, that none is expected to be
    /// left: a strong hint. (A key that another client's stalled read holds stays invisible.)
    Passes,
}

impl ClearProof {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::Passes => "passes",
        }
    }
}

/// Deletes every key in scope that was stored before now.
///
/// What is stored meanwhile is deleted when it is met, and does not count against the clear.
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
        Ok(way) => Run::new(server, scope, options, context, way).run(began).await,
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

/// One walk of the hash table that deletes every key it lists, or, where new ones are kept, every key that is no newer than
/// the watermark, which the instance gave out. For what `flush_all` leaves; where that compares times, the walk waits until
/// the server has noted the reads before it.
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
    let mut run = Run::new(server, &scope, options, context, Way { strategy: Strategy::Hash, ..way });
    run.shared.watermark.store(watermark.unwrap_or_default(), Relaxed);
    if let Some(instance) = instance {
        run.shared.instance.get_or_init(|| instance);
    }
    run.is_sweep = true;
    run.is_behind_own_flush = flushes_by_time;
    run.run(began).await
}

/// What the listing and the deletes of a clear both know.
#[derive(Debug)]
struct Shared<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    options: &'a ClearOptions,
    context: &'a Context,
    way: Way,
    sieve: Sieve,
    tally: Tally,
    /// A CAS that the server gave out after the clear began: whatever has one up to it was stored before. 0, which no item
    /// has, until it is known.
    watermark: AtomicU64,
    /// A Unix time by the server's clock: no read of an item that has a last access before it waits to be noted.
    long_unread: AtomicU64,
    /// Reads and stores by this clear, as the server counts them.
    own_uses: AtomicU64,
    /// Old keys that the deletes of this pass met, where they look each up.
    old_met: AtomicU64,
    /// Keys of this pass that its deletes did not find by the name that was listed.
    not_found: AtomicU64,
    /// The server that is cleared, where its CAS are compared.
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

    /// Whether an item was stored before the clear began, as far as can be known: without CAS (-C) every one counts.
    fn is_older(&self, cas: Option<u64>) -> bool {
        match (self.watermark.load(Relaxed), cas) {
            (0, _) | (_, None) => true,
            (watermark, Some(cas)) => cas <= watermark,
        }
    }

    /// Where CAS are compared: a server that was restarted counts them anew, so what is new there looks old.
    fn check_instance(&self, now: Option<Instance>) -> Result<(), Error> {
        let Some(now) = now else { return Ok(()) };
        if now.is_another_than(*self.instance.get_or_init(|| now)) {
            return Err(self.error(Problem::Unproven {
                what: "the server was restarted meanwhile, so what it holds now is new".into(),
                instead: "see whether anything is left to clear, and run it again then",
            }));
        }
        Ok(())
    }

    /// An item that the deletes of a pass looked up.
    fn note_age(&self, cas: Option<u64>) {
        self.own_uses.fetch_add(1, Relaxed);
        if self.is_older(cas) {
            self.old_met.fetch_add(1, Relaxed);
        }
    }

    /// Whether the deletes look up the CAS of each key, since the listing does not say it.
    fn looks_up_age(&self) -> bool {
        self.way.strategy == Strategy::Cachedump && self.watermark.load(Relaxed) > 0
    }

    /// Whether it matters which keys are old.
    fn wants_watermark(&self) -> bool {
        let matters = self.way.strategy != Strategy::Hash || self.options.verify || self.options.keep_new;
        matters && !self.finds_watermark() && self.watermark.load(Relaxed) == 0
    }

    /// Whether the highest CAS of the first listing is the watermark. It is one that was given out later than it could be,
    /// which is enough where what is stored meanwhile need not stay, and no item is changed for it.
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

    /// The error of a server that cannot be asked to delete an item only if it is the one that was listed.
    fn cannot_compare(&self, why: &'static str) -> Error {
        self.error(if self.options.keep_new { Problem::NoAge { why } } else { Problem::NoCompare { why } })
    }

    fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }
}

/// How a listing to its end, with its deletes, ended.
enum Pass {
    Whole(Walk, Coverage),
    /// The server does not list that way.
    Refused(ErrorReply),
}

struct Run<'a> {
    shared: Shared<'a>,
    retries: Retries<'a>,
    listed_first: Option<u64>,
    /// By the last attempt at a pass.
    listed_last: u64,
    passes: u32,
    sample: Sample,
    nearest: Nearest,
    evidence: Evidence,
    /// A connection for questions between the passes.
    aside: Option<Client>,
    /// It is a part of a flush, whose walks are no passes to those who watch.
    is_sweep: bool,
    /// A flush that compares times came right before.
    is_behind_own_flush: bool,
}

impl<'a> Run<'a> {
    fn new(
        server: &'a ServerAddr,
        scope: &'a Scope,
        options: &'a ClearOptions,
        context: &'a Context,
        way: Way,
    ) -> Self {
        Self {
            shared: Shared::new(server, scope, options, context, way),
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

    /// Where items are compared: whether they can be told from those that took their place.
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
        let options = self.shared.options;
        if options.keep_new && !options.filter.is_none() && !self.shared.way.dialect.meta_compares() {
            let why = "before 1.6.13 the item that shows how old the others are cannot be chosen by compare";
            return Err(self.shared.cannot_compare(why));
        }
        let instance = self.activity().await?.map(|activity| activity.instance);
        self.shared.check_instance(instance)?;
        if !self.has_cas().await? {
            return Err(self.shared.cannot_compare("the server keeps no CAS (-C)"));
        }
        Ok(())
    }

    /// The inner error: the server does not list that way.
    async fn by(&mut self, strategy: Strategy) -> Result<Result<ClearProof, ErrorReply>, Error> {
        match strategy {
            Strategy::Hash => self.by_hash_walk().await,
            Strategy::Lru | Strategy::Cachedump => self.by_passes().await,
        }
    }

    fn moved(&self) -> Error {
        self.shared.error(Problem::Unproven {
            what: "the server moved items to other slab pages meanwhile, and before 1.6.24 what it moved looks new"
                .into(),
            instead: if self.shared.options.keep_new {
                "run it again, or clear without leaving new items"
            } else {
                "run it again"
            },
        })
    }

    /// Lists and deletes, to the end of the listing, on fresh connections when one is lost.
    async fn whole_pass(&mut self) -> Result<Pass, Error> {
        let mut given_up = 0;
        self.sample.begin_pass();
        loop {
            let mut walk = Walk::default();
            self.shared.old_met.store(0, Relaxed);
            self.shared.not_found.store(0, Relaxed);
            // On the heap, as every operation holds the room for one or two of these.
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
                Err(Error { problem: Problem::Spool(_), .. }) if given_up < GIVEN_UP_MAX => given_up += 1,
                Err(Error { problem: Problem::Spool(_), .. }) => {
                    let what =
                        format!("{given_up} walks were given up because the temporary file could not be written");
                    return Err(self.shared.error(Problem::Incomplete(what)));
                }
                Ok(Walked::Refused(reply)) => {
                    // Nothing was listed that way.
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
        let (filler, drainer) = backlog(tempfile::tempfile);
        let sample = (way.strategy != Strategy::Hash).then_some(sample);
        let listing = async {
            let mut lister = Lister::new(shared, filler, walk, sample, nearest);
            let walked = async {
                let mut client = context.connect(server).await?;
                listing::walk(way, &mut client, context, &mut lister).await
            }
            .await;
            // Also when the walk broke off: what it listed is there, and in scope. A last batch that leaves no room for
            // another one is held.
            let _ = lister.hand_on();
            walked
        };
        let deletes = Deleter::new(shared).run(drainer);
        let (walked, deleted) = both(listing, deletes, way.dialect.closing_crashes()).await;
        // A broken connection is mended by a further try whichever side it broke on.
        deleted.and(walked)
    }

    /// Statistics, on a connection that is kept for such questions.
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

/// Waits for both; a failure of the deletes ends the listing, which would have nowhere to go: at once, or where that can
/// crash the server by the listing's own hand, which finds that nobody takes its keys.
async fn both<T>(
    listing: impl Future<Output = Result<T, Error>>,
    deletes: impl Future<Output = Result<(), Error>>,
    waits: bool,
) -> (Result<T, Error>, Result<(), Error>) {
    let mut listing = std::pin::pin!(listing);
    let mut deletes = std::pin::pin!(deletes);
    tokio::select! {
        // In the same order each time, so that a test that knows all else can be made again.
        biased;
        walked = &mut listing => (walked, deletes.await),
        deleted = &mut deletes => match deleted {
            Ok(()) => (listing.await, Ok(())),
            Err(error) if waits => (listing.await, Err(error)),
            Err(error) => (Err(error), Ok(())),
        },
    }
}
