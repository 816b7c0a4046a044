//! What protocols want to be said of a credential that is to be made: as an EnrollmentCredential says it.

use std::{borrow::Cow, fmt};

use ipnet::IpNet;
use issuance::{acme::Restriction, identity::ResourceName, pattern::Pattern};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type, schema::AdditionalProperties},
};

/// A namespace and the name of an object in it (RFC 1123 §2.1).
const MAX_METHOD: usize = 63 + 1 + 253;

const MAX_USERNAME: usize = 128;

/// As long as a namespace and a name with a dot between them.
const MAX_KEY_IDENTIFIER: usize = 317;

/// IPv6 with its prefix.
const MAX_NETWORK: usize = 43;

/// Patterns of each kind.
const MAX_PATTERNS: usize = 64;

/// An enrollment method, as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MethodName(pub(super) ResourceName);

/// RFC 7617 §2: no colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Username(pub(super) String);

/// RFC 8555 §7.3.4. Printable, and nothing that a shell, a configuration file or JSON would need to quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyIdentifier(pub(super) String);

/// The names that accounts may order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identifiers(pub(super) Restriction);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifierMembers {
    #[serde(default)]
    dns: Vec<DnsPattern>,
    #[serde(default)]
    ip: Vec<Network>,
}

struct DnsPattern(Pattern);

struct Network(IpNet);

impl<'de> Deserialize<'de> for MethodName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let method = text.parse().ok().filter(|_| text.len() <= MAX_METHOD).map(Self);
        method.ok_or_else(|| D::Error::custom("namespace/name is expected"))
    }
}

impl<'de> Deserialize<'de> for Username {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?.into_owned();
        let is_short = (1..=MAX_USERNAME).contains(&text.chars().count());
        if !is_short || text.chars().any(|character| character == ':' || character.is_control()) {
            let expected = format!("1 to {MAX_USERNAME} characters without a colon are expected");
            return Err(D::Error::custom(expected));
        }
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for KeyIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?.into_owned();
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._~@+=:/-".contains(&octet);
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !begins || text.len() > MAX_KEY_IDENTIFIER || !text.bytes().all(is_plain) {
            let expected = "letters, digits and ._~@+=:/- are expected, a letter or digit first";
            return Err(D::Error::custom(expected));
        }
        Ok(Self(text))
    }
}

/// An object: what is derived would take its members in an array too.
impl<'de> Deserialize<'de> for Identifiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = IdentifierMembers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with dns or ip")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IdentifierMembers, A::Error> {
                IdentifierMembers::deserialize(MapAccessDeserializer::new(map))
            }
        }

        let IdentifierMembers { dns, ip } = deserializer.deserialize_map(Object)?;
        if dns.is_empty() && ip.is_empty() {
            return Err(D::Error::custom("at least one of dns and ip is expected"));
        }
        if dns.len() > MAX_PATTERNS || ip.len() > MAX_PATTERNS {
            return Err(D::Error::custom(format!("at most {MAX_PATTERNS} of each are expected")));
        }
        let dns = dns.into_iter().map(|DnsPattern(pattern)| pattern).collect();
        let ip = ip.into_iter().map(|Network(network)| network).collect();
        Ok(Self(Restriction { dns, ip }))
    }
}

impl<'de> Deserialize<'de> for DnsPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"._-*".contains(&octet);
        let pattern = Pattern::parse(&text).ok().filter(|_| text.bytes().all(is_name));
        pattern.map(Self).ok_or_else(|| D::Error::custom("a pattern for DNS names is expected"))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let network: Option<IpNet> = text.parse().ok().filter(|_| text.len() <= MAX_NETWORK);
        let network = network.filter(|network| network.addr() == network.network());
        let expected = "a range of addresses is expected, as 10.1.0.0/16, without bits after its prefix";
        network.map(Self).ok_or_else(|| D::Error::custom(expected))
    }
}

fn text(most: usize, pattern: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most));
    text.pattern(Some(pattern))
}

// Each is shown where it is used: it has no name of its own in the document.

impl PartialSchema for MethodName {
    fn schema() -> RefOr<Schema> {
        text(MAX_METHOD, "^[^/]+/[^/]+$").into()
    }
}

impl ToSchema for MethodName {}

impl PartialSchema for Username {
    fn schema() -> RefOr<Schema> {
        text(MAX_USERNAME, r"^[^:\u0000-\u001f\u007f-\u009f]+$").into()
    }
}

impl ToSchema for Username {}

impl PartialSchema for KeyIdentifier {
    fn schema() -> RefOr<Schema> {
        text(MAX_KEY_IDENTIFIER, "^[A-Za-z0-9][A-Za-z0-9._~@+=:/-]*$").into()
    }
}

impl ToSchema for KeyIdentifier {}

impl PartialSchema for Identifiers {
    fn schema() -> RefOr<Schema> {
        let dns = text(253, r"^\*{0,2}([A-Za-z0-9._-]+\*{0,2})*$");
        let ip = text(MAX_NETWORK, "^[0-9A-Fa-f:.]+/[0-9]{1,3}$");
        let list = |items: ObjectBuilder, description: &str| {
            let list = ArrayBuilder::new().items(items).max_items(Some(MAX_PATTERNS));
            list.description(Some(description))
        };
        let object = ObjectBuilder::new()
            .property("dns", list(dns, "Patterns for DNS names, as in a CertificateProfile."))
            .property("ip", list(ip, "Ranges that IP addresses must be in, in CIDR notation."));
        let nothing_else = Some(AdditionalProperties::FreeForm(false));
        object.min_properties(Some(1)).additional_properties(nothing_else).into()
    }
}

impl ToSchema for Identifiers {}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn takes<T: DeserializeOwned>(good: &[Value], bad: &[Value]) {
        for value in good {
            assert!(serde_json::from_value::<T>(value.clone()).is_ok(), "{value}");
        }
        for value in bad {
            assert!(serde_json::from_value::<T>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn names_are_of_the_form_that_resources_give_them() {
        let long = |length: usize| json!("x".repeat(length));
        takes::<MethodName>(
            &[json!("lab/est"), json!("lab/est.eu")],
            &[json!("est"), json!("a/b/c"), json!("/a"), json!(""), json!(format!("a/{}", "x".repeat(316)))],
        );
        takes::<Username>(
            &[json!("ann"), json!("ann@acme.example"), json!("Ünal b"), long(128)],
            &[json!(""), json!("a:b"), json!("a\n"), json!("a\u{85}"), long(129), json!(7)],
        );
        takes::<KeyIdentifier>(
            &[json!("lab.web"), json!("A/b:c=d+e@f~g_h-i.j"), long(317)],
            &[json!(""), json!("-a"), json!("a b"), json!("a\""), json!("ä"), long(318)],
        );
    }

    #[test]
    fn a_restriction_is_an_object_with_patterns_and_networks() {
        let given =
            json!({"dns": ["*.shop.example", "**.b.example"], "ip": ["10.1.0.0/16", "2001:db8::/32"]});
        let Identifiers(restriction) = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(serde_json::to_value(&restriction).unwrap(), given);
        takes::<Identifiers>(
            &[json!({"dns": ["a.example"]}), json!({"ip": ["192.0.2.1/32"], "dns": []})],
            &[
                json!({}),
                json!({"dns": []}),
                json!([["a.example"], []]),
                json!({"dns": "a.example"}),
                json!({"dns": [""]}),
                json!({"dns": ["***.example"]}),
                json!({"dns": ["ä.example"]}),
                json!({"dns": vec!["a.example"; 65]}),
                json!({"ip": ["10.1.0.0"]}),
                json!({"ip": ["10.1.0.1/16"]}),
                json!({"ip": ["0000:0000:0000:0000:0000:ffff:192.0.20.0/120"]}),
                json!({"email": ["a@b.example"]}),
                json!(null),
            ],
        );
    }
}
