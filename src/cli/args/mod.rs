//! The command line: its options and their meaning. Everything is checked here, before mcflush sends a byte.

mod appearance;
mod common;
mod filter;
mod help;
mod hot;
mod keys;
pub mod login;
mod namespaces;
mod prefixes;
mod refusal;
mod stats;
mod tls;
mod words;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use mcflush::address::{ServerAddr, Target};
use mcflush::client::Patience;
use mcflush::ops::flush::Flush;
use mcflush::ops::{Strategy, clear};
use mcflush::scope::Scope;

pub use self::appearance::{Appearance, color_asked};
use self::common::Common;
use self::filter::FilterArgs;
pub use self::prefixes::unescape;
use self::prefixes::{globs, prefixes};
pub use self::refusal::Refusal;
use self::refusal::refusal;
use super::access::Accesses;
use super::config::check::Check;
use super::config::{App, Config, similar};
use super::keys_from::{self, KeysFrom};
use super::screen;
use super::servers::{Named, Shard};
use super::when::When;
use super::{completions, packaging, servers};

/// The headings of the options in the help.
mod heading {
    pub const WHAT: &str = "What to empty";
    pub const HOW: &str = "How";
    pub const SERVERS: &str = "Servers";
    pub const PATIENCE: &str = "Patience";
    pub const OUTPUT: &str = "Output";
}

/// Empty a memcached, or one app's part of it, safely.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    help_expected = true,
    color = screen::color(color_asked()),
    override_usage = USAGE,
    after_help = EXAMPLES
)]
struct Args {
    /// Flush whole instances
    ///
    /// Every app that uses them loses its items. On current servers flush_all by itself leaves some values, so mcflush then
    /// walks the hash table and deletes them; if it cannot walk, it flushes again. With --keep or --keep-match, mcflush lists
    /// and deletes keys instead, and sends no flush_all.
    #[arg(long, conflicts_with_all = ["prefix", "glob"], help_heading = heading::WHAT)]
    all: bool,

    /// Clear the keys that begin with P, and no others (repeatable)
    ///
    /// P is compared byte by byte: "shop:" is not "Shop:", and no character has a special meaning. P may begin with a
    /// hyphen. It may not be empty: use --all for that. "mcflush namespaces" shows what a framework puts before its keys.
    #[arg(long, value_name = "P", allow_hyphen_values = true, help_heading = heading::WHAT)]
    prefix: Vec<OsString>,

    /// Clear the keys that match GLOB, and no others (repeatable)
    ///
    /// GLOB is compared with the whole key, byte by byte. * matches any number of bytes, ? one byte, [a-z] one byte of the
    /// range, and [!a-z] one byte outside of it. A \ before a byte takes away its special meaning.
    /// "*:posts:*" finds the keys of a WordPress group, which begin with numbers. Quote GLOB for the shell. Together with
    /// --prefix, mcflush clears the keys that meet either.
    #[arg(id = "glob", long = "match", value_name = "GLOB", allow_hyphen_values = true, help_heading = heading::WHAT)]
    globs: Vec<OsString>,

    /// Clear the keys of an app that the config file names, on its servers
    ///
    /// [apps.NAME] in the file holds the app's prefixes and patterns, those to keep, and servers of its own if it has any.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all", "prefix", "glob"], help_heading = heading::WHAT)]
    app: Option<String>,

    /// Keep the keys that begin with P (repeatable)
    ///
    /// With --prefix shop: --keep shop:session: the visitors of a shop stay logged in. With --all, mcflush then lists and
    /// deletes keys instead of sending flush_all.
    #[arg(long, value_name = "P", allow_hyphen_values = true, help_heading = heading::WHAT)]
    keep: Vec<OsString>,

    /// Keep the keys that match GLOB (repeatable)
    ///
    /// For example: --prefix shop: --keep-match 'shop:*:session:*'.
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true, help_heading = heading::WHAT)]
    keep_match: Vec<OsString>,

    #[command(flatten, next_help_heading = heading::WHAT)]
    filter: FilterArgs,

    /// Delete exactly the keys in FILE, one a line as "mcflush keys" prints them; - for stdin
    ///
    /// mcflush deletes them on each server. A key that is not there is not a failure. If a line is not a key, mcflush sends
    /// nothing and exits with 2: it reads all of FILE first, and copies stdin to a temporary file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "prefix", "glob", "app", "keep", "keep_match", "larger", "idle",
        "no_expiry", "dry_run", "verify", "keep_new", "delay", "stagger", "once", "strategy"], help_heading = heading::WHAT)]
    keys_from: Option<PathBuf>,

    /// With --keys-from: read raw bytes with a NUL after each key, as "mcflush keys -0" prints them
    #[arg(short = '0', help_heading = heading::WHAT)]
    raw: bool,

    /// With --all: tell the server to flush after SECONDS
    ///
    /// mcflush does not wait for it. A later flush_all replaces this one.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["prefix", "glob", "keep", "keep_match", "larger", "idle", "no_expiry", "dry_run", "verify"],
        value_parser = clap::value_parser!(u32).range(1..=DELAY_MAX), allow_negative_numbers = true, help_heading = heading::HOW)]
    delay: Option<u32>,

    /// With --all on several servers: flush each SECONDS after the one before
    ///
    /// The database then does not get all misses at once. The time is added to --delay.
    #[arg(long, hide_short_help = true, value_name = "SECONDS", conflicts_with_all = ["prefix", "glob", "keep", "keep_match", "larger", "idle", "no_expiry", "dry_run", "verify"],
        value_parser = clap::value_parser!(u32).range(1..=DELAY_MAX), allow_negative_numbers = true, help_heading = heading::HOW)]
    stagger: Option<u32>,

    /// Read \xNN and \\ in --prefix and --keep, and \xNN in --match and --keep-match
    ///
    /// "mcflush keys" prints bytes that are not text in this form.
    #[arg(long, hide_short_help = true, help_heading = heading::WHAT)]
    escaped: bool,

    /// Change nothing; report what would be deleted
    ///
    /// mcflush lists the keys as a clear would, and prints their number and bytes. If you give several prefixes, it prints
    /// them for each.
    #[arg(long, conflicts_with_all = ["verify", "rate"], help_heading = heading::HOW)]
    dry_run: bool,

    /// Send each server at most N deletes a second
    ///
    /// Use it if the database cannot serve all misses at once. Other clients of the cache never wait for a clear, with or
    /// without it.
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = heading::HOW)]
    rate: Option<NonZeroU32>,

    /// With --all: send flush_all once, and do not check what it leaves
    ///
    /// This is the fastest way, but it proves nothing: from memcached 1.6.25 on, values that were stored or read in the
    /// second of the flush can stay readable until they expire.
    #[arg(long, requires = "all", conflicts_with_all = ["prefix", "glob", "app", "keep", "keep_match", "larger", "idle", "no_expiry", "dry_run", "verify", "keep_new"],
        help_heading = heading::HOW)]
    once: bool,

    /// Keep what other clients store while mcflush runs
    ///
    /// For a deploy whose new code already fills the cache. mcflush deletes an item only if its CAS says that it was stored
    /// before mcflush began. An item that a client changes in place after that (incr, append) counts as new and stays.
    /// mcflush refuses a server that has no CAS (-C), or that cannot list its keys with their CAS, before it deletes anything.
    #[arg(long, conflicts_with_all = ["dry_run", "delay", "stagger"], help_heading = heading::HOW)]
    keep_new: bool,

    /// Check again at the end that nothing old is left
    ///
    /// A clear walks the hash table once more; on older servers it demands stronger evidence. With --all, mcflush stores an
    /// item before the flush, which must be gone after it; if the server can list its keys, one more walk must find
    /// nothing old.
    #[arg(long, help_heading = heading::HOW)]
    verify: bool,

    /// How to list keys; by default mcflush chooses what is complete and safe
    #[arg(long, hide_short_help = true, value_name = "S", value_enum, help_heading = heading::HOW)]
    strategy: Option<Listing>,

    /// Do not ask before --all empties several servers of the config file
    ///
    /// mcflush asks only on a terminal.
    #[arg(long, hide_short_help = true, help_heading = heading::HOW)]
    yes: bool,

    #[command(flatten, next_help_heading = None)]
    common: Common,

    #[command(subcommand)]
    command: Option<Sub>,
}

impl Args {
    /// The arguments that all commands to servers share; none for a command that prints a text for packagers.
    fn common(&self) -> Option<&Common> {
        match &self.command {
            Some(Sub::Completions { .. } | Sub::Man) => None,
            Some(Sub::Config { what: ConfigSub::Check { common } }) => Some(common),
            Some(Sub::Stats(stats)) => Some(&stats.common),
            Some(Sub::Keys(keys)) => Some(&keys.common),
            Some(Sub::Namespaces(namespaces)) => Some(&namespaces.common),
            Some(Sub::Hot(hot)) => Some(&hot.common),
            None => Some(&self.common),
        }
    }
}

/// The values of --strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listing {
    /// The listing that is complete and safe for other clients
    Auto,
    /// One walk of the hash table; before memcached 1.6.19 it freezes other clients when mcflush reads slowly
    Hash,
    /// The LRU lists, in passes, until there is enough evidence; refused on memcached 1.6.19 to 1.6.43, which it can harm
    Lru,
    /// At most 2 MB of one LRU list of each slab class
    Cachedump,
}

impl Listing {
    const fn strategy(self) -> Option<Strategy> {
        match self {
            Self::Auto => None,
            Self::Hash => Some(Strategy::Hash),
            Self::Lru => Some(Strategy::Lru),
            Self::Cachedump => Some(Strategy::Cachedump),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Show the servers' statistics
    Stats(stats::StatsArgs),
    /// List keys, one a line
    Keys(keys::KeysArgs),
    /// Show keys and bytes by prefix
    Namespaces(namespaces::NamespacesArgs),
    /// Show which prefixes and keys are read and written now
    Hot(hot::HotArgs),
    /// Check the config file
    Config {
        #[command(subcommand)]
        what: ConfigSub,
    },
    /// Print the script that completes mcflush's command line in a shell
    ///
    /// In bash, zsh and fish it completes the names of apps, groups and servers in the config file too.
    Completions {
        /// The shell to print the script for
        shell: Shell,
        /// The words of a command line up to the cursor: what the last one may become, one a line
        #[arg(last = true, hide = true)]
        words: Vec<OsString>,
    },
    /// Print the man page
    Man,
}

#[derive(Debug, Subcommand)]
enum ConfigSub {
    /// Print the settings that apply, and where each comes from: command line, environment, config file, built in
    Check {
        #[command(flatten)]
        common: Common,
    },
}

/// In seconds. A server takes a longer delay for a date.
const DELAY_MAX: i64 = 30 * 24 * 60 * 60;

const USAGE: &str = "\
mcflush --all | --prefix P | --match GLOB | --app NAME | --keys-from FILE [OPTIONS] [SERVER]...
       mcflush COMMAND [OPTIONS] [SERVER]...";

const EXAMPLES: &str = "\
Examples:
  mcflush --all cache1 cache2:11311        flush two whole instances
  mcflush --prefix shop: cache1            clear one app's keys on a shared instance
  mcflush --dry-run --prefix shop: cache1  what that would delete
  mcflush --keys-from keys.txt cache1      delete exactly these keys
  mcflush stats /run/memcached.sock        a server's statistics
  mcflush keys --prefix shop: cache1       its keys, one a line
  mcflush namespaces --top 10 cache1       keys and bytes by prefix

Exit status: 0 done on every server, 1 on none, 2 wrong use (nothing was sent), 3 done on some, 130 or 143 interrupted.";

/// A checked command line.
#[derive(Debug)]
pub struct Invocation {
    pub command: Command,
    pub servers: Vec<Target>,
    /// How to connect and log in to the servers.
    pub accesses: Accesses,
    /// Whether mcflush asks on a terminal before it empties several servers.
    pub asks: bool,
    /// The DNS server that resolves names instead of the system.
    pub dns: Option<SocketAddr>,
    /// The part of the list that --shard selects.
    pub shard: Option<Shard>,
    /// Seconds from one server's flush to the next one's.
    pub stagger: u32,
    pub jobs: NonZeroUsize,
    pub patience: Patience,
    /// The time that the whole run may take.
    pub deadline: Option<Duration>,
    pub quiet: bool,
    pub json: bool,
    pub verbose: u8,
    pub appearance: Appearance,
    /// The hosts in the config file, for guessing what a misspelt host was meant to be.
    pub hosts: Vec<String>,
    /// Whether prefixes are spelt with --escaped.
    pub is_escaped: bool,
}

#[derive(Debug)]
pub enum Command {
    Flush(Flush),
    Clear(Scope, clear::ClearOptions),
    Survey(Scope, clear::ClearOptions),
    /// With the greatest number of deletes a second for each server.
    Delete(KeysFrom, Option<NonZeroU32>),
    Stats(super::stats::StatsCommand),
    Keys(super::keys::KeysCommand),
    Namespaces(super::namespaces::NamespacesCommand),
    Hot(super::hot::HotCommand),
}

/// Reads the process's arguments.
///
/// # Errors
/// The arguments cannot be parsed, or contradict each other.
pub fn parse() -> Result<Invocation, Refusal> {
    // First without the config file: help does not need it, and the arguments may name it.
    let matches = matches(help::arranged(Args::command()))?;
    let args = Args::from_arg_matches(&matches).map_err(refusal)?;
    match &args.command {
        Some(Sub::Completions { shell, words }) if words.is_empty() => {
            return Err(Refusal::Document(completions::script(Args::command(), *shell)));
        }
        Some(Sub::Completions { shell, words }) => {
            return Err(Refusal::Document(completions::candidates(Args::command(), *shell, words)));
        }
        Some(Sub::Man) => return Err(Refusal::Document(packaging::man(Args::command())?)),
        _ => {}
    }
    let config = args.common().and_then(|common| common.config.clone());
    let config = Config::find(config)?;
    // Without defaults for options, the same would be read again.
    if !config.has_default_options() {
        return resolve(args, &matches, &config);
    }
    let matches = self::matches(config.apply(help::arranged(Args::command()))?)?;
    resolve(Args::from_arg_matches(&matches).map_err(refusal)?, &matches, &config)
}

fn matches(command: clap::Command) -> Result<ArgMatches, Refusal> {
    command.try_get_matches().map_err(refusal)
}

fn resolve(args: Args, matches: &ArgMatches, config: &Config) -> Result<Invocation, Refusal> {
    let stagger = args.stagger.unwrap_or_default();
    let app = args.app.as_deref().map(|name| config.app(name)).transpose()?;
    let empties_all = args.all && !args.dry_run && !args.yes;
    let typed = args.common().map_or(&[][..], |common| &common.servers);
    let is_escaped = args.escaped || matches!(&args.command, Some(Sub::Keys(keys)) if keys.escaped);
    let words = words::no_command_among(typed, &args);
    let (command, common) = match args.command {
        Some(Sub::Stats(command)) => {
            let (options, common) = command.resolve()?;
            (Command::Stats(options), common)
        }
        Some(Sub::Keys(command)) => {
            let (options, common) = command.resolve()?;
            (Command::Keys(options), common)
        }
        Some(Sub::Namespaces(command)) => {
            let (options, common) = command.resolve();
            (Command::Namespaces(options), common)
        }
        Some(Sub::Hot(command)) => {
            let (options, common) = command.resolve();
            (Command::Hot(options), common)
        }
        Some(Sub::Config { what: ConfigSub::Check { common } }) => {
            words?;
            let servers = servers::named(common.servers, common.servers_from.as_deref(), None, config)?;
            let check = Check::new(config, &servers, &Args::command(), innermost(matches));
            return Err(Refusal::Document(if common.json { check.json()? } else { check.text() }));
        }
        // Their text has been printed.
        Some(Sub::Completions { .. } | Sub::Man) => return Err(Refusal::Document(Vec::new())),
        None => {
            let common = args.common.clone();
            (emptying(args, app, |option| matches.value_source(option) == Some(ValueSource::CommandLine))?, common)
        }
    };
    words?;
    let Named { servers, is_of_config, .. } =
        servers::named(common.servers, common.servers_from.as_deref(), app, config)?;
    let dns = servers::dns()?;
    let tls = if servers.iter().any(|target| target.entry.tls) {
        Some(common.tls.read()?)
    } else {
        let matches = innermost(matches);
        let is_typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if tls::IDS.iter().any(is_typed) {
            return Err(Refusal::Wrong(
                "there are TLS options, but no server is named by memcacheds://: write memcacheds://host".into(),
            ));
        }
        None
    };
    let login = common.login.form();
    let accesses = Accesses::new(common.login.credentials(config)?, login, tls);
    Ok(Invocation {
        command,
        servers,
        accesses,
        asks: empties_all && is_of_config,
        dns,
        shard: common.shard,
        stagger,
        jobs: common.jobs,
        patience: Patience::default().with_timeout(common.timeout).with_retries(common.retries),
        deadline: common.deadline,
        quiet: common.quiet,
        json: common.json,
        verbose: common.verbose,
        appearance: Appearance {
            progress: if common.quiet && common.appearance.progress == When::Auto {
                When::Never
            } else {
                common.appearance.progress
            },
            ..common.appearance
        },
        hosts: config.hosts(),
        is_escaped,
    })
}

/// The delay of each server: each is one step longer than the one before.
///
/// # Errors
/// The last delay is longer than a server accepts.
pub fn staggered(servers: &[ServerAddr], first: u32, step: u32) -> Result<HashMap<ServerAddr, u32>, String> {
    let delay = |(server, place): (&ServerAddr, u32)| {
        let delay = step.saturating_mul(place).saturating_add(first);
        (i64::from(delay) <= DELAY_MAX).then(|| (server.clone(), delay))
    };
    let delays: Option<_> = servers.iter().zip(0..).map(delay).collect();
    delays.ok_or("--stagger: the last server's delay would be over thirty days: name fewer servers or seconds".into())
}

/// The commands that delete keys, or report what they would delete.
fn emptying(args: Args, app: Option<&App>, is_typed: impl Fn(&str) -> bool) -> Result<Command, String> {
    if let Some(file) = &args.keys_from {
        if file == Path::new("-") && args.common.servers_from.as_deref() == Some(Path::new("-")) {
            return Err("--keys-from - and --servers-from - cannot both read stdin: give one of them a file".into());
        }
        let form = if args.raw { keys_from::KeysForm::Null } else { keys_from::KeysForm::Lines };
        return Ok(Command::Delete(KeysFrom::read(file, form)?, args.rate));
    }
    if args.raw {
        return Err("-0 has no effect without --keys-from: leave it out".into());
    }
    let mut prefix = prefixes("--prefix", args.prefix, args.escaped)?;
    let mut keep = prefixes("--keep", args.keep, args.escaped)?;
    let mut matching = globs("--match", args.globs, args.escaped)?;
    let mut keep_matching = globs("--keep-match", args.keep_match, args.escaped)?;
    if let Some(app) = app {
        // Used as they stand in the file, because TOML has its own escapes.
        let texts = |texts: &[String]| texts.iter().map(OsString::from).collect();
        prefix.extend(prefixes("--app", texts(&app.prefixes), false)?);
        keep.extend(prefixes("--app", texts(&app.keep), false)?);
        matching.extend(globs("--app", texts(&app.globs), false)?);
        keep_matching.extend(globs("--app", texts(&app.keep_match), false)?);
    }
    let strategy = args.strategy.and_then(Listing::strategy);
    let filter = args.filter.filter();
    let whole = args.all && keep.is_empty() && keep_matching.is_empty() && filter.is_none();
    let scope = match (args.all, prefix.is_empty() && matching.is_empty()) {
        (true, _) => Scope::everything(),
        (false, false) => Scope::of(prefix).matching(matching),
        (false, true) => {
            // A misspelt command looks like a server.
            let meant = args.common.servers.first().and_then(|first| similar(first, help::commands()));
            let advice =
                "name --all, --prefix P, --match GLOB, --app NAME, --keys-from FILE or a command, then the servers (see mcflush --help)";
            return Err(match meant {
                Some(meant) => format!("nothing to do: did you mean mcflush {meant}? Otherwise {advice}"),
                None => format!("nothing to do: {advice}"),
            });
        }
    }
    .keeping(keep)
    .keeping_matches(keep_matching);
    if whole && (is_typed("rate") || is_typed("strategy")) {
        return Err("--rate and --strategy have no effect on a flush_all: leave them out, or add --keep P".into());
    }
    if !args.all && (args.delay.is_some() || args.stagger.is_some()) {
        return Err("--delay and --stagger have no effect without --all: leave them out".into());
    }
    let options = clear::ClearOptions::default().with_strategy(strategy).with_filter(filter);
    Ok(if args.dry_run {
        Command::Survey(scope, options)
    } else if whole {
        Command::Flush(match args.delay.and_then(NonZeroU32::new) {
            Some(delay) => Flush::After(delay),
            None if args.once => Flush::Once,
            None => Flush::Exact { verify: args.verify, keep_new: args.keep_new },
        })
    } else {
        Command::Clear(scope, options.with_rate(args.rate).with_verify(args.verify).with_keep_new(args.keep_new))
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A wait longer than a day is a typing error.
    let valid = |seconds: &f64| *seconds > 0.0 && *seconds <= 86_400.0;
    let seconds = text.parse().ok().filter(valid).ok_or("give seconds, above 0 and at most 86400")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The matches of the innermost command on the command line.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

#[cfg(test)]
mod tests {
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
