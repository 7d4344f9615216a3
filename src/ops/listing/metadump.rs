//! `lru_crawler metadump`: waits until the server can dump without harm, and waits for a dump that prints nothing for
//! long.

use std::ops::ControlFlow;
use std::time::Duration;

use memchr::memmem::Finder;
use tokio::time::Instant;

use super::readiness::{self, Obstacle};
use super::{Coverage, ListedItem, Visitor, Walked};
use crate::client::Client;
use crate::codec::{Answer, CodecError};
use crate::connection::wait;
use crate::error::{Error, Problem};
use crate::ops::dialect::{Dialect, Dumps};
use crate::ops::retry::Backoff;
use crate::ops::{Context, Event};
use crate::protocol::crawler::{CrawlTarget, Metadump, MetadumpLine};
use crate::protocol::{self, ErrorKind, Meaning, Reply, Request};

/// How long other clients may hold the crawler if the run has no deadline: about as long as a walk of fifty million
/// keys takes.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait until a server enlarges a hash table that is full, in seconds of its own clock: a busy machine may keep
/// the server from setting its clock and checking its table.
const FULL_TABLE_PATIENCE: u64 = 3;

/// How long a dump may be silent while the server answers on another connection, if the run has no deadline. A walk
/// over expired or flushed items prints nothing; a hundred million buckets take about a minute.
const SILENT_PATIENCE: Duration = Duration::from_secs(300);

/// If a server's dumps have no end line, a silence of this length makes mcflush send a `version` after the dump.
const PROBE_AFTER: Duration = Duration::from_millis(250);

/// How long mcflush goes on reading a dump that it no longer needs, on servers that a close can crash.
const READ_ON: Duration = Duration::from_secs(30);

const DOING: &str = "lru_crawler metadump";

pub(super) async fn walk(
    target: CrawlTarget,
    dialect: Dialect,
    client: &mut Client,
    context: &Context,
    visitor: &mut dyn Visitor,
) -> Result<Walked, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(20));
    let asked_first = Instant::now();
    // The size of a full table, and when it was first seen.
    let mut full = None;
    loop {
        let mut obstacle = readiness::obstacle(client, &target).await?;
        full = match obstacle {
            Some(Obstacle::FullTable { power, time }) => {
                full.filter(|(before, _)| *before == power).or(Some((power, time)))
            }
            _ => None,
        };
        if let (Some(Obstacle::FullTable { time, .. }), Some((_, since))) = (obstacle, full)
            && time > since.saturating_add(FULL_TABLE_PATIENCE)
        {
            // If the table stays full, either no new keys are being stored, or it has its greatest size.
            obstacle = None;
        }
        if let Some(obstacle) = obstacle {
            wait_for_crawler(obstacle, asked_first, &mut backoff, client, context).await?;
            continue;
        }
        let begin = Finder::new(b"key=");
        let mut dump = Dump { dialect, client, context, visitor, any: false, is_probed: false, begin };
        match dump.read(target.clone()).await? {
            Walked::Refused(reply) if reply.kind() == ErrorKind::NotStarted => return Ok(Walked::Whole(Coverage::ALL)),
            // In place of the first line, or of the end line.
            Walked::Refused(reply) if reply.meaning() == Meaning::Taken => {
                if dump.any {
                    // A retry would show the visitor the same items again.
                    return Err(client.error(Problem::Garbled { doing: DOING }));
                }
                wait_for_crawler(Obstacle::Crawl, asked_first, &mut backoff, client, context).await?;
            }
            // A server that has begun a dump does know the command.
            Walked::Refused(reply) if dump.any => return Err(client.refused(Reply::Error(reply))),
            walked => return Ok(walked),
        }
    }
}

async fn wait_for_crawler(
    obstacle: Obstacle,
    asked_first: Instant,
    backoff: &mut Backoff,
    client: &Client,
    context: &Context,
) -> Result<(), Error> {
    if context.deadline.is_none() && asked_first.elapsed() > BUSY_PATIENCE {
        return Err(client.error(Problem::Busy { after: BUSY_PATIENCE }));
    }
    let after = backoff.next(&context.chance);
    context.events.tell(Event::Waiting { why: obstacle.why(), after });
    context.pause(client.server(), after).await
}

/// One dump while mcflush reads it.
struct Dump<'a> {
    dialect: Dialect,
    client: &'a mut Client,
    context: &'a Context,
    visitor: &'a mut dyn Visitor,
    /// Whether the visitor has seen an item of this dump.
    any: bool,
    /// Whether a `version` was sent after it.
    is_probed: bool,
    /// Finds the beginning of a line.
    begin: Finder<'static>,
}

/// What a line of a dump that lists no item means.
enum End {
    Walked(Walked),
    /// The line before the first item, since 1.6.43.
    Begins,
}

impl Dump<'_> {
    async fn read(&mut self, target: CrawlTarget) -> Result<Walked, Error> {
        self.client.begin(DOING);
        self.client.send(Request::Metadump(Metadump { target })).await?;
        loop {
            let answer = if self.dialect.closing_crashes() {
                match self.context.stop.run_until_cancelled(self.next()).await {
                    Some(answer) => answer?,
                    None => {
                        self.read_on().await;
                        return Err(self.context.stopped(self.client.server(), false));
                    }
                }
            } else {
                self.next().await?
            };
            let item = match answer.reply {
                Reply::Metadump(item) => item,
                reply => match self.end(reply)? {
                    End::Walked(walked) => return Ok(walked),
                    End::Begins => continue,
                },
            };
            self.any = true;
            if let Err(error) = self.show(item.as_line()).and_then(|()| self.show_rest()) {
                if self.dialect.closing_crashes() {
                    self.read_on().await;
                }
                return Err(error);
            }
        }
    }

    fn end(&self, reply: Reply) -> Result<End, Error> {
        let has_end = self.dialect.dumps() != Dumps::WithoutEnd;
        Ok(match reply {
            Reply::Ok => End::Begins,
            Reply::End => End::Walked(Walked::Whole(Coverage::ALL)),
            Reply::Version(_) if !has_end => End::Walked(Walked::Whole(Coverage::ALL)),
            // The dump swallowed a part of the `version` sent after it; every refusal of a dump has more words.
            Reply::Error(reply) if self.is_probed && reply.line() == "ERROR" => {
                End::Walked(Walked::Whole(Coverage::ALL))
            }
            Reply::Error(reply) if matches!(reply.meaning(), Meaning::Full | Meaning::Transient) => {
                return Err(self.client.refused(Reply::Error(reply)));
            }
            Reply::Error(reply) => End::Walked(Walked::Refused(reply)),
            reply => return Err(self.client.refused(reply)),
        })
    }

    /// The next reply, even if the server walks for long without printing anything.
    async fn next(&mut self) -> Result<Answer, Error> {
        if self.dialect.dumps() == Dumps::WithoutEnd {
            return self.next_or_end().await;
        }
        let timeout = self.context.patience.timeout;
        let mut waited = Duration::ZERO;
        loop {
            match self.client.next_within(timeout).await {
                Ok(Some(answer)) => return Ok(answer),
                // A part of a line has come: the server is not walking, it hangs.
                Ok(None) if self.client.is_inside_reply() => return Err(self.client.silence_of(timeout)),
                Ok(None) => {}
                Err(error) => return Err(self.garbled(error)),
            }
            waited += timeout;
            if self.context.deadline.is_none() && waited >= SILENT_PATIENCE {
                return Err(self.client.silence_of(waited));
            }
            let server = self.client.server().clone();
            let mut other = self.context.connect(&server).await.map_err(|_| self.client.silence_of(waited))?;
            other.version().await.map_err(|_| self.client.silence_of(waited))?;
            let why = "the server walks over items that it does not list, and answers on another connection";
            self.context.events.tell(Event::Waiting { why, after: timeout });
        }
    }

    /// The next reply. If the dump falls silent, this is the answer to a `version` sent after it.
    async fn next_or_end(&mut self) -> Result<Answer, Error> {
        let timeout = self.context.patience.timeout;
        let mut waited = Duration::ZERO;
        loop {
            let time = PROBE_AFTER.min(timeout);
            if let Some(answer) = self.client.next_within(time).await? {
                return Ok(answer);
            }
            waited += time;
            if waited >= timeout {
                return Err(self.client.silence_of(waited));
            }
            // While it dumps, the server may swallow single bytes of this command: then mcflush sends it again.
            self.client.send(Request::Version).await?;
            self.is_probed = true;
        }
    }

    fn show(&mut self, line: MetadumpLine<'_>) -> Result<(), Error> {
        if self.dialect.stalls_garble() && is_two(line, &self.begin) {
            return Err(self.client.error(Problem::Garbled { doing: DOING }));
        }
        self.visitor.visit(ListedItem::Metadump(line)).map_err(|error| self.garbled(error))
    }

    /// Shows the lines that arrived together with one.
    fn show_rest(&mut self) -> Result<(), Error> {
        let garbles = self.dialect.stalls_garble();
        let server = self.client.server().clone();
        let mut verdict = Ok(());
        let (visitor, begin) = (&mut *self.visitor, &self.begin);
        self.client.visit(|item| {
            if let protocol::Part::Metadump(line) = item {
                verdict = if garbles && is_two(line, begin) {
                    Err(Error { server: server.clone(), problem: Problem::Garbled { doing: DOING } })
                } else {
                    visitor.visit(ListedItem::Metadump(line))
                };
            }
            if verdict.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        verdict.map_err(|error| self.garbled(error))
    }

    /// On servers that garble the dump of a stalled reader, a malformed line means a broken walk.
    fn garbled(&self, error: Error) -> Error {
        let is_malformed = matches!(
            error.problem,
            Problem::Codec { source: CodecError::Malformed { .. }, .. } | Problem::BadKey { .. }
        );
        if is_malformed && self.dialect.stalls_garble() {
            return Error { problem: Problem::Garbled { doing: DOING }, ..error };
        }
        error
    }

    /// Reads the dump to its end and drops its lines; gives up if the server takes too long.
    async fn read_on(&mut self) {
        let rest = async {
            loop {
                self.client.visit(|_| ControlFlow::Continue(()));
                match self.client.next().await {
                    Ok(Answer { reply: Reply::Metadump(_) | Reply::Ok, .. }) => {}
                    _ => return,
                }
            }
        };
        // A server that takes longer is not at the last part of its dump, so closing is safe.
        let _ = wait::at_most(READ_ON, rest).await;
    }
}

/// Whether another line begins in the middle of this one. In a key, `=` is encoded.
fn is_two(line: MetadumpLine<'_>, begin: &Finder<'_>) -> bool {
    begin.find_iter(line.as_bytes()).nth(1).is_some()
}
