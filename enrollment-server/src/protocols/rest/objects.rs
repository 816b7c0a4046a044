//! Values that several resources show.

mod timestamp;

pub(super) use timestamp::Timestamp;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use issuance::Error;
use serde::Serialize;

use super::error::RestError;

/// An object as the answer.
///
/// # Errors
/// [`Error::Internal`], which no object of ours causes.
pub(super) fn json(status: StatusCode, object: &impl Serialize) -> Result<Response, RestError> {
    let body = serde_json::to_vec(object).map_err(|error| Error::Internal(error.to_string()))?;
    let content = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((status, content, body).into_response())
}
