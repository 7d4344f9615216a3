//! Keys: those that a text line can carry, and those that a client must send as base64.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{BufMut, Bytes, BytesMut};

use super::escape::Escaped;
use super::line::is_above_space;
use crate::conversions::conversions;

/// The length of the longest key that memcached stores, in bytes (`KEY_MAX_LENGTH`).
pub const KEY_MAX: usize = 250;

/// The length of the longest key with a base64 form that fits in [`KEY_MAX`], in bytes: 186 bytes make 248 characters, 187
/// make 252.
pub const BASE64_KEY_MAX: usize = 186;

/// Why some bytes cannot be a key.
///
/// ```
/// use mcflush::protocol::{BASE64_KEY_MAX, BinaryKey, KEY_MAX, Key, KeyError};
/// assert_eq!(Key::new(""), Err(KeyError::Empty));
/// assert_eq!(Key::new(vec![b'k'; 251]), Err(KeyError::TooLong { len: 251, max: KEY_MAX }));
/// assert_eq!(BinaryKey::new(vec![0; 187]), Err(KeyError::TooLong { len: 187, max: BASE64_KEY_MAX }));
/// assert_eq!(Key::new("a b").unwrap_err().to_string(), "byte 0x20 at 1 cannot travel in a text line");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There are no bytes; a key has at least one.
    #[error("a key cannot be empty")]
    Empty,
    /// The key is longer than the form in which it is sent allows.
    #[error("a key of {len} bytes is too long: at most {max} can travel")]
    TooLong {
        /// The length of the key, in bytes.
        len: usize,
        /// The maximum length in this form, in bytes.
        max: usize,
    },
    /// The key contains a byte that a text line cannot carry.
    #[error("byte 0x{byte:02x} at {at} cannot travel in a text line")]
    Byte {
        /// The byte.
        byte: u8,
        /// The index of the byte in the key, from 0.
        at: usize,
    },
}

/// Whether a text line can carry this byte inside a key.
const fn travels_as_text(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\n' | b'\r' | 0)
}

/// A key that a text line can carry: 1 to 250 bytes, none of them space, LF, CR or NUL.
///
/// A key of at most 23 bytes that is made of a `&str` or `&[u8]`, by `try_from` or `parse`, needs no memory on the heap.
///
/// ```
/// use mcflush::protocol::{Key, KeyError};
/// assert_eq!(Key::new("shop:1")?.as_bytes(), b"shop:1");
/// assert!(matches!(Key::new("two words"), Err(KeyError::Byte { byte: b' ', at: 3 })));
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key(KeyBytes);

#[derive(Clone)]
enum KeyBytes {
    /// A copied key: the first `len` of these bytes.
    Copied {
        len: u8,
        bytes: [u8; COPIED_MAX],
    },
    Shared(Bytes),
}

/// The length of the longest key that is held without memory on the heap, in bytes: on a 64-bit system, the most that leaves
/// a [`Key`] as large as [`Bytes`].
const COPIED_MAX: usize = 23;

impl Key {
    /// Takes the key's bytes.
    ///
    /// # Errors
    /// If there are no bytes, more than [`KEY_MAX`], or one that a text line cannot carry.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        check_text(&bytes)?;
        Ok(Self(KeyBytes::Shared(bytes)))
    }

    /// Copies the key's bytes.
    #[inline]
    fn copied(bytes: &[u8]) -> Result<Self, KeyError> {
        check_text(bytes)?;
        let mut copy = [0; COPIED_MAX];
        Ok(Self(match (copy.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(front), Ok(len)) => {
                front.copy_from_slice(bytes);
                KeyBytes::Copied { len, bytes: copy }
            }
            _ => KeyBytes::Shared(Bytes::copy_from_slice(bytes)),
        }))
    }

    /// The key's bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            // `len` is never more than there are.
            KeyBytes::Copied { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            KeyBytes::Shared(bytes) => bytes,
        }
    }

    /// The key's bytes. Those of a key that was made of [`Bytes`], `Vec` or `String` are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            KeyBytes::Copied { .. } => Bytes::copy_from_slice(self.as_bytes()),
            KeyBytes::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", Escaped(self.as_bytes()))
    }
}

/// A key of 1 to 186 bytes of any value, which a meta command carries as base64 (flag `b`, memcached 1.6.10 and later).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinaryKey(Bytes);

impl BinaryKey {
    /// Takes the key's bytes.
    ///
    /// # Errors
    /// If there are no bytes, or more than [`BASE64_KEY_MAX`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        check_length(&bytes, BASE64_KEY_MAX)?;
        Ok(Self(bytes))
    }

    /// Reads the base64 form. None if the bytes are not canonical base64 or do not decode to a key.
    pub(crate) fn from_base64(encoded: &[u8]) -> Option<Self> {
        Self::decode_base64(encoded, &mut [0; KEY_MAX]).and_then(|key| Self::new(Bytes::copy_from_slice(key)).ok())
    }

    /// As [`Self::from_base64`], but decodes into the caller's buffer.
    pub(crate) fn decode_base64<'a>(encoded: &[u8], decoded: &'a mut [u8; KEY_MAX]) -> Option<&'a [u8]> {
        if encoded.len() > KEY_MAX {
            return None;
        }
        let length = BASE64.decode_slice(encoded, decoded).ok()?;
        decoded.get(..length)
    }

    /// The key's bytes, decoded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for BinaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BinaryKey({})", Escaped(&self.0))
    }
}

/// A key in a meta command: plain, or as base64 with the `b` flag.
///
/// ```
/// use mcflush::protocol::MetaKey;
/// let key = MetaKey::for_bytes("two words")?;
/// assert_eq!((key.as_bytes(), key.is_base64()), (&b"two words"[..], true));
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum MetaKey {
    /// The key is sent as it is.
    Text(Key),
    /// The key is sent as base64.
    Base64(BinaryKey),
}

impl MetaKey {
    /// Chooses the form in which a meta command can carry these bytes: plain if possible.
    ///
    /// # Errors
    /// If the bytes are not a key, or if they need base64 and are more than [`BASE64_KEY_MAX`]: only the binary protocol can
    /// name such a key.
    pub fn for_bytes(bytes: impl Into<Bytes>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        if all_travel_as_text(&bytes) {
            Key::new(bytes).map(Self::Text)
        } else {
            BinaryKey::new(bytes).map(Self::Base64)
        }
    }

    /// The key's bytes as the server stores them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(key) => key.as_bytes(),
            Self::Base64(key) => key.as_bytes(),
        }
    }

    /// Whether the command needs the `b` flag.
    #[must_use]
    pub const fn is_base64(&self) -> bool {
        matches!(self, Self::Base64(_))
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Text(key) => out.put_slice(key.as_bytes()),
            Self::Base64(key) => {
                out.put_slice(BASE64.encode(key.as_bytes()).as_bytes());
            }
        }
    }
}

conversions!(Key, KeyError, Self::new, Self::copied, Self::as_bytes);
conversions!(BinaryKey, KeyError, Self::new, Self::as_bytes);
conversions!(MetaKey, KeyError, Self::for_bytes, Self::as_bytes);

impl From<Key> for MetaKey {
    fn from(key: Key) -> Self {
        Self::Text(key)
    }
}

impl From<BinaryKey> for MetaKey {
    fn from(key: BinaryKey) -> Self {
        Self::Base64(key)
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Self {
        key.into_bytes()
    }
}

/// Whether a text line can carry all these bytes. Few texts have a control character, so the quick look is enough for most.
#[inline]
pub(crate) fn all_travel_as_text(bytes: &[u8]) -> bool {
    is_above_space(bytes) || bytes.iter().all(|&byte| travels_as_text(byte))
}

/// Checks that a text line can carry the bytes as a key.
#[inline]
fn check_text(bytes: &[u8]) -> Result<(), KeyError> {
    check_length(bytes, KEY_MAX)?;
    if all_travel_as_text(bytes) {
        return Ok(());
    }
    match bytes.iter().enumerate().find(|(_, byte)| !travels_as_text(**byte)) {
        Some((at, &byte)) => Err(KeyError::Byte { byte, at }),
        None => Ok(()),
    }
}

fn check_length(bytes: &[u8], max: usize) -> Result<(), KeyError> {
    match bytes.len() {
        0 => Err(KeyError::Empty),
        len if len > max => Err(KeyError::TooLong { len, max }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_key_holds_only_bytes_that_a_line_can_carry() {
        for good in [&b"a"[..], b"shop:1", "größe".as_bytes(), b"\x01\t\x7f", &[b'k'; KEY_MAX]] {
            assert_eq!(Key::new(Bytes::copy_from_slice(good)).unwrap().as_bytes(), good);
        }
        for bad in [&b""[..], b" ", b"a\n", b"\rb", b"\0", &[b'k'; KEY_MAX + 1]] {
            assert!(Key::new(Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_the_same_however_it_is_held() {
        #[cfg(target_pointer_width = "64")]
        assert_eq!(size_of::<Key>(), size_of::<Bytes>());
        let names = [COPIED_MAX - 1, COPIED_MAX, COPIED_MAX + 1, KEY_MAX].map(|length| "k".repeat(length));
        let mut held = HashSet::new();
        for name in &names {
            let (copied, shared) = (Key::try_from(name.as_str()).unwrap(), Key::new(name.clone()).unwrap());
            assert_eq!(matches!(copied.0, KeyBytes::Copied { .. }), name.len() <= COPIED_MAX);
            assert_eq!((copied.as_bytes(), copied.clone().into_bytes()), (name.as_bytes(), Bytes::from(name.clone())));
            assert_eq!((&copied, copied.cmp(&shared)), (&shared, Ordering::Equal));
            assert!(held.insert(copied) && !held.insert(shared));
        }
        assert!(Key::try_from(names[0].as_str()).unwrap() < Key::new(names[1].clone()).unwrap());
        assert_eq!(Key::try_from(&[b'k'; KEY_MAX + 1][..]), Key::new(vec![b'k'; KEY_MAX + 1]));
        assert_eq!(Key::try_from(""), Err(KeyError::Empty));
    }

    #[test]
    fn conversions() {
        let key: Key = "größe".parse().unwrap();
        assert_eq!((key.as_ref(), key.to_string()), ("größe".as_bytes(), "größe".to_owned()));
        assert_eq!(Key::try_from(&b"a"[..]), Key::try_from("a".to_owned()));
        assert_eq!(Bytes::from(Key::try_from("a").unwrap()), "a");
        assert_eq!(Key::try_from("a b").unwrap_err(), KeyError::Byte { byte: b' ', at: 1 });
        let listed = MetaKey::try_from("a\nb\x1b").unwrap();
        assert_eq!((listed.is_base64(), listed.to_string()), (true, r"a\x0ab\x1b".to_owned()));
        assert_eq!(MetaKey::from(Key::new("a").unwrap()), MetaKey::try_from("a").unwrap());
    }

    #[test]
    fn only_keys_that_need_it_are_base64() {
        let wire = |bytes: &'static [u8]| {
            let mut out = BytesMut::new();
            MetaKey::for_bytes(bytes).map(|key| {
                key.encode(&mut out);
                out.to_vec()
            })
        };
        assert_eq!(wire(b"a%b").unwrap(), b"a%b");
        assert_eq!(wire(b"\0\x01\x02 \r\n").unwrap(), b"AAECIA0K");
        assert_eq!(wire(&[b' '; BASE64_KEY_MAX]).unwrap().len(), 248);
        assert!(wire(&[b' '; BASE64_KEY_MAX + 1]).is_err());
    }
}
