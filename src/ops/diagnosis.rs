//! What is behind a server that closes connections without a word.

use std::time::Duration;

use super::Context;
use crate::connection::{speaks_only_binary, tls};
use crate::error::{Error, Problem};
use crate::protocol::stats::StatsGroup;

/// How long a server that has just closed a connection gets to say whether it speaks the binary protocol.
const SOON: Duration = Duration::from_secs(1);

impl Context {
    /// A connection that was closed at our first words may be one that wants TLS, or the binary protocol.
    pub(super) async fn diagnosed(&self, error: Error) -> Error {
        let is_closed_at_once = matches!(error.problem, Problem::Lost { like_a_proxy: true, .. });
        if !is_closed_at_once || !self.connector.is_the_network() {
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
}
