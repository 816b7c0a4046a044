//! What relying parties fetch, plain and public, because every answer is signed.
//!
//! | path | answer | source |
//! | --- | --- | --- |
//! | `GET /pki/{key id}/crl` | the newest CRL, DER | RFC 5280 §4.2.1.13, RFC 2585 §4.2 |
//! | `GET /pki/{key id}/certificate` | the authority's certificate, DER | RFC 5280 §4.2.2.1, RFC 2585 §4.1 |
//!
//! Lists of authorities that sign here are rows; those of authorities that sign elsewhere (a root, whose key the operator
//! keeps to itself) come finished with the configuration.

mod cache;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use issuance::{authority::Authority, identity::KeyId, store::StoreError};

pub use cache::{CachedCrl, CrlCache};

use crate::{
    metrics::{Operation, Protocol},
    serving::App,
    telemetry::TraceRequests,
};

/// The endpoints.
pub fn router(app: Arc<App>) -> Router {
    let traced = |operation| TraceRequests::new(&app.metrics, Protocol::Publication, operation);
    Router::new()
        .route("/pki/{key_id}/crl", get(crl).layer(traced(Operation::Crl)))
        .route("/pki/{key_id}/certificate", get(certificate).layer(traced(Operation::CaIssuers)))
        .with_state(app)
}

/// An authority that signs elsewhere, as this server publishes it.
#[derive(Clone, Debug)]
pub struct Published {
    /// DER.
    pub certificate: Bytes,
    /// None: it makes none.
    pub crl: Option<CachedCrl>,
}

/// Whoever is published under a key identifier.
enum Publisher {
    Here(Arc<Authority>),
    Elsewhere(Published),
}

impl Publisher {
    fn find(app: &App, key_id: &str) -> Option<Self> {
        let key_id: KeyId = key_id.parse().ok()?;
        let serving = app.serving();
        let here = serving.office.authority_by_key(key_id).cloned().map(Self::Here);
        here.or_else(|| serving.published.get(&key_id).cloned().map(Self::Elsewhere))
    }

    async fn crl(self, app: &App) -> Result<Option<CachedCrl>, StoreError> {
        match self {
            Self::Here(authority) => app.crls.latest(&**app.engine.store(), authority.key_id()).await,
            Self::Elsewhere(published) => Ok(published.crl),
        }
    }
}

async fn crl(State(app): State<Arc<App>>, Path(key_id): Path<String>, headers: HeaderMap) -> Response {
    let Some(publisher) = Publisher::find(&app, &key_id) else { return unknown() };
    match publisher.crl(&app).await {
        Ok(Some(crl)) => {
            let left = (crl.next_update.unix() - app.engine.clock().now().unix()).max(0);
            // A revocation is to be seen soon: caches ask again after five minutes at the latest.
            let cache = HeaderValue::from_str(&format!("public, max-age={}", left.min(300)));
            let cache = cache.unwrap_or(HeaderValue::from_static("no-cache"));
            let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| value == crl.etag);
            let caching = [(CACHE_CONTROL, cache), (ETAG, crl.etag)];
            if known {
                return (StatusCode::NOT_MODIFIED, caching).into_response();
            }
            let content = [(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"))];
            (caching, content, crl.der).into_response()
        }
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "the first CRL is being made\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "the CRL cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the CRL cannot be read at the moment\n").into_response()
        }
    }
}

async fn certificate(State(app): State<Arc<App>>, Path(key_id): Path<String>) -> Response {
    let der = match Publisher::find(&app, &key_id) {
        Some(Publisher::Here(authority)) => Bytes::copy_from_slice(authority.certificate.der()),
        Some(Publisher::Elsewhere(published)) => published.certificate,
        None => return unknown(),
    };
    ([(CONTENT_TYPE, HeaderValue::from_static("application/pkix-cert"))], der).into_response()
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no authority of this key identifier is published here\n").into_response()
}
