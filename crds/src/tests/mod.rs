//! Admission cases, one line each: what each kind accepts, what it rejects and where, which changes it rejects.
//!
//! [`every_rule_has_a_case`] keeps the tables complete: a CEL rule without a case that it rejects fails the build.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::{
    API_VERSION, Kind, Resource,
    admission::{Admission, AdmissionError, Violation},
    generate,
};

mod certificate_authority;
mod certificate_profile;
mod certificate_revocation;
mod chancery_issuer;
mod decoding;
mod defaults;
mod enrollment_credential;
mod enrollment_method;
mod enrollment_server;
mod envelope;
mod examples;
mod recorded;
mod rest_method;

static ADMISSION: LazyLock<Admission> = LazyLock::new(Admission::new);

/// A spec that is rejected: the spec, the path and the beginning of the message.
type Reject = (&'static str, &'static str, &'static str);

/// A change that is rejected: the spec before and after, the path and the beginning of the message.
type RejectChange = (&'static str, &'static str, &'static str, &'static str);

fn document(kind: Kind, spec: &str) -> Value {
    let spec: Value =
        serde_yaml_ng::from_str(spec).unwrap_or_else(|error| panic!("{spec} is not YAML: {error}"));
    let metadata =
        if kind.is_namespaced() { json!({"name": "x", "namespace": "test"}) } else { json!({"name": "x"}) };
    json!({"apiVersion": API_VERSION, "kind": kind.as_str(), "metadata": metadata, "spec": spec})
}

fn accepts(kind: Kind, spec: &str) -> Resource {
    recorded::case(kind, None, spec, true, None);
    ADMISSION
        .admit(&document(kind, spec), None)
        .unwrap_or_else(|error| panic!("{kind} {spec} was rejected: {error}"))
}

fn rejects(kind: Kind, (spec, path, message): (&str, &str, &str)) {
    recorded::case(kind, None, spec, false, Some((path, message)));
    check(kind, spec, ADMISSION.admit(&document(kind, spec), None), path, message);
}

fn accepts_change(kind: Kind, (old, new): (&str, &str)) {
    recorded::case(kind, Some(old), new, true, None);
    let old_resource = accepts(kind, old);
    let result = ADMISSION.admit(&document(kind, new), Some(&old_resource));
    assert!(result.is_ok(), "{kind} {old} -> {new} was rejected: {}", result.unwrap_err());
}

fn rejects_change(kind: Kind, (old, new, path, message): RejectChange) {
    recorded::case(kind, Some(old), new, false, Some((path, message)));
    let old_resource = accepts(kind, old);
    check(kind, new, ADMISSION.admit(&document(kind, new), Some(&old_resource)), path, message);
}

fn check(kind: Kind, spec: &str, result: Result<Resource, AdmissionError>, path: &str, message: &str) {
    match result {
        Ok(_) => panic!("{kind} {spec} was accepted"),
        Err(AdmissionError::Invalid(found)) => {
            let fits =
                |violation: &Violation| violation.path == path && violation.message.starts_with(message);
            assert!(found.iter().any(fits), "{kind} {spec}: expected {path}: {message}, got {found:#?}");
        }
        Err(other) => panic!("{kind} {spec}: {other}"),
    }
}

/// Path and message of every rule below a schema, with `[]` for the index of a list.
fn rules(schema: &Value, path: &str, out: &mut Vec<(String, String)>) {
    for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        out.push((format!("{path}{field}"), rule["message"].as_str().unwrap_or_default().to_owned()));
    }
    if let Some(items) = schema.get("items") {
        rules(items, &format!("{path}[]"), out);
    }
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let separator = if path.is_empty() { "" } else { "." };
        rules(inner, &format!("{path}{separator}{name}"), out);
    }
}

#[test]
fn every_rule_has_a_case() {
    let of_methods = [enrollment_method::REJECTS, rest_method::REJECTS].concat();
    for kind in Kind::ALL {
        let (rejects, changes) = match kind {
            Kind::CertificateAuthority => {
                (certificate_authority::REJECTS, certificate_authority::REJECTED_CHANGES)
            }
            Kind::CertificateProfile => (certificate_profile::REJECTS, &[] as &[RejectChange]),
            Kind::EnrollmentMethod => (of_methods.as_slice(), &[] as &[RejectChange]),
            Kind::EnrollmentCredential => {
                (enrollment_credential::REJECTS, enrollment_credential::REJECTED_CHANGES)
            }
            Kind::EnrollmentServer => (enrollment_server::REJECTS, enrollment_server::REJECTED_CHANGES),
            Kind::ChanceryIssuer => (chancery_issuer::REJECTS, &[] as &[RejectChange]),
            Kind::ChanceryClusterIssuer => (chancery_issuer::CLUSTER_REJECTS, &[] as &[RejectChange]),
            Kind::CertificateRevocation => {
                (certificate_revocation::REJECTS, certificate_revocation::REJECTED_CHANGES)
            }
        };
        let cases: Vec<(String, &str)> = rejects
            .iter()
            .map(|(_, path, message)| (path.replace("[0]", "[]"), *message))
            .chain(changes.iter().map(|(_, _, path, message)| (path.replace("[0]", "[]"), *message)))
            .collect();
        let mut known = Vec::new();
        rules(&generate::schema(*kind), "", &mut known);
        // What an issuer says its schema checks whole.
        let has_rules = !matches!(kind, Kind::ChanceryIssuer | Kind::ChanceryClusterIssuer);
        assert_eq!(!known.is_empty(), has_rules, "{kind}: {known:?}");
        for (path, message) in known {
            assert!(!message.is_empty(), "{kind} {path}: a rule has no message");
            let covered = cases
                .iter()
                .any(|(case, start)| *case == path && !start.is_empty() && message.starts_with(start));
            assert!(covered, "{kind} {path}: no case rejects {message:?}");
        }
    }
}
