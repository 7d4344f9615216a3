//! One server: typed calls over one connection, each wait with a deadline.
//!
//! [`Client`] has a method for each command, with an answer of its own type; [`Call`] is the same as a value, for a
//! [`Pipeline`] of many. There is no pool here and no distribution of keys over several servers: `examples/pool.rs` keeps
//! clients in a pool of another crate.

mod admin;
mod arithmetic;
mod call;
mod meta;
mod pipeline;
mod retrieval;
mod storage;
#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Framed, FramedParts};

pub use self::call::{Call, Noreply};
use self::call::{Heard, refusal};
pub use self::meta::{MetaArithmeticOutcome, MetaDeleteOutcome, MetaItem, MetaSetOutcome, Recache};
pub use self::pipeline::{Answers, Pipeline, Ticket};
pub use self::storage::{AddOutcome, CasOutcome, DeleteOutcome, NewItem, ReplaceOutcome, TouchOutcome};
use crate::address::ServerAddr;
use crate::codec::{Answer, ClientCodec, CodecError, Role};
use crate::connection::wait::Timer;
use crate::connection::{Access, Connection, connect, speaks_only_binary, tls};
use crate::error::{Error, Problem};
use crate::protocol::{Part, Reply, Request};
use crate::resolver::Resolver;
use crate::setters::setters;

/// How patient to be with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// For connecting, and for any silence of the server.
    pub timeout: Duration,
    /// Fresh connections after a refused or lost one.
    pub retries: u32,
}

setters!(Patience { with_timeout: timeout: Duration, with_retries: retries: u32 });

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), retries: 2 }
    }
}

/// A connection to a server.
///
/// # Cancellation
/// A call that is dropped before it returns poisons the client: the answer to it is still to come, so every later call fails
/// with [`Problem::Unfinished`], and sends nothing. So does an error other than an error line of the server. Drop such a client
/// and connect again.
///
/// # Runtime
/// A client waits by the timer of the tokio runtime that it was first used on, and is to be used on that one.
///
/// ```no_run
/// use std::time::Duration;
/// use mcflush::client::{Client, NewItem};
/// use mcflush::connection::Access;
/// use mcflush::protocol::Key;
/// use mcflush::resolver::Resolver;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = "cache1".parse()?;
/// let mut client =
///     Client::connect(&server, &Resolver::default(), &Access::default(), Duration::from_secs(5)).await?;
/// client.set(NewItem::new(Key::new("greeting")?, "hello").expiring(60.into())).await?;
/// if let Some(value) = client.get(Key::new("greeting")?).await? {
///     println!("{:?}", value.data());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client<T = Connection> {
    framed: Framed<T, ClientCodec>,
    server: ServerAddr,
    timeout: Duration,
    timer: Timer,
    doing: &'static str,
    answered: bool,
    /// The call whose answer has not been read to its end.
    unfinished: Option<&'static str>,
    /// By which way the server can be asked why it is silent; none where the connection came from elsewhere.
    way: Option<(Resolver, Access)>,
}

impl<T> std::fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).field("doing", &self.doing).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn connect(
        server: &ServerAddr,
        resolver: &Resolver,
        access: &Access,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let client = Self::new(connect(server, resolver, access, timeout).await?, server.clone(), timeout);
        Ok(client.asking_by(resolver, access))
    }

    /// Where the server is silent at the first words it is asked, on connections of their own, whether it speaks only the
    /// binary protocol.
    #[must_use]
    pub(crate) fn asking_by(self, resolver: &Resolver, access: &Access) -> Self {
        Self { way: Some((resolver.clone(), access.clone())), ..self }
    }
}

impl<T> Client<T> {
    /// The server.
    #[must_use]
    pub const fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Whether an earlier call did not end, so that every later one fails: a pool drops such a client.
    #[must_use]
    pub const fn is_poisoned(&self) -> bool {
        self.unfinished.is_some()
    }
}

/// Calls, and what they are made of.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// Room for reading: large enough that a dump takes few calls, small enough for many servers at once.
    const READ_BUFFER: usize = 64 * 1024;

    /// A client over a connection that is open already, of any kind; `server` is the name that errors give it, and `timeout`
    /// how long it may be silent.
    #[must_use]
    pub fn new(connection: T, server: ServerAddr, timeout: Duration) -> Self {
        let mut parts = FramedParts::new::<Request>(connection, ClientCodec::default());
        // Not by `reserve`: what a buffer was made with is what it takes anew when slices of it are still held.
        parts.read_buf = BytesMut::with_capacity(Self::READ_BUFFER);
        let mut framed = Framed::from_parts(parts);
        framed.set_backpressure_boundary(Self::READ_BUFFER);
        Self {
            framed,
            server,
            timeout,
            timer: Timer::default(),
            doing: "connecting",
            answered: false,
            unfinished: None,
            way: None,
        }
    }

    /// Says what the following requests are for, in the words of an error message.
    pub fn begin(&mut self, doing: &'static str) {
        self.doing = doing;
    }

    /// Puts a request into the write buffer, which goes out when it is full or [flushed](Self::flush).
    ///
    /// This, [`Self::flush`], [`Self::send`] and [`Self::next`] are for conversations that no [`Call`] describes: it is the
    /// caller who knows which answers are still to come. Dropped before it returns, this has put nothing in.
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn feed(&mut self, request: Request) -> Result<(), Error> {
        let ready = poll_fn(|context| self.framed.poll_ready_unpin(context));
        match self.timer.at_most(self.timeout, ready).await {
            Some(Ok(())) => self.framed.start_send_unpin(request).map_err(|error| self.failed(error)),
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(self.silence()),
        }
    }

    /// Sends what is in the write buffer. Dropped before it returns, it leaves there what was not sent.
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn flush(&mut self) -> Result<(), Error> {
        match self.timer.at_most(self.timeout, self.framed.flush()).await {
            Some(flushed) => flushed.map_err(|error| self.failed(error)),
            None => Err(self.silence()),
        }
    }

    /// Sends a request. Dropped before it returns, it may have left some of it in the write buffer, or all.
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn send(&mut self, request: Request) -> Result<(), Error> {
        self.feed(request).await?;
        self.flush().await
    }

    /// The next reply. Dropped before it returns, it has lost nothing.
    ///
    /// # Errors
    /// The connection is lost or silent for too long, or what comes is not the protocol.
    pub async fn next(&mut self) -> Result<Answer, Error> {
        match self.next_within(self.timeout).await? {
            Some(answer) => Ok(answer),
            None => Err(self.silence()),
        }
    }

    /// The next reply; None when none comes within a time, and then it may be asked for again.
    ///
    /// # Errors
    /// The connection is lost, or what comes is not the protocol.
    pub async fn next_within(&mut self, time: Duration) -> Result<Option<Answer>, Error> {
        let next = match self.way.as_ref().filter(|_| !self.answered) {
            None => self.timer.at_most(time, self.framed.next()).await,
            Some(way) => {
                let is_mute = is_mute(&self.server, way, self.timeout);
                // On the heap: this is for the first answer only.
                let first = Box::pin(or_mute(self.timer.at_most(time, self.framed.next()), is_mute));
                first.await.map_err(|()| self.error(Problem::BinaryOnly))?
            }
        };
        match next {
            Some(Some(Ok(answer))) => {
                self.answered = true;
                Ok(Some(answer))
            }
            Some(Some(Err(error))) => Err(self.failed(error)),
            Some(None) => Err(self.failed(CodecError::Closed)),
            None => Ok(None),
        }
    }

    /// The next reply, when it has come already: without what it takes to wait for one.
    #[inline]
    fn next_here(&mut self) -> Result<Option<Answer>, Error> {
        let mut buffer = std::mem::take(self.framed.read_buffer_mut());
        let next = if buffer.is_empty() { Ok(None) } else { self.framed.codec_mut().decode(&mut buffer) };
        *self.framed.read_buffer_mut() = buffer;
        let next = next.map_err(|error| self.failed(error))?;
        self.answered |= next.is_some();
        Ok(next)
    }

    /// Whether a reply has begun and is not whole.
    #[must_use]
    pub fn is_inside_reply(&self) -> bool {
        !self.framed.read_buffer().is_empty()
    }

    /// Shows the items of a listing that have already come, as [`ClientCodec::visit`] does; [`Self::next`] brings more.
    pub fn visit(&mut self, visit: impl FnMut(Part<'_>) -> ControlFlow<()>) {
        let mut buffer = std::mem::take(self.framed.read_buffer_mut());
        self.framed.codec_mut().visit(&mut buffer, visit);
        *self.framed.read_buffer_mut() = buffer;
    }

    /// Begins a call, unless another one was not read to its end.
    fn enter(&mut self, doing: &'static str) -> Result<(), Error> {
        if let Some(command) = self.unfinished {
            return Err(self.error(Problem::Unfinished { command }));
        }
        self.unfinished = Some(doing);
        self.begin(doing);
        Ok(())
    }

    /// Ends a call whose answer has been read to its end.
    const fn leave(&mut self) {
        self.unfinished = None;
    }

    /// Runs a command, and waits for its answer.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// The server answered with an error: the client goes on behind it, unless what was refused is the line of a command with
    /// data. Or the connection is lost, silent for too long or out of step, or what came is no answer to the command: the
    /// client is poisoned then.
    pub async fn run<A>(&mut self, call: Call<A>) -> Result<A, Error> {
        if call.request.is_quiet() {
            return self.run_quiet(call).await;
        }
        let Call { request, asked, read } = call;
        self.ask(asked.name, request)?;
        self.flush().await?;
        let mut parts = Vec::with_capacity(asked.parts_likely());
        let last = loop {
            let Answer { reply, role, .. } = match self.next_here()? {
                Some(answer) => answer,
                None => self.next().await?,
            };
            match role {
                Role::Last => break reply,
                Role::Part => asked.part(&mut parts, reply).map_err(|problem| self.error(problem))?,
                Role::Quiet => return Err(self.refused(reply)),
            }
        };
        let is_in_step = !asked.leaves_data_behind(&last);
        let answer = asked.read(Heard::Said { parts, last }, read);
        if is_in_step && !matches!(answer, Err(Problem::Unexpected { .. })) {
            self.leave();
        }
        answer.map_err(|problem| self.error(problem))
    }

    /// As a pipeline of one, which has an end. On the heap, because it is rare and large.
    async fn run_quiet<A>(&mut self, call: Call<A>) -> Result<A, Error> {
        let mut pipeline = self.pipeline();
        let ticket = pipeline.push(call);
        Box::pin(pipeline.send()).await?.take(ticket)
    }

    /// Begins a call. Its request is in the buffer then, whatever else is there, so that no future has to hold it.
    fn ask(&mut self, doing: &'static str, request: Request) -> Result<(), Error> {
        self.enter(doing)?;
        self.framed.start_send_unpin(request).map_err(|error| self.failed(error))
    }

    /// The one reply to a request.
    pub(crate) async fn call(&mut self, doing: &'static str, request: Request) -> Result<Reply, Error> {
        self.ask(doing, request)?;
        self.flush().await?;
        let reply = self.next().await?.reply;
        self.leave();
        Ok(reply)
    }

    /// An error of this connection's server.
    #[must_use]
    pub fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }

    /// The error for a reply that is not what was asked for.
    pub(crate) fn refused(&self, reply: Reply) -> Error {
        self.error(refusal(self.doing, reply))
    }

    fn silence(&self) -> Error {
        self.silence_of(self.timeout)
    }

    /// The error of a server that said nothing for so long.
    pub(crate) fn silence_of(&self, after: Duration) -> Error {
        self.error(Problem::Silence { doing: self.doing, after })
    }

    fn failed(&self, error: CodecError) -> Error {
        let lost = |cause| Problem::Lost {
            doing: self.doing,
            cause,
            like_a_proxy: !self.answered || matches!(self.doing, "flush_all" | "lru_crawler metadump"),
        };
        self.error(match error {
            CodecError::Closed => lost(None),
            CodecError::Io(error) => tls::fault(&error).unwrap_or_else(|| lost(Some(error))),
            cause => Problem::Codec { doing: self.doing, cause },
        })
    }
}

/// Whether a server that is silent for a while speaks only the binary protocol. Boxed, since it is rare and large.
fn is_mute<'a>(
    server: &'a ServerAddr,
    (resolver, access): &'a (Resolver, Access),
    patience: Duration,
) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
    Box::pin(async move {
        tokio::time::sleep(patience / 8).await;
        speaks_only_binary(server, resolver, access, patience).await
    })
}

/// What comes first: what is waited for, or that the server is mute.
async fn or_mute<T>(work: impl Future<Output = T>, is_mute: impl Future<Output = bool>) -> Result<T, ()> {
    tokio::select! {
        done = work => Ok(done),
        true = is_mute => Err(()),
    }
}
