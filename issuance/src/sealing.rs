//! Secrets at rest: AES-256-GCM under a key that is not in the database.
//!
//! A sealed value is `1 ‖ key identifier (8) ‖ nonce (12) ‖ ciphertext and tag`. It is bound to a purpose (its name), so
//! that a value cannot be moved to another row. Several keys may be known: the first seals, all unseal, which is how a
//! key is replaced.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{error::Error, ports::random, secret::Secret};

const VERSION: u8 = 1;
const KEY_ID_LENGTH: usize = 8;
const HEADER_LENGTH: usize = 1 + KEY_ID_LENGTH + NONCE_LEN;

/// The keys that seal and unseal, newest first.
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    id: [u8; KEY_ID_LENGTH],
    key: LessSafeKey,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    #[error("a sealing key is 32 octets in base64, one key a line, the newest first")]
    KeyFormat,
    #[error("there is no sealing key")]
    NoKey,
    #[error("sealed with another key ({key_id}); add that key to the sealing keys")]
    UnknownKey { key_id: String },
    #[error("what was sealed was changed or belongs elsewhere")]
    Tampered,
    #[error("the random generator failed")]
    Random,
}

impl From<SealingError> for Error {
    fn from(error: SealingError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.keys.iter().map(|key| hex::encode(key.id)).collect();
        f.debug_struct("SealingKeys").field("ids", &ids).finish_non_exhaustive()
    }
}

impl SealingKeys {
    /// From text: one base64 key a line, newest first; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// [`SealingError::KeyFormat`], [`SealingError::NoKey`].
    pub fn parse(text: &str) -> Result<Self, SealingError> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let bytes = Zeroizing::new(STANDARD.decode(line).map_err(|_| SealingError::KeyFormat)?);
            keys.push(SealingKey::new(&bytes)?);
        }
        if keys.is_empty() {
            return Err(SealingError::NoKey);
        }
        Ok(Self { keys })
    }

    /// A new random key as a line for a key file.
    ///
    /// # Errors
    /// [`SealingError::Random`].
    pub fn generate_line() -> Result<Zeroizing<String>, SealingError> {
        let key = Zeroizing::new(random::<32>().map_err(|_| SealingError::Random)?);
        Ok(Zeroizing::new(STANDARD.encode(key.as_slice())))
    }

    /// # Errors
    /// [`SealingError::Random`] where no nonce could be had.
    pub fn seal(&self, purpose: &str, secret: &Secret) -> Result<Vec<u8>, SealingError> {
        let key = self.keys.first().ok_or(SealingError::NoKey)?;
        let nonce = random::<NONCE_LEN>().map_err(|_| SealingError::Random)?;
        let mut sealed = Vec::with_capacity(HEADER_LENGTH + secret.expose().len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut body = secret.expose().to_vec();
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(purpose), &mut body)
            .map_err(|_| SealingError::Random)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// # Errors
    /// [`SealingError::UnknownKey`], [`SealingError::Tampered`].
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, SealingError> {
        let (key_id, nonce, body) = split(sealed).ok_or(SealingError::Tampered)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == key_id)
            .ok_or_else(|| SealingError::UnknownKey { key_id: hex::encode(key_id) })?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = key
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), aad(purpose), &mut body)
            .map_err(|_| SealingError::Tampered)?;
        Ok(Secret::new(&*plain))
    }

    /// Whether the newest key sealed this.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        let key_id = split(sealed).map(|(key_id, ..)| key_id);
        key_id.is_some() && key_id == self.keys.first().map(|key| key.id)
    }
}

impl SealingKey {
    fn new(bytes: &[u8]) -> Result<Self, SealingError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealingError::KeyFormat)?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"chancery sealing key id v1\0");
        context.update(bytes);
        let mut id = [0; KEY_ID_LENGTH];
        for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

fn aad(purpose: &str) -> Aad<Vec<u8>> {
    Aad::from([b"chancery sealed v1\0".as_slice(), purpose.as_bytes()].concat())
}

fn split(sealed: &[u8]) -> Option<([u8; KEY_ID_LENGTH], [u8; NONCE_LEN], &[u8])> {
    let (version, rest) = sealed.split_first()?;
    let (key_id, rest) = rest.split_first_chunk()?;
    let (nonce, body) = rest.split_first_chunk()?;
    (*version == VERSION).then_some((*key_id, *nonce, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(lines: &[&str]) -> SealingKeys {
        SealingKeys::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn what_is_sealed_comes_back_only_for_its_purpose() {
        let line = SealingKeys::generate_line().unwrap();
        let keys = keys(&[&line]);
        let sealed = keys.seal("role/tls", &Secret::new("private")).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_eq!(keys.unseal("role/tls", &sealed).unwrap(), Secret::new("private"));
        assert_eq!(keys.unseal("role/ra", &sealed), Err(SealingError::Tampered));
    }

    #[test]
    fn a_key_is_replaced_by_putting_the_new_one_first() {
        let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
        let sealed = keys(&[&old]).seal("x", &Secret::new("s")).unwrap();
        let both = keys(&["# newest first", &new, "", &old]);
        assert!(!both.is_current(&sealed));
        assert_eq!(both.unseal("x", &sealed).unwrap(), Secret::new("s"));
        let again = both.seal("x", &Secret::new("s")).unwrap();
        assert!(both.is_current(&again));
        assert!(matches!(keys(&[&old]).unseal("x", &again), Err(SealingError::UnknownKey { .. })));
    }

    #[test]
    fn bad_keys_are_refused() {
        assert!(matches!(SealingKeys::parse("# nothing"), Err(SealingError::NoKey)));
        for text in ["short", "AAAA", &"A".repeat(100)] {
            assert!(matches!(SealingKeys::parse(text), Err(SealingError::KeyFormat)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_octet_is_always_seen(secret in prop::collection::vec(any::<u8>(), 0..64), place: prop::sample::Index, flip in 1u8..) {
            let keys = keys(&[&SealingKeys::generate_line().unwrap()]);
            let mut sealed = keys.seal("p", &Secret::new(secret)).unwrap();
            let place = place.index(sealed.len());
            sealed[place] ^= flip;
            prop_assert!(keys.unseal("p", &sealed).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_unseal(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let keys = keys(&[&SealingKeys::generate_line().unwrap()]);
            prop_assert!(keys.unseal("p", &bytes).is_err());
        }
    }
}
