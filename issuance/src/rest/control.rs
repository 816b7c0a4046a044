//! Proof of control over the names of an order: who proves it, what it is worth, and how it comes about.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::time::Time;

use super::{OrderRow, OrderState, TransitionError};
use crate::{
    acme::{Authorization, AuthorizationError, AuthorizationStatus, ChallengeType, StoredProblem},
    authn::Requester,
    engine::request_key,
    identity::{HolderId, Identity},
};

/// What the proofs of control of an order are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Of all names; also where none is to be proved.
    Given,
    /// Of one at least.
    Awaited,
    /// This one will not be proved.
    Failed(&'a Authorization),
}

/// What stands in key authorizations (RFC 8555 §8.1) in the place of the thumbprint of an account's key, of whoever orders:
/// base64url, 256 bits. The same for all orders of one credential; where a certificate or a token was shown, of
/// what it names, at this method.
pub fn requester_thumbprint(requester: &Requester) -> String {
    let method = requester.method.to_string();
    let hash = match requester.identity() {
        Identity::Credential(credential) => {
            request_key(&[b"chancery rest v1", b"credential", credential.as_str().as_bytes()])
        }
        Identity::Certificate(HolderId(holder)) => {
            request_key(&[b"chancery rest v1", b"certificate", method.as_bytes(), holder])
        }
        Identity::Name(name) => {
            request_key(&[b"chancery rest v1", b"name", method.as_bytes(), name.as_bytes()])
        }
    };
    URL_SAFE_NO_PAD.encode(hash.0)
}

impl OrderRow {
    /// What the proofs of control are worth: none where one can no longer become valid, or is valid no more.
    pub fn proof(&self, now: Time) -> Proof<'_> {
        let mut proof = Proof::Given;
        for authorization in &self.authorizations {
            match authorization.status_at(now) {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => proof = Proof::Awaited,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired => return Proof::Failed(authorization),
            }
        }
        proof
    }

    /// # Errors
    /// [`TransitionError::NoAuthorization`].
    pub fn authorization(&self, place: usize) -> Result<&Authorization, TransitionError> {
        self.authorizations.get(place).ok_or(TransitionError::NoAuthorization)
    }

    /// The requester says that this challenge can be looked at.
    ///
    /// # Errors
    /// [`TransitionError`]; [`AuthorizationError::Challenge`] where it was said before.
    pub fn start_challenge(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
    ) -> Result<(), TransitionError> {
        self.change_authorization(place, now, |authorization| authorization.start(kind, now))
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
        self.change_authorization(place, now, |authorization| authorization.attempt_failed(kind, now, error))
    }

    /// The name is proved, which is good until then.
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
        self.change_authorization(place, now, |authorization| authorization.succeeded(kind, now, until))
    }

    /// The validation failed for the last time, and with it the order.
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
        let detail = error.detail.clone();
        self.change_authorization(place, now, |authorization| authorization.failed(kind, now, error))?;
        let name = self.authorization(place)?.name();
        self.end(OrderState::Failed { problem: format!("control of {name} was not proved: {detail}") });
        Ok(())
    }

    fn change_authorization(
        &mut self,
        place: usize,
        now: Time,
        change: impl FnOnce(&mut Authorization) -> Result<(), AuthorizationError>,
    ) -> Result<(), TransitionError> {
        let mut changed = self.authorization(place)?.clone();
        change(&mut changed)?;
        self.check_provable(now)?;
        *self.authorizations.get_mut(place).ok_or(TransitionError::NoAuthorization)? = changed;
        self.version += 1;
        Ok(())
    }
}
