//! Certificates for requests of the cluster.

use std::collections::BTreeSet;

use bytes::Bytes;
use client::internal::{IssueOutcome, IssueRequest, OPERATOR_DNS_NAME, RefusalCause};
use crds::Kind;
use http::{Method, StatusCode};
use issuance::{
    approval::Verdict,
    authn::namespace_owner,
    identity::{Protocol, ResourceName},
    store::{CertificateFilter, CertificateRow, Page, RequestFilter},
};
use pki::{
    certificate::Certificate,
    extension::{ExtendedKeyUsage, KeyUsage, KeyUsageBit},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SanType, SignatureAlgorithm,
};
use serde_json::json;

use super::{
    scene::Scene,
    strangers::{Listening, ask},
};

/// What cert-manager would ask for.
fn csr(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    csr_of(&PKCS_ECDSA_P256_SHA256, change)
}

fn csr_of(algorithm: &'static SignatureAlgorithm, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["shop.acme.com".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    change(&mut params);
    let key = KeyPair::generate_for(algorithm).unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

fn request(csr: Vec<u8>) -> IssueRequest {
    IssueRequest {
        method: "-/issuer:services".into(),
        namespace: Some("shop".into()),
        requester: "CertificateRequest shop/shop-1".into(),
        uid: "5c1c8f5e-0000-4000-8000-000000000001".into(),
        spec_sha256: "ab".repeat(32),
        csr,
        duration_seconds: Some(90 * 24 * 3600),
        is_ca: false,
        usages: Vec::new(),
    }
}

/// A request that is granted.
pub(super) fn asked() -> IssueRequest {
    request(csr(|_| {}))
}

/// The operator asks.
pub(super) async fn issue(scene: &Scene, request: &IssueRequest) -> (StatusCode, Bytes) {
    let listening = Listening::start(&scene.replica).await;
    let own = &scene.operator.internal;
    let shown = own.issue(OPERATOR_DNS_NAME, ExtendedKeyUsagePurpose::ClientAuth, |_| {});
    let body = Bytes::from(serde_json::to_vec(request).unwrap());
    listening.ask(own, Some(shown), ask(Method::POST, "issue", body)).await.unwrap()
}

async fn outcome(scene: &Scene, request: &IssueRequest) -> IssueOutcome {
    let (status, body) = issue(scene, request).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// The certificate, with the chain that it came with.
pub(super) async fn issued(scene: &Scene, request: &IssueRequest) -> (Certificate, Vec<Vec<u8>>, Vec<u8>) {
    match outcome(scene, request).await {
        IssueOutcome::Issued { chain, root } => (Certificate::from_der(&chain[0]).unwrap(), chain, root),
        other => panic!("not issued: {other:?}"),
    }
}

async fn refuses(scene: &Scene, request: &IssueRequest, cause: RefusalCause, words: &str) {
    match outcome(scene, request).await {
        IssueOutcome::Refused { cause: found, message } => {
            assert_eq!(found, cause, "{message}");
            assert!(message.contains(words), "{words:?} is not in {message:?}");
        }
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(rows(scene).await.len(), 0, "nothing is recorded as issued");
}

async fn rows(scene: &Scene) -> Vec<CertificateRow> {
    let profile = Some(ResourceName::new("enrollment", "service"));
    let filter = CertificateFilter { profile, ..CertificateFilter::default() };
    let rows = scene.volume.store.certificates(&filter, &Page::first(100)).await.unwrap();
    rows.into_iter().map(|(_, row)| row).collect()
}

#[tokio::test]
async fn a_certificate_comes_with_its_chain_and_the_root_apart() {
    let scene = Scene::new().await;
    let (leaf, chain, root) = issued(&scene, &request(csr(|_| {}))).await;
    assert_eq!(chain.len(), 2);
    let issuing = Certificate::from_der(&chain[1]).unwrap();
    let root = Certificate::from_der(&root).unwrap();
    leaf.verify_signed_by(issuing.public_key()).unwrap();
    issuing.verify_signed_by(root.public_key()).unwrap();
    assert_eq!(leaf.not_after().unix() - leaf.not_before().unix(), 90 * 24 * 3600);
    let row = rows(&scene).await.remove(0);
    assert_eq!((row.protocol, row.owner), (Protocol::Issuer, Some(namespace_owner("shop"))));
    assert_eq!(row.requester, "CertificateRequest shop/shop-1");
    assert_eq!(row.method, ResourceName::new("-", "issuer:services"));
    assert_eq!(scene.replica.metric(r#"chancery_issuances_total{protocol="issuer",outcome="issued"}"#), 1);
}

#[tokio::test]
async fn the_same_request_gets_the_same_certificate_from_every_replica() {
    let scene = Scene::new().await;
    let asked = request(csr(|_| {}));
    let (first, ..) = issued(&scene, &asked).await;
    let mut other = Scene { replica: scene.volume.start(&scene.operator), ..scene };
    other.replica.consider(&other.published.found()).await;
    let (second, chain, root) = issued(&other, &asked).await;
    assert_eq!(first.der(), second.der());
    assert_eq!((chain.len(), root.is_empty()), (2, false));
    assert_eq!(rows(&other).await.len(), 1);
    // Another spec, or another object, is another request.
    let mut changed = asked.clone();
    changed.spec_sha256 = "cd".repeat(32);
    let mut recreated = asked.clone();
    recreated.uid = "5c1c8f5e-0000-4000-8000-000000000002".into();
    let serials: BTreeSet<String> = [
        issued(&other, &asked).await.0.serial().to_string(),
        issued(&other, &changed).await.0.serial().to_string(),
        issued(&other, &recreated).await.0.serial().to_string(),
    ]
    .into();
    assert_eq!(serials.len(), 3);
}

#[tokio::test]
async fn many_who_ask_the_same_at_once_get_one_certificate() {
    let scene = Scene::new().await;
    let asked = request(csr(|_| {}));
    let answers = futures::future::join_all((0..8).map(|_| issued(&scene, &asked))).await;
    let serials: BTreeSet<String> = answers.iter().map(|(leaf, ..)| leaf.serial().to_string()).collect();
    assert_eq!((serials.len(), rows(&scene).await.len()), (1, 1));
}

#[tokio::test]
async fn every_kind_of_key_and_name_goes_through_unchanged() {
    let mut scene = Scene::new().await;
    let any = json!({});
    scene.operator.change(
        Kind::CertificateProfile,
        "service",
        "subjectAltNames",
        json!({
            "dns": {"wildcards": "Allowed"}, "ip": any, "uri": any, "email": any,
            "otherName": [{"typeId": "1.3.6.1.4.1.311.20.2.3"}],
        }),
    );
    scene.publish().await;
    let algorithms = [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519];
    for (number, algorithm) in algorithms.into_iter().enumerate() {
        let mut asked = request(csr_of(algorithm, |params| {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.distinguished_name.push(DnType::CommonName, "shop");
            params.subject_alt_names.extend([
                SanType::DnsName("*.acme.com".try_into().unwrap()),
                SanType::IpAddress("192.0.2.1".parse().unwrap()),
                SanType::URI("spiffe://acme/shop".try_into().unwrap()),
                SanType::Rfc822Name("ann@acme.com".try_into().unwrap()),
                SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "ann@acme".into())),
            ]);
        }));
        asked.uid = number.to_string();
        let (leaf, ..) = issued(&scene, &asked).await;
        let names: BTreeSet<String> =
            leaf.subject_alt_names().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert_eq!(leaf.subject().to_string(), "CN=shop");
    }
}

#[tokio::test]
async fn usages_are_given_as_they_are_asked_for() {
    let scene = Scene::new().await;
    let mut asked = request(csr_of(&PKCS_RSA_SHA256, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }));
    asked.usages = ["digital signature", "key encipherment", "client auth"].map(str::to_owned).into();
    let (leaf, ..) = issued(&scene, &asked).await;
    let expected: KeyUsage =
        [KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment].into_iter().collect();
    assert_eq!(leaf.key_usage().unwrap(), Some(expected));
    assert_eq!(leaf.extended_key_usage().unwrap().unwrap().0, [ExtendedKeyUsage::CLIENT_AUTH]);
}

#[tokio::test]
async fn what_the_profile_does_not_give_exactly_is_refused_with_the_rule() {
    let scene = Scene::new().await;
    let policy = RefusalCause::Policy;
    let mut long = request(csr(|_| {}));
    long.duration_seconds = Some(366 * 24 * 3600);
    refuses(&scene, &long, policy, "validity.maximum").await;
    let mut signing = request(csr(|params| params.key_usages.clear()));
    signing.usages = vec!["code signing".into()];
    refuses(&scene, &signing, policy, "extendedKeyUsage").await;
    let email = SanType::Rfc822Name("ann@acme.com".try_into().unwrap());
    refuses(&scene, &request(csr(|params| params.subject_alt_names.push(email))), policy, "subjectAltNames")
        .await;
    let mut authority = request(csr(|_| {}));
    authority.is_ca = true;
    refuses(&scene, &authority, policy, "basicConstraints").await;
    let organization =
        request(csr(|params| params.distinguished_name.push(DnType::OrganizationName, "Acme")));
    refuses(&scene, &organization, policy, "subject").await;
}

#[tokio::test]
async fn a_request_that_says_two_things_is_refused() {
    let scene = Scene::new().await;
    let invalid = RefusalCause::InvalidRequest;
    refuses(&scene, &request(b"no request".to_vec()), invalid, "certificate request").await;
    let mut broken = csr(|_| {});
    *broken.last_mut().unwrap() ^= 1;
    refuses(&scene, &request(broken), invalid, "certificate request").await;
    let mut usages = request(csr(|_| {}));
    usages.usages = vec!["crl sign".into()];
    refuses(&scene, &usages, invalid, "usages").await;
    let authority = csr(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    refuses(&scene, &request(authority), invalid, "isCA").await;
    let mut unknown = request(csr(|_| {}));
    unknown.usages = vec!["everything".into()];
    refuses(&scene, &unknown, invalid, "everything").await;
}

#[tokio::test]
async fn a_namespace_without_a_grant_gets_nothing() {
    let mut scene = Scene::new().await;
    let mut elsewhere = request(csr(|_| {}));
    elsewhere.namespace = Some("elsewhere".into());
    refuses(&scene, &elsewhere, RefusalCause::NotGranted, "namespace elsewhere").await;
    let mut of_cluster = request(csr(|_| {}));
    of_cluster.namespace = None;
    refuses(&scene, &of_cluster, RefusalCause::NotGranted, "requests of the cluster").await;
    let mut foreign = request(csr(|_| {}));
    foreign.method = "shop/issuer:own".into();
    foreign.namespace = Some("enrollment".into());
    refuses(&scene, &foreign, RefusalCause::NotGranted, "namespace enrollment").await;
    let refusals = scene.volume.store.audit_streams().await.unwrap();
    let head = scene.volume.store.audit_head(&refusals[0]).await.unwrap().unwrap();
    assert!(head.body.contains("grants.issue") && head.body.contains("shop-1"), "{}", head.body);
    // A grant that is taken away stops at once.
    scene.operator.change(
        Kind::CertificateProfile,
        "service",
        "grants",
        json!({"issue": {"namespaces": ["other"]}}),
    );
    scene.publish().await;
    refuses(&scene, &request(csr(|_| {})), RefusalCause::NotGranted, "namespace shop").await;
}

#[tokio::test]
async fn an_issuer_in_a_namespace_serves_it() {
    let scene = Scene::new().await;
    let asked = IssueRequest { method: "shop/issuer:own".into(), ..request(csr(|_| {})) };
    issued(&scene, &asked).await;
}

#[tokio::test]
async fn an_issuer_that_is_not_in_force_is_asked_again_later() {
    let scene = Scene::new().await;
    for method in ["-/issuer:none", "enrollment/devices"] {
        let asked = IssueRequest { method: method.into(), ..request(csr(|_| {})) };
        let (status, _) = issue(&scene, &asked).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{method}");
    }
    let asked = IssueRequest { method: "none".into(), ..request(csr(|_| {})) };
    assert_eq!(issue(&scene, &asked).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_request_waits_for_a_person_who_approves_or_denies() {
    let mut scene = Scene::new().await;
    scene.operator.change(Kind::CertificateProfile, "service", "approval", json!("Manual"));
    scene.publish().await;
    for (uid, verdict) in [("1", Verdict::Approve), ("2", Verdict::Deny)] {
        let asked = IssueRequest { uid: uid.into(), ..request(csr(|_| {})) };
        let pending = outcome(&scene, &asked).await;
        let IssueOutcome::Pending { request: id, retry_after_seconds } = &pending else {
            panic!("{pending:?}")
        };
        assert!(*retry_after_seconds > 0);
        assert_eq!(outcome(&scene, &asked).await, pending, "the same request waits");
        let waiting = scene.volume.store.requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
        assert!(waiting.iter().any(|(_, row)| row.id.as_str() == id));
        scene.replica.app.engine.decide(&id.parse().unwrap(), verdict, "ann", None).await.unwrap();
        match (verdict, outcome(&scene, &asked).await) {
            (Verdict::Approve, IssueOutcome::Issued { .. })
            | (Verdict::Deny, IssueOutcome::Refused { cause: RefusalCause::Denied, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}
