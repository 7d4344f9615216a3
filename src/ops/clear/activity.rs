//! What a server's counters tell of its other clients: whether any of them read, stored or moved an item.

use crate::ops::figure;
use crate::protocol::stats::Stat;

/// Tells a server process from the one that replaced it at a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ops) struct Instance {
    pid: u64,
    uptime: u64,
}

impl Instance {
    /// Reads `stats`; `None` if they lack the counters.
    pub(in crate::ops) fn of(stats: &[Stat]) -> Option<Self> {
        Activity::of(stats).map(|activity| activity.instance)
    }

    /// Whether this instance, seen later, is another process than `before`.
    pub(super) const fn is_another_than(self, before: Self) -> bool {
        self.pid != before.pid || self.uptime < before.uptime
    }
}

/// Counters of a server at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) instance: Instance,
    /// The server's clock in whole seconds, as a Unix time.
    pub(super) time: u64,
    /// How often `flush_all` was called; none if the server does not count that.
    pub(super) flushes: Option<u64>,
    /// How often the server's LRU maintainer has run; none if the server has no LRU maintainer.
    pub(super) turns: Option<u64>,
    /// Reads and stores that met an item. Every change that hides a key from a listing, or moves it, begins with one of
    /// them.
    pub(super) uses: u64,
    /// Items that the server moved between its LRU lists.
    pub(super) moves: u64,
    /// Items that the server moved to other slab pages, which it counts when it has finished a page, or from disk to memory.
    pub(super) rescued: u64,
    /// Whether the server is moving items to other slab pages now.
    pub(super) is_rescuing: bool,
}

impl Activity {
    /// Reads `stats`; `None` if they lack the counters.
    pub(super) fn of(stats: &[Stat]) -> Option<Self> {
        let number = |name: &str| figure::number(stats, name);
        // An older server lacks newer counters, and does not do what they count.
        let sum = |names: &[&str]| names.iter().filter_map(|name| number(name)).fold(0_u64, u64::saturating_add);
        number("get_hits")?;
        number("cmd_set")?;
        Some(Self {
            instance: Instance { pid: number("pid").unwrap_or_default(), uptime: number("uptime").unwrap_or_default() },
            time: number("time").unwrap_or_default(),
            flushes: number("cmd_flush"),
            turns: number("lru_maintainer_juggles"),
            uses: sum(&["get_hits", "cmd_set", "touch_hits", "incr_hits", "decr_hits", "cas_hits"]),
            moves: sum(&["moves_to_cold", "moves_to_warm", "moves_within_lru"]),
            rescued: sum(&["slab_reassign_rescues", "slab_reassign_chunk_rescues", "recache_from_extstore"]),
            is_rescuing: number("slab_reassign_running").is_some_and(|running| running > 0),
        })
    }

    /// Whether the server may have moved items to other slab pages between two moments.
    pub(super) fn may_have_moved(before: Option<Self>, after: Option<Self>) -> bool {
        let (Some(one), Some(other)) = (before, after) else { return before != after };
        other.rescued != one.rescued || one.is_rescuing || other.is_rescuing || Self::are_reset(before, after)
    }

    /// Whether the counters began anew between two moments: another client reset them, or the server was restarted.
    pub(super) fn are_reset(before: Option<Self>, after: Option<Self>) -> bool {
        let (Some(before), Some(after)) = (before, after) else { return false };
        after.uses < before.uses || after.moves < before.moves || after.turns < before.turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &'static str)]) -> Option<Activity> {
        let stats: Vec<_> = lines.iter().map(|(name, value)| Stat::new(*name, *value).unwrap()).collect();
        Activity::of(&stats)
    }

    #[test]
    fn what_is_counted() {
        let found = of(&[
            ("cmd_get", "100"),
            ("get_hits", "7"),
            ("cmd_set", "5"),
            ("incr_hits", "1"),
            ("moves_to_cold", "3"),
            ("moves_within_lru", "4"),
            ("cmd_flush", "2"),
            ("time", "1764000000"),
            ("slab_reassign_rescues", "9"),
            ("slab_reassign_running", "1"),
        ]);
        assert_eq!(
            found,
            Some(Activity {
                time: 1_764_000_000,
                flushes: Some(2),
                uses: 13,
                moves: 7,
                rescued: 9,
                is_rescuing: true,
                ..Activity::default()
            })
        );
        assert_eq!(of(&[("get_hits", "7"), ("cmd_set", "5")]).map(|found| found.uses), Some(12));
        let between = of(&[("get_hits", "7"), ("cmd_set", "5"), ("slab_reassign_running", "0")]);
        assert_eq!(between.map(|found| found.is_rescuing), Some(false));
    }

    #[test]
    fn a_restarted_server_is_another_one() {
        let instance = |pid, uptime| Instance { pid, uptime };
        assert!(!instance(7, 20).is_another_than(instance(7, 20)));
        assert!(!instance(7, 21).is_another_than(instance(7, 20)));
        assert!(instance(8, 21).is_another_than(instance(7, 20)));
        // In containers every server may have the same pid.
        assert!(instance(7, 2).is_another_than(instance(7, 20)));
    }

    #[test]
    fn a_server_that_does_not_count_is_never_at_rest() {
        assert_eq!(of(&[("pid", "7")]), None);
        assert_eq!(of(&[("get_hits", "many"), ("cmd_set", "5")]), None);
    }

    #[test]
    fn what_may_have_happened_between_two_moments() {
        let before = Activity { uses: 5, moves: 4, turns: Some(9), rescued: 2, ..Activity::default() };
        let moved = [Activity { rescued: 3, ..before }, Activity { is_rescuing: true, ..before }];
        let reset =
            [Activity { uses: 0, ..before }, Activity { moves: 3, ..before }, Activity { turns: Some(1), ..before }];
        for (others, is_reset) in [(&moved[..], false), (&reset, true)] {
            for &after in others {
                assert!(Activity::may_have_moved(Some(before), Some(after)), "{after:?}");
                assert_eq!(Activity::are_reset(Some(before), Some(after)), is_reset, "{after:?}");
            }
        }
        let later = Activity { uses: 6, moves: 5, turns: Some(10), ..before };
        assert!(
            !Activity::may_have_moved(Some(before), Some(later)) && !Activity::are_reset(Some(before), Some(later))
        );
    }

    #[test]
    fn items_may_have_moved_if_the_server_counts_moves_at_only_one_of_two_moments() {
        let counted = Some(Activity::default());
        assert!(Activity::may_have_moved(None, counted) && Activity::may_have_moved(counted, None));
        assert!(!Activity::may_have_moved(None, None), "a server that never counts them is taken as it is");
    }
}
