//! One operation over many servers: so many at a time, results in the order of the input.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;

use tokio::task::JoinSet;

use crate::address::ServerAddr;

/// Runs an operation on each server, at most `jobs` at a time. One that fails does not stop the others.
///
/// As soon as one operation ends, the next server's starts: a slow server takes up one of the `jobs`, and delays only the results
/// after its own, which the fleet keeps until it can return them in order. Dropping the fleet aborts the
/// operations that still run.
///
/// ```no_run
/// # async fn example() {
/// use std::num::NonZeroUsize;
/// let servers = ["cache1", "cache2"].map(|name| name.parse().expect("an address")).to_vec();
/// let mut lengths = mcflush::fleet::each(servers, NonZeroUsize::MIN, |server| async move { server.to_string().len() });
/// while let Some((server, length)) = lengths.next().await {
///     println!("{server}: {length}");
/// }
/// # }
/// ```
///
#[must_use = "nothing runs before `next`"]
pub fn each<T, F>(
    servers: Vec<ServerAddr>,
    jobs: NonZeroUsize,
    operation: impl Fn(ServerAddr) -> F,
) -> Fleet<T, impl Fn(ServerAddr) -> F>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    Fleet {
        waiting: servers.into_iter().enumerate(),
        operation,
        jobs: jobs.get(),
        running: JoinSet::new(),
        ended: HashMap::new(),
        given: 0,
    }
}

/// An operation on many servers that has begun: [`Self::next`] gives its results.
pub struct Fleet<T, O> {
    /// The servers that were not started yet, each with its place in the input.
    waiting: std::iter::Enumerate<std::vec::IntoIter<ServerAddr>>,
    operation: O,
    jobs: usize,
    /// Tasks, so that they share the cores.
    running: JoinSet<(usize, ServerAddr, T)>,
    /// Results, by index, that wait for an earlier one.
    ended: HashMap<usize, (ServerAddr, T)>,
    /// How many results were returned.
    given: usize,
}

impl<T, O> fmt::Debug for Fleet<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("waiting", &self.waiting.len())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

impl<T, O, F> Fleet<T, O>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    O: Fn(ServerAddr) -> F,
{
    /// The next result in the order of the input; none after the last. Nothing is lost when this is dropped before it returns.
    ///
    /// # Panics
    /// When the operation did.
    pub async fn next(&mut self) -> Option<(ServerAddr, T)> {
        loop {
            while self.running.len() < self.jobs
                && let Some((place, server)) = self.waiting.next()
            {
                // An operation's future is large: it is moved to the heap before others are built around it.
                let work = Box::pin((self.operation)(server.clone()));
                self.running.spawn(async move { (place, server, work.await) });
            }
            if let Some(result) = self.ended.remove(&self.given) {
                self.given += 1;
                return Some(result);
            }
            match self.running.join_next().await? {
                Ok((place, server, result)) => {
                    self.ended.insert(place, (server, result));
                }
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    fn servers(count: u16) -> Vec<ServerAddr> {
        (1..=count).map(|port| ServerAddr::Tcp { host: "localhost".into(), port }).collect()
    }

    fn port(server: &ServerAddr) -> u16 {
        match server {
            ServerAddr::Tcp { port, .. } => *port,
            ServerAddr::Unix(_) => 0,
        }
    }

    async fn all<T, O, F>(mut fleet: Fleet<T, O>) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        O: Fn(ServerAddr) -> F,
    {
        let mut results = Vec::new();
        while let Some((_, result)) = fleet.next().await {
            results.push(result);
        }
        results
    }

    const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

    #[tokio::test]
    async fn a_slow_server_takes_one_job_and_no_more() {
        let (others, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (running, others_ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let results = each(servers(201), JOBS, |server| {
            let (others, most, running) = (others.clone(), most.clone(), running.clone());
            let others_ended = others_ended.clone();
            async move {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                if port(&server) == 1 {
                    // Ends only when all others have.
                    others_ended.notified().await;
                } else if others.fetch_add(1, SeqCst) == 199 {
                    others_ended.notify_one();
                }
                running.fetch_sub(1, SeqCst);
                port(&server)
            }
        });
        let results = timeout(Duration::from_secs(60), all(results)).await;
        assert_eq!(results.expect("the others go on beside it"), (1..=201).collect::<Vec<_>>());
        assert!(most.load(SeqCst) <= JOBS.get());
    }

    /// Counts itself out when it is dropped.
    struct Guest(Arc<AtomicUsize>, Arc<Notify>);

    impl Drop for Guest {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
            self.1.notify_one();
        }
    }

    #[tokio::test]
    async fn dropping_the_run_ends_its_tasks() {
        let (running, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut results = Box::pin(each(servers(10), JOBS, |server| {
            running.fetch_add(1, SeqCst);
            let guest = Guest(running.clone(), left.clone());
            async move {
                if port(&server) > 1 {
                    pending::<()>().await;
                }
                drop(guest);
            }
        }));
        assert!(results.next().await.is_some());
        assert_eq!(running.load(SeqCst), JOBS.get(), "the next server's has begun in its place");
        drop(results);
        let all_left = async {
            while running.load(SeqCst) > 0 {
                left.notified().await;
            }
        };
        timeout(Duration::from_secs(60), all_left).await.expect("no task outlives the run");
    }

    #[tokio::test]
    #[should_panic(expected = "the operation's own")]
    async fn a_panic_is_passed_on() {
        let results = each(servers(1), JOBS, |_| async { panic!("the operation's own") });
        let _: Vec<()> = all(results).await;
    }
}
