//! TLS (`-Z`, since 1.5.13), with rustls.

mod fault;
#[cfg(feature = "ops")]
mod probe;
mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error, crypto};

pub(crate) use self::fault::fault;
#[cfg(feature = "ops")]
pub(crate) use self::probe::{is_spoken_by, unexpected};
use self::verifier::Verifier;
use super::Connection;
use crate::address::ServerAddr;
use crate::error::{Problem, TlsCure};

/// Which certificates are trusted, and the client's own certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// A PEM file with the certificates of trusted authorities; none to trust those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// PEM files with the client's certificate and its key, for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; none for the host that is connected to.
    pub name: Option<String>,
}

/// Why TLS cannot be set up, and what to do about it.
///
/// ```
/// use mcflush::connection::tls::{Tls, Trust};
/// let trust = Trust { authorities: Some("/nonexistent".into()), ..Trust::default() };
/// assert!(Tls::new(&trust).unwrap_err().to_string().starts_with("/nonexistent: "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TrustError(String);

/// TLS as a client, with its files read and checked.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files and checks them.
    ///
    /// ```no_run
    /// use mcflush::connection::tls::{Tls, Trust};
    /// let trust = Trust { authorities: Some("/etc/ssl/caches.pem".into()), ..Trust::default() };
    /// let tls = Tls::new(&trust)?;
    /// # Ok::<(), mcflush::connection::tls::TrustError>(())
    /// ```
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the system trusts no authority.
    pub fn new(trust: &Trust) -> Result<Self, TrustError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let unusable = |error: Error| TrustError(format!("no TLS: {error}: check the trusted authorities"));
        let verifier = match &trust.authorities {
            Some(file) => Verifier::trusting(file, Arc::clone(&provider)),
            None => Verifier::trusting_the_system(Arc::clone(&provider)),
        };
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        // The verifier accepts more than rustls does, and checks no less.
        let config = config.map_err(unusable)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier?));
        let mut config = match &trust.identity {
            Some((certificate, key)) => {
                let key_of =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error, "a private key"))?;
                config.with_client_auth_cert(certificates(certificate)?, key_of).map_err(|_| {
                    let (certificate, key) = (certificate.display(), key.display());
                    TrustError(format!(
                        "{certificate} and {key} do not belong together: give a certificate and its own key"
                    ))
                })?
            }
            None => config.with_no_client_auth(),
        };
        // A server that wants client certificates refuses a resumed session with an alert (seen on 1.6.18, which gives
        // OpenSSL no name for its sessions). A run opens only a few connections to a server, so each makes a full
        // handshake.
        config.resumption = Resumption::disabled();
        let name = trust.name.as_deref().map(|name| {
            let wrong =
                |_| TrustError(format!("{name:?} cannot be a name in a certificate: give a host name or an IP"));
            ServerName::try_from(name.to_owned()).map_err(wrong)
        });
        Ok(Self { config: Arc::new(config), name: name.transpose()? })
    }

    /// The same, expecting this name if none is set.
    #[must_use]
    pub fn expecting(mut self, name: &str) -> Self {
        self.name = self.name.or_else(|| ServerName::try_from(name.to_owned()).ok());
        self
    }

    /// Makes the handshake over an open connection.
    pub(super) async fn over(&self, connection: Connection, server: &ServerAddr) -> Result<Connection, Problem> {
        let name = match (&self.name, server) {
            (Some(name), _) => Some(name.clone()),
            (None, ServerAddr::Tcp { host, .. }) => ServerName::try_from(host.clone()).ok(),
            (None, ServerAddr::Unix(_)) => None,
        };
        let unnamed = || problem("there is no name to expect in the server's certificate".into(), TlsCure::NameIt);
        let name = name.ok_or_else(unnamed)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, connection).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(fault(&error).unwrap_or_else(|| {
                let source = (error.kind() != io::ErrorKind::UnexpectedEof).then_some(error);
                let what = match source {
                    Some(error) => format!("the connection was lost during the TLS handshake ({error})"),
                    None => "the server closed the connection during the TLS handshake".into(),
                };
                problem(what, TlsCure::Other("check that it was started with -Z, or write memcached:// without the s"))
            })),
        }
    }
}

/// The problem of a server that does not answer the handshake.
pub(super) fn silence(after: Duration) -> Problem {
    let what = format!("no answer to the TLS handshake for {} s", after.as_secs_f64());
    problem(what, TlsCure::Other("check that the server was started with -Z, or write memcached:// without the s"))
}

fn problem(what: String, cure: TlsCure) -> Problem {
    Problem::Tls { what, cure }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let wrong = |error| unreadable(file, &error, "certificates");
    let found: Vec<_> = CertificateDer::pem_file_iter(file).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() {
        let file = file.display();
        return Err(TrustError(format!("{file}: it holds no certificate: give a file with certificates in PEM")));
    }
    Ok(found)
}

fn unreadable(file: &Path, error: &tokio_rustls::rustls::pki_types::pem::Error, what: &str) -> TrustError {
    TrustError(format!("{}: {error}: give a file with {what} in PEM", file.display()))
}
