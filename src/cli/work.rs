//! Runs the commands: gives each server its operation, and the report each result.

use std::collections::{HashMap, HashSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use mcflush::address::ServerAddr;
use mcflush::discovery::cluster::{Siblings, siblings};
use mcflush::error::{Error, Problem};
use mcflush::fleet;
use mcflush::ops::clear;
use mcflush::ops::flush::{self, Flush};
use mcflush::ops::hot;
use mcflush::ops::keys::keys as list_keys;
use mcflush::ops::namespaces::{Namespaces, namespaces as count_namespaces};
use mcflush::ops::stats::stats as ask_for_stats;
use mcflush::ops::{Context, Events};
use mcflush::protocol::config::Node;
use mcflush::scope::Scope;
use tokio::time::Instant;

use super::access::Accesses;
use super::hot::{FleetTraffic, Live};
use super::json::Document;
use super::keys_from::KeysFrom;
use super::progress::Progress;
use super::report::Report;
use super::screen::warn;
use super::stats::{GroupStats, LastStats, StatsFormat};
use super::verbose::Verbose;
use super::when::When;
use super::{keys, namespaces, stats};

/// What all commands need.
pub struct Work {
    pub servers: Vec<ServerAddr>,
    /// How many servers mcflush works on at once.
    pub jobs: NonZeroUsize,
    /// The settings, except for a server's login and the receiver of its events.
    pub context: Context,
    pub accesses: Accesses,
    pub progress: Progress,
    pub verbose: Verbose,
}

/// The seconds after which a flush takes effect.
pub const fn delay(how: Flush) -> u32 {
    match how {
        Flush::After(delay) => delay.get(),
        Flush::Once | Flush::Exact { .. } => 0,
    }
}

/// Warns if a server is one node of a cluster whose other nodes are not named.
async fn warn_of_siblings(server: &ServerAddr, all: &HashSet<ServerAddr>, context: &Context) {
    let is_named = |node: &Node| {
        let by = |host: String| all.contains(&ServerAddr::Tcp { host, port: node.port });
        by(node.host.clone()) || node.address.is_some_and(|address| by(address.to_string()))
    };
    let which = match siblings(server, context).await {
        Some(Siblings::Nodes(nodes)) if !nodes.iter().all(is_named) => Some(format!("one node of {}", nodes.len())),
        Some(Siblings::Unknown) => Some("the endpoint of a cluster".into()),
        _ => None,
    };
    if let Some(which) = which {
        warn(&format!(
            "{server}: warning: this is {which}, and the others are left as they are: name all of them by \
             memcached+auto://{server}"
        ));
    }
}

impl Work {
    /// Flushes each server, after its delay.
    pub async fn flush(&self, how: Flush, delays: &HashMap<ServerAddr, u32>, report: &mut Report) {
        let staggers = !matches!(how, Flush::After(_));
        let all = self.named();
        let operation = |server: ServerAddr, context| {
            let (delay, all) = (delays.get(&server).copied(), Arc::clone(&all));
            async move {
                let unknown = || Error {
                    server: server.clone(),
                    problem: Problem::Incomplete("mcflush set no time for its flush, so it did not flush".into()),
                };
                let delay = delay.ok_or_else(unknown)?;
                warn_of_siblings(&server, &all, &context).await;
                let later = NonZeroU32::new(delay).map_or(how, Flush::After);
                let began = Instant::now();
                // The future of a flush is large, so it does not go into this one.
                match Box::pin(flush::flush(&server, later, &context)).await {
                    // If a service takes no delay, mcflush waits for the server's turn itself. It does not do so for a
                    // --delay, because the caller does not expect to wait that long.
                    Err(Error { problem: Problem::NoDelay(_), .. }) if staggers => {
                        let turn = began + Duration::from_secs(delay.into());
                        context.stop.run_until_cancelled(tokio::time::sleep_until(turn)).await;
                        Box::pin(flush::flush(&server, how, &context)).await
                    }
                    result => result,
                }
            }
        };
        self.each(self.jobs, operation, |server, result| report.flushed(&server, result)).await;
    }

    pub async fn clear(&self, scope: Scope, options: clear::ClearOptions, report: &mut Report) {
        report.asks_for(&scope);
        let (scope, all) = (Arc::new(scope), self.named());
        let operation = |server, context| {
            let (scope, all) = (Arc::clone(&scope), Arc::clone(&all));
            async move {
                warn_of_siblings(&server, &all, &context).await;
                clear::clear(&server, &scope, &options, &context).await
            }
        };
        self.each(self.jobs, operation, |server, result| report.cleared(&server, result)).await;
    }

    /// Deletes exactly these keys.
    pub async fn delete(&self, keys: KeysFrom, rate: Option<NonZeroU32>, report: &mut Report) {
        let all = self.named();
        let operation = |server, context| {
            let (keys, all) = (keys.keys(), Arc::clone(&all));
            async move {
                warn_of_siblings(&server, &all, &context).await;
                clear::delete(&server, keys, rate, &context).await
            }
        };
        self.each(self.jobs, operation, |server, result| report.deleted(&server, result)).await;
    }

    /// Reports what a clear would delete.
    pub async fn survey(&self, scope: Scope, options: clear::ClearOptions, report: &mut Report) {
        report.asks_for(&scope);
        let scope = Arc::new(scope);
        let operation = |server, context| {
            let scope = Arc::clone(&scope);
            async move { clear::survey(&server, &scope, &options, &context).await }
        };
        self.each(self.jobs, operation, |server, result| report.surveyed(&server, &scope, result)).await;
    }

    /// Asks for the statistics once; with --watch again and again, until a signal or until stdout is closed.
    pub async fn stats(&self, options: stats::StatsCommand, report: &mut Report) {
        let stats::StatsCommand { groups, format, watch: every } = options;
        let asked: Arc<[_]> = groups.iter().map(|group| group.asked()).collect();
        let mut watch = every.map(|every| (every, LastStats::default()));
        loop {
            let began = Instant::now();
            let mut answered = Vec::new();
            let operation = |server, context| {
                let asked = Arc::clone(&asked);
                async move { ask_for_stats(&server, &asked, &context).await }
            };
            let note = |server, result: Result<Vec<_>, _>| {
                let said = result.map(|said| groups.iter().copied().zip(said).collect::<GroupStats>());
                let now = Instant::now();
                let since = match (&mut watch, &said) {
                    (Some((_, last)), Ok(said)) => Some(last.compare(&server, said, now)),
                    _ => None,
                };
                answered.extend(report.stats(&server, said, since.as_ref()).map(|said| (server, said)));
            };
            self.each(self.jobs, operation, note).await;
            let Some((every, _)) = &watch else { return report.all_stats(&answered, format) };
            let next = tokio::time::sleep_until(began + *every);
            if !report.end_of_round() || self.context.stop.run_until_cancelled(next).await.is_none() {
                return;
            }
            report.begin_round((format == StatsFormat::Json).then(|| Document::changing_nothing("stats")));
        }
    }

    pub async fn keys(&self, options: keys::KeysCommand, report: &mut Report) {
        let keys::KeysCommand { scope, listing, format } = options;
        report.asks_for(&scope);
        let (pages, printer) = keys::printer(format, listing.top);
        let scope = Arc::new(scope);
        let operation = |server, context| {
            let (scope, pages) = (Arc::clone(&scope), pages.clone());
            async move { list_keys(&server, &scope, &listing, &context, &pages).await }
        };
        // One server after the other, so that the keys of a server stand together.
        self.each(NonZeroUsize::MIN, operation, |server, result| report.listed(&server, result)).await;
        drop(pages);
        // A stalled reader must not keep a process that was told to stop.
        if let Some(Ok(Err(error))) = self.context.stop.run_until_cancelled(printer).await {
            report.broke(error);
        }
        report.hint_aside();
    }

    pub async fn namespaces(&self, options: namespaces::NamespacesCommand, report: &mut Report) {
        let namespaces::NamespacesCommand { division, strategy, top, html, hot } = options;
        let log = hot.map(|time| hot::HotOptions::default().with_division(division.clone()).with_time(time));
        let shared = Arc::new((division, log));
        let operation = |server, context| {
            let shared = Arc::clone(&shared);
            async move {
                let (division, log) = &*shared;
                let counts = count_namespaces(&server, division, strategy, &context);
                match log {
                    None => counts.await.map(|counted| (counted, None)),
                    Some(options) => {
                        // The log's lines must not count as listed keys.
                        let quiet = context.clone().with_events(Events::default());
                        let seen = hot::hot(&server, options, &quiet, |_| {});
                        let (counted, seen) = futures_util::future::join(counts, seen).await;
                        counted.and_then(|counted| Ok((counted, Some(seen?))))
                    }
                }
            }
        };
        let (mut total, mut together) = (Namespaces::default(), FleetTraffic::default());
        let note = |server: ServerAddr, result: Result<_, Error>| {
            let (counted, seen) = match result {
                Ok((counted, seen)) => (Ok(counted), seen),
                Err(error) => (Err(error), None),
            };
            report.counted(&server, &counted, seen.as_ref());
            let Ok(found) = counted else { return };
            total.add(&found.namespaces);
            match seen {
                Some(seen) => together.add(server, seen),
                None => together.servers.push(server),
            }
        };
        self.each(self.jobs, operation, note).await;
        let FleetTraffic { servers, sighting, .. } = together;
        let sighting = hot.map(|_| &sighting);
        report.namespaces(&servers, &total, sighting, top);
        if let Some(file) = html {
            report.page(&file, &servers, &total, sighting, top);
        }
    }

    /// Reports what clients read and write now.
    pub async fn hot(&self, options: super::hot::HotCommand, when: When, report: &mut Report) {
        let super::hot::HotCommand { hot, top, html } = options;
        let live = Live::start(when, hot.time);
        let (hot, most) = (Arc::new(hot.clone()), hot.keys);
        let operation = |server, context| {
            let (hot, so_far) = (Arc::clone(&hot), live.note(&server));
            async move { hot::hot(&server, &hot, &context, so_far).await }
        };
        let mut together = FleetTraffic::default();
        let note = |server: ServerAddr, result| {
            report.seen(&server, &result);
            if let Ok(seen) = result {
                together.add(server, seen);
            }
        };
        self.each(self.jobs, operation, note).await;
        live.finish();
        report.used(&together, most, top);
        if let Some(file) = html {
            report.page_of_uses(&file, &together, top);
        }
    }

    /// The set of all servers of this run.
    fn named(&self) -> Arc<HashSet<ServerAddr>> {
        Arc::new(self.servers.iter().cloned().collect())
    }

    /// Runs an operation on each server, and passes each result to `note`.
    async fn each<T, F>(
        &self,
        jobs: NonZeroUsize,
        operation: impl Fn(ServerAddr, Context) -> F,
        mut note: impl FnMut(ServerAddr, T),
    ) where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let operation = |server: ServerAddr| {
            let context = self.context(&server);
            operation(server, context)
        };
        let mut results = fleet::each(self.servers.clone(), jobs, operation);
        while let Some((server, result)) = results.next().await {
            note(server, result);
        }
    }

    fn context(&self, server: &ServerAddr) -> Context {
        let (row, tell) = (self.progress.row(server), self.verbose.listener(server));
        let events = Events::to(move |event| {
            row.note(&event);
            tell(event);
        });
        self.context.clone().with_access(self.accesses.of(server)).with_events(events)
    }
}
