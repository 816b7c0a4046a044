//! TLS of the internal listener: TLS 1.3, and a client certificate that must be the operator's.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use issuance::{
    Error,
    authn::{Operator, OperatorTrust},
    error::AuthenticationFailure,
    ports::Clock,
};
use pki::time::Time;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    Peer, ServerCertificate, TlsError,
    tls::{ALPN_H2, ALPN_HTTP_1_1},
};

/// Says who is the operator, by what the configuration in force trusts; before the first one, nobody is.
pub struct OperatorGate {
    trust: ArcSwapOption<OperatorTrust>,
    clock: Arc<dyn Clock>,
}

impl OperatorGate {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { trust: ArcSwapOption::empty(), clock }
    }

    /// From now on; connections that are open are judged anew with each request.
    pub fn trust(&self, trust: Option<OperatorTrust>) {
        self.trust.store(trust.map(Arc::new));
    }

    /// Judges a peer whose handshake is complete.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log.
    pub fn admit(&self, peer: &Peer) -> Result<Operator, Error> {
        self.judge(&peer.certificates, self.clock.now())
    }

    fn judge(&self, chain: &[CertificateDer<'_>], now: Time) -> Result<Operator, Error> {
        let trust = self.trust.load();
        let trust = trust.as_ref().ok_or(Error::Unauthenticated(AuthenticationFailure::Untrusted))?;
        trust.verify(chain, now)
    }
}

impl fmt::Debug for OperatorGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorGate").field("trust", &*self.trust.load()).finish_non_exhaustive()
    }
}

/// What the internal listener is made of.
#[derive(Debug)]
pub struct MutualTls {
    pub certificate: Arc<ServerCertificate>,
    pub gate: Arc<OperatorGate>,
}

impl MutualTls {
    /// The configuration of the listener. Sessions do not resume, so that a certificate is shown with each connection.
    ///
    /// # Errors
    /// [`TlsError::Configuration`].
    pub fn build(self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier = OperatorOnly { gate: self.gate, algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Configuration)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.certificate);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }
}

/// Ends the handshakes of everybody else, so that no byte of theirs reaches a parser of HTTP.
#[derive(Debug)]
struct OperatorOnly {
    gate: Arc<OperatorGate>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for OperatorOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity.clone()).chain(intermediates.iter().cloned()).collect();
        match self.gate.judge(&chain, self.gate.clock.now()) {
            Ok(_operator) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                tracing::debug!(%error, "not the operator");
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
        }
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
