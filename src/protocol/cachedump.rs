//! `stats cachedump`, the old listing.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::sequence::{delimited, preceded};

use super::line::{Parsed, digits, is_line, number, put_decimal, whole};
use crate::conversions::conversions;

/// `stats cachedump CLASS LIMIT`: a [`CachedumpItem`] for some of the items of a slab class, then `END`.
///
/// The server lists only the cold LRU list, at most about 2 MB of a class, and silently skips keys that were stored as
/// base64: the listing is never complete.
///
/// ```
/// use mcflush::protocol::{Request, cachedump::Cachedump};
/// let mut wire = bytes::BytesMut::new();
/// Request::Cachedump(Cachedump { class: 1, limit: 0 }).encode(&mut wire);
/// assert_eq!(wire, &b"stats cachedump 1 0\r\n"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Cachedump {
    /// The slab class.
    pub class: u32,
    /// The maximum number of items; 0 for as many as fit.
    pub limit: u32,
}

impl Cachedump {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        (number, number).map(|(class, limit)| Self { class, limit }).parse(words)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_slice(b"stats cachedump ");
        put_decimal(out, self.class);
        out.put_u8(b' ');
        put_decimal(out, self.limit);
    }
}

/// `ITEM KEY [N b; EXP s]`, kept as the server sent it. The server prints the key raw: the key may contain spaces, and a
/// key with a newline (stored through the binary protocol) forges lines.
///
/// ```
/// use mcflush::protocol::cachedump::CachedumpItem;
/// let item = CachedumpItem::new("ITEM two words [7 b; 1795449769 s]").unwrap();
/// assert_eq!((item.key(), item.size(), item.expires()), (&b"two words"[..], 7, 1_795_449_769));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedumpItem {
    line: Bytes,
    key: Bytes,
    size: u64,
    expires: u64,
}

impl CachedumpItem {
    /// Takes a line without its line end. None if the line is not a cachedump line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(super) fn parse(line: Bytes) -> Option<Self> {
        let fields = delimited(tag("["), (digits, preceded(tag(" b; "), digits)), tag(" s]"));
        // Parsed from the end backwards, because the key may contain any text, even one that looks like the fields.
        let bracket = memchr::memrchr(b'[', line.strip_prefix(b"ITEM ")?)? + 5;
        let (size, expires) = whole(fields, line.get(bracket..)?)?;
        let key = line.get(5..bracket)?.strip_suffix(b" ").filter(|key| !key.is_empty())?;
        Some(Self { key: line.slice_ref(key), line, size, expires })
    }

    /// The key as the server printed it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value's length, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The Unix time at which the item expires. If it never expires: 0, or on old servers the server's start time.
    #[must_use]
    pub const fn expires(&self) -> u64 {
        self.expires
    }

    /// The line as the server sent it, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.line);
    }
}

conversions!(CachedumpItem, "line of a cachedump", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, key, size, expires) in [
            ("ITEM gr\u{f6}\u{df}e [1 b; 0 s]", "gr\u{f6}\u{df}e", 1, 0),
            ("ITEM two words [1 b; 2 s]", "two words", 1, 2),
            ("ITEM x [1 b; 2 s] [3 b; 4 s]", "x [1 b; 2 s]", 3, 4),
        ] {
            let item = CachedumpItem::new(line).unwrap();
            assert_eq!((item.key(), item.size(), item.expires()), (key.as_bytes(), size, expires), "{line}");
        }
        for line in
            ["", "ITEM", "ITEM a", "ITEM [1 b; 2 s]", "ITEM  [1 b; 2 s]", "ITEM a [1 b; 2 s", "ITEM a[1 b; 2 s]"]
        {
            assert_eq!(CachedumpItem::new(line), None, "{line}");
        }
    }
}
