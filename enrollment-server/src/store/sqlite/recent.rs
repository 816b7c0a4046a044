//! Orders of ACME as they were last committed. A client asks for one half a dozen times within a second, and each look
//! into the file costs a lock, some pages and a JSON document.
//!
//! Only the server writes orders, and a file has one server, so that what it has committed is what the file holds. Were it
//! otherwise after all, a commit would meet another version than it expects: then the order is forgotten here, and read anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use issuance::{
    acme::{OrderRow, OrderState},
    identity::AcmeOrderId,
    store::{Commit, Conflict, Expect, Write},
};

/// Most names of all orders together.
const MAX_NAMES: usize = 4096;

/// Those that somebody will ask for again.
#[derive(Debug, Default)]
pub(super) struct RecentOrders(Mutex<Orders>);

#[derive(Debug, Default)]
struct Orders {
    rows: HashMap<AcmeOrderId, Arc<OrderRow>>,
    names: usize,
}

impl RecentOrders {
    pub(super) fn get(&self, id: &AcmeOrderId) -> Option<OrderRow> {
        let row = self.lock().rows.get(id).map(Arc::clone);
        row.map(|row| OrderRow::clone(&row))
    }

    /// On the disk now, after all that were told before.
    pub(super) fn committed(&self, commit: Commit) {
        for write in commit.writes {
            if let Write::PutAcmeOrder(row) = write {
                self.lock().put(*row);
            } else if let Write::SweepAcmeOrders { .. } = write {
                self.clear();
            }
        }
    }

    /// Whoever lost to another change looks at the file.
    pub(super) fn refused(&self, conflict: &Conflict) {
        if let Conflict::Expectation(expect) = conflict
            && let Expect::AcmeOrderVersion { id, .. } = &**expect
        {
            self.lock().remove(id);
        }
    }

    pub(super) fn clear(&self) {
        *self.lock() = Orders::default();
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders {
    /// One that has ended was shown when it did, and is seldom asked for again.
    fn put(&mut self, row: OrderRow) {
        self.remove(&row.id);
        match row.state {
            OrderState::Open | OrderState::Processing { .. } => {}
            OrderState::Valid { .. } | OrderState::Invalid { .. } => return,
        }
        if self.names + row.authorizations.len() > MAX_NAMES {
            *self = Self::default();
        }
        self.names += row.authorizations.len();
        self.rows.insert(row.id.clone(), Arc::new(row));
    }

    fn remove(&mut self, id: &AcmeOrderId) {
        if let Some(row) = self.rows.remove(id) {
            self.names -= row.authorizations.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use issuance::store::suite::samples::{issuer, order, order_id, put_order, serial};

    use super::*;

    fn committed(recent: &RecentOrders, row: OrderRow) {
        recent.committed(Commit { writes: vec![put_order(row)], ..Commit::default() });
    }

    #[test]
    fn an_order_is_kept_until_it_ends() {
        let recent = RecentOrders::default();
        committed(&recent, order(1));
        let changed = OrderRow { version: 2, ..order(1) };
        committed(&recent, changed.clone());
        assert_eq!(recent.get(&order_id(1)).as_ref(), Some(&changed));
        assert_eq!(recent.lock().names, changed.authorizations.len());
        let state = OrderState::Valid { issuer: issuer(1), serial: serial(5) };
        committed(&recent, OrderRow { version: 3, state, ..changed });
        assert_eq!((recent.get(&order_id(1)), recent.lock().names), (None, 0));
    }

    #[test]
    fn orders_that_nobody_ends_do_not_fill_the_memory() {
        let recent = RecentOrders::default();
        let names = vec![order(1).authorizations[0].clone(); 200];
        for number in 0..=u8::MAX {
            committed(&recent, OrderRow { authorizations: names.clone(), ..order(number) });
            assert!(recent.lock().names <= MAX_NAMES);
            assert!(recent.get(&order_id(number)).is_some());
        }
        assert!(recent.get(&order_id(0)).is_none());
    }
}
