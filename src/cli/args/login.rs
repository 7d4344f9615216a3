//! User and password, for servers that want a login.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use mcflush::connection;
use mcflush::protocol::storage::Credentials;

use crate::cli::config::Config;

pub const USER: &str = "MCFLUSH_USER";
pub const PASSWORD: &str = "MCFLUSH_PASSWORD";

#[derive(Debug, Clone, clap::Args)]
pub struct Login {
    /// The user of servers that want a login (-Y, SASL); else $MCFLUSH_USER; a URL's own wins
    #[arg(long, hide_short_help = true, value_name = "NAME", help_heading = super::heading::SERVERS)]
    pub user: Option<String>,

    /// The password, in a file; else $MCFLUSH_PASSWORD
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = super::heading::SERVERS)]
    pub password_file: Option<PathBuf>,

    /// Which login the servers take
    #[arg(long, hide_short_help = true, value_name = "FORM", value_enum, default_value = "auto", help_heading = super::heading::SERVERS)]
    pub login: Form,
}

/// What --login takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// What each server asks for: the text login (-Y), SASL, or none; MemCachier's where the host ends in memcachier.com
    Auto,
    /// MemCachier's text login; any other server would store the password as an item
    Memcachier,
}

impl Login {
    /// Which login the servers take.
    pub const fn form(&self) -> connection::Login {
        match self.login {
            Form::Auto => connection::Login::Auto,
            Form::Memcachier => connection::Login::Memcachier,
        }
    }

    /// User and password for the servers whose URL has none: by option, environment or config file.
    ///
    /// # Errors
    /// One of them is missing, or is nothing that a server could know.
    pub fn credentials(self, config: &Config) -> Result<Option<Credentials>, String> {
        let user = match self.user {
            Some(user) => Some(user),
            None => from_environment(USER)?.map_or_else(|| config.text("user"), |user| Ok(Some(user)))?,
        };
        let password = match self.password_file {
            Some(file) => Some(from_file(&file)?),
            None => match (from_environment(PASSWORD)?, config.text("password-file")?) {
                (Some(password), _) => Some(password),
                (None, Some(file)) => Some(from_file(Path::new(&file))?),
                (None, None) => config.text("password")?,
            },
        };
        match (user, password) {
            (None, None) => Ok(None),
            (Some(user), Some(password)) => Credentials::new(&user, &password).map(Some).ok_or_else(|| {
                "user and password hold no space, line end or NUL, the user no colon, and neither is empty: check \
                 --user and --password-file"
                    .into()
            }),
            (Some(_), None) => Err(format!("a user without a password: give --password-file, or set {PASSWORD}")),
            (None, Some(_)) => Err(format!("a password without a user: give --user, or set {USER}")),
        }
    }
}

fn from_environment(variable: &str) -> Result<Option<String>, String> {
    let text = env::var_os(variable).map(|text| text.into_string());
    text.transpose().map_err(|_| format!("{variable} is not UTF-8: set it again, or unset it"))
}

/// The only line of a file.
fn from_file(file: &Path) -> Result<String, String> {
    let failed = |error| format!("--password-file {}: {error}: give a file with the password in it", file.display());
    let mut text = String::new();
    // One more than any password has, so that a longer one is seen to be.
    let most = Credentials::MAX as u64 + 1;
    File::open(file).and_then(|file| file.take(most).read_to_string(&mut text)).map_err(failed)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}
