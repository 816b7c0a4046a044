//! For whom a message is, and with which key it is read.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    EnvelopedError, key_agreement,
    key_agreement::EcDecryptionKey,
    key_transport::{RsaDecryptionKey, RsaPadding},
    key_wrap::WrapCipher,
    wire::{KekRecipientInfo, KeyTransRecipientInfo, RecipientInfo},
};
use crate::{
    certificate::Certificate,
    extension::SubjectKeyIdentifier,
    key::{KeyType, PublicKey},
    key_package::private_key_info,
    name::Name,
    serial::SerialNumber,
};

/// How a message names the key of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientIdentifier {
    IssuerAndSerialNumber { issuer: Name, serial: SerialNumber },
    SubjectKeyIdentifier(Vec<u8>),
}

/// Whom to encrypt for.
#[derive(Clone, Debug)]
pub struct Recipient(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Asymmetric { identifier: RecipientIdentifier, key: PublicKey, padding: RsaPadding },
    Symmetric(SymmetricKey),
}

/// An AES key that both sides have, and the name they have for it.
#[derive(Clone)]
pub struct SymmetricKey {
    identifier: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    cipher: WrapCipher,
}

/// A private or shared key that reads messages, and the names it goes by.
pub struct DecryptionKey {
    identifiers: Vec<RecipientIdentifier>,
    secret: Secret,
}

enum Secret {
    Rsa(RsaDecryptionKey),
    Ec(EcDecryptionKey),
    Symmetric(SymmetricKey),
}

impl RecipientIdentifier {
    /// The issuer and serial number of a certificate.
    pub fn of_certificate(certificate: &Certificate) -> Self {
        Self::IssuerAndSerialNumber { issuer: certificate.issuer().clone(), serial: *certificate.serial() }
    }
}

impl Recipient {
    /// The owner of a certificate, by its issuer and serial number. Whether its usages allow it is for the caller.
    pub fn certificate(certificate: &Certificate) -> Result<Self, EnvelopedError> {
        Self::public_key(RecipientIdentifier::of_certificate(certificate), certificate.public_key())
    }

    /// The owner of a key, under the name that the owner has for it: key transport for RSA, key agreement for EC keys.
    pub fn public_key(identifier: RecipientIdentifier, key: &PublicKey) -> Result<Self, EnvelopedError> {
        match key.key_type() {
            KeyType::Ecdsa(_) => (),
            KeyType::Rsa { bits } if bits >= 2048 => (),
            KeyType::Rsa { .. } | KeyType::Ed25519 => return Err(EnvelopedError::RecipientKey),
        }
        let padding = RsaPadding::default();
        Ok(Self(Kind::Asymmetric { identifier, key: key.clone(), padding }))
    }

    /// Whoever has the shared key.
    pub fn symmetric(key: SymmetricKey) -> Self {
        Self(Kind::Symmetric(key))
    }

    /// Another padding than PKCS #1 v1.5, where the key is an RSA one.
    #[must_use]
    pub fn with_rsa_padding(mut self, padding: RsaPadding) -> Self {
        if let Kind::Asymmetric { padding: current, .. } = &mut self.0 {
            *current = padding;
        }
        self
    }

    pub(super) fn wrap(&self, content_key: &[u8]) -> Result<RecipientInfo, EnvelopedError> {
        match &self.0 {
            Kind::Asymmetric { identifier, key, padding } => match key.key_type() {
                KeyType::Rsa { .. } => Ok(RecipientInfo::KeyTransport(KeyTransRecipientInfo {
                    identifier: identifier.clone(),
                    algorithm: padding.identifier_der(),
                    encrypted_key: padding.encrypt(key, content_key)?,
                })),
                KeyType::Ecdsa(curve) => {
                    let info = key_agreement::encrypt(identifier, curve, key.key_bytes(), content_key)?;
                    Ok(RecipientInfo::KeyAgreement(info))
                }
                KeyType::Ed25519 => Err(EnvelopedError::RecipientKey),
            },
            Kind::Symmetric(shared) => Ok(RecipientInfo::KeyEncryptionKey(KekRecipientInfo {
                identifier: shared.identifier.clone(),
                date_and_other: Vec::new(),
                algorithm: shared.cipher.identifier_der(),
                encrypted_key: shared.cipher.wrap(&shared.key, content_key)?,
            })),
        }
    }
}

impl SymmetricKey {
    /// An AES key of 16 or 32 octets.
    pub fn new(identifier: impl Into<Vec<u8>>, key: Zeroizing<Vec<u8>>) -> Result<Self, EnvelopedError> {
        let cipher = WrapCipher::for_key(key.len()).ok_or(EnvelopedError::SymmetricKeyLength)?;
        Ok(Self { identifier: identifier.into(), key, cipher })
    }

    pub fn identifier(&self) -> &[u8] {
        &self.identifier
    }
}

impl DecryptionKey {
    /// The private key of a certificate in PKCS #8: it goes by issuer and serial number, and by the subject key
    /// identifier where the certificate has one. Whether the two belong together shows when a message is read.
    pub fn for_certificate(certificate: &Certificate, pkcs8: &[u8]) -> Result<Self, EnvelopedError> {
        let mut identifiers = vec![RecipientIdentifier::of_certificate(certificate)];
        if let Ok(Some(SubjectKeyIdentifier(octets))) = certificate.subject_key_identifier() {
            identifiers.push(RecipientIdentifier::SubjectKeyIdentifier(octets));
        }
        Ok(Self { identifiers, secret: Secret::from_pkcs8(pkcs8)? })
    }

    /// A private key in PKCS #8 that goes by one name.
    pub fn private_key(identifier: RecipientIdentifier, pkcs8: &[u8]) -> Result<Self, EnvelopedError> {
        Ok(Self { identifiers: vec![identifier], secret: Secret::from_pkcs8(pkcs8)? })
    }

    pub fn symmetric(key: SymmetricKey) -> Self {
        Self { identifiers: Vec::new(), secret: Secret::Symmetric(key) }
    }

    /// The content key from the first recipient that this is the key of; none where it does not come out.
    pub(super) fn unwrap(
        &self,
        recipients: &[RecipientInfo],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, EnvelopedError> {
        let unwrapped = recipients.iter().find_map(|recipient| match (&self.secret, recipient) {
            (Secret::Rsa(key), RecipientInfo::KeyTransport(info)) => {
                self.goes_by(&info.identifier).then(|| key.decrypt(&info.algorithm, &info.encrypted_key))
            }
            (Secret::Ec(key), RecipientInfo::KeyAgreement(info)) => {
                let own = info.keys.iter().find(|wrapped| self.goes_by(&wrapped.identifier));
                own.map(|wrapped| key.decrypt(info, &wrapped.encrypted_key))
            }
            (Secret::Symmetric(key), RecipientInfo::KeyEncryptionKey(info)) => {
                (info.identifier == key.identifier).then(|| {
                    let cipher = WrapCipher::from_identifier_der(&info.algorithm)?;
                    Ok(cipher.unwrap(&key.key, &info.encrypted_key))
                })
            }
            (
                Secret::Rsa(_) | Secret::Ec(_) | Secret::Symmetric(_),
                RecipientInfo::KeyTransport(_)
                | RecipientInfo::KeyAgreement(_)
                | RecipientInfo::KeyEncryptionKey(_)
                | RecipientInfo::Other(_),
            ) => None,
        });
        unwrapped.unwrap_or(Err(EnvelopedError::NotRecipient))
    }

    fn goes_by(&self, identifier: &RecipientIdentifier) -> bool {
        self.identifiers.contains(identifier)
    }
}

impl Secret {
    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, EnvelopedError> {
        // The library would take other formats for EC keys than for RSA ones.
        let info = private_key_info(pkcs8).map_err(|_| EnvelopedError::PrivateKey)?;
        match EcDecryptionKey::from_pkcs8(&info) {
            Some(key) => Ok(Self::Ec(key)),
            None => RsaDecryptionKey::from_pkcs8(&info).map(Self::Rsa),
        }
    }
}

/// Without the key.
impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SymmetricKey({})", hex::encode(&self.identifier))
    }
}

/// Without the key.
impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey").field("identifiers", &self.identifiers).finish_non_exhaustive()
    }
}
