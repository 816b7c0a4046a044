//! What is asked for over REST, and every way in which that changes.
//!
//! ```text
//!       CSR, or a key made here
//! awaitingCsr ─┬─► awaitingProof ─┬─► pending ─┬─► issued ──► its key is handed out, once
//!              │                  │            ├─► denied
//!              └──────────────────┴────────────┴─► failed, cancelled
//! ```
//!
//! Where no control of names is to be proved, nor a person asked, those states are left out. Names may be proved before there
//! is a CSR.
//!
//! A transition that is refused leaves the row as it was; one that is made adds one to its version. Nothing leads out of
//! `issued`, `denied`, `cancelled` and `failed`.

use pki::{serial::SerialNumber, time::Time};
use serde::{Deserialize, Serialize};

use super::{Idempotency, OrderKey, Renewal};
use crate::{
    acme::{Authorization, AuthorizationError},
    authn::Requester,
    identity::{KeyId, RequestId, ResourceName, RestOrderId},
};

/// One order of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRow {
    pub id: RestOrderId,
    /// Grows with every change; 1 for a new one.
    pub version: u64,
    pub method: ResourceName,
    /// Who ordered; for whom the certificate is issued, whoever approves it.
    pub requester: Requester,
    /// The name by which the method offers a profile.
    pub product: String,
    pub created_at: Time,
    /// Whoever has not sent a CSR until then, or not proved all names, must order again. What waits for a person ends with its request.
    pub expires_at: Time,
    /// Swept afterwards, in whatever state it is.
    pub keep_until: Time,
    pub asked: AskedOrder,
    /// DER; none while none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::octets::optional")]
    pub csr: Option<Vec<u8>>,
    pub state: OrderState,
    /// One for each name whose control is to be proved, in the order of the names; their places are part of URLs. Empty where none
    /// is, or the names are not known yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<Authorization>,
    pub key: OrderKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// The certificate that this order renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<(KeyId, SerialNumber)>,
    /// The order that renewed this one's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<RestOrderId>,
    /// Where the server is to renew the certificate by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
}

/// What the order says itself; the CSR may say more, and the profile judges both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedOrder {
    /// As they were asked for: DNS names and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// RFC 4514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// In place of `not_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_days: Option<u32>,
}

/// As recorded: [`OrderRow::status`] says what that means now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum OrderState {
    AwaitingCsr,
    /// What is asked for is known, and control of a name was still to be proved when that was recorded.
    AwaitingProof,
    /// Not yet signed: the engine is asked again with this request.
    Pending {
        request: RequestId,
    },
    Issued {
        issuer: KeyId,
        serial: SerialNumber,
    },
    /// By a person.
    Denied {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// By the requester.
    Cancelled,
    /// By a rule, or because nobody decided in time.
    Failed {
        problem: String,
    },
}

/// As it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderStatus {
    AwaitingCsr,
    AwaitingProof,
    Pending,
    Issued,
    Denied,
    Cancelled,
    Failed,
    /// No CSR came in time, or no proof.
    Expired,
}

impl OrderStatus {
    pub const ALL: [OrderStatus; 8] = [
        Self::AwaitingCsr,
        Self::AwaitingProof,
        Self::Pending,
        Self::Issued,
        Self::Denied,
        Self::Cancelled,
        Self::Failed,
        Self::Expired,
    ];

    /// The spelling of the API and of tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingCsr => "awaitingCsr",
            Self::AwaitingProof => "awaitingProof",
            Self::Pending => "pending",
            Self::Issued => "issued",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// As rows have it: what was recorded, one or the other, and whether [`OrderRow::expires_at`] has come, where that matters.
    pub fn recorded(self) -> ([Self; 2], Option<bool>) {
        match self {
            Self::AwaitingCsr | Self::AwaitingProof => ([self; 2], Some(false)),
            Self::Expired => ([Self::AwaitingCsr, Self::AwaitingProof], Some(true)),
            Self::Pending | Self::Issued | Self::Denied | Self::Cancelled | Self::Failed => ([self; 2], None),
        }
    }
}

impl OrderState {
    /// What it is without regard to time: never [`OrderStatus::Expired`].
    pub fn recorded(&self) -> OrderStatus {
        match self {
            Self::AwaitingCsr => OrderStatus::AwaitingCsr,
            Self::AwaitingProof => OrderStatus::AwaitingProof,
            Self::Pending { .. } => OrderStatus::Pending,
            Self::Issued { .. } => OrderStatus::Issued,
            Self::Denied { .. } => OrderStatus::Denied,
            Self::Cancelled => OrderStatus::Cancelled,
            Self::Failed { .. } => OrderStatus::Failed,
        }
    }
}

/// How far an order came that may still be issued, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    Open = 0,
    Issued = 1,
}

/// Why a transition was not made. The row is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    #[error("the order is {}", .0.as_str())]
    Status(OrderStatus),
    #[error("the order is pending with another certificate request")]
    OtherCsr,
    #[error("the order has no such authorization")]
    NoAuthorization,
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),
    #[error("the requester made the key of this order")]
    RequestersKey,
    #[error("the key of this order was handed out at {at}")]
    KeyHandedOut { at: Time },
    #[error("the key of this order is gone")]
    KeyDiscarded,
}

impl OrderRow {
    /// What the order is now.
    pub fn status(&self, now: Time) -> OrderStatus {
        match self.state.recorded() {
            OrderStatus::AwaitingCsr | OrderStatus::AwaitingProof if self.expires_at <= now => {
                OrderStatus::Expired
            }
            other => other,
        }
    }

    /// The certificate, once it is issued.
    pub fn certificate(&self) -> Option<(KeyId, SerialNumber)> {
        match &self.state {
            OrderState::Issued { issuer, serial } => Some((*issuer, *serial)),
            OrderState::AwaitingCsr
            | OrderState::AwaitingProof
            | OrderState::Pending { .. }
            | OrderState::Denied { .. }
            | OrderState::Cancelled
            | OrderState::Failed { .. } => None,
        }
    }

    /// The certificate, once it is issued, where the server made its key: only such an order is looked for by it.
    pub fn keyed_certificate(&self) -> Option<(KeyId, SerialNumber)> {
        match self.key {
            OrderKey::Requester => None,
            OrderKey::Held { .. } | OrderKey::HandedOut { .. } | OrderKey::Discarded => self.certificate(),
        }
    }

    /// The certificate that the order is to renew, or renewed, and how far it came; none where it renews nothing or came to
    /// nothing.
    pub fn replacing(&self) -> Option<((KeyId, SerialNumber), Progress)> {
        let progress = match &self.state {
            OrderState::AwaitingCsr | OrderState::AwaitingProof | OrderState::Pending { .. } => {
                Progress::Open
            }
            OrderState::Issued { .. } => Progress::Issued,
            OrderState::Denied { .. } | OrderState::Cancelled | OrderState::Failed { .. } => return None,
        };
        Some((self.replaces?, progress))
    }

    /// There is a request, or a key made here; what it asks for waits until the names are proved.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it waits for one of both, [`TransitionError::OtherCsr`].
    pub fn await_proof(&mut self, csr: &[u8], now: Time) -> Result<(), TransitionError> {
        self.check_provable(now)?;
        self.check_issuable(csr, now)?;
        self.take_csr(csr);
        self.change(OrderState::AwaitingProof);
        Ok(())
    }

    /// Somebody has to approve. Again with another request where nobody did in time.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is open, [`TransitionError::OtherCsr`].
    pub fn pending(&mut self, request: RequestId, csr: &[u8], now: Time) -> Result<(), TransitionError> {
        self.check_issuable(csr, now)?;
        self.take_csr(csr);
        self.change(OrderState::Pending { request });
        Ok(())
    }

    /// The certificate is recorded in the same commit.
    ///
    /// # Errors
    /// As [`OrderRow::pending`].
    pub fn issued(
        &mut self,
        (issuer, serial): (KeyId, SerialNumber),
        csr: &[u8],
        now: Time,
    ) -> Result<(), TransitionError> {
        self.check_issuable(csr, now)?;
        self.take_csr(csr);
        self.change(OrderState::Issued { issuer, serial });
        Ok(())
    }

    /// A person said no.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is pending.
    pub fn deny(&mut self, reason: Option<String>, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::Pending => {}
            other @ (OrderStatus::AwaitingCsr
            | OrderStatus::AwaitingProof
            | OrderStatus::Issued
            | OrderStatus::Denied
            | OrderStatus::Cancelled
            | OrderStatus::Failed
            | OrderStatus::Expired) => return Err(TransitionError::Status(other)),
        }
        self.end(OrderState::Denied { reason });
        Ok(())
    }

    /// A rule said no when the certificate was to be made, or what it waited for did not come in time.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is open, or has expired.
    pub fn fail(&mut self, problem: String, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::AwaitingCsr
            | OrderStatus::AwaitingProof
            | OrderStatus::Pending
            | OrderStatus::Expired => {}
            other @ (OrderStatus::Issued
            | OrderStatus::Denied
            | OrderStatus::Cancelled
            | OrderStatus::Failed) => return Err(TransitionError::Status(other)),
        }
        self.end(OrderState::Failed { problem });
        Ok(())
    }

    /// By the requester.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is open.
    pub fn cancel(&mut self, now: Time) -> Result<(), TransitionError> {
        self.check_open(now)?;
        self.end(OrderState::Cancelled);
        Ok(())
    }

    /// The commit that does this is the one that lets the key go: whoever comes second has none.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is issued, and whatever else becomes of keys.
    pub fn hand_out_key(&mut self, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::Issued => {}
            other @ (OrderStatus::AwaitingCsr
            | OrderStatus::AwaitingProof
            | OrderStatus::Pending
            | OrderStatus::Denied
            | OrderStatus::Cancelled
            | OrderStatus::Failed
            | OrderStatus::Expired) => return Err(TransitionError::Status(other)),
        }
        match &self.key {
            OrderKey::Held { .. } => {}
            OrderKey::Requester => return Err(TransitionError::RequestersKey),
            OrderKey::HandedOut { at } => return Err(TransitionError::KeyHandedOut { at: *at }),
            OrderKey::Discarded => return Err(TransitionError::KeyDiscarded),
        }
        self.key = OrderKey::HandedOut { at: now };
        self.version += 1;
        Ok(())
    }

    /// Its certificate was renewed by another order.
    ///
    /// # Errors
    /// [`TransitionError::Status`] unless it is issued.
    pub fn renewed_by(&mut self, order: RestOrderId, now: Time) -> Result<(), TransitionError> {
        if self.certificate().is_none() {
            return Err(TransitionError::Status(self.status(now)));
        }
        self.replaced_by = Some(order);
        self.version += 1;
        Ok(())
    }

    fn check_open(&self, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::AwaitingCsr | OrderStatus::AwaitingProof | OrderStatus::Pending => Ok(()),
            other @ (OrderStatus::Issued
            | OrderStatus::Denied
            | OrderStatus::Cancelled
            | OrderStatus::Failed
            | OrderStatus::Expired) => Err(TransitionError::Status(other)),
        }
    }

    /// Whether a proof of control matters.
    pub(super) fn check_provable(&self, now: Time) -> Result<(), TransitionError> {
        match self.status(now) {
            OrderStatus::AwaitingCsr | OrderStatus::AwaitingProof => Ok(()),
            other @ (OrderStatus::Pending
            | OrderStatus::Issued
            | OrderStatus::Denied
            | OrderStatus::Cancelled
            | OrderStatus::Failed
            | OrderStatus::Expired) => Err(TransitionError::Status(other)),
        }
    }

    fn check_issuable(&self, csr: &[u8], now: Time) -> Result<(), TransitionError> {
        self.check_open(now)?;
        match &self.csr {
            Some(before) if before != csr => Err(TransitionError::OtherCsr),
            Some(_) | None => Ok(()),
        }
    }

    /// Where the server made the key there is none.
    fn take_csr(&mut self, csr: &[u8]) {
        if self.key == OrderKey::Requester {
            self.csr = Some(csr.to_vec());
        }
    }

    /// There will be no certificate: nobody needs the key any more.
    pub(super) fn end(&mut self, state: OrderState) {
        if matches!(self.key, OrderKey::Held { .. }) {
            self.key = OrderKey::Discarded;
        }
        self.change(state);
    }

    fn change(&mut self, state: OrderState) {
        self.state = state;
        self.version += 1;
    }
}
