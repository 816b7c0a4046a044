//! Cases of CertificateProfile.

use super::{Reject, accepts, rejects};
use crate::{AuthenticationLevel, CertificateProfileSpec, Kind, Protocol, Resource};

const KIND: Kind = Kind::CertificateProfile;

const FIXED: &str = "values are needed with presence Fixed, and refused otherwise";
const PATTERNS: &str = "patterns are refused with presence Fixed";

pub(super) const REJECTS: &[Reject] = &[
    (
        "{authorityRef: {name: a}, preset: Device, validity: {maximum: 1001y}}",
        "spec.validity.maximum",
        "\"1001y\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, validity: {maximum: 30m1h}}",
        "spec.validity.maximum",
        "\"30m1h\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, validity: {maximum: ''}}",
        "spec.validity.maximum",
        "is 0 long; 1 is the least",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, extendedKeyUsage: {usages: [1.99.1]}}",
        "spec.extendedKeyUsage.usages[0]",
        "\"1.99.1\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, requestExtensions: {copy: [1.2.4294967296]}}",
        "spec.requestExtensions.copy[0]",
        "\"1.2.4294967296\" does not fit",
    ),
    ("{preset: Device}", "spec", "give exactly one of authorityRef and selfSigned"),
    (
        "{authorityRef: {name: a}, selfSigned: {}, preset: Device}",
        "spec",
        "give exactly one of authorityRef and selfSigned",
    ),
    ("{authorityRef: {name: a}}", "spec", "give a preset, or else keyUsage"),
    (
        "{authorityRef: {name: a}, keyUsage: {usages: [digitalSignature]}, subject: {}}",
        "spec",
        "give a preset, or else keyUsage",
    ),
    (
        "{authorityRef: {name: a}, keyUsage: {usages: [digitalSignature]}, extendedKeyUsage: {usages: [clientAuth]}}",
        "spec",
        "give a preset, or else keyUsage",
    ),
    ("{authorityRef: {name: a}, preset: tlsServer}", "spec.preset", "\"tlsServer\" is not one of TLSServer"),
    ("{selfSigned: {}, preset: CA}", "spec.preset", "a self-signed profile cannot have the preset CA"),
    (
        "{authorityRef: {name: a}, preset: Device, basicConstraints: {}}",
        "spec.basicConstraints",
        "basicConstraints needs the preset CA",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, keyUsage: {usages: [keyCertSign]}}",
        "spec.keyUsage",
        "keyCertSign and cRLSign need the preset CA",
    ),
    (
        "{authorityRef: {name: a}, keyUsage: {usages: [cRLSign]}, extendedKeyUsage: {usages: []}, subject: {}}",
        "spec.keyUsage",
        "keyCertSign and cRLSign need the preset CA",
    ),
    (
        "{authorityRef: {name: a}, preset: CA, keyUsage: {usages: [cRLSign]}}",
        "spec.keyUsage",
        "with the preset CA keyUsage must have mode Fixed",
    ),
    (
        "{authorityRef: {name: a}, preset: CA, keyUsage: {mode: FromRequest, usages: [keyCertSign]}}",
        "spec.keyUsage",
        "with the preset CA keyUsage must have mode Fixed",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, keyUsage: {usages: []}}",
        "spec.keyUsage.usages",
        "is 0 long; 1 is the least",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, keyUsage: {usages: [digitalSignature, digitalSignature]}}",
        "spec.keyUsage.usages[1]",
        "is there twice",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, extendedKeyUsage: {usages: [server]}}",
        "spec.extendedKeyUsage.usages[0]",
        "\"server\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: CN}]}}",
        "spec.subject.attributes[0].type",
        "\"CN\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: commonName}, {type: commonName}]}}",
        "spec.subject.attributes[1]",
        "is there twice",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: organization, presence: Fixed}]}}",
        "spec.subject.attributes[0].values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: organization, values: [Acme]}]}}",
        "spec.subject.attributes[0].values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: organization, presence: Fixed, values: [Acme], patterns: ['A*']}]}}",
        "spec.subject.attributes[0].patterns",
        PATTERNS,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: commonName, patterns: ['***.acme.com']}]}}",
        "spec.subject.attributes[0].patterns[0]",
        "\"***.acme.com\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {maximum: 0}}",
        "spec.subjectAltNames.maximum",
        "0 is less than 1",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {dns: {presence: Fixed}}}",
        "spec.subjectAltNames.dns.values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {dns: {values: [a.com]}}}",
        "spec.subjectAltNames.dns.values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {dns: {presence: Fixed, values: [a.com], patterns: ['*']}}}",
        "spec.subjectAltNames.dns.patterns",
        PATTERNS,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {dns: {wildcards: true}}}",
        "spec.subjectAltNames.dns.wildcards",
        "must be a string",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {ip: {presence: Fixed}}}",
        "spec.subjectAltNames.ip.values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {ip: {presence: Fixed, values: [10.0.0.1], cidrs: [10.0.0.0/8]}}}",
        "spec.subjectAltNames.ip.cidrs",
        "cidrs are refused with presence Fixed",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {ip: {cidrs: [10.0.0.1]}}}",
        "spec.subjectAltNames.ip.cidrs[0]",
        "\"10.0.0.1\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {uri: {presence: Fixed}}}",
        "spec.subjectAltNames.uri.values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {uri: {presence: Fixed, values: ['urn:a'], patterns: ['**']}}}",
        "spec.subjectAltNames.uri.patterns",
        PATTERNS,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {email: {presence: Fixed}}}",
        "spec.subjectAltNames.email.values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {email: {presence: Fixed, values: [a@b.c], patterns: ['**']}}}",
        "spec.subjectAltNames.email.patterns",
        PATTERNS,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {otherName: [{typeId: 1.3.6.1.4.1.311.20.2.3, presence: Fixed}]}}",
        "spec.subjectAltNames.otherName[0].values",
        FIXED,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {otherName: [{typeId: 1.3.6.1.4.1.311.20.2.3, presence: Fixed, values: [a], patterns: ['*']}]}}",
        "spec.subjectAltNames.otherName[0].patterns",
        PATTERNS,
    ),
    (
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {otherName: [{typeId: upn}]}}",
        "spec.subjectAltNames.otherName[0].typeId",
        "\"upn\" does not fit",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, keys: {allowed: []}}",
        "spec.keys.allowed",
        "is 0 long; 1 is the least",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, keys: {allowed: [RSA-1024]}}",
        "spec.keys.allowed[0]",
        "\"RSA-1024\" is not one of",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, validity: {default: 0d}}",
        "spec.validity.default",
        "must be longer than zero",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, validity: {maximum: 0d}}",
        "spec.validity.maximum",
        "must be longer than zero",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, requestExtensions: {copy: [2.5.29.17]}}",
        "spec.requestExtensions.copy",
        "extensions of RFC 5280 cannot be copied",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, requestExtensions: {copy: [1.3.6.1.5.5.7.1.1]}}",
        "spec.requestExtensions.copy",
        "extensions of RFC 5280 cannot be copied",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, approval: manual}",
        "spec.approval",
        "\"manual\" is not one of Automatic, Manual",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, proofOfControl: true}",
        "spec.proofOfControl",
        "must be a string, not a boolean",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, proofOfControl: Required, subjectAltNames: {dns: {presence: Fixed, values: [a.example]}}}",
        "spec.proofOfControl",
        "names that every certificate gets are proved by nobody",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, proofOfControl: Required, subjectAltNames: {ip: {presence: Fixed, values: [192.0.2.1]}}}",
        "spec.proofOfControl",
        "names that every certificate gets are proved by nobody",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, protocols: []}",
        "spec.protocols",
        "is 0 long; 1 is the least",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, protocols: [{protocol: est}, {protocol: est}]}",
        "spec.protocols[1]",
        "is there twice",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, protocols: [est]}",
        "spec.protocols[0]",
        "must be an object, not a string",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, grants: {issue: {selector: {}}}}",
        "spec.grants.issue.selector",
        "a selector needs at least one requirement",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, grants: {attach: {selector: {}}}}",
        "spec.grants.attach.selector",
        "a selector needs at least one requirement",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, grants: {issue: {selector: {matchExpressions: [{key: a, operator: NotIn}]}}}}",
        "spec.grants.issue.selector.matchExpressions[0].values",
        "values are needed with In and NotIn",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, grants: {attach: {selector: {matchExpressions: [{key: a, operator: In, values: []}]}}}}",
        "spec.grants.attach.selector.matchExpressions[0].values",
        "values are needed with In and NotIn",
    ),
    (
        "{authorityRef: {name: a}, preset: Device, certificatePolicies: [anyPolicy]}",
        "spec.certificatePolicies[0]",
        "\"anyPolicy\" does not fit",
    ),
];

#[test]
fn certificate_profile_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn certificate_profile_accepts() {
    for spec in [
        "{authorityRef: {name: a}, preset: TLSServer}",
        "{authorityRef: {name: a, namespace: pki}, preset: CA, basicConstraints: {pathLength: 1}, validity: {default: 5y}}",
        "{authorityRef: {name: a}, preset: CA, keyUsage: {usages: [keyCertSign, cRLSign, digitalSignature]}}",
        "{authorityRef: {name: a}, preset: TLSServer, proofOfControl: Required}",
        "{authorityRef: {name: a}, preset: Device, proofOfControl: Required, subjectAltNames: {dns: {presence: Required}, ip: {}, uri: {presence: Fixed, values: ['urn:acme']}}}",
        "{selfSigned: {}, preset: TLSServer, publish: {crlDistributionPoint: Omit, authorityInfoAccess: Omit}}",
        "{authorityRef: {name: a}, keyUsage: {mode: FromRequest, usages: [digitalSignature, keyAgreement]}, extendedKeyUsage: {usages: []}, subjectAltNames: {uri: {}}}",
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: commonName, presence: Required, patterns: ['*.acme.com', '**.lab.acme.com']}, {type: organization, presence: Fixed, values: [Acme]}, {type: 1.2.3.4}], others: Drop, empty: Allowed}}",
        "{authorityRef: {name: a}, preset: Device, subjectAltNames: {dns: {presence: Required, patterns: ['*.acme.com'], wildcards: Allowed}, ip: {cidrs: [10.0.0.0/8]}, uri: {presence: Fixed, values: ['urn:acme']}, email: {patterns: ['*@acme.com']}, otherName: [{typeId: 1.3.6.1.4.1.311.20.2.3, patterns: ['**@acme.com']}], others: Drop, commonNameToDns: Copy}}",
        "{authorityRef: {name: a}, preset: Device, validity: {default: 30d, maximum: 1y, backdate: 0s, request: Ignore}}",
        "{authorityRef: {name: a}, preset: Device, requestExtensions: {copy: [1.3.6.1.4.1.311.20.2], others: Refuse}}",
        "{authorityRef: {name: a}, preset: Device, protocols: [{protocol: est, minimumAuthentication: Certificate}, {protocol: issuer}], approval: Manual}",
        "{authorityRef: {name: a}, preset: Device, grants: {issue: {namespaces: [team-a]}, attach: {namespaces: ['*']}}, certificatePolicies: [2.5.29.32.0]}",
    ] {
        accepts(KIND, spec);
    }
}

#[test]
fn an_absent_list_of_protocols_allows_them_all_and_a_list_allows_its_entries() {
    let spec = |text| -> CertificateProfileSpec {
        match accepts(KIND, text) {
            Resource::CertificateProfile(profile) => profile.spec,
            other => panic!("{other:?}"),
        }
    };
    let open = spec("{authorityRef: {name: a}, preset: Device}");
    for protocol in Protocol::ALL {
        assert_eq!(
            open.minimum_authentication(*protocol),
            Some(AuthenticationLevel::SharedSecret),
            "{protocol}"
        );
    }
    let listed = spec(
        "{authorityRef: {name: a}, preset: Device, protocols: [{protocol: est, minimumAuthentication: Certificate}]}",
    );
    assert_eq!(listed.minimum_authentication(Protocol::Est), Some(AuthenticationLevel::Certificate));
    assert_eq!(listed.minimum_authentication(Protocol::Scep), None);
}

#[test]
fn authentication_levels_are_ordered_from_weak_to_strong() {
    assert!(AuthenticationLevel::ALL.is_sorted());
    assert!(AuthenticationLevel::Anonymous < AuthenticationLevel::SharedSecret);
    assert!(AuthenticationLevel::SharedSecret < AuthenticationLevel::PersonalSecret);
    assert!(AuthenticationLevel::Certificate < AuthenticationLevel::CertificateAndSecret);
}
