//! Bodies: JSON objects whose members are known, there once, and what they should be.

mod parse;

pub(super) use parse::{Hidden, present};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

use self::parse::{Unreadable, parse};
use super::{ask::Ask, error::RestError};
use crate::listeners::read_body;

const JSON: &str = "application/json";

impl From<Unreadable> for RestError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::NotJson(sentence) => Self::Malformed(sentence),
            Unreadable::Invalid { pointer, detail } => Self::invalid(pointer, detail),
        }
    }
}

/// The body as what the operation asks for. `T` denies unknown members.
///
/// # Errors
/// [`RestError::ContentType`], [`RestError::Body`], [`RestError::Malformed`] for what is no JSON, [`RestError::Invalid`] for
/// JSON that is something else.
pub(super) async fn read<T: DeserializeOwned>(ask: &Ask, body: Body) -> Result<T, RestError> {
    Ok(parse(&read_json(ask, body).await?)?)
}

/// As [`read`], where there need be no body: then it is as an empty object.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_optional<T: DeserializeOwned>(ask: &Ask, body: Body) -> Result<T, RestError> {
    if ask.headers.contains_key(CONTENT_TYPE) {
        return read(ask, body).await;
    }
    if read_all(ask, body).await?.is_empty() { Ok(parse(b"{}")?) } else { Err(RestError::ContentType(JSON)) }
}

/// The octets of a body that says it is JSON.
///
/// # Errors
/// [`RestError::ContentType`], [`RestError::Body`].
pub(super) async fn read_json(ask: &Ask, body: Body) -> Result<Bytes, RestError> {
    check_content_type(&ask.headers)?;
    read_all(ask, body).await
}

async fn read_all(ask: &Ask, body: Body) -> Result<Bytes, RestError> {
    let limits = ask.app.limits.load();
    let (most, within) = (limits.body_bytes, limits.read_timeout);
    drop(limits);
    Ok(read_body(body, most, within).await?)
}

/// RFC 8259 §11: parameters mean nothing.
fn check_content_type(headers: &HeaderMap) -> Result<(), RestError> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, other) = (values.next(), values.next());
    let text = value.filter(|_| other.is_none()).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) { Ok(()) } else { Err(RestError::ContentType(JSON)) }
}
