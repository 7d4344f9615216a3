//! `mcflush hot`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mcflush::ops::hot;

use super::namespaces::DivisionArgs;
use super::{Common, seconds};
use crate::cli::hot::Options;

const EXAMPLES: &str = "\
Examples:
  mcflush hot cache1                                  which prefixes are read and written now
  mcflush hot --seconds 60 --depth 2 --top 20 cache1  for longer and finer, but only twenty
  mcflush hot --html page.html cache1                 a page with a picture";

/// What the command takes beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Hot {
    /// For how long the server's log is read
    ///
    /// The log (memcached's "watch") has a line for each get, set, delete and eviction; that costs a busy server some of its
    /// speed. What mcflush cannot read in time the server leaves out, and mcflush says how much that was. The server logs
    /// incr, decr and touch as gets, and before 1.6.22 deletes too. It needs memcached 1.4.26, without -W.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,

    #[command(flatten)]
    division: DivisionArgs,

    /// Show the N most used prefixes, and the rest in one row
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Name the N most used keys, where some stand out; 0 for none
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(..=500))]
    keys: u16,

    /// Also write a page with a picture of it, which needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

impl Hot {
    pub fn resolve(self) -> (Options, Common) {
        let hot = hot::Options::default()
            .with_division(self.division.division())
            .with_time(self.seconds)
            .with_keys(self.keys.into());
        (Options { hot, top: self.top, html: self.html }, self.common)
    }
}
