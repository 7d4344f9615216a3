//! Holds the model against the recorded answers of real servers: these are of more versions than can be installed.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Dump, Key, Model};
use crate::recorded::{exchanges, files};
use crate::talk::{answer, dump_line, first_command};

/// The files whose server had all its dumps, flushes and connections.
const FILES: [&str; 7] = ["storage", "retrieval", "flush", "dialect", "crawler", "stats", "no-cas"];

/// Statistics that depend on the machine, on the server's threads or on the time.
const OF_THE_MACHINE: [&str; 7] =
    ["pid", "uptime", "time", "lru_maintainer_juggles", "moves_to_cold", "moves_to_warm", "moves_within_lru"];

/// A recorded server beside the model of its version.
struct Beside {
    model: Model,
    /// Keys of which the model does not know whether they are there.
    unknown: BTreeSet<Key>,
    /// The model's CAS for each of the server's.
    cas: BTreeMap<u64, u64>,
    context: String,
    /// The answers that were compared.
    compared: usize,
}

#[test]
fn the_model_answers_as_each_recorded_server_did() {
    let mut compared = BTreeMap::<String, usize>::new();
    for file in files() {
        let version = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if !FILES.contains(&name.as_str()) {
            continue;
        }
        let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
        let mut model = Model::new(numbers.try_into().unwrap(), name != "no-cas", 1_000_000_000_000);
        model.classes = 1;
        let mut beside =
            Beside { model, unknown: BTreeSet::new(), cas: BTreeMap::new(), context: String::new(), compared: 0 };
        for exchange in exchanges(&file) {
            beside.context = format!("{version}/{name}: {}", exchange.sent.escape_ascii());
            // The recorder took its time: no two exchanges are in one second of the server.
            beside.model.now += 2_000;
            while beside.model.maintain() {}
            if !beside.exchange(&exchange.sent, &exchange.received) {
                break;
            }
        }
        let models: Vec<_> = beside.cas.values().collect();
        assert!(models.is_sorted(), "{version}/{name}: CAS in another order: {:?}", beside.cas);
        *compared.entry(version).or_default() += beside.compared;
    }
    println!("{compared:?}");
    assert!(compared.len() == 12 && compared.values().all(|count| *count >= 50), "{compared:?}");
}

impl Beside {
    /// Compares an exchange. Returns false at a command after which the model no longer knows the server's items.
    fn exchange(&mut self, sent: &[u8], received: &[u8]) -> bool {
        let (mut left, mut said, mut is_whole) = (sent, Vec::new(), true);
        let goes_on = loop {
            let Some((command, length)) = first_command(left) else { break true };
            left = &left[length..];
            let words: Vec<&str> = (0..command.words.len()).map(|at| command.word(at)).collect();
            match words[..] {
                ["lru_crawler", "metadump", lists @ ("all" | "hash" | "1")] if received.starts_with(b"key=") => {
                    self.compare_dump(lists, received);
                    return true;
                }
                ["stats", "cachedump", "1", "0" | "100"] => {
                    let said = answer(&mut self.model, &command);
                    self.compare_keys(&said, received);
                    return true;
                }
                ["stats"] | ["stats", "settings" | "items"] => {
                    let said = answer(&mut self.model, &command);
                    self.compare_statistics(&said, received);
                    return true;
                }
                // The model does not know these; they change no value.
                ["stats" | "lru_crawler" | "gat" | "gats" | "get" | "incr" | "mg" | "verbosity", ..]
                    if !is_known(&self.model, &words) =>
                {
                    is_whole = false;
                    break true;
                }
                ["ms", ..] => {
                    self.unknown.insert(command.key().to_vec());
                    is_whole = false;
                    break true;
                }
                _ if is_known(&self.model, &words) => {
                    let answer = answer(&mut self.model, &command);
                    if words.last() != Some(&"noreply") {
                        said.extend(answer);
                    }
                    self.compared += 1;
                }
                _ => {
                    is_whole = false;
                    break false;
                }
            }
        };
        let ((of_model, model_cas), (of_server, server_cas)) = (without_cas(&said), without_cas(received));
        let agrees = if is_whole { of_server == of_model } else { of_server.starts_with(&of_model) };
        assert!(agrees, "{}: the model says {of_model:?}, the server {of_server:?}", self.context);
        self.cas.extend(server_cas.into_iter().zip(model_cas));
        goes_on
    }

    fn compare_keys(&mut self, said: &[u8], received: &[u8]) {
        let [of_model, of_server] = [said, received].map(|said| {
            let mut keys = keys_of_cachedump(said);
            keys.retain(|key| !self.unknown.contains(key));
            keys
        });
        assert_eq!(of_server, of_model, "{}", self.context);
        self.compared += 1;
    }

    /// Compares the keys of a dump, in any order, their CAS, and the fields that do not depend on time or on the allocator.
    fn compare_dump(&mut self, lists: &str, received: &[u8]) {
        let mut dump = if lists == "hash" { Dump::Hash(None) } else { Dump::of_lists(&self.model) };
        let (mut said, version) = (Vec::new(), self.model.version);
        while dump.visit(&self.model, 100, |key, item| dump_line(version, key, item, &mut said)) {}
        let (mut of_model, mut of_server) = (items_of_dump(&said), items_of_dump(received));
        for items in [&mut of_model, &mut of_server] {
            items.retain(|key, _| !self.unknown.contains(key));
        }
        let without_cas = |items: &BTreeMap<Key, (u64, String)>| -> BTreeMap<Key, String> {
            items.iter().map(|(key, (_, fields))| (key.clone(), fields.clone())).collect()
        };
        assert_eq!(without_cas(&of_server), without_cas(&of_model), "{}", self.context);
        self.cas.extend(of_server.values().map(|(cas, _)| *cas).zip(of_model.values().map(|(cas, _)| *cas)));
        self.compared += 1;
    }

    /// Each statistic of the model is one of the server's, with the same value.
    fn compare_statistics(&mut self, said: &[u8], received: &[u8]) {
        let of_server = String::from_utf8_lossy(received);
        for line in String::from_utf8_lossy(said).lines() {
            let name = line.split(' ').nth(1).unwrap_or_default();
            if OF_THE_MACHINE.contains(&name) {
                assert!(of_server.contains(&format!("STAT {name} ")), "{}: the server has no {name}", self.context);
            } else {
                assert!(of_server.lines().any(|other| other == line), "{}: the server has no {line:?}", self.context);
            }
        }
        self.compared += 1;
    }
}

/// Whether the model claims to answer a command as a server does.
fn is_known(model: &Model, words: &[&str]) -> bool {
    let are_numbers = |words: &[&str]| words.iter().all(|word| word.parse::<i64>().is_ok());
    let words = words.strip_suffix(&["noreply"]).unwrap_or(words);
    match words {
        ["set" | "add" | "replace" | "append" | "prepend", _, numbers @ ..] => {
            numbers.len() == 3 && are_numbers(numbers)
        }
        ["cas", _, numbers @ ..] => numbers.len() == 4 && are_numbers(numbers),
        ["get" | "gets", keys @ ..] => !keys.is_empty(),
        ["incr" | "decr" | "touch", _, number] => are_numbers(&[number]),
        ["delete", _] | ["delete", _, "0"] | ["version" | "flush_all"] => true,
        // From 1.5.15 to 1.6.9 meta commands had another form.
        ["mn" | "md" | "mg", ..] if model.version < [1, 5, 15] => true,
        ["mn"] => model.version >= [1, 6, 0],
        ["md", _, flags @ ..] => {
            model.version >= [1, 6, 10] && flags.iter().all(|flag| matches!(*flag, "q" | "I" | "C1"))
        }
        ["mg", _, flags @ ..] if !flags.is_empty() => {
            model.version >= [1, 6, 10] && flags.iter().all(|flag| matches!(*flag, "c" | "f" | "s"))
        }
        _ => false,
    }
}

/// Answers in which each CAS is "CAS", and these CAS.
fn without_cas(said: &[u8]) -> (String, Vec<u64>) {
    let (mut text, mut cas) = (String::new(), Vec::new());
    for line in String::from_utf8_lossy(said).split_inclusive("\r\n") {
        let at = if line.starts_with("VALUE ") { Some((4, "")) } else { line.starts_with("HD ").then_some((1, "c")) };
        let mut words: Vec<&str> = line.trim_end().split(' ').collect();
        if let Some((at, sign)) = at
            && let Some(number) = words.get(at).and_then(|word| word.strip_prefix(sign)?.parse().ok())
        {
            cas.push(number);
            words[at] = "CAS";
        }
        text += &words.join(" ");
        text += "\r\n";
    }
    (text, cas)
}

fn keys_of_cachedump(said: &[u8]) -> Vec<Key> {
    let lines = said.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"ITEM "));
    lines.map(|line| line.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec()).collect()
}

/// The items of a metadump: their CAS, and what neither the time nor the allocator decides.
fn items_of_dump(said: &[u8]) -> BTreeMap<Key, (u64, String)> {
    let text = String::from_utf8_lossy(said);
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_prefix("key="));
    lines
        .map(|line| {
            let (key, fields) = line.split_once(' ').unwrap();
            let (of_time, fields): (Vec<&str>, Vec<&str>) = fields.split(' ').partition(|field| {
                ["la=", "cls=", "size=", "cas="].iter().any(|name| field.starts_with(name))
                    || field.starts_with("exp=") && *field != "exp=-1"
            });
            let cas = of_time.iter().find_map(|field| field.strip_prefix("cas=")?.parse().ok());
            (percent_decoded(key), (cas.unwrap_or_default(), fields.join(" ")))
        })
        .collect()
}

fn percent_decoded(key: &str) -> Key {
    let mut parts = key.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
