//! Empty a memcached, or one app's part of it, safely.

pub mod codec;
pub mod protocol;
