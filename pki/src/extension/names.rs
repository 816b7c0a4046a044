//! Alternative names of the subject (RFC 5280 §4.2.1.6), and the names below an authority (§4.2.1.10).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use const_oid::ObjectIdentifier;

use crate::{
    der_io::{DerError, Reader, Writer, encode, parse_all, tag},
    general_name::{
        DIRECTORY_NAME, DNS, EMAIL, GeneralName, GeneralNameError, IP, URI, general_names_from_der,
        general_names_to_der, ia5,
    },
    name::Name,
};

use super::{ExtensionError, TypedExtension};

/// The alternative names of the subject. The extension is critical where the subject is empty (RFC 5280 §4.2.1.6):
/// see [`SubjectAltName::to_extension_for`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectAltName(pub Vec<GeneralName>);

/// Names that may and that must not stand in certificates below an authority.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameConstraints {
    pub permitted: Vec<GeneralSubtree>,
    pub excluded: Vec<GeneralSubtree>,
}

/// Names of one kind that a constraint covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GeneralSubtree {
    /// The host name and every name below it.
    Dns(String),
    /// A mailbox, all mailboxes of a host, or with a leading dot of all hosts below a domain.
    Email(String),
    /// The host of a URI, or with a leading dot all hosts below a domain.
    Uri(String),
    /// Addresses whose first `prefix_length` bits are those of `address`.
    Ip { address: IpAddr, prefix_length: u8 },
    /// Names that begin with these relative distinguished names.
    DirectoryName(Name),
}

impl SubjectAltName {
    /// The extension, critical where `subject` is empty.
    pub fn to_extension_for(&self, subject: &Name) -> super::Extension {
        self.to_extension().with_critical(subject.is_empty())
    }
}

impl TypedExtension for SubjectAltName {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
    const NAME: &'static str = "subjectAltName";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        general_names_from_der(value).map(Self).map_err(|source| in_extension(Self::NAME, source))
    }

    fn to_value(&self) -> Vec<u8> {
        general_names_to_der(&self.0)
    }
}

impl TypedExtension for NameConstraints {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
    const NAME: &'static str = "nameConstraints";
    const CRITICAL: bool = true;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let read = parse_all(value, |reader| {
            reader.sequence(|constraints| {
                let permitted = constraints.optional_nested(tag::context_constructed(0), read_subtrees)?;
                let excluded = constraints.optional_nested(tag::context_constructed(1), read_subtrees)?;
                if permitted.is_none() && excluded.is_none() {
                    return Err(GeneralNameError::EmptyList);
                }
                Ok(Self { permitted: permitted.unwrap_or_default(), excluded: excluded.unwrap_or_default() })
            })
        });
        read.map_err(|source| in_extension(Self::NAME, source))
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|constraints| {
                for (number, subtrees) in [(0, &self.permitted), (1, &self.excluded)] {
                    if !subtrees.is_empty() {
                        constraints.nested(tag::context_constructed(number), |list| {
                            subtrees.iter().for_each(|subtree| list.sequence(|base| subtree.write(base)));
                        });
                    }
                }
            });
        })
    }
}

impl GeneralSubtree {
    /// Reads the `base` of a subtree. Minimum and maximum are not used by RFC 5280.
    fn read(reader: &mut Reader<'_>) -> Result<Self, GeneralNameError> {
        let base = reader.any()?;
        if !reader.is_empty() {
            return Err(GeneralNameError::Unsupported("a subtree with minimum or maximum"));
        }
        match base.tag {
            DNS => Ok(Self::Dns(ia5(base.value, "dns")?)),
            EMAIL => Ok(Self::Email(ia5(base.value, "email")?)),
            URI => Ok(Self::Uri(ia5(base.value, "uri")?)),
            DIRECTORY_NAME => Ok(Self::DirectoryName(Name::from_der(base.value)?)),
            IP => read_network(base.value),
            _ => Err(GeneralNameError::Unsupported("otherName, x400Address, ediPartyName or registeredID")),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Dns(text) => writer.primitive(DNS, text.as_bytes()),
            Self::Email(text) => writer.primitive(EMAIL, text.as_bytes()),
            Self::Uri(text) => writer.primitive(URI, text.as_bytes()),
            Self::DirectoryName(name) => writer.primitive(DIRECTORY_NAME, name.der()),
            Self::Ip { address: IpAddr::V4(address), prefix_length } => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix_length).min(32)).unwrap_or(0);
                writer.primitive(IP, [address.octets(), mask.to_be_bytes()].as_flattened());
            }
            Self::Ip { address: IpAddr::V6(address), prefix_length } => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*prefix_length).min(128)).unwrap_or(0);
                writer.primitive(IP, [address.octets(), mask.to_be_bytes()].as_flattened());
            }
        }
    }
}

fn read_subtrees(reader: &mut Reader<'_>) -> Result<Vec<GeneralSubtree>, GeneralNameError> {
    let mut subtrees = Vec::new();
    while !reader.is_empty() {
        subtrees.push(reader.sequence(GeneralSubtree::read)?);
    }
    if subtrees.is_empty() { Err(GeneralNameError::EmptyList) } else { Ok(subtrees) }
}

/// An address and a mask of the same length, the mask as in RFC 4632.
fn read_network(value: &[u8]) -> Result<GeneralSubtree, GeneralNameError> {
    let (halves, _) = value.split_at(value.len() / 2);
    let mask = value.get(halves.len()..).unwrap_or_default();
    let (address, mask, bits): (IpAddr, u128, u32) = match (halves.len(), mask.len()) {
        (4, 4) => (Ipv4Addr::from(array(halves)?).into(), u32::from_be_bytes(array(mask)?).into(), 32),
        (16, 16) => (Ipv6Addr::from(array(halves)?).into(), u128::from_be_bytes(array(mask)?), 128),
        _ => return Err(GeneralNameError::IpLength(value.len())),
    };
    let from_the_top = mask.checked_shl(128 - bits).unwrap_or(0);
    let ones = from_the_top.leading_ones();
    if from_the_top.count_ones() != ones {
        return Err(GeneralNameError::Unsupported("an IP mask with gaps"));
    }
    Ok(GeneralSubtree::Ip { address, prefix_length: ones as u8 })
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], GeneralNameError> {
    bytes.try_into().map_err(|_| GeneralNameError::IpLength(bytes.len()))
}

fn in_extension(name: &'static str, source: GeneralNameError) -> ExtensionError {
    match source {
        GeneralNameError::Malformed(source) => ExtensionError::Malformed { name, source },
        GeneralNameError::EmptyList => ExtensionError::Malformed { name, source: DerError::EmptyList },
        GeneralNameError::Characters(_)
        | GeneralNameError::IpLength(_)
        | GeneralNameError::DirectoryName(_)
        | GeneralNameError::Unsupported(_) => ExtensionError::GeneralName { name, source },
    }
}
