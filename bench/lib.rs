//! What `benches/protocol.rs` measures beside this crate.

/// The parser of async-memcached, from the source that cargo has fetched.
#[allow(warnings, clippy::all)]
mod peer {
    include!(concat!(env!("OUT_DIR"), "/peer.rs"));
}

pub use peer::parser as async_memcached_parser;

/// What that parser calls its crate's error.
#[derive(Debug)]
pub enum Error {
    /// The server's fault.
    Protocol(peer::parser::Status),
}
