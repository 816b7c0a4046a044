//! What becomes of one CertificateRevocation. Pure.

use client::internal::{RevokeOutcome, RevokeRequest};
use crds::{
    CertificateRevocation, CertificateRevocationStatus,
    conditions::{ConditionStatus, ConditionType, Reason, set_condition},
};
use issuance::identity::{KeyId, ResourceName};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use pki::serial::SerialNumber;

use super::{
    signatories::{Keeper, Signatories, Signatory},
    target::{Target, may_revoke, target},
};
use crate::servers::CallError;

/// What there is to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// It is done, or nothing has changed that could matter.
    Leave,
    /// Something to write; nothing more until something changes.
    Tell(Box<CertificateRevocationStatus>),
    /// Write down which certificate is meant, and decide again.
    Record(Box<CertificateRevocationStatus>),
    /// Ask the server whose authority signed it.
    Ask(Box<Question>),
}

/// What is asked of which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) server: ResourceName,
    pub(super) request: RevokeRequest,
}

/// `secret`: the one that it names, as it is now.
pub(super) fn decide(
    revocation: &CertificateRevocation,
    signatories: &Signatories,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Step {
    if is_over(revocation) {
        return Step::Leave;
    }
    let Some((issuer, serial)) = recorded(revocation) else {
        return match target(revocation, signatories, secret) {
            Ok(target) => Step::Record(Box::new(recording(revocation, &target, now))),
            Err(problem) => {
                let mut status = fresh(revocation);
                set(&mut status, revocation, ConditionType::Accepted, problem.reason, &problem.message, now);
                set(&mut status, revocation, ConditionType::Ready, Reason::NotAccepted, "", now);
                tell(revocation, status)
            }
        };
    };
    let Some(signatory) = signatories.with_key(issuer) else {
        let message = "the authority that signed it is served by no EnrollmentServer now";
        return tell(revocation, with_ready(revocation, Reason::Pending, message, now));
    };
    match signatory.keeper {
        Keeper::Server => Step::Ask(Box::new(Question {
            server: signatory.server.clone(),
            request: request(revocation, signatory, issuer, serial),
        })),
        Keeper::Operator => tell(revocation, by_operator(revocation, signatory, serial, signatories, now)),
    }
}

/// What an answer makes of a revocation that was to be asked.
pub(super) fn conclude(
    revocation: &CertificateRevocation,
    answer: &Result<RevokeOutcome, CallError>,
    now: Timestamp,
) -> CertificateRevocationStatus {
    match answer {
        Ok(RevokeOutcome::Revoked { revoked_at, subject }) => {
            let mut status = with_ready(revocation, Reason::Revoked, "", now);
            status.revoked_at = Timestamp::from_second(*revoked_at).ok().map(Time);
            status.subject = Some(subject.chars().take(MAX_SUBJECT).collect());
            status
        }
        Ok(RevokeOutcome::NotFound) => {
            let message = "the authority has issued no certificate with this serial number";
            with_ready(revocation, Reason::CertificateNotFound, message, now)
        }
        Ok(RevokeOutcome::Refused { message }) => with_ready(revocation, Reason::Refused, message, now),
        Err(error @ CallError::NoReplica(_)) => {
            with_ready(revocation, Reason::ServerNotReady, &error.to_string(), now)
        }
        Err(CallError::Unreachable { .. }) => {
            with_ready(revocation, Reason::ServerNotReady, "the EnrollmentServer cannot be reached", now)
        }
        Err(CallError::Unavailable { detail, .. }) => {
            let message = format!("the EnrollmentServer asks to try again: {detail}");
            with_ready(revocation, Reason::ServerNotReady, &message, now)
        }
        Err(CallError::Unexpected { status, detail, .. }) => {
            let message = format!("the EnrollmentServer answered {status}: {detail}");
            with_ready(revocation, Reason::Pending, &message, now)
        }
    }
}

/// As many characters as the schema takes.
const MAX_SUBJECT: usize = 2_048;

/// Whether the last word is said: revoked, or never.
pub(super) fn is_over(revocation: &CertificateRevocation) -> bool {
    if revocation.metadata.deletion_timestamp.is_some() {
        return true;
    }
    let ready = revocation.status.iter().flat_map(|status| &status.conditions).find(|condition| {
        condition.type_ == ConditionType::Ready.as_str()
            && condition.observed_generation == revocation.metadata.generation
    });
    ready.is_some_and(|ready| {
        [Reason::Revoked, Reason::CertificateNotFound, Reason::Refused]
            .iter()
            .any(|reason| reason.as_str() == ready.reason)
    })
}

/// The certificate that an earlier look wrote down.
pub(super) fn recorded(revocation: &CertificateRevocation) -> Option<(KeyId, SerialNumber)> {
    let status = revocation.status.as_ref()?;
    if status.observed_generation != revocation.metadata.generation {
        return None;
    }
    Some((status.issuer_key_id.as_deref()?.parse().ok()?, status.serial_number.as_deref()?.parse().ok()?))
}

fn recording(
    revocation: &CertificateRevocation,
    target: &Target,
    now: Timestamp,
) -> CertificateRevocationStatus {
    let mut status = fresh(revocation);
    status.issuer_key_id = Some(target.issuer.to_string());
    status.serial_number = Some(target.serial.to_string().to_ascii_lowercase());
    status.subject = target.subject.as_ref().map(|subject| subject.chars().take(MAX_SUBJECT).collect());
    set(&mut status, revocation, ConditionType::Accepted, Reason::Accepted, "", now);
    set(&mut status, revocation, ConditionType::Ready, Reason::Pending, "", now);
    status
}

fn request(
    revocation: &CertificateRevocation,
    signatory: &Signatory,
    issuer: KeyId,
    serial: SerialNumber,
) -> RevokeRequest {
    let namespace = revocation.metadata.namespace.clone().unwrap_or_default();
    RevokeRequest {
        issuer: issuer.to_string(),
        serial: serial.to_string().to_ascii_lowercase(),
        reason: revocation.spec.reason.as_str().to_owned(),
        requester: format!(
            "CertificateRevocation {namespace}/{}",
            revocation.metadata.name.as_deref().unwrap_or_default()
        ),
        // Whoever may make objects beside an authority may make the authority itself unusable.
        namespace: (signatory.name.namespace() != namespace).then_some(namespace),
    }
}

fn by_operator(
    revocation: &CertificateRevocation,
    signatory: &Signatory,
    serial: SerialNumber,
    signatories: &Signatories,
    now: Timestamp,
) -> CertificateRevocationStatus {
    let namespace = revocation.metadata.namespace.as_deref().unwrap_or_default();
    if signatory.certificate.serial() == &serial && signatory.certificate.is_self_signed() {
        let message = "a root cannot revoke itself: whoever trusts it has to stop";
        return with_ready(revocation, Reason::Refused, message, now);
    }
    if !may_revoke(namespace, signatory, &serial, signatories) {
        let message = format!(
            "the CertificateAuthority {} signed it, and it is no authority's of this namespace",
            signatory.name
        );
        return with_ready(revocation, Reason::Refused, &message, now);
    }
    let mut status = with_ready(revocation, Reason::Revoked, "", now);
    status.revoked_at = status.revoked_at.or(Some(Time(now)));
    status
}

/// The status as it is, without what was said of an earlier generation.
fn fresh(revocation: &CertificateRevocation) -> CertificateRevocationStatus {
    let conditions = revocation.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    CertificateRevocationStatus {
        observed_generation: revocation.metadata.generation,
        conditions,
        ..CertificateRevocationStatus::default()
    }
}

fn with_ready(
    revocation: &CertificateRevocation,
    reason: Reason,
    message: &str,
    now: Timestamp,
) -> CertificateRevocationStatus {
    let mut status = revocation.status.clone().unwrap_or_default();
    set(&mut status, revocation, ConditionType::Ready, reason, message, now);
    status
}

fn set(
    status: &mut CertificateRevocationStatus,
    revocation: &CertificateRevocation,
    condition: ConditionType,
    reason: Reason,
    message: &str,
    now: Timestamp,
) {
    let holds = matches!(reason, Reason::Accepted | Reason::Revoked);
    let value = if holds { ConditionStatus::True } else { ConditionStatus::False };
    let generation = revocation.metadata.generation;
    set_condition(&mut status.conditions, condition, value, reason, message, generation, now);
}

/// What is said already is not said again.
fn tell(revocation: &CertificateRevocation, status: CertificateRevocationStatus) -> Step {
    if revocation.status.as_ref() == Some(&status) { Step::Leave } else { Step::Tell(Box::new(status)) }
}
