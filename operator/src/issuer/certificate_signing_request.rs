//! Requests of Kubernetes itself (CertificateSigningRequest), for signers that are ChanceryClusterIssuers.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/>. The gates are those of
//! [`super::certificate_request`]; such a request has no word for waiting, so that what it waits for is in its events only. It is
//! issued where the profile grants every namespace, since it belongs to none.

use std::time::Duration;

use k8s_openapi::{
    ByteString,
    api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{Api, Client};
use serde::Serialize;

use super::{
    go_duration,
    issuers::{IssuerKey, Issuers},
    request::{
        Again, Answer, Fate, Meaning, Parts, Question, Request, Step, Unreadable, Verdict, issue_request,
        meaning, server_of,
    },
};
use crate::metrics::RequestKind;

/// The annotation of cert-manager that says how long a certificate is to be valid, as Go writes durations. It counts before
/// `spec.expirationSeconds`.
pub(super) const DURATION_ANNOTATION: &str = "experimental.cert-manager.io/request-duration";

/// The annotation of cert-manager that asks for an authority's certificate, where it is `true`.
pub(super) const IS_CA_ANNOTATION: &str = "experimental.cert-manager.io/request-is-ca";

/// What a signer writes, by server-side apply: conditions of approvers stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct SignerStatus {
    /// PEM: the certificate first, then those above it, without a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<CertificateSigningRequestCondition>,
}

impl Request for CertificateSigningRequest {
    type Status = SignerStatus;

    const KIND: RequestKind = RequestKind::CertificateSigningRequest;

    fn api(&self, client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn issuer(&self) -> Option<IssuerKey> {
        IssuerKey::of_signer_name(&self.spec.signer_name)
    }

    fn decide(&self, issuers: &Issuers, now: Timestamp) -> Step<SignerStatus> {
        let Some(issuer) = self.issuer() else { return Step::Leave };
        // Denied is for ever, and has nothing more to be said about it.
        let approved = has(self, "Approved") && !has(self, "Denied");
        if self.metadata.deletion_timestamp.is_some() || !approved || is_over(self) {
            return Step::Leave;
        }
        let request = match question(self, &issuer) {
            Ok(request) => request,
            Err(Unreadable(message)) => return Step::Tell(failed(message, now)),
        };
        match server_of(issuers, &issuer) {
            Ok(server) => Step::Ask(Box::new(Question { server, request })),
            Err(message) => Step::Tell(pending(message, Again::WhenChanged)),
        }
    }

    fn conclude(&self, answer: &Answer, now: Timestamp) -> Verdict<SignerStatus> {
        match meaning(answer, self.metadata.creation_timestamp.as_ref(), now) {
            Meaning::Issued { certificate, ca: _ } => Verdict {
                status: Some(SignerStatus { certificate: Some(certificate), conditions: Vec::new() }),
                fate: Fate::Issued,
                message: "the certificate was issued".to_owned(),
                is_news: true,
                again: Again::WhenChanged,
            },
            Meaning::Pending { message, not_before } => pending(message, Again::Later(not_before)),
            Meaning::Failed { message, at_fault: _ } => failed(message, now),
        }
    }

    fn shrink(&mut self) {
        self.metadata.managed_fields = None;
        if self.issuer().is_none() || is_over(self) {
            self.metadata.annotations = None;
            self.spec.request.0 = Vec::new();
            self.spec.extra = None;
            if let Some(certificate) = self.status.as_mut().and_then(|status| status.certificate.as_mut()) {
                // That there is one is all that matters.
                certificate.0.truncate(1);
            }
        }
    }
}

fn has(request: &CertificateSigningRequest, type_: &str) -> bool {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

fn is_over(request: &CertificateSigningRequest) -> bool {
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    has(request, "Failed") || certificate.is_some_and(|certificate| !certificate.0.is_empty())
}

fn question(
    request: &CertificateSigningRequest,
    issuer: &IssuerKey,
) -> Result<client::internal::IssueRequest, Unreadable> {
    issue_request(Parts {
        issuer,
        namespace: None,
        requester: format!(
            "CertificateSigningRequest {}",
            request.metadata.name.as_deref().unwrap_or_default()
        ),
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        pem: &request.spec.request.0,
        duration: duration(request)?,
        is_ca: annotation(request, IS_CA_ANNOTATION) == Some("true"),
        usages: request.spec.usages.as_deref().unwrap_or_default(),
    })
}

fn duration(request: &CertificateSigningRequest) -> Result<Option<Duration>, Unreadable> {
    if let Some(text) = annotation(request, DURATION_ANNOTATION) {
        return go_duration::parse(text)
            .map(Some)
            .map_err(|error| Unreadable(format!("metadata.annotations[{DURATION_ANNOTATION}]: {error}")));
    }
    let Some(seconds) = request.spec.expiration_seconds else { return Ok(None) };
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
        Ok(_) | Err(_) => Err(Unreadable("spec.expirationSeconds: must be longer than zero".to_owned())),
    }
}

fn annotation<'a>(request: &'a CertificateSigningRequest, key: &str) -> Option<&'a str> {
    request.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn pending(message: String, again: Again) -> Verdict<SignerStatus> {
    Verdict { status: None, fate: Fate::Pending, message, is_news: true, again }
}

fn failed(message: String, now: Timestamp) -> Verdict<SignerStatus> {
    let condition = CertificateSigningRequestCondition {
        type_: "Failed".to_owned(),
        status: "True".to_owned(),
        reason: Some("SigningFailed".to_owned()),
        message: Some(message.clone()),
        last_transition_time: Some(Time(now)),
        last_update_time: Some(Time(now)),
    };
    Verdict {
        status: Some(SignerStatus { certificate: None, conditions: vec![condition] }),
        fate: Fate::Failed,
        message,
        is_news: true,
        again: Again::WhenChanged,
    }
}
