//! A request of which some parts are left for the client to fill in: `CertificationRequestInfoTemplate` (RFC 9908
//! §3.4, Appendix A).

use const_oid::ObjectIdentifier;

use super::{CsrAttrsError, EC_PUBLIC_KEY, ED25519, EXTENSION_REQUEST, RSA_ENCRYPTION, only_value};
use crate::{
    attribute::Attribute,
    der_io::{DerError, Reader, Writer, check_well_formed, encode, parse_all, tag},
    extension::{Extension, extensions_from_der, write_extensions},
    key::KeyType,
};

/// What a request is to look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificationRequestInfoTemplate {
    /// The relative distinguished names in their order, each with at least one attribute; none where the subject is
    /// up to the client.
    pub subject: Option<Vec<Vec<SingleAttributeTemplate>>>,
    /// None where the key is up to the client.
    pub key: Option<SubjectPublicKeyInfoTemplate>,
    pub attributes: Vec<Attribute>,
}

/// An attribute of a name: with the value it is to have, or for the client to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleAttributeTemplate {
    pub oid: ObjectIdentifier,
    /// The whole DER of the value.
    pub value: Option<Vec<u8>>,
}

/// The kind of key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPublicKeyInfoTemplate {
    /// The whole DER of the `AlgorithmIdentifier`.
    pub algorithm: Vec<u8>,
    /// For RSA, a key that is none but has the size that is wanted.
    pub public_key: Option<Vec<u8>>,
}

/// An extension: with the value it is to have, or for the client to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionTemplate {
    pub oid: ObjectIdentifier,
    pub critical: bool,
    /// What the OCTET STRING holds.
    pub value: Option<Vec<u8>>,
}

/// `id-aa-extensionReqTemplate` (RFC 9908 §3.4).
const EXTENSION_REQUEST_TEMPLATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.62");

const SUBJECT_PUBLIC_KEY_INFO: u8 = tag::context_constructed(0);
const ATTRIBUTES: u8 = tag::context_constructed(1);

/// How deep attribute values and algorithm parameters may be nested.
const DEPTH: u8 = 16;

impl CertificationRequestInfoTemplate {
    /// `id-aa-certificationRequestInfoTemplate`.
    pub const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.61");

    /// Reads the whole template.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrAttrsError> {
        Ok(parse_all(der, |reader| reader.sequence(read_template))?)
    }

    pub fn to_der(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|template| {
                template.small_unsigned(0);
                if let Some(names) = &self.subject {
                    template.sequence(|sequence| names.iter().for_each(|name| write_name(sequence, name)));
                }
                if let Some(key) = &self.key {
                    template.nested(SUBJECT_PUBLIC_KEY_INFO, |info| key.write(info));
                }
                template.nested(ATTRIBUTES, |set| {
                    self.attributes.iter().for_each(|attribute| attribute.write(set));
                });
            });
        })
    }

    /// Asks for extensions. Where all values are given it is a plain extensionRequest, otherwise a template of one:
    /// RFC 9908 §3.4 allows one or the other.
    #[must_use]
    pub fn with_extensions(mut self, extensions: &[ExtensionTemplate]) -> Self {
        let complete: Option<Vec<Extension>> = extensions.iter().map(ExtensionTemplate::complete).collect();
        self.attributes.push(match complete {
            Some(extensions) => {
                let value = encode(|writer| write_extensions(writer, &extensions));
                Attribute::new(EXTENSION_REQUEST, vec![value])
            }
            None => {
                let value = encode(|writer| {
                    writer.sequence(|list| extensions.iter().for_each(|extension| extension.write(list)));
                });
                Attribute::new(EXTENSION_REQUEST_TEMPLATE, vec![value])
            }
        });
        self
    }

    /// The extensions that are wanted, from either form; none where the client may choose.
    pub fn extensions(&self) -> Result<Vec<ExtensionTemplate>, CsrAttrsError> {
        let plain = only_value("extensionRequest", self.attributes.iter(), EXTENSION_REQUEST)?;
        let name = "extensionReqTemplate";
        let template = only_value(name, self.attributes.iter(), EXTENSION_REQUEST_TEMPLATE)?;
        match (plain, template) {
            (Some(_), Some(_)) => Err(CsrAttrsError::Duplicate(name)),
            (Some(value), None) => {
                Ok(extensions_from_der(value)?.into_iter().map(ExtensionTemplate::from).collect())
            }
            (None, Some(value)) => Ok(parse_all(value, |reader| reader.sequence(read_extension_templates))?),
            (None, None) => Ok(Vec::new()),
        }
    }
}

impl SubjectPublicKeyInfoTemplate {
    /// A key of this kind. For RSA it holds a modulus of that many bits, all of them set (RFC 9908 §3.4).
    pub fn new(key_type: KeyType) -> Self {
        let identifier = |write: &dyn Fn(&mut Writer)| encode(|writer| writer.sequence(write));
        match key_type {
            KeyType::Ecdsa(curve) => {
                let algorithm = identifier(&|identifier| {
                    identifier.oid(&EC_PUBLIC_KEY);
                    identifier.oid(&curve.oid());
                });
                Self { algorithm, public_key: None }
            }
            KeyType::Rsa { bits } => {
                let algorithm = identifier(&|identifier| {
                    identifier.oid(&RSA_ENCRYPTION);
                    identifier.null();
                });
                Self { algorithm, public_key: Some(placeholder_rsa_key(bits)) }
            }
            KeyType::Ed25519 => {
                Self { algorithm: identifier(&|identifier| identifier.oid(&ED25519)), public_key: None }
            }
        }
    }

    fn read(info: &mut Reader<'_>) -> Result<Self, DerError> {
        let algorithm = info.tlv(tag::SEQUENCE)?.raw;
        check_well_formed(algorithm, DEPTH)?;
        let public_key = if info.is_empty() { None } else { Some(info.bit_string_octets()?.to_vec()) };
        Ok(Self { algorithm: algorithm.to_vec(), public_key })
    }

    fn write(&self, info: &mut Writer) {
        info.raw(&self.algorithm);
        self.public_key.iter().for_each(|key| info.bit_string(key));
    }
}

impl ExtensionTemplate {
    fn complete(&self) -> Option<Extension> {
        let value = self.value.clone()?;
        Some(Extension { oid: self.oid, critical: self.critical, value })
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        reader.sequence(|extension| {
            let oid = extension.oid()?;
            let critical = extension.boolean_default_false()?;
            let value = extension.optional(tag::OCTET_STRING)?.map(|value| value.value.to_vec());
            Ok(Self { oid, critical, value })
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.sequence(|extension| {
            extension.oid(&self.oid);
            if self.critical {
                extension.boolean(true);
            }
            self.value.iter().for_each(|value| extension.octet_string(value));
        });
    }
}

impl From<Extension> for ExtensionTemplate {
    fn from(extension: Extension) -> Self {
        Self { oid: extension.oid, critical: extension.critical, value: Some(extension.value) }
    }
}

fn read_template(template: &mut Reader<'_>) -> Result<CertificationRequestInfoTemplate, DerError> {
    if template.small_unsigned()? != 0 {
        return Err(DerError::Version);
    }
    let subject = template.optional_nested(tag::SEQUENCE, read_names)?;
    let key = template.optional_nested(SUBJECT_PUBLIC_KEY_INFO, SubjectPublicKeyInfoTemplate::read)?;
    let attributes = template.nested(ATTRIBUTES, Attribute::read_all)?;
    Ok(CertificationRequestInfoTemplate { subject, key, attributes })
}

fn read_names(sequence: &mut Reader<'_>) -> Result<Vec<Vec<SingleAttributeTemplate>>, DerError> {
    let mut names = Vec::new();
    while !sequence.is_empty() {
        names.push(sequence.nested(tag::SET, |set| {
            let mut attributes = Vec::new();
            while !set.is_empty() {
                attributes.push(set.sequence(read_single_attribute)?);
            }
            if attributes.is_empty() { Err(DerError::EmptyList) } else { Ok(attributes) }
        })?);
    }
    Ok(names)
}

fn read_single_attribute(attribute: &mut Reader<'_>) -> Result<SingleAttributeTemplate, DerError> {
    let oid = attribute.oid()?;
    if attribute.is_empty() {
        return Ok(SingleAttributeTemplate { oid, value: None });
    }
    let value = attribute.any()?.raw;
    check_well_formed(value, DEPTH)?;
    Ok(SingleAttributeTemplate { oid, value: Some(value.to_vec()) })
}

fn write_name(sequence: &mut Writer, attributes: &[SingleAttributeTemplate]) {
    sequence.nested(tag::SET, |set| {
        for template in attributes {
            set.sequence(|attribute| {
                attribute.oid(&template.oid);
                template.value.iter().for_each(|value| attribute.raw(value));
            });
        }
    });
}

fn read_extension_templates(list: &mut Reader<'_>) -> Result<Vec<ExtensionTemplate>, DerError> {
    let mut extensions = Vec::new();
    while !list.is_empty() {
        extensions.push(ExtensionTemplate::read(list)?);
    }
    if extensions.is_empty() { Err(DerError::EmptyList) } else { Ok(extensions) }
}

/// RFC 8017 §A.1.1 with the exponent 65537, which RFC 9908 §3.4 wants.
fn placeholder_rsa_key(bits: u32) -> Vec<u8> {
    let spare = bits.next_multiple_of(8) - bits;
    let mut modulus = vec![0xff; bits.div_ceil(8) as usize];
    if let Some(first) = modulus.first_mut() {
        *first >>= spare;
    }
    encode(|writer| {
        writer.sequence(|key| {
            key.unsigned(&modulus);
            key.small_unsigned(65_537);
        });
    })
}
