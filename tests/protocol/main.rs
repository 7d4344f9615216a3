//! The protocol and its codecs, through the crate's interface: recorded bytes, cuts, attribution, limits, allocations, and
//! real servers (with the feature `cli`, because what starts those also runs the command).

// A test may stop at the first surprise; what it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unwrap_used)]

mod allocations;
mod attribution;
mod cases;
#[cfg(feature = "cli")]
mod differential;
mod limits;
#[cfg(feature = "cli")]
mod passthrough;
#[cfg(feature = "cli")]
#[path = "../support/mod.rs"]
mod support;
mod transcripts;
mod visiting;
