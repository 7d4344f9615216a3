//! The failures of a server, by kind, with advice for each.

mod advice;

use std::fmt;
use std::io;
use std::time::Duration;

#[cfg(feature = "ops")]
pub(crate) use self::advice::MORE_ROOM;
use crate::address::ServerAddr;
use crate::codec::CodecError;
use crate::protocol::binary::Status;
use crate::protocol::{ErrorReply, Escaped, Excerpt, PercentError};

/// The kind of a failure: a word that scripts can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server wants a user and a password, or does not accept the given ones.
    Auth,
    /// Another crawl holds the server's crawler.
    Busy,
    /// The deadline of the whole run passed.
    Deadline,
    /// The server was started with this command switched off.
    Disabled,
    /// The clear could not be shown to be complete.
    Incomplete,
    /// The operation was stopped before its end.
    Interrupted,
    /// An operation of this machine failed, such as writing a file.
    Io,
    /// The server sent more than a limit allows.
    Limit,
    /// The connection was lost.
    Lost,
    /// The name does not resolve.
    Name,
    /// The answer is not memcached's protocol.
    Protocol,
    /// Nothing listens at this address, or the server takes no more connections.
    Refused,
    /// The server answered with an error.
    Server,
    /// The server was silent for too long.
    Timeout,
    /// TLS failed, or one side expects it and the other does not.
    Tls,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auth => "auth",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Disabled => "disabled",
            Self::Incomplete => "incomplete",
            Self::Interrupted { .. } => "interrupted",
            Self::Io => "io",
            Self::Limit => "limit",
            Self::Lost => "lost",
            Self::Name => "name",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
        })
    }
}

/// A failure on one server. It is shown as `SERVER: KIND: what went wrong: what to do`.
///
/// The text holds what the system or the codec said, so it is enough to print. A program that acts on it finds the system's
/// or the codec's error as the [`source`](std::error::Error::source), and the details in [`Self::problem`].
///
/// ```
/// use mcflush::error::{Error, FailureKind, Problem};
/// let error = Error { server: "cache1".parse().unwrap(), problem: Problem::Incomplete("some keys are left".into()) };
/// assert_eq!(error.to_string(), "cache1:11211: incomplete: some keys are left: run it again");
/// ```
#[derive(Debug)]
pub struct Error {
    /// The server.
    pub server: ServerAddr,
    /// The problem.
    pub problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.server, self.kind(), self.problem, self.advice())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

impl Error {
    /// The kind of the failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.problem.kind()
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.problem.advice(&self.server)
    }

    /// Whether a new connection may help: the last one was refused or lost, or its dump was garbled, or the server
    /// failed for now.
    #[must_use]
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(self.kind(), FailureKind::Refused | FailureKind::Lost)
            || matches!(self.problem, Problem::Garbled { .. } | Problem::Transient { .. })
    }
}

/// What went wrong, with its details.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No server listens at this address, or the network lets no connection through.
    #[error("{what} ({0})", what = not_connected(.0))]
    Connect(#[source] io::Error),
    /// The name does not resolve.
    #[error("the name does not resolve ({0})")]
    Resolve(#[source] io::Error),
    /// A list of servers is empty.
    #[error("the list names no server")]
    EmptyList,
    /// The server was asked for the nodes of its cluster, and belongs to none.
    #[error("the server knows of no cluster")]
    NoCluster,
    /// The server was silent for too long.
    #[error("no answer for {} s during {doing}", .after.as_secs_f64())]
    Silence {
        /// What mcflush was doing.
        doing: &'static str,
        /// The longest wait allowed.
        after: Duration,
    },
    /// The connection was lost or closed.
    #[error("the connection was lost during {doing}{}", .source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default())]
    Lost {
        /// What mcflush was doing.
        doing: &'static str,
        /// The system's error; none if the peer closed the connection.
        source: Option<io::Error>,
        /// Whether proxies answer unknown commands in this way.
        like_a_proxy: bool,
    },
    /// As [`Problem::Lost`], after the flush was sent.
    #[error("the connection was lost after flush_all was sent: it is unknown whether it took effect")]
    FlushUnknown {
        /// Whether proxies answer unknown commands in this way.
        like_a_proxy: bool,
    },
    /// The answer is not memcached's protocol.
    #[error("{source} during {doing}")]
    Codec {
        /// What mcflush was doing.
        doing: &'static str,
        /// The codec's error.
        source: CodecError,
    },
    /// The server sent more than a limit allows.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The server answered with an error line.
    #[error("the server answered \"{}\" to {command}", Escaped(.reply.line()))]
    Refusal {
        /// The command.
        command: &'static str,
        /// The server's answer.
        reply: ErrorReply,
    },
    /// The server had no memory for its answer, or a proxy got none from the server behind it.
    #[error("the server failed at {command} for now, it answered \"{}\"", Escaped(.reply.line()))]
    Transient {
        /// The command.
        command: &'static str,
        /// The server's answer.
        reply: ErrorReply,
    },
    /// The server takes no more connections for now.
    #[error("the server takes no more connections (it answered \"{}\")", Escaped(.0.line()))]
    Full(ErrorReply),
    /// The server is a proxy, and does not pass a command on.
    #[error("this is memcached's built-in proxy, which does not pass {command} on to the servers behind it")]
    Proxied {
        /// The command.
        command: &'static str,
    },
    /// The server speaks the binary protocol (`-S`, `-B binary`), and no text.
    #[error("the server speaks only the binary protocol (-S, -B binary), which lists no keys")]
    BinaryOnly,
    /// An error status of the binary protocol.
    #[error("the server answered \"{words}\" ({status}) to {command}")]
    BinaryRefusal {
        /// The command.
        command: &'static str,
        /// The status.
        status: Status,
        /// The server's answer.
        words: Excerpt,
    },
    /// As [`Problem::Disabled`], for the binary protocol, which answers as it does to a failed login.
    #[error("flush_all is switched off on this server (it answered \"{0}\")")]
    FlushOff(Excerpt),
    /// The server rejects this user and password.
    #[error("the server does not accept this user and password (it answered \"{0}\")")]
    Login(Excerpt),
    /// The server (`-S`) wants a SASL login, and offers no mechanism.
    #[error("the server wants a SASL login and offers no mechanism for it")]
    NoMechanism,
    /// The server (`-S`) takes SASL logins, but not by PLAIN, the only mechanism of mcflush.
    #[error("the server offers no SASL login by PLAIN, only by \"{0}\"")]
    NoPlain(Excerpt),
    /// The server (`-Y`, `-S`) wants a user and a password first.
    #[error("the server wants a user and a password")]
    Unauthenticated,
    /// TLS failed.
    #[error("{}", Escaped(.what.as_bytes()))]
    Tls {
        /// What went wrong.
        what: String,
        /// What would work.
        cure: TlsCure,
    },
    /// A reply that cannot be the answer to this command.
    #[error("the server gave an unexpected answer to {command}")]
    Unexpected {
        /// The command.
        command: &'static str,
    },
    /// An earlier call on this connection was dropped before its answer came.
    #[error("an earlier call on this connection, {command}, did not finish, so the next answer may belong to it")]
    Unfinished {
        /// The command of that call.
        command: &'static str,
    },
    /// A line of the dump is two lines in one: servers from 1.6.19 to 1.6.43 send a part again if their reader stalls.
    #[error("the server sent a garbled line during {doing}")]
    Garbled {
        /// What mcflush was doing.
        doing: &'static str,
    },
    /// This version of memcached cannot do this, or cannot do it without harm to itself or to other clients.
    #[error("{what}")]
    Unsuited {
        /// What is missing or would be harmed.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The service does not list its keys.
    #[error("this service lists no keys (it answered \"{}\")", Escaped(.0.line()))]
    NoListing(ErrorReply),
    /// The server takes no delayed flush.
    #[error("this server takes no delayed flush (it answered \"{}\")", Escaped(.0.line()))]
    NoDelay(ErrorReply),
    /// New items cannot be told from old ones, so new items cannot be kept.
    #[error("new items cannot be told from old ones: {why}")]
    NoAge {
        /// The reason.
        why: &'static str,
    },
    /// The server cannot delete an item on the condition that it is still the listed one.
    #[error("items cannot be deleted by comparing their CAS: {why}")]
    NoCompare {
        /// The reason.
        why: &'static str,
    },
    /// The caller filters or orders items by something that the server does not report.
    #[error("the server does not report {what}")]
    Unreported {
        /// What the server does not report.
        what: &'static str,
    },
    /// The clear or flush cannot be shown to be complete on this server.
    #[error("{what}")]
    Unproven {
        /// What is unknown, and why.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// The server confirmed `flush_all`, and the check after it failed.
    #[error("flush_all was confirmed, but it is not known whether old values outlived it: {0}")]
    Unchecked(#[source] Box<Problem>),
    /// The server's answer means that this command is switched off.
    #[error("{what} is switched off on this server (it answered \"{}\")", Escaped(.reply.line()))]
    Disabled {
        /// What is switched off.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
        /// The server's answer.
        reply: ErrorReply,
    },
    /// A listing holds a key that a server would not write.
    #[error("{source}: \"{excerpt}\"")]
    BadKey {
        /// What is wrong with the key.
        source: PercentError,
        /// The beginning of the key.
        excerpt: Excerpt,
    },
    /// Other crawls held the crawler for too long.
    #[error("another crawl held the server's crawler for {} s", .after.as_secs())]
    Busy {
        /// How long mcflush waited.
        after: Duration,
    },
    /// The clear is not complete.
    #[error("{0}")]
    Incomplete(String),
    /// No command that mcflush knows can delete these keys.
    #[error(
        "{count} keys in scope cannot be deleted (over 186 bytes, with a space or line end in them, and the server does not \
         take the binary protocol), one of them is \"{example}\""
    )]
    OutOfReach {
        /// The number of keys.
        count: u64,
        /// The beginning of one of them.
        example: Excerpt,
    },
    /// The deadline of the run passed.
    #[error("the deadline passed before the end{}", if *.flush_sent { ", after flush_all was sent: it is unknown whether it took effect" } else { "" })]
    Deadline {
        /// Whether a flush had been sent.
        flush_sent: bool,
    },
    /// The operation was stopped by a signal or by its caller.
    #[error("stopped before the end{}", if *.flush_sent { ", after flush_all was sent: it is unknown whether it took effect" } else { "" })]
    Interrupted {
        /// Whether a flush had been sent.
        flush_sent: bool,
    },
    /// Listed keys could not be kept until their delete.
    #[error("listed keys could not be kept: {0}")]
    Spool(String),
    /// An operation of this machine failed.
    #[error("{doing}: {source}")]
    Local {
        /// What mcflush was doing.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// What would make TLS work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsCure {
    /// Trust the authority that signed the server's certificate.
    TrustSigner,
    /// Trust the server's certificate itself, which is an authority's.
    TrustItself,
    /// Use another host, or expect another name in its certificate.
    ExpectName,
    /// Give a name to expect in the certificate, because the address has no host name.
    NameIt,
    /// Expect the name by which the server knows itself.
    KnownName,
    /// Give a client certificate and its key.
    ClientCertificate,
    /// Give a client certificate that the server's authority has signed, and its key.
    SignedClientCertificate,
    /// Use TLS, which the server speaks.
    UseTls,
    /// Something outside the caller's power, in words.
    Other(&'static str),
}

impl TlsCure {
    const fn as_str(self) -> &'static str {
        match self {
            Self::TrustSigner => "trust the authority that signed it",
            Self::TrustItself => "trust that certificate itself, or give the server one of its own",
            Self::ExpectName => "check the host, or say which name to expect",
            Self::NameIt => "say which name to expect",
            Self::KnownName => "expect the name by which the server knows itself",
            Self::ClientCertificate => "give a client certificate and its key",
            Self::SignedClientCertificate => {
                "give a client certificate that the server's ssl_ca_cert has signed, and its key"
            }
            Self::UseTls => "connect by TLS, and trust the authority of its certificate",
            Self::Other(words) => words,
        }
    }
}

impl Problem {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Connect(_) | Self::Full(_) => FailureKind::Refused,
            Self::Resolve(_) | Self::EmptyList => FailureKind::Name,
            Self::NoCluster => FailureKind::Server,
            Self::Silence { .. } => FailureKind::Timeout,
            Self::Lost { .. } | Self::FlushUnknown { .. } => FailureKind::Lost,
            Self::Codec { source: CodecError::TooLong { .. }, .. } | Self::TooMany { .. } => FailureKind::Limit,
            Self::Codec { .. }
            | Self::Unexpected { .. }
            | Self::BadKey { .. }
            | Self::Garbled { .. }
            | Self::Unfinished { .. } => FailureKind::Protocol,
            Self::Login(_) | Self::NoMechanism | Self::NoPlain(_) | Self::Unauthenticated => FailureKind::Auth,
            Self::Tls { .. } => FailureKind::Tls,
            Self::Refusal { .. } | Self::Transient { .. } | Self::BinaryRefusal { .. } | Self::Proxied { .. } => {
                FailureKind::Server
            }
            Self::BinaryOnly
            | Self::Disabled { .. }
            | Self::FlushOff(_)
            | Self::Unsuited { .. }
            | Self::NoAge { .. }
            | Self::NoCompare { .. }
            | Self::Unreported { .. }
            | Self::NoListing(_)
            | Self::NoDelay(_) => FailureKind::Disabled,
            Self::Busy { .. } => FailureKind::Busy,
            Self::Incomplete(_) | Self::OutOfReach { .. } | Self::Unproven { .. } => FailureKind::Incomplete,
            Self::Unchecked(problem) => problem.kind(),
            Self::Deadline { .. } => FailureKind::Deadline,
            Self::Interrupted { .. } => FailureKind::Interrupted,
            Self::Spool(_) | Self::Local { .. } => FailureKind::Io,
        }
    }
}

fn not_connected(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied { "no permission to connect" } else { "cannot connect" }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_source_is_the_error_below_and_its_text_is_told() {
        let io = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let of = |problem| Error { server: "a".parse().unwrap(), problem };
        for problem in [
            Problem::BadKey { source: PercentError, excerpt: Excerpt::of(b"%zz") },
            Problem::Codec { doing: "stats", source: CodecError::Closed },
            Problem::Connect(io()),
            Problem::Local { doing: "reading", source: io() },
            Problem::Lost { doing: "stats", source: Some(io()), like_a_proxy: false },
            Problem::Resolve(io()),
            Problem::Unchecked(Box::new(Problem::Connect(io()))),
        ] {
            let error = of(problem);
            let source = error.source().expect("there is an error below").to_string();
            assert!(error.to_string().contains(&source), "{error}");
        }
        for problem in [
            Problem::Lost { doing: "stats", source: None, like_a_proxy: false },
            Problem::Spool("no room".into()),
            Problem::Unauthenticated,
        ] {
            assert!(of(problem).source().is_none());
        }
        let error = of(Problem::Connect(io()));
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn errors_go_anywhere() {
        fn goes_anywhere<E: std::error::Error + Send + Sync + 'static>() {}
        goes_anywhere::<Error>();
        goes_anywhere::<Problem>();
        goes_anywhere::<CodecError>();
        goes_anywhere::<crate::address::AddressError>();
        goes_anywhere::<crate::protocol::KeyError>();
        goes_anywhere::<crate::protocol::ValueError>();
        goes_anywhere::<PercentError>();
        #[cfg(feature = "tls")]
        goes_anywhere::<crate::connection::tls::TrustError>();
        #[cfg(feature = "ops")]
        goes_anywhere::<crate::scope::PrefixError>();
        #[cfg(feature = "ops")]
        goes_anywhere::<crate::scope::GlobError>();
        #[cfg(feature = "ops")]
        goes_anywhere::<crate::ops::keys::ReceiverGone>();
    }
}
