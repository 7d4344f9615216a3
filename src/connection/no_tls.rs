//! Stands in for TLS in a build without the feature `tls`: [`Tls`] has no value.

use std::io;
use std::time::Duration;

use super::Connection;
use crate::address::ServerAddr;
use crate::error::Problem;
#[cfg(feature = "ops")]
use crate::resolver::Resolver;

/// TLS as a client. Without the feature `tls`, no value of it exists.
#[derive(Debug, Clone)]
pub enum Tls {}

impl Tls {
    pub(super) async fn over(&self, _: Connection, _: &ServerAddr) -> Result<Connection, Problem> {
        match *self {}
    }
}

/// The TLS problem behind a failed read or write: always none.
pub(crate) const fn fault(_: &io::Error) -> Option<Problem> {
    None
}

/// The problem of a server that does not answer the handshake.
pub(super) const fn silence(after: Duration) -> Problem {
    Problem::Silence { doing: "the TLS handshake", after }
}

/// Whether a server answers a TLS handshake: this build cannot find out.
#[cfg(feature = "ops")]
pub(crate) async fn is_spoken_by(_: &ServerAddr, _: &Resolver, _: Duration) -> bool {
    false
}

/// The problem of a server that speaks TLS to a caller that did not ask for TLS.
#[cfg(feature = "ops")]
pub(crate) fn unexpected() -> Problem {
    Problem::Tls { what: "the server speaks TLS".into(), cure: crate::error::TlsCure::Other("use a build with TLS") }
}
