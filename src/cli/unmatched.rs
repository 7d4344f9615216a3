//! The hint if no key has any of the given prefixes: most likely they are misspelt.

use bytes::Bytes;
use mcflush::protocol::Escaped;
use mcflush::scope::Scope;

/// The given prefixes, and the most similar ones on the servers.
#[derive(Debug, Default)]
pub struct Unmatched {
    asked: Vec<Bytes>,
    /// How many servers have been listed.
    listed: usize,
    /// Keys in scope, on all servers.
    matched: u64,
    /// The most similar prefixes found, on all servers.
    nearest: Vec<Bytes>,
}

/// The hint to print.
#[derive(Debug, PartialEq, Eq)]
pub enum Hint {
    /// A prefix is written like a pattern, which is nearly always a mistake.
    Pattern(String),
    /// The most similar prefixes found.
    Nearest(String),
}

impl Unmatched {
    /// How many prefixes a hint names.
    const NAMED_MAX: usize = 3;

    pub fn of(scope: &Scope) -> Self {
        let asked = scope.prefixes().iter().map(|prefix| Bytes::copy_from_slice(prefix.as_bytes())).collect();
        Self { asked, ..Self::default() }
    }

    /// Adds the result of a server's listing: how many keys were in scope and, if there were none, the most similar
    /// prefixes.
    pub fn note(&mut self, matched: u64, nearest: Vec<Bytes>) {
        self.listed += 1;
        self.matched += matched;
        for prefix in nearest {
            if self.nearest.len() < Self::NAMED_MAX && !self.nearest.contains(&prefix) {
                self.nearest.push(prefix);
            }
        }
    }

    /// The hint, if no server had a key in scope.
    pub fn hint(&self) -> Option<Hint> {
        if self.listed == 0 || self.matched > 0 {
            return None;
        }
        let name = |prefix: &[u8]| format!("\"{}\"", Escaped(prefix));
        let closest: Vec<_> = self.nearest.iter().map(|prefix| name(prefix)).collect();
        let closest = closest.join(", ");
        let pattern = self.asked.iter().find_map(|asked| Some((asked, meant(asked)?)));
        Some(match (pattern, self.asked.as_slice()) {
            (Some((asked, meant)), _) => {
                let mark = char::from(meant.mark);
                let meant = match (meant.prefix, meant.mark) {
                    ([], _) => "--all".into(),
                    (prefix, b'*' | b'?') => format!("{} or --match {}", name(prefix), name(asked)),
                    (prefix, _) => name(prefix),
                };
                let there = if closest.is_empty() { closest } else { format!(" (the closest found: {closest})") };
                Hint::Pattern(format!(
                    "no listed key begins with {}: {mark} stands for itself in a prefix: did you mean {meant}?{there}",
                    name(asked)
                ))
            }
            (None, _) if closest.is_empty() => return None,
            (None, [asked]) => Hint::Nearest(format!(
                "no listed key begins with {}: the closest prefixes found: {closest}",
                name(asked)
            )),
            (None, _) => {
                Hint::Nearest(format!("no listed key begins with any of these prefixes: the closest found: {closest}"))
            }
        })
    }
}

/// The prefix that one written like a pattern was probably meant to be.
struct Meant<'a> {
    prefix: &'a [u8],
    /// The character that makes it look like a pattern.
    mark: u8,
}

/// The meaning of a prefix that begins or ends like a pattern of a shell, SQL or a regular expression, or that has
/// quotes that no shell has removed.
fn meant(prefix: &[u8]) -> Option<Meant<'_>> {
    let mut mark = None;
    let mut rest = prefix;
    while let [first @ (b'^' | b'*' | b'%' | b'"' | b'\''), after @ ..] = rest {
        mark = mark.or(Some(*first));
        rest = after;
    }
    while let [before @ .., last @ (b'*' | b'%' | b'?' | b'$' | b'"' | b'\'')] = rest {
        mark = mark.or(Some(*last));
        // For patterns like `shop:.*`.
        rest = if *last == b'*' { before.strip_suffix(b".").unwrap_or(before) } else { before };
    }
    mark.map(|mark| Meant { prefix: rest, mark })
}

#[cfg(test)]
mod tests {
    use mcflush::scope::Prefix;

    use super::*;

    fn hint(asked: &[&str], matched: u64, nearest: &[&'static str]) -> Option<Hint> {
        let scope = Scope::of(asked.iter().map(|text| Prefix::new((*text).to_owned()).unwrap()));
        let mut unmatched = Unmatched::of(&scope);
        unmatched.note(matched, nearest.iter().map(|prefix| Bytes::from(*prefix)).collect());
        unmatched.hint()
    }

    #[test]
    fn a_prefix_that_looks_like_a_pattern() {
        for (asked, prefix, mark) in [
            ("shop:*", "\"shop:\" or --match \"shop:*\"", '*'),
            ("shop:%", "\"shop:\"", '%'),
            ("^shop:", "\"shop:\"", '^'),
            ("^shop:.*$", "\"shop:\"", '^'),
            ("*shop", "\"shop\" or --match \"*shop\"", '*'),
            ("shop?", "\"shop\" or --match \"shop?\"", '?'),
            ("\"shop:\"", "\"shop:\"", '"'),
            ("'shop:'", "\"shop:\"", '\''),
            ("*", "--all", '*'),
        ] {
            let says = format!(
                "no listed key begins with \"{asked}\": {mark} stands for itself in a prefix: did you mean {prefix}?"
            );
            assert_eq!(hint(&[asked], 0, &[]), Some(Hint::Pattern(says)), "{asked}");
        }
        for asked in ["shop:", "a*b", "100%:", "shop."] {
            assert_eq!(hint(&[asked], 0, &[]), None, "{asked}");
        }
        assert_eq!(hint(&["shop:*"], 1, &[]), None, "such keys there are");
    }

    #[test]
    fn the_most_similar_prefixes_are_named() {
        let says = |hint| match hint {
            Some(Hint::Nearest(text) | Hint::Pattern(text)) => text,
            None => String::new(),
        };
        assert!(
            says(hint(&["shpo:"], 0, &["shop:", "b\n"])).ends_with("the closest prefixes found: \"shop:\", \"b\\x0a\"")
        );
        assert!(says(hint(&["a", "b"], 0, &["c"])).starts_with("no listed key begins with any of these prefixes: "));
        assert!(
            says(hint(&["shop*"], 0, &["shop:"]))
                .ends_with("did you mean \"shop\" or --match \"shop*\"? (the closest found: \"shop:\")")
        );
        assert_eq!(hint(&["shpo:"], 1, &["shop:"]), None);
        assert_eq!(Unmatched::of(&Scope::of([])).hint(), None, "nothing was listed");
    }
}
