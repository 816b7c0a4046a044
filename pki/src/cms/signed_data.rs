//! `SignedData` with content and one signer (RFC 5652 §5).
//!
//! Signing happens elsewhere and may take its time, so there are two steps: [`SignedDataBuilder::prepare`] gives the
//! bytes to sign, [`PreparedSignedData::assemble`] takes the signature.

use std::fmt;

use aws_lc_rs::digest::{self, digest};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::{CONTENT_TYPE, DATA, SIGNED_DATA, content_info};
use crate::{
    algorithm::SignatureAlgorithm,
    attribute::Attribute,
    certificate::Certificate,
    der_io::{Reader, Writer, encode, tag},
    time::Time,
};

/// What is to be signed, and by whom.
pub struct SignedDataBuilder<'a> {
    content_type: ObjectIdentifier,
    content: &'a [u8],
    signer: &'a Certificate,
    algorithm: SignatureAlgorithm,
    chain: Vec<&'a Certificate>,
    attributes: Vec<Attribute>,
}

/// A message that lacks only its signature.
pub struct PreparedSignedData<'a> {
    builder: SignedDataBuilder<'a>,
    /// The whole DER of the `SET OF Attribute`.
    signed_attributes: Vec<u8>,
}

/// A signed message. Its content may be a private key, so that it is wiped and not shown.
pub struct SignedData {
    der: Zeroizing<Vec<u8>>,
}

/// `id-messageDigest` and `id-signingTime` (RFC 5652 §11.2 and §11.3).
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl<'a> SignedDataBuilder<'a> {
    /// `content` is signed and carried as it stands; `signer` is the certificate of the key that will sign.
    pub fn new(
        content_type: ObjectIdentifier,
        content: &'a [u8],
        signer: &'a Certificate,
        algorithm: SignatureAlgorithm,
    ) -> Self {
        Self { content_type, content, signer, algorithm, chain: Vec::new(), attributes: Vec::new() }
    }

    /// Certificates to carry after the signer's own, its issuer first.
    #[must_use]
    pub fn with_chain(mut self, chain: impl IntoIterator<Item = &'a Certificate>) -> Self {
        self.chain.extend(chain);
        self
    }

    #[must_use]
    pub fn with_signing_time(self, time: Time) -> Self {
        let value = encode(|writer| time.write(writer));
        self.with_attribute(Attribute::new(SIGNING_TIME, vec![value]))
    }

    /// One more signed attribute; content type and message digest are there already.
    #[must_use]
    pub fn with_attribute(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Composes what the signature covers (RFC 5652 §5.4).
    pub fn prepare(self) -> PreparedSignedData<'a> {
        let (digest_algorithm, _) = digest_algorithm(self.algorithm);
        let hash = digest(digest_algorithm, self.content);
        let content_type = encode(|writer| writer.oid(&self.content_type));
        let message_digest = encode(|writer| writer.octet_string(hash.as_ref()));
        let required = [
            Attribute::new(CONTENT_TYPE, vec![content_type]),
            Attribute::new(MESSAGE_DIGEST, vec![message_digest]),
        ];
        let attributes = required.iter().chain(&self.attributes);
        let elements = attributes.map(|attribute| encode(|writer| attribute.write(writer))).collect();
        let signed_attributes = encode(|writer| writer.set_of(elements));
        PreparedSignedData { builder: self, signed_attributes }
    }
}

impl PreparedSignedData<'_> {
    /// The bytes to sign, with the algorithm the builder was given: the attributes under the tag of SET OF.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.signed_attributes
    }

    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.builder.algorithm
    }

    /// The message with its signature, which is not checked.
    pub fn assemble(self, signature: &[u8]) -> SignedData {
        let builder = &self.builder;
        let certificates = std::iter::once(&builder.signer).chain(&builder.chain);
        let size: usize = certificates.clone().map(|certificate| certificate.der().len()).sum();
        let variable = builder.content.len() + self.signed_attributes.len() + signature.len();
        // The content may be secret: room for everything at once leaves no copy behind.
        let mut writer = Writer::with_capacity(size + variable + builder.signer.issuer().der().len() + 256);
        let (_, digest_oid) = digest_algorithm(builder.algorithm);
        writer.sequence(|signed_data| {
            // RFC 5652 §5.1: version 3 where the content is not id-data, as all signers are of version 1.
            signed_data.small_unsigned(if builder.content_type == DATA { 1 } else { 3 });
            signed_data.nested(tag::SET, |set| write_digest_algorithm(set, &digest_oid));
            signed_data.sequence(|encapsulated| {
                encapsulated.oid(&builder.content_type);
                encapsulated.nested(tag::context_constructed(0), |explicit| {
                    explicit.octet_string(builder.content);
                });
            });
            // Not sorted: as in a bundle, the signer's own comes first.
            signed_data.nested(tag::context_constructed(0), |set| {
                certificates.for_each(|certificate| set.raw(certificate.der()));
            });
            signed_data.nested(tag::SET, |set| self.write_signer_info(set, &digest_oid, signature));
        });
        SignedData { der: Zeroizing::new(writer.into_vec()) }
    }

    /// RFC 5652 §5.3.
    fn write_signer_info(&self, set: &mut Writer, digest_oid: &ObjectIdentifier, signature: &[u8]) {
        let builder = &self.builder;
        set.sequence(|signer_info| {
            signer_info.small_unsigned(1);
            signer_info.sequence(|identifier| {
                identifier.raw(builder.signer.issuer().der());
                builder.signer.serial().write(identifier);
            });
            write_digest_algorithm(signer_info, digest_oid);
            // RFC 5652 §5.3: the same octets under an IMPLICIT [0].
            let contents = self.signed_attributes_contents();
            signer_info.primitive(tag::context_constructed(0), contents);
            write_signature_algorithm(signer_info, builder.algorithm);
            signer_info.octet_string(signature);
        });
    }

    fn signed_attributes_contents(&self) -> &[u8] {
        Reader::new(&self.signed_attributes).value(tag::SET).unwrap_or_default()
    }
}

impl SignedData {
    /// The `SignedData` alone, as it is put into an `EnvelopedData`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The `SignedData` in its `ContentInfo`, as it is sent by itself.
    pub fn content_info_der(&self) -> Vec<u8> {
        content_info(&SIGNED_DATA, |content| content.raw(&self.der))
    }
}

impl fmt::Debug for SignedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedData").field("octets", &self.der.len()).finish_non_exhaustive()
    }
}

/// Without the content, which may be a private key.
impl fmt::Debug for SignedDataBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedDataBuilder")
            .field("content_type", &self.content_type)
            .field("signer", &self.signer)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PreparedSignedData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedSignedData").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// RFC 8419 §3.1 wants SHA-512 beside Ed25519; the others name their digest.
fn digest_algorithm(algorithm: SignatureAlgorithm) -> (&'static digest::Algorithm, ObjectIdentifier) {
    match algorithm {
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPssSha256 => (&digest::SHA256, SHA256),
        SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPssSha384 => (&digest::SHA384, SHA384),
        SignatureAlgorithm::EcdsaSha512
        | SignatureAlgorithm::RsaPkcs1Sha512
        | SignatureAlgorithm::RsaPssSha512
        | SignatureAlgorithm::Ed25519 => (&digest::SHA512, SHA512),
    }
}

/// RFC 5754 §2: the parameters are left out.
fn write_digest_algorithm(writer: &mut Writer, oid: &ObjectIdentifier) {
    writer.sequence(|identifier| identifier.oid(oid));
}

/// RFC 3370 §3.2: every implementation reads `rsaEncryption`, some older ones nothing else for PKCS #1 v1.5.
fn write_signature_algorithm(writer: &mut Writer, algorithm: SignatureAlgorithm) {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512 => writer.sequence(|identifier| {
            identifier.oid(&RSA_ENCRYPTION);
            identifier.null();
        }),
        SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384
        | SignatureAlgorithm::EcdsaSha512
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512
        | SignatureAlgorithm::Ed25519 => writer.raw(algorithm.identifier_der()),
    }
}
