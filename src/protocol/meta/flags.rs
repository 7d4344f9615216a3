//! The flags of meta requests: read one by one, each at most once, unknown ones kept.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::key::travels_as_text;
use super::super::line::{Words, decimal, put_decimal};
use super::super::scalar::{Cas, Exptime, Opaque};
use super::super::{BinaryKey, Key, MetaKey};

/// A flag that this crate has no name for, carried through unchanged: its letter and its token.
///
/// ```
/// use mcflush::protocol::meta::OtherFlag;
/// assert_eq!(OtherFlag::new("Ppath").unwrap().as_bytes(), b"Ppath");
/// assert_eq!(OtherFlag::new("q"), None, "that one has a name");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFlag(Bytes);

impl OtherFlag {
    /// The letters that some meta command of this crate has a name for.
    const NAMED: &'static [u8] = b"bcfhklqstuvxCDEFIJMNORT";

    /// Takes a letter with its token; None when a line cannot carry it, or when the letter has a name here.
    #[must_use]
    pub fn new(word: impl Into<Bytes>) -> Option<Self> {
        let word = word.into();
        let letter = word.first()?;
        let carried = letter.is_ascii_graphic() && word.iter().all(|&byte| travels_as_text(byte));
        (carried && !Self::NAMED.contains(letter)).then_some(Self(word))
    }

    /// The letter and its token.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a command does with a flag that it knows. None of the outer kind: the token is bad.
pub(super) enum Known {
    Yes,
    No,
}

/// A word of the flags, with the line it is a slice of.
#[derive(Clone, Copy)]
pub(super) struct Flag<'a> {
    line: &'a Bytes,
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
        decimal(self.token())
    }

    pub(super) fn cas(self) -> Option<Cas> {
        Cas::parse(self.token())
    }

    pub(super) fn exptime(self) -> Option<Exptime> {
        Exptime::parse(self.token())
    }

    pub(super) fn opaque(self) -> Option<Opaque> {
        Opaque::new(self.line.slice_ref(self.token()))
    }
}

/// Reads `KEY [b] flags…`: each flag goes to `known`, and to the list that is given back when that does not know it.
///
/// None where a server answers `CLIENT_ERROR`: a letter twice, a token that is no number, a key that does not decode.
pub(super) fn read_flags(
    line: &Bytes,
    key: &[u8],
    words: Words<'_>,
    mut known: impl FnMut(Flag<'_>) -> Option<Known>,
) -> Option<(MetaKey, Vec<OtherFlag>)> {
    let mut seen = 0_u128;
    let mut others = Vec::new();
    let mut base64 = false;
    for word in words {
        let (&letter, token) = word.split_first()?;
        let flag = Flag { line, letter, token };
        let bit = 1_u128.checked_shl(flag.letter().into()).filter(|_| flag.letter() < 127)?;
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        if flag.letter() == b'b' {
            base64 = true;
        } else if let Known::No = known(flag)? {
            if !word.iter().all(|&byte| travels_as_text(byte)) {
                return None;
            }
            others.push(OtherFlag(line.slice_ref(word)));
        }
    }
    let key = if base64 {
        MetaKey::Base64(BinaryKey::from_base64(key)?)
    } else {
        MetaKey::Text(Key::new(line.slice_ref(key)).ok()?)
    };
    Some((key, others))
}

/// Writes what [`read_flags`] reads.
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

    pub(super) fn others(&mut self, others: &[OtherFlag]) {
        for other in others {
            self.0.put_u8(b' ');
            self.0.put_slice(other.as_bytes());
        }
    }
}
