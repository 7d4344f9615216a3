//! Finds the nodes of a cluster by asking one of them.

use std::net::IpAddr;

use crate::address::ServerAddr;
use crate::error::Error;
use crate::ops::Context;
use crate::ops::retry::Retries;
use crate::protocol::config::Node;

/// Asks a configuration endpoint, or any node, for the nodes of its cluster.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// for node in mcflush::discovery::cluster::cluster(&"cfg.example.org".parse()?, &Default::default()).await? {
///     println!("{}:{}", node.host, node.port);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server could not be reached, does not know the command (a plain memcached), or the operation was stopped.
pub async fn cluster(endpoint: &ServerAddr, context: &Context) -> Result<Vec<Node>, Error> {
    let ask = || async { context.connect(endpoint).await?.cluster().await };
    Retries::new(context).until_done(endpoint, ask).await
}

/// The cluster that a server belongs to, by its own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Siblings {
    /// The nodes of the cluster: this one and at least one other.
    Nodes(Vec<Node>),
    /// The server does not tell, but its name is that of a cluster's endpoint (ElastiCache gives these a `.cfg.`).
    Unknown,
}

/// Finds out whether a server that was named alone is one node of several; `None` if it is not.
///
/// Asks only a server that was given by name: a caller that gives an address has chosen one node.
pub async fn siblings(server: &ServerAddr, context: &Context) -> Option<Siblings> {
    let ServerAddr::Tcp { host, .. } = server else { return None };
    if host.parse::<IpAddr>().is_ok() || host == "localhost" {
        return None;
    }
    // Asked over a separate connection, because a proxy closes it at an unknown command.
    let ask = async { context.connect(server).await?.cluster().await };
    match context.stop.run_until_cancelled(ask).await? {
        Ok(nodes) if nodes.len() > 1 => Some(Siblings::Nodes(nodes)),
        Ok(_) => None,
        Err(_) if host.contains(".cfg.") => Some(Siblings::Unknown),
        Err(_) => None,
    }
}
