//! REST: the interface of Chancery's own for programs, and the desk for operators. Described by an OpenAPI 3.1 document, which
//! is made from this code and served with it.
//!
//! | operation | endpoint, below `/api/v1` | action |
//! | --- | --- | --- |
//! | openApi | `GET /openapi.json` | none: it is for everybody |
//! | createOrder | `POST /orders` | request |
//! | listOrders | `GET /orders` | read |
//! | readOrder | `GET /orders/{id}` | read |
//! | submitCsr | `PUT /orders/{id}/csr` | request |
//! | cancelOrder | `DELETE /orders/{id}` | request |
//! | answerChallenge | `POST /orders/{id}/authorizations/{place}/challenges/{type}` | request |
//! | fetchKey | `POST /orders/{id}/key` | request |
//! | issueCertificate | `POST /certificates` | request |
//! | listCertificates | `GET /certificates` | read |
//! | readCertificate | `GET /certificates/{id}` | read |
//! | downloadCertificate | `GET /certificates/{id}/download` | read |
//! | renewCertificate | `POST /certificates/{id}/renew` | request |
//! | revokeCertificate | `POST /certificates/{id}/revoke` | revoke |
//! | holdCertificate | `POST /certificates/{id}/hold` | revoke |
//! | releaseCertificate | `POST /certificates/{id}/release` | revoke |
//! | listRequests | `GET /requests` | approve |
//! | readRequest | `GET /requests/{id}` | approve |
//! | approveRequest | `POST /requests/{id}/approve` | approve |
//! | denyRequest | `POST /requests/{id}/deny` | approve |
//! | listCredentials | `GET /credentials` | credentials |
//! | exportCredentials | `GET /credentials/export` | credentials |
//! | createCredential | `POST /credentials` | credentials |
//! | readCredential | `GET /credentials/{id}` | credentials |
//! | revokeCredential | `POST /credentials/{id}/revoke` | credentials |
//! | expireCredential | `POST /credentials/{id}/expire` | credentials |
//! | regenerateCredential | `POST /credentials/{id}/regenerate` | credentials |
//! | reportIssued, … | `GET /reports/issued`, `expiring`, `revoked`, `inventory` | report |
//! | reportSummary | `GET /reports/summary` | report |
//! | queryAudit | `GET /audit` | report |
//! | exportAudit | `GET /audit/export` | report |
//! | readStatus | `GET /status` | read |
//!
//! Who asks is said by the credential, and so is which EnrollmentMethod is asked. Nobody sees rows of another, but of those that it
//! administers: all of them, or the one that `?method=` names; orders are never of another. To a stranger
//! every operation but the first is 401. Every error is a problem document
//! ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
//!
//! | file | what |
//! | --- | --- |
//! | `shared.rs` | what all methods share for as long as the process lives |
//! | `service.rs` | one method, ready to serve: what is the same for every request |
//! | `ask.rs`, `auth.rs` | a request on its way in, and who sent it |
//! | `body.rs`, `parameters.rs`, `page.rs` | what comes in: bodies, queries, pages of lists |
//! | `objects.rs` | values that several resources show |
//! | `error.rs`, `problem.rs` | one map from what can go wrong to what is said |
//! | `openapi.rs` | the document, and what all operations answer in common |
//! | `orders/` | from what is asked to a certificate, and the keys that are made here |
//! | `certificates/` | certificates: issued in one call, read, renewed, revoked |
//! | `renewal.rs` | certificates that the server renews by itself |
//! | `requests.rs`, `credentials/`, `reports/`, `audit.rs` | the desk |
//! | `overview.rs`, `status.rs` | what a generation offers, and how that is doing |
//! | `accept.rs`, `export.rs`, `scan.rs` | the forms of answers, those of any length, and lists that are filtered here |
//! | `texts.rs` | what people write |

mod accept;
mod ask;
mod audit;
mod auth;
mod body;
mod certificates;
mod credentials;
mod error;
mod export;
mod objects;
mod openapi;
mod orders;
mod overview;
mod page;
mod parameters;
mod problem;
mod renewal;
mod reports;
mod requests;
mod scan;
mod service;
mod shared;
mod status;
#[cfg(test)]
mod tests;
mod texts;

pub use export::Exports;
pub use overview::Overview;
pub(crate) use renewal::{Renewed, renew_by_itself};
pub use service::{RestProducts, RestService, RestServices};
pub use shared::RestShared;

use std::sync::Arc;

use axum::{Router, routing::get};

use self::error::RestError;
use crate::{
    metrics::{Metrics, Operation, Protocol},
    serving::App,
    telemetry::TraceRequests,
};

/// Where everything is.
const BASE: &str = "/api/v1";

/// The endpoints.
pub fn router(app: &Arc<App>) -> Router {
    let traces = Traces(&app.metrics);
    let (router, document) = openapi::described(&traces).split_for_parts();
    let document = openapi::Document::of(&document);
    let document = get(move || async move { document.answer() }).layer(traces.of(Operation::OpenApi));
    let router = router
        .route("/openapi.json", document)
        .method_not_allowed_fallback(|| async { RestError::MethodNotAllowed })
        .fallback(|| async { RestError::NotFound("path") });
    Router::new().nest(BASE, router).with_state(app.clone())
}

/// Makes the layer that each operation has.
struct Traces<'a>(&'a Metrics);

impl Traces<'_> {
    fn of(&self, operation: Operation) -> TraceRequests {
        TraceRequests::new(self.0, Protocol::Rest, operation)
    }
}
