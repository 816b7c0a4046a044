//! Certificates (RFC 5280 §4.1): writing what is to be signed, and reading what was.

use std::fmt;

use const_oid::ObjectIdentifier;

use crate::{
    algorithm::{AlgorithmError, SignatureAlgorithm},
    der_io::{DerError, Reader, Writer, parse_all, tag},
    extension::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage,
        SubjectAltName, SubjectKeyIdentifier, TypedExtension, read_extensions, write_extensions,
    },
    general_name::GeneralName,
    key::{KeyError, PublicKey, sha256},
    name::{Name, NameError},
    serial::{SerialError, SerialNumber},
    signed::{self, SignatureError, Signed},
    time::{Time, TimeError},
};

/// What an authority signs: a version 3 certificate.
#[derive(Clone, Copy, Debug)]
pub struct TbsCertificate<'a> {
    pub serial: &'a SerialNumber,
    pub signature_algorithm: SignatureAlgorithm,
    pub issuer: &'a Name,
    pub not_before: Time,
    pub not_after: Time,
    pub subject: &'a Name,
    pub public_key: &'a PublicKey,
    /// Left out where empty.
    pub extensions: &'a [Extension],
}

/// A version 3 certificate, as received. Equality is on the bytes.
#[derive(Clone)]
pub struct Certificate {
    signed: Signed,
    serial: SerialNumber,
    issuer: Name,
    not_before: Time,
    not_after: Time,
    subject: Name,
    public_key: PublicKey,
    extensions: Vec<Extension>,
}

/// Why bytes are not a certificate that can be handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate is malformed")]
    Malformed(#[from] DerError),
    #[error("the certificate is not of version 3")]
    Version,
    #[error(transparent)]
    Serial(#[from] SerialError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    PublicKey(#[from] KeyError),
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    #[error("the certificate names one signature algorithm inside and another outside")]
    AlgorithmMismatch,
}

impl TbsCertificate<'_> {
    /// The bytes to sign.
    pub fn to_der(&self) -> Vec<u8> {
        let variable: usize = self.extensions.iter().map(|extension| extension.value.len() + 24).sum();
        let names = self.issuer.der().len() + self.subject.der().len();
        let mut writer = Writer::with_capacity(names + self.public_key.spki_der().len() + variable + 160);
        writer.sequence(|tbs| {
            tbs.nested(tag::context_constructed(0), |version| version.small_unsigned(2));
            self.serial.write(tbs);
            tbs.raw(self.signature_algorithm.identifier_der());
            tbs.raw(self.issuer.der());
            tbs.sequence(|validity| {
                self.not_before.write(validity);
                self.not_after.write(validity);
            });
            tbs.raw(self.subject.der());
            tbs.raw(self.public_key.spki_der());
            if !self.extensions.is_empty() {
                tbs.nested(tag::context_constructed(3), |list| write_extensions(list, self.extensions));
            }
        });
        writer.into_vec()
    }
}

/// A certificate, CRL or request from what was signed, the algorithm and the signature.
pub fn assemble(to_be_signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    signed::assemble(to_be_signed, algorithm, signature)
}

impl Certificate {
    /// Reads a whole `Certificate`. Extension values are read by the accessors.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let signed = Signed::from_der(der)?;
        let tbs = parse_all(signed.to_be_signed(), |reader| reader.sequence(read_tbs))?;
        // RFC 5280 §4.1.1.2.
        if tbs.algorithm != signed.algorithm() {
            return Err(CertificateError::AlgorithmMismatch);
        }
        let Tbs { serial, issuer, not_before, not_after, subject, public_key, extensions, .. } = tbs;
        Ok(Self { serial, issuer, not_before, not_after, subject, public_key, extensions, signed })
    }

    pub fn der(&self) -> &[u8] {
        self.signed.der()
    }

    /// The signed part, as received.
    pub fn tbs_der(&self) -> &[u8] {
        self.signed.to_be_signed()
    }

    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    pub fn subject(&self) -> &Name {
        &self.subject
    }

    pub fn not_before(&self) -> Time {
        self.not_before
    }

    pub fn not_after(&self) -> Time {
        self.not_after
    }

    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The algorithm it is signed with, where it is one that may be used.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, AlgorithmError> {
        SignatureAlgorithm::from_identifier_der(self.signature_algorithm_der())
    }

    /// The whole `AlgorithmIdentifier` of the signature, as received.
    pub fn signature_algorithm_der(&self) -> &[u8] {
        self.signed.algorithm()
    }

    pub fn signature(&self) -> &[u8] {
        self.signed.signature()
    }

    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// The alternative names of the subject; none where the extension is absent.
    pub fn subject_alt_names(&self) -> Result<Vec<GeneralName>, ExtensionError> {
        Ok(SubjectAltName::find(&self.extensions)?.map(|names| names.0).unwrap_or_default())
    }

    pub fn basic_constraints(&self) -> Result<Option<BasicConstraints>, ExtensionError> {
        BasicConstraints::find(&self.extensions)
    }

    pub fn key_usage(&self) -> Result<Option<KeyUsage>, ExtensionError> {
        KeyUsage::find(&self.extensions)
    }

    pub fn extended_key_usage(&self) -> Result<Option<ExtendedKeyUsage>, ExtensionError> {
        ExtendedKeyUsage::find(&self.extensions)
    }

    pub fn subject_key_identifier(&self) -> Result<Option<SubjectKeyIdentifier>, ExtensionError> {
        SubjectKeyIdentifier::find(&self.extensions)
    }

    pub fn authority_key_identifier(&self) -> Result<Option<AuthorityKeyIdentifier>, ExtensionError> {
        AuthorityKeyIdentifier::find(&self.extensions)
    }

    /// SHA-256 of the whole certificate.
    pub fn fingerprint_sha256(&self) -> [u8; 32] {
        sha256(self.der())
    }

    /// Checks the signature with this key, over the bytes as received.
    pub fn verify_signed_by(&self, issuer_key: &PublicKey) -> Result<(), SignatureError> {
        self.signed.verify(issuer_key)
    }

    /// Whether issuer and subject are the same and the certificate's own key verifies it.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject && self.verify_signed_by(&self.public_key).is_ok()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.serial)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

struct Tbs<'a> {
    algorithm: &'a [u8],
    serial: SerialNumber,
    issuer: Name,
    not_before: Time,
    not_after: Time,
    subject: Name,
    public_key: PublicKey,
    extensions: Vec<Extension>,
}

fn read_tbs<'a>(tbs: &mut Reader<'a>) -> Result<Tbs<'a>, CertificateError> {
    let version = tbs.optional_nested(tag::context_constructed(0), |version| version.small_unsigned())?;
    if version != Some(2) {
        return Err(CertificateError::Version);
    }
    let serial = SerialNumber::read(tbs)?;
    let algorithm = tbs.tlv(tag::SEQUENCE)?.raw;
    let issuer = Name::read(tbs)?;
    let (not_before, not_after) =
        tbs.sequence(|validity| Ok::<_, TimeError>((Time::read(validity)?, Time::read(validity)?)))?;
    let subject = Name::read(tbs)?;
    let public_key = PublicKey::from_spki_der(tbs.tlv(tag::SEQUENCE)?.raw)?;
    // RFC 5280 §4.1.2.8: unique identifiers are not generated any more, but should be read over.
    tbs.optional(tag::context(1))?;
    tbs.optional(tag::context(2))?;
    let extensions =
        tbs.optional_nested(tag::context_constructed(3), |explicit| explicit.sequence(read_extensions))?;
    if extensions.as_ref().is_some_and(Vec::is_empty) {
        return Err(ExtensionError::EmptyList.into());
    }
    let extensions = extensions.unwrap_or_default();
    Ok(Tbs { algorithm, serial, issuer, not_before, not_after, subject, public_key, extensions })
}
