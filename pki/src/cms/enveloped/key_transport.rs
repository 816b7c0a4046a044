//! Key transport with RSA: PKCS #1 v1.5 (RFC 3370 §4.2.1) and OAEP (RFC 3560).

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey,
    Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::EnvelopedError;
use crate::{
    der_io::{DerError, Reader, encode, parse_all, tag},
    key::PublicKey,
};

/// How a content key is padded before RSA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RsaPadding {
    /// Every client reads it.
    #[default]
    Pkcs1,
    /// OAEP with SHA-256 for both digests and no label; for clients that say they can.
    OaepSha256,
}

/// A private key, ready for either padding.
pub(super) struct RsaDecryptionKey {
    pkcs1: Pkcs1PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const P_SPECIFIED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.9");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

impl RsaPadding {
    /// The whole `KeyEncryptionAlgorithmIdentifier`.
    pub(super) fn identifier_der(self) -> Vec<u8> {
        encode(|writer| {
            writer.sequence(|identifier| match self {
                Self::Pkcs1 => {
                    identifier.oid(&RSA_ENCRYPTION);
                    identifier.null();
                }
                Self::OaepSha256 => {
                    identifier.oid(&RSAES_OAEP);
                    identifier.sequence(|parameters| {
                        parameters.nested(tag::context_constructed(0), |hash| {
                            hash.sequence(|sha256| sha256.oid(&SHA256));
                        });
                        parameters.nested(tag::context_constructed(1), |mask| {
                            mask.sequence(|mgf1| {
                                mgf1.oid(&MGF1);
                                mgf1.sequence(|sha256| sha256.oid(&SHA256));
                            });
                        });
                    });
                }
            });
        })
    }

    fn from_identifier_der(der: &[u8]) -> Result<Self, EnvelopedError> {
        parse_all(der, |reader| {
            reader.sequence(|identifier| match identifier.oid()? {
                RSA_ENCRYPTION => {
                    identifier.null()?;
                    Ok(Self::Pkcs1)
                }
                RSAES_OAEP => identifier.sequence(read_oaep_parameters),
                other => Err(EnvelopedError::UnsupportedKeyManagement(other)),
            })
        })
    }

    pub(super) fn encrypt(self, key: &PublicKey, content_key: &[u8]) -> Result<Vec<u8>, EnvelopedError> {
        let key = PublicEncryptingKey::from_der(key.spki_der()).map_err(|_| EnvelopedError::RecipientKey)?;
        let mut buffer = vec![0; key.key_size_bytes()];
        let encrypted = match self {
            Self::Pkcs1 => Pkcs1PublicEncryptingKey::new(key)
                .and_then(|key| key.encrypt(content_key, &mut buffer).map(|encrypted| encrypted.len())),
            Self::OaepSha256 => OaepPublicEncryptingKey::new(key).and_then(|key| {
                let encrypted = key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut buffer, None);
                encrypted.map(|encrypted| encrypted.len())
            }),
        };
        let octets = encrypted.map_err(|_| EnvelopedError::Encryption)?;
        buffer.truncate(octets);
        Ok(buffer)
    }
}

impl RsaDecryptionKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, EnvelopedError> {
        let key = || PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| EnvelopedError::PrivateKey);
        Ok(Self {
            pkcs1: Pkcs1PrivateDecryptingKey::new(key()?).map_err(|_| EnvelopedError::PrivateKey)?,
            oaep: OaepPrivateDecryptingKey::new(key()?).map_err(|_| EnvelopedError::PrivateKey)?,
        })
    }

    /// The content key; none where it does not come out, whatever the reason.
    pub(super) fn decrypt(
        &self,
        algorithm: &[u8],
        encrypted_key: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, EnvelopedError> {
        let mut buffer =
            Zeroizing::new(vec![0; self.pkcs1.min_output_size().max(self.oaep.min_output_size())]);
        let decrypted = match RsaPadding::from_identifier_der(algorithm)? {
            RsaPadding::Pkcs1 => self.pkcs1.decrypt(encrypted_key, &mut buffer),
            RsaPadding::OaepSha256 => {
                self.oaep.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, &mut buffer, None)
            }
        };
        let octets = decrypted.map(|key| key.len());
        Ok(octets.ok().map(|octets| {
            buffer.truncate(octets);
            buffer
        }))
    }
}

/// RFC 4055 §4.1: all members default, to SHA-1 and to no label; SHA-1 is not supported.
fn read_oaep_parameters(parameters: &mut Reader<'_>) -> Result<RsaPadding, EnvelopedError> {
    let hash = parameters.optional_nested(tag::context_constructed(0), digest)?;
    let mask = parameters.optional_nested(tag::context_constructed(1), |mask| {
        mask.sequence(|identifier| {
            let oid = identifier.oid()?;
            Ok::<_, DerError>((oid, digest(identifier)?))
        })
    })?;
    let label = parameters.optional_nested(tag::context_constructed(2), |label| {
        label.sequence(|source| Ok::<_, DerError>((source.oid()?, source.octet_string()?)))
    })?;
    let known = hash == Some(SHA256) && mask == Some((MGF1, SHA256));
    if known && label.is_none_or(|label| label == (P_SPECIFIED, &[])) {
        Ok(RsaPadding::OaepSha256)
    } else {
        Err(EnvelopedError::KeyManagementParameters)
    }
}

/// RFC 4055 §2.1: the NULL parameters may be absent.
fn digest(reader: &mut Reader<'_>) -> Result<ObjectIdentifier, DerError> {
    reader.sequence(|identifier| {
        let oid = identifier.oid()?;
        if !identifier.is_empty() {
            identifier.null()?;
        }
        Ok(oid)
    })
}
