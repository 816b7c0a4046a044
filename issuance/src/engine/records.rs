//! What the engine writes down of a request: the certificate's row, the audit event, the summary for a person.

use pki::{serial::SerialNumber, time::Time};

use crate::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Requester,
    identity::{KeyId, Protocol, RequestId, ResourceName},
    profile::Authorized,
    request::AskedKey,
    store::{CertificateRow, CertificateStatus},
};

pub(super) fn certificate_row(
    authorized: &Authorized,
    serial: &SerialNumber,
    der: &[u8],
    now: Time,
    request: Option<RequestId>,
) -> CertificateRow {
    let template = authorized.template();
    let requester = authorized.authenticated().requester();
    let authority = authorized.profile().authority.as_ref();
    CertificateRow {
        issuer: authority
            .map_or_else(|| KeyId(template.public_key.key_identifier()), |authority| authority.key_id()),
        serial: *serial,
        authority: authority.map(|authority| authority.name.clone()),
        profile: authorized.profile().policy.name.clone(),
        method: requester.method.clone(),
        protocol: requester.protocol,
        credential: requester.credential.clone(),
        owner: requester.owner.clone(),
        requester: requester.name.clone(),
        subject: template.subject.to_string(),
        subject_alt_names: template.subject_alt_names.iter().map(ToString::to_string).collect(),
        not_before: template.not_before,
        not_after: template.not_after,
        issued_at: now,
        status: CertificateStatus::Valid,
        public_key_sha256: hex::encode(template.public_key.spki_sha256()),
        server_key: matches!(authorized.asked().key, AskedKey::Server(_)),
        request,
        der: der.to_vec(),
    }
}

pub(super) fn event_of(
    authorized: &Authorized,
    now: Time,
    action: Action,
    outcome: AuditOutcome,
) -> AuditEvent {
    let requester = authorized.authenticated().requester();
    let mut event = AuditEvent::new(now, action, outcome, Actor::of(requester));
    event.method = method_of(requester, &requester.method);
    event.profile = Some(authorized.profile().policy.name.clone());
    event.authority = authorized.profile().authority.as_ref().map(|authority| authority.name.clone());
    event.credential = requester.credential.clone();
    event.subject = Some(bounded(&authorized.template().subject.to_string()));
    event
}

/// The method that the trail names. What the server issues to itself is of none: its own name there would be taken for that of a
/// method, to whose administrators it is none of their business.
pub(super) fn method_of(requester: &Requester, method: &ResourceName) -> Option<ResourceName> {
    (requester.protocol != Protocol::Internal).then(|| method.clone())
}

/// What a person reads before approving.
pub(super) fn summary(authorized: &Authorized) -> String {
    let template = authorized.template();
    let names: Vec<String> = template.subject_alt_names.iter().map(ToString::to_string).collect();
    bounded(&format!(
        "{} [{}] {}, {} to {}",
        template.subject,
        names.join(", "),
        template.public_key.key_type(),
        template.not_before,
        template.not_after
    ))
}

pub(super) fn bounded(text: &str) -> String {
    const MAX_TEXT: usize = 2000;
    text.chars().take(MAX_TEXT).collect()
}
