//! Waiting for what becomes of an order.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use client::rest::{Client, ClientError, Order};
use tokio::time::{Instant, sleep};

/// How long a server waits with one answer (RFC 7240 §4.3 asks, this one grants 30 s).
const ROUND: Duration = Duration::from_secs(30);

/// Until an order is looked at again, where a server does not say.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, Args)]
pub(super) struct WaitArgs {
    /// Waits until the order has ended, or for this long, as in --wait=10m. Fails unless it is issued then.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option, reason = "clap: not given, given alone, given with a value")]
    wait: Option<Option<crds::Duration>>,
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    UntilEnded,
    For(Duration),
}

impl WaitArgs {
    /// None: not at all.
    pub(super) fn limit(&self) -> Option<Limit> {
        self.wait.as_ref().map(|wait| match wait {
            Some(duration) => Limit::For(Duration::from_secs(duration.seconds())),
            None => Limit::UntilEnded,
        })
    }
}

/// The order once it has ended, or as it is when the time is over.
///
/// # Errors
/// [`ClientError`]; a server that has too much to do is asked again.
pub(super) async fn until_ended(client: &Client, order: Order, limit: Limit) -> Result<Order, ClientError> {
    let end = match limit {
        Limit::UntilEnded => None,
        Limit::For(duration) => Some(Instant::now() + duration),
    };
    let left = || end.map_or(ROUND, |end| end.saturating_duration_since(Instant::now()));
    let mut order = order;
    while order.status.is_open() && !left().is_zero() {
        // In whole seconds, and not in none.
        let round = Duration::from_secs(left().min(ROUND).as_secs().max(1));
        let pause = match client.order_within(&order.id, round).await {
            Ok(waited) => {
                let pause = waited.retry_after.unwrap_or(PAUSE);
                order = waited.order;
                (!waited.applied && order.status.is_open()).then_some(pause)
            }
            Err(ClientError::Problem { problem, retry_after: Some(pause) })
                if matches!(problem.status, 429 | 503) =>
            {
                Some(pause)
            }
            Err(other) => return Err(other),
        };
        if let Some(pause) = pause {
            sleep(pause.min(left())).await;
        }
    }
    Ok(order)
}

/// # Errors
/// Where there is no certificate: why.
pub(super) fn check_issued(order: &Order) -> anyhow::Result<()> {
    if order.certificate_id.is_some() {
        return Ok(());
    }
    let (id, status) = (&order.id, order.status.as_str());
    match &order.reason {
        Some(reason) => bail!("the order {id} is {status}: {reason}"),
        None if order.status.is_open() => bail!("the order {id} is still {status}"),
        None => bail!("the order {id} is {status}"),
    }
}
