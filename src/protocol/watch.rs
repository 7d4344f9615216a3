//! `watch`: the connection becomes a stream of log lines.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::combinator::map_opt;
use nom::multi::many0;

use super::line::{Parsed, Words, decimal, is_line, word};
use super::percent::{PercentError, decode_percent};
use crate::conversions::conversions;

/// A kind of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum LogStream {
    /// `connevents`: connections that open and close (since 1.6.11).
    ConnEvents,
    /// `deletions`: items that are deleted (since 1.6.22).
    Deletions,
    /// `evictions`: items that the server evicts.
    Evictions,
    /// `fetchers`: items that are looked up.
    Fetchers,
    /// `mutations`: items that are stored.
    Mutations,
    /// `proxyevents`: events of the proxy's back ends (since 1.6.13).
    ProxyEvents,
    /// `proxyreqs`: requests through the proxy.
    ProxyReqs,
    /// `proxyuser`: messages that the proxy's configuration logs.
    ProxyUser,
    /// `rawcmds`: requests as clients sent them.
    RawCmds,
    /// `sysevents`: what the server does without a request.
    SysEvents,
}

impl LogStream {
    const ALL: [Self; 10] = [
        Self::ConnEvents,
        Self::Deletions,
        Self::Evictions,
        Self::Fetchers,
        Self::Mutations,
        Self::ProxyEvents,
        Self::ProxyReqs,
        Self::ProxyUser,
        Self::RawCmds,
        Self::SysEvents,
    ];

    fn named(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == word)
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::ConnEvents => b"connevents",
            Self::Deletions => b"deletions",
            Self::Evictions => b"evictions",
            Self::Fetchers => b"fetchers",
            Self::Mutations => b"mutations",
            Self::ProxyEvents => b"proxyevents",
            Self::ProxyReqs => b"proxyreqs",
            Self::ProxyUser => b"proxyuser",
            Self::RawCmds => b"rawcmds",
            Self::SysEvents => b"sysevents",
        }
    }
}

/// `watch STREAM…`: answered by `OK`, then by a [`LogLine`] for each event, until the connection is closed (upstream's
/// text, "Watchers"; since 1.4.26). The server does not read later requests on this connection.
///
/// ```
/// use mcflush::protocol::{Request, watch::{LogStream, Watch}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Watch(Watch { streams: vec![LogStream::Mutations] }).encode(&mut wire);
/// assert_eq!(wire, &b"watch mutations\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Watch {
    /// The kinds of log lines. An empty list means fetchers.
    pub streams: Vec<LogStream>,
}

impl Watch {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        many0(map_opt(word, LogStream::named)).map(|streams| Self { streams }).parse(words)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"watch");
        for stream in &self.streams {
            out.put_u8(b' ');
            out.put_slice(stream.name());
        }
    }
}

/// A line of a watched log, kept as the server sent it: `ts=… gid=… type=item_get key=… status=found …`, or `skipped=N`.
///
/// ```
/// use mcflush::protocol::watch::LogLine;
/// let line = LogLine::new("ts=1.2 gid=7 type=item_get key=shop%3A1 status=found").unwrap();
/// let mut key = bytes::BytesMut::new();
/// line.decode_key(&mut key).unwrap()?;
/// assert_eq!((line.field("type"), &key[..]), (Some(&b"item_get"[..]), &b"shop:1"[..]));
/// assert!(line.as_bytes().starts_with(b"ts=1.2"));
/// # Ok::<(), mcflush::protocol::PercentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine(Bytes);

impl LogLine {
    /// Takes a line without its LF. None if it contains an LF.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        is_line(&line).then_some(Self(line))
    }

    /// The value of the field with this name, as the server sent it: `field("status")`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        Words(&self.0).find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// The value of the field with this name, if it is a decimal number: `number("cfd")`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        decimal(self.field(name)?)
    }

    /// Appends the key, decoded once, to `out`. None if the line has no key.
    pub fn decode_key(&self, out: &mut BytesMut) -> Option<Result<(), PercentError>> {
        Some(decode_percent(self.field("key")?, out))
    }

    /// The line as the server sent it, without its LF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

conversions!(LogLine, "line of a log", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    #[test]
    fn lines() {
        for (line, request) in [
            ("watch", Request::Watch(Watch { streams: vec![] })),
            (
                "watch fetchers deletions",
                Request::Watch(Watch { streams: vec![LogStream::Fetchers, LogStream::Deletions] }),
            ),
        ] {
            assert_eq!(Request::parse(line.into()).0, request, "{line}");
        }
        for line in ["watch nonsense", "watch fetchers nonsense"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }

    #[test]
    fn log_lines() {
        let line = LogLine::new("ts=1.2 gid=1 type=eviction key=a%20b fetch=no").unwrap();
        assert_eq!((line.field("fetch"), line.field("etch")), (Some(&b"no"[..]), None));
        assert_eq!(LogLine::new("skipped=5").unwrap().decode_key(&mut BytesMut::new()), None);
        assert_eq!(LogLine::new("key=%zz").unwrap().decode_key(&mut BytesMut::new()), Some(Err(PercentError)));
        assert_eq!(LogLine::new("two\nlines"), None);
    }
}
