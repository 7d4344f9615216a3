//! Every version in use, each in its own dialect: scripted servers made from recordings of real ones. The tests of each
//! command cover Debian's own packages.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use crate::support::PATIENCE;
use crate::support::old::{Old, Options};
use crate::support::run::{Run, mcflush};
use crate::support::wait_for;

const SHOP: usize = 12;
const BLOG: usize = 7;

/// A server with keys of two apps.
fn filled(options: Options) -> Old {
    let old = options.start();
    old.put_all("shop:", SHOP);
    old.put_all("blog:", BLOG);
    old
}

fn on(old: &Old, arguments: &[&str]) -> Run {
    mcflush([arguments, &[old.address()]].concat()).run()
}

/// A clear that leaves the other app's keys.
fn clears(options: &Options, arguments: &[&str]) {
    let old = filled(options.clone());
    on(&old, &[&["--prefix", "shop:"], arguments].concat()).is_complete().counts(SHOP);
    assert_eq!((old.count("shop:"), old.count("blog:")), (0, BLOG), "{options:?} {arguments:?}");
}

/// Every command has its result.
fn serves(options: &Options) {
    clears(options, &[]);
    clears(options, &["--verify"]);
    let old = filled(options.clone());
    // If anything is on stderr, it is a warning.
    on(&old, &["--dry-run", "--prefix", "shop:"]).exits(0).counts(SHOP).counts(SHOP + BLOG);
    on(&old, &["namespaces"]).exits(0).says("shop:").says("blog:").counts(SHOP).counts(BLOG);
    let keys = on(&old, &["keys"]);
    keys.exits(0);
    assert_eq!(keys.stdout.lines().count(), SHOP + BLOG, "{options:?} {keys}");
    assert_eq!(old.keys().len(), SHOP + BLOG, "nothing was touched by looking: {options:?}");
    flushes(options);
}

fn flushes(options: &Options) {
    for verify in [&[][..], &["--verify"]] {
        let old = filled(options.clone());
        on(&old, &[&["--all"], verify].concat()).succeeds();
        assert_eq!(old.keys().len(), 0, "{options:?} {verify:?}");
    }
}

/// Keeps items that other clients store meanwhile, or refuses and changes nothing.
fn keeps_new(options: &Options, can: bool) {
    if can {
        return clears(options, &["--keep-new"]);
    }
    let old = filled(options.clone());
    on(&old, &["--keep-new", "--prefix", "shop:"]).fails(old.address(), &["disabled"]).claims_nothing();
    assert_eq!(old.keys().len(), SHOP + BLOG, "{options:?}");
}

// The rows of docs/SERVERS.md.

#[test]
fn from_1_6_0_to_1_6_9_ok_stands_where_hd_does_today() {
    for version in ["1.6.6", "1.6.9"] {
        serves(&Options::new(version));
        serves(&Options { cas: false, ..Options::new(version) });
        keeps_new(&Options::new(version), true);
    }
}

#[test]
fn from_1_5_19_to_1_5_22_mn_is_a_miss() {
    serves(&Options::new("1.5.22"));
    serves(&Options { cas: false, ..Options::new("1.5.22") });
    keeps_new(&Options::new("1.5.22"), true);
}

#[test]
fn from_1_6_10_to_1_6_17_a_bare_mg_is_an_error() {
    serves(&Options::new("1.6.14"));
    keeps_new(&Options::new("1.6.14"), true);
}

#[test]
fn a_walk_of_the_hash_table_from_1_6_19() {
    serves(&Options::new("1.6.24"));
    keeps_new(&Options::new("1.6.24"), true);
}

#[test]
fn the_dump_of_1_5_6_leaves_the_newest_entries_out() {
    // The newest entries are the first ones in cachedumps.
    serves(&Options::new("1.5.6"));
    serves(&Options { cas: false, ..Options::new("1.5.6") });
    keeps_new(&Options::new("1.5.6"), false);
}

#[test]
fn a_newest_entry_that_no_listing_of_1_5_6_shows() {
    let old = filled(Options::new("1.5.6"));
    old.put_hot("shop:hidden");
    let run = on(&old, &["--prefix", "shop:"]);
    run.fails(old.address(), &["incomplete"]).claims_nothing().warns("1.5.5 and 1.5.6 leave the newest entry");
    assert!(!run.stderr.contains("run it again"), "it would change nothing: {run}");
    assert_eq!(old.keys().iter().filter(|key| key.starts_with("shop:")).count(), 1);
    assert_eq!(old.count("blog:"), BLOG);
}

#[test]
fn from_1_4_33_to_1_5_3_a_dump_has_no_end() {
    let options = Options { crawler: true, ..Options::new("1.4.33") };
    serves(&options);
    keeps_new(&options, true);
    serves(&Options { cas: false, ..options });
}

#[test]
fn a_dump_without_an_end_eats_a_byte_of_what_is_sent() {
    serves(&Options { crawler: true, eaten_lines: 1, ..Options::new("1.4.33") });
}

#[test]
fn before_1_4_33_and_with_the_crawler_off_cachedumps_list_all() {
    for version in ["1.4.15", "1.4.33", "1.5.6", "1.6.9", "1.6.24"] {
        let options = Options { crawler: false, flat: true, ..Options::new(version) };
        serves(&options);
        clears(&Options { cas: false, ..options.clone() }, &[]);
        keeps_new(&options, false);
    }
}

#[test]
fn where_keys_are_not_listed_a_flush_works() {
    for version in ["1.5.22", "1.6.9", "1.6.24"] {
        let options = Options { dumps: false, ..Options::new(version) };
        flushes(&options);
        let old = filled(options);
        on(&old, &["--prefix", "shop:"]).fails(old.address(), &["disabled"]).claims_nothing();
        assert_eq!(old.keys().len(), SHOP + BLOG);
    }
}

#[test]
fn a_server_that_moves_slab_pages_while_others_store() {
    // Before 1.6.24 moved items look new. Items that other clients store must not count as keys that passes missed.
    let old = Options { writes: 150, moving_dumps: 3, ..Options::new("1.5.22") }.start();
    old.put_all("shop:", SHOP);
    old.put_all("blog:", 2_000);
    on(&old, &["--prefix", "shop:"]).is_complete();
    assert_eq!((old.count("shop:") - old.count("shop:new:"), old.count("blog:")), (0, 2_000));

    // The moves never end, so nothing can be shown.
    let old = Options { writes: 150, moving_dumps: usize::MAX, ..Options::new("1.5.22") }.start();
    old.put_all("shop:", SHOP);
    let run = on(&old, &["--prefix", "shop:"]);
    run.fails(old.address(), &["incomplete"]).claims_nothing().warns("moved items to other slab pages");
    assert_eq!(old.dumps().0, 40, "{run}");
}

#[test]
fn a_cachedump_that_is_cut_at_its_limit() {
    let old = Options::new("1.4.25").start();
    let long = "k".repeat(180);
    old.put_value(format!("shop:{long}"), "x");
    // These keys are newer, and in the same slab class.
    let others = 12_000;
    (0..others).for_each(|n| old.put(format!("blog:{n:05}{}", &long[..175])));
    let run = on(&old, &["--prefix", "shop:"]);
    run.fails(old.address(), &["incomplete"]).claims_nothing();
    run.warns("slab class 6 holds more keys than this server lists (2 MB)").warns("flush the whole instance");
    assert!(!run.stderr.contains("run it again"), "it would change nothing: {run}");
    // `ITEM KEY [1 b; EXP s]` and the line's end.
    let listed = (2 << 20) / 210;
    let unseen: usize =
        run.stderr.split("about ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!(unseen.abs_diff(others + 1 - listed) < 200, "{unseen} {run}");
    assert_eq!(old.keys().len(), others + 1);
}

#[test]
fn a_line_end_in_a_key_breaks_a_cachedump() {
    for key in ["blog:\r\nflush_all", "blog:\r\nEND", "shop:\n"] {
        let old = Options::new("1.4.25").start();
        old.put_value("shop:hidden", &"v".repeat(200));
        old.put_value(key, &"v".repeat(200));
        old.put_all("shop:", SHOP);
        old.put_all("blog:", BLOG);
        let run = on(&old, &["--prefix", "shop:"]);
        run.fails(old.address(), &["incomplete"]).claims_nothing().warns("holds a key with a line end in it");
        assert!(!run.stderr.contains("run it again"), "it would change nothing: {run}");
        // Keys in other classes are deleted.
        assert_eq!((old.count("shop:") <= 2, old.count("shop:hidden"), old.count("blog:0")), (true, 1, 1), "{run}");
        assert!(!old.fake().has_line("flush_all"));
    }
}

#[test]
fn a_nul_byte_in_a_key_hides_its_name_from_a_cachedump() {
    for options in [
        Options::new("1.4.15"),
        Options { cas: false, ..Options::new("1.4.15") },
        Options { crawler: false, flat: true, cas: false, ..Options::new("1.6.24") },
    ] {
        let old = filled(options);
        old.put("shop:\0z");
        let run = on(&old, &["--prefix", "shop:"]);
        run.fails(old.address(), &["incomplete"]).claims_nothing().warns("a name that no command finds");
        assert_eq!((old.count("shop:"), old.count("blog:")), (1, BLOG));
    }
}

#[test]
fn a_garbled_dump_is_walked_again_and_never_believed() {
    let old = filled(Options { garbled_dumps: 2, ..Options::new("1.6.24") });
    on(&old, &["--prefix", "shop:"]).is_complete();
    assert_eq!((old.count("shop:"), old.count("blog:"), old.dumps().0), (0, BLOG, 3));
    let is_other = |line: &&String| line.starts_with("md ") && !line.starts_with("md shop:");
    assert_eq!(old.fake().lines().iter().find(is_other), None);

    let old = filled(Options { garbled_dumps: usize::MAX, ..Options::new("1.6.24") });
    on(&old, &["--prefix", "shop:"]).fails(old.address(), &["protocol"]).claims_nothing();
    assert_eq!(old.count("blog:"), BLOG);
}

#[test]
fn a_walk_of_the_lru_lists_is_refused_where_it_can_harm_the_server() {
    for command in [&["--prefix", "shop:"][..], &["--dry-run", "--prefix", "shop:"]] {
        let old = filled(Options::new("1.6.24"));
        on(&old, &[command, &["--strategy", "lru"]].concat()).fails(old.address(), &["disabled"]).claims_nothing();
        assert!(old.fake().lines().iter().all(|line| line == "version"), "{:?}", old.fake().lines());
    }
}

#[test]
fn a_listing_that_a_version_does_not_know_is_refused() {
    for (version, strategy) in [("1.4.25", "lru"), ("1.4.25", "hash"), ("1.5.22", "hash"), ("1.6.6", "hash")] {
        let old = filled(Options::new(version));
        let run = on(&old, &["--strategy", strategy, "--prefix", "shop:"]);
        run.fails(old.address(), &["disabled"]).claims_nothing().warns("let mcflush choose how keys are listed");
        assert_eq!(old.keys().len(), SHOP + BLOG);
    }
}

/// From 1.6.19 to 1.6.25, closing the connection while the last part of a dump is written can crash the server.
fn with_an_endless_dump() -> Old {
    let old = Options { endless: true, ..Options::new("1.6.24") }.start();
    old.put_all("shop:", 20_000);
    old
}

/// Waits until the server notes that its only dump was read, which it does after the dump's last line.
fn is_read_to_its_end(old: &Old) {
    wait_for("the end of a single dump", || (old.dumps() == (1, 1)).then_some(()));
}

#[test]
fn a_clear_that_is_stopped_reads_the_dump_to_its_end() {
    let old = with_an_endless_dump();
    let run = mcflush(["--prefix", "none:", old.address()]).spawn();
    wait_for("the dump", || (old.dumps().0 > 0).then_some(()));
    run.signal("TERM");
    old.end_dumps();
    run.wait().exits(143).claims_nothing();
    is_read_to_its_end(&old);
}

#[test]
fn a_list_of_keys_that_is_stopped_reads_the_dump_to_its_end() {
    let old = with_an_endless_dump();
    let run = mcflush(["keys", "--prefix", "none:", old.address()]).spawn();
    wait_for("the dump", || (old.dumps().0 > 0).then_some(()));
    run.signal("TERM");
    old.end_dumps();
    run.wait().exits(143);
    is_read_to_its_end(&old);
}

#[test]
fn after_a_closed_stdout_keys_reads_the_dump_to_its_end() {
    let old = with_an_endless_dump();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let run = mcflush(["keys", old.address()]).stdout(writer).spawn();
    let mut first = [0; 5];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"shop:");
    drop(reader);
    old.end_dumps();
    run.wait().exits(0);
    is_read_to_its_end(&old);
}

// Tests of the scripted servers themselves.

/// The commands of a recording, each with its answer.
fn exchanges(version: &str, file: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(version).join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("\\r\\n", "\r").replace("\\n", "\x01");
    let mut exchanges: Vec<(String, String)> = Vec::new();
    for line in text.split('\n') {
        let plain = line.get(2..).unwrap_or_default().replace('\r', "\r\n").replace('\x01', "\n");
        match line.get(..2) {
            Some("> ") => exchanges.push((plain, String::new())),
            Some("< ") => exchanges.last_mut().unwrap().1 += &plain,
            _ => {}
        }
    }
    exchanges
}

/// Replaces times, which differ in every run.
fn without_times(text: &str) -> String {
    let mut plain = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_digit() {
            digits.push(character);
        } else {
            plain += if digits.len() >= 10 { "TIME" } else { &digits };
            digits.clear();
            plain.push(character);
        }
    }
    plain
}

#[test]
fn a_scripted_server_says_what_the_real_one_said() {
    let mut compared = 0;
    for version in ["1.4.15", "1.4.25", "1.4.33", "1.5.6", "1.5.22", "1.6.6", "1.6.9", "1.6.14", "1.6.24"] {
        let plain = Options::new(version);
        let without_dumps = Options { dumps: false, ..plain.clone() };
        let without_crawler = Options { crawler: false, ..plain.clone() };
        let without_cas = Options { cas: false, ..plain.clone() };
        let files = [
            ("dialect.txt", plain),
            ("dumps-off.txt", without_dumps),
            ("crawler-off.txt", without_crawler),
            ("no-cas.txt", without_cas),
        ];
        for (file, options) in files {
            let is_recorded = Path::new("tests/transcripts").join(version).join(file).exists();
            // mcflush never sends `ms`; from 1.6.10 on it changes the rest of that file's answers.
            if !is_recorded || file == "no-cas.txt" && version > "1.6.10" && !version.starts_with("1.6.6") {
                continue;
            }
            let old = options.start();
            let mut stream = TcpStream::connect(old.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let is_spoken = |sent: &str| !["ms ", "watch "].iter().any(|command| sent.starts_with(command));
            for (sent, expected) in exchanges(version, file).into_iter().filter(|(sent, _)| is_spoken(sent)) {
                stream.write_all(sent.as_bytes()).unwrap();
                let mut came = vec![0; expected.len()];
                let context = format!("{version} {file} {sent:?}, expected {expected:?}");
                stream.read_exact(&mut came).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(without_times(&String::from_utf8_lossy(&came)), without_times(&expected), "{context}");
                compared += 1;
            }
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "", "{version} {file}");
        }
    }
    assert!(compared > 220, "{compared}");
}
