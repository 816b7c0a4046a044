//! Ciphers for the content: AES in CBC mode (RFC 3565) and, authenticated, in GCM mode (RFC 5084).

use aws_lc_rs::{
    aead::{self, Aad, LessSafeKey, Nonce, UnboundKey},
    cipher::{
        AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    error::Unspecified,
    iv::FixedLength,
    rand,
};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::EnvelopedError;
use crate::der_io::{Reader, Writer};

/// How content is encrypted. The ones with GCM make `AuthEnvelopedData`, which fewer programs read than
/// `EnvelopedData`; OpenSSL 3.0 reads them for `id-data` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentCipher {
    Aes128Cbc,
    Aes256Cbc,
    Aes128Gcm,
    Aes256Gcm,
}

/// A cipher and its initialisation vector (CBC, 16 octets) or nonce (GCM, 12 octets).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ContentEncryption {
    cipher: ContentCipher,
    nonce: Vec<u8>,
}

const AES128_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const AES128_GCM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.6");
const AES256_GCM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.46");

const BLOCK_OCTETS: usize = 16;
const GCM_NONCE_OCTETS: usize = 12;
pub(super) const GCM_TAG_OCTETS: usize = 16;

impl ContentCipher {
    pub const ALL: [Self; 4] = [Self::Aes128Cbc, Self::Aes256Cbc, Self::Aes128Gcm, Self::Aes256Gcm];

    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes128Cbc => AES128_CBC,
            Self::Aes256Cbc => AES256_CBC,
            Self::Aes128Gcm => AES128_GCM,
            Self::Aes256Gcm => AES256_GCM,
        }
    }

    /// The cipher with this identifier, as in the S/MIME capabilities of a client.
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|cipher| cipher.oid() == oid)
    }

    /// Whether the message is an `AuthEnvelopedData`.
    pub const fn authenticates(self) -> bool {
        match self {
            Self::Aes128Cbc | Self::Aes256Cbc => false,
            Self::Aes128Gcm | Self::Aes256Gcm => true,
        }
    }

    pub(super) const fn key_octets(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    const fn nonce_octets(self) -> usize {
        if self.authenticates() { GCM_NONCE_OCTETS } else { BLOCK_OCTETS }
    }
}

impl ContentEncryption {
    /// A fresh initialisation vector or nonce; the key is fresh too, so that no nonce meets a key twice.
    pub(super) fn random(cipher: ContentCipher) -> Result<Self, EnvelopedError> {
        let mut nonce = vec![0; cipher.nonce_octets()];
        rand::fill(&mut nonce).map_err(|_| EnvelopedError::Encryption)?;
        Ok(Self { cipher, nonce })
    }

    pub(super) fn cipher(&self) -> ContentCipher {
        self.cipher
    }

    /// Reads the `ContentEncryptionAlgorithmIdentifier` that comes next.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        reader.sequence(|identifier| {
            let oid = identifier.oid()?;
            let Some(cipher) = ContentCipher::from_oid(oid) else {
                // Its parameters are nobody's business.
                return Err(EnvelopedError::UnsupportedCipher(oid));
            };
            let nonce = if cipher.authenticates() {
                identifier.sequence(read_gcm_parameters)?
            } else {
                identifier.octet_string()?
            };
            if nonce.len() != cipher.nonce_octets() {
                return Err(EnvelopedError::CipherParameters);
            }
            Ok(Self { cipher, nonce: nonce.to_vec() })
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.sequence(|identifier| {
            identifier.oid(&self.cipher.oid());
            if self.cipher.authenticates() {
                identifier.sequence(|parameters| {
                    parameters.octet_string(&self.nonce);
                    parameters.small_unsigned(GCM_TAG_OCTETS as u64);
                });
            } else {
                identifier.octet_string(&self.nonce);
            }
        });
    }

    /// CBC with the padding of RFC 5652 §6.3.
    pub(super) fn encrypt(&self, key: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, EnvelopedError> {
        // Room for the padding, so that no copy of the plaintext is left behind.
        let mut buffer = Vec::with_capacity(plaintext.len() + BLOCK_OCTETS);
        buffer.extend_from_slice(plaintext);
        let encrypt = |buffer: &mut Vec<u8>| -> Result<(), Unspecified> {
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(self.cbc_key(key)?)?;
            let iv = FixedLength::<BLOCK_OCTETS>::try_from(self.nonce.as_slice())?;
            key.less_safe_encrypt(buffer, EncryptionContext::Iv128(iv)).map(drop)
        };
        encrypt(&mut buffer).map_err(|_| EnvelopedError::Encryption)?;
        Ok(buffer)
    }

    pub(super) fn decrypt(&self, key: &[u8], encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopedError> {
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let decrypt = |buffer: &mut [u8]| -> Result<usize, Unspecified> {
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(self.cbc_key(key)?)?;
            let iv = FixedLength::<BLOCK_OCTETS>::try_from(self.nonce.as_slice())?;
            Ok(key.decrypt(buffer, DecryptionContext::Iv128(iv))?.len())
        };
        let octets = decrypt(&mut buffer).map_err(|_| EnvelopedError::Decryption)?;
        buffer.truncate(octets);
        Ok(buffer)
    }

    /// GCM: the encrypted content and the tag over it and `covered`.
    pub(super) fn seal(
        &self,
        key: &[u8],
        covered: &[u8],
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), EnvelopedError> {
        let mut buffer = plaintext.to_vec();
        let seal = |buffer: &mut [u8]| -> Result<aead::Tag, Unspecified> {
            let nonce = Nonce::try_assume_unique_for_key(&self.nonce)?;
            self.gcm_key(key)?.seal_in_place_separate_tag(nonce, Aad::from(covered), buffer)
        };
        let mac = seal(&mut buffer).map_err(|_| EnvelopedError::Encryption)?;
        Ok((buffer, mac.as_ref().to_vec()))
    }

    pub(super) fn open(
        &self,
        key: &[u8],
        covered: &[u8],
        encrypted: &[u8],
        mac: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, EnvelopedError> {
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let open = |buffer: &mut [u8]| -> Result<(), Unspecified> {
            let nonce = Nonce::try_assume_unique_for_key(&self.nonce)?;
            let key = self.gcm_key(key)?;
            key.open_in_place_separate_tag(nonce, Aad::from(covered), mac, buffer).map(drop)
        };
        open(&mut buffer).map_err(|_| EnvelopedError::Decryption)?;
        Ok(buffer)
    }

    fn cbc_key(&self, key: &[u8]) -> Result<UnboundCipherKey, Unspecified> {
        let algorithm = match self.cipher {
            ContentCipher::Aes128Cbc => &AES_128,
            ContentCipher::Aes256Cbc => &AES_256,
            ContentCipher::Aes128Gcm | ContentCipher::Aes256Gcm => return Err(Unspecified),
        };
        UnboundCipherKey::new(algorithm, key)
    }

    fn gcm_key(&self, key: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let algorithm = match self.cipher {
            ContentCipher::Aes128Gcm => &aead::AES_128_GCM,
            ContentCipher::Aes256Gcm => &aead::AES_256_GCM,
            ContentCipher::Aes128Cbc | ContentCipher::Aes256Cbc => return Err(Unspecified),
        };
        Ok(LessSafeKey::new(UnboundKey::new(algorithm, key)?))
    }
}

/// RFC 5084 §3.2: `SEQUENCE { aes-nonce, aes-ICVlen DEFAULT 12 }`. The library knows tags of 16 octets only.
fn read_gcm_parameters<'a>(parameters: &mut Reader<'a>) -> Result<&'a [u8], EnvelopedError> {
    let nonce = parameters.octet_string()?;
    let is_known = !parameters.is_empty() && parameters.small_unsigned()? == GCM_TAG_OCTETS as u64;
    if is_known { Ok(nonce) } else { Err(EnvelopedError::CipherParameters) }
}
