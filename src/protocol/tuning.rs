//! Commands that tune a running server: `slabs`, `lru`, `extstore`.

use bytes::{BufMut, BytesMut};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{map_opt, value};
use nom::sequence::preceded;

use super::line::{Parsed, keyword, number, put_decimal, put_signed, signed};
use super::scalar::Fraction;

/// `slabs …`. Answered by `OK`, or by a refusal such as `SAME`, `NOSPARE`, `BUSY`, `BADCLASS` (upstream's text, "Slabs
/// Reassign", "Slabs Automove").
///
/// ```
/// use mcflush::protocol::{Request, tuning::Slabs};
/// let mut wire = bytes::BytesMut::new();
/// Request::Slabs(Slabs::Reassign { from: None, to: 2 }).encode(&mut wire);
/// assert_eq!(wire, &b"slabs reassign -1 2\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum Slabs {
    /// `reassign FROM TO`: moves a page of memory from one slab class to another.
    Reassign {
        /// The slab class that loses the page; None for any class (-1).
        from: Option<u32>,
        /// The slab class that gets the page.
        to: u32,
    },
    /// `automove LEVEL`: 0 is off, 1 is on, 2 moves a page at every eviction.
    Automove(u32),
    /// `automove ratio RATIO`.
    AutomoveRatio(Fraction),
}

impl Slabs {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let from = alt((value(None, keyword("-1")), number.map(Some)));
        alt((
            preceded(keyword("reassign"), (from, number)).map(|(from, to)| Self::Reassign { from, to }),
            preceded((keyword("automove"), keyword("ratio")), Fraction::parse).map(Self::AutomoveRatio),
            preceded(keyword("automove"), number).map(Self::Automove),
        ))
        .parse(words)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Reassign { from, to } => {
                out.put_slice(b"slabs reassign ");
                match from {
                    Some(from) => put_decimal(out, *from),
                    None => out.put_slice(b"-1"),
                }
                out.put_u8(b' ');
                put_decimal(out, *to);
            }
            Self::Automove(level) => {
                out.put_slice(b"slabs automove ");
                put_decimal(out, *level);
            }
            Self::AutomoveRatio(ratio) => {
                out.put_slice(b"slabs automove ratio ");
                out.put_slice(ratio.as_bytes());
            }
        }
    }
}

/// `lru …`. Answered by `OK` or `ERROR` (upstream's text, "LRU Tuning"; since 1.4.35).
///
/// ```
/// use mcflush::protocol::{Request, tuning::{Lru, LruMode}};
/// let mut wire = bytes::BytesMut::new();
/// Request::Lru(Lru::Mode(LruMode::Segmented)).encode(&mut wire);
/// assert_eq!(wire, &b"lru mode segmented\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum Lru {
    /// `tune HOT WARM HOT_FACTOR WARM_FACTOR`.
    Tune {
        /// The share of the hot LRU list in the memory, in percent.
        hot: u32,
        /// The share of the warm LRU list in the memory, in percent.
        warm: u32,
        /// The maximum age of the hot LRU list, as a fraction of the cold list's age.
        hot_factor: Fraction,
        /// The maximum age of the warm LRU list, as a fraction of the cold list's age.
        warm_factor: Fraction,
    },
    /// `mode flat` or `mode segmented`.
    Mode(LruMode),
    /// `temp_ttl SECONDS`: the server keeps items that expire sooner in a separate LRU list; a negative number switches this
    /// off.
    TempTtl(i32),
}

/// The LRU lists of a slab class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum LruMode {
    /// One list.
    Flat,
    /// A hot, a warm and a cold list.
    Segmented,
}

impl Lru {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let mode = alt((value(LruMode::Flat, keyword("flat")), value(LruMode::Segmented, keyword("segmented"))));
        alt((
            preceded(keyword("tune"), (number, number, Fraction::parse, Fraction::parse))
                .map(|(hot, warm, hot_factor, warm_factor)| Self::Tune { hot, warm, hot_factor, warm_factor }),
            preceded(keyword("mode"), mode).map(Self::Mode),
            preceded(keyword("temp_ttl"), map_opt(signed, |seconds| seconds.try_into().ok())).map(Self::TempTtl),
        ))
        .parse(words)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Tune { hot, warm, hot_factor, warm_factor } => {
                out.put_slice(b"lru tune ");
                put_decimal(out, *hot);
                out.put_u8(b' ');
                put_decimal(out, *warm);
                for factor in [hot_factor, warm_factor] {
                    out.put_u8(b' ');
                    out.put_slice(factor.as_bytes());
                }
            }
            Self::Mode(LruMode::Flat) => out.put_slice(b"lru mode flat"),
            Self::Mode(LruMode::Segmented) => out.put_slice(b"lru mode segmented"),
            Self::TempTtl(seconds) => {
                out.put_slice(b"lru temp_ttl ");
                put_signed(out, (*seconds).into());
            }
        }
    }
}

/// `extstore …`: settings of the storage on disk, on servers that were compiled with extstore. Answered by `OK` or
/// `ERROR`.
///
/// ```
/// use mcflush::protocol::{Request, tuning::Extstore};
/// let mut wire = bytes::BytesMut::new();
/// Request::Extstore(Extstore::ItemAge(60)).encode(&mut wire);
/// assert_eq!(wire, &b"extstore item_age 60\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum Extstore {
    /// `free_memchunks CLASS CHUNKS`. Newer servers accept and ignore it.
    FreeMemchunks {
        /// The slab class.
        class: u32,
        /// The number of chunks to keep free.
        chunks: u32,
    },
    /// `item_size BYTES`: smaller items stay in memory.
    ItemSize(u32),
    /// `item_age SECONDS`: younger items stay in memory.
    ItemAge(u32),
    /// `low_ttl SECONDS`.
    LowTtl(u32),
    /// `recache_rate N`: one of N reads brings an item back into memory.
    RecacheRate(u32),
    /// `compact_under PAGES`.
    CompactUnder(u32),
    /// `drop_under PAGES`.
    DropUnder(u32),
    /// `max_sleep MICROSECONDS`.
    MaxSleep(u32),
    /// `max_frag FRACTION`.
    MaxFrag(Fraction),
    /// `drop_unread 0|1`.
    DropUnread(bool),
}

impl Extstore {
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let setting = |name| preceded(keyword(name), number::<u32>);
        alt((
            preceded(keyword("free_memchunks"), (number, number))
                .map(|(class, chunks)| Self::FreeMemchunks { class, chunks }),
            setting("item_size").map(Self::ItemSize),
            setting("item_age").map(Self::ItemAge),
            setting("low_ttl").map(Self::LowTtl),
            setting("recache_rate").map(Self::RecacheRate),
            setting("compact_under").map(Self::CompactUnder),
            setting("drop_under").map(Self::DropUnder),
            setting("max_sleep").map(Self::MaxSleep),
            preceded(keyword("max_frag"), Fraction::parse).map(Self::MaxFrag),
            setting("drop_unread").map(|number| Self::DropUnread(number != 0)),
        ))
        .parse(words)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let (name, number): (&[u8], u32) = match self {
            Self::FreeMemchunks { class, chunks } => {
                out.put_slice(b"extstore free_memchunks ");
                put_decimal(out, *class);
                out.put_u8(b' ');
                return put_decimal(out, *chunks);
            }
            Self::MaxFrag(fraction) => {
                out.put_slice(b"extstore max_frag ");
                return out.put_slice(fraction.as_bytes());
            }
            Self::ItemSize(bytes) => (b"item_size ", *bytes),
            Self::ItemAge(seconds) => (b"item_age ", *seconds),
            Self::LowTtl(seconds) => (b"low_ttl ", *seconds),
            Self::RecacheRate(rate) => (b"recache_rate ", *rate),
            Self::CompactUnder(pages) => (b"compact_under ", *pages),
            Self::DropUnder(pages) => (b"drop_under ", *pages),
            Self::MaxSleep(microseconds) => (b"max_sleep ", *microseconds),
            Self::DropUnread(drop) => (b"drop_unread ", u32::from(*drop)),
        };
        out.put_slice(b"extstore ");
        out.put_slice(name);
        put_decimal(out, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    fn fraction(text: &'static str) -> Fraction {
        Fraction::new(text).unwrap()
    }

    #[test]
    fn lines() {
        for (line, request) in [
            ("slabs reassign -1 2", Request::Slabs(Slabs::Reassign { from: None, to: 2 })),
            ("slabs reassign 1 2", Request::Slabs(Slabs::Reassign { from: Some(1), to: 2 })),
            ("slabs automove 2", Request::Slabs(Slabs::Automove(2))),
            ("slabs automove ratio 0.8", Request::Slabs(Slabs::AutomoveRatio(fraction("0.8")))),
            (
                "lru tune 20 40 0.2 2.0",
                Request::Lru(Lru::Tune {
                    hot: 20,
                    warm: 40,
                    hot_factor: fraction("0.2"),
                    warm_factor: fraction("2.0"),
                }),
            ),
            ("lru mode flat", Request::Lru(Lru::Mode(LruMode::Flat))),
            ("lru temp_ttl -1", Request::Lru(Lru::TempTtl(-1))),
            ("extstore free_memchunks 1 2", Request::Extstore(Extstore::FreeMemchunks { class: 1, chunks: 2 })),
            ("extstore max_frag 0.5", Request::Extstore(Extstore::MaxFrag(fraction("0.5")))),
            ("extstore drop_unread 7", Request::Extstore(Extstore::DropUnread(true))),
            ("extstore low_ttl 60", Request::Extstore(Extstore::LowTtl(60))),
        ] {
            assert_eq!(Request::parse(line.into()).0, request, "{line}");
        }
        for line in [
            "slabs",
            "slabs reassign 1",
            "slabs reassign -2 1",
            "slabs automove",
            "slabs automove ratio",
            "slabs automove 1 2",
            "lru",
            "lru mode",
            "lru mode odd",
            "lru tune 20 40 0.2",
            "lru temp_ttl x",
            "extstore",
            "extstore odd 1",
            "extstore item_age",
            "extstore item_age 1 2",
        ] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
