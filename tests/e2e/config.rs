//! The config file: its fields, what takes precedence over it, and the values that it refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::json::document;
use crate::support::fake::Fake;
use crate::support::run::{Mcflush, Run, mcflush};
use crate::support::server::{Server, Version};

/// A config file in a folder of its own.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> File {
        let folder = TempDir::with_prefix("mcflush-config-").unwrap();
        let path = folder.path().join("mcflush.toml");
        std::fs::write(&path, text).unwrap();
        File { _folder: folder, path }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// A command with this file.
    fn with(&self, arguments: &[&str]) -> Mcflush {
        mcflush(arguments.iter().copied().chain(["--config", self.name()]))
    }
}

fn stored() -> Server {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1", "shop:2", "shop:sess:1", "blog:1"]);
    server
}

fn left(server: &Server) -> Vec<String> {
    server.keys().into_iter().map(|key| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn an_app_is_cleared_by_its_name() {
    let (server, other) = (stored(), stored());
    let file = File::new(&format!(
        "servers = ['{}']\n[apps.shop]\nprefixes = ['shop:']\nkeep = ['shop:sess:']\n[apps.blog]\nprefixes = ['blog:']\n\
         servers = ['@others']\n[groups.others]\nservers = ['{}']\n",
        server.address(),
        other.address()
    ));
    file.with(&["--app", "shop"]).run().succeeds().says(server.address());
    assert_eq!(left(&server), ["blog:1", "shop:sess:1"]);
    // The app's own servers replace the file's.
    file.with(&["--app", "blog"]).run().succeeds().says(other.address());
    assert_eq!((left(&server).len(), left(&other).len()), (2, 3));
    // Servers on the command line come first, and --keep adds to the app's own.
    file.with(&["--app", "shop", "--keep", "shop:2", other.address()]).run().succeeds();
    assert_eq!(left(&other), ["shop:2", "shop:sess:1"]);
    // By pattern.
    let patterns = File::new("[apps.wp]\nmatch = ['?:*:posts:*']\nkeep-match = ['*:last']\n");
    other.store(["1:2:posts:1", "1:2:posts:last", "posts:1"]);
    patterns.with(&["--app", "wp", other.address()]).run().succeeds();
    assert_eq!(left(&other), ["1:2:posts:last", "posts:1", "shop:2", "shop:sess:1"]);
    // With --dry-run.
    let run = file.with(&["--app", "shop", "--dry-run", "--json"]).run();
    assert_eq!(document(run.exits(0))["servers"][0]["server"], json!(server.address()));
}

#[test]
fn names_that_are_not_there() {
    let fake = Fake::silent();
    let file = File::new("[apps.shop]\nprefixes = ['shop:']\n[groups.sessions]\nservers = ['cache1']\n");
    file.with(&["--app", "shpo", fake.address()]).run().is_refused().warns("shpo").warns("did you mean \"shop\"?");
    file.with(&["--app", "quite-another"]).run().is_refused().warns("it has \"shop\"");
    file.with(&["--all", "@session"]).run().is_refused().warns("did you mean \"sessions\"?");
    mcflush(["--app", "shop", fake.address()]).run().is_refused().warns("no config file");
    mcflush(["--all", "@sessions"]).run().is_refused().warns("no config file");
    fake.assert_untouched();
}

#[test]
fn which_servers_come_first() {
    let names = ["argument", "listed", "app", "mcflush", "memcache", "file"];
    let servers: Vec<Server> = names.iter().map(|_| stored()).collect();
    let address = |name: &str| servers[names.iter().position(|known| *known == name).unwrap()].address();
    let file = File::new(&format!(
        "servers = ['{}']\n[apps.shop]\nprefixes = ['shop:']\nservers = ['{}']\n[apps.blog]\nprefixes = ['blog:']\n",
        address("file"),
        address("app")
    ));
    let folder = TempDir::with_prefix("mcflush-list-").unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, address("listed")).unwrap();
    let list = list.to_str().unwrap();
    let worked_on = |arguments: &[&str], variables: &[&str]| {
        let mut run = file.with(&[arguments, &["--dry-run", "--json"]].concat());
        for variable in variables {
            let of = if *variable == "MCFLUSH_SERVERS" { "mcflush" } else { "memcache" };
            run = run.env(variable, address(of));
        }
        let document = document(run.run().exits(0));
        let worked_on = document["servers"].as_array().unwrap().iter().map(|server| server["server"].clone());
        worked_on.collect::<Vec<_>>()
    };
    let both = ["MCFLUSH_SERVERS", "MEMCACHE_SERVERS"];
    let shop = ["--app", "shop"];
    let here = |names: &[&str]| names.iter().map(|name| json!(address(name))).collect::<Vec<_>>();
    assert_eq!(
        worked_on(&["--app", "shop", address("argument"), "--servers-from", list], &both),
        here(&["argument", "listed"])
    );
    assert_eq!(worked_on(&shop, &both), here(&["app"]));
    assert_eq!(worked_on(&["--app", "blog"], &both), here(&["mcflush"]));
    assert_eq!(worked_on(&["--prefix", "shop:"], &both[1..]), here(&["memcache"]));
    assert_eq!(worked_on(&["--prefix", "shop:"], &[]), here(&["file"]));
}

#[test]
fn an_empty_list_does_not_fall_through() {
    let fake = Fake::silent();
    for (text, arguments) in [
        ("servers = []", &["--all"][..]),
        ("[groups.none]\nservers = []", &["--all", "@none"]),
        ("servers = ['@none']\n[groups.none]\nservers = []", &["--all"]),
        ("[apps.shop]\nprefixes = ['shop:']\nservers = []", &["--app", "shop"]),
    ] {
        File::new(text).with(arguments).run().is_refused().warns("names no server");
    }
    File::new("servers = ['cache1:port']")
        .with(&["--all"])
        .run()
        .is_refused()
        .warns("mcflush.toml")
        .warns("cache1:port");
    fake.assert_untouched();
}

#[test]
fn a_file_as_some_editors_write_it() {
    let server = stored();
    let file = File::new(&format!("\u{feff}servers = ['{}:5']\r\n", server.address()));
    file.with(&["--prefix", "shop:"]).run().succeeds().says(server.address());
    let check = file.with(&["config", "check", "--json"]).env("MEMCACHIER_SERVERS", server.address()).run();
    let servers = document(check.exits(0))["servers"].clone();
    assert_eq!((&servers["names"][0], &servers["from"]), (&json!(server.address()), &json!("MEMCACHIER_SERVERS")));
}

#[test]
fn which_file_is_read() {
    let servers: Vec<Server> = (0..4).map(|_| stored()).collect();
    let text = |at: usize| format!("servers = ['{}']", servers[at].address());
    let files: Vec<File> = (0..2).map(|at| File::new(&text(at))).collect();
    let xdg = TempDir::with_prefix("mcflush-xdg-").unwrap();
    std::fs::create_dir(xdg.path().join("mcflush")).unwrap();
    std::fs::write(xdg.path().join("mcflush/config.toml"), text(2)).unwrap();
    let server_of = |run: Mcflush| document(run.run().exits(0))["servers"]["names"][0].clone();
    let check = ["config", "check", "--json"];
    let with_all = |run: Mcflush| run.env("MCFLUSH_CONFIG", &files[1].path).env("XDG_CONFIG_HOME", xdg.path());
    assert_eq!(server_of(with_all(files[0].with(&check))), json!(servers[0].address()));
    assert_eq!(server_of(with_all(mcflush(check))), json!(servers[1].address()));
    assert_eq!(server_of(mcflush(check).env("XDG_CONFIG_HOME", xdg.path())), json!(servers[2].address()));
    // A file in the working folder comes before the user's own.
    let here = Command::new(env!("CARGO_BIN_EXE_mcflush"))
        .args(check)
        .env_clear()
        .env("XDG_CONFIG_HOME", xdg.path())
        .current_dir(files[0].path.parent().unwrap())
        .output()
        .unwrap();
    let here: Value = serde_json::from_slice(&here.stdout).unwrap();
    assert_eq!((&here["servers"]["names"][0], &here["file"]), (&json!(servers[0].address()), &json!("mcflush.toml")));

    mcflush(["--all"]).env("MCFLUSH_CONFIG", "").run().is_refused().warns("MCFLUSH_CONFIG");
    mcflush(["--all", "--config", "/nonexistent"]).run().is_refused().warns("/nonexistent");
    mcflush(["--all"]).env("MCFLUSH_CONFIG", "/nonexistent").run().is_refused().warns("/nonexistent");
    // Help reads no config file.
    mcflush(["--help"]).env("MCFLUSH_CONFIG", "/nonexistent").run().succeeds();
    mcflush(["man"]).env("MCFLUSH_CONFIG", "/nonexistent").run().succeeds();
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    let fake = Fake::silent();
    for (text, words) in [
        ("\nservrs = ['a']", &[":2: ", "servrs", "did you mean `servers`?"][..]),
        ("[apps.shop]\nprefixes = ['']", &["shop", "--all"]),
        ("[apps.shop]\nprefix = ['shop:']", &[":2: ", "prefix"]),
        ("[defaults]\n\ntimeuot = 3", &[":3: ", "timeuot", "did you mean \"timeout\"?"]),
        ("[defaults]\ntimeout = 'soon'", &[":2: ", "soon", "--timeout"]),
        ("[defaults]\ntimeout = [3]", &[":2: ", "timeout"]),
        ("[defaults]\njson = 'yes'", &[":2: ", "true or false"]),
        ("[defaults]\nall = true", &[":2: ", "all"]),
        ("[defaults]\nprefix = 'shop:'", &[":2: ", "prefix"]),
        ("servers = [", &[":1: "]),
        ("servers = ['\u{1b}[2J', 3]", &[":1: "]),
    ] {
        let run = File::new(text).with(&["--all", fake.address()]).run();
        let run = run.is_refused();
        for word in words {
            run.warns(word);
        }
    }
    fake.assert_untouched();
}

#[test]
fn combinations_without_a_meaning_are_refused() {
    let fake = Fake::silent();
    let file = File::new("[apps.shop]\nprefixes = ['shop:']\n");
    for arguments in
        [&["--app", "shop", "--all"][..], &["--app", "shop", "--prefix", "a"], &["--app", "shop", "--delay", "1"]]
    {
        file.with(&[arguments, &[fake.address()]].concat()).run().is_refused();
    }
    fake.assert_untouched();
}

#[test]
fn a_default_is_one_that_the_command_line_changes() {
    let server = stored();
    let file = File::new("[defaults]\njson = true\nrate = 50\nretries = 7\nverify = true\n");
    let check = |arguments: &[&str]| {
        let document = document(file.with(&[&["config", "check"], arguments].concat()).run().exits(0));
        let options = document["options"].as_array().unwrap().clone();
        move |name: &str| {
            let option = options.iter().find(|option| option["name"] == json!(name));
            option.map(|option| (option["value"].clone(), option["from"].clone())).unwrap_or_default()
        }
    };
    let of_file = check(&[]);
    assert_eq!(of_file("retries"), (json!("7"), json!("config file")));
    assert_eq!(of_file("timeout"), (json!("5"), json!("built in")));
    assert_eq!(of_file("rate"), (json!("50"), json!("config file")));
    assert_eq!(check(&["--retries", "1"])("retries"), (json!("1"), json!("command line")));
    // A default that has no effect on a plain flush is refused only if it is typed.
    document(file.with(&["--all", server.address()]).run().exits(0));
    file.with(&["--all", "--rate", "7", server.address()]).run().is_refused();
    server.store(["shop:1"]);
    document(file.with(&["--prefix", "shop:", server.address()]).run().exits(0));
    assert!(left(&server).is_empty());
}

#[test]
fn the_example_is_one() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mcflush.example.toml");
    let run = mcflush(["config", "check", "--config", example.to_str().unwrap()]).run();
    run.succeeds().says("cache1:11211, cache2:11211 (config file)").says("--timeout: 3 (config file)");
    run.says("@sessions: cache3:11211").says("app shop: keys that begin with shop:").says("built in");
}

/// Runs on a terminal, and types.
fn at_a_terminal(arguments: &str, typed: &str) -> (Option<i32>, String) {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_mcflush"));
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs (util-linux)");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_terminal_is_asked_before_several_servers_are_emptied() {
    let servers: Vec<Server> = (0..2).map(|_| stored()).collect();
    let file = File::new(&format!("servers = ['{}', '{}']\n", servers[0].address(), servers[1].address()));
    let all = format!("--all --config {}", file.name());
    let (status, said) = at_a_terminal(&all, "n\n");
    assert!(
        status == Some(2) && said.contains("Empty them all?") && said.contains("nothing was sent"),
        "{status:?} {said}"
    );
    assert!(servers.iter().all(|server| left(server).len() == 4));
    let (status, said) = at_a_terminal(&all, "y\n");
    assert!(status == Some(0) && said.contains("Empty them all?"), "{status:?} {said}");
    assert!(servers.iter().all(|server| left(server).is_empty()));
    // mcflush does not ask if --yes is given, if the servers are typed, if there is one server, or in a script.
    for arguments in [
        format!("{all} --yes"),
        format!("{all} {} {}", servers[0].address(), servers[1].address()),
        format!("{all} --dry-run"),
        format!("--prefix shop: --config {}", file.name()),
    ] {
        let (status, said) = at_a_terminal(&arguments, "");
        assert!(status == Some(0) && !said.contains("Empty"), "{arguments}: {status:?} {said}");
    }
    let run: Run = file.with(&["--all"]).run();
    run.succeeds();
}
