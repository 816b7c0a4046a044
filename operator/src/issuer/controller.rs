//! Drives requests of one kind: watches them, asks servers, writes statuses. What to do is decided in the files of the kinds.
//!
//! ```text
//! watch of requests ──┐
//! issuers changed ────┼─► queue (one entry a request) ─► decide ─► ask the server ─► conclude ─► status, event
//! waits that ended ───┘        at most CONCURRENCY at once
//! ```

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        WatchStreamExt as _,
        controller::{Action, Config, Error, ReconcileRequest, applier, trigger_self},
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    issuers::Issuers,
    request::{Again, Fate, Question, Request, Step, Verdict},
    retry::Retries,
};
use crate::{
    context::{Context, STATUS_FIELD_MANAGER},
    metrics::RequestOutcome,
};

/// How many requests are asked about at once. More would only wait at the server.
const CONCURRENCY: u16 = 32;

/// How often it is looked for a kind that the cluster does not have.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Serves the requests that `api` sees, for ever. Where the cluster does not have the kind, it says so once and looks again now
/// and then.
pub(super) async fn run<K: Request>(
    context: Context,
    api: Api<K>,
    issuers: watch::Receiver<Arc<Issuers>>,
) -> Infallible {
    wait_for_kind(&api).await;
    let (reader, writer) = store::<K>();
    let watched = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(K::shrink)
        .reflect(writer)
        .applied_objects();
    let queue = stream::select(
        trigger_self(watched, ()).boxed(),
        woken(reader.clone(), issuers.clone()).map(Ok::<_, watcher::Error>).boxed(),
    );
    let driver = Arc::new(Driver { context, issuers, retries: Retries::default() });
    applier(
        |request: Arc<K>, driver: Arc<Driver>| async move { driver.look_at(request.as_ref()).await }.boxed(),
        // Counted in `look_at`, which says itself when it fails.
        |_, error: &Failure, _| Action::requeue(error.wait),
        driver,
        reader,
        queue,
        Config::default().concurrency(CONCURRENCY),
    )
    .for_each(|result| async move { report::<K>(result) })
    .await;
    // The queue does not end: the stream of wakes waits for a sender that lives as long as the operator.
    std::future::pending().await
}

fn store<K: Request>() -> (Store<K>, Writer<K>) {
    let writer = Writer::new(());
    (writer.as_reader(), writer)
}

/// Waits until the API server knows the kind.
async fn wait_for_kind<K: Request>(api: &Api<K>) {
    let mut said = false;
    while let Err(kube::Error::Api(status)) = api.list_metadata(&ListParams::default().limit(1)).await {
        if status.code != 404 {
            return;
        }
        if !said {
            said = true;
            tracing::info!(
                kind = %K::kind(&()),
                group = %K::group(&()),
                "the cluster does not have this kind; it is looked for every {} s", LOOK_AGAIN.as_secs()
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The requests of issuers whose state has changed.
fn woken<K: Request>(
    requests: Store<K>,
    issuers: watch::Receiver<Arc<Issuers>>,
) -> impl Stream<Item = ReconcileRequest<K>> {
    let seen = issuers.borrow().clone();
    stream::unfold((issuers, seen), move |(mut issuers, seen)| {
        let requests = requests.clone();
        async move {
            issuers.changed().await.ok()?;
            let now = issuers.borrow_and_update().clone();
            let changed = requests.state_filter(|request: &K| {
                request.issuer().is_some_and(|issuer| now.revision(&issuer) != seen.revision(&issuer))
            });
            let wakes: Vec<_> =
                changed.iter().map(|request| ObjectRef::from_obj(request.as_ref()).into()).collect();
            Some((stream::iter(wakes), (issuers, now)))
        }
    })
    .flatten()
}

struct Driver {
    context: Context,
    issuers: watch::Receiver<Arc<Issuers>>,
    retries: Retries,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("retries", &self.retries).finish_non_exhaustive()
    }
}

/// A status that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written")]
struct Failure {
    wait: Duration,
    #[source]
    source: kube::Error,
}

impl Driver {
    async fn look_at<K: Request>(&self, request: &K) -> Result<Action, Failure> {
        let uid = request.meta().uid.as_deref().unwrap_or_default();
        let issuers = self.issuers.borrow().clone();
        let revision = request.issuer().map_or(0, |issuer| issuers.revision(&issuer));
        let verdict = match request.decide(&issuers, self.now()) {
            Step::Leave => {
                self.retries.over(uid);
                return Ok(Action::await_change());
            }
            Step::Tell(verdict) => verdict,
            Step::Ask(question) => {
                // The status that is written while it waits comes back by the watch, and must not end the wait.
                if let Some(wait) = self.retries.wait(uid, revision, Instant::now()) {
                    return Ok(Action::requeue(wait));
                }
                let answer = self.ask::<K>(&question).await;
                request.conclude(&answer, self.now())
            }
        };
        self.count::<K>(verdict.fate);
        self.tell(request, &verdict).await.map_err(|source| Failure {
            wait: self.retries.again(uid, revision, None, Instant::now()),
            source,
        })?;
        Ok(match verdict.again {
            Again::WhenChanged => {
                self.retries.over(uid);
                Action::await_change()
            }
            Again::Later(not_before) => {
                Action::requeue(self.retries.again(uid, revision, not_before, Instant::now()))
            }
        })
    }

    async fn ask<K: Request>(&self, question: &Question) -> super::request::Answer {
        let started = Instant::now();
        let answer = self.context.servers.issue(&question.server, &question.request).await;
        self.context.metrics.request_took(K::KIND, started.elapsed());
        if let Err(error) = &answer {
            self.context.metrics.request(K::KIND, RequestOutcome::Failed);
            tracing::warn!(requester = question.request.requester, %error, "a request got no answer; it is asked again");
        }
        answer
    }

    fn count<K: Request>(&self, fate: Fate) {
        let outcome = match fate {
            Fate::Issued => RequestOutcome::Issued,
            Fate::Pending => RequestOutcome::Pending,
            Fate::Failed | Fate::Denied => RequestOutcome::Refused,
        };
        self.context.metrics.request(K::KIND, outcome);
    }

    /// Writes the status, and an event where there is something new.
    async fn tell<K: Request>(&self, request: &K, verdict: &Verdict<K::Status>) -> Result<(), kube::Error> {
        let there = match &verdict.status {
            Some(status) => self.write(request, status).await?,
            None => true,
        };
        if there && verdict.is_news {
            self.event(&request.object_ref(&()), verdict).await;
        }
        Ok(())
    }

    /// Whether the request is still there, and as it was when this was decided. Where it is not, the watch brings what it is now, and
    /// it is looked at again: what it was told meanwhile is not overwritten.
    async fn write<K: Request>(&self, request: &K, status: &K::Status) -> Result<bool, kube::Error> {
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            // The UID: another request of this name is not to get this one's certificate.
            "metadata": {
                "name": request.name_any(),
                "uid": request.meta().uid,
                "resourceVersion": request.meta().resource_version,
            },
            "status": status,
        });
        let by_us = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        let api = request.api(self.context.client.clone());
        match api.patch_status(&request.name_any(), &by_us, &Patch::Apply(&patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn event<S>(&self, about: &ObjectReference, verdict: &Verdict<S>) {
        let (events, reason) = (&self.context.events, verdict.fate.as_str());
        match verdict.fate {
            Fate::Issued | Fate::Pending => events.normal(about, "Issue", reason, &verdict.message).await,
            Fate::Failed | Fate::Denied => events.warning(about, "Issue", reason, &verdict.message).await,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.context.clock.now().unix()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Errors are said once here; what they are about is tried again.
fn report<K: Request>(result: Result<(ObjectRef<K>, Action), Error<Failure, watcher::Error>>) {
    let kind = K::kind(&());
    match result {
        Ok(_) => {}
        Err(Error::ObjectNotFound(request)) => tracing::debug!(%kind, %request, "a request was deleted"),
        Err(Error::ReconcilerFailed(failure, request)) => {
            tracing::warn!(%kind, %request, error = %failure.source, "a status cannot be written; it is tried again");
        }
        Err(Error::QueueError(error)) => {
            tracing::warn!(%kind, %error, "requests cannot be watched; it is tried again");
        }
        Err(Error::RunnerError(error)) => {
            tracing::error!(%kind, %error, "requests are not looked at any more")
        }
    }
}
