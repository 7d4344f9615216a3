//! Which servers: the first source that names any. A source that is given but names none is an error, never a fall
//! through to the next: nobody's localhost is flushed by a typing error.

use std::env::{self, VarError};

use mcflush::address::{DEFAULT_PORT, ServerAddr};

/// The servers to work on, each once.
///
/// # Errors
/// A name is no address, or a source names no server.
pub fn named(arguments: Vec<String>) -> Result<Vec<ServerAddr>, String> {
    let mut servers = if !arguments.is_empty() {
        parse(arguments.iter().map(String::as_str), "")?
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
