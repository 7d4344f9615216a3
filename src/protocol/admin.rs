//! Commands for the whole server: `flush_all`, `version`, `verbosity`, `cache_memlimit`, `shutdown`. `quit` and
//! `refresh_certs` have no arguments and need no type.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::{opt, rest};
use nom::sequence::{preceded, terminated};

use super::line::{Parsed, digits, is_line, keyword, noreply, number, put_decimal, put_noreply, whole};
use super::scalar::Exptime;
use crate::conversions::conversions;

/// `flush_all [delay] [noreply]`: deletes every item stored before now, or before the end of the delay. The server frees
/// the items only later, when it comes across them; until then memory and `curr_items` do not fall. Answered by `OK`, or
/// with `-F` by `CLIENT_ERROR flush_all not allowed` (upstream's text, "Other commands").
///
/// A second `flush_all` replaces one whose delay is not over. With `noreply`, a server with `-F` sends no error either: the
/// missing error does not prove that the server flushed.
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
    /// The delay in seconds, or the time of the flush. None sends no delay.
    pub delay: Option<Exptime>,
    /// `noreply`: the server sends no answer.
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
    /// The level; at 0 the server logs nothing.
    pub level: u32,
    /// `noreply`: the server answers only with an error.
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

/// `cache_memlimit MEGABYTES [noreply]`: the maximum memory for items. Answered by `OK`, `MEMLIMIT_TOO_SMALL` or
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
    /// The maximum, in MiB; at least 8.
    pub megabytes: u32,
    /// `noreply`: the server answers only with an error.
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

/// How the server exits. Only a server that was started with `-A` obeys; other servers refuse, each version in its own
/// words.
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
    /// `shutdown`: the server exits at once.
    Now,
    /// `shutdown graceful` (since 1.6.9): the server first closes its connections, and with `-e` keeps its items.
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

/// The version that a server reports: `1.6.18`, or any text from a server other than memcached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion(Bytes);

impl ServerVersion {
    /// Takes the text that follows `VERSION `. None if a line cannot carry it or if it begins with a space.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Option<Self> {
        let text = text.into();
        (is_line(&text) && !text.starts_with(b" ")).then_some(Self(text))
    }

    /// The text as the server sent it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The version as three numbers, if it has the form of memcached's own. Text after the numbers (`1.6.0-rc1`) is ignored.
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
