//! The arguments that all commands to servers share.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::login::LoginArgs;
use super::tls::TlsArgs;
use super::{Appearance, heading, seconds};
use crate::cli::servers::Shard;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// host[:port], [v6][:port], /path/to.sock, @group, memcached://[user:password@]host[:port], memcacheds://… (TLS) or memcached+unix:///path
    ///
    /// Or the name of a list: memcached+dns://name[:port] (every A and AAAA record), memcached+srv://_memcached._tcp.name (SRV records),
    /// memcached+auto://endpoint[:port] (ElastiCache's "config get cluster"). The system resolves names, unless $MCFLUSH_DNS
    /// (ip[:port]) names a DNS server.
    ///
    /// Without a SERVER, mcflush takes the first of these that is set: $MCFLUSH_SERVERS, $MEMCACHE_SERVERS,
    /// $MEMCACHIER_SERVERS, the servers of the config file, localhost:11211. Commas, semicolons or spaces separate the servers
    /// in a variable. mcflush ignores a weight after a port or a socket.
    #[arg(value_name = "SERVER")]
    pub(super) servers: Vec<String>,

    /// Add the servers in FILE, one a line; # begins a comment, and - is stdin
    ///
    /// A file that names no server is an error.
    #[arg(long, value_name = "FILE", help_heading = heading::SERVERS)]
    pub(super) servers_from: Option<PathBuf>,

    /// Take only part I of N equal parts of the sorted server list; I counts from 0
    ///
    /// Parallel jobs that get the same list can divide it in this way, without talking to each other. An empty part is not a
    /// failure.
    #[arg(long, hide_short_help = true, value_name = "I/N", value_parser = Shard::parse, allow_hyphen_values = true, help_heading = heading::SERVERS)]
    pub(super) shard: Option<Shard>,

    /// Read servers, groups, apps and defaults from FILE, in TOML
    ///
    /// Without this option mcflush reads the first of $MCFLUSH_CONFIG, ./mcflush.toml,
    /// $XDG_CONFIG_HOME/mcflush/config.toml and /etc/mcflush.toml that exists. "mcflush config check" prints what
    /// applies.
    #[arg(long, value_name = "FILE", help_heading = heading::SERVERS)]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) login: LoginArgs,

    #[command(flatten)]
    pub(super) tls: TlsArgs,

    /// Work on N servers at once
    ///
    /// mcflush holds one or two connections to each.
    #[arg(long, value_name = "N", default_value = "16", allow_negative_numbers = true, help_heading = heading::PATIENCE)]
    pub(super) jobs: NonZeroUsize,

    /// How long a name may take to resolve, a connection to open, and a server to be silent
    ///
    /// A server that keeps answering may take longer; --deadline bounds the whole run.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true, help_heading = heading::PATIENCE)]
    pub(super) timeout: Duration,

    /// How long the whole run may take
    ///
    /// A server that is not done by then has failed, with kind "deadline", and its line says how far mcflush came.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = heading::PATIENCE)]
    pub(super) deadline: Option<Duration>,

    /// Try again N times after a refused or lost connection
    ///
    /// The waits grow from one try to the next. A name that does not resolve is not tried again.
    #[arg(long, hide_short_help = true, value_name = "N", default_value = "2", allow_negative_numbers = true, help_heading = heading::PATIENCE)]
    pub(super) retries: u32,

    /// Do not report success
    ///
    /// Failures still go to stderr, and results that were asked for, such as a list of keys, to stdout.
    #[arg(short, long, conflicts_with = "json", help_heading = heading::OUTPUT)]
    pub(super) quiet: bool,

    /// Print one JSON document, and nothing else, on stdout
    ///
    /// docs/output.schema.json describes it. "keys" prints one object a line for each key, "stats --watch" one for each look.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(super) json: bool,

    /// Report on stderr what mcflush tries
    ///
    /// It shows how mcflush lists keys, its passes, its waits, and what it tries again.
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = heading::OUTPUT)]
    pub(super) verbose: u8,

    #[command(flatten)]
    pub(super) appearance: Appearance,
}
