//! From a name for a list to the servers on it.

use crate::address::{ListKind, ServerAddr, ServerList};
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::ops::cluster::cluster;
use crate::resolver::dns::Dns;

/// Finds the servers of a list; at least one.
///
/// # Errors
/// It cannot be found out, or there is none on it.
pub async fn discover(list: &ServerList, context: &Context) -> Result<Vec<ServerAddr>, Error> {
    let failed = |problem| Error { server: list.endpoint(), problem };
    let asking = async {
        let dns = match context.resolver.dns() {
            Some(dns) => dns.clone(),
            None => Dns::system().map_err(Problem::Resolve)?,
        };
        let within = context.patience.timeout;
        let silence = Problem::Silence { doing: "resolving the name", after: within };
        let found = async {
            match list.kind {
                ListKind::Srv => dns.services(&list.host).await,
                _ => {
                    let addresses = dns.addresses(&list.host).await?;
                    Ok(addresses.into_iter().map(|address| (address.to_string(), list.port)).collect())
                }
            }
        };
        match tokio::time::timeout(within, found).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => Err(silence),
            Ok(Err(error)) => Err(Problem::Resolve(error)),
            Err(_) => Err(silence),
        }
    };
    let found: Vec<(String, u16)> = match list.kind {
        ListKind::Auto => {
            cluster(&list.endpoint(), context).await?.into_iter().map(|node| (node.host, node.port)).collect()
        }
        ListKind::Dns | ListKind::Srv => match context.stop.run_until_cancelled(asking).await {
            Some(found) => found.map_err(failed)?,
            None => return Err(context.stopped(&list.endpoint(), false)),
        },
    };
    if found.is_empty() {
        return Err(failed(Problem::EmptyList));
    }
    Ok(found.into_iter().map(|(host, port)| ServerAddr::Tcp { host, port }).collect())
}
