//! Attribute types of names, by object identifier, long name and RFC 4514 short name.

use std::{borrow::Cow, fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::oid;

/// The attribute types of RFC 5280 §4.1.2.4, RFC 4519 and X.520 that have a name here, and any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    CommonName,
    Surname,
    SerialNumber,
    Country,
    Locality,
    StateOrProvince,
    Street,
    Organization,
    OrganizationalUnit,
    Title,
    GivenName,
    Initials,
    GenerationQualifier,
    DnQualifier,
    Pseudonym,
    DomainComponent,
    EmailAddress,
    UserId,
    PostalCode,
    OrganizationIdentifier,
    /// A type without a name here; [`AttributeType::from_oid`] never puts a named one in here.
    Other(ObjectIdentifier),
}

/// The text is neither a known attribute type nor an object identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither the name of an attribute type nor an object identifier")]
pub struct UnknownAttributeType(pub String);

type Row = (AttributeType, ObjectIdentifier, &'static str, Option<&'static str>);

/// Type, object identifier, long name, and the short name where RFC 4514 §3 lists one.
const TABLE: [Row; 20] = [
    row(AttributeType::CommonName, "2.5.4.3", "commonName", Some("CN")),
    row(AttributeType::Surname, "2.5.4.4", "surname", None),
    row(AttributeType::SerialNumber, "2.5.4.5", "serialNumber", None),
    row(AttributeType::Country, "2.5.4.6", "country", Some("C")),
    row(AttributeType::Locality, "2.5.4.7", "locality", Some("L")),
    row(AttributeType::StateOrProvince, "2.5.4.8", "stateOrProvince", Some("ST")),
    row(AttributeType::Street, "2.5.4.9", "street", Some("STREET")),
    row(AttributeType::Organization, "2.5.4.10", "organization", Some("O")),
    row(AttributeType::OrganizationalUnit, "2.5.4.11", "organizationalUnit", Some("OU")),
    row(AttributeType::Title, "2.5.4.12", "title", None),
    row(AttributeType::GivenName, "2.5.4.42", "givenName", None),
    row(AttributeType::Initials, "2.5.4.43", "initials", None),
    row(AttributeType::GenerationQualifier, "2.5.4.44", "generationQualifier", None),
    row(AttributeType::DnQualifier, "2.5.4.46", "dnQualifier", None),
    row(AttributeType::Pseudonym, "2.5.4.65", "pseudonym", None),
    row(AttributeType::DomainComponent, "0.9.2342.19200300.100.1.25", "domainComponent", Some("DC")),
    row(AttributeType::EmailAddress, "1.2.840.113549.1.9.1", "emailAddress", None),
    row(AttributeType::UserId, "0.9.2342.19200300.100.1.1", "userId", Some("UID")),
    row(AttributeType::PostalCode, "2.5.4.17", "postalCode", None),
    row(AttributeType::OrganizationIdentifier, "2.5.4.97", "organizationIdentifier", None),
];

const fn row(kind: AttributeType, oid: &'static str, long: &'static str, short: Option<&'static str>) -> Row {
    (kind, ObjectIdentifier::new_unwrap(oid), long, short)
}

impl AttributeType {
    pub fn from_oid(oid: ObjectIdentifier) -> Self {
        TABLE.iter().find(|row| row.1 == oid).map_or(Self::Other(oid), |row| row.0)
    }

    pub fn oid(&self) -> ObjectIdentifier {
        match (self, self.row()) {
            (Self::Other(oid), _) | (_, Some((_, oid, _, _))) => *oid,
            // Unreachable: a test walks every named type through the table.
            (_, None) => ObjectIdentifier::new_unwrap("2.5.4.0"),
        }
    }

    /// The long name (`commonName`), or the dotted object identifier.
    pub fn as_str(&self) -> Cow<'static, str> {
        self.row().map_or_else(|| Cow::Owned(self.oid().to_string()), |row| Cow::Borrowed(row.2))
    }

    /// The short name of RFC 4514 §3 (`CN`), where there is one.
    pub fn short_name(&self) -> Option<&'static str> {
        self.row().and_then(|row| row.3)
    }

    fn row(&self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == *self)
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str())
    }
}

/// A long name (`commonName`) or short name (`CN`) in any case, or a dotted object identifier.
impl FromStr for AttributeType {
    type Err = UnknownAttributeType;

    fn from_str(text: &str) -> Result<Self, UnknownAttributeType> {
        let named = TABLE.iter().find(|(_, _, long, short)| {
            long.eq_ignore_ascii_case(text) || short.is_some_and(|short| short.eq_ignore_ascii_case(text))
        });
        match named {
            Some(row) => Ok(row.0),
            None => oid::parse(text)
                .map(Self::from_oid)
                .map_err(|_| UnknownAttributeType(text.chars().take(64).collect())),
        }
    }
}

impl Serialize for AttributeType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
