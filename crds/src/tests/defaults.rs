//! A default must be the same whether the API server fills it in from the schema or serde does in standalone mode.

use std::collections::BTreeSet;

use kube::core::cel::apply_defaults;
use serde_json::Value;

use super::document;
use crate::{Kind, Resource, generate};

/// For each kind a spec with every object that holds defaulted members, and none of these members.
const BARE: &[(Kind, &str)] = &[
    (Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: R}, key: {}, crl: {}}"),
    (
        Kind::CertificateProfile,
        "{authorityRef: {name: a}, preset: Device, subject: {attributes: [{type: commonName}]}, \
         subjectAltNames: {dns: {}, ip: {}, uri: {}, email: {}, otherName: [{typeId: 1.2.3}]}, keys: {}, \
         keyUsage: {usages: [digitalSignature]}, extendedKeyUsage: {usages: []}, basicConstraints: {}, validity: {}, \
         requestExtensions: {}, protocols: [{protocol: est}], grants: {}, publish: {}}",
    ),
    (
        Kind::EnrollmentMethod,
        "{profileRef: {name: p}, est: {clientCertificates: {authorities: [{}]}, reenroll: {}, serverKeyGeneration: {delivery: Plain}}, \
         acme: {validation: {}, renewal: {}, meta: {}}, rest: {domainValidation: {validation: {}}, clientCertificates: {authorities: [{}]}, \
         serviceAccountTokens: {audience: a, accounts: [{namespace: n, name: a}]}, serverKeys: {}}}",
    ),
    (Kind::EnrollmentCredential, "{methodRef: {name: m}, est: {}, rest: {}, owner: {user: u}}"),
    (
        Kind::EnrollmentServer,
        "{tls: {}, limits: {failedAuthentications: {}}, audit: {}, storage: {sqlite: {}}, service: {ports: {}}, \
         networkPolicy: {}, podDisruptionBudget: {}, proxyProtocol: {}, validation: {}}",
    ),
    (Kind::CertificateRevocation, "{}"),
];

/// For each kind the least there can be, so that whole objects are filled in.
const LEAST: &[(Kind, &str)] = &[
    (Kind::CertificateAuthority, "{}"),
    (Kind::CertificateProfile, "{}"),
    (Kind::EnrollmentMethod, "{profileRef: {name: p}}"),
    (Kind::EnrollmentCredential, "{methodRef: {name: m}, owner: {}}"),
    (Kind::EnrollmentServer, "{tls: {}}"),
    (Kind::ChanceryIssuer, "{profileRef: {name: p}}"),
    (Kind::ChanceryClusterIssuer, "{profileRef: {name: p, namespace: n}}"),
    (Kind::CertificateRevocation, "{}"),
];

#[test]
fn schema_and_serde_fill_in_the_same() {
    for (kind, spec) in BARE.iter().chain(LEAST) {
        let bare = document(*kind, spec);
        let by_schema = apply_defaults(&generate::schema(*kind), &bare);
        let from_bare = Resource::from_value(*kind, bare).unwrap();
        let from_defaulted = Resource::from_value(*kind, by_schema.clone()).unwrap();
        assert_eq!(from_bare, from_defaulted, "{kind} {spec}");
        // Text as well as meaning: 7d and 1w are equal durations, but would make a controller see a difference for ever.
        assert_eq!(from_bare.to_value().unwrap()["spec"], by_schema["spec"], "{kind} {spec}");
    }
}

#[test]
fn no_default_is_left_out_of_the_comparison() {
    for (kind, spec) in BARE {
        let mut expected = BTreeSet::new();
        default_paths(&generate::schema(*kind)["properties"]["spec"], "spec", &mut expected);
        let mut reached = BTreeSet::new();
        reached_paths(&document(*kind, spec)["spec"], "spec", &mut reached);
        for path in &expected {
            let (parent, _) = path.rsplit_once('.').unwrap();
            assert!(reached.contains(parent), "{kind}: nothing compares the default of {path}");
        }
        assert!(!expected.is_empty(), "{kind} has no defaults");
    }
}

fn default_paths(schema: &Value, path: &str, out: &mut BTreeSet<String>) {
    if schema.get("default").is_some() {
        out.insert(path.to_owned());
    }
    if let Some(items) = schema.get("items") {
        default_paths(items, &format!("{path}[]"), out);
    }
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        default_paths(inner, &format!("{path}.{name}"), out);
    }
}

fn reached_paths(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    out.insert(path.to_owned());
    for (name, inner) in value.as_object().into_iter().flatten() {
        reached_paths(inner, &format!("{path}.{name}"), out);
    }
    for entry in value.as_array().into_iter().flatten() {
        reached_paths(entry, &format!("{path}[]"), out);
    }
}
