//! Runs the built command on a terminal, and reads its screen.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use tempfile::TempDir;

use super::run::patience;
use super::{signal, wait_for};

const ROWS: u16 = 50;

pub struct Terminal {
    child: Child,
    keyboard: Arc<Pty>,
    seen: Arc<Mutex<Seen>>,
    _home: TempDir,
}

/// Text of a single style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// One of sixteen; none for the terminal's default.
    pub color: Option<u8>,
    pub bold: bool,
    pub dim: bool,
}

fn pieces(screen: &vt100::Screen) -> Vec<Vec<Piece>> {
    let (rows, columns) = screen.size();
    let row = |row| {
        let mut pieces: Vec<Piece> = Vec::new();
        for cell in (0..columns.get()).filter_map(|column| screen.cell(row, column)) {
            let color = match cell.fgcolor() {
                vt100::Color::Idx(color) => Some(color),
                _ => None,
            };
            let text = if cell.has_contents() { cell.contents() } else { " " };
            let (bold, dim) = (cell.bold(), cell.dim());
            match pieces.last_mut() {
                Some(last) if (last.color, last.bold, last.dim) == (color, bold, dim) => last.text.push_str(text),
                _ => pieces.push(Piece { text: text.into(), color, bold, dim }),
            }
        }
        pieces
    };
    (0..rows.get()).map(row).collect()
}

struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
    ended: bool,
}

impl Terminal {
    /// Runs `mcflush ARGUMENTS`, with its [`patience`], on a terminal with this many columns.
    pub fn run(columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> Terminal {
        let (program, mut arguments) = (super::program(), arguments.to_vec());
        if let Some((at, option)) = patience(&arguments) {
            arguments.insert(at, option);
        }
        Terminal::run_program(program.to_str().expect("a path of text"), columns, environment, &arguments)
    }

    /// Runs a program that runs mcflush.
    pub fn run_program(program: &str, columns: u16, environment: &[(&str, &str)], arguments: &[&str]) -> Terminal {
        let (terminal, side) = open().expect("a pseudo-terminal");
        terminal.resize(Size::new(ROWS, columns)).expect("it takes any size");
        let home = TempDir::with_prefix("mcflush-home-").expect("a temporary folder");
        let mut command = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .current_dir(home.path());
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command = command.env("LLVM_PROFILE_FILE", profile);
        }
        let child = command.spawn(side).expect("the binary runs");
        let size = |cells| NonZeroU16::new(cells).expect("a terminal has cells");
        let screen = vt100::Parser::new(size(ROWS), size(columns), 0);
        let seen = Arc::new(Mutex::new(Seen { bytes: Vec::new(), screen, ended: false }));
        let keyboard = Arc::new(terminal);
        let (reader, terminal) = (Arc::clone(&seen), Arc::clone(&keyboard));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal without a holder ends in an error.
            while let Ok(length @ 1..) = (&*terminal).read(&mut buffer) {
                let mut seen = reader.lock().unwrap_or_else(PoisonError::into_inner);
                seen.bytes.extend_from_slice(&buffer[..length]);
                seen.screen.process(&buffer[..length]);
            }
            reader.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        });
        Terminal { child, keyboard, seen, _home: home }
    }

    fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rows of the screen now, without trailing spaces and empty rows.
    pub fn screen(&self) -> String {
        self.seen(|seen| {
            let screen = seen.screen.screen();
            let (_, columns) = screen.size();
            let rows: Vec<_> = screen.rows(0, columns.into()).map(|row| row.trim_end().to_owned()).collect();
            rows.join("\n").trim_end().to_owned()
        })
    }

    /// The printed lines, each in one piece even if it takes several rows.
    pub fn lines(&self) -> String {
        self.seen(|seen| seen.screen.screen().contents())
    }

    /// The screen row by row, in pieces of a single style; none after the run has ended and all of it was seen.
    pub fn pieces(&self) -> Option<Vec<Vec<Piece>>> {
        self.seen(|seen| {
            if seen.ended {
                return None;
            }
            Some(pieces(seen.screen.screen()))
        })
    }

    /// As [`Self::pieces`], for the current screen, whether or not the run goes on.
    pub fn last_pieces(&self) -> Vec<Vec<Piece>> {
        self.seen(|seen| pieces(seen.screen.screen()))
    }

    /// Waits until the screen meets `condition`, and returns it.
    pub fn shows(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, || {
                last = self.screen();
                condition(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|_| panic!("waited for {what}, and saw\n{last}"))
    }

    /// Types this text, which the terminal echoes.
    pub fn types(&self, text: &str) {
        (&*self.keyboard).write_all(text.as_bytes()).expect("the terminal takes it");
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end; returns the exit status, the lines on the screen, and every byte received.
    pub fn wait(mut self) -> (Option<i32>, String, String) {
        let status = wait_for("the run to end", || self.child.try_wait().expect("a child can be waited for"));
        wait_for("the terminal's end", || self.seen(|seen| seen.ended).then_some(()));
        let bytes = self.seen(|seen| String::from_utf8_lossy(&seen.bytes).into_owned());
        (status.code(), self.lines(), bytes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Needed only if the test failed before it waited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
