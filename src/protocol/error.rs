//! What a server says in place of an answer.

use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::take_till1;
use nom::combinator::{map_opt, rest};
use nom::sequence::terminated;

use super::line::{is_line, whole};
use crate::conversions::conversions;

/// What a server says in place of an answer. Decide by the kind, never by the text: it differs between versions, and an
/// older server says `ERROR` where a newer one says `CLIENT_ERROR bad command line format`.
///
/// ```
/// use mcflush::protocol::{ErrorKind, ErrorReply};
/// let error = ErrorReply::new("ERROR: shutdown not enabled").unwrap();
/// assert_eq!((error.kind(), &error.line()[..]), (ErrorKind::Error, &b"ERROR: shutdown not enabled"[..]));
/// assert_eq!(ErrorReply::new("STORED"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    kind: ErrorKind,
    line: Bytes,
}

/// The kinds of error lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `ERROR`, with or without text: the command is unknown, switched off, or cannot be done now.
    Error,
    /// `CLIENT_ERROR …`.
    Client,
    /// `SERVER_ERROR …`.
    Server,
    /// `BUSY …`: another crawl runs, or another page is moved.
    Busy,
    /// `BADCLASS …`: no such slab class.
    BadClass,
    /// `NOTSTARTED …`: the crawl found nothing to walk.
    NotStarted,
    /// `SAME …`: the two slab classes are the same.
    Same,
    /// `NOSPARE …`: the slab class has no page to give.
    NoSpare,
    /// `NOTFULL …`: the slab class needs no page.
    NotFull,
    /// `UNSAFE …`: the slab class cannot give a page now.
    Unsafe,
    /// `MEMLIMIT_TOO_SMALL …`: below 8 MiB.
    MemlimitTooSmall,
    /// `MEMLIMIT_ADJUST_FAILED …`.
    MemlimitAdjustFailed,
    /// `WATCHER_TOO_MANY …`.
    WatcherTooMany,
    /// `WATCHER_FAILED …`.
    WatcherFailed,
}

impl ErrorKind {
    const WORDS: [(&'static [u8], Self); 15] = [
        (b"ERROR", Self::Error),
        (b"CLIENT_ERROR", Self::Client),
        (b"SERVER_ERROR", Self::Server),
        // What `refresh_certs` says: "Error TLS not enabled".
        (b"Error", Self::Error),
        (b"BUSY", Self::Busy),
        (b"BADCLASS", Self::BadClass),
        (b"NOTSTARTED", Self::NotStarted),
        (b"SAME", Self::Same),
        (b"NOSPARE", Self::NoSpare),
        (b"NOTFULL", Self::NotFull),
        (b"UNSAFE", Self::Unsafe),
        (b"MEMLIMIT_TOO_SMALL", Self::MemlimitTooSmall),
        (b"MEMLIMIT_ADJUST_FAILED", Self::MemlimitAdjustFailed),
        (b"WATCHER_TOO_MANY", Self::WatcherTooMany),
        (b"WATCHER_FAILED", Self::WatcherFailed),
    ];

    fn named(word: &[u8]) -> Option<Self> {
        Self::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, kind)| kind)
    }

    /// Whether any request can be answered so; the others refuse a request for the whole server.
    #[must_use]
    pub const fn answers_anything(self) -> bool {
        matches!(self, Self::Error | Self::Client | Self::Server)
    }
}

/// What an error line means for what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// The server cannot do it now; another try may succeed on the same connection.
    Taken,
    /// The server takes no more connections; a later one may be taken.
    Full,
    /// The server had no memory for this answer, or a proxy got none from the server behind it: another try may succeed.
    Transient,
    /// The server wants user and password first.
    Login,
    /// The server knows the command and was told not to do it.
    Off,
    /// A proxy answered that does not pass the command on.
    Proxy,
    /// The server does not know the command, or does not want it so.
    Refused,
}

/// What the words of an error line mean, where they are enough: in the order in which they are looked for, with the source
/// of each. Whatever is not here is [`Meaning::Refused`].
const MEANINGS: [(&[u8], Meaning); 21] = [
    // memcached.c, with maxconns_fast: the answer to the first command of a connection that is one too many.
    (b"Too many open connections", Meaning::Full),
    // crawler.c: another crawl runs; from 1.6.28 on the hash table grows.
    (b"BUSY", Meaning::Taken),
    (b"locked", Meaning::Taken),
    // memcached.c: the buffers of a connection, such as those that statistics are written into.
    (b"out of memory writing", Meaning::Transient),
    (b"out of memory reading", Meaning::Transient),
    (b"Out of memory during read", Meaning::Transient),
    // proto_proxy.c: the server behind the built-in proxy, and the proxy's own limits.
    (b"SERVER_ERROR backend failure", Meaning::Transient),
    (b"SERVER_ERROR active request limit reached", Meaning::Transient),
    // mcrouter: what it makes of a server behind it that is down, slow or busy.
    (b"SERVER_ERROR timeout", Meaning::Transient),
    (b"SERVER_ERROR connection ", Meaning::Transient),
    (b"SERVER_ERROR 307 busy", Meaning::Transient),
    (b"SERVER_ERROR 302 try again", Meaning::Transient),
    // twemproxy: the system's words for what became of its connection to the server.
    (b"SERVER_ERROR Connection ", Meaning::Transient),
    // proto_text.c and authfile.c, with -Y.
    (b"CLIENT_ERROR unauthenticated", Meaning::Login),
    // proxy_request.c of 1.6.38: a command that its proxy does not parse.
    (b"CLIENT_ERROR parsing request", Meaning::Proxy),
    // mcrouter, without --enable-flush-cmd, and for commands that it does not route.
    (b"SERVER_ERROR Command disabled", Meaning::Proxy),
    (b"Command not supported", Meaning::Proxy),
    // proto_text.c: -F, -X, and the crawler.
    (b"not allowed", Meaning::Off),
    (b"disabled", Meaning::Off),
    (b"not enabled", Meaning::Off),
    // Services that forbid a command by policy.
    (b"not permitted", Meaning::Off),
];

impl ErrorReply {
    /// What it means for what is done next, by its words: those of memcached, of proxies and of services.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let has = |words: &[u8]| memchr::memmem::find(&self.line, words).is_some();
        MEANINGS.iter().find(|(words, _)| has(words)).map_or(Meaning::Refused, |(_, meaning)| *meaning)
    }

    /// Takes a line (without its end); None when it begins with none of the words.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(&line) } else { None }
    }

    /// Whose fault the server thinks it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole line as it came, without its end.
    #[must_use]
    pub const fn line(&self) -> &Bytes {
        &self.line
    }

    /// The word ends where the line does, at a space, or at a colon (`ERROR: shutdown not enabled`).
    pub(super) fn parse(line: &Bytes) -> Option<Self> {
        let kind = map_opt(take_till1(|byte| matches!(byte, b' ' | b':')), ErrorKind::named);
        whole(terminated(kind, rest), line).map(|kind| Self { kind, line: line.clone() })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.line);
    }
}

conversions!(ErrorReply, "error line", Self::line);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        for (line, meaning) in [
            ("ERROR Too many open connections", Meaning::Full),
            ("BUSY currently processing crawler request", Meaning::Taken),
            ("ERROR locked try again later", Meaning::Taken),
            ("CLIENT_ERROR unauthenticated", Meaning::Login),
            ("CLIENT_ERROR parsing request", Meaning::Proxy),
            ("SERVER_ERROR Command disabled", Meaning::Proxy),
            ("SERVER_ERROR Command not supported", Meaning::Proxy),
            ("CLIENT_ERROR flush_all not allowed", Meaning::Off),
            ("ERROR metadump not allowed", Meaning::Off),
            ("CLIENT_ERROR lru crawler disabled", Meaning::Off),
            ("ERROR", Meaning::Refused),
            ("CLIENT_ERROR bad command line format", Meaning::Refused),
            ("SERVER_ERROR out of memory writing stats", Meaning::Transient),
            ("SERVER_ERROR backend failure", Meaning::Transient),
            ("SERVER_ERROR connection timeout", Meaning::Transient),
            ("SERVER_ERROR Connection refused", Meaning::Transient),
            ("SERVER_ERROR 307 busy", Meaning::Transient),
            ("SERVER_ERROR object too large for cache", Meaning::Refused),
            ("SERVER_ERROR out of memory storing object", Meaning::Refused),
        ] {
            assert_eq!(ErrorReply::new(line).unwrap().meaning(), meaning, "{line}");
        }
    }

    #[test]
    fn lines() {
        for (line, kind) in [
            ("ERROR", Some(ErrorKind::Error)),
            ("ERROR metadump not allowed", Some(ErrorKind::Error)),
            ("ERROR: shutdown not enabled", Some(ErrorKind::Error)),
            ("Error TLS not enabled", Some(ErrorKind::Error)),
            ("SERVER_ERROR: shutdown not enabled", Some(ErrorKind::Server)),
            ("CLIENT_ERROR bad data chunk", Some(ErrorKind::Client)),
            ("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m", Some(ErrorKind::MemlimitTooSmall)),
            ("ERRORS", None),
            ("error", None),
            ("", None),
        ] {
            assert_eq!(ErrorReply::new(line).map(|error| error.kind), kind, "{line}");
        }
    }
}
