//! JSON as peers may send it: one object, each member once (RFC 7515 §4, RFC 7493 §2.3), each of the type it should
//! have. Members that nobody asks for do not matter.

pub use pki::json::{parse_unique, quoted};
use serde_json::{Map, Value};

/// An object none of whose members, at any depth, is there twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Map<String, Value>);

/// Why something is not the JSON it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("not JSON: {0}")]
    Syntax(String),
    #[error("a JSON object is expected")]
    NotAnObject,
    #[error("the member \"{0}\" is missing")]
    Missing(&'static str),
    #[error("the member \"{member}\" must be {expected}")]
    Type { member: &'static str, expected: &'static str },
    #[error("the member \"{0}\" does not belong here")]
    Unexpected(String),
}

/// The longest sentence that may hold such values.
const SENTENCE: usize = 1000;

impl Object {
    /// # Errors
    /// [`JsonError::Syntax`], also for a member that is there twice; [`JsonError::NotAnObject`].
    pub fn parse(json: &[u8]) -> Result<Self, JsonError> {
        match parse_unique(json).map_err(|error| JsonError::Syntax(error.to_string()))? {
            Value::Object(members) => Ok(Self(members)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(JsonError::NotAnObject)
            }
        }
    }

    pub fn contains(&self, member: &str) -> bool {
        self.0.contains_key(member)
    }

    /// # Errors
    /// [`JsonError::Unexpected`] for a member of any other name.
    pub fn only(&self, members: &[&str]) -> Result<(), JsonError> {
        match self.0.keys().find(|name| !members.contains(&name.as_str())) {
            Some(other) => Err(JsonError::Unexpected(quoted(other))),
            None => Ok(()),
        }
    }

    pub fn string(&self, member: &'static str) -> Result<&str, JsonError> {
        self.optional_string(member)?.ok_or(JsonError::Missing(member))
    }

    pub fn optional_string(&self, member: &'static str) -> Result<Option<&str>, JsonError> {
        self.typed(member, "a string", Value::as_str)
    }

    pub fn optional_bool(&self, member: &'static str) -> Result<Option<bool>, JsonError> {
        self.typed(member, "true or false", Value::as_bool)
    }

    /// A whole number that is not negative.
    pub fn optional_unsigned(&self, member: &'static str) -> Result<Option<u64>, JsonError> {
        self.typed(member, "a whole number", Value::as_u64)
    }

    pub fn optional_strings(&self, member: &'static str) -> Result<Option<Vec<&str>>, JsonError> {
        self.typed(member, "an array of strings", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    pub fn optional_object(&self, member: &'static str) -> Result<Option<Object>, JsonError> {
        self.typed(member, "an object", |value| value.as_object().cloned().map(Object))
    }

    pub fn objects(&self, member: &'static str) -> Result<Vec<Object>, JsonError> {
        let objects = self.typed(member, "an array of objects", |value| {
            value.as_array()?.iter().map(|element| element.as_object().cloned().map(Object)).collect()
        })?;
        objects.ok_or(JsonError::Missing(member))
    }

    fn typed<'a, T>(
        &'a self,
        member: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, JsonError> {
        match self.0.get(member) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(JsonError::Type { member, expected }),
        }
    }
}

/// A sentence that may hold what a peer wrote, as one line of bounded length.
pub fn one_line(sentence: &str) -> String {
    let mut line = String::with_capacity(sentence.len().min(SENTENCE));
    for character in sentence.chars().take(SENTENCE) {
        match character {
            '"' | '\'' | '\\' => line.push(character),
            other => line.extend(other.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        Object::parse(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_any_depth() {
        assert!(refusal(r#"{"a":1,"b":2,"a":1}"#).contains("the member \"a\" is there twice"));
        assert!(refusal(r#"{"a":[{"b":{"c":1,"\u0063":2}}]}"#).contains("the member \"c\" is there twice"));
    }

    #[test]
    fn a_name_without_end_is_not_repeated_in_full() {
        let name = "n".repeat(5000);
        assert!(refusal(&format!(r#"{{"{name}":1,"{name}":2}}"#)).len() < 200);
    }

    #[test]
    fn what_a_peer_wrote_is_repeated_in_part_and_on_one_line() {
        let sentence = "the profile's \"x\"\r\nlevel=error";
        assert_eq!(one_line(sentence), "the profile's \"x\"\\r\\nlevel=error");
        assert_eq!(one_line(&"\n".repeat(5000)), "\\n".repeat(SENTENCE));
        let twice = refusal("{\"\\n\":1,\"\\n\":2}");
        assert!(twice.contains("the member \"\\n\" is there twice"), "{twice}");
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for json in ["[]", "null", "\"{}\"", "1", "true", "1.5", "-1"] {
            assert_eq!(Object::parse(json.as_bytes()), Err(JsonError::NotAnObject), "{json}");
        }
        for json in
            ["", "{", "{}{}", "{} x", "{a:1}", "{\"a\":NaN}", "\u{feff}{}", "{\"a\":\"\n\"}", "{\"a\":1,}"]
        {
            assert!(matches!(Object::parse(json.as_bytes()), Err(JsonError::Syntax(_))), "{json}");
        }
        assert!(matches!(Object::parse(b"{\"a\":\"\xff\"}"), Err(JsonError::Syntax(_))));
        assert!(matches!(Object::parse(br#"{"a":"\ud800"}"#), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn depth_without_end_is_refused() {
        let json = format!("{}{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        assert!(matches!(Object::parse(json.as_bytes()), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn a_member_of_another_type_is_refused_and_null_is_of_no_type() {
        let object =
            Object::parse(br#"{"s":1,"b":"true","u":-1,"l":["a",1],"o":[],"a":[{},[]],"n":null}"#).unwrap();
        let refused = |member, expected| JsonError::Type { member, expected };
        assert_eq!(object.string("s"), Err(refused("s", "a string")));
        assert_eq!(object.optional_string("n"), Err(refused("n", "a string")));
        assert_eq!(object.optional_bool("b"), Err(refused("b", "true or false")));
        assert_eq!(object.optional_unsigned("u"), Err(refused("u", "a whole number")));
        assert_eq!(object.optional_strings("l"), Err(refused("l", "an array of strings")));
        assert_eq!(object.optional_object("o"), Err(refused("o", "an object")));
        assert_eq!(object.objects("a"), Err(refused("a", "an array of objects")));
        assert_eq!(object.string("missing"), Err(JsonError::Missing("missing")));
        assert_eq!(object.objects("missing"), Err(JsonError::Missing("missing")));
    }

    #[test]
    fn members_come_out_as_they_are() {
        let object =
            Object::parse(br#"{"s":"\u00e4","b":false,"u":7,"l":["a","b"],"o":{"x":"y"},"a":[{"x":"z"}]}"#)
                .unwrap();
        assert_eq!(object.string("s"), Ok("ä"));
        assert_eq!(object.optional_bool("b"), Ok(Some(false)));
        assert_eq!(object.optional_unsigned("u"), Ok(Some(7)));
        assert_eq!(object.optional_strings("l"), Ok(Some(vec!["a", "b"])));
        assert_eq!(object.optional_object("o").unwrap().unwrap().string("x"), Ok("y"));
        assert_eq!(object.objects("a").unwrap()[0].string("x"), Ok("z"));
        assert_eq!(object.optional_strings("none"), Ok(None));
        assert_eq!(object.only(&["s", "b", "u", "l", "o"]), Err(JsonError::Unexpected("a".into())));
        assert_eq!(object.only(&["s", "b", "u", "l", "o", "a"]), Ok(()));
    }
}
