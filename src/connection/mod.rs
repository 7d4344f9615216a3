//! Opening a connection: TCP and unix sockets, TLS over them, and what the server wants before it works, within one deadline.

mod login;
mod tcp;
pub mod tls;
mod unix;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use self::tls::Tls;
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::storage::Credentials;
use crate::resolver::Resolver;

/// A byte stream to a server, whatever it goes over.
///
/// ```
/// fn is_one(_: &impl mcflush::connection::Transport) {}
/// is_one(&tokio::io::duplex(16).0);
/// ```
pub trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// An open connection.
pub type Connection = Box<dyn Transport>;

/// How a server is entered.
///
/// ```
/// use mcflush::connection::Access;
/// use mcflush::protocol::storage::Credentials;
/// let access = Access { credentials: Credentials::new("app", "secret"), ..Access::default() };
/// assert!(access.tls.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// For servers with `-Y`. One without takes them for an item that is over at once.
    pub credentials: Option<Credentials>,
    /// For servers with `-Z`.
    pub tls: Option<Tls>,
}

/// Connects within a time, name resolution, TLS and authentication included; the addresses of a name are tried in turn.
///
/// ```no_run
/// # async fn example() -> Result<(), mcflush::error::Error> {
/// use mcflush::connection::{Access, connect};
/// let server = "cache1".parse().expect("an address");
/// let stream = connect(&server, &Default::default(), &Access::default(), std::time::Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The name does not resolve, nobody listens on any address, the server does not let us in, or the time is over.
pub async fn connect(
    server: &ServerAddr,
    resolver: &Resolver,
    access: &Access,
    within: Duration,
) -> Result<Connection, Error> {
    let limit = Limit { deadline: Instant::now() + within, within };
    let entered = async {
        let mut connection = limit.keep("connecting", open(server, resolver, limit)).await?;
        if let Some(tls) = &access.tls {
            let silence = |problem| match problem {
                Problem::Silence { after, .. } => tls::silence(after),
                other => other,
            };
            connection = limit.keep("the TLS handshake", tls.over(connection, server)).await.map_err(silence)?;
        }
        if let Some(credentials) = &access.credentials {
            connection = limit.keep("authentication", login::log_in(connection, credentials)).await?;
        }
        Ok(connection)
    };
    entered.await.map_err(|problem| Error { server: server.clone(), problem })
}

async fn open(server: &ServerAddr, resolver: &Resolver, limit: Limit) -> Result<Connection, Problem> {
    match server {
        ServerAddr::Tcp { host, port } => {
            let addresses = resolver.addresses(host, *port, limit.within).await?;
            Ok(Box::new(tcp::connect(addresses, limit.deadline).await?))
        }
        ServerAddr::Unix(path) => unix::connect(path).await.map_err(Problem::Connect),
    }
}

/// The one deadline for all that opening a connection takes.
#[derive(Debug, Clone, Copy)]
struct Limit {
    deadline: Instant,
    /// How long that was at the beginning.
    within: Duration,
}

impl Limit {
    /// Works until it is done, or the time is over.
    async fn keep<T>(self, doing: &'static str, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let silence = Err(Problem::Silence { doing, after: self.within });
        timeout_at(self.deadline, work).await.unwrap_or(silence)
    }
}
