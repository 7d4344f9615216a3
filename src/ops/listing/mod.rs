//! Listing keys: a strategy a file, behind [`walk`].

mod metadump;

use std::fmt;

use super::Context;
use crate::client::Client;
use crate::error::Error;
use crate::protocol::ErrorReply;
use crate::protocol::crawler::{CrawlTarget, MetadumpItem};

/// How the keys of a server are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// `lru_crawler metadump hash`: a walk of the hash table lists every key that is there during all of it.
    Hash,
    /// `lru_crawler metadump all`: misses recently read keys, so it takes several passes.
    Lru,
}

impl Strategy {
    /// The word for it in options and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Lru => "lru",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Takes what a walk lists.
pub(super) trait Visitor {
    /// An item. False gives the walk up.
    fn visit(&mut self, item: &MetadumpItem) -> Result<bool, Error>;
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// To its end line.
    Whole,
    /// The visitor gave it up: the connection is in the middle of a dump.
    GivenUp,
    /// The server does not do this.
    Refused(ErrorReply),
}

/// Lists the keys of a server on a connection of its own.
///
/// # Errors
/// The connection broke, the server is busy for too long, or what came is no listing. What was visited by then is real.
pub(super) async fn walk(
    strategy: Strategy,
    client: &mut Client,
    context: &Context,
    visitor: &mut impl Visitor,
) -> Result<Walked, Error> {
    match strategy {
        Strategy::Hash => metadump::walk(CrawlTarget::Hash, client, context, visitor).await,
        Strategy::Lru => metadump::walk(CrawlTarget::All, client, context, visitor).await,
    }
}
