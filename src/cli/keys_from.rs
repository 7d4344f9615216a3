//! `--keys-from`: keys as `mcflush keys` prints them, from a file or stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::args::unescape;
use super::text::one_line;

/// The length of the longest key.
const KEY_MAX: usize = 250;

/// The length of the longest line: a key whose bytes are all escaped.
const LINE_MAX: usize = 4 * KEY_MAX;

/// A file of keys that have all been checked. Each reader begins at the first key.
#[derive(Debug, Clone)]
pub struct KeysFrom {
    file: Arc<File>,
    form: KeysForm,
}

/// How the keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysForm {
    /// One key a line, with `\xNN` and `\\` as escapes.
    Lines,
    /// Raw keys, each followed by a NUL.
    Null,
}

impl KeysForm {
    const fn end(self) -> u8 {
        match self {
            Self::Lines => b'\n',
            Self::Null => 0,
        }
    }
}

impl KeysFrom {
    /// Reads and checks the whole file; `-` is stdin. Stdin and other files that cannot be read twice are copied to a
    /// temporary file.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not a key; the error has the number of the line.
    pub fn read(path: &Path, form: KeysForm) -> Result<Self, String> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "stdin".into() } else { one_line(&path.display().to_string()) };
        let unread = |error: io::Error| format!("{name}: {error}: give --keys-from a file of keys that can be read");
        let file = if is_stdin {
            spooled(io::stdin().lock(), &name)?
        } else {
            let file = File::open(path).map_err(unread)?;
            if file.metadata().map_err(unread)?.is_file() { file } else { spooled(file, &name)? }
        };
        let keys = Self { file: Arc::new(file), form };
        for key in keys.keys() {
            key.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => format!("{name}: {error}"),
                _ => unread(error),
            })?;
        }
        Ok(keys)
    }

    /// The keys, from the first on.
    pub fn keys(&self) -> impl Iterator<Item = io::Result<Bytes>> + Send + use<> {
        let from_start = FromStart { file: Arc::clone(&self.file), offset: 0 };
        let mut reader = BufReader::with_capacity(64 * 1024, from_start);
        let (form, mut number, mut line) = (self.form, 0_u64, Vec::new());
        std::iter::from_fn(move || {
            line.clear();
            // One byte more than the longest line and its end, so that a longer line is detected.
            match (&mut reader).take(LINE_MAX as u64 + 2).read_until(form.end(), &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            number += 1;
            if line.last() == Some(&form.end()) {
                line.pop();
            }
            let unit = if form == KeysForm::Lines { "line" } else { "key" };
            let bad = |why| io::Error::new(io::ErrorKind::InvalidData, format!("{unit} {number}: {why}"));
            Some(key(&line, form).map_err(bad))
        })
    }
}

fn key(line: &[u8], form: KeysForm) -> Result<Bytes, &'static str> {
    let key = match form {
        KeysForm::Null => line.to_vec(),
        KeysForm::Lines if line.ends_with(b"\r") => {
            return Err("it ends with a carriage return: take it out, or write \\x0d where the key has one");
        }
        // Fast, because nearly all keys are printed as they are.
        KeysForm::Lines if !line.contains(&b'\\') => line.to_vec(),
        KeysForm::Lines => {
            unescape(line).ok_or("write a backslash as \\\\ and a byte as \\xNN, as \"mcflush keys\" does")?
        }
    };
    match key.len() {
        0 => Err("it is empty: take it out"),
        1..=KEY_MAX => Ok(key.into()),
        _ => Err("it is longer than any key: a key has at most 250 bytes"),
    }
}

fn spooled(mut source: impl Read, name: &str) -> Result<File, String> {
    let mut file = tempfile::tempfile()
        .map_err(|error| format!("io: {name} cannot be kept ({error}): set TMPDIR to another folder"))?;
    io::copy(&mut source, &mut file).map_err(|error| {
        format!("io: {name} cannot be read and kept ({error}): give the temporary folder (TMPDIR) more room")
    })?;
    Ok(file)
}

/// Reads a file from its start, with a position of its own.
struct FromStart {
    file: Arc<File>,
    offset: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &[u8], form: KeysForm) -> Result<Vec<Bytes>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let keys = KeysFrom::read(file.path(), form)
            .map_err(|line| line.rsplit_once(".tmp").unwrap_or(("", &line)).1.to_owned())?;
        let all = |keys: &KeysFrom| keys.keys().map(Result::unwrap).collect::<Vec<_>>();
        // Two readers do not affect each other's position.
        let (mut one, other) = (keys.keys(), all(&keys));
        assert_eq!(one.next().map(Result::unwrap), other.first().cloned());
        Ok(other)
    }

    #[test]
    fn keys_come_as_they_are_printed() {
        let lines = read(b"shop:1\na\\x0a\\\\b\ntwo words\nlast", KeysForm::Lines).unwrap();
        assert_eq!(lines, [&b"shop:1"[..], b"a\n\\b", b"two words", b"last"]);
        let raw = read(b"a\nb\\x\0c\r\0", KeysForm::Null).unwrap();
        assert_eq!(raw, [&b"a\nb\\x"[..], b"c\r"]);
        assert!(read(b"", KeysForm::Lines).unwrap().is_empty());
        assert_eq!(read("\\x61".repeat(250).as_bytes(), KeysForm::Lines).unwrap(), ["a".repeat(250)]);
    }

    #[test]
    fn a_line_that_is_no_key_is_named() {
        for (text, form, words) in [
            (&b"a\n\nb\n"[..], KeysForm::Lines, "line 2: it is empty"),
            (b"a\nb\\n\n", KeysForm::Lines, "line 2: write a backslash"),
            (b"a\r\nb\r\n", KeysForm::Lines, "line 1: it ends with a carriage return"),
            (b"a\0\0", KeysForm::Null, "key 2: it is empty"),
        ] {
            let error = read(text, form).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        for length in [251, 1_000, 1_001, 1_002, 1_003, 100_000] {
            let error = read(["a\n", &"k".repeat(length), "\n"].concat().as_bytes(), KeysForm::Lines).unwrap_err();
            assert!(error.contains("line 2: it is longer than any key"), "{length}: {error}");
        }
        assert!(KeysFrom::read(Path::new("/nonexistent/keys"), KeysForm::Lines).is_err());
        assert!(KeysFrom::read(Path::new("/"), KeysForm::Lines).is_err());
    }
}
