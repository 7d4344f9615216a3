//! `mcflush config check`: the settings that apply, and where each comes from.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::{Config, names};
use crate::cli::args::login::known_to_environment;
use crate::cli::servers::Named;
use crate::cli::text::one_line;

/// The settings that apply.
#[derive(Debug)]
pub struct Check<'a> {
    config: &'a Config,
    servers: Vec<String>,
    /// Where the servers were named.
    source: &'static str,
    /// The name and value of each option, and where the value comes from.
    options: Vec<(String, String, &'static str)>,
}

impl<'a> Check<'a> {
    pub fn new(config: &'a Config, named: &Named, mcflush: &Command, matches: &ArgMatches) -> Self {
        let (user, has_password) = known_to_environment();
        let mut options = Vec::new();
        for name in names(mcflush) {
            let Some(id) = mcflush.get_arguments().find(|arg| arg.get_long() == Some(name)).map(|arg| arg.get_id())
            else {
                continue;
            };
            let is_in_file = config.defaults().any(|known| known == name);
            // An option that this command does not have is shown if the file sets it.
            let given = matches.try_get_raw(id.as_str()).ok().flatten();
            let values = given.map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "));
            let source = match matches.try_contains_id(id.as_str()).ok().and_then(|_| matches.value_source(id.as_str()))
            {
                Some(ValueSource::CommandLine) => "command line",
                Some(ValueSource::EnvVariable) => "environment",
                _ if is_in_file => "config file",
                _ => "built in",
            };
            // The file's default for these comes after the environment, and is not among the matches.
            let from_environment = user.clone().filter(|_| name == "user");
            let (value, source) = match (values, from_environment) {
                (Some(value), _) => (Some(value), source),
                (None, Some(value)) => (Some(value), "environment"),
                (None, None) => (config.default_text(name), source),
            };
            if let Some(value) = value {
                options.push((name.to_owned(), one_line(&value), source));
            }
        }
        let password = match (has_password, config.defaults().any(|name| name == "password")) {
            (true, _) => Some("environment"),
            (false, true) => Some("config file"),
            (false, false) => None,
        };
        options.extend(password.map(|source| ("password".to_owned(), "(hidden)".to_owned(), source)));
        let servers = named.shown();
        Self { config, servers, source: named.source, options }
    }

    fn file(&self) -> Option<String> {
        self.config.file.as_ref().map(|file| one_line(&file.display().to_string()))
    }

    /// The settings as text.
    pub fn text(&self) -> Vec<u8> {
        let mut text = format!("config file: {}\n", self.file().unwrap_or_else(|| "none".into()));
        text.push_str(&format!("servers: {} ({})\n", self.servers.join(", "), self.source));
        for (name, value, source) in &self.options {
            text.push_str(&format!("--{name}: {value} ({source})\n"));
        }
        let list = |names: &[String]| names.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ");
        for (name, group) in self.config.groups() {
            text.push_str(&format!("@{}: {}\n", one_line(name), list(&group.servers)));
        }
        for (name, app) in self.config.apps() {
            let which = |prefixes: &[String], globs: &[String]| {
                let begin = (!prefixes.is_empty()).then(|| format!("begin with {}", list(prefixes)));
                let matching = (!globs.is_empty()).then(|| format!("match {}", list(globs)));
                [begin, matching].into_iter().flatten().collect::<Vec<_>>().join(" or ")
            };
            let kept = which(&app.keep, &app.keep_match);
            text.push_str(&format!("app {}: keys that {}", one_line(name), which(&app.prefixes, &app.globs)));
            if !kept.is_empty() {
                text.push_str(&format!(", but not those that {kept}"));
            }
            if let Some(servers) = &app.servers {
                text.push_str(&format!(", on {}", list(servers)));
            }
            text.push('\n');
        }
        text.into_bytes()
    }

    /// The settings as JSON.
    pub fn json(&self) -> Result<Vec<u8>, std::io::Error> {
        let option =
            |(name, value, source): &(String, String, &str)| json!({ "name": name, "value": value, "from": source });
        let groups = self.config.groups().iter().map(|(name, group)| (name.clone(), json!(group.servers)));
        let apps = self.config.apps().iter().map(|(name, app)| {
            (
                name.clone(),
                json!({
                    "prefixes": app.prefixes,
                    "match": app.globs,
                    "keep": app.keep,
                    "keep_match": app.keep_match,
                    "servers": app.servers,
                }),
            )
        });
        let document = json!({
            "command": "config check",
            "file": self.file(),
            "servers": { "names": self.servers, "from": self.source },
            "options": self.options.iter().map(option).collect::<Vec<_>>(),
            "groups": groups.collect::<serde_json::Map<String, Value>>(),
            "apps": apps.collect::<serde_json::Map<String, Value>>(),
        });
        let mut text = serde_json::to_vec(&document)?;
        text.push(b'\n');
        Ok(text)
    }
}
