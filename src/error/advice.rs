//! What to do about a failure, in words that do not depend on the program that shows them.

use std::io;

use super::Problem;
use crate::address::ServerAddr;
use crate::protocol::binary::Status;
use crate::protocol::{ErrorKind, Meaning};

/// Advice if listed keys cannot be kept.
pub(crate) const MORE_ROOM: &str =
    "make more room where listed keys are kept (by default the temporary folder, TMPDIR), or use a faster disk";

impl Problem {
    /// What to do about it on this server.
    pub(super) fn advice(&self, server: &ServerAddr) -> &'static str {
        match self {
            Self::Connect(error) => connect_advice(error, server),
            Self::Resolve(_) => "check the spelling of the host, and that this machine can resolve names",
            Self::EmptyList => "check the list's name, or name the servers themselves",
            Self::NoCluster => "name the servers themselves, or by memcached+dns://",
            Self::Silence { doing: "connecting", .. } => {
                "check host and port, and the network and firewalls on the way"
            }
            Self::Silence { doing: "resolving the name", .. } => "check the name servers of this machine",
            Self::Silence { .. } => "check whether the server answers other clients, or allow more time",
            Self::Lost { like_a_proxy: true, .. } | Self::FlushUnknown { like_a_proxy: true } => {
                "a proxy may be in front: name the memcached servers themselves"
            }
            Self::Lost { .. } => "check the server and run it again",
            Self::FlushUnknown { .. } => "check the server and flush again",
            Self::Codec { .. } | Self::Unexpected { .. } | Self::BadKey { .. } => {
                "check that a memcached listens on this port"
            }
            Self::TooMany { .. } => "check that this is a memcached",
            Self::Login(_) => "check the user and the password",
            Self::Unauthenticated => "give a user and a password, as in memcached://user:password@host",
            Self::Proxied { .. } => "name the memcached servers behind it",
            Self::Refusal { reply, .. } if reply.meaning() == Meaning::Proxy => {
                "a proxy may be in front: name the memcached servers themselves"
            }
            Self::Transient { .. } => "run it again; if a proxy is in front, check the servers behind it",
            Self::Full(_) => "wait until other clients close connections, or raise memcached's -c",
            Self::NoMechanism => "install the SASL modules on the server's machine, and allow PLAIN (mech_list)",
            Self::NoPlain(_) => "allow PLAIN in the server's SASL configuration (mech_list)",
            Self::BinaryOnly => "empty the whole server, or start it without -S and -B binary",
            Self::FlushOff(_) => "start memcached without -F",
            Self::BinaryRefusal { status: Status::NOT_FOUND | Status::UNKNOWN_COMMAND, .. } => {
                "name a memcached server that knows the command and has it switched on"
            }
            Self::BinaryRefusal { .. } => "check the server's log",
            Self::Refusal { reply, .. } => match reply.kind() {
                ErrorKind::Error => "name a memcached server that knows the command and has it switched on",
                ErrorKind::Server => "check the server's log",
                _ => "check that a memcached listens on this port",
            },
            Self::Disabled { instead, .. } | Self::Unsuited { instead, .. } | Self::Unproven { instead, .. } => instead,
            Self::Tls { cure, .. } => cure.as_str(),
            Self::NoAge { .. } => "run it again without keeping new items",
            Self::NoCompare { .. } | Self::Unreported { .. } => "run it again without a filter, and without an order",
            Self::NoListing(_) => "flush the whole instance, or give the app a prefix with a version in it",
            Self::NoDelay(_) => "send the flush at that time, without a delay",
            Self::Unfinished { .. } => "connect again",
            Self::Garbled { .. } | Self::Unchecked(_) => "run it again",
            Self::OutOfReach { .. } => "start memcached without -B ascii and -Y, or flush the whole instance",
            Self::Busy { .. } => "run it again when the other crawl has ended",
            Self::Deadline { .. } => "run it again, or allow more time",
            Self::Incomplete(_) | Self::Interrupted { .. } => "run it again",
            Self::Spool(_) => MORE_ROOM,
            Self::Local { .. } => "fix that and run it again",
        }
    }
}

/// Advice for a connection that could not be opened.
fn connect_advice(error: &io::Error, server: &ServerAddr) -> &'static str {
    // On Linux: this process, or the system, has no more open files.
    const TOO_MANY_FILES: [Option<i32>; 2] = [Some(24), Some(23)];
    match (error.kind(), server) {
        _ if TOO_MANY_FILES.contains(&error.raw_os_error()) => {
            "allow more open files (ulimit -n), or work on fewer servers at once"
        }
        (io::ErrorKind::PermissionDenied, ServerAddr::Unix(_)) => {
            "run as the socket's group, or start memcached with -a 0770"
        }
        (io::ErrorKind::PermissionDenied, ServerAddr::Tcp { .. }) => "check the firewall of this machine",
        (io::ErrorKind::NotFound, _) => "check the path, and that memcached runs with -s and this path",
        (_, ServerAddr::Unix(_)) => "check that memcached runs, with -s and this path",
        (io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable, _) => {
            "check the address, and the network and firewalls on the way"
        }
        _ => "check host and port, and that memcached runs there",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Error;
    use crate::protocol::ErrorReply;

    #[test]
    fn advice_fits_the_problem() {
        let reply = |line: &'static str| ErrorReply::new(line).unwrap();
        let refusal = |line| Problem::Refusal { command: "stats", reply: reply(line) };
        let connect = |kind: io::ErrorKind| Problem::Connect(kind.into());
        let silence = |doing| Problem::Silence { doing, after: Duration::from_secs(5) };
        for (server, problem, words) in [
            (
                "/run/m.sock",
                connect(io::ErrorKind::PermissionDenied),
                "run as the socket's group, or start memcached with -a 0770",
            ),
            ("/run/m.sock", connect(io::ErrorKind::NotFound), "check the path"),
            ("/run/m.sock", connect(io::ErrorKind::ConnectionRefused), "check that memcached runs"),
            ("a", connect(io::ErrorKind::PermissionDenied), "firewall of this machine"),
            ("a", connect(io::ErrorKind::HostUnreachable), "network"),
            ("a", connect(io::ErrorKind::ConnectionRefused), "host and port"),
            ("a", Problem::Connect(io::Error::from_raw_os_error(24)), "open files"),
            ("a", silence("connecting"), "firewalls"),
            ("a", silence("resolving the name"), "name servers"),
            ("a", silence("stats"), "more time"),
            ("a", refusal("ERROR"), "that knows the command"),
            ("a", refusal("SERVER_ERROR out of memory"), "log"),
            ("a", Problem::Spool("no room".into()), "TMPDIR"),
        ] {
            let error = Error { server: server.parse().unwrap(), problem };
            assert!(error.advice().contains(words), "{error}");
            assert!(error.to_string().ends_with(error.advice()), "{error}");
            assert!(words.contains("log") || !error.advice().contains("log"), "{error}");
        }
        let error = Error { server: "/run/m.sock".parse().unwrap(), problem: connect(io::ErrorKind::PermissionDenied) };
        assert!(error.to_string().starts_with("/run/m.sock: refused: no permission to connect"), "{error}");
    }
}
