//! Extensions of certificates, requests and revocation lists (RFC 5280 §4.2, §5.2 and §5.3).
//!
//! [`Extension`] is what is on the wire; each type that implements [`TypedExtension`] is what one of them means.
//! `names` holds the subject alternative name and the name constraints, `usage` the two key usages, `constraints` the
//! basic constraints and policies, `identifiers` the key identifiers, `locations` where to find CRLs, OCSP and issuers,
//! `revocation` what CRLs and OCSP add.

use std::collections::BTreeSet;

use const_oid::ObjectIdentifier;

use crate::{
    der_io::{DerError, Reader, Writer, parse_all},
    general_name::GeneralNameError,
    time::TimeError,
};

mod constraints;
mod identifiers;
mod locations;
mod names;
mod revocation;
mod usage;

pub use constraints::{BasicConstraints, CertificatePolicies};
pub use identifiers::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
pub use locations::{AuthorityInfoAccess, CrlDistributionPoints};
pub use names::{GeneralSubtree, NameConstraints, SubjectAltName};
pub use revocation::{CrlNumber, InvalidityDate, NoCheck, ReasonCode, UnknownReason};
pub use usage::{ExtendedKeyUsage, KeyUsage, KeyUsageBit, UnknownKeyUsage, eku_name, eku_oid};

/// One extension as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub oid: ObjectIdentifier,
    pub critical: bool,
    /// What the OCTET STRING holds.
    pub value: Vec<u8>,
}

/// Why an extension, or a list of them, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    #[error("the list of extensions is malformed")]
    List(#[source] DerError),
    #[error("the list of extensions is empty")]
    EmptyList,
    #[error("the extension {0} appears twice")]
    Duplicate(ObjectIdentifier),
    #[error("the {name} extension is malformed")]
    Malformed { name: &'static str, source: DerError },
    #[error("the {name} extension holds a name that is malformed or not supported")]
    GeneralName { name: &'static str, source: GeneralNameError },
    #[error("the {name} extension holds a malformed time")]
    Time { name: &'static str, source: TimeError },
    #[error("the {name} extension holds something that is not supported: {what}")]
    Unsupported { name: &'static str, what: &'static str },
    #[error("the extension {found} is not {name}")]
    WrongType { name: &'static str, found: ObjectIdentifier },
}

/// What an extension means.
pub trait TypedExtension: Sized {
    const OID: ObjectIdentifier;
    /// The name in RFC 5280, as in `keyUsage`.
    const NAME: &'static str;
    /// Whether RFC 5280 wants a conforming authority to mark it critical.
    const CRITICAL: bool;

    /// Reads the contents of the OCTET STRING.
    fn from_value(value: &[u8]) -> Result<Self, ExtensionError>;

    /// The contents of the OCTET STRING.
    fn to_value(&self) -> Vec<u8>;

    /// The extension, critical where RFC 5280 wants it so.
    fn to_extension(&self) -> Extension {
        Extension { oid: Self::OID, critical: Self::CRITICAL, value: self.to_value() }
    }

    fn from_extension(extension: &Extension) -> Result<Self, ExtensionError> {
        if extension.oid == Self::OID {
            Self::from_value(&extension.value)
        } else {
            Err(ExtensionError::WrongType { name: Self::NAME, found: extension.oid })
        }
    }

    /// The extension of this type in a list, read.
    fn find(extensions: &[Extension]) -> Result<Option<Self>, ExtensionError> {
        let found = extensions.iter().find(|extension| extension.oid == Self::OID);
        found.map(|extension| Self::from_value(&extension.value)).transpose()
    }
}

impl Extension {
    /// Reads the `Extension` that comes next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        reader.sequence(|extension| {
            let oid = extension.oid()?;
            let critical = tolerate_encoded_false(extension)?;
            let value = extension.octet_string()?.to_vec();
            Ok(Self { oid, critical, value })
        })
    }

    /// Appends the `Extension`.
    pub fn write(&self, writer: &mut Writer) {
        writer.sequence(|extension| {
            extension.oid(&self.oid);
            if self.critical {
                extension.boolean(true);
            }
            extension.octet_string(&self.value);
        });
    }

    #[must_use]
    pub fn with_critical(mut self, critical: bool) -> Self {
        self.critical = critical;
        self
    }
}

/// Reads the contents of an `Extensions` SEQUENCE to the end; two of one type are refused (RFC 5280 §4.2). The list
/// may be empty: whether that is an error depends on where it stands.
pub fn read_extensions(reader: &mut Reader<'_>) -> Result<Vec<Extension>, ExtensionError> {
    let mut extensions = Vec::new();
    let mut seen = BTreeSet::new();
    while !reader.is_empty() {
        let extension = Extension::read(reader).map_err(ExtensionError::List)?;
        if !seen.insert(extension.oid) {
            return Err(ExtensionError::Duplicate(extension.oid));
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

/// Reads a whole `Extensions` (RFC 5280 §4.1), which has at least one member.
pub fn extensions_from_der(der: &[u8]) -> Result<Vec<Extension>, ExtensionError> {
    let extensions = parse_all(der, |reader| reader.sequence(read_extensions))?;
    if extensions.is_empty() { Err(ExtensionError::EmptyList) } else { Ok(extensions) }
}

/// Appends the whole `Extensions`.
pub fn write_extensions(writer: &mut Writer, extensions: &[Extension]) {
    writer.sequence(|list| extensions.iter().for_each(|extension| extension.write(list)));
}

impl From<DerError> for ExtensionError {
    fn from(error: DerError) -> Self {
        Self::List(error)
    }
}

/// DER leaves `critical` out where it is false (X.690 §11.5). OpenSSL, whose requests are the measure of what is
/// accepted, reads a FALSE that is written out.
fn tolerate_encoded_false(extension: &mut Reader<'_>) -> Result<bool, DerError> {
    if extension.peek_tag() == Some(crate::der_io::tag::BOOLEAN) { extension.boolean() } else { Ok(false) }
}

/// Runs `parse` over the whole value of the extension `name`.
fn parse_value<'a, T>(
    name: &'static str,
    value: &'a [u8],
    parse: impl FnOnce(&mut Reader<'a>) -> Result<T, DerError>,
) -> Result<T, ExtensionError> {
    parse_all(value, parse).map_err(|source| ExtensionError::Malformed { name, source })
}
