//! `--html`: a page with a chart and a table.

use mcflush::address::ServerAddr;
use mcflush::ops::namespaces::Namespaces;

use super::{NamespaceRow, Sighting, rows, title};
use crate::cli::page::{self, Cell, Column, HtmlPage, ROWS_MAX, Share, now};
use crate::cli::text::{age, binary, count, grouped, rate};

/// Gaps in the counts, which the page has to state because its reader did not see the command run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gaps<'a> {
    /// Servers that could not be counted.
    pub failed: &'a [ServerAddr],
    /// Whether a listing may have missed keys.
    pub in_part: bool,
}

impl Gaps<'_> {
    fn notes(self, namespaces: &Namespaces) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.failed.is_empty() {
            let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
            notes.push(format!("Not counted, because mcflush failed there: {}.", failed.join(", ")));
        }
        if self.in_part {
            notes.push(
                "Recently read keys may be missing: not every server was listed by a walk of its hash table.".into(),
            );
        }
        if namespaces.others().keys > 0 {
            let most = grouped(Namespaces::PREFIXES_MAX as u64);
            notes.push(format!("More than {most} prefixes: the keys of the rest are counted as (others)."));
        }
        notes
    }
}

/// The counts as an HTML page.
pub fn page(
    servers: &[ServerAddr],
    gaps: Gaps<'_>,
    namespaces: &Namespaces,
    sighting: Option<&Sighting>,
    top: usize,
) -> String {
    let listed = rows(namespaces, sighting, top.min(ROWS_MAX).try_into().ok());
    let total = namespaces.total();
    let column = |heading, name, is_wide| Column { heading, name, is_wide, is_sorted: name == "bytes" };
    let mut columns = vec![
        column("prefix", "prefix", false),
        column("keys", "keys", false),
        column("bytes", "bytes", false),
        column("share", "share", false),
    ];
    if sighting.is_some() {
        columns.extend([column("reads/s", "reads", false), column("writes/s", "writes", false)]);
    }
    columns.extend([column("expiring", "expiring", true), column("oldest access", "access", true)]);
    let now = now();
    let row = |NamespaceRow { prefix, usage, uses }: &NamespaceRow| {
        let share = usage.bytes as f64 / total.bytes.max(1) as f64;
        let access = usage.oldest_access.map(|time| now.saturating_sub(time));
        let cell = |text, value| Cell { text, value };
        let mut cells = vec![
            cell(grouped(usage.keys), usage.keys as f64),
            cell(binary(usage.bytes), usage.bytes as f64),
            cell(format!("{:.1}%", 100.0 * share), (share * 1e6).round() / 1e6),
        ];
        if let Some(sighting) = sighting {
            let uses = uses.unwrap_or_default();
            let [reads, writes] = [uses.gets, uses.sets].map(|uses| sighting.per_second(uses));
            cells.extend([cell(rate(reads), reads), cell(rate(writes), writes)]);
        }
        cells.extend([
            cell(grouped(usage.expiring), usage.expiring as f64),
            cell(
                access.map_or("-".into(), |access| format!("{} ago", age(access))),
                access.map_or(-1.0, |access| access as f64),
            ),
        ]);
        page::HtmlRow { name: prefix.clone(), cells }
    };
    let share = |NamespaceRow { prefix, usage, uses }: &NamespaceRow| {
        let mut words = binary(usage.bytes);
        if let Some(sighting) = sighting {
            let uses = uses.unwrap_or_default();
            let [reads, writes] = [uses.gets, uses.sets].map(|uses| rate(sighting.per_second(uses)));
            words.push_str(&format!(", {reads} reads/s, {writes} writes/s"));
        }
        Share { name: prefix.clone(), size: usage.bytes as f64, words }
    };
    let summary = format!("{} in {}", count(total.keys, "key"), binary(total.bytes));
    let seconds = |sighting: &Sighting| format!("; reads and writes of {:.0} s", sighting.time.as_secs_f64());
    HtmlPage {
        heading: format!("Keys on {}", title(servers)),
        summary: summary + &sighting.map(seconds).unwrap_or_default(),
        notes: gaps.notes(namespaces),
        picture: "Bytes by prefix",
        shares: listed.iter().map(share).collect(),
        columns,
        rows: listed.iter().map(row).collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_listing_needs_no_note() {
        assert!(Gaps::default().notes(&Namespaces::default()).is_empty());
    }

    #[test]
    fn a_server_that_failed_is_named() {
        let servers: Vec<ServerAddr> = vec!["/tmp/{{rows}}<script>".parse().unwrap()];
        let gaps = Gaps { failed: &servers, in_part: true };
        let page = page(&servers, gaps, &Namespaces::default(), None, 10);
        assert!(page.contains("Keys on /tmp/{{rows}}&lt;script&gt;"));
        assert!(page.contains("failed there: /tmp/{{rows}}&lt;script&gt;."));
    }
}
