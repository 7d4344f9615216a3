//! `me`: the metadata of an item.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::combinator::rest;
use nom::sequence::preceded;

use super::super::MetaKey;
use super::super::line::{Grammar, Words, is_line, keyword, whole, word};
use super::flags::{Flag, OtherFlags, Writer, flags};
use crate::conversions::conversions;

/// `me KEY [b]`: the metadata of an item (upstream's text, "Meta Debug"). Answered by a [`MetaDebugReply`], or by `EN` if
/// the key does not exist. For a base64 key 1.6.18 and 1.6.38 return the metadata; 1.6.45 always answers `EN`.
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaDebug};
/// let mut wire = bytes::BytesMut::new();
/// Request::MetaDebug(MetaDebug::new(MetaKey::for_bytes("a")?)).encode(&mut wire);
/// assert_eq!(wire, &b"me a\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaDebug {
    /// The key of the item.
    pub key: MetaKey,
    /// Flags that this crate has no name for.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::other_flags))]
    pub others: OtherFlags,
}

impl MetaDebug {
    /// `me KEY`.
    #[must_use]
    pub const fn new(key: MetaKey) -> Self {
        Self { key, others: OtherFlags::new() }
    }

    pub(in super::super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        let put = |debug: &mut Self, flag: Flag<'_>| flag.add_to(&mut debug.others);
        word.flat_map(move |key| flags(line, key, Self::new, put))
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        let mut out = Writer(out);
        out.start(b"me", &self.key);
        out.base64(&self.key).others(&self.others);
    }
}

/// `ME KEY name=value…`, kept as the server sent it. The key has the form that it had in the request: plain or base64,
/// never percent-encoded.
///
/// ```
/// use mcflush::protocol::meta::MetaDebugReply;
/// let reply = MetaDebugReply::new("ME a exp=-1 la=1 cas=7 fetch=yes cls=1 size=67").unwrap();
/// assert_eq!((reply.key(), reply.field("cas")), (&b"a"[..], Some(&b"7"[..])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaDebugReply {
    line: Bytes,
    key: Bytes,
    fields: Bytes,
}

impl MetaDebugReply {
    /// Takes a line without its line end. None if the line is not an `ME` line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        let (key, fields) = whole(preceded(keyword("ME"), (word, rest)), &line).filter(|_| is_line(&line))?;
        Some(Self { key: line.slice_ref(key), fields: line.slice_ref(fields), line })
    }

    /// The key, in the form that it has in the line.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the field with this name, as the server sent it: `field("exp")`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        Words(&self.fields).find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// The line as the server sent it, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.line);
    }
}

conversions!(MetaDebugReply, "answer to me", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::super::OtherFlag;
    use super::*;
    use crate::protocol::Request;

    fn debug() -> MetaDebug {
        MetaDebug::new(MetaKey::for_bytes("k").unwrap())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("me k", debug()),
            ("me AAE= b", MetaDebug::new(MetaKey::for_bytes(&b"\0\x01"[..]).unwrap())),
            ("me k P", MetaDebug { others: OtherFlag::new("P").unwrap().into(), ..debug() }),
        ] {
            assert_eq!(Request::parse(line.into()).0, Request::MetaDebug(expected), "{line}");
        }
        for line in ["me", "me a b", "me k v v"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
