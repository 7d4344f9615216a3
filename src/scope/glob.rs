//! Patterns for whole keys.

use std::fmt;
use std::fmt::Write as _;

use bytes::Bytes;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use crate::conversions::conversions;
use crate::protocol::{Escaped, KEY_MAX};

/// A pattern for the whole key, byte by byte: `*` matches any number of bytes, `?` one byte, `[a-z]` one byte of the range,
/// `[!a-z]` one byte outside of it; a `\` before a byte takes away its special meaning. For any pattern, the time for a key
/// is linear in the key's length.
///
/// ```
/// use mcflush::scope::{Glob, GlobError};
/// let posts = Glob::new("*:posts:*")?;
/// assert!(posts.matches(b"7:1:posts:42") && !posts.matches(b"7:1:pages:42"));
/// # Ok::<(), GlobError>(())
/// ```
#[derive(Clone)]
pub struct Glob {
    text: Bytes,
    /// The bytes that every matching key begins with. They are compared first.
    beginning: Bytes,
    rest: Rest,
}

/// The part of the pattern after the beginning.
#[derive(Clone)]
enum Rest {
    /// One byte for each part, and no more.
    Exactly(Vec<Part>),
    /// `head` directly after the beginning, then the texts of `middle` in this order with any bytes between them, and `tail`
    /// at the end.
    Pieces { head: Vec<Part>, middle: Vec<Finder<'static>>, tail: Vec<Part> },
    /// A regular expression, because the middle contains `?` or `[…]`: trying them at every offset would not be linear.
    Matching(Regex),
}

impl Rest {
    fn of(parts: &[Part]) -> Result<Self, GlobError> {
        let mut pieces = parts.split(|part| *part == Part::AnyRun).map(<[Part]>::to_vec);
        let head = pieces.next().unwrap_or_default();
        let Some(tail) = pieces.next_back() else { return Ok(Self::Exactly(head)) };
        let text = |piece: Vec<Part>| piece.iter().map(Part::literal).collect::<Option<Vec<u8>>>();
        let texts: Option<Vec<_>> = pieces.map(text).collect();
        Ok(match texts {
            Some(texts) => {
                let middle = texts.iter().map(|text| Finder::new(text).into_owned()).collect();
                Self::Pieces { head, middle, tail }
            }
            None => Self::Matching(compile(parts)?),
        })
    }

    fn matches(&self, behind: &[u8]) -> bool {
        match self {
            Self::Exactly(parts) => behind.len() == parts.len() && are_met(parts, behind),
            Self::Pieces { head, middle, tail } => {
                let Some((first, rest)) = behind.split_at_checked(head.len()) else { return false };
                let Some(between) = rest.len().checked_sub(tail.len()) else { return false };
                let (mut rest, last) = rest.split_at(between);
                // Taking the first match of each text leaves the most bytes for the later texts.
                are_met(head, first)
                    && are_met(tail, last)
                    && middle.iter().all(|text| {
                        let after = text.find(rest).and_then(|at| rest.get(at + text.needle().len()..));
                        after.is_some_and(|after| {
                            rest = after;
                            true
                        })
                    })
            }
            Self::Matching(regex) => regex.is_match(behind),
        }
    }
}

fn are_met(parts: &[Part], bytes: &[u8]) -> bool {
    parts.iter().zip(bytes).all(|(part, byte)| part.is_met(*byte))
}

/// Why some bytes are not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// The pattern is empty: only an empty key would match, and no key is empty.
    #[error("an empty pattern matches no key")]
    Empty,
    /// Every key matches the pattern.
    #[error("every key matches this pattern")]
    Everything,
    /// Every match is longer than any key.
    #[error("every match of this pattern is longer than any key: a key has at most {KEY_MAX} bytes")]
    TooLong,
    /// A `[` without a `]`.
    #[error("a [ has no ] after it: write \\[ for the byte itself")]
    OpenClass,
    /// A range with an end before its start.
    #[error("a range goes backwards: write the lower byte first, as in [a-z]")]
    BackwardRange,
    /// The pattern contains `[^`, which shells read in two ways.
    #[error("[^ can mean two things: write [! for the other bytes, and [\\^ for the byte itself")]
    Caret,
    /// A `\` with nothing after it.
    #[error("a \\ has nothing after it: write \\\\ for the byte itself")]
    OpenEscape,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Any,
    AnyRun,
    Class { is_negated: bool, ranges: Vec<(u8, u8)> },
}

impl Part {
    const fn literal(&self) -> Option<u8> {
        if let Self::Byte(byte) = self { Some(*byte) } else { None }
    }

    fn is_met(&self, byte: u8) -> bool {
        match self {
            Self::Byte(literal) => *literal == byte,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *is_negated
            }
            Self::Any | Self::AnyRun => true,
        }
    }
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If the text is not a pattern, or if every key or no key matches it.
    pub fn new(text: impl Into<Bytes>) -> Result<Self, GlobError> {
        let text = text.into();
        let parts = read(&text)?;
        if parts == [Part::AnyRun] {
            return Err(GlobError::Everything);
        }
        if parts.iter().filter(|part| **part != Part::AnyRun).count() > KEY_MAX {
            return Err(GlobError::TooLong);
        }
        let beginning: Vec<u8> = parts.iter().map_while(Part::literal).collect();
        let rest = Rest::of(parts.get(beginning.len()..).unwrap_or_default())?;
        Ok(Self { text, beginning: beginning.into(), rest })
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Whether the whole decoded key matches.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        key.strip_prefix(&self.beginning[..]).is_some_and(|behind| self.rest.matches(behind))
    }
}

conversions!(Glob, GlobError, Self::new, Self::as_bytes);

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", Escaped(&self.text))
    }
}

fn read(text: &[u8]) -> Result<Vec<Part>, GlobError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        let part = match first {
            b'?' => Part::Any,
            b'*' if parts.last() == Some(&Part::AnyRun) => continue,
            b'*' => Part::AnyRun,
            b'[' => read_class(&mut rest)?,
            b'\\' => Part::Byte(escaped(&mut rest)?),
            byte => Part::Byte(*byte),
        };
        parts.push(part);
    }
    if parts.is_empty() { Err(GlobError::Empty) } else { Ok(parts) }
}

/// The byte after a `\`.
fn escaped(rest: &mut &[u8]) -> Result<u8, GlobError> {
    let [byte, after @ ..] = *rest else { return Err(GlobError::OpenEscape) };
    *rest = after;
    Ok(*byte)
}

/// Reads the text after a `[`, up to its `]`. A `]` that comes first stands for itself.
fn read_class(rest: &mut &[u8]) -> Result<Part, GlobError> {
    if rest.starts_with(b"^") {
        return Err(GlobError::Caret);
    }
    let is_negated = rest.starts_with(b"!");
    if is_negated {
        *rest = rest.get(1..).unwrap_or_default();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match *rest {
            [] => return Err(GlobError::OpenClass),
            [b']', after @ ..] if !ranges.is_empty() => {
                *rest = after;
                return Ok(Part::Class { is_negated, ranges });
            }
            _ => class_byte(rest)?,
        };
        let high = match *rest {
            // A hyphen at the end stands for itself.
            [b'-', b']', ..] => low,
            [b'-', after @ ..] => {
                *rest = after;
                if rest.is_empty() { return Err(GlobError::OpenClass) } else { class_byte(rest)? }
            }
            _ => low,
        };
        if high < low {
            return Err(GlobError::BackwardRange);
        }
        ranges.push((low, high));
    }
}

fn class_byte(rest: &mut &[u8]) -> Result<u8, GlobError> {
    match escaped(rest)? {
        b'\\' => escaped(rest),
        byte => Ok(byte),
    }
}

fn compile(parts: &[Part]) -> Result<Regex, GlobError> {
    let mut pattern = String::from(r"\A");
    for part in parts {
        match part {
            Part::Byte(byte) => _ = write!(pattern, r"\x{byte:02x}"),
            Part::Any => pattern.push('.'),
            Part::AnyRun => pattern.push_str(".*"),
            Part::Class { is_negated, ranges } => {
                pattern.push_str(if *is_negated { "[^" } else { "[" });
                for (low, high) in ranges {
                    _ = write!(pattern, r"\x{low:02x}-\x{high:02x}");
                }
                pattern.push(']');
            }
        }
    }
    pattern.push_str(r"\z");
    let regex = RegexBuilder::new(&pattern).unicode(false).dot_matches_new_line(true).build();
    // A pattern that was accepted here is never too large for the regular expression.
    regex.map_err(|_| GlobError::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &[u8]) -> Glob {
        Glob::new(text.to_vec()).unwrap()
    }

    #[test]
    fn a_pattern_is_its_text() {
        assert_eq!(glob(b"a[b]*").as_bytes(), b"a[b]*");
        assert_eq!(glob(b"a*"), glob(b"a*"));
        assert_ne!(glob(b"ab*"), glob(b"a[b]*"));
    }

    #[test]
    fn what_matches() {
        for (pattern, yes, no) in [
            (
                &b"shop:*"[..],
                &[&b"shop:"[..], b"shop:1", b"shop:\n\xff"][..],
                &[&b"shop"[..], b"xshop:1", b"Shop:1"][..],
            ),
            (b"*:posts:*", &[b"7:posts:1", b":posts:", b"a:posts::posts:b"], &[b"posts:1", b"7:post:1"]),
            (b"*.js", &[b".js", b"a/b.js", b"a.js.js"], &[b"a.jsx", b"js"]),
            (b"a?c", &[b"abc", b"a\xffc", b"a\nc", b"a/c"], &[b"ac", b"abbc"]),
            (b"[a-cx]", &[b"a", b"b", b"c", b"x"], &[b"d", b"-", b"", b"aa"]),
            (b"[!a-c]1", &[b"d1", b"\xff1", b"!1"], &[b"a1", b"1"]),
            (b"[]a]", &[b"]", b"a"], &[b"b"]),
            (b"[!]a]", &[b"b"], &[b"]", b"a"]),
            (b"[a-]", &[b"a", b"-"], &[b"b"]),
            (b"[a\\]b]", &[b"a", b"]", b"b"], &[b"\\"]),
            (b"[a\\^]", &[b"^"], &[b"\\"]),
            (b"\\*\\?\\[\\\\", &[b"*?[\\"], &[b"a?[\\"]),
            (b"a{b,c}**d", &[b"a{b,c}d", b"a{b,c}xyd"], &[b"abd"]),
            (b"**/a", &[b"/a", b"x/a"], &[b"a"]),
            (b"exact", &[b"exact"], &[b"exac", b"exactly"]),
            (b"\xff*\xfe", &[b"\xff\xfe", b"\xff \xfe"], &[b"\xff"]),
            (b"(a|b)+", &[b"(a|b)+"], &[b"a"]),
        ] {
            let glob = glob(pattern);
            yes.iter().for_each(|key| assert!(glob.matches(key), "{glob:?} {}", Escaped(key)));
            no.iter().for_each(|key| assert!(!glob.matches(key), "{glob:?} {}", Escaped(key)));
        }
    }

    #[test]
    fn invalid_patterns_are_refused() {
        for (pattern, error) in [
            (&b""[..], GlobError::Empty),
            (b"*", GlobError::Everything),
            (b"***", GlobError::Everything),
            (b"[", GlobError::OpenClass),
            (b"[]", GlobError::OpenClass),
            (b"[a-", GlobError::OpenClass),
            (b"[!", GlobError::OpenClass),
            (b"[z-a]", GlobError::BackwardRange),
            (b"[^a]", GlobError::Caret),
            (b"a\\", GlobError::OpenEscape),
            (b"[a\\", GlobError::OpenEscape),
            (&[b'?'; 251], GlobError::TooLong),
        ] {
            assert_eq!(Glob::new(pattern.to_vec()), Err(error), "{}", Escaped(pattern));
        }
        assert!(Glob::new("?*".repeat(250)).is_ok());
    }

    #[test]
    fn a_literal_beginning_is_all_that_is_looked_at_where_it_is_all() {
        assert!(
            matches!(glob(b"shop:*").rest, Rest::Pieces { head, middle, tail } if head.is_empty() && middle.is_empty() && tail.is_empty())
        );
        assert!(matches!(glob(b"shop:").rest, Rest::Exactly(parts) if parts.is_empty()));
        assert_eq!(glob(b"a\\*b?*").beginning, &b"a*b"[..]);
        assert!(matches!(glob(b"*a*[b]").rest, Rest::Pieces { middle, .. } if middle.len() == 1));
        assert!(matches!(glob(b"*a?*").rest, Rest::Matching(_)));
    }

    /// Matches by trying every possibility, which is slow but simple.
    fn tried(parts: &[Part], key: &[u8]) -> bool {
        match (parts, key) {
            ([], key) => key.is_empty(),
            ([Part::AnyRun, rest @ ..], key) => (0..=key.len()).any(|at| tried(rest, &key[at..])),
            (_, []) => false,
            ([part, rest @ ..], [byte, behind @ ..]) => part.is_met(*byte) && tried(rest, behind),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_trying_every_possibility(
            pattern in "([ab*?]|[ab*?\\[\\]!\\\\-]){1,12}",
            keys in prop::collection::vec("[ab*\\[\\]!-]{0,7}", 20),
        ) {
            if let Ok(glob) = Glob::new(pattern.clone()) {
                let parts = read(pattern.as_bytes()).unwrap();
                for key in keys {
                    prop_assert_eq!(glob.matches(key.as_bytes()), tried(&parts, key.as_bytes()), "{:?} {}", glob, key);
                }
            }
        }
    }
}
