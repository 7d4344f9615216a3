//! Counts what a clear would delete, by the same listing, without a change on the server.

use bytes::{Bytes, BytesMut};

use super::{ClearOptions, Strategy};
use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::listing::{self, KEYS_PER_EVENT, ListedItem, Sieve, Uncertainty, Visited, Visitor};
use crate::ops::nearest::Nearest;
use crate::ops::{Context, Event};
use crate::scope::Scope;

/// The keys found for one prefix or glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// The number of keys.
    pub keys: u64,
    /// The bytes that their items take on the server: header, key and value.
    pub bytes: u64,
}

/// The result of [`survey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How the keys were listed. Only a hash walk lists all of them.
    pub strategy: Strategy,
    /// The number of keys listed.
    pub listed: u64,
    /// One entry for each of [`Scope::prefixes`], then one for each of [`Scope::globs`]; a single entry if every key is
    /// in scope.
    pub found: Vec<Found>,
    /// If no key in scope was met: the prefixes on the server most similar to those of the scope, most similar first.
    pub nearest: Vec<Bytes>,
    /// How far these figures may be off; none if they are exact.
    pub uncertainty: Option<Uncertainty>,
}

/// Counts what a clear with these options would delete.
///
/// # Errors
/// The server could not be reached, does not list its keys, or does not list what the filter needs.
pub async fn survey(
    server: &ServerAddr,
    scope: &Scope,
    options: &ClearOptions,
    context: &Context,
) -> Result<Survey, Error> {
    let sieve = Sieve::learn(&options.filter, server, context).await?;
    let surveyor = || Surveyor {
        server,
        scope,
        sieve,
        context,
        key: BytesMut::new(),
        listed: 0,
        unreported: (0, 0),
        found: vec![Found::default(); (scope.prefixes().len() + scope.globs().len()).max(1)],
        nearest: Nearest::to(scope),
    };
    let Visited { strategy, visitor, uncertainty } =
        listing::visit_all(server, options.strategy, context, surveyor).await?;
    let is_found = visitor.found.iter().any(|found| found.keys > 0);
    let nearest = if is_found { Vec::new() } else { visitor.nearest.prefixes() };
    Ok(Survey { strategy, listed: visitor.listed, found: visitor.found, nearest, uncertainty })
}

struct Surveyor<'a> {
    server: &'a ServerAddr,
    scope: &'a Scope,
    sieve: Sieve,
    context: &'a Context,
    key: BytesMut,
    listed: u64,
    /// Listed keys that no event has reported yet, and how many of them are in scope.
    unreported: (u64, u64),
    found: Vec<Found>,
    nearest: Nearest,
}

impl Visitor for Surveyor<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        item.decode_key(self.server, &mut self.key)?;
        self.listed += 1;
        self.unreported.0 += 1;
        let place = self.scope.find(&self.key);
        if place.is_some() && !self.sieve.admits(item, self.server)? {
            self.nearest.was_met();
        } else if let Some(found) = place.and_then(|place| self.found.get_mut(place)) {
            self.unreported.1 += 1;
            found.keys += 1;
            found.bytes += item.size();
        } else {
            self.nearest.look_at(&self.key);
        }
        if self.unreported.0 == KEYS_PER_EVENT {
            let (keys, in_scope) = std::mem::take(&mut self.unreported);
            self.context.events.tell(Event::Listed { keys, in_scope });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{HASH_DUMP, Say, address, item, server, text, told};
    use crate::scope::Prefix;

    #[tokio::test(start_paused = true)]
    async fn what_would_be_deleted_is_counted_and_told() {
        let (mut context, heard) = server(|line| match line {
            "version" => text("VERSION 1.6.38\r\n"),
            "stats" => text("END\r\n"),
            HASH_DUMP => {
                let keys = ["shop:1", "blog:1", "shop:2", "shop:3", "news:1"];
                Say::Text(keys.map(|key| item(key, 2)).concat() + "END\r\n")
            }
            _ => text("ERROR\r\n"),
        });
        let told = told(&mut context);
        let scope = Scope::of(["blog:", "shop:", "wiki:"].map(|prefix| Prefix::new(prefix).unwrap()));
        let survey = survey(&address(), &scope, &ClearOptions::default(), &context).await.unwrap();
        let found: Vec<_> = survey.found.iter().map(|found| (found.keys, found.bytes)).collect();
        assert_eq!((survey.listed, found), (5, vec![(1, 64), (3, 192), (0, 0)]));
        // Told in lots of some thousand, of which none is full here.
        assert_eq!(*told.lock().unwrap(), (0, 0));
        assert!(survey.nearest.is_empty() && survey.uncertainty.is_none(), "{survey:?}");
        assert!(!heard.all().iter().any(|line| line.starts_with("md ")), "nothing is deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn similar_prefixes_are_named_only_if_no_key_is_in_scope() {
        let (context, _) = server(|line| match line {
            "version" => text("VERSION 1.6.38\r\n"),
            "stats" => text("END\r\n"),
            HASH_DUMP => Say::Text(item("blog:1", 2) + &item("shop:1", 3) + "END\r\n"),
            _ => text("ERROR\r\n"),
        });
        for (prefix, named) in [("shpo:", &["shop:", "blog:"][..]), ("shop:", &[])] {
            let scope = Scope::of([Prefix::new(prefix).unwrap()]);
            let survey = survey(&address(), &scope, &ClearOptions::default(), &context).await.unwrap();
            assert_eq!(survey.nearest, named, "{prefix}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lot_of_keys_is_told_with_those_in_scope() {
        let (mut context, _) = server(|line| match line {
            "version" => text("VERSION 1.6.38\r\n"),
            "stats" => text("END\r\n"),
            HASH_DUMP => {
                let lot = (0..KEYS_PER_EVENT).map(|n| item(if n % 4 == 0 { "shop:1" } else { "blog:1" }, 2));
                Say::Text(lot.collect::<String>() + "END\r\n")
            }
            _ => text("ERROR\r\n"),
        });
        let told = told(&mut context);
        let scope = Scope::of([Prefix::new("shop:").unwrap()]);
        survey(&address(), &scope, &ClearOptions::default(), &context).await.unwrap();
        assert_eq!(*told.lock().unwrap(), (KEYS_PER_EVENT, KEYS_PER_EVENT / 4));
    }
}
