//! The tables of the benches: printed, and if BENCH_WRITE is set, put into docs/PERFORMANCE.md between the marks of their names.

use std::fmt;
use std::path::{Path, PathBuf};

/// The median, the minimum and the maximum of some figures, for tables: `1.55 (1.53 to 1.62)`.
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { least: sorted[0], median: sorted[sorted.len() / 2], most: sorted[sorted.len() - 1] }
    }
}

impl fmt::Display for Spread {
    /// With two decimal places, unless the caller asks for another number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(2);
        let Self { least, median, most } = self;
        write!(f, "{median:.places$} ({least:.places$} to {most:.places$})")
    }
}

/// A table in Markdown.
pub struct Table(String);

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    pub fn row<C: fmt::Display>(&mut self, cells: &[C]) {
        for cell in cells {
            self.0.push_str(&format!("| {cell} "));
        }
        self.0.push_str("|\n");
    }

    /// A line of text after the table.
    pub fn note(&mut self, text: &str) {
        if self.0.ends_with("|\n") {
            self.0.push('\n');
        }
        self.0.push_str(text);
        self.0.push('\n');
    }
}

/// Whether the results go into the documentation.
pub fn writes() -> bool {
    std::env::var_os("BENCH_WRITE").is_some()
}

/// The folder of the documentation. This file belongs to two packages, of which one is in a subfolder.
pub fn docs() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("docs"));
    folders.find(|docs| docs.join("PERFORMANCE.md").exists()).expect("the page is there")
}

/// Shows the table of a part.
pub fn show(part: &str, Table(table): &Table) {
    println!("\n{part}\n\n{table}");
    if writes() {
        let path = docs().join("PERFORMANCE.md");
        let page = std::fs::read_to_string(&path).expect("the page is there");
        let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
        let (before, rest) = page.split_once(&begin).expect("the page has the mark");
        let (_, after) = rest.split_once(&end).expect("the page has the mark");
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).expect("it can be written");
    }
}
