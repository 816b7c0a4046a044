//! Cases of EnrollmentMethod.

use super::{Reject, accepts, rejects};
use crate::Kind;

const KIND: Kind = Kind::EnrollmentMethod;

pub(super) const REJECTS: &[Reject] = &[
    ("{profileRef: {name: p}}", "spec", "give exactly one protocol: est"),
    ("{est: {}}", "spec.profileRef", "is missing"),
    ("{profileRef: p, est: {}}", "spec.profileRef", "must be an object, not a string"),
    ("{profileRef: {name: p}, scep: {}}", "spec.scep", "is not known here"),
    ("{profileRef: {name: p}, est: {label: x}}", "spec.est.label", "is not known here"),
    (
        "{profileRef: {name: p}, est: {authentication: Digest}}",
        "spec.est.authentication",
        "\"Digest\" is not one of Basic",
    ),
    (
        "{profileRef: {name: p}, est: {pendingRetryAfter: 0s}}",
        "spec.est.pendingRetryAfter",
        "must be longer than zero",
    ),
];

#[test]
fn enrollment_method_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn enrollment_method_accepts() {
    for spec in [
        "{profileRef: {name: p}, est: {}}",
        "{profileRef: {name: p, namespace: pki}, serverRef: {name: s, namespace: edge}, est: {authentication: Basic, pendingRetryAfter: 1h}}",
    ] {
        accepts(KIND, spec);
    }
}
