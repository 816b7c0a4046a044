//! Evidence for the server itself, where it renews what somebody ordered with the wish that it does: that whoever ordered could
//! still order now.

use pki::time::Time;

use super::{Evidence, password::evidence};
use crate::{
    error::{AuthenticationFailure, Error},
    identity::Protocol,
    rest::{OrderRow, RestAction, RestActions},
    store::Store,
};

impl Evidence {
    /// Of whoever ordered, and what their credential is good for: by the row of the credential as it is now, which what is issued
    /// expects. No secret was shown: it stands for the one that was shown with the order, and for no other one.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where the credential could order nothing now, or the order carries no such wish;
    /// [`Error::Unavailable`] without the store.
    pub async fn of_renewal(
        store: &dyn Store,
        order: &OrderRow,
        now: Time,
    ) -> Result<(Self, RestActions), Error> {
        let refused = Error::Unauthenticated;
        let wished = order.renewal.as_ref().and(order.requester.credential.as_ref());
        let credential = wished.ok_or(refused(AuthenticationFailure::Missing))?;
        let row = store.credential(credential).await?;
        let of_method = row.filter(|row| row.protocol == Protocol::Rest && row.method == order.method);
        let row = of_method.ok_or(refused(AuthenticationFailure::Mismatch))?;
        row.usable(now).map_err(refused)?;
        if !row.actions.contains(RestAction::Request) {
            return Err(refused(AuthenticationFailure::Mismatch));
        }
        Ok((evidence(&row, row.name.to_string(), now), row.actions))
    }
}
