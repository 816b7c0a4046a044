//! What a key may be used for (RFC 5280 §4.2.1.3 and §4.2.1.12).

use std::{fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::{
    der_io::{DerError, encode, tag},
    oid,
};

use super::{ExtensionError, TypedExtension, parse_value};

/// One bit of the key usage; its number is its position in the BIT STRING.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyUsageBit {
    DigitalSignature = 0,
    /// Also read as `contentCommitment`, its name in newer editions of X.509.
    #[serde(alias = "contentCommitment")]
    NonRepudiation = 1,
    KeyEncipherment = 2,
    DataEncipherment = 3,
    KeyAgreement = 4,
    KeyCertSign = 5,
    #[serde(rename = "cRLSign", alias = "crlSign")]
    CrlSign = 6,
    EncipherOnly = 7,
    DecipherOnly = 8,
}

/// A set of key usage bits. Displays as the names of RFC 5280, comma-separated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<KeyUsageBit>", into = "Vec<KeyUsageBit>")]
pub struct KeyUsage(u16);

/// The purposes of a key; order and repetition as received.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtendedKeyUsage(pub Vec<ObjectIdentifier>);

/// The text is no name of a key usage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key usage: digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly, decipherOnly"
)]
pub struct UnknownKeyUsage(pub String);

impl KeyUsageBit {
    pub const ALL: [Self; 9] = [
        Self::DigitalSignature,
        Self::NonRepudiation,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
        Self::EncipherOnly,
        Self::DecipherOnly,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::NonRepudiation => "nonRepudiation",
            Self::KeyEncipherment => "keyEncipherment",
            Self::DataEncipherment => "dataEncipherment",
            Self::KeyAgreement => "keyAgreement",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
            Self::EncipherOnly => "encipherOnly",
            Self::DecipherOnly => "decipherOnly",
        }
    }

    const fn mask(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for KeyUsageBit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The names of RFC 5280; `contentCommitment` and `crlSign` are read too.
impl FromStr for KeyUsageBit {
    type Err = UnknownKeyUsage;

    fn from_str(text: &str) -> Result<Self, UnknownKeyUsage> {
        match text {
            "contentCommitment" => Ok(Self::NonRepudiation),
            "crlSign" => Ok(Self::CrlSign),
            _ => {
                let known = Self::ALL.into_iter().find(|bit| bit.as_str() == text);
                known.ok_or_else(|| UnknownKeyUsage(text.chars().take(64).collect()))
            }
        }
    }
}

impl KeyUsage {
    pub const fn empty() -> Self {
        Self(0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn contains(self, bit: KeyUsageBit) -> bool {
        self.0 & bit.mask() != 0
    }

    #[must_use]
    pub const fn with(self, bit: KeyUsageBit) -> Self {
        Self(self.0 | bit.mask())
    }

    /// The bits of `self` that `other` has not.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits that both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The bits that are set, in the order of RFC 5280.
    pub fn iter(self) -> impl Iterator<Item = KeyUsageBit> {
        KeyUsageBit::ALL.into_iter().filter(move |bit| self.contains(*bit))
    }
}

impl FromIterator<KeyUsageBit> for KeyUsage {
    fn from_iter<I: IntoIterator<Item = KeyUsageBit>>(bits: I) -> Self {
        bits.into_iter().fold(Self::empty(), Self::with)
    }
}

impl From<Vec<KeyUsageBit>> for KeyUsage {
    fn from(bits: Vec<KeyUsageBit>) -> Self {
        bits.into_iter().collect()
    }
}

impl From<KeyUsage> for Vec<KeyUsageBit> {
    fn from(usage: KeyUsage) -> Self {
        usage.iter().collect()
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bit) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{bit}")?;
        }
        Ok(())
    }
}

/// Comma-separated names; white space around them is skipped, an empty text is the empty set.
impl FromStr for KeyUsage {
    type Err = UnknownKeyUsage;

    fn from_str(text: &str) -> Result<Self, UnknownKeyUsage> {
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse).collect()
    }
}

impl TypedExtension for KeyUsage {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
    const NAME: &'static str = "keyUsage";
    const CRITICAL: bool = true;

    /// A set without bits is read: a request may ask for nothing. RFC 5280 §4.2.1.3 forbids it in certificates.
    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let octets = parse_value(Self::NAME, value, |reader| Ok(reader.bit_string()?.bytes))?;
        let bit_is_set = |position: usize| {
            octets.get(position / 8).is_some_and(|octet| octet & (0x80 >> (position % 8)) != 0)
        };
        let beyond_the_last = (KeyUsageBit::ALL.len()..octets.len() * 8).any(bit_is_set);
        if beyond_the_last {
            return Err(ExtensionError::Unsupported { name: Self::NAME, what: "a bit after decipherOnly" });
        }
        Ok(KeyUsageBit::ALL.into_iter().filter(|bit| bit_is_set(*bit as usize)).collect())
    }

    /// A named bit list: trailing zero bits are left out (X.690 §11.2.2).
    fn to_value(&self) -> Vec<u8> {
        let octets = self.0.reverse_bits().to_be_bytes();
        let used = 16 - self.0.leading_zeros() as usize;
        let unused = (8 - used % 8) % 8;
        let mut contents = vec![unused as u8];
        contents.extend(octets.iter().take(used.div_ceil(8)));
        encode(|writer| writer.primitive(tag::BIT_STRING, &contents))
    }
}

impl TypedExtension for ExtendedKeyUsage {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
    const NAME: &'static str = "extKeyUsage";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| {
            reader.sequence(|purposes| {
                let mut oids = Vec::new();
                while !purposes.is_empty() {
                    oids.push(purposes.oid()?);
                }
                if oids.is_empty() { Err(DerError::EmptyList) } else { Ok(Self(oids)) }
            })
        })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| writer.sequence(|purposes| self.0.iter().for_each(|oid| purposes.oid(oid))))
    }
}

impl ExtendedKeyUsage {
    pub const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
    pub const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
    pub const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
    pub const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
    pub const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
    pub const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
    pub const CMC_CA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.27");
    pub const CMC_RA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.28");
    pub const ANY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
}

/// Purposes with a name: RFC 5280 §4.2.1.12, RFC 4556, RFC 4945, RFC 6402, RFC 9336, and Microsoft's smart card
/// log-on.
const PURPOSES: [(ObjectIdentifier, &str); 14] = [
    (ExtendedKeyUsage::SERVER_AUTH, "serverAuth"),
    (ExtendedKeyUsage::CLIENT_AUTH, "clientAuth"),
    (ExtendedKeyUsage::CODE_SIGNING, "codeSigning"),
    (ExtendedKeyUsage::EMAIL_PROTECTION, "emailProtection"),
    (ExtendedKeyUsage::TIME_STAMPING, "timeStamping"),
    (ExtendedKeyUsage::OCSP_SIGNING, "OCSPSigning"),
    (ExtendedKeyUsage::ANY, "anyExtendedKeyUsage"),
    (ExtendedKeyUsage::CMC_CA, "cmcCA"),
    (ExtendedKeyUsage::CMC_RA, "cmcRA"),
    (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17"), "ipsecIKE"),
    (ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36"), "documentSigning"),
    (ObjectIdentifier::new_unwrap("1.3.6.1.5.2.3.4"), "pkInitClientAuth"),
    (ObjectIdentifier::new_unwrap("1.3.6.1.5.2.3.5"), "pkInitKDC"),
    (ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.2"), "smartcardLogon"),
];

/// The name of a purpose, such as `serverAuth`.
pub fn eku_name(oid: &ObjectIdentifier) -> Option<&'static str> {
    PURPOSES.iter().find(|(purpose, _)| purpose == oid).map(|(_, name)| *name)
}

/// The purpose of this name, or of this dotted object identifier.
pub fn eku_oid(name: &str) -> Option<ObjectIdentifier> {
    let named = PURPOSES.iter().find(|(_, purpose)| purpose.eq_ignore_ascii_case(name)).map(|(oid, _)| *oid);
    named.or_else(|| oid::parse(name).ok())
}
