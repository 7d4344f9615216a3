//! A command with the type of its answer, and the replies received so far.

use crate::error::Problem;
use crate::protocol::admin::{CacheMemlimit, FlushAll, Verbosity};
use crate::protocol::item::{Arithmetic, Delete, Touch};
use crate::protocol::retrieval::Value;
use crate::protocol::storage::Store;
use crate::protocol::{ErrorKind, Meaning, Reply, Request};

/// A command with the type of its answer, for [`Client::run`](crate::client::Client::run) and
/// [`Pipeline::push`](crate::client::Pipeline::push).
///
/// Each method of [`Client`](crate::client::Client) runs the call of the same name.
#[derive(Debug)]
pub struct Call<A> {
    pub(super) request: Request,
    pub(super) asked: OpenCall,
    pub(super) read: Read<A>,
}

/// Reads an answer. The error is a reply that does not answer the command.
pub(super) type Read<A> = fn(Heard) -> Result<A, Other>;

/// A reply that does not answer the command. On the heap, because it is rare and large.
pub(super) type Other = Box<Reply>;

impl<A> Call<A> {
    /// A call that is answered by one reply.
    #[inline]
    pub(super) fn of_one(name: &'static str, request: Request, read: Read<A>) -> Self {
        Self::of_many(name, request, 0, read)
    }

    /// A call whose answer has at most `parts_max` replies before its last.
    #[inline]
    pub(super) fn of_many(name: &'static str, request: Request, parts_max: usize, read: Read<A>) -> Self {
        let quiet = match &request {
            request if !request.is_quiet() => Quiet::No,
            Request::MetaArithmetic(_) | Request::MetaDelete(_) | Request::MetaGet(_) | Request::MetaSet(_) => {
                Quiet::Meta
            }
            _ => Quiet::Noreply,
        };
        let has_data = matches!(request, Request::Store(_) | Request::MetaSet(_));
        let gets_several = matches!(&request, Request::Retrieve(retrieve) if retrieve.keys.as_slice().len() > 1);
        Self { request, asked: OpenCall { name, parts_max, quiet, has_data, gets_several }, read }
    }
}

impl Call<()> {
    /// A command that the server does not answer. Its answer here shows only that it was sent and that no error line
    /// came in its place, not, for example, whether a `delete` found its key.
    ///
    /// It is useful in a [`Pipeline`](crate::client::Pipeline). By itself it is followed by a `version`, so that an
    /// error line is not taken for the answer to the next call.
    pub fn noreply(command: impl Noreply) -> Self {
        let (name, request) = command.into_request();
        Self::of_one(name, request, |heard| match heard {
            Heard::Nothing => Ok(()),
            heard => Err(Box::new(heard.last()?)),
        })
    }
}

/// A command that has a `noreply` form.
pub trait Noreply: sealed::Noreply {}
impl<N: sealed::Noreply> Noreply for N {}

mod sealed {
    use crate::protocol::Request;

    pub trait Noreply {
        /// The command's name, and the request with `noreply` set.
        fn into_request(self) -> (&'static str, Request);
    }
}

impl sealed::Noreply for Arithmetic {
    fn into_request(self) -> (&'static str, Request) {
        (super::arithmetic::name(self.direction), Request::Arithmetic(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for Delete {
    fn into_request(self) -> (&'static str, Request) {
        ("delete", Request::Delete(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for FlushAll {
    fn into_request(self) -> (&'static str, Request) {
        ("flush_all", Request::FlushAll(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for Store {
    fn into_request(self) -> (&'static str, Request) {
        (super::storage::name(self.verb), Request::Store(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for CacheMemlimit {
    fn into_request(self) -> (&'static str, Request) {
        ("cache_memlimit", Request::CacheMemlimit(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for Verbosity {
    fn into_request(self) -> (&'static str, Request) {
        ("verbosity", Request::Verbosity(Self { noreply: true, ..self }))
    }
}

impl sealed::Noreply for Touch {
    fn into_request(self) -> (&'static str, Request) {
        ("touch", Request::Touch(Self { noreply: true, ..self }))
    }
}

/// Whether the server answers a command only if it did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quiet {
    No,
    /// `noreply`: the server answers only with error lines.
    Noreply,
    /// `q`: the server answers with a meta line that repeats the opaque, or with error lines.
    Meta,
}

/// The replies of an answer.
#[derive(Debug, Default)]
pub(super) enum Heard {
    /// No reply: a quiet command.
    #[default]
    Nothing,
    One(Reply),
    /// The item of one key, with the `END` after it.
    Item(Value),
    /// These replies, and the last one. On the heap, because a pipeline has many answers, most of them small.
    Several(Box<(Parts, Reply)>),
}

/// The replies before the last one of an answer. Values, which are many or need to be fast, are kept as what they are.
#[derive(Debug, Default)]
pub(super) enum Parts {
    #[default]
    None,
    Value(Value),
    Values(Vec<Value>),
    Replies(Vec<Reply>),
}

impl Parts {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Value(_) => 1,
            Self::Values(values) => values.len(),
            Self::Replies(replies) => replies.len(),
        }
    }

    pub(super) fn into_replies(self) -> Vec<Reply> {
        match self {
            Self::None => Vec::new(),
            Self::Value(value) => vec![Reply::Value(value)],
            Self::Values(values) => values.into_iter().map(Reply::Value).collect(),
            Self::Replies(replies) => replies,
        }
    }

    /// Adds a reply, of `likely` ones in all. Returns a reply that does not go together with the earlier ones.
    fn push(&mut self, reply: Reply, likely: usize) -> Result<(), Other> {
        match (&mut *self, reply) {
            (Self::None, Reply::Value(value)) if likely == 1 => *self = Self::Value(value),
            (Self::None, Reply::Value(value)) => {
                let mut values = Vec::with_capacity(likely);
                values.push(value);
                *self = Self::Values(values);
            }
            (Self::None, reply) => *self = Self::Replies(vec![reply]),
            (Self::Values(values), Reply::Value(value)) => values.push(value),
            (Self::Replies(replies), reply) => replies.push(reply),
            (_, reply) => return Err(Box::new(reply)),
        }
        Ok(())
    }
}

impl Heard {
    pub(super) fn new(parts: Parts, last: Reply) -> Self {
        match (parts, last) {
            (Parts::None, reply) => Self::One(reply),
            (Parts::Value(value), Reply::End) => Self::Item(value),
            several => Self::Several(Box::new(several)),
        }
    }

    /// The last reply, or the only one.
    pub(super) fn last(self) -> Result<Reply, Other> {
        match self {
            Self::One(reply) => Ok(reply),
            Self::Item(_) => Ok(Reply::End),
            Self::Several(replies) => Ok(replies.1),
            // Only a quiet command ends without a reply, and this is not called for one.
            Self::Nothing => Err(Box::new(Reply::Blank)),
        }
    }
}

/// The state of a command while its answer arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenCall {
    pub name: &'static str,
    parts_max: usize,
    pub quiet: Quiet,
    /// Whether the request has a data block, which a server that refuses its line may read as commands.
    pub has_data: bool,
    /// Whether the request asks for the items of several keys.
    pub gets_several: bool,
}

impl OpenCall {
    /// How many parts to reserve room for.
    const fn parts_likely(&self) -> usize {
        if self.parts_max < 1024 { self.parts_max } else { 0 }
    }

    /// Adds the values of a buffer to the earlier parts: `take` takes them out of it.
    pub(super) fn values(&self, parts: &mut Parts, take: impl FnOnce(&mut Vec<Value>)) -> Result<(), Problem> {
        if let Parts::None = parts {
            *parts = Parts::Values(Vec::with_capacity(self.parts_likely()));
        }
        if let Parts::Values(values) = parts {
            take(values);
        }
        if parts.len() > self.parts_max { Err(self.too_many()) } else { Ok(()) }
    }

    const fn too_many(&self) -> Problem {
        Problem::TooMany { what: "replies in one answer", limit: self.parts_max }
    }

    /// Adds a part of the answer to the earlier ones. `key` is the key of a command that asks for one.
    pub(super) fn part(&self, key: Option<&[u8]>, parts: &mut Parts, reply: Reply) -> Result<(), Problem> {
        if let (Some(key), Reply::Value(value)) = (key, &reply)
            && value.key() != key
        {
            return Err(Problem::Unexpected { command: self.name });
        }
        if parts.len() == self.parts_max {
            return Err(self.too_many());
        }
        let likely = self.parts_likely();
        let added = match reply {
            // Copied, so that a few short lines do not keep the whole read buffer in memory.
            Reply::Stat(stat) => parts.push(Reply::Stat(stat.detached()), likely),
            Reply::Prefix(prefix) => {
                prefix.counts().into_iter().flatten().try_for_each(|stat| parts.push(Reply::Stat(stat), likely))
            }
            reply => parts.push(reply, likely),
        };
        added.map_err(|reply| refusal(self.name, *reply))
    }

    /// Whether the connection may be out of step after this answer: a server that refuses the line of a request with
    /// data may read the data as commands. A `SERVER_ERROR` (such as `object too large`) comes after the data was read.
    pub(super) fn leaves_data_behind(&self, reply: &Reply) -> bool {
        self.has_data && matches!(reply, Reply::Error(error) if error.kind() != ErrorKind::Server)
    }

    /// Turns the replies into the answer.
    pub(super) fn read<A>(&self, heard: Heard, read: Read<A>) -> Result<A, Problem> {
        let other = match heard {
            Heard::One(error @ Reply::Error(_)) => error,
            Heard::Several(replies) if matches!(replies.1, Reply::Error(_)) => replies.1,
            heard => match read(heard) {
                // Returned at once, because an answer is large and each copy of it takes time.
                Ok(answer) => return Ok(answer),
                Err(other) => *other,
            },
        };
        Err(refusal(self.name, other))
    }
}

/// The problem that a reply means for a command that it does not answer.
pub(super) fn refusal(command: &'static str, reply: Reply) -> Problem {
    match reply {
        Reply::Error(reply) => match reply.meaning() {
            Meaning::Login => Problem::Unauthenticated,
            Meaning::Full => Problem::Full(reply),
            Meaning::Transient => Problem::Transient { command, reply },
            Meaning::Off if command == "flush_all" => Problem::Disabled {
                what: "flush_all",
                instead: "start memcached without -F, or clear by prefix",
                reply,
            },
            _ => Problem::Refusal { command, reply },
        },
        _ => Problem::Unexpected { command },
    }
}
