//! The part of the binary protocol that mcflush needs: for servers that speak only this protocol (`-S`, `-B binary`), and
//! for keys that no text line can name.
//!
//! If the first byte on a connection is 0x80, the server speaks it (upstream's `protocol-binary.txt`; every memcached since
//! 1.4, unless it was started with `-B ascii` or `-Y`). A message is a header of 24 bytes, then extras, key and value.

mod delete;
mod response;

use bytes::{BufMut, Bytes, BytesMut};

use super::key::Key;
use super::scalar::Cas;
use super::stats::StatsGroup;
use super::storage::Credentials;

pub use delete::{Deletion, decode_deletion, encode_delete};
pub(crate) use response::Take;
pub use response::{Response, Status};

/// The length of the header of a request or a response, in bytes.
pub const HEADER: usize = 24;

const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;

/// The command of a request. The response repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Get = 0x00,
    Set = 0x01,
    Delete = 0x04,
    Flush = 0x08,
    Noop = 0x0a,
    Version = 0x0b,
    Stat = 0x10,
    ListMechanisms = 0x20,
    Authenticate = 0x21,
}

/// A request of a client.
///
/// ```
/// use mcflush::protocol::binary::{HEADER, Request};
/// let mut wire = bytes::BytesMut::new();
/// Request::Flush { delay: 30 }.encode(&mut wire);
/// assert_eq!((wire.len(), &wire[HEADER..]), (HEADER + 4, &[0, 0, 0, 30][..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// SASL PLAIN: user and password. A server with `-S` answers [`Status::OK`] or [`Status::AUTH`].
    Authenticate(Credentials),
    /// Deletes every item stored before now, or before the end of the delay.
    Flush {
        /// The delay in seconds; 0 for now.
        delay: u32,
    },
    /// Gets an item. Answered by [`Status::NOT_FOUND`] if the key does not exist.
    Get(Key),
    /// Asks for the SASL mechanisms that the server supports; the answer separates them by spaces. A server without `-S`
    /// answers [`Status::UNKNOWN_COMMAND`].
    ListMechanisms,
    /// Does nothing; the server answers it.
    Noop,
    /// Stores an item.
    Set {
        /// The key.
        key: Key,
        /// The time until the item expires, in seconds; 0 for never.
        seconds: u32,
        /// The value.
        value: Bytes,
    },
    /// A group of statistics. Answered by a response for each statistic, then one without key and value.
    Stat(StatsGroup),
    /// Asks for the server's version.
    Version,
}

impl Request {
    /// Whether a response answers this request.
    #[must_use]
    pub fn is_answered_by(&self, response: &Response) -> bool {
        response.opcode == self.opcode() as u8
    }

    const fn opcode(&self) -> Opcode {
        match self {
            Self::Authenticate(_) => Opcode::Authenticate,
            Self::Flush { .. } => Opcode::Flush,
            Self::Get(_) => Opcode::Get,
            Self::ListMechanisms => Opcode::ListMechanisms,
            Self::Noop => Opcode::Noop,
            Self::Set { .. } => Opcode::Set,
            Self::Stat(_) => Opcode::Stat,
            Self::Version => Opcode::Version,
        }
    }

    /// Appends the request as the client sends it.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut put = |parts| put_request(out, self.opcode(), Cas::default(), parts);
        match self {
            Self::Authenticate(credentials) => {
                // RFC 4616: an empty authorization identity, a NUL, the user, a NUL, the password.
                let value = [b"\0", credentials.user(), b"\0", credentials.password()].concat();
                put([b"", b"PLAIN", &value]);
            }
            Self::Get(key) => put([b"", key.as_bytes(), b""]),
            Self::Set { key, seconds, value } => {
                let flags = [0; 4];
                put([&[flags, seconds.to_be_bytes()].concat(), key.as_bytes(), value]);
            }
            // Without extras the server flushes now.
            Self::Flush { delay: 0 } => put([b"", b"", b""]),
            Self::Flush { delay } => put([&delay.to_be_bytes(), b"", b""]),
            Self::Stat(group) => put([b"", group.argument(), b""]),
            Self::ListMechanisms | Self::Noop | Self::Version => put([b"", b"", b""]),
        }
    }
}

/// Appends a request. Its parts (extras, key, value) must be short enough for the length fields.
fn put_request(out: &mut BytesMut, opcode: Opcode, cas: Cas, [extras, key, value]: [&[u8]; 3]) {
    out.put_u8(REQUEST);
    out.put_u8(opcode as u8);
    out.put_u16(u16::try_from(key.len()).unwrap_or(u16::MAX));
    out.put_u8(u8::try_from(extras.len()).unwrap_or(u8::MAX));
    // The data type, and the vbucket below, are 0.
    out.put_u8(0);
    out.put_u16(0);
    out.put_u32(u32::try_from(extras.len() + key.len() + value.len()).unwrap_or(u32::MAX));
    // The opaque is 0.
    out.put_u32(0);
    out.put_u64(cas.0);
    out.put_slice(extras);
    out.put_slice(key);
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: &Request) -> BytesMut {
        let mut wire = BytesMut::new();
        request.encode(&mut wire);
        wire
    }

    #[test]
    fn requests() {
        let mut bare = [0; HEADER];
        (bare[0], bare[1]) = (0x80, 0x0a);
        assert_eq!(encoded(&Request::Noop), &bare[..]);
        bare[1] = 0x20;
        assert_eq!(encoded(&Request::ListMechanisms), &bare[..]);
        bare[1] = 0x08;
        assert_eq!(encoded(&Request::Flush { delay: 0 }), &bare[..]);
        let later = encoded(&Request::Flush { delay: 30 });
        assert_eq!((later[4], &later[8..12], &later[HEADER..]), (4, &[0, 0, 0, 4][..], &[0, 0, 0, 30][..]));
        let (key, value) = (Key::new("a").unwrap(), Bytes::from_static(b"xy"));
        assert_eq!(&encoded(&Request::Get(key.clone()))[HEADER..], b"a");
        let set = encoded(&Request::Set { key, seconds: 60, value });
        assert_eq!((set[1], set[4], &set[8..12]), (1, 8, &[0, 0, 0, 11][..]));
        assert_eq!(&set[HEADER..], b"\0\0\0\0\0\0\0\x3caxy");
        let stats = encoded(&Request::Stat(StatsGroup::DetailDump));
        assert_eq!((&stats[2..4], &stats[HEADER..]), (&[0, 11][..], &b"detail dump"[..]));
        assert_eq!(encoded(&Request::Stat(StatsGroup::General)).len(), HEADER);
    }

    #[test]
    fn a_login_is_sasl_plain() {
        let login = Request::Authenticate(Credentials::new("app", "se:cret").unwrap());
        let wire = encoded(&login);
        assert_eq!((&wire[2..4], &wire[8..12]), (&[0, 5][..], &[0, 0, 0, 17][..]));
        assert_eq!(&wire[HEADER..], b"PLAIN\0app\0se:cret");
        assert!(!format!("{login:?}").contains("cret"));
    }
}
