//! The terminal: what is printed makes the live lines step aside, and is coloured where that helps and is wanted.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use clap::ColorChoice;
use console::style;
use indicatif::ProgressBar;

use super::when::When;

/// The live lines at the terminal's lower end. There is one terminal, and other code prints on it while they are drawn.
static LIVE: OnceLock<ProgressBar> = OnceLock::new();

/// Registers live lines, which are taken away while other code prints.
pub fn share_with(lines: ProgressBar) {
    // A run has one set of live lines.
    let _ = LIVE.set(lines);
}

/// Prints while the live lines are taken away.
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

/// What changes the meaning of a result: a line on stderr.
pub fn warn(line: &str) {
    say(style("mcflush:").yellow().bold(), line);
}

/// What is going on: a line on stderr.
pub fn tell(line: &str) {
    say(style("mcflush:").dim(), line);
}

fn say(name: console::StyledObject<&str>, line: &str) {
    let name = name.for_stderr();
    aside(|| {
        let _ = writeln!(io::stderr().lock(), "{name} {line}");
    });
}

/// Whether lines can be drawn over on stderr.
pub fn is_drawable() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// Colours from now on, on either stream; an answer to clap for what it prints.
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

/// Whether stdout goes to a file, and no terminal or pager shows it.
pub fn is_kept() -> bool {
    let copy = io::stdout().as_fd().try_clone_to_owned();
    copy.and_then(|copy| File::from(copy).metadata()).is_ok_and(|of| of.is_file())
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}
