//! A server with one method and its passphrase.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use issuance::{
    Engine,
    audit::Actor,
    authority::{Authority, IssuingProfile, Method, Office},
    credential::{CredentialRow, Verifier, generate},
    identity::{CredentialId, Protocol, ResourceName},
    policy::{Profile, ProtocolRule, Strength},
    ports::{SignError, Signer, random},
    revocation::Revocation,
    sealing::SealingKeys,
    secret::Secret,
    store::{CertificateFilter, CertificateRow, Page, memory::MemoryStore},
};
use pki::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    certificate::Certificate,
    cms::certs_only_certificates,
    key::PublicKey,
};
use resolve::CompiledEst;
use rustls_pki_types::CertificateDer;
use signers::SoftwareSigner;
use tower::ServiceExt as _;

use super::super::{
    super::testing::{TurnedClock, new_credential, put_credential, root},
    EstService, router,
};
use crate::{
    listeners::{Limits, Peer},
    metrics::Metrics,
    serving::{App, Labelled, Serving},
};

type Settings = Box<dyn FnOnce(&mut CompiledEst, &Authority)>;

/// What a server is to be like; otherwise as the defaults of the resources say.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) policy: Box<dyn FnOnce(&mut Profile)>,
    pub(super) settings: Settings,
    /// Another authority is to take over.
    pub(super) successor: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            policy: Box::new(|_| {}),
            settings: Box::new(|_, _| {}),
            successor: false,
        }
    }
}

impl Setup {
    pub(super) fn policy(self, change: impl FnOnce(&mut Profile) + 'static) -> Self {
        Self { policy: Box::new(change), ..self }
    }

    pub(super) fn settings(self, change: impl FnOnce(&mut CompiledEst, &Authority) + 'static) -> Self {
        Self { settings: Box::new(change), ..self }
    }
}

pub(super) struct Scene {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) method: Arc<Method>,
    pub(super) passphrase: Secret,
    pub(super) credential: CredentialRow,
    pub(super) authority: Arc<Authority>,
    pub(super) successor: Option<Arc<Authority>>,
    pub(super) clock: Arc<TurnedClock>,
    pub(super) signer: Arc<InterruptedSigner>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        let der = unfold(&self.text());
        certs_only_certificates(&der).unwrap().iter().map(|der| Certificate::from_der(der).unwrap()).collect()
    }

    /// The one certificate of an answer to an enrolment.
    pub(super) fn certificate(&self) -> Certificate {
        let certificates = self.certificates();
        assert_eq!(certificates.len(), 1);
        certificates.into_iter().next().unwrap()
    }

    /// Asserts a refusal, whose sentence holds `reason`.
    #[track_caller]
    pub(super) fn refused(&self, status: StatusCode, reason: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.text().contains(reason), "{reason:?} is not in {:?}", self.text());
    }
}

/// The octets of base64 in lines.
pub(super) fn unfold(text: &str) -> Vec<u8> {
    STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).unwrap()
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Profile) + 'static) -> Self {
        Self::of(Setup::default().policy(change)).await
    }

    pub(super) async fn of(setup: Setup) -> Self {
        let clock = Arc::new(TurnedClock::default());
        let engine = Engine::new(Arc::new(MemoryStore::default()), clock.clone());
        let signer = Arc::new(InterruptedSigner::new());
        let root_of = |name: &str, signer: Arc<InterruptedSigner>| {
            root(&engine, ResourceName::new("acme", name), Duration::from_secs(86_400), signer)
        };
        let authority = root_of("root", signer.clone()).await;
        let successor = match setup.successor {
            true => Some(root_of("next", Arc::new(InterruptedSigner::new())).await),
            false => None,
        };
        let mut policy = policy(&authority.name);
        (setup.policy)(&mut policy);
        let mut settings = CompiledEst::default();
        (setup.settings)(&mut settings, &authority);
        let method = Arc::new(Method {
            name: ResourceName::new("acme", "devices"),
            protocol: Protocol::Est,
            minimum: Strength::SharedSecret,
            profile: Arc::new(IssuingProfile { policy, authority: Some(authority.clone()) }),
            retry_after: Duration::from_secs(7),
        });
        let (passphrase, credential) = credential(&engine, &method, None).await;
        let sealing = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
        let limits = Arc::new(ArcSwap::from_pointee(setup.limits));
        let app = Arc::new(App::new(engine, Arc::new(Metrics::new()), limits, Arc::new(sealing)).unwrap());
        let mut office = Office::default();
        for authority in std::iter::once(&authority).chain(&successor) {
            office.authorities.insert(authority.name.clone(), authority.clone());
        }
        office.methods.insert(method.name.clone(), method.clone());
        let next = successor.as_ref().map(|authority| authority.chain.clone()).unwrap_or_default();
        let service = Arc::new(EstService::new(method.clone(), &settings, &next, &office).unwrap());
        let by_label = ["acme.devices", "devices"].map(|label| (label.to_owned(), service.clone())).into();
        app.serve(Serving {
            generation: 1,
            office,
            est: Labelled { by_label, default: Some(service) },
            checkpoint_interval: Duration::from_secs(3600),
            ..Serving::default()
        });
        let router = router(app.clone());
        Self { router, app, method, passphrase, credential, authority, successor, clock, signer }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_as(request, &[]).await
    }

    /// As a client that showed this chain in the handshake, its own certificate first.
    pub(super) async fn send_as(&self, request: Request<Body>, chain: &[Vec<u8>]) -> Answer {
        let mut request = request;
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let certificates = chain.iter().cloned().map(CertificateDer::from).collect();
        request.extensions_mut().insert(Peer { certificates, ..Peer::plain(address) });
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The passphrase under any name, as a header.
    pub(super) fn basic(&self, user: &str) -> String {
        basic(user, self.passphrase.expose())
    }

    pub(super) async fn enroll(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.send(post("/.well-known/est/devices/simpleenroll", &self.basic("anyone"), body)).await
    }

    /// `operation` with a request in base64 and nothing but a certificate to show.
    pub(super) async fn with_certificate(&self, operation: &str, csr: &[u8], chain: &[Vec<u8>]) -> Answer {
        let request = Request::post(format!("/.well-known/est/devices/{operation}"));
        let request = request.header(CONTENT_TYPE, "application/pkcs10");
        self.send_as(request.body(Body::from(STANDARD.encode(csr))).unwrap(), chain).await
    }

    pub(super) async fn put(&self, row: CredentialRow) {
        put_credential(&self.app.engine, row).await;
    }

    pub(super) async fn row(&self, certificate: &Certificate) -> CertificateRow {
        let store = self.app.engine.store();
        store.certificate(self.authority.key_id(), certificate.serial()).await.unwrap().unwrap()
    }

    /// How many certificates of the profile there are.
    pub(super) async fn issued(&self) -> usize {
        let profile = Some(self.method.profile.policy.name.clone());
        let filter = CertificateFilter { profile, ..CertificateFilter::default() };
        self.app.engine.store().certificates(&filter, &Page::first(100)).await.unwrap().len()
    }

    pub(super) async fn revoke(&self, certificate: &Certificate, revocation: Revocation) {
        let actor = Actor::Operator { name: "ann".into() };
        let engine = &self.app.engine;
        engine.revoke(self.authority.key_id(), certificate.serial(), revocation, actor).await.unwrap();
    }

    /// The newest record of the audit trail.
    pub(super) async fn last_audit_record(&self) -> String {
        let store = self.app.engine.store();
        let stream = &store.audit_streams().await.unwrap()[0];
        store.audit_head(stream).await.unwrap().unwrap().body
    }
}

pub(super) fn basic(user: &str, password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode([user.as_bytes(), b":", password].concat()))
}

pub(super) fn post(path: &str, authorization: &str, body: impl Into<Vec<u8>>) -> Request<Body> {
    Request::post(path)
        .header(CONTENT_TYPE, "application/pkcs10")
        .header(AUTHORIZATION, authorization)
        .body(Body::from(body.into()))
        .unwrap()
}

pub(super) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn policy(authority: &ResourceName) -> Profile {
    let server = ResourceName::new("acme", "device");
    let role = crate::roles::Role::tls(server, &[], &[], Duration::from_secs(3600));
    Profile {
        protocols: vec![ProtocolRule {
            protocol: Protocol::Est,
            minimum_authentication: Strength::SharedSecret,
        }],
        ..crate::roles::policy(&role, authority)
    }
}

/// A credential of the method, owned by the workshop; without a name, any name goes with it.
pub(super) async fn credential(
    engine: &Engine,
    method: &Method,
    username: Option<&str>,
) -> (Secret, CredentialRow) {
    let secret = generate().unwrap();
    let name = ResourceName::new("acme", username.unwrap_or("passphrase"));
    let id = CredentialId::from_random(random().unwrap());
    let row = new_credential(engine, method, id, name, username, Verifier::of_generated(&secret));
    (secret, put_credential(engine, row).await)
}

type Interruption = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An authority's key. Something can be made to happen just before it signs: after the look, before the commit.
pub(super) struct InterruptedSigner {
    inner: SoftwareSigner,
    interruption: Mutex<Option<Interruption>>,
}

impl InterruptedSigner {
    fn new() -> Self {
        let inner = SoftwareSigner::generate(KeyAlgorithm::EcdsaP256).unwrap();
        Self { inner, interruption: Mutex::default() }
    }

    pub(super) fn before_signing(&self, interruption: impl Future<Output = ()> + Send + 'static) {
        *self.interruption.lock().unwrap() = Some(Box::pin(interruption));
    }
}

impl std::fmt::Debug for InterruptedSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Signer for InterruptedSigner {
    fn public_key(&self) -> &PublicKey {
        self.inner.public_key()
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.inner.signature_algorithm()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let interruption = self.interruption.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption.await;
        }
        self.inner.sign(message).await
    }
}
