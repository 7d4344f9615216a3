//! The short commands for one item: `delete`, `incr`, `decr`, `touch`.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::combinator::opt;

use super::key::Key;
use super::line::{Grammar, key, keyword, noreply, number, put_decimal, put_noreply};
use super::scalar::Exptime;

/// `delete KEY [noreply]`. Answered by `DELETED` or `NOT_FOUND` (upstream's text, "Deletion").
///
/// `delete KEY 0`, an old form that servers still accept, is read as `delete KEY`; any other number is not.
///
/// ```
/// use mcflush::protocol::{Key, Request, item::Delete};
/// let mut wire = bytes::BytesMut::new();
/// Request::Delete(Delete { key: Key::new("a")?, noreply: true }).encode(&mut wire);
/// assert_eq!(wire, &b"delete a noreply\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Delete {
    /// The key of the item to delete.
    pub key: Key,
    /// `noreply`: the server answers only with an error.
    pub noreply: bool,
}

impl Delete {
    /// `delete KEY`.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key, noreply: false }
    }

    pub(super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        (key(line), opt(keyword("0")), noreply).map(|(key, _, noreply)| Self { key, noreply })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"delete ");
        out.put_slice(self.key.as_bytes());
        put_noreply(out, self.noreply);
    }
}

/// Whether to count up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum Direction {
    /// `incr`: counts up, and wraps at 2^64.
    Incr,
    /// `decr`: counts down, and stops at 0.
    Decr,
}

/// `incr KEY DELTA [noreply]`, `decr KEY DELTA [noreply]`. Answered by the new number or `NOT_FOUND` (upstream's text,
/// "Increment/Decrement"). If the new number has fewer digits, the server may pad the stored value with spaces.
///
/// ```
/// use mcflush::protocol::{Key, Request, item::{Arithmetic, Direction}};
/// let mut wire = bytes::BytesMut::new();
/// let key = Key::new("n")?;
/// Request::Arithmetic(Arithmetic { direction: Direction::Incr, key, delta: 5, noreply: false }).encode(&mut wire);
/// assert_eq!(wire, &b"incr n 5\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Arithmetic {
    /// Whether to count up or down.
    pub direction: Direction,
    /// The key of the item that holds the number.
    pub key: Key,
    /// The amount to add or subtract.
    pub delta: u64,
    /// `noreply`: the server answers only with an error.
    pub noreply: bool,
}

impl Arithmetic {
    pub(super) fn parse<'a>(line: &'a Bytes, direction: Direction) -> impl Grammar<'a, Self> {
        (key(line), number, noreply).map(move |(key, delta, noreply)| Self { direction, key, delta, noreply })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(match self.direction {
            Direction::Incr => b"incr ",
            Direction::Decr => b"decr ",
        });
        out.put_slice(self.key.as_bytes());
        out.put_u8(b' ');
        put_decimal(out, self.delta);
        put_noreply(out, self.noreply);
    }
}

/// `touch KEY EXPTIME [noreply]`: gives the item a new exptime. Answered by `TOUCHED` or `NOT_FOUND` (upstream's text,
/// "Touch").
///
/// ```
/// use mcflush::protocol::{Exptime, Key, Request, item::Touch};
/// let mut wire = bytes::BytesMut::new();
/// Request::Touch(Touch { key: Key::new("a")?, exptime: Exptime::NOW, noreply: false }).encode(&mut wire);
/// assert_eq!(wire, &b"touch a -1\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Touch {
    /// The key.
    pub key: Key,
    /// The new exptime.
    pub exptime: Exptime,
    /// `noreply`: the server answers only with an error.
    pub noreply: bool,
}

impl Touch {
    pub(super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        (key(line), Exptime::parse, noreply).map(|(key, exptime, noreply)| Self { key, exptime, noreply })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(b"touch ");
        out.put_slice(self.key.as_bytes());
        out.put_u8(b' ');
        self.exptime.encode(out);
        put_noreply(out, self.noreply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    fn key() -> Key {
        Key::new("k").unwrap()
    }

    #[test]
    fn lines() {
        for (line, request) in [
            ("delete k", Request::Delete(Delete::new(key()))),
            ("delete k 0", Request::Delete(Delete::new(key()))),
            ("delete k noreply", Request::Delete(Delete { key: key(), noreply: true })),
            ("delete k 0 noreply", Request::Delete(Delete { key: key(), noreply: true })),
            (
                "incr k 007",
                Request::Arithmetic(Arithmetic { direction: Direction::Incr, key: key(), delta: 7, noreply: false }),
            ),
            (
                "decr k 18446744073709551615 noreply",
                Request::Arithmetic(Arithmetic {
                    direction: Direction::Decr,
                    key: key(),
                    delta: u64::MAX,
                    noreply: true,
                }),
            ),
            ("touch k -1", Request::Touch(Touch { key: key(), exptime: Exptime::NOW, noreply: false })),
            ("touch k 0 noreply", Request::Touch(Touch { key: key(), exptime: Exptime::NEVER, noreply: true })),
        ] {
            assert_eq!(Request::parse(line.into()).0, request, "{line}");
        }
        for line in [
            "delete",
            "delete k 5",
            "delete k noreply 0",
            "delete k maybe",
            "incr k",
            "incr k abc",
            "incr k -1",
            "incr k 18446744073709551616",
            "decr k 1 2",
            "touch k",
            "touch k x",
            "touch k 1 2",
        ] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
