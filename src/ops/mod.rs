//! What is done to one server: [`flush`](mod@flush), [`clear`](mod@clear), [`stats`](mod@stats). Operations print
//! nothing; they return what they did, and tell the rest as [`Event`]s.

mod backlog;
mod binary;
mod chance;
pub mod clear;
mod dialect;
mod figure;
pub mod flush;
pub mod hot;
pub mod keys;
mod listing;
pub mod namespaces;
mod nearest;
mod pages;
pub(crate) mod retry;
#[cfg(test)]
mod scripted;
pub mod stats;
mod stop;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::chance::Chance;
pub use self::listing::{Filter, Strategy};
use self::retry::unless_stopped;
pub use self::stop::Stop;
use crate::address::ServerAddr;
use crate::client::{Client, Patience};
use crate::connection::{Access, Connection, connect, speaks_only_binary, tls, wait};
use crate::error::{Error, Problem};
use crate::protocol::stats::StatsGroup;
use crate::resolver::Resolver;
use crate::setters::setters;

/// How long a server that has just closed a connection gets to say whether it speaks the binary protocol.
const SOON: Duration = Duration::from_secs(1);

/// What every operation is given.
///
/// ```
/// use mcflush::ops::Context;
/// let context = Context::default();
/// context.stop.cancel();
/// assert!(context.deadline.is_none());
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Context {
    /// How patient to be.
    pub patience: Patience,
    /// Where the addresses of names come from.
    pub resolver: Resolver,
    /// How the server is entered.
    pub access: Access,
    /// Cancelled when the operation should stop at the next safe point: no command is cut in half.
    pub stop: Stop,
    /// When the whole run has to be over: what is stopped from then on failed for that reason. Who sets it cancels
    /// [`Self::stop`] at that time.
    pub deadline: Option<std::time::Instant>,
    /// Where events go.
    pub events: Events,
    /// Where connections come from.
    pub connector: Connector,
    /// Where random numbers come from.
    pub chance: Chance,
}

setters!(Context {
    with_patience: patience: Patience,
    with_resolver: resolver: Resolver,
    with_access: access: Access,
    with_stop: stop: Stop,
    with_deadline: deadline: Option<std::time::Instant>,
    with_events: events: Events,
    with_connector: connector: Connector,
    with_chance: chance: Chance,
});

/// What opens a connection to a server.
type Open = dyn Fn(&ServerAddr) -> Opening + Send + Sync;

/// A connection that is being opened.
type Opening = Pin<Box<dyn Future<Output = std::io::Result<Connection>> + Send>>;

/// Where the connections of an operation come from: by default from the network, as [`Context::access`] says.
#[derive(Clone, Default)]
pub struct Connector(Option<Arc<Open>>);

impl Connector {
    /// Connections come from a function, as a test's in-memory streams do.
    #[must_use]
    pub fn by<F>(open: impl Fn(&ServerAddr) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<Connection>> + Send + 'static,
    {
        Self(Some(Arc::new(move |server| Box::pin(open(server)))))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Connector(a function)" } else { "Connector(the network)" })
    }
}

impl Context {
    /// A client on a fresh connection.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn connect(&self, server: &ServerAddr) -> Result<Client, Error> {
        let connection = self.open(server).await?;
        let client = Client::new(connection, server.clone(), self.patience.timeout);
        let is_of_network = self.connector.0.is_none();
        Ok(if is_of_network { client.asking_by(&self.resolver, &self.access) } else { client })
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// The server cannot be reached or does not let the caller in, or the operation was stopped.
    pub(crate) async fn open(&self, server: &ServerAddr) -> Result<Connection, Error> {
        let connect = async {
            match &self.connector.0 {
                Some(connector) => connector(server)
                    .await
                    .map_err(|source| Error { server: server.clone(), problem: Problem::Connect(source) }),
                // On the heap: a handshake is large, and every operation holds the room for several of these.
                None => Box::pin(connect(server, &self.resolver, &self.access, self.patience.timeout)).await,
            }
        };
        unless_stopped(self, server, connect).await
    }

    /// Works within the time that a silence of the server may take, unless the operation is stopped before.
    pub(crate) async fn within<T>(
        &self,
        server: &ServerAddr,
        doing: &'static str,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Error> {
        let after = self.patience.timeout;
        let work = async {
            let done = wait::at_most(after, work).await;
            done.unwrap_or(Err(Problem::Silence { doing, after }))
                .map_err(|problem| Error { server: server.clone(), problem })
        };
        unless_stopped(self, server, work).await
    }

    /// A connection that was closed at our first words may be one that wants TLS, or the binary protocol.
    async fn diagnosed(&self, error: Error) -> Error {
        let is_closed_at_once = matches!(error.problem, Problem::Lost { like_a_proxy: true, .. });
        if !is_closed_at_once || self.connector.0.is_some() {
            return error;
        }
        let server = error.server.clone();
        if let Some(command) = self.is_built_in_proxy(&error).await {
            return Error { server, problem: Problem::Proxied { command } };
        }
        let within = self.patience.timeout.min(SOON);
        let ask = speaks_only_binary(&server, &self.resolver, &self.access, within);
        if self.stop.run_until_cancelled(ask).await == Some(true) {
            return Error { server, problem: Problem::BinaryOnly };
        }
        if self.access.tls.is_some() {
            return error;
        }
        let ask = tls::is_spoken_by(&server, &self.resolver, self.patience.timeout);
        match self.stop.run_until_cancelled(ask).await {
            Some(true) => Error { server, problem: tls::unexpected() },
            _ => error,
        }
    }

    /// Whether the server that closed a connection at a command is memcached's own proxy; gives the command.
    async fn is_built_in_proxy(&self, error: &Error) -> Option<&'static str> {
        // What it does not pass on.
        let Problem::Lost { doing: doing @ ("flush_all" | "lru_crawler metadump"), .. } = error.problem else {
            return None;
        };
        let ask = async { self.connect(&error.server).await?.stats(StatsGroup::General).await };
        let stats = self.stop.run_until_cancelled(ask).await?.ok()?;
        stats.iter().any(|stat| stat.name() == "proxy_conn_requests").then_some(doing)
    }

    /// Why an operation was stopped.
    pub(crate) fn stopped(&self, server: &ServerAddr, flush_sent: bool) -> Error {
        let problem = if self.deadline.is_some_and(|deadline| Instant::now().into_std() >= deadline) {
            Problem::Deadline { flush_sent }
        } else {
            Problem::Interrupted { flush_sent }
        };
        Error { server: server.clone(), problem }
    }
}

/// Something an operation tells while it runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A failed try is made again on a fresh connection.
    Retry {
        /// What had failed.
        error: String,
        /// The wait before.
        after: Duration,
    },
    /// How the keys are listed, and why so.
    Strategy {
        /// The way.
        strategy: Strategy,
        /// Why.
        why: String,
    },
    /// Keys were deleted, confirmed by the server.
    Deleted(u64),
    /// Keys were listed.
    Listed {
        /// How many.
        keys: u64,
        /// How many of them in scope.
        in_scope: u64,
    },
    /// It is over.
    Done {
        /// Whether it may be called complete.
        complete: bool,
    },
    /// A pass begins; the first is 1.
    Pass(u32),
    /// What the passes so far come to.
    Evidence {
        /// Keys in scope that the last pass found and that may have been stored before the clear began.
        old: u64,
        /// The probability that a pass misses a key, as it is estimated so far.
        miss_rate: Option<f64>,
        /// How many old keys are expected to be left.
        doubt: Option<f64>,
    },
    /// The operation begins.
    Started,
    /// Something that changes what the result means to others.
    Warning(&'static str),
    /// The temporary file for listed keys could not be used; the walk is given up, and made again when what is held has
    /// been deleted.
    Spool(String),
    /// The server is waited for.
    Waiting {
        /// Why.
        why: &'static str,
        /// How long.
        after: Duration,
    },
}

/// Takes the events of an operation. It is called in the middle of the work, so it must not wait.
#[derive(Clone, Default)]
pub struct Events(Option<std::sync::Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Events go to a function.
    #[must_use]
    pub fn to(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(std::sync::Arc::new(listener)))
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(listener) = &self.0 {
            listener(event);
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Events(to a listener)" } else { "Events(to nobody)" })
    }
}
