//! mcflush as a process: its limits, its signals, and what other users can see of it.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::LONG;
use crate::support::fake::{Answer, Fake};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version};
use crate::support::wait_for;

/// A server that takes deletes and never confirms them. The first `mn` only asks whether it knows the command.
fn without_a_fence() -> Fake {
    let asked = AtomicBool::new(false);
    Fake::answering(move |line| match line {
        "version" => Answer::text("VERSION 1.6.38\r\n"),
        "lru_crawler metadump hash" => Answer::text("key=shop%3A1 exp=-1 cas=1\nEND\r\n"),
        "mn" if !asked.swap(true, SeqCst) => Answer::text("MN\r\n"),
        line if line.starts_with("md ") || line == "mn" => Answer::Nothing,
        _ => Answer::text("ERROR\r\n"),
    })
}

fn wait_for_the_fence(fake: &Fake) {
    wait_for("the fence", || (fake.count_lines("mn") == 2).then_some(()));
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let fake = without_a_fence();
        let mut run = mcflush(["--prefix", "shop:", "--timeout", LONG, fake.address()]).spawn();
        wait_for_the_fence(&fake);
        // A signal that comes while the first one is still pending is merged with it by the system.
        wait_for("it to end", || {
            run.signal(signal);
            (!run.is_running()).then_some(())
        });
        run.wait().exits(status).claims_nothing();
    }
}

#[test]
fn after_a_signal_the_fence_is_waited_for_and_no_more() {
    let fake = without_a_fence();
    // The signal has to come within this time.
    let run = mcflush(["--json", "--prefix", "shop:", "--timeout", "15", "--retries", "5", fake.address()]).spawn();
    wait_for_the_fence(&fake);
    run.signal("TERM");
    let run = run.wait();
    run.exits(143);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("the document is written");
    assert_eq!(document["servers"][0]["complete"], false, "{run}");
    assert_eq!(fake.count_lines("mn"), 2, "it asked again: {:?}", fake.lines());
}

#[test]
fn forty_descriptors() {
    let servers: Vec<Server> = (0..8).map(|_| Server::start(Version::Sid, &["-t", "1"])).collect();
    for server in &servers {
        server.store(["shop:1", "blog:1"]);
    }
    let addresses = servers.iter().map(Server::address);
    let run = mcflush(["--prefix", "shop:", "--jobs", "8"].into_iter().chain(addresses));
    run.within(&["--nofile=40:40"]).run().exits(0);
    assert!(servers.iter().all(|server| (server.count("shop:"), server.count("blog:")) == (0, 1)));
}

#[test]
fn little_memory() {
    let server = Server::start(Version::Sid, &[]);
    server.store((0..50_000).map(|n| format!("shop:{n}")).chain(["blog:1".to_owned()]));
    let run = |limit: &str| mcflush(["--prefix", "shop:", server.address()]).within(&[limit]).run();
    // The limit counts memory that a program maps, used or not.
    run("--as=268435456").is_complete().counts(50_000);
    // If there is too little memory to start, the run fails and never reports success.
    let run = run("--as=12000000");
    assert!(!run.status.success() && !run.stdout.contains("complete"), "{run}");
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1));
}

#[test]
fn a_home_that_is_not_writable() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    for home in ["/proc/self", "/nonexistent"] {
        let run = mcflush(["--prefix", "shop:", server.address()]).env("HOME", home).without_v().run();
        run.exits(0);
        assert_eq!(run.stderr, "", "{run}");
    }
}

#[test]
fn a_password_that_every_user_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let config = folder.path().join("mcflush.toml");
    std::fs::write(&secret, "s3cr3t\n").unwrap();
    std::fs::write(&config, "[defaults]\nuser = 'app'\npassword = 's3cr3t'\n").unwrap();
    let server = Server::start(Version::Sid, &[]);
    let [secret, config] = [secret, config].map(|file| file.to_str().unwrap().to_owned());
    for (file, options) in
        [(&secret, &["--user", "app", "--password-file", &secret][..]), (&config, &["--config", &config])]
    {
        for (mode, is_warned) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
            let run = mcflush(["stats", server.address()].iter().chain(options)).run();
            run.exits(0);
            assert_eq!(run.stderr.contains("every user of this machine can read the password"), is_warned, "{run}");
            assert!(!format!("{}{}", run.stdout, run.stderr).contains("s3cr3t"), "{run}");
        }
    }
}
