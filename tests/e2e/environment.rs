//! Where servers can be named, and which source applies. A source that names no server is never skipped.

use crate::support::fake::Fake;
use crate::support::run::mcflush;
use crate::support::server::{Server, Version};

fn stored() -> Server {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    server
}

#[test]
fn mcflush_servers() {
    let (one, two) = (stored(), stored());
    mcflush(["--all"])
        .env("MCFLUSH_SERVERS", format!(" {} , {},", one.address(), two.address()))
        .run()
        .succeeds()
        .says(one.address())
        .says(two.address());
    assert_eq!((one.count(""), two.count("")), (0, 0));
}

#[test]
fn memcache_servers_as_dalli_has_it() {
    let (one, two) = (stored(), stored());
    mcflush(["--prefix", "shop:"])
        .env("MEMCACHE_SERVERS", format!("{}:5 {}", one.address(), two.address()))
        .run()
        .is_complete()
        .says(one.address())
        .says(two.address());
    assert_eq!((one.count(""), two.count("")), (0, 0));
}

#[test]
fn our_own_variable_wins_over_the_common_one() {
    let (ours, common) = (stored(), stored());
    mcflush(["--all"])
        .env("MCFLUSH_SERVERS", ours.address())
        .env("MEMCACHE_SERVERS", common.address())
        .run()
        .succeeds();
    assert_eq!((ours.count(""), common.count("")), (0, 1));
}

#[test]
fn arguments_win_over_variables() {
    let (named, ours, common) = (stored(), stored(), stored());
    mcflush(["--all", named.address()])
        .env("MCFLUSH_SERVERS", ours.address())
        .env("MEMCACHE_SERVERS", common.address())
        .run()
        .succeeds();
    assert_eq!((named.count(""), ours.count(""), common.count("")), (0, 1, 1));
}

#[test]
fn a_file_wins_over_variables() {
    let (listed, ours, common) = (stored(), stored(), stored());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, listed.address().as_bytes()).unwrap();
    mcflush([std::ffi::OsStr::new("--all"), "--servers-from".as_ref(), file.path().as_os_str()])
        .env("MCFLUSH_SERVERS", ours.address())
        .env("MEMCACHE_SERVERS", common.address())
        .run()
        .succeeds();
    assert_eq!((listed.count(""), ours.count(""), common.count("")), (0, 1, 1));
}

#[test]
fn without_any_source_it_is_localhost() {
    // Whether or not a server listens there.
    let run = mcflush(["stats", "--retries", "0"]).run();
    assert!(format!("{}{}", run.stdout, run.stderr).contains("localhost:11211"), "{run}");
}

#[test]
fn stats_reads_them_too() {
    let server = stored();
    mcflush(["stats"]).env("MCFLUSH_SERVERS", server.address()).run().succeeds().says("curr_items");
}

#[test]
fn a_variable_without_a_server_is_refused() {
    for variable in ["MCFLUSH_SERVERS", "MEMCACHE_SERVERS"] {
        for value in ["", " ", ",", " , ,"] {
            for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
                mcflush(command).env(variable, value).run().is_refused().warns(variable);
            }
        }
    }
}

#[test]
fn an_empty_variable_does_not_give_way_to_the_next() {
    let fake = Fake::silent();
    mcflush(["--all"])
        .env("MCFLUSH_SERVERS", "")
        .env("MEMCACHE_SERVERS", fake.address())
        .run()
        .is_refused()
        .warns("MCFLUSH_SERVERS");
    fake.assert_untouched();
}

#[test]
fn an_empty_variable_does_not_matter_when_a_server_is_named() {
    let server = stored();
    mcflush(["--all", server.address()]).env("MCFLUSH_SERVERS", "").run().succeeds();
    assert_eq!(server.count(""), 0);
}

#[test]
fn one_bad_address_in_a_variable_stops_the_whole_run() {
    let fake = Fake::silent();
    mcflush(["--all"])
        .env("MCFLUSH_SERVERS", format!("{},127.0.0.1:99999", fake.address()))
        .run()
        .is_refused()
        .warns("99999");
    fake.assert_untouched();
}

#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    mcflush(["--all"]).env("MCFLUSH_SERVERS", std::ffi::OsStr::from_bytes(b"cache\xff:11211")).run().is_refused();
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    let fake = Fake::silent();
    let url = format!("memcached://user:hunter2@{}", fake.address());
    let run = mcflush(["--all", "--timeout", "0.2", "--retries", "0", &url]).run();
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.contains("hunter2"), "{run}");
    // Whether or not this build can log in, it must not flush.
    assert!(!run.status.success(), "{run}");
}
