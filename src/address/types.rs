//! What names servers, and how it is shown: never with a password.

use std::fmt;
use std::path::PathBuf;

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// For servers with `-Y`.
    pub credentials: Option<Credentials>,
    /// Over TLS (`memcacheds`).
    pub tls: bool,
}

/// A name for a list of servers, and what holds the list. Shown as a URL without credentials.
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
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dns => "dns",
            Self::Srv => "srv",
        }
    }
}

impl ServerList {
    /// The host that is asked, or would be.
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
