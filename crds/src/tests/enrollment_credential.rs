//! Cases of EnrollmentCredential.

use super::{Reject, RejectChange, accepts, accepts_change, rejects, rejects_change};
use crate::Kind;

const KIND: Kind = Kind::EnrollmentCredential;

pub(super) const REJECTS: &[Reject] = &[
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, expiresAt: '2027-01-31T12:00:00+99:00'}",
        "spec.expiresAt",
        "\"2027-01-31T12:00:00+99:00\" does not fit",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, expiresAt: '2027-01-31T12:00:00,5Z'}",
        "spec.expiresAt",
        "\"2027-01-31T12:00:00,5Z\" does not fit",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, valueFrom: {secretKeyRef: {name: s}}, rotation: {every: 1d}}",
        "spec.rotation",
        "rotation is refused with valueFrom",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {every: 0d}}",
        "spec.rotation.every",
        "must be longer than zero",
    ),
    ("{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {}}", "spec.rotation.every", "is missing"),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {overlap: 1h}}",
        "spec.rotation.every",
        "is missing",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {every: 1d, overlap: 0h}}",
        "spec.rotation.overlap",
        "must be longer than zero",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, maximumUses: 1, rotation: {every: 30d, overlap: 1d}}",
        "spec.rotation",
        "overlap is refused with maximumUses",
    ),
    ("{methodRef: {name: m}, owner: {user: u}}", "spec", "give exactly one protocol: est, acme or rest"),
    (
        "{methodRef: {name: m}, est: {}, acme: {}, owner: {user: u}}",
        "spec",
        "give exactly one protocol: est, acme or rest",
    ),
    (
        "{methodRef: {name: m}, acme: {}, rest: {}, owner: {user: u}}",
        "spec",
        "give exactly one protocol: est, acme or rest",
    ),
    (
        "{methodRef: {name: m}, rest: {actions: []}, owner: {user: u}}",
        "spec.rest.actions",
        "is 0 long; 1 is the least",
    ),
    (
        "{methodRef: {name: m}, rest: {actions: [read, read]}, owner: {user: u}}",
        "spec.rest.actions[1]",
        "is there twice",
    ),
    (
        "{methodRef: {name: m}, rest: {actions: [admin]}, owner: {user: u}}",
        "spec.rest.actions[0]",
        "\"admin\" is not one of request, read, revoke, approve, report, credentials",
    ),
    (
        "{methodRef: {name: m}, rest: {key: chancery_0}, owner: {user: u}}",
        "spec.rest.key",
        "is not known here",
    ),
    (
        "{methodRef: {name: m}, acme: {kid: 'a key'}, owner: {user: u}}",
        "spec.acme.kid",
        "\"a key\" does not fit",
    ),
    (
        "{methodRef: {name: m}, acme: {kid: \"a\\\"b\"}, owner: {user: u}}",
        "spec.acme.kid",
        "\"a\\\"b\" does not fit",
    ),
    (
        "{methodRef: {name: m}, acme: {hmac: c2VjcmV0}, owner: {user: u}}",
        "spec.acme.hmac",
        "is not known here",
    ),
    (
        "{methodRef: {name: m}, acme: {identifiers: {}}, owner: {user: u}}",
        "spec.acme.identifiers",
        "give at least one of dns and ip",
    ),
    (
        "{methodRef: {name: m}, acme: {identifiers: {dns: [], ip: []}}, owner: {user: u}}",
        "spec.acme.identifiers",
        "give at least one of dns and ip",
    ),
    (
        "{methodRef: {name: m}, acme: {identifiers: {dns: ['***.acme.com']}}, owner: {user: u}}",
        "spec.acme.identifiers.dns[0]",
        "\"***.acme.com\" does not fit",
    ),
    (
        "{methodRef: {name: m}, acme: {identifiers: {dns: ['https://acme.com']}}, owner: {user: u}}",
        "spec.acme.identifiers.dns[0]",
        "\"https://acme.com\" does not fit",
    ),
    (
        "{methodRef: {name: m}, acme: {identifiers: {ip: [10.1.0.1]}}, owner: {user: u}}",
        "spec.acme.identifiers.ip[0]",
        "\"10.1.0.1\" does not fit",
    ),
    ("{methodRef: {name: m}, est: {}}", "spec.owner", "is missing"),
    ("{methodRef: {name: m}, est: {}, owner: {}}", "spec.owner", "give exactly one of user and group"),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u, group: g}}",
        "spec.owner",
        "give exactly one of user and group",
    ),
    (
        "{methodRef: {name: m, namespace: n}, est: {}, owner: {user: u}}",
        "spec.methodRef.namespace",
        "is not known here",
    ),
    (
        "{methodRef: {name: m}, est: {username: 'a:b'}, owner: {user: u}}",
        "spec.est.username",
        "\"a:b\" does not fit",
    ),
    (
        "{methodRef: {name: m}, est: {username: \"a\\nb\"}, owner: {user: u}}",
        "spec.est.username",
        "\"a\\nb\" does not fit",
    ),
    (
        "{methodRef: {name: m}, est: {password: secret}, owner: {user: u}}",
        "spec.est.password",
        "is not known here",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, valueFrom: {secretKeyRef: {name: s}}, writeTo: {secretName: t}}",
        "spec.writeTo",
        "writeTo is refused with valueFrom",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, maximumUses: 0}",
        "spec.maximumUses",
        "0 is less than 1",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, regeneration: -1}",
        "spec.regeneration",
        "-1 is less than 0",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, revoked: 'yes'}",
        "spec.revoked",
        "must be true or false, not a string",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, expiresAt: tomorrow}",
        "spec.expiresAt",
        "\"tomorrow\" is not a date and time",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, expiresAt: '2027-01-31'}",
        "spec.expiresAt",
        "\"2027-01-31\" is not a date and time",
    ),
];

pub(super) const REJECTED_CHANGES: &[RejectChange] = &[
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}}",
        "{methodRef: {name: m}, acme: {}, owner: {user: u}}",
        "spec",
        "the protocol cannot change",
    ),
    (
        "{methodRef: {name: m}, rest: {}, owner: {user: u}}",
        "{methodRef: {name: m}, acme: {}, owner: {user: u}}",
        "spec",
        "the protocol cannot change",
    ),
    (
        "{methodRef: {name: m}, acme: {kid: a}, owner: {user: u}}",
        "{methodRef: {name: m}, acme: {kid: b}, owner: {user: u}}",
        "spec.acme.kid",
        "kid cannot change",
    ),
    (
        "{methodRef: {name: m}, acme: {}, owner: {user: u}}",
        "{methodRef: {name: m}, acme: {kid: b}, owner: {user: u}}",
        "spec.acme.kid",
        "kid cannot change",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}}",
        "{methodRef: {name: n}, est: {}, owner: {user: u}}",
        "spec.methodRef",
        "methodRef cannot change",
    ),
    (
        "{methodRef: {name: m}, est: {username: a}, owner: {user: u}}",
        "{methodRef: {name: m}, est: {username: b}, owner: {user: u}}",
        "spec.est",
        "est cannot change",
    ),
    (
        "{methodRef: {name: m}, est: {username: a}, owner: {user: u}}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}}",
        "spec.est",
        "est cannot change",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, regeneration: 2}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, regeneration: 1}",
        "spec.regeneration",
        "regeneration can only grow",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, regeneration: 2}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}}",
        "spec.regeneration",
        "regeneration can only grow",
    ),
    (
        "{methodRef: {name: m}, est: {}, owner: {user: u}, revoked: true}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}}",
        "spec.revoked",
        "a revoked credential stays revoked",
    ),
];

#[test]
fn enrollment_credential_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn enrollment_credential_rejects_changes() {
    REJECTED_CHANGES.iter().for_each(|case| rejects_change(KIND, *case));
}

#[test]
fn enrollment_credential_accepts() {
    for spec in [
        "{methodRef: {name: m}, est: {}, owner: {group: g}}",
        "{methodRef: {name: m}, est: {username: 'device 1@lab'}, owner: {user: u}, maximumUses: 3, expiresAt: '2027-01-31T12:00:00Z'}",
        "{methodRef: {name: m}, est: {username: a}, owner: {user: u}, expiresAt: '2027-01-31T12:00:00+02:00'}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, valueFrom: {secretKeyRef: {name: s, key: passphrase}}}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, writeTo: {secretName: s}, revoked: true, regeneration: 4}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {every: 30d}}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, rotation: {every: 30d, overlap: 1d}}",
        "{methodRef: {name: m}, est: {}, owner: {user: u}, maximumUses: 1, rotation: {every: 30d}}",
        "{methodRef: {name: m}, acme: {}, owner: {group: web}}",
        "{methodRef: {name: m}, acme: {kid: 'web-1@acme.com', identifiers: {dns: [shop.acme.com, '*.devices.acme.com', '**.lab.acme.com'], ip: [10.1.0.0/16, 'fd00::/8']}}, owner: {user: u}, maximumUses: 1, rotation: {every: 30d}}",
        "{methodRef: {name: m}, acme: {}, owner: {user: u}, valueFrom: {secretKeyRef: {name: s}}}",
        "{methodRef: {name: m}, rest: {}, owner: {group: ci}, expiresAt: '2027-01-31T12:00:00Z', rotation: {every: 30d}}",
        "{methodRef: {name: m}, rest: {actions: [credentials, report, approve, revoke, read, request]}, owner: {user: u}, valueFrom: {secretKeyRef: {name: s, key: k}}}",
    ] {
        accepts(KIND, spec);
    }
}

#[test]
fn enrollment_credential_accepts_changes() {
    for change in [
        (
            "{methodRef: {name: m}, est: {}, owner: {user: u}}",
            "{methodRef: {name: m}, est: {}, owner: {user: v}, regeneration: 1}",
        ),
        (
            "{methodRef: {name: m}, est: {}, owner: {user: u}}",
            "{methodRef: {name: m}, est: {}, owner: {user: u}, revoked: true}",
        ),
        (
            "{methodRef: {name: m}, acme: {kid: a}, owner: {user: u}}",
            "{methodRef: {name: m}, acme: {kid: a, identifiers: {dns: [shop.acme.com]}}, owner: {user: u}}",
        ),
        (
            "{methodRef: {name: m}, rest: {}, owner: {user: u}}",
            "{methodRef: {name: m}, rest: {actions: [read, report]}, owner: {user: u}}",
        ),
    ] {
        accepts_change(KIND, change);
    }
}
