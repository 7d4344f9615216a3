//! The retrieval commands `get`, `gets`, `gat`, `gats`, and the `VALUE` blocks that answer them.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::combinator::{consumed, map_opt, opt};
use nom::multi::many1;

use super::escape::Escaped;
use super::key::Key;
use super::line::{Grammar, decimal_len, key, keyword, leading_decimal, number, put_decimal, whole, word, word_len};
use super::scalar::{Cas, Exptime, ItemFlags};
use super::value_error::ValueError;

/// One or more keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Held);

/// A single key needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    One(Key),
    /// Two or more.
    Several(Vec<Key>),
}

impl Keys {
    /// Takes the keys. None if there are none.
    #[must_use]
    pub fn new(mut keys: Vec<Key>) -> Option<Self> {
        match keys.len() {
            0 => None,
            1 => keys.pop().map(Self::from),
            _ => Some(Self(Held::Several(keys))),
        }
    }

    /// Adds a key.
    pub fn push(&mut self, key: Key) {
        match &mut self.0 {
            Held::One(first) => self.0 = Held::Several(vec![first.clone(), key]),
            Held::Several(keys) => keys.push(key),
        }
    }

    /// All keys.
    #[must_use]
    pub fn as_slice(&self) -> &[Key] {
        match &self.0 {
            Held::One(key) => std::slice::from_ref(key),
            Held::Several(keys) => keys,
        }
    }

    /// The key, if there is only one.
    #[cfg(feature = "client")]
    pub(crate) const fn single(&self) -> Option<&Key> {
        match &self.0 {
            Held::One(key) => Some(key),
            Held::Several(_) => None,
        }
    }

    /// The key, if there is only one.
    #[cfg(feature = "client")]
    pub(crate) fn into_single(self) -> Option<Key> {
        match self.0 {
            Held::One(key) => Some(key),
            Held::Several(_) => None,
        }
    }
}

impl TryFrom<Vec<Key>> for Keys {
    type Error = ValueError;

    fn try_from(keys: Vec<Key>) -> Result<Self, ValueError> {
        Self::new(keys).ok_or(ValueError::of("keys"))
    }
}

impl AsRef<[Key]> for Keys {
    fn as_ref(&self) -> &[Key] {
        self.as_slice()
    }
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self(Held::One(key))
    }
}

/// `get KEY…`, `gets KEY…` (with CAS), `gat EXPTIME KEY…`, `gats EXPTIME KEY…` (get and touch, since 1.5.3). Answered by a
/// [`Value`] for each key that exists, then `END` (upstream's text, "Retrieval command").
///
/// ```
/// use mcflush::protocol::{Exptime, Key, Request, retrieval::{Keys, Retrieve}};
/// let mut wire = bytes::BytesMut::new();
/// let keys = Keys::from(Key::new("a")?);
/// Request::Retrieve(Retrieve { keys, with_cas: true, touch: Some(Exptime::new(100)) }).encode(&mut wire);
/// assert_eq!(wire, &b"gats 100 a\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Retrieve {
    /// The keys of the items to get.
    pub keys: Keys,
    /// Whether the server sends the CAS of each item.
    pub with_cas: bool,
    /// The new exptime for the items that the server finds.
    pub touch: Option<Exptime>,
}

impl Retrieve {
    /// `get KEY`.
    pub fn new(key: Key) -> Self {
        Self { keys: key.into(), with_cas: false, touch: None }
    }

    /// Reads the words after the verb; `touch` reads those before the keys.
    pub(super) fn parse<'a>(
        line: &'a Bytes,
        with_cas: bool,
        touch: impl Grammar<'a, Option<Exptime>>,
    ) -> impl Grammar<'a, Self> {
        (touch, map_opt(many1(key(line)), Keys::new)).map(move |(touch, keys)| Self { keys, with_cas, touch })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(match (self.with_cas, self.touch) {
            (false, None) => b"get",
            (true, None) => b"gets",
            (false, Some(_)) => b"gat",
            (true, Some(_)) => b"gats",
        });
        if let Some(exptime) = self.touch {
            out.put_u8(b' ');
            exptime.encode(out);
        }
        for key in self.keys.as_slice() {
            out.put_u8(b' ');
            out.put_slice(key.as_bytes());
        }
    }
}

/// An item: `VALUE KEY FLAGS LENGTH [CAS]` with its data block. A value that was read is a slice of the read buffer.
///
/// ```
/// use mcflush::protocol::{Cas, ItemFlags, Key, Reply, retrieval::Value};
/// let value = Value::new(&Key::new("a")?, ItemFlags(5), Some(Cas(7)), "abc");
/// assert_eq!((value.key(), value.data()), (&b"a"[..], &b"abc"[..]));
/// let mut wire = bytes::BytesMut::new();
/// Reply::Value(value).encode(&mut wire);
/// assert_eq!(wire, &b"VALUE a 5 3 7\r\nabc\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Value {
    /// The key is at the front, the data at the end. One slice holds both: making and dropping a second one would take
    /// longer than splitting this one at each access.
    block: Bytes,
    key_len: usize,
    data_len: usize,
    flags: ItemFlags,
    cas: Option<Cas>,
}

impl Value {
    /// The reply for an item that the server found. Copies key and data.
    #[must_use]
    pub fn new(key: &Key, flags: ItemFlags, cas: Option<Cas>, data: impl AsRef<[u8]>) -> Self {
        let (key, data) = (key.as_bytes(), data.as_ref());
        Self { block: [key, data].concat().into(), key_len: key.len(), data_len: data.len(), flags, cas }
    }

    /// Takes a block from the first byte of its key to the last byte of its data.
    pub(crate) const fn from_block(block: Bytes, header: &ValueHeader, data_len: usize) -> Self {
        Self { block, key_len: header.key_len, data_len, flags: header.flags, cas: header.cas }
    }

    /// The key as the server sent it: without spaces, otherwise not checked.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.block.get(..self.key_len).unwrap_or_default()
    }

    /// The flags, which a client stored with the data.
    #[must_use]
    pub const fn flags(&self) -> ItemFlags {
        self.flags
    }

    /// The item's CAS, if the request asked for it.
    #[must_use]
    pub const fn cas(&self) -> Option<Cas> {
        self.cas
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.block.get(self.data_start()..).unwrap_or_default()
    }

    /// The data, without a copy.
    #[must_use]
    pub fn into_data(mut self) -> Bytes {
        self.block.advance(self.data_start());
        self.block
    }

    const fn data_start(&self) -> usize {
        self.block.len() - self.data_len
    }

    pub(super) fn encode_line(&self, out: &mut BytesMut) {
        out.put_slice(b"VALUE ");
        out.put_slice(self.key());
        out.put_u8(b' ');
        put_decimal(out, self.flags.0);
        out.put_u8(b' ');
        put_decimal(out, self.data_len as u64);
        if let Some(cas) = self.cas {
            out.put_u8(b' ');
            cas.encode(out);
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        let fields = |value: &Self| (value.flags, value.cas);
        fields(self) == fields(other) && self.key() == other.key() && self.data() == other.data()
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flags, cas, .. } = self;
        let (key, data) = (Escaped(self.key()), Escaped(self.data()));
        write!(f, "Value {{ key: {key}, {flags:?}, {cas:?}, data: {data} }}")
    }
}

/// A `VALUE` block, borrowed from the read buffer.
///
/// ```
/// use mcflush::protocol::retrieval::ValueBlock;
/// let (value, length) = ValueBlock::new(b"VALUE a 5 3 7\r\nabc\r\nEND\r\n").unwrap();
/// assert_eq!((value.key(), value.data(), length), (&b"a"[..], &b"abc"[..], 20));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueBlock<'a> {
    key: &'a [u8],
    flags: ItemFlags,
    cas: Option<Cas>,
    data: &'a [u8],
}

impl<'a> ValueBlock<'a> {
    /// Reads the first block of a buffer, if the block is complete and its line is in the usual spelling. The number is the
    /// length of the line and the data block with their line ends, in bytes.
    ///
    /// ```
    /// use mcflush::protocol::retrieval::ValueBlock;
    /// let (_, length) = ValueBlock::new(b"VALUE a 5 3\r\nabc\r\nVALUE b").unwrap();
    /// assert_eq!(length, 18);
    /// assert!(ValueBlock::new(b"VALUE a 5 3\r\nab").is_none());
    /// ```
    #[must_use]
    #[inline]
    pub fn new(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let rest = buffer.strip_prefix(b"VALUE ")?;
        // One pass is enough, because only numbers stand between the key and the line end.
        let (key, rest) = rest.split_at_checked(word_len(rest)?)?;
        let [b' ', rest @ ..] = rest else { return None };
        let (flags, rest) = leading_decimal(rest)?;
        let [b' ', rest @ ..] = rest else { return None };
        let (data, rest) = leading_decimal(rest)?;
        let (cas, rest) = match rest {
            [b' ', rest @ ..] => leading_decimal(rest).map(|(cas, rest)| (Some(Cas(cas)), rest))?,
            rest => (None, rest),
        };
        let [b'\r', b'\n', rest @ ..] = rest else { return None };
        let (data, rest) = rest.split_at_checked(usize::try_from(data).ok()?)?;
        let [b'\r', b'\n', rest @ ..] = rest else { return None };
        let block = Self { key, flags: ItemFlags(u32::try_from(flags).ok()?), cas, data };
        (!key.is_empty()).then_some((block, buffer.len() - rest.len()))
    }

    /// The key as the server sent it: without spaces, otherwise not checked.
    #[must_use]
    pub const fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The flags, which a client stored with the data.
    #[must_use]
    pub const fn flags(&self) -> ItemFlags {
        self.flags
    }

    /// The item's CAS, if the request asked for it.
    #[must_use]
    pub const fn cas(&self) -> Option<Cas> {
        self.cas
    }

    /// The data.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The fields of the line.
    #[inline]
    pub(crate) const fn header(&self) -> ValueHeader {
        ValueHeader {
            key_start: b"VALUE ".len(),
            key_len: self.key.len(),
            flags: self.flags,
            cas: self.cas,
            length: self.data.len() as u64,
        }
    }
}

/// A `VALUE` line, which the client reads before the data block has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueHeader {
    /// The offset of the key in the line.
    pub key_start: usize,
    /// The length of the key, in bytes.
    pub key_len: usize,
    pub flags: ItemFlags,
    pub cas: Option<Cas>,
    /// The length of the data block, in bytes.
    pub length: u64,
}

impl ValueHeader {
    /// `VALUE KEY FLAGS LENGTH [CAS]`
    #[inline]
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let words = (consumed(keyword("VALUE")), word, ItemFlags::parse, number, opt(Cas::parse));
        whole(words, line).map(|((start, _), key, flags, length, cas)| Self {
            key_start: start.len(),
            key_len: key.len(),
            flags,
            cas,
            length,
        })
    }

    /// Whether the line (without its line end) is spelled as this crate writes it. To compare the lengths is enough, because
    /// any other spelling that [`Self::parse`] reads is longer.
    pub(crate) fn is_spelled(&self, line: &[u8]) -> bool {
        let cas = self.cas.map_or(0, |cas| 1 + decimal_len(cas.0));
        line.len() == 8 + self.key_len + decimal_len(self.flags.0.into()) + decimal_len(self.length) + cas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_or_more() {
        let key = |text: &'static str| Key::new(text).unwrap();
        assert_eq!(Keys::new(vec![]), None);
        let mut keys = Keys::from(key("a"));
        for (pushed, all) in [("b", vec!["a", "b"]), ("c", vec!["a", "b", "c"])] {
            keys.push(key(pushed));
            assert_eq!(keys.as_ref(), all.into_iter().map(key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn values_with_the_same_key_flags_cas_and_data_are_equal() {
        let value = |key: &'static str, flags, cas, data: &str| {
            Value::new(&Key::new(key).unwrap(), ItemFlags(flags), cas, data)
        };
        let one = value("k", 1, Some(Cas(2)), "abc");
        let (read, _) = ValueBlock::new(b"VALUE k 1 3 2\r\nabc\r\n").unwrap();
        let block = Bytes::from_static(b"k 1 3 2\r\nabc");
        assert_eq!(one, Value::from_block(block, &read.header(), 3));
        for other in [
            value("l", 1, Some(Cas(2)), "abc"),
            value("k", 0, Some(Cas(2)), "abc"),
            value("k", 1, None, "abc"),
            value("k", 1, Some(Cas(2)), "abd"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn value_lines() {
        let header = |key_start, key_len, flags, length, cas: Option<u64>| {
            Some(ValueHeader { key_start, key_len, flags: ItemFlags(flags), cas: cas.map(Cas), length })
        };
        for (line, expected) in [
            ("VALUE a 5 6", header(6, 1, 5, 6, None)),
            ("VALUE a 5 6 7", header(6, 1, 5, 6, Some(7))),
            ("VALUE  ab 05 6  7 ", header(7, 2, 5, 6, Some(7))),
            ("VALUE k 0 18446744073709551615", header(6, 1, 0, u64::MAX, None)),
            ("VALUE a 5", None),
            ("VALUE a 5 -1", None),
            ("VALUE a 5 6 7 8", None),
            ("VALUE a 4294967296 1", None),
            ("VALUE a 0 18446744073709551616", None),
            ("VALUEa 5 6", None),
            ("VALUE", None),
            ("", None),
        ] {
            assert_eq!(ValueHeader::parse(line.as_bytes()), expected, "{line}");
        }
    }
}
