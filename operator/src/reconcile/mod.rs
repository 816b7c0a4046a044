//! The loop: whatever changes, everything is looked at as a whole, and what is not as it should be is made so.
//!
//! ```text
//! a change ─► a moment's patience ─► pass.rs: settle.rs (resolve, make what is wanted, resolve again)
//!                                             ─► for each server: publish, sweep, workload
//!                                             ─► bundles, statuses ─► Outlook
//! ```
//!
//! What is right already costs no call. A pass in which something could not be read or written is made again, each time after
//! twice the pause, and at once when something changes.

mod identities;
mod pass;
mod server;
mod shown;
mod sweep;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use issuance::ports::SystemClock;
use kube::Client;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::pass::Reconciler;
use crate::{
    api::sentence,
    context::{Context, Options, Outlook},
    events::Events,
    health::Heartbeat,
    issuer,
    metrics::{Metrics, PassOutcome},
    renewals, revocation,
    servers::{Fleet, InternalClient, Poller},
    world::Watches,
};

/// How long a pass that is under way may take to end when the process is told to.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long further changes are waited for: they seldom come alone.
const PATIENCE: Duration = Duration::from_millis(100);

/// Everything is looked at this often, whatever changed: certificates and lists are renewed in time.
const RESYNC: Duration = Duration::from_secs(60);

/// The pause after a pass that failed; it doubles with each.
const RETRY: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_RETRY: Duration = RESYNC;

/// What is still to be listed is told this often.
const REPORT: Duration = Duration::from_secs(10);

/// Acts until `shutdown`. Only the leader calls this; where it is dropped, nothing is written any more.
///
/// # Errors
/// None that time heals: a part of it that died.
pub async fn run(
    client: Client,
    options: Arc<Options>,
    metrics: Arc<Metrics>,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // Ends the watches also where this future is dropped.
    let stop = shutdown.child_token();
    let _stop = stop.clone().drop_guard();
    let wake = Arc::new(Notify::new());
    let fleet = Fleet::default();
    let servers = InternalClient::new(fleet.clone(), crds::labels::INTERNAL_PORT);
    let poller = Poller::new(fleet.clone(), Arc::new(servers.clone()), wake.clone());
    let (publish_outlook, outlook) = watch::channel(Arc::new(Outlook::default()));
    let context = Context {
        events: Events::new(client.clone(), &options.identity),
        servers: Arc::new(servers.clone()),
        clock: Arc::new(SystemClock),
        client: client.clone(),
        wake: wake.clone(),
        outlook,
        metrics,
        options,
    };
    let watches = Watches::start(&client, &context.options.scope, wake.clone(), &stop);
    let mut tasks = JoinSet::new();
    tasks.spawn(poller.clone().run(stop.clone()));
    tasks.spawn(issuer::run(context.clone()));
    tasks.spawn(revocation::run(context.clone()));
    tasks.spawn(renewals::run(context.clone()));
    let reconciler = Reconciler::new(context.clone(), watches.clone(), fleet, poller, servers);
    let failures = 0;
    let acting = Loop { context, watches: watches.clone(), reconciler, publish_outlook, heartbeat, failures };
    tokio::select! {
        () = acting.run(&shutdown) => Ok(()),
        why = died(&mut tasks, &watches, &shutdown) => Err(why),
    }
}

/// Waits until something has ended that never should: half an operator is worse than none, and is begun anew.
async fn died(tasks: &mut JoinSet<()>, watches: &Watches, shutdown: &CancellationToken) -> anyhow::Error {
    let why = tokio::select! {
        Some(ended) = tasks.join_next() => match ended {
            Ok(()) => anyhow::anyhow!("a task of the operator has ended"),
            Err(error) => anyhow::Error::new(error).context("a task of the operator has died"),
        },
        () = watches.broken() => anyhow::anyhow!("a watch has died"),
    };
    if shutdown.is_cancelled() {
        // They are told to end; the pass that is under way may still.
        std::future::pending::<()>().await;
    }
    why
}

struct Loop {
    context: Context,
    watches: Watches,
    reconciler: Reconciler,
    publish_outlook: watch::Sender<Arc<Outlook>>,
    heartbeat: Heartbeat,
    /// Passes that failed, one after the other.
    failures: u32,
}

impl Loop {
    async fn run(mut self, shutdown: &CancellationToken) {
        if shutdown.run_until_cancelled(self.listed()).await.is_none() {
            return;
        }
        loop {
            self.heartbeat.beat();
            let pause = self.pass().await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(pause) => {}
                () = self.context.wake.notified() => {
                    // Failing again and again with every change would be no back-off.
                    let patience = if self.failures > 0 { pause.min(RETRY) } else { PATIENCE };
                    if shutdown.run_until_cancelled(sleep(patience)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until everything was listed once: what is absent before then may only not have been seen.
    async fn listed(&self) {
        let mut reported = Instant::now();
        loop {
            let outstanding = self.watches.outstanding();
            if outstanding.is_empty() {
                return;
            }
            if reported.elapsed() >= REPORT {
                tracing::warn!(sources = outstanding.join(", "), "still to be listed");
                reported = Instant::now();
            }
            self.heartbeat.beat();
            tokio::select! {
                () = self.context.wake.notified() => {}
                () = sleep(REPORT) => {}
            }
        }
    }

    /// Says how long to wait for the next one, if nothing changes.
    async fn pass(&mut self) -> Duration {
        let outcome = self.reconciler.pass().await;
        let (outlook, settled) = match outcome {
            Ok(outlook) => {
                let settled = outlook.settled;
                (Some(outlook), settled)
            }
            Err(error) => {
                tracing::warn!(error = sentence(error.as_ref()), "a pass failed; trying again");
                (None, false)
            }
        };
        if let Some(outlook) = outlook {
            self.publish_outlook.send_replace(Arc::new(outlook));
        }
        self.context.metrics.passed(if settled { PassOutcome::Settled } else { PassOutcome::Failed });
        if settled {
            self.failures = 0;
            return RESYNC;
        }
        let pause = RETRY.saturating_mul(1 << self.failures.min(10)).min(LONGEST_RETRY);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}
