//! The terminal: output interrupts the live lines, and is coloured if the terminal can show colours and the user wants
//! them.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use clap::ColorChoice;
use console::style;
use indicatif::ProgressBar;

use super::when::When;

/// The live lines at the bottom of the terminal. They are global because there is one terminal, and other code prints
/// on it while they are drawn.
static LIVE: OnceLock<ProgressBar> = OnceLock::new();

/// Registers live lines, which are removed while other code prints.
pub fn share_with(lines: ProgressBar) {
    // A run has one set of live lines.
    let _ = LIVE.set(lines);
}

/// Removes the live lines while `print` runs.
pub fn aside<T>(print: impl FnOnce() -> T) -> T {
    match LIVE.get() {
        Some(lines) => lines.suspend(print),
        None => print(),
    }
}

/// Prints an error on stderr. If that fails, only the exit status reports it.
pub fn complain(line: &str) {
    say(style("mcflush:").red().bold(), line);
}

/// Prints a line on stderr that changes the meaning of a result.
pub fn warn(line: &str) {
    say(style("mcflush:").yellow().bold(), line);
}

/// Prints a line on stderr that reports progress.
pub fn tell(line: &str) {
    say(style("mcflush:").dim(), line);
}

fn say(name: console::StyledObject<&str>, line: &str) {
    let name = name.for_stderr();
    aside(|| {
        let _ = writeln!(io::stderr().lock(), "{name} {line}");
    });
}

/// Whether lines on stderr can be redrawn.
pub fn is_drawable() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// Sets whether stdout and stderr are coloured from now on. Returns the choice for clap's own output.
pub fn color(when: When) -> ColorChoice {
    let is_wanted = |is_terminal: bool| match when {
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal && !is_dumb() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let stdout = is_wanted(io::stdout().is_terminal());
    console::set_colors_enabled(stdout);
    console::set_colors_enabled_stderr(is_wanted(io::stderr().is_terminal()));
    if stdout { ColorChoice::Always } else { ColorChoice::Never }
}

/// Whether stdout goes to a file, so that no terminal or pager shows it.
pub fn is_kept() -> bool {
    let copy = io::stdout().as_fd().try_clone_to_owned();
    copy.and_then(|copy| File::from(copy).metadata()).is_ok_and(|of| of.is_file())
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}
