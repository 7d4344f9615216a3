//! The keys that an operation affects: keys that begin with a prefix or match a pattern, without the keys to keep.

mod glob;

use std::fmt;

use bytes::Bytes;

pub use self::glob::{Glob, GlobError};
use crate::conversions::conversions;
use crate::protocol::{Escaped, KEY_MAX};

/// A prefix of keys: 1 to 250 bytes of any value.
///
/// ```
/// use mcflush::scope::{Prefix, PrefixError};
/// assert!(Prefix::new("shop:")?.matches(b"shop:1"));
/// assert_eq!(Prefix::new(""), Err(PrefixError::Empty));
/// # Ok::<(), PrefixError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Bytes);

/// Why some bytes cannot be a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The prefix is empty: every key begins with it.
    #[error("an empty prefix means every key of the server")]
    Empty,
    /// The prefix is longer than any key.
    #[error("a prefix of {0} bytes is longer than any key: a key has at most {KEY_MAX} bytes")]
    TooLong(usize),
}

impl Prefix {
    /// Takes the bytes of the prefix.
    ///
    /// # Errors
    /// If there are no bytes, or more than a key can have.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, PrefixError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(PrefixError::Empty),
            1..=KEY_MAX => Ok(Self(bytes)),
            len => Err(PrefixError::TooLong(len)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a key begins with this prefix.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        key.starts_with(&self.0)
    }
}

conversions!(Prefix, PrefixError, Self::new, Self::as_bytes);

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", Escaped(&self.0))
    }
}

/// A set of prefixes. To look up a key is a binary search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PrefixSet {
    /// The prefixes, sorted; no prefix begins with another. So only the last prefix that is not greater than a key can match
    /// the key.
    sorted: Vec<Prefix>,
}

impl PrefixSet {
    fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let mut sorted: Vec<_> = prefixes.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup_by(|next, shorter| shorter.matches(next.as_bytes()));
        Self { sorted }
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let candidate = self.sorted.partition_point(|prefix| prefix.as_bytes() <= key).checked_sub(1)?;
        self.sorted.get(candidate)?.matches(key).then_some(candidate)
    }
}

/// The keys that begin with one of the prefixes or match one of the patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Choice {
    prefixes: PrefixSet,
    globs: Vec<Glob>,
}

impl Choice {
    /// The index of the prefix that a key begins with, or, if there is none, of the first pattern that it matches. The
    /// patterns are counted after the prefixes.
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.prefixes.find(key).or_else(|| {
            let place = self.globs.iter().position(|glob| glob.matches(key))?;
            Some(self.prefixes.sorted.len() + place)
        })
    }
}

/// A choice of keys: the keys that begin with one of the prefixes or match one of the patterns, or all keys; without the
/// keys to keep.
///
/// ```
/// use mcflush::scope::{Prefix, Scope};
/// let scope = Scope::of([Prefix::new("shop:")?]).keeping([Prefix::new("shop:sess:")?]);
/// assert!(scope.contains(b"shop:1") && !scope.contains(b"shop:sess:1") && !scope.contains(b"blog:1"));
/// # Ok::<(), mcflush::scope::PrefixError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// None for every key.
    include: Option<Choice>,
    keep: Choice,
}

impl Scope {
    /// The keys that begin with one of these prefixes. Without prefixes: no keys.
    #[must_use]
    pub fn of(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let include = Choice { prefixes: PrefixSet::new(prefixes), globs: Vec::new() };
        Self { include: Some(include), keep: Choice::default() }
    }

    /// Every key.
    #[must_use]
    pub fn everything() -> Self {
        Self { include: None, keep: Choice::default() }
    }

    /// Adds the keys that match one of these patterns. A scope of every key stays the same.
    ///
    /// ```
    /// use mcflush::scope::{Glob, GlobError, Scope};
    /// let scope = Scope::of([]).matching([Glob::new("*:posts:*")?]);
    /// assert!(scope.contains(b"7:posts:1") && !scope.contains(b"7:pages:1"));
    /// # Ok::<(), GlobError>(())
    /// ```
    #[must_use]
    pub fn matching(mut self, globs: impl IntoIterator<Item = Glob>) -> Self {
        if let Some(include) = &mut self.include {
            include.globs.extend(globs);
        }
        self
    }

    /// Excludes the keys that begin with one of these prefixes.
    ///
    /// ```
    /// use mcflush::scope::{Prefix, PrefixError, Scope};
    /// let scope = Scope::everything().keeping([Prefix::new("sess:")?]);
    /// assert!(scope.contains(b"shop:1") && !scope.contains(b"sess:1"));
    /// # Ok::<(), PrefixError>(())
    /// ```
    #[must_use]
    pub fn keeping(mut self, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        self.keep.prefixes = PrefixSet::new(prefixes);
        self
    }

    /// Excludes the keys that match one of these patterns.
    ///
    /// ```
    /// use mcflush::scope::{Glob, GlobError, Scope};
    /// let scope = Scope::everything().keeping_matches([Glob::new("*:sess:*")?]);
    /// assert!(scope.contains(b"shop:1") && !scope.contains(b"shop:sess:1"));
    /// # Ok::<(), GlobError>(())
    /// ```
    #[must_use]
    pub fn keeping_matches(mut self, globs: impl IntoIterator<Item = Glob>) -> Self {
        self.keep.globs.extend(globs);
        self
    }

    /// The prefixes, sorted, without those that begin with another prefix. Empty for a scope of every key.
    #[must_use]
    pub fn prefixes(&self) -> &[Prefix] {
        self.include.as_ref().map_or(&[], |include| &include.prefixes.sorted)
    }

    /// The patterns, in the order in which they were given. Empty for a scope of every key.
    #[must_use]
    pub fn globs(&self) -> &[Glob] {
        self.include.as_ref().map_or(&[], |include| &include.globs)
    }

    /// The index of the prefix or pattern that puts a key in scope: first the [`Self::prefixes`] are counted, then the
    /// [`Self::globs`]. For a scope of every key: 0. None if the key is not in scope.
    ///
    /// ```
    /// use mcflush::scope::{Glob, Prefix, Scope};
    /// let scope = Scope::of([Prefix::new("cart:")?, Prefix::new("shop:")?]).matching([Glob::new("*.js")?]);
    /// assert_eq!((scope.find(b"shop:1"), scope.find(b"a.js"), scope.find(b"blog:1")), (Some(1), Some(2), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let place = match &self.include {
            Some(include) => include.find(key)?,
            None => 0,
        };
        self.keep.find(key).is_none().then_some(place)
    }

    /// Whether a decoded key is in scope.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_prefix_of_a_prefix_swallows_it() {
        let set = PrefixSet::new(["b", "ab", "a", "abc", "a", "c:"].map(prefix));
        assert_eq!(set.sorted, ["a", "b", "c:"].map(prefix));
    }

    #[test]
    fn contains_agrees_with_trying_each_prefix() {
        let texts = ["", "a", "aa", "ab", "a:", "a:b", "b", "b:", "b:a", "c", "ca", "\u{ff}", "a%3A"];
        let choices = ["a", "aa", "a:", "b:", "c", "\u{ff}"];
        for include in 0..1 << choices.len() {
            for keep in [0, 1, 2, 4, 9, 33] {
                let chosen = |bits: i32| {
                    let picked = choices.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
                    picked.map(|(_, text)| prefix(text)).collect::<Vec<_>>()
                };
                let scope = Scope::of(chosen(include)).keeping(chosen(keep));
                for key in texts.map(str::as_bytes) {
                    let any = |bits| chosen(bits).iter().any(|prefix| prefix.matches(key));
                    assert_eq!(scope.contains(key), any(include) && !any(keep), "{scope:?} {key:?}");
                }
            }
        }
        assert!(Scope::everything().contains(b"x"));
    }

    #[test]
    fn prefixes_and_patterns_count_beside_each_other() {
        let globs =
            |texts: &[&str]| texts.iter().map(|text| Glob::new((*text).to_owned()).unwrap()).collect::<Vec<_>>();
        let scope = Scope::of([prefix("b"), prefix("a")]).matching(globs(&["*x", "*y"]));
        let scope = scope.keeping([prefix("a1")]).keeping_matches(globs(&["?0*"]));
        assert_eq!(scope.globs(), globs(&["*x", "*y"]));
        let found = ["a2", "b", "cx", "cy", "c", "a1x", "c0x"].map(|key| scope.find(key.as_bytes()));
        assert_eq!(found, [Some(0), Some(1), Some(2), Some(3), None, None, None]);
        assert!(Scope::everything().matching(globs(&["x"])).contains(b"y"), "nothing is added to every key");
    }
}
