//! Which servers: the first source that names any. A source that is given but names none is an error, never a fall
//! through to the next: nobody's localhost is flushed by a typing error.

mod find;
mod shard;

use std::env::{self, VarError};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mcflush::address::{DEFAULT_PORT, ServerAddr, ServerName};

pub use find::{distinct, expanded};
pub use shard::Shard;

/// More than the names of a million servers; past it something else is being read.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// What names the servers to work on.
///
/// # Errors
/// A name is no address, a file cannot be read, or a source names no server.
pub fn named(arguments: Vec<String>, file: Option<&Path>) -> Result<Vec<ServerName>, String> {
    let servers = if !arguments.is_empty() || file.is_some() {
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
        vec![ServerName::One(ServerAddr::Tcp { host: "localhost".into(), port: DEFAULT_PORT })]
    };
    Ok(servers)
}

/// One server a line, with `#` comments; `-` is stdin.
fn from_file(file: &Path) -> Result<Vec<ServerName>, String> {
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

/// The DNS server that `MCFLUSH_DNS` names, in place of the system's resolver.
///
/// # Errors
/// It names something else.
pub fn dns() -> Result<Option<SocketAddr>, String> {
    const DNS_PORT: u16 = 53;
    let Some(text) = env::var_os("MCFLUSH_DNS") else { return Ok(None) };
    let text = text.to_string_lossy();
    let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT)));
    let wrong = |_| format!("MCFLUSH_DNS is no address of a DNS server: give ip:port, or unset it: \"{text}\"");
    address.map(Some).map_err(wrong)
}

fn from_environment(variable: &str, read: fn(&str) -> &str) -> Result<Option<Vec<ServerName>>, String> {
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

fn parse<'a>(names: impl Iterator<Item = &'a str>, source: &str) -> Result<Vec<ServerName>, String> {
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
