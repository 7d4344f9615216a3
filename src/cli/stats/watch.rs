//! What changed since the servers were last asked.

use std::collections::HashMap;

use mcflush::address::ServerAddr;
use mcflush::protocol::Escaped;
use tokio::time::Instant;

use super::{Group, GroupStats, number};
use crate::cli::text::{aligned, grouped};

/// The last statistics of each server.
#[derive(Debug, Default)]
pub struct LastStats {
    last: HashMap<ServerAddr, Last>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    values: HashMap<(Group, String), f64>,
}

/// What changed on a server between two answers.
#[derive(Debug, PartialEq)]
pub struct Changes {
    pub seconds: f64,
    /// The group, the name, the current value and the difference.
    pub changed: Vec<(Group, String, f64, f64)>,
    /// The part of the gets since then that were hits; none if there were no gets.
    pub hit_ratio: Option<f64>,
}

/// The comparison of a server's answer with the one before.
#[derive(Debug, PartialEq)]
pub enum Since {
    /// There is no earlier answer.
    First,
    /// The server was restarted meanwhile, and counts from 0 again.
    Restarted,
    Changes(Changes),
}

impl LastStats {
    /// Compares a server's answer with the one before, and keeps it for the next comparison.
    pub fn compare(&mut self, server: &ServerAddr, said: &GroupStats, at: Instant) -> Since {
        let mut values = HashMap::new();
        let mut order = Vec::new();
        for (group, stats) in said {
            for stat in stats {
                if let Some(value) = number(stat.value()) {
                    let name = (*group, Escaped(stat.name()).to_string());
                    order.push(name.clone());
                    values.insert(name, value);
                }
            }
        }
        let now = Last { at, values };
        let since = match self.last.get(server) {
            None => Since::First,
            Some(last) if is_restarted(last, &now) => Since::Restarted,
            Some(last) => Since::Changes(changes(last, &now, order)),
        };
        self.last.insert(server.clone(), now);
        since
    }
}

/// Whether a value that only rises has fallen.
fn is_restarted(last: &Last, now: &Last) -> bool {
    ["uptime", "total_connections", "cmd_get", "cmd_set", "bytes_read"].into_iter().any(|name| {
        let of = |at: &Last| at.values.get(&(Group::General, name.to_owned())).copied();
        of(last).zip(of(now)).is_some_and(|(before, after)| after < before)
    })
}

fn changes(last: &Last, now: &Last, order: Vec<(Group, String)>) -> Changes {
    let difference = |name: &(Group, String)| Some(now.values.get(name)? - last.values.get(name)?);
    let general = |name: &str| difference(&(Group::General, name.to_owned())).unwrap_or_default();
    let (hits, misses) = (general("get_hits"), general("get_misses"));
    let hit_ratio = (hits + misses > 0.0).then(|| hits / (hits + misses));
    let passes =
        |(group, name): &(Group, String)| *group == Group::General && matches!(name.as_str(), "uptime" | "time");
    let changed = order.into_iter().filter(|name| !passes(name)).filter_map(|name| {
        let difference = difference(&name).filter(|difference| *difference != 0.0)?;
        let value = now.values.get(&name).copied()?;
        Some((name.0, name.1, value, difference))
    });
    Changes { seconds: now.at.duration_since(last.at).as_secs_f64(), changed: changed.collect(), hit_ratio }
}

impl Since {
    /// The changes as text.
    pub fn text(&self, server: &ServerAddr, said: &GroupStats) -> String {
        let Changes { seconds, changed, hit_ratio } = match self {
            Self::First => {
                let count: usize = said.iter().map(|(_, stats)| stats.len()).sum();
                return format!("{server}: {} statistics; changes follow", grouped(count as u64));
            }
            Self::Restarted => return format!("{server}: the server was restarted, and counts from 0 again"),
            Self::Changes(changes) => changes,
        };
        let rate = |name: &str| {
            let found = changed.iter().find(|(group, known, ..)| *group == Group::General && known == name);
            found.map_or(0.0, |(.., difference)| difference / seconds.max(0.001))
        };
        let hits = hit_ratio.map_or("no gets".into(), |ratio| format!("{:.1}% hits", 100.0 * ratio));
        let mut text = format!(
            "{server}: {hits}, {:.1} gets/s, {:.1} sets/s, {:.1} evictions/s in {seconds:.1} s",
            rate("cmd_get"),
            rate("cmd_set"),
            rate("evictions")
        );
        let rows = changed.iter().map(|(_, name, value, difference)| {
            let rate = format!("{:+.1}/s", difference / seconds.max(0.001));
            [name.clone(), shown(*value), signed(*difference), rate]
        });
        for line in aligned(&rows.collect::<Vec<_>>()) {
            text.push_str(&format!("\n  {line}"));
        }
        text
    }
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e18).contains(&value) { grouped(value as u64) } else { format!("{value:.6}") }
}

fn signed(difference: f64) -> String {
    format!("{}{}", if difference < 0.0 { '-' } else { '+' }, shown(difference.abs()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcflush::protocol::stats::Stat;

    use super::*;

    fn said(stats: &[(&str, &str)]) -> GroupStats {
        let stat = |(name, value): &(&str, &str)| Stat::new((*name).to_owned(), (*value).to_owned()).unwrap();
        vec![(Group::General, stats.iter().map(stat).collect())]
    }

    #[test]
    fn changes_have_rates_and_a_ratio() {
        let (mut last, server, start) = (LastStats::default(), "cache1".parse().unwrap(), Instant::now());
        let first =
            said(&[("uptime", "9"), ("cmd_get", "10"), ("get_hits", "9"), ("get_misses", "1"), ("curr_items", "5")]);
        assert_eq!(last.compare(&server, &first, start), Since::First);
        let second =
            said(&[("uptime", "11"), ("cmd_get", "20"), ("get_hits", "16"), ("get_misses", "4"), ("curr_items", "3")]);
        let since = last.compare(&server, &second, start + Duration::from_secs(2));
        let text = since.text(&server, &second);
        let Since::Changes(changes) = since else { panic!("{since:?}") };
        assert_eq!((changes.seconds, changes.hit_ratio), (2.0, Some(0.7)));
        let names: Vec<_> =
            changes.changed.iter().map(|(_, name, _, difference)| (name.as_str(), *difference)).collect();
        assert_eq!(names, [("cmd_get", 10.0), ("get_hits", 7.0), ("get_misses", 3.0), ("curr_items", -2.0)]);
        assert!(text.contains("70.0% hits, 5.0 gets/s") && text.contains("-2  -1.0/s"), "{text}");
        let third = said(&[("uptime", "1"), ("cmd_get", "30")]);
        assert_eq!(last.compare(&server, &third, start + Duration::from_secs(4)), Since::Restarted);
    }
}
