//! The LRU crawler's dumps: `lru_crawler metadump`.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::line::{put_number, put_words};
use super::percent::{PercentError, decode_percent};

/// Which items a dump walks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrawlTarget {
    /// The hash table, bucket by bucket: complete, and safe for other clients from 1.6.19 on.
    Hash,
    /// Every LRU list: recently read items are missing.
    All,
    /// The LRU lists of some slab classes.
    Classes(Vec<u8>),
}

/// `lru_crawler metadump TARGET`: a line for each item.
///
/// ```
/// use mcflush::protocol::{Request, crawler::{CrawlTarget, Metadump}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Metadump(Metadump { target: CrawlTarget::Hash }).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler metadump hash\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadump {
    /// What to walk.
    pub target: CrawlTarget,
}

impl Metadump {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_words(out, &[b"lru_crawler", b"metadump", b""]);
        match &self.target {
            CrawlTarget::Hash => put_words(out, &[b"hash"]),
            CrawlTarget::All => put_words(out, &[b"all"]),
            CrawlTarget::Classes(classes) => {
                for (index, class) in classes.iter().enumerate() {
                    put_words(out, if index > 0 { &[b","] } else { &[] });
                    put_number(out, class);
                }
            }
        }
    }
}

/// A line of a metadump, kept as it came: `key=shop%3A1 exp=-1 la=1795448769 cas=2 fetch=no cls=1 size=66 flags=0`.
///
/// The tokens may stand in any order and new ones may come (`flags=` since 1.6.24), so a field is looked for when it is
/// asked for; only the key is found at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadumpItem {
    line: Bytes,
    key: Range<usize>,
}

impl MetadumpItem {
    /// Reads a line (without its LF).
    pub(super) fn parse(line: Bytes) -> Option<Self> {
        let mut from = 0;
        for token in line.split(|&byte| byte == b' ') {
            if let Some(value) = token.strip_prefix(b"key=") {
                let end = from + token.len();
                return (!value.is_empty()).then_some(Self { key: from + 4..end, line });
            }
            from += token.len() + 1;
        }
        None
    }

    /// The key, percent-encoded as it came.
    #[must_use]
    pub fn encoded_key(&self) -> &[u8] {
        self.line.get(self.key.clone()).unwrap_or_default()
    }

    /// Appends the key, decoded once, to `out`.
    ///
    /// # Errors
    /// When it is not encoded as a server would.
    pub fn decode_key(&self, out: &mut BytesMut) -> Result<(), PercentError> {
        decode_percent(self.encoded_key(), out)
    }

    /// The value of a named field as it came: `field("la")`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.line.split(|&byte| byte == b' ').find_map(|token| token.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// The item's CAS; 0 on a server that runs without (-C).
    #[must_use]
    pub fn cas(&self) -> Option<u64> {
        self.number("cas")
    }

    /// The item's whole footprint in bytes: header, key and value.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.number("size")
    }

    /// The line as it came, without its LF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        std::str::from_utf8(self.field(name)?).ok()?.parse().ok()
    }
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
            let item = MetadumpItem::parse(Bytes::from(line)).unwrap();
            let mut key = BytesMut::new();
            item.decode_key(&mut key).unwrap();
            assert_eq!(key, &b"shop:1"[..], "{line}");
            assert_eq!((item.cas(), item.size()), (Some(2), Some(66)), "{line}");
        }
        for line in ["", "key=", "exp=-1 la=1", "xkey=a", "END"] {
            assert_eq!(MetadumpItem::parse(Bytes::from(line)), None, "{line}");
        }
    }
}
