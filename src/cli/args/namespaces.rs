//! `mcflush namespaces`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use mcflush::ops::namespaces::Division;

use super::{Common, Listing};
use crate::cli::namespaces::Options;

/// What the command takes beside the servers.
#[derive(Debug, clap::Args)]
pub struct Namespaces {
    /// A prefix ends with this byte (repeatable: any of them; default any of : / . |)
    #[arg(long, value_name = "C", value_parser = separator, allow_hyphen_values = true)]
    separator: Vec<u8>,

    /// How many parts a prefix has at most
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    depth: NonZeroUsize,

    /// Show the N largest, and the rest in one row
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,

    /// Also write a page with a picture of it, which needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// How keys are listed, for those who know better
    #[arg(long, value_name = "S", value_enum)]
    strategy: Option<Listing>,

    #[command(flatten)]
    pub common: Common,
}

impl Namespaces {
    pub fn resolve(self) -> (Options, Common) {
        let division = if self.separator.is_empty() {
            Division::new(*b":/.|", self.depth)
        } else {
            Division::new(self.separator, self.depth)
        };
        let strategy = self.strategy.and_then(Listing::strategy);
        (Options { division, strategy, top: self.top, html: self.html }, self.common)
    }
}

fn separator(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("give one byte, such as : or -"),
    }
}
