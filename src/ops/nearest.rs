//! If a listing meets no key in scope: finds the listed prefixes most similar to those of the scope.

use bytes::Bytes;

use super::namespaces::Division;
use crate::scope::Scope;

/// The listed prefixes nearest to the prefixes of a scope.
///
/// The search is cheap: it holds at most [`Nearest::MOST`] prefixes, and stops after [`Nearest::COMPARED_MAX`]
/// comparisons.
#[derive(Debug)]
pub(super) struct Nearest {
    asked: Vec<Bytes>,
    division: Division,
    /// The prefixes found, nearest first.
    found: Vec<(usize, Bytes)>,
    /// The last compared prefix: consecutive keys often have the same one.
    last: Vec<u8>,
    compared: usize,
}

impl Nearest {
    /// How many prefixes are named.
    const MOST: usize = 3;

    /// How many listed prefixes are compared.
    const COMPARED_MAX: usize = 100_000;

    /// How many prefixes of the scope are compared.
    const ASKED_MAX: usize = 8;

    pub(super) fn to(scope: &Scope) -> Self {
        let asked = scope.prefixes().iter().take(Self::ASKED_MAX);
        let asked = asked.map(|prefix| Bytes::copy_from_slice(prefix.as_bytes())).collect();
        Self { asked, division: Division::default(), found: Vec::new(), last: Vec::new(), compared: 0 }
    }

    /// Whether it still compares keys.
    pub(super) const fn is_looking(&self) -> bool {
        !self.asked.is_empty() && self.compared < Self::COMPARED_MAX
    }

    /// A prefix of the scope exists, and the item is left for another reason than its key.
    pub(super) fn was_met(&mut self) {
        self.asked.clear();
        self.found.clear();
    }

    /// Compares a key (decoded) that is not in scope.
    pub(super) fn look_at(&mut self, key: &[u8]) {
        if !self.is_looking() {
            return;
        }
        let inside = self.asked.iter().find_map(|asked| up_to(key, asked));
        let prefix = inside.unwrap_or_else(|| self.division.prefix(key));
        if prefix.is_empty() || prefix == self.last || self.found.iter().any(|(_, known)| known == prefix) {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(prefix);
        self.compared += 1;
        // A prefix of the scope that follows another prefix in the key is the nearest match.
        let distance = if inside.is_some() {
            0
        } else {
            self.asked.iter().map(|asked| distance(asked, prefix)).min().unwrap_or(usize::MAX)
        };
        let place = self.found.partition_point(|(known, _)| *known <= distance);
        if place < Self::MOST {
            self.found.insert(place, (distance, Bytes::copy_from_slice(prefix)));
            self.found.truncate(Self::MOST);
        }
    }

    /// The nearest prefixes, nearest first.
    pub(super) fn prefixes(self) -> Vec<Bytes> {
        self.found.into_iter().map(|(_, prefix)| prefix).collect()
    }
}

/// The beginning of a key, up to the end of a text in it.
fn up_to<'a>(key: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(key, text).and_then(|at| key.get(..at + text.len()))
}

/// How many bytes have to be inserted, removed or changed to make one text from the other, ignoring ASCII case.
fn distance(one: &[u8], other: &[u8]) -> usize {
    // The row of the usual table for the bytes of `one` seen so far.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.iter().enumerate() {
        let (mut diagonal, mut left) = (at, at + 1);
        for (cell, against) in row.iter_mut().skip(1).zip(other) {
            let changed = diagonal + usize::from(!byte.eq_ignore_ascii_case(against));
            diagonal = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(one.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Prefix;

    fn nearest(asked: &[&str], keys: &[&str]) -> Vec<Bytes> {
        let prefixes = asked.iter().map(|text| Prefix::new((*text).to_owned()).unwrap());
        let mut nearest = Nearest::to(&Scope::of(prefixes));
        keys.iter().for_each(|key| nearest.look_at(key.as_bytes()));
        nearest.prefixes()
    }

    #[test]
    fn the_nearest_are_the_first() {
        let keys = ["blog:1", "shoes:1", "shop:1", "shop:2", "session/1", "views/1", "plain"];
        assert_eq!(nearest(&["shpo:"], &keys), ["shop:", "shoes:", "blog:"]);
        assert_eq!(nearest(&["SHOP:"], &keys).first().unwrap(), "shop:");
        assert_eq!(nearest(&["Blog:", "none"], &keys[..2]), ["blog:", "shoes:"]);
        assert_eq!(nearest(&["shop:"], &["shoq:1", "plain", "blog:1", "shoq:2"]), ["shoq:", "blog:"], "each once");
        assert!(nearest(&[], &keys).is_empty(), "every key is in scope");
    }

    #[test]
    fn a_prefix_after_another_is_the_nearest() {
        assert_eq!(nearest(&["shop:"], &["shoq:1", "prod:shop:1", "prod:blog:1"]), ["prod:shop:", "shoq:", "prod:"]);
    }

    #[test]
    fn distances() {
        for (one, other, apart) in
            [("", "", 0), ("a", "", 1), ("shop:", "shpo:", 2), ("Shop:", "sHOP:", 0), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), apart, "{one} {other}");
            assert_eq!(distance(other.as_bytes(), one.as_bytes()), apart, "{other} {one}");
        }
    }

    #[test]
    fn it_compares_a_limited_number_and_holds_a_few() {
        let mut nearest = Nearest::to(&Scope::of([Prefix::new("shop:").unwrap()]));
        for n in 0..2 * Nearest::COMPARED_MAX {
            nearest.look_at(format!("{n}:").as_bytes());
        }
        nearest.look_at(b"shoq:1");
        assert_eq!((nearest.compared, nearest.found.len()), (Nearest::COMPARED_MAX, Nearest::MOST));
        assert!(nearest.prefixes().iter().all(|prefix| prefix != "shoq:"));
    }
}
