//! Colours and progress lines.

use std::env;

use clap::ValueEnum;

use crate::cli::when::When;

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Appearance {
    /// Colours: auto (on a terminal), always or never
    ///
    /// If NO_COLOR is set and not empty, auto means never.
    #[arg(long, hide_short_help = true, value_name = "WHEN", value_enum, hide_possible_values = true, default_value = "auto", help_heading = super::heading::OUTPUT)]
    pub color: When,

    /// Progress lines: auto (on a terminal), always or never
    ///
    /// Without a terminal, always prints a plain line on stderr now and then.
    #[arg(long, hide_short_help = true, value_name = "WHEN", value_enum, hide_possible_values = true, default_value = "auto", help_heading = super::heading::OUTPUT)]
    pub progress: When,
}

/// The value of --color before the arguments are parsed, because help and refusals have colours too.
pub fn color_asked() -> When {
    let arguments: Vec<_> = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let mut values = arguments.iter().enumerate().filter_map(|(at, argument)| match argument.strip_prefix("--color") {
        Some("") => arguments.get(at + 1).map(String::as_str),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    values.next_back().and_then(|value| When::from_str(value, false).ok()).unwrap_or(When::Auto)
}
