//! What the front pages say: what each feature brings into a build, and the lines of an example.

// A test may panic; the code that it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

const FRONT_PAGE: &str = include_str!("../src/lib.rs");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// The crates of a build with a feature, this one not counted.
fn crates(feature: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let run = Command::new(cargo)
        .args(arguments)
        .args(["--no-default-features", "--features", feature])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).expect("cargo prints text");
    let names = text.lines().map(|line| line.split(" (").next().unwrap_or(line).to_owned());
    names.filter(|name| !name.is_empty() && !name.starts_with("mcflush ")).collect()
}

/// The rows of the table: the feature, and how many crates it says there are.
fn table() -> Vec<(&'static str, usize)> {
    let below = FRONT_PAGE.lines().skip_while(|line| !line.starts_with("//! | feature |")).skip(2);
    below
        .take_while(|line| line.starts_with("//! | "))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let name = cells[1].trim_end_matches(" (default)").trim_matches('`');
            (if name == "none" { "" } else { name }, cells[4].parse().expect("a number"))
        })
        .collect()
}

#[test]
fn a_feature_brings_as_many_crates_as_the_front_page_says() {
    let table = table();
    let found: Vec<_> = table.iter().map(|(feature, _)| (*feature, crates(feature).len())).collect();
    assert_eq!(found, table, "the table of features in src/lib.rs");
}

#[test]
fn the_front_page_has_every_feature() {
    let features = MANIFEST.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let names = features.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    // The one is the default, the other is for nobody.
    let named: BTreeSet<_> =
        names.map(|(name, _)| name).filter(|name| !["default", "fuzzing"].contains(name)).collect();
    let shown: BTreeSet<_> = table().into_iter().map(|(name, _)| name).filter(|name| !name.is_empty()).collect();
    assert_eq!(named, shown);
}

#[test]
fn a_lower_layer_brings_nothing_of_a_higher_one() {
    for (feature, absent) in [
        ("", &["url ", "socket2 ", "rustls ", "ring ", "tempfile ", "icu_"][..]),
        ("client", &["rustls ", "ring ", "tempfile ", "hickory", "clap "]),
        ("tls", &["tempfile ", "hickory", "clap "]),
        ("ops", &["rustls ", "ring ", "hickory", "clap "]),
        ("discovery", &["rustls ", "ring ", "clap "]),
    ] {
        for name in crates(feature) {
            assert!(!absent.iter().any(|begin| name.starts_with(begin)), "{feature:?} brings {name}");
        }
    }
}

#[test]
fn the_readme_shows_lines_of_an_example() {
    let example = include_str!("../examples/clear.rs");
    let code = include_str!("../README.md").split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let (uses, calls) = code.trim().split_once("\n\n").expect("two blocks");
    let example: String = example.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
    for block in [uses, calls] {
        assert!(example.contains(block), "examples/clear.rs does not have these lines:\n{block}");
    }
}
