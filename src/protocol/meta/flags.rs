//! The flags of meta requests. Each letter may occur at most once; unknown flags are kept.

use bytes::{BufMut, Bytes, BytesMut};
use nom::combinator::{map_opt, rest};

use super::super::key::all_travel_as_text;
use super::super::line::{Grammar, Words, number, put_decimal, whole};
use super::super::scalar::{Cas, Exptime, Opaque};
use super::super::{BinaryKey, Key, MetaKey};
use crate::conversions::conversions;

/// A flag that this crate has no name for, kept unchanged: its letter and its token.
///
/// ```
/// use mcflush::protocol::meta::OtherFlag;
/// assert_eq!(OtherFlag::new("Ppath").unwrap().as_bytes(), b"Ppath");
/// assert_eq!(OtherFlag::new("q"), None, "that one has a name");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFlag(Bytes);

impl OtherFlag {
    /// The letters that this crate has a name for in at least one meta command.
    const NAMED: &'static [u8] = b"bcfhklqstuvxCDEFIJMNORT";

    /// Takes a letter with its token. None if a line cannot carry them, or if this crate has a name for the letter.
    #[must_use]
    pub fn new(word: impl Into<Bytes>) -> Option<Self> {
        let word = word.into();
        let letter = word.first()?;
        let carried = letter.is_ascii_graphic() && all_travel_as_text(&word);
        (carried && !Self::NAMED.contains(letter)).then_some(Self(word))
    }

    /// The letter and its token.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

conversions!(OtherFlag, "flag without a name", Self::as_bytes);

/// Flags that this crate has no name for, each letter at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherFlags(Vec<OtherFlag>);

impl OtherFlags {
    /// No flags.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a flag. Returns false, and leaves it out, if there is one of its letter.
    pub fn insert(&mut self, flag: OtherFlag) -> bool {
        let is_new = self.0.iter().all(|other| other.0.first() != flag.0.first());
        if is_new {
            self.0.push(flag);
        }
        is_new
    }

    /// The flags in the order in which they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, OtherFlag> {
        self.0.iter()
    }
}

impl From<OtherFlag> for OtherFlags {
    fn from(flag: OtherFlag) -> Self {
        Self(vec![flag])
    }
}

impl<'a> IntoIterator for &'a OtherFlags {
    type Item = &'a OtherFlag;
    type IntoIter = std::slice::Iter<'a, OtherFlag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A word of the flags, and the line that contains it.
#[derive(Clone, Copy)]
pub(super) struct Flag<'a> {
    line: &'a Bytes,
    word: &'a [u8],
    letter: u8,
    token: &'a [u8],
}

impl Flag<'_> {
    pub(super) fn letter(self) -> u8 {
        self.letter
    }

    pub(super) fn token(&self) -> &[u8] {
        self.token
    }

    pub(super) fn number<T: TryFrom<u64>>(self) -> Option<T> {
        whole(number, self.token)
    }

    pub(super) fn cas(self) -> Option<Cas> {
        whole(Cas::parse, self.token)
    }

    pub(super) fn exptime(self) -> Option<Exptime> {
        whole(Exptime::parse, self.token)
    }

    /// Adds the flag as one that its command has no name for.
    pub(super) fn add_to(self, others: &mut OtherFlags) -> Option<()> {
        (all_travel_as_text(self.word) && others.insert(OtherFlag(self.line.slice_ref(self.word)))).then_some(())
    }

    pub(super) fn opaque(self) -> Option<Opaque> {
        Opaque::new(self.line.slice_ref(self.token()))
    }
}

/// Reads the `flags…` after a key; with `b` among them, the key is base64. `new` makes a request from its key. `put` adds a
/// flag to the request; it returns None if the flag's token is wrong.
///
/// Fails if a server would answer `CLIENT_ERROR`: a letter occurs twice, a token is not a number, a key does not decode.
pub(super) fn flags<'a, T>(
    line: &'a Bytes,
    key: &'a [u8],
    new: impl Fn(MetaKey) -> T,
    put: impl Fn(&mut T, Flag<'_>) -> Option<()>,
) -> impl Grammar<'a, T> {
    map_opt(rest, move |words| {
        let key = if Words(words).any(|word| word.starts_with(b"b")) {
            MetaKey::Base64(BinaryKey::from_base64(key)?)
        } else {
            MetaKey::Text(Key::new(line.slice_ref(key)).ok()?)
        };
        let mut request = new(key);
        let mut seen = 0_u128;
        for word in Words(words) {
            let (&letter, token) = word.split_first()?;
            let bit = 1_u128.checked_shl(letter.into()).filter(|bit| letter < 127 && seen & bit == 0)?;
            seen |= bit;
            if letter != b'b' {
                put(&mut request, Flag { line, word, letter, token })?;
            }
        }
        Some(request)
    })
}

/// Writes the flags that [`flags`] reads.
pub(super) struct Writer<'a>(pub &'a mut BytesMut);

impl Writer<'_> {
    pub(super) fn start(&mut self, verb: &[u8; 2], key: &MetaKey) {
        self.0.put_slice(verb);
        self.0.put_u8(b' ');
        key.encode(self.0);
    }

    pub(super) fn base64(&mut self, key: &MetaKey) -> &mut Self {
        self.set(b'b', key.is_base64())
    }

    pub(super) fn set(&mut self, letter: u8, is_set: bool) -> &mut Self {
        if is_set {
            self.0.put_slice(&[b' ', letter]);
        }
        self
    }

    pub(super) fn number(&mut self, letter: u8, number: Option<impl Into<u64>>) -> &mut Self {
        if let Some(number) = number {
            self.0.put_slice(&[b' ', letter]);
            put_decimal(self.0, number);
        }
        self
    }

    pub(super) fn exptime(&mut self, letter: u8, exptime: Option<Exptime>) -> &mut Self {
        if let Some(exptime) = exptime {
            self.0.put_slice(&[b' ', letter]);
            exptime.encode(self.0);
        }
        self
    }

    pub(super) fn opaque(&mut self, opaque: Option<&Opaque>) -> &mut Self {
        if let Some(opaque) = opaque {
            self.0.put_slice(b" O");
            self.0.put_slice(opaque.as_bytes());
        }
        self
    }

    pub(super) fn others(&mut self, others: &OtherFlags) {
        for other in others {
            self.0.put_u8(b' ');
            self.0.put_slice(other.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_letter_occurs_twice() {
        let flag = |word: &'static str| OtherFlag::new(word).unwrap();
        let mut flags = OtherFlags::from(flag("P1"));
        assert!(flags.insert(flag("L")) && !flags.insert(flag("P2")));
        assert!(flags.iter().eq([&flag("P1"), &flag("L")]));
    }
}
