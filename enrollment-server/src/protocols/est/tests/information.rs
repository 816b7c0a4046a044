//! What is told to anybody: `cacerts` (RFC 7030 §4.1), `csrattrs` (§4.5), and what is not offered.

use http::{
    HeaderValue, Request, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT, VARY},
};
use issuance::policy::{AttributeRule, Oid, Presence, UsageMode};
use pki::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    csrattrs::{AttrOrOid, CsrAttrs},
    extension::{ExtendedKeyUsage, KeyUsage, KeyUsageBit, SubjectAltName, TypedExtension as _, eku_oid},
    key::{Curve, KeyType},
    name::AttributeType,
};

use super::{
    super::wire,
    scene::{Answer, Scene, Setup, get, post, unfold},
    strangers::csr,
};

async fn conditional(scene: &Scene, tags: &str) -> Answer {
    let request = Request::get("/.well-known/est/devices/cacerts").header(IF_NONE_MATCH, tags);
    scene.send(request.body(axum::body::Body::empty()).unwrap()).await
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
        let certificates = answer.certificates();
        assert_eq!(certificates.len(), 1, "{path}");
        assert_eq!(certificates[0].der(), scene.authority.certificate.der(), "{path}");
    }
}

#[tokio::test]
async fn cacerts_gives_the_authority_that_takes_over_beside_the_one_in_force() {
    let scene = Scene::of(Setup { successor: true, ..Setup::default() }).await;
    let certificates = scene.send(get("/.well-known/est/devices/cacerts")).await.certificates();
    let successor = scene.successor.as_ref().unwrap();
    let expected = [scene.authority.certificate.der(), successor.certificate.der()];
    let given: Vec<&[u8]> = certificates.iter().map(|certificate| certificate.der()).collect();
    assert_eq!(given, expected, "the one in force comes first");
    // It does not sign yet.
    let leaf = scene.enroll(csr("device-1")).await.certificate();
    leaf.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
}

#[tokio::test]
async fn cacerts_that_a_client_has_already_are_not_sent_again() {
    let scene = Scene::new().await;
    let first = scene.send(get("/.well-known/est/devices/cacerts")).await;
    let tag = first.headers[ETAG].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
    assert_eq!(first.headers[CACHE_CONTROL], "no-cache");
    // RFC 9110 §13.1.2: a list, weak comparison, or any.
    let weak = format!("W/{tag}");
    for known in [tag.clone(), format!("\"other\", {tag}"), weak, "*".to_owned()] {
        let again = conditional(&scene, &known).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(again.headers[ETAG].to_str().unwrap(), tag, "{known}");
    }
    for other in ["\"other\"", "", "nonsense"] {
        assert_eq!(conditional(&scene, other).await.body, first.body, "{other}");
    }
    let other = Scene::of(Setup { successor: true, ..Setup::default() }).await;
    assert_eq!(conditional(&other, &tag).await.status, StatusCode::OK, "another chain has another tag");
}

async fn csr_attrs(scene: &Scene) -> CsrAttrs {
    let answer = scene.send(get("/.well-known/est/devices/csrattrs")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/csrattrs");
    CsrAttrs::from_der(&unfold(&answer.text())).unwrap()
}

#[tokio::test]
async fn csrattrs_names_the_required_attribute_the_key_and_its_signature() {
    let scene = Scene::new().await;
    let expected = CsrAttrs(vec![
        AttrOrOid::Oid(AttributeType::CommonName.oid()),
        AttrOrOid::key(KeyType::Ecdsa(Curve::P256)),
        AttrOrOid::signature(SignatureAlgorithm::EcdsaSha256),
    ]);
    assert_eq!(csr_attrs(&scene).await, expected);
    let unlabelled = scene.send(get("/.well-known/est/csrattrs")).await;
    assert_eq!(CsrAttrs::from_der(&unfold(&unlabelled.text())).unwrap(), expected);
}

#[tokio::test]
async fn csrattrs_follows_each_part_of_the_profile() {
    let scene = Scene::with(|policy| {
        policy.subject.attributes = [
            (AttributeType::SerialNumber, Presence::Required),
            (AttributeType::CommonName, Presence::Allowed),
            (AttributeType::Organization, Presence::Fixed),
        ]
        .map(|(kind, presence)| AttributeRule { kind, presence, values: Vec::new(), patterns: Vec::new() })
        .into();
        policy.keys.allowed = vec![KeyAlgorithm::Rsa3072, KeyAlgorithm::EcdsaP256];
        policy.key_usage.mode = UsageMode::FromRequest;
        policy.extended_key_usage.mode = UsageMode::FromRequest;
        policy.extended_key_usage.usages = eku_oid("clientAuth").map(Oid).into_iter().collect();
        policy.subject_alt_names.dns.as_mut().unwrap().name.presence = Presence::Required;
    })
    .await;
    let wanted = csr_attrs(&scene).await;
    assert!(wanted.wants(AttributeType::SerialNumber.oid()));
    assert!(!wanted.wants(AttributeType::CommonName.oid()), "what may be left out is not asked for");
    assert!(!wanted.wants(AttributeType::Organization.oid()), "what the profile fixes is not asked for");
    assert!(wanted.wants(SubjectAltName::OID));
    assert!(wanted.0.contains(&AttrOrOid::key(KeyType::Rsa { bits: 3072 })));
    assert!(wanted.0.contains(&AttrOrOid::signature(SignatureAlgorithm::RsaPkcs1Sha256)));
    let extensions = wanted.extension_request().unwrap().unwrap();
    let usage: KeyUsage = std::iter::once(KeyUsageBit::DigitalSignature).collect();
    let extended = ExtendedKeyUsage(vec![ExtendedKeyUsage::CLIENT_AUTH]);
    assert_eq!(extensions, [usage.to_extension(), extended.to_extension()]);
}

#[tokio::test]
async fn csrattrs_is_204_where_the_profile_wants_nothing_in_particular() {
    let scene = Scene::with(|policy| {
        policy.subject.attributes[0].presence = Presence::Allowed;
        policy.keys.allowed.clear();
    })
    .await;
    let answer = scene.send(get("/.well-known/est/devices/csrattrs")).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test]
async fn fullcmc_is_501_with_a_sentence_for_everybody() {
    let scene = Scene::new().await;
    for path in ["/.well-known/est/fullcmc", "/.well-known/est/devices/fullcmc"] {
        let answer = scene.send(post(path, &scene.basic("x"), csr("device-1"))).await;
        answer.refused(StatusCode::NOT_IMPLEMENTED, "fullcmc (Full CMC, RFC 7030 §4.3) is not offered here");
    }
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_client_that_does_not_say_which_it_is_gets_base64_in_one_line() {
    let scene = Scene::new().await;
    let with_agent = |request: Request<axum::body::Body>| {
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(USER_AGENT, HeaderValue::from_static("curl/8"));
        Request::from_parts(parts, body)
    };
    let enroll = || post("/.well-known/est/devices/simpleenroll", &scene.basic("anyone"), csr("device-1"));
    for path in ["/.well-known/est/cacerts", "/.well-known/est/csrattrs"] {
        let (named, unnamed) = (scene.send(with_agent(get(path))).await, scene.send(get(path)).await);
        assert!(
            !unnamed.text().contains(char::is_whitespace),
            "{path}: strongSwan takes a line break for digits"
        );
        assert!(named.text().lines().all(|line| line.len() <= 64), "{path}: libest wants lines");
        assert!(named.text().ends_with('\n'), "{path}: openssl wants a line break at the end");
        assert_eq!(unfold(&named.text()), unfold(&unnamed.text()), "{path}");
        if path.ends_with("cacerts") {
            assert_ne!(named.headers[ETAG], unnamed.headers[ETAG], "other octets have another tag");
            assert_eq!(named.headers[VARY], "user-agent");
        }
    }
    assert!(!scene.send(enroll()).await.text().contains(char::is_whitespace));
    assert!(scene.send(with_agent(enroll())).await.text().lines().count() > 3);
}
