//! What a certificate is for: authority or not (RFC 5280 §4.2.1.9), and under which policies (§4.2.1.4).

use const_oid::ObjectIdentifier;

use crate::der_io::{DerError, Reader, encode, tag};

use super::{ExtensionError, TypedExtension, parse_value};

/// Whether the subject is an authority, and how many intermediate certificates may follow its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BasicConstraints {
    pub ca: bool,
    pub path_length: Option<u8>,
}

/// The policies a certificate was issued under; qualifiers are read over and never written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificatePolicies(pub Vec<ObjectIdentifier>);

impl TypedExtension for BasicConstraints {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
    const NAME: &'static str = "basicConstraints";
    const CRITICAL: bool = true;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let (ca, path_length) = parse_value(Self::NAME, value, |reader| {
            reader.sequence(|constraints| {
                let ca = tolerate_encoded_default(constraints)?;
                let path_length =
                    if constraints.is_empty() { None } else { Some(constraints.small_unsigned()?) };
                Ok::<_, DerError>((ca, path_length))
            })
        })?;
        let path_length = path_length
            .map(u8::try_from)
            .transpose()
            .map_err(|_| ExtensionError::Unsupported { name: Self::NAME, what: "a path length over 255" })?;
        if path_length.is_some() && !ca {
            return Err(ExtensionError::Unsupported {
                name: Self::NAME,
                what: "a path length for a subject that is no authority",
            });
        }
        Ok(Self { ca, path_length })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|constraints| {
                if self.ca {
                    constraints.boolean(true);
                }
                if let Some(path_length) = self.path_length.filter(|_| self.ca) {
                    constraints.small_unsigned(path_length.into());
                }
            });
        })
    }
}

impl TypedExtension for CertificatePolicies {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
    const NAME: &'static str = "certificatePolicies";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        parse_value(Self::NAME, value, |reader| {
            reader.sequence(|policies| {
                let mut oids = Vec::new();
                while !policies.is_empty() {
                    oids.push(policies.sequence(policy_information)?);
                }
                if oids.is_empty() { Err(DerError::EmptyList) } else { Ok(Self(oids)) }
            })
        })
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|policies| {
                for oid in &self.0 {
                    policies.sequence(|information| information.oid(oid));
                }
            });
        })
    }
}

/// DER leaves `CA:FALSE` out, because it is the default (X.690 §11.5). OpenSSL, whose requests are the measure of what
/// is accepted, reads it where it is written out.
fn tolerate_encoded_default(constraints: &mut Reader<'_>) -> Result<bool, DerError> {
    if constraints.peek_tag() == Some(tag::BOOLEAN) { constraints.boolean() } else { Ok(false) }
}

fn policy_information(information: &mut Reader<'_>) -> Result<ObjectIdentifier, DerError> {
    let oid = information.oid()?;
    information.optional(tag::SEQUENCE)?;
    Ok(oid)
}
