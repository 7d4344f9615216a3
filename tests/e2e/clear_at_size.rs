//! Clears in which listings are difficult: many keys, many slab classes, keys in use.

use crate::support::run::mcflush;
use crate::support::server::{LARGE_TABLE, Server, Version, each_version};
use crate::support::traffic::get;

each_version!(right_after_loading, across_slab_classes, keys_read_just_before, a_second_clear_finds_nothing,);

fn right_after_loading(version: Version) {
    const OURS: usize = 200_000;
    const THEIRS: usize = 50_000;
    let server = Server::start(version, &LARGE_TABLE);
    server.store((0..OURS).map(|n| format!("shop:{n}")).chain((0..THEIRS).map(|n| format!("blog:{n}"))));
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(OURS);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, THEIRS));
}

fn across_slab_classes(version: Version) {
    let server = Server::start(version, &[]);
    let mut loader = server.loader();
    let mut sizes = Vec::new();
    let mut size = 20_usize;
    while size < 1_000_000 {
        sizes.push(size);
        size += size / 4;
    }
    for (n, size) in sizes.iter().enumerate() {
        for app in ["shop", "blog"] {
            for copy in 0..3 {
                loader.set(format!("{app}:{n}:{copy}").as_bytes(), &vec![b'v'; *size]);
            }
        }
    }
    loader.finish();
    let classes = server
        .stats("stats slabs")
        .iter()
        .filter(|(name, value)| name.ends_with(":used_chunks") && value != "0")
        .count();
    assert!(classes >= 20, "only {classes} slab classes are in use");
    let each = sizes.len() * 3;
    assert_eq!((server.count("shop:"), server.count("blog:")), (each, each));

    mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(each);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, each));
}

fn keys_read_just_before(version: Version) {
    const EACH: usize = 500;
    let server = Server::start(version, &[]);
    let keys = |app: &str| (0..EACH).map(|n| format!("{app}:{n}")).collect::<Vec<String>>();
    server.store(keys("shop").into_iter().chain(keys("blog")));
    let mut connection = server.connect();
    // From the second read on, the server holds a key back to move it, and LRU dumps skip it meanwhile.
    for _ in 0..3 {
        for key in keys("shop") {
            assert!(get(&mut connection, &key));
        }
    }
    let run = mcflush(["--prefix", "shop:", server.address()]).run();
    run.is_complete().counts(EACH);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH), "{run}");
}

fn a_second_clear_finds_nothing(version: Version) {
    let server = Server::start(version, &[]);
    server.store((0..5000).map(|n| format!("shop:{n}")));
    let clear = || mcflush(["--prefix", "shop:", server.address()]).run();
    clear().is_complete().counts(5000);
    clear().is_complete().counts(0);
}
