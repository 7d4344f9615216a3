//! From a name for a list to the servers on it.

pub mod cluster;

use std::io;
use std::net::IpAddr;

use self::cluster::cluster;
use crate::address::{ListKind, ServerAddr, ServerList};
use crate::connection::wait;
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::protocol::config::Node;
use crate::resolver::dns::Dns;

/// Finds the servers of a list; at least one.
///
/// # Errors
/// It cannot be found out, or there is none on it.
pub async fn discover(list: &ServerList, context: &Context) -> Result<Vec<ServerAddr>, Error> {
    let endpoint = list.endpoint();
    let failed = |problem| Error { server: list.endpoint(), problem };
    let servers: Vec<_> = match list.kind {
        ListKind::Auto => {
            let mut servers = Vec::new();
            for Node { host, address, port } in cluster(&endpoint, context).await? {
                servers.push((reachable(host, address, context).await, port));
            }
            servers
        }
        ListKind::Dns | ListKind::Srv => match context.stop.run_until_cancelled(by_dns(list, context)).await {
            Some(found) => found.map_err(failed)?,
            None => return Err(context.stopped(&endpoint, false)),
        },
    };
    if servers.is_empty() {
        return Err(failed(Problem::EmptyList));
    }
    Ok(servers.into_iter().map(|(host, port)| ServerAddr::Tcp { host, port }).collect())
}

/// The name of a node, or the address that its cluster gives for it where the name does not resolve here.
async fn reachable(host: String, address: Option<IpAddr>, context: &Context) -> String {
    let Some(address) = address else { return host };
    match context.resolver.addresses(&host, 0, context.patience.timeout).await {
        Ok(_) => host,
        Err(_) => address.to_string(),
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
    let silence = Problem::Silence { doing: "resolving the name", after };
    match wait::at_most(after, asking).await {
        Some(Ok(found)) => Ok(found),
        Some(Err(error)) if error.kind() != io::ErrorKind::TimedOut => Err(Problem::Resolve(error)),
        Some(Err(_)) | None => Err(silence),
    }
}
