//! PKCS #12 (RFC 7292): a private key and its certificates in one file, under one passphrase.
//!
//! ```text
//! PFX: version 3, AuthenticatedSafe, MacData (HMAC-SHA-256, see mac)
//! AuthenticatedSafe ─┬─ EncryptedData (PBES2) ── certBag: the leaf, then its issuers
//!                    └─ Data ── pkcs8ShroudedKeyBag: EncryptedPrivateKeyInfo (PBES2)
//! ```
//!
//! Both encryptions are AES-256-CBC under PBKDF2 with HMAC-SHA-256, as OpenSSL 3 writes by itself. OpenSSL from 1.1,
//! Windows from 10 1709 and Server 2019, Java from 8u301, 11.0.12 and 16, .NET, NSS and current macOS (its `security
//! import` with `-f pkcs12`) open such files; macOS 14 and Windows Server 2016 do not. What those want, triple DES or RC2
//! under SHA-1, is not written: it would leave the key to whoever guesses.

use std::fmt;

use aws_lc_rs::{
    error::Unspecified,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    },
};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::{
    attribute::Attribute,
    certificate::Certificate,
    cms::{DATA, content_info},
    der_io::{DerError, Writer, encode, tag},
    encrypted_key::encrypt_private_key_info,
    key::{Curve, KeyType, PublicKey},
    key_package::private_key_info,
    passphrase::{Iterations, Passphrase, is_bmp, utf16_be},
    pbes2,
};

mod mac;

use mac::Mac;

/// The type of the file, as registered with IANA.
pub const MEDIA_TYPE: &str = "application/pkcs12";

/// What goes into a file: a leaf and its key, and what is added to them. Its key is wiped and not shown.
pub struct Pkcs12<'a> {
    leaf: &'a Certificate,
    private_key_info: Zeroizing<Vec<u8>>,
    chain: Vec<&'a [u8]>,
    friendly_name: Option<&'a str>,
    iterations: Iterations,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    #[error("the private key is malformed")]
    Malformed(#[from] DerError),
    #[error("the private key is not the one of the certificate")]
    KeyMismatch,
    #[error(
        "a friendly name has 1 to {} characters, none of them beyond U+FFFF",
        Pkcs12::LONGEST_FRIENDLY_NAME
    )]
    FriendlyName,
    #[error("the key and the certificates could not be encrypted")]
    Encryption,
}

/// `encryptedData` (RFC 5652 §8).
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// `pkcs8ShroudedKeyBag` and `certBag` (RFC 7292 §4.2.2 and §4.2.3).
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
/// `x509Certificate`, `friendlyName` and `localKeyId` (RFC 2985 §5.5).
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");

impl<'a> Pkcs12<'a> {
    /// In characters (RFC 2985 §5.5.1 and `pkcs-9-ub-friendlyName`).
    pub const LONGEST_FRIENDLY_NAME: usize = 255;

    /// A leaf and its private key, in PKCS #8 of either version. A key that the leaf is not for is refused here, and
    /// not by whoever opens the file.
    pub fn new(leaf: &'a Certificate, pkcs8: &[u8]) -> Result<Self, Pkcs12Error> {
        let private_key_info = private_key_info(pkcs8)?;
        if !is_key_of(&private_key_info, leaf.public_key()) {
            return Err(Pkcs12Error::KeyMismatch);
        }
        Ok(Self {
            leaf,
            private_key_info,
            chain: Vec::new(),
            friendly_name: None,
            iterations: Iterations::PKCS12,
        })
    }

    /// The DER of certificates to carry after the leaf, its issuer first.
    #[must_use]
    pub fn with_chain(mut self, chain: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.chain.extend(chain);
        self
    }

    /// What Windows shows the key under, and Java takes for its alias. Beside the key it is not encrypted.
    pub fn with_friendly_name(mut self, name: &'a str) -> Result<Self, Pkcs12Error> {
        let fits = (1..=Self::LONGEST_FRIENDLY_NAME).contains(&name.chars().count());
        if !fits || !is_bmp(name) {
            return Err(Pkcs12Error::FriendlyName);
        }
        self.friendly_name = Some(name);
        Ok(self)
    }

    /// For the MAC and for either encryption; [`Iterations::PKCS12`] unless told.
    #[must_use]
    pub fn with_iterations(mut self, iterations: Iterations) -> Self {
        self.iterations = iterations;
        self
    }

    /// The file: `PFX ::= SEQUENCE { version, authSafe ContentInfo, macData MacData OPTIONAL }` (RFC 7292 §4), different
    /// each time.
    ///
    /// With [`Iterations::PKCS12`] this takes a tenth of a second or more of one core: not for a thread that serves.
    pub fn to_der(&self, passphrase: &Passphrase) -> Result<Vec<u8>, Pkcs12Error> {
        self.protect(passphrase).map_err(|_| Pkcs12Error::Encryption)
    }

    fn protect(&self, passphrase: &Passphrase) -> Result<Vec<u8>, Unspecified> {
        let contents = self.authenticated_safe(passphrase)?;
        let mac = Mac::over(&contents, passphrase, self.iterations)?;
        Ok(encode(|writer| {
            writer.sequence(|pfx| {
                pfx.small_unsigned(3);
                pfx.raw(&content_info(&DATA, |content| content.octet_string(&contents)));
                mac.write(pfx);
            });
        }))
    }

    /// `AuthenticatedSafe ::= SEQUENCE OF ContentInfo` (RFC 7292 §4.1), in the order of OpenSSL.
    fn authenticated_safe(&self, passphrase: &Passphrase) -> Result<Vec<u8>, Unspecified> {
        let certificates = encode(|writer| writer.sequence(|bags| self.write_certificate_bags(bags)));
        let certificates = pbes2::encrypt(&certificates, passphrase, self.iterations)?;
        let key = encrypt_private_key_info(&self.private_key_info, passphrase, self.iterations)?;
        let keys = encode(|writer| {
            writer.sequence(|bags| {
                write_bag(bags, &SHROUDED_KEY_BAG, |value| value.raw(&key), self.key_attributes());
            });
        });
        Ok(encode(|writer| {
            writer.sequence(|safe| {
                safe.raw(&content_info(&ENCRYPTED_DATA, |data| write_encrypted_data(data, &certificates)));
                safe.raw(&content_info(&DATA, |data| data.octet_string(&keys)));
            });
        }))
    }

    fn write_certificate_bags(&self, bags: &mut Writer) {
        write_certificate_bag(bags, self.leaf.der(), self.key_attributes());
        self.chain.iter().for_each(|certificate| write_certificate_bag(bags, certificate, Vec::new()));
    }

    /// On the key and on the leaf. By the same `localKeyId`, programs know that they belong together.
    fn key_attributes(&self) -> Vec<Attribute> {
        let identifier = self.leaf.public_key().key_identifier();
        let identifier = encode(|writer| writer.octet_string(&identifier));
        let name = self.friendly_name.map(|name| {
            let value: Vec<u8> = utf16_be(name).collect();
            Attribute::new(FRIENDLY_NAME, vec![encode(|writer| writer.primitive(tag::BMP_STRING, &value))])
        });
        name.into_iter().chain([Attribute::new(LOCAL_KEY_ID, vec![identifier])]).collect()
    }
}

impl fmt::Debug for Pkcs12<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs12")
            .field("leaf", &self.leaf)
            .field("chain", &self.chain.len())
            .field("friendly_name", &self.friendly_name)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// RFC 5652 §8: `EncryptedData ::= SEQUENCE { version, EncryptedContentInfo }`, version 0 without attributes.
fn write_encrypted_data(writer: &mut Writer, encrypted: &pbes2::Encrypted) {
    writer.sequence(|data| {
        data.small_unsigned(0);
        data.sequence(|content| {
            content.oid(&DATA);
            content.raw(&encrypted.algorithm);
            content.primitive(tag::context(0), &encrypted.octets);
        });
    });
}

/// `CertBag ::= SEQUENCE { certId, certValue [0] EXPLICIT OCTET STRING }` (RFC 7292 §4.2.3).
fn write_certificate_bag(bags: &mut Writer, certificate: &[u8], attributes: Vec<Attribute>) {
    let write = |value: &mut Writer| {
        value.sequence(|bag| {
            bag.oid(&X509_CERTIFICATE);
            bag.nested(tag::context_constructed(0), |explicit| explicit.octet_string(certificate));
        });
    };
    write_bag(bags, &CERTIFICATE_BAG, write, attributes);
}

/// `SafeBag ::= SEQUENCE { bagId, bagValue [0] EXPLICIT, bagAttributes SET OF PKCS12Attribute OPTIONAL }` (RFC 7292 §4.2).
fn write_bag(
    bags: &mut Writer,
    id: &ObjectIdentifier,
    write_value: impl FnOnce(&mut Writer),
    attributes: Vec<Attribute>,
) {
    bags.sequence(|bag| {
        bag.oid(id);
        bag.nested(tag::context_constructed(0), write_value);
        if !attributes.is_empty() {
            bag.set_of(attributes.iter().map(|attribute| encode(|writer| attribute.write(writer))).collect());
        }
    });
}

/// Whether the certificate is for this key. What cannot be read as a key of the certificate's kind is not.
fn is_key_of(private_key_info: &[u8], public_key: &PublicKey) -> bool {
    let bytes = public_key.key_bytes();
    match public_key.key_type() {
        KeyType::Ecdsa(curve) => {
            let algorithm = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
                Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
            };
            EcdsaKeyPair::from_pkcs8(algorithm, private_key_info)
                .is_ok_and(|pair| pair.public_key().as_ref() == bytes)
        }
        KeyType::Rsa { .. } => {
            RsaKeyPair::from_pkcs8(private_key_info).is_ok_and(|pair| pair.public_key().as_ref() == bytes)
        }
        // Version 1 has no public key to check against; it is compared here.
        KeyType::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(private_key_info)
            .is_ok_and(|pair| pair.public_key().as_ref() == bytes),
    }
}
