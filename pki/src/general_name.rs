//! General names (RFC 5280 §4.2.1.6): the alternatives of a subject alternative name.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use const_oid::ObjectIdentifier;

use crate::{
    der_io::{DerError, Reader, Writer, check_well_formed, encode, oid_value, parse_all, tag},
    name::{Name, NameError},
};

mod syntax;

pub use syntax::{is_valid_dns_name, is_valid_email, is_valid_uri};

/// One name. Text is as received: its characters are checked, its syntax is not (see [`is_valid_dns_name`],
/// [`is_valid_email`], [`is_valid_uri`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GeneralName {
    Dns(String),
    Ip(IpAddr),
    Uri(String),
    Email(String),
    OtherName {
        type_id: ObjectIdentifier,
        /// The DER of the value inside `[0] EXPLICIT`.
        value: Vec<u8>,
    },
    DirectoryName(Name),
    RegisteredId(ObjectIdentifier),
}

/// Why something is not a general name that can be handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeneralNameError {
    #[error("a general name is malformed")]
    Malformed(#[from] DerError),
    #[error("a general name of type {0} holds characters other than printable ASCII")]
    Characters(&'static str),
    #[error("an IP address has {0} octets")]
    IpLength(usize),
    #[error("a directory name is malformed")]
    DirectoryName(#[from] NameError),
    #[error("general names of type {0} are not supported")]
    Unsupported(&'static str),
    #[error("the list of general names is empty")]
    EmptyList,
}

/// How deep the value of an otherName may be nested.
const OTHER_NAME_DEPTH: u8 = 16;

impl GeneralName {
    /// Reads a whole `GeneralName`.
    pub fn from_der(der: &[u8]) -> Result<Self, GeneralNameError> {
        parse_all(der, Self::read)
    }

    /// Reads the `GeneralName` that comes next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, GeneralNameError> {
        let tlv = reader.any()?;
        match tlv.tag {
            OTHER_NAME => parse_all(tlv.value, read_other_name),
            EMAIL => Ok(Self::Email(ia5(tlv.value, "email")?)),
            DNS => Ok(Self::Dns(ia5(tlv.value, "dns")?)),
            X400_ADDRESS => Err(GeneralNameError::Unsupported("x400Address")),
            DIRECTORY_NAME => Ok(Self::DirectoryName(Name::from_der(tlv.value)?)),
            EDI_PARTY_NAME => Err(GeneralNameError::Unsupported("ediPartyName")),
            URI => Ok(Self::Uri(ia5(tlv.value, "uri")?)),
            IP => Ok(Self::Ip(ip(tlv.value)?)),
            REGISTERED_ID => Ok(Self::RegisteredId(oid_value(tlv.value)?)),
            found => Err(DerError::UnexpectedTag { expected: DNS, found }.into()),
        }
    }

    /// Appends the `GeneralName`.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Dns(text) => writer.primitive(DNS, text.as_bytes()),
            Self::Email(text) => writer.primitive(EMAIL, text.as_bytes()),
            Self::Uri(text) => writer.primitive(URI, text.as_bytes()),
            Self::Ip(IpAddr::V4(address)) => writer.primitive(IP, &address.octets()),
            Self::Ip(IpAddr::V6(address)) => writer.primitive(IP, &address.octets()),
            Self::RegisteredId(oid) => writer.primitive(REGISTERED_ID, oid.as_bytes()),
            // A CHOICE under an implicit tag is tagged explicitly (X.680 §31.2.7).
            Self::DirectoryName(name) => writer.primitive(DIRECTORY_NAME, name.der()),
            Self::OtherName { type_id, value } => writer.nested(OTHER_NAME, |other| {
                other.oid(type_id);
                other.primitive(tag::context_constructed(0), value);
            }),
        }
    }

    pub fn to_der(&self) -> Vec<u8> {
        encode(|writer| self.write(writer))
    }

    /// An otherName whose value is a UTF8String, as a Microsoft user principal name is.
    pub fn other_name_from_utf8(type_id: ObjectIdentifier, text: &str) -> Self {
        let value = encode(|writer| writer.primitive(tag::UTF8_STRING, text.as_bytes()));
        Self::OtherName { type_id, value }
    }

    /// The text of an otherName whose value is a UTF8String without control characters.
    pub fn other_name_utf8(&self) -> Option<String> {
        let Self::OtherName { value, .. } = self else { return None };
        let contents = parse_all(value, |reader| reader.value(tag::UTF8_STRING)).ok()?;
        let text = std::str::from_utf8(contents).ok()?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    }
}

/// Reads a whole `GeneralNames`, which has at least one member.
pub fn general_names_from_der(der: &[u8]) -> Result<Vec<GeneralName>, GeneralNameError> {
    parse_all(der, |reader| reader.nested(tag::SEQUENCE, read_general_names))
}

/// Reads general names to the end.
pub fn read_general_names(reader: &mut Reader<'_>) -> Result<Vec<GeneralName>, GeneralNameError> {
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(GeneralName::read(reader)?);
    }
    if names.is_empty() { Err(GeneralNameError::EmptyList) } else { Ok(names) }
}

/// The whole `GeneralNames`.
pub fn general_names_to_der(names: &[GeneralName]) -> Vec<u8> {
    encode(|writer| writer.sequence(|list| names.iter().for_each(|name| name.write(list))))
}

/// `dns:host.example`, `ip:192.0.2.1`, `uri:...`, `email:...`, `otherName:<oid>:...`, `dirName:CN=...`, `rid:<oid>`.
impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) => write!(f, "dns:{text}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Uri(text) => write!(f, "uri:{text}"),
            Self::Email(text) => write!(f, "email:{text}"),
            Self::DirectoryName(name) => write!(f, "dirName:{name}"),
            Self::RegisteredId(oid) => write!(f, "rid:{oid}"),
            Self::OtherName { type_id, value } => match self.other_name_utf8() {
                Some(text) => write!(f, "otherName:{type_id}:{text}"),
                None => write!(f, "otherName:{type_id}:#{}", hex::encode(value)),
            },
        }
    }
}

pub(crate) const OTHER_NAME: u8 = tag::context_constructed(0);
pub(crate) const EMAIL: u8 = tag::context(1);
pub(crate) const DNS: u8 = tag::context(2);
pub(crate) const X400_ADDRESS: u8 = tag::context_constructed(3);
pub(crate) const DIRECTORY_NAME: u8 = tag::context_constructed(4);
pub(crate) const EDI_PARTY_NAME: u8 = tag::context_constructed(5);
pub(crate) const URI: u8 = tag::context(6);
pub(crate) const IP: u8 = tag::context(7);
pub(crate) const REGISTERED_ID: u8 = tag::context(8);

/// Printable ASCII without a space: NUL, control characters and white space have no place in any of the three types.
pub(crate) fn ia5(value: &[u8], kind: &'static str) -> Result<String, GeneralNameError> {
    let text = std::str::from_utf8(value).map_err(|_| GeneralNameError::Characters(kind))?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(GeneralNameError::Characters(kind))
    }
}

fn read_other_name(reader: &mut Reader<'_>) -> Result<GeneralName, GeneralNameError> {
    let type_id = reader.oid()?;
    let value = reader.value(tag::context_constructed(0))?;
    check_well_formed(value, OTHER_NAME_DEPTH)?;
    Ok(GeneralName::OtherName { type_id, value: value.to_vec() })
}

fn ip(value: &[u8]) -> Result<IpAddr, GeneralNameError> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Ok(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(value).map_err(|_| GeneralNameError::IpLength(value.len()))?;
    Ok(Ipv6Addr::from(octets).into())
}
