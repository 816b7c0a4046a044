//! Certificates that the server renews by itself (`jobs/renewal.rs`): by an order of its own for whoever ordered, which goes the way
//! of theirs. Nothing is allowed here that they could not do themselves at the moment.

use std::sync::Arc;

use issuance::{
    Error,
    identity::RestOrderId,
    rest::{OrderRow, OrderState},
    store::CertificateRow,
};

use super::{
    ask::Ask,
    auth::renewing,
    certificates::renew,
    error::RestError,
    orders::{load, look},
};
use crate::serving::App;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// The order that has the new certificate.
    By(RestOrderId),
    /// For a person.
    Waits,
    /// A rule says no; not for ever, as rules change.
    Refused(String),
    /// A person said no, or nobody said anything.
    Ended(String),
}

/// Renews the certificate of an order now, or goes on with the order that is to.
///
/// # Errors
/// Where it may be otherwise in a moment: [`Error::Unavailable`], [`Error::Internal`], [`Error::Stale`], [`Error::Conflict`].
pub(crate) async fn renew_by_itself(
    app: &Arc<App>,
    order: &OrderRow,
    row: &CertificateRow,
) -> Result<Renewed, Error> {
    match attempt(app, order, row).await {
        Ok(next) => Ok(became(next)),
        Err(RestError::Core(error)) => match error {
            Error::Unauthenticated(failure) => {
                Ok(Renewed::Refused(format!("whoever ordered could order nothing now: {failure}")))
            }
            Error::Refused(_) | Error::Malformed(_) | Error::NotFound(_) => {
                Ok(Renewed::Refused(RestError::Core(error).sentence()))
            }
            Error::Throttled { .. }
            | Error::Conflict(_)
            | Error::Stale
            | Error::Unavailable(_)
            | Error::Internal(_) => Err(error),
        },
        Err(other) => Ok(Renewed::Refused(other.sentence())),
    }
}

async fn attempt(app: &Arc<App>, order: &OrderRow, row: &CertificateRow) -> Result<OrderRow, RestError> {
    let caller = renewing(Arc::new(Ask::of_server(app)), order).await?;
    match order.renewal.as_ref().and_then(|renewal| renewal.order.as_ref()) {
        Some(next) => look(&caller, load(&caller, next).await?).await,
        None => Ok(renew(&caller, row).await?.order),
    }
}

fn became(next: OrderRow) -> Renewed {
    match next.state {
        OrderState::Issued { .. } => Renewed::By(next.id),
        OrderState::Pending { .. } | OrderState::AwaitingCsr | OrderState::AwaitingProof => Renewed::Waits,
        OrderState::Denied { reason } => {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Renewed::Ended(format!("order {} was denied{why}", next.id))
        }
        OrderState::Cancelled => Renewed::Ended(format!("order {} was cancelled", next.id)),
        OrderState::Failed { problem } => Renewed::Ended(format!("order {} has failed: {problem}", next.id)),
    }
}
