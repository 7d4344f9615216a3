//! Files that hold passwords.

use std::fs::File;
use std::path::Path;

use super::screen;
use super::text::one_line;

/// Warns if every user of the machine can read a file.
#[cfg(unix)]
pub fn warn_if_open(file: &File, path: &Path) {
    use std::os::unix::fs::MetadataExt;
    const OTHERS_READ: u32 = 0o004;
    let is_open = |found: std::fs::Metadata| found.is_file() && found.mode() & OTHERS_READ != 0;
    if file.metadata().is_ok_and(is_open) {
        let path = one_line(&path.display().to_string());
        screen::warn(&format!("{path}: warning: every user of this machine can read the password in it: chmod o-r it"));
    }
}

/// On systems whose files have no such mode.
#[cfg(not(unix))]
pub fn warn_if_open(_: &File, _: &Path) {}
