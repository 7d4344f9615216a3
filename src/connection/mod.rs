//! Opens connections: TCP and unix sockets, TLS over them, and the server's login, within one deadline.

mod greeting;
mod login;
mod tcp;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
mod unix;
pub(crate) mod wait;

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use self::greeting::{Greeting, greet, speaks_binary};
pub use self::login::Login;
use self::tls::Tls;
use self::wait::TimeLimit;
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::protocol::storage::Credentials;
use crate::resolver::Resolver;
use crate::setters::setters;

/// A byte stream to a server, over any transport.
pub trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// An open connection.
pub type Connection = Box<dyn Transport>;

/// How to connect and log in to a server.
///
/// ```
/// use mcflush::connection::Access;
/// use mcflush::protocol::storage::Credentials;
/// let access = Access::default().with_credentials(Credentials::new("app", "secret"));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Access {
    /// The user and the password, for servers that ask for them (`-Y`, `-S`). mcflush sends them to no other server.
    pub credentials: Option<Credentials>,
    /// How to log in.
    pub login: Login,
    /// TLS, for servers with `-Z`.
    pub tls: Option<Tls>,
}

setters!(Access { with_credentials: credentials: Option<Credentials>, with_login: login: Login, with_tls: tls: Option<Tls> });

/// Connects within a time, including name resolution, TLS and login; tries the addresses of a name in turn.
///
/// ```no_run
/// # async fn example() -> Result<(), mcflush::error::Error> {
/// use mcflush::connection::{Access, connect};
/// let server = "cache1".parse().expect("an address");
/// let stream = connect(&server, &Default::default(), &Access::default(), std::time::Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The name does not resolve, no server listens on any address, the server rejects the login, it speaks only the binary
/// protocol (found out only if there are credentials), or the time is up.
pub async fn connect(
    server: &ServerAddr,
    resolver: &Resolver,
    access: &Access,
    within: Duration,
) -> Result<Connection, Error> {
    let way = Way::new(server, resolver, access, within);
    let entered = async {
        let connection = way.open().await?;
        match &access.credentials {
            Some(credentials) => way.enter(connection, credentials, access.login).await,
            None => Ok(connection),
        }
    };
    entered.await.map_err(|problem| Error { server: server.clone(), problem })
}

/// As [`connect`], to a server known to speak the binary protocol; logs in by SASL if the server wants it.
///
/// # Errors
/// As [`connect`], or the server wants a SASL mechanism other than PLAIN.
pub async fn connect_binary(
    server: &ServerAddr,
    resolver: &Resolver,
    access: &Access,
    within: Duration,
) -> Result<Connection, Error> {
    let way = Way::new(server, resolver, access, within);
    let entered = async {
        let connection = way.open().await?;
        way.limit.keep("authentication", login::by_sasl(connection, access.credentials.as_ref())).await
    };
    entered.await.map_err(|problem| Error { server: server.clone(), problem })
}

/// Whether a server speaks the binary protocol and no text, found out over separate connections.
pub(crate) async fn speaks_only_binary(
    server: &ServerAddr,
    resolver: &Resolver,
    access: &Access,
    within: Duration,
) -> bool {
    let way = Way::new(server, resolver, access, within);
    let asked = async {
        let connection = way.open().await?;
        // These connections are used for nothing else, so there is no need to wait for an answer.
        Ok(matches!(way.greeted(connection, Duration::ZERO).await?, Greeting::Binary))
    };
    way.limit.keep("version", asked).await.unwrap_or(false)
}

/// How to reach a server.
struct Way<'a> {
    server: &'a ServerAddr,
    resolver: &'a Resolver,
    tls: Option<&'a Tls>,
    limit: TimeLimit,
}

impl<'a> Way<'a> {
    fn new(server: &'a ServerAddr, resolver: &'a Resolver, access: &'a Access, within: Duration) -> Self {
        Self { server, resolver, tls: access.tls.as_ref(), limit: TimeLimit::new(within) }
    }

    /// A connection, including TLS. On the heap, because a handshake is large and greeting a server needs room for
    /// several.
    fn open(&self) -> Pin<Box<dyn Future<Output = Result<Connection, Problem>> + Send + '_>> {
        Box::pin(self.opened())
    }

    async fn opened(&self) -> Result<Connection, Problem> {
        let connection = self.limit.keep("connecting", open(self.server, self.resolver, self.limit)).await?;
        let Some(tls) = self.tls else { return Ok(connection) };
        let silence = |problem| match problem {
            Problem::Silence { after, .. } => tls::silence(after),
            other => other,
        };
        self.limit.keep("the TLS handshake", tls.over(connection, self.server)).await.map_err(silence)
    }

    /// Logs in if the server wants it.
    async fn enter(
        &self,
        connection: Connection,
        credentials: &Credentials,
        login: Login,
    ) -> Result<Connection, Problem> {
        const DOING: &str = "authentication";
        if login.is_memcachier(self.server) {
            return self.limit.keep(DOING, login::to_memcachier(connection, credentials)).await;
        }
        let pause = greeting::PAUSE.min(self.limit.within / 4);
        match self.limit.keep(DOING, self.greeted(connection, pause)).await? {
            Greeting::Open(connection) => self.or_another(connection).await,
            Greeting::Locked(connection) => {
                let connection = self.or_another(connection).await?;
                self.limit.keep(DOING, login::by_text(connection, credentials)).await
            }
            Greeting::Binary => Err(Problem::BinaryOnly),
            // A proxy may close the connection at a command that it does not know; the commands that follow will show
            // what it makes of them.
            Greeting::Closed => self.open().await,
        }
    }

    /// How a server answers the first command.
    async fn greeted(&self, connection: Connection, pause: Duration) -> Result<Greeting, Problem> {
        let greeting = greet(connection, pause).await?;
        if !matches!(greeting, Greeting::Closed) {
            return Ok(greeting);
        }
        let is_binary = speaks_binary(self.open().await?).await;
        // A single close proves nothing: a server that is being restarted also closes connections.
        match greet(self.open().await?, Duration::ZERO).await? {
            Greeting::Closed if is_binary => Ok(Greeting::Binary),
            greeting => Ok(greeting),
        }
    }

    /// The connection, or a new one if it can no longer be used.
    async fn or_another(&self, connection: Option<Connection>) -> Result<Connection, Problem> {
        match connection {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }
}

async fn open(server: &ServerAddr, resolver: &Resolver, limit: TimeLimit) -> Result<Connection, Problem> {
    match server {
        ServerAddr::Tcp { host, port } => {
            let addresses = resolver.addresses(host, *port, limit.within).await?;
            Ok(Box::new(tcp::connect(addresses, limit).await?))
        }
        ServerAddr::Unix(path) => unix::connect(path).await.map_err(Problem::Connect),
    }
}
