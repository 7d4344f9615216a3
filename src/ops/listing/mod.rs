//! Listing keys: a strategy a file, behind [`walk`].

mod cachedump;
mod choice;
mod filter;
mod heads;
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

/// Keys that an operation which only looks puts into one event: an event for each would be too many.
pub(super) const KEYS_PER_EVENT: u64 = 4096;

/// How the keys of a server are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// `lru_crawler metadump hash`: a walk of the hash table lists every key that is there during all of it.
    Hash,
    /// `lru_crawler metadump all`: misses keys that are being read, so a clear takes several passes.
    Lru,
    /// `stats cachedump`: one list of each slab class, at most 2 MB of it; all keys only where a class has one list.
    Cachedump,
}

impl Strategy {
    /// The word for it in options and JSON.
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

/// An item that a walk lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum ListedItem<'a> {
    Metadump(MetadumpLine<'a>),
    Cachedump(&'a CachedumpItem),
}

impl ListedItem<'_> {
    /// Appends the key, decoded.
    ///
    /// # Errors
    /// It is no key that a server would list; nothing was appended.
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

    /// Puts the key, decoded, in the place of what was there.
    ///
    /// # Errors
    /// It is no key that a server would list.
    pub(super) fn decode_key(self, server: &ServerAddr, key: &mut BytesMut) -> Result<(), Error> {
        key.clear();
        self.append_key(key).map_err(|cause| Error {
            server: server.clone(),
            problem: Problem::BadKey { cause, excerpt: Excerpt::of(self.raw_key()) },
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

    /// None where the listing does not say it.
    pub(super) fn cas(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.cas().map(u64::from),
            Self::Cachedump(_) => None,
        }
    }

    /// Bytes: the whole item of a metadump, the value of a cachedump; 0 where the listing does not say it.
    pub(super) fn size(self) -> u64 {
        self.known_size().unwrap_or_default()
    }

    /// The same; none where the listing does not say it.
    pub(super) fn known_size(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => item.size(),
            Self::Cachedump(item) => Some(item.size()),
        }
    }

    /// When it expires, as a Unix time; none for never.
    pub(super) fn expires(self) -> Option<u64> {
        match self {
            // Never is -1.
            Self::Metadump(item) => number(item.field("exp")?),
            // Never is 0 there, or on old servers the time that the server was started.
            Self::Cachedump(item) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(item.expires()).filter(|&time| time > now.as_secs())
            }
        }
    }

    /// The last access as a Unix time; none where the listing does not say it.
    pub(super) fn last_access(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => number(item.field("la")?),
            Self::Cachedump(_) => None,
        }
    }

    /// The slab class; none where the listing does not say it.
    pub(super) fn class(self) -> Option<u64> {
        match self {
            Self::Metadump(item) => number(item.field("cls")?),
            Self::Cachedump(_) => None,
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes what a walk lists.
pub(super) trait Visitor {
    /// An item.
    ///
    /// # Errors
    /// Why the walk is given up: it says nothing of the keys that are not visited then.
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error>;
}

/// What a listing to its end leaves out by its nature, beside what it may miss.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Slab classes that hold more keys than the server lists.
    pub(super) cut: Vec<CutClass>,
    /// Keys that are in lists, or in a form, that the server does not list: about how many.
    pub(super) hidden: u64,
    /// The server never lists more than a part of its keys.
    pub(super) is_partial: bool,
    /// Keys that are listed by a name that no command finds.
    pub(super) unnamed: u64,
}

/// What ends the listing of a slab class before its last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server lists the newest 2 MB of keys.
    Limit,
    /// A key with a line end in it, behind which nothing can be read.
    LineEnd,
}

/// A slab class whose last keys are not listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutClass {
    /// The class's number.
    pub(super) class: u32,
    /// About how many of its keys the server does not list.
    pub(super) unlisted: u64,
    /// Why.
    pub(super) by: Cut,
}

impl Coverage {
    /// Nothing is left out.
    pub(super) const ALL: Self = Self { cut: Vec::new(), hidden: 0, is_partial: false, unnamed: 0 };

    pub(super) fn is_whole(&self) -> bool {
        *self == Self::ALL
    }
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// To its end.
    Whole(Coverage),
    /// The server does not do this.
    Refused(ErrorReply),
}

impl Way {
    /// The way that is left where the server refused to list this way: a cachedump. None is left where the caller asked for
    /// this way, where this is a cachedump, and where a proxy answered.
    ///
    /// # Errors
    /// [`disabled`]: no way is left.
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

/// The error of a server that lists its keys in no way.
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

/// Lists the keys of a server on a connection of its own.
///
/// # Errors
/// The connection broke, the server is busy for too long, or what came is no listing. What was visited by then is real.
pub(super) async fn walk(
    way: Way,
    client: &mut Client,
    context: &Context,
    visitor: &mut impl Visitor,
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
            Strategy::Lru => metadump::walk(CrawlTarget::All, dialect, client, context, visitor).await,
        }
    };
    if dialect.closing_crashes() {
        // The walk ends by itself when the operation is stopped: dropped, it would close the connection.
        walk.await
    } else {
        context.unless_stopped(&server, walk).await
    }
}
