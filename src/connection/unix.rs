//! Unix sockets, on systems that have them.

use std::io;
use std::path::Path;

use super::Connection;

#[cfg(unix)]
pub(super) async fn connect(path: &Path) -> io::Result<Connection> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
pub(super) async fn connect(_: &Path) -> io::Result<Connection> {
    Err(io::ErrorKind::Unsupported.into())
}
