//! Turns the name of a list into the servers on it.

pub mod cluster;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, TryFutureExt};
use tokio::time::Instant;

use self::cluster::cluster;
use crate::address::{ListKind, ServerAddr, ServerList};
use crate::connection::wait;
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::protocol::config::Node;
use crate::resolver::dns::Dns;

/// Finds the servers on a list: at least one.
///
/// # Errors
/// The list cannot be read, or it has no server.
pub async fn discover(list: &ServerList, context: &Context) -> Result<Vec<ServerAddr>, Error> {
    let endpoint = list.endpoint();
    let failed = |problem| Error { server: list.endpoint(), problem };
    let servers: Vec<_> = match list.kind {
        ListKind::Auto => {
            let nodes = cluster(&endpoint, context).await?;
            // All at once, so that several names that do not resolve cost only one timeout.
            let found = join_all(nodes.into_iter().map(|node| reachable(node, context)));
            context.unless_stopped(&endpoint, found.map(Ok)).await?
        }
        ListKind::Dns | ListKind::Srv => {
            context.unless_stopped(&endpoint, by_dns(list, context).map_err(failed)).await?
        }
    };
    if servers.is_empty() {
        return Err(failed(Problem::EmptyList));
    }
    Ok(servers.into_iter().map(|(host, port)| ServerAddr::Tcp { host, port }).collect())
}

/// The name of a node and its port. If the name does not resolve here, the address that the cluster gives for it.
async fn reachable(Node { host, address, port }: Node, context: &Context) -> (String, u16) {
    let Some(address) = address else { return (host, port) };
    match context.resolver.addresses(&host, 0, context.patience.timeout).await {
        Ok(_) => (host, port),
        Err(_) => (address.to_string(), port),
    }
}

async fn by_dns(list: &ServerList, context: &Context) -> Result<Vec<(String, u16)>, Problem> {
    if list.host.parse::<IpAddr>().is_ok() {
        return Ok(vec![(list.host.clone(), list.port)]);
    }
    let dns = match context.resolver.dns() {
        Some(dns) => dns.clone(),
        None => {
            Dns::system().map_err(|source| Problem::Local { doing: "reading the system's DNS settings", source })?
        }
    };
    let asking = async {
        match list.kind {
            ListKind::Srv => dns.services(&list.host).await,
            _ => {
                let addresses = dns.addresses(&list.host).await?;
                Ok(addresses.into_iter().map(|address| (address.to_string(), list.port)).collect())
            }
        }
    };
    let after = context.patience.timeout;
    let silence = |after| Problem::Silence { doing: "resolving the name", after };
    let began = Instant::now();
    match wait::at_most(after, asking).await {
        Some(Ok(found)) => Ok(found),
        Some(Err(error)) if error.kind() != io::ErrorKind::TimedOut => Err(Problem::Resolve(error)),
        // The resolver gave up before the timeout.
        Some(Err(_)) => Err(silence(Duration::from_secs(began.elapsed().as_secs()))),
        None => Err(silence(after)),
    }
}
