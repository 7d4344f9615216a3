//! Requests and replies made of bytes.

use bytes::Bytes;

use crate::codec::{Answer, Role};
use crate::protocol::admin::{CacheMemlimit, FlushAll, ServerVersion, Shutdown, Verbosity};
use crate::protocol::cachedump::{Cachedump, CachedumpItem};
use crate::protocol::config::{ClusterConfig, ConfigGet};
use crate::protocol::crawler::{Classes, CrawlTarget, CrawlerControl, Metadump, MetadumpItem, Mgdump, MgdumpItem};
use crate::protocol::item::{Arithmetic, Delete, Direction, Touch};
use crate::protocol::meta::{
    MetaArithmetic, MetaCode, MetaDebug, MetaDebugReply, MetaDelete, MetaGet, MetaReply, MetaSet, MetaSetMode,
    MetaValue, MetaVerb, OtherFlag, ReturnFlags,
};
use crate::protocol::retrieval::{Keys, Retrieve, Value};
use crate::protocol::stats::{PrefixStat, Stat, StatsArgument, StatsGroup};
use crate::protocol::storage::{Credentials, Store, StoreVerb};
use crate::protocol::tuning::{Extstore, Lru, LruMode, Slabs};
use crate::protocol::watch::{LogStream, Watch};
use crate::protocol::{
    BinaryKey, Cas, ErrorReply, Expect, Exptime, Fraction, ItemFlags, Key, MetaKey, Opaque, OtherLine, Reply, Request,
    UnknownLine,
};

/// Bytes from which values are taken; when they run out, all is zero.
pub(super) struct Bag<'a>(&'a [u8]);

impl<'a> Bag<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    /// How the stream is cut: sizes that are used in turn.
    pub(super) fn chunks(&mut self) -> Vec<u8> {
        let count = self.below(4);
        (0..count).map(|_| self.byte()).collect()
    }

    /// Small numbers as often as large ones.
    fn number(&mut self) -> u64 {
        let mut number = [0; 8];
        let length = usize::from(self.below(9));
        for byte in number.iter_mut().take(length) {
            *byte = self.byte();
        }
        u64::from_le_bytes(number)
    }

    fn number32(&mut self) -> u32 {
        self.number() as u32
    }

    fn bytes(&mut self) -> Bytes {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(bytes)
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    fn key(&mut self) -> Key {
        let bytes = self.bytes();
        Key::new(bytes).unwrap_or_else(|_| fallback())
    }

    fn meta_key(&mut self) -> MetaKey {
        let bytes = self.bytes();
        if self.flag() {
            BinaryKey::new(bytes).map_or_else(|_| MetaKey::Text(fallback()), MetaKey::Base64)
        } else {
            MetaKey::for_bytes(bytes).unwrap_or_else(|_| MetaKey::Text(fallback()))
        }
    }

    fn exptime(&mut self) -> Exptime {
        Exptime::new(self.number() as i64)
    }

    fn cas(&mut self) -> Cas {
        Cas(self.number())
    }

    fn opaque(&mut self) -> Option<Opaque> {
        let bytes = self.maybe(Self::bytes)?;
        Opaque::new(bytes)
    }

    fn fraction(&mut self) -> Option<Fraction> {
        Fraction::new(format!("{}.{}", self.byte(), self.byte()))
    }

    fn others(&mut self) -> Vec<OtherFlag> {
        self.maybe(Self::bytes).and_then(OtherFlag::new).into_iter().collect()
    }

    fn target(&mut self) -> CrawlTarget {
        match self.below(3) {
            0 => CrawlTarget::Hash,
            1 => CrawlTarget::All,
            _ => Classes::new(self.bytes().to_vec()).map_or(CrawlTarget::All, CrawlTarget::Classes),
        }
    }

    fn direction(&mut self) -> Direction {
        if self.flag() { Direction::Incr } else { Direction::Decr }
    }

    /// Any request; `version` where the bytes give none.
    pub(super) fn request(&mut self) -> Request {
        self.some_request().unwrap_or(Request::Version)
    }

    fn some_request(&mut self) -> Option<Request> {
        Some(match self.below(31) {
            0 => Request::Store(self.store()),
            1 => Request::Retrieve(self.retrieve()),
            2 => Request::Delete(Delete { key: self.key(), noreply: self.flag() }),
            3 => Request::Arithmetic(Arithmetic {
                direction: self.direction(),
                key: self.key(),
                delta: self.number(),
                noreply: self.flag(),
            }),
            4 => Request::Touch(Touch { key: self.key(), exptime: self.exptime(), noreply: self.flag() }),
            5 => Request::MetaGet(self.meta_get()),
            6 => Request::MetaSet(self.meta_set()),
            7 => Request::MetaDelete(self.meta_delete()),
            8 => Request::MetaArithmetic(self.meta_arithmetic()),
            9 => Request::MetaDebug(MetaDebug { key: self.meta_key(), others: self.others() }),
            10 => Request::MetaNoop,
            11 => Request::FlushAll(FlushAll { delay: self.maybe(Self::exptime), noreply: self.flag() }),
            12 => Request::Verbosity(Verbosity { level: self.number32(), noreply: self.flag() }),
            13 => Request::CacheMemlimit(CacheMemlimit { megabytes: self.number32(), noreply: self.flag() }),
            14 => Request::Shutdown(if self.flag() { Shutdown::Now } else { Shutdown::Graceful }),
            15 => Request::Metadump(Metadump { target: self.target() }),
            16 => Request::Mgdump(Mgdump { target: self.target() }),
            17 => Request::Crawler(match self.below(5) {
                0 => CrawlerControl::Crawl(self.target()),
                1 => CrawlerControl::Enable,
                2 => CrawlerControl::Disable,
                3 => CrawlerControl::Sleep(self.number32()),
                _ => CrawlerControl::Tocrawl(self.number32()),
            }),
            18 => Request::Cachedump(Cachedump { class: self.number32(), limit: self.number32() }),
            19 => Request::Slabs(self.slabs()?),
            20 => Request::Lru(self.lru()?),
            21 => Request::Extstore(self.extstore()?),
            22 => Request::Stats(self.stats_group()?),
            23 => Request::Watch(Watch { streams: self.streams() }),
            24 => Request::Quit,
            25 => Request::RefreshCerts,
            26 => Request::Authenticate(Credentials::new("app", "secret")?),
            27 => Request::ConfigGet(ConfigGet { name: self.key() }),
            28 => Request::Unknown(UnknownLine::new(self.bytes())?),
            29 => Request::Unknown(UnknownLine::new("nonsense")?),
            _ => Request::Version,
        })
    }

    fn store(&mut self) -> Store {
        let verb = match self.below(6) {
            0 => StoreVerb::Set,
            1 => StoreVerb::Add,
            2 => StoreVerb::Replace,
            3 => StoreVerb::Append,
            4 => StoreVerb::Prepend,
            _ => StoreVerb::Cas(self.cas()),
        };
        Store {
            flags: ItemFlags(self.number32()),
            exptime: self.exptime(),
            noreply: self.flag(),
            ..Store::new(verb, self.key(), self.bytes())
        }
    }

    fn retrieve(&mut self) -> Retrieve {
        let mut keys = Keys::from(self.key());
        for _ in 0..self.below(4) {
            keys.push(self.key());
        }
        Retrieve { keys, with_cas: self.flag(), touch: self.maybe(Self::exptime) }
    }

    fn meta_get(&mut self) -> MetaGet {
        MetaGet {
            key: self.meta_key(),
            cas: self.flag(),
            client_flags: self.flag(),
            hit_before: self.flag(),
            return_key: self.flag(),
            last_access: self.flag(),
            size: self.flag(),
            ttl: self.flag(),
            value: self.flag(),
            no_bump: self.flag(),
            quiet: self.flag(),
            opaque: self.opaque(),
            new_cas: self.maybe(Self::cas),
            vivify: self.maybe(Self::exptime),
            recache: self.maybe(Self::exptime),
            touch: self.maybe(Self::exptime),
            others: self.others(),
        }
    }

    fn meta_set(&mut self) -> MetaSet {
        MetaSet {
            key: self.meta_key(),
            data: self.bytes(),
            mode: match self.below(5) {
                0 => MetaSetMode::Set,
                1 => MetaSetMode::Add,
                2 => MetaSetMode::Append,
                3 => MetaSetMode::Prepend,
                _ => MetaSetMode::Replace,
            },
            return_cas: self.flag(),
            return_key: self.flag(),
            return_size: self.flag(),
            quiet: self.flag(),
            invalidate: self.flag(),
            opaque: self.opaque(),
            cas: self.maybe(Self::cas),
            new_cas: self.maybe(Self::cas),
            client_flags: self.maybe(|bag| ItemFlags(bag.number32())),
            exptime: self.maybe(Self::exptime),
            vivify: self.maybe(Self::exptime),
            others: self.others(),
        }
    }

    fn meta_delete(&mut self) -> MetaDelete {
        MetaDelete {
            key: self.meta_key(),
            quiet: self.flag(),
            invalidate: self.flag(),
            return_key: self.flag(),
            remove_value: self.flag(),
            opaque: self.opaque(),
            cas: self.maybe(Self::cas),
            new_cas: self.maybe(Self::cas),
            exptime: self.maybe(Self::exptime),
            others: self.others(),
        }
    }

    fn meta_arithmetic(&mut self) -> MetaArithmetic {
        MetaArithmetic {
            key: self.meta_key(),
            direction: self.direction(),
            return_cas: self.flag(),
            return_key: self.flag(),
            ttl: self.flag(),
            value: self.flag(),
            quiet: self.flag(),
            opaque: self.opaque(),
            cas: self.maybe(Self::cas),
            new_cas: self.maybe(Self::cas),
            delta: self.maybe(Self::number),
            initial: self.maybe(Self::number),
            vivify: self.maybe(Self::exptime),
            exptime: self.maybe(Self::exptime),
            others: self.others(),
        }
    }

    fn slabs(&mut self) -> Option<Slabs> {
        Some(match self.below(3) {
            0 => Slabs::Reassign { from: self.maybe(Self::number32), to: self.number32() },
            1 => Slabs::Automove(self.number32()),
            _ => Slabs::AutomoveRatio(self.fraction()?),
        })
    }

    fn lru(&mut self) -> Option<Lru> {
        Some(match self.below(4) {
            0 => Lru::Tune {
                hot: self.number32(),
                warm: self.number32(),
                hot_factor: self.fraction()?,
                warm_factor: self.fraction()?,
            },
            1 => Lru::Mode(LruMode::Flat),
            2 => Lru::Mode(LruMode::Segmented),
            _ => Lru::TempTtl(self.number32() as i32),
        })
    }

    fn extstore(&mut self) -> Option<Extstore> {
        Some(match self.below(10) {
            0 => Extstore::FreeMemchunks { class: self.number32(), chunks: self.number32() },
            1 => Extstore::ItemSize(self.number32()),
            2 => Extstore::ItemAge(self.number32()),
            3 => Extstore::LowTtl(self.number32()),
            4 => Extstore::RecacheRate(self.number32()),
            5 => Extstore::CompactUnder(self.number32()),
            6 => Extstore::DropUnder(self.number32()),
            7 => Extstore::MaxSleep(self.number32()),
            8 => Extstore::MaxFrag(self.fraction()?),
            _ => Extstore::DropUnread(self.flag()),
        })
    }

    fn stats_group(&mut self) -> Option<StatsGroup> {
        Some(match self.below(16) {
            0 => StatsGroup::General,
            1 => StatsGroup::Settings,
            2 => StatsGroup::Items,
            3 => StatsGroup::Slabs,
            4 => StatsGroup::Sizes,
            5 => StatsGroup::SizesEnable,
            6 => StatsGroup::SizesDisable,
            7 => StatsGroup::Conns,
            8 => StatsGroup::Extstore,
            9 => StatsGroup::Proxy,
            10 => StatsGroup::Threads,
            11 => StatsGroup::DetailOn,
            12 => StatsGroup::DetailOff,
            13 => StatsGroup::DetailDump,
            14 => StatsGroup::Reset,
            _ => StatsGroup::Other(StatsArgument::new(self.bytes())?),
        })
    }

    fn streams(&mut self) -> Vec<LogStream> {
        const ALL: [LogStream; 10] = [
            LogStream::ConnEvents,
            LogStream::Deletions,
            LogStream::Evictions,
            LogStream::Fetchers,
            LogStream::Mutations,
            LogStream::ProxyEvents,
            LogStream::ProxyReqs,
            LogStream::ProxyUser,
            LogStream::RawCmds,
            LogStream::SysEvents,
        ];
        let count = self.below(4);
        (0..count).filter_map(|_| ALL.get(usize::from(self.below(10))).copied()).collect()
    }

    fn return_flags(&mut self) -> ReturnFlags {
        ReturnFlags::new(self.bytes()).unwrap_or_default()
    }

    /// A whole answer to what expects this.
    pub(super) fn answer(&mut self, expect: Expect) -> Vec<Answer> {
        // A fence is never answered by an error: that would be the quiet ones' before it.
        if expect != Expect::Noop
            && self.below(16) == 15
            && let Some(error) = ErrorReply::new("SERVER_ERROR out of memory")
        {
            return vec![Answer::new(Reply::Error(error), Role::Last)];
        }
        let (parts, last) = self.parts(expect);
        let mut answers: Vec<_> = parts.into_iter().map(|reply| Answer::new(reply, Role::Part)).collect();
        answers.push(Answer::new(last, Role::Last));
        answers
    }

    fn parts(&mut self, expect: Expect) -> (Vec<Reply>, Reply) {
        let last = match expect {
            Expect::Cachedump => {
                return (
                    self.some(|bag| bag.raw_line(CachedumpItem::new, "ITEM ", " [1 b; 0 s]").map(Reply::Cachedump)),
                    Reply::End,
                );
            }
            Expect::Config => {
                return (
                    self.some(|bag| {
                        Some(Reply::Config(ClusterConfig { name: bag.key(), flags: bag.number32(), data: bag.bytes() }))
                    }),
                    Reply::End,
                );
            }
            Expect::Metadump => {
                return (
                    self.some(|bag| bag.raw_line(MetadumpItem::new, "key=", " exp=-1 ").map(Reply::Metadump)),
                    Reply::End,
                );
            }
            Expect::Mgdump => {
                return (
                    self.some(|bag| bag.raw_line(MgdumpItem::new, "mg ", "").map(Reply::Mgdump)),
                    Reply::MgdumpEnd,
                );
            }
            Expect::PrefixStats => {
                return (
                    self.some(|bag| bag.raw_line(PrefixStat::new, "PREFIX ", " get 1").map(Reply::Prefix)),
                    Reply::End,
                );
            }
            Expect::Stats | Expect::StatsOther => {
                return (self.some(|bag| Stat::new(bag.bytes(), bag.bytes()).map(Reply::Stat)), Reply::End);
            }
            Expect::Values => {
                let value = |bag: &mut Self| {
                    let (key, flags) = (bag.key(), ItemFlags(bag.number32()));
                    Some(Reply::Value(Value::new(key, flags, bag.maybe(Self::cas), bag.bytes())))
                };
                return (self.some(value), Reply::End);
            }
            Expect::Delete => {
                if self.flag() {
                    Reply::Deleted
                } else {
                    Reply::NotFound
                }
            }
            Expect::Meta(verb) => self.meta_reply(verb),
            Expect::MetaDebug => self.raw_line(MetaDebugReply::new, "ME ", " exp=-1").map_or_else(
                || Reply::Meta(MetaReply { code: MetaCode::En, flags: ReturnFlags::default() }),
                Reply::MetaDebug,
            ),
            Expect::Noop => Reply::Noop,
            Expect::Number => Reply::Number(self.number()),
            Expect::Reset => Reply::Reset,
            Expect::SizesSwitch => Stat::new("sizes_status", "enabled").map_or(Reply::Ok, Reply::Stat),
            Expect::Store => match self.below(4) {
                0 => Reply::Stored,
                1 => Reply::NotStored,
                2 => Reply::Exists,
                _ => Reply::NotFound,
            },
            Expect::Touch => {
                if self.flag() {
                    Reply::Touched
                } else {
                    Reply::NotFound
                }
            }
            Expect::Unknown => OtherLine::new(self.bytes())
                .map_or_else(|| ErrorReply::new("ERROR").map_or(Reply::Ok, Reply::Error), Reply::Other),
            Expect::Version => ServerVersion::new(self.bytes())
                .map_or_else(|| ErrorReply::new("ERROR").map_or(Reply::Ok, Reply::Error), Reply::Version),
            Expect::Ok | Expect::Close | Expect::Watch => Reply::Ok,
        };
        (Vec::new(), last)
    }

    fn meta_reply(&mut self, verb: MetaVerb) -> Reply {
        let flags = self.return_flags();
        let code = match (verb, self.below(4)) {
            (MetaVerb::Get | MetaVerb::Arithmetic, 0) => {
                return Reply::MetaValue(MetaValue { flags, data: self.bytes() });
            }
            (MetaVerb::Get, 1) => MetaCode::En,
            (MetaVerb::Set, 1) => MetaCode::Ns,
            (MetaVerb::Set | MetaVerb::Delete | MetaVerb::Arithmetic, 2) => MetaCode::Ex,
            (MetaVerb::Set | MetaVerb::Delete | MetaVerb::Arithmetic, 3) => MetaCode::Nf,
            _ => MetaCode::Hd,
        };
        Reply::Meta(MetaReply { code, flags })
    }

    fn some(&mut self, make: impl Fn(&mut Self) -> Option<Reply>) -> Vec<Reply> {
        let count = self.below(4);
        (0..count).filter_map(|_| make(self)).collect()
    }

    fn raw_line<T>(&mut self, new: impl Fn(Vec<u8>) -> Option<T>, before: &str, after: &str) -> Option<T> {
        let key = self.bytes();
        new([before.as_bytes(), &key, after.as_bytes()].concat())
    }
}

/// A key there always is: three letters are one.
fn fallback() -> Key {
    let mut keys = [&b"key"[..]].into_iter().filter_map(|key| Key::new(key).ok());
    loop {
        if let Some(key) = keys.next() {
            return key;
        }
    }
}
