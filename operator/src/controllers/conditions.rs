//! The conditions of a resource: what resolving says, and how far its servers are.

use crds::conditions::{ConditionStatus, ConditionType, Reason, set_condition};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{self, Condition},
    jiff::Timestamp,
};
use pki::time::Time;
use resolve::{ResourceStatus, StatusCondition};
use serde::Serialize;

use crate::servers::Programmed;

/// A status with conditions.
pub(super) trait Status: Clone + Default + PartialEq + Serialize {
    fn conditions(&self) -> &[Condition];

    fn set_conditions(&mut self, conditions: Vec<Condition>);

    /// The same without what only counts, which is written less often.
    fn without_counts(&self) -> Self;
}

/// What else there is to say than resolving has said.
#[derive(Clone, Debug, Default)]
pub(super) struct Beyond {
    /// Why it cannot be used although it is served.
    pub(super) not_ready: Option<(Reason, String)>,
    /// Said beside `Ready`, whatever that is.
    pub(super) note: Option<String>,
}

/// The conditions of a resource, `Programmed` and `Ready` filled in.
pub(super) fn judge(
    resolved: &ResourceStatus,
    programmed: &Programmed,
    beyond: &Beyond,
) -> Vec<StatusCondition> {
    let mut conditions = resolved.conditions.clone();
    if resolved.is_accepted() {
        let found = programmed_condition(programmed);
        let ready = ready_condition(resolved, &found, beyond);
        put(&mut conditions, found);
        put(&mut conditions, ready);
    }
    if let Some(note) = &beyond.note
        && let Some(ready) = conditions.iter_mut().find(|found| found.condition == ConditionType::Ready)
    {
        ready.message = join(&ready.message, note);
    }
    conditions
}

/// The status, if it is not what is there already. The time of a transition is that of the condition that is there, where its
/// status has not changed; what somebody else put beside ours is left out.
pub(super) fn changed<S: Status>(
    existing: Option<&S>,
    mut status: S,
    judged: &[StatusCondition],
    generation: Option<i64>,
    now: Time,
) -> Option<S> {
    let ours = |conditions: &[Condition]| -> Vec<Condition> {
        let find = |wanted: &StatusCondition| {
            conditions.iter().find(|found| found.type_ == wanted.condition.as_str()).cloned()
        };
        judged.iter().filter_map(find).collect()
    };
    let before = existing.map(|existing| ours(existing.conditions())).unwrap_or_default();
    let mut conditions = before.clone();
    for wanted in judged {
        let StatusCondition { condition, status, reason, message } = wanted;
        set_condition(&mut conditions, *condition, *status, *reason, message, generation, timestamp(now));
    }
    status.set_conditions(ours(&conditions));
    let existing = existing.map(|existing| {
        let mut existing = existing.clone();
        existing.set_conditions(before);
        existing
    });
    (existing.as_ref() != Some(&status)).then_some(status)
}

/// As the API server writes it: whole seconds.
pub(super) fn timestamp(time: Time) -> Timestamp {
    // Both ends of what certificates can say lie within what the type can.
    Timestamp::from_second(time.unix()).unwrap_or(Timestamp::MAX)
}

/// The same, as a member of a status.
pub(super) fn moment(time: Time) -> v1::Time {
    v1::Time(timestamp(time))
}

fn programmed_condition(programmed: &Programmed) -> StatusCondition {
    let (status, reason, message) = match programmed {
        Programmed::Yes => (ConditionStatus::True, Reason::Programmed, ""),
        Programmed::Pending(why) => (ConditionStatus::Unknown, Reason::Pending, why.as_str()),
        Programmed::NotPublished => (ConditionStatus::Unknown, Reason::Pending, ""),
        Programmed::Failed(why) => (ConditionStatus::False, Reason::ProgrammingFailed, why.as_str()),
        Programmed::ServerNotReady => {
            (ConditionStatus::False, Reason::ServerNotReady, "no replica of the server is ready")
        }
    };
    StatusCondition { condition: ConditionType::Programmed, status, reason, message: message.to_owned() }
}

fn ready_condition(
    resolved: &ResourceStatus,
    programmed: &StatusCondition,
    beyond: &Beyond,
) -> StatusCondition {
    let issued = resolved.condition(ConditionType::Issued);
    let (status, reason, message) = match (issued, &beyond.not_ready) {
        (Some(issued), _) if issued.status != ConditionStatus::True => {
            (ConditionStatus::False, Reason::NotIssued, issued.message.as_str())
        }
        // What time or a person has ended says more than whether it is served.
        (_, Some((reason, message))) => (ConditionStatus::False, *reason, message.as_str()),
        (_, None) if programmed.status != ConditionStatus::True => {
            (ConditionStatus::False, Reason::NotProgrammed, programmed.message.as_str())
        }
        (_, None) => (ConditionStatus::True, Reason::Ready, ""),
    };
    StatusCondition { condition: ConditionType::Ready, status, reason, message: message.to_owned() }
}

/// Replaces the condition of the same type; a kind has not all of them.
pub(super) fn put(conditions: &mut [StatusCondition], new: StatusCondition) {
    if let Some(found) = conditions.iter_mut().find(|found| found.condition == new.condition) {
        *found = new;
    }
}

fn join(one: &str, other: &str) -> String {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.to_owned(),
        (_, true) => one.to_owned(),
        (false, false) => format!("{one}; {other}"),
    }
}

/// What all statuses here share.
macro_rules! status {
    ($status:ty, counts: [$($counted:ident),*]) => {
        impl crate::controllers::conditions::Status for $status {
            fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                &self.conditions
            }

            fn set_conditions(
                &mut self,
                conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
            ) {
                self.conditions = conditions;
            }

            fn without_counts(&self) -> Self {
                Self { $($counted: None,)* ..self.clone() }
            }
        }
    };
}

pub(super) use status;
