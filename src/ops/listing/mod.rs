//! Lists keys, with one file for each strategy, through [`walk`].

mod cachedump;
mod choice;
mod filter;
mod heads;
mod left_out;
mod metadump;
mod readiness;
pub(super) mod sample;
mod visit_all;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};

pub(super) use self::choice::{Way, choose};
pub use self::filter::Filter;
pub(super) use self::filter::Sieve;
pub use self::visit_all::Uncertainty;
pub(super) use self::visit_all::{Sampling, Visited, visit_all};
use super::dialect::Dumps;
use super::{Context, Event};
use crate::address::ServerAddr;
use crate::client::Client;
use crate::error::{Error, Problem};
use crate::protocol::cachedump::CachedumpItem;
use crate::protocol::crawler::{CrawlTarget, MetadumpLine};
use crate::protocol::{ErrorReply, Excerpt, KEY_MAX, Meaning, PercentError};

/// How many keys an operation that changes nothing reports in one event: one event for each key would be too many.
pub(super) const KEYS_PER_EVENT: u64 = 4096;

/// How the keys of a server are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// `lru_crawler metadump hash`: a walk of the hash table lists every key that is there during all of it.
    Hash,
    /// `lru_crawler metadump all`: misses keys that clients are reading, so a clear takes several passes.
    Lru,
    /// `stats cachedump`: at most 2 MB of one LRU list of each slab class; all keys only if each class has one list.
    Cachedump,
}

impl Strategy {
    /// The word for the strategy in options and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Lru => "lru",
            Self::Cachedump => "cachedump",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An item that a listing gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum ListedItem<'a> {
    Metadump(MetadumpLine<'a>),
    Cachedump(&'a CachedumpItem),
}

impl ListedItem<'_> {
    /// Appends the key, decoded.
    ///
    /// # Errors
    /// The server could not have listed this key; nothing was appended.
    pub(super) fn append_key(self, out: &mut BytesMut) -> Result<(), PercentError> {
        match self {
            Self::Metadump(item) => item.decode_key(out),
            Self::Cachedump(item) if (1..=KEY_MAX).contains(&item.key().len()) => {
                out.put_slice(item.key());
                Ok(())
            }
            Self::Cachedump(_) => Err(PercentError),
        }
    }

    /// Replaces `key` with the key, decoded.
    ///
    /// # Errors
    /// The server could not have listed this key.
    pub(super) fn decode_key(self, server: &ServerAddr, key: &mut BytesMut) -> Result<(), Error> {
        key.clear();
        self.append_key(key).map_err(|source| Error {
            server: server.clone(),
            problem: Problem::BadKey { source, excerpt: Excerpt::of(self.raw_key()) },
        })
    }

    /// The key as it came.
    pub(super) fn raw_key(&self) -> &[u8] {
        match self {
            Self::Metadump(item) => item.encoded_key(),
            Self::Cachedump(item) => item.key(),
        }
    }

    /// The line as it came, without its end.
    pub(super) fn line(&self) -> &[u8] {
        match self {
            Self::Metadump(item) => item.as_bytes(),
            Self::Cachedump(item) => item.as_bytes(),
        }
    }

    /// The CAS; none if the listing does not give it.
    pub(super) fn cas(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.cas().map(u64::from),
            Self::Cachedump(_) => None,
        }
    }

    /// Size in bytes: of the whole item in a metadump, of the value in a cachedump; 0 if the listing does not give it.
    pub(super) fn size(self) -> u64 {
        self.known_size().unwrap_or_default()
    }

    /// As [`Self::size`]; none if the listing does not give it.
    pub(super) fn known_size(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.size(),
            Self::Cachedump(item) => Some(item.size()),
        }
    }

    /// When it expires, as a Unix time; none if it never expires.
    pub(super) fn expires(self) -> Option<u64> {
        match self {
            // -1 means never.
            Self::Metadump(item) => item.number("exp"),
            // 0 means never, or on old servers the time of the server's start.
            Self::Cachedump(item) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(item.expires()).filter(|&time| time > now.as_secs())
            }
        }
    }

    /// The last access as a Unix time; none if the listing does not give it.
    pub(super) fn last_access(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.number("la"),
            Self::Cachedump(_) => None,
        }
    }

    /// The slab class; none if the listing does not give it.
    pub(super) fn class(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.number("cls"),
            Self::Cachedump(_) => None,
        }
    }
}

/// Receives the items of a listing.
pub(super) trait Visitor: Send {
    /// Receives one item.
    ///
    /// # Errors
    /// Why the walk is given up: it tells nothing of the keys that are not visited.
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error>;
}

/// What a listing to its end leaves out for certain, beside keys that it may miss.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Slab classes that hold more keys than the server lists.
    pub(super) cut: Vec<CutClass>,
    /// About how many keys are in lists, or in a form, that the server does not list.
    pub(super) hidden: u64,
    /// The server can list only a part of its keys.
    pub(super) is_partial: bool,
    /// Keys that are listed under a name that no command finds.
    pub(super) unnamed: u64,
}

/// Why the listing of a slab class ends before its last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server lists only the newest 2 MB of keys.
    Limit,
    /// A key holds a line end; the listing cannot be read after it.
    LineEnd,
}

/// A slab class whose last keys are not listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutClass {
    /// The class's number.
    pub(super) class: u32,
    /// About how many of its keys the server does not list.
    pub(super) unlisted: u64,
    /// Why they are not listed.
    pub(super) by: Cut,
}

impl Coverage {
    /// No key is left out.
    pub(super) const ALL: Self = Self { cut: Vec::new(), hidden: 0, is_partial: false, unnamed: 0 };

    pub(super) fn is_whole(&self) -> bool {
        *self == Self::ALL
    }
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// The listing came to its end.
    Whole(Coverage),
    /// The server refused this listing.
    Refused(ErrorReply),
}

impl Way {
    /// The next way after the server refused this one: a cachedump. There is none if the caller asked for the strategy,
    /// if this is a cachedump, or if a proxy answered.
    ///
    /// # Errors
    /// [`disabled`]: there is no other way.
    pub(super) fn after(
        self,
        refused: ErrorReply,
        asked: Option<Strategy>,
        server: &ServerAddr,
        context: &Context,
    ) -> Result<Self, Error> {
        if asked.is_some() || self.strategy == Strategy::Cachedump || refused.meaning() == Meaning::Proxy {
            return Err(disabled(server, refused));
        }
        let why = format!("{} was answered \"{}\"", self.strategy, Excerpt::of(refused.line()));
        context.events.tell(Event::Strategy { strategy: Strategy::Cachedump, why });
        Ok(Self { strategy: Strategy::Cachedump, ..self })
    }
}

/// The error of a server that lists its keys by no strategy.
fn disabled(server: &ServerAddr, reply: ErrorReply) -> Error {
    let problem = match reply.meaning() {
        Meaning::Proxy => Problem::Refusal { command: "lru_crawler metadump", reply },
        Meaning::Off => Problem::Disabled {
            what: "listing keys",
            instead: "start memcached without -X and with its LRU crawler, or flush the whole instance",
            reply,
        },
        _ => Problem::NoListing(reply),
    };
    Error { server: server.clone(), problem }
}

/// Lists the keys of a server over a connection used for nothing else.
///
/// # Errors
/// The connection was lost, the crawler was busy for too long, or a line belongs to no listing. The keys visited until
/// then exist.
pub(super) async fn walk(
    way: Way,
    client: &mut Client,
    context: &Context,
    visitor: &mut dyn Visitor,
) -> Result<Walked, Error> {
    let Way { strategy, dialect } = way;
    let server = client.server().clone();
    let walk = async {
        match strategy {
            Strategy::Hash => metadump::walk(CrawlTarget::Hash, dialect, client, context, visitor).await,
            Strategy::Cachedump => cachedump::walk(client, dialect, context, visitor).await,
            Strategy::Lru if dialect.dumps() == Dumps::WithoutHeads => {
                heads::walk(dialect, client, context, visitor).await
            }
            Strategy::Lru if dialect.obeys_tocrawl() => left_out::walk(dialect, client, context, visitor).await,
            Strategy::Lru => metadump::walk(CrawlTarget::All, dialect, client, context, visitor).await,
        }
    };
    if dialect.closing_crashes() {
        // The walk ends by itself if the operation is stopped. Dropping it would close the connection.
        walk.await
    } else {
        context.unless_stopped(&server, walk).await
    }
}

#[cfg(test)]
mod tests;
