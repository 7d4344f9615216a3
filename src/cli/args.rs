//! What may be typed, and what it means. Everything is checked here, before anything is sent.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, Subcommand};
use mcflush::address::ServerAddr;
use mcflush::client::Patience;
use mcflush::scope::{Prefix, Scope};

use super::{WRONG_USE, complain, servers};

/// Empty a memcached, or one app's part of it, safely.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    help_expected = true,
    after_help = EXAMPLES
)]
struct Args {
    /// Flush whole instances (flush_all)
    #[arg(long, conflicts_with = "prefix")]
    all: bool,

    /// Clear the keys that begin with P, and no others (repeatable: any of them)
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    prefix: Vec<OsString>,

    #[command(flatten)]
    common: Common,

    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Show what the servers say of themselves
    Stats {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// host[:port], [v6][:port], /path/to.sock, memcached://host[:port] or memcached+unix:///path
    ///
    /// Without any: $MCFLUSH_SERVERS, else $MEMCACHE_SERVERS, else localhost:11211.
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,

    /// Servers worked on at once
    #[arg(long, value_name = "N", default_value = "16", allow_negative_numbers = true)]
    jobs: NonZeroUsize,

    /// Seconds for connecting (name resolution included), and for any silence of a server
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Duration,

    /// Tries again after a refused or lost connection
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true)]
    retries: u32,

    /// Print nothing on stdout when all went well
    #[arg(short, long)]
    quiet: bool,

    /// Say on stderr what is tried
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  mcflush --all cache1 cache2:11311        flush two whole instances
  mcflush --prefix shop: cache1            clear one app's keys on a shared instance
  mcflush stats /run/memcached.sock        what a server says of itself

Exit status: 0 done on every server, 1 on none, 2 wrong use (nothing was sent), 3 done on some, 130 or 143 interrupted.";

/// What to do, where, and how.
#[derive(Debug)]
pub struct Invocation {
    pub command: Command,
    pub servers: Vec<ServerAddr>,
    pub jobs: NonZeroUsize,
    pub patience: Patience,
    pub quiet: bool,
    pub verbose: u8,
}

#[derive(Debug)]
pub enum Command {
    Flush,
    Clear(Scope),
    Stats,
}

/// Why nothing is done.
#[derive(Debug)]
pub enum Refusal {
    /// Help and the like, which was asked for.
    Asked(clap::Error),
    /// What is wrong, and what to do, in a line.
    Wrong(String),
}

impl Refusal {
    /// Says so and gives the exit status.
    pub fn print(self) -> ExitCode {
        match self {
            Self::Asked(text) => match text.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(1),
            },
            Self::Wrong(line) => {
                complain(&line);
                ExitCode::from(WRONG_USE)
            }
        }
    }
}

/// Reads the process's arguments.
///
/// # Errors
/// They mean nothing that can be done.
pub fn parse() -> Result<Invocation, Refusal> {
    let args = Args::try_parse().map_err(|error| refusal(&error, error.kind()).unwrap_or(Refusal::Asked(error)))?;
    resolve(args).map_err(Refusal::Wrong)
}

fn resolve(args: Args) -> Result<Invocation, String> {
    let (command, common) = match (args.command, args.all, args.prefix) {
        (Some(Sub::Stats { common }), ..) => (Command::Stats, common),
        (None, true, _) => (Command::Flush, args.common),
        (None, false, prefixes) if !prefixes.is_empty() => (Command::Clear(scope(prefixes)?), args.common),
        (None, ..) => {
            return Err("nothing to do: name --all, --prefix P or stats, then the servers (see mcflush --help)".into());
        }
    };
    Ok(Invocation {
        command,
        servers: servers::named(common.servers)?,
        jobs: common.jobs,
        patience: Patience { timeout: common.timeout, retries: common.retries },
        quiet: common.quiet,
        verbose: common.verbose,
    })
}

fn scope(prefixes: Vec<OsString>) -> Result<Scope, String> {
    let prefix = |text: OsString| {
        Prefix::new(Bytes::from(text.into_encoded_bytes())).map_err(|error| format!("--prefix: {error}"))
    };
    Ok(Scope::of(prefixes.into_iter().map(prefix).collect::<Result<Vec<_>, _>>()?))
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A longer wait than a day is a typing error.
    let valid = |seconds: &f64| *seconds > 0.0 && *seconds <= 86_400.0;
    let seconds = text.parse().ok().filter(valid).ok_or("give seconds, above 0 and at most 86400")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// An error of the parser in one line; none for what is no error.
fn refusal(error: &clap::Error, kind: ErrorKind) -> Option<Refusal> {
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return None;
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(':');
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(arguments) if first.ends_with(':') => format!(" {arguments}"),
        _ => String::new(),
    };
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(|tip| format!(": {tip}"));
    let tip = tip.unwrap_or_default();
    Some(Refusal::Wrong(super::text::one_line(&format!("{what}{missing}{tip} (see mcflush --help)"))))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn seconds_are_above_zero() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "1e9", "", "1s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
