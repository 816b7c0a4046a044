//! The operations. Each reads, asks the pipeline, and encodes.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use issuance::{
    Error, Issued, Outcome, Pending,
    authn::Freshness,
    authority::Method,
    engine::{Repeat, request_key},
    identity::Protocol,
    request::Asked,
};
use pki::csr::UnverifiedCsr;

use super::{auth::authenticate, error::EstError, wire};
use crate::{
    listeners::{Peer, read_body},
    metrics::{self, Issuance},
    serving::App,
};

type Label = Option<Path<HashMap<String, String>>>;

/// RFC 7030 §4.1.
pub(super) async fn ca_certs(State(app): State<Arc<App>>, label: Label) -> Result<Response, EstError> {
    let method = method(&app, label)?;
    let authority = method.profile.authority.as_ref().ok_or(Error::NotFound("authority"))?;
    let chain: Vec<&[u8]> = authority.chain.iter().map(Vec::as_slice).collect();
    Ok(certificates(&chain, wire::PKCS7))
}

/// RFC 7030 §4.2.1.
pub(super) async fn simple_enroll(
    State(app): State<Arc<App>>,
    label: Label,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, EstError> {
    let method = method(&app, label)?;
    tracing::Span::current().record("profile", tracing::field::display(&method.profile.policy.name));
    // Before the body: a stranger's bytes are not worth reading.
    let authenticated = authenticate(&app, &method, &headers, &peer, Freshness::Cached).await?;
    wire::check_content_type(&headers)?;
    let limits = app.limits.load();
    let (most, within) = (limits.body_bytes, limits.read_timeout);
    drop(limits);
    let der = wire::decode_pkcs10(&read_body(body, most, within).await?)?;
    let csr = UnverifiedCsr::from_der(&der).and_then(UnverifiedCsr::verify).map_err(malformed)?;
    let asked = Asked::from_csr(&csr)?;
    // The same user with the same request: what a client repeats while it waits for approval.
    let requester = authenticated.requester();
    let credential = requester.credential.as_ref().map_or("", |credential| credential.as_str());
    let key = request_key(&[b"simpleenroll", credential.as_bytes(), requester.name.as_bytes(), csr.der()]);
    let mut outcome = app.engine.issue(authenticated, asked.clone(), key, Repeat::Another).await;
    if matches!(outcome, Err(Error::Stale)) {
        // The credential changed since it was cached: what holds is what the store says now.
        let authenticated = authenticate(&app, &method, &headers, &peer, Freshness::Fresh).await?;
        outcome = app.engine.issue(authenticated, asked, key, Repeat::Another).await;
    }
    count(&app, &outcome);
    Ok(match outcome? {
        Outcome::Issued(issued) => enrolled(&issued),
        Outcome::Pending(pending) => wait(&pending),
    })
}

fn method(app: &App, label: Label) -> Result<Arc<Method>, EstError> {
    let path = label.map(|Path(parts)| parts).unwrap_or_default();
    let serving = app.serving();
    serving
        .method(Protocol::Est, path.get("label").map(String::as_str))
        .cloned()
        .ok_or(EstError::UnknownLabel)
}

/// RFC 7030 §4.2.3: only the certificate that was issued.
fn enrolled(issued: &Issued) -> Response {
    tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
    let mut response = certificates(&[&issued.certificate], wire::PKCS7_CERTS_ONLY);
    response.extensions_mut().insert(metrics::Outcome::Issued);
    response
}

/// RFC 7030 §4.2.3: the client asks again with the same request.
fn wait(pending: &Pending) -> Response {
    tracing::Span::current().record("request_id", tracing::field::display(&pending.request));
    let retry_after = HeaderValue::from(pending.retry_after.as_secs().max(1));
    let sentence = format!("request {} waits for approval; repeat it later\n", pending.request);
    let mut response = (StatusCode::ACCEPTED, [(RETRY_AFTER, retry_after)], sentence).into_response();
    response.extensions_mut().insert(metrics::Outcome::Pending);
    response
}

fn certificates(chain: &[&[u8]], content_type: &'static str) -> Response {
    // RFC 8951 makes the second header meaningless; globalsign's estclient refuses an answer without it.
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("base64")),
    ];
    (headers, wire::encode_certs(chain)).into_response()
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("the body is not an acceptable PKCS #10 request: {error}"))
}

fn count(app: &App, outcome: &Result<Outcome, Error>) {
    let counted = match outcome {
        Ok(Outcome::Issued(_)) => Issuance::Issued,
        Ok(Outcome::Pending(_)) => Issuance::Pending,
        Err(
            Error::Refused(_) | Error::Malformed(_) | Error::Unauthenticated(_) | Error::Throttled { .. },
        ) => Issuance::Refused,
        Err(
            Error::NotFound(_)
            | Error::Conflict(_)
            | Error::Stale
            | Error::Unavailable(_)
            | Error::Internal(_),
        ) => Issuance::Failed,
    };
    app.metrics.issuance(metrics::Protocol::Est, counted);
}
