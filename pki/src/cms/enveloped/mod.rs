//! `EnvelopedData` (RFC 5652 §6) and `AuthEnvelopedData` (RFC 5083): encrypted for one recipient, read for any.
//!
//! ```text
//! content ──ContentCipher, a fresh key──► encrypted content
//!             that key ──RSA (RFC 3370 §4.2, RFC 3560) | ECDH (RFC 5753) | shared AES key (RFC 3394)──► RecipientInfo
//!
//! cipher  the content and its cipher      recipient      for whom, and with which key it is read
//! wire    RecipientInfo                   key_transport, key_agreement, key_wrap     the three ways above
//! ```
//!
//! Decryption says which message it cannot handle, but never why a key or a content did not decrypt: a peer that can
//! tell padding apart decrypts without the key (RFC 3218 §2.3).

use std::fmt;

use aws_lc_rs::rand;
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::{AUTH_ENVELOPED_DATA, CONTENT_TYPE, DATA, ENVELOPED_DATA, content_info};
use crate::{
    attribute::Attribute,
    der_io::{DerError, Reader, Writer, encode, parse_all, tag},
    name::NameError,
    serial::SerialError,
};

mod cipher;
mod key_agreement;
mod key_transport;
mod key_wrap;
mod recipient;
mod wire;

pub use cipher::ContentCipher;
pub use key_transport::RsaPadding;
pub use recipient::{DecryptionKey, Recipient, RecipientIdentifier, SymmetricKey};

use cipher::ContentEncryption;
use wire::RecipientInfo;

/// A message that was encrypted, here or by a peer. What is read is written again byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvelopedData {
    version: u64,
    /// The whole DER of `[0] OriginatorInfo`, which nothing here uses.
    originator_info: Option<Vec<u8>>,
    recipients: Vec<RecipientInfo>,
    content_type: ObjectIdentifier,
    encryption: ContentEncryption,
    encrypted_content: Vec<u8>,
    /// Only with a cipher that authenticates: the message is an `AuthEnvelopedData`.
    authentication: Option<Authentication>,
    /// The whole DER of `[1]`, or of `[2]` with authentication.
    unprotected_attributes: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Authentication {
    /// The contents of `[1] AuthAttributes`.
    attributes: Option<Vec<u8>>,
    mac: Vec<u8>,
}

/// Why a message cannot be made, read or decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopedError {
    #[error("the encrypted message is malformed")]
    Malformed(#[from] DerError),
    #[error("a recipient of the encrypted message has a malformed issuer")]
    Issuer(#[from] NameError),
    #[error("a recipient of the encrypted message has a malformed serial number")]
    Serial(#[from] SerialError),
    #[error("the CMS message is neither EnvelopedData nor AuthEnvelopedData")]
    NotEnvelopedData,
    #[error("the encrypted message does not carry its content")]
    NoContent,
    #[error("the content type is not among the authenticated attributes of the encrypted message")]
    ContentType,
    #[error("the content encryption algorithm {0} is not supported")]
    UnsupportedCipher(ObjectIdentifier),
    #[error("the content encryption algorithm has unsupported parameters")]
    CipherParameters,
    #[error("the key management algorithm {0} is not supported")]
    UnsupportedKeyManagement(ObjectIdentifier),
    #[error("the key management algorithm has unsupported parameters")]
    KeyManagementParameters,
    #[error("nothing can be encrypted to this kind of key: RSA from 2048 bits and ECDSA keys can be used")]
    RecipientKey,
    #[error("a shared key has 16 or 32 octets")]
    SymmetricKeyLength,
    #[error("the private key for decryption cannot be read")]
    PrivateKey,
    #[error("the message is not encrypted for this key")]
    NotRecipient,
    #[error("the message could not be decrypted")]
    Decryption,
    #[error("the message could not be encrypted")]
    Encryption,
}

/// Encrypts `plaintext`, whose type is `content_type`, under a fresh key that only `recipient` can get at.
///
/// The type is that of the bytes themselves: with `id-signedData`, they are a `SignedData` without `ContentInfo`.
/// Gives a whole `ContentInfo`.
pub fn encrypt(
    recipient: &Recipient,
    content_type: ObjectIdentifier,
    plaintext: &[u8],
    cipher: ContentCipher,
) -> Result<Vec<u8>, EnvelopedError> {
    Ok(EnvelopedData::encrypt(recipient, content_type, plaintext, cipher)?.to_der())
}

impl EnvelopedData {
    /// Like [`encrypt`], before it is written out.
    pub fn encrypt(
        recipient: &Recipient,
        content_type: ObjectIdentifier,
        plaintext: &[u8],
        cipher: ContentCipher,
    ) -> Result<Self, EnvelopedError> {
        let key = random_key(cipher.key_octets())?;
        let encryption = ContentEncryption::random(cipher)?;
        let recipients = vec![recipient.wrap(&key)?];
        let (encrypted_content, authentication) = if cipher.authenticates() {
            // RFC 5083 §2.1: the content type is to be authenticated where it is not id-data.
            let attributes = (content_type != DATA).then(|| content_type_attributes(&content_type));
            let covered = attributes.as_deref().map(set_of).unwrap_or_default();
            let (encrypted, mac) = encryption.seal(&key, &covered, plaintext)?;
            (encrypted, Some(Authentication { attributes, mac }))
        } else {
            (encryption.encrypt(&key, plaintext)?, None)
        };
        // RFC 5652 §6.1: 0 where every recipient is of version 0, otherwise 2. RFC 5083 §2.1: always 0.
        let plain = authentication.is_some() || recipients.iter().all(RecipientInfo::is_version_0);
        Ok(Self {
            version: if plain { 0 } else { 2 },
            originator_info: None,
            recipients,
            content_type,
            encryption,
            encrypted_content,
            authentication,
            unprotected_attributes: None,
        })
    }

    /// Reads a whole `ContentInfo`.
    pub fn from_der(der: &[u8]) -> Result<Self, EnvelopedError> {
        parse_all(der, |reader| {
            reader.sequence(|info| {
                let authenticated = match info.oid()? {
                    ENVELOPED_DATA => false,
                    AUTH_ENVELOPED_DATA => true,
                    _ => return Err(EnvelopedError::NotEnvelopedData),
                };
                info.nested(tag::context_constructed(0), |explicit| {
                    explicit.sequence(|content| read(content, authenticated))
                })
            })
        })
    }

    /// The whole `ContentInfo`.
    pub fn to_der(&self) -> Vec<u8> {
        let content_type = if self.authentication.is_some() { AUTH_ENVELOPED_DATA } else { ENVELOPED_DATA };
        content_info(&content_type, |explicit| explicit.sequence(|content| self.write(content)))
    }

    /// The type of what is encrypted.
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    pub fn cipher(&self) -> ContentCipher {
        self.encryption.cipher()
    }

    /// Whom the message is encrypted for, as far as such a recipient can be named.
    pub fn recipient_identifiers(&self) -> impl Iterator<Item = &RecipientIdentifier> {
        self.recipients.iter().flat_map(RecipientInfo::identifiers)
    }

    /// The content, where the message is for the owner of this key.
    ///
    /// Whatever goes wrong once a key is used is [`EnvelopedError::Decryption`]. A content key that does not come out
    /// is replaced by a random one and decryption goes on (RFC 3218 §2.3.2), so that with a cipher that does not
    /// authenticate, garbage may come out: what it holds must be judged in any case.
    pub fn decrypt(&self, key: &DecryptionKey) -> Result<Zeroizing<Vec<u8>>, EnvelopedError> {
        let octets = self.encryption.cipher().key_octets();
        let substitute = random_key(octets)?;
        let unwrapped = key.unwrap(&self.recipients)?.filter(|unwrapped| unwrapped.len() == octets);
        let content_key = unwrapped.unwrap_or(substitute);
        match &self.authentication {
            None => self.encryption.decrypt(&content_key, &self.encrypted_content),
            Some(authentication) => {
                let covered = authentication.attributes.as_deref().map(set_of).unwrap_or_default();
                self.encryption.open(&content_key, &covered, &self.encrypted_content, &authentication.mac)
            }
        }
    }

    fn write(&self, content: &mut Writer) {
        content.small_unsigned(self.version);
        self.originator_info.iter().for_each(|info| content.raw(info));
        content.nested(tag::SET, |set| {
            self.recipients.iter().for_each(|recipient| recipient.write(set));
        });
        content.sequence(|encrypted| {
            encrypted.oid(&self.content_type);
            self.encryption.write(encrypted);
            encrypted.primitive(tag::context(0), &self.encrypted_content);
        });
        if let Some(authentication) = &self.authentication {
            let attributes = authentication.attributes.iter();
            attributes.for_each(|contents| content.primitive(tag::context_constructed(1), contents));
            content.octet_string(&authentication.mac);
        }
        self.unprotected_attributes.iter().for_each(|attributes| content.raw(attributes));
    }
}

/// Without the encrypted content.
impl fmt::Debug for EnvelopedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopedData")
            .field("recipients", &self.recipients)
            .field("content_type", &self.content_type)
            .field("cipher", &self.encryption.cipher())
            .finish_non_exhaustive()
    }
}

/// The members of `EnvelopedData` (RFC 5652 §6.1) or `AuthEnvelopedData` (RFC 5083 §2.1).
fn read(content: &mut Reader<'_>, authenticated: bool) -> Result<EnvelopedData, EnvelopedError> {
    let version = content.small_unsigned()?;
    if !(if authenticated { &[0][..] } else { &[0, 2, 3, 4] }).contains(&version) {
        return Err(DerError::Version.into());
    }
    let originator_info = content.optional(tag::context_constructed(0))?.map(|info| info.raw.to_vec());
    let recipients = content.nested(tag::SET, |set| {
        let mut recipients = Vec::new();
        while !set.is_empty() {
            recipients.push(RecipientInfo::read(set)?);
        }
        if recipients.is_empty() {
            Err(DerError::EmptyList.into())
        } else {
            Ok::<_, EnvelopedError>(recipients)
        }
    })?;
    let (content_type, encryption, encrypted_content) = content.sequence(|encrypted| {
        let content_type = encrypted.oid()?;
        let encryption = ContentEncryption::read(encrypted)?;
        let octets = encrypted.optional(tag::context(0))?.ok_or(EnvelopedError::NoContent)?;
        Ok::<_, EnvelopedError>((content_type, encryption, octets.value.to_vec()))
    })?;
    // Each cipher only in its own kind of message: a key must not serve two modes (RFC 9709 §1).
    if encryption.cipher().authenticates() != authenticated {
        return Err(EnvelopedError::UnsupportedCipher(encryption.cipher().oid()));
    }
    let authentication = if authenticated { Some(read_authentication(content, content_type)?) } else { None };
    let unprotected = tag::context_constructed(if authenticated { 2 } else { 1 });
    let unprotected_attributes = content.optional(unprotected)?.map(|attributes| attributes.raw.to_vec());
    Ok(EnvelopedData {
        version,
        originator_info,
        recipients,
        content_type,
        encryption,
        encrypted_content,
        authentication,
        unprotected_attributes,
    })
}

fn read_authentication(
    content: &mut Reader<'_>,
    content_type: ObjectIdentifier,
) -> Result<Authentication, EnvelopedError> {
    let attributes = content.optional(tag::context_constructed(1))?.map(|attributes| attributes.value);
    match attributes {
        Some(contents) => check_content_type(contents, content_type)?,
        None if content_type == DATA => (),
        None => return Err(EnvelopedError::ContentType),
    }
    let mac = content.octet_string()?.to_vec();
    // A shorter tag is easier to guess, whatever the library makes of it.
    if mac.len() != cipher::GCM_TAG_OCTETS {
        return Err(EnvelopedError::CipherParameters);
    }
    Ok(Authentication { attributes: attributes.map(<[u8]>::to_vec), mac })
}

/// RFC 5083 §2.1: the content-type attribute is present once and has the type of the encrypted content.
fn check_content_type(contents: &[u8], content_type: ObjectIdentifier) -> Result<(), EnvelopedError> {
    let attributes = parse_all(contents, Attribute::read_all)?;
    let mut matching = attributes.iter().filter(|attribute| attribute.oid == CONTENT_TYPE);
    let expected = encode(|writer| writer.oid(&content_type));
    match (matching.next().map(|attribute| attribute.values.as_slice()), matching.next()) {
        (Some([value]), None) if *value == expected => Ok(()),
        _ => Err(EnvelopedError::ContentType),
    }
}

/// The contents of `[1] AuthAttributes` that hold the content type only.
fn content_type_attributes(content_type: &ObjectIdentifier) -> Vec<u8> {
    let value = encode(|writer| writer.oid(content_type));
    encode(|writer| Attribute::new(CONTENT_TYPE, vec![value]).write(writer))
}

/// RFC 5083 §2.2: what is authenticated has the tag of SET OF, not the IMPLICIT one.
fn set_of(contents: &[u8]) -> Vec<u8> {
    encode(|writer| writer.primitive(tag::SET, contents))
}

fn random_key(octets: usize) -> Result<Zeroizing<Vec<u8>>, EnvelopedError> {
    let mut key = Zeroizing::new(vec![0; octets]);
    rand::fill(&mut key).map_err(|_| EnvelopedError::Encryption)?;
    Ok(key)
}
