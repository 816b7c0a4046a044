//! Whether an account controls one name, and the challenges that prove it (RFC 8555 §7.1.4, §8).

use std::str::FromStr;

use pki::time::Time;
use serde::{Deserialize, Serialize};

use super::Identifier;
use crate::identity::ParseError;

/// Belongs to one order; another order has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    pub identifier: Identifier,
    /// The order asked for `*.` and the identifier.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wildcard: bool,
    /// As recorded: [`Authorization::status_at`] says what it is worth now.
    pub status: AuthorizationStatus,
    pub expires_at: Time,
    /// When it became valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated_at: Option<Time>,
    /// Valid without a challenge, because the account's credential is restricted to names that hold this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preauthorized: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<Challenge>,
}

/// RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Revoked,
    /// Never recorded: what `Pending` and `Valid` are worth after their end.
    Expired,
}

impl AuthorizationStatus {
    /// The spelling of the standard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// One way to prove control of the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// RFC 8555 §8.1: base64url, at least 128 bits.
    pub token: String,
    pub status: ChallengeStatus,
    /// Validations that failed and were tried again, or were the last.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated_at: Option<Time>,
    /// Why the last validation failed, also while it is to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StoredProblem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChallengeType {
    /// RFC 8555 §8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 §8.4.
    #[serde(rename = "dns-01")]
    Dns01,
    /// RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeType {
    pub const ALL: [ChallengeType; 3] = [Self::Http01, Self::Dns01, Self::TlsAlpn01];

    /// The spelling of the standard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// Whether this can prove control of such a name: a wildcard only by DNS (RFC 8555 §7.1.3 leaves it to the server; an
    /// HTTP or TLS server of one name says nothing of the others), an address never by DNS (RFC 8738 §7).
    pub fn fits(self, identifier: &Identifier, wildcard: bool) -> bool {
        match (self, identifier) {
            (Self::Dns01, Identifier::Dns(_)) => true,
            (Self::Dns01, Identifier::Ip(_)) => false,
            (Self::Http01 | Self::TlsAlpn01, Identifier::Dns(_) | Identifier::Ip(_)) => !wildcard,
        }
    }
}

impl FromStr for ChallengeType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseError { text: text.into(), expected: "http-01, dns-01 or tls-alpn-01" })
    }
}

/// RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    Pending,
    /// The client has said that it is ready; validation is on its way.
    Processing,
    Valid,
    Invalid,
}

impl ChallengeStatus {
    /// The spelling of the standard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// Why something failed, as the account reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredProblem {
    /// The short name of RFC 8555 §6.7, such as `unauthorized`.
    pub kind: String,
    /// A sentence for people, without internals.
    pub detail: String,
}

impl StoredProblem {
    pub fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), detail: detail.into() }
    }
}

/// Why an authorization was not changed. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    #[error("the authorization is {}", .0.as_str())]
    Status(AuthorizationStatus),
    #[error("the authorization has no such challenge")]
    NoChallenge,
    #[error("the challenge is {}", .0.as_str())]
    Challenge(ChallengeStatus),
    /// One challenge of an authorization is validated at a time.
    #[error("the {} challenge of this authorization is being validated", .0.as_str())]
    OtherChallenge(ChallengeType),
}

impl Challenge {
    /// That nobody has answered yet.
    pub fn new(kind: ChallengeType, token: impl Into<String>) -> Self {
        let (status, token) = (ChallengeStatus::Pending, token.into());
        Self { kind, token, status, attempts: 0, validated_at: None, error: None }
    }
}

impl Authorization {
    /// That is to be proved by one of these challenges.
    pub fn pending(
        identifier: Identifier,
        wildcard: bool,
        expires_at: Time,
        challenges: Vec<Challenge>,
    ) -> Self {
        let (status, validated_at) = (AuthorizationStatus::Pending, None);
        Self { identifier, wildcard, status, expires_at, validated_at, preauthorized: false, challenges }
    }

    /// That is proved by the account's credential.
    pub fn preauthorized(identifier: Identifier, wildcard: bool, expires_at: Time, now: Time) -> Self {
        let (status, validated_at) = (AuthorizationStatus::Valid, Some(now));
        let challenges = Vec::new();
        Self { identifier, wildcard, status, expires_at, validated_at, preauthorized: true, challenges }
    }

    /// What it is worth now.
    pub fn status_at(&self, now: Time) -> AuthorizationStatus {
        match self.status {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid if self.expires_at <= now => {
                AuthorizationStatus::Expired
            }
            recorded @ (AuthorizationStatus::Pending
            | AuthorizationStatus::Valid
            | AuthorizationStatus::Invalid
            | AuthorizationStatus::Deactivated
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired) => recorded,
        }
    }

    /// The name as the order shows it, with `*.` where it asked for a wildcard.
    pub fn name(&self) -> String {
        super::identifier_text(&self.identifier, self.wildcard)
    }

    pub fn challenge(&self, kind: ChallengeType) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == kind)
    }

    /// The one that is being validated; there is never a second.
    pub fn processing(&self) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.status == ChallengeStatus::Processing)
    }

    /// Whoever is to control the name says that this challenge can be looked at (RFC 8555 §7.5.1).
    ///
    /// # Errors
    /// [`AuthorizationError`]; [`AuthorizationError::Challenge`] where it was said before, which is no fault of theirs.
    pub fn start(&mut self, kind: ChallengeType, now: Time) -> Result<(), AuthorizationError> {
        let challenge = self.challenge(kind).ok_or(AuthorizationError::NoChallenge)?;
        if challenge.status != ChallengeStatus::Pending {
            return Err(AuthorizationError::Challenge(challenge.status));
        }
        if let Some(other) = self.processing() {
            return Err(AuthorizationError::OtherChallenge(other.kind));
        }
        self.check_provable(now)?;
        self.of(kind)?.status = ChallengeStatus::Processing;
        Ok(())
    }

    /// The validation failed, and is to be tried again.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn attempt_failed(
        &mut self,
        kind: ChallengeType,
        now: Time,
        error: StoredProblem,
    ) -> Result<(), AuthorizationError> {
        let challenge = self.being_validated(kind, now)?;
        challenge.attempts = challenge.attempts.saturating_add(1);
        challenge.error = Some(error);
        Ok(())
    }

    /// The validation succeeded: valid, until then.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn succeeded(
        &mut self,
        kind: ChallengeType,
        now: Time,
        until: Time,
    ) -> Result<(), AuthorizationError> {
        let challenge = self.being_validated(kind, now)?;
        challenge.status = ChallengeStatus::Valid;
        challenge.validated_at = Some(now);
        challenge.error = None;
        self.status = AuthorizationStatus::Valid;
        self.validated_at = Some(now);
        self.expires_at = until;
        Ok(())
    }

    /// The validation failed for the last time, and with it the authorization.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn failed(
        &mut self,
        kind: ChallengeType,
        now: Time,
        error: StoredProblem,
    ) -> Result<(), AuthorizationError> {
        let challenge = self.being_validated(kind, now)?;
        challenge.attempts = challenge.attempts.saturating_add(1);
        challenge.status = ChallengeStatus::Invalid;
        challenge.error = Some(error);
        self.status = AuthorizationStatus::Invalid;
        Ok(())
    }

    fn being_validated(
        &mut self,
        kind: ChallengeType,
        now: Time,
    ) -> Result<&mut Challenge, AuthorizationError> {
        let challenge = self.challenge(kind).ok_or(AuthorizationError::NoChallenge)?;
        if challenge.status != ChallengeStatus::Processing {
            return Err(AuthorizationError::Challenge(challenge.status));
        }
        self.check_provable(now)?;
        self.of(kind)
    }

    /// Whether it can still become valid.
    fn check_provable(&self, now: Time) -> Result<(), AuthorizationError> {
        match self.status_at(now) {
            AuthorizationStatus::Pending => Ok(()),
            other @ (AuthorizationStatus::Valid
            | AuthorizationStatus::Invalid
            | AuthorizationStatus::Deactivated
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired) => Err(AuthorizationError::Status(other)),
        }
    }

    fn of(&mut self, kind: ChallengeType) -> Result<&mut Challenge, AuthorizationError> {
        let found = self.challenges.iter_mut().find(|challenge| challenge.kind == kind);
        found.ok_or(AuthorizationError::NoChallenge)
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
