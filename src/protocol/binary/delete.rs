//! The delete, for keys that no text line can name: only the binary protocol can delete them.
//!
//! A key of more than 186 bytes that contains a space, a line end or NUL fits a text line neither plain nor as base64.

use bytes::{Buf, Bytes, BytesMut};

use super::{HEADER, Opcode, RESPONSE, Status, put_request};
use crate::protocol::key::KEY_MAX;
use crate::protocol::scalar::Cas;

/// The server's response to a binary delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// The server deleted the item.
    Deleted,
    /// The key does not exist.
    NotFound,
    /// The item has another CAS than the request.
    Exists,
    /// The server refused, with this status.
    Refused(u16),
}

/// Appends a delete of a key of 1 to 250 bytes of any value. For a key of another length, appends nothing and returns
/// false. With a CAS other than 0, the server deletes the item only if it has this CAS.
///
/// ```
/// use mcflush::protocol::binary::{HEADER, encode_delete};
/// let mut wire = bytes::BytesMut::new();
/// assert!(encode_delete(b"a\nb", 0, &mut wire));
/// assert_eq!(wire.len(), HEADER + 3);
/// ```
#[must_use]
pub fn encode_delete(key: &[u8], cas: u64, out: &mut BytesMut) -> bool {
    if key.is_empty() || key.len() > KEY_MAX {
        return false;
    }
    put_request(out, Opcode::Delete, Cas(cas), [b"", key, b""]);
    true
}

/// Reads the header of a response to a delete: the outcome, and the length of the body that follows, in bytes. None if the
/// header is not that of such a response.
///
/// ```
/// use mcflush::protocol::binary::{Deletion, HEADER, decode_deletion};
/// let mut header = [0; HEADER];
/// (header[0], header[1]) = (0x81, 0x04);
/// assert_eq!(decode_deletion(header), Some((Deletion::Deleted, 0)));
/// ```
#[must_use]
pub fn decode_deletion(header: [u8; HEADER]) -> Option<(Deletion, u32)> {
    let mut header = Bytes::copy_from_slice(&header);
    let (magic, opcode) = (header.get_u8(), header.get_u8());
    header.advance(4);
    let status = header.get_u16();
    let body = header.get_u32();
    let deletion = match Status(status) {
        Status::OK => Deletion::Deleted,
        Status::NOT_FOUND => Deletion::NotFound,
        Status::EXISTS => Deletion::Exists,
        Status(status) => Deletion::Refused(status),
    };
    (magic == RESPONSE && opcode == Opcode::Delete as u8).then_some((deletion, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_names_any_key() {
        let mut wire = BytesMut::new();
        assert!(encode_delete(&[b' '; KEY_MAX], 7, &mut wire));
        assert_eq!(&wire[..12], &[0x80, 4, 0, 250, 0, 0, 0, 0, 0, 0, 0, 250]);
        assert_eq!(&wire[16..HEADER], &[0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(&wire[HEADER..], &[b' '; KEY_MAX]);
        for bad in [&b""[..], &[b' '; KEY_MAX + 1], &[b' '; 70_000]] {
            assert!(!encode_delete(bad, 0, &mut wire));
        }
        assert_eq!(wire.len(), HEADER + KEY_MAX);
    }

    #[test]
    fn responses() {
        let response = |status: u16, body: u32| {
            let mut header = [0; HEADER];
            header[..2].copy_from_slice(&[RESPONSE, 4]);
            header[6..8].copy_from_slice(&status.to_be_bytes());
            header[8..12].copy_from_slice(&body.to_be_bytes());
            header
        };
        assert_eq!(decode_deletion(response(0, 0)), Some((Deletion::Deleted, 0)));
        assert_eq!(decode_deletion(response(1, 9)), Some((Deletion::NotFound, 9)));
        assert_eq!(decode_deletion(response(2, 21)), Some((Deletion::Exists, 21)));
        assert_eq!(decode_deletion(response(0x81, 15)), Some((Deletion::Refused(0x81), 15)));
        let mut other = response(0, 0);
        other[1] = 5;
        assert_eq!(decode_deletion(other), None);
        assert_eq!(decode_deletion(*b"ERROR\r\nERROR\r\nERROR\r\nERR"), None);
    }
}
