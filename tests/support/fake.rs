//! A scripted server for behaviour that no real one shows. Tests read like a transcript of the conversation.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::server::Server;
use super::{PATIENCE, wait_for};

/// A listener on a free loopback port; each connection runs the script on a thread of its own.
pub struct Fake {
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// All connections, kept so that closing them ends any wait of their scripts.
    streams: Mutex<Vec<TcpStream>>,
    lines: Mutex<Vec<String>>,
    complaints: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A script whose expectation fails must not poison the rest of the test.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// Runs `script` for each connection, and closes the connection when the script returns.
    pub fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared::default());
        let script = Arc::new(script);
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let mut conversations = Vec::new();
                for stream in listener.incoming() {
                    let stream = stream.expect("a connection");
                    if shared.stopping.load(Ordering::SeqCst) {
                        break;
                    }
                    let number = {
                        let mut streams = lock(&shared.streams);
                        streams.push(stream.try_clone().expect("a second handle"));
                        streams.len() - 1
                    };
                    let (script, shared) = (Arc::clone(&script), Arc::clone(&shared));
                    conversations.push(std::thread::spawn(move || {
                        let mut peer = Peer::new(stream, number, shared);
                        script(&mut peer);
                        peer.hang_up();
                    }));
                }
                for conversation in conversations {
                    // A failure was noted before the thread ended.
                    let _ = conversation.join();
                }
            }
        });
        Fake { address, shared, acceptor: Some(acceptor) }
    }

    /// Answers every line by `answer`, on any number of connections.
    pub fn answering(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Fake {
        Fake::start(move |peer| {
            while let Some(line) = peer.line() {
                match answer(&line) {
                    Answer::Nothing => {}
                    Answer::Bytes(bytes) => peer.send(bytes),
                    Answer::BytesThenClose(bytes) => {
                        peer.send(bytes);
                        return;
                    }
                    Answer::BytesThenSilence(bytes) => {
                        peer.send(bytes);
                        peer.stay_silent();
                        return;
                    }
                }
            }
        })
    }

    /// Accepts connections and sends nothing.
    pub fn silent() -> Fake {
        Fake::start(Peer::stay_silent)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Every received line, over all connections, without its end.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.shared.lines).clone()
    }

    pub fn has_line(&self, line: &str) -> bool {
        self.lines().iter().any(|found| found == line)
    }

    pub fn count_lines(&self, line: &str) -> usize {
        self.lines().iter().filter(|found| *found == line).count()
    }

    pub fn wait_for_line(&self, line: &str) {
        wait_for(&format!("the line {line:?}"), || self.has_line(line).then_some(()));
    }

    pub fn wait_for_connection(&self) {
        wait_for("a connection", || (!lock(&self.shared.streams).is_empty()).then_some(()));
    }

    /// How many connections were made. Connections made before this call count even if they are not accepted yet.
    pub fn connections(&self) -> usize {
        // Connections are accepted in order, so this one comes after all that count.
        let marker = TcpStream::connect(&self.address).expect("the fake listens");
        let port = marker.local_addr().expect("it is bound").port();
        wait_for("the fake to accept", || {
            lock(&self.shared.streams)
                .iter()
                .position(|stream| stream.peer_addr().is_ok_and(|peer| peer.port() == port))
        })
    }

    /// Fails if any connection was ever made.
    pub fn assert_untouched(&self) {
        assert_eq!(self.connections(), 0, "the server was connected to");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.streams).iter() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor; if this fails too, there is none to wake.
        let _ = TcpStream::connect(&self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let complaints = lock(&self.shared.complaints);
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        }
    }
}

/// The answer to a line.
pub enum Answer {
    Nothing,
    Bytes(Vec<u8>),
    BytesThenClose(Vec<u8>),
    BytesThenSilence(Vec<u8>),
}

impl Answer {
    pub fn text(text: &str) -> Answer {
        Answer::Bytes(text.as_bytes().to_vec())
    }
}

/// The script's end of a connection.
pub struct Peer {
    input: BufReader<TcpStream>,
    number: usize,
    shared: Arc<Shared>,
}

impl Peer {
    fn new(stream: TcpStream, number: usize, shared: Arc<Shared>) -> Peer {
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Peer { input: BufReader::new(stream), number, shared }
    }

    /// The number of this connection, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The next line without its end; `None` after the client has hung up. Bytes that are not UTF-8 are replaced.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        // A reset by the client, or the fake's own stop, ends the conversation like a close.
        self.input.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\n")?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = String::from_utf8_lossy(line).into_owned();
        lock(&self.shared.lines).push(line.clone());
        Some(line)
    }

    /// Reads the next line, and notes a failure of the test if it is another one.
    pub fn expect(&mut self, line: &str) {
        let got = self.line();
        if got.as_deref() != Some(line) {
            let number = self.number;
            let complaint = format!("connection {number}: expected {line:?}, got {got:?}");
            lock(&self.shared.complaints).push(complaint);
        }
    }

    /// Sends; returns false if the client no longer accepts bytes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.input.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Sends, whether or not the client still reads.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes);
    }

    /// Reads everything and sends nothing, until the client hangs up.
    pub fn stay_silent(&mut self) {
        let mut sink = [0; 4096];
        // There is no timeout: the fake's own stop ends it.
        let is_wait = |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        loop {
            match self.input.read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_wait(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Passes each line on to `server` once `before` has returned, and the answers back, until the client hangs up.
    pub fn pass_on_to(&mut self, server: &str, before: impl Fn(&str)) {
        let mut onward = TcpStream::connect(server).expect("the server listens");
        let mut answers = onward.try_clone().expect("a second handle");
        let mut back = self.input.get_ref().try_clone().expect("a second handle");
        // Either end may hang up at any time.
        let answering = std::thread::spawn(move || drop(io::copy(&mut answers, &mut back)));
        while let Some(line) = self.line() {
            before(&line);
            if onward.write_all(format!("{line}\r\n").as_bytes()).is_err() {
                break;
            }
        }
        let _ = onward.shutdown(Shutdown::Both);
        let _ = answering.join();
    }

    fn hang_up(mut self) {
        // What was sent must arrive: a close with unread input becomes a reset, which can overtake it.
        let _ = self.input.get_ref().shutdown(Shutdown::Write);
        self.stay_silent();
    }
}

/// A loopback port on which no program listens, and which no other can take while this is held.
pub struct UnusedPort {
    address: String,
    _held: (TcpListener, TcpStream),
}

impl UnusedPort {
    pub fn start() -> UnusedPort {
        // The near end of a connection occupies its port without listening on it.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("the listener is there");
        UnusedPort { address: stream.local_addr().expect("it is bound").to_string(), _held: (listener, stream) }
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

pub fn is_delete(line: &str) -> bool {
    line.starts_with("md ") || line.starts_with("delete ")
}

/// A way to the server that holds deletes back until `may_delete`; it is told of each listing that has ended.
pub fn holding_deletes(
    server: &Server,
    may_delete: impl Fn() -> bool + Send + Sync + 'static,
    listing_ended: impl Fn() + Send + Sync + 'static,
) -> Fake {
    let address = server.address().to_owned();
    Fake::start(move |peer| {
        let lists = AtomicBool::new(false);
        peer.pass_on_to(&address, |line| {
            if line.starts_with("lru_crawler ") {
                lists.store(true, Ordering::Relaxed);
            }
            if is_delete(line) {
                wait_for("deletes to be allowed", || may_delete().then_some(()));
            }
        });
        if lists.load(Ordering::Relaxed) {
            listing_ended();
        }
    })
}
