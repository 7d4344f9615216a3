//! Finds out why a server closes connections without an answer.

use std::time::Duration;

use super::Context;
use crate::connection::{speaks_only_binary, tls};
use crate::error::{Error, Problem};
use crate::protocol::stats::StatsGroup;

/// How long a server that has just closed a connection may take to show that it speaks the binary protocol.
const SOON: Duration = Duration::from_secs(1);

impl Context {
    /// Looks for a better error if the server closed the connection at mcflush's first command: it may expect TLS or
    /// the binary protocol, or be memcached's own proxy.
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

    /// If the server that closed the connection is memcached's own proxy: the command that it does not pass on.
    async fn is_built_in_proxy(&self, error: &Error) -> Option<&'static str> {
        // The commands that the proxy does not pass on.
        let Problem::Lost { doing: doing @ ("flush_all" | "lru_crawler metadump"), .. } = error.problem else {
            return None;
        };
        let ask = async { self.connect(&error.server).await?.stats(StatsGroup::General).await };
        let stats = self.stop.run_until_cancelled(ask).await?.ok()?;
        stats.iter().any(|stat| stat.name() == "proxy_conn_requests").then_some(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{address, server, text};

    /// A function of the caller opens the connections, so nothing is known of other ways to the server.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_reached_by_the_network_is_asked_nothing_more() {
        let (context, heard) = server(|_| text("STAT proxy_conn_requests 3\r\nEND\r\n"));
        let problem = Problem::Lost { doing: "flush_all", source: None, like_a_proxy: true };
        let error = context.diagnosed(Error { server: address(), problem }).await;
        assert!(matches!(error.problem, Problem::Lost { .. }), "{error}");
        assert_eq!(heard.all(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_built_in_proxy_is_known_by_its_statistics_and_by_what_it_does_not_pass_on() {
        const PROXY: &str = "STAT version 1.6.45\r\nSTAT proxy_conn_requests 3\r\nEND\r\n";
        const SERVER: &str = "STAT version 1.6.45\r\nEND\r\n";
        for (doing, stats, found) in [
            ("flush_all", PROXY, Some("flush_all")),
            ("lru_crawler metadump", PROXY, Some("lru_crawler metadump")),
            ("version", PROXY, None),
            ("flush_all", SERVER, None),
            ("flush_all", "ERROR\r\n", None),
        ] {
            let (context, _) = server(move |_| text(stats));
            let problem = Problem::Lost { doing, source: None, like_a_proxy: true };
            let command = context.is_built_in_proxy(&Error { server: address(), problem }).await;
            assert_eq!(command, found, "{doing}, {stats:?}");
        }
    }
}
