//! Makes bytes from a server or a user safe for a terminal.

use std::fmt;

/// Shows bytes as text: a backslash as `\\`, control characters and bytes that are not UTF-8 as `\xNN`.
///
/// ```
/// use mcflush::protocol::Escaped;
/// assert_eq!(Escaped(b"gr\xc3\xb6\xc3\x9fe\x1b[2J\\\xff").to_string(), r"größe\x1b[2J\\\xff");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '\\' {
                    f.write_str(r"\\")?;
                } else if must_escape(character) {
                    let mut utf8 = [0; 4];
                    for byte in character.encode_utf8(&mut utf8).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether it is a control character, or one that reorders or hides the text around it on a terminal.
fn must_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The beginning of some bytes, escaped, for an error message.
///
/// ```
/// use mcflush::protocol::Excerpt;
/// assert_eq!(Excerpt::of(b"SSH-2.0\r").to_string(), r"SSH-2.0\x0d");
/// assert!(Excerpt::of(&[b'x'; 100]).to_string().ends_with('…'));
/// assert_eq!(Excerpt::of(&[b'x'; Excerpt::LENGTH]).to_string().len(), Excerpt::LENGTH);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The number of bytes that an excerpt shows: enough to recognise an HTTP or SSH banner, and short enough for one line.
    pub const LENGTH: usize = 40;

    /// Takes the first [`Self::LENGTH`] of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.get(..Self::LENGTH) {
            Some(head) if bytes.len() > Self::LENGTH => Self(format!("{}…", Escaped(head))),
            _ => Self(Escaped(bytes).to_string()),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_reaches_a_terminal() {
        for (bytes, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\r\nb\0\x7f", r"a\x0d\x0ab\x00\x7f"),
            (b"\x1b]0;t\x07", r"\x1b]0;t\x07"),
            (b"back\\slash", r"back\\slash"),
            (b"\xc2\x9b31m", r"\xc2\x9b31m"),
            (b"\xe2\x80\xae", r"\xe2\x80\xae"),
            (b"\xd8\x9c", r"\xd8\x9c"),
            (b"\xf0\x9f\x98", r"\xf0\x9f\x98"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
    }

    #[test]
    fn an_excerpt_is_short() {
        assert_eq!(Excerpt::of(b"SSH-2.0").to_string(), "SSH-2.0");
        assert_eq!(Excerpt::of(&[b'x'; Excerpt::LENGTH]).to_string(), "x".repeat(Excerpt::LENGTH));
        for length in [Excerpt::LENGTH + 1, 1000] {
            assert_eq!(Excerpt::of(&vec![b'x'; length]).to_string(), format!("{}…", "x".repeat(Excerpt::LENGTH)));
        }
    }
}
