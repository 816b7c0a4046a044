//! `simplereenroll` (RFC 7030 §4.2.2): whoever holds a current certificate of the profile renews that one, and no other.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::ReenrollKeys;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use issuance::{
    audit::Actor,
    authority::{IssuingProfile, Method},
    identity::{Owner, Protocol, ResourceName},
    policy::{NameRule, Permission, Presence, ProtocolRule, Strength},
    request::Asked,
    revocation::Revocation,
};
use pki::{certificate::Certificate, csr::UnverifiedCsr, extension::ReasonCode};
use rcgen::{KeyIdMethod, KeyPair, SanType, SerialNumber};
use resolve::CompiledReenroll;

use super::{
    scene::{Answer, Scene, Setup, post},
    strangers::{Stranger, attribute, common_name, csr, dns, request, request_with, uri},
};

const NOT_ACCEPTED: &str = "the client certificate is not accepted here";

/// A device that enrolled with the passphrase.
struct Enrolled {
    key: KeyPair,
    names: Vec<SanType>,
    certificate: Certificate,
}

impl Enrolled {
    async fn new(scene: &Scene, name: &str, names: &[SanType]) -> Self {
        let key = KeyPair::generate().unwrap();
        let answer = scene.enroll(request(name, names, &key)).await;
        Self { key, names: names.to_vec(), certificate: answer.certificate() }
    }

    fn chain(&self) -> [Vec<u8>; 1] {
        [self.certificate.der().to_vec()]
    }

    /// Renews with this request.
    async fn renew(&self, scene: &Scene, csr: &[u8]) -> Answer {
        scene.with_certificate("simplereenroll", csr, &self.chain()).await
    }

    /// A request for the same names and a new key.
    fn rekey(&self, name: &str) -> Vec<u8> {
        request(name, &self.names, &KeyPair::generate().unwrap())
    }
}

fn reenroll(grace: u64, keys: ReenrollKeys) -> Setup {
    let settings = CompiledReenroll { grace: Duration::from_secs(grace), keys };
    Setup::default().settings(move |est, _| est.reenroll = Some(settings))
}

#[tokio::test]
async fn a_certificate_renews_itself_with_the_same_key_or_a_new_one() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[dns("a.example"), dns("b.example")]).await;
    for csr in [request("device-1", &device.names, &device.key), device.rekey("device-1")] {
        let expected = UnverifiedCsr::from_der(&csr).unwrap().verify().unwrap();
        let renewed = device.renew(&scene, &csr).await.certificate();
        assert_eq!(renewed.public_key(), expected.public_key());
        assert_eq!(renewed.subject(), device.certificate.subject());
        assert_ne!(renewed.serial(), device.certificate.serial());
    }
}

#[tokio::test]
async fn a_renewal_belongs_to_whom_the_first_belonged_and_uses_nothing_up() {
    let scene = Scene::new().await;
    scene
        .put(issuance::credential::CredentialRow { maximum_uses: Some(1), ..scene.credential.clone() })
        .await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let renewed = device.renew(&scene, &device.rekey("device-1")).await.certificate();
    let row = scene.row(&renewed).await;
    assert_eq!(row.credential.as_ref(), Some(&scene.credential.id));
    assert_eq!(row.owner, Some(Owner::Group("workshop".into())));
    assert_eq!(row.requester, "CN=device-1", "it asked by its certificate");
    let store = scene.app.engine.store();
    let credential = store.credential(&scene.credential.id).await.unwrap().unwrap();
    assert_eq!(credential.uses, 1, "the passphrase was used once, for the first certificate");
    // The next in line is renewed as well as the first.
    let next =
        scene.with_certificate("simplereenroll", &device.rekey("device-1"), &[renewed.der().to_vec()]).await;
    assert_eq!(scene.row(&next.certificate()).await.credential.as_ref(), Some(&scene.credential.id));
}

#[tokio::test]
async fn another_subject_is_refused_and_both_are_named() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    for name in ["device-2", "Device-1", "device-1 "] {
        let answer = device.renew(&scene, &device.rekey(name)).await;
        answer.refused(StatusCode::FORBIDDEN, "the subject stays as it is, \"CN=device-1\"");
    }
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = common_name("device-1");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
    let more = params.serialize_request(&device.key).unwrap();
    device.renew(&scene, more.der()).await.refused(StatusCode::FORBIDDEN, "O=Acme");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let none = params.serialize_request(&device.key).unwrap();
    device.renew(&scene, none.der()).await.refused(StatusCode::FORBIDDEN, "the subject stays as it is");
    assert_eq!(scene.issued().await, 1);
    let record = scene.last_audit_record().await;
    assert!(record.contains("refused") && record.contains("simplereenroll"), "{record}");
}

#[tokio::test]
async fn one_name_more_less_or_other_is_refused_and_another_order_is_not() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[dns("a.example"), dns("b.example")]).await;
    let refused: [&[SanType]; 5] = [
        &[dns("a.example"), dns("b.example"), dns("c.example")],
        &[dns("a.example")],
        &[],
        &[dns("a.example"), dns("c.example")],
        &[dns("a.example"), dns("b.example"), SanType::IpAddress("192.0.2.1".parse().unwrap())],
    ];
    for names in refused {
        let answer = device.renew(&scene, &request("device-1", names, &device.key)).await;
        answer.refused(StatusCode::FORBIDDEN, "the subjectAltName stays as it is");
    }
    assert_eq!(scene.issued().await, 1);
    let taken: [&[SanType]; 2] =
        [&[dns("b.example"), dns("a.example")], &[dns("A.Example"), dns("b.example")]];
    for names in taken {
        device.renew(&scene, &request("device-1", names, &device.key)).await.certificate();
    }
}

#[tokio::test]
async fn only_names_without_case_may_be_spelled_otherwise() {
    let scene = Scene::with(|policy| {
        let any = NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: Vec::new() };
        policy.subject_alt_names.uri = Some(any.clone());
        policy.subject_alt_names.email = Some(any);
    })
    .await;
    // RFC 3986 §6.2.2.1: a path has case; RFC 5321 §2.4: so has what stands before the @.
    let email = |address: &str| SanType::Rfc822Name(address.try_into().unwrap());
    let device =
        Enrolled::new(&scene, "device-1", &[uri("spiffe://acme.example/Alice"), email("Alice@acme.example")])
            .await;
    let others: [[SanType; 2]; 2] = [
        [uri("spiffe://acme.example/alice"), email("Alice@acme.example")],
        [uri("spiffe://acme.example/Alice"), email("alice@acme.example")],
    ];
    for names in others {
        let answer = device.renew(&scene, &request("device-1", &names, &device.key)).await;
        answer.refused(StatusCode::FORBIDDEN, "the subjectAltName stays as it is");
    }
    device.renew(&scene, &device.rekey("device-1")).await.certificate();
}

#[tokio::test]
async fn where_keys_are_new_each_time_the_present_one_is_refused() {
    let scene = Scene::of(reenroll(0, ReenrollKeys::New)).await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let same = request("device-1", &[], &device.key);
    device.renew(&scene, &same).await.refused(StatusCode::FORBIDDEN, "est.reenroll.keys");
    assert!(scene.last_audit_record().await.contains("est.reenroll.keys"));
    device.renew(&scene, &device.rekey("device-1")).await.certificate();
}

#[tokio::test]
async fn a_profile_that_refuses_used_keys_refuses_them_in_a_renewal_too() {
    let scene = Scene::with(|policy| policy.keys.reuse = Permission::Refused).await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let same = request("device-1", &[], &device.key);
    device.renew(&scene, &same).await.refused(StatusCode::FORBIDDEN, "keys.reuse");
    device.renew(&scene, &device.rekey("device-1")).await.certificate();
}

#[tokio::test]
async fn nobody_renews_without_a_certificate_and_a_password_does_not_help() {
    let scene = Scene::new().await;
    let none = scene.with_certificate("simplereenroll", &csr("device-1"), &[]).await;
    none.refused(StatusCode::FORBIDDEN, "a client certificate is needed here, in the TLS handshake");
    let path = "/.well-known/est/devices/simplereenroll";
    let with_password = scene.send(post(path, &scene.basic("anyone"), csr("device-1"))).await;
    with_password.refused(StatusCode::FORBIDDEN, "a client certificate is needed here");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn another_devices_certificate_is_renewed_for_that_device_only() {
    let scene = Scene::new().await;
    let one = Enrolled::new(&scene, "device-1", &[dns("one.example")]).await;
    let two = Enrolled::new(&scene, "device-2", &[dns("two.example")]).await;
    // The second shows its own certificate and asks for the names of the first.
    let answer = two.renew(&scene, &one.rekey("device-1")).await;
    answer.refused(StatusCode::FORBIDDEN, "the subject stays as it is, \"CN=device-2\"");
    let answer = two.renew(&scene, &one.rekey("device-2")).await;
    answer.refused(StatusCode::FORBIDDEN, "the subjectAltName stays as it is");
    // What it sends along counts for nothing: only the first certificate of the chain is proved.
    let chain = [two.chain(), one.chain()].concat();
    let answer = scene.with_certificate("simplereenroll", &one.rekey("device-1"), &chain).await;
    answer.refused(StatusCode::FORBIDDEN, "the subject stays as it is, \"CN=device-2\"");
}

#[tokio::test]
async fn certificates_of_others_are_refused_however_much_they_look_like_ours() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let serial = SerialNumber::from_slice(device.certificate.serial().as_bytes());
    let ours = scene.authority.key_id().0.to_vec();
    let foreign = Stranger::root("Foreign");
    let disguised = Stranger::disguised_as(&scene.authority);
    let named = |params: &mut rcgen::CertificateParams| params.distinguished_name = common_name("device-1");
    let chains = [
        ("of another authority", foreign.device(named).der),
        ("of another authority, with our serial number", {
            let serial = serial.clone();
            foreign
                .device(|params| {
                    named(params);
                    params.serial_number = Some(serial);
                })
                .der
        }),
        ("of another authority, without a word of its issuer's key", {
            let serial = serial.clone();
            foreign
                .device(|params| {
                    named(params);
                    params.serial_number = Some(serial);
                    params.use_authority_key_identifier_extension = false;
                })
                .der
        }),
        ("of an authority with our name and key identifier, with our serial number", {
            disguised
                .device(|params| {
                    named(params);
                    params.serial_number = Some(serial);
                })
                .der
        }),
        ("of itself, with our key identifier", {
            let mut params = rcgen::CertificateParams::default();
            named(&mut params);
            params.key_identifier_method = KeyIdMethod::PreSpecified(ours);
            params.self_signed(&device.key).unwrap().der().to_vec()
        }),
        ("the authority's own", scene.authority.certificate.der().to_vec()),
        ("no certificate at all", b"\x30\x03\x02\x01\x00".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, der) in chains {
        let answer = scene.with_certificate("simplereenroll", &device.rekey("device-1"), &[der]).await;
        assert_eq!((answer.status, answer.text().trim()), (StatusCode::FORBIDDEN, NOT_ACCEPTED), "{what}");
    }
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn a_certificate_of_another_profile_of_the_same_authority_is_refused() {
    let scene = Scene::new().await;
    let csr = csr("device-1");
    let mut policy = scene.method.profile.policy.clone();
    policy.name = ResourceName::new("acme", "other");
    policy.protocols =
        vec![ProtocolRule { protocol: Protocol::Internal, minimum_authentication: Strength::Anonymous }];
    let other = Arc::new(Method {
        name: ResourceName::new("acme", "other"),
        protocol: Protocol::Internal,
        minimum: Strength::Anonymous,
        profile: Arc::new(IssuingProfile { policy, authority: Some(scene.authority.clone()) }),
        retry_after: Duration::ZERO,
    });
    let asked = Asked::from_csr(&UnverifiedCsr::from_der(&csr).unwrap().verify().unwrap()).unwrap();
    let issued = scene.app.engine.issue_role(other, "other", asked).await.unwrap();
    let answer = scene.with_certificate("simplereenroll", &csr, &[issued.certificate]).await;
    answer.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);
}

#[tokio::test]
async fn a_revoked_or_held_certificate_is_refused_and_a_released_one_renews_again() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    scene.revoke(&device.certificate, Revocation::Hold).await;
    device.renew(&scene, &device.rekey("device-1")).await.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);
    scene.revoke(&device.certificate, Revocation::Release).await;
    device.renew(&scene, &device.rekey("device-1")).await.certificate();
    let compromise = Revocation::Revoke { reason: ReasonCode::KeyCompromise, invalidity_date: None };
    scene.revoke(&device.certificate, compromise).await;
    device.renew(&scene, &device.rekey("device-1")).await.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_while_it_renews_itself_gets_nothing() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let (engine, issuer) = (scene.app.engine.clone(), scene.authority.key_id());
    let serial = *device.certificate.serial();
    scene.signer.before_signing(async move {
        let superseded = Revocation::Revoke { reason: ReasonCode::Superseded, invalidity_date: None };
        engine.revoke(issuer, &serial, superseded, Actor::Server).await.unwrap();
    });
    let answer = device.renew(&scene, &device.rekey("device-1")).await;
    answer.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);
    assert_eq!(scene.issued().await, 1, "what was signed is not recorded");
}

#[tokio::test]
async fn an_expired_certificate_renews_itself_within_the_grace_and_not_after() {
    let until_end = |scene: &Scene, device: &Enrolled| {
        device.certificate.not_after().unix() - scene.app.engine.clock().now().unix()
    };
    let strict = Scene::new().await;
    let device = Enrolled::new(&strict, "device-1", &[]).await;
    strict.clock.forward(until_end(&strict, &device) - 10);
    device.renew(&strict, &device.rekey("device-1")).await.certificate();
    strict.clock.forward(20);
    device.renew(&strict, &device.rekey("device-1")).await.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);

    let patient = Scene::of(reenroll(1000, ReenrollKeys::Any)).await;
    let device = Enrolled::new(&patient, "device-1", &[]).await;
    patient.clock.forward(until_end(&patient, &device) + 900);
    let renewed = device.renew(&patient, &device.rekey("device-1")).await.certificate();
    assert!(patient.app.engine.clock().now() < renewed.not_after());
    patient.clock.forward(200);
    device.renew(&patient, &device.rekey("device-1")).await.refused(StatusCode::FORBIDDEN, NOT_ACCEPTED);
}

#[tokio::test]
async fn a_method_that_does_not_renew_says_so() {
    let scene = Scene::of(Setup::default().settings(|est, _| est.reenroll = None)).await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let answer = device.renew(&scene, &device.rekey("device-1")).await;
    answer.refused(StatusCode::NOT_IMPLEMENTED, "simplereenroll is not offered here");
}

#[tokio::test]
async fn a_renewal_is_judged_by_the_profile_as_it_is_now_and_by_what_it_asks_of_requesters() {
    let scene = Scene::with(|policy| {
        policy.protocols[0].minimum_authentication = Strength::CertificateAndSecret;
    })
    .await;
    // Nobody can enrol here by password; the certificate comes from the server's own hand.
    let csr = csr("device-1");
    let mut policy = scene.method.profile.policy.clone();
    policy.protocols[0].protocol = Protocol::Internal;
    let internal = Arc::new(Method {
        name: scene.method.name.clone(),
        protocol: Protocol::Internal,
        minimum: Strength::Anonymous,
        profile: Arc::new(IssuingProfile { policy, authority: Some(scene.authority.clone()) }),
        retry_after: Duration::ZERO,
    });
    let asked = Asked::from_csr(&UnverifiedCsr::from_der(&csr).unwrap().verify().unwrap()).unwrap();
    let issued = scene.app.engine.issue_role(internal, "test", asked).await.unwrap();
    let answer = scene.with_certificate("simplereenroll", &csr, &[issued.certificate]).await;
    answer.refused(StatusCode::FORBIDDEN, "asks for at least CertificateAndSecret");
}

#[tokio::test]
async fn a_body_that_is_no_good_request_is_refused_here_too() {
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let mut forged = device.rekey("device-1");
    *forged.last_mut().unwrap() ^= 1;
    device.renew(&scene, &forged).await.refused(StatusCode::BAD_REQUEST, "PKCS #10");
    device.renew(&scene, b"hello").await.refused(StatusCode::BAD_REQUEST, "PKCS #10");
    let path = "/.well-known/est/devices/simplereenroll";
    let body = STANDARD.encode(device.rekey("device-1"));
    let untyped = Request::post(path).header(CONTENT_TYPE, "text/plain").body(Body::from(body)).unwrap();
    let answer = scene.send_as(untyped, &device.chain()).await;
    answer.refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/pkcs10");
}

#[tokio::test]
async fn a_client_that_binds_its_request_to_the_connection_is_told_to_leave_that_out() {
    const CHALLENGE_PASSWORD: &[u64] = &[1, 2, 840, 113_549, 1, 9, 7];
    let scene = Scene::new().await;
    let device = Enrolled::new(&scene, "device-1", &[]).await;
    let bound = || {
        let tls_unique = attribute(CHALLENGE_PASSWORD, 0x13, b"dGxzLXVuaXF1ZQ==");
        request_with("device-1", &[], &device.key, vec![tls_unique])
    };
    let sentence = "this server does not offer channel binding: leave the attribute out";
    device.renew(&scene, &bound()).await.refused(StatusCode::BAD_REQUEST, sentence);
    let enrolled = scene.enroll(bound()).await;
    enrolled.refused(StatusCode::BAD_REQUEST, sentence);
    assert!(!enrolled.text().contains("dGxzLXVuaXF1ZQ"), "what may be a secret is not repeated");
}
