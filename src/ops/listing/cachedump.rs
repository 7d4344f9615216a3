//! `stats cachedump`: the cold list of each slab class, at most about 2 MB of it, raw keys, none that travel as base64.

use std::collections::BTreeSet;

use super::{Listed, Visitor, Walked};
use crate::client::Client;
use crate::codec::Answer;
use crate::error::Error;
use crate::protocol::cachedump::Cachedump;
use crate::protocol::stats::StatsGroup;
use crate::protocol::{Reply, Request};

pub(super) async fn walk(client: &mut Client, visitor: &mut impl Visitor) -> Result<Walked, Error> {
    let mut classes = BTreeSet::new();
    for stat in client.stats(StatsGroup::Items).await? {
        // items:CLASS:NAME
        classes
            .extend(std::str::from_utf8(stat.name()).ok().and_then(|name| name.split(':').nth(1)?.parse::<u32>().ok()));
    }
    for class in classes {
        client.begin("stats cachedump");
        client.send(Request::Cachedump(Cachedump { class, limit: 0 })).await?;
        loop {
            match client.next().await? {
                Answer { reply: Reply::Cachedump(item), .. } => {
                    if !visitor.visit(Listed::Cachedump(&item))? {
                        return Ok(Walked::GivenUp);
                    }
                }
                Answer { reply: Reply::End, .. } => break,
                Answer { reply: Reply::Error(reply), .. } => return Ok(Walked::Refused(reply)),
                Answer { reply, .. } => return Err(client.refused(reply)),
            }
        }
    }
    Ok(Walked::Whole)
}
