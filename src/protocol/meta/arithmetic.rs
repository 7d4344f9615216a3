//! `ma`: counts an item up or down.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;

use super::super::MetaKey;
use super::super::item::Direction;
use super::super::line::{Grammar, word};
use super::super::scalar::{Cas, Exptime, Opaque};
use super::flags::{Flag, OtherFlags, Writer, flags};

/// `ma KEY flags…`: counts up or down (upstream's text, "Meta Arithmetic"). Answered by `HD`, or, with
/// [`value`](Self::value), by `VA` and the new number; by `NF` (not found), `NS` (not stored) or `EX` (the CAS differs).
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaArithmetic};
/// let mut wire = bytes::BytesMut::new();
/// let count = MetaArithmetic { delta: Some(10), value: true, ..MetaArithmetic::new(MetaKey::for_bytes("n")?) };
/// Request::MetaArithmetic(count).encode(&mut wire);
/// assert_eq!(wire, &b"ma n v D10\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaArithmetic {
    /// The key of the item that holds the number.
    pub key: MetaKey,
    /// `M`: whether to count up or down.
    pub direction: Direction,
    /// `c`: the server returns the new CAS.
    pub return_cas: bool,
    /// `k`: the server returns the key.
    pub return_key: bool,
    /// `t`: the server returns the seconds until the item expires.
    pub ttl: bool,
    /// `v`: the server returns the new number.
    pub value: bool,
    /// `q`: the server sends no answer if it counted.
    pub quiet: bool,
    /// `O`: the opaque, which the server repeats in its answer.
    pub opaque: Option<Opaque>,
    /// `C`: the server counts only if the item has this CAS.
    pub cas: Option<Cas>,
    /// `E`: the CAS that the item gets (since 1.6.29).
    pub new_cas: Option<Cas>,
    /// `D`: the amount to add or subtract; None for 1.
    pub delta: Option<u64>,
    /// `J`: the first number of an item that [`vivify`](Self::vivify) creates.
    pub initial: Option<u64>,
    /// `N`: if the key does not exist, the server creates the item with this exptime.
    pub vivify: Option<Exptime>,
    /// `T`: the new exptime of the item.
    pub exptime: Option<Exptime>,
    /// Flags that this crate has no name for.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::other_flags))]
    pub others: OtherFlags,
}

impl MetaArithmetic {
    /// A request that adds 1.
    #[must_use]
    pub const fn new(key: MetaKey) -> Self {
        Self {
            key,
            direction: Direction::Incr,
            return_cas: false,
            return_key: false,
            ttl: false,
            value: false,
            quiet: false,
            opaque: None,
            cas: None,
            new_cas: None,
            delta: None,
            initial: None,
            vivify: None,
            exptime: None,
            others: OtherFlags::new(),
        }
    }

    pub(in super::super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        let put = |count: &mut Self, flag: Flag<'_>| {
            match flag.letter() {
                b'c' => count.return_cas = true,
                b'k' => count.return_key = true,
                b't' => count.ttl = true,
                b'v' => count.value = true,
                b'q' => count.quiet = true,
                b'O' => count.opaque = Some(flag.opaque()?),
                b'C' => count.cas = Some(flag.cas()?),
                b'E' => count.new_cas = Some(flag.cas()?),
                b'D' => count.delta = Some(flag.number()?),
                b'J' => count.initial = Some(flag.number()?),
                b'N' => count.vivify = Some(flag.exptime()?),
                b'T' => count.exptime = Some(flag.exptime()?),
                b'M' => {
                    count.direction = match flag.token().first()? {
                        b'I' | b'i' | b'+' => Direction::Incr,
                        b'D' | b'd' | b'-' => Direction::Decr,
                        _ => return None,
                    }
                }
                _ => return flag.add_to(&mut count.others),
            }
            Some(())
        };
        word.flat_map(move |key| flags(line, key, Self::new, put))
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        let mut out = Writer(out);
        out.start(b"ma", &self.key);
        out.base64(&self.key)
            .set(b'c', self.return_cas)
            .set(b'k', self.return_key)
            .set(b't', self.ttl)
            .set(b'v', self.value)
            .set(b'q', self.quiet)
            .opaque(self.opaque.as_ref())
            .number(b'C', self.cas)
            .number(b'E', self.new_cas)
            .number(b'D', self.delta)
            .number(b'J', self.initial)
            .exptime(b'N', self.vivify)
            .exptime(b'T', self.exptime);
        if self.direction == Direction::Decr {
            out.0.put_slice(b" MD");
        }
        out.others(&self.others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    fn count() -> MetaArithmetic {
        MetaArithmetic::new(MetaKey::for_bytes("k").unwrap())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("ma k", count()),
            ("ma k MD D3", MetaArithmetic { direction: Direction::Decr, delta: Some(3), ..count() }),
            ("ma k M+", count()),
            ("ma k N0 J5 v", MetaArithmetic { vivify: Some(Exptime::NEVER), initial: Some(5), value: true, ..count() }),
        ] {
            assert_eq!(Request::parse(line.into()).0, Request::MetaArithmetic(expected), "{line}");
        }
        for line in ["ma", "ma k MX", "ma k M", "ma k D-1", "ma k J", "ma k D1 D2"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
