//! Keeps the first keys in some order, of a listing of any size.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::Item;
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::ops::listing::ListedItem;

/// An order of items. Items that are equal in it are ordered by key, byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// The largest item first.
    Size,
    /// The item first whose last access, as the server notes it, is oldest.
    Age,
    /// The item first that expires next; items that never expire come last.
    Expiry,
    /// By key alone.
    Key,
}

impl Order {
    /// The rank of an item: a lower rank comes first. If the listing does not give the needed figure, the item comes
    /// last.
    ///
    /// ```no_run
    /// use mcflush::ops::keys::{Item, Order};
    /// fn is_first(one: &Item<'_>, other: &Item<'_>) -> bool {
    ///     (Order::Size.rank(one), one.key()) < (Order::Size.rank(other), other.key())
    /// }
    /// ```
    #[must_use]
    pub fn rank(self, item: &Item<'_>) -> u64 {
        self.of(item.listed).unwrap_or(u64::MAX)
    }

    /// The rank; none if the listing does not give the needed figure.
    fn of(self, item: ListedItem<'_>) -> Option<u64> {
        match self {
            Self::Size => Some(u64::MAX - item.known_size()?),
            Self::Age => item.last_access(),
            Self::Expiry => Some(item.expires().unwrap_or(u64::MAX)),
            Self::Key => Some(0),
        }
    }

    const fn unreported(self) -> &'static str {
        match self {
            Self::Size => "how large an item is",
            Self::Age => "when an item was last read",
            Self::Expiry | Self::Key => "when an item expires",
        }
    }
}

/// Only the first keys in some order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// The order.
    pub order: Order,
    /// The greatest number of keys; all of them are held in memory.
    pub most: NonZeroUsize,
}

/// A rank, and the key that has it.
type Place = (u64, Box<[u8]>);

/// The lines of the first keys so far.
#[derive(Debug)]
pub(super) struct Ranking {
    top: Top,
    /// By rank and key, so that a key listed twice without a change counts once.
    lines: BTreeMap<Place, Box<[u8]>>,
}

impl Ranking {
    pub(super) const fn new(top: Top) -> Self {
        Self { top, lines: BTreeMap::new() }
    }

    /// Adds an item whose key (decoded) is in scope, if it is among the first.
    ///
    /// # Errors
    /// The listing does not give the figure that the order needs.
    pub(super) fn offer(&mut self, key: &[u8], item: ListedItem<'_>, server: &ServerAddr) -> Result<(), Error> {
        let Top { order, most } = self.top;
        let rank = order.of(item).ok_or_else(|| Error {
            server: server.clone(),
            problem: Problem::Unreported { what: order.unreported() },
        })?;
        let is_full = self.lines.len() >= most.get();
        let is_behind = |(last, name): &Place| (*last, &name[..]) < (rank, key);
        if is_full && self.lines.last_key_value().is_some_and(|(last, _)| is_behind(last)) {
            return Ok(());
        }
        self.lines.insert((rank, key.into()), item.line().into());
        if self.lines.len() > most.get() {
            self.lines.pop_last();
        }
        Ok(())
    }

    /// The lines, in order.
    pub(super) fn into_lines(self) -> impl Iterator<Item = Box<[u8]>> {
        self.lines.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::address;
    use crate::protocol::crawler::MetadumpLine;

    fn ranked(order: Order, most: usize, lines: &[&str]) -> Vec<Box<[u8]>> {
        let mut ranking = Ranking::new(Top { order, most: most.try_into().unwrap() });
        for line in lines {
            let item = MetadumpLine::new(line.as_bytes()).unwrap();
            ranking.offer(item.encoded_key(), ListedItem::Metadump(item), &address()).unwrap();
        }
        ranking.into_lines().collect()
    }

    fn first(order: Order, most: usize, lines: &[&str]) -> Vec<String> {
        let lines = ranked(order, most, lines);
        lines.iter().map(|line| String::from_utf8(line[4..5].to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_key_that_is_listed_again_is_shown_as_it_was_listed_last() {
        let lines =
            ["key=a exp=-1 la=10 cas=1 fetch=no cls=1 size=60", "key=a exp=-1 la=20 cas=2 fetch=no cls=1 size=70"];
        for most in [1, 2] {
            let shown = ranked(Order::Key, most, &lines);
            assert_eq!(shown.iter().map(|line| &line[..]).collect::<Vec<_>>(), [lines[1].as_bytes()]);
        }
    }

    #[test]
    fn orders() {
        let lines = [
            "key=d exp=-1 la=40 cas=1 fetch=no cls=1 size=70",
            "key=a exp=90 la=30 cas=1 fetch=no cls=1 size=60",
            "key=c exp=80 la=20 cas=1 fetch=no cls=1 size=80",
            "key=b exp=-1 la=10 cas=1 fetch=no cls=1 size=60",
            "key=c exp=80 la=20 cas=1 fetch=no cls=1 size=80",
        ];
        for (order, all) in [
            (Order::Size, ["c", "d", "a", "b"]),
            (Order::Age, ["b", "c", "a", "d"]),
            (Order::Expiry, ["c", "a", "b", "d"]),
            (Order::Key, ["a", "b", "c", "d"]),
        ] {
            for most in 1..=5 {
                assert_eq!(first(order, most, &lines), all[..most.min(4)], "{order:?} {most}");
            }
        }
    }

    #[test]
    fn an_item_between_the_first_and_the_last_takes_the_place_of_the_last() {
        let lines = ["key=a exp=-1 la=1 size=80", "key=b exp=-1 la=3 size=60", "key=c exp=-1 la=2 size=70"];
        for order in [Order::Size, Order::Age] {
            assert_eq!(first(order, 2, &lines), ["a", "c"], "{order:?}");
        }
    }

    #[test]
    fn a_lower_rank_comes_first_and_an_unknown_one_last() {
        let rank = |order: Order, line: &str| {
            let listed = ListedItem::Metadump(MetadumpLine::new(line.as_bytes()).unwrap());
            order.rank(&Item { key: b"a", listed })
        };
        let (one, other) = ("key=a exp=90 la=30 size=80", "key=a exp=-1 la=40 size=60");
        for order in [Order::Size, Order::Age, Order::Expiry] {
            assert!(rank(order, one) < rank(order, other), "{order:?}");
        }
        assert_eq!(rank(Order::Key, one), rank(Order::Key, other));
        for bare in ["key=a exp=-1", "key=a exp=-1 la=never size=0"] {
            assert_eq!([Order::Size, Order::Age].map(|order| rank(order, bare)), [u64::MAX; 2], "{bare}");
        }
    }

    #[test]
    fn a_figure_that_the_listing_lacks() {
        let mut ranking = Ranking::new(Top { order: Order::Age, most: NonZeroUsize::MIN });
        let item = ListedItem::Metadump(MetadumpLine::new(b"key=a exp=-1 cas=1").unwrap());
        assert!(ranking.offer(b"a", item, &address()).unwrap_err().to_string().contains("last read"));
    }
}
