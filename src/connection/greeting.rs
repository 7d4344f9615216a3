//! The first command to a server, before any password: it shows which protocol the server speaks, and which login it
//! wants.

use std::time::Duration;

use super::wait;
use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::Framed;

use super::{Connection, tls};
use crate::codec::{Answer, BinaryCodec, ClientCodec, CodecError};
use crate::error::Problem;
use crate::protocol::binary::Request as BinaryRequest;
use crate::protocol::{Meaning, Reply, Request};

/// The name of the command in error messages.
const DOING: &str = "version";

/// How long [`greet`] waits for a text server's answer before it sends more. A healthy server answers within a round
/// trip.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How long a server that closes the connection at text may take to show that it speaks the binary protocol. A proxy
/// may wait for a line end that does not come.
const SOON: Duration = Duration::from_secs(1);

/// A server's answer to a first `version`, with the connection if it can still be used.
pub(super) enum Greeting {
    /// The server answered: it wants no login.
    Open(Option<Connection>),
    /// The server wants the login of the text protocol (`-Y`).
    Locked(Option<Connection>),
    /// The server closed the connection without an answer, as a proxy may do.
    Closed,
    /// The server speaks the binary protocol, and no text.
    Binary,
}

/// Sends `version`, which changes nothing and reveals nothing.
///
/// A server that speaks only the binary protocol waits for the 24 bytes of a header, and closes the connection because
/// these bytes are no header. So if one `version` is not answered, two more decide.
pub(super) async fn greet(connection: Connection, pause: Duration) -> Result<Greeting, Problem> {
    let mut framed = Framed::new(connection, ClientCodec::default());
    let mut answer = say(&mut framed, 1, pause).await;
    let is_in_step = answer.is_some();
    if answer.is_none() {
        answer = say(&mut framed, 2, Duration::MAX).await;
    }
    let answer = answer.unwrap_or(Err(CodecError::Closed));
    let is_in_step = is_in_step && framed.read_buffer().is_empty();
    let connection = || is_in_step.then(|| framed.into_inner());
    match answer {
        Ok(Answer { reply: Reply::Error(reply), .. }) if reply.meaning() == Meaning::Login => {
            Ok(Greeting::Locked(connection()))
        }
        Ok(_) => Ok(Greeting::Open(connection())),
        Err(CodecError::Closed) => Ok(Greeting::Closed),
        Err(CodecError::Io(error)) => tls::fault(&error).map_or(Ok(Greeting::Closed), Err),
        Err(source) => Err(Problem::Codec { doing: DOING, source }),
    }
}

/// Sends `version` this many times, and waits for the next answer; `None` if none comes in time.
async fn say(
    framed: &mut Framed<Connection, ClientCodec>,
    times: u32,
    patience: Duration,
) -> Option<Result<Answer, CodecError>> {
    for _ in 0..times {
        if let Err(error) = framed.send(Request::Version).await {
            return Some(Err(error));
        }
    }
    wait::at_most(patience, framed.next()).await.map(|answer| answer.unwrap_or(Err(CodecError::Closed)))
}

/// Whether a server answers the binary protocol. Asks for the SASL mechanisms, which a server with `-S` gives before a
/// login.
pub(super) async fn speaks_binary(connection: Connection) -> bool {
    let mut framed = Framed::new(connection, BinaryCodec::default());
    let question = BinaryRequest::ListMechanisms;
    if framed.send(question.clone()).await.is_err() {
        return false;
    }
    let answer = wait::at_most(SOON, framed.next()).await;
    matches!(answer, Some(Some(Ok(response))) if question.is_answered_by(&response))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    async fn heard(server: &mut DuplexStream, length: usize) -> Vec<u8> {
        let mut heard = vec![0; length];
        server.read_exact(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn an_open_server_is_told_nothing_but_version() {
        let (near, mut far) = duplex(1024);
        let server = async {
            assert_eq!(heard(&mut far, 9).await, b"version\r\n");
            far.write_all(b"VERSION 1.6.45\r\n").await.unwrap();
            far
        };
        let (greeting, mut far) = tokio::join!(greet(Box::new(near), PAUSE), server);
        assert!(matches!(greeting, Ok(Greeting::Open(Some(_)))));
        drop(greeting);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }

    #[tokio::test]
    async fn a_locked_server_says_so() {
        let (near, mut far) = duplex(1024);
        far.write_all(b"CLIENT_ERROR unauthenticated\r\n").await.unwrap();
        assert!(matches!(greet(Box::new(near), PAUSE).await, Ok(Greeting::Locked(Some(_)))));
    }

    #[tokio::test]
    async fn a_late_answer_leaves_the_connection_out_of_step() {
        for (line, is_locked) in [("VERSION 1.6.18\r\n", false), ("CLIENT_ERROR unauthenticated\r\n", true)] {
            let (near, mut far) = duplex(1024);
            let server = async {
                // Only a server that has waited receives all three.
                assert_eq!(heard(&mut far, 27).await, b"version\r\n".repeat(3));
                far.write_all(line.as_bytes()).await.unwrap();
            };
            let (greeting, ()) = tokio::join!(greet(Box::new(near), PAUSE), server);
            assert!(match greeting.unwrap() {
                Greeting::Open(None) => !is_locked,
                Greeting::Locked(None) => is_locked,
                _ => false,
            });
        }
    }

    #[tokio::test]
    async fn a_server_of_the_binary_protocol_closes_at_its_24th_byte() {
        let (near, mut far) = duplex(1024);
        let server = async {
            assert!(!heard(&mut far, 24).await.starts_with(&[0x80]));
            drop(far);
        };
        let (greeting, ()) = tokio::join!(greet(Box::new(near), PAUSE), server);
        assert!(matches!(greeting, Ok(Greeting::Closed)));
    }

    #[tokio::test]
    async fn something_else_on_the_port() {
        let (near, mut far) = duplex(1024);
        far.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
        assert!(matches!(greet(Box::new(near), PAUSE).await, Err(Problem::Codec { .. })));
        let (near, mut far) = duplex(1024);
        far.write_all(b"ERROR\r\nERROR\r\nERROR\r\nERROR\r\n").await.unwrap();
        assert!(!speaks_binary(Box::new(near)).await);
    }
}
