//! Which servers: the first source that names any. A source that is given but names none is an error, never a fall
//! through to the next: nobody's localhost is flushed by a typing error.

use std::env::{self, VarError};
use std::io::Read;
use std::path::Path;

use mcflush::address::{DEFAULT_PORT, ServerAddr};

/// More than the names of a million servers; past it something else is being read.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// The servers to work on, each once.
///
/// # Errors
/// A name is no address, a file cannot be read, or a source names no server.
pub fn named(arguments: Vec<String>, file: Option<&Path>) -> Result<Vec<ServerAddr>, String> {
    let mut servers = if !arguments.is_empty() || file.is_some() {
        let mut servers = parse(arguments.iter().map(String::as_str), "")?;
        if let Some(file) = file {
            servers.extend(from_file(file)?);
        }
        servers
    } else if let Some(servers) = from_environment("MCFLUSH_SERVERS", |name| name)? {
        servers
    } else if let Some(servers) = from_environment("MEMCACHE_SERVERS", without_weight)? {
        servers
    } else {
        vec![ServerAddr::Tcp { host: "localhost".into(), port: DEFAULT_PORT }]
    };
    let mut seen = std::collections::HashSet::new();
    servers.retain(|server| seen.insert(server.clone()));
    Ok(servers)
}

/// One server a line, with `#` comments; `-` is stdin.
fn from_file(file: &Path) -> Result<Vec<ServerAddr>, String> {
    let name = if file == Path::new("-") { "stdin".into() } else { file.display().to_string() };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| format!("--servers-from {name}: {error}: give a file with one server a line, or -"))?;
    // A list that is cut would leave servers out, or make another name of one.
    if text.len() as u64 > FILE_MAX {
        return Err(format!("--servers-from {name}: more than {FILE_MAX} bytes: is it a list of servers?"));
    }
    let mut servers = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // Behind a space only: a socket's path may hold the character.
        let line = line.trim();
        let line = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default().trim() };
        if !line.is_empty() {
            servers.extend(parse(std::iter::once(line), &format!("{name}:{}: ", at + 1))?);
        }
    }
    if servers.is_empty() {
        return Err(format!("--servers-from {name} names no server: write one a line"));
    }
    Ok(servers)
}

/// Part I of N of a list of servers, the same whatever the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Reads `I/N`, I from 0 and below N.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/');
        let parts = text.split_once('/').filter(|_| is_plain);
        let parts = parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("give I/N, with I from 0 and below N, such as 0/4".into()),
        }
    }

    /// Every Nth of a sorted list, so that the parts differ by one server at most.
    pub fn of(self, servers: Vec<ServerAddr>) -> Vec<ServerAddr> {
        servers.into_iter().skip(self.index).step_by(self.count).collect()
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

fn from_environment(variable: &str, read: fn(&str) -> &str) -> Result<Option<Vec<ServerAddr>>, String> {
    let text = match env::var(variable) {
        Ok(text) => text,
        Err(VarError::NotPresent) => return Ok(None),
        Err(VarError::NotUnicode(_)) => {
            return Err(format!("{variable} is not UTF-8: write the servers as host:port, separated by commas"));
        }
    };
    let names = text.split([',', ' ', '\t', '\n', '\r']).filter(|name| !name.is_empty());
    let servers = parse(names.map(read), &format!("{variable}: "))?;
    if servers.is_empty() {
        return Err(format!("{variable} is set but names no server: name one, or unset it"));
    }
    Ok(Some(servers))
}

fn parse<'a>(names: impl Iterator<Item = &'a str>, source: &str) -> Result<Vec<ServerAddr>, String> {
    names.map(|name| name.parse().map_err(|error| format!("{source}{error}"))).collect()
}

/// Dalli's third field, `host:port:weight`, means nothing to a flush.
fn without_weight(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once(':') {
        Some((server, weight))
            if is_number(weight)
                && server.rsplit_once(':').is_some_and(|(host, port)| {
                    is_number(port) && !host.is_empty() && (!host.contains(':') || host.ends_with(']'))
                }) =>
        {
            server
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_in_one_part() {
        let servers: Vec<ServerAddr> = (1..=10).map(|n| format!("cache{n}").parse().unwrap()).collect();
        for count in 1..=12 {
            let parts: Vec<_> = (0..count).map(|index| Shard { index, count }.of(servers.clone())).collect();
            let mut all: Vec<_> = parts.iter().flatten().collect();
            all.sort();
            let mut sorted: Vec<_> = servers.iter().collect();
            sorted.sort();
            assert_eq!(all, sorted);
            let sizes = parts.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_shard_is_below_its_count() {
        assert_eq!(Shard::parse("2/3"), Ok(Shard { index: 2, count: 3 }));
        for text in ["", "3/3", "0/0", "1", "-1/3", "a/b", "1/2/3", "0/", "+1/3"] {
            assert!(Shard::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_weight_is_ignored() {
        for (name, server) in [
            ("a:11211:2", "a:11211"),
            ("[::1]:11211:2", "[::1]:11211"),
            ("a:11211", "a:11211"),
            ("[::1]:11211", "[::1]:11211"),
            ("a", "a"),
            ("memcached://a:1", "memcached://a:1"),
            ("/run/a.sock", "/run/a.sock"),
        ] {
            assert_eq!(without_weight(name), server);
        }
    }
}
