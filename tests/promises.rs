//! Each fault that docs/RELIABILITY.md promises to withstand names tests that are there.

// A test may panic; the code that it tests may not.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../docs/RELIABILITY.md");

/// The tests that a row of the table names.
fn tests_of(row: &str) -> Vec<&str> {
    let names = row.trim_end_matches('|').rsplit('|').next().unwrap();
    names.split(',').map(|name| name.trim().trim_matches('`')).collect()
}

/// The file of a module of the library. Its tests may be in a file of their own, or at its end.
fn file_of_code(module: &str) -> String {
    let path = format!("src/{}", module.replace("::", "/"));
    let files = [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{}.rs", path.trim_end_matches("/tests"))];
    let found = files.iter().find(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists());
    found.unwrap_or_else(|| panic!("{module} has none of these files: {files:?}")).clone()
}

/// The file that a test is in.
fn file_of(test: &str) -> (String, &str) {
    let (module, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test} has no module"));
    let file = match module {
        "simulation" => "tests/simulation/main.rs".into(),
        module if module.starts_with("ops::") => file_of_code(module),
        module if module.starts_with("protocol::") => format!("tests/{}.rs", module.replace("::", "/")),
        module => format!("tests/e2e/{module}.rs"),
    };
    (file, name)
}

#[test]
fn every_fault_names_tests_that_are_there() {
    let table = PAGE.split("## What it withstands").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() >= 40, "the table has {} rows", rows.len());
    for row in rows {
        for test in tests_of(row) {
            let (file, name) = file_of(test);
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{test}: {file}: {error}"));
            assert!(code.contains(&format!("fn {name}(")), "{test} is not in {file}: {row}");
        }
    }
}
