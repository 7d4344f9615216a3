//! [`Reply`]: any reply of a server, or a part of one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::admin::ServerVersion;
use super::cachedump::CachedumpItem;
use super::config::ClusterConfig;
use super::crawler::{MetadumpItem, MetadumpLine, MgdumpItem, MgdumpLine};
use super::error::ErrorReply;
use super::expect::Expect;
use super::line::{is_line, number, put_decimal, whole};
use super::meta::{MetaCode, MetaDebugReply, MetaReply, MetaValue};
use super::retrieval::{Value, ValueBlock, ValueHeader};
use super::stats::{PrefixStat, Stat, StatLine};
use super::watch::LogLine;
use crate::conversions::conversions;

/// A reply of a server, or one line or block of a longer answer.
///
/// ```
/// use mcflush::protocol::Reply;
/// let mut wire = bytes::BytesMut::new();
/// Reply::Number(15).encode(&mut wire);
/// assert_eq!(wire, &b"15\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The empty line that 1.6.45 sends after some `CLIENT_ERROR` lines. It belongs to no answer.
    Blank,
    /// A line of a cachedump.
    Cachedump(CachedumpItem),
    /// A `CONFIG` block.
    Config(ClusterConfig),
    /// `DELETED`.
    Deleted,
    /// `END`.
    End,
    /// An error line: `ERROR…`, `CLIENT_ERROR…`, `SERVER_ERROR…`, `BUSY…`, or another [`ErrorKind`](super::ErrorKind).
    Error(ErrorReply),
    /// `EXISTS`: the CAS differs.
    Exists,
    /// A line of a watched log.
    Log(LogLine),
    /// A meta line.
    Meta(MetaReply),
    /// A `ME` line.
    MetaDebug(MetaDebugReply),
    /// A `VA` block.
    MetaValue(MetaValue),
    /// A line of a metadump.
    Metadump(MetadumpItem),
    /// A line of an mgdump.
    Mgdump(MgdumpItem),
    /// `EN` at the end of an mgdump.
    MgdumpEnd,
    /// `MN`.
    Noop,
    /// `NOT_FOUND`.
    NotFound,
    /// `NOT_STORED`.
    NotStored,
    /// The new number after `incr` or `decr`.
    Number(u64),
    /// `OK`.
    Ok,
    /// A line that answers a request that this crate does not know.
    Other(OtherLine),
    /// The counts of `stats detail` for a prefix.
    Prefix(PrefixStat),
    /// `RESET`.
    Reset,
    /// A statistic.
    Stat(Stat),
    /// `STORED`.
    Stored,
    /// `TOUCHED`.
    Touched,
    /// A `VALUE` block.
    Value(Value),
    /// `VERSION …`.
    Version(ServerVersion),
}

/// A line that this crate does not know, kept as the server sent it.
///
/// ```
/// use mcflush::protocol::OtherLine;
/// assert_eq!(OtherLine::new("HELLO 1").unwrap().as_bytes(), b"HELLO 1");
/// assert_eq!(OtherLine::new("ERROR"), None, "that one is known");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherLine(Bytes);

impl OtherLine {
    /// Takes a line without its line end. None if it contains a line end or is an error line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        (is_line(&line) && ErrorReply::parse(&line).is_none()).then_some(Self(line))
    }

    /// The line, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

conversions!(OtherLine, "unknown reply", Self::as_bytes);

/// The line that begins a reply with a data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockLine {
    Value(ValueHeader),
    /// The number is the offset in the line at which the flags begin.
    MetaValue(usize),
    Config,
}

impl BlockLine {
    /// Reads a line (without its line end) that a data block follows, and the length of the block. None if this request does
    /// not expect this line.
    pub(crate) fn parse(line: &[u8], expect: Expect) -> Option<(Self, u64)> {
        match expect {
            Expect::Values => ValueHeader::parse(line).map(|header| (Self::Value(header), header.length)),
            Expect::Meta(verb) if verb.has_values() => {
                MetaValue::parse(line).map(|(length, flags_start)| (Self::MetaValue(flags_start), length))
            }
            Expect::Config => {
                ClusterConfig::parse(&Bytes::copy_from_slice(line)).map(|(_, length)| (Self::Config, length))
            }
            _ => None,
        }
    }
}

/// An item of an answer that may have millions of them: complete, in its usual spelling, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A line of a metadump.
    Metadump(MetadumpLine<'a>),
    /// A line of an mgdump.
    Mgdump(MgdumpLine<'a>),
    /// A statistic.
    Stat(StatLine<'a>),
    /// A `VALUE` block.
    Value(ValueBlock<'a>),
}

impl<'a> Part<'a> {
    /// Reads the item at the beginning of a buffer, without taking it out. The number is the item's length in bytes.
    #[inline]
    pub(crate) fn find(expect: Expect, buffer: &'a [u8]) -> Option<(Self, usize)> {
        match expect {
            Expect::Metadump => MetadumpLine::find(buffer).map(|(line, length)| (Self::Metadump(line), length)),
            Expect::Mgdump => MgdumpLine::find(buffer).map(|(line, length)| (Self::Mgdump(line), length)),
            Expect::Stats => StatLine::find(buffer).map(|(line, length)| (Self::Stat(line), length)),
            Expect::Values => ValueBlock::new(buffer).map(|(block, length)| (Self::Value(block), length)),
            _ => None,
        }
    }
}

/// The lengths of the parts of a listed line in a buffer, so that taking the line costs only the slices.
pub(crate) enum Take {
    Metadump { length: usize },
    Mgdump { length: usize },
    Stat { name: usize, value: usize },
}

impl Take {
    /// Finds the parts of a line in its usual spelling; `length` is its length with its line end.
    #[inline]
    pub(crate) fn find(expect: Expect, line: &[u8], length: usize) -> Option<Self> {
        match expect {
            Expect::Metadump if length == line.len() + 1 => {
                let first = line.strip_prefix(b"key=")?.first()?;
                (*first != b' ').then_some(Self::Metadump { length: line.len() })
            }
            Expect::Mgdump if length == line.len() + 2 && line.starts_with(b"mg ") && line.len() > 3 => {
                Some(Self::Mgdump { length: line.len() })
            }
            Expect::Stats if length == line.len() + 2 => {
                let words = line.strip_prefix(b"STAT ")?;
                let name = memchr::memchr(b' ', words).filter(|&name| name > 0)?;
                Some(Self::Stat { name, value: words.len() - name - 1 })
            }
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn from(self, buffer: &mut BytesMut) -> Reply {
        match self {
            Self::Metadump { length } => {
                let line = buffer.split_to(length).freeze();
                buffer.advance(1);
                Reply::Metadump(MetadumpItem::from_line(line))
            }
            Self::Mgdump { length } => {
                let line = buffer.split_to(length).freeze();
                buffer.advance(2);
                Reply::Mgdump(MgdumpItem::from_line(line))
            }
            Self::Stat { name, value } => {
                buffer.advance(5);
                let name = buffer.split_to(name).freeze();
                buffer.advance(1);
                let value = buffer.split_to(value).freeze();
                buffer.advance(2);
                Reply::Stat(Stat::from_parts(name, value))
            }
        }
    }
}

impl Reply {
    /// Reads a line (without its line end) as a reply that `expect` allows; `begun` says whether an earlier line of the
    /// answer was read. The bool says whether the line is the answer's last. [`BlockLine`] reads lines that a data block
    /// follows.
    pub(crate) fn parse(line: &Bytes, expect: Expect, begun: bool) -> Option<(Self, bool)> {
        if expect == Expect::Watch && begun {
            return LogLine::new(line.clone()).map(|line| (Self::Log(line), false));
        }
        if let Some(error) = ErrorReply::parse(line) {
            let fits = error.kind().answers_anything() || refusals_answer(expect);
            return fits.then_some((Self::Error(error), true));
        }
        let last = |reply: Self| Some((reply, true));
        let part = |reply: Self| Some((reply, false));
        if let Some(reply) = Self::of_word(line, expect) {
            return last(reply);
        }
        match (expect, &line[..]) {
            // Since 1.6.43 a dump begins with this line.
            (Expect::Metadump | Expect::Mgdump, b"OK") if !begun => part(Self::Ok),
            (Expect::Watch, b"OK") => part(Self::Ok),
            // Before 1.5.4 a dump has no end line: the answer to the `version` that the client sends after it is its end.
            (Expect::Metadump, [b'V', ..]) => last(Self::Version(ServerVersion::parse(line)?)),
            (Expect::Metadump, _) => part(Self::Metadump(MetadumpItem::parse(line.clone())?)),
            (Expect::Mgdump, [b'm', b'g', b' ', ..]) => part(Self::Mgdump(MgdumpItem::parse(line.clone())?)),
            (Expect::Cachedump, _) => part(Self::Cachedump(CachedumpItem::parse(line.clone())?)),
            (Expect::Number, _) => last(Self::Number(whole(number, line)?)),
            (Expect::SizesSwitch, _) => {
                let stat = Stat::parse(line)?;
                let more = *stat.name() == b"sizes_status"[..] && *stat.value() == b"error"[..];
                Some((Self::Stat(stat), !more))
            }
            (Expect::Stats | Expect::StatsOther, _) => part(Self::Stat(Stat::parse(line)?)),
            (Expect::PrefixStats, _) => part(Self::Prefix(PrefixStat::parse(line.clone())?)),
            (Expect::Version, _) => last(Self::Version(ServerVersion::parse(line)?)),
            (Expect::Meta(verb), _) => MetaReply::parse(line)
                .filter(|reply| verb.answers(reply.code))
                .and_then(|reply| last(Self::Meta(reply))),
            (Expect::MetaDebug, _) => match MetaDebugReply::new(line.clone()) {
                Some(reply) => last(Self::MetaDebug(reply)),
                None => MetaReply::parse(line)
                    .filter(|reply| reply.code == MetaCode::En)
                    .and_then(|reply| last(Self::Meta(reply))),
            },
            (Expect::Unknown, _) => last(Self::Other(OtherLine::new(line.clone())?)),
            _ => None,
        }
    }

    /// Reads a line (without its line end) that is one word. Every such reply is the last of its answer.
    #[inline]
    pub(crate) fn of_word(line: &[u8], expect: Expect) -> Option<Self> {
        Some(match (expect, line) {
            (
                Expect::Metadump
                | Expect::Cachedump
                | Expect::Stats
                | Expect::StatsOther
                | Expect::PrefixStats
                | Expect::Values
                | Expect::Config,
                b"END",
            ) => Self::End,
            (Expect::Mgdump, b"EN") => Self::MgdumpEnd,
            (Expect::Store, b"STORED") => Self::Stored,
            (Expect::Store, b"NOT_STORED") => Self::NotStored,
            (Expect::Store, b"EXISTS") => Self::Exists,
            (Expect::Store | Expect::Delete | Expect::Touch | Expect::Number, b"NOT_FOUND") => Self::NotFound,
            (Expect::Delete, b"DELETED") => Self::Deleted,
            (Expect::Touch, b"TOUCHED") => Self::Touched,
            (Expect::Noop, b"MN") => Self::Noop,
            (Expect::Ok | Expect::StatsOther, b"OK") => Self::Ok,
            (Expect::Reset | Expect::StatsOther, b"RESET") => Self::Reset,
            _ => return None,
        })
    }

    /// Reads a line (without its line end) as the reply to a quiet request.
    pub(crate) fn parse_quiet(line: &Bytes) -> Option<Self> {
        match ErrorReply::parse(line) {
            Some(error) => error.kind().answers_anything().then_some(Self::Error(error)),
            None => MetaReply::parse(line).map(Self::Meta),
        }
    }

    /// Appends the reply as the server sends it.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_line(out);
        out.put_slice(self.line_end());
        self.encode_data(out);
    }

    /// The server's crawler and logger end their lines with LF alone.
    pub(crate) const fn line_end(&self) -> &'static [u8] {
        match self {
            Self::Metadump(_) | Self::Log(_) => b"\n",
            _ => b"\r\n",
        }
    }

    pub(crate) fn encode_data(&self, out: &mut BytesMut) {
        let data = match self {
            Self::Value(value) => value.data(),
            Self::MetaValue(value) => &value.data,
            Self::Config(config) => &config.data,
            _ => return,
        };
        out.put_slice(data);
        out.put_slice(b"\r\n");
    }

    pub(crate) fn encode_line(&self, out: &mut BytesMut) {
        match self {
            Self::Blank => {}
            Self::Cachedump(item) => item.encode(out),
            Self::Config(config) => config.encode_line(out),
            Self::Deleted => out.put_slice(b"DELETED"),
            Self::End => out.put_slice(b"END"),
            Self::Error(error) => error.encode(out),
            Self::Exists => out.put_slice(b"EXISTS"),
            Self::Log(line) => line.encode(out),
            Self::Meta(reply) => reply.encode(out),
            Self::MetaDebug(reply) => reply.encode(out),
            Self::MetaValue(value) => value.encode_line(out),
            Self::Metadump(item) => item.encode(out),
            Self::Mgdump(line) => line.encode(out),
            Self::MgdumpEnd => out.put_slice(b"EN"),
            Self::Noop => out.put_slice(b"MN"),
            Self::NotFound => out.put_slice(b"NOT_FOUND"),
            Self::NotStored => out.put_slice(b"NOT_STORED"),
            Self::Number(number) => put_decimal(out, *number),
            Self::Ok => out.put_slice(b"OK"),
            Self::Other(line) => out.put_slice(&line.0),
            Self::Prefix(stat) => stat.encode(out),
            Self::Reset => out.put_slice(b"RESET"),
            Self::Stat(stat) => stat.encode(out),
            Self::Stored => out.put_slice(b"STORED"),
            Self::Touched => out.put_slice(b"TOUCHED"),
            Self::Value(value) => value.encode_line(out),
            Self::Version(version) => version.encode(out),
        }
    }

    /// Whether `line`, with its line end, equals what [`Self::encode`] writes. For replies that come by the million this is
    /// cheap, because they keep their line. The others are encoded into `scratch` and compared.
    pub(crate) fn is_spelled(&self, line: &[u8], scratch: &mut BytesMut) -> bool {
        let Some(words) = line.strip_suffix(self.line_end()) else { return false };
        match self {
            // These lines end with CR LF, where LF alone is usual.
            Self::Metadump(_) | Self::Log(_) => !words.ends_with(b"\r"),
            Self::Mgdump(_)
            | Self::Cachedump(_)
            | Self::Error(_)
            | Self::MetaDebug(_)
            | Self::Prefix(_)
            | Self::Other(_) => true,
            Self::Stat(stat) => words.len() == stat.encoded_len() && words.get(5) != Some(&b' '),
            _ => {
                scratch.clear();
                self.encode_line(scratch);
                words == &scratch[..]
            }
        }
    }
}

/// Whether a refusal such as `BUSY` can answer this request.
const fn refusals_answer(expect: Expect) -> bool {
    matches!(expect, Expect::Ok | Expect::Metadump | Expect::Mgdump | Expect::Watch | Expect::Unknown)
}
