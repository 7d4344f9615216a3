//! Authentication (`-Y`): user and password before anything else on a connection.

use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::Framed;

use super::Connection;
use crate::codec::{Answer, ClientCodec, CodecError};
use crate::error::Problem;
use crate::protocol::storage::Credentials;
use crate::protocol::{Reply, Request};

const DOING: &str = "authentication";

/// Says who is there. Nothing goes out behind it before the answer: a server that refuses may not answer what follows.
pub(super) async fn log_in(connection: Connection, credentials: &Credentials) -> Result<Connection, Problem> {
    let mut framed = Framed::new(connection, ClientCodec::default());
    framed.send(Request::Authenticate(credentials.clone())).await.map_err(failed)?;
    match framed.next().await.unwrap_or(Err(CodecError::Closed)).map_err(failed)? {
        Answer { reply: Reply::Stored, .. } if framed.read_buffer().is_empty() => Ok(framed.into_inner()),
        Answer { reply: Reply::Error(reply), .. } => Err(Problem::Login(reply)),
        _ => Err(Problem::Unexpected { command: DOING }),
    }
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
