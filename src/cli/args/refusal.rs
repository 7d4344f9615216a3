//! Why a command line ends before mcflush talks to a server.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use mcflush::address::without_password;

use crate::cli::WRONG_USE;
use crate::cli::screen::complain;
use crate::cli::text::one_line;

/// Why mcflush talks to no server.
#[derive(Debug)]
pub enum Refusal {
    /// The user asked for help or for the version.
    Asked(clap::Error),
    /// The user asked for a text for packagers.
    Document(Vec<u8>),
    /// What is wrong and what to do, in one line.
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
    /// Prints it, and returns the exit status.
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
                        complain(&format!("io: cannot write the text ({error}): check where stdout goes"));
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

/// An error of the parser in one line, or the help that was asked for.
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
