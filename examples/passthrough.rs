//! `passthrough LISTEN UPSTREAM`: a transparent proxy made of the two codecs.
//!
//! The proxy decodes every request, encodes it again and sends it on, and does the same with every reply: the client gets
//! the same bytes as over a direct connection. After a line that is not a valid request, replies can no longer be assigned
//! to requests (some versions answer one bad request with two error lines): from there on the proxy copies the bytes of
//! that connection. At its end (SIGINT, SIGTERM, or a closed standard input) it prints the number of frames that it
//! decoded in each direction and the number of copied connections, which shows whether it was more than a tunnel.

// An example may print, and exits where a real program would report an error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::BytesMut;
use mcflush::codec::{ClientCodec, CodecError, Limits, ServerCodec};
use mcflush::protocol::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Decoder;

/// Limits that allow the largest item of a server with the largest `-I`.
fn limits() -> Limits {
    Limits::for_requests().with_value(1 << 30)
}

/// The size of a read, as in memcached.
const READ: usize = 16 * 1024;

/// The counts to print at the end.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    replies: AtomicU64,
    connections: AtomicU64,
    raw: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream] = &arguments[..] else {
        eprintln!("usage: passthrough LISTEN UPSTREAM");
        return ExitCode::from(2);
    };
    let counts = Arc::new(Counts::default());
    let served = serve(listen, upstream, &counts).await;
    println!(
        "requests decoded: {}\nreplies decoded: {}\nconnections: {}\nconnections copied raw: {}",
        counts.requests.load(Relaxed),
        counts.replies.load(Relaxed),
        counts.connections.load(Relaxed),
        counts.raw.load(Relaxed)
    );
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("passthrough: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: &str, upstream: &str, counts: &Arc<Counts>) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut end = std::pin::pin!(ended());
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            () = &mut end => return Ok(()),
        };
        let (upstream, counts) = (upstream.to_owned(), Arc::clone(counts));
        counts.connections.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(upstream).await else { return };
            // Without this, small packets would wait for acknowledgements.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            if Proxy::new(client, server, &counts).run().await.unwrap_or(false) {
                counts.raw.fetch_add(1, Relaxed);
            }
        });
    }
}

/// Waits until standard input is closed, or for SIGINT or SIGTERM.
async fn ended() {
    // A separate thread that the process does not wait for: a thread of the runtime would keep the process alive until the
    // terminal is closed.
    let (closing, closed) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(closing);
    });
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = closed => {}
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The connection of one client.
struct Proxy<'a> {
    client: TcpStream,
    server: TcpStream,
    /// Decodes the client's requests, and encodes the replies to it.
    requests: ServerCodec,
    /// Encodes the requests to the server, and decodes its replies.
    replies: ClientCodec,
    asked: BytesMut,
    said: BytesMut,
    counts: &'a Counts,
}

impl<'a> Proxy<'a> {
    fn new(client: TcpStream, server: TcpStream, counts: &'a Counts) -> Self {
        Self {
            client,
            server,
            requests: ServerCodec::new(limits()),
            replies: ClientCodec::new(limits()).keep_blank_lines(),
            asked: BytesMut::new(),
            said: BytesMut::new(),
            counts,
        }
    }

    /// Runs until one side closes. Returns whether the connection was copied raw from some point on.
    async fn run(mut self) -> std::io::Result<bool> {
        let (mut client_in, mut client_out) = self.client.split();
        let (mut server_in, mut server_out) = self.server.split();
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        let (mut client_closed, mut end_sent) = (false, false);
        let mut raw = false;
        while !raw {
            // Reserve room before each read, so that the end of the buffer does not split what one side wrote at once.
            self.asked.reserve(READ);
            self.said.reserve(READ);
            // A side is read only while nothing waits to be written to the other side, so that no buffer grows.
            tokio::select! {
                read = client_in.read_buf(&mut self.asked), if !client_closed && to_server.is_empty() => client_closed = read? == 0,
                read = server_in.read_buf(&mut self.said), if to_client.is_empty() => if read? == 0 {
                    // The client also gets an incomplete frame that the server left.
                    client_out.write_all(&self.said).await?;
                    return Ok(false);
                },
                written = server_out.write_buf(&mut to_server), if !to_server.is_empty() => drop(written?),
                written = client_out.write_buf(&mut to_client), if !to_client.is_empty() => drop(written?),
            }
            // Replies are decoded only while they can be assigned: not after a request that ended the decoding.
            raw = !end_sent
                && requests(&mut self.requests, &mut self.replies, &mut self.asked, &mut to_server, self.counts)
                    .is_err()
                || replies(&mut self.requests, &mut self.replies, &mut self.said, &mut to_client, self.counts).is_err();
            if client_closed && to_server.is_empty() && !end_sent && !raw {
                // The server sees the end after the client's last byte, even in the middle of a request, and can still
                // answer.
                end_sent = true;
                self.requests.give_back(&mut self.asked);
                server_out.write_all(&self.asked.split()).await?;
                server_out.shutdown().await?;
            }
        }
        self.requests.give_back(&mut self.asked);
        to_server.extend_from_slice(&self.asked);
        to_client.extend_from_slice(&self.said);
        tokio::try_join!(copy(&to_server, client_in, server_out), copy(&to_client, server_in, client_out))?;
        Ok(true)
    }
}

/// Copies the bytes in the buffer, then all that arrive.
async fn copy(there: &[u8], mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    to.write_all(there).await?;
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Passes on the complete requests in the buffer. An error means that later replies cannot be assigned to requests.
fn requests(
    from: &mut ServerCodec,
    to: &mut ClientCodec,
    asked: &mut BytesMut,
    wire: &mut BytesMut,
    counts: &Counts,
) -> Result<(), CodecError> {
    while let Some(request) = from.decode(asked)? {
        to.encode_asked(&request, wire)?;
        if matches!(request.request, Request::Unknown(_)) {
            return Err(CodecError::Poisoned);
        }
        counts.requests.fetch_add(1, Relaxed);
    }
    Ok(())
}

fn replies(
    to: &mut ServerCodec,
    from: &mut ClientCodec,
    said: &mut BytesMut,
    wire: &mut BytesMut,
    counts: &Counts,
) -> Result<(), CodecError> {
    while let Some(answer) = from.decode(said)? {
        to.encode_answer(&answer, wire)?;
        counts.replies.fetch_add(1, Relaxed);
    }
    Ok(())
}
