//! Deletes in batches: quiet, pipelined, each batch closed by a fence.

use std::collections::VecDeque;

use super::backlog::Drainer;
use super::batch::Batch;
use super::tally::Tally;
use crate::address::ServerAddr;
use crate::client::Client;
use crate::codec::{Answer, Role};
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::ops::retry::Retries;
use crate::protocol::meta::{MetaCode, MetaDelete};
use crate::protocol::{ErrorReply, MetaKey, Reply, Request};

/// Batches sent and not confirmed: enough that the server never waits for the next.
const IN_FLIGHT: usize = 4;

/// Deletes what a backlog gives.
#[derive(Debug)]
pub(super) struct Deleter<'a> {
    server: &'a ServerAddr,
    context: &'a Context,
    tally: &'a Tally,
    /// Sent and not confirmed, oldest first: what goes out again when the connection is lost.
    in_flight: VecDeque<Sent>,
    /// The first delete that the server refused.
    refusal: Option<ErrorReply>,
}

#[derive(Debug)]
struct Sent {
    batch: Batch,
    deletes: u64,
    missing: u64,
    refused: u64,
}

impl Sent {
    const fn new(batch: Batch) -> Self {
        Self { batch, deletes: 0, missing: 0, refused: 0 }
    }
}

impl<'a> Deleter<'a> {
    pub(super) fn new(server: &'a ServerAddr, context: &'a Context, tally: &'a Tally) -> Self {
        Self { server, context, tally, in_flight: VecDeque::with_capacity(IN_FLIGHT), refusal: None }
    }

    /// Deletes until the backlog is at its end, or the operation is stopped; what was sent is confirmed either way.
    ///
    /// # Errors
    /// The connection is lost and stays so, or the server refused a delete: something in scope may be left.
    pub(super) async fn run(mut self, mut backlog: Drainer) -> Result<(), Error> {
        let mut retries = Retries::new(self.context);
        // Where there is nothing to delete there is nothing to connect for.
        match self.context.stop.run_until_cancelled(self.next(&mut backlog)).await {
            Some(Ok(Some(batch))) => self.in_flight.push_back(Sent::new(batch)),
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) | None => return Ok(()),
        }
        loop {
            match self.drain(&mut backlog).await {
                Ok(()) => break,
                Err(error) => retries.after(error).await?,
            }
        }
        match self.refusal {
            Some(reply) => {
                Err(Error { server: self.server.clone(), problem: Problem::Refusal { command: "md", reply } })
            }
            None => Ok(()),
        }
    }
    /// One connection's worth of it.
    async fn drain(&mut self, backlog: &mut Drainer) -> Result<(), Error> {
        let mut client = Client::connect(self.server, self.context.patience.timeout).await?;
        client.begin("deleting");
        let mut again = std::mem::take(&mut self.in_flight);
        while let Some(sent) = again.pop_front() {
            if let Err(error) = self.send(&mut client, sent.batch).await {
                self.in_flight.append(&mut again);
                return Err(error);
            }
        }
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                answer = client.next(), if !self.in_flight.is_empty() => self.answered(&client, answer?)?,
                () = self.context.stop.cancelled(), if more => more = false,
                batch = self.next(backlog), if more && self.in_flight.len() < IN_FLIGHT => match batch? {
                    Some(batch) => self.send(&mut client, batch).await?,
                    None => more = false,
                },
            }
        }
        Ok(())
    }

    async fn next(&self, backlog: &mut Drainer) -> Result<Option<Batch>, Error> {
        backlog.next().await.map_err(|source| Error {
            server: self.server.clone(),
            problem: Problem::Local { doing: "reading back the keys to delete", source },
        })
    }

    async fn send(&mut self, client: &mut Client, batch: Batch) -> Result<(), Error> {
        let mut deletes = 0;
        let keys = batch.keys();
        self.in_flight.push_back(Sent::new(batch));
        for key in keys {
            match MetaKey::for_bytes(key.clone()) {
                Ok(key) => {
                    client.feed(Request::MetaDelete(MetaDelete { quiet: true, ..MetaDelete::new(key) })).await?;
                    deletes += 1;
                }
                Err(_) => self.tally.out_of_reach(&key),
            }
        }
        if let Some(sent) = self.in_flight.back_mut() {
            sent.deletes = deletes;
        }
        client.feed(Request::MetaNoop).await?;
        client.flush().await
    }

    fn answered(&mut self, client: &Client, answer: Answer) -> Result<(), Error> {
        let Some(sent) = self.in_flight.front_mut() else { return Err(client.refused(answer.reply)) };
        match answer {
            Answer { reply: Reply::Meta(reply), role: Role::Quiet, .. } if reply.code == MetaCode::Nf => {
                sent.missing += 1
            }
            Answer { reply: Reply::Error(reply), role: Role::Quiet, .. } => {
                sent.refused += 1;
                self.refusal.get_or_insert(reply);
            }
            Answer { reply: Reply::Noop, .. } => {
                self.tally.deleted(sent.deletes.saturating_sub(sent.missing + sent.refused));
                self.in_flight.pop_front();
            }
            Answer { reply, .. } => return Err(client.refused(reply)),
        }
        Ok(())
    }
}
