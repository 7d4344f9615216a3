//! `mcflush hot`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mcflush::ops::hot;

use super::namespaces::DivisionArgs;
use super::{Common, seconds};
use crate::cli::hot::HotCommand;

const EXAMPLES: &str = "\
Examples:
  mcflush hot cache1                                  which prefixes are read and written now
  mcflush hot --seconds 60 --depth 2 --top 20 cache1  for longer, with longer prefixes, the twenty most used
  mcflush hot --html page.html cache1                 a page with a chart";

/// The arguments of `hot` beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct HotArgs {
    /// How long to read the server's log
    ///
    /// The log (memcached's "watch") has a line for each get, set, delete and eviction, which costs a busy server some of its
    /// speed. The server leaves out what mcflush cannot read in time, and mcflush says how much that was. The server logs
    /// incr, decr and touch as gets, and before 1.6.22 deletes too. The log needs memcached 1.4.26 or later, started
    /// without -W.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,

    #[command(flatten)]
    division: DivisionArgs,

    /// Show the N most used prefixes, and the rest in one row
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Show up to N of the most used keys, if some stand out; 0 shows none
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(..=500))]
    keys: u16,

    /// Also write a page with a chart to FILE; the page needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

impl HotArgs {
    pub fn resolve(self) -> (HotCommand, Common) {
        let hot = hot::HotOptions::default()
            .with_division(self.division.division())
            .with_time(self.seconds)
            .with_keys(self.keys.into());
        (HotCommand { hot, top: self.top, html: self.html }, self.common)
    }
}
