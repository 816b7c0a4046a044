//! AES key wrap (RFC 3394, RFC 3565 §2.3.2), by itself for a shared key and inside a key agreement.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrap};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::EnvelopedError;
use crate::der_io::{encode, parse_all};

/// What a key wraps with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrapCipher {
    Aes128,
    Aes256,
}

const AES128_WRAP: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.5");
const AES256_WRAP: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.45");

/// A wrapped key is longer by this much.
const OVERHEAD: usize = 8;

impl WrapCipher {
    pub(super) const fn for_key(octets: usize) -> Option<Self> {
        match octets {
            16 => Some(Self::Aes128),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }

    pub(super) const fn key_octets(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    /// The whole `AlgorithmIdentifier`, which has no parameters.
    pub(super) fn identifier_der(self) -> Vec<u8> {
        let oid = match self {
            Self::Aes128 => AES128_WRAP,
            Self::Aes256 => AES256_WRAP,
        };
        encode(|writer| writer.sequence(|identifier| identifier.oid(&oid)))
    }

    pub(super) fn from_identifier_der(der: &[u8]) -> Result<Self, EnvelopedError> {
        parse_all(der, |reader| {
            reader.sequence(|identifier| {
                let cipher = match identifier.oid()? {
                    AES128_WRAP => Self::Aes128,
                    AES256_WRAP => Self::Aes256,
                    other => return Err(EnvelopedError::UnsupportedKeyManagement(other)),
                };
                if identifier.is_empty() { Ok(cipher) } else { Err(EnvelopedError::KeyManagementParameters) }
            })
        })
    }

    pub(super) fn wrap(self, key: &[u8], content_key: &[u8]) -> Result<Vec<u8>, EnvelopedError> {
        let mut wrapped = vec![0; content_key.len() + OVERHEAD];
        let kek = AesKek::new(self.algorithm(), key).map_err(|_| EnvelopedError::Encryption)?;
        let octets = kek.wrap(content_key, &mut wrapped).map_err(|_| EnvelopedError::Encryption)?.len();
        wrapped.truncate(octets);
        Ok(wrapped)
    }

    /// The content key; none where this is not its wrapping.
    pub(super) fn unwrap(self, key: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut content_key = Zeroizing::new(vec![0; wrapped.len()]);
        let kek = AesKek::new(self.algorithm(), key).ok()?;
        let octets = kek.unwrap(wrapped, &mut content_key).ok()?.len();
        content_key.truncate(octets);
        Some(content_key)
    }

    const fn algorithm(self) -> &'static AesBlockCipher {
        match self {
            Self::Aes128 => &AES_128,
            Self::Aes256 => &AES_256,
        }
    }
}
