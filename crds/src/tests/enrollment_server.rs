//! Cases of EnrollmentServer.

use super::{Reject, accepts, rejects};
use crate::Kind;

const KIND: Kind = Kind::EnrollmentServer;

const ZERO: &str = "must be longer than zero";

pub(super) const REJECTS: &[Reject] = &[
    ("{}", "spec.tls", "is missing"),
    ("{tls: {}}", "spec.tls", "give exactly one of authorityRef and secretRef"),
    (
        "{tls: {authorityRef: {name: a}, secretRef: {name: s}, dnsNames: [a.com]}}",
        "spec.tls",
        "give exactly one of authorityRef and secretRef",
    ),
    ("{tls: {authorityRef: {name: a}}}", "spec.tls", "give at least one of dnsNames and ipAddresses"),
    (
        "{tls: {authorityRef: {name: a}, dnsNames: []}}",
        "spec.tls",
        "give at least one of dnsNames and ipAddresses",
    ),
    (
        "{tls: {secretRef: {name: s}, dnsNames: [a.com]}}",
        "spec.tls.dnsNames",
        "dnsNames is refused with secretRef",
    ),
    (
        "{tls: {secretRef: {name: s}, ipAddresses: ['::1']}}",
        "spec.tls.ipAddresses",
        "ipAddresses is refused with secretRef",
    ),
    (
        "{tls: {secretRef: {name: s}, validity: 1d}}",
        "spec.tls.validity",
        "validity is refused with secretRef",
    ),
    ("{tls: {authorityRef: {name: a}, dnsNames: [a.com], validity: 0d}}", "spec.tls.validity", ZERO),
    ("{tls: {authorityRef: {name: a}, dnsNames: ['a b']}}", "spec.tls.dnsNames[0]", "\"a b\" does not fit"),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'https://pki.acme.com'}",
        "spec.publicBaseUrl",
        "\"https://pki.acme.com\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'http://pki.acme.com/'}",
        "spec.publicBaseUrl",
        "\"http://pki.acme.com/\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'http://a.com?x'}",
        "spec.publicBaseUrl",
        "\"http://a.com?x\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, enrollmentBaseUrl: 'http://e.acme.com'}",
        "spec.enrollmentBaseUrl",
        "\"http://e.acme.com\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: a.b, methodRef: {name: m}}]}",
        "spec.labels[0].label",
        "\"a.b\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: '-a', methodRef: {name: m}}]}",
        "spec.labels[0].label",
        "\"-a\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: a, methodRef: {name: m}}, {label: a, methodRef: {name: n}}]}",
        "spec.labels[1]",
        "is there twice",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {bodyBytes: 100}}",
        "spec.limits.bodyBytes",
        "100 is less than 4096",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {headerBytes: 2.5}}",
        "spec.limits.headerBytes",
        "must be a whole number, not a fraction",
    ),
    ("{tls: {secretRef: {name: s}}, limits: {headerTimeout: 0s}}", "spec.limits.headerTimeout", ZERO),
    ("{tls: {secretRef: {name: s}}, limits: {readTimeout: 0s}}", "spec.limits.readTimeout", ZERO),
    ("{tls: {secretRef: {name: s}}, limits: {handshakeTimeout: 0s}}", "spec.limits.handshakeTimeout", ZERO),
    (
        "{tls: {secretRef: {name: s}}, limits: {connections: 0}}",
        "spec.limits.connections",
        "0 is less than 1",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {failedAuthentications: {window: 0s}}}",
        "spec.limits.failedAuthentications.window",
        ZERO,
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {failedAuthentications: {state: On}}}",
        "spec.limits.failedAuthentications.state",
        "\"On\" is not one of Enforced, Off",
    ),
    ("{tls: {secretRef: {name: s}}, audit: {checkpointInterval: 0h}}", "spec.audit.checkpointInterval", ZERO),
    ("{tls: {secretRef: {name: s}}, storage: {}}", "spec.storage", "give exactly one storage: sqlite"),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {}, postgres: {secretRef: {name: d}}}}",
        "spec.storage",
        "give exactly one storage: sqlite or postgres",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {postgres: {}}}",
        "spec.storage.postgres.secretRef",
        "is missing",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {postgres: {url: x}}}",
        "spec.storage.postgres.url",
        "is not known here",
    ),
    ("{tls: {secretRef: {name: s}}, storage: {mysql: {}}}", "spec.storage.mysql", "is not known here"),
];

#[test]
fn enrollment_server_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn enrollment_server_accepts() {
    for spec in [
        "{tls: {secretRef: {name: s}}}",
        "{tls: {authorityRef: {name: a}, dnsNames: [localhost], ipAddresses: [127.0.0.1, '::1'], validity: 30d}}",
        "{tls: {authorityRef: {name: a}, ipAddresses: [192.0.2.1]}, publicBaseUrl: 'http://127.0.0.1:8080', enrollmentBaseUrl: 'https://[::1]:8443/enroll'}",
        "{tls: {secretRef: {name: s}}, defaultMethodRef: {name: m, namespace: n}, labels: [{label: a-1, methodRef: {name: m}}, {label: b, methodRef: {name: m}}]}",
        "{tls: {secretRef: {name: s}}, limits: {connections: 10, failedAuthentications: {state: 'Off'}}, audit: {checkpointInterval: 10m}, storage: {sqlite: {}}}",
        "{tls: {secretRef: {name: s}}, storage: {postgres: {secretRef: {name: d, key: dsn}}}}",
    ] {
        accepts(KIND, spec);
    }
}
