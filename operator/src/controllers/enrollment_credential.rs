//! What becomes of an EnrollmentCredential.

use client::internal::CredentialUsage;
use crds::{
    CredentialState, EnrollmentCredential, EnrollmentCredentialStatus, LocalRef,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use pki::time::Time;
use resolve::{ResourceStatus, StatusCondition};

use super::conditions::{Beyond, changed, judge, moment, put, status};
use crate::{
    provision::credentials::{ValueFacts, ValueFailure},
    servers::Programmed,
};

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras<'a> {
    /// None: its value comes from the user, or could not be made.
    pub(super) value: Option<&'a ValueFacts>,
    pub(super) failure: Option<&'a ValueFailure>,
    pub(super) usage: Option<CredentialUsage>,
    pub(super) waits_for: Option<String>,
}

status!(EnrollmentCredentialStatus, counts: [uses, last_used_at]);

/// The status; none: it is as it should be.
pub(super) fn decide(
    credential: &EnrollmentCredential,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras<'_>,
    now: Time,
) -> Option<EnrollmentCredentialStatus> {
    let existing = credential.status.as_ref();
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    status.expires_at.clone_from(&credential.spec.expires_at);
    if let Some(value) = extras.value {
        status.secret_ref = Some(LocalRef { name: value.secret.clone() });
        status.created_at = Some(moment(value.created_at));
        status.regeneration = u32::try_from(value.regeneration).ok();
        status.rotates_at = value.rotates_at.map(moment);
        status.previous_value_until = value.previous_until.map(moment);
    }
    if let Some(usage) = &extras.usage {
        status.credential_id = Some(usage.id.clone());
        status.uses = Some(usage.uses);
        status.last_used_at = usage.last_used_at.map(|at| moment(Time::from_unix(at)));
    }
    let resolved = refused(resolved, extras.failure);
    let ended = ended(credential, &status, now);
    let mut beyond = Beyond { note: extras.waits_for.clone(), ..Beyond::default() };
    beyond.not_ready = ended.as_ref().map(|(_, reason, message)| (*reason, message.clone()));
    let unmade = Programmed::Pending(extras.failure.map(|failure| failure.text.clone()).unwrap_or_default());
    let programmed = if extras.failure.is_some() { &unmade } else { programmed };
    let judged = judge(&resolved, programmed, &beyond);
    let is_ready = judged
        .iter()
        .any(|found| found.condition == ConditionType::Ready && found.status == ConditionStatus::True);
    status.state = Some(match ended {
        Some((state, ..)) => state,
        None if is_ready => CredentialState::Active,
        None => CredentialState::Pending,
    });
    changed(existing, status, &judged, resolved.generation, now)
}

/// A Secret that is in the way is the resource's own affair: it names it.
fn refused(resolved: &ResourceStatus, failure: Option<&ValueFailure>) -> ResourceStatus {
    let mut resolved = resolved.clone();
    if let Some(failure) = failure.filter(|failure| !failure.retried && resolved.is_accepted()) {
        let member = format!("spec.writeTo: {}", failure.text);
        for (condition, reason, message) in [
            (ConditionType::Accepted, Reason::SecretInvalid, member.as_str()),
            (ConditionType::ResolvedRefs, Reason::SecretInvalid, member.as_str()),
            (ConditionType::Programmed, Reason::NotAccepted, ""),
            (ConditionType::Ready, Reason::NotAccepted, ""),
        ] {
            let (status, message) = (ConditionStatus::False, message.to_owned());
            put(&mut resolved.conditions, StatusCondition { condition, status, reason, message });
        }
    }
    resolved
}

/// Why it opens nothing any more, if it does not.
fn ended(
    credential: &EnrollmentCredential,
    status: &EnrollmentCredentialStatus,
    now: Time,
) -> Option<(CredentialState, Reason, String)> {
    if credential.spec.revoked {
        return Some((CredentialState::Revoked, Reason::Revoked, String::new()));
    }
    let end = credential.spec.expires_at.as_ref().map(|end| Time::from_unix(end.0.as_second()));
    if let Some(end) = end.filter(|end| *end <= now) {
        return Some((CredentialState::Expired, Reason::Expired, format!("it expired at {end}")));
    }
    let most = credential.spec.maximum_uses.map(u64::from);
    match (most, status.uses) {
        (Some(most), Some(uses)) if uses >= most => {
            Some((CredentialState::UsedUp, Reason::UsedUp, format!("it was used {uses} times")))
        }
        (Some(_) | None, Some(_) | None) => None,
    }
}
