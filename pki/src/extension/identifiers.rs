//! Which key a certificate is for, and which key signed it (RFC 5280 §4.2.1.1 and §4.2.1.2).

use const_oid::ObjectIdentifier;

use crate::der_io::{DerError, encode, tag};

use super::{ExtensionError, TypedExtension, parse_value};

/// The identifier of the subject's key: any octets, 20 of them in what Chancery issues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectKeyIdentifier(pub Vec<u8>);

/// The identifier of the issuer's key, where it is given. Issuer name and serial number are read over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthorityKeyIdentifier(pub Option<Vec<u8>>);

impl TypedExtension for SubjectKeyIdentifier {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
    const NAME: &'static str = "subjectKeyIdentifier";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| Ok(Self(reader.octet_string()?.to_vec())))
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| writer.octet_string(&self.0))
    }
}

impl TypedExtension for AuthorityKeyIdentifier {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
    const NAME: &'static str = "authorityKeyIdentifier";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| {
            reader.sequence(|identifier| {
                let key_identifier = identifier.optional(tag::context(0))?.map(|tlv| tlv.value.to_vec());
                let issuer = identifier.optional(tag::context_constructed(1))?;
                let serial = identifier.optional(tag::context(2))?;
                // RFC 5280 §A.2: both or neither.
                if issuer.is_some() != serial.is_some() {
                    return Err(DerError::Truncated);
                }
                Ok(Self(key_identifier))
            })
        })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|identifier| {
                if let Some(octets) = &self.0 {
                    identifier.primitive(tag::context(0), octets);
                }
            });
        })
    }
}
