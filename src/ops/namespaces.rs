//! Counts a server's keys and bytes by the beginning of the keys.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use bytes::BytesMut;

use super::listing::{self, KEYS_PER_EVENT, ListedItem, Strategy, Uncertainty, Visited, Visitor};
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::error::Error;

/// How keys are divided into prefixes: at which bytes, and how many times.
///
/// ```
/// use mcflush::ops::namespaces::Division;
/// let division = Division::default();
/// assert_eq!(division.prefix(b"shop:cart:7"), b"shop:");
/// assert_eq!(division.prefix(b"plain"), b"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    separators: Vec<u8>,
    depth: NonZeroUsize,
}

impl Default for Division {
    /// Divides once, at any of `:`, `/`, `.` and `|`.
    fn default() -> Self {
        Self::new(*b":/.|", NonZeroUsize::MIN)
    }
}

impl Division {
    /// Divides at any of these bytes, `depth` times.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use mcflush::ops::namespaces::Division;
    /// let twice = Division::new(*b":", NonZeroUsize::new(2).unwrap());
    /// assert_eq!(twice.prefix(b"shop:cart:7:x"), b"shop:cart:");
    /// assert_eq!(twice.prefix(b"shop:7"), b"shop:");
    /// ```
    #[must_use]
    pub fn new(separators: impl IntoIterator<Item = u8>, depth: NonZeroUsize) -> Self {
        Self { separators: separators.into_iter().collect(), depth }
    }

    /// The beginning of a key, up to and including the last separator that counts; empty if the key has no separator.
    #[must_use]
    pub fn prefix<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        let separators = key.iter().enumerate().filter(|(_, byte)| self.separators.contains(byte));
        let last = separators.take(self.depth.get()).last();
        last.and_then(|(at, _)| key.get(..=at)).unwrap_or_default()
    }
}

/// The keys and bytes of some items.
///
/// ```
/// use mcflush::ops::namespaces::Usage;
/// let mut usage = Usage { keys: 1, bytes: 66, expiring: 0, oldest_access: Some(7) };
/// usage.add(&Usage { keys: 2, bytes: 100, expiring: 1, oldest_access: Some(5) });
/// assert_eq!(usage, Usage { keys: 3, bytes: 166, expiring: 1, oldest_access: Some(5) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The number of keys.
    pub keys: u64,
    /// The bytes that their items take on the server: header, key and value (only the value if a cachedump lists them).
    pub bytes: u64,
    /// Keys that will expire.
    pub expiring: u64,
    /// The oldest last access of the items, as a Unix time by the server's clock; none if the listing does not give it.
    pub oldest_access: Option<u64>,
}

impl Usage {
    fn of(item: ListedItem<'_>) -> Self {
        Self {
            keys: 1,
            bytes: item.size(),
            expiring: u64::from(item.expires().is_some()),
            oldest_access: item.last_access(),
        }
    }

    /// Adds the figures of `other` to these.
    pub fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.expiring += other.expiring;
        self.oldest_access = match (self.oldest_access, other.oldest_access) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// Usage by prefix, for a limited number of prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Namespaces {
    by_prefix: HashMap<Box<[u8]>, Usage>,
    none: Usage,
    others: Usage,
}

impl Namespaces {
    /// How many prefixes are counted separately. A walk of the hash table lists keys in no order, so it meets a prefix
    /// with many keys early. The keys of further prefixes are summed as [`Self::others`].
    pub const PREFIXES_MAX: usize = 20_000;

    fn count(&mut self, prefix: &[u8], usage: &Usage) {
        if prefix.is_empty() {
            self.none.add(usage);
        } else if let Some(known) = self.by_prefix.get_mut(prefix) {
            known.add(usage);
        } else if self.by_prefix.len() < Self::PREFIXES_MAX {
            self.by_prefix.insert(prefix.into(), *usage);
        } else {
            self.others.add(usage);
        }
    }

    /// Adds the figures of another server.
    pub fn add(&mut self, other: &Self) {
        for (prefix, usage) in &other.by_prefix {
            self.count(prefix, usage);
        }
        self.none.add(&other.none);
        self.others.add(&other.others);
    }

    /// All prefixes, those that take most bytes first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&[u8], &Usage)> {
        let mut rows: Vec<_> = self.by_prefix.iter().map(|(prefix, usage)| (&prefix[..], usage)).collect();
        rows.sort_unstable_by_key(|(prefix, usage)| (std::cmp::Reverse((usage.bytes, usage.keys)), *prefix));
        rows
    }

    /// The usage of keys without a separator.
    #[must_use]
    pub const fn none(&self) -> &Usage {
        &self.none
    }

    /// The usage of prefixes beyond [`Self::PREFIXES_MAX`].
    #[must_use]
    pub const fn others(&self) -> &Usage {
        &self.others
    }

    /// The usage of all keys.
    #[must_use]
    pub fn total(&self) -> Usage {
        let mut total = self.none;
        self.by_prefix.values().chain([&self.others]).for_each(|usage| total.add(usage));
        total
    }
}

/// The result of [`namespaces`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// How the keys were listed. Only a hash walk lists all of them.
    pub strategy: Strategy,
    /// Usage by prefix.
    pub namespaces: Namespaces,
    /// How far these figures may be off; none if they are exact.
    pub uncertainty: Option<Uncertainty>,
}

/// Counts the keys of a server by their beginning.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, namespaces::{Division, namespaces}};
/// let counted = namespaces(&"cache1".parse()?, &Division::default(), None, &Context::default()).await?;
/// for (prefix, usage) in counted.namespaces.sorted() {
///     println!("{prefix:?} {}", usage.keys);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, or does not list its keys.
pub async fn namespaces(
    server: &ServerAddr,
    division: &Division,
    asked: Option<Strategy>,
    context: &Context,
) -> Result<Counted, Error> {
    let counter = || Counter {
        server,
        division,
        context,
        key: BytesMut::new(),
        namespaces: Namespaces::default(),
        unreported: 0,
    };
    let Visited { strategy, visitor, uncertainty } = listing::visit_all(server, asked, context, counter).await?;
    Ok(Counted { strategy, namespaces: visitor.namespaces, uncertainty })
}

struct Counter<'a> {
    server: &'a ServerAddr,
    division: &'a Division,
    context: &'a Context,
    key: BytesMut,
    namespaces: Namespaces,
    /// Keys that no event has reported yet.
    unreported: u64,
}

impl Visitor for Counter<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        item.decode_key(self.server, &mut self.key)?;
        self.namespaces.count(self.division.prefix(&self.key), &Usage::of(item));
        self.unreported += 1;
        if self.unreported == KEYS_PER_EVENT {
            let keys = std::mem::take(&mut self.unreported);
            self.context.events.tell(Event::Listed { keys, in_scope: keys });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{HASH_DUMP, Say, address, item, server, text, told};

    #[tokio::test(start_paused = true)]
    async fn keys_are_counted_by_their_beginning_and_told() {
        let listed: String =
            (0..KEYS_PER_EVENT * 2).map(|n| item(&format!("{}:{n}", ["shop", "blog"][n as usize % 2]), 7)).collect();
        let (mut context, _) = server(move |line| match line {
            "version" => text("VERSION 1.6.45\r\n"),
            HASH_DUMP => Say::Text(listed.clone() + &item("single", 8) + "END\r\n"),
            _ => text("ERROR\r\n"),
        });
        let told = told(&mut context);
        let counted = namespaces(&address(), &Division::default(), None, &context).await.unwrap();
        let found: Vec<_> =
            counted.namespaces.sorted().into_iter().map(|(prefix, usage)| (prefix, usage.keys)).collect();
        assert_eq!(found, [(&b"blog:"[..], KEYS_PER_EVENT), (b"shop:", KEYS_PER_EVENT)]);
        assert_eq!((counted.namespaces.none().keys, counted.uncertainty), (1, None));
        // The last keys, fewer than an event tells of, are not told.
        assert_eq!(*told.lock().unwrap(), (KEYS_PER_EVENT * 2, KEYS_PER_EVENT * 2));
    }

    #[test]
    fn prefixes_beyond_the_limit_are_summed() {
        let one = Usage { keys: 1, bytes: 10, expiring: 1, oldest_access: Some(3) };
        let mut namespaces = Namespaces::default();
        for n in 0..Namespaces::PREFIXES_MAX + 5 {
            namespaces.count(format!("{n}:").as_bytes(), &one);
        }
        namespaces.count(b"0:", &one);
        namespaces.count(b"", &one);
        assert_eq!((namespaces.others().keys, namespaces.none().keys), (5, 1));
        assert_eq!(namespaces.sorted().first(), Some(&(&b"0:"[..], &Usage { keys: 2, bytes: 20, expiring: 2, ..one })));
        assert_eq!(namespaces.total().keys, Namespaces::PREFIXES_MAX as u64 + 7);

        let mut both = namespaces.clone();
        both.add(&namespaces);
        assert_eq!(both.total().keys, 2 * namespaces.total().keys);
        assert_eq!(both.sorted().len(), Namespaces::PREFIXES_MAX);
    }
}
