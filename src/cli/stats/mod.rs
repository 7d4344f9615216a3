//! What `mcflush stats` prints.

mod known;
mod prometheus;
mod table;
mod watch;

use std::time::Duration;

use clap::ValueEnum;
use mcflush::address::ServerAddr;
use mcflush::protocol::stats::{Stat, StatsGroup};

pub use self::prometheus::prometheus;
pub use self::table::table;
pub use self::watch::{LastStats, Since};

/// What to ask for, and how to print it.
#[derive(Debug, Clone)]
pub struct StatsCommand {
    pub groups: Vec<Group>,
    pub format: StatsFormat,
    pub watch: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// Tables for people
    Table,
    /// One document; with --watch one a line
    Json,
    /// Prometheus text, named and typed like memcached_exporter's
    Prometheus,
}

/// A group as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Group {
    /// The server as a whole
    General,
    /// The settings that the server was started with
    Settings,
    /// Items of each slab class
    Items,
    /// Memory of each slab class
    Slabs,
    /// Items of each size
    Sizes,
    /// Connections
    Conns,
    /// External storage
    Extstore,
    /// The built-in proxy
    Proxy,
    /// Counts of each key prefix, if `stats detail on` was sent
    Detail,
}

impl Group {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Settings => "settings",
            Self::Items => "items",
            Self::Slabs => "slabs",
            Self::Sizes => "sizes",
            Self::Conns => "conns",
            Self::Extstore => "extstore",
            Self::Proxy => "proxy",
            Self::Detail => "detail",
        }
    }

    pub const fn asked(self) -> StatsGroup {
        match self {
            Self::General => StatsGroup::General,
            Self::Settings => StatsGroup::Settings,
            Self::Items => StatsGroup::Items,
            Self::Slabs => StatsGroup::Slabs,
            Self::Sizes => StatsGroup::Sizes,
            Self::Conns => StatsGroup::Conns,
            Self::Extstore => StatsGroup::Extstore,
            Self::Proxy => StatsGroup::Proxy,
            Self::Detail => StatsGroup::DetailDump,
        }
    }
}

/// A server's statistics, by group.
pub type GroupStats = Vec<(Group, Vec<Stat>)>;

/// A server and its statistics.
pub type ServerStats = (ServerAddr, GroupStats);

/// A number in a form that servers write.
pub fn number(value: &[u8]) -> Option<f64> {
    let plain = value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}
