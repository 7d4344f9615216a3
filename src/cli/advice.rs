//! Advice for an error, in the words of the command line: it names the option that helps, if one does.

use mcflush::error::{Error, Problem, TlsCure};
use mcflush::scope::PrefixError;

/// The advice, which is the last part of an error's line.
pub fn of(error: &Error) -> &'static str {
    match &error.problem {
        Problem::Silence { doing, .. } if !["connecting", "resolving the name"].contains(doing) => {
            "check whether the server answers other clients, or allow more time with --timeout"
        }
        Problem::Login(_) => "check --user and --password-file, their environment variables, or the URL",
        Problem::Unauthenticated => "give --user and --password-file, or write memcached://user:password@host",
        Problem::OutOfReach { .. } => "start memcached without -B ascii and -Y, or use --all",
        Problem::Deadline { .. } => "run it again, or allow more time with --deadline",
        Problem::Disabled { what: "flush_all", .. } => "start memcached without -F, or clear by --prefix",
        Problem::Tls { cure, .. } => match cure {
            TlsCure::TrustSigner => "give --tls-ca the file of the authority that signed it",
            TlsCure::TrustItself => {
                "give --tls-ca that certificate itself, or give the server a certificate of its own"
            }
            TlsCure::ExpectName => "check the host, or give the name to expect by --tls-name",
            TlsCure::NameIt => "give --tls-name",
            TlsCure::KnownName => "give --tls-name the name by which the server knows itself",
            TlsCure::ClientCertificate => "give --tls-cert and --tls-key",
            TlsCure::SignedClientCertificate => {
                "give a --tls-cert that the server's ssl_ca_cert has signed, and its --tls-key"
            }
            TlsCure::UseTls => "write memcacheds://host, and give --tls-ca if its certificate needs it",
            _ => error.advice(),
        },
        _ => error.advice(),
    }
}

/// The whole line of an error.
pub fn line(error: &Error) -> String {
    let Error { server, problem, .. } = error;
    format!("{server}: {}: {problem}: {}", error.kind(), of(error))
}

/// What is wrong with a prefix, with the option that was perhaps meant.
pub fn of_prefix(error: PrefixError) -> String {
    match error {
        PrefixError::Empty => format!("{error}: use --all for that"),
        error => error.to_string(),
    }
}
