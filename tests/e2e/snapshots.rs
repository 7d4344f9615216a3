//! The text that people read, word for word, with N for times. After an intended change, `INSTA_UPDATE=always cargo
//! test --all-features --test e2e snapshots` writes the new text; read it in the diff.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use insta::assert_snapshot;

use crate::keys::when_listed;
use crate::support::dns::Dns;
use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version};
use crate::support::terminal::Terminal;
use crate::support::wait_for;

const KEYS: [&str; 5] = ["shop:1", "shop:2", "shop:sess:1", "cart:1", "lone"];

fn filled(version: Version) -> Server {
    let server = Server::start(version, &[]);
    server.store(KEYS);
    server
}

/// Both streams of a run, with the stream's name before each line, and without text that differs in every run.
fn said(server: &Server, arguments: &[&str]) -> String {
    told(
        &mcflush(arguments.iter().copied().chain([server.address()])).without_v().run(),
        &[(server.address(), "SERVER")],
    )
}

fn told(run: &Run, names: &[(&str, &str)]) -> String {
    let mark = |text: &str, mark: &str| -> String {
        // Whether mcflush waits for the server's own threads depends on when they last ran.
        let waits = ["reads that the server has not noted yet", "the server's crawler is taken"];
        let lines = text.lines().filter(|line| waits.iter().all(|wait| !line.contains(wait)));
        lines.map(|line| format!("{mark}{}", timeless(line)).trim_end().to_owned() + "\n").collect()
    };
    let text = mark(&run.stdout, "") + &mark(&run.stderr, "stderr: ");
    let words = names.iter().fold(text, |text, (name, short)| text.replace(name, short));
    format!("exit {:?}\n{words}", run.status.code())
}

fn timeless(line: &str) -> String {
    let line = match line.rsplit_once(" in ") {
        Some((before, after)) if after.ends_with(" s") => format!("{before} in N s"),
        _ => line.to_owned(),
    };
    // The number of passes depends on what the server's own threads do meanwhile.
    let line = match line.split_once(", by ").and_then(|(before, after)| Some((before, after.split_once(" passes")?))) {
        Some((before, (number, after))) if number.parse::<u32>().is_ok() => format!("{before}, by N passes{after}"),
        _ => line,
    };
    let line = match line.split_once(": version ").and_then(|(before, after)| Some((before, after.split_once(':')?))) {
        Some((before, (_, after))) => format!("{before}: version V:{after}"),
        None => line,
    };
    // Rates.
    let words: Vec<_> = line.split(' ').collect();
    let is_rate = |word: &str| word.trim_end_matches(',').ends_with("/s");
    let rateless = words.iter().enumerate().map(|(at, word)| match word.strip_suffix("/s") {
        Some(rate) if rate.starts_with(['+', '-']) => format!("{}N/s", &rate[..1]),
        _ if words.get(at + 1).is_some_and(|next| is_rate(next)) && !word.is_empty() => "N".into(),
        _ => (*word).to_owned(),
    });
    let mut line = rateless.collect::<Vec<_>>().join(" ");
    // The width of the column depends on the rates.
    for rate in ["   +N/s", "   -N/s"] {
        while line.contains(rate) {
            line = line.replace(rate, &rate[1..]);
        }
    }
    line
}

#[test]
fn a_clear() {
    let server = filled(Version::Sid);
    assert_snapshot!("dry_run", said(&server, &["--dry-run", "--prefix", "shop:", "--prefix", "cart:"]));
    assert_snapshot!("clear", said(&server, &["--prefix", "shop:", "--keep", "shop:sess:"]));
    assert_snapshot!("clear_of_nothing", said(&server, &["--prefix", "none:"]));
}

#[test]
fn a_clear_in_passes() {
    let server = filled(Version::Sid);
    let by_lru = ["--prefix", "shop:", "--strategy", "lru"];
    when_listed(&server, KEYS.len(), &["keys", "--strategy", "lru"]);
    assert_snapshot!("dry_run_in_part", said(&server, &[&["--dry-run"], &by_lru[..]].concat()));
    assert_snapshot!("clear_in_passes", said(&server, &by_lru));
}

#[test]
fn a_flush() {
    let server = filled(Version::Sid);
    assert_snapshot!("flush_later", said(&server, &["--all", "--delay", "60"]));
    assert_snapshot!("flush", said(&server, &["--all"]));
}

#[test]
fn a_listing() {
    let server = filled(Version::Sid);
    assert_snapshot!("keys", said(&server, &["keys", "--prefix", "cart:"]));
    // Times and the CAS differ in every run; only their places stay.
    let long = mcflush(["keys", "--long", "--prefix", "cart:", server.address()]).run();
    let words: Vec<_> = long.stdout.split(' ').collect();
    let shape = words.iter().enumerate().map(|(at, word)| if matches!(at, 1 | 3) { "N" } else { word });
    assert_snapshot!("keys_long", shape.collect::<Vec<_>>().join(" "));
    assert_snapshot!("keys_by_lru", said(&server, &["keys", "--strategy", "lru", "--prefix", "none:"]));
}

#[test]
fn namespaces() {
    let server = filled(Version::Sid);
    let ages = |text: String| {
        let aged = |line: &str| match line.strip_suffix(" ago").and_then(|line| line.rsplit_once("  ")) {
            Some((before, _)) => format!("{before}  AGE"),
            None => line.to_owned(),
        };
        text.lines().map(|line| aged(line) + "\n").collect::<String>()
    };
    // An age of two digits would move a column.
    let young = |look: &dyn Fn() -> String| {
        wait_for("ages of a few seconds", || {
            server.store(KEYS);
            let text = look();
            let mut ages = text.split("  ").filter_map(|cell| cell.trim_start().split_once(" ago"));
            ages.all(|(age, _)| age.len() == "N s".len()).then_some(text)
        })
    };
    let said_young = |arguments: &[&str]| ages(young(&|| said(&server, arguments)));
    assert_snapshot!("namespaces", said_young(&["namespaces"]));
    assert_snapshot!("namespaces_top", said_young(&["namespaces", "--depth", "2", "--top", "1"]));
    for (columns, locale) in [(40, "C.UTF-8"), (80, "C.UTF-8"), (120, "C")] {
        let screen = young(&|| Terminal::run(columns, &[("LANG", locale)], &["namespaces", server.address()]).wait().1);
        // As wide as real addresses (a port of five digits) and seconds of one digit.
        let screen = screen.replace(server.address(), "127.0.0.1:ABCDE");
        let words: Vec<_> = screen.split(' ').collect();
        let seconds = words.iter().enumerate().map(|(at, word)| {
            let is_age =
                words.get(at + 1) == Some(&"s") && words.get(at + 2).is_some_and(|word| word.starts_with("ago"));
            if is_age { "N" } else { word }
        });
        assert_snapshot!(format!("namespaces_on_{columns}_columns"), seconds.collect::<Vec<_>>().join(" "));
    }
    let other = filled(Version::Sid);
    let run = mcflush(["namespaces", "--strategy", "lru", server.address(), other.address()]).run();
    let names = [(server.address(), "SERVER"), (other.address(), "OTHER")];
    // The order of the warnings is not fixed.
    let mut lines: Vec<_> = told(&run, &names).lines().map(str::to_owned).collect();
    lines.retain(|line| line.starts_with("stderr: "));
    lines.sort();
    assert_snapshot!("namespaces_in_part", lines.join("\n"));
}

/// Statistics that are the same in every run.
fn scripted() -> Fake {
    Fake::answering(|command| match command {
        "stats" => Answer::text(
            "STAT pid 4711\r\nSTAT uptime 93784\r\nSTAT version 1.6.45\r\nSTAT curr_items 1234567\r\n\
             STAT bytes 67108864\r\nSTAT limit_maxbytes 1073741824\r\nSTAT rusage_user 12.500000\r\nEND\r\n",
        ),
        "stats settings" => Answer::text("STAT maxbytes 1073741824\r\nSTAT inter NULL\r\nEND\r\n"),
        _ => Answer::text("ERROR\r\n"),
    })
}

#[test]
fn statistics() {
    let (one, two) = (scripted(), scripted());
    let names = [(one.address(), "SERVER"), (two.address(), "OTHER")];
    let of = |arguments: &[&str]| told(&mcflush(arguments.iter().copied()).without_v().run(), &names);
    assert_snapshot!("stats", of(&["stats", one.address()]));
    assert_snapshot!("stats_groups", of(&["stats", "--group", "general", "--group", "settings", one.address()]));
    assert_snapshot!("stats_prometheus", of(&["stats", "--format", "prometheus", one.address()]));
    let terminal = |columns, arguments: &[&str]| {
        let (_, screen, _) = Terminal::run(columns, &[], arguments).wait();
        // As wide as real addresses, whose ports have five digits, so that the columns stay in place.
        let screen = screen.replace(one.address(), "127.0.0.1:ABCDE").replace(two.address(), "127.0.0.1:FGHIJ");
        screen.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>()
    };
    assert_snapshot!("stats_on_a_terminal", terminal(80, &["stats", one.address()]));
    assert_snapshot!("stats_side_by_side", terminal(80, &["stats", one.address(), two.address()]));
    assert_snapshot!("stats_side_by_side_narrow", terminal(40, &["stats", one.address(), two.address()]));
}

#[test]
fn statistics_again_and_again() {
    let looks = AtomicU64::new(0);
    let server = Fake::answering(move |line| {
        if line != "stats" {
            return Answer::text("ERROR\r\n");
        }
        let n = looks.fetch_add(1, SeqCst);
        Answer::text(&format!(
            "STAT uptime {}\r\nSTAT curr_items {}\r\nSTAT cmd_get {}\r\nSTAT get_hits {}\r\nSTAT get_misses {}\r\nEND\r\n",
            10 + n,
            5000 - 1200 * n.min(1),
            100 * n,
            75 * n,
            25 * n
        ))
    });
    let (reader, writer) = std::io::pipe().unwrap();
    let running = mcflush(["stats", "--watch", "0.2", server.address()]).stdout(writer).spawn();
    let lines: Vec<_> = BufReader::new(reader).lines().take(6).map(Result::unwrap).collect();
    running.wait().exits(0);
    let text: String = lines.iter().map(|line| timeless(line) + "\n").collect();
    assert_snapshot!("stats_watch", text.replace(server.address(), "SERVER"));
}

#[test]
fn the_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcflush.toml");
    let text = "servers = ['cache1', 'memcacheds://cache2']\n[defaults]\ntimeout = 3\nuser = 'app'\npassword = 'secret'\n\
                [groups.sessions]\nservers = ['cache3:11311']\n[apps.shop]\nprefixes = ['shop:', 'cart:']\n\
                keep = ['shop:sess:']\nservers = ['@sessions']\n";
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let check = |arguments: &[&str]| {
        let run = mcflush(["config", "check", "--config", file].iter().chain(arguments)).run();
        told(&run, &[(file, "FILE")])
    };
    assert_snapshot!("config_check", check(&[]));
    assert_snapshot!("config_check_of_servers", check(&["--jobs", "4", "@sessions"]));
    assert_snapshot!("an_unknown_group", check(&["@session"]));
    let none = mcflush(["config", "check"]).run();
    assert_snapshot!("config_check_of_nothing", told(&none, &[]));
    let app = mcflush(["--config", file, "--app", "shpo"]).without_v().run();
    assert_snapshot!("an_unknown_app", told(&app, &[(file, "FILE")]));
    let dns = Dns::start(&[], &[]);
    let host = mcflush(["--config", file, "--retries", "0", "--prefix", "shop:", "cahce1.test"]).without_v();
    let host = told(&host.env("MCFLUSH_DNS", dns.address()).run(), &[(file, "FILE")]);
    assert_snapshot!("an_unknown_host", host);
}

#[test]
fn the_question() {
    let (one, two) = (filled(Version::Sid), filled(Version::Sid));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcflush.toml");
    std::fs::write(&file, format!("servers = ['{}', '{}']\n", one.address(), two.address())).unwrap();
    let terminal = Terminal::run(200, &[], &["--all", "--config", file.to_str().unwrap()]);
    let screen = terminal.shows("a question", |screen| screen.contains('?'));
    assert_snapshot!("question", screen.replace(one.address(), "SERVER").replace(two.address(), "OTHER"));
    terminal.types("n\n");
    let (status, screen, _) = terminal.wait();
    assert_eq!(status, Some(2), "{screen}");
    let screen = screen.trim_end().replace(one.address(), "SERVER").replace(two.address(), "OTHER");
    assert_snapshot!("question_answered_by_no", screen);
    assert_eq!((one.count(""), two.count("")), (5, 5));
}

#[test]
fn what_is_tried() {
    let server = filled(Version::Sid);
    assert_snapshot!("verbose_clear", said(&server, &["-v", "--prefix", "shop:"]));
    assert_snapshot!("verbose_flush", said(&server, &["-v", "--all", "--verify"]));
}

#[test]
fn help() {
    let text = |arguments: &[&str]| mcflush(arguments.iter().copied()).run().exits(0).stdout.clone();
    assert_snapshot!("help_short", text(&["-h"]));
    assert_snapshot!("help_long", text(&["--help"]));
    for command in ["stats", "keys", "namespaces", "hot", "config", "completions", "man"] {
        assert_snapshot!(format!("help_of_{command}"), text(&[command, "-h"]));
    }
    assert_snapshot!("help_of_config_check", text(&["config", "check", "-h"]));
    assert_eq!(text(&["--version"]), concat!("mcflush ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn refusals() {
    let server = filled(Version::Sid);
    for (name, arguments) in [
        ("no_target", &[][..]),
        ("an_empty_prefix", &["--prefix", ""]),
        ("a_misspelt_option", &["--all", "--dryrun"]),
        ("a_misspelt_command", &["stat"]),
        ("two_targets", &["--all", "--prefix", "shop:"]),
        ("a_bad_number", &["--all", "--timeout", "soon"]),
        ("a_misspelt_scheme", &["--all", "memcache://user:secret@cache1"]),
        ("no_port", &["--all", "cache1:eleven"]),
        ("a_delay_of_a_clear", &["--prefix", "shop:", "--delay", "5"]),
        ("a_rate_of_a_flush", &["--all", "--rate", "5"]),
        ("tls_options_without_tls", &["--all", "--tls-name", "cache1"]),
        ("a_user_without_a_password", &["--all", "--user", "app"]),
        ("a_shard_beyond_the_last", &["--all", "--shard", "3/3"]),
        ("no_file", &["--all", "--servers-from", "/nonexistent/servers"]),
        ("no_config_file", &["--app", "shop"]),
    ] {
        assert_snapshot!(name, said(&server, arguments));
    }
    assert_eq!(server.count(""), 5);
}

#[test]
fn failures() {
    let server = UnusedPort::start();
    let refused = mcflush(["--retries", "0", "--prefix", "shop:", server.address()]).without_v().run();
    assert_snapshot!("refused", told(&refused, &[(server.address(), "SERVER")]));
    let forbidden = Server::start(Version::Sid, &["-F", "-X"]);
    assert_snapshot!("flush_forbidden", said(&forbidden, &["--all"]));
    forbidden.store(["shop:1"]);
    assert_snapshot!("dumps_forbidden", said(&forbidden, &["--prefix", "shop:"]));
    let strange = Fake::answering(|_| Answer::text("HTTP/1.1 400 Bad Request\r\n"));
    let run = mcflush(["--retries", "0", "--prefix", "shop:", strange.address()]).without_v().run();
    assert_snapshot!("no_memcached", told(&run, &[(strange.address(), "SERVER")]));
    let silent = Fake::silent();
    let run = mcflush(["--retries", "0", "--timeout", "0.2", "--all", silent.address()]).without_v().run();
    assert_snapshot!("silence", told(&run, &[(silent.address(), "SERVER")]));
    let one = filled(Version::Sid);
    let run = mcflush(["--retries", "0", "--all", server.address(), one.address()]).without_v().run();
    assert_snapshot!("some_of_them", told(&run, &[(server.address(), "SERVER"), (one.address(), "OTHER")]));
}
