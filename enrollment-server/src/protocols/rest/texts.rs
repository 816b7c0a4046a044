//! What people write, in bodies: of bounded length, on one line.

use std::borrow::Cow;

use issuance::identity::Owner;
use serde::{Deserialize, Deserializer, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// As the audit trail keeps it whole.
const MAX_REASON: usize = 400;

/// `user:` or `group:`, and a name.
const MAX_OWNER: usize = 256;

/// A name of a Kubernetes object (RFC 1123 §2.1), so that a resource could declare a credential of it.
const MAX_NAME: usize = 253;

/// Why somebody does what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason(String);

/// Whom a credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnerText(pub(super) Owner);

/// The name of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CredentialName(String);

impl From<Reason> for String {
    fn from(Reason(text): Reason) -> Self {
        text
    }
}

impl From<CredentialName> for String {
    fn from(CredentialName(text): CredentialName) -> Self {
        text
    }
}

impl OwnerText {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let owner: Owner = text.parse().ok()?;
        let (Owner::User(name) | Owner::Group(name)) = &owner;
        (!name.is_empty() && is_line(text, MAX_OWNER)).then_some(Self(owner))
    }
}

impl CredentialName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        (text.len() <= MAX_NAME && text.split('.').all(label)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?.into_owned();
        if text.is_empty() || !is_line(&text, MAX_REASON) {
            return Err(D::Error::custom(format!("one line of at most {MAX_REASON} characters is expected")));
        }
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for OwnerText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let expected = || D::Error::custom("user:NAME or group:NAME is expected");
        Self::parse(&text).ok_or_else(expected)
    }
}

impl<'de> Deserialize<'de> for CredentialName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let expected = "small letters, digits and hyphens are expected, with dots between";
        Self::parse(&text).ok_or_else(|| D::Error::custom(expected))
    }
}

fn text(most: usize, pattern: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most));
    text.pattern(Some(pattern)).into()
}

// Each is shown where it is used: it has no name of its own in the document.

impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        text(MAX_REASON, r"^[^\u0000-\u001f\u007f-\u009f]+$")
    }
}

impl ToSchema for Reason {}

impl PartialSchema for OwnerText {
    fn schema() -> RefOr<Schema> {
        text(MAX_OWNER, r"^(user|group):[^\u0000-\u001f\u007f-\u009f]+$")
    }
}

impl ToSchema for OwnerText {}

impl PartialSchema for CredentialName {
    fn schema() -> RefOr<Schema> {
        text(MAX_NAME, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    }
}

impl ToSchema for CredentialName {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_one_that_a_resource_could_have() {
        for good in ["ci", "0", "a-b.c-d", "x".repeat(253).as_str()] {
            assert_eq!(CredentialName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a..b", ".a", "a.", "A", "a_b", "a/b", "ü", "x".repeat(254).as_str()] {
            assert_eq!(CredentialName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_are_short_lines() {
        let reason = |text: &str| serde_json::from_value::<Reason>(json!(text));
        assert_eq!(String::from(reason("left in a log").unwrap()), "left in a log");
        assert!(reason(&"é".repeat(MAX_REASON)).is_ok());
        for bad in ["", "a\nb", "\x1b[2J", &"x".repeat(MAX_REASON + 1)] {
            assert!(reason(bad).is_err(), "{bad:?}");
        }
        let owner = |text: &str| serde_json::from_value::<OwnerText>(json!(text)).map(|owner| owner.0);
        assert_eq!(owner("user:ann").unwrap(), Owner::User("ann".into()));
        assert_eq!(owner("group:ops:eu").unwrap(), Owner::Group("ops:eu".into()));
        for bad in ["", "ann", "user:", "robot:x", "user:a\nb", &format!("user:{}", "x".repeat(MAX_OWNER))] {
            assert!(owner(bad).is_err(), "{bad:?}");
        }
    }
}
