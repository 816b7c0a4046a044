//! Waiting for what becomes of an order.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use client::rest::{Client, ClientError, Order};
use tokio::time::{Instant, sleep};

use super::{again::pause, challenge};
use crate::output::remark;

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

    /// Waits, if that is asked for, and says first for what: it can take days, and whoever stops it must be able to go on.
    pub(super) async fn follow(&self, client: &Client, order: &mut Order) -> anyhow::Result<()> {
        let Some(limit) = self.limit() else { return Ok(()) };
        let id = order.id.clone();
        if order.status.is_open() {
            let status = order.status.as_str();
            remark(format_args!("the order {id} is {status}; `orders get {id} --wait` waits for it too"));
            challenge::remark(&order.authorizations);
        }
        let waited = until_ended(client, order, limit).await;
        waited.with_context(|| format!("the order {id} may go on; `orders get {id} --wait` waits for it"))
    }

    /// # Errors
    /// Where nothing came of it, after waiting or because it has ended: why.
    pub(super) fn check(&self, order: &Order) -> anyhow::Result<()> {
        match self.wait {
            None if order.status.is_open() => Ok(()),
            Some(_) | None => check_issued(order),
        }
    }
}

/// Looks until the order has ended, or the time is over.
///
/// # Errors
/// [`ClientError`], unless it passes: a server that is not there for a while, or has too much to do, is asked again.
pub(super) async fn until_ended(client: &Client, order: &mut Order, limit: Limit) -> Result<(), ClientError> {
    let end = match limit {
        Limit::UntilEnded => None,
        Limit::For(duration) => Some(Instant::now() + duration),
    };
    let left = || end.map_or(ROUND, |end| end.saturating_duration_since(Instant::now()));
    let mut failing = false;
    while order.status.is_open() && !left().is_zero() {
        // In whole seconds, and not in none.
        let round = Duration::from_secs(left().min(ROUND).as_secs().max(1));
        let pause = match client.order_within(&order.id, round).await {
            Ok(waited) => {
                failing = false;
                *order = waited.order;
                let pause = waited.retry_after.unwrap_or(PAUSE);
                (!waited.applied && order.status.is_open()).then_some(pause)
            }
            Err(error) => {
                let Some(pause) = pause(&error, PAUSE) else { return Err(error) };
                if !failing {
                    remark(format_args!("{:#}; asking again", anyhow::Error::new(error)));
                }
                failing = true;
                Some(pause)
            }
        };
        if let Some(pause) = pause {
            sleep(pause.min(left())).await;
        }
    }
    Ok(())
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
