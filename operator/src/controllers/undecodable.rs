//! What is said of a resource that cannot be read: a newer release wrote it, or something let it through that the rules refuse.

use crds::{
    Kind,
    conditions::{ConditionStatus, ConditionType, Reason, rows},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pki::time::Time;
use resolve::StatusCondition;
use serde::Serialize;

use super::conditions::{Status, changed};

/// The part of a status that every kind has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bare {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observed_generation: Option<i64>,
    pub(super) conditions: Vec<Condition>,
}

impl Status for Bare {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>) {
        self.conditions = conditions;
    }

    fn without_counts(&self) -> Self {
        self.clone()
    }
}

/// The status; none: it is as it should be.
pub(super) fn decide(
    kind: Kind,
    existing: Option<&Bare>,
    generation: Option<i64>,
    reason: &str,
    now: Time,
) -> Option<Bare> {
    let judged: Vec<StatusCondition> = rows(kind)
        .iter()
        .map(|row| {
            let (status, why, message) = match row.condition {
                ConditionType::Accepted => (ConditionStatus::False, Reason::Invalid, reason),
                ConditionType::ResolvedRefs => (ConditionStatus::Unknown, Reason::Unknown, ""),
                ConditionType::Issued | ConditionType::Programmed | ConditionType::Ready => {
                    (ConditionStatus::False, Reason::NotAccepted, "")
                }
            };
            let message = message.to_owned();
            StatusCondition { condition: row.condition, status, reason: why, message }
        })
        .collect();
    changed(
        existing,
        Bare { observed_generation: generation, conditions: Vec::new() },
        &judged,
        generation,
        now,
    )
}
