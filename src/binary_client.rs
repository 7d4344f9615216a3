//! Talks to a server that speaks only the binary protocol (`-S`, `-B binary`): typed calls over one connection, with
//! every wait bounded.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::Framed;

use crate::address::ServerAddr;
use crate::codec::{BinaryCodec, CodecError};
use crate::connection::{Access, Connection, connect_binary, tls, wait};
use crate::error::{Error, Problem};
use crate::protocol::admin::ServerVersion;
use crate::protocol::binary::{Request, Response, Status};
use crate::protocol::stats::{PrefixStat, Stat, StatsGroup};
use crate::protocol::{Excerpt, Key};
use crate::resolver::Resolver;

/// A connection to a server of the binary protocol, logged in if the server wants that.
///
/// After an error it may be out of step: drop it and connect again.
pub struct BinaryClient {
    framed: Framed<Connection, BinaryCodec>,
    server: ServerAddr,
    timeout: Duration,
}

impl std::fmt::Debug for BinaryClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BinaryClient").field("server", &self.server).finish_non_exhaustive()
    }
}

impl BinaryClient {
    /// More statistics than any server has: a longer answer does not come from memcached.
    const STATS_MAX: usize = 100_000;

    /// Connects, and logs in by SASL if the server wants it.
    ///
    /// # Errors
    /// As [`connect_binary`].
    pub async fn connect(
        server: &ServerAddr,
        resolver: &Resolver,
        access: &Access,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let connection = connect_binary(server, resolver, access, timeout).await?;
        Ok(Self::over(connection, server, timeout))
    }

    /// A client over an open connection, which needs no login.
    pub(crate) fn over(connection: Connection, server: &ServerAddr, timeout: Duration) -> Self {
        Self { framed: Framed::new(connection, BinaryCodec::default()), server: server.clone(), timeout }
    }

    /// The server's version.
    ///
    /// # Errors
    /// The connection is lost or silent for too long, or the server answered with an error.
    pub async fn version(&mut self) -> Result<ServerVersion, Error> {
        const COMMAND: &str = "version";
        let response = self.call(COMMAND, &Request::Version).await?;
        ServerVersion::new(response.value).ok_or_else(|| self.error(Problem::Unexpected { command: COMMAND }))
    }

    /// Flushes every item, now or after a delay in seconds.
    ///
    /// # Errors
    /// As [`Self::version`]. If the server was started with `-F`, the kind is disabled.
    pub async fn flush_all(&mut self, delay: u32) -> Result<(), Error> {
        const COMMAND: &str = "flush_all";
        let request = Request::Flush { delay };
        self.send(COMMAND, request.clone()).await?;
        let response = self.next(COMMAND, &request).await?;
        match response.status {
            Status::OK => Ok(()),
            // A client that is not logged in does not get this far, so this status means `-F`.
            Status::AUTH => Err(self.error(Problem::FlushOff(Excerpt::of(&response.value)))),
            _ => Err(self.refused(COMMAND, &response)),
        }
    }

    /// A group of statistics, as from [`Client::stats`](crate::client::Client::stats).
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn stats(&mut self, group: StatsGroup) -> Result<Vec<Stat>, Error> {
        let command = group.command();
        let request = Request::Stat(group);
        self.send(command, request.clone()).await?;
        let mut stats = Vec::new();
        loop {
            let response = self.next(command, &request).await?;
            match response.status {
                Status::OK if response.is_end() => return Ok(stats),
                Status::OK if stats.len() >= Self::STATS_MAX => {
                    return Err(self.error(Problem::TooMany { what: "statistics", limit: Self::STATS_MAX }));
                }
                // The lines of the text protocol, including END, in one value.
                Status::OK if response.key == "detailed" => stats.extend(counts(&response.value)),
                Status::OK => match Stat::new(response.key, response.value) {
                    Some(stat) => stats.push(stat.detached()),
                    None => return Err(self.error(Problem::Unexpected { command })),
                },
                _ => return Err(self.refused(command, &response)),
            }
        }
    }

    /// Stores an item of one byte that expires after `seconds`.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn store(&mut self, key: Key, seconds: u32) -> Result<(), Error> {
        self.call("set", &Request::Set { key, seconds, value: Bytes::from_static(b"x") }).await.map(|_| ())
    }

    /// Whether an item exists.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn has(&mut self, key: Key) -> Result<bool, Error> {
        const COMMAND: &str = "get";
        let request = Request::Get(key);
        self.send(COMMAND, request.clone()).await?;
        let response = self.next(COMMAND, &request).await?;
        match response.status {
            Status::OK => Ok(true),
            Status::NOT_FOUND => Ok(false),
            _ => Err(self.refused(COMMAND, &response)),
        }
    }

    /// An error of this connection's server.
    #[must_use]
    pub fn error(&self, problem: Problem) -> Error {
        Error { server: self.server.clone(), problem }
    }

    async fn call(&mut self, command: &'static str, request: &Request) -> Result<Response, Error> {
        self.send(command, request.clone()).await?;
        let response = self.next(command, request).await?;
        if response.status == Status::OK { Ok(response) } else { Err(self.refused(command, &response)) }
    }

    async fn send(&mut self, command: &'static str, request: Request) -> Result<(), Error> {
        match wait::at_most(self.timeout, self.framed.send(request)).await {
            Some(sent) => sent.map_err(|error| self.failed(command, error)),
            None => Err(self.silence(command)),
        }
    }

    async fn next(&mut self, command: &'static str, request: &Request) -> Result<Response, Error> {
        let next = wait::at_most(self.timeout, self.framed.next()).await;
        match next.ok_or_else(|| self.silence(command))?.unwrap_or(Err(CodecError::Closed)) {
            Ok(response) if request.is_answered_by(&response) => Ok(response),
            Ok(_) => Err(self.error(Problem::Unexpected { command })),
            Err(error) => Err(self.failed(command, error)),
        }
    }

    fn refused(&self, command: &'static str, response: &Response) -> Error {
        let words = Excerpt::of(&response.value);
        self.error(Problem::BinaryRefusal { command, status: response.status, words })
    }

    fn silence(&self, doing: &'static str) -> Error {
        self.error(Problem::Silence { doing, after: self.timeout })
    }

    fn failed(&self, doing: &'static str, error: CodecError) -> Error {
        // A server that speaks the binary protocol is no proxy.
        let lost = |source| Problem::Lost { doing, source, like_a_proxy: false };
        self.error(match error {
            CodecError::Closed => lost(None),
            CodecError::Io(error) => tls::fault(&error).unwrap_or_else(|| lost(Some(error))),
            source => Problem::Codec { doing, source },
        })
    }
}

/// The counts of `stats detail`, from the server's text.
fn counts(text: &Bytes) -> Vec<Stat> {
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let prefixes = lines.filter_map(|line| PrefixStat::new(Bytes::copy_from_slice(line)));
    prefixes.flat_map(|prefix| prefix.counts()).flatten().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::error::FailureKind;
    use crate::protocol::binary::HEADER;

    fn client() -> (BinaryClient, DuplexStream) {
        impatient_client(Duration::from_secs(30))
    }

    fn impatient_client(timeout: Duration) -> (BinaryClient, DuplexStream) {
        let (near, far) = duplex(64 * 1024);
        (BinaryClient::over(Box::new(near), &"cache1".parse().unwrap(), timeout), far)
    }

    pub(crate) fn response(opcode: u8, status: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut wire = vec![0; HEADER];
        (wire[0], wire[1], wire[3], wire[7]) = (0x81, opcode, u8::try_from(key.len()).unwrap(), status);
        wire[11] = u8::try_from(key.len() + value.len()).unwrap();
        [&wire, key, value].concat()
    }

    #[tokio::test]
    async fn statistics_of_both_forms() {
        let (mut client, mut far) = client();
        far.write_all(&[response(0x10, 0, b"curr_items", b"7"), response(0x10, 0, b"", b"")].concat()).await.unwrap();
        assert_eq!(client.stats(StatsGroup::General).await.unwrap(), [Stat::new("curr_items", "7").unwrap()]);
        let text = b"PREFIX shop get 2 hit 1 set 3 del 0\r\nEND\r\n";
        far.write_all(&[response(0x10, 0, b"detailed", text), response(0x10, 0, b"", b"")].concat()).await.unwrap();
        let counts = client.stats(StatsGroup::DetailDump).await.unwrap();
        assert_eq!(counts.len(), 4);
        assert_eq!(counts[2], Stat::new("shop:set", "3").unwrap());
    }

    #[tokio::test]
    async fn refusals() {
        for (answer, kind, words) in [
            (response(0x08, 0x20, b"", b"Auth failure."), FailureKind::Disabled, "flush_all is switched off"),
            (
                response(0x08, 0x81, b"", b"Unknown command"),
                FailureKind::Server,
                "\"Unknown command\" (status 0x81) to flush_all",
            ),
            (response(0x0a, 0, b"", b""), FailureKind::Protocol, "unexpected answer"),
            (b"ERROR\r\n".to_vec(), FailureKind::Protocol, "ERROR"),
        ] {
            let (mut client, mut far) = client();
            far.write_all(&answer).await.unwrap();
            let error = client.flush_all(0).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn silence_and_a_close() {
        let (mut client, mut far) = impatient_client(Duration::from_millis(50));
        assert_eq!(client.flush_all(30).await.unwrap_err().kind(), FailureKind::Timeout);
        let mut heard = [0; HEADER + 4];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard[HEADER..], &[0, 0, 0, 30]);
        let (mut client, far) = self::client();
        drop(far);
        assert_eq!(client.version().await.unwrap_err().kind(), FailureKind::Lost);
    }
}
