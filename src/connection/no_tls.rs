//! TLS, which this build is without (the feature `tls`): there is no value of [`Tls`].

use std::io;
use std::time::Duration;

use super::Connection;
use crate::address::ServerAddr;
use crate::error::Problem;
#[cfg(feature = "ops")]
use crate::resolver::Resolver;

/// TLS as a client. Without the feature `tls` nobody can have one.
#[derive(Debug, Clone)]
pub enum Tls {}

impl Tls {
    pub(super) async fn over(&self, _: Connection, _: &ServerAddr) -> Result<Connection, Problem> {
        match *self {}
    }
}

/// What TLS has to say of a failed read or write.
pub(crate) const fn fault(_: &io::Error) -> Option<Problem> {
    None
}

/// Nobody answered the handshake.
pub(super) const fn silence(after: Duration) -> Problem {
    Problem::Silence { doing: "the TLS handshake", after }
}

/// Whether a server answers a TLS handshake: nobody here can say.
#[cfg(feature = "ops")]
pub(crate) async fn is_spoken_by(_: &ServerAddr, _: &Resolver, _: Duration) -> bool {
    false
}

/// The error for the caller who did not know.
#[cfg(feature = "ops")]
pub(crate) fn unexpected() -> Problem {
    Problem::Tls { what: "the server speaks TLS".into(), cure: crate::error::TlsCure::Other("use a build with TLS") }
}
