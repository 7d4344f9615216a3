//! Runs every command line in the README and in `--help` as it stands, against real servers under those names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::run::{mcflush, patient_home};
use crate::support::server::{Server, Version};

const README: &str = include_str!("../../README.md");

/// Examples that cannot run here, by their beginning, with the reason. Each must be found, so that none outlives its
/// text.
const NOT_HERE: [(&str, &str); 4] = [
    ("mcflush hot ", "takes its seconds: tests/e2e/hot.rs"),
    ("mcflush namespaces --hot ", "takes its seconds: tests/e2e/hot.rs"),
    ("mcflush stats --watch ", "goes on until it is told to stop: tests/e2e/stats.rs"),
    ("make ", "builds the release, or runs the tests, this one among them"),
];

/// A command line, with its output if the text shows it.
#[derive(Debug, PartialEq)]
struct Example {
    line: String,
    shown: Option<String>,
}

#[test]
fn what_the_readme_shows_works() {
    let mut met = [false; NOT_HERE.len()];
    let mut ran = 0;
    for example in examples_of_markdown(README) {
        match NOT_HERE.iter().position(|(begin, _)| example.line.starts_with(begin)) {
            Some(at) => met[at] = true,
            None => {
                works(&example);
                ran += 1;
            }
        }
    }
    for ((begin, reason), met) in NOT_HERE.iter().zip(met) {
        assert!(met, "the README shows no {begin:?} ({reason}): take it out of the table");
    }
    assert!(ran >= 5, "only {ran} examples were found in the README");
}

#[test]
fn the_page_of_options_is_what_the_program_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("scripts/usage")).arg(env!("CARGO_BIN_EXE_mcflush")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let (made, page) = (String::from_utf8(made.stdout).unwrap(), include_str!("../../docs/USAGE.md"));
    let whole = mcflush(["--help"]).run().stdout;
    for command in commands(&whole) {
        assert!(page.contains(&format!("\n## mcflush {command}\n")), "{command}");
    }
    assert!(made == page, "docs/USAGE.md is not what the help says: make usage");
}

#[test]
fn what_the_help_shows_works() {
    let whole = mcflush(["--help"]).run().stdout;
    assert!(examples_of_help(&whole).len() >= 3, "{whole}");
    for command in [None].into_iter().chain(commands(&whole).into_iter().map(Some)) {
        // The short help may show fewer examples.
        for help in ["-h", "--help"] {
            let text = mcflush(command.as_deref().into_iter().chain([help])).run().stdout;
            for example in examples_of_help(&text) {
                if !NOT_HERE.iter().any(|(begin, _)| example.line.starts_with(begin)) {
                    works(&example);
                }
            }
        }
    }
}

#[test]
fn examples_are_found() {
    let example = |line: &str, shown: Option<&str>| Example { line: line.into(), shown: shown.map(str::to_owned) };
    let text =
        "Text.\n\n```console\n$ mcflush a\nout\n```\n```toml\nb = 1\n```\nText\n\n    mcflush \\\n      c\n    d # e\n";
    assert_eq!(
        examples_of_markdown(&format!("{text}\n- item\n\n      mcflush f `g`")),
        [
            example("mcflush a", Some("out\n")),
            example("mcflush  c", None),
            example("d # e", None),
            example("mcflush f `g`", None),
        ]
    );
    assert_eq!(
        examples_of_help("Options:\n  -x  mcflush\nExamples:\n  mcflush x y    what\n\n  mcflush z\n"),
        [example("mcflush x y", None), example("mcflush z", None),]
    );
}

/// The lines of indented blocks, and of fenced blocks of the shell.
fn examples_of_markdown(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut begun = String::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        let line = match fence {
            None => match line.strip_prefix("    ") {
                Some(line) => line.trim(),
                None => continue,
            },
            Some("console") => match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(line), _) => line,
                (None, Some(before)) => {
                    before.shown.get_or_insert_default().push_str(&format!("{line}\n"));
                    continue;
                }
                (None, None) => panic!("no command before {line:?}"),
            },
            Some("sh" | "shell" | "bash") => line,
            Some(_) => continue,
        };
        match line.strip_suffix('\\') {
            Some(first) => begun.push_str(first),
            None if line.trim().is_empty() || line.starts_with('#') => {}
            None => {
                begun.push_str(if begun.is_empty() { "" } else { " " });
                examples.push(Example { line: format!("{begun}{line}"), shown: None });
                begun.clear();
            }
        }
    }
    examples
}

/// The lines below "Examples:": a command and, after at least two spaces, its explanation.
fn examples_of_help(text: &str) -> Vec<Example> {
    text.lines()
        .skip_while(|line| *line != "Examples:")
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split("  ").next().filter(|line| line.starts_with("mcflush")))
        .map(|line| Example { line: line.to_owned(), shown: None })
        .collect()
}

/// The names of the subcommands in a help text, which come before the arguments.
fn commands(help: &str) -> Vec<String> {
    let below = help.lines().skip_while(|line| !line.starts_with("Commands ")).take_while(|line| *line != "Arguments:");
    let names = below.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == "stats"), "{help}");
    names
}

/// Runs an example in a shell, with a real server of the test for each server in it. Fails if the example fails.
fn works(example: &Example) {
    let mut servers = BTreeMap::new();
    let line = rename(&example.line, &mut servers);
    let mut named: Vec<(&str, &Server)> = servers.iter().map(|(name, server)| (name.as_str(), server)).collect();
    // If the example names no server, the environment does, so that no real localhost is touched.
    let unnamed = Server::start(Version::Sid, &[]);
    named.push(("localhost", &unnamed));
    for (_, server) in &named {
        server.store(["shop:1", "shop:2", "shop:sess:1", "cart:1", "blog:1"]);
    }
    let home = patient_home();
    std::fs::write(home.path().join("keys.txt"), "shop:1\n").expect("the folder can be written");
    let program = Path::new(env!("CARGO_BIN_EXE_mcflush")).parent().expect("it is in a folder");
    let run = Command::new("timeout")
        .args(["60", "sh", "-euc", &line])
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()))
        .env("HOME", home.path())
        .env("MCFLUSH_SERVERS", unnamed.address())
        .current_dir(home.path())
        .output()
        .expect("timeout (of coreutils) runs");
    let Output { status, stdout, stderr } = &run;
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(
        status.success() && stderr.is_empty(),
        "{:?} does not work: mend it, or say in NOT_HERE why it cannot run here\n$ {line}\n{status}\n{stdout}\n{stderr}",
        example.line
    );
    if let Some(shown) = &example.shown {
        let mut said = stdout.into_owned();
        for (name, server) in &servers {
            said = said.replace(server.address(), &full_name(name));
        }
        assert_eq!(without_numbers(&said), without_numbers(shown), "what {:?} says is no longer so", example.line);
    }
}

/// Replaces each server in an example by a server of the test.
fn rename(line: &str, servers: &mut BTreeMap<String, Server>) -> String {
    let mut renamed = Vec::new();
    for word in line.split(' ') {
        let (scheme, name) = word.split_once("://").map_or(("", word), |(scheme, name)| (scheme, name));
        let host = name.split(':').next().unwrap_or_default();
        let is_host = host == "localhost" || host.strip_prefix("cache").is_some_and(|rest| rest.parse::<u8>().is_ok());
        let server = if is_host {
            servers.entry(name.to_owned()).or_insert_with(|| Server::start(Version::Sid, &[]))
        } else if name.starts_with('/') && name.ends_with(".sock") {
            servers.entry(name.to_owned()).or_insert_with(|| Server::start_unix(Version::Sid, &[]))
        } else {
            renamed.push(word.to_owned());
            continue;
        };
        renamed.push(match scheme {
            "" => server.address().to_owned(),
            scheme => format!("{scheme}://{}", server.address()),
        });
    }
    renamed.join(" ")
}

/// The name that mcflush prints for a server.
fn full_name(name: &str) -> String {
    if name.contains([':', '/']) { name.to_owned() } else { format!("{name}:11211") }
}

/// Replaces each number by N, including separators and fractions, and each unit of bytes by "bytes", because they
/// differ in every run.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut before = ' ';
    for character in text.chars() {
        let numeric = character.is_ascii_digit() || (before.is_ascii_digit() && ",.".contains(character));
        if numeric && !plain.ends_with('N') {
            plain.push('N');
        } else if !numeric {
            plain.push(character);
        }
        before = character;
    }
    ["KiB", "MiB", "GiB"].iter().fold(plain, |plain, unit| plain.replace(unit, "bytes"))
}
