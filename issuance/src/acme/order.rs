//! What is asked for, and every way in which that changes (RFC 8555 §7.1.3, §7.1.6).
//!
//! ```text
//!             challenges                  finalize
//! open: pending ──────► open: ready ─┬──────────────────────► valid
//!        │                   │       └─► processing ─────────►   ▲ by hand or elsewhere
//!        └───────────────────┴───────────────┴─► invalid
//! ```
//!
//! A transition that is refused leaves the row as it was; one that is made adds one to its version. Nothing leads out of
//! `valid` and `invalid`.

use pki::{serial::SerialNumber, time::Time};
use serde::{Deserialize, Serialize};

use super::{
    Authorization, AuthorizationError, AuthorizationStatus, ChallengeStatus, ChallengeType, StoredProblem,
};
use crate::identity::{AcmeAccountId, AcmeOrderId, KeyId, RequestId, ResourceName};

/// One order of one account, with its authorizations and their challenges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRow {
    pub id: AcmeOrderId,
    /// Grows with every change; 1 for a new one.
    pub version: u64,
    pub account: AcmeAccountId,
    pub method: ResourceName,
    pub created_at: Time,
    /// Whoever has not finalized until then, must order again.
    pub expires_at: Time,
    /// Swept afterwards, in whatever state it is.
    pub keep_until: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// The name by which the method offers a profile (draft-ietf-acme-profiles).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The certificate that this order is to replace (RFC 9773 §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<(KeyId, SerialNumber)>,
    /// In the order in which the names were asked for; their places are part of URLs.
    pub authorizations: Vec<Authorization>,
    pub state: OrderState,
}

/// As recorded: [`OrderRow::status`] says what that means now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum OrderState {
    Open,
    /// Finalized, not yet signed: the engine is asked again with this request.
    Processing {
        request: RequestId,
        /// DER.
        #[serde(with = "crate::octets")]
        csr: Vec<u8>,
    },
    Valid {
        issuer: KeyId,
        serial: SerialNumber,
    },
    Invalid {
        error: StoredProblem,
    },
}

/// RFC 8555 §7.1.6, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

impl OrderStatus {
    /// The spelling of the standard.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// Why a transition was not made. The row is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    #[error("the order is {}", .0.as_str())]
    Order(OrderStatus),
    #[error("the order has no such authorization")]
    NoAuthorization,
    #[error("the authorization is {}", .0.as_str())]
    Authorization(AuthorizationStatus),
    #[error("the authorization has no such challenge")]
    NoChallenge,
    #[error("the challenge is {}", .0.as_str())]
    Challenge(ChallengeStatus),
    /// One challenge of an authorization is validated at a time.
    #[error("the {} challenge of this authorization is being validated", .0.as_str())]
    OtherChallenge(ChallengeType),
    #[error("the order is being processed with another certificate request")]
    OtherRequest,
}

impl From<AuthorizationError> for TransitionError {
    fn from(error: AuthorizationError) -> Self {
        match error {
            AuthorizationError::Status(status) => Self::Authorization(status),
            AuthorizationError::NoChallenge => Self::NoChallenge,
            AuthorizationError::Challenge(status) => Self::Challenge(status),
            AuthorizationError::OtherChallenge(kind) => Self::OtherChallenge(kind),
        }
    }
}

impl OrderRow {
    /// What the order is now. An order that ended, or has an authorization that can no longer become or stay valid, is
    /// invalid, whether or not anybody has recorded that.
    pub fn status(&self, now: Time) -> OrderStatus {
        match &self.state {
            OrderState::Open => self.open_status(now),
            OrderState::Processing { .. } => OrderStatus::Processing,
            OrderState::Valid { .. } => OrderStatus::Valid,
            OrderState::Invalid { .. } => OrderStatus::Invalid,
        }
    }

    /// Why it is invalid, where that was recorded.
    pub fn error(&self) -> Option<&StoredProblem> {
        match &self.state {
            OrderState::Invalid { error } => Some(error),
            OrderState::Open | OrderState::Processing { .. } | OrderState::Valid { .. } => None,
        }
    }

    /// The certificate, once it is issued.
    pub fn certificate(&self) -> Option<(KeyId, SerialNumber)> {
        match &self.state {
            OrderState::Valid { issuer, serial } => Some((*issuer, *serial)),
            OrderState::Open | OrderState::Processing { .. } | OrderState::Invalid { .. } => None,
        }
    }

    /// # Errors
    /// [`TransitionError::NoAuthorization`].
    pub fn authorization(&self, place: usize) -> Result<&Authorization, TransitionError> {
        self.authorizations.get(place).ok_or(TransitionError::NoAuthorization)
    }

    /// The client says that it is ready for this challenge (RFC 8555 §7.5.1).
    ///
    /// # Errors
    /// [`TransitionError`]; [`TransitionError::Challenge`] where it was said before, which is no fault of the client's.
    pub fn start_challenge(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
    ) -> Result<(), TransitionError> {
        self.change_pending(place, now, |authorization| authorization.start(kind, now))
    }

    /// The validation failed, and is to be tried again.
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn attempt_failed(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        error: StoredProblem,
    ) -> Result<(), TransitionError> {
        self.change_pending(place, now, |authorization| authorization.attempt_failed(kind, now, error))
    }

    /// The validation succeeded, and with it the authorization, which is good until then.
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn challenge_succeeded(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        until: Time,
    ) -> Result<(), TransitionError> {
        self.change_pending(place, now, |authorization| authorization.succeeded(kind, now, until))
    }

    /// The validation failed for the last time, and with it the authorization and the order (RFC 8555 §7.1.6).
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn challenge_failed(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        error: StoredProblem,
    ) -> Result<(), TransitionError> {
        self.change_pending(place, now, |authorization| authorization.failed(kind, now, error.clone()))?;
        self.state = OrderState::Invalid { error };
        Ok(())
    }

    /// By the account (RFC 8555 §7.5.2). An order that is not issued yet comes to nothing; a certificate stays.
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn deactivate_authorization(&mut self, place: usize, now: Time) -> Result<(), TransitionError> {
        self.end_authorization(place, now, AuthorizationStatus::Deactivated)
    }

    /// By the server.
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn revoke_authorization(&mut self, place: usize, now: Time) -> Result<(), TransitionError> {
        self.end_authorization(place, now, AuthorizationStatus::Revoked)
    }

    /// Finalized; somebody has to approve. Again with another request where nobody did in time.
    ///
    /// # Errors
    /// [`TransitionError::Order`] unless it is ready or processing, [`TransitionError::OtherRequest`].
    pub fn processing(&mut self, request: RequestId, csr: &[u8], now: Time) -> Result<(), TransitionError> {
        match &self.state {
            OrderState::Open => self.check_ready(now)?,
            OrderState::Processing { csr: before, .. } if before == csr => {}
            OrderState::Processing { .. } => return Err(TransitionError::OtherRequest),
            OrderState::Valid { .. } | OrderState::Invalid { .. } => {
                return Err(TransitionError::Order(self.status(now)));
            }
        }
        self.state = OrderState::Processing { request, csr: csr.to_vec() };
        self.version += 1;
        Ok(())
    }

    /// The certificate is recorded in the same commit.
    ///
    /// # Errors
    /// [`TransitionError::Order`] unless it is ready or processing.
    pub fn issued(&mut self, issuer: KeyId, serial: SerialNumber, now: Time) -> Result<(), TransitionError> {
        match &self.state {
            OrderState::Open => self.check_ready(now)?,
            OrderState::Processing { .. } => {}
            OrderState::Valid { .. } | OrderState::Invalid { .. } => {
                return Err(TransitionError::Order(self.status(now)));
            }
        }
        self.state = OrderState::Valid { issuer, serial };
        self.version += 1;
        Ok(())
    }

    /// There will be no certificate: a rule said no, or a person.
    ///
    /// # Errors
    /// [`TransitionError::Order`] where it is valid, or was recorded as invalid before.
    pub fn invalidate(&mut self, error: StoredProblem, now: Time) -> Result<(), TransitionError> {
        match &self.state {
            OrderState::Open | OrderState::Processing { .. } => {}
            OrderState::Valid { .. } | OrderState::Invalid { .. } => {
                return Err(TransitionError::Order(self.status(now)));
            }
        }
        self.state = OrderState::Invalid { error };
        self.version += 1;
        Ok(())
    }

    fn open_status(&self, now: Time) -> OrderStatus {
        if self.expires_at <= now || self.authorizations.is_empty() {
            return OrderStatus::Invalid;
        }
        let mut status = OrderStatus::Ready;
        for authorization in &self.authorizations {
            match authorization.status_at(now) {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => status = OrderStatus::Pending,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired => return OrderStatus::Invalid,
            }
        }
        status
    }

    fn check_ready(&self, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::Ready => Ok(()),
            other @ (OrderStatus::Pending
            | OrderStatus::Processing
            | OrderStatus::Valid
            | OrderStatus::Invalid) => Err(TransitionError::Order(other)),
        }
    }

    /// Changes an authorization while that matters.
    fn change_pending(
        &mut self,
        place: usize,
        now: Time,
        change: impl FnOnce(&mut Authorization) -> Result<(), AuthorizationError>,
    ) -> Result<(), TransitionError> {
        let mut changed = self.authorization(place)?.clone();
        change(&mut changed)?;
        match self.status(now) {
            OrderStatus::Pending => {}
            other @ (OrderStatus::Ready
            | OrderStatus::Processing
            | OrderStatus::Valid
            | OrderStatus::Invalid) => return Err(TransitionError::Order(other)),
        }
        *self.authorizations.get_mut(place).ok_or(TransitionError::NoAuthorization)? = changed;
        self.version += 1;
        Ok(())
    }

    fn end_authorization(
        &mut self,
        place: usize,
        now: Time,
        end: AuthorizationStatus,
    ) -> Result<(), TransitionError> {
        let authorization = self.authorizations.get_mut(place).ok_or(TransitionError::NoAuthorization)?;
        match authorization.status_at(now) {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid => {}
            other @ (AuthorizationStatus::Invalid
            | AuthorizationStatus::Deactivated
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired) => return Err(TransitionError::Authorization(other)),
        }
        authorization.status = end;
        let name = authorization.name();
        match self.state {
            OrderState::Open | OrderState::Processing { .. } => {
                let detail = format!("the authorization for {name} was {}", end.as_str());
                self.state = OrderState::Invalid { error: StoredProblem::new("unauthorized", detail) };
            }
            OrderState::Valid { .. } | OrderState::Invalid { .. } => {}
        }
        self.version += 1;
        Ok(())
    }
}
