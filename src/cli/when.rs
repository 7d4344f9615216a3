//! When to do something that only helps people, such as colours.

use clap::ValueEnum;

/// When to do something that only helps people, such as colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Elsewhere too
    Always,
    /// Nowhere
    Never,
}
