//! What becomes of an order in the commit that issues its certificate, or leaves that to a person.

use pki::{serial::SerialNumber, time::Time};

use super::{OrderRow, TransitionError};
use crate::{
    engine::Companion,
    error::Error,
    identity::{KeyId, RequestId},
    store::{Expect, Write},
};

/// Goes with [`Engine::issue_with`](crate::Engine::issue_with).
#[derive(Clone, Copy, Debug)]
pub struct OrderCompletion<'a> {
    /// As it was read; or new, then of version 0.
    pub order: &'a OrderRow,
    /// The request, DER; what was signed in place of one where the server made the key.
    pub csr: &'a [u8],
    pub now: Time,
}

impl Companion for OrderCompletion<'_> {
    /// Somebody may cancel the order meanwhile, or make the same one.
    fn expect(&self) -> Vec<Expect> {
        vec![Expect::RestOrderVersion { id: self.order.id.clone(), version: self.order.version }]
    }

    fn issued(&self, issuer: KeyId, serial: &SerialNumber) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.issued((issuer, *serial), self.csr, self.now).map_err(not_now)?;
        Ok(vec![Write::PutRestOrder(Box::new(order))])
    }

    fn pending(&self, request: &RequestId) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.pending(request.clone(), self.csr, self.now).map_err(not_now)?;
        Ok(vec![Write::PutRestOrder(Box::new(order))])
    }
}

/// Whoever asked has looked at the order; it has ended since.
fn not_now(_error: TransitionError) -> Error {
    Error::Stale
}
