//! The memcached text protocol: types, parsers and encoders, without I/O.
//!
//! Each command family has one file with its requests and its replies, and with a parser and an encoder for each:
//! [`storage`], [`retrieval`], [`item`], [`meta`], [`admin`], [`crawler`], [`cachedump`], [`tuning`], [`stats`],
//! [`watch`], [`config`]. [`Request`] and [`Reply`] gather them; [`Expect`] says which replies answer which request.
//!
//! Each file's `parse` functions are its grammar, written with nom; nom's types do not leave this module. The private
//! module `line` has the parsers of words that all grammars share, and says which lines are parsed by hand. The
//! [codec](crate::codec) finds each line and the data block after it; a `parse` function gets a whole line, without its
//! line end.

pub mod admin;
pub mod binary;
pub mod cachedump;
pub mod config;
pub mod crawler;
mod error;
mod escape;
mod expect;
pub mod item;
mod key;
mod line;
pub mod meta;
mod percent;
mod reply;
mod request;
pub mod retrieval;
mod scalar;
mod spelling;
pub mod stats;
pub mod storage;
pub mod tuning;
mod value_error;
pub mod watch;

pub use error::{ErrorKind, ErrorReply, Meaning};
pub use escape::{Escaped, Excerpt};
pub use expect::Expect;
pub use key::{BASE64_KEY_MAX, BinaryKey, KEY_MAX, Key, KeyError, MetaKey};
pub use percent::{PercentError, decode_percent};
pub(crate) use reply::{BlockLine, Take};
pub use reply::{OtherLine, Part, Reply};
pub(crate) use request::Quiet;
pub use request::{Request, UnknownLine};
pub use scalar::{Cas, Exptime, Fraction, ItemFlags, Opaque};
pub use spelling::Spelling;
pub use value_error::ValueError;
