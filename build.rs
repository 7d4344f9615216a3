//! Leaves the tables for unwinding out of a release for Linux: a tenth of its size.
//!
//! The release profile aborts at a panic, so nothing unwinds. Only a backtrace would read the tables, and a stripped program has no
//! names to show in one. No setting of Cargo reaches those of the standard library, so the linker is told.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let is_linux_release = variable("CARGO_CFG_TARGET_OS")? == "linux" && variable("PROFILE")? == "release";
    // These linkers read no such script.
    let linker = ["RUSTC_LINKER", "CARGO_ENCODED_RUSTFLAGS"].map(|name| env::var(name).unwrap_or_default()).concat();
    let takes_script = !["gold", "mold", "wild"].iter().any(|name| linker.contains(name));
    if is_linux_release && takes_script {
        let script = PathBuf::from(variable("OUT_DIR")?).join("no-unwinding.ld");
        fs::write(&script, "SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*/crt*.o) .eh_frame) } } INSERT AFTER .rodata;\n")?;
        println!("cargo::rustc-link-arg-bin=mcflush=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    }
    Ok(())
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
