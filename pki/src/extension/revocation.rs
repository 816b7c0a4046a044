//! What CRLs (RFC 5280 §5.2.3, §5.3.1, §5.3.2) and OCSP (RFC 6960 §4.2.2.2.1) add.

use std::{fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::{
    der_io::{encode, parse_all, small_unsigned_value, tag},
    time::Time,
};

use super::{ExtensionError, TypedExtension, parse_value};

/// The number of a CRL. RFC 5280 allows 20 octets; what Chancery writes fits in eight, and longer ones are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CrlNumber(pub u64);

/// When the key became, or may have become, known to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidityDate(pub Time);

/// The revocation status of this OCSP responder's certificate need not be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCheck;

/// Why a certificate was revoked; the number is the one on the wire (7 is not used).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasonCode {
    Unspecified = 0,
    KeyCompromise = 1,
    #[serde(rename = "cACompromise")]
    CaCompromise = 2,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    CertificateHold = 6,
    #[serde(rename = "removeFromCRL")]
    RemoveFromCrl = 8,
    PrivilegeWithdrawn = 9,
    #[serde(rename = "aACompromise")]
    AaCompromise = 10,
}

/// Neither a name nor a number of a revocation reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no revocation reason of RFC 5280 section 5.3.1")]
pub struct UnknownReason(pub String);

impl ReasonCode {
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| u64::from(reason.code()) == code)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The names of RFC 5280 §5.3.1, in any case.
impl FromStr for ReasonCode {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let known = Self::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownReason(text.chars().take(64).collect()))
    }
}

impl TypedExtension for CrlNumber {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
    const NAME: &'static str = "cRLNumber";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| Ok(Self(reader.small_unsigned()?)))
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| writer.small_unsigned(self.0))
    }
}

impl TypedExtension for ReasonCode {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
    const NAME: &'static str = "cRLReason";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let code =
            parse_value(Self::NAME, value, |reader| small_unsigned_value(reader.value(tag::ENUMERATED)?))?;
        Self::from_code(code)
            .ok_or(ExtensionError::Unsupported { name: Self::NAME, what: "an unknown reason" })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| writer.unsigned_tagged(tag::ENUMERATED, &[self.code()]))
    }
}

impl TypedExtension for InvalidityDate {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
    const NAME: &'static str = "invalidityDate";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_all(value, Time::read_generalized)
            .map(Self)
            .map_err(|source| ExtensionError::Time { name: Self::NAME, source })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| self.0.write_generalized(writer))
    }
}

impl TypedExtension for NoCheck {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
    const NAME: &'static str = "id-pkix-ocsp-nocheck";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| reader.null())?;
        Ok(Self)
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| writer.null())
    }
}
