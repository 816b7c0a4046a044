//! Requests of cert-manager (CertificateRequest), for issuers of both of our kinds.
//!
//! The order of the gates, and what a request that does not pass one is told
//! (<https://cert-manager.io/docs/contributing/external-issuers/>, <https://cert-manager.io/docs/usage/certificaterequest/>):
//!
//! | gate | otherwise |
//! | --- | --- |
//! | names an issuer of ours, is not being deleted | nothing, ever |
//! | approved by an approver, who is never us | denied: `Denied` with `failureTime`; neither: nothing yet |
//! | not over | nothing |
//! | can be read | `Failed` with `failureTime`, and `InvalidRequest` |
//! | the issuer exists, and is ready as it is now | `Pending`, until watches say so |
//! | the server answers | `Pending`, and asked again |

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Api, Client};

use super::{
    cert_manager::{CertificateRequest, CertificateRequestStatus, Condition, StatusPatch, condition, reason},
    go_duration,
    issuers::{IssuerKey, Issuers},
    request::{
        Again, Answer, Fate, Meaning, Parts, Question, Request, Step, Unreadable, Verdict, issue_request,
        meaning, server_of,
    },
};
use crate::metrics::RequestKind;

impl Request for CertificateRequest {
    type Status = StatusPatch;

    const KIND: RequestKind = RequestKind::CertificateRequest;

    fn api(&self, client: Client) -> Api<Self> {
        Api::namespaced(client, self.metadata.namespace.as_deref().unwrap_or_default())
    }

    fn issuer(&self) -> Option<IssuerKey> {
        IssuerKey::of_reference(&self.spec.issuer_ref, self.metadata.namespace.as_deref()?)
    }

    fn decide(&self, issuers: &Issuers, now: Timestamp) -> Step<StatusPatch> {
        let Some(issuer) = self.issuer() else { return Step::Leave };
        let approved = self.is_true(condition::APPROVED);
        let denied = self.is_true(condition::DENIED);
        if self.metadata.deletion_timestamp.is_some() || !(approved || denied) || self.is_over() {
            return Step::Leave;
        }
        if denied {
            let message = "an approver denied the request".to_owned();
            return Step::Tell(self.verdict(Fate::Denied, message, false, now));
        }
        let request = match self.question(&issuer) {
            Ok(request) => request,
            Err(Unreadable(message)) => {
                return Step::Tell(self.verdict(Fate::Failed, message, true, now));
            }
        };
        match server_of(issuers, &issuer) {
            Ok(server) => Step::Ask(Box::new(Question { server, request })),
            Err(message) => Step::Tell(self.pending(message, Again::WhenChanged, now)),
        }
    }

    fn conclude(&self, answer: &Answer, now: Timestamp) -> Verdict<StatusPatch> {
        match meaning(answer, self.metadata.creation_timestamp.as_ref(), now) {
            Meaning::Issued { certificate, ca } => {
                let mut verdict =
                    self.verdict(Fate::Issued, "the certificate was issued".to_owned(), false, now);
                if let Some(status) = &mut verdict.status {
                    status.certificate = Some(certificate);
                    status.ca = ca;
                }
                verdict
            }
            Meaning::Pending { message, not_before } => self.pending(message, Again::Later(not_before), now),
            Meaning::Failed { message, at_fault } => self.verdict(Fate::Failed, message, at_fault, now),
        }
    }

    fn shrink(&mut self) {
        self.metadata.managed_fields = None;
        self.metadata.annotations = None;
        if self.issuer().is_none() || self.is_over() {
            self.spec.request.0 = Vec::new();
            self.spec.usages = Vec::new();
        }
    }
}

impl CertificateRequest {
    fn is_true(&self, type_: &str) -> bool {
        self.status.as_ref().is_some_and(|status| status.is_true(type_))
    }

    fn condition(&self, type_: &str) -> Option<&Condition> {
        self.status.as_ref().and_then(|status| status.condition(type_))
    }

    /// Whether it has its certificate, or will never get one.
    fn is_over(&self) -> bool {
        let certificate =
            |status: &CertificateRequestStatus| status.certificate.0 || status.is_true(condition::READY);
        let ended = self.condition(condition::READY).is_some_and(|ready| {
            matches!(ready.reason.as_str(), reason::ISSUED | reason::FAILED | reason::DENIED)
        });
        ended || self.is_true(condition::INVALID_REQUEST) || self.status.as_ref().is_some_and(certificate)
    }

    fn question(&self, issuer: &IssuerKey) -> Result<client::internal::IssueRequest, Unreadable> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        issue_request(Parts {
            issuer,
            namespace: Some(namespace),
            requester: format!("CertificateRequest {namespace}/{name}"),
            uid: self.metadata.uid.as_deref().unwrap_or_default(),
            pem: &self.spec.request.0,
            duration: self.duration()?,
            is_ca: self.spec.is_ca,
            usages: &self.spec.usages,
        })
    }

    fn duration(&self) -> Result<Option<Duration>, Unreadable> {
        let parsed = self.spec.duration.as_deref().map(go_duration::parse).transpose();
        parsed.map_err(|error| Unreadable(format!("spec.duration: {error}")))
    }

    fn pending(&self, message: String, again: Again, now: Timestamp) -> Verdict<StatusPatch> {
        let said = self.condition(condition::READY).is_some_and(|ready| {
            ready.status == "False" && ready.reason == reason::PENDING && ready.message == message
        });
        let mut verdict = self.verdict(Fate::Pending, message, false, now);
        verdict.again = again;
        if said {
            verdict.status = None;
            verdict.is_news = false;
        }
        verdict
    }

    fn verdict(&self, fate: Fate, message: String, at_fault: bool, now: Timestamp) -> Verdict<StatusPatch> {
        let ready = if fate == Fate::Issued { "True" } else { "False" };
        let mut conditions =
            vec![self.transition(condition::READY, ready, fate.as_str(), message.clone(), now)];
        if at_fault {
            conditions.push(self.transition(
                condition::INVALID_REQUEST,
                "True",
                "InvalidRequest",
                message.clone(),
                now,
            ));
        }
        let failed = matches!(fate, Fate::Failed | Fate::Denied);
        let status =
            StatusPatch { conditions, failure_time: failed.then_some(Time(now)), ..StatusPatch::default() };
        Verdict { status: Some(status), fate, message, is_news: true, again: Again::WhenChanged }
    }

    /// The condition, with the time at which its status became what it is.
    fn transition(
        &self,
        type_: &str,
        status: &str,
        reason: &str,
        message: String,
        now: Timestamp,
    ) -> Condition {
        let before = self.condition(type_).filter(|found| found.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: before
                .and_then(|found| found.last_transition_time.clone())
                .or(Some(Time(now))),
        }
    }
}
