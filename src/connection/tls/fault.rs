//! Turns TLS errors into messages that say which certificate is wrong and how to fix that.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::problem;
use crate::error::{Problem, TlsCure};

/// The TLS problem behind a failed read or write; none if there is none.
pub(crate) fn fault(error: &io::Error) -> Option<Problem> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let (what, cure) = match error {
        Error::InvalidCertificate(error) => return Some(of_certificate(error)),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(_) => {
            ("the server does not speak TLS", TlsCure::Other("start it with -Z, or write memcached:// without the s"))
        }
        Error::PeerIncompatible(_) => (
            "the server offers no version of TLS, or no cipher, that is still safe",
            TlsCure::Other("let it offer TLS 1.2 or later (-o ssl_min_version)"),
        ),
        Error::NoCertificatesPresented => {
            ("the server has no certificate", TlsCure::Other("start it with -o ssl_chain_cert=FILE,ssl_key=FILE"))
        }
        _ => ("the TLS handshake failed", TlsCure::Other("check whether openssl s_client connects to the server")),
    };
    Some(problem(what.into(), cure))
}

fn of_certificate(error: &CertificateError) -> Problem {
    let (what, cure) = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("the server's certificate has expired", TlsCure::Other("have it renewed"))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("the server's certificate is not valid yet", TlsCure::Other("check the clock of this machine"))
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => (
            "the server's certificate has no host name in it (subjectAltName; its CN does not count)",
            TlsCure::Other("have it issued again with the host in subjectAltName"),
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            let what = format!(
                "the server's certificate is not for this name {}, but {}",
                expected.to_str(),
                names.join(", ")
            );
            return problem(what, TlsCure::ExpectName);
        }
        CertificateError::NotValidForName => ("the server's certificate is not for this name", TlsCure::ExpectName),
        // Also if another authority with the same name signed it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            ("no trusted authority signed the server's certificate", TlsCure::TrustSigner)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            "the server's certificate is not for servers (extendedKeyUsage)",
            TlsCure::Other("have it issued again with serverAuth"),
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "the server's certificate is signed in a way that is no longer safe, such as SHA-1",
            TlsCure::Other("have it issued again, signed with SHA-256"),
        ),
        error => match by_webpki(error) {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                ("the server's certificate is that of an authority (CA:TRUE)", TlsCure::TrustItself)
            }
            Some(webpki::Error::UnsupportedCertVersion) => (
                "the server's certificate is of X.509 version 1, which has no place for host names",
                TlsCure::Other("have it issued again as version 3, with the host in subjectAltName"),
            ),
            _ => (
                "the server's certificate has a form that mcflush does not understand",
                TlsCure::Other("have it issued again as X.509 version 3, with the host in subjectAltName"),
            ),
        },
    };
    problem(what.into(), cure)
}

/// The server ended the handshake with an alert that gives its reason.
fn of_alert(alert: AlertDescription) -> (&'static str, TlsCure) {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure => (
            "the server wants a client certificate, or accepts nothing that mcflush offers",
            TlsCure::ClientCertificate,
        ),
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => (
            "the server takes no version of TLS, or no cipher, that is still safe",
            TlsCure::Other("let it offer TLS 1.2 or later (-o ssl_min_version)"),
        ),
        AlertDescription::UnrecognisedName => {
            ("the server does not know the name that it was asked for", TlsCure::KnownName)
        }
        AlertDescription::AccessDenied
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::UnknownCA
        | AlertDescription::UnsupportedCertificate => {
            ("the server does not accept the client certificate", TlsCure::SignedClientCertificate)
        }
        _ => ("the server ended the TLS handshake", TlsCure::Other("check its log")),
    }
}

/// Whether a certificate is refused because it belongs to an authority and not to a server.
pub(super) fn is_an_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else { return false };
    matches!(by_webpki(error), Some(webpki::Error::CaUsedAsEndEntity))
}

/// The webpki error, if rustls has no name of its own for it.
fn by_webpki(error: &CertificateError) -> Option<&webpki::Error> {
    match error {
        CertificateError::Other(other) => other.0.downcast_ref(),
        _ => None,
    }
}

/// A name from a certificate without its kind: the inner text of `DnsName("a")`, `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
