//! Orders of REST.

use std::sync::Arc;

use pki::serial::SerialNumber;

use super::Tables;
use crate::{
    identity::{KeyId, ResourceName, RestOrderId},
    rest::{OrderKey, OrderRow},
    store::{Conflict, RequestKey, RestOrderFilter},
};

impl Tables {
    pub(super) fn rest_order(&self, id: &RestOrderId) -> Option<(i64, &Arc<OrderRow>)> {
        self.rest_orders.iter().find(|(_, row)| row.id == *id).map(|(number, row)| (*number, row))
    }

    pub(super) fn rest_order_by_key(&self, method: &ResourceName, key: &RequestKey) -> Option<&OrderRow> {
        let has_it = |row: &&Arc<OrderRow>| {
            row.method == *method && row.idempotency.is_some_and(|idempotency| idempotency.key == *key)
        };
        self.rest_orders.values().find(has_it).map(|row| &**row)
    }

    pub(super) fn rest_order_of(
        &self,
        method: &ResourceName,
        certificate: (KeyId, SerialNumber),
    ) -> Option<&OrderRow> {
        let is_it =
            |row: &&Arc<OrderRow>| row.method == *method && row.keyed_certificate() == Some(certificate);
        self.rest_orders.values().find(is_it).map(|row| &**row)
    }

    pub(super) fn rest_order_replacing(
        &self,
        method: &ResourceName,
        certificate: (KeyId, SerialNumber),
    ) -> Option<&OrderRow> {
        let replacing = self.rest_orders.iter().filter_map(|(number, row)| {
            let found = row.replacing().filter(|(replaces, _)| *replaces == certificate);
            found.filter(|_| row.method == *method).map(|(_, progress)| ((progress, *number), row))
        });
        replacing.max_by_key(|(place, _)| *place).map(|(_, row)| &**row)
    }

    pub(super) fn put_rest_order(&mut self, row: OrderRow) -> Result<(), Conflict> {
        let key = row.idempotency.map(|idempotency| idempotency.key);
        let holder = key.and_then(|key| self.rest_order_by_key(&row.method, &key));
        if holder.is_some_and(|other| other.id != row.id) {
            return Err(Conflict::RestOrderExists);
        }
        let existing = self.rest_order(&row.id).map(|(number, _)| number);
        let number = existing.unwrap_or_else(|| self.next_number());
        self.rest_orders.insert(number, Arc::new(row));
        Ok(())
    }
}

pub(super) fn order_matches(filter: &RestOrderFilter, row: &OrderRow) -> bool {
    filter.method.as_ref().is_none_or(|method| row.method == *method)
        && (filter.credential.is_none() || row.requester.credential == filter.credential)
        && filter.status.is_none_or(|(status, now)| row.status(now) == status)
        && filter.created_from.is_none_or(|time| row.created_at >= time)
        && filter.created_before.is_none_or(|time| row.created_at < time)
        && filter.key_held.is_none_or(|held| matches!(row.key, OrderKey::Held { .. }) == held)
}
