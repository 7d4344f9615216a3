//! Any request, and what will answer it.

use bytes::{BufMut, BytesMut};

use super::admin::FlushAll;
use super::crawler::Metadump;
use super::meta::MetaDelete;
use super::stats::StatsGroup;

/// Something a client asks of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// `flush_all`.
    FlushAll(FlushAll),
    /// `lru_crawler metadump`.
    Metadump(Metadump),
    /// `md`.
    MetaDelete(MetaDelete),
    /// `mn`: answered by `MN` when everything before it is answered, quiet or not. The fence.
    MetaNoop,
    /// `stats`.
    Stats(StatsGroup),
    /// `version`.
    Version,
}

impl Request {
    /// Appends the request as it goes over the wire.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::FlushAll(flush) => flush.encode(out),
            Self::Metadump(dump) => dump.encode(out),
            Self::MetaDelete(delete) => delete.encode(out),
            Self::MetaNoop => out.put_slice(b"mn"),
            Self::Stats(group) => group.encode(out),
            Self::Version => out.put_slice(b"version"),
        }
        out.put_slice(b"\r\n");
    }

    /// What will answer.
    #[must_use]
    pub const fn expect(&self) -> Expect {
        match self {
            Self::FlushAll(_) => Expect::Ok,
            Self::Metadump(_) => Expect::Metadump,
            Self::MetaDelete(delete) if delete.quiet => Expect::QuietMeta,
            Self::MetaDelete(_) => Expect::Meta,
            Self::MetaNoop => Expect::Noop,
            Self::Stats(_) => Expect::Stats,
            Self::Version => Expect::Version,
        }
    }
}

/// What answers a request: replies cannot be told from their bytes alone (`END` closes five different things).
///
/// An error line is an answer to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// A meta line.
    Meta,
    /// `metadump` lines, then `END`.
    Metadump,
    /// `MN`.
    Noop,
    /// `OK`.
    Ok,
    /// Nothing when all went well, else a meta line.
    QuietMeta,
    /// `STAT` lines, then `END`.
    Stats,
    /// `VERSION …`.
    Version,
}
