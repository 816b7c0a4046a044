//! Object identifiers, and the names that stand for the common ones.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An object identifier in dotted form, such as `1.3.6.1.4.1.311.20.2.3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

/// Why a text is not an [`Oid`], or not a name that stands for one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OidError {
    #[error("{0:?} is not an object identifier in dotted form, such as 2.5.4.3")]
    Syntax(String),
    #[error("{text:?} is not {what}: give one of {names}, or an object identifier in dotted form")]
    UnknownName { text: String, what: &'static str, names: String },
}

/// X.660 §7: below 0 and 1 the second arc is at most 39. Arcs have at most nine digits; larger ones cannot be encoded here anyway, and
/// whatever fits can be read.
const OID_PATTERN: &str = r"([01]\.([0-9]|[1-3][0-9])|2\.(0|[1-9][0-9]{0,8}))(\.(0|[1-9][0-9]{0,8})){0,29}";
const MAX_OID_TEXT: usize = 128;

impl Oid {
    /// The dotted form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Oid {
    type Err = OidError;

    /// X.660 §7: the first arc is 0 to 2; below 0 and 1 the second is at most 39.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || OidError::Syntax(text.chars().take(MAX_OID_TEXT).collect());
        if text.len() > MAX_OID_TEXT {
            return Err(syntax());
        }
        let mut arcs = text.split('.');
        let first = arcs.next().and_then(arc).ok_or_else(syntax)?;
        let second = arcs.next().and_then(arc).ok_or_else(syntax)?;
        let rest: Option<Vec<u32>> = arcs.map(arc).collect();
        if first > 2 || (first < 2 && second > 39) || rest.is_none_or(|rest| rest.len() > 29) {
            return Err(syntax());
        }
        Ok(Self(text.to_owned()))
    }
}

fn arc(text: &str) -> Option<u32> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

impl TryFrom<String> for Oid {
    type Error = OidError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> Self {
        oid.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Oid {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Oid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An object identifier in dotted form.",
            "pattern": format!("^{OID_PATTERN}$"),
            "maxLength": MAX_OID_TEXT,
        })
    }
}

/// Declares an enum of names that stand for object identifiers, with one variant for any other identifier.
macro_rules! named_oid {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident ($what:literal) {
            $( $variant:ident = $wire:literal, $oid:literal; )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name {
            $( #[doc = concat!("`", $wire, "`, ", $oid)] $variant, )+
            /// Any other identifier. One that has a name above is read as that name.
            Other(Oid),
        }

        impl $name {
            const NAMES: &'static [&'static str] = &[$($wire),+];

            /// The name, or the dotted form where there is none.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $wire,)+ Self::Other(oid) => oid.as_str() }
            }

            /// The object identifier in dotted form.
            pub fn oid(&self) -> &str {
                match self { $(Self::$variant => $oid,)+ Self::Other(oid) => oid.as_str() }
            }
        }

        impl FromStr for $name {
            type Err = OidError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($wire | $oid => Ok(Self::$variant),)+
                    other if other.starts_with(|first: char| first.is_ascii_digit()) => Ok(Self::Other(other.parse()?)),
                    other => Err(OidError::UnknownName {
                        text: other.chars().take(MAX_OID_TEXT).collect(),
                        what: $what,
                        names: Self::NAMES.join(", "),
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = OidError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": concat!($($doc, "\n"),*).trim(),
                    "pattern": format!("^({}|{OID_PATTERN})$", Self::NAMES.join("|")),
                    "maxLength": MAX_OID_TEXT,
                })
            }
        }
    };
}

named_oid! {
    /// The type of one attribute of a distinguished name: a name, or an object identifier in dotted form.
    pub enum AttributeType ("an attribute type") {
        CommonName = "commonName", "2.5.4.3";
        Surname = "surname", "2.5.4.4";
        SerialNumber = "serialNumber", "2.5.4.5";
        Country = "country", "2.5.4.6";
        Locality = "locality", "2.5.4.7";
        StateOrProvince = "stateOrProvince", "2.5.4.8";
        Street = "street", "2.5.4.9";
        Organization = "organization", "2.5.4.10";
        OrganizationalUnit = "organizationalUnit", "2.5.4.11";
        Title = "title", "2.5.4.12";
        PostalCode = "postalCode", "2.5.4.17";
        GivenName = "givenName", "2.5.4.42";
        Initials = "initials", "2.5.4.43";
        GenerationQualifier = "generationQualifier", "2.5.4.44";
        DnQualifier = "dnQualifier", "2.5.4.46";
        Pseudonym = "pseudonym", "2.5.4.65";
        OrganizationIdentifier = "organizationIdentifier", "2.5.4.97";
        UserId = "userId", "0.9.2342.19200300.100.1.1";
        DomainComponent = "domainComponent", "0.9.2342.19200300.100.1.25";
        EmailAddress = "emailAddress", "1.2.840.113549.1.9.1";
        UnstructuredName = "unstructuredName", "1.2.840.113549.1.9.2";
        UnstructuredAddress = "unstructuredAddress", "1.2.840.113549.1.9.8";
    }
}

named_oid! {
    /// A purpose in the extended key usage extension (RFC 5280 §4.2.1.12): a name, or an object identifier in dotted form.
    pub enum ExtendedKeyUsagePurpose ("an extended key usage") {
        ServerAuth = "serverAuth", "1.3.6.1.5.5.7.3.1";
        ClientAuth = "clientAuth", "1.3.6.1.5.5.7.3.2";
        CodeSigning = "codeSigning", "1.3.6.1.5.5.7.3.3";
        EmailProtection = "emailProtection", "1.3.6.1.5.5.7.3.4";
        IpsecEndSystem = "ipsecEndSystem", "1.3.6.1.5.5.7.3.5";
        IpsecTunnel = "ipsecTunnel", "1.3.6.1.5.5.7.3.6";
        IpsecUser = "ipsecUser", "1.3.6.1.5.5.7.3.7";
        TimeStamping = "timeStamping", "1.3.6.1.5.5.7.3.8";
        OcspSigning = "OCSPSigning", "1.3.6.1.5.5.7.3.9";
        EapOverPpp = "eapOverPPP", "1.3.6.1.5.5.7.3.13";
        EapOverLan = "eapOverLAN", "1.3.6.1.5.5.7.3.14";
        IpsecIke = "ipsecIKE", "1.3.6.1.5.5.7.3.17";
        CmcCa = "cmcCA", "1.3.6.1.5.5.7.3.27";
        CmcRa = "cmcRA", "1.3.6.1.5.5.7.3.28";
        SmartcardLogon = "smartcardLogon", "1.3.6.1.4.1.311.20.2.2";
        AnyExtendedKeyUsage = "anyExtendedKeyUsage", "2.5.29.37.0";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_an_object_identifier() {
        for text in [
            "",
            "2",
            "2.",
            ".2",
            "3.1",
            "1.40",
            "0.40",
            "2.05",
            "2.5.a",
            "2..5",
            "+1.2",
            "2.5.4294967296",
            "2.5 ",
        ] {
            assert!(text.parse::<Oid>().is_err(), "{text:?} was accepted");
        }
        assert!(format!("1.3{}", ".1".repeat(30)).parse::<Oid>().is_err(), "too many arcs were accepted");
    }

    #[test]
    fn accepts_object_identifiers_of_every_root() {
        for text in ["0.9.2342.19200300.100.1.1", "1.39", "2.999.1", "2.5.4.3", "1.3.6.1.4.1.4294967295"] {
            assert_eq!(text.parse::<Oid>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_names_that_nobody_knows() {
        let error = "CN".parse::<AttributeType>().unwrap_err().to_string();
        assert!(error.contains("commonName"), "the message does not say what is known: {error}");
        assert!("serverauth".parse::<ExtendedKeyUsagePurpose>().is_err());
    }

    #[test]
    fn a_name_and_its_identifier_are_the_same_type() {
        assert_eq!("2.5.4.3".parse(), Ok(AttributeType::CommonName));
        assert_eq!("1.3.6.1.5.5.7.3.1".parse(), Ok(ExtendedKeyUsagePurpose::ServerAuth));
        for name in AttributeType::NAMES {
            let known: AttributeType = name.parse().unwrap();
            assert_eq!(known.oid().parse(), Ok(known), "{name}");
        }
        for name in ExtendedKeyUsagePurpose::NAMES {
            let known: ExtendedKeyUsagePurpose = name.parse().unwrap();
            assert_eq!(known.oid().parse(), Ok(known), "{name}");
        }
    }
}
