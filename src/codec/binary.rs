//! The binary protocol's frames, from the client's side.

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::{CodecError, Limit};
use crate::protocol::Excerpt;
use crate::protocol::binary::{Request, Response, Take};

/// Sends requests of the binary protocol and reads responses. Each response answers one request, in order; a
/// [`Stat`](Request::Stat) request has several, up to the first that [is an end](Response::is_end).
///
/// ```
/// use bytes::BytesMut;
/// use mcflush::codec::BinaryCodec;
/// use mcflush::protocol::binary::{HEADER, Request, Status};
/// use tokio_util::codec::Decoder;
///
/// let mut wire = BytesMut::zeroed(HEADER);
/// (wire[0], wire[1]) = (0x81, 0x0a);
/// let response = BinaryCodec::default().decode(&mut wire)?.unwrap();
/// assert!(Request::Noop.is_answered_by(&response) && response.status == Status::OK);
/// # Ok::<(), mcflush::codec::CodecError>(())
/// ```
#[derive(Debug, Default)]
pub struct BinaryCodec {
    offset: u64,
    has_failed: bool,
}

impl BinaryCodec {
    /// The largest body of one response in bytes. The longest is the text of `stats detail dump`.
    pub const BODY_MAX: usize = 8 * 1024 * 1024;
}

impl Encoder<Request> for BinaryCodec {
    type Error = CodecError;

    fn encode(&mut self, request: Request, out: &mut BytesMut) -> Result<(), CodecError> {
        request.encode(out);
        Ok(())
    }
}

impl Decoder for BinaryCodec {
    type Item = Response;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Response>, CodecError> {
        if self.has_failed {
            return Err(CodecError::Poisoned);
        }
        let before = buffer.len();
        let (offset, excerpt) = (self.offset, |buffer: &BytesMut| Excerpt::of(buffer));
        let error = match Response::take(buffer, Self::BODY_MAX) {
            Take::Response(response) => {
                self.offset += (before - buffer.len()) as u64;
                return Ok(Some(response));
            }
            Take::Part(missing) => {
                buffer.reserve(missing);
                return Ok(None);
            }
            Take::TooLong => CodecError::TooLong {
                what: Limit::Value,
                limit: Self::BODY_MAX as u64,
                offset,
                excerpt: excerpt(buffer),
            },
            Take::Malformed => CodecError::Malformed { offset, excerpt: excerpt(buffer) },
        };
        self.has_failed = true;
        Err(error)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Response>, CodecError> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => Err(CodecError::Closed),
            response => Ok(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::binary::{HEADER, Status};

    fn response(opcode: u8, status: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut wire = vec![0; HEADER];
        (wire[0], wire[1]) = (0x81, opcode);
        wire[2..4].copy_from_slice(&u16::try_from(key.len()).unwrap().to_be_bytes());
        wire[6..8].copy_from_slice(&status.to_be_bytes());
        wire[8..12].copy_from_slice(&u32::try_from(key.len() + value.len()).unwrap().to_be_bytes());
        [&wire, key, value].concat()
    }

    #[test]
    fn responses_in_any_pieces() {
        let wire = [
            response(0x10, 0, b"curr_items", b"7"),
            response(0x10, 0, b"", b""),
            response(8, 0x20, b"", b"Auth failure."),
        ]
        .concat();
        for size in [1, 2, 23, 24, 25, 1000] {
            let (mut codec, mut buffer, mut found) = (BinaryCodec::default(), BytesMut::new(), Vec::new());
            for piece in wire.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(response) = codec.decode(&mut buffer).unwrap() {
                    found.push(response);
                }
            }
            assert_eq!(found.len(), 3);
            assert_eq!((&found[0].key[..], &found[0].value[..]), (&b"curr_items"[..], &b"7"[..]));
            assert!(found[1].is_end() && !found[0].is_end());
            assert!(Request::Flush { delay: 0 }.is_answered_by(&found[2]) && !Request::Noop.is_answered_by(&found[2]));
            assert_eq!((found[2].status, &found[2].value[..]), (Status::AUTH, &b"Auth failure."[..]));
            assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
        }
    }

    #[test]
    fn frames_that_are_no_responses() {
        for (wire, words) in [
            (b"E".to_vec(), "not an answer"),
            (b"ERROR\r\nERROR\r\nERROR\r\nERR".to_vec(), "at byte 0: \"ERROR"),
            // A key that is longer than the body.
            ([response(8, 0, b"", b"")[..2].to_vec(), vec![1; 22]].concat(), "more than 8388608"),
            ([vec![0x81, 8, 0, 9], vec![0; 20]].concat(), "not an answer"),
        ] {
            let (mut codec, mut buffer) = (BinaryCodec::default(), BytesMut::from(&wire[..]));
            let error = codec.decode(&mut buffer).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(matches!(codec.decode(&mut buffer), Err(CodecError::Poisoned)));
        }
    }

    #[test]
    fn an_error_tells_how_many_bytes_came_before_it() {
        let said = response(0x0b, 0, b"", b"1.6.18");
        let mut buffer = BytesMut::from(&[&said[..], b"ERROR\r\n"].concat()[..]);
        let mut codec = BinaryCodec::default();
        codec.decode(&mut buffer).unwrap().unwrap();
        let error = codec.decode(&mut buffer).unwrap_err().to_string();
        assert!(error.contains("at byte 30: \"ERROR"), "{error}");
    }

    #[test]
    fn a_close_inside_a_response() {
        let whole = response(0x0b, 0, b"", b"1.6.18");
        for length in 1..whole.len() {
            let mut buffer = BytesMut::from(&whole[..length]);
            assert!(matches!(BinaryCodec::default().decode_eof(&mut buffer), Err(CodecError::Closed)), "{length}");
        }
    }
}
