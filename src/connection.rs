//! Opening a connection: TCP and unix sockets, within a deadline.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::resolver::Resolver;

/// A byte stream to a server, whatever it goes over.
pub trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// An open connection.
pub type Connection = Box<dyn Transport>;

/// Connects within a time, name resolution included; the addresses of a name are tried in turn.
///
/// # Errors
/// The name does not resolve, nobody listens on any address, or the time is over.
pub async fn connect(server: &ServerAddr, resolver: &Resolver, within: Duration) -> Result<Connection, Error> {
    let deadline = Instant::now() + within;
    let opening = async {
        match server {
            ServerAddr::Tcp { host, port } => {
                connect_tcp(resolver.addresses(host, *port, within).await?, deadline).await
            }
            #[cfg(unix)]
            ServerAddr::Unix(path) => match tokio::net::UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream) as Connection),
                Err(error) => Err(Problem::Connect(error)),
            },
            #[cfg(not(unix))]
            ServerAddr::Unix(_) => Err(Problem::Connect(io::ErrorKind::Unsupported.into())),
        }
    };
    let silence = Err(Problem::Silence { doing: "connecting", after: within });
    timeout_at(deadline, opening).await.unwrap_or(silence).map_err(|problem| Error { server: server.clone(), problem })
}

async fn connect_tcp(addresses: Vec<SocketAddr>, deadline: Instant) -> Result<Connection, Problem> {
    let mut failure = None;
    let mut left = addresses.len();
    for address in addresses {
        // An address that drops packets leaves its share of the time to those after it.
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        left = left.saturating_sub(1);
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Commands go out in whole batches; waiting to fill a packet would only delay them.
                stream.set_nodelay(true).map_err(Problem::Connect)?;
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => failure = Some(error),
            Err(_) if left == 0 && failure.is_none() => std::future::pending().await,
            Err(_) => {}
        }
    }
    Err(failure.map_or_else(|| Problem::Resolve(io::Error::other("no address")), Problem::Connect))
}
