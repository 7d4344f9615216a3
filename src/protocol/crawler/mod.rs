//! The LRU crawler: its dumps `metadump` and `mgdump`, and the commands that control it.

mod metadump;
mod mgdump;

use bytes::{BufMut, BytesMut};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::combinator::value;
use nom::multi::separated_list1;
use nom::sequence::{preceded, terminated};

pub use self::metadump::{Metadump, MetadumpItem, MetadumpLine};
pub use self::mgdump::{Mgdump, MgdumpItem, MgdumpLine};
use super::line::{Parsed, digits, keyword, number, put_decimal, spaces};
use super::value_error::ValueError;

/// The items that a crawl visits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum CrawlTarget {
    /// `hash`: every item of the hash table, bucket by bucket. Since 1.6.9; safe for other clients from 1.6.19 on.
    Hash,
    /// `all`: every LRU list. The crawl misses recently read items.
    All,
    /// The LRU lists of some slab classes.
    Classes(Classes),
}

/// One or more slab classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<u8>);

impl Classes {
    /// Takes the slab classes. None if there are none.
    #[must_use]
    pub fn new(classes: Vec<u8>) -> Option<Self> {
        (!classes.is_empty()).then_some(Self(classes))
    }

    /// All slab classes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for Classes {
    type Error = ValueError;

    fn try_from(classes: Vec<u8>) -> Result<Self, ValueError> {
        Self::new(classes).ok_or(ValueError::of("slab classes"))
    }
}

impl AsRef<[u8]> for Classes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl CrawlTarget {
    fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let classes = terminated(separated_list1(tag(","), digits), spaces);
        alt((
            value(Self::Hash, keyword("hash")),
            value(Self::All, keyword("all")),
            classes.map(|classes| Self::Classes(Classes(classes))),
        ))
        .parse(words)
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

/// The other commands of the crawler. Answered by `OK` (upstream's text, "LRU_Crawler").
///
/// ```
/// use mcflush::protocol::{Request, crawler::CrawlerControl};
/// let mut wire = bytes::BytesMut::new();
/// Request::Crawler(CrawlerControl::Sleep(100)).encode(&mut wire);
/// assert_eq!(wire, &b"lru_crawler sleep 100\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum CrawlerControl {
    /// `crawl TARGET`: frees the expired items.
    Crawl(CrawlTarget),
    /// `enable`.
    Enable,
    /// `disable`.
    Disable,
    /// `sleep MICROSECONDS`: the pause between two items; at most one second.
    Sleep(u32),
    /// `tocrawl ITEMS`: the maximum number of items that a crawl visits in a slab class; 0 for all.
    Tocrawl(u32),
}

/// Any `lru_crawler` command.
pub(super) enum CrawlerCommand {
    Control(CrawlerControl),
    Metadump(Metadump),
    Mgdump(Mgdump),
}

impl CrawlerCommand {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let of = |verb| preceded(keyword(verb), CrawlTarget::parse);
        alt((
            of("metadump").map(|target| Self::Metadump(Metadump { target })),
            of("mgdump").map(|target| Self::Mgdump(Mgdump { target })),
            CrawlerControl::parse.map(Self::Control),
        ))
        .parse(words)
    }
}

impl CrawlerControl {
    fn parse(words: &[u8]) -> Parsed<'_, Self> {
        alt((
            preceded(keyword("crawl"), CrawlTarget::parse).map(Self::Crawl),
            value(Self::Enable, keyword("enable")),
            value(Self::Disable, keyword("disable")),
            preceded(keyword("sleep"), number).map(Self::Sleep),
            preceded(keyword("tocrawl"), number).map(Self::Tocrawl),
        ))
        .parse(words)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_at_least_one() {
        assert_eq!(Classes::new(vec![1, 5]).unwrap().as_slice(), [1, 5]);
        assert_eq!(Classes::new(vec![]), None);
    }
}
