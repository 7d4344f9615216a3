//! When something is done that only helps people.

use clap::ValueEnum;

/// When something is done that only helps people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Elsewhere too
    Always,
    /// Nowhere
    Never,
}
