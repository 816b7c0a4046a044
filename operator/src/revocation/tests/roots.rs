//! What the operator's own lists have to hold.

use crds::{CertificateRevocation, CertificateRevocationStatus, conditions::Reason};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use pki::extension::ReasonCode;
use serde_json::json;

use super::scene::revocation;
use crate::revocation::roots::{RevokedIntermediate, entries};

const KEY: &str = "00112233445566778899aabbccddeeff00112233";

fn done(serial: &str, at: i64, reason: &str, ready: Reason) -> CertificateRevocation {
    let mut revocation =
        revocation("pki", json!({"serial": serial, "authorityRef": {"name": "root"}, "reason": reason}));
    revocation.status = Some(CertificateRevocationStatus {
        observed_generation: Some(1),
        conditions: vec![Condition {
            type_: "Ready".into(),
            status: "True".into(),
            reason: ready.as_str().into(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }],
        revoked_at: Some(Time(Timestamp::from_second(at).unwrap())),
        serial_number: Some(serial.into()),
        subject: None,
        issuer_key_id: Some(KEY.into()),
    });
    revocation
}

fn entry(serial: &str, at: i64, reason: Option<ReasonCode>) -> RevokedIntermediate {
    RevokedIntermediate { serial: serial.parse().unwrap(), at: pki::time::Time::from_unix(at), reason }
}

#[test]
fn only_what_was_revoked_is_listed_once_and_with_its_first_time() {
    let revocations = [
        done("09", 300, "unspecified", Reason::Revoked),
        done("07", 200, "superseded", Reason::Revoked),
        done("07", 100, "keyCompromise", Reason::Revoked),
        done("08", 100, "keyCompromise", Reason::Refused),
        done("0a", 100, "keyCompromise", Reason::Pending),
    ];
    let found = entries(revocations.iter());
    assert_eq!(found.keys().map(ToString::to_string).collect::<Vec<_>>(), [KEY]);
    assert_eq!(
        found.into_values().next().unwrap(),
        [entry("07", 100, Some(ReasonCode::KeyCompromise)), entry("09", 300, None)]
    );
}

#[test]
fn a_status_of_an_earlier_generation_lists_nothing() {
    let mut changed = done("07", 100, "superseded", Reason::Revoked);
    changed.metadata.generation = Some(2);
    assert!(entries([&changed].into_iter()).is_empty());
}
