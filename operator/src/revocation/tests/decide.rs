//! Every way to say which certificate, and every answer.

use std::time::Duration;

use client::internal::RevokeOutcome;
use crds::{CertificateRevocation, CertificateRevocationStatus};
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::json;

use super::scene::{Office, leaf, now, revocation, secret, with_status};
use crate::{
    revocation::{
        decide::{Question, Step, conclude, decide},
        signatories::Signatories,
    },
    servers::CallError,
};

fn said<'a>(status: &'a CertificateRevocationStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).expect("a condition");
    (found.status.as_str(), found.reason.as_str(), found.message.as_str())
}

fn told(step: Step) -> CertificateRevocationStatus {
    match step {
        Step::Tell(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn recorded(step: Step) -> CertificateRevocationStatus {
    match step {
        Step::Record(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn asked(step: Step) -> Question {
    match step {
        Step::Ask(question) => *question,
        other => panic!("{other:?}"),
    }
}

/// Writes down which certificate is meant, as the controller does.
fn noted(
    revocation: &CertificateRevocation,
    signatories: &Signatories,
    secret: Option<&Secret>,
) -> CertificateRevocation {
    with_status(revocation, &recorded(decide(revocation, signatories, secret, now())))
}

#[test]
fn what_cannot_be_found_out_is_not_accepted_and_says_which_member() {
    let office = Office::new();
    let stranger = leaf(&Office::new().issuing, 7).pem();
    let mut without = secret(&office.leaf(7));
    without.data = Some([("ca.crt".to_owned(), ByteString(Vec::new()))].into());
    let mut nonsense = without.clone();
    nonsense.data = Some([("tls.crt".to_owned(), ByteString(b"nonsense".to_vec()))].into());
    let serial = |serial: &str, name: &str| json!({"serial": serial, "authorityRef": {"name": name}});
    let shop = || json!({"secretRef": {"name": "shop-tls"}});
    let cases = [
        (json!({}), None, "Invalid", "spec: "),
        (json!({"serial": "07"}), None, "Invalid", "spec: "),
        (serial("00", "issuing"), None, "Invalid", "spec.serial: "),
        (
            serial("07", "other"),
            None,
            "ReferenceNotAccepted",
            "spec.authorityRef: no CertificateAuthority team-a/other ",
        ),
        (json!({"certificate": "nonsense"}), None, "Invalid", "spec.certificate: holds no certificate"),
        (
            json!({"certificate": stranger}),
            None,
            "ReferenceNotFound",
            "spec.certificate: no CertificateAuthority here ",
        ),
        (shop(), None, "SecretInvalid", "spec.secretRef: the Secret team-a/shop-tls does not exist"),
        (
            shop(),
            Some(&without),
            "SecretInvalid",
            "spec.secretRef: the Secret team-a/shop-tls has no tls.crt",
        ),
        (shop(), Some(&nonsense), "SecretInvalid", "spec.secretRef: holds no certificate"),
    ];
    for (spec, secret, reason, message) in cases {
        let revocation = revocation("team-a", spec);
        let status = told(decide(&revocation, &office.signatories(), secret, now()));
        let accepted = said(&status, "Accepted");
        assert_eq!((accepted.0, accepted.1), ("False", reason), "{message}");
        assert!(accepted.2.starts_with(message), "{} is not {message}", accepted.2);
        assert_eq!(said(&status, "Ready").1, "NotAccepted");
        assert_eq!((status.serial_number.as_ref(), status.revoked_at.as_ref()), (None, None));
        // Said once.
        assert_eq!(
            decide(&with_status(&revocation, &status), &office.signatories(), secret, now()),
            Step::Leave
        );
    }
}

#[test]
fn what_is_meant_is_written_down_before_anything_is_asked() {
    let office = Office::new();
    let certificate = office.leaf(0x5c02);
    let bundle = format!("{}{}", certificate.pem(), office.issuing.pem());
    let named = secret(&certificate);
    let cases = [
        (json!({"serial": "5C:02", "authorityRef": {"name": "issuing"}}), None, None),
        (json!({"certificate": bundle}), None, Some("CN=shop")),
        (json!({"secretRef": {"name": "shop-tls"}}), Some(&named), Some("CN=shop")),
    ];
    for (spec, secret, subject) in cases {
        let status = recorded(decide(&revocation("team-a", spec), &office.signatories(), secret, now()));
        assert_eq!(status.serial_number.as_deref(), Some("5c02"));
        assert_eq!(status.issuer_key_id, Some(office.signatories().0[1].key_id.to_string()));
        assert_eq!(status.subject.as_deref(), subject);
        assert_eq!((said(&status, "Accepted").0, said(&status, "Ready").1), ("True", "Pending"));
    }
}

#[test]
fn a_secret_that_is_renewed_meanwhile_is_not_read_again() {
    let office = Office::new();
    let before = secret(&office.leaf(1));
    let noted = noted(
        &revocation("team-a", json!({"secretRef": {"name": "shop-tls"}})),
        &office.signatories(),
        Some(&before),
    );
    for later in [Some(secret(&office.leaf(2))), None] {
        let question = asked(decide(&noted, &office.signatories(), later.as_ref(), now()));
        assert_eq!(question.request.serial, "01");
    }
}

#[test]
fn the_server_is_asked_as_the_namespace_unless_the_authority_is_in_it() {
    let office = Office::new();
    for (namespace, passed_on) in [("team-a", None), ("team-b", Some("team-b"))] {
        let spec = json!({
            "serial": "5c02", "authorityRef": {"name": "issuing", "namespace": "team-a"}, "reason": "keyCompromise",
        });
        let noted = noted(&revocation(namespace, spec), &office.signatories(), None);
        let question = asked(decide(&noted, &office.signatories(), None, now()));
        assert_eq!(question.server, ResourceName::new("pki", "main"));
        assert_eq!(question.request.namespace.as_deref(), passed_on);
        assert_eq!(question.request.issuer, office.signatories().0[1].key_id.to_string());
        assert_eq!(
            (question.request.serial.as_str(), question.request.reason.as_str()),
            ("5c02", "keyCompromise")
        );
        assert_eq!(question.request.requester, format!("CertificateRevocation {namespace}/lost"));
    }
}

#[test]
fn an_answer_is_told_and_the_last_word_stays() {
    let office = Office::new();
    let spec = json!({"serial": "5c02", "authorityRef": {"name": "issuing"}});
    let noted = noted(&revocation("team-a", spec), &office.signatories(), None);
    let answers = [
        (
            Ok(RevokeOutcome::Revoked { revoked_at: 1_799_999_000, subject: "CN=shop".into() }),
            "True",
            "Revoked",
            true,
        ),
        (Ok(RevokeOutcome::NotFound), "False", "CertificateNotFound", true),
        (Ok(RevokeOutcome::Refused { message: "namespace: no".into() }), "False", "Refused", true),
        (Err(CallError::NoReplica(ResourceName::new("pki", "main"))), "False", "ServerNotReady", false),
        (
            Err(CallError::Unreachable { replica: "main-0".into(), detail: "10.0.0.7".into() }),
            "False",
            "ServerNotReady",
            false,
        ),
        (
            Err(CallError::Unavailable {
                replica: "main-0".into(),
                detail: "disk full".into(),
                retry_after: Some(Duration::from_secs(1)),
            }),
            "False",
            "ServerNotReady",
            false,
        ),
        (
            Err(CallError::Unexpected { replica: "main-0".into(), status: 400, detail: "what".into() }),
            "False",
            "Pending",
            false,
        ),
    ];
    for (answer, value, reason, over) in answers {
        let status = conclude(&noted, &answer, now());
        let ready = said(&status, "Ready");
        assert_eq!((ready.0, ready.1), (value, reason), "{answer:?}");
        assert!(!ready.2.contains("10.0.0.7"), "addresses change, messages do not: {}", ready.2);
        assert_eq!(status.revoked_at.is_some(), reason == "Revoked");
        assert_eq!(status.serial_number.as_deref(), Some("5c02"));
        let next = decide(&with_status(&noted, &status), &office.signatories(), None, now());
        assert_eq!(next == Step::Leave, over, "{answer:?}");
    }
}

#[test]
fn the_operator_revokes_what_its_roots_signed_for_those_who_may() {
    let office = Office::new();
    let spec = || json!({"certificate": office.issuing.pem()});
    // The root's namespace, and that of the authority whose certificate it is.
    for namespace in ["pki", "team-a"] {
        let noted = noted(&revocation(namespace, spec()), &office.signatories(), None);
        let status = told(decide(&noted, &office.signatories(), None, now()));
        assert_eq!((said(&status, "Ready").0, said(&status, "Ready").1), ("True", "Revoked"), "{namespace}");
        assert_eq!(status.revoked_at.as_ref().map(|at| at.0), Some(now()));
        assert_eq!(decide(&with_status(&noted, &status), &office.signatories(), None, now()), Step::Leave);
    }
    let stranger = noted(&revocation("team-b", spec()), &office.signatories(), None);
    let status = told(decide(&stranger, &office.signatories(), None, now()));
    assert_eq!((said(&status, "Ready").1, status.revoked_at.as_ref()), ("Refused", None));
    let root =
        noted(&revocation("pki", json!({"certificate": office.root.pem()})), &office.signatories(), None);
    let status = told(decide(&root, &office.signatories(), None, now()));
    assert_eq!(said(&status, "Ready").1, "Refused");
    assert!(said(&status, "Ready").2.starts_with("a root cannot revoke itself"));
}

#[test]
fn a_name_that_fits_without_the_signature_is_not_enough() {
    let office = Office::new();
    // Another root of the same name; its certificates are not ours.
    let forged = Office::new();
    let status = told(decide(
        &revocation("pki", json!({"certificate": forged.issuing.pem()})),
        &office.signatories(),
        None,
        now(),
    ));
    assert_eq!(said(&status, "Accepted").1, "ReferenceNotFound");
}

#[test]
fn an_imported_authority_that_claims_a_serial_number_and_an_issuer_revokes_nothing() {
    let (office, forger) = (Office::new(), Office::new());
    let mut signatories = office.signatories();
    // Signed by another root of the same name, with the serial number of the victim.
    let forged = forger.imitation("team-b", &office);
    assert_eq!(forged.certificate.serial(), signatories.0[1].certificate.serial());
    signatories.0.insert(0, forged);
    let stranger =
        noted(&revocation("team-b", json!({"certificate": office.issuing.pem()})), &signatories, None);
    let status = told(decide(&stranger, &signatories, None, now()));
    assert_eq!((said(&status, "Ready").1, status.revoked_at.as_ref()), ("Refused", None));
    let holder =
        noted(&revocation("team-a", json!({"certificate": office.issuing.pem()})), &signatories, None);
    let status = told(decide(&holder, &signatories, None, now()));
    assert_eq!(said(&status, "Ready").1, "Revoked");
}

#[test]
fn a_revocation_waits_for_an_authority_that_is_not_served_now() {
    let office = Office::new();
    let spec = json!({"serial": "07", "authorityRef": {"name": "issuing"}});
    let noted = noted(&revocation("team-a", spec), &office.signatories(), None);
    let status = told(decide(&noted, &Signatories::default(), None, now()));
    assert_eq!(said(&status, "Ready").1, "Pending");
    asked(decide(&with_status(&noted, &status), &office.signatories(), None, now()));
}

#[test]
fn what_is_being_deleted_is_left_alone() {
    let office = Office::new();
    let mut deleted = revocation("team-a", json!({"serial": "07", "authorityRef": {"name": "issuing"}}));
    deleted.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert_eq!(decide(&deleted, &office.signatories(), None, now()), Step::Leave);
}
