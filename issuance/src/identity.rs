//! Names and identifiers, each a type of its own so that one cannot be passed for another.

use std::{fmt, str::FromStr};

use pki::serial::SerialNumber;
use serde::{Deserialize, Serialize};

/// `namespace/name` of a resource: how rows and the audit trail refer to authorities, profiles and methods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName {
    namespace: String,
    name: String,
}

impl ResourceName {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `namespace.name`: the label of a method in URLs and of a resource in file names. Neither part of a
    /// Kubernetes namespace holds a dot, so the form is unambiguous.
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A text that is not of the form it should have; the text itself is repeated, so never parse a secret with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {expected}")]
pub struct ParseError {
    pub text: String,
    pub expected: &'static str,
}

impl FromStr for ResourceName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            Some(_) | None => Err(ParseError { text: text.into(), expected: "of the form namespace/name" }),
        }
    }
}

impl TryFrom<String> for ResourceName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> String {
        name.to_string()
    }
}

/// A random identifier of 128 bits, lower-case hexadecimal.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self::from_octets(bytes)
            }

            /// For an identifier that must come out the same wherever it is made.
            pub fn from_octets(bytes: [u8; 16]) -> Self {
                Self(hex::encode(bytes))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let valid = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !valid {
                    return Err(ParseError { text: text.into(), expected: "32 lower-case hexadecimal digits" });
                }
                Ok(Self(text.into()))
            }
        }
    };
}

random_id!(
    /// Names one row of `credentials`.
    CredentialId
);
random_id!(
    /// Names one row of `requests`: what an operator approves or denies.
    RequestId
);
random_id!(
    /// Names one row of `jobs`.
    JobId
);
random_id!(
    /// Names one row of `acme_accounts`; part of its URL.
    AcmeAccountId
);
random_id!(
    /// Names one row of `acme_orders`; part of its URL.
    AcmeOrderId
);

random_id!(
    /// Names one row of `rest_orders`; part of its URL.
    RestOrderId
);

/// Whom a certificate names and who vouches for that, as a hash. Its names as text tell nobody apart: they may be empty, and
/// two authorities may give one to two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderId(#[serde(with = "hex::serde")] pub [u8; 32]);

/// What tells one requester of a method from another. A holder of a certificate is never whoever has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    Credential(&'a CredentialId),
    Certificate(&'a HolderId),
    /// Of a token's account, or of whoever else a verifier knows by name alone.
    Name(&'a str),
}

impl<'a> Identity<'a> {
    /// The first of them that is there.
    pub fn new(credential: Option<&'a CredentialId>, holder: Option<&'a HolderId>, name: &'a str) -> Self {
        match (credential, holder) {
            (Some(credential), _) => Self::Credential(credential),
            (None, Some(holder)) => Self::Certificate(holder),
            (None, None) => Self::Name(name),
        }
    }
}

/// The subject key identifier of an authority: names its key, its CRL and its certificates. 20 octets,
/// lower-case hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub [u8; 20]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseError {
            text: text.into(),
            expected: "a key identifier of 40 hexadecimal digits",
        })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for KeyId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

/// Names one certificate in URLs: `{issuer}.{serial}`, both hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    pub issuer: KeyId,
    pub serial: SerialNumber,
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.issuer, self.serial)
    }
}

impl FromStr for CertificateId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = || {
            let (issuer, serial) = text.split_once('.')?;
            Some(Self { issuer: issuer.parse().ok()?, serial: serial.parse().ok()? })
        };
        // One spelling each but for the case: no colons, no zeros before.
        let id = parts().filter(|id| id.to_string().eq_ignore_ascii_case(text));
        id.ok_or_else(|| ParseError { text: text.into(), expected: "of the form issuer.serial" })
    }
}

/// Who asks the pipeline, in the protocol's own short name. The spelling is the one of resources, tables, logs
/// and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    Est,
    Scep,
    Acme,
    Cmp,
    Rest,
    Waep,
    /// cert-manager's CertificateRequests, through the operator.
    Issuer,
    /// The server itself, for its own role certificates.
    Internal,
}

impl Protocol {
    pub const ALL: [Protocol; 8] =
        [Self::Est, Self::Scep, Self::Acme, Self::Cmp, Self::Rest, Self::Waep, Self::Issuer, Self::Internal];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Est => "est",
            Self::Scep => "scep",
            Self::Acme => "acme",
            Self::Cmp => "cmp",
            Self::Rest => "rest",
            Self::Waep => "waep",
            Self::Issuer => "issuer",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
            .ok_or_else(|| ParseError { text: text.into(), expected: "a protocol" })
    }
}

/// Who a credential belongs to; certificates issued with it are listed under this owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    User(String),
    Group(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Owner {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            Some(("user", name)) => Ok(Self::User(name.into())),
            Some(("group", name)) => Ok(Self::Group(name.into())),
            Some(_) | None => Err(ParseError { text: text.into(), expected: "user:NAME or group:NAME" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_name_has_exactly_two_parts() {
        assert_eq!("a/b".parse::<ResourceName>().unwrap().dotted(), "a.b");
        for text in ["", "a", "/", "a/", "/b", "a/b/c"] {
            assert!(text.parse::<ResourceName>().is_err(), "{text}");
        }
    }

    #[test]
    fn identifiers_round_trip_and_refuse_other_forms() {
        let id = CredentialId::from_random([7; 16]);
        assert_eq!(id.as_str().parse::<CredentialId>().unwrap(), id);
        for text in ["", "07", "../../../../etc/passwd0000000000", "0707070707070707070707070707070G"] {
            assert!(text.parse::<CredentialId>().is_err(), "{text}");
        }
        let key = KeyId([9; 20]);
        assert_eq!(key.to_string().parse::<KeyId>().unwrap(), key);
        assert!("09".parse::<KeyId>().is_err());
    }

    #[test]
    fn a_certificate_has_one_name_in_whatever_case() {
        let id = CertificateId { issuer: KeyId([0xab; 20]), serial: SerialNumber::from_random([0x1c; 16]) };
        let text = id.to_string();
        assert_eq!(text, format!("{}.{}", "ab".repeat(20), "5C".to_owned() + &"1C".repeat(15)));
        for same in [text.clone(), text.to_lowercase(), text.to_uppercase()] {
            assert_eq!(same.parse(), Ok(id));
        }
        for other in [
            String::new(),
            ".".into(),
            text.replace('.', ""),
            text.replace('.', ".00"),
            text.replace(".5C", ".5C:"),
            text.replace(".5C", "..5C"),
            text.split('.').next().unwrap().into(),
            format!("{text}.7"),
            format!("{text} "),
            format!("{}.0", "ab".repeat(20)),
            format!("{}.{}", "ab".repeat(20), "1C".repeat(40)),
        ] {
            assert!(other.parse::<CertificateId>().is_err(), "{other}");
        }
    }

    #[test]
    fn protocols_and_owners_round_trip() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.as_str().parse::<Protocol>().unwrap(), protocol);
            assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.as_str());
        }
        for owner in [Owner::User("ann".into()), Owner::Group("ops:eu".into())] {
            assert_eq!(owner.to_string().parse::<Owner>().unwrap(), owner);
        }
    }
}
