//! Finds async-memcached's parser: it is private there, and nothing of it is copied here.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let cargo = std::env::var_os("CARGO").expect("cargo sets it");
    let output = Command::new(cargo).args(["metadata", "--format-version=1"]).output().expect("cargo metadata runs");
    let metadata = String::from_utf8(output.stdout).expect("metadata is text");
    let manifest = metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/async-memcached-"))
        .expect("async-memcached is a dependency");
    let parser = Path::new(manifest).with_file_name("src").join("parser/mod.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("peer.rs");
    std::fs::write(out, format!("#[path = {parser:?}]\npub mod parser;\n")).expect("OUT_DIR can be written");
}
