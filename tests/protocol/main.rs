//! The protocol and its codecs, through the crate's interface: recorded bytes, cuts, attribution, limits, allocations, and
//! real servers.

// A test may stop at the first surprise; what it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unwrap_used)]

mod allocations;
mod attribution;
mod cases;
mod differential;
mod limits;
mod passthrough;
#[path = "../support/mod.rs"]
mod support;
mod transcripts;
mod visiting;
