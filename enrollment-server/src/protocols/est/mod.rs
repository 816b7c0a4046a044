//! Enrollment over Secure Transport: [RFC 7030](https://www.rfc-editor.org/rfc/rfc7030), with the clarifications of
//! [RFC 8951](https://www.rfc-editor.org/rfc/rfc8951).
//!
//! | operation | endpoint, below `/.well-known/est[/{label}]` | to a stranger |
//! | --- | --- | --- |
//! | cacerts (§4.1) | `GET /cacerts` | 200: the authority's certificates |
//! | simpleenroll (§4.2.1) | `POST /simpleenroll` | 401 (403 where only a certificate would help) |
//! | simplereenroll (§4.2.2) | `POST /simplereenroll` | 403 |
//! | fullcmc (§4.3) | `POST /fullcmc` | 501 |
//! | serverkeygen (§4.4) | `POST /serverkeygen` | as simpleenroll; 501 where the method does not offer it |
//! | csrattrs (§4.5) | `GET /csrattrs` | 200, or 204 where the profile wants nothing in particular |
//!
//! The label is that of an EnrollmentMethod (§3.2.2); without one the server's default method answers.

mod auth;
mod csrattrs;
mod enroll;
mod error;
mod handlers;
mod server_keygen;
mod service;
#[cfg(test)]
mod tests;
pub mod wire;

pub use service::EstService;

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
    let operations = [
        ("cacerts", get(handlers::ca_certs).layer(traced(Operation::CaCerts))),
        ("simpleenroll", post(enroll::simple_enroll).layer(traced(Operation::SimpleEnroll))),
        ("simplereenroll", post(enroll::simple_reenroll).layer(traced(Operation::SimpleReenroll))),
        ("serverkeygen", post(server_keygen::server_keygen).layer(traced(Operation::ServerKeyGen))),
        ("csrattrs", get(handlers::csr_attrs).layer(traced(Operation::CsrAttrs))),
        ("fullcmc", post(handlers::full_cmc).layer(traced(Operation::FullCmc))),
    ];
    let mut router = Router::new();
    for (operation, handler) in operations {
        router = router
            .route(&format!("/.well-known/est/{operation}"), handler.clone())
            .route(&format!("/.well-known/est/{{label}}/{operation}"), handler);
    }
    router.with_state(app)
}
