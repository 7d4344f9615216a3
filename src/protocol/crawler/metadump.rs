//! `lru_crawler metadump`: a line of metadata for each item.

use bytes::{BufMut, Bytes, BytesMut};

use super::CrawlTarget;
use crate::conversions::conversions;
use crate::protocol::line::{decimal, first_line, is_line, split_word};
use crate::protocol::percent::{PercentError, decode_percent};
use crate::protocol::scalar::Cas;

/// `lru_crawler metadump TARGET`: a [`MetadumpItem`] for each item, then `END` (upstream's text, "LRU_Crawler"; since
/// 1.4.31).
///
/// Since 1.6.43 an `OK` line comes first. An error line may replace the whole answer or its end: `BUSY` if another crawl
/// runs, `ERROR locked try again later` for a `hash` dump while the hash table grows. Do not pipeline other requests before
/// or after it. From 1.4.31 to 1.5.3 the server sends no `END`: send `version` when the dump falls silent; the first line
/// that is not an item ends the dump.
///
/// ```
/// use mcflush::protocol::{Request, crawler::{CrawlTarget, Metadump}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Metadump(Metadump { target: CrawlTarget::Hash }).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler metadump hash\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Metadump {
    /// The items to list.
    pub target: CrawlTarget,
}

impl Metadump {
    pub(in crate::protocol) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"lru_crawler metadump ");
        self.target.encode(out);
    }
}

/// A line of a metadump, kept as the server sent it:
/// `key=shop%3A1 exp=-1 la=1795448769 cas=2 fetch=no cls=1 size=66 flags=0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadumpItem(Bytes);

impl MetadumpItem {
    /// Takes a line without its LF. None if the line is not a metadump line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(in crate::protocol) fn parse(line: Bytes) -> Option<Self> {
        MetadumpLine::parse(&line).is_some().then_some(Self(line))
    }

    /// Takes a line that [`MetadumpLine::find`] found.
    pub(in crate::protocol) const fn from_line(line: Bytes) -> Self {
        Self(line)
    }

    /// The line as the server sent it, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The line, with methods for its fields.
    #[must_use]
    #[inline]
    pub fn as_line(&self) -> MetadumpLine<'_> {
        MetadumpLine(&self.0)
    }

    pub(in crate::protocol) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

conversions!(MetadumpItem, "line of a metadump", Self::as_bytes);

/// A line of a metadump, borrowed from the read buffer or from a [`MetadumpItem`].
///
/// The fields may stand in any order, and later versions may add fields (`flags=` since 1.6.24), so each method searches the
/// line for its field.
///
/// ```
/// use mcflush::protocol::{Cas, crawler::MetadumpLine};
/// let line = MetadumpLine::new(b"key=shop%3A1 exp=-1 cas=2 size=66").unwrap();
/// let mut key = bytes::BytesMut::new();
/// line.decode_key(&mut key)?;
/// assert_eq!((&key[..], line.cas(), line.size()), (&b"shop:1"[..], Some(Cas(2)), Some(66)));
/// assert_eq!((line.encoded_key(), line.field("exp")), (&b"shop%3A1"[..], Some(&b"-1"[..])));
/// # Ok::<(), mcflush::protocol::PercentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadumpLine<'a>(&'a [u8]);

impl<'a> MetadumpLine<'a> {
    /// Takes a line without its LF. None if the line is not a metadump line.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        if is_line(line) { Self::parse(line) } else { None }
    }

    fn parse(line: &'a [u8]) -> Option<Self> {
        find_key(line).map(|_| Self(line))
    }

    /// Reads the first line of a buffer, without taking it out, if the line is complete and in the usual spelling. The
    /// number is its length with its line end, in bytes.
    #[inline]
    pub(crate) fn find(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let (line, length) = first_line(buffer)?;
        match line {
            [b'k', b'e', b'y', b'=', first, .., last] if *first != b' ' && *last != b'\r' => Some((Self(line), length)),
            _ => None,
        }
    }

    /// The key, percent-encoded as the server sent it. If the line has no key: the whole line, which cannot be decoded.
    #[must_use]
    #[inline]
    pub fn encoded_key(self) -> &'a [u8] {
        find_key(self.0).unwrap_or(self.0)
    }

    /// Appends the key, decoded once, to `out`.
    ///
    /// # Errors
    /// If the key is not encoded as a server encodes keys.
    pub fn decode_key(self, out: &mut BytesMut) -> Result<(), PercentError> {
        decode_percent(find_key(self.0).ok_or(PercentError)?, out)
    }

    /// The value of the field with this name, as the server sent it: `field("la")`.
    // A field is looked for in each of millions of lines. Inlined, so that the comparison with a constant name needs no call.
    #[must_use]
    #[inline(always)]
    pub fn field(self, name: &str) -> Option<&'a [u8]> {
        let mut rest = Some(self.0);
        while let Some(text) = rest {
            let (token, after) = split_word(text);
            if let Some([b'=', value @ ..]) = token.strip_prefix(name.as_bytes()) {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// The value of the field with this name, if it is a decimal number: `number("la")`.
    #[must_use]
    #[inline(always)]
    pub fn number(self, name: &str) -> Option<u64> {
        decimal(self.field(name)?)
    }

    /// The item's CAS; 0 on a server without CAS (-C).
    #[must_use]
    pub fn cas(self) -> Option<Cas> {
        self.number("cas").map(Cas)
    }

    /// The item's size in the server's memory, in bytes: header, key and value.
    #[must_use]
    pub fn size(self) -> Option<u64> {
        self.number("size")
    }

    /// The line as the server sent it, without its LF.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The key of a metadump line, percent-encoded.
///
/// The key is nearly always the first field. If it is not, the first word must still have the form `name=value`, so that an
/// error line is never read as an item.
#[inline]
fn find_key(line: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = line.strip_prefix(b"key=") {
        return Some(split_word(rest).0).filter(|key| !key.is_empty());
    }
    let mut tokens = line.split(|&byte| byte == b' ');
    if !tokens.next()?.contains(&b'=') {
        return None;
    }
    tokens.find_map(|token| token.strip_prefix(b"key=")).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_dialect() {
        for line in [
            "key=shop%3A1 exp=-1 la=1 cas=2 fetch=no cls=1 size=66",
            "key=shop%3A1 exp=-1 la=1 cas=2 fetch=no cls=1 size=66 flags=0",
            "key=shop%3A1 exp=-1 la=1 cas=2 fetch=no cls=1 size=66 flags=0 ",
            "cas=2 new=key=x size=66 key=shop%3A1",
        ] {
            let item = MetadumpItem::new(line).unwrap();
            let item = item.as_line();
            let mut key = BytesMut::new();
            item.decode_key(&mut key).unwrap();
            assert_eq!(key, &b"shop:1"[..], "{line}");
            assert_eq!((item.cas(), item.size()), (Some(Cas(2)), Some(66)), "{line}");
        }
        let line =
            MetadumpLine::new(b"key=a exp=-1 la=007 cas=+5 cls= size=18446744073709551616 max=18446744073709551615")
                .unwrap();
        let numbers = ["exp", "la", "cas", "cls", "size", "max", "l", "flags"].map(|name| line.number(name));
        assert_eq!(numbers, [None, Some(7), None, None, None, Some(u64::MAX), None, None]);
        for unusual in ["key= a\n", "key=a\r\n", "xkey=a\n"] {
            assert_eq!(MetadumpLine::find(unusual.as_bytes()), None, "{unusual}");
        }
        for line in ["", "key=", "exp=-1 la=1", "xkey=a", "END", "ERROR key=a", "key=a\nkey=b"] {
            assert_eq!(MetadumpItem::new(line), None, "{line}");
        }
    }
}
