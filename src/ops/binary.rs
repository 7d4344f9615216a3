//! Operations on servers that speak only the binary protocol (`-S`, `-B binary`), which lists no keys.

use super::retry::Retries;
use super::{Context, figure};
use crate::address::ServerAddr;
use crate::binary_client::BinaryClient;
use crate::error::{Error, FailureKind, Problem};
use crate::protocol::Key;
use crate::protocol::admin::ServerVersion;
use crate::protocol::stats::{Stat, StatsGroup};

/// A flush by the binary protocol that the server confirmed, and what the server reported before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BinaryFlushed {
    /// The number of items that the server held; none if it does not report that.
    pub items_before: Option<u64>,
    /// The server's version, which determines what its flush leaves; none if the server does not report it.
    pub version: Option<ServerVersion>,
    /// Whether items have a CAS.
    pub has_cas: bool,
}

/// Flushes a whole server, after a delay in seconds or now (0).
///
/// # Errors
/// The server could not be reached, or refused, or the connection was lost after the flush was sent: then the flush may
/// have taken effect, and the error says so.
pub(super) async fn flush(server: &ServerAddr, delay: u32, context: &Context) -> Result<BinaryFlushed, Error> {
    let mut retries = Retries::new(context);
    let mut sent = false;
    loop {
        let attempt = async {
            let mut client = connect(server, context).await?;
            let flushed = match before(&mut client).await {
                Ok(flushed) => flushed,
                // A server that is not memcached may know no statistics; the flush itself still has to be tried.
                Err(error) if matches!(error.kind(), FailureKind::Timeout | FailureKind::Auth) => return Err(error),
                Err(_) => {
                    client = connect(server, context).await?;
                    BinaryFlushed { items_before: None, version: None, has_cas: false }
                }
            };
            sent = true;
            client.flush_all(delay).await?;
            Ok(flushed)
        };
        let error = match context.stop.run_until_cancelled(attempt).await {
            Some(Ok(flushed)) => return Ok(flushed),
            Some(Err(error)) => error,
            None => return Err(context.stopped(server, sent)),
        };
        match retries.after(error).await {
            Ok(()) => {}
            Err(Error { problem: Problem::Lost { like_a_proxy, .. }, server }) if sent => {
                return Err(Error { problem: Problem::FlushUnknown { like_a_proxy }, server });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Stores an item for a minute.
///
/// # Errors
/// The server could not be reached or refused, or the operation was stopped.
pub(super) async fn store(server: &ServerAddr, key: &Key, context: &Context) -> Result<(), Error> {
    let store = || async { connect(server, context).await?.store(key.clone(), 60).await };
    Retries::new(context).until_done(server, store).await
}

/// Whether an item is there.
///
/// # Errors
/// As [`store`].
pub(super) async fn has(server: &ServerAddr, key: &Key, context: &Context) -> Result<bool, Error> {
    let is_there = || async { connect(server, context).await?.has(key.clone()).await };
    Retries::new(context).until_done(server, is_there).await
}

/// As [`stats`](super::stats::stats).
///
/// # Errors
/// The server could not be reached or refused, or the operation was stopped.
pub(super) async fn stats(
    server: &ServerAddr,
    groups: &[StatsGroup],
    context: &Context,
) -> Result<Vec<Vec<Stat>>, Error> {
    let ask = || async {
        let mut client = connect(server, context).await?;
        let mut answers = Vec::new();
        for group in groups {
            answers.push(client.stats(group.clone()).await?);
        }
        Ok(answers)
    };
    Retries::new(context).until_done(server, ask).await
}

/// What the server reports before a flush.
async fn before(client: &mut BinaryClient) -> Result<BinaryFlushed, Error> {
    let general = client.stats(StatsGroup::General).await?;
    let settings = client.stats(StatsGroup::Settings).await?;
    Ok(BinaryFlushed {
        items_before: figure::number(&general, "curr_items"),
        version: Some(client.version().await?),
        has_cas: figure::text(&settings, "cas_enabled") == Some("yes"),
    })
}

async fn connect(server: &ServerAddr, context: &Context) -> Result<BinaryClient, Error> {
    let timeout = context.patience.timeout;
    if context.connector.is_the_network() {
        BinaryClient::connect(server, &context.resolver, &context.access, timeout).await
    } else {
        Ok(BinaryClient::over(context.open(server).await?, server, timeout))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::binary_client::tests::response;
    use crate::connection::Connection;
    use crate::ops::Connector;
    use crate::ops::scripted::address;
    use crate::protocol::binary::HEADER;

    pub(in crate::ops) const GET: u8 = 0x00;
    const SET: u8 = 0x01;
    pub(in crate::ops) const FLUSH: u8 = 0x08;
    const VERSION: u8 = 0x0b;
    const STAT: u8 = 0x10;

    /// The answer to a request.
    pub(in crate::ops) enum Say {
        Bytes(Vec<u8>),
        /// The server closes the connection.
        Close,
        Silence,
    }

    pub(in crate::ops) fn status(opcode: u8, status: u8) -> Say {
        Say::Bytes(response(opcode, status, b"", b""))
    }

    /// What a memcached says.
    pub(in crate::ops) fn memcached(opcode: u8, body: &[u8]) -> Say {
        let stat = |name: &[u8], value: &[u8]| [response(STAT, 0, name, value), response(STAT, 0, b"", b"")].concat();
        Say::Bytes(match (opcode, body) {
            (STAT, b"") => stat(b"curr_items", b"3"),
            (STAT, b"settings") => stat(b"cas_enabled", b"yes"),
            (VERSION, _) => response(VERSION, 0, b"", b"1.6.18"),
            _ => response(opcode, 0, b"", b""),
        })
    }

    /// The opcodes of the requests that a server received, over all connections.
    #[derive(Clone, Default)]
    pub(in crate::ops) struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Heard {
        pub(in crate::ops) fn count(&self, opcode: u8) -> usize {
            self.0.lock().unwrap().iter().filter(|heard| **heard == opcode).count()
        }
    }

    /// A context whose connections lead to a server that answers each request (its opcode and body) by a function;
    /// without retries.
    pub(in crate::ops) fn server(answer: impl FnMut(u8, &[u8]) -> Say + Send + 'static) -> (Context, Heard) {
        let (heard, answer) = (Heard::default(), Arc::new(Mutex::new(answer)));
        let opcodes = heard.clone();
        let connector = Connector::by(move |_| {
            let (near, far) = duplex(1024);
            let (answer, opcodes) = (Arc::clone(&answer), opcodes.clone());
            tokio::spawn(talk(far, opcodes, move |opcode, body| answer.lock().unwrap()(opcode, body)));
            async { Ok(Box::new(near) as Connection) }
        });
        let mut context = Context { connector, ..Context::default() };
        context.patience.retries = 0;
        (context, heard)
    }

    async fn talk(mut stream: DuplexStream, heard: Heard, answer: impl Fn(u8, &[u8]) -> Say) {
        let mut header = [0; HEADER];
        // It closes the connection at a text command.
        while stream.read_exact(&mut header[..1]).await.is_ok() && header[0] == 0x80 {
            stream.read_exact(&mut header[1..]).await.unwrap();
            let mut body = vec![0; header[11].into()];
            stream.read_exact(&mut body).await.unwrap();
            heard.0.lock().unwrap().push(header[1]);
            match answer(header[1], &body) {
                Say::Bytes(bytes) => stream.write_all(&bytes).await.unwrap(),
                Say::Close => return,
                Say::Silence => return std::future::pending().await,
            }
        }
    }

    /// A flush of a memcached that answers one request in another way; and how often it was flushed.
    async fn flushed(
        opcode: u8,
        body: &'static [u8],
        says: impl Fn() -> Say + Send + 'static,
    ) -> (Result<BinaryFlushed, Error>, usize) {
        let (context, heard) =
            server(move |asked, with| if (asked, with) == (opcode, body) { says() } else { memcached(asked, with) });
        (flush(&address(), 0, &context).await, heard.count(FLUSH))
    }

    #[tokio::test]
    async fn a_flush_says_what_the_server_reported_before() {
        for (value, has_cas) in [(&b"yes"[..], true), (b"no", false)] {
            let settings =
                move || Say::Bytes([response(STAT, 0, b"cas_enabled", value), response(STAT, 0, b"", b"")].concat());
            let expected = BinaryFlushed { items_before: Some(3), version: ServerVersion::new("1.6.18"), has_cas };
            let (flushed, times) = flushed(STAT, b"settings", settings).await;
            assert_eq!((flushed.unwrap(), times), (expected, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_reports_nothing_is_flushed_and_a_silent_one_is_not() {
        for says in [|| status(STAT, 0x81), || Say::Close] {
            let nothing = BinaryFlushed { items_before: None, version: None, has_cas: false };
            let (flushed, times) = flushed(STAT, b"", says).await;
            assert_eq!((flushed.unwrap(), times), (nothing, 1));
        }
        let (flushed, times) = flushed(STAT, b"", || Say::Silence).await;
        let problem = flushed.unwrap_err().problem;
        assert!(matches!(problem, Problem::Silence { doing: "stats", .. }) && times == 0, "{problem}");
    }

    #[tokio::test]
    async fn a_flush_is_in_doubt_once_it_was_sent() {
        let (flushed, times) = flushed(FLUSH, b"", || Say::Close).await;
        let problem = flushed.unwrap_err().problem;
        assert!(matches!(problem, Problem::FlushUnknown { .. }) && times == 1, "{problem}");
    }

    /// Only a connection of mcflush's own asks for a login first.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_flush_is_in_no_doubt_if_the_connection_was_lost_at_the_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let closing = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let mut context = Context::default();
        context.patience.retries = 0;
        let problem = flush(&ServerAddr::Unix(path), 0, &context).await.unwrap_err().problem;
        assert!(matches!(problem, Problem::Lost { .. }), "{problem}");
        closing.abort();
    }

    #[tokio::test]
    async fn an_item_is_there_once_it_is_stored() {
        let mut is_stored = false;
        let (context, _) = server(move |opcode, body| {
            is_stored |= opcode == SET && body.ends_with(b"mcflush:1x");
            if opcode == GET { status(GET, u8::from(!is_stored)) } else { memcached(opcode, body) }
        });
        let key = Key::new("mcflush:1").unwrap();
        assert!(!has(&address(), &key, &context).await.unwrap());
        store(&address(), &key, &context).await.unwrap();
        assert!(has(&address(), &key, &context).await.unwrap());
    }

    #[tokio::test]
    async fn each_group_is_asked_for() {
        let (context, _) = server(memcached);
        let groups = [StatsGroup::Settings, StatsGroup::General];
        let expected =
            [("cas_enabled", "yes"), ("curr_items", "3")].map(|(name, value)| vec![Stat::new(name, value).unwrap()]);
        assert_eq!(stats(&address(), &groups, &context).await.unwrap(), expected);
    }
}
