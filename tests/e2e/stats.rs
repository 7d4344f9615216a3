//! `mcflush stats`.

use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version};

each_version!(names_and_values_aligned, of_two_servers, on_a_unix_socket);

fn names_and_values_aligned(version: Version) {
    let server = Server::start(version, &[]);
    server.store(["shop:1", "shop:2", "shop:3"]);
    let run = mcflush(["stats", server.address()]).run();
    run.succeeds().says(server.address());
    let value_of = |name: &str| {
        let line = run.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no line for {name}{run}"))
    };
    assert!(value_of("curr_items").ends_with(" 3"), "{run}");
    let version = server.stats("stats");
    let version = version.iter().find(|(name, _)| name == "version");
    let version = &version.expect("stats has the version").1;
    assert!(value_of("version").ends_with(version), "{run}");
    // Every name the server has is there.
    for (name, _) in server.stats("stats") {
        value_of(&name);
    }
    // Aligned to the left, to the right or in between: one of the columns is the same for all.
    let columns = |column: fn(&str) -> Option<usize>| {
        let lines = run.stdout.lines().filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["pid" | "curr_items" | "version", _])
        });
        let mut found: Vec<_> = lines.map(column).collect();
        found.dedup();
        found.len()
    };
    let starts = columns(|line| {
        let value = line.split_whitespace().nth(1)?;
        line.rfind(value)
    });
    let ends = columns(|line| Some(line.trim_end().len()));
    assert!(starts == 1 || ends == 1, "the values should be aligned{run}");
}

fn of_two_servers(version: Version) {
    let (one, two) = (Server::start(version, &[]), Server::start(version, &[]));
    mcflush(["stats", one.address(), two.address()]).run().succeeds().says(one.address()).says(two.address());
}

fn on_a_unix_socket(version: Version) {
    let server = Server::start_unix(version, &[]);
    mcflush(["stats", server.address()]).run().succeeds().says("curr_items").says(server.address());
}
