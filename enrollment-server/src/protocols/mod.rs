//! The enrollment protocols, each a face of the one pipeline. Every folder has the same files: `wire` (bytes and types),
//! `auth` (evidence), `handlers` (a few lines each), `error` (one exhaustive map to the protocol's own words), `tests`.

pub mod acme;
mod client_trust;
pub mod est;
mod http_basic;
pub mod json;
pub mod rest;
mod server_key;
mod slow;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::Router;

use crate::serving::App;

/// The endpoints of all protocols that devices speak.
pub fn router(app: &Arc<App>) -> Router {
    est::router(app.clone()).merge(acme::router(app.clone())).merge(rest::router(app))
}
