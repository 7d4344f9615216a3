//! `version`, `verbosity`, `flush_all`, `stats`, `config get cluster`.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;
use super::call::{Call, Heard, Parts};
use crate::error::{Error, Problem};
use crate::protocol::admin::{FlushAll, ServerVersion, Verbosity};
use crate::protocol::config::{ConfigGet, Node};
use crate::protocol::stats::{Stat, StatsGroup};
use crate::protocol::{Key, Reply, Request};

/// More statistics than any server has: a longer answer does not come from memcached.
const STATS_MAX: usize = 100_000;

impl Call<ServerVersion> {
    /// `version`.
    #[must_use]
    pub fn version() -> Self {
        Self::of_one("version", Request::Version, |heard| match heard.last()? {
            Reply::Version(version) => Ok(version),
            reply => Err(Box::new(reply)),
        })
    }
}

impl Call<()> {
    /// `verbosity`: how much the server writes to its log.
    #[must_use]
    pub fn verbosity(level: u32) -> Self {
        Self::of_one("verbosity", Request::Verbosity(Verbosity { level, noreply: false }), ok)
    }

    /// `flush_all`, always with an answer.
    #[must_use]
    pub fn flush_all(flush: FlushAll) -> Self {
        Self::of_one("flush_all", Request::FlushAll(FlushAll { noreply: false, ..flush }), ok)
    }
}

fn ok(heard: Heard) -> Result<(), super::call::Other> {
    match heard.last()? {
        Reply::Ok => Ok(()),
        reply => Err(Box::new(reply)),
    }
}

impl Call<Vec<Stat>> {
    /// `stats`.
    #[must_use]
    pub fn stats(group: StatsGroup) -> Self {
        Self::of_many(group.command(), Request::Stats(group), STATS_MAX, |heard| {
            let (parts, last) = match heard {
                Heard::Several(replies) => *replies,
                heard => (Parts::None, heard.last()?),
            };
            // A command that switches or resets something is answered without statistics; not every group ends with
            // `END`.
            let last = match last {
                Reply::End | Reply::Ok | Reply::Reset => None,
                last => Some(last),
            };
            let stats = parts.into_replies().into_iter().chain(last).map(|reply| match reply {
                Reply::Stat(stat) => Ok(stat),
                reply => Err(Box::new(reply)),
            });
            stats.collect()
        })
    }
}

/// Commands about the whole server.
impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// `version`.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn version(&mut self) -> Result<ServerVersion, Error> {
        self.run(Call::version()).await
    }

    /// `verbosity`: how much the server writes to its log.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn verbosity(&mut self, level: u32) -> Result<(), Error> {
        self.run(Call::verbosity(level)).await
    }

    /// `flush_all`, always with an answer. It does not ensure that no item stored before is readable; `ops::flush`
    /// does.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`]; the server was started with `-F` ([`Problem::Disabled`]).
    pub async fn flush_all(&mut self, flush: FlushAll) -> Result<(), Error> {
        self.run(Call::flush_all(flush)).await
    }

    /// A group of statistics. Statistics of `stats detail` are named `PREFIX:get` and so on. Groups that switch or
    /// reset something (`reset`, `detail on`) are answered without statistics.
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn stats(&mut self, group: StatsGroup) -> Result<Vec<Stat>, Error> {
        self.run(Call::stats(group)).await
    }

    /// The nodes of the cluster that this server belongs to (`config get cluster`, known to ElastiCache).
    ///
    /// A call that is dropped before it returns poisons the client.
    ///
    /// # Errors
    /// As [`Self::run`], or the server does not know the command (a plain memcached).
    pub async fn cluster(&mut self) -> Result<Vec<Node>, Error> {
        let name = Key::new("cluster").map_err(|_| self.error(Problem::NoCluster))?;
        self.ask("config get cluster", Request::ConfigGet(ConfigGet { name }))?;
        self.flush().await?;
        let nodes = match self.next().await?.reply {
            Reply::Config(config) => {
                let nodes = config.nodes().ok_or_else(|| self.refused(Reply::Config(config)))?;
                match self.next().await?.reply {
                    Reply::End => Ok(nodes),
                    reply => return Err(self.refused(reply)),
                }
            }
            Reply::End | Reply::Error(_) => Err(self.error(Problem::NoCluster)),
            reply => return Err(self.refused(reply)),
        };
        self.leave();
        nodes
    }
}
