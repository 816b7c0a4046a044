use pki::{algorithm::KeyAlgorithm, general_name::GeneralName, name::AttributeType, serial::SerialNumber};

use super::*;
use crate::{
    acme::{AccountStatus, Restriction, StoredProblem},
    authn::Authenticated,
    credential::PreviousValue,
    error::{Error, Rule},
    identity::{AcmeAccountId, CredentialId, KeyId, RequestId, ResourceName},
    policy::Approval,
    ports::Signer as _,
    testing::{AcmeScene, NOW, Request, acme_request as honest, acme_scene, patterns, request},
};

const HOUR: i64 = 3600;

type Change = fn(&mut AcmeScene);

/// Who is refused, and what a credential is restricted to.
trait Tried {
    fn refuses(&self, request: &Request, expected: &AcmeRefusal);
    fn restrict(&mut self, dns: &[&str], ip: &[&str]);
}

impl Tried for AcmeScene {
    #[track_caller]
    fn refuses(&self, request: &Request, expected: &AcmeRefusal) {
        assert_eq!(self.ask(request).map(|_| ()).as_ref(), Err(expected));
    }

    fn restrict(&mut self, dns: &[&str], ip: &[&str]) {
        let ip = ip.iter().map(|network| network.parse().unwrap()).collect();
        if let Some(row) = &mut self.credential {
            row.identifiers = Some(Restriction { dns: patterns(dns), ip });
        }
    }
}

fn scene() -> AcmeScene {
    acme_scene(Approval::Automatic)
}

fn changed(change: impl FnOnce(&mut AcmeScene)) -> AcmeScene {
    let mut scene = scene();
    change(&mut scene);
    scene
}

fn authorization(name: &str, status: AuthorizationStatus) -> AcmeRefusal {
    AcmeRefusal::Authorization { name: name.into(), status }
}

#[test]
fn whoever_may_not_have_a_certificate_for_this_order_is_refused_with_the_reason() {
    let other_id = AcmeAccountId::from_octets([9; 16]);
    let status =
        |place: usize, status| move |scene: &mut AcmeScene| scene.order.authorizations[place].status = status;
    let mut table: Vec<(&str, AcmeScene, AcmeRefusal)> = vec![
        (
            "an account of another method",
            changed(|scene| scene.account.method = ResourceName::new("acme", "other")),
            AcmeRefusal::ForeignAccount,
        ),
        (
            "a deactivated account",
            changed(|scene| scene.account.deactivate().unwrap()),
            AcmeRefusal::Account(AccountStatus::Deactivated),
        ),
        (
            "a revoked account",
            changed(|scene| scene.account.revoke().unwrap()),
            AcmeRefusal::Account(AccountStatus::Revoked),
        ),
        (
            "an order of another account",
            changed(|scene| scene.order.account = other_id.clone()),
            AcmeRefusal::ForeignOrder,
        ),
        (
            "an order of another method",
            changed(|scene| scene.order.method = ResourceName::new("acme", "other")),
            AcmeRefusal::ForeignOrder,
        ),
        (
            "an order for nothing",
            changed(|scene| scene.order.authorizations.clear()),
            AcmeRefusal::Order(OrderStatus::Invalid),
        ),
        (
            "an order for nothing that is being processed",
            changed(|scene| {
                scene.order.authorizations.clear();
                let (request, csr) = (RequestId::from_octets([1; 16]), honest().to_der());
                scene.order.state = OrderState::Processing { request, csr };
            }),
            AcmeRefusal::Order(OrderStatus::Invalid),
        ),
        (
            "an expired order",
            changed(|scene| scene.order.expires_at = NOW),
            AcmeRefusal::Order(OrderStatus::Invalid),
        ),
        (
            "an order that came to nothing",
            changed(|scene| scene.order.invalidate(StoredProblem::new("unauthorized", "no"), NOW).unwrap()),
            AcmeRefusal::Order(OrderStatus::Invalid),
        ),
        (
            "an order that is issued",
            changed(|scene| {
                let serial = SerialNumber::from_random([1; 16]);
                scene.order.issued(KeyId([1; 20]), serial, NOW).unwrap();
            }),
            AcmeRefusal::Order(OrderStatus::Valid),
        ),
        (
            "an authorization that is pending",
            changed(status(1, AuthorizationStatus::Pending)),
            AcmeRefusal::Order(OrderStatus::Pending),
        ),
        (
            "an authorization that has expired",
            changed(|scene| scene.order.authorizations[2].expires_at = NOW),
            authorization("192.0.2.1", AuthorizationStatus::Expired),
        ),
    ];
    for end in [
        AuthorizationStatus::Invalid,
        AuthorizationStatus::Deactivated,
        AuthorizationStatus::Revoked,
        AuthorizationStatus::Expired,
    ] {
        table.push((
            "an authorization that ended",
            changed(status(1, end)),
            authorization("*.b.example", end),
        ));
    }
    for (what, scene, expected) in table {
        let found = scene.ask(&honest()).map(|_| ());
        assert_eq!(found, Err(expected), "{what}");
    }
}

#[test]
fn a_request_that_asks_for_other_names_than_the_order_is_refused() {
    let ordered = |name: &str| AcmeRefusal::Csr(CsrFault::NameNotOrdered(name.into()));
    let missing = |name: &str| AcmeRefusal::Csr(CsrFault::NameMissing(name.into()));
    let user = "1.3.6.1.4.1.311.20.2.3";
    let table = [
        ("one more", honest().dns("c.example"), ordered("c.example")),
        ("one more address", honest().ip("192.0.2.2"), ordered("192.0.2.2")),
        ("one less", request().subject(&[]).dns("www.a.example").dns("*.b.example"), missing("192.0.2.1")),
        ("none", request().subject(&[]), missing("*.b.example")),
        ("a URI", honest().uri("https://www.a.example/"), ordered("uri:https://www.a.example/")),
        ("a mailbox", honest().email("ann@www.a.example"), ordered("email:ann@www.a.example")),
        ("a directory name", honest().names([directory_name()]), ordered("dirName:CN=www.a.example")),
        ("the name under the wildcard", honest().dns("w.b.example"), ordered("w.b.example")),
        ("the name the wildcard is of", honest().dns("b.example"), ordered("b.example")),
        ("a wildcard of a single name", honest().dns("*.www.a.example"), ordered("*.www.a.example")),
        ("a wildcard twice", honest().dns("*.*.b.example"), ordered("*.*.b.example")),
        ("an end with a dot", honest().dns("www.a.example."), ordered("www.a.example.")),
        ("an address as a DNS name", honest().dns("192.0.2.1"), ordered("192.0.2.1")),
        ("a common name of no name", honest().common_name("c.example"), ordered("c.example")),
        ("a common name that is text", honest().common_name("My server"), ordered("my server")),
        ("an empty common name", honest().common_name(" "), ordered(" ")),
        ("an address as common name", honest().common_name("192.0.2.2"), ordered("192.0.2.2")),
        (
            "a second common name",
            honest().subject(&[
                (AttributeType::CommonName, "www.a.example"),
                (AttributeType::CommonName, "c.example"),
            ]),
            ordered("c.example"),
        ),
    ];
    for (what, request, expected) in table {
        let found = scene().ask(&request).map(|_| ());
        assert_eq!(found, Err(expected), "{what}");
    }
    let found = scene().ask(&honest().other_name(user, "ann@a.example")).map(|_| ());
    assert!(matches!(found, Err(AcmeRefusal::Csr(CsrFault::NameNotOrdered(_)))), "{found:?}");
    // What was proved for one name alone is no wildcard, and the reverse.
    let mut single = scene();
    single.order.authorizations[1].wildcard = false;
    single.refuses(&honest(), &ordered("*.b.example"));
    // An address and a DNS name that reads as one are two names.
    let mut text = scene();
    text.order.authorizations[2].identifier = Identifier::Dns("192.0.2.1".into());
    text.refuses(&honest(), &ordered("192.0.2.1"));
}

fn directory_name() -> GeneralName {
    let (kind, value) = (AttributeType::CommonName, "www.a.example".into());
    GeneralName::DirectoryName(
        pki::name::Name::from_attributes(&[pki::name::Attribute { kind, value }]).unwrap(),
    )
}

#[test]
fn the_accounts_key_is_no_key_of_a_certificate() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::Ed25519] {
        let mut scene = scene();
        let same = honest().key(algorithm);
        let jwk = canonical_jwk(same.key.public_key()).unwrap();
        scene.account.change_key(jwk).unwrap();
        scene.refuses(&same, &AcmeRefusal::Csr(CsrFault::AccountKey));
        scene.ask(&honest()).unwrap();
    }
}

#[test]
fn a_dead_credential_stops_the_account_unless_the_method_keeps_it() {
    let deaths: [(&str, Change); 5] = [
        ("revoked", |scene| scene.credential.as_mut().unwrap().state = CredentialState::Revoked),
        ("regenerated", |scene| scene.account.binding.as_mut().unwrap().fingerprint = [7; 32]),
        ("gone", |scene| scene.credential = None),
        ("another", |scene| scene.credential.as_mut().unwrap().id = CredentialId::from_octets([7; 16])),
        ("moved", |scene| {
            scene.credential.as_mut().unwrap().method = ResourceName::new("acme", "other");
        }),
    ];
    for (what, kill) in deaths {
        let mut scene = changed(kill);
        assert_eq!(scene.acting().check(&scene.method), Err(AcmeRefusal::Credential), "{what}");
        scene.refuses(&honest(), &AcmeRefusal::Credential);
        scene.policy = OnCredentialRevoked::Keep;
        scene.acting().check(&scene.method).unwrap();
        let (evidence, _) = scene.ask(&honest()).unwrap();
        assert_eq!(evidence.strength, Strength::PersonalSecret, "{what}");
        // Nothing is its own without a challenge.
        scene.restrict(&["**.example"], &["192.0.2.0/24"]);
        let www = Identifier::Dns("www.a.example".into());
        assert!(!scene.acting().is_preauthorized(&www, false), "{what}");
        scene.order.authorizations[0].preauthorized = true;
        scene.refuses(&honest(), &authorization("www.a.example", AuthorizationStatus::Revoked));
    }
}

#[test]
fn an_account_that_is_bound_by_the_value_before_goes_on_until_that_stops() {
    let mut scene = changed(|scene| {
        let row = scene.credential.as_mut().unwrap();
        let next = Verifier::HmacKey { sealed: vec![1], fingerprint: [7; 32], known_to: Default::default() };
        let verifier = std::mem::replace(&mut row.verifier, next);
        row.previous = Some(PreviousValue { verifier, until: NOW.plus_seconds(60) });
    });
    scene.ask(&honest()).unwrap();
    assert!(scene.acting().is_bound_by_previous());
    let regenerated = {
        let row = scene.credential.as_ref().unwrap();
        CredentialRow { previous: None, ..row.clone() }
    };
    let overlapping = scene.credential.replace(regenerated);
    scene.refuses(&honest(), &AcmeRefusal::Credential);
    scene.credential = overlapping;
    scene.now = NOW.plus_seconds(59);
    scene.ask(&honest()).unwrap();
    scene.now = NOW.plus_seconds(60);
    assert!(!scene.acting().is_bound_by_previous());
    scene.refuses(&honest(), &AcmeRefusal::Credential);
    // Bound with the present one, it goes on.
    scene.account.binding.as_mut().unwrap().fingerprint = [7; 32];
    scene.now = NOW;
    assert!(!scene.acting().is_bound_by_previous());
    scene.now = NOW.plus_seconds(60);
    scene.ask(&honest()).unwrap();
}

#[test]
fn a_credential_that_expired_or_is_used_up_goes_on_for_those_who_are_bound() {
    let scene = changed(|scene| {
        let row = scene.credential.as_mut().unwrap();
        (row.expires_at, row.maximum_uses, row.uses) = (Some(NOW), Some(1), 1);
    });
    scene.ask(&honest()).unwrap();
}

#[test]
fn names_outside_the_credentials_restriction_are_refused_whatever_was_proved() {
    let table: [(&[&str], &[&str], &str); 4] = [
        (&["*.b.example"], &["192.0.2.0/24"], "www.a.example"),
        (&["www.a.example"], &["192.0.2.0/24"], "*.b.example"),
        (&["**.example"], &["198.51.100.0/24"], "192.0.2.1"),
        (&[], &[], "www.a.example"),
    ];
    for (dns, ip, refused) in table {
        let mut scene = changed(|scene| scene.restrict(dns, ip));
        scene.refuses(&honest(), &AcmeRefusal::Restricted { name: refused.into() });
        // Also where the credential has ended.
        scene.credential.as_mut().unwrap().state = CredentialState::Revoked;
        scene.policy = OnCredentialRevoked::Keep;
        scene.refuses(&honest(), &AcmeRefusal::Restricted { name: refused.into() });
    }
}

#[test]
fn a_preauthorized_name_needs_a_restriction_that_holds_it() {
    let mut scene = changed(|scene| {
        scene.order.authorizations.iter_mut().for_each(|authorization| authorization.preauthorized = true);
    });
    scene.refuses(&honest(), &authorization("www.a.example", AuthorizationStatus::Revoked));
    scene.restrict(&["www.a.example", "*.b.example"], &["192.0.2.1/32"]);
    scene.ask(&honest()).unwrap();
    // Narrowed since the order was made.
    scene.restrict(&["www.a.example"], &["192.0.2.1/32"]);
    scene.refuses(&honest(), &AcmeRefusal::Restricted { name: "*.b.example".into() });
    scene.account.binding = None;
    scene.refuses(&honest(), &authorization("www.a.example", AuthorizationStatus::Revoked));
}

#[test]
fn a_credential_that_no_resource_declares_restricts_and_vouches_for_nothing() {
    let mut scene = changed(|scene| {
        scene.restrict(&["www.a.example", "*.b.example"], &["192.0.2.1/32"]);
        scene.order.authorizations[0].preauthorized = true;
    });
    scene.ask(&honest()).unwrap();
    scene.credential.as_mut().unwrap().declared = false;
    let www = Identifier::Dns("www.a.example".into());
    assert!(!scene.acting().is_preauthorized(&www, false));
    assert!(!scene.acting().controls(&scene.order.authorizations[0]));
    scene.refuses(&honest(), &authorization("www.a.example", AuthorizationStatus::Revoked));
    // With a challenge it may have the names that it is restricted to, and no others.
    scene.order.authorizations[0].preauthorized = false;
    scene.ask(&honest()).unwrap();
    scene.restrict(&["*.b.example"], &["192.0.2.1/32"]);
    scene.refuses(&honest(), &AcmeRefusal::Restricted { name: "www.a.example".into() });
}

#[test]
fn control_that_the_credential_no_longer_vouches_for_is_none() {
    let controls = |scene: &AcmeScene| {
        scene.order.authorizations.iter().map(|one| scene.acting().controls(one)).collect::<Vec<_>>()
    };
    let scene = scene();
    assert_eq!(controls(&scene), [true, true, true]);
    let mut preauthorized = changed(|scene| {
        scene.policy = OnCredentialRevoked::Keep;
        scene.restrict(&["*.a.example"], &["192.0.2.0/24"]);
        scene.order.authorizations[0].preauthorized = true;
    });
    assert_eq!(controls(&preauthorized), [true, false, true]);
    preauthorized.credential.as_mut().unwrap().state = CredentialState::Revoked;
    assert_eq!(controls(&preauthorized), [false, false, true]);
    preauthorized.now = preauthorized.order.authorizations[2].expires_at;
    assert_eq!(controls(&preauthorized), [false, false, false]);
}

#[test]
fn a_request_takes_the_place_of_none_that_is_being_processed() {
    let mut scene = scene();
    let request = honest();
    scene.order.processing(RequestId::from_octets([1; 16]), &request.to_der(), NOW).unwrap();
    scene.ask(&request).unwrap();
    scene.refuses(&honest(), &AcmeRefusal::Csr(CsrFault::OtherRequest));
}

#[test]
fn evidence_names_the_account_and_holds_what_must_stay_true() {
    let scene = changed(|scene| scene.order.not_after = Some(NOW.plus_seconds(HOUR)));
    let spelt =
        request().common_name("WWW.a.example").dns("*.B.example").ip("192.0.2.1").dns("www.A.example");
    let (evidence, asked) = scene.ask(&spelt).unwrap();
    assert_eq!(evidence.name(), format!("acme:{}", scene.account.id));
    let credential = scene.credential.as_ref().unwrap();
    assert_eq!(evidence.credential(), Some(&credential.id));
    assert_eq!((evidence.strength, &evidence.owner), (Strength::PersonalSecret, &credential.owner));
    let expected = [
        Expect::AcmeAccountVersion { id: scene.account.id.clone(), version: 3 },
        Expect::AcmeOrderVersion { id: scene.order.id.clone(), version: 7 },
        Expect::CredentialVersion { id: credential.id.clone(), version: 1 },
    ];
    assert_eq!(evidence.expect, expected);
    // As the order spells them, in its order.
    let names: Vec<String> = asked.subject_alt_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["dns:www.a.example", "dns:*.b.example", "ip:192.0.2.1"]);
    let validity = AskedValidity { not_before: None, not_after: scene.order.not_after, duration: None };
    assert_eq!(asked.validity, validity);
    Authenticated::new(scene.method.clone(), evidence, None).unwrap();
}

#[test]
fn a_common_name_stands_for_a_name_that_is_not_among_the_alternatives() {
    let scene = scene();
    let request = request().common_name("www.a.example").dns("*.b.example").ip("192.0.2.1");
    let (_, asked) = scene.ask(&request).unwrap();
    assert_eq!(asked.subject_alt_names.len(), 3);
}

#[test]
fn whoever_is_bound_to_nothing_is_nobody_in_particular() {
    let scene = changed(|scene| (scene.account.binding, scene.account.owner) = (None, None));
    let (evidence, _) = scene.ask(&honest()).unwrap();
    assert_eq!((evidence.strength, evidence.credential()), (Strength::Anonymous, None));
    assert_eq!(evidence.expect.len(), 2);
    // Which a profile must allow.
    match Authenticated::new(scene.method.clone(), evidence, None) {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.rule(), Rule::Protocols),
        other => panic!("{other:?}"),
    }
}
