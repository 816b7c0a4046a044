//! Credentials as rows: who may ask over one method, how that is checked, and for how long.

mod previous;
mod usage;

use std::{collections::BTreeSet, fmt};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::time::Time;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::{
    acme::Restriction,
    error::{AuthenticationFailure, Error},
    identity::{CredentialId, Owner, Protocol, ResourceName},
    policy::Strength,
    ports::random,
    rest::RestActions,
    sealing::{SealingError, SealingKeys},
    secret::Secret,
};

pub use previous::PreviousValue;
pub use usage::{CredentialUsage, GrantedUses, Seen, UsageCollector, UsageFailure, UsageNote};

/// One credential of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRow {
    pub id: CredentialId,
    /// Grows with every change, so that what was checked against an older row does not commit.
    pub version: u64,
    pub method: ResourceName,
    pub protocol: Protocol,
    /// Name for people: the resource that declares it, or what its maker chose.
    pub name: ResourceName,
    /// None: a secret of the method, accepted with any user name. For ACME the key identifier (RFC 8555 §7.3.4).
    /// For REST the name of the access key: unique among all methods.
    pub username: Option<String>,
    #[serde(skip_serializing)]
    pub verifier: Verifier,
    /// Accepted beside it for a while, after a rotation.
    #[serde(skip_serializing)]
    pub previous: Option<PreviousValue>,
    pub owner: Option<Owner>,
    pub state: CredentialState,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub maximum_uses: Option<u64>,
    pub uses: u64,
    pub last_used_at: Option<Time>,
    /// Whether a resource declares it; such a row changes through the resource only.
    pub declared: bool,
    /// The resource's `spec.regeneration` that made the current value.
    pub regeneration: u64,
    /// Which names may be asked for with it (ACME); none: whatever the profile allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<Restriction>,
    /// What may be done with it (REST).
    #[serde(default, skip_serializing_if = "RestActions::is_empty")]
    pub actions: RestActions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialState {
    Active,
    Revoked,
}

impl CredentialRow {
    /// Whether it may be used now.
    ///
    /// # Errors
    /// The reason it may not, for the log.
    pub fn usable(&self, now: Time) -> Result<(), AuthenticationFailure> {
        self.lasts(now)?;
        if self.is_used_up() { Err(AuthenticationFailure::UsedUp) } else { Ok(()) }
    }

    /// Whether it is neither revoked nor expired, used up or not.
    ///
    /// # Errors
    /// As [`CredentialRow::usable`].
    pub fn lasts(&self, now: Time) -> Result<(), AuthenticationFailure> {
        match self.state {
            CredentialState::Revoked => return Err(AuthenticationFailure::Revoked),
            CredentialState::Active => {}
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthenticationFailure::Expired);
        }
        Ok(())
    }

    /// Whether it was used as often as it may be.
    pub fn is_used_up(&self) -> bool {
        self.maximum_uses.is_some_and(|most| self.uses >= most)
    }

    /// A secret of one user says more than one that a method's users share.
    pub fn strength(&self) -> Strength {
        if self.username.is_some() { Strength::PersonalSecret } else { Strength::SharedSecret }
    }
}

/// How a presented secret is checked, without the secret itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Verifier {
    /// Of a secret that we made with 160 bits of entropy: nothing to gain from a slow hash.
    Sha256 {
        #[serde(with = "hex::serde")]
        hash: [u8; 32],
        /// Who else knows it, or knew one before it: as [`crate::approval::marks`] tells people apart.
        #[serde(default, rename = "knownTo", skip_serializing_if = "BTreeSet::is_empty")]
        known_to: BTreeSet<String>,
    },
    /// Of a secret that a person may have chosen (RFC 9106).
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        #[serde(with = "hex::serde")]
        salt: [u8; 16],
        #[serde(with = "hex::serde")]
        hash: [u8; 32],
    },
    /// The key itself, sealed, because a MAC is checked with it (RFC 8555 §7.3.4). Never compared with anything that is
    /// presented.
    HmacKey {
        /// Bound to the credential: see [`Verifier::hmac_key`].
        #[serde(with = "hex::serde")]
        sealed: Vec<u8>,
        /// Says whether two keys are the same.
        #[serde(with = "hex::serde")]
        fingerprint: [u8; 32],
        /// As that of [`Verifier::Sha256`].
        #[serde(default, rename = "knownTo", skip_serializing_if = "BTreeSet::is_empty")]
        known_to: BTreeSet<String>,
    },
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 { .. } => "Verifier::Sha256(redacted)",
            Self::Argon2id { .. } => "Verifier::Argon2id(redacted)",
            Self::HmacKey { .. } => "Verifier::HmacKey(redacted)",
        })
    }
}

/// Most bytes of a presented secret that are looked at.
pub const MAX_SECRET_LENGTH: usize = 1024;

/// Fewest octets of an HMAC key: as many as SHA-256 gives (RFC 7518 §3.2).
pub const MIN_HMAC_KEY_LENGTH: usize = 32;

// RFC 9106 §4 second recommended option, with less memory: 19 MiB and two passes is OWASP's floor, and one check
// must not take a small machine's memory.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

impl Verifier {
    /// Of a secret from [`generate`].
    pub fn of_generated(secret: &Secret) -> Self {
        Self::Sha256 { hash: sha256(secret), known_to: BTreeSet::new() }
    }

    /// Of a secret from anywhere else. Takes tens of milliseconds on purpose.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an empty or oversized secret; [`Error::Internal`] where hashing fails.
    pub fn of_chosen(secret: &Secret) -> Result<Self, Error> {
        if secret.is_empty() || secret.expose().len() > MAX_SECRET_LENGTH {
            return Err(Error::Malformed(format!("a secret has 1 to {MAX_SECRET_LENGTH} octets")));
        }
        let salt = random::<16>()?;
        let hash = argon2id(secret, &salt, MEMORY_KIB, PASSES, LANES)?;
        Ok(Self::Argon2id { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt, hash })
    }

    /// Of an HMAC key, octets, for this credential.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a key of fewer than [`MIN_HMAC_KEY_LENGTH`] or more than [`MAX_SECRET_LENGTH`] octets;
    /// [`Error::Internal`] where it cannot be sealed.
    pub fn of_hmac_key(keys: &SealingKeys, credential: &CredentialId, key: &Secret) -> Result<Self, Error> {
        if !(MIN_HMAC_KEY_LENGTH..=MAX_SECRET_LENGTH).contains(&key.expose().len()) {
            return Err(Error::Malformed(format!(
                "an HMAC key has {MIN_HMAC_KEY_LENGTH} to {MAX_SECRET_LENGTH} octets"
            )));
        }
        let sealed = keys.seal(&hmac_key_purpose(credential), key)?;
        Ok(Self::HmacKey { sealed, fingerprint: hmac_key_fingerprint(key), known_to: BTreeSet::new() })
    }

    /// The HMAC key of this credential; none where it is checked in another way.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn hmac_key(
        &self,
        keys: &SealingKeys,
        credential: &CredentialId,
    ) -> Result<Option<Secret>, SealingError> {
        match self {
            Self::HmacKey { sealed, .. } => keys.unseal(&hmac_key_purpose(credential), sealed).map(Some),
            Self::Sha256 { .. } | Self::Argon2id { .. } => Ok(None),
        }
    }

    /// Of the HMAC key; none where there is none.
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        match self {
            Self::HmacKey { fingerprint, .. } => Some(*fingerprint),
            Self::Sha256 { .. } | Self::Argon2id { .. } => None,
        }
    }

    /// The same key sealed with the newest sealing key; none where nothing is to be done.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn resealed(
        &self,
        keys: &SealingKeys,
        credential: &CredentialId,
    ) -> Result<Option<Self>, SealingError> {
        match self {
            Self::HmacKey { sealed, fingerprint, known_to } if !keys.is_current(sealed) => {
                let purpose = hmac_key_purpose(credential);
                let sealed = keys.seal(&purpose, &keys.unseal(&purpose, sealed)?)?;
                let known_to = known_to.clone();
                Ok(Some(Self::HmacKey { sealed, fingerprint: *fingerprint, known_to }))
            }
            Self::HmacKey { .. } | Self::Sha256 { .. } | Self::Argon2id { .. } => Ok(None),
        }
    }

    /// Whom a secret that we made was shown to, besides its owner; nobody of other secrets.
    pub fn known_to(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::Sha256 { known_to, .. } | Self::HmacKey { known_to, .. } => Some(known_to),
            Self::Argon2id { .. } => None,
        }
        .into_iter()
        .flatten()
    }

    /// The same, shown to these too.
    #[must_use]
    pub(crate) fn shown_to(mut self, hands: impl IntoIterator<Item = String>) -> Self {
        match &mut self {
            Self::Sha256 { known_to, .. } | Self::HmacKey { known_to, .. } => known_to.extend(hands),
            Self::Argon2id { .. } => {}
        }
        self
    }

    /// Whether checking costs so much that it belongs on a thread of its own.
    pub fn is_slow(&self) -> bool {
        match self {
            Self::Sha256 { .. } | Self::HmacKey { .. } => false,
            Self::Argon2id { .. } => true,
        }
    }

    /// Whether this is the secret. Takes the same time whichever octet differs. An HMAC key is no password.
    ///
    /// # Errors
    /// [`Error::Internal`] where hashing fails, which is not a mismatch.
    pub fn matches(&self, presented: &Secret) -> Result<bool, Error> {
        if presented.is_empty() || presented.expose().len() > MAX_SECRET_LENGTH {
            return Ok(false);
        }
        Ok(match self {
            Self::Sha256 { hash, .. } => hash.ct_eq(&sha256(presented)).into(),
            Self::Argon2id { memory_kib, passes, lanes, salt, hash } => {
                hash.ct_eq(&argon2id(presented, salt, *memory_kib, *passes, *lanes)?).into()
            }
            Self::HmacKey { .. } => false,
        })
    }
}

/// A new secret: 160 random bits as 27 characters that survive every configuration file and shell.
///
/// # Errors
/// [`Error::Internal`] where the random generator fails.
pub fn generate() -> Result<Secret, Error> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<20>()?)))
}

/// A new HMAC key: 32 random octets. Handed out in base64url without padding.
///
/// # Errors
/// [`Error::Internal`] where the random generator fails.
pub fn generate_hmac_key() -> Result<Secret, Error> {
    Ok(Secret::new(random::<32>()?))
}

/// What two HMAC keys are compared by. They are random, so nothing is learnt from it.
pub fn hmac_key_fingerprint(key: &Secret) -> [u8; 32] {
    hash(b"chancery hmac key v1\0", key)
}

fn hmac_key_purpose(credential: &CredentialId) -> String {
    format!("credential/{credential}")
}

fn sha256(secret: &Secret) -> [u8; 32] {
    hash(b"chancery credential v1\0", secret)
}

fn hash(purpose: &[u8], secret: &Secret) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(purpose);
    context.update(secret.expose());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn argon2id(
    secret: &Secret,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
) -> Result<[u8; 32], Error> {
    let internal = |error: argon2::Error| Error::Internal(format!("argon2: {error}"));
    let parameters = Params::new(memory_kib, passes, lanes, Some(32)).map_err(internal)?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(secret.expose(), salt, &mut hash)
        .map_err(internal)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_matches_only_itself() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.expose().len(), 27);
        let verifier = Verifier::of_generated(&one);
        assert!(verifier.matches(&one).unwrap());
        assert!(!verifier.matches(&other).unwrap());
        assert!(!verifier.matches(&Secret::new("")).unwrap());
    }

    #[test]
    fn a_chosen_secret_is_hashed_slowly_with_its_own_salt() {
        let secret = Secret::new("correct horse");
        let (one, two) = (Verifier::of_chosen(&secret).unwrap(), Verifier::of_chosen(&secret).unwrap());
        assert_ne!(one, two);
        assert!(one.is_slow() && one.matches(&secret).unwrap() && two.matches(&secret).unwrap());
        assert!(!one.matches(&Secret::new("correct horsf")).unwrap());
        assert!(Verifier::of_chosen(&Secret::new("")).is_err());
        assert!(Verifier::of_chosen(&Secret::new(vec![b'x'; MAX_SECRET_LENGTH + 1])).is_err());
    }

    #[test]
    fn an_hmac_key_is_sealed_for_its_credential_and_is_no_password() {
        let line = SealingKeys::generate_line().unwrap();
        let keys = SealingKeys::parse(&line).unwrap();
        let (id, other) = (CredentialId::from_octets([1; 16]), CredentialId::from_octets([2; 16]));
        let key = generate_hmac_key().unwrap();
        let verifier = Verifier::of_hmac_key(&keys, &id, &key).unwrap();
        assert_eq!(verifier.hmac_key(&keys, &id).unwrap(), Some(key.clone()));
        assert_eq!(verifier.hmac_key(&keys, &other), Err(SealingError::Tampered));
        assert!(!verifier.matches(&key).unwrap() && !verifier.is_slow());
        let again = Verifier::of_hmac_key(&keys, &id, &key).unwrap();
        assert_eq!(verifier.fingerprint(), again.fingerprint());
        let another = Verifier::of_hmac_key(&keys, &id, &generate_hmac_key().unwrap()).unwrap();
        assert_ne!(verifier.fingerprint(), another.fingerprint());
        let stored = serde_json::to_string(&verifier).unwrap();
        assert!(!stored.contains("knownTo"), "as rows were written before anybody was shown one: {stored}");
        assert_eq!(serde_json::from_str::<Verifier>(&stored).unwrap(), verifier);
        let shown = verifier.clone().shown_to(["user:ann".to_owned()]);
        let stored = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<Verifier>(&stored).unwrap(), shown);
        assert_eq!(
            (shown.fingerprint(), shown.hmac_key(&keys, &id).unwrap()),
            (verifier.fingerprint(), Some(key.clone()))
        );
        assert_eq!(format!("{verifier:?}"), "Verifier::HmacKey(redacted)");
        let password = Verifier::of_generated(&key);
        assert_eq!((password.hmac_key(&keys, &id).unwrap(), password.fingerprint()), (None, None));
    }

    #[test]
    fn an_hmac_key_is_neither_short_nor_endless() {
        let keys = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
        let id = CredentialId::from_octets([1; 16]);
        for length in [0, MIN_HMAC_KEY_LENGTH - 1, MAX_SECRET_LENGTH + 1] {
            let outcome = Verifier::of_hmac_key(&keys, &id, &Secret::new(vec![7; length]));
            assert!(matches!(outcome, Err(Error::Malformed(_))), "{length}");
        }
    }

    #[test]
    fn an_hmac_key_moves_to_the_newest_sealing_key() {
        let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
        let id = CredentialId::from_octets([1; 16]);
        let key = generate_hmac_key().unwrap();
        let sealed = Verifier::of_hmac_key(&SealingKeys::parse(&old).unwrap(), &id, &key).unwrap();
        let sealed = sealed.shown_to(["user:ann".to_owned()]);
        let both = SealingKeys::parse(&format!("{}\n{}", *new, *old)).unwrap();
        let moved = sealed.resealed(&both, &id).unwrap().unwrap();
        assert_eq!(moved.hmac_key(&SealingKeys::parse(&new).unwrap(), &id).unwrap(), Some(key));
        assert_eq!(moved.fingerprint(), sealed.fingerprint());
        assert_eq!(moved.known_to().collect::<Vec<_>>(), ["user:ann"], "whoever knew it knows it still");
        assert_eq!(moved.resealed(&both, &id).unwrap(), None);
        assert_eq!(Verifier::of_generated(&Secret::new("x")).resealed(&both, &id).unwrap(), None);
    }

    #[test]
    fn a_verifier_survives_storage_and_is_never_printed() {
        let verifier = Verifier::of_generated(&generate().unwrap());
        let stored = serde_json::to_string(&verifier).unwrap();
        assert_eq!(serde_json::from_str::<Verifier>(&stored).unwrap(), verifier);
        assert_eq!(format!("{verifier:?}"), "Verifier::Sha256(redacted)");
    }
}
