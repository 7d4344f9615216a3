//! Completions: the scripts for the shells, and the candidates for a word of the command line. This code never connects
//! to a server.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use mcflush::address::Target;

use super::config::Config;
use super::text::count;

/// The script that completes mcflush's command line in a shell. If the script asks mcflush for each word, it completes
/// names of the config file; if not, only the options.
pub fn script(mut command: Command, shell: Shell) -> Vec<u8> {
    match shell {
        Shell::Bash => include_bytes!("mcflush.bash").to_vec(),
        Shell::Zsh => include_bytes!("mcflush.zsh").to_vec(),
        Shell::Fish => include_bytes!("mcflush.fish").to_vec(),
        _ => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "mcflush", &mut script);
            script
        }
    }
}

/// The candidates for the last of these words, one a line; for zsh and fish with a tab and an explanation after each.
/// Empty if there is none.
pub fn candidates(command: Command, shell: Shell, words: &[OsString]) -> Vec<u8> {
    let config = Config::find_in_silence(config_file(words)).unwrap_or_default();
    let mut command = with_names(command, &Names::of(&config));
    let last = words.len().saturating_sub(1);
    let found = complete(&mut command, words.to_vec(), last, std::env::current_dir().ok().as_deref());
    // Forty options would hide the names.
    let wants_options = words.last().is_some_and(|word| !word.is_empty());
    let mut text = String::new();
    for candidate in found.unwrap_or_default() {
        // A name that is not UTF-8, or that has control characters, is left out; the user can still type it.
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.contains(char::is_control)) else {
            continue;
        };
        if value.starts_with('-') && !wants_options {
            continue;
        }
        text.push_str(value);
        if matches!(shell, Shell::Zsh | Shell::Fish)
            && let Some(help) = candidate.get_help().and_then(|help| help.to_string().lines().next().map(str::to_owned))
        {
            text.push('\t');
            text.extend(help.chars().filter(|character| !character.is_control()));
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// The config file that the words name.
fn config_file(words: &[OsString]) -> Option<PathBuf> {
    // The last word is not complete yet.
    let (_, words) = words.split_last()?;
    let behind = |word: &OsString| word.to_str().and_then(|word| word.strip_prefix("--config=")).map(OsString::from);
    let named = words
        .iter()
        .enumerate()
        .find_map(|(at, word)| if word == "--config" { words.get(at + 1).cloned() } else { behind(word) })?;
    // The shell has not expanded the ~ yet.
    let in_home = named.to_str().and_then(|named| named.strip_prefix("~/"));
    Some(match (in_home, std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => named.into(),
    })
}

/// The names in a config file, each with its meaning.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Names {
    apps: BTreeMap<String, String>,
    /// Groups with their `@`, and servers.
    servers: BTreeMap<String, String>,
}

impl Names {
    fn of(config: &Config) -> Self {
        let apps = config.apps().iter().map(|(name, app)| {
            let meant: Vec<_> = app.prefixes.iter().chain(&app.globs).map(String::as_str).collect();
            (name.clone(), meant.join(" "))
        });
        let groups = config.groups().iter().map(|(name, group)| {
            let size = u64::try_from(group.servers.len()).unwrap_or(u64::MAX);
            (format!("@{name}"), count(size, "server"))
        });
        // A URL with a password is not shown.
        let is_open =
            |server: &&String| server.parse::<Target>().is_ok_and(|target| target.entry.credentials.is_none());
        let servers: BTreeSet<&String> = config.all_servers().filter(is_open).collect();
        let servers = servers.into_iter().map(|server| (server.clone(), String::new()));
        Self { apps: apps.collect(), servers: groups.chain(servers).collect() }
    }
}

/// The command and its subcommands, with the names as candidates for the arguments that take one.
fn with_names(mut command: Command, names: &Names) -> Command {
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for below in below {
        command = command.mut_subcommand(below, |below| with_names(below, names));
    }
    command.mut_args(|argument| match argument.get_id().as_str() {
        "app" => taking(argument, names.apps.clone()),
        "servers" => taking(argument, names.servers.clone()),
        _ => argument,
    })
}

fn taking(argument: Arg, names: BTreeMap<String, String>) -> Arg {
    argument.add(ArgValueCandidates::new(move || {
        let candidate = |(name, meaning): (&String, &String)| {
            let meaning = (!meaning.is_empty()).then(|| meaning.clone().into());
            CompletionCandidate::new(name).help(meaning)
        };
        names.iter().map(candidate).collect()
    }))
}
