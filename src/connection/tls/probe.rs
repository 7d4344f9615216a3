//! Finds out whether a server speaks TLS, for a caller that did not ask for TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, crypto};

use super::problem;
use crate::address::ServerAddr;
use crate::connection::open;
use crate::connection::wait::TimeLimit;
use crate::error::{Problem, TlsCure};
use crate::resolver::Resolver;

/// Whether a server answers a TLS handshake, successfully or not. A server with TLS closes other connections without an
/// answer, as proxies do.
pub(crate) async fn is_spoken_by(server: &ServerAddr, resolver: &Resolver, within: Duration) -> bool {
    let limit = TimeLimit::new(within);
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let (Ok(config), Ok(name)) = (config, ServerName::try_from("localhost")) else { return false };
    // This handshake trusts no authority, and nothing is sent after it.
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let handshake = async {
        let connection = open(server, resolver, limit).await?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, connection).await)
    };
    match limit.keep("the TLS handshake", handshake).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(error) => !matches!(error, Error::InvalidMessage(_)),
            None => false,
        },
        Err(_) => false,
    }
}

/// The problem of a server that speaks TLS to a caller that did not ask for TLS.
pub(crate) fn unexpected() -> Problem {
    problem("the server speaks TLS".into(), TlsCure::UseTls)
}
