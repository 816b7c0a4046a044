//! TLS with whoever answers: no authority vouches for these certificates, but their holder proves that it has the key.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use pki::certificate::Certificate;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key},
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use webpki::RawPublicKeyEntity;

/// Says no to a certificate, in words.
type Judge = Box<dyn Fn(&Certificate) -> Result<(), String> + Send + Sync>;

/// TLS as validations speak it.
#[derive(Debug)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// For redirects to https: whatever certificate the name has now, if it has one at all.
    pub(super) unjudged: Arc<ClientConfig>,
}

/// TLS for one handshake whose certificate is judged as soon as it comes.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

impl Tls {
    /// # Errors
    /// Where the cryptography has no TLS 1.2 or 1.3.
    pub(super) fn new() -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unjudged = configuration(&provider, Arc::new(Verifier::new(&provider, None)), Vec::new())?;
        Ok(Self { provider, unjudged })
    }

    /// `protocol`: the one that is offered (ALPN).
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub(super) fn judged(
        &self,
        judge: impl Fn(&Certificate) -> Result<(), String> + Send + Sync + 'static,
        protocol: &[u8],
    ) -> Result<Judged, Error> {
        let verifier = Arc::new(Verifier::new(&self.provider, Some(Box::new(judge))));
        let config = configuration(&self.provider, verifier.clone(), vec![protocol.to_vec()])?;
        Ok(Judged { config, verifier })
    }
}

impl Judged {
    /// Why the certificate was refused, where it was.
    pub(super) fn refusal(&self) -> Option<String> {
        self.verifier.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn configuration(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
    protocols: Vec<Vec<u8>>,
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols;
    // Whoever answers is asked once.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

struct Verifier {
    provider: Arc<CryptoProvider>,
    judge: Option<Judge>,
    refusal: Mutex<Option<String>>,
}

impl Verifier {
    fn new(provider: &Arc<CryptoProvider>, judge: Option<Judge>) -> Self {
        Self { provider: provider.clone(), judge, refusal: Mutex::default() }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(judge) = &self.judge else { return Ok(ServerCertVerified::assertion()) };
        let judged = Certificate::from_der(end_entity).map_err(|error| error.to_string());
        judged.and_then(|certificate| judge(&certificate)).map_err(|refusal| {
            let error = Error::General(refusal.clone());
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
            error
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.judge.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let spki = public_key(cert)?;
        let key = RawPublicKeyEntity::try_from(&spki).map_err(unusable_key)?;
        let algorithms = self.provider.signature_verification_algorithms;
        // In TLS 1.2 a scheme does not name its curve: several algorithms may fit.
        let fitting = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let mut fitting = fitting.flat_map(|(_, algorithms)| algorithms.iter());
        if fitting.any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(Error::General("the handshake is not signed with the certificate's key".into()))
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.judge.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        // Not by the certificate: webpki refuses one with a critical extension that it does not know.
        let algorithms = self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &public_key(cert)?, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("judges", &self.judge.is_some()).finish_non_exhaustive()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let certificate =
        Certificate::from_der(certificate).map_err(|error| Error::General(error.to_string()))?;
    Ok(SubjectPublicKeyInfoDer::from(certificate.public_key().spki_der().to_vec()))
}

fn unusable_key(_: webpki::Error) -> Error {
    Error::General("the certificate's key cannot be used".into())
}
