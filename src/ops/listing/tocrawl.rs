//! The dump of versions that obey `lru_crawler tocrawl N`, with a count of the keys that this setting may leave out.
//!
//! The crawler begins at the oldest entry of each list and stops at the entry number N. So a class has all its items
//! listed for certain only if it holds fewer than N.

use super::{Coverage, Visitor, Walked, cachedump, metadump};
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::ops::dialect::Dialect;
use crate::ops::{Context, figure};
use crate::protocol::crawler::CrawlTarget;
use crate::protocol::stats::StatsGroup;

pub(super) async fn walk(
    dialect: Dialect,
    client: &mut Client,
    context: &Context,
    visitor: &mut impl Visitor,
) -> Result<Walked, Error> {
    let hidden = left_out(client).await?;
    Ok(match metadump::walk(CrawlTarget::All, dialect, client, context, visitor).await? {
        Walked::Whole(coverage) => Walked::Whole(Coverage { hidden: coverage.hidden + hidden, ..coverage }),
        refused @ Walked::Refused(_) => refused,
    })
}

/// At most how many keys a dump leaves out.
async fn left_out(client: &mut Client) -> Result<u64, Error> {
    let settings = match client.stats(StatsGroup::Settings).await {
        Ok(settings) => settings,
        Err(Error { problem: Problem::Refusal { .. }, .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    match figure::number(&settings, "lru_crawler_tocrawl") {
        None | Some(0) => Ok(0),
        Some(limit) => {
            let classes = cachedump::classes(client).await?;
            Ok(classes.values().map(|class| class.number.saturating_sub(limit - 1)).sum())
        }
    }
}
