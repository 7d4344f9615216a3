//! TLS: the trusted authorities, and mcflush's own certificate.

use std::path::PathBuf;

use mcflush::connection::tls::{Tls, Trust};

/// The clap ids of these options.
pub const IDS: [&str; 4] = ["tls_ca", "tls_cert", "tls_key", "tls_name"];

#[derive(Debug, Clone, clap::Args)]
pub struct TlsArgs {
    /// Certificate authorities to trust for memcacheds:// servers, in PEM [default: those of the system]
    #[arg(long, hide_short_help = true, value_name = "FILE", help_heading = super::heading::SERVERS)]
    tls_ca: Option<PathBuf>,

    /// mcflush's own certificate, in PEM, for servers that want one
    #[arg(long, hide_short_help = true, value_name = "FILE", requires = "tls_key", help_heading = super::heading::SERVERS)]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM
    #[arg(long, hide_short_help = true, value_name = "FILE", requires = "tls_cert", help_heading = super::heading::SERVERS)]
    tls_key: Option<PathBuf>,

    /// The name to expect in the servers' certificates [default: the host]
    #[arg(long, hide_short_help = true, value_name = "NAME", help_heading = super::heading::SERVERS)]
    tls_name: Option<String>,
}

impl TlsArgs {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn read(self) -> Result<Tls, String> {
        let identity = self.tls_cert.zip(self.tls_key);
        let trust = Trust { authorities: self.tls_ca, identity, name: self.tls_name };
        Tls::new(&trust).map_err(|error| error.to_string())
    }
}
