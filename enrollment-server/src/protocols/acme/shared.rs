//! What all methods share for as long as the process lives.

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use issuance::{
    Error,
    acme::AccountRow,
    identity::{AcmeAccountId, CredentialId},
    ports::random,
    secret::Secret,
    store::{Commit, Conflict, Expect, SealedRow, Write},
};
use tokio::sync::{OnceCell, Semaphore};

use super::{
    issued::IssuedCertificates, known::KnownAccounts, limits::RateLimits, nonce::Nonces,
    validation::Validations, wire::jwk::AccountKey,
};
use crate::serving::App;

/// Parsed keys that are kept.
const MAX_KEYS: usize = 10_000;

/// Orders of one process whose CAA records are read at the same time.
const CAA_CHECKS: usize = 32;

/// Where the key of nonces is kept that replicas share.
const NONCE_KEY: &str = "acme/nonce";

/// One per process.
#[derive(Debug)]
pub struct AcmeShared {
    nonces: OnceCell<Nonces>,
    pub(super) keys: AccountKeys,
    pub(super) accounts: KnownAccounts,
    pub(super) issued: IssuedCertificates,
    pub(super) limits: RateLimits,
    /// Places for orders whose CAA records are read when they are finalized.
    pub(crate) caa_checks: Semaphore,
    /// Of challenges that are being validated now.
    pub(crate) validations: Validations,
}

impl Default for AcmeShared {
    fn default() -> Self {
        Self {
            nonces: OnceCell::default(),
            keys: AccountKeys::default(),
            accounts: KnownAccounts::default(),
            issued: IssuedCertificates::default(),
            limits: RateLimits::default(),
            caa_checks: Semaphore::new(CAA_CHECKS),
            validations: Validations::default(),
        }
    }
}

impl AcmeShared {
    /// News of an account that changed, or of all.
    pub fn forget_account(&self, id: Option<&AcmeAccountId>) {
        match id {
            Some(id) => self.accounts.forget(id),
            None => self.accounts.forget_all(),
        }
    }

    /// News of a credential that changed.
    pub fn forget_credential(&self, id: &CredentialId) {
        self.accounts.forget_bound_to(id);
    }

    /// What makes nonces and takes them back; made at first use.
    ///
    /// # Errors
    /// Where the store does not answer, or the key was sealed with a key that is not at hand.
    pub(super) async fn nonces(&self, app: &App) -> Result<&Nonces, Error> {
        self.nonces.get_or_try_init(|| async { Ok(Nonces::new(&nonce_key(app).await?)) }).await
    }
}

/// Where replicas share which nonces were used, they share the key too; where they do not, a process takes only its own.
async fn nonce_key(app: &App) -> Result<[u8; 32], Error> {
    let store = app.engine.store();
    if !store.claims_are_shared() {
        return random();
    }
    // Twice: another replica may make it between the look and the commit.
    for _ in 0..2 {
        if let Some(row) = store.sealed(NONCE_KEY).await? {
            let key = app.sealing.unseal(NONCE_KEY, &row.sealed)?;
            let of_another_length = |_| Error::Internal("the key of nonces has another length".into());
            return <[u8; 32]>::try_from(key.expose()).map_err(of_another_length);
        }
        let key = random::<32>()?;
        let sealed = app.sealing.seal(NONCE_KEY, &Secret::new(key))?;
        let row = SealedRow { name: NONCE_KEY.into(), version: 1, sealed, public: Vec::new() };
        let commit = Commit {
            expect: vec![Expect::SealedVersion { name: NONCE_KEY.into(), version: 0 }],
            writes: vec![Write::PutSealed(Box::new(row))],
            audit: Vec::new(),
        };
        match store.commit(commit).await? {
            Ok(_) => return Ok(key),
            Err(Conflict::Expectation(_)) => {}
            Err(other) => return Err(Error::Conflict(other.to_string())),
        }
    }
    Err(Error::Conflict("the key of nonces is being made elsewhere".into()))
}

/// Keys of accounts, ready to verify, by their thumbprints: a key never changes, an account's key may.
#[derive(Default)]
pub(super) struct AccountKeys(RwLock<HashMap<[u8; 32], AccountKey>>);

impl AccountKeys {
    /// The key of an account.
    ///
    /// # Errors
    /// [`Error::Internal`] where the row holds no key, which no row that we wrote does.
    pub(super) fn of(&self, account: &AccountRow) -> Result<AccountKey, Error> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&account.thumbprint).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let key = AccountKey::from_canonical(&account.jwk)
            .map_err(|error| Error::Internal(format!("the key of account {}: {error}", account.id)))?;
        self.insert(key.clone());
        Ok(key)
    }

    pub(super) fn insert(&self, key: AccountKey) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert(*key.thumbprint(), key);
    }
}

impl fmt::Debug for AccountKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("AccountKeys").field("known", &known).finish()
    }
}
