//! The forms of an address: mcflush's own, and those of clients, because people copy the settings of their client. The
//! parser ignores the other parts of a client's setting, for example a weight.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::error::Mistake;
use super::url;
use super::{DEFAULT_PORT, Entry, ListKind, ServerAddr, ServerList, ServerName};

/// The maximum length of a DNS name, in bytes.
pub(super) const HOST_MAX: usize = 253;

/// Reads a name for a server or for a list of servers.
pub(super) fn name(input: &str) -> Result<(ServerName, Entry), Mistake> {
    let list = input.split_once("://").and_then(|(scheme, rest)| {
        let (scheme, kind) = scheme.split_once('+')?;
        let mut kinds = [ListKind::Auto, ListKind::Dns, ListKind::Srv].into_iter();
        Some((kinds.find(|known| kind.eq_ignore_ascii_case(known.as_str()))?, format!("{scheme}://{rest}")))
    });
    let Some((kind, plain)) = list else {
        return server(input).map(|(server, entry)| (ServerName::One(server), entry));
    };
    match server(&plain)? {
        (ServerAddr::Tcp { .. }, _) if kind == ListKind::Srv && url::has_port(&plain) => Err(Mistake::SrvPort),
        (ServerAddr::Tcp { host, port }, entry) => Ok((ServerName::List(ServerList { kind, host, port }), entry)),
        (ServerAddr::Unix(_), _) => Err(Mistake::NoHost),
    }
}

/// Reads a name for one server.
pub(super) fn server(input: &str) -> Result<(ServerAddr, Entry), Mistake> {
    if input.starts_with('/') {
        return Ok((socket(input), Entry::default()));
    }
    // pylibmc and PHP write `unix:/path` and `unix:///path`.
    if let Some(path) = behind(input, "unix:").filter(|path| path.starts_with('/')) {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.starts_with('/') { Ok((socket(path), Entry::default())) } else { Err(Mistake::SocketUrl) };
    }
    // The form in the settings of PHP's sessions.
    if let Some(rest) = behind(input, "tcp://") {
        return url::server(&format!("memcached://{rest}"));
    }
    if behind(input, "memcached:").is_some_and(|rest| rest.trim_start_matches('/').starts_with("?host[")) {
        return Err(Mistake::HostList);
    }
    if input.contains("://") {
        return url::server(input);
    }
    Ok((host_and_port(input)?, Entry::default()))
}

/// The text after the scheme, which may be in upper or lower case.
fn behind<'a>(input: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = input.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The socket of a path that a weight may follow.
fn socket(path: &str) -> ServerAddr {
    let path = match path.rsplit_once(':') {
        Some((path, weight)) if is_digits(weight) => path,
        _ => path,
    };
    ServerAddr::Unix(PathBuf::from(path))
}

fn host_and_port(input: &str) -> Result<ServerAddr, Mistake> {
    if input.is_empty() {
        return Err(Mistake::Empty);
    }
    if input.find('@').is_some_and(|at| at > 0) {
        return Err(Mistake::CredentialsWithoutUrl);
    }
    if let Some(separator) = input.chars().find(|character| matches!(character, ',' | ';')) {
        return Err(Mistake::Several(separator));
    }
    if let Some(bracketed) = input.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or(Mistake::Brackets)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Mistake::NotV6)?;
        let port = match after.strip_prefix(':') {
            Some(port) => parse_port(without_weight(port))?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return Err(Mistake::Port),
        };
        return tcp(address.to_string(), port);
    }
    let Some((host, port)) = input.split_once(':') else {
        return tcp(host_name(input)?, DEFAULT_PORT);
    };
    match port.split_once(':') {
        Some((port, weight)) if !host.is_empty() && is_digits(port) && is_digits(weight) => {
            tcp(host_name(host)?, parse_port(port)?)
        }
        Some(_) if is_like_v6(input) => Err(Mistake::Brackets),
        Some((meant, port)) if !meant.is_empty() && is_digits(port) => {
            Err(Mistake::Named { meant: format!("{meant}:{port}") })
        }
        Some(_) => Err(Mistake::Parts),
        None => tcp(host_name(host)?, parse_port(port)?),
    }
}

/// The port, without the weight that may follow it.
fn without_weight(port: &str) -> &str {
    match port.split_once(':') {
        Some((port, weight)) if is_digits(weight) => port,
        _ => port,
    }
}

/// Whether the user probably meant an IPv6 address, abbreviated or of eight groups, with or without a port or a zone.
fn is_like_v6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        && (address.contains("::") || address.matches(':').count() >= 7)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn tcp(host: String, port: u16) -> Result<ServerAddr, Mistake> {
    if port == 0 { Err(Mistake::Port) } else { Ok(ServerAddr::Tcp { host, port }) }
}

fn parse_port(text: &str) -> Result<u16, Mistake> {
    // `u16`'s own parser would accept a sign.
    if is_digits(text) { text.parse().map_err(|_| Mistake::Port) } else { Err(Mistake::Port) }
}

pub(super) fn host_name(host: &str) -> Result<String, Mistake> {
    match host.len() {
        0 => return Err(Mistake::NoHost),
        1..=HOST_MAX => {}
        _ => return Err(Mistake::LongHost),
    }
    let bad = |&(at, character): &(usize, char)| {
        !(character.is_ascii_alphanumeric() || character == '.' || character == '_' || (character == '-' && at > 0))
    };
    if let Some((at, character)) = host.char_indices().find(bad) {
        return Err(Mistake::Character { character, at });
    }
    // The system's resolver would read any number as an IPv4 address: 11212 as 0.0.43.204.
    if is_digits(host) {
        return Err(Mistake::Number);
    }
    let is_number = |label: &str| {
        let hexadecimal = behind(label, "0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        is_digits(label) || hexadecimal
    };
    if host.strip_suffix('.').unwrap_or(host).split('.').all(is_number) && host.parse::<Ipv4Addr>().is_err() {
        return Err(Mistake::ShortAddress);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use crate::protocol::storage::Credentials;

    #[test]
    fn forms() {
        for (input, shown) in [
            ("cache1", "cache1:11211"),
            ("Cache1.Example.org:11311", "cache1.example.org:11311"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]:11211"),
            ("[::1]:65535", "[::1]:65535"),
            ("/run/memcached.sock", "/run/memcached.sock"),
            ("memcached://cache1", "cache1:11211"),
            ("memcached://cache1:11311/", "cache1:11311"),
            ("memcached://[2001:db8::1]", "[2001:db8::1]:11211"),
            ("memcached+unix:///run/a%20b.sock", "/run/a b.sock"),
            ("cache.1", "cache.1:11211"),
            ("0xa.example.org", "0xa.example.org:11211"),
            // Dalli, pylibmc, moodle, PHP and Symfony add a weight; the parser ignores it.
            ("cache1:11311:5", "cache1:11311"),
            ("[::1]:11311:5", "[::1]:11311"),
            ("/run/memcached.sock:0", "/run/memcached.sock"),
            ("unix:/run/memcached.sock", "/run/memcached.sock"),
            ("unix:///run/memcached.sock", "/run/memcached.sock"),
            ("UNIX:/run/memcached.sock:5", "/run/memcached.sock"),
            ("memcached:///run/memcached.sock", "/run/memcached.sock"),
            ("memcached:///run/memcached.sock?weight=20", "/run/memcached.sock"),
            ("tcp://cache1:11311", "cache1:11311"),
            ("tcp://cache1:11311?persistent=1&weight=2&timeout=1&retry_interval=15", "cache1:11311"),
            ("memcached://cache1?weight=33", "cache1:11211"),
            ("memcached:11311", "memcached:11311"),
            ("unix:11311", "unix:11311"),
        ] {
            let address: ServerAddr = input.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn a_long_password() {
        let password = "p".repeat(600);
        let target: Target = format!("memcached://app:{password}@a").parse().unwrap();
        assert_eq!(target.entry.credentials, Credentials::new("app", &password));
    }

    #[test]
    fn user_and_password() {
        for (input, user, password) in [
            ("memcached://app:secret@a", "app", "secret"),
            ("memcached+auto://app:secret@a:1", "app", "secret"),
            ("memcached://a%40b:%3a%2F%25@[::1]:1", "a@b", ":/%"),
            ("memcached://%C3%BC:p@ss@a", "ü", "p@ss"),
        ] {
            let target: Target = input.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(target.entry.credentials, Credentials::new(user, password), "{input}");
        }
        assert_eq!("memcached://a".parse::<Target>().unwrap().entry, Entry::default());
    }

    #[test]
    fn lists() {
        for (input, shown) in [
            ("memcached+dns://Caches.example.org", "memcached+dns://caches.example.org:11211"),
            ("memcached+dns://caches:11311/", "memcached+dns://caches:11311"),
            ("memcached+SRV://_memcached._tcp.example.org", "memcached+srv://_memcached._tcp.example.org"),
            ("memcached+auto://[::1]:1", "memcached+auto://[::1]:1"),
        ] {
            match input.parse().unwrap_or_else(|error| panic!("{error}")) {
                ServerName::List(list) => assert_eq!(list.to_string(), shown),
                name => panic!("{name:?}"),
            }
        }
        for (input, why) in [
            ("memcached+srv://caches:1", "ports of their own (character 23)"),
            ("memcached+dns://", "host is missing (character 17)"),
            ("memcached+dns://a b", "' ' cannot stand in a host name (character 18)"),
            ("memcached+dns://a:x", "65535 (character 19)"),
            ("memcached+dns:///run/memcached.sock", "(character 17)"),
            ("memcached+unix+dns:///run/memcached.sock", "scheme"),
            ("http+dns://a", "scheme"),
            ("memcached+mdns://a", "scheme"),
            ("memcached+dns://127.1", "abbreviated or incomplete address (character 17)"),
            ("memcached+dns://u:secret@a", "have no place here (character 17)"),
        ] {
            let error = input.parse::<ServerName>().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{input:?}: {error}");
        }
    }

    #[test]
    fn a_wrong_address_says_why() {
        for (input, why) in [
            ("", "it is empty: write"),
            (":11211", "host is missing (character 1)"),
            ("a:", "65535 (character 3)"),
            ("a:0", "65535 (character 3)"),
            ("a:+1", "65535 (character 3)"),
            ("a:1x1", "65535 (character 4)"),
            ("a:65536", "65535 (character 3)"),
            ("::1", "(character 2)"),
            ("[::1", "brackets, as in [::1]:11211 (character"),
            ("[x]:1", "no IPv6 address between the brackets (character 2)"),
            ("[::1]x", "65535 (character 6)"),
            ("a b", "' ' cannot stand in a host name (character 2)"),
            ("-a", "'-' cannot stand in a host name (character 1)"),
            ("ä", "'ä' cannot stand in a host name (character 1)"),
            ("a\x1b[2J", "(character 2)"),
            ("memcached://", "host is missing (character 13)"),
            ("memcached://a/b", "ends after the port (character 14)"),
            ("memcached://a?b", "ends after the port (character 14)"),
            ("memcached://a:99999", "65535 (character 15)"),
            ("memcached://a b:1", "' ' cannot stand in a host name (character 14)"),
            ("memcached://a*b", "'*' cannot stand in a host name (character 14)"),
            ("memcached://a\nb", "cannot stand in a URL (character 14)"),
            ("http://a", "no server or list has this scheme (character 1)"),
            (
                "memcached+unix://a/b",
                "absolute path and nothing else, as in memcached+unix:///run/memcached.sock (character 18)",
            ),
            ("memcached://u:secret@a", "have no place here (character 13)"),
            ("u:secret@a", "go into a URL"),
            ("11212", "a number is a port, not a host (character 1): write host:port"),
            ("11212:11211", "a number is a port"),
            ("memcached://11212", "a number is a port, not a host (character 13)"),
            ("127.1", "abbreviated or incomplete address (character 1): write all four numbers"),
            ("127.1:11211", "abbreviated or incomplete"),
            ("0x7f.1", "abbreviated or incomplete"),
            ("0X7F000001", "abbreviated or incomplete"),
            ("0177.0.0.1", "abbreviated or incomplete"),
            ("127.0.0.256", "abbreviated or incomplete"),
            ("127.0.0.1.", "abbreviated or incomplete"),
            ("memcached://127.1", "abbreviated or incomplete address (character 13)"),
            ("a,b", "',' separates several servers (character 2): write each server by itself"),
            ("a:1;b:2", "';' separates several servers (character 4)"),
            ("memcached://a,b", "',' separates several servers (character 14)"),
            ("one:cache1:11211", "a name before host and port: write cache1:11211"),
            ("tcp:127.0.0.1:11211", "write 127.0.0.1:11211"),
            ("a:1:2:3", "more parts than host, port and weight"),
            ("cache1::11211", "more parts"),
            ("fe80::1%eth0", "in brackets"),
            ("::1:11211", "in brackets"),
            ("memcached:?host[cache1:11211]", "several servers in one URL, as Symfony reads them (character 12)"),
            ("memcached://?host[cache1]&host[cache2]", "Symfony"),
            (
                "unix://run/memcached.sock",
                "absolute path and nothing else, as in memcached+unix:///run/memcached.sock (character 8)",
            ),
            ("memcached://a?weight=1&host=b", "ends after the port"),
            ("memcached://secret@a", "go together"),
            ("memcached://:secret@a", "go together"),
            ("memcached://u:secret%20x@a", "without a colon"),
            ("memcached://u:secret@", "host is missing"),
            ("memcached://u:sec/secret@a", "percent-encode the password"),
            ("memcached://u:sec#secret@a", "percent-encode the password"),
            ("memcached://u:secret%zz@a", "percent-encode the password"),
            ("tcp://u:sec?secret@a", "percent-encode the password"),
            ("memcached://ü:secret@a_:b", "65535 (character 25)"),
        ] {
            let error = input.parse::<ServerAddr>().unwrap_err().to_string();
            assert!(error.contains(why), "{input:?}: {error}");
            assert!(!error.contains('\x1b') && !error.contains("secret"), "{error}");
        }
    }
}
