//! Why a command line does not come to speak to a server.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use mcflush::address::without_password;

use crate::cli::WRONG_USE;
use crate::cli::screen::complain;
use crate::cli::text::one_line;

/// Why no server is spoken to.
#[derive(Debug)]
pub enum Refusal {
    /// Help and the like, which was asked for.
    Asked(clap::Error),
    /// A text for packagers, which was asked for.
    Document(Vec<u8>),
    /// What is wrong, and what to do, in a line.
    Wrong(String),
}

impl From<String> for Refusal {
    fn from(line: String) -> Self {
        Self::Wrong(line)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Wrong(format!("io: cannot make the text ({error}): run it again"))
    }
}

impl Refusal {
    /// Says so and gives the exit status.
    pub fn print(self) -> ExitCode {
        match self {
            Self::Asked(text) => match text.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(1),
            },
            Self::Document(text) => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(&text).and_then(|()| stdout.flush()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => {
                        complain(&format!("io: cannot write the text ({error}): give stdout a place to go"));
                        ExitCode::from(1)
                    }
                }
            }
            Self::Wrong(line) => {
                complain(&line);
                ExitCode::from(WRONG_USE)
            }
        }
    }
}

/// An error of the parser in one line, or the text that was asked for.
pub fn refusal(error: clap::Error) -> Refusal {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Refusal::Asked(error);
    }
    let text = without_password(&error.render().to_string());
    let first = text.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(':');
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(arguments) if first.ends_with(':') => format!(" {arguments}"),
        _ => String::new(),
    };
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(|tip| format!(": {tip}"));
    let tip = tip.unwrap_or_default();
    Refusal::Wrong(one_line(&format!("{what}{missing}{tip} (see mcflush --help)")))
}
