//! `mcflush keys`.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use clap::ValueEnum;
use mcflush::ops::keys::{self, Order, Top};
use mcflush::scope::Scope;

use super::filter::FilterArgs;
use super::{Common, Listing, globs, prefixes};
use crate::cli::keys::{KeysCommand, KeysFormat};
use crate::cli::text::terminal_width;

const EXAMPLES: &str = "\
Examples:
  mcflush keys --prefix shop: cache1        one app's keys, one a line
  mcflush keys --long --keep shop: cache1   all other keys, with expiry, size and more
  mcflush keys --long --top 20 cache1       the 20 largest
  mcflush keys --idle 7d cache1             keys that no client has read for a week
  mcflush keys --json cache1                one JSON object a line";

/// The arguments of `keys` beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    /// List only the keys that begin with P (repeatable)
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    prefix: Vec<OsString>,

    /// Leave out the keys that begin with P (repeatable)
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    keep: Vec<OsString>,

    /// List only the keys that match GLOB (repeatable)
    ///
    /// GLOB is compared with the whole key, byte by byte. * matches any number of bytes, ? one byte, [a-z] one byte of the
    /// range, and [!a-z] one byte outside of it. A \ before a byte takes away its special meaning.
    /// Together with --prefix, mcflush lists the keys that meet either.
    #[arg(id = "glob", long = "match", value_name = "GLOB", allow_hyphen_values = true)]
    globs: Vec<OsString>,

    /// Leave out the keys that match GLOB (repeatable)
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true)]
    keep_match: Vec<OsString>,

    /// Read \xNN and \\ in --prefix and --keep, and \xNN in --match and --keep-match, as they are printed
    #[arg(long)]
    pub escaped: bool,

    #[command(flatten)]
    filter: FilterArgs,

    /// With --top: which keys come first
    #[arg(long, value_name = "BY", value_enum, requires = "top", default_value = "size")]
    sort: Sort,

    /// List only the first N keys of all servers together, in the order of --sort
    ///
    /// mcflush holds no more than N keys in memory, however many the servers list.
    #[arg(long, value_name = "N", value_parser = top, allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Print expiry, last access, size, CAS and slab class before each key (Unix times; - is never, or unknown)
    ///
    /// On a terminal, mcflush prints columns, with units.
    #[arg(long, conflicts_with = "null")]
    long: bool,

    /// Print raw bytes with a NUL after each key, as xargs -0 reads them
    #[arg(short = '0', conflicts_with = "json")]
    null: bool,

    /// How to list keys; by default mcflush chooses what is complete and safe
    #[arg(long, hide_short_help = true, value_name = "S", value_enum)]
    strategy: Option<Listing>,

    #[command(flatten)]
    pub common: Common,
}

impl KeysArgs {
    pub fn resolve(self) -> Result<(KeysCommand, Common), String> {
        let include = prefixes("--prefix", self.prefix, self.escaped)?;
        let keep = prefixes("--keep", self.keep, self.escaped)?;
        let matching = globs("--match", self.globs, self.escaped)?;
        let keep_matching = globs("--keep-match", self.keep_match, self.escaped)?;
        let scope = if include.is_empty() && matching.is_empty() {
            Scope::everything()
        } else {
            Scope::of(include).matching(matching)
        };
        let scope = scope.keeping(keep).keeping_matches(keep_matching);
        let format = match (self.common.json, self.null) {
            (true, _) => KeysFormat::Json { long: self.long },
            (false, true) => KeysFormat::Null,
            (false, false) if self.long && terminal_width().is_some() => KeysFormat::Columns,
            (false, false) => KeysFormat::Lines { long: self.long },
        };
        let strategy = self.strategy.and_then(Listing::strategy);
        let top = self.top.map(|most| Top { order: self.sort.order(), most });
        let listing =
            keys::KeysOptions::default().with_strategy(strategy).with_filter(self.filter.filter()).with_top(top);
        Ok((KeysCommand { scope, listing, format }, self.common))
    }
}

/// The values of --sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest
    Size,
    /// The longest unread, as far as the server notes reads
    Age,
    /// The next to expire
    Expiry,
    /// The keys, byte by byte
    Key,
}

impl Sort {
    const fn order(self) -> Order {
        match self {
            Self::Size => Order::Size,
            Self::Age => Order::Age,
            Self::Expiry => Order::Expiry,
            Self::Key => Order::Key,
        }
    }
}

/// More keys than this would take much memory, and no user reads so many.
const TOP_MAX: usize = 100_000;

fn top(text: &str) -> Result<NonZeroUsize, String> {
    let most = text.parse().ok().filter(|most: &NonZeroUsize| most.get() <= TOP_MAX);
    most.ok_or_else(|| format!("give a number from 1 to {TOP_MAX}"))
}
