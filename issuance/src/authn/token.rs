//! Tokens of Kubernetes' service accounts: signed by the cluster, short-lived, bound to an audience. They are checked by the
//! cluster's public keys alone, so that no API server is asked; a token of a pod that was deleted is therefore good until it
//! expires, which is for at most an hour by default.

mod claims;
mod keys;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use pki::time::Time;

use self::{
    claims::{Claims, Compact},
    keys::{KeySet, NotVerified},
};
use super::Evidence;
use crate::{
    error::{AuthenticationFailure, Error},
    identity::{Owner, ResourceName},
    policy::Strength,
    rest::RestActions,
};

pub use keys::KeySetError;

/// How far the clocks of the cluster and of this server may differ.
const LEEWAY_SECONDS: i64 = 60;

/// Verified tokens that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// An account whose tokens are taken, and what they are good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
    pub actions: RestActions,
}

/// Whoever holds a token, and what it is good for.
#[derive(Clone, Debug)]
pub struct TokenHolder {
    pub evidence: Evidence,
    pub actions: RestActions,
}

/// Checks tokens for one method, as one generation of the configuration says.
pub struct TokenVerifier {
    method: ResourceName,
    issuer: String,
    audience: String,
    keys: KeySet,
    /// By what the token's `sub` says.
    accounts: HashMap<String, ServiceAccount>,
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

/// What a token said, as long as it says so.
#[derive(Clone)]
struct Verified {
    subject: String,
    not_before: Time,
    not_after: Time,
}

/// Why a token is not taken: for the log. The audit trail has [`TokenFault::failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("the token is longer than {} octets", claims::MAX_TOKEN)]
    TooLong,
    #[error("the token is no compact JWS (RFC 7515 §7.1)")]
    Form,
    #[error("the header of the token is no JSON object with an \"alg\", each member once")]
    Header,
    #[error("the header of the token asks for an extension")]
    Extension,
    #[error("the token is signed with an algorithm other than RS256, ES256, ES384 and EdDSA")]
    Algorithm,
    #[error("the token names a key that the issuer does not have, or none while there are several")]
    UnknownKey,
    #[error("the token is signed with an algorithm that its key is not for")]
    AlgorithmOfKey,
    #[error("the signature of the token does not verify")]
    Signature,
    #[error(
        "the claims of the token are not those of a bound token of a service account, or a member is there twice"
    )]
    Claims,
    #[error("the token comes from another issuer")]
    Issuer,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the times of the token contradict each other")]
    Times,
    #[error("the token is not valid yet: the clocks differ")]
    NotYetValid,
    #[error("the token has expired")]
    Expired,
    #[error("the token's subject and its service account are not the same")]
    Subject,
    #[error("the service account is not among those of the method")]
    Account,
}

impl TokenFault {
    /// What the audit trail and the metrics say of it.
    pub fn failure(self) -> AuthenticationFailure {
        match self {
            Self::TooLong
            | Self::Form
            | Self::Header
            | Self::Extension
            | Self::Algorithm
            | Self::Claims
            | Self::Times
            | Self::Subject => AuthenticationFailure::Unreadable,
            Self::UnknownKey | Self::AlgorithmOfKey | Self::Signature | Self::Issuer => {
                AuthenticationFailure::Untrusted
            }
            Self::Audience => AuthenticationFailure::Audience,
            Self::NotYetValid => AuthenticationFailure::NotYetValid,
            Self::Expired => AuthenticationFailure::Expired,
            Self::Account => AuthenticationFailure::Account,
        }
    }
}

impl From<NotVerified> for TokenFault {
    fn from(reason: NotVerified) -> Self {
        match reason {
            NotVerified::NoSuchKey => Self::UnknownKey,
            NotVerified::OtherAlgorithm => Self::AlgorithmOfKey,
            NotVerified::Signature => Self::Signature,
        }
    }
}

impl TokenVerifier {
    /// `issuer` and `audience` are compared with the token's to the letter; `jwks` is the issuer's JWK Set, JSON.
    ///
    /// # Errors
    /// [`KeySetError`], a sentence for whoever configured it.
    pub fn new(
        method: ResourceName,
        issuer: impl Into<String>,
        audience: impl Into<String>,
        jwks: &str,
        accounts: impl IntoIterator<Item = ServiceAccount>,
    ) -> Result<Self, KeySetError> {
        let by_subject = |account: ServiceAccount| (subject(&account.namespace, &account.name), account);
        Ok(Self {
            method,
            issuer: issuer.into(),
            audience: audience.into(),
            keys: KeySet::parse(jwks)?,
            accounts: accounts.into_iter().map(by_subject).collect(),
            verified: Mutex::default(),
        })
    }

    /// Evidence that somebody holds a token of an account of this method. It is a secret of one owner
    /// ([`Strength::PersonalSecret`]), like a password: whoever reads it may use it, until it expires. There is no row
    /// behind it that a commit could look at again.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log.
    pub fn verify(&self, bearer: &str, now: Time) -> Result<TokenHolder, Error> {
        self.check(bearer, now).map_err(|fault| {
            tracing::debug!(method = %self.method, %fault, "a token was refused");
            Error::Unauthenticated(fault.failure())
        })
    }

    /// # Errors
    /// The first thing that is wrong with it.
    fn check(&self, bearer: &str, now: Time) -> Result<TokenHolder, TokenFault> {
        if bearer.len() > claims::MAX_TOKEN {
            return Err(TokenFault::TooLong);
        }
        let hash = sha256(bearer.as_bytes());
        let verified = match self.remembered(&hash) {
            Some(verified) => verified,
            None => {
                let verified = self.read(bearer)?;
                // Only what is of use, so that nobody fills the place with tokens that are not.
                self.holder(&verified, now)?;
                self.remember(hash, verified.clone(), now);
                verified
            }
        };
        self.holder(&verified, now)
    }

    /// Everything that stays true of a token: who signed it, for whom, for which account and time.
    fn read(&self, bearer: &str) -> Result<Verified, TokenFault> {
        let token = Compact::parse(bearer)?;
        self.keys.verify(token.key_id.as_deref(), token.algorithm, token.signed, &token.signature)?;
        let claims = token.claims()?;
        if claims.iss != self.issuer {
            return Err(TokenFault::Issuer);
        }
        if !claims.aud.contains(&self.audience) {
            return Err(TokenFault::Audience);
        }
        let (not_before, not_after) = claims.window(LEEWAY_SECONDS)?;
        Ok(Verified { subject: account_of(claims)?, not_before, not_after })
    }

    /// Whatever depends on the time and on the accounts.
    fn holder(&self, verified: &Verified, now: Time) -> Result<TokenHolder, TokenFault> {
        if now < verified.not_before {
            return Err(TokenFault::NotYetValid);
        }
        if now >= verified.not_after {
            return Err(TokenFault::Expired);
        }
        let account = self.accounts.get(&verified.subject).ok_or(TokenFault::Account)?;
        let evidence = Evidence {
            method: self.method.clone(),
            name: verified.subject.clone(),
            strength: Strength::PersonalSecret,
            credential: None,
            holder: None,
            used_up: false,
            owner: Some(Owner::User(verified.subject.clone())),
            certified: None,
            proven: Vec::new(),
            expect: Vec::new(),
        };
        Ok(TokenHolder { evidence, actions: account.actions })
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn remember(&self, hash: [u8; 32], token: Verified, now: Time) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_REMEMBERED {
            verified.retain(|_, token| now < token.not_after);
        }
        if verified.len() >= MAX_REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, token);
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("method", &self.method)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("keys", &self.keys)
            .field("accounts", &self.accounts.keys())
            .finish_non_exhaustive()
    }
}

/// What the API server calls an account.
fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn account_of(claims: Claims) -> Result<String, TokenFault> {
    let bound = subject(&claims.kubernetes.namespace, &claims.kubernetes.serviceaccount.name);
    if bound == claims.sub { Ok(claims.sub) } else { Err(TokenFault::Subject) }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, octets).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
