//! The file's defaults for the options.

use clap::{Arg, ArgAction, Command};
use toml::Value;

use super::{Config, similar};
use crate::cli::text::one_line;

/// Options that a user gives anew in each run, and for which the file has no default.
const NEVER: [&str; 24] = [
    "all",
    "prefix",
    "match",
    "keep",
    "keep-match",
    "larger",
    "idle",
    "no-expiry",
    "keys-from",
    "app",
    "escaped",
    "dry-run",
    "delay",
    "once",
    "keep-new",
    "stagger",
    "yes",
    "config",
    "servers-from",
    "shard",
    "help",
    "version",
    "html",
    "watch",
];

/// Settings that come after the environment, which the login code reads by name. The password has no option, because
/// other users could read it in the process list.
const LOGIN: [&str; 3] = ["user", "password", "password-file"];

/// Settings that are paths, relative to the file's folder.
const PATHS: [&str; 4] = ["password-file", "tls-ca", "tls-cert", "tls-key"];

/// The long options that may have a default in the file.
pub fn names(command: &Command) -> Vec<&str> {
    let longs = command.get_arguments().filter_map(Arg::get_long);
    longs.filter(|long| !NEVER.contains(long)).collect()
}

impl Config {
    /// Whether the file has defaults beside those for the login.
    pub fn has_default_options(&self) -> bool {
        self.defaults().any(|name| !LOGIN.contains(&name))
    }

    /// The command, with the file's defaults instead of the built-in ones.
    ///
    /// # Errors
    /// An option is unknown, or does not accept the file's value.
    pub fn apply(&self, mut command: Command) -> Result<Command, String> {
        for (name, value) in &self.contents.defaults {
            if LOGIN.contains(&name.get_ref().as_str()) {
                continue;
            }
            let value = self.default(&command, name.get_ref(), value).map_err(|error| {
                let file = self.file.as_ref().map(|file| one_line(&file.display().to_string())).unwrap_or_default();
                let line = self.lines.get(name.get_ref()).copied().unwrap_or_default();
                format!("{file}:{line}: {error}")
            })?;
            let Some(value) = value else { continue };
            command = with_default(command, name.get_ref(), &value);
        }
        Ok(command)
    }

    /// A default that is a text, for a setting that comes after the environment.
    ///
    /// # Errors
    /// The value is not a text.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some((_, value)) = self.contents.defaults.iter().find(|(known, _)| known.get_ref() == name) else {
            return Ok(None);
        };
        match value {
            Value::String(text) => Ok(Some(self.resolved(name, text))),
            _ => Err(format!("[defaults] {name}: give a text")),
        }
    }

    /// Makes a path relative to the file's folder.
    fn resolved(&self, name: &str, text: &str) -> String {
        match self.file.as_deref().and_then(std::path::Path::parent) {
            Some(folder) if PATHS.contains(&name) => folder.join(text).display().to_string(),
            _ => text.to_owned(),
        }
    }

    /// The value of an option as a user would type it; none if it changes nothing.
    fn default(&self, command: &Command, name: &str, value: &Value) -> Result<Option<String>, String> {
        let names = names(command);
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(name) && names.contains(&name))
        else {
            let meant = similar(name, names.iter().copied()).map(|known| format!("did you mean \"{known}\"?"));
            let advice = meant.unwrap_or_else(|| "see mcflush --help for those that do".into());
            return Err(format!("\"{}\" is not an option that takes a default: {advice}", one_line(name)));
        };
        let text = match (arg.get_action(), value) {
            (ArgAction::SetTrue, Value::Boolean(given)) => return Ok(given.then(|| "true".into())),
            (ArgAction::SetTrue, _) => return Err(format!("{name}: give true or false")),
            (ArgAction::Count, Value::Integer(given @ 0..=9)) => return Ok(Some(given.to_string())),
            (ArgAction::Count, _) => return Err(format!("{name}: give a number from 0 to 9")),
            (_, Value::String(text)) => self.resolved(name, text),
            (_, Value::Integer(number)) => number.to_string(),
            (_, Value::Float(number)) => number.to_string(),
            _ => return Err(format!("{name}: give a text or a number")),
        };
        // Parsed alone, as if it were typed: clap treats a default that it cannot parse as a mistake of this program.
        let typed = format!("--{name}={text}");
        match command.clone().try_get_matches_from(["mcflush", "--all", &typed]) {
            Ok(_) => Ok(Some(text)),
            Err(error) => {
                let error = error.render().to_string();
                let first = error.lines().next().unwrap_or_default();
                Err(one_line(first.strip_prefix("error: ").unwrap_or(first)))
            }
        }
    }
}

/// Sets the default in the command and in each subcommand that has the option.
fn with_default(mut command: Command, name: &str, value: &str) -> Command {
    let id = command.get_arguments().find(|arg| arg.get_long() == Some(name)).map(|arg| arg.get_id().clone());
    if let Some(id) = id {
        command = command.mut_arg(id, |arg| arg.default_value(value.to_owned()));
    }
    let below: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    below.into_iter().fold(command, |command, sub| command.mut_subcommand(sub, |sub| with_default(sub, name, value)))
}
