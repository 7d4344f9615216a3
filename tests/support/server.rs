//! Real memcached servers, a private one for each test.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tempfile::TempDir;

use super::run::last_runs;
use super::traffic::get;
use super::{PATIENCE, signal, wait_for};

/// The version of a server; each speaks another dialect. `scripts/fetch-memcached` brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest of bullseye (1.6.9): an older form of the meta commands, without base64 keys.
    Bullseye,
    /// The one of the Debian on which this runs (1.6.18 on Debian 12): no leading `OK`, and a hash walk can freeze
    /// other clients.
    Debian,
    /// The newest of trixie.
    Trixie,
    /// The newest of all: dumps begin with `OK`, and lines end in a space.
    Sid,
}

impl Version {
    pub const ALL: [Version; 4] = [Version::Bullseye, Version::Debian, Version::Trixie, Version::Sid];

    fn program(self) -> PathBuf {
        let cache = std::env::var_os("MEMCACHED_CACHE")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/memcached"), PathBuf::from);
        let program = cache
            .join(match self {
                Version::Bullseye => "bullseye",
                Version::Debian => "debian",
                Version::Trixie => "trixie",
                Version::Sid => "sid",
            })
            .join("memcached");
        assert!(program.exists(), "there is no {}: run scripts/fetch-memcached (make test does)", program.display());
        program
    }

    /// Whether a hash dump makes no other client wait (since 1.6.19), so that mcflush asks for one by default.
    pub fn has_harmless_hash_dump(self) -> bool {
        matches!(self, Version::Trixie | Version::Sid)
    }
}

/// Makes a test for each version from a function that takes one: `each_version!(name)` gives `name::bullseye`,
/// `name::debian`, `name::trixie` and `name::sid`. `each_version!(but bullseye: name)` leaves out a version that cannot
/// do it.
#[allow(unused_macros, reason = "the benches make no tests")]
macro_rules! each_version {
    (but bullseye: $($name:ident),+ $(,)?) => {
        $(each_version!(@ $name debian Debian, trixie Trixie, sid Sid);)+
    };
    (@ $name:ident $($test:ident $version:ident),+) => {
        mod $name {
            use $crate::support::server::Version;

            $(
                #[test]
                fn $test() {
                    super::$name(Version::$version);
                }
            )+
        }
    };
    ($($name:ident),+ $(,)?) => {
        $(each_version!(@ $name bullseye Bullseye, debian Debian, trixie Trixie, sid Sid);)+
    };
}
#[allow(unused_imports, reason = "the benches make no tests")]
pub(crate) use each_version;

/// The file in a server's folder that holds the server's stderr.
const LOG: &str = "log";

/// Options of a server whose hash table does not grow for 786,432 items, in a test that is not about that. A larger table would
/// make a walk slow on a busy machine.
pub const LARGE_TABLE: [&str; 2] = ["-o", "hashpower=19"];

/// A running memcached, killed when this is dropped. If the test fails, the drop also prints the server's options and
/// what mcflush did to it.
///
/// It also dies with the *thread* that started it, so start it from a thread that outlives it.
pub struct Server {
    version: Version,
    /// The options that the test added to a plain server.
    options: Vec<String>,
    child: Child,
    address: String,
    unix: bool,
    directory: TempDir,
}

impl Server {
    /// A server on a free loopback port, with `args` added to its command line.
    pub fn start(version: Version, args: &[&str]) -> Server {
        Server::start_in(version, args, &[])
    }

    /// The same, with more variables in its environment.
    pub fn start_in(version: Version, args: &[&str], environment: &[(&str, &str)]) -> Server {
        // With port -1 the kernel chooses the port and the server reports it, so that no other program can take it in
        // between.
        let listen = ["-p", "-1", "-l", "127.0.0.1", "-U", "0"];
        Server::launch(version, "127.0.0.1", &listen, args, environment, false)
    }

    /// A server on another loopback address, or on all of them, and on this port; 0 chooses a free one.
    pub fn start_at(version: Version, host: &str, port: u16) -> Server {
        let port = if port == 0 { "-1".into() } else { port.to_string() };
        Server::launch(version, host, &["-p", &port, "-l", host, "-U", "0"], &[], &[], false)
    }

    /// A server on a unix socket in its own folder.
    pub fn start_unix(version: Version, args: &[&str]) -> Server {
        Server::launch(version, "", &[], args, &[], true)
    }

    fn launch(
        version: Version,
        host: &str,
        listen: &[&str],
        args: &[&str],
        environment: &[(&str, &str)],
        unix: bool,
    ) -> Server {
        let directory = TempDir::with_prefix("mcflush-test-").expect("a temporary folder");
        let (port, socket) = (directory.path().join("port"), directory.path().join("sock"));
        let log = directory.path().join(LOG);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.arg(version.program()).args(["-m", "256"]).args(listen);
        if unix {
            command.arg("-s").arg(&socket);
        }
        // memcached refuses to run as root without this option; for any other user the option is an error.
        if fs::metadata("/proc/self").expect("proc is mounted").uid() == 0 {
            command.args(["-u", "root"]);
        }
        let child = command
            .args(args)
            .env("MEMCACHED_PORT_FILENAME", &port)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("setpriv (of util-linux) runs");
        let mut server = Server {
            version,
            options: args.iter().copied().map(str::to_owned).collect(),
            child,
            address: socket.to_str().expect("temporary paths are text").to_owned(),
            unix,
            directory,
        };
        let mut still_runs = || {
            if let Some(status) = server.child.try_wait().expect("a child can be waited for") {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("memcached {args:?} ended at once, {status}: {said}");
            }
        };
        if !unix {
            server.address = wait_for("memcached's port file", || {
                still_runs();
                let text = fs::read_to_string(&port).ok()?;
                let line = text.lines().find(|line| line.starts_with("TCP INET: "))?;
                Some(format!("{host}:{}", line.rsplit(' ').next()?))
            });
        }
        wait_for("memcached's first answer", || {
            if let Some(status) = server.child.try_wait().expect("a child can be waited for") {
                panic!("memcached {args:?} ended at once, {status}");
            }
            let mut connection = Connection::open(&server.address, unix).ok()?;
            if args.iter().any(|argument| ["-Z", "-S", "binary"].contains(argument)) {
                // It accepts connections, and answers nothing without TLS or the binary protocol.
                return Some(());
            }
            connection.send(b"version\r\n");
            // With -Y the answer demands a login, which is enough here.
            connection.line().is_some().then_some(())
        });
        server
    }

    /// `host:port`, or the socket's path, as mcflush takes it and prints it.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.address, self.unix).expect("the server takes connections")
    }

    /// Stores `keys`, each with a one-byte value.
    pub fn store<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) {
        let mut loader = self.loader();
        for key in keys {
            loader.set(key.as_ref(), b"x");
        }
        loader.finish();
    }

    pub fn loader(&self) -> Loader {
        let by_binary_protocol = (self.version == Version::Bullseye).then(|| self.connect());
        Loader { out: BufWriter::with_capacity(1 << 16, self.connect().input.into_inner()), by_binary_protocol }
    }

    /// Every key on the server, decoded, by a hash walk, which misses none: no other client uses a test's server.
    pub fn keys(&self) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        self.each_key(|key| {
            keys.insert(key.to_vec());
        });
        keys
    }

    /// The same, for tables too large for memory.
    pub fn each_key(&self, mut take: impl FnMut(&[u8])) {
        // A dump at the moment when the hash table begins to grow can stop 1.6.18 for good.
        wait_for("the hash table to be large enough", || (!self.is_due_to_grow()).then_some(()));
        // If the server's own crawler is at work, or its hash table grows, the answer is an error instead of keys.
        wait_for("the crawler to be free", || self.try_each_key(&mut take).then_some(()));
    }

    /// Whether the hash table grows, or holds so many items that it will: the server checks that once a second.
    fn is_due_to_grow(&self) -> bool {
        let stats = self.stats("stats");
        let number = |name: &str| -> u64 {
            let value = stats.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.parse().ok());
            value.expect("a number of every server")
        };
        let buckets = 1 << number("hash_power_level");
        number("hash_is_expanding") == 1 || number("curr_items") > buckets + buckets / 2
    }

    fn try_each_key(&self, take: &mut impl FnMut(&[u8])) -> bool {
        let mut connection = self.connect();
        connection.send(b"lru_crawler metadump hash\r\n");
        let (mut line, mut any) = (Vec::new(), false);
        loop {
            line.clear();
            connection.input.read_until(b'\n', &mut line).expect("the server answers");
            match line.as_slice() {
                b"OK\r\n" => {}
                b"END\r\n" => return true,
                busy if !any && (busy.starts_with(b"BUSY") || busy.starts_with(b"ERROR locked")) => return false,
                text => {
                    let field = text.strip_prefix(b"key=").and_then(|rest| rest.split(|&byte| byte == b' ').next());
                    let Some(field) = field else {
                        panic!("not a dump line: {:?}", String::from_utf8_lossy(text));
                    };
                    any = true;
                    take(&percent_decode(field));
                }
            }
        }
    }

    /// How many keys begin with `prefix`.
    pub fn count(&self, prefix: impl AsRef<[u8]>) -> usize {
        let mut count = 0;
        self.each_key(|key| count += usize::from(key.starts_with(prefix.as_ref())));
        count
    }

    /// Whether another client finds a key that a text line can name.
    pub fn has(&self, key: &str) -> bool {
        get(&mut self.connect(), key)
    }

    /// Reads keys in bursts, as a newly started app does; returns how many existed.
    pub fn read_all(&self, keys: &[String]) -> usize {
        let mut connection = self.connect();
        let mut found = 0;
        for some in keys.chunks(100) {
            connection.send(format!("get {}\r\n", some.join(" ")).as_bytes());
            let lines = std::iter::from_fn(|| connection.line().filter(|line| line != "END"));
            found += lines.filter(|line| line.starts_with("VALUE ")).count();
        }
        found
    }

    /// One number of `stats`.
    pub fn stat(&self, name: &str) -> u64 {
        let value = self.stats("stats").into_iter().find(|(found, _)| found == name);
        let Some((_, value)) = value else {
            panic!("stats has no {name}");
        };
        value.parse().expect("a number")
    }

    /// All names and values of the answer to `command` (`stats`, `stats slabs`, …).
    pub fn stats(&self, command: &str) -> Vec<(String, String)> {
        let mut connection = self.connect();
        connection.send(format!("{command}\r\n").as_bytes());
        let mut found = Vec::new();
        loop {
            let line = connection.line().expect("the server answers");
            if line == "END" {
                return found;
            }
            let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
            let (Some(name), Some(value)) = (words.next(), words.next()) else {
                panic!("not a stats line: {line}");
            };
            found.push((name, value));
        }
    }

    /// Stops the server's process: connections stay open, and get no answer.
    pub fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.pid(), "CONT");
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
    }

    /// Prints for the reader of a failed test: libtest shows what a failed test prints.
    #[allow(clippy::print_stderr)]
    fn print_its_story(&self) {
        let said = Command::new(self.version.program()).arg("-V").output();
        let version = said.map_or_else(|error| error.to_string(), |said| String::from_utf8_lossy(&said.stdout).into());
        let log = fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default();
        eprintln!("\nserver {}: {}, started with {:?}", self.address, version.trim_end(), self.options);
        for line in log.lines() {
            eprintln!("    {line}");
        }
        for run in last_runs(&self.address) {
            eprintln!("{run}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_its_story();
        }
        // It may have been killed already; in both cases nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(buffer),
            Stream::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A raw connection; all its waits have a limit.
pub struct Connection {
    input: BufReader<Stream>,
}

impl Connection {
    fn open(address: &str, unix: bool) -> io::Result<Connection> {
        let stream = if unix {
            let stream = UnixStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Stream::Unix(stream)
        } else {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Stream::Tcp(stream)
        };
        Ok(Connection::over(stream))
    }

    fn over(stream: Stream) -> Connection {
        Connection { input: BufReader::with_capacity(1 << 16, stream) }
    }

    /// Reads this many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).expect("the server answers");
        bytes
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.get_mut().write_all(bytes).expect("the server takes bytes");
    }

    /// Passes lines without their ends to `take` until it returns false.
    pub fn each_line(&mut self, mut take: impl FnMut(&str) -> bool) {
        let mut line = String::new();
        while self.input.read_line(&mut line).expect("the server answers") > 0 && take(line.trim_end()) {
            line.clear();
        }
    }

    /// Reads until a read ends with one of `ends`, and returns which; for large replies.
    pub fn skip_past(&mut self, ends: &[&[u8]]) -> usize {
        let (mut tail, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let length = self.input.read(&mut buffer).expect("the server answers");
            assert!(length > 0, "the server hung up");
            tail.extend_from_slice(&buffer[length.saturating_sub(32)..length]);
            tail.drain(..tail.len().saturating_sub(32));
            if let Some(which) = ends.iter().position(|end| tail.ends_with(end)) {
                return which;
            }
        }
    }

    /// The next line without its end; `None` after the server has hung up.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.input.read_line(&mut line).expect("the server answers in text");
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// The connection must be new, or used for nothing else: its first byte decides the protocol.
    fn set_by_binary_protocol(&mut self, key: &[u8], value: &[u8]) {
        const SET: u8 = 0x01;
        const RESPONSE_HEADER: usize = 24;
        let extras = [0u8; 8];
        let body = u32::try_from(extras.len() + key.len() + value.len()).expect("a short body");
        let mut request = vec![0x80, SET];
        request.extend(u16::try_from(key.len()).expect("a short key").to_be_bytes());
        request.extend([u8::try_from(extras.len()).expect("eight"), 0, 0, 0]);
        request.extend(body.to_be_bytes());
        request.extend([0; 12]);
        request.extend(extras);
        request.extend(key);
        request.extend(value);
        self.send(&request);
        let mut answer = [0; RESPONSE_HEADER];
        self.input.read_exact(&mut answer).expect("the server answers");
        assert_eq!((answer[0], answer[6], answer[7]), (0x81, 0, 0), "a set by the binary protocol failed: {key:?}");
    }
}

/// Stores as fast as the server allows: quiet, pipelined, and with one fence at the end.
pub struct Loader {
    out: BufWriter<Stream>,
    /// For keys that no text line can carry, if the server does not know base64 keys (before 1.6.10).
    by_binary_protocol: Option<Connection>,
}

impl Loader {
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        let unsafe_in_text = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n' | 0);
        if key.iter().any(unsafe_in_text) {
            if let Some(connection) = &mut self.by_binary_protocol {
                connection.set_by_binary_protocol(key, value);
                return;
            }
            // The limit of 250 bytes applies to the base64 form.
            let encoded = BASE64.encode(key);
            assert!(encoded.len() <= 250, "too long for base64: use set_by_binary_protocol");
            write!(self.out, "ms {encoded} {} b q\r\n", value.len())
        } else {
            self.out
                .write_all(b"set ")
                .and_then(|()| self.out.write_all(key))
                .and_then(|()| write!(self.out, " 0 0 {} noreply\r\n", value.len()))
        }
        .and_then(|()| self.out.write_all(value))
        .and_then(|()| self.out.write_all(b"\r\n"))
        .expect("the server takes bytes");
    }

    /// Waits until the server has stored everything, and fails if it reported an error.
    pub fn finish(mut self) {
        self.out.write_all(b"mn\r\n").expect("the server takes bytes");
        self.out.flush().expect("the server takes bytes");
        let stream = self.out.into_inner().unwrap_or_else(|error| panic!("the server takes bytes: {error}"));
        let mut connection = Connection::over(stream);
        assert_eq!(connection.line().as_deref(), Some("MN"), "while loading");
    }
}

/// Stores keys as PHP's and other clients of the binary protocol do: up to 250 bytes of any value.
pub fn set_by_binary_protocol(server: &Server, keys: &[&[u8]]) {
    let mut connection = server.connect();
    for key in keys {
        connection.set_by_binary_protocol(key, b"x");
    }
    if let Stream::Tcp(stream) = connection.input.get_ref() {
        // The other side may have closed first, which is fine.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (code, tail) = tail.split_at_checked(2).expect("two digits after a %");
        let code = std::str::from_utf8(code).expect("digits");
        decoded.push(u8::from_str_radix(code, 16).expect("hexadecimal digits"));
        rest = tail;
    }
    decoded
}
