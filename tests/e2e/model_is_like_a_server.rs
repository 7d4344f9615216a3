//! Compares the simulation's model of memcached with real servers: the same commands get the same answers, and the same
//! keys are listed and flushed. `MODEL_SEED=N` chooses other commands.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use self::chance::Chance;
use self::model::{Dump, Model};
use self::talk::{answer, dump_line, first_command};
use crate::support::server::{Connection, Server, Version, each_version};
use crate::support::wait_for;

#[path = "../simulation/chance.rs"]
#[allow(dead_code, reason = "of the simulation")]
mod chance;
#[path = "../simulation/model.rs"]
#[allow(dead_code, reason = "of the simulation")]
mod model;
#[path = "../simulation/talk.rs"]
#[allow(dead_code, reason = "of the simulation")]
mod talk;

each_version!(it_answers_lists_and_flushes_as_a_server_does);

const KEYS: u64 = 12;

/// A kind of step.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// Any command except a flush.
    Use,
    /// Changes some keys, flushes, and changes others. There are no reads before the flush, because the server notes a
    /// read at a time that depends on its threads, and that decides what outlives the flush.
    Flush,
}

fn it_answers_lists_and_flushes_as_a_server_does(version: Version) {
    let steps = [Step::Use, Step::Flush, Step::Use, Step::Flush];
    // If the server's clock turns during a command, the result proves nothing: the whole is repeated with other commands.
    let from = std::env::var("MODEL_SEED").map_or(1, |seed| seed.parse().unwrap());
    // The server's own threads may make a step differ now and then on a busy machine; an error of the model makes it
    // differ every time.
    let mut differed = 0;
    let compared = (from..from + 40).any(|seed| {
        let compared = AssertUnwindSafe(|| compare(version, &mut Chance::of(seed), &steps));
        catch_unwind(compared).unwrap_or_else(|difference| {
            differed += 1;
            if differed == 6 { resume_unwind(difference) } else { false }
        })
    });
    assert!(compared, "the server's clock turned during each of 40 tries");
}

/// Compares both; returns whether the server's clock stood still during each command.
fn compare(version: Version, chance: &mut Chance, steps: &[Step]) -> bool {
    let server = Server::start(version, &[]);
    let model = Model::new(numbers(&server), true, server.stat("time") * 1000);
    let mut both = Both { model, connection: server.connect(), server, cas: BTreeMap::new() };
    for step in steps {
        let time = next_second(&both.server);
        both.model.now = time * 1000;
        while both.model.maintain() {}
        let (mut listed, expected) = (list(&both.server), list_model(&both.model));
        for item in listed.values_mut() {
            item[CAS] = both.in_the_model(&item[CAS]);
        }
        let mut history = String::new();
        for command in commands(&both.model, *step, chance) {
            history += &command;
            let Some((said, model)) = both.say(&command) else { return false };
            assert_eq!(said, model, "the server, and the model; in second {time}, with {listed:#?}: {history}");
        }
        assert_eq!(listed, expected, "listed by the server, and by the model, in second {time}");
    }
    true
}

struct Both {
    server: Server,
    connection: Connection,
    model: Model,
    /// The server's CAS values differ from the model's, but have the same order.
    cas: BTreeMap<u64, u64>,
}

impl Both {
    /// The answers of both to a command, in which "CAS" stands for the CAS of its key's item. `None` if the server's
    /// clock turned meanwhile.
    fn say(&mut self, text: &str) -> Option<(String, String)> {
        let (mut for_server, mut for_model) = (text.to_owned(), text.to_owned());
        if text.contains("CAS") {
            let key = text.split([' ', '\r']).nth(1).unwrap();
            let gets = format!("gets {key}\r\n");
            let cas_in = |said: &str| {
                let line = said.lines().next().unwrap_or_default();
                line.split(' ').nth(4).unwrap_or("12345").to_owned()
            };
            for_server = text.replace("CAS", &cas_in(&self.talk(&gets)?));
            for_model = text.replace("CAS", &cas_in(&self.answer(&gets)));
        }
        let said = self.talk(&for_server)?;
        let model = self.answer(&for_model);
        Some((self.with_the_model_s_cas(&said, &model), model))
    }

    /// The server's answer to a command, at the time that the model has from then on. `None` if the server's clock
    /// turned meanwhile.
    fn talk(&mut self, text: &str) -> Option<String> {
        // Sent as one write, so that the server runs it at once, even on a busy machine.
        self.connection.send(format!("stats\r\n{text}stats\r\n").as_bytes());
        let (before, _) = self.time_of_stats();
        let (after, said) = self.time_of_stats();
        self.model.now = before * 1000;
        (before == after).then_some(said)
    }

    /// The server's clock from the next `stats`, and the text before it.
    fn time_of_stats(&mut self) -> (u64, String) {
        let (mut time, mut said) = (None, String::new());
        loop {
            let line = self.connection.line().expect("the server answers");
            match (line.strip_prefix("STAT "), time) {
                (Some(stat), _) => time = time.or(stat.strip_prefix("time ").and_then(|time| time.parse().ok())),
                (None, Some(time)) => return (time, said),
                (None, None) => said += &(line + "\r\n"),
            }
        }
    }

    fn answer(&mut self, text: &str) -> String {
        let (command, _) = first_command(text.as_bytes()).unwrap();
        String::from_utf8(answer(&mut self.model, &command)).unwrap()
    }

    /// The server's answer, with the model's CAS where both have one.
    fn with_the_model_s_cas(&mut self, said: &str, model: &str) -> String {
        if said.is_empty() {
            return String::new();
        }
        let is_value = said.starts_with("VALUE ");
        let (end, rest) = said.split_once("\r\n").map_or((said, ""), |(line, rest)| (line, rest));
        let words = end.split(' ').zip(
            model
                .split_terminator("\r\n")
                .next()
                .unwrap_or_default()
                .split(' ')
                .map(Some)
                .chain(std::iter::repeat(None)),
        );
        let words: Vec<String> = words
            .enumerate()
            .map(|(at, (word, other))| {
                let prefix = match at {
                    4 if is_value => "",
                    1.. if word.starts_with('c') && said.starts_with("HD ") => "c",
                    _ => return word.to_owned(),
                };
                let number = |word: &str| word.strip_prefix(prefix).and_then(|word| word.parse::<u64>().ok());
                let (Some(cas), Some(of_model)) = (number(word), other.and_then(number)) else {
                    return word.to_owned();
                };
                self.cas.insert(cas, of_model);
                format!("{prefix}{}", self.in_the_model(&cas.to_string()))
            })
            .collect();
        let order: Vec<_> = self.cas.values().copied().collect();
        assert!(order.is_sorted_by(|one, other| one < other), "CAS of the server, and of the model: {:?}", self.cas);
        format!("{}\r\n{rest}", words.join(" "))
    }

    /// The model's value for a CAS of the server.
    fn in_the_model(&self, cas: &str) -> String {
        let known = cas.parse().ok().and_then(|cas: u64| self.cas.get(&cas));
        known.map_or_else(|| format!("{cas} of the server"), ToString::to_string)
    }
}

fn numbers(server: &Server) -> [u32; 3] {
    let stats = server.stats("stats");
    let (_, version) = stats.iter().find(|(name, _)| name == "version").unwrap();
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Waits until the server has noted all reads and a new second begins.
fn next_second(server: &Server) -> u64 {
    let turns = server.stat("lru_maintainer_juggles");
    wait_for("three turns of the LRU maintainer", || {
        (server.stat("lru_maintainer_juggles") >= turns + 3).then_some(())
    });
    let now = server.stat("time");
    loop {
        let time = server.stat("time");
        // A second that is nearly over is useless.
        if time > now {
            return time;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// For each key: its expiry, its CAS, and whether it was read.
type Listing = BTreeMap<String, [String; 3]>;

const CAS: usize = 1;

fn read_lines(text: &str) -> Listing {
    let field = |line: &str, name: &str| -> String {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)).unwrap();
        found.to_owned()
    };
    text.lines()
        .filter(|line| line.starts_with("key="))
        .map(|line| (field(line, "key="), ["exp=", "cas=", "fetch="].map(|name| field(line, name))))
        .collect()
}

fn list(server: &Server) -> Listing {
    wait_for("the crawler to be free", || {
        let mut connection = server.connect();
        connection.send(b"lru_crawler metadump all\r\n");
        let mut text = String::new();
        connection.each_line(|line| {
            text += line;
            text.push('\n');
            line.starts_with("key=") || line == "OK"
        });
        text.ends_with("END\n").then(|| read_lines(&text))
    })
}

fn list_model(model: &Model) -> Listing {
    let mut lines = Vec::new();
    let mut dump = Dump::of_lists(model);
    while dump.visit(model, 1, |key, item| dump_line(model.version, key, item, &mut lines)) {}
    read_lines(std::str::from_utf8(&lines).unwrap())
}

/// Forty commands, and then a read of every key.
fn commands(model: &Model, step: Step, chance: &mut Chance) -> Vec<String> {
    let has_meta = model.version >= [1, 6, 10];
    let mut commands = Vec::new();
    for number in 0..40 {
        if step == Step::Flush && number == 20 {
            commands.push("flush_all\r\n".to_owned());
        }
        let key = format!("key:{}", chance.below(KEYS));
        let value = chance.pick(&["9", "17", "x", "18446744073709551615"]);
        let seconds = chance.pick(&[0, 0, 0, 100, -1]);
        let length = value.len();
        let cas = if chance.percent(70) { "CAS" } else { "12345" };
        let reads = step == Step::Use || number >= 20;
        commands.push(match chance.below(14) {
            0 | 1 => format!("set {key} 7 {seconds} {length}\r\n{value}\r\n"),
            2 => format!("add {key} 0 {seconds} {length}\r\n{value}\r\n"),
            3 => format!("append {key} 0 0 {length}\r\n{value}\r\n"),
            4 if reads => format!("cas {key} 0 {seconds} {length} {cas}\r\n{value}\r\n"),
            5 => format!("incr {key} 3\r\n"),
            6 => format!("decr {key} 10\r\n"),
            7 => format!("delete {key}\r\n"),
            8 if has_meta && reads => format!("md {key} q C{cas}\r\n"),
            9 if has_meta => format!("md {key} I\r\n"),
            10 if has_meta && reads => format!("mg {key} c f s\r\n"),
            11 if reads => format!("touch {key} {seconds}\r\n"),
            12 if reads => format!("get {key}\r\n"),
            _ if reads => format!("gets {key}\r\n"),
            _ => format!("set {key} 3 0 {length}\r\n{value}\r\n"),
        });
    }
    commands.extend((0..KEYS).map(|number| format!("gets key:{number}\r\n")));
    commands
}
