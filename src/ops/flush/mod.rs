//! `flush_all`, and the check after it: by itself it leaves items on current servers.
//!
//! From 1.6.25 on, `flush_all` compares times in whole seconds, so an item that was stored or read in the second of the
//! flush can stay readable until it expires. Earlier versions compare the CAS, and may leave an item that an `incr` or
//! `append` is changing. docs/PROTOCOL.md has the measurements.

mod binary;
mod plan;
mod probe;
#[cfg(test)]
mod tests;
mod turn;

use std::num::NonZeroU32;
use std::time::Duration;

use self::plan::{Facts, Plan};
use self::probe::Probe;
use self::turn::Until;
use super::clear::{self, Cleared};
use super::dialect::Dialect;
use super::listing::{self, ListedItem, Visitor, Walked, Way};
use super::retry::Retries;
use super::{Context, Event, Strategy};
use crate::address::ServerAddr;
use crate::error::{Error, FailureKind, Problem};
use crate::protocol::Meaning;
use crate::protocol::admin::FlushAll;

/// How to flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// `flush_all` alone, sent once and not checked.
    Once,
    /// `flush_all` with a delay in seconds, at most thirty days, after which the server flushes. The flush cannot be
    /// checked. It replaces an earlier delayed flush that is still to come.
    After(NonZeroU32),
    /// `flush_all`, then the steps that ensure that no item stored before is readable.
    Exact {
        /// Store an item before the flush and check that it is gone afterwards. If keys can be listed, also walk once
        /// more and find no older key.
        verify: bool,
        /// Leave items that other clients store after the flush began. An item changed in place meanwhile (incr,
        /// append) counts as new.
        keep_new: bool,
    },
}

/// Why no item stored before the flush is readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushProof {
    /// The server compares CAS and was flushed twice: the second flush hides an item that an `incr` or `append` was
    /// changing during the first.
    Cas,
    /// A walk of the hash table after the flush listed every item that survived it, and each was deleted.
    Walk,
    /// The server's keys cannot be listed or compared. It was flushed again after its clock had turned twice: a strong
    /// hint, not a proof.
    Twice,
}

impl FlushProof {
    /// The word for the proof in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cas => "cas",
            Self::Walk => "walk",
            Self::Twice => "twice",
        }
    }
}

/// A flush that the server confirmed with `OK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// How many items the server held before; none if it does not report that (as a proxy).
    pub items_before: Option<u64>,
    /// In how many seconds the server flushes; 0 if it has already flushed.
    pub delay: u32,
    /// How many keys `flush_all` had left and mcflush deleted; none if the hash table was not walked.
    pub swept: Option<u64>,
    /// How many keys were left because they were stored after the flush began; none if new keys are not kept, or if the
    /// hash table was not walked.
    pub kept_new: Option<u64>,
    /// Why no item stored before is readable; none if that was not checked.
    pub proof: Option<FlushProof>,
    /// Why the hash table could not be walked, if it should have been.
    pub walk_failed: Option<String>,
}

/// The pause between two flushes of a server that compares CAS: longer than any `incr` or `append` takes.
const CAS_PAUSE: Duration = Duration::from_millis(200);

/// Flushes a whole instance.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, flush::{Flush, flush}};
/// let how = Flush::Exact { verify: false, keep_new: false };
/// let flushed = flush(&"cache1".parse()?, how, &Context::default()).await?;
/// println!("it held {:?} items, {:?} outlived flush_all", flushed.items_before, flushed.swept);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, or refused, or the connection was lost after `flush_all` was sent: then the flush
/// may have taken effect, and the error says so. Or the server confirmed the flush and the check after it failed; the
/// error says that too.
pub async fn flush(server: &ServerAddr, how: Flush, context: &Context) -> Result<Flushed, Error> {
    context.events.tell(Event::Started);
    let flushed = Flushing { server, how, context }.run().await;
    context.events.tell(Event::Done { complete: flushed.is_ok() });
    flushed
}

struct Flushing<'a> {
    server: &'a ServerAddr,
    how: Flush,
    context: &'a Context,
}

/// What is known once the server has confirmed the first flush.
struct Confirmed {
    facts: Facts,
    plan: Plan,
    probe: Option<Probe>,
}

impl Flushing<'_> {
    async fn run(&self) -> Result<Flushed, Error> {
        let confirmed = match self.confirmed().await {
            Err(Error { problem: Problem::BinaryOnly, .. }) => return Box::pin(self.by_binary()).await,
            confirmed => confirmed?,
        };
        let delay = if let Flush::After(delay) = self.how { delay.get() } else { 0 };
        let mut flushed = Flushed {
            items_before: confirmed.facts.items,
            delay,
            swept: None,
            kept_new: None,
            proof: None,
            walk_failed: None,
        };
        if let Flush::Exact { .. } = self.how {
            self.make_sure(&confirmed, &mut flushed).await.map_err(unchecked)?;
        }
        Ok(flushed)
    }

    const fn keeps_new(&self) -> bool {
        matches!(self.how, Flush::Exact { keep_new: true, .. })
    }

    const fn verifies(&self) -> bool {
        matches!(self.how, Flush::Exact { verify: true, .. })
    }

    /// The first `flush_all`, until the server has answered `OK`.
    async fn confirmed(&self) -> Result<Confirmed, Error> {
        let mut retries = Retries::new(self.context);
        let mut sent = None;
        loop {
            let attempt = self.context.stop.run_until_cancelled(self.attempt(&mut sent)).await;
            let error = match attempt {
                Some(Ok(confirmed)) => return Ok(confirmed),
                Some(Err(error)) => error,
                None => return Err(self.context.stopped(self.server, sent.is_some())),
            };
            // A repeated flush would delete items that other clients have stored since. The walk deletes whatever this
            // flush left.
            if self.keeps_new()
                && matches!(&sent, Some(Confirmed { plan: Plan::Walk, .. }))
                && error.is_worth_a_retry()
                && let Some(confirmed) = sent.take()
            {
                return Ok(confirmed);
            }
            match retries.after(error).await {
                Ok(()) if self.keeps_new() && sent.is_some() => return Err(self.unknown(false)),
                Ok(()) => {}
                Err(Error { problem: Problem::Lost { like_a_proxy, .. }, .. }) if sent.is_some() => {
                    return Err(self.unknown(like_a_proxy));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn unknown(&self, like_a_proxy: bool) -> Error {
        Error { server: self.server.clone(), problem: Problem::FlushUnknown { like_a_proxy } }
    }

    /// One try. It sets `sent` just before it sends `flush_all`.
    async fn attempt(&self, sent: &mut Option<Confirmed>) -> Result<Confirmed, Error> {
        let (mut client, facts) = Facts::learn(self.server, self.context, self.how).await?;
        let plan = Plan::of(&facts);
        if self.keeps_new() {
            plan.check_age(&facts).map_err(|why| client.error(Problem::NoAge { why }))?;
        }
        let probe = match self.how {
            Flush::Exact { verify, keep_new } if verify || keep_new => {
                Some(Probe::store(&mut client, &self.context.chance).await?)
            }
            _ => None,
        };
        if self.keeps_new() && probe.as_ref().is_some_and(|probe| probe.cas().is_none()) {
            return Err(client.error(Problem::NoAge { why: "the server keeps no CAS (-C)" }));
        }
        let delay = if let Flush::After(delay) = self.how { Some(delay.get().into()) } else { None };
        let is_proxy = facts.is_proxy;
        let known = sent.insert(Confirmed { facts, plan, probe });
        match client.flush_all(FlushAll { delay, noreply: false }).await {
            Ok(()) => {}
            Err(Error { problem: Problem::Refusal { reply, .. }, server })
                if delay.is_some() && !is_proxy && reply.meaning() != Meaning::Proxy =>
            {
                return Err(Error { server, problem: Problem::NoDelay(reply) });
            }
            Err(Error { problem: Problem::Lost { .. } | Problem::Refusal { .. }, server }) if is_proxy => {
                return Err(Error { server, problem: Problem::Proxied { command: "flush_all" } });
            }
            Err(error) => return Err(error),
        }
        let Confirmed { facts, plan, probe } = known;
        Ok(Confirmed { facts: facts.clone(), plan: *plan, probe: probe.clone() })
    }

    /// Ensures that no item stored before the flush is readable.
    async fn make_sure(&self, confirmed: &Confirmed, flushed: &mut Flushed) -> Result<(), Error> {
        let Confirmed { plan, probe, facts } = confirmed;
        let watermark = probe.as_ref().and_then(Probe::cas);
        match plan {
            // On the heap: a clear within a flush overflows a thread's stack in a debug build.
            Plan::Walk => match Box::pin(self.sweep(facts, watermark)).await {
                Ok(cleared) => {
                    flushed.swept = Some(cleared.deleted);
                    flushed.kept_new = cleared.kept_new;
                    flushed.proof = Some(FlushProof::Walk);
                }
                Err(error)
                    if self.keeps_new() || matches!(error.kind(), FailureKind::Deadline | FailureKind::Interrupted) =>
                {
                    return Err(error);
                }
                Err(Error { problem: Problem::Incomplete(what), server }) if self.verifies() => {
                    return Err(Error { server, problem: Problem::Incomplete(what) });
                }
                Err(error) => {
                    self.twice().await?;
                    flushed.proof = Some(FlushProof::Twice);
                    flushed.walk_failed = Some(error.problem.to_string());
                }
            },
            Plan::Cas => {
                if !self.keeps_new() {
                    self.context.pause(self.server, CAS_PAUSE).await?;
                    self.again().await?;
                }
                flushed.proof = Some(FlushProof::Cas);
            }
            Plan::Twice => {
                self.twice().await?;
                flushed.proof = Some(FlushProof::Twice);
            }
        }
        if self.verifies() {
            self.verify(confirmed).await?;
        }
        // Items that other clients store after mcflush has returned have to stay.
        if facts.flushes_whole_seconds() {
            self.turn(Until::StoresStay).await?;
        }
        Ok(())
    }

    /// Walks the hash table, and deletes the items in it.
    async fn sweep(&self, facts: &Facts, watermark: Option<u64>) -> Result<Cleared, Error> {
        let way = Way { strategy: Strategy::Hash, dialect: self.dialect().await? };
        let options = clear::ClearOptions {
            strategy: Some(Strategy::Hash),
            verify: self.verifies(),
            keep_new: self.keeps_new(),
            ..clear::ClearOptions::default()
        };
        let by_time = facts.flushes_by_time();
        let mut cleared =
            clear::sweep(self.server, &options, self.context, way, watermark, facts.instance, by_time).await;
        match cleared.error.take() {
            None => Ok(cleared),
            Some(error) => Err(error),
        }
    }

    async fn turn(&self, until: Until) -> Result<(), Error> {
        self.context.unless_stopped(self.server, turn::wait(until, self.server, self.context)).await
    }

    async fn dialect(&self) -> Result<Dialect, Error> {
        let learn = || async { Dialect::learn(&mut self.context.connect(self.server).await?).await };
        Ok(Retries::new(self.context).until_done(self.server, learn).await?.1)
    }

    /// Sends `flush_all` once more.
    async fn again(&self) -> Result<(), Error> {
        let flush = || async { self.context.connect(self.server).await?.flush_all(FlushAll::default()).await };
        Retries::new(self.context).until_done(self.server, flush).await
    }

    /// Sends `flush_all` once more after the server has noted the reads from before the first one, which make items
    /// readable again, and its clock has turned twice, so that the second one hides these items.
    async fn twice(&self) -> Result<(), Error> {
        self.turn(Until::TheFlushIsPast).await?;
        self.again().await
    }

    /// Checks that the probe is gone and, if a listing gives each key's CAS, that no older key is listed.
    async fn verify(&self, confirmed: &Confirmed) -> Result<(), Error> {
        let Some(probe) = &confirmed.probe else { return Ok(()) };
        let is_there = || async { probe.is_there(&mut self.context.connect(self.server).await?).await };
        if Retries::new(self.context).until_done(self.server, is_there).await? {
            let what = "an item stored before flush_all is still there after its OK";
            return Err(Error { server: self.server.clone(), problem: Problem::Incomplete(what.into()) });
        }
        // A sweep has its own verifying walk.
        if let (Plan::Cas, Some(watermark)) = (confirmed.plan, probe.cas()) {
            self.find_nothing_older(watermark).await?;
        }
        Ok(())
    }

    async fn find_nothing_older(&self, watermark: u64) -> Result<(), Error> {
        let dialect = self.dialect().await?;
        let strategy = dialect.strategy();
        // A cachedump also lists flushed items.
        if strategy == Strategy::Cachedump {
            return Ok(());
        }
        let count = || async {
            let mut older = Older { watermark, count: 0 };
            let mut client = self.context.connect(self.server).await?;
            let walked = listing::walk(Way { strategy, dialect }, &mut client, self.context, &mut older).await?;
            // Without a crawler, the probe alone has to suffice.
            Ok(if matches!(walked, Walked::Whole(_)) { older.count } else { 0 })
        };
        match Retries::new(self.context).until_done(self.server, count).await? {
            0 => Ok(()),
            older => {
                let what = format!("after flush_all a listing still shows {older} keys that were stored before");
                Err(Error { server: self.server.clone(), problem: Problem::Incomplete(what) })
            }
        }
    }
}

/// The error of a check that failed after the server had confirmed the flush.
fn unchecked(Error { server, problem }: Error) -> Error {
    let problem = match problem {
        // The check itself was made, and it found an old item.
        Problem::Incomplete(_) => problem,
        problem => Problem::Unchecked(Box::new(problem)),
    };
    Error { server, problem }
}

/// Counts items that were stored before the flush.
struct Older {
    watermark: u64,
    count: u64,
}

impl Visitor for Older {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        self.count += u64::from(item.cas().is_some_and(|cas| cas <= self.watermark));
        Ok(())
    }
}
