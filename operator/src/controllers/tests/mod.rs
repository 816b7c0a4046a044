//! What is decided for each kind, and what is written.

mod apply;
mod decide;
mod kinds;

use crds::{
    Kind,
    conditions::{ConditionStatus, ConditionType, Reason, rows},
};
use issuance::identity::ResourceName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pki::time::Time;
use resolve::{ResourceStatus, StatusCondition};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

/// When everything here happens, unless said otherwise.
const NOW: Time = Time::from_unix(1_800_000_000);

/// What resolving says of something that is as it should be.
fn accepted(kind: Kind) -> ResourceStatus {
    let conditions = rows(kind).iter().map(|row| match row.condition {
        ConditionType::Programmed => condition(row.condition, ConditionStatus::Unknown, Reason::Pending, ""),
        ConditionType::Ready => condition(row.condition, ConditionStatus::False, Reason::NotProgrammed, ""),
        ConditionType::Accepted | ConditionType::ResolvedRefs | ConditionType::Issued => {
            condition(row.condition, ConditionStatus::True, row.positive[0], "")
        }
    });
    let conditions = conditions.collect();
    ResourceStatus { kind, name: ResourceName::new("pki", "it"), generation: Some(3), conditions }
}

/// What resolving says of something whose reference leads nowhere.
fn refused(kind: Kind) -> ResourceStatus {
    let mut status = accepted(kind);
    for found in &mut status.conditions {
        let (why, message) = match found.condition {
            ConditionType::Accepted | ConditionType::ResolvedRefs => {
                (Reason::ReferenceNotFound, "spec.profileRef: there is none")
            }
            ConditionType::Issued | ConditionType::Programmed | ConditionType::Ready => {
                (Reason::NotAccepted, "")
            }
        };
        *found = condition(found.condition, ConditionStatus::False, why, message);
    }
    status
}

/// What resolving says of an authority whose certificate is not there or has ended.
fn unissued(reason: Reason) -> ResourceStatus {
    let mut status = accepted(Kind::CertificateAuthority);
    for found in &mut status.conditions {
        if found.condition == ConditionType::Issued {
            *found = condition(ConditionType::Issued, ConditionStatus::False, reason, "not now");
        }
    }
    status
}

fn condition(
    condition: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
) -> StatusCondition {
    StatusCondition { condition, status, reason, message: message.to_owned() }
}

/// `status reason` of one condition.
fn said(conditions: &[Condition], wanted: ConditionType) -> String {
    let found = conditions.iter().find(|found| found.type_ == wanted.as_str());
    let found = found.unwrap_or_else(|| panic!("no {wanted} in {conditions:?}"));
    format!("{} {}", found.status, found.reason)
}

fn message(conditions: &[Condition], wanted: ConditionType) -> String {
    let found = conditions.iter().find(|found| found.type_ == wanted.as_str());
    found.map(|found| found.message.clone()).unwrap_or_default()
}

/// A resource as the API server has it.
fn resource<K: DeserializeOwned>(kind: Kind, spec: &str) -> K {
    let spec: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
    let metadata = json!({ "name": "it", "namespace": "pki", "uid": "uid-it", "generation": 3 });
    let document =
        json!({ "apiVersion": crds::API_VERSION, "kind": kind.as_str(), "metadata": metadata, "spec": spec });
    serde_json::from_value(document).unwrap()
}

/// As it comes back from the API server.
fn stored<S: Serialize + DeserializeOwned>(status: &S) -> S {
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}
