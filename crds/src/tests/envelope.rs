//! What stands around a spec.

use serde_json::{Value, json};

use super::{ADMISSION, document};
use crate::{Kind, admission::AdmissionError};

fn changed(member: &str, value: Value) -> Value {
    let mut document = document(Kind::EnrollmentMethod, "{profileRef: {name: p}, est: {}}");
    document[member] = value;
    document
}

fn refused_at(document: &Value) -> Vec<String> {
    match ADMISSION.admit(document, None).unwrap_err() {
        AdmissionError::Invalid(found) => found.into_iter().map(|violation| violation.path).collect(),
        other => vec![other.to_string()],
    }
}

#[test]
fn other_versions_and_kinds_are_refused_by_name() {
    assert_eq!(
        refused_at(&changed("apiVersion", json!("chancery.dev/v2"))),
        ["apiVersion is \"chancery.dev/v2\"; this program knows chancery.dev/v1alpha1"]
    );
    assert_eq!(
        refused_at(&changed("kind", json!("Enrolment"))),
        ["\"Enrolment\" is not a kind of chancery.dev/v1alpha1"]
    );
    assert!(ADMISSION.admit(&json!([]), None).is_err());
    assert!(ADMISSION.admit(&Value::Null, None).is_err());
}

#[test]
fn names_must_be_names() {
    for name in ["", "A", "a_b", "-a", "a-", "a..b", &"a".repeat(254), "../x", "a/b"] {
        assert_eq!(refused_at(&changed("metadata", json!({"name": name}))), ["metadata.name"], "{name:?}");
    }
    for namespace in ["", "a.b", "A", &"a".repeat(64), "../x"] {
        let found = refused_at(&changed("metadata", json!({"name": "x", "namespace": namespace})));
        assert_eq!(found, ["metadata.namespace"], "{namespace:?}");
    }
    assert_eq!(refused_at(&changed("metadata", json!({}))), ["metadata.name"]);
}

#[test]
fn what_belongs_to_the_cluster_is_in_no_namespace() {
    let mut issuer = document(Kind::ChanceryClusterIssuer, "{profileRef: {name: p, namespace: n}}");
    assert!(ADMISSION.admit(&issuer, None).is_ok());
    issuer["metadata"]["namespace"] = json!("test");
    assert_eq!(refused_at(&issuer), ["metadata.namespace"]);
}

#[test]
fn members_beside_the_spec_are_refused() {
    assert_eq!(refused_at(&changed("sepc", json!({}))), ["sepc"]);
    assert_eq!(refused_at(&changed("spec", Value::Null)), ["spec"]);
}

#[test]
fn a_status_is_not_read() {
    let document = changed("status", json!({"observedGeneration": "not a number"}));
    assert!(ADMISSION.admit(&document, None).is_ok());
}

#[test]
fn a_resource_reads_back_unchanged() {
    let first =
        ADMISSION.admit(&changed("metadata", json!({"name": "x", "labels": {"a": "b"}})), None).unwrap();
    let again = ADMISSION.admit(&first.to_value().unwrap(), Some(&first)).unwrap();
    assert_eq!(again, first);
    assert_eq!(
        again.meta().labels.as_ref().and_then(|labels| labels.get("a")).map(String::as_str),
        Some("b")
    );
}
