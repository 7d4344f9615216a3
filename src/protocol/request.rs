//! [`Request`]: any request of a client.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::success;
use nom::sequence::preceded;

use super::admin::{CacheMemlimit, FlushAll, Shutdown, Verbosity};
use super::cachedump::Cachedump;
use super::config::ConfigGet;
use super::crawler::{CrawlerCommand, CrawlerControl, Metadump, Mgdump};
use super::expect::Expect;
use super::item::{Arithmetic, Delete, Direction, Touch};
use super::line::{Grammar, is_line, keyword, whole, word};
use super::meta::{MetaArithmetic, MetaDebug, MetaDelete, MetaGet, MetaSet, MetaVerb};
use super::retrieval::Retrieve;
use super::scalar::{Cas, Exptime, Opaque};
use super::stats::StatsGroup;
use super::storage::{Credentials, Store, StoreVerb};
use super::tuning::{Extstore, Lru, Slabs};
use super::watch::Watch;
use crate::conversions::conversions;

/// A request of a client.
///
/// ```
/// use mcflush::protocol::{Key, Request, item::Delete};
/// let mut wire = bytes::BytesMut::new();
/// Request::Delete(Delete::new(Key::new("a")?)).encode(&mut wire);
/// assert_eq!(wire, &b"delete a\r\n"[..]);
/// # Ok::<(), mcflush::protocol::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Request {
    /// `incr`, `decr`.
    Arithmetic(Arithmetic),
    /// The `set` that sends user and password to a server with `-Y`.
    Authenticate(Credentials),
    /// `cache_memlimit`.
    CacheMemlimit(CacheMemlimit),
    /// `stats cachedump`.
    Cachedump(Cachedump),
    /// `config get`.
    ConfigGet(ConfigGet),
    /// `lru_crawler`, except its dumps.
    Crawler(CrawlerControl),
    /// `delete`.
    Delete(Delete),
    /// `extstore`.
    Extstore(Extstore),
    /// `flush_all`.
    FlushAll(FlushAll),
    /// `lru`.
    Lru(Lru),
    /// `ma`.
    MetaArithmetic(MetaArithmetic),
    /// `me`.
    MetaDebug(MetaDebug),
    /// `md`.
    MetaDelete(MetaDelete),
    /// `mg`.
    MetaGet(MetaGet),
    /// `mn`: the fence. The server answers `MN` after it has executed all earlier requests, quiet or not.
    MetaNoop,
    /// `ms`.
    MetaSet(MetaSet),
    /// `lru_crawler metadump`.
    Metadump(Metadump),
    /// `lru_crawler mgdump`.
    Mgdump(Mgdump),
    /// `quit`: the server closes the connection.
    Quit,
    /// `refresh_certs`: the server reloads its TLS certificates.
    RefreshCerts,
    /// `get`, `gets`, `gat`, `gats`.
    Retrieve(Retrieve),
    /// `shutdown`.
    Shutdown(Shutdown),
    /// `slabs`.
    Slabs(Slabs),
    /// `stats`.
    Stats(StatsGroup),
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`.
    Store(Store),
    /// `touch`.
    Touch(Touch),
    /// A line that this crate does not know as a request, kept as the client sent it.
    Unknown(UnknownLine),
    /// `verbosity`.
    Verbosity(Verbosity),
    /// `version`.
    Version,
    /// `watch`.
    Watch(Watch),
}

/// A line that this crate does not know as a request.
///
/// ```
/// use mcflush::protocol::UnknownLine;
/// assert_eq!(UnknownLine::new("nonsense").unwrap().as_bytes(), b"nonsense");
/// assert_eq!(UnknownLine::new("version"), None, "that one is known");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLine(Bytes);

impl UnknownLine {
    /// Takes a line without its line end. None if it contains a line end, is a request that this crate knows, or begins with
    /// the byte 0x80, at which a server switches to the binary protocol.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        (is_line(&line) && line.first() != Some(&0x80) && Request::known(&line).is_none()).then_some(Self(line))
    }

    /// The line, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

conversions!(UnknownLine, "unknown request", Self::as_bytes);

/// The replies that the server still sends to a quiet request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// `noreply`: error lines only.
    Noreply,
    /// `q`: replies other than the usual one, and error lines.
    Meta(MetaVerb),
}

impl Request {
    /// Reads a line without its line end. The number is the length of the data block that follows, in bytes.
    pub(crate) fn parse(line: Bytes) -> (Self, Option<u64>) {
        Self::known(&line).unwrap_or_else(|| (Self::Unknown(UnknownLine(line)), None))
    }

    /// Reads a verb and its words. Servers disagree about spaces before the verb, so a line that begins with a space is
    /// unknown.
    fn known(line: &Bytes) -> Option<(Self, Option<u64>)> {
        let (words, verb) = word(line).ok()?;
        let request = match verb {
            b"get" => Self::Retrieve(whole(Retrieve::parse(line, false, success(None)), words)?),
            b"gets" => Self::Retrieve(whole(Retrieve::parse(line, true, success(None)), words)?),
            b"gat" => Self::Retrieve(whole(Retrieve::parse(line, false, Exptime::parse.map(Some)), words)?),
            b"gats" => Self::Retrieve(whole(Retrieve::parse(line, true, Exptime::parse.map(Some)), words)?),
            b"set" => return Self::store(line, success(StoreVerb::Set), words),
            b"add" => return Self::store(line, success(StoreVerb::Add), words),
            b"replace" => return Self::store(line, success(StoreVerb::Replace), words),
            b"append" => return Self::store(line, success(StoreVerb::Append), words),
            b"prepend" => return Self::store(line, success(StoreVerb::Prepend), words),
            b"cas" => return Self::store(line, Cas::parse.map(StoreVerb::Cas), words),
            b"delete" => Self::Delete(whole(Delete::parse(line), words)?),
            b"incr" => Self::Arithmetic(whole(Arithmetic::parse(line, Direction::Incr), words)?),
            b"decr" => Self::Arithmetic(whole(Arithmetic::parse(line, Direction::Decr), words)?),
            b"touch" => Self::Touch(whole(Touch::parse(line), words)?),
            b"mg" => Self::MetaGet(whole(MetaGet::parse(line), words)?),
            b"ms" => return whole(MetaSet::parse(line), words).map(|(set, data)| (Self::MetaSet(set), Some(data))),
            b"md" => Self::MetaDelete(whole(MetaDelete::parse(line), words)?),
            b"ma" => Self::MetaArithmetic(whole(MetaArithmetic::parse(line), words)?),
            b"me" => Self::MetaDebug(whole(MetaDebug::parse(line), words)?),
            b"mn" => whole(success(Self::MetaNoop), words)?,
            b"stats" => {
                let cachedump = preceded(keyword("cachedump"), Cachedump::parse).map(Self::Cachedump);
                whole(alt((cachedump, StatsGroup::parse.map(Self::Stats))), words)?
            }
            b"lru_crawler" => match whole(CrawlerCommand::parse, words)? {
                CrawlerCommand::Control(control) => Self::Crawler(control),
                CrawlerCommand::Metadump(dump) => Self::Metadump(dump),
                CrawlerCommand::Mgdump(dump) => Self::Mgdump(dump),
            },
            b"flush_all" => Self::FlushAll(whole(FlushAll::parse, words)?),
            b"version" => whole(success(Self::Version), words)?,
            b"verbosity" => Self::Verbosity(whole(Verbosity::parse, words)?),
            b"cache_memlimit" => Self::CacheMemlimit(whole(CacheMemlimit::parse, words)?),
            b"shutdown" => Self::Shutdown(whole(Shutdown::parse, words)?),
            b"quit" => whole(success(Self::Quit), words)?,
            b"refresh_certs" => whole(success(Self::RefreshCerts), words)?,
            b"slabs" => Self::Slabs(whole(Slabs::parse, words)?),
            b"lru" => Self::Lru(whole(Lru::parse, words)?),
            b"extstore" => Self::Extstore(whole(Extstore::parse, words)?),
            b"watch" => Self::Watch(whole(Watch::parse, words)?),
            b"config" => Self::ConfigGet(whole(ConfigGet::parse(line), words)?),
            _ => return None,
        };
        Some((request, None))
    }

    fn store<'a>(line: &'a Bytes, verb: impl Grammar<'a, StoreVerb>, words: &'a [u8]) -> Option<(Self, Option<u64>)> {
        whole(Store::parse(line, verb), words).map(|(store, data)| (Self::Store(store), Some(data)))
    }

    /// Adds the data block to a request after its line was read.
    pub(crate) fn set_data(&mut self, data: Bytes) {
        match self {
            Self::Store(store) => store.data = data,
            Self::MetaSet(set) => set.data = data,
            _ => {}
        }
    }

    /// Appends the request as the client sends it.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_line(out);
        out.put_slice(b"\r\n");
        self.encode_data(out);
    }

    pub(crate) fn encode_data(&self, out: &mut BytesMut) {
        let data = match self {
            Self::Store(store) => &store.data,
            Self::MetaSet(set) => &set.data,
            Self::Authenticate(credentials) => &credentials.token,
            _ => return,
        };
        out.put_slice(data);
        out.put_slice(b"\r\n");
    }

    pub(crate) fn encode_line(&self, out: &mut BytesMut) {
        match self {
            Self::Arithmetic(arithmetic) => arithmetic.encode(out),
            Self::Authenticate(credentials) => credentials.encode_line(out),
            Self::CacheMemlimit(limit) => limit.encode(out),
            Self::Cachedump(dump) => dump.encode(out),
            Self::ConfigGet(get) => get.encode(out),
            Self::Crawler(control) => control.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::Extstore(extstore) => extstore.encode(out),
            Self::FlushAll(flush) => flush.encode(out),
            Self::Lru(lru) => lru.encode(out),
            Self::MetaArithmetic(arithmetic) => arithmetic.encode(out),
            Self::MetaDebug(debug) => debug.encode(out),
            Self::MetaDelete(delete) => delete.encode(out),
            Self::MetaGet(get) => get.encode(out),
            Self::MetaNoop => out.put_slice(b"mn"),
            Self::MetaSet(set) => set.encode_line(out),
            Self::Metadump(dump) => dump.encode(out),
            Self::Mgdump(dump) => dump.encode(out),
            Self::Quit => out.put_slice(b"quit"),
            Self::RefreshCerts => out.put_slice(b"refresh_certs"),
            Self::Retrieve(retrieve) => retrieve.encode(out),
            Self::Shutdown(shutdown) => shutdown.encode(out),
            Self::Slabs(slabs) => slabs.encode(out),
            Self::Stats(group) => group.encode(out),
            Self::Store(store) => store.encode_line(out),
            Self::Touch(touch) => touch.encode(out),
            Self::Unknown(line) => out.put_slice(&line.0),
            Self::Verbosity(verbosity) => verbosity.encode(out),
            Self::Version => out.put_slice(b"version"),
            Self::Watch(watch) => watch.encode(out),
        }
    }

    /// The replies that can answer this request. The server answers a [quiet](Self::is_quiet) request only if its outcome is
    /// not the usual one.
    #[must_use]
    pub const fn expect(&self) -> Expect {
        match self {
            Self::Arithmetic(_) => Expect::Number,
            Self::Authenticate(_) | Self::Store(_) => Expect::Store,
            Self::CacheMemlimit(_)
            | Self::Crawler(_)
            | Self::Extstore(_)
            | Self::FlushAll(_)
            | Self::Lru(_)
            | Self::RefreshCerts
            | Self::Slabs(_)
            | Self::Verbosity(_)
            | Self::Stats(StatsGroup::DetailOn | StatsGroup::DetailOff) => Expect::Ok,
            Self::Cachedump(_) => Expect::Cachedump,
            Self::ConfigGet(_) => Expect::Config,
            Self::Delete(_) => Expect::Delete,
            Self::MetaArithmetic(_) => Expect::Meta(MetaVerb::Arithmetic),
            Self::MetaDebug(_) => Expect::MetaDebug,
            Self::MetaDelete(_) => Expect::Meta(MetaVerb::Delete),
            Self::MetaGet(_) => Expect::Meta(MetaVerb::Get),
            Self::MetaNoop => Expect::Noop,
            Self::MetaSet(_) => Expect::Meta(MetaVerb::Set),
            Self::Metadump(_) => Expect::Metadump,
            Self::Mgdump(_) => Expect::Mgdump,
            Self::Quit | Self::Shutdown(_) => Expect::Close,
            Self::Retrieve(_) => Expect::Values,
            Self::Stats(StatsGroup::DetailDump) => Expect::PrefixStats,
            Self::Stats(StatsGroup::Reset) => Expect::Reset,
            Self::Stats(StatsGroup::SizesEnable | StatsGroup::SizesDisable) => Expect::SizesSwitch,
            Self::Stats(StatsGroup::Other(_)) => Expect::StatsOther,
            Self::Stats(_) => Expect::Stats,
            Self::Touch(_) => Expect::Touch,
            Self::Unknown(_) => Expect::Unknown,
            Self::Version => Expect::Version,
            Self::Watch(_) => Expect::Watch,
        }
    }

    /// Whether the server answers only if the outcome is not the usual one (`noreply`, or the meta flag `q`).
    ///
    /// ```
    /// use mcflush::protocol::{Key, Request, item::Delete};
    /// assert!(Request::Delete(Delete { key: Key::new("a")?, noreply: true }).is_quiet());
    /// assert!(!Request::Version.is_quiet());
    /// # Ok::<(), mcflush::protocol::KeyError>(())
    /// ```
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet().is_some()
    }

    pub(crate) const fn quiet(&self) -> Option<Quiet> {
        let (quiet, what) = match self {
            Self::Arithmetic(Arithmetic { noreply, .. })
            | Self::CacheMemlimit(CacheMemlimit { noreply, .. })
            | Self::Delete(Delete { noreply, .. })
            | Self::FlushAll(FlushAll { noreply, .. })
            | Self::Store(Store { noreply, .. })
            | Self::Touch(Touch { noreply, .. })
            | Self::Verbosity(Verbosity { noreply, .. }) => (*noreply, Quiet::Noreply),
            Self::MetaArithmetic(MetaArithmetic { quiet, .. }) => (*quiet, Quiet::Meta(MetaVerb::Arithmetic)),
            Self::MetaDelete(MetaDelete { quiet, .. }) => (*quiet, Quiet::Meta(MetaVerb::Delete)),
            Self::MetaGet(MetaGet { quiet, .. }) => (*quiet, Quiet::Meta(MetaVerb::Get)),
            Self::MetaSet(MetaSet { quiet, .. }) => (*quiet, Quiet::Meta(MetaVerb::Set)),
            _ => return None,
        };
        if quiet { Some(what) } else { None }
    }

    /// The opaque, by which the client recognises the answer.
    pub(crate) const fn opaque(&self) -> Option<&Opaque> {
        match self {
            Self::MetaArithmetic(request) => request.opaque.as_ref(),
            Self::MetaDelete(request) => request.opaque.as_ref(),
            Self::MetaGet(request) => request.opaque.as_ref(),
            Self::MetaSet(request) => request.opaque.as_ref(),
            _ => None,
        }
    }
}
