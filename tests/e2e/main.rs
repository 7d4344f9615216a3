//! The built binary against real servers and scripted ones. All in one test binary, so that it is linked once.
//!
//! Real servers come from `scripts/fetch-memcached`; `make test` runs it first.

// A test may panic; the code that it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unwrap_used)]

mod auth;
mod clear;
mod clear_at_size;
mod completions;
mod config;
mod dialects;
mod engine;
mod engine_conditions;
mod environment;
mod examples;
mod faults;
mod fleet;
mod fleet_at_size;
mod flush;
mod flush_cut;
mod flush_exact;
mod harmless;
mod harness;
mod hot;
mod interrupts;
mod json;
mod keys;
mod keys_from;
mod library;
mod mistakes;
mod model_is_like_a_server;
mod names;
mod namespaces;
mod output;
mod passes;
mod processes;
mod sasl;
mod services;
mod several_servers;
mod snapshots;
mod stats;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod tls;
mod usage;
