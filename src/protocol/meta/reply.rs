//! The replies to meta commands.

use bytes::{BufMut, Bytes, BytesMut};
use nom::combinator::{map_opt, rest};
use nom::sequence::preceded;

use super::super::line::{Words, is_line, keyword, number, put_decimal, signed, whole, word};
use super::super::scalar::{Cas, ItemFlags};
use crate::conversions::conversions;

/// The two letters that begin a reply to a meta command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaCode {
    /// `HD`: the server executed the request, or found the item; no value follows.
    Hd,
    /// `EN`: a miss of `mg` or `me`.
    En,
    /// `NS`: not stored.
    Ns,
    /// `EX`: the CAS differs.
    Ex,
    /// `NF`: not found.
    Nf,
}

impl MetaCode {
    fn of_letters(letters: &[u8]) -> Option<Self> {
        [Self::Hd, Self::En, Self::Ns, Self::Ex, Self::Nf].into_iter().find(|code| code.letters() == *letters)
    }

    const fn letters(self) -> [u8; 2] {
        match self {
            Self::Hd => *b"HD",
            Self::En => *b"EN",
            Self::Ns => *b"NS",
            Self::Ex => *b"EX",
            Self::Nf => *b"NF",
        }
    }
}

/// A flag in the reply to a meta command.
///
/// ```
/// use mcflush::protocol::{Cas, meta::{ReturnFlag, ReturnFlags}};
/// let flags = ReturnFlags::new("c12 W").unwrap();
/// assert_eq!(flags.iter().collect::<Vec<_>>(), [ReturnFlag::Cas(Cas(12)), ReturnFlag::Won]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnFlag<'a> {
    /// `b`: the key is base64.
    Base64,
    /// `c`: the CAS.
    Cas(Cas),
    /// `f`: the client flags.
    ClientFlags(ItemFlags),
    /// `h`: whether the item had been read before.
    HitBefore(bool),
    /// `k`: the key as the client sent it.
    Key(&'a [u8]),
    /// `l`: the seconds since the item was last accessed.
    LastAccess(u64),
    /// `O`: the opaque of the request.
    Opaque(&'a [u8]),
    /// `s`: the length of the value, in bytes.
    Size(u64),
    /// `t`: the seconds until the item expires; None for never.
    Ttl(Option<u64>),
    /// `W`: this client has won the right to recache the item.
    Won,
    /// `X`: the item is stale.
    Stale,
    /// `Z`: another client has won the right to recache.
    AlreadyWon,
    /// A flag that this crate has no name for, or one with a token of the wrong form.
    Other(&'a [u8]),
}

impl<'a> ReturnFlag<'a> {
    fn parse(word: &'a [u8]) -> Self {
        Self::named(word).unwrap_or(Self::Other(word))
    }

    fn named(word: &'a [u8]) -> Option<Self> {
        let (letter, token) = word.split_first()?;
        Some(match (letter, token) {
            (b'b', []) => Self::Base64,
            (b'c', _) => Self::Cas(whole(Cas::parse, token)?),
            (b'f', _) => Self::ClientFlags(whole(ItemFlags::parse, token)?),
            (b'h', b"0") => Self::HitBefore(false),
            (b'h', b"1") => Self::HitBefore(true),
            (b'k', _) => Self::Key(token),
            (b'l', _) => Self::LastAccess(whole(number, token)?),
            (b'O', _) => Self::Opaque(token),
            (b's', _) => Self::Size(whole(number, token)?),
            (b't', _) => Self::Ttl(u64::try_from(whole(signed, token)?).ok()),
            (b'W', []) => Self::Won,
            (b'X', []) => Self::Stale,
            (b'Z', []) => Self::AlreadyWon,
            _ => return None,
        })
    }
}

/// The flags of a reply, kept as the server sent them. Each method searches them for its flag.
///
/// ```
/// use mcflush::protocol::{Cas, meta::ReturnFlags};
/// let flags = ReturnFlags::new("ka c2 O9").unwrap();
/// assert_eq!((flags.cas(), flags.opaque(), flags.key()), (Some(Cas(2)), Some(&b"9"[..]), Some(&b"a"[..])));
/// assert_eq!(ReturnFlags::new("a\nb"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReturnFlags(Bytes);

impl ReturnFlags {
    /// Takes words with single spaces between them. None if they are spelled in another way.
    #[must_use]
    pub fn new(words: impl Into<Bytes>) -> Option<Self> {
        let words = words.into();
        let sound = words.is_empty() || words.split(|&byte| byte == b' ').all(|word| !word.is_empty());
        (sound && is_line(&words)).then_some(Self(words))
    }

    /// The flags as the server sent them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Each flag in turn.
    pub fn iter(&self) -> impl Iterator<Item = ReturnFlag<'_>> {
        Words(&self.0).map(ReturnFlag::parse)
    }

    /// `c`: the CAS.
    #[must_use]
    pub fn cas(&self) -> Option<Cas> {
        self.iter().find_map(|flag| if let ReturnFlag::Cas(cas) = flag { Some(cas) } else { None })
    }

    /// `k`: the key as the client sent it.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.iter().find_map(|flag| if let ReturnFlag::Key(key) = flag { Some(key) } else { None })
    }

    /// `O`: the opaque of the request.
    #[must_use]
    pub fn opaque(&self) -> Option<&[u8]> {
        self.iter().find_map(|flag| if let ReturnFlag::Opaque(opaque) = flag { Some(opaque) } else { None })
    }

    /// The words of a line from this offset on. None if they are not flags.
    pub(crate) fn of_line(line: &Bytes, start: usize) -> Option<Self> {
        line.get(start..).and_then(|words| Self::of_words(line, words))
    }

    /// These words of a line, without spaces at their end.
    fn of_words(line: &Bytes, words: &[u8]) -> Option<Self> {
        let end = words.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        let words = words.get(..end)?;
        // With more than single spaces, the codec keeps the original spelling together with the reply.
        Self::new(line.slice_ref(words)).or_else(|| Self::new(Words(words).collect::<Vec<_>>().join(&b' ')))
    }

    fn encode(&self, out: &mut BytesMut) {
        if !self.0.is_empty() {
            out.put_u8(b' ');
            out.put_slice(&self.0);
        }
    }
}

conversions!(ReturnFlags, "flags of a meta reply", Self::as_bytes);

/// A reply to a meta command, without a value.
///
/// ```
/// use mcflush::protocol::{Reply, meta::{MetaCode, MetaReply, ReturnFlags}};
/// let mut wire = bytes::BytesMut::new();
/// Reply::Meta(MetaReply { code: MetaCode::Hd, flags: ReturnFlags::new("c12").unwrap() }).encode(&mut wire);
/// assert_eq!(wire, &b"HD c12\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaReply {
    /// The outcome.
    pub code: MetaCode,
    /// The flags that the request asked for.
    pub flags: ReturnFlags,
}

impl MetaReply {
    pub(in super::super) fn parse(line: &Bytes) -> Option<Self> {
        let words = (map_opt(word, MetaCode::of_letters), map_opt(rest, |words| ReturnFlags::of_words(line, words)));
        whole(words, line).map(|(code, flags)| Self { code, flags })
    }

    pub(in super::super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.code.letters());
        self.flags.encode(out);
    }
}

/// `VA LENGTH flags…` with its data block: the reply to a meta command that asked for the value.
///
/// ```
/// use mcflush::protocol::{Reply, meta::{MetaValue, ReturnFlags}};
/// let mut wire = bytes::BytesMut::new();
/// Reply::MetaValue(MetaValue { flags: ReturnFlags::new("f7").unwrap(), data: "abc".into() }).encode(&mut wire);
/// assert_eq!(wire, &b"VA 3 f7\r\nabc\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct MetaValue {
    /// The flags that the request asked for in addition to the value.
    pub flags: ReturnFlags,
    /// The value.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::bytes))]
    pub data: Bytes,
}

impl MetaValue {
    /// Reads a line. The numbers are the length of the data block that follows, in bytes, and the offset of the flags in the
    /// line.
    pub(in super::super) fn parse(line: &[u8]) -> Option<(u64, usize)> {
        let words = (preceded(keyword("VA"), number), rest);
        let (length, flags) = whole(words, line).filter(|_| is_line(line))?;
        Some((length, line.len() - flags.len()))
    }

    pub(in super::super) fn encode_line(&self, out: &mut BytesMut) {
        out.put_slice(b"VA ");
        put_decimal(out, self.data.len() as u64);
        self.flags.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        for (line, code, flags) in [
            ("HD", MetaCode::Hd, ""),
            ("NF", MetaCode::Nf, ""),
            ("HD c12 O9", MetaCode::Hd, "c12 O9"),
            ("HD  c12   O9 ", MetaCode::Hd, "c12 O9"),
            ("EN ", MetaCode::En, ""),
        ] {
            let flags = ReturnFlags::new(flags).unwrap();
            assert_eq!(MetaReply::parse(&line.into()), Some(MetaReply { code, flags }), "{line}");
        }
        for line in ["", "H", "HDx", "MN", "hd"] {
            assert_eq!(MetaReply::parse(&line.into()), None, "{line}");
        }
    }

    #[test]
    fn values() {
        for (line, flags, length) in [
            ("VA 3", "", 3),
            ("VA 3 ka f7 c2 t100 l0 h1 s3 O12", "ka f7 c2 t100 l0 h1 s3 O12", 3),
            ("VA 0 W", "W", 0),
            ("VA 18446744073709551615", "", u64::MAX),
        ] {
            let (parsed, flags_start) = MetaValue::parse(line.as_bytes()).unwrap();
            assert_eq!(parsed, length, "{line}");
            assert_eq!(ReturnFlags::of_line(&line.into(), flags_start), ReturnFlags::new(flags), "{line}");
        }
        let mut out = BytesMut::new();
        MetaValue { data: "ab".into(), flags: ReturnFlags::new("f7").unwrap() }.encode_line(&mut out);
        assert_eq!(out, "VA 2 f7");
        for line in ["VA", "VA ", "VA x", "VA -1", "VA3"] {
            assert_eq!(MetaValue::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn return_flags_are_typed() {
        let flags = ReturnFlags::new("ka f7 c2 t100 t-1 l0 h1 h0 s3 O12 W X Z b cx y9").unwrap();
        assert_eq!(flags.key(), Some(&b"a"[..]));
        let typed: Vec<_> = flags.iter().collect();
        assert_eq!(
            typed,
            [
                ReturnFlag::Key(b"a"),
                ReturnFlag::ClientFlags(ItemFlags(7)),
                ReturnFlag::Cas(Cas(2)),
                ReturnFlag::Ttl(Some(100)),
                ReturnFlag::Ttl(None),
                ReturnFlag::LastAccess(0),
                ReturnFlag::HitBefore(true),
                ReturnFlag::HitBefore(false),
                ReturnFlag::Size(3),
                ReturnFlag::Opaque(b"12"),
                ReturnFlag::Won,
                ReturnFlag::Stale,
                ReturnFlag::AlreadyWon,
                ReturnFlag::Base64,
                ReturnFlag::Other(b"cx"),
                ReturnFlag::Other(b"y9"),
            ]
        );
    }
}
