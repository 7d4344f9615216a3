//! What every operation is given, and how it bounds what it waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Chance, Events, Stop};
use crate::address::ServerAddr;
use crate::client::{Client, Patience};
use crate::connection::{Access, Connection, connect, wait};
use crate::error::{Error, Problem};
use crate::resolver::Resolver;
use crate::setters::setters;

/// What every operation is given.
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
    /// Whether connections come from the network.
    pub(super) const fn is_the_network(&self) -> bool {
        self.0.is_none()
    }

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
        Ok(if self.connector.is_the_network() { client.asking_by(&self.resolver, &self.access) } else { client })
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
                    .map_err(|cause| Error { server: server.clone(), problem: Problem::Connect(cause) }),
                // On the heap: a handshake is large, and every operation holds the room for several of these.
                None => Box::pin(connect(server, &self.resolver, &self.access, self.patience.timeout)).await,
            }
        };
        self.unless_stopped(server, connect).await
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
        self.unless_stopped(server, work).await
    }

    /// Works until it is done, or the operation is stopped: by its caller, or because the deadline has come.
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

    /// Waits.
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
