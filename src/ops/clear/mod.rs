//! The clearing engine: every key in scope, and no other.
//!
//! A listing and the deletes run side by side on connections of their own, with a backlog between them that
//! never makes the listing wait.

mod batch;
mod binary;
mod deleter;
mod lister;
mod survey;
mod tally;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use self::deleter::Deleter;
use self::lister::Lister;
pub use self::survey::{Found, Survey, survey};
use self::tally::Tally;
use super::backlog::backlog;
pub use super::listing::Strategy;
use super::listing::{self, Walked};
use super::retry::{Retries, pause, unless_stopped};
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::error::{Error, Kind, Problem};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{ErrorReply, Excerpt};
use crate::scope::Scope;

/// Between the end of an LRU pass and the next: a key that was read twice waits up to a second, unseen by LRU dumps,
/// for the server's LRU maintainer.
const PAUSE: Duration = Duration::from_millis(1500);

/// LRU or cachedump passes before what is left is called incomplete.
const PASSES_MAX: u32 = 10;

/// Walks given up for want of room, each after deleting what was held, before the clear is.
const GIVEN_UP_MAX: u32 = 100;

/// How to clear.
///
/// ```
/// use mcflush::ops::clear::Options;
/// let careful = Options { verify: true, ..Options::default() };
/// assert!(careful.rate.is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The strategy for one who knows better; none chooses what is complete and safe for others.
    pub strategy: Option<Strategy>,
    /// At most so many deletes a second.
    pub rate: Option<NonZeroU32>,
    /// Walk once more at the end and find no key in scope that was stored before the clear began.
    pub verify: bool,
}

/// What a clear did on a server.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, clear::{Options, clear}};
/// use mcflush::scope::{Prefix, Scope};
/// let scope = Scope::of([Prefix::new("shop:")?]);
/// let cleared = clear(&"cache1".parse()?, &scope, &Options::default(), &Context::default()).await;
/// println!("{} deleted of {} listed", cleared.deleted, cleared.listed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cleared {
    /// Keys seen in the first pass.
    pub listed: u64,
    /// Keys in scope, over all passes.
    pub matched: u64,
    /// Keys deleted, over all passes.
    pub deleted: u64,
    /// What the items in scope took in the server, over all passes: header, key and value (the value alone where a
    /// cachedump lists them).
    pub bytes: u64,
    /// Listings made, the last one included if it broke off.
    pub passes: u32,
    /// How keys were listed; none when it did not come to that.
    pub strategy: Option<Strategy>,
    /// What makes it complete; none when it is not, and then there is an error.
    pub proof: Option<Proof>,
    /// How long it took.
    pub took: Duration,
    /// Why it is not complete.
    pub error: Option<Error>,
}

/// Why a clear may be called complete.
///
/// ```
/// use mcflush::ops::clear::Proof;
/// assert_ne!(Proof::Walk, Proof::Passes);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// One walk of the hash table to its end line, every delete confirmed: complete by construction.
    Walk,
    /// An LRU dump, begun long enough after the one before it had ended, listed nothing in scope that was stored before
    /// the clear: a strong hint. (A key that another client's stalled read holds stays invisible.)
    Passes,
}

impl Proof {
    /// The word for it in JSON.
    ///
    /// ```
    /// assert_eq!(mcflush::ops::clear::Proof::Walk.as_str(), "walk");
    /// ```
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
/// use mcflush::ops::{Context, clear::{Options, clear}};
/// use mcflush::scope::{Prefix, Scope};
/// let scope = Scope::of([Prefix::new("shop:")?]);
/// let cleared = clear(&"cache1".parse()?, &scope, &Options::default(), &Context::default()).await;
/// assert!(cleared.proof.is_some() == cleared.error.is_none());
/// # Ok(())
/// # }
/// ```
pub async fn clear(server: &ServerAddr, scope: &Scope, options: &Options, context: &Context) -> Cleared {
    let began = Instant::now();
    context.events.tell(Event::Started);
    let shared = Shared { server, scope, options, context, tally: Tally::default(), watermark: AtomicU64::new(0) };
    let mut run =
        Run { shared: &shared, retries: Retries::new(context), listed_first: None, passes: 0, strategy: None };
    let result = run.run().await.and_then(|proof| shared.reached_all(proof));
    let (proof, error) = match result {
        Ok(proof) => (Some(proof), None),
        Err(error) => (None, Some(error)),
    };
    let cleared = Cleared {
        listed: run.listed_first.unwrap_or_else(|| shared.tally.count_listed()),
        matched: shared.tally.count_matched(),
        deleted: shared.tally.count_deleted(),
        bytes: shared.tally.count_bytes(),
        passes: run.passes,
        strategy: run.strategy,
        proof,
        took: began.elapsed(),
        error,
    };
    context.events.tell(Event::Done { complete: cleared.proof.is_some() });
    cleared
}

/// What the listing and the deletes of a clear both know.
#[derive(Debug)]
struct Shared<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    options: &'a Options,
    context: &'a Context,
    tally: Tally,
    /// The CAS of the first key met in scope, made fresh then: whatever has one up to it was stored before that. 0, which
    /// no item has, until it is known.
    watermark: AtomicU64,
}

impl Shared<'_> {
    /// Whether an item was stored before the clear began, as far as can be known: without CAS (-C) every one counts.
    fn is_older(&self, cas: Option<u64>) -> bool {
        match (self.watermark.load(Relaxed), cas) {
            (0, _) | (_, None) => true,
            (watermark, Some(cas)) => cas <= watermark,
        }
    }

    fn reached_all(&self, proof: Proof) -> Result<Proof, Error> {
        match self.tally.unreachable() {
            None => Ok(proof),
            Some((count, example)) => Err(self.error(Problem::OutOfReach { count, example: Excerpt::of(&example) })),
        }
    }

    fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }
}

/// What a walk found in scope.
#[derive(Debug, Default)]
struct Walk {
    /// Keys in scope.
    matched: u64,
    /// Those that were stored before the clear began.
    older: u64,
    /// Some of them, escaped.
    examples: Vec<String>,
}

/// Items moved out of slab pages, which a server counts when it has done with a page.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Moves {
    rescued: u64,
    running: bool,
}

impl Moves {
    fn of(stats: &[Stat]) -> Self {
        let number = |name: &[u8]| -> u64 {
            let stat = stats.iter().find(|stat| stat.name() == name);
            stat.and_then(|stat| std::str::from_utf8(stat.value()).ok()?.parse().ok()).unwrap_or_default()
        };
        Self {
            rescued: number(b"slab_reassign_rescues").saturating_add(number(b"slab_reassign_chunk_rescues")),
            running: number(b"slab_reassign_running") > 0,
        }
    }
}

/// How a listing to its end, with its deletes, ended.
enum Pass {
    Whole(Walk),
    /// The server does not list that way.
    Refused(ErrorReply),
}

struct Run<'a> {
    shared: &'a Shared<'a>,
    retries: Retries<'a>,
    listed_first: Option<u64>,
    passes: u32,
    strategy: Option<Strategy>,
}

impl Run<'_> {
    async fn run(&mut self) -> Result<Proof, Error> {
        let Shared { server, options, context, .. } = *self.shared;
        let chosen = listing::choose(server, options.strategy, context, &mut self.retries).await?;
        self.strategy = Some(chosen);
        let refused = match self.by(chosen).await? {
            Ok(proof) => return Ok(proof),
            Err(reply) => reply,
        };
        if options.strategy.is_none() && chosen != Strategy::Cachedump {
            let why = format!("{chosen} was answered \"{}\"", Excerpt::of(refused.line()));
            context.events.tell(Event::Strategy { strategy: Strategy::Cachedump, why });
            self.strategy = Some(Strategy::Cachedump);
            if let Ok(proof) = self.by(Strategy::Cachedump).await? {
                return Ok(proof);
            }
        }
        Err(self.shared.error(Problem::Disabled {
            what: "listing keys",
            instead: "start memcached without -X and with its LRU crawler, or use --all",
            reply: refused,
        }))
    }

    /// The inner error: the server does not list that way.
    async fn by(&mut self, strategy: Strategy) -> Result<Result<Proof, ErrorReply>, Error> {
        match strategy {
            Strategy::Hash => self.by_hash_walk().await,
            Strategy::Lru => self.by_lru_passes().await,
            Strategy::Cachedump => self.by_cachedump().await,
        }
    }

    async fn by_hash_walk(&mut self) -> Result<Result<Proof, ErrorReply>, Error> {
        if let Pass::Refused(reply) = self.whole_pass(Strategy::Hash).await? {
            return Ok(Err(reply));
        }
        if self.shared.options.verify {
            // Where the first walk met nothing in scope, nothing there is older.
            let had_any = self.shared.tally.count_matched() > 0;
            match self.whole_pass(Strategy::Hash).await? {
                Pass::Whole(walk) if had_any && walk.older > 0 => {
                    return Err(self.left("the verifying walk", &walk));
                }
                Pass::Whole(_) => {}
                Pass::Refused(reply) => return Ok(Err(reply)),
            }
        }
        Ok(Ok(Proof::Walk))
    }

    /// Passes until one finds nothing old; the pause makes sure that it would have.
    async fn by_lru_passes(&mut self) -> Result<Result<Proof, ErrorReply>, Error> {
        let mut last = Walk::default();
        let mut clean = 0;
        let mut moves = self.moves().await?;
        for pass in 1..=PASSES_MAX {
            if pass > 1 {
                self.shared.context.events.tell(Event::Waiting {
                    why: "recently read keys are invisible to LRU dumps for a while",
                    after: PAUSE,
                });
                pause(self.shared.context, self.shared.server, PAUSE).await?;
            }
            last = match self.whole_pass(Strategy::Lru).await? {
                Pass::Whole(walk) => walk,
                Pass::Refused(reply) => return Ok(Err(reply)),
            };
            let before = std::mem::replace(&mut moves, self.moves().await?);
            if moves != before || moves.running {
                // What was moved looks new: any of them may be old, until a later mark tells.
                last.older = last.matched;
                self.shared.watermark.store(0, Relaxed);
            }
            clean += u32::from(pass > 1 && last.older == 0);
            if clean > u32::from(self.shared.options.verify) {
                return Ok(Ok(Proof::Passes));
            }
        }
        Err(self.left(&format!("the last of {PASSES_MAX} passes"), &last))
    }

    /// What the server says of the items that it moved out of slab pages. Each of them was given a new CAS (seen on 1.6.18).
    async fn moves(&mut self) -> Result<Moves, Error> {
        let Shared { server, context, .. } = *self.shared;
        loop {
            let ask = async {
                let mut client = context.connect(server).await?;
                client.stats(StatsGroup::General).await
            };
            match unless_stopped(context, server, ask).await {
                Ok(stats) => return Ok(Moves::of(&stats)),
                // It does not say.
                Err(error) if error.kind() == Kind::Server => return Ok(Moves::default()),
                Err(error) => self.retries.after(error).await?,
            }
        }
    }

    /// Deletes what it sees, which proves nothing.
    async fn by_cachedump(&mut self) -> Result<Result<Proof, ErrorReply>, Error> {
        for _ in 0..PASSES_MAX {
            match self.whole_pass(Strategy::Cachedump).await? {
                Pass::Whole(walk) if walk.older == 0 => break,
                Pass::Whole(_) => {}
                Pass::Refused(reply) => return Ok(Err(reply)),
            }
        }
        Err(self.shared.error(Problem::Incomplete(
            "this server lists only a part of its keys (stats cachedump), what was listed is deleted".into(),
        )))
    }

    fn left(&self, which: &str, walk: &Walk) -> Error {
        // What cannot be deleted is listed every time.
        if let Err(out_of_reach) = self.shared.reached_all(Proof::Walk) {
            return out_of_reach;
        }
        let Walk { older, examples, .. } = walk;
        let such_as = if examples.is_empty() { String::new() } else { format!(", such as {}", examples.join(" ")) };
        self.shared.error(Problem::Incomplete(format!(
            "{which} still listed {older} keys in scope that may be older than the clear{such_as}; they were deleted"
        )))
    }

    /// Lists and deletes, to the end of the listing, on fresh connections when one is lost.
    async fn whole_pass(&mut self, strategy: Strategy) -> Result<Pass, Error> {
        let mut given_up = 0;
        loop {
            let mut walk = Walk::default();
            match self.pass(strategy, &mut walk).await {
                Ok(Walked::Whole) => {
                    self.listed_first.get_or_insert(self.shared.tally.count_listed());
                    return Ok(Pass::Whole(walk));
                }
                Ok(Walked::GivenUp) if given_up < GIVEN_UP_MAX => given_up += 1,
                Ok(Walked::GivenUp) => {
                    let what =
                        format!("{given_up} walks were given up because the temporary file could not be written");
                    return Err(self.shared.error(Problem::Incomplete(what)));
                }
                Ok(Walked::Refused(reply)) => return Ok(Pass::Refused(reply)),
                Err(error) => self.retries.after(error).await?,
            }
        }
    }

    async fn pass(&mut self, strategy: Strategy, walk: &mut Walk) -> Result<Walked, Error> {
        self.passes += 1;
        let shared = self.shared;
        let Shared { server, context, .. } = *shared;
        context.events.tell(Event::Pass(self.passes));
        let (filler, drainer) = backlog(tempfile::tempfile);
        let listing = async {
            let mut lister = Lister::new(shared, filler, walk);
            let walked = async {
                let mut client = context.connect(server).await?;
                listing::walk(strategy, &mut client, context, &mut lister).await
            }
            .await;
            // Also when the walk broke off: what it listed is there, and in scope.
            if let Some(trouble) = lister.finish() {
                context.events.tell(Event::Spool(trouble));
            }
            walked
        };
        // Only these look for what is older than the clear.
        let marks = strategy == Strategy::Lru || shared.options.verify;
        let deletes = Deleter::new(shared, marks);
        let (walked, deleted) = both(unless_stopped(context, server, listing), deletes.run(drainer)).await;
        // A broken connection is mended by a further try whichever side it broke on.
        deleted.and(walked)
    }
}

/// Waits for both; a failure of the deletes ends the listing, which would have nowhere to go.
async fn both<T>(
    listing: impl Future<Output = Result<T, Error>>,
    deletes: impl Future<Output = Result<(), Error>>,
) -> (Result<T, Error>, Result<(), Error>) {
    let mut listing = std::pin::pin!(listing);
    let mut deletes = std::pin::pin!(deletes);
    tokio::select! {
        walked = &mut listing => (walked, deletes.await),
        deleted = &mut deletes => match deleted {
            Ok(()) => (listing.await, Ok(())),
            Err(error) => (Err(error), Ok(())),
        },
    }
}
