//! `lru_crawler metadump`, waiting for the crawler when it is taken.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;

use super::{Listed, Visitor, Walked};
use crate::client::Client;
use crate::codec::Answer;
use crate::error::{Error, Problem};
use crate::ops::retry::{Backoff, pause};
use crate::ops::{Context, Event};
use crate::protocol::crawler::{CrawlTarget, Metadump};
use crate::protocol::{self, ErrorKind, ErrorReply, Reply, Request};

/// How long others may hold the crawler where the run has no deadline: a walk of fifty million keys takes about as long.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn walk(
    target: CrawlTarget,
    client: &mut Client,
    context: &Context,
    visitor: &mut impl Visitor,
) -> Result<Walked, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(50));
    let asked_first = Instant::now();
    loop {
        match once(target.clone(), client, visitor).await? {
            Walked::Refused(reply) if reply.kind() == ErrorKind::NotStarted => return Ok(Walked::Whole),
            Walked::Refused(reply) if is_taken(&reply) => {
                if context.deadline.is_none() && asked_first.elapsed() > BUSY_PATIENCE {
                    return Err(client.error(Problem::Busy { after: BUSY_PATIENCE }));
                }
                let after = backoff.next();
                context.events.tell(Event::Waiting { why: "the server's crawler is taken", after });
                pause(context, client.server(), after).await?;
            }
            walked => return Ok(walked),
        }
    }
}

async fn once(target: CrawlTarget, client: &mut Client, visitor: &mut impl Visitor) -> Result<Walked, Error> {
    client.begin("lru_crawler metadump");
    client.send(Request::Metadump(Metadump { target })).await?;
    loop {
        match client.next().await? {
            Answer { reply: Reply::Metadump(item), .. } => {
                if !visitor.visit(Listed::Metadump(item.as_line()))? || !visit_rest(client, visitor)? {
                    return Ok(Walked::GivenUp);
                }
            }
            // The line before a dump, since 1.6.43.
            Answer { reply: Reply::Ok, .. } => {}
            Answer { reply: Reply::End, .. } => return Ok(Walked::Whole),
            Answer { reply: Reply::Error(reply), .. } => return Ok(Walked::Refused(reply)),
            Answer { reply, .. } => return Err(client.refused(reply)),
        }
    }
}

/// The lines that have come with one; false when the visitor gave it up.
fn visit_rest(client: &mut Client, visitor: &mut impl Visitor) -> Result<bool, Error> {
    let mut verdict = Ok(true);
    client.visit(|item| {
        if let protocol::Listed::Metadump(line) = item {
            verdict = visitor.visit(Listed::Metadump(line));
        }
        if matches!(verdict, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    verdict
}

/// Another crawl runs, or the hash table is growing (1.6.28 and later; in place of the first line or of the end line).
fn is_taken(reply: &ErrorReply) -> bool {
    reply.kind() == ErrorKind::Busy || memchr::memmem::find(reply.line(), b"locked").is_some()
}
