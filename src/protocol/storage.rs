//! The storage commands: `set`, `add`, `replace`, `append`, `prepend`, `cas`, and the `set` that authenticates a client.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;

use super::key::Key;
use super::line::{Grammar, key, noreply, number, put_decimal, put_noreply};
use super::scalar::{Cas, Exptime, ItemFlags};

/// The command of a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub enum StoreVerb {
    /// `set`: stores the item, whether or not the key exists.
    Set,
    /// `add`: stores the item only if the key does not exist.
    Add,
    /// `replace`: stores the item only if the key exists.
    Replace,
    /// `append`: adds the data after the existing value. The server ignores flags and exptime.
    Append,
    /// `prepend`: adds the data before the existing value. The server ignores flags and exptime.
    Prepend,
    /// `cas`: stores the item only if the existing item has this CAS.
    Cas(Cas),
}

impl StoreVerb {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Set => b"set",
            Self::Add => b"add",
            Self::Replace => b"replace",
            Self::Append => b"append",
            Self::Prepend => b"prepend",
            Self::Cas(_) => b"cas",
        }
    }
}

/// `set KEY FLAGS EXPTIME LENGTH [noreply]` or another storage command, with the data block. Answered by `STORED`,
/// `NOT_STORED`, `EXISTS` or `NOT_FOUND` (upstream's text, "Storage commands").
///
/// If a server rejects the line, it may execute and answer the data block as commands: close the connection then.
///
/// ```
/// use mcflush::protocol::{Exptime, Key, Request, storage::{Store, StoreVerb}};
/// let mut wire = bytes::BytesMut::new();
/// let store = Store { exptime: Exptime::new(60), ..Store::new(StoreVerb::Set, Key::new("a")?, "hello") };
/// Request::Store(store).encode(&mut wire);
/// assert_eq!(wire, &b"set a 0 60 5\r\nhello\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
pub struct Store {
    /// The command.
    pub verb: StoreVerb,
    /// The key.
    pub key: Key,
    /// The flags, which the server stores with the data.
    pub flags: ItemFlags,
    /// The time at which the item expires.
    pub exptime: Exptime,
    /// The value to store.
    #[cfg_attr(feature = "fuzzing", arbitrary(with = crate::fuzzing::bytes))]
    pub data: Bytes,
    /// `noreply`: the server answers only with an error.
    pub noreply: bool,
}

impl Store {
    /// A request with flags 0, without expiry and without `noreply`.
    pub fn new(verb: StoreVerb, key: Key, data: impl Into<Bytes>) -> Self {
        Self { verb, key, flags: ItemFlags::default(), exptime: Exptime::NEVER, data: data.into(), noreply: false }
    }

    /// Reads the words after the verb; `verb` reads the words that only its command has, before `noreply`. The number is the
    /// length of the data block that follows, in bytes.
    pub(super) fn parse<'a>(line: &'a Bytes, verb: impl Grammar<'a, StoreVerb>) -> impl Grammar<'a, (Self, u64)> {
        (key(line), ItemFlags::parse, Exptime::parse, number, verb, noreply).map(
            |(key, flags, exptime, length, verb, noreply)| {
                (Self { verb, key, flags, exptime, data: Bytes::new(), noreply }, length)
            },
        )
    }

    pub(super) fn encode_line(&self, out: &mut BytesMut) {
        out.put_slice(self.verb.name());
        out.put_u8(b' ');
        out.put_slice(self.key.as_bytes());
        out.put_u8(b' ');
        put_decimal(out, self.flags.0);
        out.put_u8(b' ');
        self.exptime.encode(out);
        out.put_u8(b' ');
        put_decimal(out, self.data.len() as u64);
        if let StoreVerb::Cas(cas) = self.verb {
            out.put_u8(b' ');
            cas.encode(out);
        }
        put_noreply(out, self.noreply);
    }
}

/// User and password for a server with `-Y`. The server reads them from the data of a `set` with any key, and answers
/// `STORED` or `CLIENT_ERROR authentication failure` (upstream's text, "Authentication"; since 1.5.15).
///
/// Authenticate first: until then the server answers every other request with `CLIENT_ERROR unauthenticated`, and from
/// 1.6.45 on closes the connection at the third of these errors. Wait for the answer before the next request: a request
/// that is pipelined after a refused one may get no answer (seen on 1.6.18 to 1.6.45).
///
/// ```
/// use mcflush::protocol::{Request, storage::Credentials};
/// let mut wire = bytes::BytesMut::new();
/// let credentials = Credentials::new("app", "secret").unwrap();
/// assert!(!format!("{credentials:?}").contains("secret"));
/// Request::Authenticate(credentials).encode(&mut wire);
/// assert_eq!(wire, &b"set auth 0 -1 10\r\napp secret\r\n"[..]);
/// ```
///
/// A server without `-Y` executes the `set` and answers `STORED`. The item that [`Self::new`] sends expires at once, so that
/// other clients cannot read the password there.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) key: Key,
    exptime: Exptime,
    /// The data: `user password`.
    pub(super) token: Bytes,
}

impl Credentials {
    /// The maximum length of user, space and password, in bytes: far more than the server's password file can hold.
    pub const MAX: usize = 1024;

    /// Takes a user and a password that the server's password file can hold. None if one of them is empty or contains a
    /// space, CR, LF or NUL, or if the user contains a colon, which ends the user in that file.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Option<Self> {
        let sound = |text: &str| !text.is_empty() && !text.contains([' ', '\r', '\n', '\0']);
        if !sound(user) || !sound(password) || user.contains(':') || user.len() + password.len() >= Self::MAX {
            return None;
        }
        let token = format!("{user} {password}").into();
        Some(Self { key: Key::new("auth").ok()?, exptime: Exptime::NOW, token })
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.halves().0
    }

    /// The password.
    pub(super) fn password(&self) -> &[u8] {
        self.halves().1
    }

    /// The data before its first space, and after it. The data of a client that logs in may have any bytes.
    fn halves(&self) -> (&[u8], &[u8]) {
        let space = memchr::memchr(b' ', &self.token).and_then(|space| self.token.split_at_checked(space));
        let (user, rest) = space.unwrap_or((&self.token, b""));
        (user, rest.get(1..).unwrap_or_default())
    }

    /// The login for MemCachier: the first request is a `set` with the user as its key and the password as its data. None
    /// if the user is not a key.
    #[must_use]
    pub fn memcachier(&self) -> Option<Store> {
        let key = Key::new(Bytes::copy_from_slice(self.user())).ok()?;
        Some(Store::new(StoreVerb::Set, key, Bytes::copy_from_slice(self.password())))
    }

    /// Reads a storage request as a server with `-Y` reads it before authentication.
    pub(crate) fn from_store(store: &Store) -> Option<Self> {
        let credentials = Self { key: store.key.clone(), exptime: store.exptime, token: store.data.clone() };
        (*store == credentials.store()).then_some(credentials)
    }

    pub(super) fn encode_line(&self, out: &mut BytesMut) {
        self.store().encode_line(out);
    }

    fn store(&self) -> Store {
        Store { exptime: self.exptime, ..Store::new(StoreVerb::Set, self.key.clone(), self.token.clone()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_fit_a_password_file() {
        assert_eq!(Credentials::new("app", "secret").unwrap().user(), b"app");
        for (user, password) in [("", "x"), ("a", ""), ("a b", "x"), ("a", "x\r\nflush_all"), ("a:b", "c"), ("a", "\0")]
        {
            assert!(Credentials::new(user, password).is_none(), "{user:?} {password:?}");
        }
        assert!(Credentials::new("a", &"x".repeat(Credentials::MAX)).is_none());
    }

    #[test]
    fn only_a_space_ends_the_user_of_a_login() {
        let halves = |token: &'static str| {
            let login = Store::new(StoreVerb::Set, Key::new("any").unwrap(), token);
            let credentials = Credentials::from_store(&login).unwrap();
            let texts =
                [credentials.user(), credentials.password()].map(|half| String::from_utf8_lossy(half).into_owned());
            (texts, credentials.memcachier().is_some())
        };
        for (token, user, password, is_key) in [
            ("app secret", "app", "secret", true),
            ("app two words", "app", "two words", true),
            ("a\nb c", "a\nb", "c", false),
            ("app", "app", "", true),
            (" x", "", "x", false),
        ] {
            assert_eq!(halves(token), ([user, password].map(str::to_owned), is_key), "{token:?}");
        }
    }

    #[test]
    fn any_plain_set_is_a_login() {
        let login = Store::new(StoreVerb::Set, Key::new("any").unwrap(), "app secret");
        for exptime in [Exptime::NEVER, Exptime::new(60)] {
            let login = Store { exptime, ..login.clone() };
            assert_eq!(Credentials::from_store(&login).unwrap().store(), login);
        }
        for other in [
            Store { verb: StoreVerb::Add, ..login.clone() },
            Store { noreply: true, ..login.clone() },
            Store { flags: ItemFlags(1), ..login },
        ] {
            assert!(Credentials::from_store(&other).is_none(), "{other:?}");
        }
    }
}
