//! Automatic Certificate Management Environment: [RFC 8555](https://www.rfc-editor.org/rfc/rfc8555), with TLS-ALPN-01
//! ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)), IP identifiers
//! ([RFC 8738](https://www.rfc-editor.org/rfc/rfc8738)), renewal information
//! ([RFC 9773](https://www.rfc-editor.org/rfc/rfc9773)) and the profiles extension
//! ([draft-ietf-acme-profiles](https://datatracker.ietf.org/doc/draft-ietf-acme-profiles/)).
//!
//! | operation | endpoint, below `/acme/{label}` | signed by | to a stranger |
//! | --- | --- | --- | --- |
//! | directory (§7.1.1) | `GET /directory` | nobody | 200 |
//! | newNonce (§7.2) | `HEAD`, `GET /new-nonce` | nobody | 200, 204 |
//! | newAccount (§7.3) | `POST /new-account` | the new key | 403, or 201 where no external account is asked for |
//! | account (§7.3.2) | `POST /acct/{id}` | the account | 400 |
//! | orders (§7.1.2.1) | `POST /acct/{id}/orders` | the account | 400 |
//! | keyChange (§7.3.5) | `POST /key-change` | the account, and the new key inside | 400 |
//! | newOrder (§7.4) | `POST /new-order` | the account | 400 |
//! | order (§7.4) | `POST /order/{id}` | the account | 400 |
//! | finalize (§7.4) | `POST /order/{id}/finalize` | the account | 400 |
//! | authorization (§7.5) | `POST /authz/{order}/{n}` | the account | 400 |
//! | challenge (§7.5.1) | `POST /chall/{order}/{n}/{type}` | the account | 400 |
//! | certificate (§7.4.2) | `POST /cert/{issuer}.{serial}[/{n}]` | the account | 400 |
//! | revokeCert (§7.6) | `POST /revoke-cert` | an account, or the certificate's key | 400 |
//! | renewalInfo (RFC 9773 §4) | `GET /renewal-info/{certid}` | nobody | 200 |
//!
//! The label is that of an EnrollmentMethod. Every error is a problem document (§6.7); every answer has `Link: …;rel="index"`,
//! and every answer to a POST a fresh nonce.
//!
//! | file | what |
//! | --- | --- |
//! | `service.rs` | one method, ready to serve: what is the same for every request |
//! | `shared.rs`, `known.rs`, `issued.rs`, `limits.rs` | what all methods share for as long as the process lives: nonces, accounts that were read and certificates that were issued a moment ago, limits |
//! | `hosts.rs`, `urls.rs` | by which names the server may be asked, and the URLs below them |
//! | `exchange.rs`, `auth.rs` | a request on its way in, who signed it, and the answer on its way out |
//! | `handlers.rs` | the endpoints, a few lines each |
//! | `account.rs`, `binding.rs`, `key_change.rs` | accounts, and the external accounts that they are bound to |
//! | `order.rs`, `authorization.rs`, `challenge.rs`, `finalize.rs`, `certificate.rs` | from names to a certificate |
//! | `revoke.rs`, `renewal.rs` | what comes after |
//! | `error.rs` | one map from what can go wrong to what is said |
//! | `wire/`, `nonce.rs` | bytes and types |
//! | `validation/` | whether a challenge was met |

mod account;
mod auth;
mod authorization;
mod binding;
mod certificate;
mod challenge;
mod error;
mod exchange;
mod finalize;
mod handlers;
mod hosts;
mod issued;
mod key_change;
mod known;
mod limits;
pub mod nonce;
mod order;
mod renewal;
mod revoke;
mod service;
mod shared;
#[cfg(test)]
mod tests;
mod urls;
pub mod validation;
pub mod wire;

pub use hosts::Hosts;
pub use service::{AcmeProfiles, AcmeService, Chains};
pub use shared::AcmeShared;

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
    let traced = |operation| TraceRequests::new(&app.metrics, Protocol::Acme, operation);
    let operations = [
        ("directory", get(handlers::directory).layer(traced(Operation::Directory))),
        ("new-nonce", get(handlers::new_nonce).layer(traced(Operation::NewNonce))),
        ("new-account", post(handlers::new_account).layer(traced(Operation::NewAccount))),
        ("acct/{id}", post(handlers::account).layer(traced(Operation::Account))),
        ("acct/{id}/orders", post(handlers::orders).layer(traced(Operation::Orders))),
        ("key-change", post(handlers::key_change).layer(traced(Operation::KeyChange))),
        ("new-order", post(handlers::new_order).layer(traced(Operation::NewOrder))),
        ("order/{id}", post(handlers::order).layer(traced(Operation::Order))),
        ("order/{id}/finalize", post(handlers::finalize).layer(traced(Operation::Finalize))),
        ("authz/{order}/{n}", post(handlers::authorization).layer(traced(Operation::Authorization))),
        ("chall/{order}/{n}/{type}", post(handlers::challenge).layer(traced(Operation::Challenge))),
        ("cert/{id}", post(handlers::certificate).layer(traced(Operation::Certificate))),
        ("cert/{id}/{n}", post(handlers::certificate).layer(traced(Operation::Certificate))),
        ("revoke-cert", post(handlers::revoke_cert).layer(traced(Operation::RevokeCert))),
        ("renewal-info/{certid}", get(handlers::renewal_info).layer(traced(Operation::RenewalInfo))),
    ];
    let mut router = Router::new();
    for (operation, handler) in operations {
        router = router.route(&format!("/acme/{{label}}/{operation}"), handler);
    }
    router.method_not_allowed_fallback(handlers::method_not_allowed).with_state(app)
}
