//! Reads the recorded conversations with real servers in tests/transcripts.

use std::path::{Path, PathBuf};

/// An exchange: the bytes that the client sent, and the bytes that the server sent back.
pub struct Exchange {
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    pub closed: bool,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// The files of all versions.
pub fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for version in std::fs::read_dir(folder()).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.sort();
    assert_eq!(files.len(), 198);
    files
}

/// What one file holds, in order.
pub fn exchanges(path: &Path) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        match line.split_at(2) {
            ("> ", text) => exchanges.push(Exchange { sent: unescape(text), received: Vec::new(), closed: false }),
            ("< ", text) => exchanges.last_mut().unwrap().received.extend(unescape(text)),
            ("! ", _) => exchanges.last_mut().unwrap().closed = true,
            _ => {}
        }
    }
    exchanges
}

/// Decodes `\r`, `\n`, `\\`, `\xNN`, and `\{c*N}` for a run of one character.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let code = &rest[at + 1..];
        let used = match code.as_bytes()[0] {
            b'r' => {
                bytes.push(b'\r');
                1
            }
            b'n' => {
                bytes.push(b'\n');
                1
            }
            b'\\' => {
                bytes.push(b'\\');
                1
            }
            b'x' => {
                bytes.push(u8::from_str_radix(&code[1..3], 16).unwrap());
                3
            }
            b'{' => {
                let end = code.find('}').unwrap();
                let count: usize = code[3..end].parse().unwrap();
                bytes.extend(std::iter::repeat_n(code.as_bytes()[1], count));
                end + 1
            }
            other => panic!("\\{}", char::from(other)),
        };
        rest = &code[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
