//! The LRU crawler: its dumps `metadump` and `mgdump`, and the commands that steer it.

use bytes::{BufMut, Bytes, BytesMut};

use super::key::{BinaryKey, KEY_MAX};
use super::line::{Words, decimal, first_line, is_line, put_decimal};
use super::percent::{PercentError, decode_percent};
use super::scalar::Cas;

/// Which items a crawl walks.
///
/// ```
/// use mcflush::protocol::crawler::{Classes, CrawlTarget};
/// let target = CrawlTarget::Classes(Classes::new(vec![1, 5]).unwrap());
/// assert_ne!(target, CrawlTarget::All);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrawlTarget {
    /// `hash`: the hash table, bucket by bucket: complete. Since 1.6.9; safe for other clients from 1.6.19 on.
    Hash,
    /// `all`: every LRU list; recently read items are missing.
    All,
    /// The LRU lists of some slab classes.
    Classes(Classes),
}

/// One slab class or more.
///
/// ```
/// use mcflush::protocol::crawler::Classes;
/// assert_eq!(Classes::new(vec![1, 5]).unwrap().as_slice(), [1, 5]);
/// assert_eq!(Classes::new(vec![]), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<u8>);

impl Classes {
    /// Takes the classes, unless there is none.
    #[must_use]
    pub fn new(classes: Vec<u8>) -> Option<Self> {
        (!classes.is_empty()).then_some(Self(classes))
    }

    /// Them all.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl CrawlTarget {
    fn parse(mut words: Words<'_>) -> Option<Self> {
        let word = words.next()?;
        words.end()?;
        match word {
            b"hash" => Some(Self::Hash),
            b"all" => Some(Self::All),
            list => list
                .split(|&byte| byte == b',')
                .map(decimal)
                .collect::<Option<_>>()
                .and_then(Classes::new)
                .map(Self::Classes),
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Hash => out.put_slice(b"hash"),
            Self::All => out.put_slice(b"all"),
            Self::Classes(classes) => {
                for (index, class) in classes.0.iter().enumerate() {
                    if index > 0 {
                        out.put_u8(b',');
                    }
                    put_decimal(out, *class);
                }
            }
        }
    }
}

/// `lru_crawler metadump TARGET`: a [`MetadumpItem`] for each item, then `END` (upstream's text, "LRU_Crawler"; since
/// 1.4.31).
///
/// An `OK` line comes first since 1.6.43. In place of the end, or of it all, comes an error line: `BUSY` when another
/// crawl runs, `ERROR locked try again later` from a `hash` dump while the table grows. Nothing may be pipelined before or
/// behind it.
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

/// `lru_crawler mgdump TARGET`: an [`MgdumpItem`] for each item, then `EN` (since 1.6.19). Keys are printed raw there:
/// one with a newline in it, stored through the binary protocol, forges lines and the end. Never act on it.
///
/// ```
/// use mcflush::protocol::{Request, crawler::{CrawlTarget, Mgdump}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Mgdump(Mgdump { target: CrawlTarget::All }).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler mgdump all\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mgdump {
    /// What to walk.
    pub target: CrawlTarget,
}

/// What else the crawler is told; answered by `OK` (upstream's text, "LRU_Crawler").
///
/// ```
/// use mcflush::protocol::{Request, crawler::CrawlerControl};
/// let mut wire = bytes::BytesMut::new();
/// Request::Crawler(CrawlerControl::Sleep(100)).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler sleep 100\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrawlerControl {
    /// `crawl TARGET`: frees what has expired.
    Crawl(CrawlTarget),
    /// `enable`.
    Enable,
    /// `disable`.
    Disable,
    /// `sleep MICROSECONDS`: between two items; one second at most.
    Sleep(u32),
    /// `tocrawl ITEMS`: how many items of a class a crawl looks at; 0 for all.
    Tocrawl(u32),
}

/// Any `lru_crawler` command.
pub(super) enum CrawlerCommand {
    Control(CrawlerControl),
    Metadump(Metadump),
    Mgdump(Mgdump),
}

impl CrawlerCommand {
    pub(super) fn parse(mut words: Words<'_>) -> Option<Self> {
        let control = match words.next()? {
            b"metadump" => return CrawlTarget::parse(words).map(|target| Self::Metadump(Metadump { target })),
            b"mgdump" => return CrawlTarget::parse(words).map(|target| Self::Mgdump(Mgdump { target })),
            b"crawl" => return CrawlTarget::parse(words).map(CrawlerControl::Crawl).map(Self::Control),
            b"enable" => CrawlerControl::Enable,
            b"disable" => CrawlerControl::Disable,
            b"sleep" => CrawlerControl::Sleep(words.decimal()?),
            b"tocrawl" => CrawlerControl::Tocrawl(words.decimal()?),
            _ => return None,
        };
        words.end().map(|()| Self::Control(control))
    }
}

impl Metadump {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"lru_crawler metadump ");
        self.target.encode(out);
    }
}

impl Mgdump {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"lru_crawler mgdump ");
        self.target.encode(out);
    }
}

impl CrawlerControl {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"lru_crawler ");
        match self {
            Self::Crawl(target) => {
                out.put_slice(b"crawl ");
                target.encode(out);
            }
            Self::Enable => out.put_slice(b"enable"),
            Self::Disable => out.put_slice(b"disable"),
            Self::Sleep(microseconds) => {
                out.put_slice(b"sleep ");
                put_decimal(out, *microseconds);
            }
            Self::Tocrawl(items) => {
                out.put_slice(b"tocrawl ");
                put_decimal(out, *items);
            }
        }
    }
}

/// A line of a metadump, kept as it came: `key=shop%3A1 exp=-1 la=1795448769 cas=2 fetch=no cls=1 size=66 flags=0`.
///
/// ```
/// use mcflush::protocol::{Cas, crawler::MetadumpItem};
/// let item = MetadumpItem::new("key=shop%3A1 exp=-1 cas=2 size=66").unwrap();
/// assert_eq!((item.as_line().encoded_key(), item.as_line().cas()), (&b"shop%3A1"[..], Some(Cas(2))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadumpItem(Bytes);

impl MetadumpItem {
    /// Takes a line (without its LF); None when it is no such line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(super) fn parse(line: Bytes) -> Option<Self> {
        MetadumpLine::parse(&line).is_some().then_some(Self(line))
    }

    /// A line that [`MetadumpLine::find`] found.
    pub(super) const fn from_line(line: Bytes) -> Self {
        Self(line)
    }

    /// What stands in it.
    #[must_use]
    #[inline]
    pub fn as_line(&self) -> MetadumpLine<'_> {
        MetadumpLine(&self.0)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

/// A line of a metadump, borrowed from where it was read: what [`MetadumpItem`] keeps.
///
/// The tokens may stand in any order and new ones may come (`flags=` since 1.6.24), so a field is looked for when it is
/// asked for.
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
    /// Takes a line (without its LF); None when it is no such line.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        if is_line(line) { Self::parse(line) } else { None }
    }

    fn parse(line: &'a [u8]) -> Option<Self> {
        find_key(line).map(|_| Self(line))
    }

    /// Looks at the first line of a buffer, if all of it is there and it is in the usual spelling; says how many bytes it
    /// has with its end.
    #[inline]
    pub(crate) fn find(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let (line, length) = first_line(buffer)?;
        match line {
            [b'k', b'e', b'y', b'=', first, .., last] if *first != b' ' && *last != b'\r' => Some((Self(line), length)),
            _ => None,
        }
    }

    /// The key, percent-encoded as it came.
    #[must_use]
    #[inline]
    pub fn encoded_key(self) -> &'a [u8] {
        find_key(self.0).unwrap_or_default()
    }

    /// Appends the key, decoded once, to `out`.
    ///
    /// # Errors
    /// When it is not encoded as a server would.
    pub fn decode_key(self, out: &mut BytesMut) -> Result<(), PercentError> {
        decode_percent(self.encoded_key(), out)
    }

    /// The value of a named field as it came: `field("la")`.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'a [u8]> {
        self.0.split(|&byte| byte == b' ').find_map(|token| token.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// The item's CAS; 0 on a server that runs without (-C).
    #[must_use]
    pub fn cas(self) -> Option<Cas> {
        Cas::parse(self.field("cas")?)
    }

    /// The item's whole footprint in bytes: header, key and value.
    #[must_use]
    pub fn size(self) -> Option<u64> {
        decimal(self.field("size")?)
    }

    /// The line as it came, without its LF.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The key of a metadump's line, as it stands there.
///
/// Nearly always it is the first token. Where it is not, the first is `name=value` all the same: an error line is never
/// taken for an item.
#[inline]
fn find_key(line: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = line.strip_prefix(b"key=") {
        let length = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        return rest.get(..length).filter(|key| !key.is_empty());
    }
    let mut tokens = line.split(|&byte| byte == b' ');
    if !tokens.next()?.contains(&b'=') {
        return None;
    }
    tokens.find_map(|token| token.strip_prefix(b"key=")).filter(|key| !key.is_empty())
}

/// A line of an mgdump, kept as it came: `mg KEY`, or `mg BASE64 b`. The key is printed raw, and may be anything.
///
/// ```
/// use mcflush::protocol::crawler::MgdumpItem;
/// assert_eq!(MgdumpItem::new("mg shop:1").unwrap().as_line().key(), b"shop:1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MgdumpItem(Bytes);

impl MgdumpItem {
    /// Takes a line (without its end); None when it is no such line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(super) fn parse(line: Bytes) -> Option<Self> {
        MgdumpLine::parse(&line).is_some().then_some(Self(line))
    }

    /// A line that [`MgdumpLine::find`] found.
    pub(super) const fn from_line(line: Bytes) -> Self {
        Self(line)
    }

    /// What stands in it.
    #[must_use]
    #[inline]
    pub fn as_line(&self) -> MgdumpLine<'_> {
        MgdumpLine(&self.0)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

/// A line of an mgdump, borrowed from where it was read: what [`MgdumpItem`] keeps.
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
    /// Takes a line (without its end); None when it is no such line.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        if is_line(line) { Self::parse(line) } else { None }
    }

    #[inline]
    fn parse(line: &'a [u8]) -> Option<Self> {
        (line.len() > 3 && line.starts_with(b"mg ")).then_some(Self(line))
    }

    /// Looks at the first line of a buffer, if all of it is there and it is in the usual spelling; says how many bytes it
    /// has with its end.
    #[inline]
    pub(crate) fn find(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let (line, length) = first_line(buffer)?;
        Some((Self::parse(line.strip_suffix(b"\r")?)?, length))
    }

    fn words(self) -> &'a [u8] {
        self.0.get(3..).unwrap_or_default()
    }

    /// The key as it stands in the line: up to the first space.
    #[must_use]
    pub fn key(self) -> &'a [u8] {
        let words = self.words();
        words.get(..memchr::memchr(b' ', words).unwrap_or(words.len())).unwrap_or_default()
    }

    /// What follows the key: `b` where it is base64.
    #[must_use]
    pub fn flags(self) -> &'a [u8] {
        let words = self.words();
        memchr::memchr(b' ', words).and_then(|space| words.get(space + 1..)).unwrap_or_default()
    }

    /// Appends the key as the server stores it to `out`; false when it is no base64 although it should be.
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

    /// The line as it came, without its end.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
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
            let item = MetadumpItem::new(line).unwrap();
            let item = item.as_line();
            let mut key = BytesMut::new();
            item.decode_key(&mut key).unwrap();
            assert_eq!(key, &b"shop:1"[..], "{line}");
            assert_eq!((item.cas(), item.size()), (Some(Cas(2)), Some(66)), "{line}");
        }
        for line in ["", "key=", "exp=-1 la=1", "xkey=a", "END", "ERROR key=a", "key=a\nkey=b"] {
            assert_eq!(MetadumpItem::new(line), None, "{line}");
        }
    }

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
        assert!(!MgdumpLine::new(b"mg AAE! b").unwrap().decode_key(&mut BytesMut::new()));
    }
}
