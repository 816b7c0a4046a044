//! Where to find a CRL (RFC 5280 §4.2.1.13), the issuer's certificate and the OCSP responder (§4.2.2.1).

use const_oid::ObjectIdentifier;
use der::Decode;
use x509_cert::ext::pkix::{self, name as pkix_name};

use crate::{
    der_io::{DerError, encode, tag},
    general_name::{GeneralName, GeneralNameError, URI, ia5},
};

use super::{ExtensionError, TypedExtension};

/// URIs of the complete CRL, one distribution point each. What is not a URI is read over; a distribution point for
/// some reasons only, or signed by another issuer, is not supported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrlDistributionPoints(pub Vec<String>);

/// URIs by access method. Other access methods, and what is not a URI, are read over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuthorityInfoAccess {
    pub ca_issuers: Vec<String>,
    pub ocsp: Vec<String>,
}

const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

impl TypedExtension for CrlDistributionPoints {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
    const NAME: &'static str = "cRLDistributionPoints";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let points = pkix::CrlDistributionPoints::from_der(value).map_err(|_| malformed(Self::NAME))?.0;
        if points.is_empty() {
            return Err(ExtensionError::Malformed { name: Self::NAME, source: DerError::EmptyList });
        }
        let mut uris = Vec::new();
        for point in points {
            if point.reasons.is_some() || point.crl_issuer.is_some() {
                return Err(ExtensionError::Unsupported {
                    name: Self::NAME,
                    what: "a distribution point for some reasons only, or of another issuer",
                });
            }
            if let Some(pkix_name::DistributionPointName::FullName(names)) = point.distribution_point {
                for name in names {
                    uris.extend(uri(Self::NAME, &name)?);
                }
            }
        }
        Ok(Self(uris))
    }

    fn to_value(&self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|points| {
                for uri in &self.0 {
                    points.sequence(|point| {
                        point.nested(tag::context_constructed(0), |distribution_point| {
                            distribution_point.nested(tag::context_constructed(0), |full_name| {
                                full_name.primitive(URI, uri.as_bytes());
                            });
                        });
                    });
                }
            });
        })
    }
}

impl TypedExtension for AuthorityInfoAccess {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
    const NAME: &'static str = "authorityInfoAccess";
    const CRITICAL: bool = false;

    fn from_value(value: &[u8]) -> Result<Self, ExtensionError> {
        let descriptions =
            pkix::AuthorityInfoAccessSyntax::from_der(value).map_err(|_| malformed(Self::NAME))?.0;
        if descriptions.is_empty() {
            return Err(ExtensionError::Malformed { name: Self::NAME, source: DerError::EmptyList });
        }
        let mut access = Self::default();
        for description in descriptions {
            let uri = uri(Self::NAME, &description.access_location)?;
            match description.access_method {
                CA_ISSUERS => access.ca_issuers.extend(uri),
                OCSP => access.ocsp.extend(uri),
                _ => {}
            }
        }
        Ok(access)
    }

    fn to_value(&self) -> Vec<u8> {
        let ocsp = self.ocsp.iter().map(|uri| (&OCSP, uri));
        let ca_issuers = self.ca_issuers.iter().map(|uri| (&CA_ISSUERS, uri));
        encode(|writer| {
            writer.sequence(|descriptions| {
                for (method, uri) in ocsp.chain(ca_issuers) {
                    descriptions.sequence(|description| {
                        description.oid(method);
                        GeneralName::Uri(uri.clone()).write(description);
                    });
                }
            });
        })
    }
}

/// The URI, where the name is one.
fn uri(extension: &'static str, name: &pkix_name::GeneralName) -> Result<Option<String>, ExtensionError> {
    let pkix_name::GeneralName::UniformResourceIdentifier(uri) = name else { return Ok(None) };
    let text = ia5(uri.as_str().as_bytes(), "uri")
        .map_err(|source: GeneralNameError| ExtensionError::GeneralName { name: extension, source })?;
    Ok(Some(text))
}

/// The x509-cert crate says where its decoding stopped; which rule was broken is all a peer is told.
fn malformed(name: &'static str) -> ExtensionError {
    ExtensionError::Malformed { name, source: DerError::Truncated }
}
