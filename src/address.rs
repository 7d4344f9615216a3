//! Naming a server: what a user types, and what is shown of it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::protocol::Escaped;
use crate::protocol::storage::Credentials;

/// The port of a server that names none.
pub const DEFAULT_PORT: u16 = 11211;

/// Where a server listens. Shown as `host:port`, `[v6]:port` or the socket's path, never with scheme or credentials.
///
/// ```
/// use mcflush::address::ServerAddr;
/// assert_eq!("cache1".parse::<ServerAddr>()?.to_string(), "cache1:11211");
/// assert_eq!("memcached://[::1]:11311".parse::<ServerAddr>()?.to_string(), "[::1]:11311");
/// assert!("cache1:port".parse::<ServerAddr>().is_err());
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServerAddr {
    /// A host, by name or address, and a port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => Escaped(path.as_os_str().as_encoded_bytes()).fmt(f),
        }
    }
}

/// What a user names servers by: one of them, or a list of them.
///
/// ```
/// use mcflush::address::ServerName;
/// assert!(matches!("cache1".parse()?, ServerName::One(_)));
/// assert!(matches!("memcached+dns://caches.example.org".parse()?, ServerName::List(_)));
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// A server.
    One(ServerAddr),
    /// Servers that somebody else knows.
    List(ServerList),
}

/// What a user types for servers: what names them, and what their URL says of how they are entered.
///
/// ```
/// use mcflush::address::Target;
/// let target: Target = "memcached://app:secret@cache1".parse()?;
/// assert_eq!(target.entry.credentials.as_ref().unwrap().user(), b"app");
/// assert!(!format!("{target:?}").contains("secret"));
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The servers.
    pub name: ServerName,
    /// How they are entered.
    pub entry: Entry,
}

/// What a URL says of how its servers are entered.
///
/// ```
/// use mcflush::address::Target;
/// let target: Target = "memcacheds://cache1".parse()?;
/// assert!(target.entry.tls && target.entry.credentials.is_none());
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// For servers with `-Y`.
    pub credentials: Option<Credentials>,
    /// Over TLS (`memcacheds`).
    pub tls: bool,
}

/// A name for a list of servers, and who knows it. Shown as a URL without credentials.
///
/// ```
/// use mcflush::address::{ServerName, Target};
/// let target: Target = "memcached+srv://_memcached._tcp.example.org".parse()?;
/// let ServerName::List(list) = target.name else { panic!() };
/// assert_eq!(list.host, "_memcached._tcp.example.org");
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerList {
    /// Who knows.
    pub kind: ListKind,
    /// The name that is asked for, or the host that is asked.
    pub host: String,
    /// Of each server, or of the host that is asked; an SRV record has its own.
    pub port: u16,
}

/// Who knows the servers of a list.
///
/// ```
/// use mcflush::address::{ListKind, ServerName};
/// let ServerName::List(list) = "memcached+auto://node".parse()? else { panic!() };
/// assert_eq!(list.kind, ListKind::Auto);
/// # Ok::<(), mcflush::address::AddressError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// A node, by `config get cluster`, as ElastiCache answers it.
    Auto,
    /// The A and AAAA records of a name.
    Dns,
    /// The SRV records of a name.
    Srv,
}

impl ListKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dns => "dns",
            Self::Srv => "srv",
        }
    }
}

impl ServerList {
    /// The host that is asked, or would be.
    ///
    /// ```
    /// use mcflush::address::ServerName;
    /// let ServerName::List(list) = "memcached+auto://node:11212".parse()? else { panic!() };
    /// assert_eq!(list.endpoint().to_string(), "node:11212");
    /// # Ok::<(), mcflush::address::AddressError>(())
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> ServerAddr {
        ServerAddr::Tcp { host: self.host.clone(), port: self.port }
    }
}

impl fmt::Display for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ListKind::Srv => write!(f, "memcached+srv://{}", self.host),
            kind => write!(f, "memcached+{}://{}", kind.as_str(), self.endpoint()),
        }
    }
}

/// A text that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{input}\" is no server address: {problem}{}: write host, host:port, [v6]:port, /path/to.sock, memcached://host:port, memcached+unix:///path, or for a list memcached+dns://name, memcached+srv://name or memcached+auto://endpoint",
    .character.map(|at| format!(" (character {at})")).unwrap_or_default()
)]
///
/// ```
/// use mcflush::address::ServerAddr;
/// let error = "cache1:port".parse::<ServerAddr>().unwrap_err();
/// assert!(error.to_string().contains("(character 8)"));
/// ```
pub struct AddressError {
    input: String,
    problem: Problem,
    character: Option<usize>,
}

impl AddressError {
    fn new(input: &str, problem: Problem) -> Self {
        let before = place(input, &problem).and_then(|at| input.get(..at));
        Self { input: shown(input), character: before.map(|before| before.chars().count() + 1), problem }
    }

    /// Which character of the text is wrong, from 1; one past the end where something is missing.
    ///
    /// ```
    /// use mcflush::address::ServerAddr;
    /// assert_eq!("cache1:port".parse::<ServerAddr>().unwrap_err().character(), Some(8));
    /// ```
    #[must_use]
    pub const fn character(&self) -> Option<usize> {
        self.character
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is empty")]
    Empty,
    #[error("{character:?} cannot stand in a host name")]
    Character { character: char, at: usize },
    #[error("{0:?} cannot stand in a URL")]
    Control(char),
    #[error("the host is missing")]
    NoHost,
    #[error("the host name is over 253 bytes long")]
    LongHost,
    #[error("the port must be a number from 1 to 65535")]
    Port,
    #[error("an IPv6 address goes in brackets, as in [::1]:11211")]
    Brackets,
    #[error("there is no IPv6 address between the brackets")]
    NotV6,
    #[error("it is no URL ({0})")]
    Url(url::ParseError),
    #[error("the scheme is none of a server's or a list's")]
    Scheme,
    #[error("SRV records have ports of their own")]
    SrvPort,
    #[error(
        "user and password go together, as in memcached://user:password@host, neither empty nor with a space, a line end or a NUL in it, and the user without a colon"
    )]
    Credentials,
    #[error("user and password go into a URL, as in memcached://user:password@host")]
    CredentialsWithoutUrl,
    #[error("user and password have no place here")]
    Entry,
    #[error("a URL ends after the port")]
    Trailing,
    #[error("a socket's URL holds an absolute path and nothing else, as in memcached+unix:///run/memcached.sock")]
    SocketUrl,
}

impl FromStr for ServerAddr {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        parse(input).and_then(alone).map_err(|problem| AddressError::new(input, problem))
    }
}

impl FromStr for ServerName {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        parse_name(input).and_then(alone).map_err(|problem| AddressError::new(input, problem))
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        let (name, entry) = parse_name(input).map_err(|problem| AddressError::new(input, problem))?;
        Ok(Self { name, entry })
    }
}

/// What is entered without more ado.
fn alone<T>((named, entry): (T, Entry)) -> Result<T, Problem> {
    if entry == Entry::default() { Ok(named) } else { Err(Problem::Entry) }
}

fn parse_name(input: &str) -> Result<(ServerName, Entry), Problem> {
    let list = input.split_once("://").and_then(|(scheme, rest)| {
        let (scheme, kind) = scheme.split_once('+')?;
        let mut kinds = [ListKind::Auto, ListKind::Dns, ListKind::Srv].into_iter();
        Some((kinds.find(|known| kind.eq_ignore_ascii_case(known.as_str()))?, format!("{scheme}://{rest}")))
    });
    let Some((kind, plain)) = list else {
        return parse(input).map(|(server, entry)| (ServerName::One(server), entry));
    };
    match parse(&plain)? {
        (ServerAddr::Tcp { .. }, _) if kind == ListKind::Srv && has_port(&plain) => Err(Problem::SrvPort),
        (ServerAddr::Tcp { host, port }, entry) => Ok((ServerName::List(ServerList { kind, host, port }), entry)),
        (ServerAddr::Unix(_), _) => Err(Problem::Scheme),
    }
}

fn has_port(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.port().is_some())
}

fn parse(input: &str) -> Result<(ServerAddr, Entry), Problem> {
    if input.contains("://") {
        return parse_url(input);
    }
    let server = if input.starts_with('/') { ServerAddr::Unix(PathBuf::from(input)) } else { parse_host_port(input)? };
    Ok((server, Entry::default()))
}

/// The byte of the input at which a problem shows.
fn place(input: &str, problem: &Problem) -> Option<usize> {
    let (scheme_end, host_start, authority_end) = authority(input);
    let host = input.get(host_start..authority_end)?;
    Some(match problem {
        Problem::Empty | Problem::Url(_) => return None,
        Problem::Scheme | Problem::CredentialsWithoutUrl => 0,
        Problem::Control(character) => input.find(*character)?,
        Problem::Character { at, .. } => host_start + at,
        Problem::LongHost => host_start + HOST_MAX,
        Problem::Port => {
            let port_start =
                host.rfind(':').map_or(host.len(), |at| at + 1).max(host.rfind(']').map_or(0, |at| at + 1));
            let port = host.get(port_start..)?;
            host_start + port_start + port.find(|digit: char| !digit.is_ascii_digit()).unwrap_or_default()
        }
        // The colon at which it stopped being a host and a port, or where the bracket should be.
        Problem::Brackets => host_start + host.match_indices(':').nth(1).map_or(host.len(), |(at, _)| at),
        Problem::SrvPort => host_start + host.rfind(':')?,
        Problem::NotV6 => host_start + 1,
        Problem::NoHost => host_start,
        Problem::Credentials | Problem::Entry | Problem::SocketUrl => scheme_end,
        Problem::Trailing => authority_end,
    })
}

/// Where in an address the scheme ends, the host begins, and host and port end.
fn authority(input: &str) -> (usize, usize, usize) {
    let scheme_end = input.find("://").map_or(0, |at| at + "://".len());
    let end =
        input.get(scheme_end..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(input.len(), |at| scheme_end + at);
    let host_start =
        input.get(scheme_end..end).and_then(|rest| rest.rfind('@')).map_or(scheme_end, |at| scheme_end + at + 1);
    (scheme_end, host_start, end)
}

/// The longest name that DNS knows, in bytes.
const HOST_MAX: usize = 253;

/// The input without a password that it may hold.
fn shown(input: &str) -> String {
    let visible = match (input.split_once("://"), input.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((before, host))) if !before.is_empty() && !input.starts_with('/') => format!("…@{host}"),
        _ => input.to_owned(),
    };
    Escaped(visible.as_bytes()).to_string()
}

fn parse_url(input: &str) -> Result<(ServerAddr, Entry), Problem> {
    // A URL's parser would drop these without a word.
    if let Some(character) = input.chars().find(|character| character.is_control()) {
        return Err(Problem::Control(character));
    }
    let url = url::Url::parse(input).map_err(|error| match error {
        url::ParseError::InvalidPort => Problem::Port,
        url::ParseError::EmptyHost => Problem::NoHost,
        url::ParseError::InvalidIpv6Address => Problem::NotV6,
        error => {
            // It says that a character is wrong, not which.
            let (_, start, end) = authority(input);
            let host = input.get(start..end).and_then(|authority| authority.split(':').next()).unwrap_or_default();
            host_name(host).err().unwrap_or(Problem::Url(error))
        }
    })?;
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) => {
            let both = percent_decoded(user).zip(percent_decoded(password));
            let credentials = both.and_then(|(user, password)| Credentials::new(&user, &password));
            Some(credentials.ok_or(Problem::Credentials)?)
        }
        (_, None) => return Err(Problem::Credentials),
    };
    let bare = url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        scheme @ ("memcached" | "memcacheds") => {
            if !bare || !matches!(url.path(), "" | "/") {
                return Err(Problem::Trailing);
            }
            let port = url.port().unwrap_or(DEFAULT_PORT);
            let host = match url.host() {
                Some(url::Host::Ipv6(address)) => address.to_string(),
                Some(url::Host::Ipv4(address)) => address.to_string(),
                Some(url::Host::Domain(name)) => host_name(name)?,
                None => return Err(Problem::NoHost),
            };
            Ok((tcp(host, port)?, Entry { credentials, tls: scheme == "memcacheds" }))
        }
        "memcached+unix" => {
            let absolute =
                url.host_str().is_none_or(str::is_empty) && url.path().starts_with('/') && url.path().len() > 1;
            match percent_decoded(url.path()) {
                Some(path) if bare && absolute => Ok((ServerAddr::Unix(PathBuf::from(path)), Entry::default())),
                _ => Err(Problem::SocketUrl),
            }
        }
        _ => Err(Problem::Scheme),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = bytes::BytesMut::new();
    crate::protocol::decode_percent(text.as_bytes(), &mut decoded).ok()?;
    String::from_utf8(decoded.to_vec()).ok()
}

fn parse_host_port(input: &str) -> Result<ServerAddr, Problem> {
    if input.is_empty() {
        return Err(Problem::Empty);
    }
    if input.find('@').is_some_and(|at| at > 0) {
        return Err(Problem::CredentialsWithoutUrl);
    }
    if let Some(bracketed) = input.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or(Problem::Brackets)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Problem::NotV6)?;
        let port = match after.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return Err(Problem::Port),
        };
        return tcp(address.to_string(), port);
    }
    match input.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(Problem::Brackets),
        Some((host, port)) => tcp(host_name(host)?, parse_port(port)?),
        None => tcp(host_name(input)?, DEFAULT_PORT),
    }
}

fn tcp(host: String, port: u16) -> Result<ServerAddr, Problem> {
    if port == 0 { Err(Problem::Port) } else { Ok(ServerAddr::Tcp { host, port }) }
}

fn parse_port(text: &str) -> Result<u16, Problem> {
    // A sign would be taken by the number's own parser.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| Problem::Port)
    } else {
        Err(Problem::Port)
    }
}

fn host_name(host: &str) -> Result<String, Problem> {
    match host.len() {
        0 => return Err(Problem::NoHost),
        1..=HOST_MAX => {}
        _ => return Err(Problem::LongHost),
    }
    let bad = |&(at, character): &(usize, char)| {
        !(character.is_ascii_alphanumeric() || character == '.' || character == '_' || (character == '-' && at > 0))
    };
    match host.char_indices().find(bad) {
        Some((at, character)) => Err(Problem::Character { character, at }),
        None => Ok(host.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            let address: ServerAddr = input.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(address.to_string(), shown);
        }
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
            ("memcached+dns://u:secret@a", "have no place here (character 17)"),
        ] {
            let error = input.parse::<ServerName>().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{input:?}: {error}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
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
            ("http://a", "scheme is none of a server's or a list's (character 1)"),
            (
                "memcached+unix://a/b",
                "absolute path and nothing else, as in memcached+unix:///run/memcached.sock (character 18)",
            ),
            ("memcached://u:secret@a", "have no place here (character 13)"),
            ("u:secret@a", "go into a URL"),
            ("memcached://secret@a", "go together"),
            ("memcached://:secret@a", "go together"),
            ("memcached://u:secret%20x@a", "without a colon"),
            ("memcached://u:secret@", "host is missing"),
            ("memcached://u:sec/secret@a", "65535"),
            ("memcached://ü:secret@a_:b", "65535 (character 25)"),
        ] {
            let error = input.parse::<ServerAddr>().unwrap_err().to_string();
            assert!(error.contains(why), "{input:?}: {error}");
            assert!(!error.contains('\x1b') && !error.contains("secret"), "{error}");
        }
    }
}
