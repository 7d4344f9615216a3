//! Passes over listings that can miss keys, until there is sufficient evidence that no old key is left.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::activity::Activity;
use super::evidence::{APART, Evidence, GOAL, PASSES_MAX, PassFindings, VERIFIED_GOAL, Verdict};
use super::lister::Walk;
use super::{ClearProof, Pass, Run, Shared};
use crate::error::{Error, FailureKind, Problem};
use crate::ops::Event;
use crate::ops::dialect::Dumps;
use crate::ops::listing::sample::Sample;
use crate::ops::listing::{Coverage, Cut, Strategy};
use crate::protocol::ErrorReply;
use crate::protocol::stats::StatsGroup;

/// After this many passes, the clear no longer waits for keys that the server hides from its listings.
const HIDDEN_PASSES_MAX: u32 = 6;

/// The pause between passes while the server moves items to other slab pages.
const MOVING: Duration = Duration::from_millis(500);

/// Why there is a pause between passes.
const HIDDEN: &str = "a key that was read a moment ago is not listed until the server has moved it";

/// What the counters show of the server's other clients.
struct OtherClients {
    /// The counters when they were last read, with this clear's own uses at that time.
    last: Option<(Activity, u64)>,
    /// When another client last used an item.
    quiet_since: Instant,
}

/// What changed between two readings of the counters.
struct Changes {
    /// Another client read or stored an item, or the server does not count that.
    is_used: bool,
    /// The server moved items between its LRU lists, or does not count that.
    is_moved: bool,
    /// The server moved items to other slab pages.
    is_rescued: bool,
    /// The server was restarted: every item that it holds was stored after the clear began.
    is_restarted: bool,
}

impl OtherClients {
    fn new(activity: Option<Activity>, own_uses: u64) -> Self {
        Self { last: activity.map(|activity| (activity, own_uses)), quiet_since: Instant::now() }
    }

    /// The run of the LRU maintainer at that time.
    fn turns(&self) -> Option<u64> {
        self.last.and_then(|(activity, _)| activity.turns)
    }

    fn changes(&mut self, activity: Option<Activity>, own_uses: u64) -> Changes {
        let now = activity.map(|activity| (activity, own_uses));
        let changes = match (self.last, now) {
            (Some((before, own_before)), Some((after, own_after))) => Changes {
                is_used: after.uses.wrapping_sub(before.uses) != own_after.wrapping_sub(own_before),
                is_moved: after.moves != before.moves,
                is_rescued: Activity::may_have_moved(Some(before), Some(after)),
                is_restarted: after.instance.is_another_than(before.instance),
            },
            _ => Changes { is_used: true, is_moved: true, is_rescued: false, is_restarted: false },
        };
        self.last = now;
        if changes.is_used {
            self.quiet_since = Instant::now();
        }
        changes
    }
}

impl Run<'_> {
    /// The inner error: the server does not list by this strategy.
    pub(super) async fn by_passes(&mut self) -> Result<Result<ClearProof, ErrorReply>, Error> {
        let goal = if self.shared.options.verify { VERIFIED_GOAL } else { GOAL };
        let mut others = OtherClients::new(self.activity().await?, self.own_uses());
        let mut first = Instant::now();
        let (mut hidden_passes, mut number) = (0, 0);
        // The run of the LRU maintainer that the last pause waited for.
        let mut waited = None;
        // Whether items were moved to other slab pages in the pause before a pass.
        let mut is_rescued = false;
        loop {
            let began = Instant::now();
            let was_quiet_since = others.quiet_since;
            let turns = waited.take().or(others.turns());
            let (mut walk, mut coverage) = match self.whole_pass().await {
                Ok(Pass::Whole(walk, coverage)) => (walk, coverage),
                Ok(Pass::Refused(reply)) => return Ok(Err(reply)),
                Err(error) if error.kind() == FailureKind::Deadline && number > 0 => {
                    return Err(self.undecided("the deadline"));
                }
                Err(error) => return Err(error),
            };
            number += 1;
            let changes = others.changes(self.activity().await?, self.own_uses());
            if changes.is_restarted {
                if number >= PASSES_MAX {
                    return Err(self.restarted_at_last());
                }
                first = self.begin_anew(&mut others);
                continue;
            }
            is_rescued |= changes.is_rescued;
            if std::mem::take(&mut is_rescued) && self.shared.way.dialect.moves_renew_cas() {
                if self.shared.options.keep_new {
                    return Err(self.moved());
                }
                // Moved items look new, so a later mark has to decide.
                let had_watermark = self.shared.watermark.swap(0, Relaxed) > 0;
                if had_watermark && walk.matched > 0 {
                    // Any of these keys may be old. Counting them all as old would count items that clients store all
                    // the time as keys that a pass missed. So the passes are judged anew, from the later mark on.
                    self.evidence = Evidence::default();
                    if number >= PASSES_MAX {
                        return Err(self.moved());
                    }
                    self.pause(MOVING, "the server moves items to other slab pages, and moved items look new").await?;
                    let changes = others.changes(self.activity().await?, self.own_uses());
                    is_rescued = changes.is_rescued;
                    if changes.is_restarted {
                        first = self.begin_anew(&mut others);
                    }
                    continue;
                }
                walk.older = walk.matched;
            }
            // Each pass lists a key that no command can name.
            let mut old = walk.older.saturating_sub(self.shared.tally.count_out_of_reach());
            if number > 1 && self.lists_raw_keys() {
                // The pass before this one looked up each of these keys, which removes expired and flushed items. No
                // item has the listed name, as if a NUL byte cut the name short.
                coverage.unnamed = self.shared.not_found.load(Relaxed);
                if !self.shared.looks_up_age() {
                    old = old.saturating_sub(coverage.unnamed);
                }
            }
            let is_quiet = !changes.is_used && !changes.is_moved && !changes.is_rescued;
            self.evidence.add(PassFindings {
                began: began.duration_since(first),
                old,
                before: self.sample.recapture(),
                is_quiet,
                is_at_rest: is_quiet && began.duration_since(was_quiet_since) >= APART,
            });
            self.tell(old);
            if old == 0 && !coverage.cut.is_empty() {
                return Err(self.cut(&coverage));
            }
            if old == 0 && coverage.is_partial {
                return Err(self.hidden(&coverage));
            }
            let wait = match self.evidence.verdict(goal, first.elapsed()) {
                Verdict::Complete if coverage.is_whole() => return Ok(Ok(ClearProof::Passes)),
                // The server may move hidden keys to where a listing shows them.
                Verdict::Complete if hidden_passes < HIDDEN_PASSES_MAX => {
                    hidden_passes += 1;
                    APART
                }
                Verdict::Complete => return Err(self.hidden(&coverage)),
                Verdict::GiveUp => return Err(self.gave_up(&walk)),
                Verdict::Again(_) if number >= PASSES_MAX => return Err(self.gave_up(&walk)),
                Verdict::Again(wait) => wait,
            };
            // Without the wait for notes, both passes could miss a key that is hidden until the server notes a read.
            if wait == Duration::ZERO {
                waited = self.notes(turns).await?;
            } else {
                let turns = others.turns();
                self.pause(wait, HIDDEN).await?;
                // A busy machine may have kept the server's LRU maintainer from running for all that time.
                waited = self.notes(turns).await?;
                let changes = others.changes(self.activity().await?, self.own_uses());
                is_rescued = changes.is_rescued;
                if changes.is_restarted {
                    first = self.begin_anew(&mut others);
                }
            }
        }
    }

    /// Begins anew after the server was restarted: its CAS begin anew, and earlier passes say nothing of its new items.
    fn begin_anew(&mut self, others: &mut OtherClients) -> Instant {
        self.shared.watermark.store(0, Relaxed);
        self.sample = Sample::new();
        self.evidence = Evidence::default();
        *others = OtherClients::new(others.last.map(|(activity, _)| activity), self.own_uses());
        Instant::now()
    }

    /// Whether a cachedump lists some keys, in raw form.
    fn lists_raw_keys(&self) -> bool {
        let way = self.shared.way;
        way.strategy == Strategy::Cachedump || way.dialect.dumps() == Dumps::WithoutHeads
    }

    fn own_uses(&self) -> u64 {
        self.shared.own_uses.load(Relaxed)
    }

    /// The server's counters; none if the server does not report them.
    pub(super) async fn activity(&mut self) -> Result<Option<Activity>, Error> {
        match self.ask(StatsGroup::General).await {
            Ok(stats) => Ok(Activity::of(&stats)),
            Err(Error { problem: Problem::Refusal { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, old: u64) {
        let (miss_rate, doubt) = (self.evidence.miss_rate(), self.evidence.doubt());
        self.shared.context.events.tell(Event::Evidence { old, miss_rate, doubt });
    }

    /// Waits until the server has noted the reads from before this run of its LRU maintainer. Returns its current run.
    async fn notes(&mut self, since: Option<u64>) -> Result<Option<u64>, Error> {
        match self.wait_for_notes(since, HIDDEN).await {
            Err(error) if error.kind() == FailureKind::Deadline => Err(self.undecided("the deadline")),
            result => result,
        }
    }

    async fn pause(&self, time: Duration, why: &'static str) -> Result<(), Error> {
        let Shared { server, context, .. } = self.shared;
        context.events.tell(Event::Waiting { why, after: time });
        match context.pause(server, time).await {
            Err(error) if error.kind() == FailureKind::Deadline => Err(self.undecided("the deadline")),
            result => result,
        }
    }

    fn gave_up(&self, walk: &Walk) -> Error {
        if let Err(out_of_reach) = self.shared.check_reachable(ClearProof::Passes) {
            return out_of_reach;
        }
        if walk.older > 0 && self.shared.watermark.load(Relaxed) == 0 {
            return self.shared.error(Problem::Unproven {
                what: format!(
                    "the last of {PASSES_MAX} passes still listed {} keys in scope, and without CAS (-C) keys that are \
                     stored meanwhile cannot be told from old ones",
                    walk.older
                ),
                instead: "stop the clients that store these keys and run it again, or flush the whole instance",
            });
        }
        self.undecided(&format!("{PASSES_MAX} passes"))
    }

    fn restarted_at_last(&self) -> Error {
        self.shared.error(Problem::Unproven {
            what: format!("the server was restarted during the last of {PASSES_MAX} passes"),
            instead: "run it again; if this happens again, find out why the server restarts, and whether the address \
                      leads to several servers in turn",
        })
    }

    /// The error of passes that ended before there was sufficient evidence.
    fn undecided(&self, at: &str) -> Error {
        let misses = describe_misses(self.evidence.miss_rate());
        let left = self.evidence.doubt().map_or_else(
            || "keys may be left".into(),
            |doubt| format!("at most {} may be left", count(doubt.ceil().max(1.0) as u64)),
        );
        self.shared.error(Problem::Unproven {
            what: format!("while clients read from this server, each listing misses {misses}: at {at}, {left}"),
            instead: "clear at a quieter time, flush the whole instance, or run memcached 1.6.19 or later",
        })
    }

    /// The error of a server that lists only a part of some slab classes.
    fn cut(&self, coverage: &Coverage) -> Error {
        let what: Vec<_> = [Cut::Limit, Cut::LineEnd].into_iter().filter_map(|by| describe_cut(coverage, by)).collect();
        let instead = if coverage.cut.iter().any(|class| class.by == Cut::LineEnd) {
            self.without_cachedump()
        } else {
            "flush the whole instance, or give the app a prefix with a version in it"
        };
        self.shared.error(Problem::Unproven { what: what.join("; "), instead })
    }

    /// The error of a server whose listing leaves keys out, or lists them under another name.
    fn hidden(&self, coverage: &Coverage) -> Error {
        if coverage.hidden == 0 && !coverage.is_partial {
            let which = match coverage.unnamed {
                1 => "1 key in scope is listed under a name that no command finds, as a key with a NUL byte is: it is left"
                    .into(),
                keys => format!(
                    "{keys} keys in scope are listed under names that no command finds, as keys with a NUL byte are: \
                     they are left"
                ),
            };
            return self.shared.error(Problem::Unproven { what: which, instead: self.without_cachedump() });
        }
        let hidden = count(coverage.hidden.max(1));
        let way = self.shared.way;
        let (what, instead) = if way.strategy == Strategy::Cachedump {
            (
                format!("this server lists only a part of its keys (stats cachedump): about {hidden} were not listed"),
                self.without_cachedump(),
            )
        } else if way.dialect.dumps() == Dumps::WithoutHeads {
            (
                format!(
                    "memcached 1.5.5 and 1.5.6 leave the newest entry of each LRU list out of their listings: at most \
                     {hidden} may be left"
                ),
                "upgrade memcached, or flush the whole instance",
            )
        } else {
            (
                format!(
                    "this server leaves keys out of its dumps, by lru_crawler tocrawl or, before 1.4.37, by -o \
                     expirezero_does_not_evict or temp_lru: at most {hidden} may be left"
                ),
                "send it \"lru_crawler tocrawl 0\", upgrade memcached, or flush the whole instance",
            )
        };
        self.shared.error(Problem::Unproven { what, instead })
    }

    /// Advice where a cachedump lists too little.
    fn without_cachedump(&self) -> &'static str {
        match self.shared.way.dialect.dumps() {
            _ if self.shared.options.strategy == Some(Strategy::Cachedump) => {
                "let mcflush choose how keys are listed, or flush the whole instance"
            }
            Dumps::Missing | Dumps::WithoutHeads => "upgrade memcached, or flush the whole instance",
            _ => "start memcached with its LRU crawler, or flush the whole instance",
        }
    }
}

/// Says which part of the keys a pass misses.
fn describe_misses(rate: Option<f64>) -> String {
    match rate {
        Some(rate) if rate > 0.5 => "more than half of its keys".into(),
        Some(rate) if rate > 0.0 => format!("1 key in {:.0}", 1.0 / rate),
        _ => "an unknown part of its keys".into(),
    }
}

/// Says which slab classes were cut in this way, and how much that left out; none if no class was.
fn describe_cut(coverage: &Coverage, by: Cut) -> Option<String> {
    let cut: Vec<_> = coverage.cut.iter().filter(|class| class.by == by).collect();
    let unlisted = count(cut.iter().map(|class| class.unlisted).sum());
    let classes: Vec<_> = cut.iter().map(|class| class.class.to_string()).collect();
    let seen = format!("about {unlisted} were not listed, and those in scope among them are left");
    Some(match (by, classes.as_slice()) {
        (_, []) => return None,
        (Cut::Limit, [class]) => format!("slab class {class} holds more keys than this server lists (2 MB): {seen}"),
        (Cut::Limit, classes) => format!(
            "{} slab classes ({}) hold more keys than this server lists (2 MB each): {seen}",
            classes.len(),
            classes.join(", ")
        ),
        (Cut::LineEnd, [class]) => format!(
            "slab class {class} holds a key with a line end in it, and its listing (stats cachedump) cannot be read \
             after that key: {seen}"
        ),
        (Cut::LineEnd, classes) => format!(
            "{} slab classes ({}) hold a key with a line end in it, and their listings (stats cachedump) cannot be read \
             after that key: {seen}",
            classes.len(),
            classes.join(", ")
        ),
    })
}

/// A number of keys, with the word.
fn count(keys: u64) -> String {
    if keys == 1 { "1 key".into() } else { format!("{keys} keys") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_part_of_the_keys_a_pass_misses() {
        for (rate, said) in [
            (Some(0.51), "more than half of its keys"),
            (Some(0.5), "1 key in 2"),
            (Some(0.01), "1 key in 100"),
            (Some(0.0), "an unknown part of its keys"),
            (None, "an unknown part of its keys"),
        ] {
            assert_eq!(describe_misses(rate), said, "{rate:?}");
        }
    }
}
