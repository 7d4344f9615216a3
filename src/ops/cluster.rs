//! Which nodes a cluster has, by the words of one of them.

use super::Context;
use super::retry::Retries;
use crate::address::ServerAddr;
use crate::error::Error;
use crate::protocol::config::Node;

/// Asks a configuration endpoint, or any node, for the nodes of its cluster.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let nodes = mcflush::ops::cluster::cluster(&"cfg.example.org".parse()?, &Default::default()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// It could not be reached, does not know (a plain memcached), or it was stopped.
pub async fn cluster(endpoint: &ServerAddr, context: &Context) -> Result<Vec<Node>, Error> {
    let mut retries = Retries::new(context);
    loop {
        let attempt = async { context.connect(endpoint).await?.cluster().await };
        match context.stop.run_until_cancelled(attempt).await {
            Some(Ok(nodes)) => return Ok(nodes),
            Some(Err(error)) => retries.after(error).await?,
            None => return Err(context.stopped(endpoint, false)),
        }
    }
}
