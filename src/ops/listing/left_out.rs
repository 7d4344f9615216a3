//! The dump of versions that leave keys out of it for certain, with a count of these keys.
//!
//! Until 1.5.4, `lru_crawler tocrawl N` limits dumps too: the crawler begins at the oldest entry of each list and stops at
//! entry number N. So a class has all its items listed for certain only if it holds fewer than N.
//!
//! Until 1.4.36, the crawler does not visit the fourth list of a class: keys that never expire with `-o
//! expirezero_does_not_evict`, later keys that expire soon with `-o temp_lru`.

use super::{Coverage, Visitor, Walked, cachedump, metadump};
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::dialect::Dialect;
use crate::ops::{Context, figure};
use crate::protocol::crawler::CrawlTarget;
use crate::protocol::stats::{Stat, StatsGroup};

pub(super) async fn walk(
    dialect: Dialect,
    client: &mut Client,
    context: &Context,
    visitor: &mut dyn Visitor,
) -> Result<Walked, Error> {
    let hidden = left_out(dialect, client).await?;
    Ok(match metadump::walk(CrawlTarget::All, dialect, client, context, visitor).await? {
        Walked::Whole(coverage) => Walked::Whole(Coverage { hidden: coverage.hidden + hidden, ..coverage }),
        refused @ Walked::Refused(_) => refused,
    })
}

/// At most how many keys a dump leaves out.
async fn left_out(dialect: Dialect, client: &mut Client) -> Result<u64, Error> {
    let limit = figure::number(&known(client, StatsGroup::Settings).await?, "lru_crawler_tocrawl").unwrap_or_default();
    let classes = cachedump::read_classes(&known(client, StatsGroup::Items).await?);
    let left_out = classes.values().map(|class| {
        let unvisited = if dialect.skips_fourth_list() { class.fourth_list } else { 0 };
        let behind = limit.checked_sub(1).map_or(0, |listed| class.number.saturating_sub(listed));
        unvisited.max(behind)
    });
    Ok(left_out.sum())
}

/// The statistics of a group; none if the server does not know the group.
async fn known(client: &mut Client, group: StatsGroup) -> Result<Vec<Stat>, Error> {
    match client.stats(group).await {
        Err(Error { problem: Problem::Refusal { .. }, .. }) => Ok(Vec::new()),
        answer => answer,
    }
}
