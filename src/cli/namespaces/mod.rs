//! What `mcflush namespaces` prints: a table, or a page.

mod html;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mcflush::address::ServerAddr;
use mcflush::ops::clear::Strategy;
use mcflush::ops::namespaces::{Division, Namespaces, Usage};
use mcflush::protocol::Escaped;

pub use self::html::{Lacks, page};
use super::text::{age, binary, count, grouped};

/// How to count, and how much to show.
#[derive(Debug, Clone)]
pub struct Options {
    pub division: Division,
    pub strategy: Option<Strategy>,
    pub top: Option<NonZeroUsize>,
    /// Where a page is written.
    pub html: Option<PathBuf>,
}

/// A row: a prefix as it is printed, or `(none)` or `(others)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub prefix: String,
    pub usage: Usage,
}

/// The largest first; keys without a prefix and what is summed up are the last, where there are any.
pub fn rows(namespaces: &Namespaces, top: Option<NonZeroUsize>) -> Vec<Row> {
    let sorted = namespaces.sorted();
    let (shown, summed) = sorted.split_at(top.map_or(sorted.len(), |top| top.get().min(sorted.len())));
    let mut others = *namespaces.others();
    summed.iter().for_each(|(_, usage)| others.add(usage));
    let row = |(prefix, usage): &(&[u8], &Usage)| Row { prefix: Escaped(prefix).to_string(), usage: **usage };
    let last = [("(none)", *namespaces.none()), ("(others)", others)].into_iter().filter(|(_, usage)| usage.keys > 0);
    let last = last.map(|(name, usage)| Row { prefix: name.into(), usage });
    shown.iter().map(row).chain(last).collect()
}

/// Who lives on these servers, for people. A terminal has a width, and gets bars.
pub fn table(servers: &[ServerAddr], rows: &[Row], width: Option<usize>) -> String {
    let mut total = Usage::default();
    rows.iter().for_each(|row| total.add(&row.usage));
    let servers = title(servers);
    let mut text = format!("{servers}: {}, {}\n", count(total.keys, "key"), binary(total.bytes));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let share = |usage: &Usage| usage.bytes as f64 / total.bytes.max(1) as f64;
    let narrow = width.is_some_and(|width| width < 72);

    let mut cells = vec![["prefix", "keys", "bytes", "share", "expiring", "oldest access"].map(String::from)];
    cells.extend(rows.iter().map(|Row { prefix, usage }| {
        [
            prefix.clone(),
            grouped(usage.keys),
            binary(usage.bytes),
            format!("{:.1}%", 100.0 * share(usage)),
            grouped(usage.expiring),
            usage.oldest_access.map_or("-".into(), |time| format!("{} ago", age(now.saturating_sub(time)))),
        ]
    }));
    // What matters least goes first where there is no room.
    let columns = if narrow { 4 } else { 6 };
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let gaps = 2 * (columns - 1);
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
            // One at least: there is something.
            line.push_str(&bar_piece().repeat(((share * room as f64).round() as usize).max(1)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// The servers, or how many they are.
fn title(servers: &[ServerAddr]) -> String {
    match servers {
        [_, _, _, _, _, ..] => count(servers.len() as u64, "server"),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A text cut to a width, and seen to be.
fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// What bars are made of, by what the terminal can show.
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

    fn some() -> Vec<Row> {
        let row = |prefix: &str, keys, bytes, oldest_access| Row {
            prefix: prefix.into(),
            usage: Usage { keys, bytes, expiring: 3, oldest_access },
        };
        vec![row("shop:", 1_200, 3_000_000, Some(0)), row(&"long".repeat(30), 1, 1_000_000, None)]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = some();
        for width in [40, 60, 71, 72, 80, 120, 200] {
            let text = table(&[], &rows, Some(width));
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        let whole = table(&[], &rows, None);
        assert!(whole.contains(&"long".repeat(30)), "a pipe gets all of it: {whole}");
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!((fitted("shop:", 5), fitted("shops:", 5)), ("shop:".into(), "shop…".into()));
    }
}
