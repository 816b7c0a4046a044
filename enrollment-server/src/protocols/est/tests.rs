//! The router on the store in memory: what each operation answers, and a table of refusals.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::BodyExt as _;
use issuance::{
    Engine,
    approval::Verdict,
    authority::{Authority, CrlSettings, IssuingProfile, Method, Office, PublicationUrls},
    ceremony::AuthorityTemplate,
    credential::{CredentialRow, CredentialState, Verifier, generate},
    identity::{CredentialId, Protocol, ResourceName},
    policy::{Approval, Profile, ProtocolRule, Strength},
    ports::{Signer, SystemClock, random},
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Expect, Page, RequestFilter, Write, memory::MemoryStore},
};
use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    cms::certs_only_certificates,
    name::{Attribute, AttributeType, Name},
    pem,
};
use proptest::prelude::*;
use resolve::CompiledEst;
use signers::SoftwareSigner;
use tower::ServiceExt as _;

use super::{EstService, router, wire};
use crate::{
    listeners::{FailedAuthentications, Limits, Peer},
    metrics::Metrics,
    serving::{App, Labelled, Serving},
};

/// A server with one method and its passphrase.
struct Scene {
    app: Arc<App>,
    router: Router,
    passphrase: Secret,
    credential: CredentialRow,
    authority: Arc<Authority>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn certificates(&self) -> Vec<Certificate> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        let compact: Vec<u8> = self.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(compact).unwrap();
        certs_only_certificates(&der).unwrap().iter().map(|der| Certificate::from_der(der).unwrap()).collect()
    }
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}, Limits::default()).await
    }

    async fn with(change: impl FnOnce(&mut Profile), limits: Limits) -> Self {
        Self::of(change, limits, &CompiledEst::default()).await
    }

    async fn of(change: impl FnOnce(&mut Profile), limits: Limits, settings: &CompiledEst) -> Self {
        let store = Arc::new(MemoryStore::default());
        let engine = Engine::new(store, Arc::new(SystemClock));
        let authority = authority(&engine).await;
        let mut policy = policy(&authority.name);
        change(&mut policy);
        let method = Arc::new(Method {
            name: ResourceName::new("acme", "devices"),
            protocol: Protocol::Est,
            minimum: Strength::SharedSecret,
            profile: Arc::new(IssuingProfile { policy, authority: Some(authority.clone()) }),
            retry_after: Duration::from_secs(7),
        });
        let (passphrase, credential) = credential(&engine, &method, None).await;
        let metrics = Arc::new(Metrics::new());
        let sealing = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        let app = Arc::new(App::new(engine, metrics, limits, Arc::new(sealing)).unwrap());
        let mut office = Office::default();
        office.authorities.insert(authority.name.clone(), authority.clone());
        office.methods.insert(method.name.clone(), method.clone());
        let service = Arc::new(EstService::new(method.clone(), settings, None, &office).unwrap());
        let by_label = ["acme.devices", "devices"].map(|label| (label.to_owned(), service.clone())).into();
        app.serve(Serving {
            generation: 1,
            office,
            est: Labelled { by_label, default: Some(service) },
            checkpoint_interval: Duration::from_secs(3600),
        });
        Self { router: router(app.clone()), app, passphrase, credential, authority }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        request.extensions_mut().insert(Peer::plain(address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    fn basic(&self, user: &str) -> String {
        basic(user, self.passphrase.expose())
    }

    async fn enroll(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.send(post("/.well-known/est/devices/simpleenroll", &self.basic("anyone"), body)).await
    }

    async fn put(&self, row: CredentialRow) {
        put(&self.app.engine, row).await;
    }
}

fn basic(user: &str, password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode([user.as_bytes(), b":", password].concat()))
}

fn post(path: &str, authorization: &str, body: impl Into<Vec<u8>>) -> Request<Body> {
    Request::post(path)
        .header(CONTENT_TYPE, "application/pkcs10")
        .header(AUTHORIZATION, authorization)
        .body(Body::from(body.into()))
        .unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn authority(engine: &Engine) -> Arc<Authority> {
    let signer: Arc<dyn Signer> = Arc::new(SoftwareSigner::generate(KeyAlgorithm::EcdsaP256).unwrap());
    let name = ResourceName::new("acme", "root");
    let subject =
        Name::from_attributes(&[Attribute { kind: AttributeType::CommonName, value: "Root".into() }]);
    let template = AuthorityTemplate {
        name: name.clone(),
        subject: subject.unwrap(),
        validity: Duration::from_secs(86_400),
        path_length: None,
        name_constraints: None,
    };
    let der = engine.create_root(&template, &signer).await.unwrap();
    let crl = CrlSettings { validity: Duration::from_secs(3600), renew_before: Duration::from_secs(60) };
    let certificate = Certificate::from_der(&der).unwrap();
    let urls = PublicationUrls::default();
    Arc::new(Authority::new(name, certificate, vec![der], signer, crl, &urls).unwrap())
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

async fn credential(engine: &Engine, method: &Method, username: Option<&str>) -> (Secret, CredentialRow) {
    let secret = generate().unwrap();
    let row = CredentialRow {
        id: CredentialId::from_random(random().unwrap()),
        version: 0,
        method: method.name.clone(),
        protocol: method.protocol,
        name: ResourceName::new("acme", username.unwrap_or("passphrase")),
        username: username.map(str::to_owned),
        verifier: Verifier::of_generated(&secret),
        owner: None,
        state: CredentialState::Active,
        created_at: engine.clock().now(),
        expires_at: None,
        maximum_uses: None,
        uses: 0,
        last_used_at: None,
        declared: false,
        regeneration: 0,
    };
    put(engine, row.clone()).await;
    (secret, CredentialRow { version: 1, ..row })
}

async fn put(engine: &Engine, row: CredentialRow) {
    let commit = Commit {
        expect: vec![Expect::CredentialVersion { id: row.id.clone(), version: row.version }],
        writes: vec![Write::PutCredential(Box::new(CredentialRow { version: row.version + 1, ..row }))],
        audit: Vec::new(),
    };
    engine.store().commit(commit).await.unwrap().unwrap();
}

/// A request as a device would make it, DER.
fn csr(common_name: &str) -> Vec<u8> {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    let key = rcgen::KeyPair::generate().unwrap();
    parameters.serialize_request(&key).unwrap().der().to_vec()
}

#[tokio::test]
async fn cacerts_gives_the_chain_to_anybody() {
    let scene = Scene::new().await;
    for path in [
        "/.well-known/est/cacerts",
        "/.well-known/est/devices/cacerts",
        "/.well-known/est/acme.devices/cacerts",
    ] {
        let answer = scene.send(get(path)).await;
        assert_eq!(answer.headers[CONTENT_TYPE], wire::PKCS7);
        assert_eq!(answer.certificates()[0].der(), scene.authority.certificate.der(), "{path}");
    }
}

#[tokio::test]
async fn simpleenroll_gives_the_certificate_alone_and_records_who_asked() {
    let scene = Scene::new().await;
    let answer = scene.enroll(STANDARD.encode(csr("device-1"))).await;
    assert_eq!(answer.headers[CONTENT_TYPE], wire::PKCS7_CERTS_ONLY);
    let certificates = answer.certificates();
    assert_eq!(certificates.len(), 1);
    let leaf = &certificates[0];
    leaf.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
    assert_eq!(leaf.subject().to_string(), "CN=device-1");
    let row =
        scene.app.engine.store().certificate(scene.authority.key_id(), leaf.serial()).await.unwrap().unwrap();
    assert_eq!((row.der.as_slice(), row.requester.as_str()), (leaf.der(), "anyone"));
    assert_eq!(row.credential.as_ref(), Some(&scene.credential.id));
}

#[tokio::test]
async fn every_form_of_body_that_clients_send_is_read() {
    let scene = Scene::new().await;
    let der = csr("device-1");
    let one_line = STANDARD.encode(&der);
    let columns: Vec<&str> =
        one_line.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let forms: [Vec<u8>; 6] = [
        one_line.clone().into(),
        columns.join("\r\n").into(),
        format!("\n{}\n", columns.join("\n")).into(),
        one_line.trim_end_matches('=').into(),
        der.clone(),
        pem::encode("CERTIFICATE REQUEST", &der).into(),
    ];
    for form in forms {
        assert_eq!(scene.enroll(form).await.certificates().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_with_the_reason() {
    let scene = Scene::new().await;
    let mut trailing = csr("device-1");
    trailing.push(0);
    let mut forged = csr("device-1");
    *forged.last_mut().unwrap() ^= 1;
    let bodies: [(Vec<u8>, &str); 7] = [
        (b"".into(), "empty"),
        (b"  \n".into(), "empty"),
        (b"!!!!".into(), "base64"),
        (STANDARD.encode("hello").into(), "PKCS #10"),
        (STANDARD.encode(&trailing).into(), "PKCS #10"),
        (STANDARD.encode(&forged).into(), "PKCS #10"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(), "PEM"),
    ];
    for (body, reason) in bodies {
        let answer = scene.enroll(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_stranger_is_asked_and_a_wrong_password_is_not_told_from_a_wrong_name() {
    let scene = Scene::new().await;
    let path = "/.well-known/est/devices/simpleenroll";
    let body = STANDARD.encode(csr("device-1"));
    let bare = Request::post(path)
        .header(CONTENT_TYPE, "application/pkcs10")
        .body(Body::from(body.clone()))
        .unwrap();
    let mut answers = vec![scene.send(bare).await];
    for authorization in [basic("anyone", b"wrong"), basic("", b""), "Bearer x".into(), "Basic !".into()] {
        answers.push(scene.send(post(path, &authorization, body.clone())).await);
    }
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm="));
        assert_eq!(answer.text(), answers[0].text());
    }
}

#[tokio::test]
async fn a_user_enrols_with_the_own_password_and_with_no_other_users() {
    let scene = Scene::new().await;
    let method = scene.app.serving().est.by_label["devices"].method.clone();
    let (password, _) = credential(&scene.app.engine, &method, Some("ann")).await;
    let path = "/.well-known/est/devices/simpleenroll";
    let body = STANDARD.encode(csr("device-1"));
    let as_user = |user: &str| post(path, &basic(user, password.expose()), body.clone());
    assert_eq!(scene.send(as_user("ann")).await.certificates().len(), 1);
    assert_eq!(scene.send(as_user("bob")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_revoked_or_regenerated_credential_is_refused_by_the_very_next_request() {
    let scene = Scene::new().await;
    let body = STANDARD.encode(csr("device-1"));
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::OK);
    let renewed = generate().unwrap();
    let row = CredentialRow { verifier: Verifier::of_generated(&renewed), ..scene.credential.clone() };
    scene.put(row.clone()).await;
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::UNAUTHORIZED);
    let path = "/.well-known/est/devices/simpleenroll";
    let with_new = || post(path, &basic("anyone", renewed.expose()), body.clone());
    assert_eq!(scene.send(with_new()).await.status, StatusCode::OK);
    scene.put(CredentialRow { version: 2, state: CredentialState::Revoked, ..row }).await;
    assert_eq!(scene.send(with_new()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_paths_methods_and_content_types_have_their_own_answers() {
    let scene = Scene::new().await;
    let body = STANDARD.encode(csr("device-1"));
    let basic = scene.basic("x");
    let typed = |content_type: &str| {
        Request::post("/.well-known/est/devices/simpleenroll")
            .header(CONTENT_TYPE, content_type)
            .header(AUTHORIZATION, &basic)
            .body(Body::from(body.clone()))
            .unwrap()
    };
    let table = [
        (post("/.well-known/est/nobody/simpleenroll", &basic, body.clone()), StatusCode::NOT_FOUND),
        (get("/.well-known/est/nobody/cacerts"), StatusCode::NOT_FOUND),
        (get("/.well-known/est/devices/simpleenroll"), StatusCode::METHOD_NOT_ALLOWED),
        (typed("application/x-www-form-urlencoded"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (typed("application/pkcs7-mime"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (typed("application/PKCS10; charset=us-ascii"), StatusCode::OK),
    ];
    for (request, status) in table {
        let shown = format!("{} {}", request.method(), request.uri());
        assert_eq!(scene.send(request).await.status, status, "{shown}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let scene = Scene::with(|_| {}, Limits { body_bytes: 1000, ..Limits::default() }).await;
    assert_eq!(scene.enroll(vec![b'A'; 1001]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_policy_that_says_no_is_a_403_with_one_sentence_and_an_audit_record() {
    let scene =
        Scene::with(|policy| policy.keys.allowed = vec![KeyAlgorithm::Rsa4096], Limits::default()).await;
    let answer = scene.enroll(STANDARD.encode(csr("device-1"))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.text(), "keys.allowed: acme/device-tls allows RSA-4096; ECDSA-P256 was asked for\n");
    let store = scene.app.engine.store();
    let stream = &store.audit_streams().await.unwrap()[0];
    let last = store.audit_head(stream).await.unwrap().unwrap();
    assert!(last.body.contains("keys.allowed") && last.body.contains("refused"), "{}", last.body);
}

#[tokio::test]
async fn an_address_that_guesses_is_told_to_wait() {
    let failed_authentications =
        FailedAuthentications { per_address: 3, window: Duration::from_secs(60), enforced: true };
    let scene = Scene::with(|_| {}, Limits { failed_authentications, ..Limits::default() }).await;
    let guess = || post("/.well-known/est/devices/simpleenroll", &basic("x", b"guess"), "");
    for _ in 0..3 {
        assert_eq!(scene.send(guess()).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = scene.send(guess()).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_request_that_waits_for_approval_is_answered_202_until_somebody_approves() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual, Limits::default()).await;
    let body = STANDARD.encode(csr("device-1"));
    for _ in 0..2 {
        let answer = scene.enroll(body.clone()).await;
        assert_eq!(
            (answer.status, answer.headers[RETRY_AFTER].to_str().unwrap()),
            (StatusCode::ACCEPTED, "7")
        );
    }
    let rows = scene.app.engine.store().requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    assert_eq!(rows.len(), 1, "the same request is one request");
    scene.app.engine.decide(&rows[0].1.id, Verdict::Approve, "ann", None).await.unwrap();
    let first = scene.enroll(body.clone()).await.certificates();
    let again = scene.enroll(body).await.certificates();
    assert_eq!(first[0].der(), again[0].der(), "an approval is good for one certificate");
}

#[tokio::test]
async fn a_denied_request_is_told_why() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual, Limits::default()).await;
    let body = STANDARD.encode(csr("device-1"));
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::ACCEPTED);
    let rows = scene.app.engine.store().requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    let reason = Some("not in the inventory".to_owned());
    scene.app.engine.decide(&rows[0].1.id, Verdict::Deny, "ann", reason).await.unwrap();
    let answer = scene.enroll(body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("denied: not in the inventory"), "{}", answer.text());
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::decode_pkcs10(&body);
    }

    #[test]
    fn any_der_comes_through_base64_of_any_line_length(der in prop::collection::vec(any::<u8>(), 1..300), columns in 1usize..100, cr: bool) {
        let text = STANDARD.encode(&der);
        let ending = if cr { "\r\n" } else { "\n" };
        let lines: Vec<&str> = text.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
        prop_assert_eq!(wire::decode_pkcs10(lines.join(ending).as_bytes()).unwrap(), der);
    }

    #[test]
    fn raw_der_comes_through(rest in prop::collection::vec(any::<u8>(), 1..300)) {
        let mut der = vec![0x30, 0x82];
        der.extend(rest);
        prop_assert_eq!(wire::decode_pkcs10(&der).unwrap(), der);
    }
}
