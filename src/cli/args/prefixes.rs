//! What begins the keys that are meant, as it is typed.

use std::ffi::OsString;

use bytes::Bytes;
use mcflush::scope::Prefix;

/// What --prefix and --keep take.
pub fn prefixes(option: &'static str, texts: Vec<OsString>, escaped: bool) -> Result<Vec<Prefix>, String> {
    let prefix = |text: OsString| {
        let bytes = text.into_encoded_bytes();
        let bytes = if escaped {
            unescape(&bytes).ok_or(format!("{option}: write a backslash as \\\\ and a byte as \\xNN with --escaped"))?
        } else {
            bytes
        };
        Prefix::new(Bytes::from(bytes)).map_err(|error| format!("{option}: {error}"))
    };
    texts.into_iter().map(prefix).collect()
}

/// `\xNN` and `\\` as bytes; None when a backslash begins something else.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
                after
            }
            (b'\\', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_keys_prints_them() {
        for (text, bytes) in [
            (&b"shop:"[..], Some(&b"shop:"[..])),
            (br"a\x00\\\xfF", Some(b"a\0\\\xff")),
            (br"\x4", None),
            (br"\n", None),
            (b"\\", None),
            (br"\xg0", None),
        ] {
            assert_eq!(unescape(text).as_deref(), bytes);
        }
    }
}
