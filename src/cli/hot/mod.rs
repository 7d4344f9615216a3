//! What `mcflush hot` prints: a table or a page, and live lines on a terminal.

mod live;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use mcflush::address::ServerAddr;
use mcflush::ops::hot::{self, HotKey, Traffic, Uses};
use mcflush::protocol::Escaped;

pub use self::live::Live;
use super::namespaces::{Sighting, fitted, title};
use super::page::{self, Cell, Column, HtmlPage, ROWS_MAX, Share};
use super::text::{aligned, count, rate, widths};

/// What to read, and how much to show.
#[derive(Debug, Clone)]
pub struct HotCommand {
    pub hot: hot::HotOptions,
    pub top: Option<NonZeroUsize>,
    /// The file for a page.
    pub html: Option<PathBuf>,
}

/// The traffic of all servers together.
#[derive(Debug, Default)]
pub struct FleetTraffic {
    pub servers: Vec<ServerAddr>,
    pub sighting: Sighting,
    /// The hot keys, each with the index of its server.
    pub keys: Vec<(HotKey, usize)>,
    /// Log lines that the servers left out.
    pub skipped: u64,
}

impl FleetTraffic {
    pub fn add(&mut self, server: ServerAddr, seen: hot::Seen) {
        let place = self.servers.len();
        self.servers.push(server);
        self.sighting.traffic.add(&seen.traffic);
        self.sighting.time = self.sighting.time.max(seen.time);
        self.keys.extend(seen.keys.into_iter().map(|key| (key, place)));
        self.skipped += seen.skipped;
    }

    /// The most used keys of all servers, most used first.
    pub fn hottest(&self, most: usize) -> Vec<&(HotKey, usize)> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(key, place)| (std::cmp::Reverse(key.uses), *place));
        keys.truncate(most);
        keys
    }
}

/// A row: a prefix as it is printed, or `(none)` or `(others)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotRow {
    pub prefix: String,
    pub uses: Uses,
}

/// The most used prefixes first. Keys without a prefix and the summed rest come last, if there are any.
pub fn rows(traffic: &Traffic, top: Option<NonZeroUsize>) -> Vec<HotRow> {
    let sorted = traffic.sorted();
    let (shown, summed) = sorted.split_at(top.map_or(sorted.len(), |top| top.get().min(sorted.len())));
    let mut others = *traffic.others();
    summed.iter().for_each(|(_, uses)| others.add(uses));
    let row = |(prefix, uses): &(&[u8], &Uses)| HotRow { prefix: Escaped(prefix).to_string(), uses: **uses };
    let last = [("(none)", *traffic.none()), ("(others)", others)].into_iter();
    let last = last.filter(|(_, uses)| *uses != Uses::default());
    shown.iter().map(row).chain(last.map(|(name, uses)| HotRow { prefix: name.into(), uses })).collect()
}

/// As in 98.1%, or a dash if there were no gets.
fn hits(uses: &Uses) -> String {
    uses.hit_ratio().map_or("-".into(), |ratio| format!("{:.1}%", 100.0 * ratio))
}

fn summary(uses: &Uses) -> String {
    let hits = uses.hit_ratio().map(|ratio| format!(" ({:.1}% hits)", 100.0 * ratio)).unwrap_or_default();
    let parts = [(uses.gets, "get"), (uses.sets, "set"), (uses.deletes, "delete"), (uses.evictions, "eviction")];
    let [gets, sets, deletes, evictions] = parts.map(|(number, thing)| count(number, thing));
    format!("{gets}{hits}, {sets}, {deletes}, {evictions}")
}

/// The lines of the prefixes, no wider than the terminal.
fn lines(rows: &[HotRow], sighting: &Sighting, width: Option<usize>) -> Vec<String> {
    let mut table = vec![["prefix", "gets/s", "hits", "sets/s", "deletes/s", "evictions/s"].map(String::from)];
    table.extend(rows.iter().map(|HotRow { prefix, uses }| {
        let per_second = |number| rate(sighting.per_second(number));
        let [gets, sets, deletes, evictions] = [uses.gets, uses.sets, uses.deletes, uses.evictions].map(per_second);
        [prefix.clone(), gets, hits(uses), sets, deletes, evictions]
    }));
    fit(&mut table, width);
    aligned(&table)
}

/// Cuts the names so that no line is wider than the terminal.
fn fit<const COLUMNS: usize>(table: &mut [[String; COLUMNS]], width: Option<usize>) {
    let Some(width) = width else { return };
    let used: usize = widths(table).iter().skip(1).map(|width| width + 2).sum();
    let room = width.saturating_sub(used).max(8);
    for row in table {
        if let Some(name) = row.first_mut() {
            *name = fitted(name, room);
        }
    }
}

/// The traffic as a table.
pub fn table(together: &FleetTraffic, rows: &[HotRow], most: usize, width: Option<usize>) -> String {
    let FleetTraffic { servers, sighting, .. } = together;
    let total = sighting.traffic.total();
    let mut text = format!("{}: {} in {:.1} s", title(servers), summary(&total), sighting.time.as_secs_f64());
    for line in lines(rows, sighting, width) {
        text.push_str(&format!("\n{}", line.trim_end()));
    }
    let hottest = together.hottest(most);
    if !hottest.is_empty() {
        let mut keys = vec![["most used keys", "uses/s"].map(String::from)];
        keys.extend(hottest.iter().map(|(key, _)| {
            // If some uses may belong to another key, the figure is marked.
            let about = if key.surplus > 0 { "about " } else { "" };
            [Escaped(&key.key).to_string(), format!("{about}{}", rate(sighting.per_second(key.uses)))]
        }));
        fit(&mut keys, width);
        for line in aligned(&keys) {
            text.push_str(&format!("\n{}", line.trim_end()));
        }
    }
    text
}

/// The traffic as an HTML page.
pub fn page(together: &FleetTraffic, failed: &[ServerAddr], top: usize) -> String {
    let FleetTraffic { servers, sighting, skipped, .. } = together;
    let listed = rows(&sighting.traffic, top.min(ROWS_MAX).try_into().ok());
    let column = |heading, name, is_wide| Column { heading, name, is_wide, is_sorted: name == "gets" };
    let row = |HotRow { prefix, uses }: &HotRow| {
        let cell = |number| {
            let value = sighting.per_second(number);
            Cell { text: rate(value), value }
        };
        let hits = Cell { text: hits(uses), value: uses.hit_ratio().unwrap_or(-1.0) };
        page::HtmlRow {
            name: prefix.clone(),
            cells: vec![cell(uses.gets), hits, cell(uses.sets), cell(uses.deletes), cell(uses.evictions)],
        }
    };
    let share = |HotRow { prefix, uses }: &HotRow| Share {
        name: prefix.clone(),
        size: uses.total() as f64,
        words: format!("{} uses/s", rate(sighting.per_second(uses.total()))),
    };
    let mut notes = Vec::new();
    if !failed.is_empty() {
        let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
        notes.push(format!("Not counted, because mcflush failed there: {}.", failed.join(", ")));
    }
    if *skipped > 0 {
        notes.push(format!("The figures are too low: the servers left out {}.", count(*skipped, "log line")));
    }
    HtmlPage {
        heading: format!("Reads and writes on {}", title(servers)),
        summary: format!("{} in {:.1} s", summary(&sighting.traffic.total()), sighting.time.as_secs_f64()),
        notes,
        picture: "Uses by prefix",
        shares: listed.iter().map(share).collect(),
        columns: vec![
            column("prefix", "prefix", false),
            column("gets/s", "gets", false),
            column("hits", "hits", false),
            column("sets/s", "sets", false),
            column("deletes/s", "deletes", true),
            column("evictions/s", "evictions", true),
        ],
        rows: listed.iter().map(row).collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let sighting = Sighting { time: Duration::from_secs(2), ..Sighting::default() };
        let uses = Uses { gets: 20_000, hits: 19_000, sets: 3, ..Uses::default() };
        let rows =
            [HotRow { prefix: "long".repeat(30), uses }, HotRow { prefix: "shop:".into(), uses: Uses::default() }];
        for width in [60, 80, 120] {
            let lines = lines(&rows, &sighting, Some(width));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        }
        let whole = lines(&rows, &sighting, None);
        let cells: Vec<_> = whole[1].split_whitespace().skip(1).collect();
        assert_eq!(cells, ["10,000", "95.0%", "1.50", "0", "0"]);
        assert_eq!(whole[2].split_whitespace().collect::<Vec<_>>(), ["shop:", "0", "-", "0", "0", "0"]);
    }

    #[test]
    fn the_keys_of_all_servers_are_in_one_order() {
        let key = |name: &str, uses| HotKey { key: name.into(), uses, surplus: 0 };
        let seen = |keys| hot::Seen {
            traffic: Traffic::default(),
            keys,
            time: Duration::from_secs(1),
            lines: 0,
            skipped: 3,
            logs_deletes: true,
        };
        let mut together = FleetTraffic::default();
        together.add("cache1".parse().unwrap(), seen(vec![key("a", 9), key("b", 1)]));
        together.add("cache2".parse().unwrap(), seen(vec![key("a", 5)]));
        let hottest: Vec<_> = together.hottest(2).into_iter().map(|(key, place)| (key.uses, *place)).collect();
        assert_eq!((hottest, together.skipped), (vec![(9, 0), (5, 1)], 6));
    }
}
