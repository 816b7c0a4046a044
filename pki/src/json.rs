//! JSON that says one thing: an object with a member that is there twice is refused at any depth, because two readers
//! could take different ones for it (RFC 7515 §4, RFC 7519 §4, RFC 7493 §2.3).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// How much of the name of a member is repeated.
const QUOTED: usize = 64;

/// The value, in which every object has each member once.
///
/// # Errors
/// What is wrong and where, also of a member that is there twice.
pub fn parse_unique(json: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(json).map(|Unique(value)| value)
}

/// The beginning of what a peer wrote, with nothing in it that ends a quotation, a line or a log record.
pub fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).flat_map(char::escape_debug).collect()
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the member \"{}\" is there twice",
                    quoted(&name)
                )));
            }
            let Unique(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        parse_unique(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_any_depth_however_it_is_spelled() {
        assert!(refusal(r#"{"a":1,"b":2,"a":1}"#).contains("the member \"a\" is there twice"));
        assert!(refusal(r#"[{"b":[{"c":1,"\u0063":2}]}]"#).contains("the member \"c\" is there twice"));
        let name = "n".repeat(5000);
        assert!(refusal(&format!(r#"{{"{name}":1,"{name}":2}}"#)).len() < 200);
    }

    #[test]
    fn what_a_peer_wrote_is_repeated_in_part_and_on_one_line() {
        assert_eq!(quoted("a\"b\n\u{1b}[31m\u{202e}ä"), "a\\\"b\\n\\u{1b}[31m\\u{202e}ä");
        assert_eq!(quoted(&"ä".repeat(5000)), "ä".repeat(QUOTED));
    }

    #[test]
    fn depth_without_end_is_refused() {
        assert!(refusal(&"[".repeat(5000)).contains("recursion"));
    }

    #[test]
    fn what_has_each_member_once_comes_out_as_it_is() {
        let json = r#"{"s":"ä","b":false,"n":null,"u":7,"i":-7,"f":1.5,"l":[{"s":1},{"s":2}],"o":{"s":{}}}"#;
        let plain: Value = serde_json::from_str(json).unwrap();
        assert_eq!(parse_unique(json.as_bytes()).unwrap(), plain);
    }
}
