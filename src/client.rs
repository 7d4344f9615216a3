//! One server: typed calls over one connection, each wait with a deadline.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio_util::codec::{Framed, FramedParts};

use crate::address::ServerAddr;
use crate::codec::{Answer, ClientCodec, CodecError, Role};
use crate::connection::{Access, Connection, connect, speaks_only_binary, tls};
use crate::error::{Error, Problem};
use crate::protocol::admin::{FlushAll, ServerVersion};
use crate::protocol::config::{ConfigGet, Node};
use crate::protocol::meta::{MetaCode, ReturnFlags};
use crate::protocol::retrieval::{Retrieve, Value};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{Key, Listed, Meaning, Reply, Request};
use crate::resolver::Resolver;

/// How patient to be with a server.
///
/// ```
/// use mcflush::client::Patience;
/// assert_eq!(Patience::default().retries, 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For connecting, and for any silence of the server.
    pub timeout: Duration,
    /// Fresh connections after a refused or lost one.
    pub retries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), retries: 2 }
    }
}

/// A connection to a server.
///
/// An error other than an error line of the server leaves the connection out of step: drop the client and connect again. A
/// call that is dropped before it returns does the same: the answer to it is still to come, so every later call fails with
/// [`Problem::Unfinished`].
///
/// ```no_run
/// use std::time::Duration;
/// use mcflush::client::Client;
/// use mcflush::connection::Access;
/// use mcflush::resolver::Resolver;
/// # async fn example() -> Result<(), mcflush::error::Error> {
/// let server = "cache1".parse().expect("an address");
/// let mut client =
///     Client::connect(&server, &Resolver::default(), &Access::default(), Duration::from_secs(5)).await?;
/// println!("{:?}", client.version().await?.numbers());
/// # Ok(())
/// # }
/// ```
pub struct Client {
    framed: Framed<Connection, ClientCodec>,
    server: ServerAddr,
    timeout: Duration,
    doing: &'static str,
    answered: bool,
    /// The call whose answer has not been read to its end.
    unfinished: Option<&'static str>,
    /// By which way the server can be asked why it is silent; none where the connection came from elsewhere.
    way: Option<(Resolver, Access)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).field("doing", &self.doing).finish_non_exhaustive()
    }
}

impl Client {
    /// More statistics than any server has; past it something else is talking.
    const STATS_MAX: usize = 100_000;

    /// Room for reading: large enough that a dump takes few calls, small enough for many servers at once.
    const READ_BUFFER: usize = 64 * 1024;

    /// Connects.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), mcflush::error::Error> {
    /// use std::time::Duration;
    /// let (server, access) = ("/run/memcached.sock".parse().expect("an address"), Default::default());
    /// let client = mcflush::client::Client::connect(&server, &Default::default(), &access, Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// A client over a connection that is open already, of any kind; `server` is the name that errors give it.
    ///
    /// ```
    /// # async fn example() -> Result<(), mcflush::error::Error> {
    /// use std::time::Duration;
    /// use mcflush::client::Client;
    /// let (near, far) = tokio::io::duplex(1024);
    /// let server = "in-memory".parse().expect("an address");
    /// let mut client = Client::new(Box::new(near), server, Duration::from_secs(5));
    /// println!("{:?}", client.version().await?.numbers());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(connection: Connection, server: ServerAddr, timeout: Duration) -> Self {
        let mut parts = FramedParts::new::<Request>(connection, ClientCodec::default());
        parts.read_buf.reserve(Self::READ_BUFFER);
        let mut framed = Framed::from_parts(parts);
        framed.set_backpressure_boundary(Self::READ_BUFFER);
        Self { framed, server, timeout, doing: "connecting", answered: false, unfinished: None, way: None }
    }

    /// Where the server is silent at the first words it is asked, on connections of their own, whether it speaks only the
    /// binary protocol.
    #[must_use]
    pub(crate) fn asking_by(self, resolver: &Resolver, access: &Access) -> Self {
        Self { way: Some((resolver.clone(), access.clone())), ..self }
    }

    /// The server.
    ///
    /// ```no_run
    /// # async fn example1() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// assert_eq!(client.server().to_string(), "cache1:11211");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// Says what the following requests are for, in the words of an error message.
    ///
    /// ```no_run
    /// # async fn example2() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// client.begin("asking for the version");
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin(&mut self, doing: &'static str) {
        self.doing = doing;
    }

    /// Puts a request into the write buffer, which goes out when it is full or [flushed](Self::flush).
    ///
    /// ```no_run
    /// # async fn example3() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::Request;
    /// client.feed(Request::MetaNoop).await?;
    /// client.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn feed(&mut self, request: Request) -> Result<(), Error> {
        let mut ready = poll_fn(|context| self.framed.poll_ready_unpin(context));
        let ready = match (&mut ready).now_or_never() {
            Some(ready) => Ok(ready),
            None => tokio::time::timeout(self.timeout, ready).await,
        };
        match ready {
            Ok(Ok(())) => self.framed.start_send_unpin(request).map_err(|error| self.failed(error)),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.silence()),
        }
    }

    /// Sends what is in the write buffer.
    ///
    /// ```no_run
    /// # async fn example4() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::Request;
    /// client.feed(Request::Version).await?;
    /// client.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let flushed = tokio::time::timeout(self.timeout, self.framed.flush()).await;
        match flushed {
            Ok(flushed) => flushed.map_err(|error| self.failed(error)),
            Err(_) => Err(self.silence()),
        }
    }

    /// Sends a request.
    ///
    /// ```no_run
    /// # async fn example5() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::Request;
    /// client.send(Request::Version).await?;
    /// let version = client.next().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The connection is lost, or takes nothing for too long.
    pub async fn send(&mut self, request: Request) -> Result<(), Error> {
        self.feed(request).await?;
        self.flush().await
    }

    /// The next reply.
    ///
    /// ```no_run
    /// # async fn example6() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::{Reply, Request};
    /// client.send(Request::MetaNoop).await?;
    /// assert_eq!(client.next().await?.reply, Reply::Noop);
    /// # Ok(())
    /// # }
    /// ```
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
        // Most replies of a dump are in the buffer: they need no timer.
        let next = match self.framed.next().now_or_never() {
            Some(next) => next,
            None => {
                let way = self.way.as_ref().filter(|_| !self.answered);
                let next = tokio::select! {
                    next = tokio::time::timeout(time, self.framed.next()) => next,
                    true = is_mute(&self.server, way, self.timeout), if way.is_some() => {
                        return Err(self.error(Problem::BinaryOnly));
                    }
                };
                match next {
                    Ok(next) => next,
                    Err(_) => return Ok(None),
                }
            }
        };
        match next {
            Some(Ok(answer)) => {
                self.answered = true;
                Ok(Some(answer))
            }
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(self.failed(CodecError::Closed)),
        }
    }

    /// Whether a reply has begun and is not whole.
    pub(crate) fn is_inside_reply(&self) -> bool {
        !self.framed.read_buffer().is_empty()
    }

    /// Shows the items of a listing that have already come, as [`ClientCodec::visit`] does; [`Self::next`] brings more.
    ///
    /// ```no_run
    /// # async fn example7() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use std::ops::ControlFlow;
    /// let mut found = 0;
    /// client.visit(|_| {
    ///     found += 1;
    ///     ControlFlow::Continue(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn visit(&mut self, visit: impl FnMut(Listed<'_>) -> ControlFlow<()>) {
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

    /// The one reply to a request.
    pub(crate) async fn call(&mut self, doing: &'static str, request: Request) -> Result<Reply, Error> {
        self.enter(doing)?;
        self.send(request).await?;
        let reply = self.next().await?.reply;
        self.unfinished = None;
        Ok(reply)
    }

    /// `gets` of one key: the item with its CAS, or None when it is not there.
    ///
    /// # Errors
    /// As [`Self::next`], or the server answered with an error.
    pub async fn gets(&mut self, key: Key) -> Result<Option<Value>, Error> {
        self.enter("gets")?;
        self.send(Request::Retrieve(Retrieve { with_cas: true, ..Retrieve::new(key) })).await?;
        let mut found = None;
        loop {
            match self.next().await?.reply {
                Reply::Value(value) if found.is_none() => found = Some(value),
                Reply::End => break,
                reply => return Err(self.answered_wrongly(reply)),
            }
        }
        self.unfinished = None;
        Ok(found)
    }

    /// The error for a reply that ends a call in a way that was not hoped for: behind an error line the connection is in
    /// step.
    fn answered_wrongly(&mut self, reply: Reply) -> Error {
        if matches!(reply, Reply::Error(_)) {
            self.unfinished = None;
        }
        self.refused(reply)
    }

    /// `version`.
    ///
    /// ```no_run
    /// # async fn example8() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// let numbers = client.version().await?.numbers();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`], or the server answered with an error.
    pub async fn version(&mut self) -> Result<ServerVersion, Error> {
        match self.call("version", Request::Version).await? {
            Reply::Version(version) => Ok(version),
            reply => Err(self.refused(reply)),
        }
    }

    /// `flush_all`.
    ///
    /// ```no_run
    /// # async fn example9() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::admin::FlushAll;
    /// client.flush_all(FlushAll::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`], or the server answered with an error (`-F`: kind disabled).
    pub async fn flush_all(&mut self, flush: FlushAll) -> Result<(), Error> {
        match self.call("flush_all", Request::FlushAll(flush)).await? {
            Reply::Ok => Ok(()),
            Reply::Error(reply) if reply.meaning() == Meaning::Off => Err(self.error(Problem::Disabled {
                what: "flush_all",
                instead: "start memcached without -F, or clear by --prefix",
                reply,
            })),
            reply => Err(self.refused(reply)),
        }
    }

    /// Whether the server knows the meta commands (since 1.6), by trying the one that does nothing.
    ///
    /// ```no_run
    /// # async fn example10() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// let is_modern = client.speaks_meta().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn speaks_meta(&mut self) -> Result<bool, Error> {
        match self.call("mn", Request::MetaNoop).await? {
            Reply::Noop => Ok(true),
            Reply::Error(_) => Ok(false),
            reply => Err(self.refused(reply)),
        }
    }

    /// A meta command that is answered by one line without a value: its return flags, or None when the key is not
    /// there.
    ///
    /// ```no_run
    /// # async fn example11() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::{MetaKey, Request, meta::MetaGet};
    /// let key = MetaKey::for_bytes("shop:1").unwrap();
    /// let is_there = client.meta(Request::MetaGet(MetaGet::new(key))).await?.is_some();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`], or the server answered with an error.
    pub async fn meta(&mut self, request: Request) -> Result<Option<ReturnFlags>, Error> {
        match self.call("marking a key", request).await? {
            Reply::Meta(reply) if reply.code == MetaCode::Hd => Ok(Some(reply.flags)),
            Reply::Meta(_) => Ok(None),
            reply => Err(self.refused(reply)),
        }
    }

    /// The nodes of the cluster that this server is one of (`config get cluster`, known to ElastiCache).
    ///
    /// ```no_run
    /// # async fn example12() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// for node in client.cluster().await? {
    ///     println!("{}:{}", node.host, node.port);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`], or the server does not know (a plain memcached).
    pub async fn cluster(&mut self) -> Result<Vec<Node>, Error> {
        let name = Key::new("cluster").map_err(|_| self.error(Problem::NoCluster))?;
        self.enter("config get cluster")?;
        self.send(Request::ConfigGet(ConfigGet { name })).await?;
        let nodes = match self.next().await?.reply {
            Reply::Config(config) => {
                let nodes = config.nodes().ok_or_else(|| self.refused(Reply::Config(config)))?;
                match self.next().await?.reply {
                    Reply::End => Ok(nodes),
                    reply => return Err(self.refused(reply)),
                }
            }
            Reply::End | Reply::Error(_) => Err(self.error(Problem::NoCluster)),
            reply => return Err(self.refused(reply)),
        };
        self.unfinished = None;
        nodes
    }

    /// A group of statistics; what `stats detail` counted for a prefix is named `PREFIX:get` and so on. Groups that switch or
    /// reset something (`reset`, `detail on`) are answered without any.
    ///
    /// ```no_run
    /// # async fn example13() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::protocol::stats::StatsGroup;
    /// for stat in client.stats(StatsGroup::Settings).await? {
    ///     println!("{:?} {:?}", stat.name(), stat.value());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::next`], or the server answered with an error.
    pub async fn stats(&mut self, group: StatsGroup) -> Result<Vec<Stat>, Error> {
        self.enter(group.command())?;
        self.send(Request::Stats(group)).await?;
        let mut stats = Vec::new();
        loop {
            let Answer { reply, role, .. } = self.next().await?;
            match reply {
                Reply::Stat(_) | Reply::Prefix(_) if stats.len() >= Self::STATS_MAX => {
                    return Err(self.error(Problem::TooMany { what: "statistics", limit: Self::STATS_MAX }));
                }
                // A copy, so that a few short lines do not hold the whole read buffer.
                Reply::Stat(stat) => stats.push(stat.detached()),
                Reply::Prefix(prefix) => stats.extend(prefix.counts().into_iter().flatten()),
                // What is switched or reset has no statistics to show.
                Reply::End | Reply::Ok | Reply::Reset if role == Role::Last => {}
                reply => return Err(self.answered_wrongly(reply)),
            }
            // Not every group ends with `END`: what ends the answer is for the codec to say.
            if role == Role::Last {
                self.unfinished = None;
                return Ok(stats);
            }
        }
    }

    /// An error of this connection's server.
    ///
    /// ```no_run
    /// # async fn example14() -> Result<(), mcflush::error::Error> {
    /// # use std::time::Duration;
    /// # let access = mcflush::connection::Access::default();
    /// # let resolver = mcflush::resolver::Resolver::default();
    /// # let server = "cache1".parse().unwrap();
    /// # let mut client = mcflush::client::Client::connect(&server, &resolver, &access, Duration::from_secs(5)).await?;
    /// use mcflush::error::Problem;
    /// let error = client.error(Problem::Incomplete("nobody knows".into()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }

    /// The error for a reply that is not what was asked for.
    pub(crate) fn refused(&self, reply: Reply) -> Error {
        self.error(match reply {
            Reply::Error(reply) => match reply.meaning() {
                Meaning::Login => Problem::Unauthenticated,
                Meaning::Full => Problem::Full(reply),
                _ => Problem::Refusal { command: self.doing, reply },
            },
            _ => Problem::Unexpected { command: self.doing },
        })
    }

    fn silence(&self) -> Error {
        self.silence_of(self.timeout)
    }

    /// The error of a server that said nothing for so long.
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

/// Whether a server that is silent for a while speaks only the binary protocol. Boxed, since it is rare and large.
fn is_mute<'a>(
    server: &'a ServerAddr,
    way: Option<&'a (Resolver, Access)>,
    patience: Duration,
) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
    let Some((resolver, access)) = way else { return Box::pin(std::future::ready(false)) };
    Box::pin(async move {
        tokio::time::sleep(patience / 8).await;
        speaks_only_binary(server, resolver, access, patience).await
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// A client over memory, and the server's end.
    fn pair() -> (Client, tokio::io::DuplexStream) {
        let (near, far) = duplex(1024);
        let server = "in-memory:11211".parse().unwrap();
        (Client::new(Box::new(near), server, Duration::from_secs(5)), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_dropped_takes_no_other_calls_answer() {
        let (mut client, mut far) = pair();
        let dropped = tokio::time::timeout(Duration::from_millis(1), client.version()).await;
        assert!(dropped.is_err());
        // The answer to the call that was dropped.
        far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
        let error = client.flush_all(FlushAll::default()).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Unfinished { command: "version" }), "{error}");
        let mut sent = vec![0; 64];
        let length = far.read(&mut sent).await.unwrap();
        assert_eq!(&sent[..length], b"version\r\n", "and nothing was sent");
    }

    #[tokio::test(start_paused = true)]
    async fn behind_an_error_line_a_connection_is_in_step() {
        let (mut client, mut far) = pair();
        far.write_all(b"ERROR\r\nVERSION 1.6.45\r\n").await.unwrap();
        assert!(client.stats(StatsGroup::Items).await.is_err());
        assert_eq!(client.version().await.unwrap().numbers(), Some([1, 6, 45]));
    }
}
