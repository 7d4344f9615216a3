//! The small values of a line. Each has its own type, so that the compiler rejects one in place of another.

use std::fmt;

use bytes::{Bytes, BytesMut};
use nom::Parser;
use nom::combinator::map_opt;

use super::escape::Escaped;
use super::key::all_travel_as_text;
use super::line::{Parsed, number, put_decimal, put_signed, signed, word};
use crate::conversions::conversions;

/// The exptime of an item as a client sends it: up to 30 days, seconds from now; above that, a Unix time; 0, never; any
/// negative number, at once.
///
/// ```
/// use mcflush::protocol::Exptime;
/// assert!(!Exptime::new(300).is_date());
/// assert!(Exptime::new(1_795_448_769).is_date());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Exptime(i64);

impl Exptime {
    /// The item never expires.
    pub const NEVER: Self = Self(0);
    /// The item expires at once.
    pub const NOW: Self = Self(-1);
    /// The largest number that a server reads as seconds from now (`REALTIME_MAXDELTA`: 30 days).
    pub const LONGEST_DELAY: i64 = 60 * 60 * 24 * 30;

    /// Takes the number that the client sends. Servers read it as a signed 32-bit number; some refuse a larger one.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number that the client sends.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether a server reads the number as a Unix time.
    #[must_use]
    pub const fn is_date(self) -> bool {
        self.0 > Self::LONGEST_DELAY
    }

    pub(super) fn parse(input: &[u8]) -> Parsed<'_, Self> {
        signed.map(Self).parse(input)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        put_signed(out, self.0);
    }
}

impl From<u32> for Exptime {
    fn from(seconds: u32) -> Self {
        Self(seconds.into())
    }
}

impl From<Exptime> for i64 {
    fn from(exptime: Exptime) -> Self {
        exptime.0
    }
}

impl fmt::Display for Exptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The flags: 32 bits that a client stores with a value (most clients note there how the value is serialised). Upstream's
/// text says 16 bits; servers since 1.2.1 keep 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct ItemFlags(pub u32);

impl ItemFlags {
    pub(super) fn parse(input: &[u8]) -> Parsed<'_, Self> {
        number.map(Self).parse(input)
    }
}

/// The CAS: a number that the server changes whenever the item changes. On a server without CAS (-C) it is 0 for all items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Cas(pub u64);

impl Cas {
    /// Whether the server keeps CAS numbers: false for 0, the number of every item on a server without CAS (-C).
    #[must_use]
    pub const fn is_kept(self) -> bool {
        self.0 != 0
    }

    pub(super) fn parse(input: &[u8]) -> Parsed<'_, Self> {
        number.map(Self).parse(input)
    }

    pub(super) fn encode(self, out: &mut BytesMut) {
        put_decimal(out, self.0);
    }
}

impl From<u64> for Cas {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Cas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ItemFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for ItemFlags {
    fn from(bits: u32) -> Self {
        Self(bits)
    }
}

impl From<ItemFlags> for u32 {
    fn from(flags: ItemFlags) -> Self {
        flags.0
    }
}

impl From<Cas> for u64 {
    fn from(cas: Cas) -> Self {
        cas.0
    }
}

/// The opaque: a token of a meta request that the server repeats in its reply. Up to 31 bytes that a line can carry.
///
/// ```
/// use mcflush::protocol::Opaque;
/// assert!(Opaque::new("42").is_some() && Opaque::new("two words").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque(Bytes);

impl Opaque {
    /// The maximum length, in bytes: servers allow 32 including the letter before the token (`MFLAG_MAX_OPAQUE_LENGTH`).
    pub const MAX: usize = 31;

    /// Takes the token's bytes. None if they are too long or contain a byte that a line cannot carry.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= Self::MAX && all_travel_as_text(&bytes)).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

conversions!(Opaque, "opaque token", Self::as_bytes);

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({})", Escaped(&self.0))
    }
}

/// A number with a decimal point, kept as it was written, for `lru tune` and `slabs automove ratio`.
///
/// ```
/// use mcflush::protocol::Fraction;
/// assert_eq!(Fraction::new("0.20").unwrap().to_f64(), 0.2);
/// assert_eq!(Fraction::new("1e9"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fraction {
    text: Bytes,
    /// The bits of the nearest `f64`.
    nearest: u64,
}

impl Fraction {
    /// Takes digits with at most one point among them. None for any other text.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Option<Self> {
        let text = text.into();
        let points = text.iter().filter(|&&byte| byte == b'.').count();
        let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
        // 32 bytes are enough for any number that a server distinguishes from others.
        let is_sound = points <= 1 && digits > 0 && points + digits == text.len() && text.len() <= 32;
        let nearest = std::str::from_utf8(&text).ok().filter(|_| is_sound)?.parse::<f64>().ok()?.to_bits();
        Some(Self { text, nearest })
    }

    /// The nearest `f64`.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        f64::from_bits(self.nearest)
    }

    /// The number as it was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn parse(input: &[u8]) -> Parsed<'_, Self> {
        map_opt(word, |word| Self::new(Bytes::copy_from_slice(word))).parse(input)
    }
}

conversions!(Fraction, "number with a decimal point", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_more_than_thirty_days_is_a_date() {
        for (number, is_date) in [(-1, false), (0, false), (2_592_000, false), (2_592_001, true)] {
            assert_eq!(Exptime::new(number).is_date(), is_date, "{number}");
        }
        assert_eq!((Exptime::NEVER.get(), Exptime::NOW.get(), Exptime::from(60).get()), (0, -1, 60));
    }

    #[test]
    fn numbers_of_an_item() {
        assert_eq!((Cas(7).to_string(), Cas::from(7), u64::from(Cas(7))), ("7".to_owned(), Cas(7), 7));
        assert_eq!((Cas(7).is_kept(), Cas(0).is_kept()), (true, false));
        assert_eq!((ItemFlags::from(5), u32::from(ItemFlags(5))), (ItemFlags(5), 5));
        assert_eq!((ItemFlags(5).to_string(), Exptime::new(-1).to_string()), ("5".to_owned(), "-1".to_owned()));
        assert_eq!(i64::from(Exptime::new(60)), 60);
    }

    #[test]
    fn an_opaque_fits_a_line() {
        assert_eq!(
            (Opaque::new("42").unwrap().as_bytes(), Opaque::new("42").unwrap().as_ref()),
            (&b"42"[..], &b"42"[..])
        );

        assert!(Opaque::new("").is_some());
        assert!(Opaque::new(vec![b'x'; Opaque::MAX]).is_some());
        assert_eq!(Opaque::new(vec![b'x'; Opaque::MAX + 1]), None);
        for bad in ["a b", "a\n", "\r", "\0"] {
            assert_eq!(Opaque::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_fraction_is_digits_and_a_point() {
        for good in ["0", "2.0", ".5", "5."] {
            assert!(Fraction::new(good).is_some(), "{good}");
        }
        for bad in ["", ".", "1.2.3", "-1", "inf", "1 "] {
            assert_eq!(Fraction::new(bad), None, "{bad}");
        }
        assert!(Fraction::new("0".repeat(32)).is_some() && Fraction::new("0".repeat(33)).is_none());
        assert_eq!(Fraction::new("0.20").unwrap().as_bytes(), b"0.20");
        assert!((Fraction::new(".5").unwrap().to_f64() - 0.5).abs() < f64::EPSILON);
    }
}
