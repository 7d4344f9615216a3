//! `mcflush namespaces`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mcflush::ops::namespaces::Division;

use super::{Common, Listing, seconds};
use crate::cli::namespaces::Options;

const EXAMPLES: &str = "\
Examples:
  mcflush namespaces cache1                     keys and bytes by prefix, the largest first
  mcflush namespaces --depth 2 --top 20 cache1  finer, but only twenty
  mcflush namespaces --hot 60 cache1            and how often it is read and written in a minute
  mcflush namespaces --html page.html cache1    a page with a picture";

/// Where prefixes end.
#[derive(Debug, clap::Args)]
pub struct DivisionArgs {
    /// A prefix ends with this byte (repeatable: any of them; default any of : / . |)
    #[arg(long, value_name = "C", value_parser = separator, allow_hyphen_values = true)]
    separator: Vec<u8>,

    /// How many parts a prefix has at most
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

/// What the command takes beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Namespaces {
    #[command(flatten)]
    division: DivisionArgs,

    /// Show the N largest, and the rest in one row
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Also write a page with a picture of it, which needs no network
    ///
    /// A map in which each prefix has its share of the bytes, and a table to sort; for light and dark, desk and phone.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Look for so long which prefixes are read and written, too
    ///
    /// Reads and writes a second, by the server's log, as "mcflush hot" has them: a prefix that is large and never read is one
    /// to look into. It needs memcached 1.4.26, without -W.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    hot: Option<Duration>,

    /// How keys are listed, for those who know better
    #[arg(long, hide_short_help = true, value_name = "S", value_enum)]
    strategy: Option<Listing>,

    #[command(flatten)]
    pub common: Common,
}

impl Namespaces {
    pub fn resolve(self) -> (Options, Common) {
        let division = self.division.division();
        let strategy = self.strategy.and_then(Listing::strategy);
        (Options { division, strategy, top: self.top, html: self.html, hot: self.hot }, self.common)
    }
}

fn separator(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("give one byte, such as : or -"),
    }
}
