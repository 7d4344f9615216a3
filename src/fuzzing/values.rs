//! Makes values from any bytes. Here are the types that accept only some bytes, because the others derive `Arbitrary`; and
//! the answers to a request.

use arbitrary::{Arbitrary, Error, Result, Unstructured};
use bytes::Bytes;

use crate::codec::{Answer, Role};
use crate::protocol::admin::ServerVersion;
use crate::protocol::cachedump::CachedumpItem;
use crate::protocol::crawler::{Classes, MetadumpItem, MgdumpItem};
use crate::protocol::meta::{MetaCode, MetaDebugReply, MetaReply, MetaVerb, OtherFlag, OtherFlags, ReturnFlags};
use crate::protocol::retrieval::{Keys, Value};
use crate::protocol::stats::{PrefixStat, Stat, StatsArgument};
use crate::protocol::storage::Credentials;
use crate::protocol::{BinaryKey, ErrorReply, Expect, Fraction, Key, Opaque, OtherLine, Reply, UnknownLine};

/// At most 255 bytes.
pub(crate) fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    let length = usize::from(u8::arbitrary(u)?).min(u.len());
    u.bytes(length).map(Bytes::copy_from_slice)
}

/// A few flags.
pub(crate) fn other_flags(u: &mut Unstructured<'_>) -> Result<OtherFlags> {
    let mut flags = OtherFlags::new();
    for flag in u.arbitrary_iter::<OtherFlag>()?.take(3) {
        flags.insert(flag?);
    }
    Ok(flags)
}

/// Some bytes between `before` and `after`.
fn within(before: &[u8], u: &mut Unstructured<'_>, after: &[u8]) -> Result<Vec<u8>> {
    Ok([before, &bytes(u)?, after].concat())
}

/// For each type: how to make the bytes of a value, and the bytes to use instead if those are not a value of the type.
macro_rules! arbitrary_bytes {
    ($($type:ty: $bytes:expr, else $otherwise:literal;)+) => {
        $(
            impl<'a> Arbitrary<'a> for $type {
                fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                    let bytes: fn(&mut Unstructured<'a>) -> Result<Vec<u8>> = $bytes;
                    let value = Self::try_from(bytes(u)?).or_else(|_| Self::try_from($otherwise.to_vec()));
                    value.map_err(|_| Error::IncorrectFormat)
                }
            }
        )+
    };
}

/// A short key is held without memory on the heap, because it is made of a slice.
impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::try_from(&bytes(u)?[..]).or_else(|_| Self::new("key")).map_err(|_| Error::IncorrectFormat)
    }
}

arbitrary_bytes! {
    BinaryKey: |u| within(b"", u, b""), else b"two words";
    CachedumpItem: |u| within(b"ITEM ", u, b" [1 b; 0 s]"), else b"ITEM key [1 b; 0 s]";
    Classes: |u| within(b"", u, b""), else b"\x01";
    ErrorReply: |u| within(b"SERVER_ERROR ", u, b""), else b"ERROR";
    Fraction: |u| Ok(format!("{}.{}", u8::arbitrary(u)?, u8::arbitrary(u)?).into_bytes()), else b"0.5";
    MetaDebugReply: |u| within(b"ME ", u, b" exp=-1"), else b"ME key exp=-1";
    MetadumpItem: |u| within(b"key=", u, b" exp=-1 "), else b"key=key exp=-1";
    MgdumpItem: |u| within(b"mg ", u, b""), else b"mg key";
    Opaque: |u| within(b"", u, b""), else b"42";
    OtherFlag: |u| within(b"", u, b""), else b"Ppath";
    OtherLine: |u| within(b"", u, b""), else b"HELLO";
    PrefixStat: |u| within(b"PREFIX ", u, b" get 1"), else b"PREFIX shop get 1";
    ReturnFlags: |u| within(b"", u, b""), else b"f0 s5";
    ServerVersion: |u| within(b"", u, b""), else b"1.6.45";
    StatsArgument: |u| within(b"", u, b""), else b"noise";
    UnknownLine: |u| within(b"", u, b""), else b"nonsense";
}

impl<'a> Arbitrary<'a> for Credentials {
    fn arbitrary(_: &mut Unstructured<'a>) -> Result<Self> {
        Self::new("app", "secret").ok_or(Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for Keys {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut keys = Self::from(Key::arbitrary(u)?);
        for key in u.arbitrary_iter()?.take(3) {
            keys.push(key?);
        }
        Ok(keys)
    }
}

impl<'a> Arbitrary<'a> for Stat {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Self::new(bytes(u)?, bytes(u)?).or_else(|| Self::new("pid", "1")).ok_or(Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::new(&u.arbitrary()?, u.arbitrary()?, u.arbitrary()?, bytes(u)?))
    }
}

/// A whole answer that `expect` allows.
pub(super) fn answer(u: &mut Unstructured<'_>, expect: Expect) -> Result<Vec<Answer>> {
    // No server answers a fence with an error: the client would assign the error to an earlier quiet request.
    if expect != Expect::Noop && u.ratio(1, 16)? {
        return Ok(vec![Answer::new(Reply::Error(u.arbitrary()?), Role::Last)]);
    }
    let (parts, last) = match expect {
        Expect::Cachedump => (some(u, Reply::Cachedump)?, Reply::End),
        Expect::Config => (some(u, Reply::Config)?, Reply::End),
        Expect::Metadump => (some(u, Reply::Metadump)?, Reply::End),
        Expect::Mgdump => (some(u, Reply::Mgdump)?, Reply::MgdumpEnd),
        Expect::PrefixStats => (some(u, Reply::Prefix)?, Reply::End),
        Expect::Stats | Expect::StatsOther => (some(u, Reply::Stat)?, Reply::End),
        Expect::Values => (some(u, Reply::Value)?, Reply::End),
        _ => (Vec::new(), only(u, expect)?),
    };
    let parts = parts.into_iter().map(|reply| Answer::new(reply, Role::Part));
    Ok(parts.chain([Answer::new(last, Role::Last)]).collect())
}

fn some<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>, reply: fn(T) -> Reply) -> Result<Vec<Reply>> {
    u.arbitrary_iter()?.take(3).map(|part| part.map(reply)).collect()
}

/// The reply of an answer that consists of only one.
fn only(u: &mut Unstructured<'_>, expect: Expect) -> Result<Reply> {
    Ok(match expect {
        Expect::Delete => u.choose(&[Reply::Deleted, Reply::NotFound])?.clone(),
        Expect::Meta(verb) => meta_reply(u, verb)?,
        Expect::MetaDebug if u.arbitrary()? => Reply::MetaDebug(u.arbitrary()?),
        Expect::MetaDebug => Reply::Meta(MetaReply { code: MetaCode::En, flags: ReturnFlags::default() }),
        Expect::Noop => Reply::Noop,
        Expect::Number => Reply::Number(u.arbitrary()?),
        Expect::Reset => Reply::Reset,
        Expect::SizesSwitch => Reply::Stat(Stat::new("sizes_status", "enabled").ok_or(Error::IncorrectFormat)?),
        Expect::Store => u.choose(&[Reply::Stored, Reply::NotStored, Reply::Exists, Reply::NotFound])?.clone(),
        Expect::Touch => u.choose(&[Reply::Touched, Reply::NotFound])?.clone(),
        Expect::Unknown => Reply::Other(u.arbitrary()?),
        Expect::Version => Reply::Version(u.arbitrary()?),
        _ => Reply::Ok,
    })
}

fn meta_reply(u: &mut Unstructured<'_>, verb: MetaVerb) -> Result<Reply> {
    if verb.has_values() && u.arbitrary()? {
        return Ok(Reply::MetaValue(u.arbitrary()?));
    }
    let codes = match verb {
        MetaVerb::Get => &[MetaCode::Hd, MetaCode::En][..],
        MetaVerb::Set => &[MetaCode::Hd, MetaCode::Ns, MetaCode::Ex, MetaCode::Nf],
        MetaVerb::Delete | MetaVerb::Arithmetic => &[MetaCode::Hd, MetaCode::Ex, MetaCode::Nf],
    };
    Ok(Reply::Meta(MetaReply { code: *u.choose(codes)?, flags: u.arbitrary()? }))
}
