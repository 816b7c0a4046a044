//! Octets as what an operation asks for. Pure: no request, no server.

use std::fmt;

use pki::json::parse_unique;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, error::Category};
use serde_path_to_error::{Path, Segment};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};
use zeroize::{Zeroize as _, Zeroizing};

/// Why a body is not what it should be, without what is in it, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::protocols::rest) enum Unreadable {
    /// In a sentence.
    NotJson(String),
    /// One thing, at this JSON Pointer (RFC 6901).
    Invalid { pointer: String, detail: String },
}

impl Unreadable {
    fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), detail: detail.into() }
    }
}

/// What the octets say.
///
/// # Errors
/// [`Unreadable`].
pub(in crate::protocols::rest) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Unreadable> {
    let value = Wiped(parse_unique(octets).map_err(|error| match error.classify() {
        Category::Data => Unreadable::invalid("", without_place(&error)),
        Category::Syntax | Category::Eof | Category::Io => {
            Unreadable::NotJson(format!("the body is not JSON: {error}"))
        }
    })?);
    let value = &value.0;
    if !value.is_object() {
        return Err(Unreadable::invalid("", "a JSON object is expected"));
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

fn located<T: DeserializeOwned>(value: &Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Unreadable::invalid(pointer(error.path()), expected(error.inner())))
}

/// For members that may be left out, and are something where they are there: never null.
///
/// # Errors
/// Those of `T`.
pub(in crate::protocols::rest) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Text that must not be seen, in a body.
#[derive(Clone)]
pub(in crate::protocols::rest) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(in crate::protocols::rest) fn expose(&self) -> &str {
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
