//! What was asked and is not answered yet, and which of it a line answers.

use std::collections::VecDeque;

use crate::protocol::meta::{MetaCode, MetaVerb, ReturnFlags};
use crate::protocol::{Expect, Opaque, Quiet, Request};

/// A run of quiet requests: how many, and of which kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct QuietRun {
    /// Requests that may still say something.
    count: u64,
    /// A bit for each verb of the meta requests among them.
    verbs: u8,
    /// An ambiguous line was taken for the answer to a request that may be answered by any code yet.
    loose: bool,
}

impl QuietRun {
    const fn bit(verb: MetaVerb) -> u8 {
        match verb {
            MetaVerb::Get => 1,
            MetaVerb::Set => 2,
            MetaVerb::Delete => 4,
            MetaVerb::Arithmetic => 8,
        }
    }

    fn add(&mut self, quiet: Quiet) {
        self.count += 1;
        if let Quiet::Meta(verb) = quiet {
            self.verbs |= Self::bit(verb);
        }
    }

    /// Some quiet one of this verb may still speak.
    fn has(self, verb: MetaVerb) -> bool {
        self.count > 0 && self.verbs & Self::bit(verb) != 0
    }

    /// Some quiet one may still give a value.
    fn gives_values(self) -> bool {
        self.count > 0 && (self.loose || self.has(MetaVerb::Get) || self.has(MetaVerb::Arithmetic))
    }

    /// The codes that `q` does not hide: `EN` is what `mg` hides, and `HD` what the others hide.
    fn says(self, code: MetaCode) -> bool {
        let says = |verb| self.has(verb) && verb_says(verb, code);
        self.count > 0
            && (self.loose
                || says(MetaVerb::Get)
                || says(MetaVerb::Set)
                || says(MetaVerb::Delete)
                || says(MetaVerb::Arithmetic))
    }

    /// Behind this one, the other.
    fn join(self, other: Self) -> Self {
        Self { count: self.count + other.count, verbs: self.verbs | other.verbs, loose: self.loose || other.loose }
    }

    fn spoke(&mut self) {
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            *self = Self::default();
        }
    }
}

const fn verb_says(verb: MetaVerb, code: MetaCode) -> bool {
    match verb {
        MetaVerb::Get => matches!(code, MetaCode::Hd),
        MetaVerb::Set => matches!(code, MetaCode::Ns | MetaCode::Ex | MetaCode::Nf),
        // `q` does not hide that an item was made (`N`): seen on 1.6.38.
        MetaVerb::Arithmetic => matches!(code, MetaCode::Hd | MetaCode::Ns | MetaCode::Ex | MetaCode::Nf),
        MetaVerb::Delete => matches!(code, MetaCode::Ex | MetaCode::Nf),
    }
}

/// A request that is always answered, and the quiet ones before it.
#[derive(Debug)]
struct Awaited {
    before: QuietRun,
    expect: Expect,
    opaque: Option<Opaque>,
}

/// The kind of a line that may answer a quiet request.
pub(super) enum Line<'a> {
    Error,
    Meta(MetaCode, &'a ReturnFlags),
    /// A `VA` block.
    Value(&'a ReturnFlags),
    Other,
}

/// Whose a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A quiet request's.
    Quiet,
    /// The oldest request's that is always answered.
    Front,
}

/// What was asked and is not answered yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    entries: VecDeque<Awaited>,
    /// The quiet ones behind all of them.
    tail: QuietRun,
    /// Lines and values that have come of the oldest one's answer.
    items: u64,
}

impl InFlight {
    pub(super) fn push(&mut self, request: &Request) {
        match request.quiet() {
            Some(quiet) => self.tail.add(quiet),
            None => {
                let before = std::mem::take(&mut self.tail);
                self.entries.push_back(Awaited { before, expect: request.expect(), opaque: request.opaque().cloned() });
            }
        }
    }

    /// What answers the oldest request that is always answered.
    pub(super) fn front(&self) -> Option<Expect> {
        self.entries.front().map(|entry| entry.expect)
    }

    /// Whether some of its answer has come.
    pub(super) const fn has_begun(&self) -> bool {
        self.items > 0
    }

    fn quiet(&self) -> QuietRun {
        self.entries.front().map_or(self.tail, |entry| entry.before)
    }

    fn quiet_mut(&mut self) -> &mut QuietRun {
        match self.entries.front_mut() {
            Some(entry) => &mut entry.before,
            None => &mut self.tail,
        }
    }

    /// Whether a quiet request may still say something.
    pub(super) fn quiet_may_speak(&self) -> bool {
        self.quiet().count > 0
    }

    /// Whether a quiet `mg` or `ma` may still give a value.
    pub(super) fn quiet_may_give_values(&self) -> bool {
        self.quiet().gives_values()
    }

    /// What is being listed, when no line can be anything else's, and fewer items than this have come.
    #[inline]
    pub(super) fn lists(&self, limit: u64) -> Option<Expect> {
        let entry = self.entries.front()?;
        (entry.before.count == 0 && self.items < limit).then_some(entry.expect)
    }

    /// Lines and values that have come of the oldest one's answer.
    #[inline]
    pub(super) const fn items(&self) -> u64 {
        self.items
    }

    /// So many items have come of what is listed.
    #[inline]
    pub(super) const fn more_listed(&mut self, items: u64) {
        self.items += items;
    }

    /// Whose the line is: None when it is nobody's. `fits` says whether it can be read as an answer to the oldest request
    /// that is always answered.
    ///
    /// Where it can be either's, an error is a quiet one's as long as there are quiet ones that have not spoken: so the
    /// fence behind n quiet requests gets the n + 1st error of a server that knows none of them. A meta line is the one's
    /// whose opaque it repeats; without opaques it is taken for the answer, and what comes after it for the quiet one's,
    /// which keeps the framing and never waits for what will not come.
    pub(super) fn whose(&self, line: &Line<'_>, fits: bool) -> Option<Whose> {
        let quiet = self.quiet();
        let can_be_quiet = match line {
            Line::Error => quiet.count > 0,
            Line::Meta(code, _) => quiet.says(*code),
            Line::Value(_) => quiet.gives_values(),
            Line::Other => false,
        };
        match (can_be_quiet, fits) {
            (false, false) => None,
            (true, false) => Some(Whose::Quiet),
            (false, true) => Some(Whose::Front),
            (true, true) => Some(match line {
                Line::Meta(_, flags) | Line::Value(flags) if !self.repeats_opaque(flags) => Whose::Quiet,
                Line::Meta(..) | Line::Value(_) | Line::Other => Whose::Front,
                Line::Error => Whose::Quiet,
            }),
        }
    }

    /// Whether the reply's opaque, or its lack, is the oldest request's.
    fn repeats_opaque(&self, flags: &ReturnFlags) -> bool {
        let asked = self.entries.front().and_then(|entry| entry.opaque.as_ref()).map(Opaque::as_bytes);
        asked == flags.opaque()
    }

    /// A quiet request has spoken.
    pub(super) fn quiet_spoke(&mut self) {
        self.quiet_mut().spoke();
    }

    /// A part of the oldest one's answer has come; says how many there were.
    pub(super) fn part(&mut self) -> u64 {
        self.items += 1;
        // Answers come in order: the quiet ones before it are done.
        if let Some(entry) = self.entries.front_mut() {
            entry.before = QuietRun::default();
        }
        self.items
    }

    /// The last of the oldest one's answer has come. A meta line that a quiet request could have said as well may have been
    /// its: then one more may come.
    pub(super) fn last(&mut self, line: &Line<'_>) {
        self.items = 0;
        let Some(entry) = self.entries.pop_front() else { return };
        let could_be_quiet = match line {
            Line::Meta(code, _) => entry.before.says(*code),
            Line::Value(_) => entry.before.gives_values(),
            Line::Error | Line::Other => false,
        };
        if could_be_quiet && entry.opaque.is_none() {
            let late = QuietRun { loose: true, ..entry.before };
            *self.quiet_mut() = late.join(self.quiet());
        }
    }

    /// Whether the peer may close here: everything that is always answered is, or closes the connection.
    pub(super) fn may_close(&self) -> bool {
        self.front().is_none_or(|expect| match expect {
            Expect::Watch => self.has_begun(),
            expect => expect.ends_with_close(),
        })
    }
}
