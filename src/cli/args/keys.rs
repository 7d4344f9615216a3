//! `mcflush keys`.

use std::ffi::OsString;

use mcflush::scope::Scope;

use super::{Common, Listing, globs, prefixes};
use crate::cli::keys::{Format, Options};

const EXAMPLES: &str = "\
Examples:
  mcflush keys --prefix shop: cache1        one app's keys, one a line
  mcflush keys --long --keep shop: cache1   everybody else's, with expiry, size and more
  mcflush keys --json cache1                an object a line";

/// What the command takes beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    /// Only the keys that begin with P (repeatable: any of them)
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    prefix: Vec<OsString>,

    /// Not the keys that begin with P (repeatable)
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    keep: Vec<OsString>,

    /// Only the keys that match GLOB (repeatable, also beside --prefix: any of them)
    ///
    /// GLOB is about the whole key: * is any bytes or none, ? is one byte, [a-z] is one of these, [!a-z] is one of the others,
    /// and \ makes the byte behind it stand for itself.
    #[arg(long = "match", value_name = "GLOB", allow_hyphen_values = true)]
    globs: Vec<OsString>,

    /// Not the keys that match GLOB (repeatable)
    #[arg(long, value_name = "GLOB", allow_hyphen_values = true)]
    keep_match: Vec<OsString>,

    /// Read \xNN and \\ in --prefix and --keep, and \xNN in --match and --keep-match, as they are printed
    #[arg(long)]
    pub escaped: bool,

    /// Before the key its expiry, last access, size, CAS and slab class (Unix times; - is never, or not known)
    #[arg(long, conflicts_with = "null")]
    long: bool,

    /// Raw bytes with a NUL behind each key, as xargs -0 reads them
    #[arg(short = '0', conflicts_with = "json")]
    null: bool,

    /// How keys are listed, for those who know better
    #[arg(long, hide_short_help = true, value_name = "S", value_enum)]
    strategy: Option<Listing>,

    #[command(flatten)]
    pub common: Common,
}

impl Keys {
    pub fn resolve(self) -> Result<(Options, Common), String> {
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
            (true, _) => Format::Json { long: self.long },
            (false, true) => Format::Null,
            (false, false) => Format::Lines { long: self.long },
        };
        let strategy = self.strategy.and_then(Listing::strategy);
        Ok((Options { scope, strategy, format }, self.common))
    }
}
