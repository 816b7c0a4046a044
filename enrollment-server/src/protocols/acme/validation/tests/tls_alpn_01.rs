//! A certificate that carries the digest.

use std::{net::IpAddr, sync::Arc, time::Duration};

use issuance::acme::{ChallengeType, Identifier};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    SanType, SignatureAlgorithm,
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    super::{ValidationFailure, Validator, sha256},
    CLOSED, NAME, OPEN, THUMBPRINT, TOKEN, assert_refused, key_authorization, leading_to, settings, validate,
    web::{Say, Web},
};

const ACME: &[u8] = b"acme-tls/1";

/// A certificate for the challenge, to be spoilt.
struct Shown {
    params: CertificateParams,
    key: KeyPair,
    /// Signs instead of the certificate's own key.
    issuer: Option<(CertificateParams, KeyPair)>,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Shown {
    fn for_names(names: Vec<SanType>) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ACME challenge");
        params.subject_alt_names = names;
        params.custom_extensions = vec![acme_identifier(&digest())];
        let key = KeyPair::generate().unwrap();
        let versions = vec![&TLS13, &TLS12];
        Self { params, key, issuer: None, protocols: vec![ACME.to_vec()], versions }
    }

    fn right() -> Self {
        Self::for_names(vec![dns(NAME)])
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut shown = Self::right();
        change(&mut shown);
        shown
    }

    fn with_extension(extension: CustomExtension) -> Self {
        Self::with(|shown| shown.params.custom_extensions = vec![extension])
    }

    fn certificate(&self) -> CertificateDer<'static> {
        match &self.issuer {
            None => self.params.self_signed(&self.key).unwrap().der().clone(),
            Some((issuer, key)) => {
                let issuer = Issuer::from_params(issuer, key);
                self.params.signed_by(&self.key, &issuer).unwrap().der().clone()
            }
        }
    }

    /// Signing with this key, which need not be the certificate's.
    fn config(&self, key: &KeyPair) -> ServerConfig {
        let provider = aws_lc_rs::default_provider();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let signer = provider.key_provider.load_private_key(key).unwrap();
        // `with_single_cert` would refuse the critical extension.
        let certified = CertifiedKey::new(vec![self.certificate()], signer);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }

    async fn serve(&self) -> Server {
        self.serve_with(&self.key).await
    }

    async fn serve_with(&self, key: &KeyPair) -> Server {
        let acceptor = TlsAcceptor::from(Arc::new(self.config(key)));
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(OPEN), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, asked) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    drop(told.send(stream.get_ref().1.server_name().map(str::to_owned)));
                }
            }
        });
        Server { port, asked, _tasks: tasks }
    }

    async fn judged(&self) -> Result<(), ValidationFailure> {
        let server = self.serve().await;
        let (_dns, validator) = leading_to(OPEN, server.port).await;
        validate(&validator, ChallengeType::TlsAlpn01).await
    }
}

struct Server {
    port: u16,
    /// The names that were asked for in handshakes that came to their end.
    asked: tokio::sync::mpsc::UnboundedReceiver<Option<String>>,
    _tasks: JoinSet<()>,
}

fn digest() -> [u8; 32] {
    sha256(&key_authorization())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn acme_identifier(digest: &[u8]) -> CustomExtension {
    CustomExtension::new_acme_identifier(digest)
}

fn raw_identifier(value: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 31], value.to_vec());
    extension.set_criticality(true);
    extension
}

fn authority() -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ACME challenge");
    (params, KeyPair::generate().unwrap())
}

#[tokio::test]
async fn a_certificate_that_is_not_of_the_challenge_is_refused() {
    let mut not_critical = acme_identifier(&digest());
    not_critical.set_criticality(false);
    let wrong = sha256("another key authorization");
    let bare = digest();
    let mut long = vec![4, 33];
    long.extend([0; 33]);
    let mut trailing = vec![4, 32];
    trailing.extend(digest());
    trailing.push(0);
    let cases = [
        ("no acmeIdentifier", Shown::with(|shown| shown.params.custom_extensions.clear())),
        ("not critical", Shown::with_extension(not_critical)),
        ("not the digest", Shown::with_extension(acme_identifier(&wrong))),
        ("malformed", Shown::with_extension(raw_identifier(&bare))),
        ("malformed", Shown::with_extension(raw_identifier(&[]))),
        ("malformed", Shown::with_extension(raw_identifier(&trailing))),
        ("not the digest", Shown::with_extension(raw_identifier(&[4, 0]))),
        ("not the digest", Shown::with_extension(raw_identifier(&long))),
        ("does not name", Shown::for_names(vec![dns("other.example.test")])),
        ("does not name", Shown::for_names(vec![dns("*.example.test")])),
        ("does not name", Shown::for_names(vec![SanType::Rfc822Name(NAME.try_into().unwrap())])),
        ("does not name", Shown::for_names(vec![SanType::IpAddress(IpAddr::from(OPEN))])),
        ("2 alternative names", Shown::for_names(vec![dns(NAME), dns("other.example.test")])),
        ("2 alternative names", Shown::for_names(vec![dns(NAME), dns(NAME)])),
        ("0 alternative names", Shown::for_names(Vec::new())),
        // The name of the issuer is the subject's, the key is not.
        ("not self-signed", Shown::with(|shown| shown.issuer = Some(authority()))),
    ];
    for (words, shown) in cases {
        assert_refused(shown.judged().await, "incorrectResponse", &[NAME, "127.0.0.2", "is refused", words]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_the_protocol_is_refused() {
    // It wants another protocol, and ends the handshake.
    let http = Shown::with(|shown| shown.protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_refused(http.judged().await, "tls", &[NAME]);
    // It chooses none: an ordinary server that happens to have the certificate.
    for version in [&TLS12, &TLS13] {
        let none = Shown::with(|shown| {
            shown.protocols.clear();
            shown.versions = vec![version];
        });
        assert_refused(none.judged().await, "tls", &[NAME, "did not choose acme-tls/1"]);
    }
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    let web = Web::saying(OPEN, Say::key_authorization()).await;
    // A web server waits for the end of a request that never comes.
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    let mut impatient = settings("127.0.0.1:9".parse().unwrap(), web.port);
    impatient.timeout = Duration::from_millis(300);
    let address = Identifier::Ip(IpAddr::from(OPEN));
    let outcome = Validator::new(&impatient).unwrap();
    let outcome = outcome.validate(ChallengeType::TlsAlpn01, &address, false, TOKEN, THUMBPRINT).await;
    assert_refused(outcome, "connection", &["127.0.0.2", "did not finish its TLS handshake in time"]);
    drop(validator);

    let listener = TcpListener::bind((std::net::Ipv4Addr::from(OPEN), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            say(&mut stream, b"220 mail.example.test ESMTP\r\n").await;
        }
    });
    let (_dns, validator) = leading_to(OPEN, port).await;
    assert_refused(validate(&validator, ChallengeType::TlsAlpn01).await, "tls", &[NAME, "TLS with"]);
}

async fn say(stream: &mut TcpStream, text: &[u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(text).await.unwrap();
    let mut hello = [0; 4096];
    drop(stream.read(&mut hello).await);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_contacted() {
    let (_dns, validator) = leading_to(CLOSED, 443).await;
    let outcome = validate(&validator, ChallengeType::TlsAlpn01).await;
    assert_refused(outcome, "connection", &[NAME, "127.0.0.3", "not public"]);
}

#[tokio::test]
async fn whoever_shows_the_certificate_has_its_key() {
    // The certificate is right, the key that signs the handshake is another of the same kind.
    for versions in [vec![&TLS12], vec![&TLS13]] {
        let right = Shown::with(|shown| shown.versions = versions);
        let server = right.serve_with(&KeyPair::generate().unwrap()).await;
        let (_dns, validator) = leading_to(OPEN, server.port).await;
        assert_refused(validate(&validator, ChallengeType::TlsAlpn01).await, "tls", &[NAME, "TLS with"]);
    }
}

#[tokio::test]
async fn the_right_certificate_proves_control() {
    let mut server = Shown::right().serve().await;
    let (_dns, validator) = leading_to(OPEN, server.port).await;
    validate(&validator, ChallengeType::TlsAlpn01).await.unwrap();
    assert_eq!(server.asked.recv().await.unwrap().as_deref(), Some(NAME));
}

#[tokio::test]
async fn every_version_of_tls_and_kind_of_key_proves_control() {
    let algorithms: [&'static SignatureAlgorithm; 4] = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    for algorithm in algorithms {
        for version in [&TLS12, &TLS13] {
            let shown = Shown::with(|shown| {
                shown.key = KeyPair::generate_for(algorithm).unwrap();
                shown.versions = vec![version];
            });
            shown.judged().await.unwrap_or_else(|error| panic!("{algorithm:?} {version:?}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_name_in_another_case_is_the_same() {
    Shown::for_names(vec![dns("WWW.Example.TEST")]).judged().await.unwrap();
}

#[tokio::test]
async fn an_address_is_asked_for_by_its_reverse_name() {
    let address = IpAddr::from(OPEN);
    let mut server = Shown::for_names(vec![SanType::IpAddress(address)]).serve().await;
    let (_dns, validator) = leading_to(OPEN, server.port).await;
    let kind = ChallengeType::TlsAlpn01;
    validator.validate(kind, &Identifier::Ip(address), false, TOKEN, THUMBPRINT).await.unwrap();
    assert_eq!(server.asked.recv().await.unwrap().as_deref(), Some("2.0.0.127.in-addr.arpa"));

    let named = Shown::for_names(vec![dns("2.0.0.127.in-addr.arpa")]).serve().await;
    let (_dns, validator) = leading_to(OPEN, named.port).await;
    let outcome = validator.validate(kind, &Identifier::Ip(address), false, TOKEN, THUMBPRINT).await;
    assert_refused(outcome, "incorrectResponse", &["does not name 127.0.0.2"]);
}
