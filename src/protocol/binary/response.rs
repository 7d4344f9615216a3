//! The responses of a server.

use bytes::{Buf, Bytes, BytesMut};

use super::{HEADER, RESPONSE};

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// The server executed the request.
    pub const OK: Self = Self(0x00);
    /// The key, or the group of statistics, does not exist.
    pub const NOT_FOUND: Self = Self(0x01);
    /// The item has another CAS.
    pub const EXISTS: Self = Self(0x02);
    /// The client has not authenticated, or may not send this request.
    pub const AUTH: Self = Self(0x20);
    /// The server does not know the command.
    pub const UNKNOWN_COMMAND: Self = Self(0x81);
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {:#04x}", self.0)
    }
}

/// A response. Key and value are slices of the buffer that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub(super) opcode: u8,
    /// The status.
    pub status: Status,
    /// The key, if the response has one: the name of a statistic.
    pub key: Bytes,
    /// The value, or the message of an error.
    pub value: Bytes,
}

/// What stands at the beginning of a buffer.
pub(crate) enum Take {
    /// A complete response, which was taken out of the buffer.
    Response(Response),
    /// An incomplete response. The number of missing bytes is at least this.
    Part(usize),
    /// A response with a longer body than the limit allows.
    TooLong,
    /// Bytes that are not a response.
    Malformed,
}

impl Response {
    /// Takes the response at the beginning of a buffer out of it.
    pub(crate) fn take(buffer: &mut BytesMut, most: usize) -> Take {
        // The first byte shows whether this is a response. Without this check the client would wait for a whole header,
        // which may never come.
        if buffer.first().is_some_and(|&magic| magic != RESPONSE) {
            return Take::Malformed;
        }
        let Some(header) = buffer.first_chunk::<HEADER>() else {
            return Take::Part(HEADER - buffer.len());
        };
        let mut header = &header[..];
        header.advance(1);
        let opcode = header.get_u8();
        let key = usize::from(header.get_u16());
        let extras = usize::from(header.get_u8());
        header.advance(1);
        let status = Status(header.get_u16());
        let Ok(body) = usize::try_from(header.get_u32()) else { return Take::TooLong };
        if body > most {
            return Take::TooLong;
        }
        if extras + key > body {
            return Take::Malformed;
        }
        if buffer.len() < HEADER + body {
            return Take::Part(HEADER + body - buffer.len());
        }
        buffer.advance(HEADER);
        let mut body = buffer.split_to(body).freeze();
        body.advance(extras);
        let key = body.split_to(key);
        Take::Response(Self { opcode, status, key, value: body })
    }

    /// Whether this response ends a group of statistics.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.key.is_empty() && self.value.is_empty()
    }

    /// Whether the list of SASL mechanisms contains PLAIN.
    #[must_use]
    pub fn offers_plain(&self) -> bool {
        self.value.split(|&byte| byte == b' ').any(|mechanism| mechanism.eq_ignore_ascii_case(b"PLAIN"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_with_an_empty_value_is_no_end() {
        let mut header = [0; HEADER];
        (header[0], header[3], header[11]) = (RESPONSE, 2, 2);
        let Take::Response(stat) = Response::take(&mut BytesMut::from(&[&header[..], b"ab"].concat()[..]), 2) else {
            panic!("it is whole")
        };
        assert!(!stat.is_end());
    }

    #[test]
    fn how_much_is_missing_at_least() {
        let mut header = [0; HEADER];
        (header[0], header[3], header[11]) = (RESPONSE, 2, 5);
        let whole = [&header[..], b"ab", b"cde"].concat();
        for length in 0..whole.len() {
            let missing = if length < HEADER { HEADER - length } else { whole.len() - length };
            let taken = Response::take(&mut BytesMut::from(&whole[..length]), 5);
            assert!(matches!(taken, Take::Part(bytes) if bytes == missing), "of {length} bytes");
        }
        assert!(matches!(Response::take(&mut BytesMut::from(&whole[..]), 5), Take::Response(_)));
        assert!(matches!(Response::take(&mut BytesMut::from(&whole[..]), 4), Take::TooLong));
    }
}
