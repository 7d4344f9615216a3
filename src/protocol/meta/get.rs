//! `mg`: gets an item or its metadata.

use bytes::{Bytes, BytesMut};
use nom::Parser;

use super::super::MetaKey;
use super::super::line::{Grammar, word};
use super::super::scalar::{Cas, Exptime, Opaque};
use super::flags::{Flag, OtherFlags, Writer, flags};

/// `mg KEY flags…`: gets an item, or only its metadata (upstream's text, "Meta Get"; since 1.6.0).
///
/// With [`value`](Self::value), answered by `VA` and the value; without it, by `HD`. A miss is answered by `EN`, or with
/// [`quiet`](Self::quiet) not at all.
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaGet};
/// let mut wire = bytes::BytesMut::new();
/// let get = MetaGet { cas: true, ..MetaGet::new(MetaKey::for_bytes("a")?) };
/// Request::MetaGet(get).encode(&mut wire);
/// assert_eq!(wire, &b"mg a c\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaGet {
    /// The key of the item to get.
    pub key: MetaKey,
    /// `c`: the server returns the CAS.
    pub cas: bool,
    /// `f`: the server returns the client flags.
    pub client_flags: bool,
    /// `h`: the server returns whether the item has been read before.
    pub hit_before: bool,
    /// `k`: the server returns the key.
    pub return_key: bool,
    /// `l`: the server returns the seconds since the item was last accessed.
    pub last_access: bool,
    /// `s`: the server returns the length of the value.
    pub size: bool,
    /// `t`: the server returns the seconds until the item expires.
    pub ttl: bool,
    /// `v`: the server returns the value.
    pub value: bool,
    /// `u`: the server does not count this request as an access.
    pub no_bump: bool,
    /// `q`: the server does not answer a miss.
    pub quiet: bool,
    /// `O`: the opaque, which the server repeats in its answer.
    pub opaque: Option<Opaque>,
    /// `E`: the CAS of an item that this request creates (since 1.6.29).
    pub new_cas: Option<Cas>,
    /// `N`: on a miss, the server creates an empty item with this exptime.
    pub vivify: Option<Exptime>,
    /// `R`: if the item expires sooner than this, the client wins the right to recache it.
    pub recache: Option<Exptime>,
    /// `T`: the new exptime of the item.
    pub touch: Option<Exptime>,
    /// Flags that this crate has no name for.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::other_flags))]
    pub others: OtherFlags,
}

impl MetaGet {
    /// A request that asks only whether the key exists.
    #[must_use]
    pub const fn new(key: MetaKey) -> Self {
        Self {
            key,
            cas: false,
            client_flags: false,
            hit_before: false,
            return_key: false,
            last_access: false,
            size: false,
            ttl: false,
            value: false,
            no_bump: false,
            quiet: false,
            opaque: None,
            new_cas: None,
            vivify: None,
            recache: None,
            touch: None,
            others: OtherFlags::new(),
        }
    }

    pub(in super::super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, Self> {
        let put = |get: &mut Self, flag: Flag<'_>| {
            match flag.letter() {
                b'c' => get.cas = true,
                b'f' => get.client_flags = true,
                b'h' => get.hit_before = true,
                b'k' => get.return_key = true,
                b'l' => get.last_access = true,
                b's' => get.size = true,
                b't' => get.ttl = true,
                b'v' => get.value = true,
                b'u' => get.no_bump = true,
                b'q' => get.quiet = true,
                b'O' => get.opaque = Some(flag.opaque()?),
                b'E' => get.new_cas = Some(flag.cas()?),
                b'N' => get.vivify = Some(flag.exptime()?),
                b'R' => get.recache = Some(flag.exptime()?),
                b'T' => get.touch = Some(flag.exptime()?),
                _ => return flag.add_to(&mut get.others),
            }
            Some(())
        };
        word.flat_map(move |key| flags(line, key, Self::new, put))
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        let mut out = Writer(out);
        out.start(b"mg", &self.key);
        out.base64(&self.key)
            .set(b'c', self.cas)
            .set(b'f', self.client_flags)
            .set(b'h', self.hit_before)
            .set(b'k', self.return_key)
            .set(b'l', self.last_access)
            .set(b's', self.size)
            .set(b't', self.ttl)
            .set(b'v', self.value)
            .set(b'u', self.no_bump)
            .set(b'q', self.quiet)
            .opaque(self.opaque.as_ref())
            .number(b'E', self.new_cas)
            .exptime(b'N', self.vivify)
            .exptime(b'R', self.recache)
            .exptime(b'T', self.touch)
            .others(&self.others);
    }
}

#[cfg(test)]
mod tests {
    use super::super::OtherFlag;
    use super::*;
    use crate::protocol::Request;

    fn get() -> MetaGet {
        MetaGet::new(MetaKey::for_bytes("k").unwrap())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("mg k", get()),
            ("mg k v k t", MetaGet { value: true, return_key: true, ttl: true, ..get() }),
            (
                "mg k O12 E9 N-1 q",
                MetaGet {
                    opaque: Opaque::new("12"),
                    new_cas: Some(Cas(9)),
                    vivify: Some(Exptime::NOW),
                    quiet: true,
                    ..get()
                },
            ),
            ("mg k T30", MetaGet { touch: Some(Exptime::new(30)), ..get() }),
            ("mg AAE= b", MetaGet::new(MetaKey::for_bytes(&b"\0\x01"[..]).unwrap())),
            ("mg k P1", MetaGet { others: OtherFlag::new("P1").unwrap().into(), ..get() }),
        ] {
            assert_eq!(Request::parse(line.into()).0, Request::MetaGet(expected), "{line}");
        }
        for line in ["mg", "mg k v v", "mg a b", "mg AAEC! b", "mg k Nx", "mg k E", "mg k \x7f"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
