//! Certification requests (PKCS #10, RFC 2986), accepted as broadly as OpenSSL does.
//!
//! The attributes `[0]` may be missing, sets need not be sorted, the subject may be empty, and extensions are found
//! under PKCS #9 (RFC 2985 §5.4.2) and under Microsoft's older identifier. The signature is checked over the request
//! as received; [`Csr`] exists only where it verified.

use std::fmt;

use const_oid::ObjectIdentifier;

use crate::{
    algorithm::{AlgorithmError, SignatureAlgorithm},
    attribute::Attribute,
    der_io::{DerError, Reader, parse_all, tag},
    extension::{Extension, ExtensionError, read_extensions},
    key::{KeyError, PublicKey},
    name::{Name, NameError, directory_string},
    signed::Signed,
};

/// A request that was read but not verified: nothing in it can be looked at yet.
#[derive(Clone)]
pub struct UnverifiedCsr {
    algorithm: SignatureAlgorithm,
    csr: Csr,
}

/// A request that is signed by the key that is in it.
#[derive(Clone)]
pub struct Csr {
    signed: Signed,
    subject: Name,
    public_key: PublicKey,
    attributes: Vec<Attribute>,
    requested_extensions: Vec<Extension>,
    challenge_password: Option<String>,
    decrypt_key_identifier: Option<Vec<u8>>,
    asymmetric_decrypt_key_identifier: Option<Vec<u8>>,
    smime_capabilities: Vec<ObjectIdentifier>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    #[error("the certificate request is malformed")]
    Malformed(#[from] DerError),
    #[error("the certificate request is not of version 1")]
    Version,
    #[error(transparent)]
    Subject(#[from] NameError),
    #[error(transparent)]
    PublicKey(#[from] KeyError),
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    #[error("the certificate request has two {0} attributes")]
    DuplicateAttribute(&'static str),
    #[error("the {0} attribute of the certificate request does not have exactly one value")]
    NotOneValue(&'static str),
    #[error("the challenge password of the certificate request is not text")]
    ChallengePassword,
    #[error("the {0} attribute of the certificate request is malformed")]
    MalformedAttribute(&'static str, #[source] DerError),
    #[error("the certificate request is not signed by the key in it")]
    Signature,
}

const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// `id-aa-decryptKeyID` (RFC 4108 §2.2.5), which RFC 7030 §4.4.1.1 names DecryptKeyIdentifier.
const DECRYPT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.37");
/// `id-aa-asymmDecryptKeyID` (RFC 7030 §4.4.1.2).
const ASYMMETRIC_DECRYPT_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.54");
/// `smimeCapabilities` (RFC 8551 §2.5.2).
const SMIME_CAPABILITIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15");
const MICROSOFT_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");

impl UnverifiedCsr {
    /// Reads a whole `CertificationRequest`.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        let signed = Signed::from_der(der)?;
        let algorithm = SignatureAlgorithm::from_identifier_der(signed.algorithm())?;
        let (subject, public_key, attributes) =
            parse_all(signed.to_be_signed(), |reader| reader.sequence(read_info))?;
        let requested_extensions = requested_extensions(&attributes)?;
        let challenge_password = challenge_password(&attributes)?;
        let octets = |name, oid| octets(name, &attributes, oid);
        let csr = Csr {
            decrypt_key_identifier: octets("decryptKeyID", DECRYPT_KEY_IDENTIFIER)?,
            asymmetric_decrypt_key_identifier: octets(
                "asymmDecryptKeyID",
                ASYMMETRIC_DECRYPT_KEY_IDENTIFIER,
            )?,
            smime_capabilities: smime_capabilities(&attributes)?,
            signed,
            subject,
            public_key,
            attributes,
            requested_extensions,
            challenge_password,
        };
        Ok(Self { algorithm, csr })
    }

    /// The whole request, as received.
    pub fn der(&self) -> &[u8] {
        self.csr.der()
    }

    /// Checks the signature over the `CertificationRequestInfo` as received (RFC 2986 §3).
    pub fn verify(self) -> Result<Csr, CsrError> {
        let Self { algorithm, csr } = self;
        let verified = csr.public_key.verify(algorithm, csr.signed.to_be_signed(), csr.signed.signature());
        match verified {
            Ok(()) => Ok(csr),
            Err(KeyError::Signature) => Err(CsrError::Signature),
            Err(other) => Err(other.into()),
        }
    }
}

impl UnverifiedCsr {
    /// For a request whose key counts for nothing, because another is made in its place (RFC 7030 §4.4.1): signature and key
    /// are not looked at, and cannot be any more.
    pub fn into_keyless(self) -> KeylessCsr {
        KeylessCsr(self.csr)
    }
}

/// What a request asks for without anybody having proved anything.
#[derive(Clone, Debug)]
pub struct KeylessCsr(Csr);

impl KeylessCsr {
    pub fn subject(&self) -> &Name {
        self.0.subject()
    }

    /// The whole request, as received.
    pub fn der(&self) -> &[u8] {
        self.0.der()
    }

    pub fn requested_extensions(&self) -> &[Extension] {
        self.0.requested_extensions()
    }

    pub fn challenge_password(&self) -> Option<&str> {
        self.0.challenge_password()
    }

    /// See [`Csr::decrypt_key_identifier`].
    pub fn decrypt_key_identifier(&self) -> Option<&[u8]> {
        self.0.decrypt_key_identifier()
    }

    /// See [`Csr::asymmetric_decrypt_key_identifier`].
    pub fn asymmetric_decrypt_key_identifier(&self) -> Option<&[u8]> {
        self.0.asymmetric_decrypt_key_identifier()
    }
}

impl Csr {
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The whole request, as received.
    pub fn der(&self) -> &[u8] {
        self.signed.der()
    }

    /// Extensions that are asked for, in the order received.
    pub fn requested_extensions(&self) -> &[Extension] {
        &self.requested_extensions
    }

    /// The challenge password (RFC 2985 §5.4.1). A secret: keep it out of logs.
    pub fn challenge_password(&self) -> Option<&str> {
        self.challenge_password.as_deref()
    }

    /// Which symmetric key a generated private key is to be encrypted to (RFC 7030 §4.4.1.1).
    pub fn decrypt_key_identifier(&self) -> Option<&[u8]> {
        self.decrypt_key_identifier.as_deref()
    }

    /// Which asymmetric key a generated private key is to be encrypted to (RFC 7030 §4.4.1.2).
    pub fn asymmetric_decrypt_key_identifier(&self) -> Option<&[u8]> {
        self.asymmetric_decrypt_key_identifier.as_deref()
    }

    /// The algorithms the client can use for messages to it, the preferred ones first (RFC 7030 §4.4.1,
    /// RFC 8551 §2.5.2), without their parameters.
    pub fn smime_capabilities(&self) -> &[ObjectIdentifier] {
        &self.smime_capabilities
    }

    /// All attributes in the order received, those that are understood too.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
}

impl fmt::Debug for UnverifiedCsr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedCsr").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Without the challenge password.
impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csr")
            .field("subject", &self.subject)
            .field("public_key", &self.public_key)
            .field("requested_extensions", &self.requested_extensions)
            .finish_non_exhaustive()
    }
}

fn read_info(info: &mut Reader<'_>) -> Result<(Name, PublicKey, Vec<Attribute>), CsrError> {
    if info.small_unsigned()? != 0 {
        return Err(CsrError::Version);
    }
    let subject = Name::read(info)?;
    let public_key = PublicKey::from_spki_der(info.tlv(tag::SEQUENCE)?.raw)?;
    Ok((subject, public_key, tolerate_absent_attributes(info)?))
}

/// RFC 2986 §4.1 has the attributes without OPTIONAL, so that an empty set is written out. `openssl req -asn1-kludge`
/// (before 3.0) leaves it out, and every OpenSSL reads both.
fn tolerate_absent_attributes(info: &mut Reader<'_>) -> Result<Vec<Attribute>, CsrError> {
    if info.is_empty() {
        return Ok(Vec::new());
    }
    Ok(info.nested(tag::context_constructed(0), Attribute::read_all)?)
}

fn requested_extensions(attributes: &[Attribute]) -> Result<Vec<Extension>, CsrError> {
    let is_request = |oid| oid == EXTENSION_REQUEST || oid == MICROSOFT_EXTENSIONS;
    match only_value("extensionRequest", attributes, is_request)? {
        // An empty list asks for nothing, and OpenSSL reads it.
        Some(value) => Ok(parse_all(value, |reader| reader.sequence(read_extensions))?),
        None => Ok(Vec::new()),
    }
}

fn challenge_password(attributes: &[Attribute]) -> Result<Option<String>, CsrError> {
    let Some(value) = only_value("challengePassword", attributes, |oid| oid == CHALLENGE_PASSWORD)? else {
        return Ok(None);
    };
    let tlv = parse_all(value, |reader| reader.any())?;
    directory_string(tlv).map(Some).ok_or(CsrError::ChallengePassword)
}

/// The contents of the OCTET STRING that is the one value of an attribute.
fn octets(
    name: &'static str,
    attributes: &[Attribute],
    oid: ObjectIdentifier,
) -> Result<Option<Vec<u8>>, CsrError> {
    let value = only_value(name, attributes, |other| other == oid)?;
    let octets = value.map(|value| parse_all(value, |reader| reader.octet_string().map(<[u8]>::to_vec)));
    octets.transpose().map_err(|source| CsrError::MalformedAttribute(name, source))
}

/// RFC 8551 §2.5.2: `SEQUENCE OF SEQUENCE { capabilityID OBJECT IDENTIFIER, parameters ANY OPTIONAL }`.
fn smime_capabilities(attributes: &[Attribute]) -> Result<Vec<ObjectIdentifier>, CsrError> {
    let name = "smimeCapabilities";
    let Some(value) = only_value(name, attributes, |oid| oid == SMIME_CAPABILITIES)? else {
        return Ok(Vec::new());
    };
    let capabilities = parse_all(value, |reader| {
        reader.sequence(|list| {
            let mut capabilities = Vec::new();
            while !list.is_empty() {
                capabilities.push(list.sequence(|capability| {
                    let oid = capability.oid()?;
                    if !capability.is_empty() {
                        capability.any()?;
                    }
                    Ok::<_, DerError>(oid)
                })?);
            }
            Ok::<_, DerError>(capabilities)
        })
    });
    capabilities.map_err(|source| CsrError::MalformedAttribute(name, source))
}

/// The value of the one attribute that matches. All kinds that are looked for are single-valued (RFC 2985 §5.4,
/// RFC 4108 §2.2.5, RFC 7030 §4.4.1.2, RFC 8551 §2.5).
fn only_value<'a>(
    name: &'static str,
    attributes: &'a [Attribute],
    matches: impl Fn(ObjectIdentifier) -> bool,
) -> Result<Option<&'a [u8]>, CsrError> {
    let mut matching = attributes.iter().filter(|attribute| matches(attribute.oid));
    let Some(attribute) = matching.next() else { return Ok(None) };
    if matching.next().is_some() {
        return Err(CsrError::DuplicateAttribute(name));
    }
    match attribute.values.as_slice() {
        [value] => Ok(Some(value)),
        _ => Err(CsrError::NotOneValue(name)),
    }
}
