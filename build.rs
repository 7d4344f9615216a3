//! A release of the command for Linux goes without the tables for unwinding, a tenth of its size.
//!
//! Its profile aborts at a panic and strips all names, so that only a debugger, a profiler or a backtrace without names would use the
//! tables. No setting of Cargo reaches those that the standard library brings; a linker script does. A build that unwinds
//! nevertheless (`cargo test --release`) ends at the first panic.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SCRIPT: &str = "SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*/crt*.o) .eh_frame) } } INSERT AFTER .rodata;\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if is_small_release() && links_by_gnu_or_lld() {
        let folder = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets no OUT_DIR"))?;
        let script = PathBuf::from(folder).join("no-unwinding.ld");
        fs::write(&script, SCRIPT)?;
        println!("cargo::rustc-link-arg-bin=mcflush=-Wl,--no-eh-frame-hdr");
        println!("cargo::rustc-link-arg-bin=mcflush=-T{}", script.display());
    }
    Ok(())
}

/// Whether this is the command by a release profile like that in Cargo.toml: small, without debug information.
fn is_small_release() -> bool {
    let is = |name, value| env::var(name).is_ok_and(|set| set == value);
    env::var_os("CARGO_FEATURE_CLI").is_some()
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("PROFILE", "release")
        && is("OPT_LEVEL", "s")
        && is("DEBUG", "false")
}

/// Whether a C compiler calls the linker, and no flag names one that takes no such script (gold, mold, wild).
fn links_by_gnu_or_lld() -> bool {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| OsString::from("cc"));
    let linker = Path::new(&linker).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let names_linker = |flag: &str| {
        flag.contains("linker=")
            || flag.contains("linker-flavor=")
            || flag.contains("ld-path=")
            || (flag.contains("fuse-ld=") && !flag.ends_with("=lld") && !flag.ends_with("=bfd"))
    };
    ["cc", "clang"].iter().any(|compiler| linker.contains(compiler)) && !flags.split('\u{1f}').any(names_linker)
}
