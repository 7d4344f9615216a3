//! Which nodes a cluster has, by the words of one of them.

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
/// It could not be reached, does not know (a plain memcached), or it was stopped.
pub async fn cluster(endpoint: &ServerAddr, context: &Context) -> Result<Vec<Node>, Error> {
    let ask = || async { context.connect(endpoint).await?.cluster().await };
    Retries::new(context).until_done(endpoint, ask).await
}

/// The cluster that a server is a node of, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Siblings {
    /// Its nodes, this one among them; more than one.
    Nodes(Vec<Node>),
    /// It does not say, but its name is that of a cluster's endpoint (ElastiCache gives these a `.cfg.`).
    Unknown,
}

/// Whether a server that was named by itself is one node of several. None for any other server.
///
/// Asks only a server that was given by name: a caller who gives an address has chosen one node.
pub async fn siblings(server: &ServerAddr, context: &Context) -> Option<Siblings> {
    let ServerAddr::Tcp { host, .. } = server else { return None };
    if host.parse::<IpAddr>().is_ok() || host == "localhost" {
        return None;
    }
    // A question that a server may not know, on a connection of its own: a proxy closes it.
    let ask = async { context.connect(server).await?.cluster().await };
    match context.stop.run_until_cancelled(ask).await? {
        Ok(nodes) if nodes.len() > 1 => Some(Siblings::Nodes(nodes)),
        Ok(_) => None,
        Err(_) if host.contains(".cfg.") => Some(Siblings::Unknown),
        Err(_) => None,
    }
}
