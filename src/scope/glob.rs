//! Patterns for whole keys.

use std::fmt;

use bytes::Bytes;

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
    rest: States,
}

/// The parts after the beginning, as the states of a match: state `n` is reached if the first `n` parts, runs not counted, match the
/// bytes so far. Several states can be reached at once.
#[derive(Clone)]
struct States(Vec<Word>);

/// 64 states, a bit each.
#[derive(Clone)]
struct Word {
    /// For each byte, the states whose next part matches it.
    left_by: [u64; 256],
    /// The states in which a run takes any byte.
    runs: u64,
    /// The state after the last part.
    last: u64,
}

impl States {
    /// How many words the longest pattern has.
    const WORDS_MAX: usize = KEY_MAX / 64 + 1;

    fn of(parts: &[Part]) -> Self {
        let mut words = Vec::new();
        let mut word = Word::EMPTY;
        let mut state = 1;
        for part in parts {
            if *part == Part::AnyRun {
                word.runs |= state;
                continue;
            }
            for (byte, leaving) in (0..=u8::MAX).zip(&mut word.left_by) {
                if part.is_met(byte) {
                    *leaving |= state;
                }
            }
            state = state.rotate_left(1);
            if state == 1 {
                words.push(std::mem::replace(&mut word, Word::EMPTY));
            }
        }
        word.last = state;
        words.push(word);
        Self(words)
    }

    fn match_all(&self, bytes: &[u8]) -> bool {
        let mut reached = [0; Self::WORDS_MAX];
        let [first, ..] = &mut reached;
        *first = 1;
        for byte in bytes {
            let mut carried = 0;
            for (reached, word) in reached.iter_mut().zip(&self.0) {
                // The pattern ends in a run, which takes the rest.
                if *reached & word.last & word.runs != 0 {
                    return true;
                }
                let left = *reached & word.left_by(*byte);
                *reached = left << 1 | carried | *reached & word.runs;
                carried = left >> 63;
            }
            if reached == [0; Self::WORDS_MAX] {
                return false;
            }
        }
        reached.iter().zip(&self.0).any(|(reached, word)| reached & word.last != 0)
    }
}

impl Word {
    const EMPTY: Self = Self { left_by: [0; 256], runs: 0, last: 0 };

    fn left_by(&self, byte: u8) -> u64 {
        self.left_by.get(usize::from(byte)).copied().unwrap_or_default()
    }
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
        let rest = States::of(parts.get(beginning.len()..).unwrap_or_default());
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
        key.strip_prefix(&self.beginning[..]).is_some_and(|behind| self.rest.match_all(behind))
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
    fn the_literal_bytes_before_all_else_are_the_beginning() {
        assert_eq!(glob(b"shop:*").beginning, &b"shop:"[..]);
        assert_eq!(glob(b"shop:").beginning, &b"shop:"[..]);
        assert_eq!(glob(b"a\\*b?*").beginning, &b"a*b"[..]);
        assert_eq!(glob(b"*a").beginning, &b""[..]);
    }

    /// 64 parts are a word of states.
    #[test]
    fn patterns_about_as_long_as_words() {
        for count in [1, 63, 64, 65, 127, 128, 129, 191, 192, 193, KEY_MAX] {
            let key = vec![b'k'; count];
            for part in ["?", "?*", "[k]", "[!x]*"] {
                let glob = glob(part.repeat(count).as_bytes());
                assert!(glob.matches(&key), "{count} {part}");
                assert!(!glob.matches(&key[1..]), "{count} {part}");
                assert_eq!(glob.matches(&[&key[..], b"x"].concat()), part.ends_with('*'), "{count} {part}");
            }
            let behind = glob(format!("*{}", "k".repeat(count)).as_bytes());
            assert!(
                behind.matches(&[b"kk", &key[..]].concat()) && !behind.matches(&[&key[..], b"x"].concat()),
                "{count}"
            );
        }
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
            lead in "[*?\\[]?",
            // A pattern of more than 63 parts has more than one word of states.
            fill in 0_usize..=200,
        ) {
            let lead = lead.replace('[', "[ab]*");
            let pattern = format!("{lead}{}{pattern}", "?".repeat(fill));
            if let Ok(glob) = Glob::new(pattern.clone()) {
                let parts = read(pattern.as_bytes()).unwrap();
                for key in keys {
                    let key = "ab".repeat(fill.div_ceil(2)) + &key;
                    prop_assert_eq!(glob.matches(key.as_bytes()), tried(&parts, key.as_bytes()), "{:?} {}", glob, key);
                }
            }
        }
    }
}
