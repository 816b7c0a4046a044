//! Who asks (RFC 8555 §7.1.2).

use std::str::FromStr;

use pki::time::Time;
use serde::{Deserialize, Serialize};

use crate::identity::{AcmeAccountId, CredentialId, Owner, ParseError, ResourceName};

/// One account of one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountRow {
    pub id: AcmeAccountId,
    /// Grows with every change; 1 for a new one.
    pub version: u64,
    pub method: ResourceName,
    pub status: AccountStatus,
    /// The public key, canonical JSON (RFC 7638 §3): see [`canonical_jwk`](super::canonical_jwk).
    pub jwk: String,
    /// SHA-256 of that. Unique per method, whatever the status.
    #[serde(with = "hex::serde")]
    pub thumbprint: [u8; 32],
    /// URLs, as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    pub terms_agreed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Of the credential at the time of the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    pub created_at: Time,
}

/// RFC 8555 §7.1.6. From `Valid` there is a way to each of the others, and none back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    Valid,
    /// By its owner.
    Deactivated,
    /// By the server.
    Revoked,
}

impl AccountStatus {
    pub const ALL: [AccountStatus; 3] = [Self::Valid, Self::Deactivated, Self::Revoked];

    /// The spelling of the standard, of tables and of the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for AccountStatus {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| ParseError { text: text.into(), expected: "valid, deactivated or revoked" })
    }
}

/// The credential that an account was bound to (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    pub credential: CredentialId,
    pub kid: String,
    /// Of the HMAC key then: see [`Verifier::fingerprint`](crate::credential::Verifier::fingerprint). Another one now
    /// means that the credential was regenerated, or has rotated; then this one may be good for a while
    /// ([`CredentialRow::previous`](crate::credential::CredentialRow::previous)).
    #[serde(with = "hex::serde")]
    pub fingerprint: [u8; 32],
    /// The JWS that bound it, JSON: shown back as `externalAccountBinding`.
    pub jws: String,
}

/// What is no longer valid does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is {}", .0.as_str())]
pub struct AccountNotValid(pub AccountStatus);

impl AccountRow {
    /// How the rows of certificates and the audit trail name the account.
    pub fn requester(&self) -> String {
        format!("acme:{}", self.id)
    }

    /// # Errors
    /// [`AccountNotValid`].
    pub fn check_valid(&self) -> Result<(), AccountNotValid> {
        match self.status {
            AccountStatus::Valid => Ok(()),
            other @ (AccountStatus::Deactivated | AccountStatus::Revoked) => Err(AccountNotValid(other)),
        }
    }

    /// RFC 8555 §7.3.2.
    ///
    /// # Errors
    /// [`AccountNotValid`].
    pub fn update(
        &mut self,
        contacts: Option<Vec<String>>,
        terms_agreed: bool,
    ) -> Result<(), AccountNotValid> {
        self.change(|account| {
            if let Some(contacts) = contacts {
                account.contacts = contacts;
            }
            account.terms_agreed |= terms_agreed;
        })
    }

    /// RFC 8555 §7.3.5. `jwk` is canonical; that another account has it, the commit says.
    ///
    /// # Errors
    /// [`AccountNotValid`].
    pub fn change_key(&mut self, jwk: String) -> Result<(), AccountNotValid> {
        self.change(|account| {
            account.thumbprint = super::jwk_thumbprint(&jwk);
            account.jwk = jwk;
        })
    }

    /// By another external account than before, where that one is none any more.
    ///
    /// # Errors
    /// [`AccountNotValid`].
    pub fn bind(&mut self, binding: Binding, owner: Option<Owner>) -> Result<(), AccountNotValid> {
        self.change(|account| {
            account.binding = Some(binding);
            account.owner = owner;
        })
    }

    /// RFC 8555 §7.3.6: by its owner.
    ///
    /// # Errors
    /// [`AccountNotValid`].
    pub fn deactivate(&mut self) -> Result<(), AccountNotValid> {
        self.change(|account| account.status = AccountStatus::Deactivated)
    }

    /// By the server.
    ///
    /// # Errors
    /// [`AccountNotValid`].
    pub fn revoke(&mut self) -> Result<(), AccountNotValid> {
        self.change(|account| account.status = AccountStatus::Revoked)
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), AccountNotValid> {
        self.check_valid()?;
        change(self);
        self.version += 1;
        Ok(())
    }
}
