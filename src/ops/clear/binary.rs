//! Deletes of keys that no text line can name, one by one: they are rare.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::ServerAddr;
use crate::connection::{Connection, connect};
use crate::ops::Context;
use crate::protocol::binary::{Deletion, HEADER, decode_deletion, encode_delete};

/// The longest text that a server puts into a response is a few words.
const BODY_MAX: u32 = 1024;

/// A connection that speaks the binary protocol, opened at the first key that needs it.
#[derive(Default)]
pub(super) struct BinaryDeleter {
    connection: Option<Connection>,
}

impl BinaryDeleter {
    /// Deletes a key; None when the server does not do that.
    pub(super) async fn delete(&mut self, server: &ServerAddr, context: &Context, key: &[u8]) -> Option<Deletion> {
        // A server with -Y never answers it.
        if context.access.credentials.is_some() {
            return None;
        }
        let within = context.patience.timeout;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(server, &context.resolver, &context.access, within).await.ok()?,
        };
        let deletion = tokio::time::timeout(within, exchange(&mut connection, key)).await.ok()??;
        // Only a connection that is in step serves again.
        self.connection = Some(connection);
        (!matches!(deletion, Deletion::Refused(_))).then_some(deletion)
    }
}

async fn exchange(connection: &mut Connection, key: &[u8]) -> Option<Deletion> {
    let mut request = BytesMut::new();
    if !encode_delete(key, &mut request) {
        return None;
    }
    connection.write_all(&request).await.ok()?;
    connection.flush().await.ok()?;
    let mut header = [0; HEADER];
    connection.read_exact(&mut header).await.ok()?;
    let (deletion, body) = decode_deletion(header)?;
    if body > BODY_MAX {
        return None;
    }
    tokio::io::copy(&mut connection.take(body.into()), &mut tokio::io::sink()).await.ok()?;
    Some(deletion)
}

impl std::fmt::Debug for BinaryDeleter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BinaryDeleter").field("connected", &self.connection.is_some()).finish()
    }
}
