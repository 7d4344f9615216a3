//! An HTML page with a chart and a table, which needs no other file.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const PAGE: &str = include_str!("page.html");

/// The most rows of the table: no reader uses more, and a browser sorts more of them slowly.
pub const ROWS_MAX: usize = 1_000;

/// The most areas of the chart: smaller ones are too small to see.
const AREAS_MAX: usize = 40;

/// The contents of a page.
#[derive(Debug, Default)]
pub struct HtmlPage {
    pub heading: String,
    pub summary: String,
    /// Notes on the figures.
    pub notes: Vec<String>,
    /// What the chart shows, for screen readers.
    pub picture: &'static str,
    pub shares: Vec<Share>,
    /// The first column is the name.
    pub columns: Vec<Column>,
    pub rows: Vec<HtmlRow>,
}

/// A column of the table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub heading: &'static str,
    /// The column's name in the page's address.
    pub name: &'static str,
    /// Whether the column is left out on a phone.
    pub is_wide: bool,
    /// Whether the rows are sorted by this column at first.
    pub is_sorted: bool,
}

/// A row of the table.
#[derive(Debug)]
pub struct HtmlRow {
    pub name: String,
    pub cells: Vec<Cell>,
}

/// A cell: `text` is shown, and `value` is sorted by.
#[derive(Debug)]
pub struct Cell {
    pub text: String,
    pub value: f64,
}

/// An area of the chart.
#[derive(Debug)]
pub struct Share {
    pub name: String,
    pub size: f64,
    /// The size in words.
    pub words: String,
}

impl HtmlPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(PAGE.len() + 256 * self.rows.len());
        // Filled in piece by piece, so that a value is never searched for placeholders.
        for piece in PAGE.split("{{") {
            let (name, text) = piece.split_once("}}").unwrap_or(("", piece));
            match name {
                "heading" => page.push_str(&escaped(&self.heading)),
                "summary" => page.push_str(&escaped(&self.summary)),
                "made" => page.push_str(&now().to_string()),
                "notes" => {
                    for note in &self.notes {
                        let _ = writeln!(page, "<p class=\"note\">{}</p>", escaped(note));
                    }
                }
                "picture" => page.push_str(self.picture),
                "map" => self.map(&mut page),
                "heads" => self.heads(&mut page),
                "rows" => self.table(&mut page),
                _ => {}
            }
            page.push_str(text);
        }
        page
    }

    fn heads(&self, page: &mut String) {
        for Column { heading, name, is_wide, is_sorted } in &self.columns {
            let wide = if *is_wide { " class=\"wide\"" } else { "" };
            let sorted = if *is_sorted { " aria-sort=\"descending\"" } else { "" };
            let _ = writeln!(page, "<th{wide}{sorted}><button data-by=\"{name}\">{heading}</button></th>");
        }
    }

    fn table(&self, page: &mut String) {
        for HtmlRow { name, cells } in &self.rows {
            let _ = write!(page, "<tr><td>{}</td>", escaped(name));
            for (Cell { text, value }, column) in cells.iter().zip(self.columns.iter().skip(1)) {
                let wide = if column.is_wide { " class=\"wide\"" } else { "" };
                let _ = write!(page, "<td{wide} data-v=\"{value}\">{}</td>", escaped(text));
            }
            page.push_str("</tr>\n");
        }
    }

    /// Writes an area for each share above zero, the largest first.
    fn map(&self, page: &mut String) {
        let mut sized: Vec<&Share> = self.shares.iter().filter(|share| share.size > 0.0).collect();
        sized.sort_by(|one, other| other.size.total_cmp(&one.size));
        let total: f64 = sized.iter().map(|share| share.size).sum();
        let (shown, rest) = sized.split_at(sized.len().min(AREAS_MAX));
        let rest: f64 = rest.iter().map(|share| share.size).sum();
        let sizes: Vec<f64> = shown.iter().map(|share| share.size).chain((rest > 0.0).then_some(rest)).collect();
        let labels = shown.iter().map(|share| (share.name.as_str(), share.words.as_str())).chain([("(others)", "")]);
        for (number, ((name, words), area)) in labels.zip(squarified(&sizes)).enumerate() {
            let share = 100.0 * sizes.get(number).copied().unwrap_or_default() / total.max(f64::MIN_POSITIVE);
            // Steps of the golden angle, so that neighbours never look alike.
            let (class, hue) = match name {
                "(none)" | "(others)" => (" class=\"rest\"", 0.0),
                _ => ("", (210.0 + 137.5 * number as f64) % 360.0),
            };
            let text = if area.width > 8.0 && area.height > 7.0 {
                format!("<b>{}</b>{share:.1}%", escaped(name))
            } else {
                String::new()
            };
            let words = if words.is_empty() { String::new() } else { format!("{}, ", escaped(words)) };
            let _ = writeln!(
                page,
                "<div{class} style=\"left:{:.3}%;top:{:.3}%;width:{:.3}%;height:{:.3}%;--hue:{hue:.0}\" title=\"{}: {words}{share:.1}%\">{text}</div>",
                area.left,
                area.top,
                area.width,
                area.height,
                escaped(name),
            );
        }
    }
}

/// The current Unix time.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A rectangle, in percent of the chart.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Divides the chart by sizes in falling order: row by row along the shorter side. A row takes areas as long as that
/// makes them squarer.
fn squarified(sizes: &[f64]) -> Vec<Area> {
    let total: f64 = sizes.iter().sum();
    let mut areas = Vec::with_capacity(sizes.len());
    let mut free = Area { left: 0.0, top: 0.0, width: 100.0, height: 100.0 };
    let mut rest = sizes;
    while let Some(largest) = rest.first() {
        let scale = 10_000.0 / total.max(f64::MIN_POSITIVE);
        let side = free.width.min(free.height).max(f64::MIN_POSITIVE);
        // The worst ratio of an area's sides in such a row.
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

/// Escapes a text for HTML, including attributes.
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
    fn values_are_not_searched_for_placeholders() {
        let hostile = "/tmp/{{rows}}<script>";
        let page = HtmlPage { heading: hostile.into(), notes: vec![hostile.into()], ..HtmlPage::default() }.render();
        assert!(page.contains("<h1>/tmp/{{rows}}&lt;script&gt;</h1>"));
        assert!(page.contains("<p class=\"note\">/tmp/{{rows}}&lt;script&gt;</p>"));
        assert_eq!(page.matches("<script>").count(), 1);
    }
}
