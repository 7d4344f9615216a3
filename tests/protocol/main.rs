//! The protocol and its codecs, through the crate's interface: recorded bytes, cuts, attribution, limits, allocations, and
//! real servers (with the feature `cli`, because the module that starts servers also runs the command).

// A test may panic; the code that it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unwrap_used)]

mod allocations;
mod attribution;
mod cases;
mod conversions;
#[cfg(feature = "cli")]
mod differential;
mod limits;
#[cfg(feature = "cli")]
mod passthrough;
#[path = "../support/recorded.rs"]
mod recorded;
#[cfg(feature = "cli")]
#[path = "../support/mod.rs"]
mod support;
mod transcripts;
mod visiting;
