//! Empty a memcached, or one app's part of it, safely.

pub mod address;
pub mod binary_client;
pub mod client;
pub mod codec;
pub mod connection;
#[cfg(feature = "discovery")]
pub mod discovery;
pub mod error;
pub mod fleet;
pub mod ops;
pub mod protocol;
pub mod resolver;
pub mod scope;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
