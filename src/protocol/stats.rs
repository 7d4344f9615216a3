//! `stats` and its groups.

use bytes::{Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::rest;

use super::line::{put_words, token};

/// A group of statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatsGroup {
    /// `stats`: the general ones.
    #[default]
    General,
    /// `stats settings`.
    Settings,
}

impl StatsGroup {
    pub(super) fn encode(self, out: &mut BytesMut) {
        put_words(
            out,
            match self {
                Self::General => &[b"stats"],
                Self::Settings => &[b"stats", b"settings"],
            },
        );
    }
}

/// `STAT NAME VALUE`. The value may hold spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name.
    pub name: Bytes,
    /// The value; servers leave some empty.
    pub value: Bytes,
}

impl Stat {
    pub(super) fn parse(line: &Bytes) -> Option<Self> {
        let (value, (_, name)) = (tag::<_, _, ()>(&b"STAT "[..]), token).parse(line).ok()?;
        let value = match value {
            [b' ', value @ ..] => value,
            value => value,
        };
        let (_, value) = rest::<_, ()>(value).ok()?;
        Some(Self { name: line.slice_ref(name), value: line.slice_ref(value) })
    }
}

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
            assert_eq!(Stat::parse(&line.into()), Some(Stat { name: name.into(), value: value.into() }));
        }
        for line in ["", "STAT", "STAT ", "STATx 1", "END"] {
            assert_eq!(Stat::parse(&line.into()), None, "{line}");
        }
    }
}
