//! The grammar of addresses that are URLs: those of mcflush, of PHP and of Symfony.

use std::path::PathBuf;

use super::error::Mistake;
use super::parse::{host_name, tcp};
use super::{DEFAULT_PORT, Entry, ServerAddr};
use crate::protocol::storage::Credentials;

/// Reads a URL that names one server.
pub(super) fn server(input: &str) -> Result<(ServerAddr, Entry), Mistake> {
    // The URL parser would silently drop control characters.
    if let Some(character) = input.chars().find(|character| character.is_control()) {
        return Err(Mistake::Control(character));
    }
    let (_, start, end) = authority(input);
    let place = input.get(start..end).ok_or(Mistake::NoHost)?;
    if input.get(end..).is_some_and(|rest| rest.contains('@')) {
        return Err(Mistake::Unencoded);
    }
    if let Some(separator) = place.chars().find(|character| matches!(character, ',' | ';')) {
        return Err(Mistake::Several(separator));
    }
    let url = ::url::Url::parse(input).map_err(|error| match error {
        ::url::ParseError::InvalidPort => Mistake::Port,
        ::url::ParseError::EmptyHost => Mistake::NoHost,
        ::url::ParseError::InvalidIpv6Address => Mistake::NotV6,
        error => {
            // The URL parser does not say which character is wrong; `host_name` does.
            let host = place.split_once(':').map_or(place, |(host, _)| host);
            host_name(host).err().unwrap_or(Mistake::Url(error))
        }
    })?;
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) => {
            let (user, password) = (percent_decoded(user), percent_decoded(password));
            let (user, password) = user.zip(password).ok_or(Mistake::Unencoded)?;
            Some(Credentials::new(&user, &password).ok_or(Mistake::Credentials)?)
        }
        (_, None) => return Err(Mistake::Credentials),
    };
    let has_path = !matches!(url.path(), "" | "/");
    let is_bare = url.fragment().is_none() && url.query().is_none_or(is_for_clients);
    match url.scheme() {
        // Symfony's URL for a socket.
        "memcached" if url.host().is_none() && has_path && is_bare => socket_url(&url),
        scheme @ ("memcached" | "memcacheds") => {
            if !is_bare || has_path {
                return Err(Mistake::Trailing);
            }
            let port = url.port().unwrap_or(DEFAULT_PORT);
            let host = match url.host() {
                Some(::url::Host::Ipv6(address)) => address.to_string(),
                Some(::url::Host::Ipv4(address)) => address.to_string(),
                Some(::url::Host::Domain(name)) => host_name(name)?,
                None => return Err(Mistake::NoHost),
            };
            Ok((tcp(host, port)?, Entry { credentials, tls: scheme == "memcacheds" }))
        }
        "memcached+unix" if is_bare && url.host_str().is_none_or(str::is_empty) => socket_url(&url),
        "memcached+unix" => Err(Mistake::SocketUrl),
        _ => Err(Mistake::Scheme),
    }
}

fn socket_url(url: &::url::Url) -> Result<(ServerAddr, Entry), Mistake> {
    match percent_decoded(url.path()) {
        Some(path) if path.starts_with('/') && path.len() > 1 => {
            Ok((ServerAddr::Unix(PathBuf::from(path)), Entry::default()))
        }
        _ => Err(Mistake::SocketUrl),
    }
}

/// Whether a URL's query has only options for a client, as PHP and Symfony write them.
fn is_for_clients(query: &str) -> bool {
    const OPTIONS: [&str; 4] = ["persistent", "retry_interval", "timeout", "weight"];
    query.split('&').all(|option| OPTIONS.contains(&option.split_once('=').map_or(option, |(name, _)| name)))
}

/// Decodes a percent-encoded text. None if two hexadecimal digits do not follow a `%`, or if the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                decoded.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
                after
            }
            (b'%', _) => return None,
            (byte, after) => {
                decoded.push(*byte);
                after
            }
        };
    }
    String::from_utf8(decoded).ok()
}

/// Whether a URL names a port.
pub(super) fn has_port(url: &str) -> bool {
    ::url::Url::parse(url).is_ok_and(|url| url.port().is_some())
}

/// The offsets in an address at which the scheme ends, the host begins, and the host and port end.
pub(super) fn authority(input: &str) -> (usize, usize, usize) {
    let scheme_end = input.find("://").map_or(0, |at| at + "://".len());
    let end =
        input.get(scheme_end..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(input.len(), |at| scheme_end + at);
    let host_start =
        input.get(scheme_end..end).and_then(|rest| rest.rfind('@')).map_or(scheme_end, |at| scheme_end + at + 1);
    (scheme_end, host_start, end)
}
