//! User and password, for servers that want a login.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use mcflush::connection;
use mcflush::protocol::storage::Credentials;

use crate::cli::config::Config;
use crate::cli::secret;
use crate::cli::text::one_line;

const PASSWORD: &str = "MCFLUSH_PASSWORD";
const USER: &str = "MCFLUSH_USER";

/// The variables for a user and its password, in pairs: mcflush's own, those of other clients, and MemCachier's.
const VARIABLES: [[&str; 2]; 3] =
    [[USER, PASSWORD], ["MEMCACHE_USERNAME", "MEMCACHE_PASSWORD"], ["MEMCACHIER_USERNAME", "MEMCACHIER_PASSWORD"]];

#[derive(Debug, Clone, clap::Args)]
pub struct LoginArgs {
    /// The user for servers that want a login (-Y, SASL) [default: $MCFLUSH_USER]
    ///
    /// A user in a server's URL goes before it. If $MCFLUSH_USER is not set either, mcflush reads $MEMCACHE_USERNAME or
    /// $MEMCACHIER_USERNAME, each with its own password.
    #[arg(long, hide_short_help = true, value_name = "NAME", help_heading = super::heading::SERVERS)]
    pub user: Option<String>,

    /// Read the password from FILE [default: $MCFLUSH_PASSWORD]
    ///
    /// $MEMCACHE_PASSWORD and $MEMCACHIER_PASSWORD belong to the users of those names.
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = super::heading::SERVERS)]
    pub password_file: Option<PathBuf>,

    /// How to log in
    #[arg(long, hide_short_help = true, value_name = "FORM", value_enum, default_value = "auto", help_heading = super::heading::SERVERS)]
    pub login: LoginForm,
}

/// The values of --login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginForm {
    /// What each server asks for: the text login (-Y), SASL, or none; MemCachier's if the host ends in memcachier.com
    Auto,
    /// MemCachier's text login; any other server would store the password as an item
    Memcachier,
}

impl LoginArgs {
    /// The login that the servers take.
    pub const fn form(&self) -> connection::Login {
        match self.login {
            LoginForm::Auto => connection::Login::Auto,
            LoginForm::Memcachier => connection::Login::Memcachier,
        }
    }

    /// User and password for the servers whose URL has none: from the options, the environment or the config file.
    ///
    /// # Errors
    /// One of the two is missing, or has a form that no server accepts.
    pub fn credentials(self, config: &Config) -> Result<Option<Credentials>, String> {
        let [of_user, of_password] = in_environment();
        let from_config = |name: &str| {
            let found = config.text(name)?.map(|text| LoginPart { text, source: format!("{name} in the config file") });
            Ok::<_, String>(found)
        };
        let user = match (self.user, of_user) {
            (Some(text), _) => Some(LoginPart { text, source: "--user".into() }),
            (None, Some(variable)) => Some(from_environment(variable)?),
            (None, None) => from_config("user")?,
        };
        let password = match (self.password_file, of_password) {
            (Some(file), _) => Some(from_file(&file)?),
            (None, Some(variable)) => Some(from_environment(variable)?),
            (None, None) => match config.text("password-file")? {
                Some(file) => Some(from_file(Path::new(&file))?),
                None => from_config("password")?,
            },
        };
        match (user, password) {
            (None, None) => Ok(None),
            (Some(user), Some(password)) => {
                user.check()?;
                if user.text.contains(':') {
                    return Err(format!(
                        "{} holds a colon, which ends a user's name in the server's file: set it without one",
                        user.source
                    ));
                }
                password.check()?;
                let too_long = || {
                    let most = Credentials::MAX - 1;
                    format!("user and password are over {most} bytes long together: check {}", password.source)
                };
                Credentials::new(&user.text, &password.text).map(Some).ok_or_else(too_long)
            }
            (Some(user), None) => {
                Err(format!("{}: a user without a password: give --password-file, or set {PASSWORD}", user.source))
            }
            (None, Some(password)) => {
                Err(format!("{}: a password without a user: give --user, or set {USER}", password.source))
            }
        }
    }
}

/// A user or a password.
struct LoginPart {
    text: String,
    /// Where it comes from, for messages.
    source: String,
}

impl LoginPart {
    /// Checks that a server can accept it. The error does not contain it.
    fn check(&self) -> Result<(), String> {
        let Self { text, source } = self;
        if text.is_empty() {
            Err(format!("{source} is empty: set it, or leave it out"))
        } else if text.ends_with(['\r', '\n']) {
            Err(format!("{source} ends in a line end, which no server takes: set it without"))
        } else if text.contains([' ', '\r', '\n', '\0']) {
            Err(format!("{source} holds a space, a line end or a NUL, which no server takes: set it without"))
        } else {
            Ok(())
        }
    }
}

/// The variables for user and password: the first pair of which one is set. An empty variable of another client counts
/// as not set.
fn in_environment() -> [Option<&'static str>; 2] {
    let is_set =
        |name: &str| env::var_os(name).is_some_and(|text| name == USER || name == PASSWORD || !text.is_empty());
    let pairs = VARIABLES.into_iter().map(|pair| pair.map(|name| is_set(name).then_some(name)));
    pairs.into_iter().find(|pair| pair.iter().any(Option::is_some)).unwrap_or([None, None])
}

/// The user in the environment, if any, and whether the environment has a password.
pub fn known_to_environment() -> (Option<String>, bool) {
    let [user, password] = in_environment();
    (user.and_then(|name| env::var(name).ok()), password.is_some())
}

fn from_environment(variable: &str) -> Result<LoginPart, String> {
    let text = env::var(variable).map_err(|_| format!("{variable} is not UTF-8: set it again, or unset it"))?;
    Ok(LoginPart { text, source: variable.into() })
}

/// The single line of a file.
fn from_file(file: &Path) -> Result<LoginPart, String> {
    let source = format!("--password-file {}", one_line(&file.display().to_string()));
    let failed = |error| format!("{source}: {error}: give a file with the password in it");
    let mut text = String::new();
    // One byte more than the longest password, so that a longer one is detected.
    let most = Credentials::MAX as u64 + 1;
    let mut opened = File::open(file).map_err(failed)?;
    secret::warn_if_open(&opened, file);
    opened.by_ref().take(most).read_to_string(&mut text).map_err(failed)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(LoginPart { text, source })
}
