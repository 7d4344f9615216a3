//! A real DNS server with its own zone, and servers that never answer.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::{PATIENCE, wait_for};

/// A dnsmasq for every name under `.test`, stopped when it is dropped.
pub struct Dns {
    child: Child,
    address: String,
    _hosts: NamedTempFile,
}

impl Dns {
    /// Starts with addresses of names, and `NAME,TARGET,PORT` of SRV records.
    pub fn start(hosts: &[(&str, &str)], services: &[String]) -> Dns {
        let mut file = NamedTempFile::with_prefix("mcflush-hosts-").expect("a temporary file");
        for (name, address) in hosts {
            writeln!(file, "{address} {name}").expect("it can be written");
        }
        // Started by another user than root, dnsmasq does not change its user.
        let is_root = fs::metadata("/proc/self").expect("proc is mounted").uid() == 0;
        // The port is not reserved until dnsmasq has it, so several tries may be needed.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
            let child = Command::new("setpriv")
                .args(["--pdeathsig", "KILL", "/usr/sbin/dnsmasq", "--conf-file=/dev/null", "--pid-file"])
                // Not --no-daemon: with it, dnsmasq answers no other client during a TCP connection.
                .args(["--keep-in-foreground", "--log-facility=-"])
                .args(is_root.then_some("--user=root"))
                .args(["--no-resolv", "--no-hosts", "--no-poll", "--local=/test/"])
                .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
                .arg(format!("--port={port}"))
                .arg(format!("--addn-hosts={}", file.path().display()))
                .args(services.iter().map(|service| format!("--srv-host={service}")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("setpriv (of util-linux) runs");
            let mut dns = Dns { child, address: format!("127.0.0.1:{port}"), _hosts: file };
            let started = wait_for("dnsmasq", || match dns.child.try_wait().expect("a child can be waited for") {
                Some(_) => Some(false),
                None => TcpStream::connect(&dns.address).ok().map(|_| true),
            });
            if started {
                return dns;
            }
            file = std::mem::replace(&mut dns._hosts, NamedTempFile::new().expect("a temporary file"));
        }
        panic!(
            "dnsmasq (of dnsmasq-base) does not start: see what `/usr/sbin/dnsmasq --keep-in-foreground --port=5353` says"
        );
    }

    /// The value for `MCFLUSH_DNS`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        // It may have ended already; in both cases nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A DNS server that receives queries and answers none.
pub struct DeadDns {
    socket: UdpSocket,
    started: Instant,
}

impl DeadDns {
    pub fn start() -> DeadDns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        DeadDns { socket, started: Instant::now() }
    }

    pub fn address(&self) -> String {
        self.socket.local_addr().expect("it is bound").to_string()
    }

    pub fn wait_for_question(&self) {
        self.wait_for_names(1);
    }

    /// The questions that came since the last wait.
    pub fn further_questions(&self) -> usize {
        self.socket.set_nonblocking(true).expect("a socket option");
        std::iter::from_fn(|| self.socket.recv(&mut [0; 512]).ok()).count()
    }

    /// Waits until this many different names were asked for. None may be asked for again before all were, on a
    /// machine that is fast enough.
    pub fn wait_for_names(&self, count: usize) {
        let (mut names, mut question, mut questions) = (BTreeSet::new(), [0; 512], 0);
        while names.len() < count {
            let asked = format!("a question about another name than these {} of {count}", names.len());
            let length = self.socket.recv(&mut question).expect(&asked);
            // The name is after the header, up to the empty label.
            let name = question[..length].get(12..).expect("a header").split(|&byte| byte == 0).next();
            names.insert(name.unwrap_or_default().to_vec());
            questions += 1;
        }
        // Each name is asked for once for each address family. After five seconds without an answer, mcflush asks again.
        let is_again = self.started.elapsed() > Duration::from_secs(4);
        assert!(is_again || questions <= 2 * count, "{questions} questions before {count} names were asked for");
    }
}
