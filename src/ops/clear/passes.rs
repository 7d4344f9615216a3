//! Passes over listings that can miss keys, until there is evidence enough that nothing old is left.

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

/// Passes after which keys that the server hides from its listings are not waited for any more.
const HIDDEN_PASSES_MAX: u32 = 6;

/// Between passes while the server moves items to other slab pages.
const MOVING: Duration = Duration::from_millis(500);

/// Why there is a pause between passes.
const HIDDEN: &str = "a key that was read a moment ago is not listed until the server has moved it";

/// What was seen of the server's other clients.
struct OtherClients {
    /// The counters when they were last read, with this clear's own uses at that time.
    last: Option<(Activity, u64)>,
    /// Since when nobody has used an item.
    quiet_since: Instant,
}

/// What changed between two readings of the counters.
struct Changes {
    /// Another client read or stored an item, or the server does not say.
    is_used: bool,
    /// The server moved items between its LRU lists, or does not say.
    is_moved: bool,
    /// It moved items to other slab pages.
    is_rescued: bool,
    /// It is another one: what it holds, it got after the clear began.
    is_restarted: bool,
}

impl OtherClients {
    fn new(activity: Option<Activity>, own_uses: u64) -> Self {
        Self { last: activity.map(|activity| (activity, own_uses)), quiet_since: Instant::now() }
    }

    fn changes(&mut self, activity: Option<Activity>, own_uses: u64) -> Changes {
        let now = activity.map(|activity| (activity, own_uses));
        let changes = match (self.last, now) {
            (Some((before, own_before)), Some((after, own_after))) => Changes {
                is_used: after.uses.wrapping_sub(before.uses) != own_after.wrapping_sub(own_before),
                is_moved: after.moves != before.moves,
                is_rescued: after.rescued != before.rescued || after.is_rescuing || before.is_rescuing,
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
    /// The inner error: the server does not list that way.
    pub(super) async fn by_passes(&mut self) -> Result<Result<ClearProof, ErrorReply>, Error> {
        let goal = if self.shared.options.verify { VERIFIED_GOAL } else { GOAL };
        let mut others = OtherClients::new(self.activity().await?, self.own_uses());
        let mut first = Instant::now();
        let (mut hidden_passes, mut number) = (0, 0);
        // The turn of the LRU maintainer to which the last pause went on.
        let mut waited = None;
        // In the pause before a pass.
        let mut is_rescued = false;
        loop {
            let began = Instant::now();
            let was_quiet_since = others.quiet_since;
            let turns = waited.take().or(others.last.and_then(|(activity, _)| activity.turns));
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
                first = self.begin_anew(&mut others);
                continue;
            }
            is_rescued |= changes.is_rescued;
            if std::mem::take(&mut is_rescued) && self.shared.way.dialect.moves_renew_cas() {
                if self.shared.options.keep_new {
                    return Err(self.moved());
                }
                // What was moved looks new: a later mark has to tell.
                let had_watermark = self.shared.watermark.swap(0, Relaxed) > 0;
                if had_watermark && walk.matched > 0 {
                    // Any of these may be old, or none. So the passes are judged anew from the later mark on: taken for old,
                    // what is stored all the time would look like what each pass misses.
                    self.evidence = Evidence::default();
                    if number >= PASSES_MAX {
                        return Err(self.moved());
                    }
                    self.pause(MOVING, "the server moves items to other slab pages, and what it moved looks new")
                        .await?;
                    let changes = others.changes(self.activity().await?, self.own_uses());
                    is_rescued = changes.is_rescued;
                    if changes.is_restarted {
                        first = self.begin_anew(&mut others);
                    }
                    continue;
                }
                walk.older = walk.matched;
            }
            // A key that no command can name is listed every time.
            let mut old = walk.older.saturating_sub(self.shared.tally.count_out_of_reach());
            if number > 1 && self.lists_raw_keys() {
                // The pass before has looked each of them up, which removes what has expired or was flushed: by the name that
                // is listed there is no such key, as where a NUL byte cuts the name short.
                coverage.unnamed = self.shared.not_found.load(Relaxed);
                if !self.shared.looks_up_age() {
                    old = old.saturating_sub(coverage.unnamed);
                }
            }
            let is_quiet = !changes.is_used && !changes.is_moved;
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
                // The server's own moves may bring them to light.
                Verdict::Complete if hidden_passes < HIDDEN_PASSES_MAX => {
                    hidden_passes += 1;
                    APART
                }
                Verdict::Complete => return Err(self.hidden(&coverage)),
                Verdict::GiveUp => return Err(self.gave_up(&walk)),
                Verdict::Again(_) if number >= PASSES_MAX => return Err(self.gave_up(&walk)),
                Verdict::Again(wait) => wait,
            };
            if wait == Duration::ZERO {
                // Else a key that hides until its read is noted would hide from both passes.
                waited = match self.wait_for_notes(turns, HIDDEN).await {
                    Err(error) if error.kind() == FailureKind::Deadline => return Err(self.undecided("the deadline")),
                    result => result?,
                };
            } else {
                self.pause(wait, HIDDEN).await?;
                let changes = others.changes(self.activity().await?, self.own_uses());
                is_rescued = changes.is_rescued;
                if changes.is_restarted {
                    first = self.begin_anew(&mut others);
                }
            }
        }
    }

    /// Another server runs there now: its CAS begin anew, and what passes saw of the one before says nothing of it.
    fn begin_anew(&mut self, others: &mut OtherClients) -> Instant {
        self.shared.watermark.store(0, Relaxed);
        self.sample = Sample::new();
        self.evidence = Evidence::default();
        *others = OtherClients::new(others.last.map(|(activity, _)| activity), self.own_uses());
        Instant::now()
    }

    /// Whether some keys are listed as they are, by a cachedump.
    fn lists_raw_keys(&self) -> bool {
        let way = self.shared.way;
        way.strategy == Strategy::Cachedump || way.dialect.dumps() == Dumps::WithoutHeads
    }

    fn own_uses(&self) -> u64 {
        self.shared.own_uses.load(Relaxed)
    }

    /// The server's counters; none when it does not say.
    pub(super) async fn activity(&mut self) -> Result<Option<Activity>, Error> {
        match self.ask(StatsGroup::General).await {
            Ok(stats) => Ok(Activity::of(&stats)),
            Err(error) if error.kind() == FailureKind::Server => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, old: u64) {
        let (miss_rate, doubt) = (self.evidence.miss_rate(), self.evidence.doubt());
        self.shared.context.events.tell(Event::Evidence { old, miss_rate, doubt });
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
                    "the last of {PASSES_MAX} passes still listed {} keys in scope, and without a CAS (-C) those that are \
                     stored meanwhile cannot be told from old ones",
                    walk.older
                ),
                instead: "stop what stores these keys and run it again, or flush the whole instance",
            });
        }
        self.undecided(&format!("{PASSES_MAX} passes"))
    }

    /// The error of passes that ended before there was evidence enough.
    fn undecided(&self, at: &str) -> Error {
        let misses = match self.evidence.miss_rate() {
            Some(rate) if rate > 0.5 => "more than half of its keys".into(),
            Some(rate) if rate > 0.0 => format!("1 key in {:.0}", 1.0 / rate),
            _ => "an unknown part of its keys".into(),
        };
        let left = self.evidence.doubt().map_or_else(
            || "keys may be left".into(),
            |doubt| format!("at most {} may be left", count(doubt.ceil().max(1.0) as u64)),
        );
        self.shared.error(Problem::Unproven {
            what: format!("while this server is being read its listings miss {misses}: at {at}, {left}"),
            instead: "clear in a quieter moment, flush the whole instance, or run memcached 1.6.19 or later",
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

    /// The error of a server that keeps keys where its listing does not look, or lists them by another name.
    fn hidden(&self, coverage: &Coverage) -> Error {
        if coverage.hidden == 0 && !coverage.is_partial {
            let which = match coverage.unnamed {
                1 => "1 key in scope is listed by a name that no command finds, as one with a NUL byte in it is: it is left"
                    .into(),
                keys => format!(
                    "{keys} keys in scope are listed by names that no command finds, as those with a NUL byte in them are: \
                     they are left"
                ),
            };
            return self.shared.error(Problem::Unproven { what: which, instead: self.without_cachedump() });
        }
        let hidden = count(coverage.hidden.max(1));
        let (what, instead) = if self.shared.way.strategy == Strategy::Lru {
            debug_assert_eq!(self.shared.way.dialect.dumps(), Dumps::WithoutHeads, "no other dump hides keys");
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
                    "this server lists only a part of its keys (stats cachedump): about {hidden} could not be seen"
                ),
                self.without_cachedump(),
            )
        };
        self.shared.error(Problem::Unproven { what, instead })
    }

    /// What helps where a cachedump shows too little.
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

/// What ended the listing of some classes, and how much it left out; none where it ended none.
fn describe_cut(coverage: &Coverage, by: Cut) -> Option<String> {
    let cut: Vec<_> = coverage.cut.iter().filter(|class| class.by == by).collect();
    let unlisted = count(cut.iter().map(|class| class.unlisted).sum());
    let classes: Vec<_> = cut.iter().map(|class| class.class.to_string()).collect();
    let seen = format!("about {unlisted} could not be seen, and those in scope among them are left");
    Some(match (by, classes.as_slice()) {
        (_, []) => return None,
        (Cut::Limit, [class]) => format!("slab class {class} holds more keys than this server lists (2 MB): {seen}"),
        (Cut::Limit, classes) => format!(
            "{} slab classes ({}) hold more keys than this server lists (2 MB each): {seen}",
            classes.len(),
            classes.join(", ")
        ),
        (Cut::LineEnd, [class]) => format!(
            "slab class {class} holds a key with a line end in it, behind which its listing (stats cachedump) cannot be \
             read: {seen}"
        ),
        (Cut::LineEnd, classes) => format!(
            "{} slab classes ({}) hold a key with a line end in it, behind which their listing (stats cachedump) cannot be \
             read: {seen}",
            classes.len(),
            classes.join(", ")
        ),
    })
}

/// A number of keys, in words.
fn count(keys: u64) -> String {
    if keys == 1 { "1 key".into() } else { format!("{keys} keys") }
}
