//! Requests that wait for a person (`/requests`): those of the methods in the caller's scope.
//!
//! Approval does not sign: the certificate is made when whoever asked comes back for it. Four eyes: nobody approves what they
//! asked for themselves, nor what another credential of the same user asked for.

use std::sync::Arc;

use axum::{body::Body, extract::Path, response::Response};
use http::StatusCode;
use issuance::{
    approval::Verdict,
    authn::Freshness,
    identity::{CertificateId, RequestId},
    rest::RestAction,
    store::{RequestFilter, RequestRow, RequestState},
};
use pki::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    Traces,
    ask::Ask,
    auth::Caller,
    body,
    error::RestError,
    objects::{Timestamp, json},
    openapi::{BodyProblems, ConflictProblem, MissingProblem, Problems},
    page::{Items, PageParameters, page},
    scan::scan,
    texts::Reason,
};
use crate::{metrics::Operation, serving::App};

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(list_requests).layer(traces.of(Operation::ListRequests)))
        .routes(routes!(read_request).layer(traces.of(Operation::ReadRequest)))
        .routes(routes!(approve_request).layer(traces.of(Operation::ApproveRequest)))
        .routes(routes!(deny_request).layer(traces.of(Operation::DenyRequest)))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `list_requests` reads them")]
struct ListParameters {
    /// Only those in this state.
    state: Option<State>,
}

/// Somebody asked for a certificate, and somebody else has to decide.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    id: String,
    state: State,
    /// The EnrollmentMethod that was asked by, as `namespace/name`.
    method: String,
    /// As `namespace/name`.
    profile: String,
    /// Who asked, as the audit trail has it.
    requester: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
    /// `user:NAME` or `group:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// What the certificate would say: subject, names, key, validity.
    summary: String,
    created_at: Timestamp,
    /// Nobody decides on it after this.
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decision: Option<Decision>,
    /// Identifier of the certificate, once it is issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    certificate: Option<String>,
}

/// What somebody decided.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Decision {
    by: String,
    /// Identifier of their own credential, where one was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// What a request is now. An approved one is not signed before whoever asked comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RequestState)]
enum State {
    Pending,
    Approved,
    Denied,
    Issued,
    Expired,
}

impl State {
    fn of(row: &RequestRow, now: Time) -> Self {
        match row.state {
            RequestState::Pending if row.expires_at <= now => Self::Expired,
            RequestState::Pending => Self::Pending,
            RequestState::Approved => Self::Approved,
            RequestState::Denied => Self::Denied,
            RequestState::Issued => Self::Issued,
            RequestState::Expired => Self::Expired,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(text.into()).ok()
    }

    /// As rows have it. One that expired may still be recorded as pending.
    fn recorded(self) -> Option<RequestState> {
        match self {
            Self::Pending => Some(RequestState::Pending),
            Self::Approved => Some(RequestState::Approved),
            Self::Denied => Some(RequestState::Denied),
            Self::Issued => Some(RequestState::Issued),
            Self::Expired => None,
        }
    }
}

impl Request {
    fn of(row: &RequestRow, now: Time) -> Self {
        let requester = &row.requester;
        let decision = row.decision.as_ref().map(|decision| Decision {
            by: decision.by.clone(),
            credential: decision
                .decider
                .as_ref()
                .and_then(|by| by.credential.as_ref())
                .map(ToString::to_string),
            at: decision.at.into(),
            reason: decision.reason.clone(),
        });
        let certificate =
            row.certificate.map(|(issuer, serial)| CertificateId { issuer, serial }.to_string());
        Self {
            id: row.id.to_string(),
            state: State::of(row, now),
            method: row.method.to_string(),
            profile: row.profile.to_string(),
            requester: requester.name.clone(),
            credential: requester.credential.as_ref().map(ToString::to_string),
            owner: requester.owner.as_ref().map(ToString::to_string),
            address: requester.address.map(|address| address.to_string()),
            summary: row.summary.clone(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
            decision,
            certificate,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Denial {
    /// Whoever asked is told.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
}

/// Lists requests, the oldest first. A page may hold fewer than `limit` although there are more: `next` says.
#[utoipa::path(get, path = "/requests", operation_id = "listRequests", tag = "requests",
    params(PageParameters, ListParameters),
    responses((status = 200, description = "A page of requests.", body = Items<Request>), Problems))]
async fn list_requests(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Approve, Freshness::Fresh).await?;
    let page = page(&mut parameters)?;
    let expected = "pending, approved, denied, issued or expired";
    let state = parameters.take_with("state", expected, State::parse)?;
    parameters.finish()?;
    let (store, walks, now) = (caller.app().engine.store(), caller.app().rest.walks(), caller.ask.now);
    let recorded = state.and_then(State::recorded);
    let filter = RequestFilter { state: recorded, methods: Some(caller.scope().clone()) };
    let read = |page| {
        let (store, filter) = (store.clone(), filter.clone());
        walks.read(async move { store.requests(&filter, &page).await })
    };
    let items = scan(&page, read, |row| {
        let shown = Request::of(row, now);
        state.is_none_or(|wanted| wanted == shown.state).then_some(shown)
    });
    json(StatusCode::OK, &items.await?)
}

/// Shows a request.
#[utoipa::path(get, path = "/requests/{id}", operation_id = "readRequest", tag = "requests",
    params(("id" = String, Path, description = "Identifier of the request.")),
    responses((status = 200, description = "The request.", body = Request), Problems, MissingProblem))]
async fn read_request(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Approve, Freshness::Fresh).await?;
    let row = caller.app().engine.store().request(&parse(&id)?).await?;
    let row = row.filter(|row| caller.scope().contains(&row.method)).ok_or(NOT_FOUND)?;
    json(StatusCode::OK, &Request::of(&row, caller.ask.now))
}

/// Approves a pending request. The certificate is made when whoever asked comes back for it, by the profile of that moment.
#[utoipa::path(post, path = "/requests/{id}/approve", operation_id = "approveRequest", tag = "requests",
    params(("id" = String, Path, description = "Identifier of the request.")),
    responses((status = 200, description = "The request, approved.", body = Request),
        Problems, MissingProblem, ConflictProblem))]
async fn approve_request(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Approve, Freshness::Fresh).await?;
    decide(&caller, &id, Verdict::Approve, None).await
}

/// Denies a pending request.
#[utoipa::path(post, path = "/requests/{id}/deny", operation_id = "denyRequest", tag = "requests",
    params(("id" = String, Path, description = "Identifier of the request.")),
    request_body(content = Option<Denial>, content_type = "application/json"),
    responses((status = 200, description = "The request, denied.", body = Request),
        Problems, MissingProblem, ConflictProblem, BodyProblems))]
async fn deny_request(ask: Ask, Path(id): Path<String>, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Approve, Freshness::Fresh).await?;
    let Denial { reason } = body::read_optional(&caller.ask, body).await?;
    decide(&caller, &id, Verdict::Deny, reason.map(Reason::into)).await
}

const NOT_FOUND: RestError = RestError::NotFound("request");

fn parse(id: &str) -> Result<RequestId, RestError> {
    id.parse().map_err(|_| NOT_FOUND)
}

async fn decide(
    caller: &Caller,
    id: &str,
    verdict: Verdict,
    reason: Option<String>,
) -> Result<Response, RestError> {
    let by = caller.authenticated(&caller.service.method)?;
    let row = caller.app().engine.decide_as(&by, caller.scope(), &parse(id)?, verdict, reason).await;
    let row = row.map_err(|error| match error {
        // What is in its way is no secret to those who decide.
        issuance::Error::Conflict(sentence) => RestError::Conflict(sentence),
        other => other.into(),
    })?;
    json(StatusCode::OK, &Request::of(&row, caller.ask.now))
}
