//! Turns a name into its addresses.
//!
//! Each name is resolved once in a run: all connections to a server go to the same host, and no second wait is spent on
//! a name that does not resolve.

#[cfg(feature = "discovery")]
pub mod dns;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::wait;
use crate::error::Problem;

/// Resolves names, and remembers the results. Clones share them.
///
/// The system's resolver runs on a thread of its own, which cannot be stopped. A program that wants to end while it
/// still waits shuts its runtime down [in the background](tokio::runtime::Runtime::shutdown_background).
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    /// The DNS server to ask instead of the system's resolver.
    #[cfg(feature = "discovery")]
    dns: Option<dns::Dns>,
    known: Arc<Mutex<HashMap<(String, u16), Outcome>>>,
}

type Outcome = Result<Vec<SocketAddr>, Unresolved>;

/// Why a name has no address.
#[derive(Debug, Clone)]
enum Unresolved {
    Failed(String),
    Silent(Duration),
}

impl Resolver {
    /// Asks only this DNS server, and not the system.
    #[cfg(feature = "discovery")]
    #[must_use]
    pub fn asking(dns: dns::Dns) -> Self {
        Self { dns: Some(dns), known: Arc::default() }
    }

    /// The DNS server that is asked instead of the system's resolver.
    #[cfg(feature = "discovery")]
    #[must_use]
    pub const fn dns(&self) -> Option<&dns::Dns> {
        self.dns.as_ref()
    }

    /// The addresses of a host, in the order in which to try them: at least one.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), mcflush::error::Problem> {
    /// let resolver = mcflush::resolver::Resolver::default();
    /// let addresses = resolver.addresses("localhost", 11211, std::time::Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name does not resolve, or does not resolve in time.
    pub async fn addresses(&self, host: &str, port: u16, within: Duration) -> Result<Vec<SocketAddr>, Problem> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = (host.to_owned(), port);
        let known = self.known().get(&name).cloned();
        let outcome = match known {
            Some(outcome) => outcome,
            None => {
                let began = Instant::now();
                let outcome = match wait::at_most(within, self.ask(host, port)).await {
                    Some(Ok(addresses)) if addresses.is_empty() => Err(Unresolved::Failed("it has no address".into())),
                    Some(Ok(addresses)) => Ok(addresses),
                    Some(Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
                        Err(Unresolved::Failed(error.to_string()))
                    }
                    // The resolver gave up before the timeout.
                    Some(Err(_)) => Err(Unresolved::Silent(Duration::from_secs(began.elapsed().as_secs()))),
                    None => Err(Unresolved::Silent(within)),
                };
                self.known().insert(name, outcome.clone());
                outcome
            }
        };
        outcome.map_err(|unresolved| match unresolved {
            Unresolved::Failed(why) => Problem::Resolve(io::Error::other(why)),
            Unresolved::Silent(after) => Problem::Silence { doing: "resolving the name", after },
        })
    }

    /// Limits a host to these of its addresses from now on.
    pub fn narrow(&self, host: &str, port: u16, to: &[SocketAddr]) {
        self.known().insert((host.to_owned(), port), Ok(to.to_vec()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, u16), Outcome>> {
        // No code that holds the lock can panic in the middle of a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        #[cfg(feature = "discovery")]
        if let Some(dns) = &self.dns {
            return Ok(dns.addresses(host).await?.into_iter().map(|address| SocketAddr::new(address, port)).collect());
        }
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}
