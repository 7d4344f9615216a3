//! The text protocol of the model, as far as mcflush and the comparison with real servers speak it.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::model::{Item, List, Model, Outcome, Verb};

/// A command, with its data.
#[derive(Debug, Clone)]
pub struct Command {
    pub words: Vec<Vec<u8>>,
    pub data: Vec<u8>,
}

impl Command {
    pub fn word(&self, at: usize) -> &str {
        self.words.get(at).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    pub fn key(&self) -> &[u8] {
        self.words.get(1).map(Vec::as_slice).unwrap_or_default()
    }

    fn number<T: std::str::FromStr + Default>(&self, at: usize) -> T {
        self.word(at).parse().unwrap_or_default()
    }

    /// The token of a meta command's flag. None if the flag is missing.
    pub fn flag(&self, name: char) -> Option<&str> {
        (2..self.words.len()).map(|at| self.word(at)).find_map(|word| word.strip_prefix(name))
    }
}

/// The name under which the model gets a delete of the binary protocol, with its key and its CAS.
pub const BINARY_DELETE: &str = "binary delete";

/// The first command of a buffer, and its length in bytes. None while the command is incomplete.
pub fn first_command(buffer: &[u8]) -> Option<(Command, usize)> {
    if buffer.starts_with(&[0x80, 4]) {
        let (header, rest) = buffer.split_first_chunk::<24>()?;
        let key = rest.get(..usize::from(u16::from_be_bytes([header[2], header[3]])))?;
        let cas = u64::from_be_bytes(header[16..].try_into().ok()?).to_string();
        let words = vec![BINARY_DELETE.into(), key.to_vec(), cas.into()];
        return Some((Command { words, data: Vec::new() }, header.len() + key.len()));
    }
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
    let words: Vec<_> = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
    let mut command = Command { words, data: Vec::new() };
    let mut used = end + 1;
    if command.word(0).starts_with('m') && command.flag('b').is_some() {
        command.words[1] = BASE64_STANDARD.decode(command.key()).unwrap_or_default();
    }
    if matches!(command.word(0), "set" | "add" | "replace" | "append" | "prepend" | "cas" | "ms") {
        let length: usize = command.number(if command.word(0) == "ms" { 2 } else { 4 });
        command.data = buffer.get(used..used + length)?.to_vec();
        buffer.get(used + length..used + length + 2)?;
        used += length + 2;
    }
    Some((command, used))
}

/// The answer to any command except a dump of the crawler.
pub fn answer(model: &mut Model, command: &Command) -> Vec<u8> {
    let key = command.key();
    let stored = |stored| match stored {
        Outcome::Done => "STORED\r\n",
        Outcome::NotDone => "NOT_STORED\r\n",
        Outcome::Exists => "EXISTS\r\n",
        Outcome::NotFound => "NOT_FOUND\r\n",
    };
    let has_meta = model.version >= [1, 6, 0];
    // Before 1.6.10 servers answered meta commands in another form, and mcflush does not use them there.
    let speaks_meta = model.version >= [1, 6, 10];
    match command.word(0) {
        "version" => {
            let [a, b, c] = model.version;
            format!("VERSION {a}.{b}.{c}\r\n").into_bytes()
        }
        "mn" if has_meta => b"MN\r\n".to_vec(),
        "stats" => stats(model, command),
        name @ ("set" | "add" | "replace" | "append" | "prepend" | "cas") => {
            let verb = match name {
                "set" => Verb::Set,
                "add" => Verb::Add,
                "replace" => Verb::Replace,
                "append" => Verb::Append,
                "prepend" => Verb::Prepend,
                _ => Verb::Cas(command.number(5)),
            };
            stored(model.store(verb, key, &command.data, command.number(2), command.number(3))).into()
        }
        name @ ("get" | "gets") => {
            let mut said = Vec::new();
            for key in &command.words[1..] {
                let Some(item) = model.get(key, true) else { continue };
                said.extend_from_slice(b"VALUE ");
                said.extend_from_slice(key);
                said.extend_from_slice(format!(" {} {}", item.flags, item.value.len()).as_bytes());
                if name == "gets" {
                    said.extend_from_slice(format!(" {}", item.cas).as_bytes());
                }
                said.extend_from_slice(b"\r\n");
                said.extend_from_slice(&item.value);
                said.extend_from_slice(b"\r\n");
            }
            said.extend_from_slice(b"END\r\n");
            said
        }
        BINARY_DELETE => {
            let wanted: u64 = command.number(2);
            let (status, text) = match model.find(key).map(|item| item.cas) {
                None => (1, "Not found"),
                Some(cas) if wanted > 0 && wanted != cas => (2, "Data exists for key."),
                Some(_) => (u8::from(!model.delete(key)), ""),
            };
            let mut said = vec![0; 24];
            (said[0], said[1], said[7], said[11]) = (0x81, 4, status, text.len() as u8);
            [&said, text.as_bytes()].concat()
        }
        "delete" if model.delete(key) => b"DELETED\r\n".to_vec(),
        "delete" => b"NOT_FOUND\r\n".to_vec(),
        name @ ("incr" | "decr") => match model.add(key, command.number(2), name == "incr") {
            Ok(Some(number)) => format!("{number}\r\n").into_bytes(),
            Ok(None) => b"NOT_FOUND\r\n".to_vec(),
            Err(()) => b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".to_vec(),
        },
        "touch" if model.touch(key, command.number(2)) => b"TOUCHED\r\n".to_vec(),
        "touch" => b"NOT_FOUND\r\n".to_vec(),
        "flush_all" => {
            model.flush_all();
            b"OK\r\n".to_vec()
        }
        "md" if speaks_meta => meta_delete(model, command).into(),
        "mg" if speaks_meta => meta_get(model, command).into_bytes(),
        _ => b"ERROR\r\n".to_vec(),
    }
}

fn meta_delete(model: &mut Model, command: &Command) -> &'static str {
    let key = command.key();
    let is_quiet = command.flag('q').is_some();
    let wanted: Option<u64> = command.flag('C').and_then(|cas| cas.parse().ok());
    match model.find(key).map(|item| item.cas) {
        // As on a real server, a quiet delete hides only its success.
        None => "NF\r\n",
        Some(cas) if wanted.is_some_and(|wanted| wanted != cas) => "EX\r\n",
        Some(_) => {
            if command.flag('I').is_some() {
                model.invalidate(key);
            } else {
                model.delete(key);
            }
            if is_quiet { "" } else { "HD\r\n" }
        }
    }
}

fn meta_get(model: &mut Model, command: &Command) -> String {
    let Some(item) = model.get(command.key(), command.flag('u').is_none()) else { return "EN\r\n".into() };
    let mut said = "HD".to_owned();
    for at in 2..command.words.len() {
        let _ = match command.word(at) {
            "c" => write!(said, " c{}", item.cas),
            "f" => write!(said, " f{}", item.flags),
            "s" => write!(said, " s{}", item.value.len()),
            _ => Ok(()),
        };
    }
    // The server tells the first reader of a stale item to recache it.
    if item.is_stale {
        said.push_str(" X W");
    }
    said + "\r\n"
}

fn stats(model: &Model, command: &Command) -> Vec<u8> {
    let mut said = String::new();
    let mut stat = |name: &str, value: &dyn std::fmt::Display| {
        let _ = write!(said, "STAT {name} {value}\r\n");
    };
    let yes = |is_so| if is_so { "yes" } else { "no" };
    match command.word(1) {
        "" => {
            let [a, b, c] = model.version;
            let counters = &model.counters;
            stat("pid", &model.pid);
            stat("uptime", &((model.now - model.started) / 1000));
            stat("time", &model.time());
            stat("version", &format!("{a}.{b}.{c}"));
            stat("cmd_set", &counters.cmd_set);
            stat("cmd_flush", &counters.flushes);
            stat("get_hits", &counters.get_hits);
            stat("get_misses", &counters.get_misses);
            stat("delete_hits", &counters.delete_hits);
            stat("incr_hits", &counters.incr_hits);
            stat("decr_hits", &counters.decr_hits);
            stat("cas_hits", &counters.cas_hits);
            stat("touch_hits", &counters.touch_hits);
            stat("evictions", &counters.evictions);
            stat("curr_items", &model.items.len());
            stat("hash_power_level", &model.hash_power);
            stat("hash_is_expanding", &u8::from(model.is_growing));
            if model.is_segmented() {
                stat("lru_maintainer_juggles", &counters.juggles);
                stat("moves_to_cold", &counters.moves_to_cold);
                stat("moves_to_warm", &counters.moves_to_warm);
                stat("moves_within_lru", &counters.moves_within_lru);
            }
            if model.moves_pages {
                stat("slab_reassign_rescues", &counters.rescues);
                stat("slab_reassign_running", &u8::from(model.is_moving_pages));
            }
        }
        "settings" => {
            stat("cas_enabled", &yes(model.has_cas));
            if model.version >= [1, 4, 25] {
                stat("lru_crawler", &yes(model.has_crawler));
                stat("lru_maintainer_thread", &yes(model.is_segmented()));
            }
            if model.version >= [1, 5, 0] {
                stat("lru_segmented", &yes(model.is_segmented()));
                stat("dump_enabled", &"yes");
            }
        }
        "items" => {
            let lengths = model.lengths();
            for class in 1..=2 {
                let length = |list| lengths.get(&(class, list)).copied().unwrap_or_default();
                let (hot, warm, cold) = (length(List::Hot), length(List::Warm), length(List::Cold));
                if hot + warm + cold == 0 {
                    continue;
                }
                stat(&format!("items:{class}:number"), &(hot + warm + cold));
                if model.is_segmented() {
                    stat(&format!("items:{class}:number_hot"), &hot);
                    stat(&format!("items:{class}:number_warm"), &warm);
                    stat(&format!("items:{class}:number_cold"), &cold);
                }
            }
        }
        "cachedump" => return cachedump(model, command),
        _ => {}
    }
    said.push_str("END\r\n");
    said.into_bytes()
}

/// Lists up to 2 MB of the cold list of a slab class, including flushed and expired items.
fn cachedump(model: &Model, command: &Command) -> Vec<u8> {
    const LIMIT: usize = 2 << 20;
    let limit = Some(command.number::<usize>(3)).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut said = Vec::new();
    for (key, item) in model.newest_first(command.number(2), List::Cold).take(limit) {
        let end = format!(" [{} b; {} s]\r\n", item.value.len(), item.expires.unwrap_or_default());
        if said.len() + 5 + key.len() + end.len() + 5 > LIMIT {
            break;
        }
        said.extend_from_slice(b"ITEM ");
        // The server copies a key as text, to its first NUL byte.
        said.extend(key.iter().take_while(|byte| **byte > 0));
        said.extend_from_slice(end.as_bytes());
    }
    said.extend_from_slice(b"END\r\n");
    said
}

/// A line of a metadump.
pub fn dump_line(model_version: [u32; 3], key: &[u8], item: &Item, said: &mut Vec<u8>) {
    let mut line = "key=".to_owned();
    for byte in key {
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(line, "{}", char::from(*byte))
            }
            _ => write!(line, "%{byte:02X}"),
        };
    }
    let expires = item.expires.map_or(-1, |time| time as i64);
    let fetched = if item.is_fetched { "yes" } else { "no" };
    let size = 50 + key.len() + item.value.len();
    let _ =
        write!(line, " exp={expires} la={} cas={} fetch={fetched} cls={} size={size}", item.time, item.cas, item.class);
    line.push_str(match model_version {
        version if version >= [1, 6, 39] => " flags=0 \n",
        version if version >= [1, 6, 24] => " flags=0\n",
        _ => "\n",
    });
    said.extend_from_slice(line.as_bytes());
}
