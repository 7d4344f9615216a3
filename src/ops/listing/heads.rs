//! The dump of 1.5.5 and 1.5.6, which leaves out the newest entry of each LRU list, together with `stats cachedump`.
//!
//! The first line of a class's cachedump is the newest entry of its cold list. If all items of a class are in that
//! list, as is soon the case on a server at rest, no key is missing; `stats items` tells whether they are.

use std::collections::BTreeMap;

use super::cachedump::{self, Dumped};
use super::metadump;
use super::{Coverage, ListedItem, Visitor, Walked};
use crate::client::Client;
use crate::error::Error;
use crate::ops::Context;
use crate::ops::dialect::Dialect;
use crate::protocol::crawler::CrawlTarget;

pub(super) async fn walk(
    dialect: Dialect,
    client: &mut Client,
    context: &Context,
    visitor: &mut dyn Visitor,
) -> Result<Walked, Error> {
    let before = cachedump::classes(client).await?;
    let mut counted = Counting { visitor, by_class: BTreeMap::new() };
    match metadump::walk(CrawlTarget::All, dialect, client, context, &mut counted).await? {
        Walked::Whole(_) => {}
        walked => return Ok(walked),
    }
    let Counting { by_class, .. } = counted;
    let mut coverage = Coverage::default();
    for (class, before) in before {
        let newest = match cachedump::dump(client, class, 1, |item| visitor.visit(ListedItem::Cachedump(&item))).await?
        {
            Dumped::Whole(dumped) => dumped.listed,
            Dumped::Broken(listed) => {
                *client = context.connect(&client.server().clone()).await?;
                listed
            }
            Dumped::Refused(reply) => return Ok(Walked::Refused(reply)),
        };
        let listed = by_class.get(&u64::from(class)).copied().unwrap_or_default() + newest;
        // At least the newest entry of each other list is missing; more if entries moved meanwhile.
        coverage.hidden += before.number.saturating_sub(listed).max(before.other_lists);
    }
    Ok(Walked::Whole(coverage))
}

/// Counts the items of each slab class on their way to the visitor.
struct Counting<'a> {
    visitor: &'a mut dyn Visitor,
    by_class: BTreeMap<u64, u64>,
}

impl Visitor for Counting<'_> {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        if let Some(class) = item.class() {
            *self.by_class.entry(class).or_default() += 1;
        }
        self.visitor.visit(item)
    }
}
