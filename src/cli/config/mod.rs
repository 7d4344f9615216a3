//! The config file: servers, groups of servers, apps with their prefixes, and defaults for the options.

pub mod check;
mod defaults;

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use mcflush::address::{ServerAddr, ServerName, Target};
use mcflush::scope::{Glob, Prefix};
use serde::Deserialize;
use toml::Spanned;

pub use self::defaults::names;
use super::text::one_line;
use super::{advice, secret};

/// The contents of the config file; empty if there is none.
#[derive(Debug, Default)]
pub struct Config {
    /// The path of the file.
    pub file: Option<PathBuf>,
    contents: Contents,
    /// The line of each default.
    lines: BTreeMap<String, usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    servers: Option<Vec<String>>,
    #[serde(default)]
    defaults: BTreeMap<Spanned<String>, toml::Value>,
    #[serde(default)]
    groups: BTreeMap<String, ServerGroup>,
    #[serde(default)]
    apps: BTreeMap<String, App>,
}

/// The servers that `@NAME` stands for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerGroup {
    pub servers: Vec<String>,
}

/// An app that `--app NAME` clears.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    #[serde(default)]
    pub prefixes: Vec<String>,
    #[serde(default, rename = "match")]
    pub globs: Vec<String>,
    #[serde(default)]
    pub keep: Vec<String>,
    #[serde(default, rename = "keep-match")]
    pub keep_match: Vec<String>,
    /// None means the file's own servers.
    pub servers: Option<Vec<String>>,
}

impl Config {
    /// Reads the named file, or else the first that exists of `$MCFLUSH_CONFIG`, `./mcflush.toml`,
    /// `$XDG_CONFIG_HOME/mcflush/config.toml` and `/etc/mcflush.toml`.
    ///
    /// # Errors
    /// The file cannot be read, or has a wrong value. The error is one line, with the number of the file's line.
    pub fn find(named: Option<PathBuf>) -> Result<Self, String> {
        let Some(file) = place(named)? else { return Ok(Self::default()) };
        let name = one_line(&file.display().to_string());
        let failed = |error| format!("{name}: {error}: name a config file that can be read");
        let opened = File::open(&file).map_err(failed)?;
        let text = io::read_to_string(&opened).map_err(failed)?;
        let config = Self::of(&text, file.clone()).map_err(|error| format!("{name}:{error}"))?;
        if config.defaults().any(|name| name == "password") {
            secret::warn_if_open(&opened, &file);
        }
        Ok(config)
    }

    /// As [`Self::find`], for a completion: it reports no error and never waits for a pipe. `None` if there is no file
    /// to read.
    pub fn find_in_silence(named: Option<PathBuf>) -> Option<Self> {
        let file = place(named).ok()??;
        let text = file.is_file().then(|| std::fs::read_to_string(&file))?.ok()?;
        Self::of(&text, file).ok()
    }

    /// Parses the file. An error begins with the line number.
    fn of(text: &str, file: PathBuf) -> Result<Self, String> {
        let contents = parse(text)?;
        let place = |name: &Spanned<String>| (name.get_ref().clone(), line(text, Some(name.span())));
        let lines = contents.defaults.keys().map(place).collect();
        Ok(Self { file: Some(file), contents, lines })
    }

    /// The servers of the file, if it names any.
    pub fn servers(&self) -> Option<&[String]> {
        self.contents.servers.as_deref()
    }

    /// The names of the options that have a default.
    pub fn defaults(&self) -> impl Iterator<Item = &str> {
        self.contents.defaults.keys().map(|name| name.get_ref().as_str())
    }

    /// An option's default as it stands in the file.
    pub fn default_text(&self, name: &str) -> Option<String> {
        let (_, value) = self.contents.defaults.iter().find(|(known, _)| known.get_ref() == name)?;
        Some(match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(given) => given.to_string(),
            _ => return None,
        })
    }

    pub fn groups(&self) -> &BTreeMap<String, ServerGroup> {
        &self.contents.groups
    }

    /// Every server that the file names, as it is written there.
    pub fn all_servers(&self) -> impl Iterator<Item = &String> {
        let of_groups = self.groups().values().flat_map(|group| &group.servers);
        let of_apps = self.apps().values().filter_map(|app| app.servers.as_ref()).flatten();
        self.servers().into_iter().flatten().chain(of_groups).chain(of_apps)
    }

    /// The host of every server that the file names.
    pub fn hosts(&self) -> Vec<String> {
        let host = |name: &String| match name.parse::<Target>().ok()?.name {
            ServerName::One(ServerAddr::Tcp { host, .. }) => Some(host),
            _ => None,
        };
        self.all_servers().filter_map(host).collect()
    }

    pub fn apps(&self) -> &BTreeMap<String, App> {
        &self.contents.apps
    }

    /// The app of this name.
    ///
    /// # Errors
    /// There is no app of this name.
    pub fn app(&self, name: &str) -> Result<&App, String> {
        self.apps().get(name).ok_or_else(|| self.unknown("app", name, self.apps().keys()))
    }

    /// The servers of a group, named with or without `@`.
    ///
    /// # Errors
    /// There is no group of this name.
    pub fn group(&self, name: &str) -> Result<&[String], String> {
        let name = name.strip_prefix('@').unwrap_or(name);
        let group = self.groups().get(name).ok_or_else(|| self.unknown("group", name, self.groups().keys()))?;
        Ok(&group.servers)
    }

    fn unknown<'a>(&self, what: &str, name: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
        let name = one_line(name);
        let Some(file) = &self.file else {
            return format!(
                "there is no config file, so no {what} \"{name}\": name a file by --config, or see mcflush --help"
            );
        };
        let file = one_line(&file.display().to_string());
        let advice = match (similar(&name, known.clone().map(String::as_str)), known.clone().next()) {
            (Some(similar), _) => format!("did you mean \"{}\"?", one_line(similar)),
            (None, Some(_)) => {
                format!("it has {}", known.map(|name| format!("\"{}\"", one_line(name))).collect::<Vec<_>>().join(", "))
            }
            (None, None) => format!("write [{what}s.{name}] there"),
        };
        format!("{file} has no {what} \"{name}\": {advice}")
    }
}

/// The named file, or else the first that exists.
fn place(named: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    let variable = env::var_os("MCFLUSH_CONFIG").map(PathBuf::from);
    if named.is_none() && variable.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        return Err("MCFLUSH_CONFIG is set but names no file: name one, or unset it".into());
    }
    if let Some(file) = named.or(variable) {
        return Ok(Some(file));
    }
    let home = || env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(".config"));
    let xdg = env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from).or_else(home);
    let places = [
        Some(PathBuf::from("mcflush.toml")),
        xdg.map(|folder| folder.join("mcflush/config.toml")),
        Some(PathBuf::from("/etc/mcflush.toml")),
    ];
    Ok(places.into_iter().flatten().find(|file| file.exists()))
}

/// The known name that was probably meant.
pub fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// Parses the file. An error begins with the line number: `3: …`.
fn parse(text: &str) -> Result<Contents, String> {
    let contents: Contents = toml::from_str(text).map_err(|error| {
        let place = line(text, error.span());
        format!("{place}: {}", advised(error.message()))
    })?;
    for (name, group) in &contents.groups {
        let nested = group.servers.iter().find(|server| server.starts_with('@'));
        if let Some(nested) = nested {
            let (name, nested) = (one_line(name), one_line(nested));
            return Err(format!(" group \"{name}\": {nested} is a group itself: name the servers"));
        }
    }
    for (name, app) in &contents.apps {
        let name = one_line(name);
        if app.prefixes.is_empty() && app.globs.is_empty() {
            return Err(format!(
                " app \"{name}\": prefixes and match are empty: name what its keys begin with, or what they match"
            ));
        }
        for prefix in app.prefixes.iter().chain(&app.keep) {
            let wrong = |error| format!(" app \"{name}\": {}", advice::of_prefix(error));
            Prefix::new(prefix.clone()).map_err(wrong)?;
        }
        for glob in app.globs.iter().chain(&app.keep_match) {
            Glob::new(glob.clone()).map_err(|error| format!(" app \"{name}\": {error}"))?;
        }
    }
    Ok(contents)
}

/// The number of the line where a span begins.
fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
    before.bytes().filter(|&byte| byte == b'\n').count() + 1
}

/// The parser's message in one line, with the name that was probably meant: unknown field `servrs`, expected one of
/// `servers`, `apps`.
fn advised(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let likely = match quoted.split_first() {
        Some((field, known)) if message.starts_with("unknown field") => similar(field, known.iter().copied()),
        _ => None,
    };
    let likely = likely.map(|known| format!(": did you mean `{known}`?")).unwrap_or_default();
    format!("{}{likely}", one_line(message.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_may_hold() {
        let contents = parse(
            "servers = ['cache1', '@sessions']\n[defaults]\ntimeout = 3\n[groups.sessions]\nservers = ['cache3:11211']\n\
             [apps.shop]\nprefixes = ['shop:']\nmatch = ['*:shop:*']\nkeep = ['shop:sess:']\nkeep-match = ['*:s']\n\
             servers = ['@sessions']\n[apps.wp]\nmatch = ['?*:posts:*']\n",
        )
        .unwrap();
        assert_eq!(contents.servers.unwrap(), ["cache1", "@sessions"]);
        let shop = &contents.apps["shop"];
        assert_eq!([&shop.globs[0], &shop.keep[0], &shop.keep_match[0]], ["*:shop:*", "shop:sess:", "*:s"]);
        assert!(parse("").unwrap().servers.is_none());
    }

    #[test]
    fn errors_say_the_line_and_what_was_meant() {
        for (text, words) in [
            ("\nservrs = ['a']", &["2: ", "servrs", "did you mean `servers`?"][..]),
            ("[apps.shop]\nprefix = ['a']", &["2: ", "`prefixes`"]),
            ("[apps.shop]\nmatch = ['a[']", &["shop", "]"]),
            ("[apps.shop]\nmatch = ['*']", &["shop", "every key"]),
            ("[apps.shop]\nprefixes = 'a'", &["2: "]),
            ("[apps.shop]\nprefixes = []", &["shop", "empty"]),
            ("[apps.shop]\nprefixes = ['']", &["shop", "--all"]),
            ("[apps.shop]\n", &["prefixes"]),
            ("[groups.a]\nservers = ['@b']", &["\"a\"", "@b"]),
            ("servers = [", &["1: "]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
