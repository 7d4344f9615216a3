//! Error lines: the lines that a server sends in place of an answer.

use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::take_till1;
use nom::combinator::{map_opt, rest};
use nom::sequence::terminated;

use super::line::{is_line, whole};
use crate::conversions::conversions;

/// An error line, which a server sends in place of an answer. Decide by [`Self::meaning`] or [`Self::kind`], never by the
/// text: the text differs between versions, and an older server answers `ERROR` where a newer one answers
/// `CLIENT_ERROR bad command line format`.
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
    /// `ERROR`, with or without text: the server does not know the command, has it switched off, or cannot do it now.
    Error,
    /// `CLIENT_ERROR …`.
    Client,
    /// `SERVER_ERROR …`.
    Server,
    /// `BUSY …`: the server runs another crawl, or moves another page.
    Busy,
    /// `BADCLASS …`: the slab class does not exist.
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
    /// `MEMLIMIT_TOO_SMALL …`: the limit is below 8 MiB.
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
        // The answer to `refresh_certs` without TLS: "Error TLS not enabled".
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

    /// Whether this kind can answer any request. The other kinds answer only requests that concern the whole server.
    #[must_use]
    pub const fn answers_anything(self) -> bool {
        matches!(self, Self::Error | Self::Client | Self::Server)
    }
}

/// What an error line means for the client's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// The server cannot execute the command now; another try on the same connection may succeed.
    Taken,
    /// The server accepts no more connections now; it may accept one later.
    Full,
    /// The server had no memory for this answer, or a proxy got none from the server behind it. Another try may succeed.
    Transient,
    /// The client must first send user and password.
    Login,
    /// The server knows the command, but its configuration forbids it.
    Off,
    /// A proxy answered, and it does not pass this command on.
    Proxy,
    /// The server does not know the command, or does not accept it in this form.
    Refused,
}

/// The meanings of error lines by their words, in the order of the search, each with its source. A line that contains none
/// of these words means [`Meaning::Refused`].
const MEANINGS: [(&[u8], Meaning); 21] = [
    // memcached.c, with maxconns_fast: the answer to the first command of a connection beyond the limit.
    (b"Too many open connections", Meaning::Full),
    // crawler.c: another crawl runs; from 1.6.28 on also: the hash table grows.
    (b"BUSY", Meaning::Taken),
    (b"locked", Meaning::Taken),
    // memcached.c: no memory for a buffer of the connection, for example the one for statistics.
    (b"out of memory writing", Meaning::Transient),
    (b"out of memory reading", Meaning::Transient),
    (b"Out of memory during read", Meaning::Transient),
    // proto_proxy.c: the server behind the built-in proxy failed, or the proxy reached a limit of its own.
    (b"SERVER_ERROR backend failure", Meaning::Transient),
    (b"SERVER_ERROR active request limit reached", Meaning::Transient),
    // mcrouter: the server behind it is down, slow or busy.
    (b"SERVER_ERROR timeout", Meaning::Transient),
    (b"SERVER_ERROR connection ", Meaning::Transient),
    (b"SERVER_ERROR 307 busy", Meaning::Transient),
    (b"SERVER_ERROR 302 try again", Meaning::Transient),
    // twemproxy: the system's message about the connection to the server behind it.
    (b"SERVER_ERROR Connection ", Meaning::Transient),
    // proto_text.c and authfile.c, with -Y.
    (b"CLIENT_ERROR unauthenticated", Meaning::Login),
    // proxy_request.c of 1.6.38: the built-in proxy does not parse the command.
    (b"CLIENT_ERROR parsing request", Meaning::Proxy),
    // mcrouter: flush_all without --enable-flush-cmd, and commands that it does not route.
    (b"SERVER_ERROR Command disabled", Meaning::Proxy),
    (b"Command not supported", Meaning::Proxy),
    // proto_text.c: -F, -X, and a disabled crawler.
    (b"not allowed", Meaning::Off),
    (b"disabled", Meaning::Off),
    (b"not enabled", Meaning::Off),
    // Managed services that forbid a command by policy.
    (b"not permitted", Meaning::Off),
];

impl ErrorReply {
    /// What the line means for the client's next step, decided by the words that memcached, proxies and services use.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let has = |words: &[u8]| memchr::memmem::find(&self.line, words).is_some();
        MEANINGS.iter().find(|(words, _)| has(words)).map_or(Meaning::Refused, |(_, meaning)| *meaning)
    }

    /// Takes a line without its line end. None if the line does not begin with the word of an error line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(&line) } else { None }
    }

    /// The kind, which the line's first word gives.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole line as the server sent it, without its line end.
    #[must_use]
    pub const fn line(&self) -> &Bytes {
        &self.line
    }

    /// Reads the first word, which ends at a space, at a colon (`ERROR: shutdown not enabled`) or with the line.
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
