//! Reads single figures from a server's statistics.

use crate::protocol::stats::Stat;

/// The value of a statistic; none if the server does not report it, or if it is not UTF-8.
pub(super) fn text<'a>(stats: &'a [Stat], name: &str) -> Option<&'a str> {
    std::str::from_utf8(stats.iter().find(|stat| stat.name() == name)?.value()).ok()
}

/// The value of a statistic as a number.
pub(super) fn number(stats: &[Stat], name: &str) -> Option<u64> {
    text(stats, name)?.parse().ok()
}
