//! Commands for the whole server: `flush_all`, `version`, `verbosity`, `cache_memlimit`, `shutdown`; `quit` and
//! `refresh_certs` take no words and need no type.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::{opt, rest};
use nom::sequence::{preceded, terminated};

use super::line::{Parsed, digits, is_line, keyword, noreply, number, put_decimal, put_noreply, whole};
use super::scalar::Exptime;
use crate::conversions::conversions;

/// `flush_all [delay] [noreply]`: everything stored before now (or before the delay is over) is gone. Lazy on the server:
/// memory and `curr_items` fall only when the items are met. Answered by `OK`, or with `-F` by
/// `CLIENT_ERROR flush_all not allowed` (upstream's text, "Other commands").
///
/// A second one replaces a delayed one that is pending. With `noreply` a server with `-F` stays silent too, so that
/// silence proves nothing.
///
/// ```
/// use mcflush::protocol::{Request, admin::FlushAll};
/// let mut wire = bytes::BytesMut::new();
/// Request::FlushAll(FlushAll { delay: Some(30.into()), noreply: false }).encode(&mut wire);
/// assert_eq!(wire, &b"flush_all 30\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct FlushAll {
    /// Seconds to wait, or a date. None sends no delay.
    pub delay: Option<Exptime>,
    /// No answer.
    pub noreply: bool,
}

impl FlushAll {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        (opt(Exptime::parse), noreply).map(|(delay, noreply)| Self { delay, noreply }).parse(words)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_slice(b"flush_all");
        if let Some(delay) = self.delay {
            out.put_u8(b' ');
            delay.encode(out);
        }
        put_noreply(out, self.noreply);
    }
}

/// `verbosity LEVEL [noreply]`: how much the server logs. Answered by `OK` (upstream's text, "Other commands").
///
/// ```
/// use mcflush::protocol::{Request, admin::Verbosity};
/// let mut wire = bytes::BytesMut::new();
/// Request::Verbosity(Verbosity { level: 1, noreply: false }).encode(&mut wire);
/// assert_eq!(wire, &b"verbosity 1\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Verbosity {
    /// 0 is nothing.
    pub level: u32,
    /// No answer, unless it is an error.
    pub noreply: bool,
}

impl Verbosity {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        (number, noreply).map(|(level, noreply)| Self { level, noreply }).parse(words)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_slice(b"verbosity ");
        put_decimal(out, self.level);
        put_noreply(out, self.noreply);
    }
}

/// `cache_memlimit MEGABYTES [noreply]`: how much memory items may take. Answered by `OK`, `MEMLIMIT_TOO_SMALL` or
/// `MEMLIMIT_ADJUST_FAILED` (upstream's text, "Other commands").
///
/// ```
/// use mcflush::protocol::{Request, admin::CacheMemlimit};
/// let mut wire = bytes::BytesMut::new();
/// Request::CacheMemlimit(CacheMemlimit { megabytes: 128, noreply: false }).encode(&mut wire);
/// assert_eq!(wire, &b"cache_memlimit 128\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct CacheMemlimit {
    /// In MiB; 8 at least.
    pub megabytes: u32,
    /// No answer, unless it is an error.
    pub noreply: bool,
}

impl CacheMemlimit {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        (number, noreply).map(|(megabytes, noreply)| Self { megabytes, noreply }).parse(words)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_slice(b"cache_memlimit ");
        put_decimal(out, self.megabytes);
        put_noreply(out, self.noreply);
    }
}

/// How a server that was started with `-A` goes down at `shutdown`; any other refuses, each version in its own words.
///
/// ```
/// use mcflush::protocol::{Request, admin::Shutdown};
/// let mut wire = bytes::BytesMut::new();
/// Request::Shutdown(Shutdown::Graceful).encode(&mut wire);
/// assert_eq!(wire, &b"shutdown graceful\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum Shutdown {
    /// `shutdown`: at once.
    Now,
    /// `shutdown graceful` (since 1.6.9): the connections are closed first, and with `-e` the items are kept.
    Graceful,
}

impl Shutdown {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        opt(keyword("graceful")).map(|word| if word.is_some() { Self::Graceful } else { Self::Now }).parse(words)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_slice(match self {
            Self::Now => b"shutdown",
            Self::Graceful => b"shutdown graceful",
        });
    }
}

/// What a server says of its version: `1.6.18`, or whatever a relative of memcached answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion(Bytes);

impl ServerVersion {
    /// Takes what can stand behind `VERSION `; None when it does not fit a line, or begins with a space.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Option<Self> {
        let text = text.into();
        (is_line(&text) && !text.starts_with(b" ")).then_some(Self(text))
    }

    /// As it came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The version as three numbers, when it looks like memcached's own. What follows them (`1.6.0-rc1`) is not read.
    ///
    /// ```
    /// use mcflush::protocol::admin::ServerVersion;
    /// assert_eq!(ServerVersion::new("1.6.18").unwrap().numbers(), Some([1, 6, 18]));
    /// assert_eq!(ServerVersion::new("x").unwrap().numbers(), None);
    /// ```
    #[must_use]
    pub fn numbers(&self) -> Option<[u32; 3]> {
        let part = || terminated(digits, tag("."));
        let numbers = terminated((part(), part(), digits), rest);
        whole(numbers, &self.0).map(|(major, minor, patch)| [major, minor, patch])
    }

    /// `VERSION TEXT`
    pub(super) fn parse(line: &Bytes) -> Option<Self> {
        whole(preceded(keyword("VERSION"), rest), line).and_then(|text| Self::new(line.slice_ref(text)))
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"VERSION ");
        out.put_slice(&self.0);
    }
}

conversions!(ServerVersion, "version", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_where_they_look_like_it() {
        for (text, numbers) in [
            ("1.6.45", Some([1, 6, 45])),
            ("1.6.0-rc1", Some([1, 6, 0])),
            ("1.6", None),
            ("1.6.", None),
            ("", None),
            ("1.6.99999999999", None),
        ] {
            assert_eq!(ServerVersion::new(text).unwrap().numbers(), numbers, "{text}");
        }
    }
}
