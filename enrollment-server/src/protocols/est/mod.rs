//! Enrollment over Secure Transport: [RFC 7030](https://www.rfc-editor.org/rfc/rfc7030), with the clarifications of
//! [RFC 8951](https://www.rfc-editor.org/rfc/rfc8951).
//!
//! | operation | endpoint, below `/.well-known/est[/{label}]` | to a stranger |
//! | --- | --- | --- |
//! | cacerts (§4.1) | `GET /cacerts` | 200: the authority's certificates |
//! | simpleenroll (§4.2.1) | `POST /simpleenroll` | 401 |
//!
//! The label is that of an EnrollmentMethod (§3.2.2); without one the server's default method answers.

mod auth;
mod error;
mod handlers;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    metrics::{Operation, Protocol},
    serving::App,
    telemetry::TraceRequests,
};

/// The endpoints.
pub fn router(app: Arc<App>) -> Router {
    let traced = |operation| TraceRequests::new(&app.metrics, Protocol::Est, operation);
    let ca_certs = get(handlers::ca_certs).layer(traced(Operation::CaCerts));
    let simple_enroll = post(handlers::simple_enroll).layer(traced(Operation::SimpleEnroll));
    Router::new()
        .route("/.well-known/est/cacerts", ca_certs.clone())
        .route("/.well-known/est/{label}/cacerts", ca_certs)
        .route("/.well-known/est/simpleenroll", simple_enroll.clone())
        .route("/.well-known/est/{label}/simpleenroll", simple_enroll)
        .with_state(app)
}
