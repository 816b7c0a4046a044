//! Cases of CertificateRevocation.

use super::{Reject, RejectChange, accepts, accepts_change, rejects, rejects_change};
use crate::{Kind, Resource, RevocationReason, RevocationTarget};

const KIND: Kind = Kind::CertificateRevocation;

const EXACTLY_ONE: &str = "give exactly one of serial, certificate and secretRef";

pub(super) const REJECTS: &[Reject] = &[
    ("{}", "spec", EXACTLY_ONE),
    ("{certificate: x, secretRef: {name: s}}", "spec", EXACTLY_ONE),
    ("{serial: '01', authorityRef: {name: a}, secretRef: {name: s}}", "spec", EXACTLY_ONE),
    ("{serial: '01'}", "spec.authorityRef", "authorityRef is needed with serial, and refused without"),
    (
        "{secretRef: {name: s}, authorityRef: {name: a}}",
        "spec.authorityRef",
        "authorityRef is needed with serial, and refused without",
    ),
    ("{serial: 0x01, authorityRef: {name: a}}", "spec.serial", "must be a string"),
    ("{serial: '0x01', authorityRef: {name: a}}", "spec.serial", "\"0x01\" does not fit"),
    (
        "{secretRef: {name: s}, reason: certificateHold}",
        "spec.reason",
        "\"certificateHold\" is not one of unspecified, keyCompromise",
    ),
];

pub(super) const REJECTED_CHANGES: &[RejectChange] = &[
    ("{secretRef: {name: s}}", "{secretRef: {name: t}}", "spec", "a revocation cannot change"),
    (
        "{secretRef: {name: s}}",
        "{secretRef: {name: s}, reason: keyCompromise}",
        "spec",
        "a revocation cannot change",
    ),
];

#[test]
fn certificate_revocation_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn certificate_revocation_rejects_changes() {
    REJECTED_CHANGES.iter().for_each(|case| rejects_change(KIND, *case));
}

#[test]
fn certificate_revocation_accepts() {
    let spec = |text| match accepts(KIND, text) {
        Resource::CertificateRevocation(revocation) => revocation.spec,
        other => panic!("{other:?}"),
    };
    let by_serial = spec("{serial: '5C:02:a9', authorityRef: {name: a, namespace: n}, reason: superseded}");
    assert!(matches!(by_serial.target(), Some(RevocationTarget::Serial { serial: "5C:02:a9", .. })));
    assert_eq!(by_serial.reason, RevocationReason::Superseded);
    let by_secret = spec("{secretRef: {name: s}}");
    assert!(matches!(by_secret.target(), Some(RevocationTarget::Secret(secret)) if secret.name == "s"));
    assert_eq!(by_secret.reason, RevocationReason::Unspecified);
    assert_eq!(spec("{certificate: PEM}").target(), Some(RevocationTarget::Certificate("PEM")));
}

#[test]
fn certificate_revocation_accepts_what_is_the_same() {
    accepts_change(KIND, ("{secretRef: {name: s}}", "{secretRef: {name: s}, reason: unspecified}"));
}
