//! The settings that every operation takes, and how they bound its waits.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Chance, Events, Spool, Stop};
use crate::address::ServerAddr;
use crate::client::{Client, Patience};
use crate::connection::{Access, Connection, connect, wait};
use crate::error::{Error, Problem};
use crate::resolver::Resolver;
use crate::setters::setters;

/// The settings that every operation takes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Context {
    /// How long to wait, and how often to try again.
    pub patience: Patience,
    /// Resolves the names of servers.
    pub resolver: Resolver,
    /// How to log in to the server, and whether over TLS.
    pub access: Access,
    /// Cancelling it stops the operation at the next safe point: no command is cut in half.
    pub stop: Stop,
    /// When the whole run has to end: an operation stopped from then on fails with that reason. The caller that sets it
    /// also cancels [`Self::stop`] at that time.
    pub deadline: Option<std::time::Instant>,
    /// Receives the events.
    pub events: Events,
    /// Opens the connections.
    pub connector: Connector,
    /// Gives the random numbers.
    pub chance: Chance,
    /// Keeps the listed keys that memory does not hold.
    pub spool: Spool,
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
    with_spool: spool: Spool,
});

/// Opens a connection to a server.
type Open = dyn Fn(&ServerAddr) -> Opening + Send + Sync;

/// A connection that is being opened.
type Opening = Pin<Box<dyn Future<Output = std::io::Result<Connection>> + Send>>;

/// Opens the connections of an operation: by default over the network, with [`Context::access`].
#[derive(Clone, Default)]
pub struct Connector(Option<Arc<Open>>);

impl Connector {
    /// Whether connections go over the network.
    pub(super) const fn is_the_network(&self) -> bool {
        self.0.is_none()
    }

    /// Takes the connections from a function, such as in-memory streams in a test.
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
    /// A client on a new connection.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn connect(&self, server: &ServerAddr) -> Result<Client, Error> {
        let connection = self.open(server).await?;
        let client = Client::new(connection, server.clone(), self.patience.timeout);
        Ok(if self.connector.is_the_network() { client.asking_by(&self.resolver, &self.access) } else { client })
    }

    /// A new connection.
    ///
    /// # Errors
    /// The server cannot be reached or rejects the login, or the operation was stopped.
    pub(crate) async fn open(&self, server: &ServerAddr) -> Result<Connection, Error> {
        let connect = async {
            match &self.connector.0 {
                Some(connector) => connector(server)
                    .await
                    .map_err(|source| Error { server: server.clone(), problem: Problem::Connect(source) }),
                // On the heap: a handshake is large, and every operation would otherwise reserve room for several of
                // these.
                None => Box::pin(connect(server, &self.resolver, &self.access, self.patience.timeout)).await,
            }
        };
        self.unless_stopped(server, connect).await
    }

    /// Runs `work` for as long as the server may be silent, unless the operation is stopped first.
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
        self.unless_stopped(server, work).await
    }

    /// Runs `work` to its end, or until the operation is stopped, by its caller or at the deadline.
    ///
    /// # Errors
    /// The work's own, or the operation was stopped.
    pub(crate) async fn unless_stopped<T>(
        &self,
        server: &ServerAddr,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(self.stopped(server, false)))
    }

    /// Waits for this time.
    ///
    /// # Errors
    /// The operation was stopped.
    pub(crate) async fn pause(&self, server: &ServerAddr, time: Duration) -> Result<(), Error> {
        let waited = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.unless_stopped(server, waited).await
    }

    /// The error of a stopped operation, with its reason.
    pub(crate) fn stopped(&self, server: &ServerAddr, flush_sent: bool) -> Error {
        let problem = if self.deadline.is_some_and(|deadline| Instant::now().into_std() >= deadline) {
            Problem::Deadline { flush_sent }
        } else {
            Problem::Interrupted { flush_sent }
        };
        Error { server: server.clone(), problem }
    }
}
