//! The requests in flight, and which of them a line answers.

use std::collections::VecDeque;

use crate::protocol::meta::{MetaCode, MetaVerb, ReturnFlags};
use crate::protocol::{Expect, Opaque, Quiet, Request};

/// A run of quiet requests: how many, and of which kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct QuietRun {
    /// Requests that may still be answered.
    count: u64,
    /// A bit for each verb of the meta requests among them.
    verbs: u8,
    /// An ambiguous line was assigned to the request after this run, so a request of this run may still be answered
    /// with any code.
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

    /// Whether a quiet request of this verb may still be answered.
    fn has(self, verb: MetaVerb) -> bool {
        self.verbs & Self::bit(verb) != 0
    }

    /// Whether a quiet request may still be answered with a value.
    fn gives_values(self) -> bool {
        self.loose || self.has(MetaVerb::Get) || self.has(MetaVerb::Arithmetic)
    }

    /// Whether a quiet request may still be answered with this code: `q` hides `EN` of `mg`, and `HD` of the others.
    fn says(self, code: MetaCode) -> bool {
        let says = |verb| self.has(verb) && verb_says(verb, code);
        self.loose || says(MetaVerb::Get) || says(MetaVerb::Set) || says(MetaVerb::Delete) || says(MetaVerb::Arithmetic)
    }

    /// This run followed by the other.
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
        // `q` does not hide that `N` made an item: seen on 1.6.38.
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

/// The request that a line answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A quiet request.
    Quiet,
    /// The oldest request that is always answered.
    Front,
}

/// The unanswered requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    entries: VecDeque<Awaited>,
    /// The quiet requests after all entries.
    tail: QuietRun,
    /// Lines and values received for the oldest request that is always answered.
    items: u64,
}

impl InFlight {
    #[cfg(feature = "client")]
    pub(super) fn with_capacity(requests: usize) -> Self {
        Self { entries: VecDeque::with_capacity(requests), ..Self::default() }
    }

    pub(super) fn push(&mut self, request: &Request) {
        match request.quiet() {
            Some(quiet) => self.tail.add(quiet),
            None => {
                let before = std::mem::take(&mut self.tail);
                self.entries.push_back(Awaited { before, expect: request.expect(), opaque: request.opaque().cloned() });
            }
        }
    }

    /// Adds requests after all others.
    #[cfg(feature = "client")]
    pub(super) fn append(&mut self, mut later: Self) {
        match later.entries.front_mut() {
            Some(first) => first.before = std::mem::take(&mut self.tail).join(first.before),
            None => later.tail = std::mem::take(&mut self.tail).join(later.tail),
        }
        self.entries.append(&mut later.entries);
        self.tail = later.tail;
    }

    /// The kind of answer to the oldest request that is always answered.
    pub(super) fn front(&self) -> Option<Expect> {
        self.entries.front().map(|entry| entry.expect)
    }

    /// Whether a part of its answer has come.
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

    /// Whether a quiet request may still be answered.
    pub(super) fn quiet_may_speak(&self) -> bool {
        self.quiet().count > 0
    }

    /// Whether a quiet `mg` or `ma` may still be answered with a value.
    pub(super) fn quiet_may_give_values(&self) -> bool {
        self.quiet().gives_values()
    }

    /// What is being listed, if every line belongs to the listing and fewer items than `limit` have come.
    #[inline]
    pub(super) fn lists(&self, limit: u64) -> Option<Expect> {
        let entry = self.entries.front()?;
        (entry.before.count == 0 && self.items < limit).then_some(entry.expect)
    }

    /// Lines and values received for the oldest request that is always answered.
    #[inline]
    pub(super) const fn items(&self) -> u64 {
        self.items
    }

    /// Counts items of a listing.
    #[inline]
    pub(super) const fn more_listed(&mut self, items: u64) {
        self.items += items;
    }

    /// The request that the line answers; `None` if it answers none. `fits` tells whether the line can answer the
    /// oldest request that is always answered.
    ///
    /// If it can answer either, an error is assigned to a quiet request as long as one is unanswered: so the fence
    /// after n quiet requests gets error number n + 1 of a server that knows none of them. A meta line is assigned by
    /// its opaque. Without opaques it is assigned to the request that is always answered, and later lines to the quiet
    /// ones: this keeps the framing right, and never waits for a line that will not come.
    pub(super) fn owner_of(&self, line: &Line<'_>, fits: bool) -> Option<Owner> {
        let quiet = self.quiet();
        let can_be_quiet = match line {
            Line::Error => quiet.count > 0,
            Line::Meta(code, _) => quiet.says(*code),
            Line::Value(_) => quiet.gives_values(),
            Line::Other => false,
        };
        match (can_be_quiet, fits) {
            (false, false) => None,
            (true, false) => Some(Owner::Quiet),
            (false, true) => Some(Owner::Front),
            (true, true) => Some(match line {
                Line::Meta(_, flags) | Line::Value(flags) if !self.repeats_opaque(flags) => Owner::Quiet,
                Line::Meta(..) | Line::Value(_) | Line::Other => Owner::Front,
                Line::Error => Owner::Quiet,
            }),
        }
    }

    /// Whether the reply's opaque, or the lack of one, matches the oldest request that is always answered.
    fn repeats_opaque(&self, flags: &ReturnFlags) -> bool {
        let asked = self.entries.front().and_then(|entry| entry.opaque.as_ref()).map(Opaque::as_bytes);
        asked == flags.opaque()
    }

    /// Counts an answer to a quiet request.
    pub(super) fn quiet_spoke(&mut self) {
        self.quiet_mut().spoke();
    }

    /// Counts a part of the answer to the oldest request; returns the number of parts.
    pub(super) fn part(&mut self) -> u64 {
        self.items += 1;
        // Answers come in order: the quiet requests before it will not be answered any more.
        if let Some(entry) = self.entries.front_mut() {
            entry.before = QuietRun::default();
        }
        self.items
    }

    /// Ends the answer to the oldest request. A meta line may have answered a quiet request instead: then one more line
    /// may come.
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

    /// Whether the peer may close the connection now: every request that is always answered was answered, or is
    /// answered by the close.
    pub(super) fn may_close(&self) -> bool {
        self.front().is_none_or(|expect| match expect {
            Expect::Watch => self.has_begun(),
            expect => expect.ends_with_close(),
        })
    }
}
