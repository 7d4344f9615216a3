//! `mcflush namespaces`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mcflush::ops::namespaces::Division;

use super::{Common, Listing, seconds};
use crate::cli::namespaces::NamespacesCommand;

const EXAMPLES: &str = "\
Examples:
  mcflush namespaces cache1                     keys and bytes by prefix, the largest first
  mcflush namespaces --depth 2 --top 20 cache1  longer prefixes, the twenty largest
  mcflush namespaces --hot 60 cache1            with reads and writes a second, over a minute
  mcflush namespaces --html page.html cache1    a page with a chart";

/// Where prefixes end.
#[derive(Debug, clap::Args)]
pub struct DivisionArgs {
    /// The byte that ends a prefix (repeatable) [default: any of : / . |]
    #[arg(long, value_name = "C", value_parser = separator, allow_hyphen_values = true)]
    separator: Vec<u8>,

    /// The most parts that a prefix has
    ///
    /// With 2, shop:cart:7 counts under shop:cart:, and shop:7 still under shop:.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    depth: NonZeroUsize,
}

impl DivisionArgs {
    pub fn division(self) -> Division {
        if self.separator.is_empty() {
            Division::new(*b":/.|", self.depth)
        } else {
            Division::new(self.separator, self.depth)
        }
    }
}

/// The arguments of `namespaces` beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NamespacesArgs {
    #[command(flatten)]
    division: DivisionArgs,

    /// Show the N largest prefixes, and the rest in one row
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Also write a page with a chart to FILE; the page needs no network
    ///
    /// It has a map in which each prefix takes its share of the bytes, and a table that a reader can sort.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Also show which prefixes are read and written, measured for SECONDS
    ///
    /// The reads and writes a second come from the server's log, as in "mcflush hot". A prefix that is large and never read is
    /// worth a look. The log needs memcached 1.4.26 or later, started without -W.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    hot: Option<Duration>,

    /// How to list keys; by default mcflush chooses what is complete and safe
    #[arg(long, hide_short_help = true, value_name = "S", value_enum)]
    strategy: Option<Listing>,

    #[command(flatten)]
    pub common: Common,
}

impl NamespacesArgs {
    pub fn resolve(self) -> (NamespacesCommand, Common) {
        let division = self.division.division();
        let strategy = self.strategy.and_then(Listing::strategy);
        (NamespacesCommand { division, strategy, top: self.top, html: self.html, hot: self.hot }, self.common)
    }
}

fn separator(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("give one byte, such as : or -"),
    }
}
