//! A whole clear or flush of a server that may send any bytes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::ServerAddr;
use crate::connection::Connection;
use crate::connection::wait;
use crate::ops::clear::{ClearOptions, clear};
use crate::ops::flush::{Flush, flush};
use crate::ops::{Chance, Connector, Context};
use crate::scope::{Prefix, Scope};

/// The longest that an operation may take, on the paused clock: no operation has a reason to run for this long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A connection on which the server sends these bytes, whatever the request, and then closes it or stays silent.
struct Said {
    bytes: Bytes,
    is_silent_then: bool,
}

impl AsyncRead for Said {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() && self.is_silent_then {
            return Poll::Pending;
        }
        let length = self.bytes.len().min(buffer.remaining());
        let now = self.bytes.split_to(length);
        buffer.put_slice(&now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Said {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The first byte chooses the operation. The rest is what the server sends: one part for each connection, separated by the
/// byte 0xFF.
pub(super) fn operation(data: &[u8]) {
    let mut data = Bytes::copy_from_slice(data);
    if data.is_empty() {
        return;
    }
    let choice = data.get_u8();
    let is = |bit: u8| choice & (1 << bit) != 0;
    let has_end = memchr::memmem::find(&data, b"END\r\n").is_some();
    let has_ok = memchr::memmem::find(&data, b"OK\r\n").is_some();
    let parts: VecDeque<Bytes> = data.split(|byte| *byte == 0xff).map(|part| data.slice_ref(part)).collect();
    let is_silent_then = is(3);
    let parts = Mutex::new(parts);
    let connector = Connector::by(move |_| {
        let next = parts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        async move {
            let bytes = next.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(Said { bytes, is_silent_then }) as Connection)
        }
    });
    let numbers = Arc::new(Mutex::new(0_u64));
    let mut context = Context {
        connector,
        chance: Chance::by(move || {
            let mut number = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            *number += 1;
            *number
        }),
        ..Context::default()
    };
    context.patience.retries = 3;
    let server = ServerAddr::Tcp { host: "in-memory".into(), port: 11211 };
    let (verify, keep_new) = (is(1), is(2));
    let work = async {
        if is(0) {
            let done = Box::pin(flush(&server, Flush::Exact { verify, keep_new }, &context)).await;
            assert!(done.is_err() || has_ok, "flushed, without an OK: {done:?}");
        } else {
            let prefix = Prefix::new("shop:");
            assert!(prefix.is_ok());
            let scope = Scope::of(prefix);
            let options = ClearOptions { verify, keep_new, ..ClearOptions::default() };
            let done = Box::pin(clear(&server, &scope, &options, &context)).await;
            assert!(done.proof.is_some() != done.error.is_some(), "{done:?}");
            assert!(done.proof.is_none() || has_end, "complete, without the end of a listing: {done:?}");
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let ended = runtime.map(|runtime| runtime.block_on(async { wait::at_most(LONGEST, work).await.is_some() }));
    assert!(matches!(ended, Ok(true)), "it did not end");
}
