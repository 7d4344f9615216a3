//! Deletes of keys that no text command can name, one by one: these keys are rare.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::ServerAddr;
use crate::connection::Connection;
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::protocol::binary::{Deletion, HEADER, decode_deletion, encode_delete};

/// Error texts in a server's responses are only a few words long.
const BODY_MAX: u32 = 1024;

const DOING: &str = "deleting by the binary protocol";

/// A connection that speaks the binary protocol, opened at the first key that needs it.
#[derive(Default)]
pub(super) struct BinaryDeleter {
    connection: Option<Connection>,
    /// The server has shown that it takes no binary deletes.
    is_refused: bool,
}

impl BinaryDeleter {
    /// Deletes a key; if `cas` is not 0, only if its item has that CAS. Returns `None` if the server takes no binary
    /// deletes.
    ///
    /// # Errors
    /// The server cannot be reached, or the connection is lost before the answer is complete.
    pub(super) async fn delete(
        &mut self,
        server: &ServerAddr,
        context: &Context,
        key: &[u8],
        cas: u64,
    ) -> Result<Option<Deletion>, Error> {
        // A server with -Y never answers a binary request.
        if context.access.credentials.is_some() || self.is_refused {
            return Ok(None);
        }
        let (mut connection, is_fresh) = match self.connection.take() {
            Some(connection) => (connection, false),
            None => (context.open(server).await?, true),
        };
        let deletion = context.within(server, DOING, exchange(&mut connection, key, cas)).await;
        match deletion {
            Ok(Some(deletion)) if !matches!(deletion, Deletion::Refused(_)) => {
                // Only a connection that is in step can be used again.
                self.connection = Some(connection);
                Ok(Some(deletion))
            }
            Ok(_) => {
                self.is_refused = true;
                Ok(None)
            }
            // A server with -B ascii is still waiting for a line end.
            Err(Error { problem: Problem::Silence { .. }, .. }) if is_fresh => {
                self.is_refused = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Sends a delete and reads its answer; `None` if the answer is not a binary response.
async fn exchange(connection: &mut Connection, key: &[u8], cas: u64) -> Result<Option<Deletion>, Problem> {
    let lost = |source| Problem::Lost { doing: DOING, source: Some(source), like_a_proxy: false };
    let mut request = BytesMut::new();
    if !encode_delete(key, cas, &mut request) {
        return Ok(None);
    }
    connection.write_all(&request).await.map_err(lost)?;
    connection.flush().await.map_err(lost)?;
    let mut header = [0; HEADER];
    connection.read_exact(&mut header).await.map_err(lost)?;
    let Some((deletion, body)) = decode_deletion(header).filter(|(_, body)| *body <= BODY_MAX) else {
        return Ok(None);
    };
    tokio::io::copy(&mut connection.take(body.into()), &mut tokio::io::sink()).await.map_err(lost)?;
    Ok(Some(deletion))
}

impl std::fmt::Debug for BinaryDeleter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BinaryDeleter").field("connected", &self.connection.is_some()).finish()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::io::duplex;

    use super::*;
    use crate::error::FailureKind;
    use crate::ops::Connector;
    use crate::ops::scripted::address;

    /// A response to a delete.
    pub(in crate::ops::clear) fn response(status: u8) -> Vec<u8> {
        crate::binary_client::tests::response(4, status, b"", b"")
    }

    /// A server that answers the deletes of each connection with these bytes (none: with silence), and closes after the
    /// last.
    pub(in crate::ops::clear) fn answering(answers: &[Vec<u8>]) -> (Context, Arc<AtomicUsize>) {
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, answers) = (Arc::clone(&connections), answers.to_vec());
        let connector = Connector::by(move |_| {
            counted.fetch_add(1, SeqCst);
            let (near, mut far) = duplex(1024);
            let answers = answers.clone();
            tokio::spawn(async move {
                for answer in answers {
                    if far.read_exact(&mut [0; HEADER + 3]).await.is_err() {
                        return;
                    }
                    far.write_all(&answer).await.unwrap();
                }
            });
            async { Ok(Box::new(near) as Connection) }
        });
        (Context { connector, ..Context::default() }, connections)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_no_refusal() {
        let (context, connections) = answering(&[vec![0x81, 4, 0]]);
        let mut deleter = BinaryDeleter::default();
        for times in 1..=2 {
            let error = deleter.delete(&address(), &context, b"a b", 0).await.unwrap_err();
            assert!(error.kind() == FailureKind::Lost && error.is_worth_a_retry(), "{error}");
            assert_eq!(connections.load(SeqCst), times, "it is tried again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_text_refuses() {
        let (context, connections) = answering(&[b"ERROR\r\nERROR\r\nERROR\r\nERROR\r\n".to_vec()]);
        let mut deleter = BinaryDeleter::default();
        for _ in 0..2 {
            assert_eq!(deleter.delete(&address(), &context, b"a b", 0).await.unwrap(), None);
        }
        assert_eq!(connections.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_a_delete_is_not_asked_again() {
        let (context, connections) = answering(&[response(0x81), response(0)]);
        let mut deleter = BinaryDeleter::default();
        for _ in 0..2 {
            assert_eq!(deleter.delete(&address(), &context, b"a b", 0).await.unwrap(), None);
        }
        assert_eq!(connections.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_silence_at_the_first_delete_shows_that_a_server_takes_none() {
        let (context, connections) = answering(&[response(0), Vec::new(), Vec::new()]);
        let mut deleter = BinaryDeleter::default();
        for times in 1..=2 {
            let deletion = deleter.delete(&address(), &context, b"a b", 0).await.unwrap();
            assert_eq!((deletion, connections.load(SeqCst)), (Some(Deletion::Deleted), times));
            let error = deleter.delete(&address(), &context, b"a b", 0).await.unwrap_err();
            assert_eq!(error.kind(), FailureKind::Timeout, "{error}");
        }
    }
}
