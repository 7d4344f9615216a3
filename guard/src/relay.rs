//! Stands between mcflush and the server, counts the bytes, and lets the answers come in the same pieces each time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Bytes to and from the server.
#[derive(Debug, Default)]
pub struct Wire {
    pub sent: AtomicU64,
    pub received: AtomicU64,
}

/// Relays each connection until this process ends; where to connect.
pub fn start(server: SocketAddr, wire: Arc<Wire>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(server) else { continue };
            let wire = Arc::clone(&wire);
            thread::spawn(move || relay(&client, &server, &wire));
        }
    });
    Ok(address)
}

fn relay(client: &TcpStream, server: &TcpStream, wire: &Wire) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = pass(client, server, &wire.sent, |_| true);
            let _ = server.shutdown(Shutdown::Write);
        });
        // A dump is passed on when all of it is there: how it was cut on its way is then no matter of chance.
        let is_whole = |held: &[u8]| !held.starts_with(b"OK\r\nkey=") || held.ends_with(b"\nEND\r\n");
        let _ = pass(server, client, &wire.received, is_whole);
        let _ = client.shutdown(Shutdown::Write);
    });
}

/// Passes on what came when it is whole, or when no more comes.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    count: &AtomicU64,
    is_whole: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let (mut held, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let length = from.read(&mut piece)?;
        held.extend_from_slice(&piece[..length]);
        if length == 0 || is_whole(&held) {
            count.fetch_add(held.len() as u64, Ordering::Relaxed);
            to.write_all(&held)?;
            held.clear();
        }
        if length == 0 {
            return Ok(());
        }
    }
}
