//! A command with the type of its answer, and the replies received so far.

use crate::error::Problem;
use crate::protocol::admin::{CacheMemlimit, FlushAll, Verbosity};
use crate::protocol::item::{Arithmetic, Delete, Touch};
use crate::protocol::storage::Store;
use crate::protocol::{ErrorKind, Key, Meaning, Reply, Request};

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
    pub(super) fn of_one(name: &'static str, request: Request, read: Read<A>) -> Self {
        Self::of_many(name, request, 0, read)
    }

    /// A call whose answer has at most `parts_max` replies before its last.
    pub(super) fn of_many(name: &'static str, request: Request, parts_max: usize, read: Read<A>) -> Self {
        let quiet = match &request {
            request if !request.is_quiet() => Quiet::No,
            Request::MetaArithmetic(_) | Request::MetaDelete(_) | Request::MetaGet(_) | Request::MetaSet(_) => {
                Quiet::Meta
            }
            _ => Quiet::Noreply,
        };
        let has_data = matches!(request, Request::Store(_) | Request::MetaSet(_));
        Self { request, asked: OpenCall { name, parts_max, only: None, quiet, has_data }, read }
    }

    /// Accepts only values of this key as an answer.
    pub(super) fn of_key(mut self, key: Key) -> Self {
        self.asked.only = Some(key);
        self
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
            Heard::Said { last, .. } => Err(Box::new(last)),
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

/// The replies of an answer received so far.
#[derive(Debug, Default)]
pub(super) enum Heard {
    /// No reply yet, or none at all.
    #[default]
    Nothing,
    /// These replies, in order.
    Said { parts: Vec<Reply>, last: Reply },
}

impl Heard {
    /// The reply of an answer that has only one.
    pub(super) fn one(self) -> Result<Reply, Other> {
        match self {
            Self::Said { last, .. } => Ok(last),
            // Only a quiet command ends without a reply, and this is not called for one.
            Self::Nothing => Err(Box::new(Reply::Blank)),
        }
    }
}

/// The state of a command while its answer arrives.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub name: &'static str,
    parts_max: usize,
    only: Option<Key>,
    pub quiet: Quiet,
    /// Whether the request has a data block, which a server that refuses its line may read as commands.
    pub has_data: bool,
}

impl OpenCall {
    /// How many parts to reserve room for.
    pub(super) const fn parts_likely(&self) -> usize {
        if self.parts_max < 1024 { self.parts_max } else { 0 }
    }

    /// Adds a part of the answer to the earlier ones.
    pub(super) fn part(&self, parts: &mut Vec<Reply>, reply: Reply) -> Result<(), Problem> {
        if let (Some(key), Reply::Value(value)) = (&self.only, &reply)
            && value.key() != key.as_bytes()
        {
            return Err(Problem::Unexpected { command: self.name });
        }
        match reply {
            // Copied, so that a few short lines do not keep the whole read buffer in memory.
            Reply::Stat(stat) => parts.push(Reply::Stat(stat.detached())),
            Reply::Prefix(prefix) => parts.extend(prefix.counts().into_iter().flatten().map(Reply::Stat)),
            reply => parts.push(reply),
        }
        if parts.len() > self.parts_max {
            return Err(Problem::TooMany { what: "replies in one answer", limit: self.parts_max });
        }
        Ok(())
    }

    /// Whether the connection may be out of step after this answer: a server that refuses the line of a request with
    /// data may read the data as commands. A `SERVER_ERROR` (such as `object too large`) comes after the data was read.
    pub(super) fn leaves_data_behind(&self, reply: &Reply) -> bool {
        self.has_data && matches!(reply, Reply::Error(error) if error.kind() != ErrorKind::Server)
    }

    /// Turns the replies into the answer.
    pub(super) fn read<A>(&self, heard: Heard, read: Read<A>) -> Result<A, Problem> {
        match heard {
            Heard::Said { last: last @ Reply::Error(_), .. } => Err(refusal(self.name, last)),
            heard => read(heard).map_err(|reply| refusal(self.name, *reply)),
        }
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
