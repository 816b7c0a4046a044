//! Bodies: JSON objects whose members are known, there once, and what they should be.

use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, error::Category};
use serde_path_to_error::{Path, Segment};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{ask::Ask, error::RestError};
use crate::{listeners::read_body, protocols::json};

const JSON: &str = "application/json";

/// The body as what the operation asks for. `T` denies unknown members.
///
/// # Errors
/// [`RestError::ContentType`], [`RestError::Body`], [`RestError::Malformed`] for what is no JSON, [`RestError::Invalid`] for
/// JSON that is something else.
pub(super) async fn read<T: DeserializeOwned>(ask: &Ask, body: Body) -> Result<T, RestError> {
    parse(&read_json(ask, body).await?)
}

/// As [`read`], where there need be no body: then it is as an empty object.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_optional<T: DeserializeOwned>(ask: &Ask, body: Body) -> Result<T, RestError> {
    if ask.headers.contains_key(CONTENT_TYPE) {
        return read(ask, body).await;
    }
    if read_all(ask, body).await?.is_empty() { parse(b"{}") } else { Err(RestError::ContentType(JSON)) }
}

/// The octets of a body that says it is JSON.
///
/// # Errors
/// [`RestError::ContentType`], [`RestError::Body`].
pub(super) async fn read_json(ask: &Ask, body: Body) -> Result<Bytes, RestError> {
    check_content_type(&ask.headers)?;
    read_all(ask, body).await
}

/// What the octets say.
///
/// # Errors
/// [`RestError::Malformed`], [`RestError::Invalid`].
pub(super) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, RestError> {
    let value = Wiped(json::parse_unique(octets).map_err(|error| match error.classify() {
        Category::Data => RestError::invalid("", without_place(&error)),
        Category::Syntax | Category::Eof | Category::Io => {
            RestError::Malformed(format!("the body is not JSON: {error}"))
        }
    })?);
    let value = &value.0;
    if !value.is_object() {
        return Err(RestError::invalid("", "a JSON object is expected"));
    }
    // The place is found where there is something to say about it.
    T::deserialize(value).or_else(|_| located(value))
}

/// Any text in a body may be a passphrase: none is left in memory that is given back.
struct Wiped(Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn located<T: DeserializeOwned>(value: &Value) -> Result<T, RestError> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| RestError::invalid(pointer(error.path()), expected(error.inner())))
}

/// For members that may be left out, and are something where they are there: never null.
///
/// # Errors
/// Those of `T`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Text that must not be seen, in a body.
#[derive(Clone)]
pub(super) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(redacted)")
    }
}

impl PartialSchema for Hidden {
    fn schema() -> RefOr<Schema> {
        let format = Some(SchemaFormat::KnownFormat(KnownFormat::Password));
        ObjectBuilder::new().schema_type(Type::String).format(format).min_length(Some(1)).into()
    }
}

impl ToSchema for Hidden {}

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

/// RFC 6901 §3.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// What was expected, without what is there, which may be a secret: serde puts that first.
fn expected(error: &serde_json::Error) -> String {
    let sentence = error.to_string();
    let quotes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if sentence.starts_with("unknown field ") {
        return "the member does not belong here".into();
    }
    if quotes.iter().any(|quote| sentence.starts_with(quote))
        && let Some((_, expected)) = sentence.rsplit_once(", expected ")
    {
        return format!("{expected} is expected");
    }
    sentence
}

/// serde_json says where in the text, which a pointer would say better.
fn without_place(error: &serde_json::Error) -> String {
    let sentence = error.to_string();
    sentence.split(" at line ").next().map(str::to_owned).unwrap_or(sentence)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_is_left_once_a_body_is_wiped() {
        let mut value =
            json!({ "passphrase": "correct", "list": ["horse", { "of": "battery" }], "number": 1 });
        wipe(&mut value);
        assert_eq!(value, json!({ "passphrase": "", "list": ["", { "of": "" }], "number": 1 }));
    }
}
