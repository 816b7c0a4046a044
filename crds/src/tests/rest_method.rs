//! Cases of EnrollmentMethods that speak REST.

use super::{Reject, accepts, rejects};
use crate::Kind;

const KIND: Kind = Kind::EnrollmentMethod;

pub(super) const REJECTS: &[Reject] = &[
    ("{profileRef: {name: p}, rest: {label: x}}", "spec.rest.label", "is not known here"),
    (
        "{profileRef: {name: p}, rest: {accessKeys: 'true'}}",
        "spec.rest.accessKeys",
        "\"true\" is not one of Enabled, Disabled",
    ),
    (
        "{profileRef: {name: p}, rest: {accessKeys: Disabled}}",
        "spec.rest.accessKeys",
        "with accessKeys Disabled give clientCertificates or serviceAccountTokens",
    ),
    (
        "{profileRef: {name: p}, rest: {clientCertificates: {}}}",
        "spec.rest.clientCertificates.authorities",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {clientCertificates: {authorities: []}}}",
        "spec.rest.clientCertificates.authorities",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {clientCertificates: {authorities: [{}]}}}",
        "spec.rest.clientCertificates.authorities[0]",
        "give exactly one of certificateAuthorityRef, secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, rest: {clientCertificates: {authorities: [{bundle: x}], crls: [{}]}}}",
        "spec.rest.clientCertificates.crls[0]",
        "give exactly one of secretRef and bundle",
    ),
    (
        "{profileRef: {name: p}, rest: {clientCertificates: {authorities: [{bundle: x}], actions: []}}}",
        "spec.rest.clientCertificates.actions",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens.audience",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: '', accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens.audience",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: 'a b', accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens.audience",
        "\"a b\" does not fit",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, issuer: i, accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens",
        "give issuer and jwksFrom together",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, jwksFrom: {secretKeyRef: {name: s}}, accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens",
        "give issuer and jwksFrom together",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, issuer: i, jwksFrom: {}, accounts: [{namespace: n, name: a}]}}}",
        "spec.rest.serviceAccountTokens.jwksFrom.secretKeyRef",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a}}}",
        "spec.rest.serviceAccountTokens.accounts",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, accounts: []}}}",
        "spec.rest.serviceAccountTokens.accounts",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, accounts: [{name: a}]}}}",
        "spec.rest.serviceAccountTokens.accounts[0].namespace",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, accounts: [{namespace: n, name: '*'}]}}}",
        "spec.rest.serviceAccountTokens.accounts[0].name",
        "\"*\" does not fit",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, accounts: [{namespace: n, name: a}, {namespace: n, name: a, actions: [read]}]}}}",
        "spec.rest.serviceAccountTokens.accounts[1]",
        "is there twice",
    ),
    (
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: a, accounts: [{namespace: n, name: a, actions: []}]}}}",
        "spec.rest.serviceAccountTokens.accounts[0].actions",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {products: [{name: a}]}}",
        "spec.rest.products[0].profileRef",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, rest: {products: [{name: 'a/b', profileRef: {name: q}}]}}",
        "spec.rest.products[0].name",
        "\"a/b\" does not fit",
    ),
    (
        "{profileRef: {name: p}, rest: {products: [{name: default, profileRef: {name: q}}]}}",
        "spec.rest.products[0].name",
        "default is what profileRef of the method is called",
    ),
    (
        "{profileRef: {name: p}, rest: {products: [{name: a, profileRef: {name: q}}, {name: a, profileRef: {name: r}}]}}",
        "spec.rest.products[1]",
        "is there twice",
    ),
    (
        "{profileRef: {name: p}, rest: {serverKeys: {algorithm: RSA-1024}}}",
        "spec.rest.serverKeys.algorithm",
        "\"RSA-1024\" is not one of",
    ),
    (
        "{profileRef: {name: p}, rest: {domainValidation: {challenges: []}}}",
        "spec.rest.domainValidation.challenges",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {domainValidation: {challenges: [http]}}}",
        "spec.rest.domainValidation.challenges[0]",
        "\"http\" is not one of http-01, dns-01, tls-alpn-01",
    ),
    (
        "{profileRef: {name: p}, rest: {domainValidation: {authorizationLifetime: 0d}}}",
        "spec.rest.domainValidation.authorizationLifetime",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, rest: {domainValidation: {validation: {timeout: 0s}}}}",
        "spec.rest.domainValidation.validation.timeout",
        "must be longer than zero",
    ),
    ("{profileRef: {name: p}, rest: {administers: {}}}", "spec.rest.administers.methods", "is missing"),
    (
        "{profileRef: {name: p}, rest: {administers: {methods: []}}}",
        "spec.rest.administers.methods",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, rest: {administers: {methods: [team/est]}}}",
        "spec.rest.administers.methods[0]",
        "\"team/est\" does not fit",
    ),
    (
        "{profileRef: {name: p}, rest: {administers: {methods: ['a*']}}}",
        "spec.rest.administers.methods[0]",
        "\"a*\" does not fit",
    ),
    (
        "{profileRef: {name: p}, rest: {administers: {methods: [est, est]}}}",
        "spec.rest.administers.methods[1]",
        "is there twice",
    ),
    (
        "{profileRef: {name: p}, rest: {administers: {methods: [est, '*']}}}",
        "spec.rest.administers.methods",
        "* is every method: give it alone",
    ),
    (
        "{profileRef: {name: p}, rest: {orderLifetime: 0d}}",
        "spec.rest.orderLifetime",
        "must be longer than zero",
    ),
    ("{profileRef: {name: p}, rest: {maximumDomains: 0}}", "spec.rest.maximumDomains", "0 is less than 1"),
    (
        "{profileRef: {name: p}, rest: {maximumDomains: 251}}",
        "spec.rest.maximumDomains",
        "251 is more than 250",
    ),
    (
        "{profileRef: {name: p}, rest: {pendingRetryAfter: 0s}}",
        "spec.rest.pendingRetryAfter",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, rest: {notices: [{before: [0d], webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "spec.rest.notices[0].before",
        "each must be longer than zero",
    ),
];

#[test]
fn methods_of_rest_are_rejected() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn methods_of_rest_are_accepted() {
    for spec in [
        "{profileRef: {name: p}, rest: {}}",
        "{profileRef: {name: p}, rest: {accessKeys: Disabled, clientCertificates: {authorities: [{bundle: x}], actions: [read, revoke]}}}",
        "{profileRef: {name: p}, rest: {accessKeys: Disabled, serviceAccountTokens: {audience: 'https://pki.acme.com', accounts: [{namespace: ci, name: builder}, {namespace: ci, name: reader.2, actions: [read]}]}}}",
        "{profileRef: {name: p}, rest: {serviceAccountTokens: {audience: chancery, issuer: 'https://kubernetes.default.svc.cluster.local', jwksFrom: {secretKeyRef: {name: s}}, accounts: [{namespace: ci, name: builder}]}}}",
        "{profileRef: {name: p}, rest: {products: [{name: short-lived, description: Six days, profileRef: {name: q, namespace: pki}}, {name: self_signed, profileRef: {name: r}}], serverKeys: {}, orderLifetime: 1d, maximumDomains: 250, pendingRetryAfter: 1h}}",
        "{profileRef: {name: p}, rest: {domainValidation: {challenges: [dns-01], validation: {resolvers: [10.0.0.53]}, caa: {issuerDomainNames: [ca.acme.com]}, authorizationLifetime: 1d}}}",
        "{profileRef: {name: p}, rest: {serverKeys: {algorithm: RSA-3072}, notices: [{before: [30d], webhook: {url: 'https://a.com', secretRef: {name: s}}}]}}",
        "{profileRef: {name: p}, rest: {administers: {methods: [est, acme.v2]}}}",
        "{profileRef: {name: p}, rest: {administers: {methods: ['*']}}}",
    ] {
        accepts(KIND, spec);
    }
}
