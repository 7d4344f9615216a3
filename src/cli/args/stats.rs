//! `mcflush stats`.

use std::time::Duration;

use super::{Common, seconds};
use crate::cli::stats::{Group, StatsCommand, StatsFormat};

const EXAMPLES: &str = "\
Examples:
  mcflush stats cache1 cache2                           side by side, with a total
  mcflush stats --group items --group slabs cache1      where the memory goes
  mcflush stats --format prometheus cache1              for a node exporter's text files";

/// The arguments of `stats` beside the servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatsArgs {
    /// Which statistics (repeatable) [default: general]
    ///
    /// A group of which a server has no figures stays empty. A group that the server does not know is an error.
    #[arg(long, value_name = "GROUP", value_enum)]
    group: Vec<Group>,

    /// How to print them [default: table]; --json means --format json
    ///
    /// On a terminal, a table groups digits and adds units. Elsewhere mcflush prints the figures as the server sent them.
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<StatsFormat>,

    /// Repeat every SECONDS, and show what has changed since the last look, and the hit ratio
    ///
    /// mcflush goes on until it is interrupted. If a server does not answer one look, mcflush asks it again at the next.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    watch: Option<Duration>,

    #[command(flatten)]
    pub common: Common,
}

impl StatsArgs {
    pub fn resolve(mut self) -> Result<(StatsCommand, Common), String> {
        let format = match (self.format, self.common.json) {
            (Some(StatsFormat::Table | StatsFormat::Prometheus), true) => {
                return Err("--json and another --format: leave one of them out".into());
            }
            (Some(StatsFormat::Json), _) | (None, true) => StatsFormat::Json,
            (Some(format), false) => format,
            (None, false) => StatsFormat::Table,
        };
        if self.watch.is_some() && format == StatsFormat::Prometheus {
            return Err("--watch does not go with --format prometheus, because Prometheus asks again by itself: leave --watch out".into());
        }
        self.common.json = format == StatsFormat::Json;
        let mut groups = self.group;
        let mut seen = Vec::new();
        groups.retain(|group| {
            !seen.contains(group) && {
                seen.push(*group);
                true
            }
        });
        if groups.is_empty() {
            groups.push(Group::General);
        }
        Ok((StatsCommand { groups, format, watch: self.watch }, self.common))
    }
}
