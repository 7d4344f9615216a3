//! Finds out whether a server can be asked for a dump without harm.
//!
//! Since 1.5.0 a server thread that is asked for a dump waits for the crawler's lock, and the other clients of that
//! thread wait with it. The thread that replaces the hash table with a larger one takes the same lock and then waits
//! for all other threads. If both happen at once, the server never answers any client again (1.6.18: in 3 of about 100
//! runs of two clears of a freshly filled server, on busy processors). From 1.6.19 to 1.6.28 a dump of the hash table
//! can stop the crawler for good in the same way.

use crate::client::Client;
use crate::error::{Error, FailureKind};
use crate::ops::figure;
use crate::protocol::crawler::CrawlTarget;
use crate::protocol::stats::{Stat, StatsGroup};

/// Why a dump has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Another crawl is running.
    Crawl,
    /// The hash table holds so many items that the server is about to enlarge it. The server checks that whenever it sets its
    /// clock, once a second.
    FullTable {
        /// The table has 2^this buckets.
        power: u64,
        /// The server's clock, in seconds.
        time: u64,
    },
    /// The server is enlarging the hash table, which cannot be walked meanwhile.
    GrowingTable,
}

impl Obstacle {
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Crawl => "the server's crawler is taken",
            Self::FullTable { .. } => {
                "the server is about to enlarge its hash table, and a dump in that moment can stop it"
            }
            Self::GrowingTable => "the server is enlarging its hash table",
        }
    }
}

/// Asks the server. Without statistics, no obstacle is visible.
///
/// # Errors
/// The connection was lost.
pub(super) async fn obstacle(client: &mut Client, target: &CrawlTarget) -> Result<Option<Obstacle>, Error> {
    match client.stats(StatsGroup::General).await {
        Ok(stats) => Ok(find(&stats, target)),
        Err(error) if error.kind() == FailureKind::Server => Ok(None),
        Err(error) => Err(error),
    }
}

fn find(stats: &[Stat], target: &CrawlTarget) -> Option<Obstacle> {
    let number = |name| figure::number(stats, name);
    let is_set = |name| number(name).is_some_and(|value| value > 0);
    if is_set("lru_crawler_running") {
        return Some(Obstacle::Crawl);
    }
    if is_set("hash_is_expanding") {
        return (*target == CrawlTarget::Hash).then_some(Obstacle::GrowingTable);
    }
    let (power, time) = (number("hash_power_level")?, number("time")?);
    let buckets = 1_u64.checked_shl(power.try_into().ok()?)?;
    let is_full = number("curr_items")? > buckets.saturating_add(buckets / 2);
    is_full.then_some(Obstacle::FullTable { power, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[(&'static str, &'static str)], target: &CrawlTarget) -> Option<Obstacle> {
        let stats: Vec<_> = lines.iter().map(|(name, value)| Stat::new(*name, *value).unwrap()).collect();
        find(&stats, target)
    }

    #[test]
    fn what_a_dump_waits_for() {
        let table = |items, expanding| {
            [("time", "100"), ("hash_power_level", "16"), ("curr_items", items), ("hash_is_expanding", expanding)]
        };
        for target in [CrawlTarget::All, CrawlTarget::Hash] {
            assert_eq!(found(&[("pid", "7")], &target), None);
            assert_eq!(found(&table("98304", "0"), &target), None);
            assert_eq!(found(&table("98305", "0"), &target), Some(Obstacle::FullTable { power: 16, time: 100 }));
            assert_eq!(found(&[("lru_crawler_running", "1")], &target), Some(Obstacle::Crawl));
        }
        assert_eq!(found(&table("98305", "1"), &CrawlTarget::All), None);
        assert_eq!(found(&table("98305", "1"), &CrawlTarget::Hash), Some(Obstacle::GrowingTable));
    }

    #[test]
    fn an_impossible_table_size_is_no_obstacle() {
        for power in ["64", "4294967296", "many"] {
            assert_eq!(
                found(&[("time", "100"), ("hash_power_level", power), ("curr_items", "5")], &CrawlTarget::All),
                None
            );
        }
    }
}
