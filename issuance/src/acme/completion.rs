//! What becomes of an order in the commit that issues its certificate, or leaves that to a person.

use pki::{serial::SerialNumber, time::Time};

use super::{OrderRow, TransitionError};
use crate::{
    engine::Companion,
    error::Error,
    identity::{KeyId, RequestId},
    store::Write,
};

/// Goes with [`Engine::issue_with`](crate::Engine::issue_with); the evidence expects the version of this order.
#[derive(Clone, Copy, Debug)]
pub struct OrderCompletion<'a> {
    pub order: &'a OrderRow,
    /// The request, DER.
    pub csr: &'a [u8],
    /// How long the order is kept once it is finalized; what it says already, where that is later.
    pub keep_until: Time,
    pub now: Time,
}

impl Companion for OrderCompletion<'_> {
    fn issued(&self, issuer: KeyId, serial: &SerialNumber) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.issued(issuer, *serial, self.now).map_err(not_now)?;
        order.keep_until = order.keep_until.max(self.keep_until);
        Ok(vec![Write::PutAcmeOrder(Box::new(order))])
    }

    fn pending(&self, request: &RequestId) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.processing(request.clone(), self.csr, self.now).map_err(not_now)?;
        order.keep_until = order.keep_until.max(self.keep_until);
        Ok(vec![Write::PutAcmeOrder(Box::new(order))])
    }
}

/// The evidence has looked at the order; it has ended since.
fn not_now(_error: TransitionError) -> Error {
    Error::Stale
}
