//! Servers with -Y: authentication before anything else, and a password that no output shows.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::fake::{Answer, Fake};
use crate::support::run::{Mcflush, mcflush};
use crate::support::server::{Connection, Server, Version, each_version, set_by_binary_protocol};
use crate::support::traffic::get;

each_version!(
    the_right_password,
    a_wrong_password,
    no_password,
    no_output_has_the_password,
    a_server_without_authentication,
    a_password_in_the_config_file,
    variables_of_other_clients,
);

/// A password that occurs nowhere else in the output.
const PASSWORD: &str = "s3cr3t/%@:word";
const IN_A_URL: &str = "s3cr3t%2f%25@:word";

/// A part of every form of the password, so that a cut form is found too.
const SECRET: &str = "s3cr3t";

struct Locked {
    server: Server,
    folder: TempDir,
}

impl Locked {
    fn start(version: Version) -> Locked {
        let folder = TempDir::with_prefix("mcflush-auth-").expect("a temporary folder");
        let users = write(folder.path(), "users", &format!("app:{PASSWORD}\n"));
        let server = Server::start(version, &["-Y", users.to_str().expect("temporary paths are text")]);
        Locked { server, folder }
    }

    fn address(&self) -> &str {
        self.server.address()
    }

    fn url(&self, password: &str) -> String {
        format!("memcached://app:{password}@{}", self.address())
    }

    fn enter(&self) -> Connection {
        let mut connection = self.server.connect();
        let token = format!("app {PASSWORD}");
        connection.send(format!("set x 0 0 {}\r\n{token}\r\n", token.len()).as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
        connection
    }

    fn store(&self, keys: &[&str]) {
        let mut connection = self.enter();
        for key in keys {
            connection.send(format!("set {key} 0 0 1\r\nx\r\n").as_bytes());
            assert_eq!(connection.line().as_deref(), Some("STORED"));
        }
    }

    fn has(&self, key: &str) -> bool {
        let mut connection = self.enter();
        get(&mut connection, key)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("a temporary file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
    file
}

/// Runs mcflush with the user by option and the password by file.
fn by_file(arguments: &[&str], folder: &Path, password: &str) -> Mcflush {
    let file = write(folder, "password", &format!("{password}\n"));
    let login = ["--user", "app", "--password-file", file.to_str().expect("temporary paths are text")];
    mcflush(arguments.iter().chain(&login))
}

fn the_right_password(version: Version) {
    let locked = Locked::start(version);
    let address = locked.address();
    locked.store(&["shop:1", "shop:2", "blog:1"]);
    mcflush(["--prefix", "shop:", &locked.url(IN_A_URL)]).run().is_complete().counts(2).says(address);
    assert!(!locked.has("shop:1") && locked.has("blog:1"));
    by_file(&["stats", address], locked.folder.path(), PASSWORD).run().succeeds().says("curr_items");
    by_file(&["--dry-run", "--prefix", "blog:", address], locked.folder.path(), PASSWORD).run().exits(0).counts(1);
    mcflush(["--all", address]).env("MCFLUSH_USER", "app").env("MCFLUSH_PASSWORD", PASSWORD).run().succeeds().counts(1);
    assert!(!locked.has("blog:1"));
    // The URL's own password applies, and --verify stores its probe with it.
    by_file(&["--all", "--verify", &locked.url(IN_A_URL)], locked.folder.path(), "wrong").run().succeeds();
}

fn a_wrong_password(version: Version) {
    let locked = Locked::start(version);
    locked.store(&["shop:1"]);
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let url = locked.url("wrong");
        let run = mcflush(command.iter().copied().chain([url.as_str()])).run();
        run.fails(locked.address(), &["auth"]).warns("CLIENT_ERROR authentication failure").warns("--password-file");
        assert_eq!(run.stderr.lines().filter(|line| line.contains(locked.address())).count(), 1, "{run}");
    }
    assert!(locked.has("shop:1"));
}

fn no_password(version: Version) {
    let locked = Locked::start(version);
    locked.store(&["shop:1"]);
    for command in [&["--all"][..], &["--all", "--verify"], &["--prefix", "shop:"], &["stats"]] {
        let run = mcflush(command.iter().copied().chain([locked.address()])).run();
        run.fails(locked.address(), &["auth"]).warns("--user").warns("--password-file");
    }
    assert!(locked.has("shop:1"));
}

fn no_output_has_the_password(version: Version) {
    let locked = Locked::start(version);
    locked.store(&["shop:1"]);
    let (url, wrong) = (locked.url(IN_A_URL), locked.url("s3cr3t-but-wrong"));
    let nobody = format!("memcached://app:{IN_A_URL}@127.0.0.1:1");
    let nowhere = format!("memcached+dns://app:{IN_A_URL}@no-such-name.invalid");
    let bad = format!("memcached://app:{IN_A_URL}@127.0.0.1:port");
    let bare = format!("app:{IN_A_URL}@127.0.0.1");
    for server in [&url, &wrong, &nobody, &nowhere, &bad, &bare] {
        for command in [&["stats"][..], &["--prefix", "shop:"], &["--all"]] {
            for options in [&["-vvv"][..], &["-vvv", "--json"]] {
                let arguments = command.iter().chain(options).copied().chain([server.as_str(), "--timeout=5"]);
                let run = mcflush(arguments).run();
                assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{run}");
            }
        }
    }
    // In places where a password does not belong.
    for arguments in
        [&[url.as_str()][..], &["completions", &url], &["--all", "--timeout", &url], &["--all", "--jobs", &url]]
    {
        let run = mcflush(arguments).run();
        run.exits(2);
        assert!(!run.stderr.contains(SECRET), "{run}");
    }
    for password in [PASSWORD, "s3cr3t and more"] {
        let run = by_file(&["stats", "-vvv", locked.address()], locked.folder.path(), password).run();
        assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{run}");
    }
}

fn a_server_without_authentication(version: Version) {
    let folder = TempDir::with_prefix("mcflush-auth-").expect("a temporary folder");
    let server = Server::start(version, &[]);
    server.store(["shop:1", "blog:1"]);
    by_file(&["--prefix", "shop:", server.address()], folder.path(), PASSWORD).run().is_complete().counts(1);
    assert_eq!(server.keys().len(), 1, "user and password are no item of it");
    // A key that only the binary protocol can name, which a server with -Y does not speak.
    let key = format!("shop:{}", "long and spaced ".repeat(14));
    set_by_binary_protocol(&server, &[key.as_bytes()]);
    by_file(&["--prefix", "shop:", server.address()], folder.path(), PASSWORD)
        .run()
        .fails(server.address(), &["incomplete"])
        .warns("-Y")
        .claims_nothing();
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(1);
}

#[test]
fn nothing_goes_out_before_or_behind_a_refused_password() {
    let fake = Fake::answering(|line| match line {
        "set auth 0 -1 10" => Answer::Nothing,
        "app secret" => Answer::text("CLIENT_ERROR authentication failure\r\n"),
        _ => Answer::text("CLIENT_ERROR unauthenticated\r\n"),
    });
    let url = format!("memcached://app:secret@{}", fake.address());
    mcflush(["--all", &url]).run().fails(fake.address(), &["auth"]);
    // A server that is slow to answer is asked for its version again, and is then sent the password over another connection.
    let lines: Vec<_> = fake.lines().into_iter().filter(|line| line != "version").collect();
    assert_eq!(lines, ["set auth 0 -1 10", "app secret"]);
    assert!(fake.connections() <= 2);
}

/// The lines that a server receives if it gives every line the same answer.
fn lines_to(answer: &'static str) -> Vec<String> {
    let fake = Fake::answering(move |_| Answer::text(answer));
    let url = format!("memcached://app:secret@{}", fake.address());
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        mcflush(command.iter().chain(&["--retries", "0", "--timeout", "2", &url])).run().exits(1);
    }
    fake.lines()
}

#[test]
fn a_server_that_wants_no_login_gets_no_password() {
    for answer in ["VERSION 1.6.45\r\n", "ERROR\r\n", "CLIENT_ERROR bad command line format\r\n", "SSH-2.0-OpenSSH\r\n"]
    {
        let lines = lines_to(answer);
        assert!(lines.iter().all(|line| !line.contains("secret")), "{answer}: {lines:?}");
    }
}

#[test]
fn a_proxy_that_closes_at_version_gets_no_password_and_is_used() {
    let fake = Fake::answering(|line| match line {
        "version" => Answer::BytesThenClose(Vec::new()),
        "stats" => Answer::text("STAT curr_items 7\r\nEND\r\n"),
        "flush_all" => Answer::text("OK\r\n"),
        _ => Answer::BytesThenClose(Vec::new()),
    });
    let url = format!("memcached://app:secret@{}", fake.address());
    mcflush(["--all", &url]).run().succeeds().counts(7);
    assert!(fake.lines().iter().all(|line| !line.contains("secret")), "{:?}", fake.lines());
}

/// The server closes its first connection, as one does that is being restarted.
#[test]
fn a_connection_that_is_lost_at_the_first_words() {
    let fake = Fake::start(|peer| {
        if peer.number() == 0 {
            peer.line();
            return;
        }
        let mut is_in = false;
        while let Some(line) = peer.line() {
            peer.send(match line.as_str() {
                "app secret" => {
                    is_in = true;
                    "STORED\r\n"
                }
                "set auth 0 -1 10" => "",
                _ if !is_in => "CLIENT_ERROR unauthenticated\r\n",
                "stats" => "STAT curr_items 7\r\nEND\r\n",
                "flush_all" => "OK\r\n",
                _ => "ERROR\r\n",
            });
        }
    });
    mcflush(["--all", &format!("memcached://app:secret@{}", fake.address())]).run().succeeds().counts(7);
}

/// A server of MemCachier, which answers nothing before the login.
fn memcachier(password: &'static str) -> Fake {
    Fake::start(move |peer| {
        let is_login = peer.line().is_some_and(|line| line == format!("set app 0 0 {}", password.len()));
        if !is_login || peer.line().as_deref() != Some(password) {
            return peer.send("CLIENT_ERROR Authentication failed\r\n");
        }
        peer.send("STORED\r\n");
        while let Some(line) = peer.line() {
            peer.send(match line.as_str() {
                "stats" => "STAT curr_items 3\r\nEND\r\n",
                "flush_all" => "OK\r\n",
                "version" => "VERSION 1.4.24\r\n",
                _ => "ERROR\r\n",
            });
        }
    })
}

#[test]
fn the_login_of_memcachier() {
    let fake = memcachier("secret");
    let url = |password: &str| format!("memcached://app:{password}@{}", fake.address());
    mcflush(["--all", "--login", "memcachier", &url("secret")]).run().succeeds().counts(3);
    mcflush(["stats", "--login", "memcachier", &url("secret")]).run().succeeds().says("curr_items");
    mcflush(["--all", "--login", "memcachier", &url("wrong")]).run().fails(fake.address(), &["auth"]);
    mcflush(["--all", "--login", "gmail", &url("secret")]).run().is_refused();
    let folder = TempDir::with_prefix("mcflush-auth-").expect("a temporary folder");
    let config = write(folder.path(), "mcflush.toml", "[defaults]\nlogin = 'memcachier'\n");
    let config = config.to_str().expect("temporary paths are text");
    mcflush(["--all", "--config", config, &url("secret")]).run().succeeds().counts(3);
}

#[test]
fn half_of_a_login() {
    let fake = Fake::silent();
    let folder = TempDir::with_prefix("mcflush-auth-").expect("a temporary folder");
    let (empty, missing) = (write(folder.path(), "empty", "\n"), folder.path().join("missing"));
    let (empty, missing) = (empty.to_str().expect("text"), missing.to_str().expect("text"));
    let address = fake.address();
    mcflush(["--all", "--user", "app", address]).run().is_refused().warns("--password-file");
    mcflush(["--all", "--password-file", empty, address]).run().is_refused().warns("--user");
    mcflush(["--all", "--user", "app", "--password-file", empty, address]).run().is_refused();
    mcflush(["--all", "--user", "app", "--password-file", missing, address]).run().is_refused().warns("missing");
    mcflush(["--all", address]).env("MCFLUSH_USER", "app").run().is_refused().warns("MCFLUSH_PASSWORD");
    mcflush(["--all", address]).env("MCFLUSH_USER", "").env("MCFLUSH_PASSWORD", "").run().is_refused();
    mcflush(["--all", "--user", "a:b", address]).env("MCFLUSH_PASSWORD", "x").run().is_refused();
    fake.assert_untouched();
}

#[test]
fn what_is_wrong_with_a_login_is_named() {
    let fake = Fake::silent();
    for (user, password, words) in [
        ("app", "s3cr3t\n", "MEMCACHE_PASSWORD ends in a line end"),
        ("app", "s3cr3t\r\n", "MEMCACHE_PASSWORD ends in a line end"),
        ("app", "s3cr3t and more", "MEMCACHE_PASSWORD holds a space"),
        ("app\n", "s3cr3t", "MEMCACHE_USERNAME ends in a line end"),
        ("a:b", "s3cr3t", "MEMCACHE_USERNAME holds a colon"),
        ("app", &"s3cr3t".repeat(200), "check MEMCACHE_PASSWORD"),
        ("", "s3cr3t", "MEMCACHE_PASSWORD: a password without a user"),
    ] {
        let run = mcflush(["--all", fake.address()]).env("MEMCACHE_USERNAME", user).env("MEMCACHE_PASSWORD", password);
        let run = run.run();
        assert!(!run.is_refused().warns(words).stderr.contains(SECRET), "{run}");
    }
    for password in ["s3cr3t/x", "s3cr3t#x", "s3cr3t?x", "s3cr3t%x"] {
        let run = mcflush(["--all", &format!("memcached://app:{password}@{}", fake.address())]).run();
        assert!(!run.is_refused().warns("percent-encode the password").stderr.contains(SECRET), "{run}");
    }
    fake.assert_untouched();
}

#[test]
fn a_password_longer_than_a_key() {
    let password = "s3cr3t%/".repeat(60);
    let folder = TempDir::with_prefix("mcflush-auth-").expect("a temporary folder");
    let fake = Fake::answering(|line| match line {
        "version" => Answer::text("CLIENT_ERROR unauthenticated\r\n"),
        line if line.starts_with("set ") => Answer::Nothing,
        _ => Answer::BytesThenClose(b"STORED\r\n".to_vec()),
    });
    let encoded = password.replace('%', "%25").replace('/', "%2F");
    let url = format!("memcached://app:{encoded}@{}", fake.address());
    let once = ["--all", "--retries", "0"];
    mcflush(once.iter().copied().chain([url.as_str()])).run().exits(1);
    by_file(&[&once[..], &[fake.address()]].concat(), folder.path(), &password).run().exits(1);
    mcflush(once.iter().copied().chain([fake.address()]))
        .env("MCFLUSH_USER", "app")
        .env("MCFLUSH_PASSWORD", &password)
        .run()
        .exits(1);
    assert!(fake.count_lines(&format!("app {password}")) >= 3, "{:?}", fake.lines());
}

fn variables_of_other_clients(version: Version) {
    let locked = Locked::start(version);
    let stats = |variables: &[(&str, &str)]| {
        let run = mcflush(["stats", locked.address()]);
        variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
    };
    let memcache = [("MEMCACHE_USERNAME", "app"), ("MEMCACHE_PASSWORD", PASSWORD)];
    let memcachier = [("MEMCACHIER_USERNAME", "app"), ("MEMCACHIER_PASSWORD", PASSWORD)];
    let wrong = |pair: [(&'static str, &'static str); 2]| [pair[0], (pair[1].0, "wrong")];
    stats(&memcache).succeeds();
    stats(&memcachier).succeeds();
    stats(&[memcache, wrong(memcachier)].concat()).succeeds();
    stats(&[memcachier, wrong(memcache)].concat()).fails(locked.address(), &["auth"]);
    // Variables of other clients that are empty do not count as set.
    stats(&[memcachier, [("MEMCACHE_USERNAME", ""), ("MEMCACHE_PASSWORD", "")]].concat()).succeeds();
    // mcflush's own variables come first, and no user gets the password of another pair.
    stats(&[memcache, [("MCFLUSH_USER", "app"), ("MCFLUSH_PASSWORD", "wrong")]].concat())
        .fails(locked.address(), &["auth"]);
    stats(&[&memcache[..], &[("MCFLUSH_USER", "app")]].concat()).is_refused().warns("MCFLUSH_USER").warns("password");
    let check = mcflush(["config", "check"]).env("MEMCACHE_USERNAME", "app").env("MEMCACHE_PASSWORD", PASSWORD).run();
    check.succeeds().says("--user: app (environment)").says("password: (hidden) (environment)");
}

fn a_password_in_the_config_file(version: Version) {
    let locked = Locked::start(version);
    locked.store(&["shop:1"]);
    let write = |text: &str| write(locked.folder.path(), "mcflush.toml", text).to_str().unwrap().to_owned();
    write_password(locked.folder.path());
    for defaults in [format!("user = 'app'\npassword = '{PASSWORD}'"), "user = 'app'\npassword-file = 'secret'".into()]
    {
        let config = write(&format!("[defaults]\n{defaults}\n"));
        let run = mcflush(["--all", "-vvv", "--config", &config, locked.address()]).run();
        assert!(!run.exits(0).stderr.contains(SECRET), "{run}");
        let check = mcflush(["config", "check", "--config", &config]).run();
        check.succeeds().says("--user: app (config file)");
        assert!(!check.stdout.contains(SECRET), "{check}");
        // The environment comes before it.
        let run = mcflush(["--all", "--config", &config, locked.address()]).env("MCFLUSH_PASSWORD", "wrong").run();
        run.fails(locked.address(), &["auth"]);
    }
    let config = write("[defaults]\npassword = 7\n");
    mcflush(["--all", "--config", &config, locked.address()]).run().is_refused().warns("password");
}

fn write_password(folder: &Path) {
    write(folder, "secret", PASSWORD);
}
