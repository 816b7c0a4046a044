//! String types of attribute values: reading any of them, choosing one, escaping for display.

use std::fmt;

use crate::der_io::{Tlv, encode, tag};

use super::{Attribute, AttributeType, NameError};

/// The value of an attribute as text without control characters.
pub(super) fn decode(kind: AttributeType, tlv: Tlv<'_>) -> Result<String, NameError> {
    let text = directory_string(tlv).ok_or(NameError::NotText { kind })?;
    if text.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter { kind });
    }
    Ok(text)
}

/// The text of a value of any string type that names and request attributes are met with.
pub(crate) fn directory_string(tlv: Tlv<'_>) -> Option<String> {
    match tlv.tag {
        tag::UTF8_STRING => std::str::from_utf8(tlv.value).ok().map(str::to_owned),
        // PrintableString has no '*', '@' or '_', yet OpenSSL and others write and read them: any ASCII is taken.
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING | tag::VISIBLE_STRING => {
            ascii(tlv.value)
        }
        // T.61 proper is extinct; everyone writes and reads Latin-1.
        tag::TELETEX_STRING => Some(tlv.value.iter().map(|byte| char::from(*byte)).collect()),
        tag::BMP_STRING => bmp(tlv.value),
        tag::UNIVERSAL_STRING => universal(tlv.value),
        _ => None,
    }
}

/// The string type an attribute is written in.
pub(super) fn string_tag(kind: AttributeType) -> u8 {
    match kind {
        // RFC 5280 appendix A.1.
        AttributeType::Country | AttributeType::SerialNumber | AttributeType::DnQualifier => {
            tag::PRINTABLE_STRING
        }
        AttributeType::DomainComponent | AttributeType::EmailAddress => tag::IA5_STRING,
        AttributeType::CommonName
        | AttributeType::Surname
        | AttributeType::Locality
        | AttributeType::StateOrProvince
        | AttributeType::Street
        | AttributeType::Organization
        | AttributeType::OrganizationalUnit
        | AttributeType::Title
        | AttributeType::GivenName
        | AttributeType::Initials
        | AttributeType::GenerationQualifier
        | AttributeType::Pseudonym
        | AttributeType::UserId
        | AttributeType::PostalCode
        | AttributeType::OrganizationIdentifier
        | AttributeType::Other(_) => tag::UTF8_STRING,
    }
}

/// Whether the value may be written into a certificate.
pub(super) fn check(attribute: &Attribute) -> Result<(), NameError> {
    let Attribute { kind, value } = attribute;
    let (kind, length, maximum) = (*kind, value.chars().count(), upper_bound(*kind));
    if value.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if value.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter { kind });
    }
    if kind == AttributeType::Country && !(length == 2 && value.chars().all(|c| c.is_ascii_alphabetic())) {
        return Err(NameError::Country);
    }
    if length > maximum {
        return Err(NameError::TooLong { kind, length, maximum });
    }
    match string_tag(kind) {
        tag::PRINTABLE_STRING if !value.bytes().all(is_printable) => {
            Err(NameError::Characters { kind, string_type: "PrintableString" })
        }
        tag::IA5_STRING if !value.is_ascii() => Err(NameError::Characters { kind, string_type: "IA5String" }),
        _ => Ok(()),
    }
}

/// `type=value` as RFC 4514 §2.3 and §2.4 write it.
pub(super) fn display(attribute: &Attribute, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Attribute { kind, value } = attribute;
    match kind.short_name() {
        Some(short) => write!(f, "{short}=")?,
        None => write!(f, "{kind}=")?,
    }
    if let AttributeType::Other(_) = kind {
        // §2.4: after a dotted type, the encoding of the value in hexadecimal.
        let der = encode(|writer| writer.primitive(tag::UTF8_STRING, value.as_bytes()));
        return write!(f, "#{}", hex::encode(der));
    }
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let special = match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            ' ' => index == 0 || index == last,
            '#' => index == 0,
            _ => false,
        };
        if special {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    Ok(())
}

/// Characters an attribute may have: RFC 5280 appendix A.1; X.520 where that is silent; RFC 1034 for a label.
fn upper_bound(kind: AttributeType) -> usize {
    match kind {
        AttributeType::Country => 2,
        AttributeType::PostalCode => 40,
        AttributeType::DomainComponent => 63,
        AttributeType::CommonName
        | AttributeType::SerialNumber
        | AttributeType::Organization
        | AttributeType::OrganizationalUnit
        | AttributeType::DnQualifier
        | AttributeType::Title => 64,
        AttributeType::Locality
        | AttributeType::StateOrProvince
        | AttributeType::Street
        | AttributeType::Pseudonym => 128,
        AttributeType::EmailAddress => 255,
        AttributeType::UserId | AttributeType::OrganizationIdentifier => 256,
        AttributeType::Surname
        | AttributeType::GivenName
        | AttributeType::Initials
        | AttributeType::GenerationQualifier
        | AttributeType::Other(_) => 32_768,
    }
}

fn ascii(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).map(str::to_owned)
}

/// UCS-2: one character each two octets, so that surrogates are not text.
fn bmp(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = units.iter().map(|unit| char::from_u32(u32::from(u16::from_be_bytes(*unit)))).collect();
    if rest.is_empty() { text } else { None }
}

fn universal(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<4>();
    let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
    if rest.is_empty() { text } else { None }
}

/// X.680 §41.4.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}
