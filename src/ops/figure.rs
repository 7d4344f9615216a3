//! Single figures out of a server's statistics.

use crate::protocol::stats::Stat;

/// The value of a statistic; none where the server does not have it, or where it is no text.
pub(super) fn text<'a>(stats: &'a [Stat], name: &str) -> Option<&'a str> {
    std::str::from_utf8(stats.iter().find(|stat| stat.name() == name)?.value()).ok()
}

/// The value of a statistic that is a number.
pub(super) fn number(stats: &[Stat], name: &str) -> Option<u64> {
    text(stats, name)?.parse().ok()
}
