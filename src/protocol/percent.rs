//! The URI encoding of keys in a metadump.

use bytes::{BufMut, BytesMut};

use super::key::KEY_MAX;
use super::line::is_graphic;

/// The key of a metadump line is not encoded as a server encodes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key in the dump is not percent-encoded as a server would")]
pub struct PercentError;

/// Decodes a metadump's key once, appending to `out`.
///
/// Strict, because a caller may delete the decoded key: two hexadecimal digits must follow a `%`, a byte that a server
/// always encodes must be encoded, and the key must have 1 to 250 bytes.
///
/// ```
/// use bytes::BytesMut;
/// use mcflush::protocol::decode_percent;
/// let mut key = BytesMut::new();
/// decode_percent(b"shop%3A1", &mut key)?;
/// assert_eq!(key, &b"shop:1"[..]);
/// # Ok::<(), mcflush::protocol::PercentError>(())
/// ```
///
/// # Errors
/// [`PercentError`]; `out` is then as it was before.
pub fn decode_percent(encoded: &[u8], out: &mut BytesMut) -> Result<(), PercentError> {
    let start = out.len();
    let decoded = append_decoded(encoded, out);
    let length = out.len() - start;
    if decoded.is_some() && (1..=KEY_MAX).contains(&length) {
        Ok(())
    } else {
        out.truncate(start);
        Err(PercentError)
    }
}

fn append_decoded(encoded: &[u8], out: &mut BytesMut) -> Option<()> {
    if !is_graphic(encoded) {
        return None;
    }
    let mut rest = encoded;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (bare, code) = rest.split_at(at);
        let [_, high, low, after @ ..] = code else { return None };
        out.put_slice(bare);
        out.put_u8(hex(*high)? << 4 | hex(*low)?);
        rest = after;
    }
    out.put_slice(rest);
    Some(())
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
        let mut out = BytesMut::from(&b"before"[..]);
        let result = decode_percent(encoded, &mut out);
        let appended = out.split_off(6);
        assert_eq!(out, &b"before"[..]);
        assert!(result.is_ok() || appended.is_empty());
        result.ok().map(|()| appended.to_vec())
    }

    #[test]
    fn decodes_once() {
        for (encoded, key) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"shop%3A1", b"shop:1"),
            (b"shop%253A1", b"shop%3A1"),
            (b"%00%01%20%0D%0a", b"\0\x01 \r\n"),
            (b"gr%C3%B6%C3%9Fe", "größe".as_bytes()),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(key));
        }
        assert_eq!(decode(&b"%41".repeat(250)).map(|key| key.len()), Some(250));
    }

    #[test]
    fn refuses_codes_that_no_server_writes() {
        for bad in [&b""[..], b"%", b"%4", b"%zz", b"a%2", b"a b", b"a\x1b", b"a\xff%41", b"%41 "] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        assert_eq!(decode(&b"%41".repeat(251)), None);
    }
}
