//! Chooses the strategy for a server.

use super::Strategy;
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::ops::dialect::{Dialect, Dumps};
use crate::ops::retry::Retries;
use crate::ops::{Context, Event};
use crate::protocol::Escaped;

/// How a server's keys are listed, and what the server can do.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Way {
    pub(in crate::ops) strategy: Strategy,
    pub(in crate::ops) dialect: Dialect,
}

/// The strategy that the caller asked for, or else the most complete one that is harmless to the server's other
/// clients.
///
/// # Errors
/// The server cannot be reached, or its version does not know the strategy or would be harmed by it.
pub(in crate::ops) async fn choose(
    server: &ServerAddr,
    asked: Option<Strategy>,
    context: &Context,
    retries: &mut Retries<'_>,
) -> Result<Way, Error> {
    let ask = || async { Dialect::learn(&mut context.connect(server).await?).await };
    let (version, dialect) = retries.until_done(server, ask).await?;
    if let Some(strategy) = asked
        && !dialect.knows(strategy)
    {
        let what = match strategy {
            Strategy::Hash => "before 1.6.9 memcached has no dump of the hash table",
            Strategy::Lru | Strategy::Cachedump => "before 1.4.31 memcached has no dump of the LRU lists",
        };
        let instead = "let mcflush choose how keys are listed";
        return Err(Error { server: server.clone(), problem: Problem::Unsuited { what, instead } });
    }
    if asked == Some(Strategy::Lru) && dialect.stalls_garble() {
        return Err(Error {
            server: server.clone(),
            problem: Problem::Unsuited {
                what: "from 1.6.19 to 1.6.43 a dump of the LRU lists can write past the end of a buffer in the server if \
                       its reader stalls",
                instead: "let mcflush choose: it walks the hash table, which lists every key",
            },
        });
    }
    if asked == Some(Strategy::Hash) && dialect.dumps() != Dumps::Hash {
        context.events.tell(Event::Warning(
            "before 1.6.19 a walk of the hash table can freeze other clients; the caller asked for it",
        ));
    }
    let strategy = asked.unwrap_or(dialect.strategy());
    let why = match (asked, dialect.dumps()) {
        (Some(_), _) => "the caller asked for it",
        (None, Dumps::Hash) => "from 1.6.19 on one walk of the hash table lists every key",
        (None, Dumps::Missing) => "before 1.4.31 the server has no other listing",
        (None, _) => "before 1.6.19 a walk of the hash table can freeze other clients",
    };
    let why = format!("version {}: {why}", Escaped(version.as_bytes()));
    context.events.tell(Event::Strategy { strategy, why });
    Ok(Way { strategy, dialect })
}
