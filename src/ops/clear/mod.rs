//! The clearing engine: every key in scope, and no other.
//!
//! A listing and the deletes run side by side on connections of their own, with a [backlog](self::backlog) between
//! them that never makes the listing wait.

mod backlog;
mod batch;
mod deleter;
mod tally;

use std::time::Duration;

use tokio::time::Instant;

use self::backlog::{Filler, backlog};
use self::batch::BatchBuilder;
use self::deleter::Deleter;
use self::tally::Tally;
pub use super::listing::Strategy;
use super::listing::{self, Visitor, Walked};
use super::retry::{Retries, pause};
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::protocol::crawler::MetadumpItem;
use crate::protocol::{Escaped, Excerpt};
use crate::scope::Scope;

/// The first version whose hash walk does not hold a lock while it writes to the client.
const SAFE_HASH_WALK: [u32; 3] = [1, 6, 19];

/// Between the end of an LRU pass and the next: a key that was read twice waits up to a second, unseen by LRU dumps,
/// for the server's LRU maintainer.
const PAUSE: Duration = Duration::from_millis(1500);

/// LRU passes before what is left is called incomplete.
const PASSES_MAX: u32 = 10;

/// Walks given up for want of room, each after deleting what was held, before the clear is.
const GIVEN_UP_MAX: u32 = 100;

/// What a clear did on a server.
#[derive(Debug)]
pub struct Cleared {
    /// Keys seen in the first pass.
    pub listed: u64,
    /// Keys in scope, over all passes.
    pub matched: u64,
    /// Keys deleted, over all passes.
    pub deleted: u64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// One walk of the hash table to its end line, every delete confirmed: complete by construction.
    Walk,
    /// An LRU dump, begun long enough after the one before it had ended, listed nothing in scope: a strong hint. (A key
    /// that another client's stalled read holds stays invisible.)
    Passes,
}

impl Proof {
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
pub async fn clear(server: &ServerAddr, scope: &Scope, context: &Context) -> Cleared {
    let began = Instant::now();
    let mut run = Run {
        server,
        scope,
        context,
        tally: Tally::default(),
        retries: Retries::new(context),
        listed_first: None,
        passes: 0,
        strategy: None,
    };
    let proof = run.run().await.and_then(|proof| run.reached_all(proof));
    let (proof, error) = match proof {
        Ok(proof) => (Some(proof), None),
        Err(error) => (None, Some(error)),
    };
    Cleared {
        listed: run.listed_first.unwrap_or_else(|| run.tally.count_listed()),
        matched: run.tally.count_matched(),
        deleted: run.tally.count_deleted(),
        passes: run.passes,
        strategy: run.strategy,
        proof,
        took: began.elapsed(),
        error,
    }
}

struct Run<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    context: &'a Context,
    tally: Tally,
    retries: Retries<'a>,
    listed_first: Option<u64>,
    passes: u32,
    strategy: Option<Strategy>,
}

impl Run<'_> {
    async fn run(&mut self) -> Result<Proof, Error> {
        let strategy = self.choose().await?;
        self.strategy = Some(strategy);
        match strategy {
            Strategy::Hash => {
                self.whole_pass(strategy).await?;
                Ok(Proof::Walk)
            }
            Strategy::Lru => self.lru_passes().await,
        }
    }

    async fn choose(&mut self) -> Result<Strategy, Error> {
        let version = loop {
            let ask = async { Client::connect(self.server, self.context.patience.timeout).await?.version().await };
            match self.stoppable(ask).await {
                Ok(version) => break version,
                Err(error) => self.retries.after(error).await?,
            }
        };
        let safe = version.numbers().is_some_and(|numbers| numbers >= SAFE_HASH_WALK);
        let (strategy, why) = if safe {
            (Strategy::Hash, "from 1.6.19 on one walk of the hash table lists every key")
        } else {
            (Strategy::Lru, "before 1.6.19 a walk of the hash table can freeze other clients")
        };
        let why = format!("version {}: {why}", Escaped(version.as_bytes()));
        self.context.events.tell(Event::Strategy { strategy, why });
        Ok(strategy)
    }

    /// Passes until one finds nothing; the pause makes sure that it would have.
    async fn lru_passes(&mut self) -> Result<Proof, Error> {
        let mut last = 0;
        for pass in 1..=PASSES_MAX {
            if pass > 1 {
                self.context.events.tell(Event::Waiting {
                    why: "recently read keys are invisible to LRU dumps for a while",
                    after: PAUSE,
                });
                pause(self.context, self.server, PAUSE).await?;
            }
            last = self.whole_pass(Strategy::Lru).await?;
            if pass > 1 && last == 0 {
                return Ok(Proof::Passes);
            }
        }
        Err(self.error(Problem::Incomplete(format!(
            "after {PASSES_MAX} passes the last one still listed {last} keys in scope; they were deleted, but other \
             clients keep writing there, and what they hide cannot be known"
        ))))
    }

    /// Lists and deletes, to the end of the listing, on fresh connections when one is lost. Gives the number of keys in
    /// scope that were listed.
    async fn whole_pass(&mut self, strategy: Strategy) -> Result<u64, Error> {
        let matched_before = self.tally.count_matched();
        let mut given_up = 0;
        loop {
            match self.pass(strategy).await {
                Ok(Walked::Whole) => {
                    self.listed_first.get_or_insert(self.tally.count_listed());
                    return Ok(self.tally.count_matched() - matched_before);
                }
                Ok(Walked::GivenUp) if given_up < GIVEN_UP_MAX => given_up += 1,
                Ok(Walked::GivenUp) => {
                    let what =
                        format!("{given_up} walks were given up because the temporary file could not be written");
                    return Err(self.error(Problem::Incomplete(what)));
                }
                Ok(Walked::Refused(reply)) => {
                    return Err(self.error(Problem::Disabled {
                        what: "listing keys",
                        instead: "start memcached without -X and with its LRU crawler, or use --all",
                        reply,
                    }));
                }
                Err(error) => self.retries.after(error).await?,
            }
        }
    }

    async fn pass(&mut self, strategy: Strategy) -> Result<Walked, Error> {
        self.passes += 1;
        self.context.events.tell(Event::Pass(self.passes));
        let (filler, drainer) = backlog(tempfile::tempfile);
        let lister = async {
            let mut client = Client::connect(self.server, self.context.patience.timeout).await?;
            let mut lister = Lister::new(self, filler);
            let walked = listing::walk(strategy, &mut client, self.context, &mut lister).await;
            // Also when the walk broke off: what it listed is there, and in scope.
            lister.finish();
            if let Some(trouble) = lister.filler.trouble() {
                self.context.events.tell(Event::Spool(trouble));
            }
            walked
        };
        let deletes = Deleter::new(self.server, self.context, &self.tally).run(drainer);
        let (walked, deleted) = both(self.stoppable(lister), deletes).await;
        // A broken connection is mended by a further try whichever side it broke on; anything else comes first.
        match (walked, deleted) {
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(walked), Ok(())) => Ok(walked),
        }
    }

    /// Runs until the operation is stopped.
    async fn stoppable<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.context
            .stop
            .run_until_cancelled(work)
            .await
            .unwrap_or_else(|| Err(self.error(Problem::Interrupted { flush_sent: false })))
    }

    fn reached_all(&self, proof: Proof) -> Result<Proof, Error> {
        match self.tally.unreachable() {
            None => Ok(proof),
            Some((count, example)) => Err(self.error(Problem::Incomplete(format!(
                "{count} keys in scope cannot be named by a text command (over 186 bytes, with a space or line end in \
                 them), one of them is \"{}\"",
                Excerpt::of(&example)
            )))),
        }
    }

    fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
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

/// Takes a listing's keys in scope to the backlog.
struct Lister<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    tally: &'a Tally,
    batch: BatchBuilder,
    filler: Filler,
}

impl<'a> Lister<'a> {
    fn new(run: &'a Run<'_>, filler: Filler) -> Self {
        Self { server: run.server, scope: run.scope, tally: &run.tally, batch: BatchBuilder::default(), filler }
    }

    /// Hands on what is gathered; false when there is no room for more.
    fn finish(&mut self) -> bool {
        self.batch.finish().is_none_or(|batch| self.filler.push(batch))
    }
}

impl Visitor for Lister<'_> {
    fn visit(&mut self, item: &MetadumpItem) -> Result<bool, Error> {
        let matched = self.batch.take(item, self.scope).map_err(|source| Error {
            server: self.server.clone(),
            problem: Problem::BadKey { source, excerpt: Excerpt::of(item.encoded_key()) },
        })?;
        self.tally.listed(matched);
        Ok(if self.batch.is_full() { self.finish() } else { true })
    }
}
