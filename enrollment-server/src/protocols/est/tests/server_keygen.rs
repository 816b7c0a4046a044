//! `serverkeygen` (RFC 7030 §4.4): keys for devices that cannot make them.

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::{EstAuthentication, KeyDelivery};
use http::{
    Request, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use issuance::{
    approval::Verdict,
    policy::Approval,
    revocation::Revocation,
    secret::Secret,
    store::{CertificateFilter, Page, RequestFilter},
};
use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    cms::enveloped::{DecryptionKey, EnvelopedData, SymmetricKey},
    extension::ReasonCode,
    pem,
};
use rcgen::{Attribute, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256};
use resolve::{CompiledDecryptKey, CompiledKeyGeneration};
use zeroize::Zeroizing;

use super::{
    delivery::Desk,
    multipart::key_and_certificate,
    scene::{Answer, Scene, Setup, post},
    strangers::{Device, Stranger, attribute, csr, dns, request, request_with},
};

const ENCRYPTED: &str = "application/pkcs7-mime; smime-type=server-generated-key";
/// RFC 7030 §4.4.1.1 and §4.4.1.2.
const DECRYPT_KEY: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 2, 37];
const ASYMMETRIC_DECRYPT_KEY: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 2, 54];
const SHARED: [u8; 32] = [0x5a; 32];

fn making(delivery: KeyDelivery, key: KeyAlgorithm) -> Setup {
    let setup = Setup::default().policy(move |policy| policy.keys.allowed = vec![key]);
    setup.settings(move |est, _| {
        let shared = CompiledDecryptKey { identifier: b"shared-1".to_vec(), key: Secret::new(SHARED) };
        let decrypt_keys = vec![shared];
        est.server_key_generation = Some(CompiledKeyGeneration { delivery, key, decrypt_keys });
    })
}

async fn keygen(scene: &Scene, csr: &[u8], chain: &[Vec<u8>]) -> Answer {
    let path = "/.well-known/est/devices/serverkeygen";
    scene.send_as(post(path, &scene.basic("anyone"), STANDARD.encode(csr)), chain).await
}

fn naming(oid: &'static [u64], identifier: &[u8]) -> Vec<u8> {
    naming_with(oid, identifier, &KeyPair::generate().unwrap())
}

fn naming_with(oid: &'static [u64], identifier: &[u8], key: &KeyPair) -> Vec<u8> {
    let named: Vec<Attribute> = vec![attribute(oid, 0x04, identifier)];
    request_with("device-1", &[], key, named)
}

/// A device with a certificate of its manufacturer and a key that others can encrypt to.
fn device(key: KeyPair) -> Device {
    Stranger::root("Manufacturer").device_with(key, |_| {})
}

fn rsa() -> KeyPair {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
}

fn identifier_of(der: &[u8]) -> Vec<u8> {
    Certificate::from_der(der).unwrap().subject_key_identifier().unwrap().unwrap().0
}

#[tokio::test]
async fn a_method_that_makes_no_keys_says_so() {
    let scene = Scene::new().await;
    let answer = keygen(&scene, &csr("device-1"), &[]).await;
    answer.refused(StatusCode::NOT_IMPLEMENTED, "serverkeygen is not offered here");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_stranger_gets_no_key() {
    let scene = Scene::of(making(KeyDelivery::Plain, KeyAlgorithm::EcdsaP256)).await;
    let answer = scene.with_certificate("serverkeygen", &csr("device-1"), &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let wrong = super::scene::basic("anyone", b"wrong");
    let request = post("/.well-known/est/devices/serverkeygen", &wrong, STANDARD.encode(csr("device-1")));
    assert_eq!(scene.send(request).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_plain_key_of_each_kind_comes_as_pkcs8_and_fits_the_certificate() {
    let desk = Desk::new();
    for key in
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048, KeyAlgorithm::Ed25519]
    {
        let scene = Scene::of(making(KeyDelivery::Plain, key)).await;
        let mine = KeyPair::generate().unwrap();
        let asked = request("device-1", &[dns("one.example")], &mine);
        let (part, der) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
        assert_eq!(part.field("content-type"), "application/pkcs8");
        desk.assert_pair(&part.octets(), &der);
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=device-1");
        assert_eq!(certificate.subject_alt_names().unwrap()[0].to_string(), "dns:one.example");
        certificate.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
        assert_eq!(scene.row(&certificate).await.credential.as_ref(), Some(&scene.credential.id));
    }
}

#[tokio::test]
async fn every_answer_has_its_own_key_and_the_one_in_the_request_counts_for_nothing() {
    let scene = Scene::of(making(KeyDelivery::Plain, KeyAlgorithm::EcdsaP256)).await;
    let mine = KeyPair::generate().unwrap();
    let mut asked = request("device-1", &[], &mine);
    let (first, _) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
    let (second, _) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
    assert_ne!(first.octets(), second.octets());
    // RFC 7030 §4.4.1: a client without any key may send any signature.
    *asked.last_mut().unwrap() ^= 1;
    let (third, der) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
    Desk::new().assert_pair(&third.octets(), &der);
    assert!(!der.windows(mine.public_key_raw().len()).any(|window| window == mine.public_key_raw()));
}

#[tokio::test]
async fn a_key_is_encrypted_to_the_client_certificate_and_openssl_opens_it() {
    let desk = Desk::new();
    for key in
        [rsa(), KeyPair::generate().unwrap(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()]
    {
        let scene = Scene::of(making(KeyDelivery::Encrypted, KeyAlgorithm::EcdsaP256)).await;
        let device = device(key);
        let answer = keygen(&scene, &csr("device-1"), std::slice::from_ref(&device.der)).await;
        let (part, der) = key_and_certificate(&answer);
        assert_eq!(part.field("content-type"), ENCRYPTED);
        desk.write("device.pem", pem::encode("CERTIFICATE", &device.der));
        desk.write("device.key", device.key.serialize_pem());
        let options = ["-recip", "device.pem", "-inkey", "device.key"];
        let made = desk.open(&part.octets(), &options, scene.authority.certificate.der());
        desk.assert_pair(&made, &der);
        // Our own reader gets the same SignedData, and another device of the same manufacturer gets nothing.
        let message = EnvelopedData::from_der(&part.octets()).unwrap();
        let certificate = Certificate::from_der(&device.der).unwrap();
        let own = DecryptionKey::for_certificate(&certificate, device.key.serialized_der()).unwrap();
        let signed = message.decrypt(&own).unwrap();
        assert!(signed.windows(made.len()).any(|window| window == made));
        let other = self::device(KeyPair::generate().unwrap());
        desk.write("other.pem", pem::encode("CERTIFICATE", &other.der));
        desk.write("other.key", other.key.serialize_pem());
        assert!(!desk.opens(&part.octets(), &["-recip", "other.pem", "-inkey", "other.key"]));
    }
}

#[tokio::test]
async fn a_key_is_encrypted_to_the_key_that_the_request_names() {
    let desk = Desk::new();
    for (delivery, key) in
        [(KeyDelivery::Encrypted, rsa()), (KeyDelivery::Plain, KeyPair::generate().unwrap())]
    {
        let scene = Scene::of(making(delivery, KeyAlgorithm::EcdsaP256)).await;
        let device = device(key);
        let certificate = Certificate::from_der(&device.der).unwrap();
        desk.write("device.key", device.key.serialize_pem());
        // By its subjectKeyIdentifier: whoever asks for encryption gets it, where plain keys are allowed too.
        let asked = naming(ASYMMETRIC_DECRYPT_KEY, &identifier_of(&device.der));
        let answer = keygen(&scene, &asked, std::slice::from_ref(&device.der)).await;
        let (part, der) = key_and_certificate(&answer);
        assert_eq!(part.field("content-type"), ENCRYPTED);
        desk.write("device.pem", pem::encode("CERTIFICATE", &device.der));
        let options = ["-recip", "device.pem", "-inkey", "device.key"];
        let made = desk.open(&part.octets(), &options, scene.authority.certificate.der());
        desk.assert_pair(&made, &der);
        // By the hash of the key.
        let asked = naming(ASYMMETRIC_DECRYPT_KEY, &certificate.public_key().spki_sha256());
        let answer = keygen(&scene, &asked, std::slice::from_ref(&device.der)).await;
        assert_eq!(key_and_certificate(&answer).0.field("content-type"), ENCRYPTED);
    }
}

#[tokio::test]
async fn a_certificate_of_ours_can_be_named_by_the_hash_of_its_key_while_it_is_good() {
    let scene = Scene::of(making(KeyDelivery::Encrypted, KeyAlgorithm::EcdsaP256)).await;
    let key = KeyPair::generate().unwrap();
    let certificate = scene.enroll(request("device-1", &[], &key)).await.certificate();
    let hash = certificate.public_key().spki_sha256();
    let asked = naming(ASYMMETRIC_DECRYPT_KEY, &hash);
    let (part, der) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
    let message = EnvelopedData::from_der(&part.octets()).unwrap();
    let identifier = pki::cms::enveloped::RecipientIdentifier::SubjectKeyIdentifier(hash.to_vec());
    let own = DecryptionKey::private_key(identifier, key.serialized_der()).unwrap();
    let signed = message.decrypt(&own).unwrap();
    assert!(!signed.is_empty() && !der.is_empty());
    let before = scene.issued().await;
    let compromise = Revocation::Revoke { reason: ReasonCode::KeyCompromise, invalidity_date: None };
    scene.revoke(&certificate, compromise).await;
    let answer = keygen(&scene, &asked, &[]).await;
    answer.refused(StatusCode::FORBIDDEN, "AsymmetricDecryptKeyIdentifier");
    assert_eq!(scene.issued().await, before);
}

#[tokio::test]
async fn a_key_is_encrypted_under_a_shared_key_and_openssl_opens_it() {
    let desk = Desk::new();
    let scene = Scene::of(making(KeyDelivery::Encrypted, KeyAlgorithm::Rsa2048)).await;
    let answer = keygen(&scene, &naming(DECRYPT_KEY, b"shared-1"), &[]).await;
    let (part, der) = key_and_certificate(&answer);
    assert_eq!(part.field("content-type"), ENCRYPTED);
    let (secret, identifier) = (hex::encode(SHARED), hex::encode("shared-1"));
    let options = ["-secretkey", &secret, "-secretkeyid", &identifier];
    let made = desk.open(&part.octets(), &options, scene.authority.certificate.der());
    desk.assert_pair(&made, &der);
    let message = EnvelopedData::from_der(&part.octets()).unwrap();
    let shared = |octets: [u8; 32]| {
        let key = SymmetricKey::new("shared-1", Zeroizing::new(octets.to_vec())).unwrap();
        DecryptionKey::symmetric(key)
    };
    assert!(message.decrypt(&shared(SHARED)).is_ok());
    let wrong = hex::encode([1; 32]);
    assert!(!desk.opens(&part.octets(), &["-secretkey", &wrong, "-secretkeyid", &identifier]));
}

#[tokio::test]
async fn where_nobody_can_be_encrypted_to_nothing_is_issued() {
    let scene = Scene::of(making(KeyDelivery::Encrypted, KeyAlgorithm::EcdsaP256)).await;
    let ed25519 = device(KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let known = device(KeyPair::generate().unwrap());
    let shown = |device: &Device| vec![device.der.clone()];
    let cases = [
        ("no certificate, no name", csr("device-1"), vec![], "encrypted only; show a client certificate"),
        ("a key that only signs", csr("device-1"), shown(&ed25519), "RSA from 2048 bits and ECDSA keys"),
        ("a shared key nobody knows", naming(DECRYPT_KEY, b"shared-2"), vec![], "DecryptKeyIdentifier"),
        (
            "a shared key nobody knows, with a certificate",
            naming(DECRYPT_KEY, b"shared-2"),
            shown(&known),
            "DecryptKeyIdentifier",
        ),
        (
            "a key nobody knows",
            naming(ASYMMETRIC_DECRYPT_KEY, &[7; 20]),
            vec![],
            "AsymmetricDecryptKeyIdentifier",
        ),
        (
            "a key other than the one shown",
            naming(ASYMMETRIC_DECRYPT_KEY, &[7; 32]),
            shown(&known),
            "AsymmetricDecryptKeyIdentifier",
        ),
        (
            "the name of a key that only signs",
            naming(ASYMMETRIC_DECRYPT_KEY, &identifier_of(&ed25519.der)),
            shown(&ed25519),
            "RSA from 2048 bits and ECDSA keys",
        ),
    ];
    for (what, csr, chain, reason) in cases {
        let answer = keygen(&scene, &csr, &chain).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {}", answer.text());
        assert!(answer.text().contains(reason), "{what}: {}", answer.text());
    }
    assert_eq!(scene.issued().await, 0);
    let record = scene.last_audit_record().await;
    assert!(record.contains("refused") && record.contains("est.serverKeyGeneration"), "{record}");
    let store = scene.app.engine.store();
    let all = store.certificates(&CertificateFilter::default(), &Page::first(10)).await.unwrap();
    assert!(all.iter().all(|(_, row)| row.subject != "CN=device-1"));
}

#[tokio::test]
async fn a_bad_request_for_a_key_is_refused_like_any_other() {
    let scene = Scene::of(making(KeyDelivery::Plain, KeyAlgorithm::EcdsaP256)).await;
    keygen(&scene, b"hello", &[]).await.refused(StatusCode::BAD_REQUEST, "PKCS #10");
    let mut trailing = csr("device-1");
    trailing.push(0);
    keygen(&scene, &trailing, &[]).await.refused(StatusCode::BAD_REQUEST, "PKCS #10");
    let bound = naming(&[1, 2, 840, 113_549, 1, 9, 7], b"x");
    assert_eq!(keygen(&scene, &bound, &[]).await.status, StatusCode::BAD_REQUEST);
    let path = "/.well-known/est/devices/serverkeygen";
    let untyped =
        Request::post(path).header("authorization", scene.basic("x")).header(CONTENT_TYPE, "text/plain");
    let answer = scene.send(untyped.body(Body::from(STANDARD.encode(csr("device-1")))).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let uri = request("device-1", &[super::strangers::uri("spiffe://x/y")], &KeyPair::generate().unwrap());
    keygen(&scene, &uri, &[]).await.refused(StatusCode::FORBIDDEN, "subjectAltNames");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_key_that_waits_for_approval_is_made_once_and_handed_over_once() {
    let scene = Scene::of(making(KeyDelivery::Plain, KeyAlgorithm::EcdsaP256).policy(|policy| {
        policy.approval = Approval::Manual;
    }))
    .await;
    let asked = csr("device-1");
    for _ in 0..2 {
        let answer = keygen(&scene, &asked, &[]).await;
        assert_eq!(
            (answer.status, answer.headers[RETRY_AFTER].to_str().unwrap()),
            (StatusCode::ACCEPTED, "7")
        );
    }
    let store = scene.app.engine.store();
    let rows = store.requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    assert_eq!(rows.len(), 1, "the same request is one request");
    scene.app.engine.decide(&rows[0].1.id, Verdict::Approve, "ann", None).await.unwrap();
    let (part, der) = key_and_certificate(&keygen(&scene, &asked, &[]).await);
    Desk::new().assert_pair(&part.octets(), &der);
    let again = keygen(&scene, &asked, &[]).await;
    again.refused(StatusCode::FORBIDDEN, "its key was handed over before");
    assert_eq!(scene.issued().await, 1);
    // A request of its own is another matter.
    assert_eq!(keygen(&scene, &csr("device-1"), &[]).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn nothing_of_a_key_that_was_handed_over_stays_in_the_store() {
    let scene = Scene::of(making(KeyDelivery::Plain, KeyAlgorithm::EcdsaP256)).await;
    let (part, _) = key_and_certificate(&keygen(&scene, &csr("device-1"), &[]).await);
    let pkcs8 = part.octets();
    // The scalar of the key (RFC 5915 §3), wherever it may stand in whatever encoding.
    let at = pkcs8.windows(2).position(|window| window == [0x04, 0x20]).unwrap() + 2;
    let scalar = &pkcs8[at..at + 32];
    let store = format!("{:?}", scene.app.engine.store());
    assert!(store.contains("CN=device-1"), "the store shows its rows");
    let decimal: Vec<String> = scalar.iter().map(ToString::to_string).collect();
    for spelled in [hex::encode(scalar), STANDARD.encode(scalar), decimal.join(", ")] {
        assert!(!store.contains(&spelled));
    }
    assert!(!scene.last_audit_record().await.contains(&hex::encode(scalar)));
}

#[tokio::test]
async fn with_certificates_only_a_device_needs_no_password_for_a_key() {
    let manufacturer = Stranger::root("Manufacturer");
    let anchor = manufacturer.der.clone();
    let scene = Scene::of(Setup::default().settings(move |est, _| {
        est.authentication = EstAuthentication::Certificate;
        est.trust = Some(resolve::CompiledTrust {
            anchors: vec![anchor],
            intermediates: Vec::new(),
            crls: Vec::new(),
            revocation: crds::RevocationCheck::IfGiven,
            authorities: Vec::new(),
        });
        est.server_key_generation = Some(CompiledKeyGeneration {
            delivery: KeyDelivery::Encrypted,
            key: KeyAlgorithm::EcdsaP256,
            decrypt_keys: Vec::new(),
        });
    }))
    .await;
    let device = manufacturer.device(|_| {});
    let answer = scene.with_certificate("serverkeygen", &csr("device-1"), &[device.der]).await;
    assert_eq!(key_and_certificate(&answer).0.field("content-type"), ENCRYPTED);
    let foreign = Stranger::root("Foreign").device(|_| {});
    let answer = scene.with_certificate("serverkeygen", &csr("device-1"), &[foreign.der]).await;
    answer.refused(StatusCode::FORBIDDEN, "not accepted here");
}
