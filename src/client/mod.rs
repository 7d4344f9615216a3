//! Talks to one server: typed calls over one connection, with every wait bounded.
//!
//! [`Client`] has a method for each command, with an answer of its own type. [`Call`] is the same as a value, for a
//! [`Pipeline`] of many. This crate has no pool and does not distribute keys over several servers: `examples/pool.rs`
//! keeps clients in the pool of another crate.

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
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::codec::{Decoder, Framed, FramedParts};

pub use self::call::{Call, Noreply};
use self::call::{Heard, Parts, refusal};
pub use self::meta::{MetaArithmeticOutcome, MetaDeleteOutcome, MetaItem, MetaSetOutcome, Recache};
pub use self::pipeline::{Answers, Pipeline, Ticket};
pub use self::storage::{AddOutcome, CasOutcome, DeleteOutcome, NewItem, ReplaceOutcome, TouchOutcome};
use crate::address::ServerAddr;
use crate::codec::{Answer, ClientCodec, CodecError, EncodedRequests, Role};
use crate::connection::wait::Timer;
use crate::connection::{Access, Connection, connect, speaks_only_binary, tls};
use crate::error::{Error, Problem};
use crate::protocol::retrieval::Value;
use crate::protocol::{Key, Part, Reply, Request, Spelling};
use crate::resolver::Resolver;
use crate::setters::setters;

/// How long to wait for a server, and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// The longest time for connecting, and for any silence of the server.
    pub timeout: Duration,
    /// How many new connections to try after a refused or lost one.
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
/// A call that is dropped before it returns poisons the client: its answer may still come, so every later call fails
/// with [`Problem::Unfinished`] and sends nothing. An error other than an error line of the server poisons it too. Drop
/// a poisoned client and connect again.
///
/// # Runtime
/// A client waits by the timer of the tokio runtime on which it was first used; use it on that runtime only.
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
    /// Whether the connection may hold back bytes that were put into the write buffer.
    is_flushed: bool,
    /// The call whose answer has not been read to its end.
    unfinished: Option<&'static str>,
    /// The number of commands in the last pipeline, up to a limit.
    last_pipeline_len: usize,
    /// How to connect again to find out why the server is silent; none if the connection came from elsewhere.
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

    /// Makes the client find out, over separate connections, whether a server that is silent at the first command
    /// speaks only the binary protocol.
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

    /// Whether an earlier call did not end, so that every later one fails: a pool drops a poisoned client.
    #[must_use]
    pub const fn is_poisoned(&self) -> bool {
        self.unfinished.is_some()
    }
}

/// Calls, and their parts.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// The size of the read buffer: large enough that a dump takes few reads, small enough for many servers at once.
    const READ_BUFFER: usize = 64 * 1024;

    /// A client over an open connection of any kind. Errors name the server by `server`; the server may be silent for
    /// `timeout`.
    #[must_use]
    pub fn new(connection: T, server: ServerAddr, timeout: Duration) -> Self {
        let mut parts = FramedParts::new::<Request>(connection, ClientCodec::default());
        // Not by `reserve`: while slices of the buffer are held, it grows by its first capacity.
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
            is_flushed: true,
            unfinished: None,
            last_pipeline_len: 0,
            way: None,
        }
    }

    /// Names the purpose of the following requests, for error messages.
    pub fn begin(&mut self, doing: &'static str) {
        self.doing = doing;
    }

    /// Puts a request into the write buffer, which is sent when it is full or [flushed](Self::flush).
    ///
    /// Use this, [`Self::flush`], [`Self::send`] and [`Self::next`] for conversations that no [`Call`] describes: the
    /// caller then has to know which answers are still to come. A server whose answers are not read takes no more
    /// requests, so the caller reads between them, or [uses a pipeline](Pipeline). If the future is dropped before it
    /// returns, the request is not in the buffer.
    ///
    /// # Errors
    /// The connection is lost, or takes no bytes for too long.
    pub async fn feed(&mut self, request: Request) -> Result<(), Error> {
        let ready = poll_fn(|context| self.framed.poll_ready_unpin(context));
        match self.timer.at_most(self.timeout, ready).await {
            Some(Ok(())) => self.put(&request),
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(self.silence()),
        }
    }

    /// Puts a request into the write buffer, even if it is full. [`Self::turn`] sends it.
    pub(crate) fn put(&mut self, request: &Request) -> Result<(), Error> {
        self.is_flushed = false;
        let mut buffer = std::mem::take(self.framed.write_buffer_mut());
        let encoded = self.framed.codec_mut().encode_request(request, &Spelling::CANONICAL, &mut buffer);
        *self.framed.write_buffer_mut() = buffer;
        encoded.map_err(|error| self.failed(error))
    }

    /// Puts many requests into the write buffer, as [`Self::put`] does one.
    fn put_encoded(&mut self, requests: EncodedRequests) -> Result<(), Error> {
        self.is_flushed = false;
        let mut buffer = std::mem::take(self.framed.write_buffer_mut());
        let put = self.framed.codec_mut().put_encoded(requests, &mut buffer);
        *self.framed.write_buffer_mut() = buffer;
        put.map_err(|error| self.failed(error))
    }

    /// Gives back the memory of a write buffer that has been sent.
    fn free_write_buffer(&mut self) {
        if self.framed.write_buffer().is_empty() {
            *self.framed.write_buffer_mut() = BytesMut::new();
        }
    }

    /// Whether the write buffer has room for more requests, so that the next [turn](Self::turn) sends many at once.
    #[cfg(any(feature = "ops", test))]
    pub(crate) fn has_room(&self) -> bool {
        self.framed.write_buffer().len() < self.framed.backpressure_boundary()
    }

    /// Sends the write buffer and reads at the same time, because a server whose answers are not read takes no more
    /// requests. Returns the next reply, or `None` if bytes were sent and no reply came. If the future is dropped
    /// before it returns, nothing is lost.
    ///
    /// # Errors
    /// The connection is lost, neither takes nor gives bytes for too long, or gives bytes that are not the protocol.
    pub(crate) async fn turn(&mut self) -> Result<Option<Answer>, Error> {
        let Self { framed, timer, timeout, is_flushed, .. } = self;
        let turn = poll_fn(move |context| {
            let mut went_out = false;
            if !*is_flushed {
                let unsent = framed.write_buffer().len();
                *is_flushed = framed.poll_flush_unpin(context)?.is_ready();
                went_out = *is_flushed || framed.write_buffer().len() < unsent;
            }
            if let Some(answer) = decode_here(framed)? {
                return Poll::Ready(Ok(Some(answer)));
            }
            match framed.poll_next_unpin(context) {
                Poll::Ready(Some(answer)) => Poll::Ready(answer.map(Some)),
                Poll::Ready(None) => Poll::Ready(Err(CodecError::Closed)),
                Poll::Pending if went_out => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            }
        });
        match timer.at_most(*timeout, turn).await {
            Some(Ok(answer)) => {
                self.answered |= answer.is_some();
                Ok(answer)
            }
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(self.silence()),
        }
    }

    /// Sends the write buffer. If the future is dropped before it returns, the unsent bytes stay in the buffer.
    ///
    /// # Errors
    /// The connection is lost, or takes no bytes for too long.
    pub async fn flush(&mut self) -> Result<(), Error> {
        match self.timer.at_most(self.timeout, self.framed.flush()).await {
            Some(Ok(())) => {
                self.is_flushed = true;
                Ok(())
            }
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(self.silence()),
        }
    }

    /// Sends a request. If the future is dropped before it returns, a part of the request, or all of it, may be left in
    /// the write buffer.
    ///
    /// # Errors
    /// The connection is lost, or takes no bytes for too long.
    pub async fn send(&mut self, request: Request) -> Result<(), Error> {
        self.feed(request).await?;
        self.flush().await
    }

    /// The next reply. If the future is dropped before it returns, nothing is lost.
    ///
    /// # Errors
    /// The connection is lost, silent for too long, or gives bytes that are not the protocol.
    pub async fn next(&mut self) -> Result<Answer, Error> {
        match self.next_within(self.timeout).await? {
            Some(answer) => Ok(answer),
            None => Err(self.silence()),
        }
    }

    /// The next reply, or `None` if none comes within this time; the caller may then ask again.
    ///
    /// # Errors
    /// The connection is lost, or gives bytes that are not the protocol.
    pub async fn next_within(&mut self, time: Duration) -> Result<Option<Answer>, Error> {
        if let Some(answer) = self.next_here()? {
            return Ok(Some(answer));
        }
        let next = match self.way.as_ref().filter(|_| !self.answered) {
            None => self.timer.at_most(time, self.framed.next()).await,
            Some(way) => {
                let is_mute = is_mute(&self.server, way, self.timeout);
                // On the heap, because only the first answer needs it.
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

    /// The next reply, if it has already arrived: without the cost of a wait.
    #[inline]
    pub(crate) fn next_here(&mut self) -> Result<Option<Answer>, Error> {
        let next = decode_here(&mut self.framed).map_err(|error| self.failed(error))?;
        self.answered |= next.is_some();
        Ok(next)
    }

    /// Takes the values that have already arrived.
    fn take_values(&mut self, values: &mut Vec<Value>) {
        by_codec(&mut self.framed, |codec, buffer| codec.take_values(buffer, values));
    }

    /// Takes the whole answer to a request for the item of one key, as [`ClientCodec::take_item`] does.
    #[inline]
    fn take_item(&mut self, key: &[u8]) -> Option<Heard> {
        let taken = by_codec(&mut self.framed, |codec, buffer| codec.take_item(buffer, key));
        taken.map(|item| item.map_or(Heard::One(Reply::End), Heard::Item))
    }

    /// Waits for the first bytes of an answer, unless some are there. The rest then has as long again: a server that has begun
    /// to answer is not silent. `Framed` could do that as well, at a cost that shows in single calls (`benches/client.rs`).
    async fn receive(&mut self) -> Result<(), Error> {
        // Only `next` finds out why a server is silent from the beginning.
        if !self.answered || self.is_inside_reply() {
            return Ok(());
        }
        let Self { framed, timer, timeout, .. } = self;
        let read = poll_fn(|context| {
            // Put back before the wait, so that a dropped call takes no memory with it.
            let mut buffer = std::mem::take(framed.read_buffer_mut());
            let read = pin!(framed.get_mut().read_buf(&mut buffer)).poll(context);
            *framed.read_buffer_mut() = buffer;
            read
        });
        match timer.at_most(*timeout, read).await {
            // `next` finds the end of the connection again.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(self.failed(CodecError::Io(error))),
            None => Err(self.silence()),
        }
    }

    /// Whether a reply has begun and is incomplete.
    #[must_use]
    pub fn is_inside_reply(&self) -> bool {
        !self.framed.read_buffer().is_empty()
    }

    /// Shows the items of a listing that have already arrived, as [`ClientCodec::visit`] does; [`Self::next`] reads
    /// more.
    pub fn visit(&mut self, visit: impl FnMut(Part<'_>) -> ControlFlow<()>) {
        by_codec(&mut self.framed, |codec, buffer| codec.visit(buffer, visit));
    }

    /// Begins a call, unless the answer to an earlier one was not read to its end.
    fn enter(&mut self, doing: &'static str) -> Result<(), Error> {
        if let Some(command) = self.unfinished {
            return Err(self.error(Problem::Unfinished { command }));
        }
        self.unfinished = Some(doing);
        self.begin(doing);
        Ok(())
    }

    /// Ends a call after its answer was read to its end.
    const fn leave(&mut self) {
        self.unfinished = None;
    }

    /// Runs a command, and waits for its answer.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// The server answered with an error: the client can be used further, unless the server refused the line of a
    /// command with data. Or the connection is lost, silent for too long or out of step, or a reply does not answer the
    /// command: then the client is poisoned.
    pub async fn run<A>(&mut self, call: Call<A>) -> Result<A, Error> {
        if call.request.is_quiet() {
            return self.run_quiet(call).await;
        }
        let Call { request, asked, read } = call;
        let key = self.ask(asked.name, request)?;
        self.flush().await?;
        self.receive().await?;
        if let Some(key) = &key
            && let Some(heard) = self.take_item(key.as_bytes())
        {
            self.leave();
            return asked.read(heard, read).map_err(|problem| self.error(problem));
        }
        let mut parts = Parts::None;
        let last = loop {
            if asked.gets_several {
                asked.values(&mut parts, |values| self.take_values(values)).map_err(|problem| self.error(problem))?;
            }
            let Answer { reply, role, .. } = match self.next_here()? {
                Some(answer) => answer,
                None => self.next().await?,
            };
            match role {
                Role::Last => break reply,
                Role::Part => {
                    asked
                        .part(key.as_ref().map(Key::as_bytes), &mut parts, reply)
                        .map_err(|problem| self.error(problem))?;
                }
                Role::Quiet => return Err(self.refused(reply)),
            }
        };
        let is_in_step = !asked.leaves_data_behind(&last);
        let answer = asked.read(Heard::new(parts, last), read);
        if is_in_step && !matches!(answer, Err(Problem::Unexpected { .. })) {
            self.leave();
        }
        answer.map_err(|problem| self.error(problem))
    }

    /// Runs a quiet command as a pipeline of one, so that the wait has an end. On the heap, because it is rare and
    /// large.
    async fn run_quiet<A>(&mut self, call: Call<A>) -> Result<A, Error> {
        let mut pipeline = self.pipeline();
        let ticket = pipeline.push(call);
        Box::pin(pipeline.send()).await?.take(ticket)
    }

    /// Begins a call. It puts the request into the buffer at once, so that no future has to hold it. Returns the key, if
    /// the request asks for the item of one key.
    fn ask(&mut self, doing: &'static str, request: Request) -> Result<Option<Key>, Error> {
        self.enter(doing)?;
        self.put(&request)?;
        Ok(if let Request::Retrieve(retrieve) = request { retrieve.keys.into_single() } else { None })
    }

    /// The single reply to a request.
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

    /// The error for a reply that does not answer the command.
    pub(crate) fn refused(&self, reply: Reply) -> Error {
        self.error(refusal(self.doing, reply))
    }

    fn silence(&self) -> Error {
        self.silence_of(self.timeout)
    }

    /// The error of a server that was silent for this long.
    pub(crate) fn silence_of(&self, after: Duration) -> Error {
        self.error(Problem::Silence { doing: self.doing, after })
    }

    fn failed(&self, error: CodecError) -> Error {
        let lost = |source| Problem::Lost {
            doing: self.doing,
            source,
            like_a_proxy: !self.answered || matches!(self.doing, "flush_all" | "lru_crawler metadump"),
        };
        self.error(match error {
            CodecError::Closed => lost(None),
            CodecError::Io(error) => tls::fault(&error).unwrap_or_else(|| lost(Some(error))),
            source => Problem::Codec { doing: self.doing, source },
        })
    }
}

/// The next reply, if all of it is in the read buffer. `Framed` by itself may look there only after it has read more, because
/// [`Client::receive`] reads beside it.
#[inline]
fn decode_here<T>(framed: &mut Framed<T, ClientCodec>) -> Result<Option<Answer>, CodecError> {
    if framed.read_buffer().is_empty() { Ok(None) } else { by_codec(framed, |codec, buffer| codec.decode(buffer)) }
}

/// Gives the codec what has been read. `Framed` lends only one of the two at a time.
#[inline]
fn by_codec<T, R>(framed: &mut Framed<T, ClientCodec>, read: impl FnOnce(&mut ClientCodec, &mut BytesMut) -> R) -> R {
    let mut buffer = std::mem::take(framed.read_buffer_mut());
    let found = read(framed.codec_mut(), &mut buffer);
    *framed.read_buffer_mut() = buffer;
    found
}

/// Whether a server that is silent for a while speaks only the binary protocol. Boxed, because it is rare and large.
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

/// Waits for `work`, or until the server turns out to be mute.
async fn or_mute<T>(work: impl Future<Output = T>, is_mute: impl Future<Output = bool>) -> Result<T, ()> {
    tokio::select! {
        done = work => Ok(done),
        true = is_mute => Err(()),
    }
}
