//! What to do about an error, in the words of the command line: where an option helps, it is named.

use mcflush::error::{Error, Problem, TlsCure};
use mcflush::scope::PrefixError;

/// The last part of an error's line.
pub fn of(error: &Error) -> &'static str {
    match &error.problem {
        Problem::Silence { doing, .. } if !["connecting", "resolving the name"].contains(doing) => {
            "see whether the server answers others, or allow more with --timeout"
        }
        Problem::Login(_) => "check --user and --password-file, the variables in their place, or the URL's",
        Problem::Unauthenticated => "give --user and --password-file, or write memcached://user:password@host",
        Problem::OutOfReach { .. } => "start memcached without -B ascii and -Y, or use --all",
        Problem::Deadline { .. } => "run it again, or allow more with --deadline",
        Problem::Disabled { what: "flush_all", .. } => "start memcached without -F, or clear by --prefix",
        Problem::Tls { cure, .. } => match cure {
            TlsCure::TrustSigner => "give --tls-ca the file of who did",
            TlsCure::TrustItself => "give --tls-ca that certificate itself, or the server one of its own",
            TlsCure::ExpectName => "check the host, or name the one to expect by --tls-name",
            TlsCure::NameIt => "give --tls-name",
            TlsCure::KnownName => "name the one it has by --tls-name",
            TlsCure::ClientCertificate => "give --tls-cert and --tls-key",
            TlsCure::SignedClientCertificate => {
                "give --tls-cert and --tls-key that the server's ssl_ca_cert has signed"
            }
            TlsCure::UseTls => "write memcacheds://host, with --tls-ca where its certificate needs it",
            _ => error.advice(),
        },
        _ => error.advice(),
    }
}

/// The whole line.
pub fn line(error: &Error) -> String {
    let Error { server, problem, .. } = error;
    format!("{server}: {}: {problem}: {}", error.kind(), of(error))
}

/// What is wrong with a prefix, and what was meant perhaps.
pub fn of_prefix(error: PrefixError) -> String {
    match error {
        PrefixError::Empty => format!("{error}: use --all for that"),
        error => error.to_string(),
    }
}
