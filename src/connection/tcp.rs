//! TCP connections: tries the addresses of a name in turn.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::wait::{self, TimeLimit};
use crate::error::Problem;

/// How long a connection may be idle before the system checks that the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects to the first address that accepts the connection.
pub(super) async fn connect(addresses: Vec<SocketAddr>, limit: TimeLimit) -> Result<TcpStream, Problem> {
    let mut failure = None;
    let mut left = addresses.len();
    for address in addresses {
        // An address that drops packets may use up only its share of the time.
        let share = limit.left() / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        left = left.saturating_sub(1);
        match wait::at_most(share, TcpStream::connect(address)).await {
            Some(Ok(stream)) => {
                // Commands are sent in whole batches; waiting to fill a packet would only delay them.
                stream.set_nodelay(true).map_err(Problem::Connect)?;
                // Without keepalive, a firewall that drops idle connections would cut the second connection of a long
                // clear with little to delete. If it cannot be set, everything else works.
                let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                return Ok(stream);
            }
            Some(Err(error)) => failure = Some(error),
            None if left == 0 && failure.is_none() => std::future::pending().await,
            None => {}
        }
    }
    Err(failure.map_or_else(|| Problem::Resolve(io::Error::other("no address")), Problem::Connect))
}
