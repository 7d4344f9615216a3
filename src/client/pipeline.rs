//! Sends many commands at once without waiting, and gives each command its own answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::{Call, Heard, OpenCall, Parts, Quiet, Read, refusal};
use crate::address::ServerAddr;
use crate::codec::{Answer, EncodedRequests, Role};
use crate::error::{Error, Problem};
use crate::protocol::meta::{MetaArithmetic, MetaDelete, MetaGet, MetaSet};
use crate::protocol::{ErrorKind, ErrorReply, Key, Opaque, Reply, Request};

/// Commands that are sent without waiting for the answers between them.
///
/// [`Self::push`] returns a [`Ticket`] for each command, for which [`Answers`] gives the answer, with its own type. The
/// server runs the commands in order.
///
/// The server answers a quiet command (`noreply`, or a meta command with `q`) only if it did not succeed. The answer to
/// a quiet meta command is recognised by its opaque, so the pipeline replaces the caller's opaque with its own; no
/// answer is the usual outcome. An error line does not tell which quiet command it answers: all commands that it may
/// answer fail with it.
///
/// ```no_run
/// use mcflush::client::{Call, Client, NewItem};
/// use mcflush::protocol::Key;
///
/// # async fn example(mut client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut pipeline = client.pipeline();
/// let stored = pipeline.push(Call::set(NewItem::new(Key::new("a")?, "1")));
/// let counted = pipeline.push(Call::incr(Key::new("a")?, 41));
/// let mut answers = pipeline.send().await?;
/// answers.take(stored)?;
/// assert_eq!(answers.take(counted)?, Some(42));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before `send`"]
#[derive(Debug)]
pub struct Pipeline<'c, T> {
    client: &'c mut Client<T>,
    /// Unique within this process.
    id: u64,
    commands: Vec<Command>,
    /// The keys of the commands that ask for the item of one key, one after the other.
    keys: Vec<u8>,
    /// The commands, encoded.
    encoded: EncodedRequests,
}

/// A pipeline begins with room for as many commands as the last one had, but for no more than this.
const LIKELY_MAX: usize = 1024;

/// Fetches the answer to one command of a [`Pipeline`].
#[must_use = "it is needed to find out whether the command succeeded"]
#[derive(Debug)]
pub struct Ticket<A> {
    /// The id of the pipeline.
    of: u64,
    at: usize,
    read: Read<A>,
}

/// The answers to the commands of a [`Pipeline`].
#[derive(Debug)]
pub struct Answers {
    of: u64,
    server: ServerAddr,
    commands: Vec<Command>,
    outcomes: Vec<Outcome>,
}

impl Answers {
    /// The answer to a command of this pipeline.
    ///
    /// # Errors
    /// The server answered the command with an error, or with a reply that does not answer it; or the ticket belongs to
    /// another pipeline.
    pub fn take<A>(&mut self, ticket: Ticket<A>) -> Result<A, Error> {
        // This consumes the ticket, so that no answer is taken twice.
        let found = self.commands.get(ticket.at).zip(self.outcomes.get_mut(ticket.at)).filter(|_| ticket.of == self.of);
        let problem = match found {
            None => Problem::Unexpected { command: "a pipeline" },
            Some((command, Outcome::Heard(heard))) => match command.asked.read(std::mem::take(heard), ticket.read) {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            },
            Some((command, Outcome::Doubt(error))) => refusal(command.asked.name, Reply::Error(error.clone())),
        };
        Err(Error { server: self.server.clone(), problem })
    }
}

/// A command of a pipeline.
#[derive(Debug)]
struct Command {
    asked: OpenCall,
    /// The length of the key of a command that asks for the item of one key; 0 for every other command.
    key_len: usize,
}

#[derive(Debug)]
enum Outcome {
    Heard(Heard),
    /// An error line that may answer this quiet command, or another one near it.
    Doubt(ErrorReply),
}

impl<T> Client<T> {
    /// Begins a pipeline.
    pub fn pipeline(&mut self) -> Pipeline<'_, T> {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        let likely = self.last_pipeline_len;
        Pipeline {
            client: self,
            id: BEGUN.fetch_add(1, Relaxed),
            commands: Vec::with_capacity(likely),
            keys: Vec::new(),
            encoded: EncodedRequests::with_capacity(likely),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Pipeline<'_, T> {
    /// Adds a command. [`Self::send`] sends it together with the others.
    pub fn push<A>(&mut self, mut call: Call<A>) -> Ticket<A> {
        let Call { request, asked, read } = &mut call;
        let at = self.commands.len();
        if asked.quiet == Quiet::Meta
            && let Request::MetaArithmetic(MetaArithmetic { opaque, .. })
            | Request::MetaDelete(MetaDelete { opaque, .. })
            | Request::MetaGet(MetaGet { opaque, .. })
            | Request::MetaSet(MetaSet { opaque, .. }) = request
        {
            *opaque = Opaque::new(at.to_string());
        }
        self.encoded.push(request);
        // Copied, so that the caller's key can be freed at once.
        let key = match request {
            Request::Retrieve(retrieve) => retrieve.keys.single().map_or(&[][..], Key::as_bytes),
            _ => &[],
        };
        self.keys.extend_from_slice(key);
        self.commands.push(Command { asked: *asked, key_len: key.len() });
        Ticket { of: self.id, at, read: *read }
    }

    /// Sends the commands, and reads answers while it sends.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Client::run`], except for errors that answer a single command, which [`Answers::take`] gives. If the server
    /// refuses the line of a command with data, the whole pipeline fails, because the server may read the data as
    /// commands.
    pub async fn send(mut self) -> Result<Answers, Error> {
        let pushed = self.commands.len();
        self.close();
        let Self { client, id, commands, keys, encoded } = self;
        client.enter("a pipeline")?;
        client.put_encoded(encoded)?;
        client.last_pipeline_len = commands.len().min(LIKELY_MAX);
        let mut answers = Hearing {
            outcomes: Vec::with_capacity(commands.len()),
            commands,
            front: 0,
            keys: keys.into(),
            parts: Parts::None,
            errors: Vec::new(),
        };
        answers.skip_quiet();
        loop {
            while answers.hear_item(client) {}
            if answers.front == answers.commands.len() {
                break;
            }
            let answer = match client.next_here()? {
                None => client.turn().await?,
                answer => answer,
            };
            if let Some(answer) = answer {
                answers.hear(answer).map_err(|problem| client.error(problem))?;
            }
        }
        client.free_write_buffer();
        client.leave();
        let Hearing { mut commands, outcomes, .. } = answers;
        commands.truncate(pushed);
        Ok(Answers { of: id, server: client.server().clone(), commands, outcomes })
    }

    /// Adds a fence after quiet commands at the end: its answer ends the wait for theirs.
    fn close(&mut self) {
        let quiet =
            self.commands.iter().rev().map(|command| command.asked.quiet).take_while(|quiet| *quiet != Quiet::No);
        let (all, meta) = quiet.fold((0, 0), |(all, meta), quiet| (all + 1, meta + usize::from(quiet == Quiet::Meta)));
        // Every server knows `version`; a server that is sent meta commands knows `mn`.
        match all {
            0 => {}
            _ if all == meta => drop(self.push(Call::meta_noop())),
            _ => drop(self.push(Call::version())),
        }
    }
}

/// The commands of a sent pipeline, with the answers received so far.
struct Hearing {
    commands: Vec<Command>,
    /// Those of the first commands: all before `front`, except for quiet ones that may still be answered.
    outcomes: Vec<Outcome>,
    /// The next command that is always answered; after the last of them, the fence.
    front: usize,
    /// The keys of the commands from `front` on.
    keys: Bytes,
    /// The replies so far of an answer that has begun.
    parts: Parts,
    /// Error lines that answer quiet commands before `front`.
    errors: Vec<ErrorReply>,
}

impl Hearing {
    fn skip_quiet(&mut self) {
        let rest = self.commands.get(self.front..).unwrap_or_default();
        self.front += rest.iter().take_while(|command| command.asked.quiet != Quiet::No).count();
    }

    fn hear(&mut self, answer: Answer) -> Result<(), Problem> {
        const UNEXPECTED: Problem = Problem::Unexpected { command: "a pipeline" };
        let Answer { reply, role, .. } = answer;
        if role == Role::Quiet {
            return self.hear_quiet(reply);
        }
        self.settle(self.front)?;
        let Command { asked, key_len } = self.commands.get(self.front).ok_or(UNEXPECTED)?;
        if role == Role::Part {
            let key = self.keys.get(..*key_len).filter(|key| !key.is_empty());
            return asked.part(key, &mut self.parts, reply);
        }
        if asked.leaves_data_behind(&reply) {
            return Err(refusal(asked.name, reply));
        }
        let parts = std::mem::take(&mut self.parts);
        self.settle_front(Heard::new(parts, reply));
        Ok(())
    }

    /// Takes the answer to the next command, if all of it has arrived and it is one item or a miss. Takes nothing while a
    /// quiet command before it may still be answered.
    fn hear_item<T: AsyncRead + AsyncWrite + Unpin>(&mut self, client: &mut Client<T>) -> bool {
        let is_next = self.outcomes.len() == self.front && matches!(self.parts, Parts::None);
        let command = self.commands.get(self.front).filter(|_| is_next);
        let key = command.and_then(|command| self.keys.get(..command.key_len));
        let Some(heard) = key.and_then(|key| client.take_item(key)) else { return false };
        self.settle_front(heard);
        true
    }

    fn settle_front(&mut self, heard: Heard) {
        self.outcomes.push(Outcome::Heard(heard));
        self.keys.advance(self.commands.get(self.front).map_or(0, |command| command.key_len));
        self.front += 1;
        self.skip_quiet();
    }

    /// A reply to a quiet command. Quiet commands are answered in order.
    fn hear_quiet(&mut self, reply: Reply) -> Result<(), Problem> {
        let opaque = match reply {
            Reply::Error(error) => {
                self.errors.push(error);
                return Ok(());
            }
            Reply::Meta(ref reply) => reply.flags.opaque(),
            Reply::MetaValue(ref reply) => reply.flags.opaque(),
            _ => None,
        };
        let said = opaque.and_then(|opaque| std::str::from_utf8(opaque).ok()?.parse().ok());
        let at = said.filter(|at| (self.outcomes.len()..self.front).contains(at));
        let at = at.ok_or(Problem::Unexpected { command: "a quiet command" })?;
        self.settle(at)?;
        self.outcomes.push(Outcome::Heard(Heard::One(reply)));
        Ok(())
    }

    /// Settles the quiet commands before this one: the error lines received meanwhile answer some of them.
    fn settle(&mut self, before: usize) -> Result<(), Problem> {
        let errors = std::mem::take(&mut self.errors);
        let turns = self.commands.get(self.outcomes.len()..before).unwrap_or_default();
        if errors.len() > turns.len() {
            return Err(Problem::Unexpected { command: "a quiet command" });
        }
        for Command { asked, .. } in turns {
            self.outcomes.push(match errors.first() {
                None => Outcome::Heard(Heard::Nothing),
                Some(error) if asked.has_data && errors.iter().any(|error| error.kind() != ErrorKind::Server) => {
                    return Err(refusal(asked.name, Reply::Error(error.clone())));
                }
                Some(error) => Outcome::Doubt(error.clone()),
            });
        }
        Ok(())
    }
}
