//! Accounts and orders.

use std::sync::Arc;

use pki::serial::SerialNumber;

use super::Tables;
use crate::{
    acme::{AccountRow, OrderRow, OrderState},
    identity::{AcmeAccountId, AcmeOrderId, KeyId, ResourceName},
    store::{AcmeAccountFilter, Conflict},
};

impl Tables {
    pub(super) fn account(&self, id: &AcmeAccountId) -> Option<(i64, &Arc<AccountRow>)> {
        self.accounts.iter().find(|(_, row)| row.id == *id).map(|(number, row)| (*number, row))
    }

    pub(super) fn account_by_key(&self, method: &ResourceName, thumbprint: &[u8; 32]) -> Option<&AccountRow> {
        let mut rows = self.accounts.values();
        rows.find(|row| row.method == *method && row.thumbprint == *thumbprint).map(|row| &**row)
    }

    pub(super) fn put_account(&mut self, row: AccountRow) -> Result<(), Conflict> {
        if self.account_by_key(&row.method, &row.thumbprint).is_some_and(|other| other.id != row.id) {
            return Err(Conflict::AcmeAccountExists);
        }
        let existing = self.account(&row.id).map(|(number, _)| number);
        let number = existing.unwrap_or_else(|| self.next_number());
        self.accounts.insert(number, Arc::new(row));
        Ok(())
    }

    pub(super) fn order(&self, id: &AcmeOrderId) -> Option<(i64, &Arc<OrderRow>)> {
        self.orders.iter().find(|(_, row)| row.id == *id).map(|(number, row)| (*number, row))
    }

    pub(super) fn order_replacing(
        &self,
        method: &ResourceName,
        certificate: (KeyId, SerialNumber),
    ) -> Option<&OrderRow> {
        let rows = self.orders.iter().filter(|(_, row)| {
            row.method == *method && row.replaces == Some(certificate) && progress(&row.state).is_some()
        });
        rows.max_by_key(|(number, row)| (progress(&row.state), **number)).map(|(_, row)| &**row)
    }

    pub(super) fn put_order(&mut self, row: OrderRow) {
        let existing = self.order(&row.id).map(|(number, _)| number);
        let number = existing.unwrap_or_else(|| self.next_number());
        self.orders.insert(number, Arc::new(row));
    }
}

pub(super) fn account_matches(filter: &AcmeAccountFilter, row: &AccountRow) -> bool {
    filter.method.as_ref().is_none_or(|method| row.method == *method)
        && filter.status.is_none_or(|status| row.status == status)
        && filter.credential.as_ref().is_none_or(|credential| {
            row.binding.as_ref().is_some_and(|binding| binding.credential == *credential)
        })
}

/// How far an order came that may still be issued, or is.
fn progress(state: &OrderState) -> Option<u8> {
    match state {
        OrderState::Open => Some(0),
        OrderState::Processing { .. } => Some(1),
        OrderState::Valid { .. } => Some(2),
        OrderState::Invalid { .. } => None,
    }
}
