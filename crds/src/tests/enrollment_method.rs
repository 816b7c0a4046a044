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
        "\"Digest\" is not one of Basic, Certificate, Either, Both",
    ),
    (
        "{profileRef: {name: p}, est: {pendingRetryAfter: 0s}}",
        "spec.est.pendingRetryAfter",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Either}}",
        "spec.est.clientCertificates",
        "clientCertificates is needed with authentication",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Certificate}}",
        "spec.est.clientCertificates",
        "clientCertificates is needed with authentication",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both}}",
        "spec.est.clientCertificates",
        "clientCertificates is needed with authentication",
    ),
    (
        "{profileRef: {name: p}, est: {clientCertificates: {authorities: [{bundle: x}]}}}",
        "spec.est.clientCertificates",
        "clientCertificates is refused with authentication Basic",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Basic, clientCertificates: {authorities: [{bundle: x}]}}}",
        "spec.est.clientCertificates",
        "clientCertificates is refused with authentication Basic",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: None}}",
        "spec.est.authentication",
        "\"None\" is not one of Basic, Certificate, Either, Both",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: []}}}",
        "spec.est.clientCertificates.authorities",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {}}}",
        "spec.est.clientCertificates.authorities",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{}]}}}",
        "spec.est.clientCertificates.authorities[0]",
        "give exactly one of certificateAuthorityRef, secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: x, secretRef: {name: s}}]}}}",
        "spec.est.clientCertificates.authorities[0]",
        "give exactly one of certificateAuthorityRef, secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{certificateAuthorityRef: {name: a}, secretRef: {name: s}}]}}}",
        "spec.est.clientCertificates.authorities[0]",
        "give exactly one of certificateAuthorityRef, secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: ''}]}}}",
        "spec.est.clientCertificates.authorities[0].bundle",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{secretRef: {name: s, namespace: n}}]}}}",
        "spec.est.clientCertificates.authorities[0].secretRef.namespace",
        "is not known here",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: x}], crls: [{}]}}}",
        "spec.est.clientCertificates.crls[0]",
        "give exactly one of secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: x}], crls: [{bundle: x, secretRef: {name: s}}]}}}",
        "spec.est.clientCertificates.crls[0]",
        "give exactly one of secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: x}], revocation: Off}}}",
        "spec.est.clientCertificates.revocation",
        "\"Off\" is not one of IfGiven, Required",
    ),
    (
        "{profileRef: {name: p}, est: {reenroll: {state: Off}}}",
        "spec.est.reenroll.state",
        "\"Off\" is not one of Enabled, Disabled",
    ),
    (
        "{profileRef: {name: p}, est: {reenroll: {keys: Same}}}",
        "spec.est.reenroll.keys",
        "\"Same\" is not one of New, Any",
    ),
    (
        "{profileRef: {name: p}, est: {reenroll: {graceAfterExpiry: -1d}}}",
        "spec.est.reenroll.graceAfterExpiry",
        "\"-1d\" does not fit",
    ),
    (
        "{profileRef: {name: p}, est: {serverKeyGeneration: {}}}",
        "spec.est.serverKeyGeneration.delivery",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, est: {serverKeyGeneration: {delivery: None}}}",
        "spec.est.serverKeyGeneration.delivery",
        "\"None\" is not one of Encrypted, Plain",
    ),
    (
        "{profileRef: {name: p}, est: {serverKeyGeneration: {delivery: Plain, key: RSA-1024}}}",
        "spec.est.serverKeyGeneration.key",
        "\"RSA-1024\" is not one of",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "spec.est.notices[0].before",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{before: [], webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "spec.est.notices[0].before",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{before: [7d, 0s], webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "spec.est.notices[0].before",
        "each must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{before: [7d, 7d], webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "spec.est.notices[0].before[1]",
        "is there twice",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{before: [7d]}]}}",
        "spec.est.notices[0].webhook",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, est: {notices: [{before: [7d], webhook: {url: 'https://a.com'}}]}}",
        "spec.est.notices[0].webhook.secretRef",
        "is missing",
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
        "{profileRef: {name: p}, est: {authentication: Certificate, clientCertificates: {authorities: [{bundle: x}]}}}",
        "{profileRef: {name: p}, est: {authentication: Either, clientCertificates: {authorities: [{secretRef: {name: s, key: bundle.pem}}, {certificateAuthorityRef: {name: a, namespace: pki}}], revocation: Required}}}",
        "{profileRef: {name: p}, est: {authentication: Both, clientCertificates: {authorities: [{bundle: x}], crls: [{bundle: x}, {secretRef: {name: s}}]}}}",
        "{profileRef: {name: p}, est: {reenroll: {state: Disabled}}}",
        "{profileRef: {name: p}, est: {reenroll: {graceAfterExpiry: 0s, keys: New}}}",
        "{profileRef: {name: p}, est: {serverKeyGeneration: {delivery: Encrypted}}}",
        "{profileRef: {name: p}, est: {serverKeyGeneration: {delivery: Plain, key: RSA-2048}}}",
    ] {
        accepts(KIND, spec);
    }
}

fn notice(url: &str) -> String {
    format!(
        "{{profileRef: {{name: p}}, est: {{notices: [{{before: [30d, 7d], webhook: {{url: '{url}', secretRef: {{name: s}}}}}}]}}}}"
    )
}

#[test]
fn a_webhook_is_encrypted_or_on_this_machine() {
    for url in [
        "https://a.com",
        "https://a.com:8443/hook?tenant=1",
        "https://[2001:db8::1]/hook",
        "http://localhost:9000/hook",
        "http://127.0.0.1",
        "http://[::1]:9000/",
    ] {
        accepts(KIND, &notice(url));
    }
    for url in [
        "http://a.com/",
        "http://127.0.0.1.a.com/",
        "http://127.0.0.1@a.com/",
        "http://localhost:80@a.com/",
        "https://u:p@a.com/",
        "https://a.com/#f",
        "https://a.com/ x",
        "https:///a",
        "ftp://a.com/",
        "http://localhosts/",
    ] {
        let message = format!("{url:?} does not fit");
        rejects(KIND, (&notice(url), "spec.est.notices[0].webhook.url", &message));
    }
}
