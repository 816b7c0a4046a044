//! How a server is known, and what certificate is shown to it.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// Which authorities vouch for a server. There is no way to trust anybody.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that the system trusts.
    System,
    /// These, and no others: PEM.
    Authorities(Vec<u8>),
}

/// A certificate to show in the TLS handshake.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Why TLS cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("there is no certificate in PEM")]
    NoCertificate,
    #[error("a certificate cannot be read")]
    Certificate,
    #[error("the private key cannot be read: it must be in PEM, and not encrypted")]
    Key,
    #[error("the system trusts no authority: give the server's authority")]
    NoSystemRoots,
    #[error("certificate and key cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

impl ClientIdentity {
    /// The certificate, then those above it, and its key; PEM both.
    ///
    /// # Errors
    /// [`TrustError`] where either cannot be read.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TrustError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TrustError::Key)?;
        Ok(Self { chain: certificates(chain)?, key: Arc::new(key) })
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Trust {
    /// How TLS is spoken.
    pub(super) fn configuration(
        &self,
        identity: Option<&ClientIdentity>,
    ) -> Result<ClientConfig, TrustError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        let mut configuration = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?
            }
        };
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(configuration)
    }

    fn roots(&self) -> Result<RootCertStore, TrustError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                // Some certificates of some systems cannot be read; the others are good.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TrustError::NoSystemRoots);
                }
            }
            Self::Authorities(pem) => {
                for certificate in certificates(pem)? {
                    roots.add(certificate).map_err(|_| TrustError::Certificate)?;
                }
            }
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| TrustError::Certificate)?;
    if certificates.is_empty() { Err(TrustError::NoCertificate) } else { Ok(certificates) }
}
