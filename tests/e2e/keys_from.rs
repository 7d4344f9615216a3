//! `--keys-from`: exactly the named keys are deleted.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;

use crate::json::document;
use crate::support::fake::Fake;
use crate::support::run::{mcflush, patient_home};
use crate::support::server::{Server, Version, each_version, set_by_binary_protocol};

each_version!(keys_of_any_bytes, a_missing_key_is_no_failure, by_the_pipe_of_the_readme);

fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

fn keys_of_any_bytes(version: Version) {
    let server = Server::start(version, &[]);
    let long = [b"shop:\n".as_slice(), &[b'k'; 200]].concat();
    let ours: [&[u8]; 6] = [b"shop:1", b"a\nflush_all\n", b"two words", b"back\\slash", b"gr\xc3\xb6\xff", &long];
    let theirs: [&[u8]; 4] = [b"shop:2", b"a", b"two", b"shop:"];
    let both = [&ours[..], &theirs].concat();
    let left: BTreeSet<_> = theirs.iter().map(|key| key.to_vec()).collect();
    for (ending, options) in [(b'\n', &[][..]), (0, &["-0"][..])] {
        set_by_binary_protocol(&server, &both);
        let escaped = |key: &[u8]| key.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
        let written = |key: &&[u8]| if ending == 0 { key.to_vec() } else { escaped(key).into_bytes() };
        let text: Vec<u8> = ours.iter().flat_map(|key| written(key).into_iter().chain([ending])).collect();
        let keys = file(text);
        let run = mcflush(options.iter().chain(&["--json", "--keys-from", path(&keys), server.address()])).run();
        let document = document(run.exits(0));
        let row = &document["servers"][0];
        assert_eq!((&row["named"], &row["deleted"], &row["missing"]), (&json!(6), &json!(6), &json!(0)), "{run}");
        assert_eq!(server.keys(), left);
    }
}

fn a_missing_key_is_no_failure(version: Version) {
    let servers = [Server::start(version, &[]), Server::start(version, &[])];
    servers[0].store(["shop:1", "shop:2", "blog:1"]);
    servers[1].store(["shop:2"]);
    let keys = file("shop:1\nshop:2\nshop:2\nnone");
    let run = mcflush(["--keys-from", path(&keys), servers[0].address(), servers[1].address()]).run();
    run.exits(0);
    run.says(&format!("{}: complete, 2 keys deleted of 4 named, 2 were not there", servers[0].address()));
    run.says(&format!("{}: complete, 1 key deleted of 4 named, 3 were not there", servers[1].address()));
    assert_eq!((servers[0].count(""), servers[1].count("")), (1, 0));
    let nothing = file("");
    mcflush(["--keys-from", path(&nothing), servers[0].address()]).run().exits(0).says("0 keys deleted of 0 named");
}

fn by_the_pipe_of_the_readme(version: Version) {
    let server = Server::start(version, &[]);
    server.store((0..3_000).map(|n| format!("shop:{n}")));
    set_by_binary_protocol(&server, &[b"shop:\n7", b"shop:7\\"]);
    // As in the README, except for the server's name.
    let readme = include_str!("../../README.md");
    let line =
        readme.lines().find(|line| line.contains("| mcflush --keys-from")).expect("the README has the pipe").trim();
    let line = line.split('#').next().unwrap().replace("cache1", server.address());
    let line = line.replace("mcflush", env!("CARGO_BIN_EXE_mcflush"));
    let folder = patient_home();
    crate::support::wait_for("all keys in the listing", || {
        let listed = mcflush(["keys", server.address()]).run();
        (listed.exits(0).stdout.lines().count() == 3_002).then_some(())
    });
    let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).env("HOME", folder.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    // One key of ten, and the one with a line end in it, which is still printed on one line.
    assert!(said.contains("complete, 301 keys deleted of 301 named"), "{said}");
    assert_eq!(server.count("shop:"), 3_002 - 301);
}

#[test]
fn a_bad_line_is_wrong_use() {
    let fake = Fake::silent();
    for (text, options, words) in [
        (&b"shop:1\n\nshop:2"[..], &[][..], "line 2"),
        (b"shop:1\nshop:\\q\n", &[], "line 2"),
        (b"shop:1\r\nshop:2\r\n", &[], "line 1"),
        (b"a\0\0b", &["-0"], "key 2"),
    ] {
        let keys = file(text);
        let run = mcflush(options.iter().chain(&["--keys-from", path(&keys), fake.address()])).run();
        run.is_refused().warns(words);
    }
    let keys = file("shop:1");
    for options in
        [&["--prefix", "a"][..], &["--all"], &["--match", "a*"], &["--verify"], &["--dry-run"], &["--idle", "1d"]]
    {
        let run = mcflush(options.iter().chain(&["--keys-from", path(&keys), fake.address()])).run();
        run.is_refused().warns("--keys-from");
    }
    mcflush(["--keys-from", "/nonexistent/keys", fake.address()]).run().is_refused().warns("/nonexistent/keys");
    mcflush(["--keys-from", "-", "--servers-from", "-", fake.address()]).run().is_refused().warns("stdin");
    mcflush(["-0", "--prefix", "a", fake.address()]).run().is_refused();
    fake.assert_untouched();
}

#[test]
fn a_server_that_is_lost_is_said() {
    let fake = Fake::start(|peer| {
        while let Some(line) = peer.line() {
            match line.as_str() {
                "version" => peer.send("VERSION 1.6.45\r\n"),
                "mn" => peer.send("MN\r\n"),
                _ => return,
            }
        }
    });
    let keys = file("shop:1\nshop:2\n");
    let run = mcflush(["--retries", "1", "--keys-from", path(&keys), fake.address()]).run();
    run.fails(fake.address(), &["lost"]).warns("0 keys deleted of 2 named");
}
