//! `lru_crawler mgdump`: the raw key of each item.

use bytes::{BufMut, Bytes, BytesMut};

use super::CrawlTarget;
use crate::conversions::conversions;
use crate::protocol::key::{BinaryKey, KEY_MAX};
use crate::protocol::line::{first_line, is_line, split_word};

/// `lru_crawler mgdump TARGET`: an [`MgdumpItem`] for each item, then `EN` (since 1.6.19). The server prints keys raw: a
/// key with a newline (stored through the binary protocol) forges lines and the end. Never delete by this listing.
///
/// ```
/// use mcflush::protocol::{Request, crawler::{CrawlTarget, Mgdump}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Mgdump(Mgdump { target: CrawlTarget::All }).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler mgdump all\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Mgdump {
    /// The items to list.
    pub target: CrawlTarget,
}

impl Mgdump {
    pub(in crate::protocol) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"lru_crawler mgdump ");
        self.target.encode(out);
    }
}

/// A line of an mgdump, kept as the server sent it: `mg KEY`, or `mg BASE64 b`. The server prints the key raw; it may be any
/// text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MgdumpItem(Bytes);

impl MgdumpItem {
    /// Takes a line without its line end. None if the line is not an mgdump line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(in crate::protocol) fn parse(line: Bytes) -> Option<Self> {
        MgdumpLine::parse(&line).is_some().then_some(Self(line))
    }

    /// Takes a line that [`MgdumpLine::find`] found.
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
    pub fn as_line(&self) -> MgdumpLine<'_> {
        MgdumpLine(&self.0)
    }

    pub(in crate::protocol) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

conversions!(MgdumpItem, "line of an mgdump", Self::as_bytes);

/// A line of an mgdump, borrowed from the read buffer or from an [`MgdumpItem`].
///
/// ```
/// use mcflush::protocol::crawler::MgdumpLine;
/// let line = MgdumpLine::new(b"mg AAECIA0K b").unwrap();
/// let mut key = bytes::BytesMut::new();
/// assert!(line.decode_key(&mut key));
/// assert_eq!(&key[..], b"\0\x01\x02 \r\n");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MgdumpLine<'a>(&'a [u8]);

impl<'a> MgdumpLine<'a> {
    /// Takes a line without its line end. None if the line is not an mgdump line.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        if is_line(line) { Self::parse(line) } else { None }
    }

    #[inline]
    fn parse(line: &'a [u8]) -> Option<Self> {
        (line.len() > 3 && line.starts_with(b"mg ")).then_some(Self(line))
    }

    /// Reads the first line of a buffer, without taking it out, if the line is complete and in the usual spelling. The
    /// number is its length with its line end, in bytes.
    #[inline]
    pub(crate) fn find(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let (line, length) = first_line(buffer)?;
        Some((Self::parse(line.strip_suffix(b"\r")?)?, length))
    }

    fn words(self) -> &'a [u8] {
        match self.0 {
            [b'm', b'g', b' ', words @ ..] => words,
            line => line,
        }
    }

    /// The key as it stands in the line: up to the first space.
    #[must_use]
    pub fn key(self) -> &'a [u8] {
        split_word(self.words()).0
    }

    /// The flags after the key: `b` if the key is base64.
    ///
    /// ```
    /// use mcflush::protocol::crawler::MgdumpLine;
    /// assert_eq!(MgdumpLine::new(b"mg AAEC b").unwrap().flags(), b"b");
    /// assert_eq!(MgdumpLine::new(b"mg shop:1").unwrap().flags(), b"");
    /// ```
    #[must_use]
    pub fn flags(self) -> &'a [u8] {
        // No flags follow a raw key.
        split_word(self.words()).1.unwrap_or(b"")
    }

    /// Appends the key as the server stores it to `out`. False if the line has the flag `b` but the key is not base64.
    pub fn decode_key(self, out: &mut BytesMut) -> bool {
        if self.flags() != b"b" {
            out.put_slice(self.key());
            return true;
        }
        let mut decoded = [0; KEY_MAX];
        let Some(key) = BinaryKey::decode_base64(self.key(), &mut decoded) else { return false };
        out.put_slice(key);
        true
    }

    /// The line as the server sent it, without its line end.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mgdump_line_is_taken_as_it_is() {
        for (line, key, flags) in [
            ("mg shop:1", &b"shop:1"[..], &b""[..]),
            ("mg AAECIA0K b", b"AAECIA0K", b"b"),
            ("mg two words", b"two", b"words"),
            ("mg  x", b"", b"x"),
        ] {
            let line = MgdumpLine::new(line.as_bytes()).unwrap();
            assert_eq!((line.key(), line.flags()), (key, flags), "{line:?}");
        }
        for line in ["mg", "mg ", "md a", "EN", "mg a\nEN"] {
            assert_eq!(MgdumpItem::new(line), None, "{line}");
        }
        let decoded = |line: &[u8]| {
            let mut key = BytesMut::new();
            MgdumpLine::new(line).unwrap().decode_key(&mut key).then_some(key)
        };
        assert_eq!(decoded(b"mg shop:1").as_deref(), Some(&b"shop:1"[..]));
        assert_eq!(decoded(b"mg AAE= b").as_deref(), Some(&b"\0\x01"[..]));
        assert_eq!(decoded(b"mg AAE! b"), None);
        let of_length = |length| decoded(&[b"mg ", &b"A".repeat(length)[..], b" b"].concat());
        assert_eq!(of_length(248).map(|key| key.len()), Some(186));
        assert_eq!(of_length(252), None, "no server stores a key of this length");
    }
}
