//! The internal interface, for the operator alone: mutual TLS, JSON. The types, and what each endpoint answers, are in
//! [`client::internal`].
//!
//! | endpoint, below `/internal/v1` | file | to anybody else |
//! | --- | --- | --- |
//! | `GET /loaded` | this one | no handshake |
//! | `POST /issue` | `issue.rs`, `wish.rs` | no handshake |
//! | `POST /revoke` | `revoke.rs` | no handshake |
//! | `GET /usage` | `usage.rs` | no handshake |
//! | `POST /renewals` | `renewals.rs` | no handshake |
//!
//! Each request is judged again by the certificate of its connection: a connection may outlive the certificate.

mod issue;
mod renewals;
mod revoke;
mod usage;
mod wish;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use client::internal::{Loaded, Problem, ROOT};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER, request::Parts};
use issuance::{
    Error,
    authn::Operator,
    error::{AuthenticationFailure, Retry},
};
use serde::de::DeserializeOwned;

use super::status::ClusterStatus;
use crate::{
    listeners::{BodyError, Limits, OperatorGate, Peer, read_body},
    metrics::{Operation, Protocol},
    serving::App,
    telemetry::TraceRequests,
};

/// What a request of the operator may weigh: a certificate request with some hundred names.
pub(super) const BODY_BYTES: usize = 256 * 1024;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Internal {
    pub(super) app: Arc<App>,
    pub(super) status: Arc<ClusterStatus>,
    pub(super) gate: Arc<OperatorGate>,
}

/// The endpoints.
pub(super) fn router(internal: Internal) -> Router {
    let metrics = internal.app.metrics.clone();
    let traced = |protocol, operation| TraceRequests::new(&metrics, protocol, operation);
    let of_operator = |operation| traced(Protocol::Internal, operation);
    let path = |name: &str| format!("{ROOT}/{name}");
    Router::new()
        .route(&path("loaded"), get(loaded).layer(of_operator(Operation::Loaded)))
        .route(&path("issue"), post(issue::issue).layer(traced(Protocol::Issuer, Operation::Issue)))
        .route(&path("revoke"), post(revoke::revoke).layer(of_operator(Operation::Revoke)))
        .route(&path("usage"), get(usage::usage).layer(of_operator(Operation::Usage)))
        .route(&path("renewals"), post(renewals::renewals).layer(of_operator(Operation::Renewals)))
        .fallback(unmatched)
        .with_state(internal)
}

async fn loaded(State(internal): State<Internal>, _operator: Admitted) -> Json<Loaded> {
    Json(internal.status.loaded())
}

async fn unmatched(_operator: Admitted) -> InternalError {
    InternalError::NotFound
}

/// Whoever asks is the operator.
#[derive(Debug)]
pub(super) struct Admitted(Operator);

impl FromRequestParts<Internal> for Admitted {
    type Rejection = InternalError;

    async fn from_request_parts(parts: &mut Parts, internal: &Internal) -> Result<Self, InternalError> {
        let missing = || Error::Unauthenticated(AuthenticationFailure::Missing);
        let peer = parts.extensions.get::<Peer>().ok_or_else(missing);
        match peer.and_then(|peer| internal.gate.admit(peer)) {
            Ok(operator) => Ok(Self(operator)),
            Err(error) => Err(InternalError::Forbidden(error)),
        }
    }
}

/// Why there is no answer of the interface's own.
#[derive(Debug)]
pub(super) enum InternalError {
    /// Not the operator.
    Forbidden(Error),
    NotFound,
    Body(BodyError),
    /// The body is not what the interface asks for.
    Unreadable(String),
    /// Ask again: a configuration on its way, a store that does not answer, a defect of ours.
    TryAgain(Error),
}

impl From<Error> for InternalError {
    fn from(error: Error) -> Self {
        Self::TryAgain(error)
    }
}

impl InternalError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Body(_) | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TryAgain(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Forbidden(_) => "this is for the operator alone".into(),
            Self::NotFound => "there is no such endpoint".into(),
            Self::Body(error) => error.to_string(),
            Self::Unreadable(detail) => detail.clone(),
            Self::TryAgain(error) => error.public(),
        }
    }

    fn log(&self) {
        match self {
            Self::Forbidden(error) => tracing::warn!(reason = %error, "refused"),
            Self::NotFound | Self::Body(_) | Self::Unreadable(_) => {
                tracing::info!(reason = self.detail(), "refused");
            }
            Self::TryAgain(error) => tracing::error!(%error, "failed"),
        }
    }
}

impl IntoResponse for InternalError {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.status(), Json(Problem { detail: self.detail() })).into_response();
        if let Self::TryAgain(error) = &self {
            let seconds = match error.retry() {
                Retry::After(wait) => wait.as_secs().max(1),
                Retry::Never => 30,
            };
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The body as a question of the interface.
async fn read<Q: DeserializeOwned>(body: Body) -> Result<Q, InternalError> {
    let within = Limits::default().read_timeout;
    let bytes = read_body(body, BODY_BYTES, within).await.map_err(InternalError::Body)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        InternalError::Unreadable(format!("the body cannot be read (line {line}, column {column})"))
    })
}
