//! Decides whether a server's certificate is trusted.

use std::path::Path;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::fault::is_an_authority;
use super::{TrustError, certificates};

/// Verifies as rustls does, and also accepts a certificate that is itself in the file of trusted ones, even if it is an
/// authority's: `openssl req -x509` makes certificates of this kind, and people use them for servers.
///
/// This extends trust to no one else: the holder of that certificate's key could sign a further certificate with it
/// anyway.
#[derive(Debug)]
pub(super) struct Verifier {
    by_rustls: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Trusts the certificates in a file, and those that they have signed.
    pub(super) fn trusting(file: &Path, provider: Arc<CryptoProvider>) -> Result<Self, TrustError> {
        let named = certificates(file)?;
        let mut roots = RootCertStore::empty();
        for certificate in &named {
            let unfit = |_| {
                let file = file.display();
                TrustError(format!(
                    "{file}: a certificate in it cannot be parsed: give the certificate of an authority"
                ))
            };
            roots.add(certificate.clone()).map_err(unfit)?;
        }
        Self::new(roots, named, provider)
    }

    /// Trusts the authorities that the system trusts.
    pub(super) fn trusting_the_system(provider: Arc<CryptoProvider>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(load_native_certs().certs);
        if roots.is_empty() {
            let what = "this system trusts no certificate authority";
            return Err(TrustError(format!("{what}: install ca-certificates, or name a file of trusted authorities")));
        }
        Self::new(roots, Vec::new(), provider)
    }

    fn new(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TrustError> {
        let by_rustls = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let by_rustls =
            by_rustls.map_err(|error| TrustError(format!("no TLS: {error}: check the trusted authorities")))?;
        Ok(Self { by_rustls, named })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.by_rustls.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // rustls has checked its dates before it returns this error.
            Err(error) if is_an_authority(&error) && self.named.iter().any(|named| named == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_rustls.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_rustls.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_rustls.supported_verify_schemes()
    }
}
