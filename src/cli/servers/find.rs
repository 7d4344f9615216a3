//! Turns the given names into servers: looks up lists, and finds servers that are named twice, which mcflush visits
//! once.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use futures_util::{StreamExt, stream};
use mcflush::address::{ListKind, ServerAddr, ServerName, Target};
use mcflush::discovery::discover;
use mcflush::ops::Context;

use crate::cli::access::Accesses;
use crate::cli::advice;
use crate::cli::screen::{tell, warn};

/// The servers, including those of lists; each spelling once.
///
/// # Errors
/// A list cannot be looked up, or is empty.
pub async fn expanded(
    targets: Vec<Target>,
    context: &Context,
    accesses: &mut Accesses,
    verbose: bool,
) -> Result<Vec<ServerAddr>, String> {
    let mut servers = Vec::new();
    for Target { name, entry } in targets {
        match name {
            ServerName::One(server) => {
                accesses.note(server.clone(), entry, None);
                servers.push(server);
            }
            ServerName::List(list) => {
                let context = context.clone().with_access(accesses.by(&entry, None));
                let failed = |error: mcflush::error::Error| {
                    format!("{list}: {}: {}: {}", error.kind(), error.problem, advice::of(&error))
                };
                let found = discover(&list, &context).await.map_err(failed)?;
                if verbose {
                    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                    tell(&format!("{list}: {}", found.join(", ")));
                }
                for server in found {
                    // Members of other lists have names of their own.
                    let name = (list.kind == ListKind::Dns).then_some(list.host.as_str());
                    accesses.note(server.clone(), entry.clone(), name);
                    servers.push(server);
                }
            }
        }
    }
    let mut seen = HashSet::new();
    servers.retain(|server| seen.insert(server.clone()));
    Ok(servers)
}

/// Each server once, by its first spelling. Warns of a name that several hosts share. A name that does not resolve
/// stays in the list, so that it fails like any other server.
pub async fn distinct(
    servers: Vec<ServerAddr>,
    context: &Context,
    jobs: NonZeroUsize,
    verbose: bool,
) -> Vec<ServerAddr> {
    let lookups = stream::iter(&servers).map(async |server| match server {
        ServerAddr::Tcp { host, port } => {
            context.resolver.addresses(host, *port, context.patience.timeout).await.unwrap_or_default()
        }
        _ => Vec::new(),
    });
    let lookups = lookups.buffered(jobs.get()).collect::<Vec<_>>();
    // After a stop, each server reports that it was stopped.
    let Some(addresses) = context.stop.run_until_cancelled(lookups).await else { return servers };
    let mut distinct = Distinct::default();
    let mut kept: Vec<ServerAddr> = Vec::new();
    for (server, mut addresses) in servers.into_iter().zip(addresses) {
        for address in &mut addresses {
            address.set_ip(address.ip().to_canonical());
        }
        if let ServerAddr::Tcp { host, port } = &server
            && let hosts @ 2.. = hosts(host, &addresses)
        {
            warn(&format!(
                "{server}: warning: {hosts} hosts have this name, and mcflush works on one of them: for all of them write \
                 memcached+dns://{host}:{port}"
            ));
        }
        match distinct.place(kept.len(), addresses) {
            Place::New => kept.push(server),
            Place::Known { at, common } => {
                let Some(known) = kept.get(at) else { continue };
                if let ServerAddr::Tcp { host, port } = known {
                    context.resolver.narrow(host, *port, &common);
                }
                if verbose {
                    tell(&format!("{server} is the same server as {known}: mcflush visits it once"));
                }
            }
        }
    }
    kept
}

/// How many hosts share a name: a host has at most one address of each family.
fn hosts(name: &str, addresses: &[SocketAddr]) -> usize {
    let is_local = name == "localhost" || name.ends_with(".localhost");
    let (v4, v6): (HashSet<SocketAddr>, HashSet<SocketAddr>) = addresses.iter().partition(|address| address.is_ipv4());
    if is_local { 1 } else { v4.len().max(v6.len()) }
}

/// Which servers are known, and by which addresses.
#[derive(Default)]
struct Distinct {
    /// For names of single hosts: two names with a common address are the same server.
    hosts: HashMap<SocketAddr, usize>,
    /// The addresses by which each of those servers is reached.
    reached_by: HashMap<usize, Vec<SocketAddr>>,
    /// For names of several hosts: mcflush works on any one of them, so only names with the same addresses are the same
    /// server.
    groups: HashMap<Vec<SocketAddr>, usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    New,
    /// The same server as an earlier one, with the addresses that both names have.
    Known {
        at: usize,
        common: Vec<SocketAddr>,
    },
}

impl Distinct {
    fn place(&mut self, next: usize, addresses: Vec<SocketAddr>) -> Place {
        if hosts("", &addresses) > 1 {
            let mut group = addresses.clone();
            group.sort_unstable();
            group.dedup();
            return match self.groups.get(&group) {
                Some(&at) => Place::Known { at, common: addresses },
                None => {
                    self.groups.insert(group, next);
                    Place::New
                }
            };
        }
        let Some(&at) = addresses.iter().find_map(|address| self.hosts.get(address)) else {
            self.hosts.extend(addresses.iter().map(|address| (*address, next)));
            self.reached_by.insert(next, addresses);
            return Place::New;
        };
        // From now on the server is reached by the addresses of both names, so that neither name leads to another host.
        let known = self.reached_by.entry(at).or_default();
        known.retain(|address| addresses.contains(address));
        let common = known.clone();
        self.hosts.retain(|address, server| *server != at || common.contains(address));
        Place::Known { at, common }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn localhost_is_one_host() {
        let both = all(&["[::1]:1", "127.0.0.1:1"]);
        assert_eq!(hosts("localhost", &both), 1);
        assert_eq!(hosts("cache1", &both), 1);
        assert_eq!(hosts("localhost", &all(&["127.0.0.1:1", "127.0.1.1:1"])), 1);
        assert_eq!(hosts("caches", &all(&["10.0.0.1:1", "10.0.0.2:1", "[fd00::1]:1"])), 2);
        assert_eq!(hosts("nobody", &[]), 0);
    }

    #[test]
    fn servers_with_one_address_are_visited_once() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.place(0, all(&["[::1]:1", "127.0.0.1:1"])), Place::New);
        assert_eq!(distinct.place(1, all(&["127.0.0.1:1"])), Place::Known { at: 0, common: all(&["127.0.0.1:1"]) });
        // The first server is reached only by IPv4 from now on, so this may be another one.
        assert_eq!(distinct.place(1, all(&["[::1]:1"])), Place::New);
        assert_eq!(distinct.place(2, all(&["127.0.0.1:2"])), Place::New);
        assert_eq!(distinct.place(3, Vec::new()), Place::New);
        assert_eq!(distinct.place(4, Vec::new()), Place::New);
    }

    #[test]
    fn one_of_several_hosts_is_not_the_others() {
        let (one, both) = (all(&["10.0.0.1:1"]), all(&["10.0.0.1:1", "10.0.0.2:1"]));
        let turned = all(&["10.0.0.2:1", "10.0.0.1:1"]);
        let mut distinct = Distinct::default();
        assert_eq!(distinct.place(0, both), Place::New);
        assert_eq!(distinct.place(1, one), Place::New);
        assert_eq!(distinct.place(2, turned.clone()), Place::Known { at: 0, common: turned });
    }
}
