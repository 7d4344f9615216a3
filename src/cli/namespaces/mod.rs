//! What `mcflush namespaces` prints: a table or a page.

mod html;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mcflush::address::ServerAddr;
use mcflush::ops::Strategy;
use mcflush::ops::hot::{Traffic, Uses};
use mcflush::ops::namespaces::{Division, Namespaces, Usage};
use mcflush::protocol::Escaped;

pub use self::html::{Gaps, page};
use super::page::now;
use super::text::{self, age, binary, count, grouped, rate};

/// How to count, and how much to show.
#[derive(Debug, Clone)]
pub struct NamespacesCommand {
    pub division: Division,
    pub strategy: Option<Strategy>,
    pub top: Option<NonZeroUsize>,
    /// The file for a page.
    pub html: Option<PathBuf>,
    /// How long to measure reads and writes.
    pub hot: Option<Duration>,
}

/// The measured reads and writes of the servers.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    pub traffic: Traffic,
    /// How long they were measured.
    pub time: Duration,
}

impl Sighting {
    pub fn per_second(&self, uses: u64) -> f64 {
        uses as f64 / self.time.as_secs_f64().max(0.001)
    }
}

/// A row: a prefix as it is printed, or `(none)` or `(others)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRow {
    pub prefix: String,
    pub usage: Usage,
    /// None if they were not measured, or if there were none.
    pub uses: Option<Uses>,
}

/// The largest prefixes first, then prefixes that are used but have no key. Keys without a prefix and the summed rest
/// come last, if there are any.
pub fn rows(namespaces: &Namespaces, sighting: Option<&Sighting>, top: Option<NonZeroUsize>) -> Vec<NamespaceRow> {
    let mut sorted: Vec<(&[u8], Usage)> =
        namespaces.sorted().into_iter().map(|(prefix, usage)| (prefix, *usage)).collect();
    let known: HashSet<&[u8]> = sorted.iter().map(|(prefix, _)| *prefix).collect();
    let used = sighting.into_iter().flat_map(|sighting| sighting.traffic.sorted());
    let missing: Vec<_> = used.filter(|(prefix, _)| !known.contains(prefix)).collect();
    sorted.extend(missing.into_iter().map(|(prefix, _)| (prefix, Usage::default())));
    let uses = |prefix: &[u8]| sighting.and_then(|sighting| sighting.traffic.of(prefix)).copied();
    let (shown, summed) = sorted.split_at(top.map_or(sorted.len(), |top| top.get().min(sorted.len())));
    let (mut others, mut others_uses) = (*namespaces.others(), Uses::default());
    for (prefix, usage) in summed {
        others.add(usage);
        others_uses.add(&uses(prefix).unwrap_or_default());
    }
    let mut none_uses = Uses::default();
    if let Some(Sighting { traffic, .. }) = sighting {
        others_uses.add(traffic.others());
        none_uses = *traffic.none();
    }
    let row = |(prefix, usage): &(&[u8], Usage)| NamespaceRow {
        prefix: Escaped(prefix).to_string(),
        usage: *usage,
        uses: uses(prefix),
    };
    let last = [("(none)", *namespaces.none(), none_uses), ("(others)", others, others_uses)];
    let last = last.into_iter().filter(|(_, usage, uses)| usage.keys > 0 || *uses != Uses::default());
    let last =
        last.map(|(name, usage, uses)| NamespaceRow { prefix: name.into(), usage, uses: sighting.map(|_| uses) });
    shown.iter().map(row).chain(last).collect()
}

/// The counts as a table. A table for a terminal has its width, and bars.
pub fn table(
    servers: &[ServerAddr],
    rows: &[NamespaceRow],
    sighting: Option<&Sighting>,
    width: Option<usize>,
) -> String {
    let mut total = Usage::default();
    rows.iter().for_each(|row| total.add(&row.usage));
    let servers = title(servers);
    let mut text = format!("{servers}: {}, {}\n", count(total.keys, "key"), binary(total.bytes));
    let now = now();
    let share = |usage: &Usage| usage.bytes as f64 / total.bytes.max(1) as f64;
    // The columns for reads and writes leave less room.
    let narrow = width.is_some_and(|width| width < if sighting.is_some() { 92 } else { 72 });

    let headings = |headings: &[&str]| headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>();
    let mut cells = vec![headings(&["prefix", "keys", "bytes", "share"])];
    cells.extend(rows.iter().map(|NamespaceRow { prefix, usage, .. }| {
        vec![prefix.clone(), grouped(usage.keys), binary(usage.bytes), format!("{:.1}%", 100.0 * share(usage))]
    }));
    let mut put = |heading: &str, cell: &dyn Fn(&NamespaceRow) -> String| {
        let column = std::iter::once(heading.to_owned()).chain(rows.iter().map(cell));
        cells.iter_mut().zip(column).for_each(|(row, cell)| row.push(cell));
    };
    if let Some(sighting) = sighting {
        put("reads/s", &|row| rate(sighting.per_second(row.uses.unwrap_or_default().gets)));
        put("writes/s", &|row| rate(sighting.per_second(row.uses.unwrap_or_default().sets)));
    }
    // On a narrow terminal, the least important columns are left out.
    if !narrow {
        put("expiring", &|row| grouped(row.usage.expiring));
        let ago = |time| format!("{} ago", age(now.saturating_sub(time)));
        put("oldest access", &|row| row.usage.oldest_access.map_or("-".into(), ago));
    }
    let mut widths = text::widths(&cells);
    let gaps = 2 * widths.len().saturating_sub(1);
    let used: usize = widths.iter().skip(1).sum::<usize>() + gaps;
    if let (Some(width), Some(prefix)) = (width, widths.first_mut()) {
        *prefix = (*prefix).min(width.saturating_sub(used).max(8));
    }
    let room = width.map_or(0, |width| width.saturating_sub(widths.iter().sum::<usize>() + gaps + 2).min(30));
    let shares = std::iter::once(0.0).chain(rows.iter().map(|row| share(&row.usage)));
    for (row, share) in cells.iter().zip(shares) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at == 0 {
                let cell = fitted(cell, *width);
                line.push_str(&format!("{cell:width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        if room >= 5 && share > 0.0 {
            line.push_str("  ");
            // At least one piece, because the share is above zero.
            line.push_str(&bar_piece().repeat(((share * room as f64).round() as usize).max(1)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// The names of the servers, or their number if there are many.
pub fn title(servers: &[ServerAddr]) -> String {
    match servers {
        [_, _, _, _, _, ..] => count(servers.len() as u64, "server"),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A text cut to a width, with a mark where it was cut.
pub fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The character for bars, depending on the locale.
fn bar_piece() -> &'static str {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value.to_ascii_lowercase())
    });
    if locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8")) { "█" } else { "#" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<NamespaceRow> {
        let row = |prefix: &str, keys, bytes, oldest_access| NamespaceRow {
            prefix: prefix.into(),
            usage: Usage { keys, bytes, expiring: 3, oldest_access },
            uses: None,
        };
        vec![row("shop:", 1_200, 3_000_000, Some(0)), row(&"long".repeat(30), 1, 1_000_000, None)]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = some();
        let sighting = Sighting { time: Duration::from_secs(1), ..Sighting::default() };
        for width in [40, 60, 71, 72, 80, 120, 200] {
            for sighting in [None, Some(&sighting)].into_iter().filter(|sighting| sighting.is_none() || width > 50) {
                let text = table(&[], &rows, sighting, Some(width));
                for line in text.lines() {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
        let whole = table(&[], &rows, None, None);
        assert!(whole.contains(&"long".repeat(30)), "a pipe gets all of it: {whole}");
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!((fitted("shop:", 5), fitted("shops:", 5)), ("shop:".into(), "shop…".into()));
    }
}
