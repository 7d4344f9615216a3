//! `md`: deletes an item, or marks it as stale.

use bytes::{Bytes, BytesMut};
use nom::Parser;

use super::super::MetaKey;
use super::super::line::{Grammar, word};
use super::super::scalar::{Cas, Exptime, Opaque};
use super::flags::{Flag, OtherFlags, Writer, flags};

/// `md KEY flags…`: deletes an item, or marks it as stale (upstream's text, "Meta Delete"; since 1.6.0). Answered by `HD`,
/// `NF` (not found) or `EX` (the CAS differs).
///
/// With [`quiet`](Self::quiet) the server sends no answer if it deleted the item, but it **does** answer `NF` if the key
/// does not exist.
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaDelete};
/// let mut wire = bytes::BytesMut::new();
/// let key = MetaKey::for_bytes("two words")?;
/// Request::MetaDelete(MetaDelete { quiet: true, ..MetaDelete::new(key) }).encode(&mut wire);
/// assert_eq!(wire, &b"md dHdvIHdvcmRz b q\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaDelete {
    /// The key of the item to delete.
    pub key: MetaKey,
    /// `q`: the server sends no answer if it deleted the item.
    pub quiet: bool,
    /// `I`: instead of deleting the item, the server marks it as stale and gives it a new CAS.
    pub invalidate: bool,
    /// `k`: the server returns the key.
    pub return_key: bool,
    /// `x`: the server removes the value and the client flags, and keeps the item (since 1.6.29).
    pub remove_value: bool,
    /// `O`: the opaque, which the server repeats in its answer.
    pub opaque: Option<Opaque>,
    /// `C`: the server deletes the item only if it has this CAS.
    pub cas: Option<Cas>,
    /// `E`: the CAS that a stale item gets (since 1.6.29).
    pub new_cas: Option<Cas>,
    /// `T`: with [`invalidate`](Self::invalidate), the new exptime of the item.
    pub exptime: Option<Exptime>,
    /// Flags that this crate has no name for.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::other_flags))]
    pub others: OtherFlags,
}

impl MetaDelete {
    /// `md KEY`.
    #[must_use]
    pub const fn new(key: MetaKey) -> Self {
        Self {
            key,
            quiet: false,
            invalidate: false,
            return_key: false,
            remove_value: false,
            opaque: None,
            cas: None,
            new_cas: None,
            exptime: None,
            others: OtherFlags::new(),
        }
    }

    pub(in super::super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        let put = |delete: &mut Self, flag: Flag<'_>| {
            match flag.letter() {
                b'q' => delete.quiet = true,
                b'I' => delete.invalidate = true,
                b'k' => delete.return_key = true,
                b'x' => delete.remove_value = true,
                b'O' => delete.opaque = Some(flag.opaque()?),
                b'C' => delete.cas = Some(flag.cas()?),
                b'E' => delete.new_cas = Some(flag.cas()?),
                b'T' => delete.exptime = Some(flag.exptime()?),
                _ => return flag.add_to(&mut delete.others),
            }
            Some(())
        };
        word.flat_map(move |key| flags(line, key, Self::new, put))
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        let mut out = Writer(out);
        out.start(b"md", &self.key);
        out.base64(&self.key)
            .set(b'I', self.invalidate)
            .set(b'k', self.return_key)
            .set(b'x', self.remove_value)
            .opaque(self.opaque.as_ref())
            .number(b'C', self.cas)
            .number(b'E', self.new_cas)
            .exptime(b'T', self.exptime)
            .set(b'q', self.quiet)
            .others(&self.others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    fn delete() -> MetaDelete {
        MetaDelete::new(MetaKey::for_bytes("k").unwrap())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("md k", delete()),
            ("md k q", MetaDelete { quiet: true, ..delete() }),
            (
                "md k I T30 C7 E9",
                MetaDelete {
                    invalidate: true,
                    exptime: Some(Exptime::new(30)),
                    cas: Some(Cas(7)),
                    new_cas: Some(Cas(9)),
                    ..delete()
                },
            ),
            (
                "md AAE= b x k",
                MetaDelete {
                    remove_value: true,
                    return_key: true,
                    ..MetaDelete::new(MetaKey::for_bytes(&b"\0\x01"[..]).unwrap())
                },
            ),
        ] {
            assert_eq!(Request::parse(line.into()).0, Request::MetaDelete(expected), "{line}");
        }
        for line in ["md", "md k q q", "md k Cx", "md k T", "md a b"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
