//! `ms`: stores an item.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;

use super::super::MetaKey;
use super::super::line::{Grammar, number, put_decimal, word};
use super::super::scalar::{Cas, Exptime, ItemFlags, Opaque};
use super::flags::{Flag, OtherFlags, Writer, flags};

/// The mode of an `ms`: how it treats an existing item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum MetaSetMode {
    /// Stores the item, whether or not the key exists.
    #[default]
    Set,
    /// `ME`: stores the item only if the key does not exist.
    Add,
    /// `MA`: adds the data after the existing value.
    Append,
    /// `MP`: adds the data before the existing value.
    Prepend,
    /// `MR`: stores the item only if the key exists.
    Replace,
}

/// `ms KEY LENGTH flags…` with the data block (upstream's text, "Meta Set"; since 1.6.0). Answered by `HD` (not sent with
/// [`quiet`](Self::quiet)), `NS` (not stored), `EX` (the CAS differs) or `NF` (not found).
///
/// ```
/// use mcflush::protocol::{MetaKey, Request, meta::MetaSet};
/// let mut wire = bytes::BytesMut::new();
/// Request::MetaSet(MetaSet::new(MetaKey::for_bytes("two words")?, "hi")).encode(&mut wire);
/// assert_eq!(wire, &b"ms dHdvIHdvcmRz 2 b\r\nhi\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaSet {
    /// The key.
    pub key: MetaKey,
    /// The value to store.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::bytes))]
    pub data: Bytes,
    /// `M`: how the server treats an existing item.
    pub mode: MetaSetMode,
    /// `c`: the server returns the new CAS.
    pub return_cas: bool,
    /// `k`: the server returns the key.
    pub return_key: bool,
    /// `s`: the server returns the length of the stored value (since 1.6.32).
    pub return_size: bool,
    /// `q`: the server sends no answer if it stored the item.
    pub quiet: bool,
    /// `I`: if the CAS of the request is older than the item's, the server stores the item as stale.
    pub invalidate: bool,
    /// `O`: the opaque, which the server repeats in its answer.
    pub opaque: Option<Opaque>,
    /// `C`: the server stores the item only if the existing item has this CAS.
    pub cas: Option<Cas>,
    /// `E`: the CAS that the item gets (since 1.6.29).
    pub new_cas: Option<Cas>,
    /// `F`: the client flags, which the server stores with the data.
    pub client_flags: Option<ItemFlags>,
    /// `T`: the time at which the item expires.
    pub exptime: Option<Exptime>,
    /// `N`: in append mode, if the key does not exist, the server creates the item with this exptime.
    pub vivify: Option<Exptime>,
    /// Flags that this crate has no name for.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::other_flags))]
    pub others: OtherFlags,
}

impl MetaSet {
    /// A request that stores the item without expiry, whether or not the key exists.
    pub fn new(key: MetaKey, data: impl Into<Bytes>) -> Self {
        Self {
            key,
            data: data.into(),
            mode: MetaSetMode::Set,
            return_cas: false,
            return_key: false,
            return_size: false,
            quiet: false,
            invalidate: false,
            opaque: None,
            cas: None,
            new_cas: None,
            client_flags: None,
            exptime: None,
            vivify: None,
            others: OtherFlags::new(),
        }
    }

    /// Reads a line. The number is the length of the data block that follows, in bytes.
    pub(in super::super) fn parse<'a>(line: &'a Bytes) -> impl Grammar<'a, (Self, u64)> {
        let new = |key| Self::new(key, Bytes::new());
        let put = |set: &mut Self, flag: Flag<'_>| {
            match flag.letter() {
                b'c' => set.return_cas = true,
                b'k' => set.return_key = true,
                b's' => set.return_size = true,
                b'q' => set.quiet = true,
                b'I' => set.invalidate = true,
                b'O' => set.opaque = Some(flag.opaque()?),
                b'C' => set.cas = Some(flag.cas()?),
                b'E' => set.new_cas = Some(flag.cas()?),
                b'F' => set.client_flags = Some(ItemFlags(flag.number()?)),
                b'T' => set.exptime = Some(flag.exptime()?),
                b'N' => set.vivify = Some(flag.exptime()?),
                b'M' => {
                    set.mode = match flag.token().first()? {
                        b'S' | b's' => MetaSetMode::Set,
                        b'E' | b'e' => MetaSetMode::Add,
                        b'A' | b'a' => MetaSetMode::Append,
                        b'P' | b'p' => MetaSetMode::Prepend,
                        b'R' | b'r' => MetaSetMode::Replace,
                        _ => return None,
                    }
                }
                _ => return flag.add_to(&mut set.others),
            }
            Some(())
        };
        (word, number).flat_map(move |(key, length)| flags(line, key, new, put).map(move |set| (set, length)))
    }

    pub(in super::super) fn encode_line(&self, out: &mut BytesMut) {
        let mut out = Writer(out);
        out.start(b"ms", &self.key);
        out.0.put_u8(b' ');
        put_decimal(out.0, self.data.len() as u64);
        out.base64(&self.key)
            .set(b'c', self.return_cas)
            .set(b'k', self.return_key)
            .set(b's', self.return_size)
            .set(b'q', self.quiet)
            .set(b'I', self.invalidate)
            .opaque(self.opaque.as_ref())
            .number(b'C', self.cas)
            .number(b'E', self.new_cas)
            .number(b'F', self.client_flags.map(|flags| flags.0))
            .exptime(b'T', self.exptime)
            .exptime(b'N', self.vivify);
        match self.mode {
            MetaSetMode::Set => {}
            MetaSetMode::Add => out.0.put_slice(b" ME"),
            MetaSetMode::Append => out.0.put_slice(b" MA"),
            MetaSetMode::Prepend => out.0.put_slice(b" MP"),
            MetaSetMode::Replace => out.0.put_slice(b" MR"),
        }
        out.others(&self.others);
    }
}

#[cfg(test)]
mod tests {
    use super::super::OtherFlag;
    use super::*;
    use crate::protocol::Request;

    fn set() -> MetaSet {
        MetaSet::new(MetaKey::for_bytes("k").unwrap(), Bytes::new())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            ("ms k 0", set()),
            ("ms k 3 ME", MetaSet { mode: MetaSetMode::Add, ..set() }),
            ("ms k 3 Mp", MetaSet { mode: MetaSetMode::Prepend, ..set() }),
            ("ms k 3 ma", MetaSet { others: OtherFlag::new("ma").unwrap().into(), ..set() }),
            (
                "ms k 3 F7 T100 I",
                MetaSet {
                    client_flags: Some(ItemFlags(7)),
                    exptime: Some(Exptime::new(100)),
                    invalidate: true,
                    ..set()
                },
            ),
        ] {
            assert_eq!(Request::parse(line.into()).0, Request::MetaSet(expected), "{line}");
        }
        for line in ["ms", "ms k", "ms k abc", "ms k -1", "ms k 1 MX", "ms k 1 F4294967296", "ms k 1 q q"] {
            assert!(matches!(Request::parse(line.into()).0, Request::Unknown(_)), "{line}");
        }
    }
}
