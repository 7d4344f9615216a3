//! The memcached text protocol: types, parsers and encoders, without I/O.
//!
//! One file a command family, holding its requests, what answers them, and both directions of each:
//! [`admin`], [`crawler`], [`meta`], [`stats`]. [`Request`] and [`Reply`] gather them.
//!
//! A line reaches the parsers whole, without its line end; finding it is the [codec](crate::codec)'s work.

pub mod admin;
pub mod crawler;
mod escape;
mod key;
mod line;
pub mod meta;
mod percent;
mod reply;
mod request;
pub mod stats;

pub use escape::{Escaped, Excerpt};
pub use key::{BASE64_KEY_MAX, BinaryKey, KEY_MAX, Key, KeyError, MetaKey};
pub use percent::{PercentError, decode_percent};
pub use reply::{ErrorKind, ErrorReply, Malformed, Reply};
pub use request::{Expect, Request};
