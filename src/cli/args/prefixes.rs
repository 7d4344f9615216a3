//! Reads prefixes and patterns as they are typed.

use std::ffi::OsString;

use bytes::Bytes;
use mcflush::scope::{Glob, GlobError, Prefix};

use crate::cli::advice;

/// The values of --prefix and --keep.
pub fn prefixes(option: &'static str, texts: Vec<OsString>, escaped: bool) -> Result<Vec<Prefix>, String> {
    let prefix = |text: OsString| {
        let bytes = text.into_encoded_bytes();
        let bytes = if escaped {
            unescape(&bytes).ok_or(format!("{option}: write a backslash as \\\\ and a byte as \\xNN with --escaped"))?
        } else {
            bytes
        };
        Prefix::new(Bytes::from(bytes)).map_err(|error| format!("{option}: {}", advice::of_prefix(error)))
    };
    texts.into_iter().map(prefix).collect()
}

/// The values of --match and --keep-match.
pub fn globs(option: &'static str, texts: Vec<OsString>, escaped: bool) -> Result<Vec<Glob>, String> {
    let glob = |text: OsString| {
        let bytes = text.into_encoded_bytes();
        let bytes = if escaped { with_bytes(&bytes) } else { bytes };
        Glob::new(Bytes::from(bytes)).map_err(|error| match error {
            GlobError::Everything => format!("{option}: {error}: give one that only some keys match, or use --all"),
            error => format!("{option}: {error}"),
        })
    };
    texts.into_iter().map(glob).collect()
}

/// Replaces `\xNN` in a pattern by that byte, without a special meaning; any other `\` stays for the pattern.
fn with_bytes(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        bytes.push(*first);
        rest = after;
        if *first != b'\\' {
            continue;
        }
        let byte = if let [b'x', high, low, ..] = after { hexadecimal(*high, *low) } else { None };
        let (escaped, length) = byte.map_or((after.first().copied(), 1), |byte| (Some(byte), 3));
        bytes.extend(escaped);
        rest = after.get(length..).unwrap_or_default();
    }
    bytes
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Replaces `\xNN` and `\\` by the bytes; `None` if a backslash begins something else.
pub fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                bytes.push(hexadecimal(*high, *low)?);
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

    #[test]
    fn bytes_of_a_pattern_stand_for_themselves() {
        for (text, pattern) in [
            (&br"a\x2a*"[..], &br"a\**"[..]),
            (br"\x5c\*", br"\\\*"),
            (br"[\x61-\xff]", b"[\\a-\\\xff]"),
            (br"\q\xg0\\x41", br"\q\xg0\\x41"),
            (b"a\\", b"a\\"),
        ] {
            assert_eq!(with_bytes(text), pattern, "{}", text.escape_ascii());
        }
    }
}
