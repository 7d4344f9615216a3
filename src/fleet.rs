//! One operation over many servers: so many at a time, results in the order of the input.

use std::num::NonZeroUsize;

use futures_util::stream::{self, Stream, StreamExt};

use crate::address::ServerAddr;

/// Runs an operation on each server, at most `jobs` at a time. One that fails does not stop the others.
///
/// ```no_run
/// # async fn example() {
/// use std::num::NonZeroUsize;
/// use futures_util::StreamExt;
/// let servers = ["cache1", "cache2"].map(|name| name.parse().expect("an address")).to_vec();
/// let lengths = mcflush::fleet::each(servers, NonZeroUsize::MIN, |server| async move { server.to_string().len() });
/// assert_eq!(lengths.map(|(_, length)| length).collect::<Vec<_>>().await, [12, 12]);
/// # }
/// ```
///
/// # Panics
/// When the operation does.
pub fn each<T, F>(
    servers: Vec<ServerAddr>,
    jobs: NonZeroUsize,
    operation: impl Fn(ServerAddr) -> F,
) -> impl Stream<Item = (ServerAddr, T)>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    stream::iter(servers)
        .map(move |server| {
            let work = operation(server.clone());
            // Begun when the stream asks for it, so that no more than `jobs` run; a task, so that they share the cores.
            async move {
                match tokio::spawn(work).await {
                    Ok(result) => (server, result),
                    Err(failed) => std::panic::resume_unwind(failed.into_panic()),
                }
            }
        })
        .buffered(jobs.get())
}
