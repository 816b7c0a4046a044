//! TLS of the device listener: TLS 1.2 and 1.3, a server certificate that can be replaced while running, and a client
//! certificate that is asked for and not judged.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};

/// ALPN protocol IDs (RFC 7301), preferred first. What is agreed decides which HTTP a connection speaks.
pub(super) const ALPN_H2: &[u8] = b"h2";
pub(super) const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate and key that a listener cannot serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain holds no certificate.
    #[error("the server certificate chain is empty")]
    EmptyChain,
    /// The key is not a PKCS#8 key of a kind that TLS can use.
    #[error("the server key cannot be used for TLS")]
    Key(#[source] rustls::Error),
    /// The first certificate of the chain is not for this key, or cannot be read.
    #[error("the server certificate does not belong to its key")]
    Mismatch(#[source] rustls::Error),
    /// The library refused the configuration.
    #[error("the TLS configuration is not usable")]
    Configuration(#[source] rustls::Error),
}

/// What a TLS listener is made of.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate shown; keep a handle to replace it later.
    pub certificate: Arc<ServerCertificate>,
}

impl TlsSettings {
    /// The configuration of a listener. Sessions do not resume: devices come once in months, so that the tickets which
    /// every handshake would make and send (RFC 8446 §4.6.1) are hardly ever used, and who shows a certificate proves
    /// with each connection that the key is still there. Without tickets there is no early data either: an enrolment
    /// must not be replayable (RFC 8446 §8).
    pub fn build(self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = AnyClientCertificate { algorithms: provider.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Configuration)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.certificate);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }
}

/// A chain and the key that goes with it, fit to be shown: a key that does not match would only show in the handshakes of
/// clients.
pub struct ServerIdentity(Arc<CertifiedKey>);

impl ServerIdentity {
    /// `chain`: DER certificates, leaf first. `key`: the private key of the leaf.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Self, TlsError> {
        if chain.is_empty() {
            return Err(TlsError::EmptyChain);
        }
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key.into()).map_err(TlsError::Key)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(TlsError::Mismatch)?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("certificates", &self.0.cert.len())
            .field("key", &"<redacted>")
            .finish()
    }
}

/// The certificate that a listener shows, replaceable while it runs: handshakes that begin afterwards get the new one.
/// While there is none, handshakes fail.
pub struct ServerCertificate {
    current: ArcSwapOption<CertifiedKey>,
}

impl ServerCertificate {
    pub fn new(identity: ServerIdentity) -> Self {
        Self { current: ArcSwapOption::new(Some(identity.0)) }
    }

    /// Shows nothing yet.
    pub fn none() -> Self {
        Self { current: ArcSwapOption::empty() }
    }

    /// Shows this from now on.
    pub fn show(&self, identity: Option<ServerIdentity>) {
        self.current.store(identity.map(|identity| identity.0));
    }

    /// The chain shown now, leaf first; empty where nothing is shown.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().as_ref().map(|current| current.cert.clone()).unwrap_or_default()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("certificates", &self.chain().len())
            .field("key", &"<redacted>")
            .finish()
    }
}

/// Takes **any** client certificate, and none. It checks one thing: that the peer signed the handshake with the key of
/// the certificate it showed (RFC 8446 §4.4.3, RFC 5246 §7.4.8). It builds no chain and looks at no name, validity or
/// revocation.
///
/// One listener serves methods that trust different authorities, and the method is known only once the request path
/// is. So nothing may read [`Peer::certificates`](super::Peer::certificates) as an identity: a method passes the chain
/// to `issuance::authn`, which judges it against that method's trust anchors.
#[derive(Debug)]
struct AnyClientCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClientCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a client that chooses by them would not send a certificate of an authority of some method, and a
    /// stranger would learn which authorities are trusted.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
