//! `--html`: one page with a picture and a table, that needs nothing from elsewhere.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use mcflush::address::ServerAddr;
use mcflush::ops::namespaces::{Namespaces, Usage};

use super::{Row, rows, title};
use crate::cli::text::{age, binary, count, grouped};

const PAGE: &str = include_str!("page.html");

/// Rows of the table; more of them nobody reads, and a browser sorts slowly.
const ROWS_MAX: usize = 1_000;

/// Areas of the picture; smaller ones nobody sees.
const AREAS_MAX: usize = 40;

/// What a page has to say beside the counts, because whoever gets it has not seen the command run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lacks<'a> {
    /// Servers that could not be counted.
    pub failed: &'a [ServerAddr],
    /// A listing may have missed keys.
    pub in_part: bool,
}

impl Lacks<'_> {
    fn notes(self, namespaces: &Namespaces) -> String {
        let mut notes = String::new();
        let mut note = |text: &str| notes.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(text)));
        if !self.failed.is_empty() {
            let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
            note(&format!("Not counted, because it failed there: {}.", failed.join(", ")));
        }
        if self.in_part {
            note("Recently read keys may be missing: a server was listed by less than a walk of its hash table.");
        }
        if namespaces.others().keys > 0 {
            let most = grouped(Namespaces::PREFIXES_MAX as u64);
            note(&format!("More than {most} prefixes: the keys of those that were met later are summed as (others)."));
        }
        notes
    }
}

/// The page.
pub fn page(servers: &[ServerAddr], lacks: Lacks<'_>, namespaces: &Namespaces, top: usize) -> String {
    let listed = rows(namespaces, top.min(ROWS_MAX).try_into().ok());
    let total = namespaces.total();
    let title = escaped(&title(servers));
    let summary = format!("{} in {}", count(total.keys, "key"), binary(total.bytes));
    let mut page = String::with_capacity(PAGE.len() + 256 * listed.len());
    // Piece by piece, so that nothing that is put in is looked at again.
    for piece in PAGE.split("{{") {
        let (name, text) = piece.split_once("}}").unwrap_or(("", piece));
        match name {
            "title" => page.push_str(&title),
            "summary" => page.push_str(&summary),
            "made" => page.push_str(&now().to_string()),
            "notes" => page.push_str(&lacks.notes(namespaces)),
            "map" => map(&mut page, &listed),
            "rows" => table(&mut page, &listed, total.bytes),
            _ => {}
        }
        page.push_str(text);
    }
    page
}

/// As a Unix time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn table(page: &mut String, rows: &[Row], total: u64) {
    let now = now();
    for Row { prefix, usage } in rows {
        let share = share(usage, total);
        let access = usage.oldest_access.map(|time| now.saturating_sub(time));
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td data-v=\"{}\">{}</td><td data-v=\"{}\">{}</td><td data-v=\"{share:.6}\">{:.1}%</td>\
             <td class=\"wide\" data-v=\"{}\">{}</td><td class=\"wide\" data-v=\"{}\">{}</td></tr>",
            escaped(prefix),
            usage.keys,
            grouped(usage.keys),
            usage.bytes,
            binary(usage.bytes),
            100.0 * share,
            usage.expiring,
            grouped(usage.expiring),
            access.map_or(-1.0, |access| access as f64),
            access.map_or("-".into(), |access| format!("{} ago", age(access))),
        );
    }
}

fn share(usage: &Usage, total: u64) -> f64 {
    usage.bytes as f64 / total.max(1) as f64
}

/// A rectangle in hundredths of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// An area a prefix, as large as its share of the bytes.
fn map(page: &mut String, rows: &[Row]) {
    let mut sized: Vec<&Row> = rows.iter().filter(|row| row.usage.bytes > 0).collect();
    sized.sort_by_key(|row| std::cmp::Reverse(row.usage.bytes));
    let (shown, rest) = sized.split_at(sized.len().min(AREAS_MAX));
    let mut others = Usage::default();
    rest.iter().for_each(|row| others.add(&row.usage));
    let sizes: Vec<f64> = shown
        .iter()
        .map(|row| row.usage.bytes)
        .chain((others.bytes > 0).then_some(others.bytes))
        .map(|it| it as f64)
        .collect();
    let total: f64 = sizes.iter().sum();
    let labels = shown.iter().map(|row| (row.prefix.as_str(), row.usage)).chain([("(others)", others)]);
    for (number, ((prefix, usage), area)) in labels.zip(squarified(&sizes)).enumerate() {
        let share = 100.0 * usage.bytes as f64 / total.max(1.0);
        // Steps of the golden angle: neighbours never look alike.
        let (class, hue) = match prefix {
            "(none)" | "(others)" => (" class=\"rest\"", 0.0),
            _ => ("", (210.0 + 137.5 * number as f64) % 360.0),
        };
        let text = if area.width > 8.0 && area.height > 7.0 {
            format!("<b>{}</b>{share:.1}%", escaped(prefix))
        } else {
            String::new()
        };
        let _ = writeln!(
            page,
            "<div{class} style=\"left:{:.3}%;top:{:.3}%;width:{:.3}%;height:{:.3}%;--hue:{hue:.0}\" title=\"{}: {}, {share:.1}%\">{text}</div>",
            area.left,
            area.top,
            area.width,
            area.height,
            escaped(prefix),
            binary(usage.bytes),
        );
    }
}

/// Divides the picture by sizes that fall: row by row along the shorter side, each row taking areas as long as that makes
/// them squarer.
fn squarified(sizes: &[f64]) -> Vec<Area> {
    let total: f64 = sizes.iter().sum();
    let mut areas = Vec::with_capacity(sizes.len());
    let mut free = Area { left: 0.0, top: 0.0, width: 100.0, height: 100.0 };
    let mut rest = sizes;
    while let Some(largest) = rest.first() {
        let scale = 10_000.0 / total.max(f64::MIN_POSITIVE);
        let side = free.width.min(free.height).max(f64::MIN_POSITIVE);
        // The worst relation of an area's sides in a row of these.
        let worst = |sum: f64, smallest: f64| {
            let (sum, side) = (sum * scale, side * side);
            (side * largest * scale / (sum * sum)).max(sum * sum / (side * smallest * scale))
        };
        let (mut taken, mut sum) = (1, *largest);
        while let Some(next) = rest.get(taken)
            && let Some(last) = rest.get(taken - 1)
            && worst(sum + next, *next) <= worst(sum, *last)
        {
            sum += next;
            taken += 1;
        }
        let (row, later) = rest.split_at(taken);
        let thickness = sum * scale / side;
        let mut along = 0.0;
        for size in row {
            let length = side * size / sum.max(f64::MIN_POSITIVE);
            areas.push(if free.width >= free.height {
                Area { left: free.left, top: free.top + along, width: thickness, height: length }
            } else {
                Area { left: free.left + along, top: free.top, width: length, height: thickness }
            });
            along += length;
        }
        if free.width >= free.height {
            free = Area { left: free.left + thickness, width: free.width - thickness, ..free };
        } else {
            free = Area { top: free.top + thickness, height: free.height - thickness, ..free };
        }
        rest = later;
    }
    areas
}

/// Text as it stands in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_as_large_as_their_share_and_fill_the_picture() {
        for sizes in [
            vec![1.0],
            vec![6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0],
            (1..=40).rev().map(f64::from).collect(),
            vec![1e15, 1.0],
        ] {
            let total: f64 = sizes.iter().sum();
            let areas = squarified(&sizes);
            assert_eq!(areas.len(), sizes.len());
            for (area, size) in areas.iter().zip(&sizes) {
                assert!((area.width * area.height / 10_000.0 - size / total).abs() < 1e-6, "{area:?}");
                assert!(area.left > -1e-6 && area.left + area.width < 100.0 + 1e-6, "{area:?}");
                assert!(area.top > -1e-6 && area.top + area.height < 100.0 + 1e-6, "{area:?}");
            }
        }
        assert!(squarified(&[]).is_empty());
    }

    #[test]
    fn a_whole_listing_needs_no_note() {
        assert_eq!(Lacks::default().notes(&Namespaces::default()), "");
    }

    #[test]
    fn nothing_that_is_put_in_is_looked_at_again() {
        let servers: Vec<ServerAddr> = vec!["/tmp/{{rows}}<script>".parse().unwrap()];
        let lacks = Lacks { failed: &servers, in_part: true };
        let page = page(&servers, lacks, &Namespaces::default(), 10);
        assert!(page.contains("Who lives on /tmp/{{rows}}&lt;script&gt;"));
        assert!(page.contains("failed there: /tmp/{{rows}}&lt;script&gt;."));
        assert_eq!(page.matches("<script>").count(), 1);
    }
}
