//! What a server wants to see in a request: `CsrAttrs` (RFC 7030 §4.5.2, RFC 8951 §4, RFC 9908).
//!
//! ```text
//! CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID
//! AttrOrOID ::= CHOICE { oid OBJECT IDENTIFIER, attribute Attribute }
//! ```
//!
//! `template` is the newer way of RFC 9908 §3.4. A client that knows it ignores everything else, so that both can be
//! sent side by side.

use const_oid::ObjectIdentifier;

use crate::{
    algorithm::SignatureAlgorithm,
    attribute::Attribute,
    der_io::{DerError, Reader, encode, parse_all, tag},
    extension::{Extension, ExtensionError, extensions_from_der, write_extensions},
    key::KeyType,
};

mod template;

pub use template::{
    CertificationRequestInfoTemplate, ExtensionTemplate, SingleAttributeTemplate,
    SubjectPublicKeyInfoTemplate,
};

/// The list, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrAttrs(pub Vec<AttrOrOid>);

/// One member of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttrOrOid {
    Oid(ObjectIdentifier),
    Attribute(Attribute),
}

/// Why bytes are not a list of wanted attributes, or why a part of it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrAttrsError {
    #[error("the CSR attributes are malformed")]
    Malformed(#[from] DerError),
    #[error("the CSR attributes have two {0} attributes")]
    Duplicate(&'static str),
    #[error("the {0} attribute does not have exactly one value")]
    NotOneValue(&'static str),
    #[error(transparent)]
    Extension(#[from] ExtensionError),
}

const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl CsrAttrs {
    /// Reads the whole list. Members that are not known are kept: a client ignores them (RFC 7030 §4.5.2).
    pub fn from_der(der: &[u8]) -> Result<Self, CsrAttrsError> {
        Ok(parse_all(der, |reader| reader.sequence(read_members)).map(Self)?)
    }

    /// The whole list; an empty one means that nothing in particular is wanted (RFC 8951 §4).
    pub fn to_der(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|list| {
                self.0.iter().for_each(|member| match member {
                    AttrOrOid::Oid(oid) => list.oid(oid),
                    AttrOrOid::Attribute(attribute) => attribute.write(list),
                });
            });
        })
    }

    /// Whether this identifier is in the list by itself.
    pub fn wants(&self, oid: ObjectIdentifier) -> bool {
        self.0.contains(&AttrOrOid::Oid(oid))
    }

    /// The attributes of the list, without what stands by itself.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().filter_map(|member| match member {
            AttrOrOid::Oid(_) => None,
            AttrOrOid::Attribute(attribute) => Some(attribute),
        })
    }

    /// The extensions that are wanted with exactly these values (RFC 9908 §3.2).
    pub fn extension_request(&self) -> Result<Option<Vec<Extension>>, CsrAttrsError> {
        let value = only_value("extensionRequest", self.attributes(), EXTENSION_REQUEST)?;
        Ok(value.map(extensions_from_der).transpose()?)
    }

    /// The template of RFC 9908 §3.4.
    pub fn template(&self) -> Result<Option<CertificationRequestInfoTemplate>, CsrAttrsError> {
        let name = "certificationRequestInfoTemplate";
        let value = only_value(name, self.attributes(), CertificationRequestInfoTemplate::OID)?;
        value.map(CertificationRequestInfoTemplate::from_der).transpose()
    }
}

impl AttrOrOid {
    /// The request is to carry the channel binding in its challenge password (RFC 7030 §3.5).
    pub const CHALLENGE_PASSWORD: Self = Self::Oid(CHALLENGE_PASSWORD);

    /// The kind of key that is wanted, with its curve or the size of its modulus (RFC 9908 §3.2).
    pub fn key(key_type: KeyType) -> Self {
        Self::Attribute(match key_type {
            KeyType::Ecdsa(curve) => {
                Attribute::new(EC_PUBLIC_KEY, vec![encode(|writer| writer.oid(&curve.oid()))])
            }
            KeyType::Rsa { bits } => {
                let size = encode(|writer| writer.small_unsigned(u64::from(bits)));
                Attribute::new(RSA_ENCRYPTION, vec![size])
            }
            KeyType::Ed25519 => Attribute::new(ED25519, Vec::new()),
        })
    }

    /// The algorithm the request is to be signed with.
    pub fn signature(algorithm: SignatureAlgorithm) -> Self {
        Self::Oid(algorithm.oid())
    }

    /// The extensions that the request is to ask for, with these values. At least one (RFC 9908 §3.2).
    pub fn extension_request(extensions: &[Extension]) -> Self {
        let value = encode(|writer| write_extensions(writer, extensions));
        Self::Attribute(Attribute::new(EXTENSION_REQUEST, vec![value]))
    }

    /// The types of what the request is to ask for, as in the example of RFC 7030 §4.5.2. RFC 9908 §3.2 allows only
    /// [`AttrOrOid::extension_request`]; this form is for clients that know nothing but the example.
    pub fn extension_request_types(types: &[ObjectIdentifier]) -> Self {
        let values = types.iter().map(|oid| encode(|writer| writer.oid(oid))).collect();
        Self::Attribute(Attribute::new(EXTENSION_REQUEST, values))
    }

    /// The template for clients that know RFC 9908; the list has at most one.
    pub fn template(template: &CertificationRequestInfoTemplate) -> Self {
        let value = template.to_der();
        Self::Attribute(Attribute::new(CertificationRequestInfoTemplate::OID, vec![value]))
    }
}

fn read_members(list: &mut Reader<'_>) -> Result<Vec<AttrOrOid>, DerError> {
    let mut members = Vec::new();
    while !list.is_empty() {
        members.push(if list.peek_tag() == Some(tag::OBJECT_IDENTIFIER) {
            AttrOrOid::Oid(list.oid()?)
        } else {
            AttrOrOid::Attribute(Attribute::read(list)?)
        });
    }
    Ok(members)
}

/// The value of the one attribute of this type.
fn only_value<'a>(
    name: &'static str,
    attributes: impl Iterator<Item = &'a Attribute>,
    oid: ObjectIdentifier,
) -> Result<Option<&'a [u8]>, CsrAttrsError> {
    let mut matching = attributes.filter(|attribute| attribute.oid == oid);
    let Some(attribute) = matching.next() else { return Ok(None) };
    if matching.next().is_some() {
        return Err(CsrAttrsError::Duplicate(name));
    }
    match attribute.values.as_slice() {
        [value] => Ok(Some(value)),
        _ => Err(CsrAttrsError::NotOneValue(name)),
    }
}
