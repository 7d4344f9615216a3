//! The tables of the benches: printed, and if BENCH_WRITE is set, put into docs/PERFORMANCE.md between the marks of their names.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// The top folder of the repository. This file belongs to two packages, of which one is in a subfolder.
pub fn repository() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("scripts/put-table").exists()).expect("the script is there").to_owned()
}

/// Shows the table of a part.
pub fn show(part: &str, Table(table): &Table) {
    println!("\n{part}\n\n{table}");
    if writes() {
        let mut put = Command::new(repository().join("scripts/put-table"));
        let mut put = put.arg(part).stdin(Stdio::piped()).spawn().expect("bash is there");
        put.stdin.take().expect("it is piped").write_all(table.as_bytes()).expect("it is read");
        assert!(put.wait().expect("it ends").success(), "the page has the marks");
    }
}
