//! What is validated: an order of either protocol, and whoever proves its names.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    Error,
    acme::{self, AccountRow, Authorization, Challenge, ChallengeType, StoredProblem, ValidatedOrder},
    audit::Actor,
    authn::Requester,
    credential::CredentialState,
    identity::{AcmeAccountId, CredentialId, Protocol, ResourceName},
    rest::{self, requester_thumbprint},
    store::{Expect, Job, Store, Write},
};
use pki::time::Time;

use super::ValidationFailure;

/// An order with names to prove, as a row says.
#[derive(Clone, Debug)]
pub(crate) enum Ordered {
    Acme(Box<acme::OrderRow>),
    Rest(Box<rest::OrderRow>),
}

/// Whoever proves them.
#[derive(Clone, Debug)]
pub(crate) enum Prover {
    Account(Arc<AccountRow>),
    Requester {
        requester: Box<Requester>,
        /// Whether the credential is good for nothing any more.
        is_revoked: bool,
    },
}

/// Whose validation it is, among those that share the places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Claimant {
    Account(AcmeAccountId),
    /// By the thumbprint.
    Requester(String),
}

/// The order has changed since: the result is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Overtaken {
    #[error(transparent)]
    Acme(#[from] acme::TransitionError),
    #[error(transparent)]
    Rest(#[from] rest::TransitionError),
}

impl Claimant {
    /// From a job; none where it is none of ours.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        let (order, _) = acme::validation_of(&job.key)?;
        let last = std::str::from_utf8(&job.payload).ok()?.rsplit('/').next()?;
        match order {
            ValidatedOrder::Acme(_) => last.parse().ok().map(Self::Account),
            ValidatedOrder::Rest(_) => Some(Self::Requester(last.to_owned())),
        }
    }
}

impl Ordered {
    /// None: there is no such order any more.
    pub(super) async fn read(store: &dyn Store, id: &ValidatedOrder) -> Result<Option<Self>, Error> {
        Ok(match id {
            ValidatedOrder::Acme(id) => store.acme_order(id).await?.map(|order| Self::Acme(Box::new(order))),
            ValidatedOrder::Rest(id) => store.rest_order(id).await?.map(|row| Self::Rest(Box::new(row))),
        })
    }

    pub(super) fn id(&self) -> ValidatedOrder {
        match self {
            Self::Acme(order) => (&order.id).into(),
            Self::Rest(order) => (&order.id).into(),
        }
    }

    pub(super) fn method(&self) -> &ResourceName {
        match self {
            Self::Acme(order) => &order.method,
            Self::Rest(order) => &order.method,
        }
    }

    pub(super) fn authorizations(&self) -> &[Authorization] {
        match self {
            Self::Acme(order) => &order.authorizations,
            Self::Rest(order) => &order.authorizations,
        }
    }

    pub(super) fn processing(&self, place: usize) -> Option<&Challenge> {
        self.authorizations().get(place)?.processing()
    }

    /// Whether a proof still matters.
    pub(super) fn is_open(&self, now: Time) -> bool {
        match self {
            Self::Acme(order) => order.status(now) == acme::OrderStatus::Pending,
            Self::Rest(order) => match order.status(now) {
                rest::OrderStatus::AwaitingCsr | rest::OrderStatus::AwaitingProof => true,
                rest::OrderStatus::Pending
                | rest::OrderStatus::Issued
                | rest::OrderStatus::Denied
                | rest::OrderStatus::Cancelled
                | rest::OrderStatus::Failed
                | rest::OrderStatus::Expired => false,
            },
        }
    }

    /// That nobody has changed it.
    pub(super) fn expect(&self) -> Expect {
        match self {
            Self::Acme(order) => Expect::AcmeOrderVersion { id: order.id.clone(), version: order.version },
            Self::Rest(order) => Expect::RestOrderVersion { id: order.id.clone(), version: order.version },
        }
    }

    pub(super) fn into_write(self) -> Write {
        match self {
            Self::Acme(order) => Write::PutAcmeOrder(order),
            Self::Rest(order) => Write::PutRestOrder(order),
        }
    }

    pub(super) fn succeeded(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        until: Time,
    ) -> Result<(), Overtaken> {
        match self {
            Self::Acme(order) => Ok(order.challenge_succeeded(place, kind, now, until)?),
            Self::Rest(order) => Ok(order.challenge_succeeded(place, kind, now, until)?),
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        problem: StoredProblem,
    ) -> Result<(), Overtaken> {
        match self {
            Self::Acme(order) => Ok(order.attempt_failed(place, kind, now, problem)?),
            Self::Rest(order) => Ok(order.attempt_failed(place, kind, now, problem)?),
        }
    }

    pub(super) fn failed(
        &mut self,
        place: usize,
        kind: ChallengeType,
        now: Time,
        problem: StoredProblem,
    ) -> Result<(), Overtaken> {
        match self {
            Self::Acme(order) => Ok(order.challenge_failed(place, kind, now, problem)?),
            Self::Rest(order) => Ok(order.challenge_failed(place, kind, now, problem)?),
        }
    }
}

impl Prover {
    /// Of an order; none where there is nobody any more.
    pub(super) async fn read(store: &dyn Store, order: &Ordered) -> Result<Option<Self>, Error> {
        match order {
            Ordered::Acme(order) => {
                Ok(store.acme_account(&order.account).await?.map(|row| Self::Account(Arc::new(row))))
            }
            Ordered::Rest(order) => {
                let is_revoked = match &order.requester.credential {
                    Some(id) => {
                        let row = store.credential(id).await?;
                        row.is_none_or(|row| row.state != CredentialState::Active)
                    }
                    None => false,
                };
                Ok(Some(Self::Requester { requester: Box::new(order.requester.clone()), is_revoked }))
            }
        }
    }

    /// Whether they may prove anything.
    pub(super) fn check(&self) -> Result<(), ValidationFailure> {
        match self {
            Self::Account(account) => {
                account.check_valid().map_err(|error| ValidationFailure::unauthorized(error.to_string()))
            }
            Self::Requester { is_revoked: false, .. } => Ok(()),
            Self::Requester { is_revoked: true, .. } => {
                Err(ValidationFailure::unauthorized("the credential that ordered is not valid any more"))
            }
        }
    }

    /// Of the key, or what stands for one; base64url.
    pub(super) fn thumbprint(&self) -> String {
        match self {
            Self::Account(account) => URL_SAFE_NO_PAD.encode(account.thumbprint),
            Self::Requester { requester, .. } => requester_thumbprint(requester),
        }
    }

    /// As the audit trail remembers them.
    pub(super) fn actor(&self) -> Actor {
        let (protocol, name) = match self {
            Self::Account(account) => (Protocol::Acme, account.requester()),
            Self::Requester { requester, .. } => (requester.protocol, requester.name.clone()),
        };
        Actor::Requester { protocol, name, address: None, credential: self.credential().cloned() }
    }

    pub(super) fn credential(&self) -> Option<&CredentialId> {
        match self {
            Self::Account(account) => account.binding.as_ref().map(|binding| &binding.credential),
            Self::Requester { requester, .. } => requester.credential.as_ref(),
        }
    }
}
