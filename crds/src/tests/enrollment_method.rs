//! Cases of EnrollmentMethod.

use super::{Reject, accepts, rejects};
use crate::Kind;

const KIND: Kind = Kind::EnrollmentMethod;

pub(super) const REJECTS: &[Reject] = &[
    ("{profileRef: {name: p}}", "spec", "give exactly one protocol: est, acme or rest"),
    ("{profileRef: {name: p}, est: {}, acme: {}}", "spec", "give exactly one protocol: est, acme or rest"),
    ("{profileRef: {name: p}, est: {}, rest: {}}", "spec", "give exactly one protocol: est, acme or rest"),
    (
        "{profileRef: {name: p}, est: {}, acme: {}, rest: {}}",
        "spec",
        "give exactly one protocol: est, acme or rest",
    ),
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
    ("{profileRef: {name: p}, acme: {label: x}}", "spec.acme.label", "is not known here"),
    (
        "{profileRef: {name: p}, acme: {externalAccountBinding: Off}}",
        "spec.acme.externalAccountBinding",
        "\"Off\" is not one of Required, Optional, Disabled",
    ),
    (
        "{profileRef: {name: p}, acme: {onCredentialRevoked: Delete}}",
        "spec.acme.onCredentialRevoked",
        "\"Delete\" is not one of Stop, Keep",
    ),
    (
        "{profileRef: {name: p}, acme: {challenges: [HTTP-01]}}",
        "spec.acme.challenges[0]",
        "\"HTTP-01\" is not one of http-01, dns-01, tls-alpn-01",
    ),
    (
        "{profileRef: {name: p}, acme: {challenges: [dns-01, dns-01]}}",
        "spec.acme.challenges[1]",
        "is there twice",
    ),
    (
        "{profileRef: {name: p}, acme: {challenges: []}}",
        "spec.acme.challenges",
        "give at least one challenge, or set preAuthorizedNames",
    ),
    (
        "{profileRef: {name: p}, acme: {preAuthorizedNames: Enabled, externalAccountBinding: Disabled}}",
        "spec.acme.preAuthorizedNames",
        "preAuthorizedNames needs an external account binding",
    ),
    (
        "{profileRef: {name: p}, acme: {preAuthorizedNames: [a.example]}}",
        "spec.acme.preAuthorizedNames",
        "must be a string, not a list",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {httpPort: 0}}}",
        "spec.acme.validation.httpPort",
        "0 is less than 1",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {tlsAlpnPort: 65536}}}",
        "spec.acme.validation.tlsAlpnPort",
        "65536 is more than 65535",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {resolvers: [dns.example]}}}",
        "spec.acme.validation.resolvers[0]",
        "\"dns.example\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {allowedNetworks: [10.0.0.1]}}}",
        "spec.acme.validation.allowedNetworks[0]",
        "\"10.0.0.1\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {attempts: 0}}}",
        "spec.acme.validation.attempts",
        "0 is less than 1",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {attempts: 11}}}",
        "spec.acme.validation.attempts",
        "11 is more than 10",
    ),
    (
        "{profileRef: {name: p}, acme: {validation: {timeout: 0s}}}",
        "spec.acme.validation.timeout",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, acme: {profiles: [{name: a}]}}",
        "spec.acme.profiles[0].profileRef",
        "is missing",
    ),
    (
        "{profileRef: {name: p}, acme: {profiles: [{name: 'a b', profileRef: {name: q}}]}}",
        "spec.acme.profiles[0].name",
        "\"a b\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {profiles: [{name: default, profileRef: {name: q}}]}}",
        "spec.acme.profiles[0].name",
        "default is what profileRef of the method is called",
    ),
    (
        "{profileRef: {name: p}, acme: {profiles: [{name: a, profileRef: {name: q}}, {name: a, profileRef: {name: r}}]}}",
        "spec.acme.profiles[1]",
        "is there twice",
    ),
    ("{profileRef: {name: p}, acme: {caa: {}}}", "spec.acme.caa.issuerDomainNames", "is missing"),
    (
        "{profileRef: {name: p}, acme: {caa: {issuerDomainNames: []}}}",
        "spec.acme.caa.issuerDomainNames",
        "is 0 long; 1 is the least",
    ),
    (
        "{profileRef: {name: p}, acme: {caa: {issuerDomainNames: ['ca example']}}}",
        "spec.acme.caa.issuerDomainNames[0]",
        "\"ca example\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {orderLifetime: 0d}}",
        "spec.acme.orderLifetime",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, acme: {authorizationLifetime: 0d}}",
        "spec.acme.authorizationLifetime",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, acme: {maximumIdentifiers: 0}}",
        "spec.acme.maximumIdentifiers",
        "0 is less than 1",
    ),
    (
        "{profileRef: {name: p}, acme: {maximumIdentifiers: 251}}",
        "spec.acme.maximumIdentifiers",
        "251 is more than 250",
    ),
    (
        "{profileRef: {name: p}, acme: {pendingRetryAfter: 0s}}",
        "spec.acme.pendingRetryAfter",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, acme: {renewal: {windowStart: 83}}}",
        "spec.acme.renewal.windowEnd",
        "windowEnd must be greater than windowStart",
    ),
    (
        "{profileRef: {name: p}, acme: {renewal: {windowEnd: 100}}}",
        "spec.acme.renewal.windowEnd",
        "100 is more than 99",
    ),
    (
        "{profileRef: {name: p}, acme: {renewal: {pollInterval: 0s}}}",
        "spec.acme.renewal.pollInterval",
        "must be longer than zero",
    ),
    (
        "{profileRef: {name: p}, acme: {meta: {termsOfService: 'ftp://acme.com/terms'}}}",
        "spec.acme.meta.termsOfService",
        "\"ftp://acme.com/terms\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {meta: {website: 'https://acme.com/<script>'}}}",
        "spec.acme.meta.website",
        "\"https://acme.com/<script>\" does not fit",
    ),
    (
        "{profileRef: {name: p}, acme: {meta: {caaIdentities: ['*.acme.com']}}}",
        "spec.acme.meta.caaIdentities[0]",
        "\"*.acme.com\" does not fit",
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
        "{profileRef: {name: p}, acme: {}}",
        "{profileRef: {name: p}, acme: {externalAccountBinding: Disabled, challenges: [http-01]}}",
        "{profileRef: {name: p}, acme: {externalAccountBinding: Optional, onCredentialRevoked: Keep, preAuthorizedNames: Enabled, challenges: []}}",
        "{profileRef: {name: p}, acme: {validation: {httpPort: 5002, tlsAlpnPort: 5001, resolvers: [10.0.0.53, '10.0.0.54:5353', '2001:db8::53', '[2001:db8::53]:53'], allowedNetworks: [10.244.0.0/16, 'fd00::/8'], attempts: 10, timeout: 1m}}}",
        "{profileRef: {name: p}, acme: {profiles: [{name: short-lived, description: Six days, profileRef: {name: q, namespace: pki}}, {name: tls_server, profileRef: {name: p}}]}}",
        "{profileRef: {name: p}, acme: {caa: {issuerDomainNames: [ca.acme.com]}, orderLifetime: 1d, authorizationLifetime: 90d, maximumIdentifiers: 250, pendingRetryAfter: 1h}}",
        "{profileRef: {name: p}, acme: {renewal: {windowStart: 1, windowEnd: 99, pollInterval: 1d}, meta: {termsOfService: 'https://acme.com/terms?v=2#en', website: 'http://acme.com', caaIdentities: [ca.acme.com]}}}",
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
