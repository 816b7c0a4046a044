//! What becomes of an order in the commit that issues its certificate, or leaves that to a person.

use pki::{serial::SerialNumber, time::Time};

use super::{OrderRow, TransitionError, renewal_job};
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
    /// Somebody may cancel the order meanwhile, or make the same one; or a new one that renews the same certificate.
    fn expect(&self) -> Vec<Expect> {
        let order = self.order;
        let mut expect = vec![Expect::RestOrderVersion { id: order.id.clone(), version: order.version }];
        if let (Some((issuer, serial)), 0) = (order.replaces, order.version) {
            let method = order.method.clone();
            expect.push(Expect::RestReplacing { method, issuer, serial, by: None });
        }
        expect
    }

    fn issued(&self, issuer: KeyId, serial: &SerialNumber) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.issued((issuer, *serial), self.csr, self.now).map_err(not_now)?;
        let renewal = order.renewal.is_some().then(|| renewal_job(&order.id, self.now));
        let renewal = renewal.map(|job| Write::PutJob(Box::new(job)));
        Ok([Write::PutRestOrder(Box::new(order))].into_iter().chain(renewal).collect())
    }

    fn pending(&self, request: &RequestId) -> Result<Vec<Write>, Error> {
        let mut order = self.order.clone();
        order.pending(request.clone(), self.csr, self.now).map_err(not_now)?;
        Ok(vec![Write::PutRestOrder(Box::new(order))])
    }
}

/// As [`OrderCompletion`], where the order renews a certificate whose own order is still kept: that says so.
#[derive(Clone, Copy, Debug)]
pub struct RenewalCompletion<'a> {
    pub order: OrderCompletion<'a>,
    /// As it was read.
    pub renewed: Option<&'a OrderRow>,
}

impl Companion for RenewalCompletion<'_> {
    fn expect(&self) -> Vec<Expect> {
        let renewed =
            self.renewed.map(|row| Expect::RestOrderVersion { id: row.id.clone(), version: row.version });
        self.order.expect().into_iter().chain(renewed).collect()
    }

    fn issued(&self, issuer: KeyId, serial: &SerialNumber) -> Result<Vec<Write>, Error> {
        let mut writes = self.order.issued(issuer, serial)?;
        if let Some(renewed) = self.renewed {
            let mut renewed = renewed.clone();
            renewed.renewed_by(self.order.order.id.clone(), self.order.now).map_err(not_now)?;
            writes.push(Write::PutRestOrder(Box::new(renewed)));
        }
        Ok(writes)
    }

    /// Where the certificate is to be renewed by the server, its order remembers what that waits for.
    fn pending(&self, request: &RequestId) -> Result<Vec<Write>, Error> {
        let mut writes = self.order.pending(request)?;
        let mut renewed = self.renewed.cloned();
        if let Some(row) = &mut renewed
            && let Some(renewal) = &mut row.renewal
        {
            renewal.order = Some(self.order.order.id.clone());
            row.version += 1;
            writes.extend(renewed.map(|row| Write::PutRestOrder(Box::new(row))));
        }
        Ok(writes)
    }
}

/// Whoever asked has looked at the order; it has ended since.
fn not_now(_error: TransitionError) -> Error {
    Error::Stale
}
