//! Asks a server for its statistics.

use super::retry::Retries;
use super::{Context, binary};
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::stats::{Stat, StatsGroup};

/// Asks for groups of statistics; each group is in the server's order. Statistics of `stats detail` are named
/// `PREFIX:get`, `PREFIX:hit`, `PREFIX:set` and `PREFIX:del`.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mcflush::ops::{Context, stats::stats};
/// use mcflush::protocol::stats::StatsGroup;
/// let groups = [StatsGroup::General, StatsGroup::Items];
/// let answers = stats(&"cache1".parse()?, &groups, &Context::default()).await?;
/// assert_eq!(answers.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached or refused, or the operation was stopped.
pub async fn stats(server: &ServerAddr, groups: &[StatsGroup], context: &Context) -> Result<Vec<Vec<Stat>>, Error> {
    let ask = || async {
        let mut client = context.connect(server).await?;
        let mut answers = Vec::new();
        for group in groups {
            answers.push(client.stats(group.clone()).await?);
        }
        Ok(answers)
    };
    match Retries::new(context).until_done(server, ask).await {
        Err(Error { problem: Problem::BinaryOnly, .. }) => Box::pin(binary::stats(server, groups, context)).await,
        asked => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{address, server, text};

    #[tokio::test(start_paused = true)]
    async fn each_group_is_asked_for() {
        let (context, _) = server(|line| match line {
            "stats" => text("STAT pid 7\r\nSTAT uptime 9\r\nEND\r\n"),
            "stats items" => text("END\r\n"),
            _ => text("ERROR\r\n"),
        });
        let answers = stats(&address(), &[StatsGroup::Items, StatsGroup::General], &context).await.unwrap();
        let expected = [("pid", "7"), ("uptime", "9")].map(|(name, value)| Stat::new(name, value).unwrap());
        assert_eq!(answers, [vec![], expected.to_vec()]);
    }
}
