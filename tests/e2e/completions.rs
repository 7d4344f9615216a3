//! Completions: in real shells on a terminal, and the output that the shells read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::fake::Fake;
use crate::support::program;
use crate::support::run::{Mcflush, mcflush};
use crate::support::terminal::Terminal;

/// A shell would run one of the names if it were not quoted.
const CONFIG: &str = "servers = ['cache9:11999', 'memcached://app:secret@cache8']\n\
    [groups.sessions]\nservers = ['/run/cache.sock', 'cache7']\n\
    [apps.shop]\nprefixes = ['shop:', 'cart:']\n\
    [apps.shipping]\nprefixes = ['ship:']\n\
    [apps.'x $(touch harm)']\nprefixes = ['x:']\n";

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Files {
        let files = Files { folder: TempDir::with_prefix("mcflush-completions-").unwrap() };
        std::fs::write(files.path("mcflush.toml"), CONFIG).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The text before the tab, and the completed line in each of three shells.
const TYPED: [(&str, &str); 7] = [
    ("mcflush --app sho", "mcflush --app shop"),
    ("mcflush --app=shi", "mcflush --app=shipping"),
    ("mcflush --all @s", "mcflush --all @sessions"),
    ("mcflush --all cache9:1", "mcflush --all cache9:11999"),
    ("mcflush stats --group items @", "mcflush stats --group items @sessions"),
    ("mcflush --dry", "mcflush --dry-run"),
    ("mcflush namesp", "mcflush namespaces"),
];

/// Types the lines in a shell that shows `ready>` when it is ready.
fn completes(files: &Files, shell: &str, arguments: &[&str], quoted: &str) {
    let path = format!("{}:/usr/bin:/bin", program().parent().unwrap().display());
    let config = files.path("mcflush.toml");
    let environment = [
        ("PATH", path.as_str()),
        ("MCFLUSH_CONFIG", config.to_str().unwrap()),
        ("ZDOTDIR", files.folder.path().to_str().unwrap()),
        ("LC_ALL", "C.UTF-8"),
    ];
    let terminal = Terminal::run_program(shell, 100, &environment, arguments);
    terminal.shows("the prompt", |screen| screen.ends_with("ready>"));
    for (typed, completed) in TYPED.into_iter().chain([("mcflush --app x", quoted)]) {
        terminal.types(&format!("{typed}\t"));
        terminal.shows(completed, |screen| screen.ends_with(&format!("ready> {completed}")));
        // Ctrl-U, which deletes the line.
        terminal.types("\x15");
        terminal.shows("an empty line", |screen| screen.ends_with("ready>"));
    }
    // The shell reads the quoted name as a word, not as a command.
    terminal.types(&format!("echo .{}.\n", quoted.trim_start_matches("mcflush --app ")));
    terminal.shows("the name", |screen| screen.contains("\n.x $(touch harm)."));
}

#[test]
fn bash_completes_names_of_the_config_file() {
    let files = Files::new();
    let rc = files.path("rc");
    std::fs::write(&rc, "PS1='ready> '\nbind 'set bell-style none'\n. <(mcflush completions bash)\n").unwrap();
    let quoted = r"mcflush --app x\ \$\(touch\ harm\)";
    completes(&files, "/bin/bash", &["--noprofile", "--rcfile", rc.to_str().unwrap(), "-i"], quoted);
}

#[test]
fn zsh_completes_names_of_the_config_file() {
    let files = Files::new();
    let dump = files.path("dump");
    let rc = format!(
        "PS1='ready> '\nunsetopt beep\nautoload -Uz compinit\ncompinit -u -d {}\n. <(mcflush completions zsh)\n",
        dump.display()
    );
    std::fs::write(files.path(".zshrc"), rc).unwrap();
    completes(&files, "/usr/bin/zsh", &["-d", "-i"], r"mcflush --app x\ \$\(touch\ harm\)");
}

#[test]
fn fish_completes_names_of_the_config_file() {
    let files = Files::new();
    let setup = "function fish_prompt; echo -n 'ready> '; end; set -g fish_greeting; set -g fish_autosuggestion_enabled 0; \
                 mcflush completions fish | source";
    completes(&files, "/usr/bin/fish", &["--no-config", "-C", setup, "-i"], r"mcflush --app x\ \$\(touch\ harm\)");
}

/// The candidates that mcflush prints for the last of the words.
fn offered(mcflush: Mcflush) -> Vec<String> {
    let run = mcflush.run();
    run.exits(0);
    assert_eq!(run.stderr, "", "a completion says nothing beside");
    run.stdout.lines().map(str::to_owned).collect()
}

fn asked<'a>(words: &'a [&'a str]) -> Mcflush {
    mcflush(["completions", "bash", "--", "mcflush"].into_iter().chain(words.iter().copied()))
}

#[test]
fn candidates_for_a_word() {
    let files = Files::new();
    let config = files.path("mcflush.toml");
    let offers = |words: &[&str]| offered(asked(words).env("MCFLUSH_CONFIG", &config));
    assert_eq!(offers(&["--app", ""]), ["shipping", "shop", "x $(touch harm)"]);
    // A server with a password in its URL is not shown.
    assert_eq!(offers(&["stats", ""]), ["/run/cache.sock", "@sessions", "cache7", "cache9:11999"]);
    assert_eq!(offers(&["--all", "cache7", "@"]), ["@sessions"]);
    assert_eq!(offers(&["--app", "shop", "--keep-n"]), ["--keep-new"]);
    assert_eq!(offers(&["--prefix", ""]), [""; 0]);
    // Checked directly, because the help follows a tab.
    let with_help = Command::new(program())
        .args(["completions", "fish", "--", "mcflush", "--app", "sho"])
        .env("MCFLUSH_CONFIG", &config)
        .output()
        .unwrap();
    assert_eq!(with_help.stdout, b"shop\tshop: cart:\n");
    // A config file that the line names comes before the default one.
    let named = config.to_str().unwrap();
    for words in [&["--config", named, "--app", "ship"][..], &[&format!("--config={named}"), "--app", "ship"]] {
        assert_eq!(offered(asked(words)), ["shipping"]);
    }
}

#[test]
fn a_config_file_that_cannot_be_read_completes_nothing_and_says_nothing() {
    let files = Files::new();
    let (bad, open, pipe) = (files.path("bad.toml"), files.path("open.toml"), files.path("pipe"));
    std::fs::write(&bad, "servers = [").unwrap();
    std::fs::write(&open, "[defaults]\npassword = 'secret'\n[apps.\"a\\u001bb\"]\nprefixes = ['a']\n").unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let missing = files.path("missing.toml");
    let none: &[&OsStr] =
        &[OsStr::new(""), bad.as_ref(), open.as_ref(), pipe.as_ref(), missing.as_ref(), Path::new("/").as_ref()];
    for file in none {
        for words in [["--app", ""], ["--all", "@"], ["stats", "cache"]] {
            assert_eq!(offered(asked(&words).env("MCFLUSH_CONFIG", file)), [""; 0], "{file:?} {words:?}");
        }
    }
}

#[test]
fn a_completion_connects_to_no_server() {
    let fake = Fake::silent();
    let files = Files::new();
    let config = files.path("mcflush.toml");
    std::fs::write(&config, format!("servers = ['{}']\n", fake.address())).unwrap();
    for words in
        [&["--all", fake.address()][..], &["stats", ""], &["--all", fake.address(), ""], &["--app", ""], &["--"]]
    {
        asked(words).env("MCFLUSH_CONFIG", &config).env("MCFLUSH_SERVERS", fake.address()).run().exits(0);
    }
    fake.assert_untouched();
}
