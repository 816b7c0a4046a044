//! The operations that hand out information, and those that are not offered.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
};
use issuance::Error;

use super::{
    error::EstError,
    service::EstService,
    wire::{self, Layout},
};
use crate::serving::App;

pub(super) type Label = Option<Path<HashMap<String, String>>>;

/// RFC 8951 makes the header meaningless; globalsign's estclient refuses an answer without it.
pub(super) const BASE64: (HeaderName, HeaderValue) =
    (HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("base64"));

/// RFC 7030 §4.1.
pub(super) async fn ca_certs(
    State(app): State<Arc<App>>,
    label: Label,
    headers: HeaderMap,
) -> Result<Response, EstError> {
    let service = service(&app, label)?;
    let cached = service.ca_certs(Layout::for_client(&headers)).ok_or(Error::NotFound("authority"))?;
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| names_etag(value, &cached.etag));
    let caching = [
        (ETAG, cached.etag.clone()),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (VARY, HeaderValue::from_static("user-agent")),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let content = [(CONTENT_TYPE, HeaderValue::from_static(wire::PKCS7)), BASE64];
    Ok((caching, content, cached.body.clone()).into_response())
}

/// RFC 7030 §4.5.
pub(super) async fn csr_attrs(
    State(app): State<Arc<App>>,
    label: Label,
    headers: HeaderMap,
) -> Result<Response, EstError> {
    let service = service(&app, label)?;
    let Some(cached) = service.csr_attrs(Layout::for_client(&headers)) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let content = [(CONTENT_TYPE, HeaderValue::from_static(wire::CSRATTRS)), BASE64];
    Ok((content, cached.body.clone()).into_response())
}

/// RFC 7030 §4.3.
pub(super) async fn full_cmc() -> EstError {
    EstError::NotOffered("fullcmc (Full CMC, RFC 7030 §4.3)")
}

pub(super) fn service(app: &App, label: Label) -> Result<Arc<EstService>, EstError> {
    let path = label.map(|Path(parts)| parts).unwrap_or_default();
    let serving = app.serving();
    serving.est.get(path.get("label").map(String::as_str)).cloned().ok_or(EstError::UnknownLabel)
}

/// RFC 9110 §13.1.2: any, or a list of tags, which are compared weakly. None of ours holds a comma.
fn names_etag(value: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(value), Ok(etag)) = (value.to_str(), etag.to_str()) else { return false };
    let mut tags = value.split(',').map(str::trim);
    value.trim() == "*" || tags.any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
