//! Names: a server with two names is visited once, lists are looked up, and no server waits for a dead DNS server.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::dns::{DeadDns, Dns};
use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::{Mcflush, mcflush};
use crate::support::server::{Server, Version};
use crate::support::{LONG, wait_for};

fn stored() -> Server {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    server
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

fn with(dns: &Dns, arguments: &[&str]) -> Mcflush {
    mcflush(arguments).env("MCFLUSH_DNS", dns.address())
}

#[test]
fn two_names_of_one_server() {
    let (one, other) = (stored(), stored());
    let dns = Dns::start(&[("cache1.test", "127.0.0.1"), ("alias.test", "127.0.0.1")], &[]);
    let [named, alias, third] =
        ["cache1.test", "alias.test", "127.0.0.1"].map(|it| format!("{it}:{}", port(one.address())));
    // Another port means another server.
    let different = format!("alias.test:{}", port(other.address()));
    let run = with(&dns, &["--all", "-v", &named, &alias, &third, &different]).run();
    run.exits(0)
        .says(&named)
        .says(&different)
        .warns(&format!("{alias} is the same server as {named}: mcflush visits it once"));
    assert!(!run.stdout.contains(&alias) && !run.stdout.contains(&third), "the first spelling stays: {run}");
    assert_eq!((one.stat("cmd_flush"), other.stat("cmd_flush")), (1, 1));
    // Without -v, mcflush does not mention it.
    with(&dns, &["--all", &named, &alias]).run().succeeds();
    assert_eq!(one.stat("cmd_flush"), 2);
}

#[test]
fn two_names_of_one_server_in_a_clear() {
    let server = stored();
    let local = format!("localhost:{}", port(server.address()));
    mcflush(["--prefix", "shop:", server.address(), &local]).run().is_complete();
    mcflush(["--prefix", "shop:", &local, server.address()]).run().is_complete().says(&local);
}

#[test]
fn a_plain_localhost_is_not_warned_of() {
    let server = stored();
    mcflush(["--all", &format!("localhost:{}", port(server.address()))]).run().succeeds();
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_name_with_several_hosts() {
    let server = Server::start_at(Version::Sid, "127.0.0.2", 0);
    let port = port(server.address());
    let dns = Dns::start(
        &[("caches.test", "127.0.0.2"), ("caches.test", "127.0.0.3"), ("dual.test", "127.0.0.2"), ("dual.test", "::1")],
        &[],
    );
    let caches = format!("caches.test:{port}");
    with(&dns, &["--all", &caches])
        .run()
        .exits(0)
        .says(&caches)
        .warns(&format!("{caches}: warning: 2 hosts"))
        .warns(&format!("memcached+dns://{caches}"));
    // One host may have an address of each family; addresses that do not answer are skipped.
    with(&dns, &["--all", &format!("dual.test:{port}")]).run().succeeds();
    assert_eq!(server.stat("cmd_flush"), 2);
}

#[test]
fn the_addresses_of_a_name_are_tried_in_turn() {
    let server = Server::start_at(Version::Sid, "127.0.0.2", 0);
    server.store(["shop:1"]);
    // No server listens on the others; in any order, one address answers.
    let addresses = ["127.0.0.3", "127.0.0.4", "127.0.0.2", "127.0.0.5", "127.0.0.6"];
    let dns = Dns::start(&addresses.map(|address| ("turn.test", address)), &[]);
    let name = format!("turn.test:{}", port(server.address()));
    for _ in 0..5 {
        with(&dns, &["--all", "--retries", "0", &name]).run().exits(0).says(&format!("{name}: flushed"));
    }
    assert_eq!(server.stat("cmd_flush"), 5);
}

#[test]
fn a_list_of_addresses() {
    let one = Server::start_at(Version::Sid, "127.0.0.2", 0);
    let two = Server::start_at(Version::Sid, "127.0.0.3", port(one.address()).parse().unwrap());
    let dns = Dns::start(&[("caches.test", "127.0.0.3"), ("caches.test", "127.0.0.2")], &[]);
    let list = format!("memcached+dns://caches.test:{}", port(one.address()));
    // A server that is named in addition to its list is visited once.
    let run = with(&dns, &["--all", &list, two.address()]).run();
    run.succeeds().says(one.address()).says(two.address());
    assert_eq!((one.stat("cmd_flush"), two.stat("cmd_flush")), (1, 1));
    mcflush(["stats"]).env("MCFLUSH_SERVERS", &list).env("MCFLUSH_DNS", dns.address()).run().succeeds();
    with(&dns, &["--all", "-v", &list]).run().exits(0).warns(&format!("{list}: {}, {}", one.address(), two.address()));
}

#[test]
fn an_address_is_a_list_of_one() {
    let server = stored();
    let dead = DeadDns::start();
    let list = format!("memcached+dns://{}", server.address());
    mcflush(["--all", &list]).env("MCFLUSH_DNS", dead.address()).run().succeeds().says(server.address());
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_list_in_a_file_and_one_that_is_not_the_only_source() {
    let (one, two) = (stored(), stored());
    let dns = Dns::start(&[("caches.test", "127.0.0.1")], &[]);
    let folder = TempDir::with_prefix("mcflush-list-").unwrap();
    let file = folder.path().join("servers");
    std::fs::write(&file, format!("memcached+dns://caches.test:{} # the caches\n", port(one.address()))).unwrap();
    with(&dns, &["--all", "--servers-from", file.to_str().unwrap(), two.address()]).run().succeeds();
    assert_eq!((one.count(""), two.count("")), (0, 0));
}

#[test]
fn the_parts_of_an_array_are_cut_from_the_whole_list() {
    let one = Server::start_at(Version::Sid, "127.0.0.2", 0);
    let two = Server::start_at(Version::Sid, "127.0.0.3", port(one.address()).parse().unwrap());
    let dns = Dns::start(&[("caches.test", "127.0.0.3"), ("caches.test", "127.0.0.2")], &[]);
    let list = format!("memcached+dns://caches.test:{}", port(one.address()));
    for shard in ["0/2", "1/2"] {
        with(&dns, &["--all", "--shard", shard, &list]).run().succeeds();
    }
    assert_eq!((one.stat("cmd_flush"), two.stat("cmd_flush")), (1, 1));
}

#[test]
fn a_list_that_is_too_long_for_a_datagram() {
    const SERVERS: u8 = 150;
    let server = Server::start_at(Version::Sid, "0.0.0.0", 0);
    let addresses: Vec<String> = (1..=SERVERS).map(|last| format!("127.0.1.{last}")).collect();
    let hosts: Vec<_> = addresses.iter().map(|address| ("caches.test", address.as_str())).collect();
    let dns = Dns::start(&hosts, &[]);
    let port = port(server.address());
    let run = with(&dns, &["--all", "--once", &format!("memcached+dns://caches.test:{port}")]).run();
    run.succeeds();
    assert_eq!(run.stdout.lines().count(), usize::from(SERVERS), "{run}");
    assert_eq!(server.stat("cmd_flush"), u64::from(SERVERS));
}

#[test]
fn a_list_of_services() {
    let (one, two) = (stored(), stored());
    let service =
        |target: &str, server: &Server| format!("_memcached._tcp.caches.test,{target},{}", port(server.address()));
    let dns = Dns::start(
        &[("cache1.test", "127.0.0.1"), ("cache2.test", "127.0.0.1")],
        &[service("cache2.test", &two), service("cache1.test", &one)],
    );
    let list = "memcached+srv://_memcached._tcp.caches.test";
    with(&dns, &["--prefix", "shop:", list])
        .run()
        .is_complete()
        .says(&format!("cache1.test:{}", port(one.address())))
        .says(&format!("cache2.test:{}", port(two.address())));
    assert_eq!((one.count(""), two.count("")), (0, 0));
}

#[test]
fn a_list_without_a_server_is_refused() {
    let untouched = Fake::silent();
    let dns = Dns::start(&[("cache1.test", "127.0.0.1")], &[]);
    for list in [
        "memcached+dns://nobody.test",
        // The name exists, but without this kind of record.
        "memcached+srv://cache1.test",
        "memcached+srv://_memcached._tcp.nobody.test",
    ] {
        with(&dns, &["--all", untouched.address(), list]).run().is_refused().warns(list).warns("names no server");
    }
    untouched.assert_untouched();
}

/// An answer in the published form: a version and the nodes, in a block of the stated length.
fn recording(nodes: &str) -> String {
    let block = format!("12\n{nodes}\n");
    format!("CONFIG cluster 0 {}\r\n{block}\r\nEND\r\n", block.len())
}

fn endpoint(reply: String) -> Fake {
    Fake::answering(move |line| match line {
        "config get cluster" => Answer::text(&reply),
        _ => Answer::text("ERROR\r\n"),
    })
}

#[test]
fn a_cluster_names_its_nodes() {
    let (one, two) = (stored(), stored());
    // A node without a name is reached by its address.
    let nodes =
        format!("my.0001.use1.cache.test|10.82.235.120|{} |127.0.0.1|{}", port(one.address()), port(two.address()));
    let endpoint = endpoint(recording(&nodes));
    let dns = Dns::start(&[("my.0001.use1.cache.test", "127.0.0.1")], &[]);
    with(&dns, &["--all", "--timeout", LONG, &format!("memcached+auto://{}", endpoint.address())])
        .run()
        .succeeds()
        .says(&format!("my.0001.use1.cache.test:{}", port(one.address())))
        .says(two.address());
    assert_eq!((one.count(""), two.count("")), (0, 0));
    assert_eq!(endpoint.lines(), ["config get cluster"], "the endpoint is asked and left alone");
}

#[test]
fn a_server_without_a_cluster_is_refused() {
    let untouched = Fake::silent();
    let plain = Server::start(Version::Sid, &[]);
    let refuses_after = |timeout: &str, endpoint: &str, why: &str| {
        let list = format!("memcached+auto://{endpoint}");
        let options = ["--all", "--timeout", timeout, "--retries", "0", untouched.address(), &list];
        mcflush(options).run().is_refused().warns(&list).warns(why);
    };
    let refuses = |endpoint: &str, why: &str| refuses_after(LONG, endpoint, why);
    refuses(plain.address(), "knows of no cluster");
    assert_eq!(plain.stat("cmd_flush"), 0);
    refuses(endpoint("END\r\n".into()).address(), "knows of no cluster");
    refuses(endpoint(recording("")).address(), "names no server");
    refuses(endpoint(recording("a|b")).address(), "protocol");
    refuses(endpoint("CONFIG cluster 0 9999999999\r\n".into()).address(), "limit");
    refuses_after("1", Fake::silent().address(), "timeout");
    refuses(UnusedPort::start().address(), "refused");
    untouched.assert_untouched();
}

#[test]
fn a_refused_configuration_endpoint_is_tried_again() {
    let server = stored();
    let reply = recording(&format!("|127.0.0.1|{}", port(server.address())));
    let endpoint = Fake::start(move |peer| {
        // The first time, the server hangs up.
        if peer.number() > 0 && peer.line().is_some() {
            peer.send(&reply);
        }
    });
    mcflush(["--all", &format!("memcached+auto://{}", endpoint.address())]).run().succeeds();
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_name_that_does_not_resolve() {
    let server = stored();
    let dns = Dns::start(&[], &[]);
    with(&dns, &["--all", "nobody.test", server.address()]).run().exits(3).complains("nobody.test:11211", &["name"]);
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_dns_server_that_is_none() {
    let untouched = Fake::silent();
    for value in ["", "dns.example.org", "127.0.0.1:port"] {
        mcflush(["--all", untouched.address()]).env("MCFLUSH_DNS", value).run().is_refused().warns("MCFLUSH_DNS");
    }
    untouched.assert_untouched();
}

#[test]
fn a_dead_dns_server() {
    let (dns, server) = (DeadDns::start(), stored());
    // Long enough for the server that answers, on any machine.
    let options = ["--all", "--timeout", "10", "cache1.test", "cache2.test", server.address()];
    let run = mcflush(options).env("MCFLUSH_DNS", dns.address()).run();
    run.exits(3).complains("cache1.test:11211", &["timeout"]).complains("cache2.test:11211", &["timeout"]);
    assert_eq!(server.count(""), 0, "who needs no name is worked on");

    for list in ["memcached+dns://caches.test:11211", "memcached+srv://_memcached._tcp.caches.test"] {
        let run = mcflush(["--all", "--timeout", "1", list]).env("MCFLUSH_DNS", dns.address()).run();
        run.is_refused().warns(&format!("{list}: timeout: "));
    }
}

#[test]
fn a_dead_dns_server_and_a_deadline() {
    let dns = DeadDns::start();
    let options = ["--all", "--timeout", LONG, "--deadline", "1"];
    let run = |server: &str| mcflush(options.iter().chain([&server])).env("MCFLUSH_DNS", dns.address()).spawn().wait();
    run("cache1.test").fails("cache1.test:11211", &["deadline"]);
    run("memcached+dns://caches.test").warns("memcached+dns://caches.test:11211: deadline: ");
}

#[test]
fn a_signal_while_a_dns_server_is_waited_for() {
    let endpoint = endpoint(recording("my.0001.use1.cache.test|127.0.0.1|11211"));
    let cluster = format!("memcached+auto://{}", endpoint.address());
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        for server in ["cache1.test", "memcached+dns://caches.test", "memcached+srv://caches.test", &cluster] {
            let dns = DeadDns::start();
            let run = mcflush(["--all", "--timeout", LONG, server]).env("MCFLUSH_DNS", dns.address()).spawn();
            dns.wait_for_question();
            run.signal(signal);
            run.wait().exits(status).warns("interrupted").claims_nothing();
            // A run that waits for an answer asks three times, for each address family.
            assert!(dns.further_questions() < 4, "{server} was waited for");
        }
    }
}

/// A library that replaces the system's resolver: it never answers, and notes each question in a file.
fn dead_resolver(folder: &Path) -> (PathBuf, PathBuf) {
    let (source, library, asked) = (folder.join("dead.c"), folder.join("dead.so"), folder.join("asked"));
    let text = format!(
        "#include <fcntl.h>\n#include <unistd.h>\n\
         int getaddrinfo(void) {{ creat(\"{}\", 0600); for (;;) pause(); }}\n",
        asked.display()
    );
    std::fs::write(&source, text).unwrap();
    let mut cc = Command::new("cc");
    let built = cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output().expect("cc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (library, asked)
}

#[test]
fn a_system_resolver_that_never_answers_holds_nothing() {
    let folder = TempDir::with_prefix("mcflush-resolver-").unwrap();
    let (library, asked) = dead_resolver(folder.path());
    let server = stored();
    // Long enough for the server that answers, on any machine.
    let arguments = ["--all", "--timeout", "10", "cache1.test", server.address()];
    let run = mcflush(arguments).env("LD_PRELOAD", &library).run();
    run.exits(3).complains("cache1.test:11211", &["timeout"]);
    assert!(asked.exists(), "the library was used");
    assert_eq!(server.count(""), 0);

    std::fs::remove_file(&asked).unwrap();
    let run = mcflush(["--all", "--timeout", LONG, "cache1.test"]).env("LD_PRELOAD", &library).spawn();
    wait_for("the question", || asked.exists().then_some(()));
    run.signal("INT");
    run.wait().exits(130).complains("cache1.test:11211", &["interrupted"]);
}

#[test]
fn silent_names_are_waited_for_together() {
    let dns = DeadDns::start();
    let names: Vec<String> = (0..16).map(|at| format!("cache{at}.test")).collect();
    let run = mcflush(["--all", "--timeout", LONG].into_iter().chain(names.iter().map(String::as_str)))
        .env("MCFLUSH_DNS", dns.address())
        .spawn();
    // All names are asked for while the others are silent.
    dns.wait_for_names(names.len());
    run.signal("INT");
    run.wait().exits(130);
}

#[test]
fn silent_names_of_a_cluster_are_waited_for_together() {
    let dns = DeadDns::start();
    let nodes: Vec<String> = (0..16).map(|at| format!("node{at}.test|127.0.0.1|11211")).collect();
    let endpoint = endpoint(recording(&nodes.join(" ")));
    let cluster = format!("memcached+auto://{}", endpoint.address());
    let run = mcflush(["--all", "--timeout", LONG, &cluster]).env("MCFLUSH_DNS", dns.address()).spawn();
    dns.wait_for_names(nodes.len());
    run.signal("INT");
    run.wait().exits(130).warns("interrupted").claims_nothing();
}
