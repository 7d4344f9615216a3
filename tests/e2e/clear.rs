//! `--prefix`: exactly the keys in scope are deleted, whatever bytes they hold.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version, set_by_binary_protocol};
use crate::support::wait_for;

each_version!(
    a_prefix_of_a_prefix,
    a_key_equal_to_the_prefix,
    percent_signs_are_ordinary,
    utf8_is_compared_byte_by_byte,
    keys_of_250_bytes,
    a_prefix_of_250_bytes,
    every_byte_a_key_can_hold,
    keys_that_look_like_commands,
    binary_keys_too_long_for_base64,
    several_prefixes,
    overlapping_prefixes,
    a_prefix_that_begins_with_a_hyphen,
    a_prefix_with_a_space,
    nothing_in_scope,
    an_empty_server,
    nothing_is_stored_by_a_clear,
    on_a_unix_socket,
    keys_that_expire,
    by_pattern,
    by_size_age_and_expiry,
    without_a_compare_nothing_is_filtered,
);

fn clear(server: &Server, prefixes: &[&str]) -> Run {
    let prefixes = prefixes.iter().flat_map(|prefix| ["--prefix", prefix]);
    mcflush(prefixes.chain([server.address()])).run()
}

fn set<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> BTreeSet<Vec<u8>> {
    keys.into_iter().map(|key| key.as_ref().to_vec()).collect()
}

/// Stores both lists, clears, and expects that the keys of the first are gone and those of the second are all there.
#[track_caller]
fn clears_only(version: Version, prefixes: &[&str], gone: &[&[u8]], left: &[&[u8]]) {
    let server = Server::start(version, &[]);
    server.store(gone.iter().chain(left));
    assert_eq!(server.keys(), set(gone.iter().chain(left)), "before");
    let run = clear(&server, prefixes);
    run.is_complete().counts(gone.len());
    assert_eq!(server.keys(), set(left), "after {run}");
}

fn a_prefix_of_a_prefix(version: Version) {
    let server = Server::start(version, &[]);
    let others = ["shop", "sho", "shopping:1", "Shop:1", "blog:shop:1", "sshop:1"];
    let shop = ["shop:1", "shop:2"];
    let shop_eu = ["shop:eu:1", "shop:eu:2", "shop:eu:3"];
    server.store(others.iter().chain(&shop).chain(&shop_eu));

    clear(&server, &["shop:eu:"]).is_complete().counts(3);
    assert_eq!(server.keys(), set(others.iter().chain(&shop)));

    server.store(shop_eu);
    clear(&server, &["shop:"]).is_complete().counts(5);
    assert_eq!(server.keys(), set(others));
}

fn a_key_equal_to_the_prefix(version: Version) {
    clears_only(version, &["shop:"], &[b"shop:"], &[b"shop", b"shop;"]);
}

fn percent_signs_are_ordinary(version: Version) {
    let keys: [&[u8]; 4] = [b"shop:1", b"shop%3A1", b"shop%253A1", b"shop%"];
    clears_only(version, &["shop:"], &keys[..1], &keys[1..]);
    clears_only(version, &["shop%3A"], &[keys[1]], &[keys[0], keys[2], keys[3]]);
    clears_only(version, &["shop%"], &keys[1..], &keys[..1]);
}

fn utf8_is_compared_byte_by_byte(version: Version) {
    clears_only(
        version,
        &["größe:"],
        &["größe:1".as_bytes(), "größe:日本".as_bytes()],
        &[
            // They look the same but have other bytes; and one differs in case.
            "gro\u{308}ße:1".as_bytes(),
            "GRÖSSE:1".as_bytes(),
            "größ:1".as_bytes(),
            "日本:größe:".as_bytes(),
        ],
    );
}

fn keys_of_250_bytes(version: Version) {
    let long = |start: &str, fill: &str| format!("{start}{}", fill.repeat(250 - start.len()));
    let (ours, theirs) = (long("shop:", "k"), long("blog:", "k"));
    let escaped_by_the_dump = long("shop:", "%");
    clears_only(version, &["shop:"], &[ours.as_bytes(), escaped_by_the_dump.as_bytes()], &[theirs.as_bytes()]);
}

fn a_prefix_of_250_bytes(version: Version) {
    let prefix = "p".repeat(250);
    let mut other = prefix[..249].to_owned();
    clears_only(version, &[&prefix], &[prefix.as_bytes()], &[other.clone().as_bytes()]);
    other.push('q');
    clears_only(version, &[&prefix], &[prefix.as_bytes()], &[other.as_bytes()]);
}

fn every_byte_a_key_can_hold(version: Version) {
    let key = |app: &str, byte: u8| [app.as_bytes(), &[byte], b"end"].concat();
    let ours: Vec<Vec<u8>> = (0..=255).map(|byte| key("shop:", byte)).collect();
    // Also keys that a careless delete would hit: the part before a byte that ends a line.
    let mut theirs: Vec<Vec<u8>> = (0..=255).map(|byte| key("blog:", byte)).collect();
    theirs.extend([b"shop".to_vec(), b"end".to_vec()]);
    let (ours, theirs): (Vec<&[u8]>, Vec<&[u8]>) =
        (ours.iter().map(Vec::as_slice).collect(), theirs.iter().map(Vec::as_slice).collect());
    clears_only(version, &["shop:"], &ours, &theirs);
}

fn keys_that_look_like_commands(version: Version) {
    let ours: [&[u8]; 6] = [
        b"shop:\r\nflush_all\r\n",
        b"shop:1\nflush_all\n",
        b"shop:1\r\ndelete blog:1\r\n",
        b"shop: 0\r\nmd blog:1 q\r\n",
        b"shop:\0blog:1",
        b"shop:1 q\r\nEND\r\n",
    ];
    let theirs: [&[u8]; 4] = [b"blog:1", b"blog:\r\nflush_all\r\n", b"blog:\r\nmd shop:1\r\n", b"\r\nshop:1"];
    clears_only(version, &["shop:"], &ours, &theirs);

    // These keys are stored as real clients store them.
    let server = Server::start(version, &[]);
    set_by_binary_protocol(&server, &[&ours[..], &theirs[..]].concat());
    clear(&server, &["shop:"]).is_complete().counts(ours.len());
    assert_eq!(server.keys(), set(theirs));
}

fn binary_keys_too_long_for_base64(version: Version) {
    let server = Server::start(version, &[]);
    let ours = [b"shop:\n".as_slice(), &[b'k'; 200]].concat();
    set_by_binary_protocol(&server, &[&ours, b"blog:\n1", b"blog:2"]);
    let run = clear(&server, &["shop:"]);
    // Leaving the key is allowed if mcflush does not claim that it is deleted.
    if server.keys().contains(&ours) {
        run.fails(server.address(), &["incomplete"]).claims_nothing();
    } else {
        run.is_complete().counts(1);
    }
    assert_eq!(server.count("blog:"), 2);
}

fn several_prefixes(version: Version) {
    clears_only(
        version,
        &["shop:", "cart:", "nothing:"],
        &[b"shop:1", b"shop:2", b"cart:1"],
        &[b"blog:1", b"cart", b"shopcart:1"],
    );
}

fn overlapping_prefixes(version: Version) {
    clears_only(version, &["shop:eu:", "shop:", "shop:eu:", "s"], &[b"shop:eu:1", b"shop:1", b"s"], &[b"blog:1"]);
}

fn a_prefix_that_begins_with_a_hyphen(version: Version) {
    clears_only(version, &["-x:"], &[b"-x:1"], &[b"x:1", b"--x:1"]);
    clears_only(version, &["--all"], &[b"--all:1"], &[b"x:1", b"-all"]);
}

fn a_prefix_with_a_space(version: Version) {
    clears_only(
        version,
        &["my shop:"],
        &[b"my shop:1", b"my shop:2 3"],
        &[b"my", b"myshop:1", b"my  shop:1", b"shop:1"],
    );
}

fn nothing_in_scope(version: Version) {
    clears_only(version, &["shop:"], &[], &[b"blog:1", b"blog:2"]);
}

fn an_empty_server(version: Version) {
    clears_only(version, &["shop:"], &[], &[]);
}

fn nothing_is_stored_by_a_clear(version: Version) {
    let server = Server::start(version, &[]);
    server.store((0..100).map(|n| format!("shop:{n}")));
    server.store((0..100).map(|n| format!("blog:{n}")));
    let before = (server.stat("cmd_set"), server.stat("total_items"));
    clear(&server, &["shop:"]).is_complete().counts(100);
    // Before 1.6.10 the watermark is an append of an empty value, to a key that is deleted next.
    let appends = u64::from(version == Version::Bullseye);
    assert_eq!((server.stat("cmd_set"), server.stat("total_items")), (before.0 + appends, before.1 + appends));
    assert_eq!(server.stat("curr_items"), 100);
}

fn on_a_unix_socket(version: Version) {
    let server = Server::start_unix(version, &[]);
    server.store(["shop:1", "shop:2", "blog:1"]);
    clear(&server, &["shop:"]).is_complete().says(server.address());
    assert_eq!(server.keys(), set(["blog:1"]));

    server.store(["shop:1"]);
    let url = format!("memcached+unix://{}", server.address());
    mcflush(["--prefix", "shop:", &url]).run().is_complete().says(server.address());
    assert_eq!(server.keys(), set(["blog:1"]));
}

fn by_pattern(version: Version) {
    let server = Server::start(version, &[]);
    // In WordPress's form: a flush number and a blog number come before the group.
    let posts = ["7:1:posts:1", "7:2:posts:2", "8:posts:\n3"];
    let others = ["7:1:options:all", "posts", "7:1:pages:posts"];
    let kept = ["7:1:posts:last", "cart:1"];
    set_by_binary_protocol(&server, &[posts[2].as_bytes()]);
    server.store(posts[..2].iter().chain(&others).chain(&kept));
    let options = ["--match", "*:posts:*", "--match", "[a-d]art:?", "--prefix", "none:", "--keep", "cart:"];
    let options = [&options[..], &["--keep-match", "?:*:last", server.address()]].concat();
    let run = mcflush(["--dry-run", "--json"].iter().chain(&options)).run();
    run.exits(0);
    let document = crate::json::document(&run);
    let row = &document["servers"][0];
    if version.has_harmless_hash_dump() {
        assert_eq!((&row["matched"], &row["prefixes"][0]["keys"]), (&json!(3), &json!(0)));
        assert_eq!(row["matches"][0], json!({ "match": "*:posts:*", "keys": 3, "bytes": row["bytes"] }));
    }
    let listed = mcflush(["keys", "--match", "*:posts:*", "--keep-match", "*\n*", server.address()]).run();
    assert!(listed.exits(0).stdout.lines().all(|key| key.starts_with('7') && key.contains(":posts:")), "{listed}");
    mcflush(&options).run().is_complete().counts(3);
    assert_eq!(server.keys(), set(others.iter().chain(&kept)));
}

fn by_size_age_and_expiry(version: Version) {
    let server = Server::start(version, &[]);
    let mut connection = server.connect();
    let large = "x".repeat(5_000);
    for (key, seconds, value) in
        [("shop:1", 0, "x"), ("shop:2", 0, &large[..]), ("shop:3", 3_600, &large), ("blog:1", 0, &large)]
    {
        connection.send(format!("set {key} 0 {seconds} {}\r\n{value}\r\n", value.len()).as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
    }
    let stored = server.stat("uptime");
    let clear = |options: &[&str]| mcflush(options.iter().chain(&["--prefix", "shop:", server.address()])).run();
    if version.has_harmless_hash_dump() {
        let run = clear(&["--dry-run", "--larger", "4k"]);
        run.says("would delete 2 keys of 4 listed");
        clear(&["--idle", "7d"]).is_complete().counts(0);
        assert!(!clear(&["--idle", "7d"]).stdout.contains("closest"), "the prefix is there");
    }
    clear(&["--larger", "4k", "--no-expiry"]).is_complete().counts(1);
    assert_eq!(server.keys(), set(["shop:1", "shop:3", "blog:1"]));
    wait_for("the server's clock", || (server.stat("uptime") > stored).then_some(()));
    clear(&["--idle", "1", "--keep", "shop:3"]).is_complete().counts(1);
    assert_eq!(server.keys(), set(["shop:3", "blog:1"]));
}

fn without_a_compare_nothing_is_filtered(version: Version) {
    for options in [&["-C"][..], &["-o", "no_lru_crawler"]] {
        let server = Server::start(version, options);
        server.store(["shop:1"]);
        let run = mcflush(["--larger", "1", "--prefix", "shop:", server.address()]).run();
        // A listing without the crawler gives no CAS.
        run.fails(server.address(), &["disabled"]).warns("CAS");
        assert!(server.has("shop:1"));
    }
}

fn keys_that_expire(version: Version) {
    let server = Server::start(version, &[]);
    let mut connection = server.connect();
    for key in ["shop:1", "shop:2", "blog:1"] {
        connection.send(format!("set {key} 0 3600 1\r\nx\r\n").as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
    }
    // This one has already expired, but is still in memory.
    connection.send(b"set shop:3 0 -1 1\r\nx\r\n");
    assert_eq!(connection.line().as_deref(), Some("STORED"));
    clear(&server, &["shop:"]).is_complete();
    assert_eq!(server.keys(), set(["blog:1"]));
}
