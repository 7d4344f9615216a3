//! `stats` and its groups of statistics.

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::{map_opt, opt, rest};
use nom::sequence::delimited;

use super::line::{Parsed, Words, first_line, is_line, keyword, number, put_words, split_word, token, whole, word};
use crate::conversions::conversions;

/// A group of statistics to list, or a command about statistics (upstream's text, "Statistics").
///
/// ```
/// use mcflush::protocol::{Request, stats::StatsGroup};
/// let mut wire = bytes::BytesMut::new();
/// Request::Stats(StatsGroup::Items).encode(&mut wire);
/// assert_eq!(wire, &b"stats items\r\n"[..]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "fuzzing", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum StatsGroup {
    /// `stats`: the general statistics.
    #[default]
    General,
    /// `stats settings`.
    Settings,
    /// `stats items`: statistics of the items, for each slab class.
    Items,
    /// `stats slabs`: statistics of the memory, for each slab class.
    Slabs,
    /// `stats sizes`: the number of items of each size.
    Sizes,
    /// `stats sizes_enable`: answered by one `STAT` line, or by two if it fails, without `END`. Removed by 1.6.38.
    SizesEnable,
    /// `stats sizes_disable`: as [`Self::SizesEnable`].
    SizesDisable,
    /// `stats conns` (since 1.4.18): statistics of each connection.
    Conns,
    /// `stats extstore`, on servers that were compiled with extstore.
    Extstore,
    /// `stats proxy` (since 1.6.23).
    Proxy,
    /// `stats threads`: statistics of the worker threads, on servers that know the group.
    Threads,
    /// `stats detail on`: the server begins to count requests for each prefix. Answered by `OK`.
    DetailOn,
    /// `stats detail off`: the server stops counting. Answered by `OK`.
    DetailOff,
    /// `stats detail dump`: a [`PrefixStat`] for each prefix.
    DetailDump,
    /// `stats reset`: sets the counters to zero. Answered by `RESET`.
    Reset,
    /// Any other group that a server or a proxy has.
    Other(StatsArgument),
}

/// The words after `stats` for a group that this crate has no name for.
///
/// ```
/// use mcflush::protocol::stats::StatsArgument;
/// assert_eq!(StatsArgument::new("mysterious thing").unwrap().as_bytes(), b"mysterious thing");
/// assert_eq!(StatsArgument::new("items"), None, "that one has a name");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsArgument(Bytes);

impl StatsArgument {
    /// Takes words with single spaces between them. None if they are spelled in another way, or if [`StatsGroup`] or
    /// [`Cachedump`](super::cachedump::Cachedump) has a name for them.
    #[must_use]
    pub fn new(words: impl Into<Bytes>) -> Option<Self> {
        let words = words.into();
        let sound = words.split(|&byte| byte == b' ').all(|word| !word.is_empty());
        let named = StatsGroup::named(&words).is_some() || split_word(&words).0 == b"cachedump";
        (sound && is_line(&words) && !named).then_some(Self(words))
    }

    /// The words.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

conversions!(StatsArgument, "argument of stats", Self::as_bytes);

impl StatsGroup {
    /// The group that these words after `stats` name; there are single spaces between them.
    fn named(words: &[u8]) -> Option<Self> {
        Some(match words {
            b"" => Self::General,
            b"settings" => Self::Settings,
            b"items" => Self::Items,
            b"slabs" => Self::Slabs,
            b"sizes" => Self::Sizes,
            b"sizes_enable" => Self::SizesEnable,
            b"sizes_disable" => Self::SizesDisable,
            b"conns" => Self::Conns,
            b"extstore" => Self::Extstore,
            b"proxy" => Self::Proxy,
            b"threads" => Self::Threads,
            b"reset" => Self::Reset,
            b"detail on" => Self::DetailOn,
            b"detail off" => Self::DetailOff,
            b"detail dump" => Self::DetailDump,
            _ => return None,
        })
    }

    /// Reads the words after `stats`, except `cachedump`.
    pub(super) fn parse(words: &[u8]) -> Parsed<'_, Self> {
        let group = |words| {
            let words = Words(words).collect::<Vec<_>>().join(&b' ');
            Self::named(&words).or_else(|| StatsArgument::new(words).map(Self::Other))
        };
        map_opt(rest, group).parse(words)
    }

    /// The command, without the words of [`Self::Other`].
    pub(crate) const fn command(&self) -> &'static str {
        match self {
            Self::General | Self::Other(_) => "stats",
            Self::Settings => "stats settings",
            Self::Items => "stats items",
            Self::Slabs => "stats slabs",
            Self::Sizes => "stats sizes",
            Self::SizesEnable => "stats sizes_enable",
            Self::SizesDisable => "stats sizes_disable",
            Self::Conns => "stats conns",
            Self::Extstore => "stats extstore",
            Self::Proxy => "stats proxy",
            Self::Threads => "stats threads",
            Self::DetailOn => "stats detail on",
            Self::DetailOff => "stats detail off",
            Self::DetailDump => "stats detail dump",
            Self::Reset => "stats reset",
        }
    }

    /// The words after `stats`.
    pub(super) fn argument(&self) -> &[u8] {
        match self {
            Self::Other(argument) => &argument.0,
            _ => self.command().strip_prefix("stats ").unwrap_or_default().as_bytes(),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let command = self.command().as_bytes();
        match self {
            Self::Other(argument) => put_words(out, &[command, &argument.0]),
            _ => put_words(out, &[command]),
        }
    }
}

/// `STAT NAME VALUE`. The value may contain spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    name: Bytes,
    value: Bytes,
}

impl Stat {
    /// Takes a name without spaces, and a value. None if a line cannot carry them.
    #[must_use]
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Option<Self> {
        let (name, value) = (name.into(), value.into());
        let sound =
            !name.is_empty() && !name.contains(&b' ') && is_line(&value) && memchr::memchr(b'\n', &name).is_none();
        sound.then_some(Self { name, value })
    }

    pub(super) const fn from_parts(name: Bytes, value: Bytes) -> Self {
        Self { name, value }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &Bytes {
        &self.name
    }

    /// The value. Servers send some empty values.
    #[must_use]
    pub const fn value(&self) -> &Bytes {
        &self.value
    }

    /// A copy in its own memory, which does not keep the read buffer alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { name: Bytes::copy_from_slice(&self.name), value: Bytes::copy_from_slice(&self.value) }
    }

    /// `STAT NAME [VALUE]`
    pub(super) fn parse(line: &Bytes) -> Option<Self> {
        // The first space separates name and value; further spaces belong to the value.
        let words = (delimited(keyword("STAT"), token, opt(tag(" "))), rest);
        whole(words, line).map(|(name, value)| Self { name: line.slice_ref(name), value: line.slice_ref(value) })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_words(out, &[b"STAT", &self.name, &self.value]);
    }

    /// The length of the line that [`Self::encode`] writes, in bytes.
    pub(super) fn encoded_len(&self) -> usize {
        b"STAT  ".len() + self.name.len() + self.value.len()
    }
}

/// A `STAT` line, borrowed from the read buffer.
///
/// ```
/// use mcflush::protocol::stats::StatLine;
/// let stat = StatLine::new(b"STAT curr_items 7").unwrap();
/// assert_eq!((stat.name(), stat.value()), (&b"curr_items"[..], &b"7"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatLine<'a>(&'a [u8]);

impl<'a> StatLine<'a> {
    /// Takes a line without its line end. None if the line is not a `STAT` line with single spaces between its words.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        if is_line(line) { Self::parse(line) } else { None }
    }

    #[inline]
    fn parse(line: &'a [u8]) -> Option<Self> {
        let words = line.strip_prefix(b"STAT ")?;
        words.first().is_some_and(|&first| first != b' ').then_some(Self(words))
    }

    /// Reads the first line of a buffer, without taking it out, if the line is complete and in the usual spelling. The
    /// number is its length with its line end, in bytes.
    #[inline]
    pub(crate) fn find(buffer: &'a [u8]) -> Option<(Self, usize)> {
        let (line, length) = first_line(buffer)?;
        match line {
            [b'S', b'T', b'A', b'T', b' ', words @ .., b'\r'] if words.first().is_some_and(|&first| first != b' ') => {
                Some((Self(words), length))
            }
            _ => None,
        }
    }

    fn split(self) -> (&'a [u8], &'a [u8]) {
        let (name, value) = split_word(self.0);
        // A server may send a name without a value.
        (name, value.unwrap_or(b""))
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        self.split().0
    }

    /// The value. Servers send some empty values.
    #[must_use]
    pub fn value(self) -> &'a [u8] {
        self.split().1
    }
}

/// `PREFIX NAME get N hit N set N del N`: the counts of `stats detail` for the keys with this prefix, kept as the server
/// sent them.
///
/// ```
/// use mcflush::protocol::stats::PrefixStat;
/// let stat = PrefixStat::new("PREFIX shop get 2 hit 1 set 1 del 1").unwrap();
/// assert_eq!((stat.prefix(), stat.count("get")), (&b"shop"[..], Some(2)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixStat {
    line: Bytes,
    prefix: Bytes,
}

impl PrefixStat {
    /// Takes a line without its line end. None if the line is not a `PREFIX` line.
    #[must_use]
    pub fn new(line: impl Into<Bytes>) -> Option<Self> {
        let line = line.into();
        if is_line(&line) { Self::parse(line) } else { None }
    }

    pub(super) fn parse(line: Bytes) -> Option<Self> {
        let prefix = whole(delimited(keyword("PREFIX"), word, rest), &line).map(|prefix| line.slice_ref(prefix))?;
        Some(Self { line, prefix })
    }

    /// The prefix, without its separator.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The count with this name: `count("hit")`.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        // The counts follow `PREFIX` and the prefix.
        let mut words = Words(&self.line).skip(2);
        while let (Some(word), Some(count)) = (words.next(), words.next()) {
            if word == name.as_bytes() {
                return whole(number, count);
            }
        }
        None
    }

    /// The counts as statistics: `PREFIX:get`, `PREFIX:hit`, `PREFIX:set` and `PREFIX:del`.
    #[must_use]
    pub fn counts(&self) -> [Option<Stat>; 4] {
        ["get", "hit", "set", "del"].map(|counter| {
            let name = [self.prefix(), b":", counter.as_bytes()].concat();
            self.count(counter).and_then(|count| Stat::new(name, count.to_string()))
        })
    }

    /// The line as the server sent it, without its line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.line);
    }
}

conversions!(PrefixStat, "line of a prefix", Self::as_bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, name, value) in [
            ("STAT pid 1", "pid", "1"),
            ("STAT ssl_chain_cert (null)", "ssl_chain_cert", "(null)"),
            ("STAT x a b", "x", "a b"),
            ("STAT x ", "x", ""),
            ("STAT x", "x", ""),
        ] {
            let stat = Stat::parse(&line.into()).unwrap();
            assert_eq!(stat, Stat::new(name, value).unwrap(), "{line}");
            let mut out = BytesMut::new();
            stat.encode(&mut out);
            assert_eq!(out.len(), stat.encoded_len(), "{line}");
        }
        for line in ["", "STAT", "STAT ", "STATx 1", "END"] {
            assert_eq!(Stat::parse(&line.into()), None, "{line}");
        }
    }

    #[test]
    fn a_line_in_another_spelling_is_not_found_by_the_short_way() {
        for unusual in ["STAT  a 1\r\n", "STAT a 1\n", "STAT \r\n"] {
            assert_eq!(StatLine::find(unusual.as_bytes()), None, "{unusual}");
        }
    }

    #[test]
    fn a_group_that_is_not_known_keeps_its_name() {
        let group = StatsGroup::Other(StatsArgument::new("mysterious thing").unwrap());
        let mut out = BytesMut::new();
        group.encode(&mut out);
        assert_eq!((&out[..], group.argument()), (&b"stats mysterious thing"[..], &b"mysterious thing"[..]));
    }

    #[test]
    fn prefixes() {
        let stat = PrefixStat::new("PREFIX shop get 2 hit 1 set 1 del 0").unwrap();
        assert_eq!((stat.count("hit"), stat.count("del"), stat.count("x")), (Some(1), Some(0), None));
        for line in ["", "PREFIX", "PREFIX ", "PREFIXa", "END"] {
            assert_eq!(PrefixStat::new(line), None, "{line}");
        }
    }
}
