//! The types of addresses. None of them is shown with a password.

use std::fmt;
use std::path::PathBuf;

use crate::protocol::Escaped;
use crate::protocol::storage::Credentials;

/// The port of an address without a port.
pub const DEFAULT_PORT: u16 = 11211;

/// The place at which a server listens. Shown as `host:port`, `[v6]:port` or the socket's path, never with a scheme or
/// credentials.
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
    /// A TCP port of a host.
    Tcp {
        /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port, 1 to 65535.
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

/// A name for one server or for a list of servers.
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
    /// The name of a list of servers, which DNS or an endpoint holds.
    List(ServerList),
}

impl From<ServerAddr> for ServerName {
    fn from(server: ServerAddr) -> Self {
        Self::One(server)
    }
}

impl From<ServerList> for ServerName {
    fn from(list: ServerList) -> Self {
        Self::List(list)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(server) => server.fmt(f),
            Self::List(list) => list.fmt(f),
        }
    }
}

/// An address as a user types it: the name of the servers, and the way to connect to them, if the address is a URL.
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
    /// The name of the servers.
    pub name: ServerName,
    /// The way to connect to them.
    pub entry: Entry,
}

/// The parts of a URL that say how to connect to its servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The user and password for servers with `-Y`.
    pub credentials: Option<Credentials>,
    /// Whether to connect over TLS (`memcacheds`).
    pub tls: bool,
}

/// A name for a list of servers, and the kind of the list. Shown as a URL without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerList {
    /// The source of the list.
    pub kind: ListKind,
    /// The DNS name to look up, or the host to ask.
    pub host: String,
    /// The port of each server, or of the host to ask. An SRV record has its own port, which is used instead.
    pub port: u16,
}

/// The source of a list of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// A node that answers `config get cluster`, as ElastiCache's nodes do.
    Auto,
    /// The A and AAAA records of a name.
    Dns,
    /// The SRV records of a name.
    Srv,
}

impl ListKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dns => "dns",
            Self::Srv => "srv",
        }
    }
}

impl ServerList {
    /// The host to connect to. For a list from DNS: the name to look up.
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
