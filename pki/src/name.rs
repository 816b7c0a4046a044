//! Distinguished names (RFC 5280 §4.1.2.4): the bytes as received, and the text in them.

use std::fmt;

use crate::der_io::{DerError, Reader, Writer, encode, parse_all, tag};

mod attribute_type;
mod text;

pub use attribute_type::{AttributeType, UnknownAttributeType};
pub(crate) use text::directory_string;

/// One attribute of a name, its value as text whatever string type carried it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute {
    pub kind: AttributeType,
    pub value: String,
}

/// A sequence of relative distinguished names. Equality and hash are on the encoding, byte for byte.
#[derive(Clone)]
pub struct Name {
    der: Vec<u8>,
    attributes: Vec<Attribute>,
    /// For each relative distinguished name, how many of `attributes` precede its end.
    rdn_ends: Vec<usize>,
}

/// Why something is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is malformed")]
    Malformed(#[from] DerError),
    #[error("the value of {kind} in the name is not a string that can be read")]
    NotText { kind: AttributeType },
    #[error("the value of {kind} in the name holds a control character")]
    ControlCharacter { kind: AttributeType },
    #[error("the value of {kind} is empty")]
    Empty { kind: AttributeType },
    #[error("the value of {kind} has {length} characters; at most {maximum} are allowed")]
    TooLong { kind: AttributeType, length: usize, maximum: usize },
    #[error("the value of {kind} holds a character that {string_type} cannot write")]
    Characters { kind: AttributeType, string_type: &'static str },
    #[error("the value of countryName is not a code of two letters")]
    Country,
}

impl Name {
    /// Reads a whole `Name`.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        parse_all(der, Self::read)
    }

    /// Reads the `Name` that comes next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NameError> {
        let tlv = reader.tlv(tag::SEQUENCE)?;
        let mut name = Self { der: tlv.raw.to_vec(), attributes: Vec::new(), rdn_ends: Vec::new() };
        let mut rdns = Reader::new(tlv.value);
        while !rdns.is_empty() {
            rdns.nested(tag::SET, |rdn| {
                if rdn.is_empty() {
                    return Err(DerError::EmptyList.into());
                }
                while !rdn.is_empty() {
                    name.attributes.push(rdn.sequence(read_attribute)?);
                }
                Ok::<_, NameError>(())
            })?;
            name.rdn_ends.push(name.attributes.len());
        }
        Ok(name)
    }

    /// The name without attributes.
    pub fn empty() -> Self {
        Self { der: vec![tag::SEQUENCE, 0], attributes: Vec::new(), rdn_ends: Vec::new() }
    }

    /// One relative distinguished name an attribute, in this order. Values are checked against the upper bounds of
    /// RFC 5280 appendix A.1 and X.520, and written in the string type that these give them, otherwise as UTF8String.
    pub fn from_attributes(attributes: &[Attribute]) -> Result<Self, NameError> {
        attributes.iter().try_for_each(text::check)?;
        let der = encode(|writer| {
            writer.sequence(|name| {
                for attribute in attributes {
                    name.nested(tag::SET, |rdn| write_attribute(rdn, attribute));
                }
            });
        });
        Ok(Self { der, attributes: attributes.to_vec(), rdn_ends: (1..=attributes.len()).collect() })
    }

    /// The whole `Name`, as received or as encoded.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// All attributes in the order of the encoding.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// The relative distinguished names in the order of the encoding; most hold one attribute.
    pub fn rdns(&self) -> impl DoubleEndedIterator<Item = &[Attribute]> {
        self.rdn_ends.iter().enumerate().map(|(index, end)| {
            let start = index.checked_sub(1).and_then(|before| self.rdn_ends.get(before)).unwrap_or(&0);
            self.attributes.get(*start..*end).unwrap_or_default()
        })
    }

    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The value of the first attribute of this type.
    pub fn first(&self, kind: AttributeType) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.kind == kind).map(|found| found.value.as_str())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

/// RFC 4514 §2: the last relative distinguished name first, special characters escaped.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rdn) in self.rdns().rev().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for (index, attribute) in rdn.iter().enumerate() {
                if index > 0 {
                    f.write_str("+")?;
                }
                text::display(attribute, f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

fn read_attribute(reader: &mut Reader<'_>) -> Result<Attribute, NameError> {
    let kind = AttributeType::from_oid(reader.oid()?);
    let value = text::decode(kind, reader.any()?)?;
    Ok(Attribute { kind, value })
}

fn write_attribute(rdn: &mut Writer, attribute: &Attribute) {
    rdn.sequence(|pair| {
        pair.oid(&attribute.kind.oid());
        pair.primitive(text::string_tag(attribute.kind), attribute.value.as_bytes());
    });
}
