//! Logs in by user and password, in the three ways that servers know. mcflush sends a password only to a server that
//! wants it, and sends nothing after it before the answer.

use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::{Decoder, Encoder, Framed};

use super::Connection;
use crate::address::ServerAddr;
use crate::codec::{Answer, BinaryCodec, ClientCodec, CodecError};
use crate::error::Problem;
use crate::protocol::binary::{Request as BinaryRequest, Response, Status};
use crate::protocol::storage::Credentials;
use crate::protocol::{Excerpt, Reply, Request};

const DOING: &str = "authentication";

/// Which login a server wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Login {
    /// The one that the server asks for: that of the text protocol (`-Y`), SASL (`-S`), or none. For a host in
    /// memcachier.com: MemCachier's.
    #[default]
    Auto,
    /// MemCachier's: the first command is a `set` whose key is the user and whose data is the password. Any other
    /// server would store the password as an item.
    Memcachier,
}

impl Login {
    /// Whether a server takes MemCachier's login.
    pub(super) fn is_memcachier(self, server: &ServerAddr) -> bool {
        let is_theirs = |host: &str| {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "memcachier.com" || host.ends_with(".memcachier.com")
        };
        self == Self::Memcachier || matches!(server, ServerAddr::Tcp { host, .. } if is_theirs(host))
    }
}

/// The login of a server with `-Y`.
pub(super) async fn by_text(connection: Connection, credentials: &Credentials) -> Result<Connection, Problem> {
    say(connection, Request::Authenticate(credentials.clone())).await
}

/// MemCachier's login.
pub(super) async fn to_memcachier(connection: Connection, credentials: &Credentials) -> Result<Connection, Problem> {
    let store = credentials.memcachier().ok_or(Problem::Unexpected { command: DOING })?;
    say(connection, Request::Store(store)).await
}

async fn say(connection: Connection, login: Request) -> Result<Connection, Problem> {
    let mut framed = Framed::new(connection, ClientCodec::default());
    match exchange(&mut framed, login).await? {
        Answer { reply: Reply::Stored, .. } if framed.read_buffer().is_empty() => Ok(framed.into_inner()),
        Answer { reply: Reply::Error(reply), .. } => Err(Problem::Login(Excerpt::of(reply.line()))),
        _ => Err(Problem::Unexpected { command: DOING }),
    }
}

/// SASL PLAIN, for a server that speaks the binary protocol, if it wants SASL.
pub(super) async fn by_sasl(connection: Connection, credentials: Option<&Credentials>) -> Result<Connection, Problem> {
    let mut framed = Framed::new(connection, BinaryCodec::default());
    let offer = ask(&mut framed, BinaryRequest::ListMechanisms).await?;
    match (offer.status, credentials) {
        (Status::UNKNOWN_COMMAND, _) => return Ok(framed.into_inner()),
        (_, None) => return Err(Problem::Unauthenticated),
        (Status::OK, Some(_)) if offer.offers_plain() => {}
        (Status::OK, Some(_)) if !offer.value.is_empty() => return Err(Problem::NoPlain(Excerpt::of(&offer.value))),
        (_, Some(_)) => return Err(Problem::NoMechanism),
    }
    if let Some(credentials) = credentials {
        let answer = ask(&mut framed, BinaryRequest::Authenticate(credentials.clone())).await?;
        if answer.status != Status::OK {
            return Err(Problem::Login(Excerpt::of(&answer.value)));
        }
    }
    Ok(framed.into_inner())
}

async fn ask(framed: &mut Framed<Connection, BinaryCodec>, request: BinaryRequest) -> Result<Response, Problem> {
    let answer = exchange(framed, request.clone()).await?;
    if request.is_answered_by(&answer) { Ok(answer) } else { Err(Problem::Unexpected { command: DOING }) }
}

async fn exchange<C, R>(framed: &mut Framed<Connection, C>, request: R) -> Result<C::Item, Problem>
where
    C: Encoder<R, Error = CodecError> + Decoder<Error = CodecError>,
{
    framed.send(request).await.map_err(failed)?;
    framed.next().await.unwrap_or(Err(CodecError::Closed)).map_err(failed)
}

fn failed(error: CodecError) -> Problem {
    match error {
        CodecError::Closed => Problem::Lost { doing: DOING, source: None, like_a_proxy: false },
        CodecError::Io(error) => super::tls::fault(&error).unwrap_or(Problem::Lost {
            doing: DOING,
            source: Some(error),
            like_a_proxy: false,
        }),
        source => Problem::Codec { doing: DOING, source },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::protocol::binary::HEADER;

    fn credentials() -> Credentials {
        Credentials::new("app", "secret").unwrap()
    }

    fn response(opcode: u8, status: u8, value: &[u8]) -> Vec<u8> {
        let mut wire = vec![0; HEADER];
        (wire[0], wire[1], wire[7], wire[11]) = (0x81, opcode, status, u8::try_from(value.len()).unwrap());
        [&wire, value].concat()
    }

    /// The result, and the bytes that the server received.
    async fn sasl(said: &[u8], credentials: Option<&Credentials>) -> (Result<Connection, Problem>, Vec<u8>) {
        let (near, mut far) = duplex(1024);
        far.write_all(said).await.unwrap();
        let outcome = by_sasl(Box::new(near), credentials).await.map(|_| Box::new(duplex(1).0) as Connection);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        (outcome, heard)
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_gets_it() {
        let asked = response(0x20, 0, b"CRAM-MD5 PLAIN");
        let welcome = [asked.clone(), response(0x21, 0, b"Authenticated")].concat();
        let (outcome, heard) = sasl(&welcome, Some(&credentials())).await;
        assert!(outcome.is_ok() && heard.ends_with(b"PLAIN\0app\0secret"));
        let refusal = [asked, response(0x21, 0x20, b"Auth failure.")].concat();
        let (outcome, heard) = sasl(&refusal, Some(&credentials())).await;
        assert!(matches!(outcome, Err(Problem::Login(_))));
        assert_eq!(heard.windows(6).filter(|window| window == b"secret").count(), 1);
    }

    #[tokio::test]
    async fn no_other_server_gets_the_password() {
        for (said, fits) in [
            (
                response(0x20, 0x81, b"Unknown command"),
                (|outcome| outcome.is_ok()) as fn(Result<Connection, Problem>) -> bool,
            ),
            (response(0x20, 0, b"CRAM-MD5 SCRAM-SHA-1"), |outcome| matches!(outcome, Err(Problem::NoPlain(_)))),
            (response(0x20, 0, b""), |outcome| matches!(outcome, Err(Problem::NoMechanism))),
            (response(0x20, 0x20, b"Auth failure."), |outcome| matches!(outcome, Err(Problem::NoMechanism))),
            (response(0x0a, 0, b"PLAIN"), |outcome| matches!(outcome, Err(Problem::Unexpected { .. }))),
            (b"ERROR\r\n".to_vec(), |outcome| matches!(outcome, Err(Problem::Codec { .. }))),
        ] {
            let (outcome, heard) = sasl(&said, Some(&credentials())).await;
            assert!(fits(outcome), "{said:?}");
            assert_eq!(heard.len(), HEADER, "{said:?}");
        }
        let (outcome, heard) = sasl(&response(0x20, 0, b"PLAIN"), None).await;
        assert!(matches!(outcome, Err(Problem::Unauthenticated)) && heard.len() == HEADER);
    }

    #[tokio::test]
    async fn memcachier_gets_the_password_as_data() {
        let (near, mut far) = duplex(1024);
        far.write_all(b"STORED\r\n").await.unwrap();
        drop(to_memcachier(Box::new(near), &credentials()).await.unwrap());
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "set app 0 0 6\r\nsecret\r\n");
    }

    #[test]
    fn hosts_of_memcachier() {
        let is_theirs = |text: &str| Login::Auto.is_memcachier(&text.parse().unwrap());
        assert!(is_theirs("mc1.dev.ec2.memcachier.com:11211") && is_theirs("MemCachier.com"));
        assert!(
            !is_theirs("notmemcachier.com")
                && !is_theirs("memcachier.com.example.org")
                && !is_theirs("/memcachier.com")
        );
        assert!(Login::Memcachier.is_memcachier(&"127.0.0.1".parse().unwrap()));
    }
}
