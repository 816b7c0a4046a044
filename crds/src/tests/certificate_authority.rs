//! Cases of CertificateAuthority.

use super::{Reject, RejectChange, accepts, accepts_change, rejects, rejects_change};
use crate::{AuthorityKeyAlgorithm, Kind, Resource};

const KIND: Kind = Kind::CertificateAuthority;

pub(super) const REJECTS: &[Reject] = &[
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {}}",
        "spec.bundle",
        "give configMap, clusterTrustBundle or both",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: kube-root-ca.crt}}}",
        "spec.bundle.configMap.name",
        "names that begin with kube- belong to Kubernetes",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: Trust}}}",
        "spec.bundle.configMap.name",
        "\"Trust\" does not fit",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: a, namespaces: [a*]}}}",
        "spec.bundle.configMap.namespaces[0]",
        "\"a*\" does not fit",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: a, selector: {}}}}",
        "spec.bundle.configMap.selector",
        "a selector needs at least one requirement",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: a, selector: {matchExpressions: [{key: k, operator: In}]}}}}",
        "spec.bundle.configMap.selector.matchExpressions[0].values",
        "values are needed with In and NotIn",
    ),
    ("{selfSigned: {}, subject: {commonName: R}, successorRef: {}}", "spec.successorRef.name", "is missing"),
    ("{subject: {commonName: R}}", "spec", "give exactly one of selfSigned, intermediate and imported"),
    (
        "{selfSigned: {}, imported: {secretRef: {name: s}}, subject: {commonName: R}}",
        "spec",
        "give exactly one of",
    ),
    (
        "{selfSigned: {}, intermediate: {parentRef: {name: p}}, subject: {commonName: R}}",
        "spec",
        "give exactly one of",
    ),
    ("{selfSigned: {}}", "spec.subject", "subject is needed, except with imported"),
    ("{intermediate: {parentRef: {name: p}}}", "spec.subject", "subject is needed, except with imported"),
    (
        "{imported: {secretRef: {name: s}}, subject: {commonName: R}}",
        "spec.subject",
        "subject is refused with imported",
    ),
    ("{imported: {secretRef: {name: s}}, key: {}}", "spec.key", "key is refused with imported"),
    (
        "{imported: {secretRef: {name: s}}, validity: 1y}",
        "spec.validity",
        "validity is refused with imported",
    ),
    (
        "{imported: {secretRef: {name: s}}, pathLength: 0}",
        "spec.pathLength",
        "pathLength is refused with imported",
    ),
    (
        "{imported: {secretRef: {name: s}}, nameConstraints: {permitted: {dns: [acme.com]}}}",
        "spec.nameConstraints",
        "nameConstraints is refused with imported",
    ),
    ("{selfSigned: {}, subject: {}}", "spec.subject", "give at least one attribute of the name"),
    (
        "{selfSigned: {}, subject: {organization: []}}",
        "spec.subject",
        "give at least one attribute of the name",
    ),
    ("{selfSigned: {}, subject: {commonName: ''}}", "spec.subject.commonName", "is 0 long; 1 is the least"),
    ("{selfSigned: {}, subject: {country: de}}", "spec.subject.country", "\"de\" does not fit"),
    (
        "{selfSigned: {}, subject: {organization: Acme}}",
        "spec.subject.organization",
        "must be a list, not a string",
    ),
    ("{selfSigned: {}, subject: {cn: R}}", "spec.subject.cn", "is not known here"),
    ("{selfSigned: {}, subject: {commonName: R}, validity: 0d}", "spec.validity", "must be longer than zero"),
    (
        "{selfSigned: {}, subject: {commonName: R}, validity: 10}",
        "spec.validity",
        "must be a string, not a number",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, validity: ten years}",
        "spec.validity",
        "\"ten years\" does not fit",
    ),
    ("{selfSigned: {}, subject: {commonName: R}, pathLength: 11}", "spec.pathLength", "11 is more than 10"),
    ("{selfSigned: {}, subject: {commonName: R}, pathLength: -1}", "spec.pathLength", "-1 is less than 0"),
    (
        "{selfSigned: {}, subject: {commonName: R}, key: {algorithm: ECDSA-P521}}",
        "spec.key.algorithm",
        "\"ECDSA-P521\" is not one of",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, crl: {validity: 0s}}",
        "spec.crl.validity",
        "must be longer than zero",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, crl: {renewBefore: 0h0m}}",
        "spec.crl.renewBefore",
        "must be longer than zero",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {}}",
        "spec.nameConstraints",
        "give permitted, excluded or both",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {permitted: {}}}",
        "spec.nameConstraints.permitted",
        "give at least one entry of dns, ip, email or uri",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {excluded: {dns: []}}}",
        "spec.nameConstraints.excluded",
        "give at least one entry of dns, ip, email or uri",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {permitted: {ip: [10.0.0.0]}}}",
        "spec.nameConstraints.permitted.ip[0]",
        "\"10.0.0.0\" does not fit",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {permitted: {dns: ['*.acme.com']}}}",
        "spec.nameConstraints.permitted.dns[0]",
        "\"*.acme.com\" does not fit",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, deletionPolicy: retain}",
        "spec.deletionPolicy",
        "\"retain\" is not one of Retain, Delete",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {namespaces: ['team-*']}}",
        "spec.allowedNamespaces.namespaces[0]",
        "\"team-*\" does not fit",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {selector: {}}}",
        "spec.allowedNamespaces.selector",
        "a selector needs at least one requirement",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {selector: {matchLabel: {a: b}}}}",
        "spec.allowedNamespaces.selector.matchLabel",
        "is not known here",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {selector: {matchExpressions: [{key: a, operator: In}]}}}",
        "spec.allowedNamespaces.selector.matchExpressions[0].values",
        "values are needed with In and NotIn",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}",
        "spec.allowedNamespaces.selector.matchExpressions[0].values",
        "values are needed with In and NotIn",
    ),
    ("{selfSigned: {}, subject: {commonName: R}, typo: 1}", "spec.typo", "is not known here"),
    ("{selfSigned: {hash: sha1}, subject: {commonName: R}}", "spec.selfSigned.hash", "is not known here"),
    ("{selfSigned: null, subject: {commonName: R}}", "spec.selfSigned", "must be an object, not empty"),
    (
        "{intermediate: {parentRef: {}}, subject: {commonName: R}}",
        "spec.intermediate.parentRef.name",
        "is missing",
    ),
];

pub(super) const REJECTED_CHANGES: &[RejectChange] = &[
    (
        "{selfSigned: {}, subject: {commonName: R}}",
        "{intermediate: {parentRef: {name: p}}, subject: {commonName: R}}",
        "spec",
        "the source of an authority cannot change",
    ),
    (
        "{intermediate: {parentRef: {name: p}}, subject: {commonName: R}}",
        "{intermediate: {parentRef: {name: q}}, subject: {commonName: R}}",
        "spec.intermediate",
        "the source of an authority cannot change",
    ),
    (
        "{imported: {secretRef: {name: s}}}",
        "{imported: {secretRef: {name: t}}}",
        "spec.imported",
        "the source of an authority cannot change",
    ),
    (
        "{serverRef: {name: a}, selfSigned: {}, subject: {commonName: R}}",
        "{serverRef: {name: b}, selfSigned: {}, subject: {commonName: R}}",
        "spec.serverRef",
        "serverRef cannot change",
    ),
    (
        "{serverRef: {name: a}, selfSigned: {}, subject: {commonName: R}}",
        "{selfSigned: {}, subject: {commonName: R}}",
        "spec.serverRef",
        "serverRef cannot be removed",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}}",
        "{selfSigned: {}, subject: {commonName: S}}",
        "spec.subject",
        "the subject of an authority cannot change",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}}",
        "{imported: {secretRef: {name: s}}}",
        "spec.subject",
        "the subject of an authority cannot change",
    ),
    (
        "{selfSigned: {}, subject: {commonName: R}}",
        "{selfSigned: {}, subject: {commonName: R}, key: {algorithm: RSA-3072}}",
        "spec.key",
        "the key algorithm cannot change",
    ),
];

#[test]
fn certificate_authority_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn certificate_authority_rejects_changes() {
    REJECTED_CHANGES.iter().for_each(|case| rejects_change(KIND, *case));
}

#[test]
fn certificate_authority_accepts() {
    for spec in [
        "{selfSigned: {}, subject: {commonName: R}}",
        "{selfSigned: {}, subject: {organization: [Acme, Beta], country: DE, domainComponents: [com, acme]}}",
        "{intermediate: {parentRef: {name: p, namespace: other}}, subject: {commonName: I}, pathLength: 0, validity: 5y}",
        "{imported: {secretRef: {name: s}}, crl: {validity: 1d, renewBefore: 12h}, deletionPolicy: Delete}",
        "{selfSigned: {}, subject: {commonName: R}, key: {algorithm: Ed25519}, pathLength: 10}",
        "{selfSigned: {}, subject: {commonName: R}, bundle: {clusterTrustBundle: {}}}",
        "{selfSigned: {}, subject: {commonName: R}, bundle: {configMap: {name: acme-root.crt, namespaces: ['*', a], selector: {matchLabels: {a: b}}}, clusterTrustBundle: {}}}",
        "{imported: {secretRef: {name: s}}, successorRef: {name: next, namespace: other}}",
        "{selfSigned: {}, subject: {commonName: R}, nameConstraints: {permitted: {dns: [acme.com], ip: [10.0.0.0/8, '2001:db8::/32']}, excluded: {email: [.acme.com, a@acme.com], uri: [acme.com]}}}",
        "{selfSigned: {}, subject: {commonName: R}, allowedNamespaces: {namespaces: ['*'], selector: {matchLabels: {tier: pki}, matchExpressions: [{key: a, operator: In, values: [b]}, {key: c, operator: Exists}]}}}",
    ] {
        accepts(KIND, spec);
    }
}

#[test]
fn certificate_authority_accepts_changes() {
    for change in [
        (
            "{selfSigned: {}, subject: {commonName: R}}",
            "{selfSigned: {}, subject: {commonName: R}, serverRef: {name: a}}",
        ),
        ("{selfSigned: {}, subject: {commonName: R}}", "{selfSigned: {}, subject: {commonName: R}, key: {}}"),
        (
            "{selfSigned: {}, subject: {commonName: R}}",
            "{selfSigned: {}, subject: {commonName: R}, validity: 3y, crl: {validity: 1d}}",
        ),
        (
            "{selfSigned: {}, subject: {commonName: R}}",
            "{selfSigned: {}, subject: {commonName: R}, deletionPolicy: Delete}",
        ),
        (
            "{selfSigned: {}, subject: {commonName: R}}",
            "{selfSigned: {}, subject: {commonName: R}, successorRef: {name: next}}",
        ),
        (
            "{selfSigned: {}, subject: {commonName: R}, successorRef: {name: next}}",
            "{selfSigned: {}, subject: {commonName: R}}",
        ),
    ] {
        accepts_change(KIND, change);
    }
}

#[test]
fn defaults_that_depend_on_the_source_are_filled_in() {
    let spec = |text| match accepts(KIND, text) {
        Resource::CertificateAuthority(authority) => authority.spec,
        other => panic!("{other:?}"),
    };
    let root = spec("{selfSigned: {}, subject: {commonName: R}}");
    assert_eq!(root.effective_validity().as_str(), "10y");
    assert_eq!(root.key_algorithm(), AuthorityKeyAlgorithm::EcdsaP256);
    let intermediate = spec("{intermediate: {parentRef: {name: p}}, subject: {commonName: I}}");
    assert_eq!(intermediate.effective_validity().as_str(), "5y");
    let short = spec("{selfSigned: {}, subject: {commonName: R}, validity: 1d, key: {algorithm: RSA-4096}}");
    assert_eq!(
        (short.effective_validity().as_str(), short.key_algorithm()),
        ("1d", AuthorityKeyAlgorithm::Rsa4096)
    );
}
