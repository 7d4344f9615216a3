//! Finds the servers: those of the first source that is set. A source that is set but names no server is an error, and mcflush does
//! not go on to the next source: a typing error must not flush localhost.

mod find;
mod shard;

use std::env::{self, VarError};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mcflush::address::{AddressError, DEFAULT_PORT, Entry, ServerAddr, ServerName, Target, without_password};

use super::config::{App, Config, similar};
use super::text::one_line;
pub use find::{distinct, expanded};
pub use shard::Shard;

/// More than the names of a million servers: a larger file is not a list of servers.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// The variables of mcflush, of memcached's tools and frameworks, and of MemCachier.
const VARIABLES: [&str; 3] = ["MCFLUSH_SERVERS", "MEMCACHE_SERVERS", "MEMCACHIER_SERVERS"];

/// The servers to work on, with their source.
#[derive(Debug)]
pub struct Named {
    pub servers: Vec<Target>,
    /// Where they were named, in words.
    pub source: &'static str,
    /// Whether the config file named any of them.
    pub is_of_config: bool,
}

impl Named {
    /// The names in a form that may be printed, without passwords.
    pub fn shown(&self) -> Vec<String> {
        let shown = |target: &Target| match &target.name {
            ServerName::One(server) => server.to_string(),
            ServerName::List(list) => list.to_string(),
        };
        self.servers.iter().map(shown).collect()
    }
}

/// The servers of the first source that names any.
///
/// # Errors
/// A name is not an address or a group, a file cannot be read, or a source names no server.
pub fn named(arguments: Vec<String>, file: Option<&Path>, app: Option<&App>, config: &Config) -> Result<Named, String> {
    let mut names = Names { config, servers: Vec::new(), is_of_config: false };
    let own = |names: &mut Names<'_>, servers: &[String], what: &str| {
        names.is_of_config = true;
        let file = config.file.as_ref().map(|file| one_line(&file.display().to_string())).unwrap_or_default();
        if servers.is_empty() {
            return Err(format!("{file}: {what} names no server: name one, or leave it out"));
        }
        names.add(servers.iter().map(String::as_str), &format!("{file}: "))
    };
    let source = if !arguments.is_empty() || file.is_some() {
        names.add(arguments.iter().map(String::as_str), "")?;
        if let Some(file) = file {
            from_file(file, &mut names)?;
        }
        if file.is_some() { "command line, --servers-from" } else { "command line" }
    } else if let Some(servers) = app.and_then(|app| app.servers.as_deref()) {
        own(&mut names, servers, "the app's servers")?;
        "config file, app"
    } else if let Some(variable) = from_environment(&mut names)? {
        variable
    } else if let Some(servers) = config.servers() {
        own(&mut names, servers, "servers")?;
        "config file"
    } else {
        let name = ServerName::One(ServerAddr::Tcp { host: "localhost".into(), port: DEFAULT_PORT });
        names.servers.push(Target { name, entry: Entry::default() });
        "built in"
    };
    Ok(Named { servers: names.servers, source, is_of_config: names.is_of_config })
}

/// Collects servers by their names.
struct Names<'a> {
    config: &'a Config,
    servers: Vec<Target>,
    is_of_config: bool,
}

impl Names<'_> {
    fn add<'n>(&mut self, names: impl Iterator<Item = &'n str>, source: &str) -> Result<(), String> {
        for name in names {
            if name.starts_with('@') {
                self.is_of_config = true;
                let group = self.config.group(name).map_err(|error| format!("{source}{error}"))?;
                if group.is_empty() {
                    return Err(format!("{source}the group {} names no server: name one there", one_line(name)));
                }
                for name in group {
                    self.one(name, source)?;
                }
            } else {
                self.one(name, source)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, name: &str, source: &str) -> Result<(), String> {
        let wrong = |error: AddressError| {
            let meant = meant_scheme(name).map(|meant| format!("{meant}://"));
            match meant.or_else(|| if error.is_number() { self.with_port(name) } else { None }) {
                Some(meant) => {
                    let name = one_line(&without_password(name));
                    format!("{source}\"{name}\" is not a server address: did you mean {meant}?")
                }
                None => format!("{source}{error}"),
            }
        };
        let target = name.parse().map_err(wrong)?;
        self.servers.push(target);
        Ok(())
    }

    /// The last server with this port, if it was named without one.
    fn with_port(&self, port: &str) -> Option<String> {
        match &self.servers.last()?.name {
            ServerName::One(ServerAddr::Tcp { host, port: DEFAULT_PORT }) => {
                Some(ServerAddr::Tcp { host: host.clone(), port: port.parse().ok()? }.to_string())
            }
            _ => None,
        }
    }
}

/// The scheme that a misspelt one was probably meant to be.
fn meant_scheme(name: &str) -> Option<&'static str> {
    const SCHEMES: [&str; 6] =
        ["memcached", "memcacheds", "memcached+unix", "memcached+dns", "memcached+srv", "memcached+auto"];
    let scheme = name.split_once("://")?.0.to_ascii_lowercase();
    similar(&scheme, SCHEMES.into_iter()).filter(|meant| *meant != scheme)
}

/// Reads one server a line, with `#` comments; `-` is stdin.
fn from_file(file: &Path, names: &mut Names<'_>) -> Result<(), String> {
    let name = if file == Path::new("-") { "stdin".into() } else { file.display().to_string() };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| format!("--servers-from {name}: {error}: give a file with one server a line, or -"))?;
    // A list that was cut could leave servers out, or change a name.
    if text.len() as u64 > FILE_MAX {
        return Err(format!("--servers-from {name}: more than {FILE_MAX} bytes: is it a list of servers?"));
    }
    let before = names.servers.len();
    // Some editors put a byte order mark at the beginning of a file.
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if let Some(server) = listed(line) {
            names.add(std::iter::once(server), &format!("{name}:{}: ", at + 1))?;
        }
    }
    if names.servers.len() == before {
        return Err(format!("--servers-from {name} names no server: write one a line"));
    }
    Ok(())
}

/// The server on a line of a list, if there is one: without its comment, and without separators that other lists use.
fn listed(line: &str) -> Option<&str> {
    // A comment begins only after white space, because a socket's path may contain #.
    let is_comment = |at: &usize| line.get(..*at).is_some_and(|before| before.trim_end().len() < *at || *at == 0);
    let end = line.match_indices('#').map(|(at, _)| at).find(is_comment).unwrap_or(line.len());
    let server = line.get(..end)?.trim_end_matches(|last: char| last.is_whitespace() || matches!(last, ',' | ';'));
    Some(server.trim_start()).filter(|server| !server.is_empty())
}

/// The DNS server that `MCFLUSH_DNS` names, to be asked instead of the system's resolver.
///
/// # Errors
/// The variable does not hold an address.
pub fn dns() -> Result<Option<SocketAddr>, String> {
    const DNS_PORT: u16 = 53;
    let Some(text) = env::var_os("MCFLUSH_DNS") else { return Ok(None) };
    let text = text.to_string_lossy();
    let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT)));
    let wrong = |_| format!("MCFLUSH_DNS is not the address of a DNS server: give ip:port, or unset it: \"{text}\"");
    address.map(Some).map_err(wrong)
}

/// Reads the first variable that is set.
fn from_environment(names: &mut Names<'_>) -> Result<Option<&'static str>, String> {
    for variable in VARIABLES {
        let text = match env::var(variable) {
            Ok(text) => text,
            Err(VarError::NotPresent) => continue,
            Err(VarError::NotUnicode(_)) => {
                return Err(format!("{variable} is not UTF-8: write the servers as host:port, separated by commas"));
            }
        };
        let words = text.split([',', ';', ' ', '\t', '\n', '\r']).filter(|name| !name.is_empty());
        names.add(words, &format!("{variable}: "))?;
        if names.servers.is_empty() {
            return Err(format!("{variable} is set but names no server: name one, or unset it"));
        }
        return Ok(Some(variable));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_scheme_was_meant() {
        for (name, meant) in [
            ("memcache://a", Some("memcached")),
            ("memecached://u:secret@a", Some("memcached")),
            ("memcachds://a", Some("memcacheds")),
            ("memcached+svr://a", Some("memcached+srv")),
            ("MEMCACHED+unx:///a", Some("memcached+unix")),
            ("http://a", None),
            ("memcached://a:b", None),
            ("memcache1:x", None),
        ] {
            assert_eq!(meant_scheme(name), meant, "{name}");
        }
    }

    #[test]
    fn lines_of_a_list() {
        for (line, server) in [
            ("cache1", Some("cache1")),
            ("  cache1:1 \r", Some("cache1:1")),
            ("cache1 # first", Some("cache1")),
            ("cache1\t# first", Some("cache1")),
            ("cache1,", Some("cache1")),
            ("cache1 ; # first", Some("cache1")),
            ("/run/a#b.sock", Some("/run/a#b.sock")),
            ("# none", None),
            ("\t#none", None),
            (" ,", None),
            ("", None),
        ] {
            assert_eq!(listed(line), server, "{line:?}");
        }
    }
}
