//! Looks at revocations after every pass of the operator's loop, asks servers, writes statuses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{
    CertificateRevocation, CertificateRevocationStatus, Kind, RevocationTarget,
    conditions::{ConditionType, Reason},
};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    decide::{Step, conclude, decide, is_over},
    signatories::Signatories,
};
use crate::{
    context::{Context, Outlook, STATUS_FIELD_MANAGER},
    issuer::Retries,
    metrics::{RequestKind, RequestOutcome},
    world::Entry,
};

/// How many are asked about at once.
const CONCURRENCY: usize = 8;

/// Nothing is waited for longer than this without a look.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// After somebody else changed it first.
const SOON: Duration = Duration::from_secs(1);

/// Revokes for as long as it is polled. Only the leader runs it.
pub async fn run(context: Context) {
    let retries = Retries::default();
    let mut outlook = context.outlook.clone();
    loop {
        let now = outlook.borrow_and_update().clone();
        let wait = if now.pass > 0 { look(&context, &now, &retries).await } else { LONGEST_WAIT };
        tokio::select! {
            changed = outlook.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Looks at every revocation; says when to look again at the latest.
async fn look(context: &Context, outlook: &Arc<Outlook>, retries: &Retries) -> Duration {
    let signatories = Signatories::of(outlook);
    let unfinished: Vec<ResourceName> = outlook
        .world
        .of_kind(Kind::CertificateRevocation)
        .filter(|(_, entry)| is_unfinished(entry))
        .map(|(name, _)| name.clone())
        .collect();
    let looker = &Looker { context, outlook, signatories: &signatories, retries };
    let waits = stream::iter(unfinished)
        .map(|name| async move { looker.serve(&name).await })
        .buffer_unordered(CONCURRENCY)
        .filter_map(|wait| async move { wait });
    waits.fold(LONGEST_WAIT, |least, wait| async move { least.min(wait) }).await
}

/// As the world has it, which may be a moment old: what it calls finished is.
fn is_unfinished(entry: &Entry) -> bool {
    match entry {
        Entry::Read(crds::Resource::CertificateRevocation(revocation)) => !is_over(revocation),
        // Its status is written with those of others that cannot be read.
        Entry::Read(_) | Entry::Undecodable { .. } => false,
    }
}

/// One look at one revocation after another.
pub(super) struct Looker<'a> {
    pub(super) context: &'a Context,
    pub(super) outlook: &'a Outlook,
    pub(super) signatories: &'a Signatories,
    pub(super) retries: &'a Retries,
}

impl Looker<'_> {
    /// Says when to look again, where nothing else will tell.
    pub(super) async fn serve(&self, name: &ResourceName) -> Option<Duration> {
        match self.serve_or_fail(name).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(revocation = %name, %error, "a revocation cannot be read or written; it is tried again");
                Some(self.retries.again(&name.to_string(), 0, None, Instant::now()))
            }
        }
    }

    async fn serve_or_fail(&self, name: &ResourceName) -> Result<Option<Duration>, kube::Error> {
        let api: Api<CertificateRevocation> = Api::namespaced(self.context.client.clone(), name.namespace());
        // What the world has may be older than what was written down the last time.
        let Some(mut revocation) = api.get_opt(name.name()).await? else { return Ok(None) };
        let uid = revocation.metadata.uid.clone().unwrap_or_default();
        loop {
            match decide(&revocation, self.signatories, self.secret(&revocation), self.now()) {
                Step::Leave => return Ok(None),
                Step::Record(status) => match self.write(&api, &revocation, &status).await? {
                    Some(written) => revocation = written,
                    None => return Ok(Some(SOON)),
                },
                Step::Tell(status) => {
                    self.tell(&api, &revocation, &status).await?;
                    return Ok(None);
                }
                Step::Ask(question) => {
                    let now = Instant::now();
                    if let Some(wait) = self.retries.wait(&uid, 0, now) {
                        return Ok(Some(wait));
                    }
                    let answer = self.context.servers.revoke(&question.server, &question.request).await;
                    self.context.metrics.request_took(RequestKind::CertificateRevocation, now.elapsed());
                    let status = conclude(&revocation, &answer, self.now());
                    if revocation.status.as_ref() != Some(&status) {
                        self.tell(&api, &revocation, &status).await?;
                    }
                    return Ok(match answer {
                        Ok(_) => {
                            self.retries.over(&uid);
                            None
                        }
                        Err(error) => Some(self.retries.again(&uid, 0, error.retry_after(), Instant::now())),
                    });
                }
            }
        }
    }

    /// The Secret that a revocation names, as the last pass saw it.
    fn secret(&self, revocation: &CertificateRevocation) -> Option<&Secret> {
        let Some(RevocationTarget::Secret(reference)) = revocation.spec.target() else { return None };
        self.outlook.resources.secrets.iter().find(|secret| {
            secret.metadata.name.as_deref() == Some(reference.name.as_str())
                && secret.metadata.namespace == revocation.metadata.namespace
        })
    }

    async fn tell(
        &self,
        api: &Api<CertificateRevocation>,
        revocation: &CertificateRevocation,
        status: &CertificateRevocationStatus,
    ) -> Result<(), kube::Error> {
        if self.write(api, revocation, status).await?.is_none() {
            return Ok(());
        }
        let ready =
            status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str());
        let Some(ready) = ready else { return Ok(()) };
        let (about, events) = (revocation.object_ref(&()), &self.context.events);
        let outcome = if ready.reason == Reason::Revoked.as_str() {
            events.normal(&about, "Revoke", &ready.reason, "the certificate is revoked").await;
            RequestOutcome::Revoked
        } else {
            events.warning(&about, "Revoke", &ready.reason, &ready.message).await;
            let refused = [Reason::Refused.as_str(), Reason::CertificateNotFound.as_str()];
            if refused.contains(&ready.reason.as_str()) {
                RequestOutcome::Refused
            } else {
                RequestOutcome::Pending
            }
        };
        self.context.metrics.request(RequestKind::CertificateRevocation, outcome);
        // Lists that the operator makes itself are made in the loop.
        self.context.wake.notify_one();
        Ok(())
    }

    /// None: it is gone, or somebody else changed it first.
    async fn write(
        &self,
        api: &Api<CertificateRevocation>,
        revocation: &CertificateRevocation,
        status: &CertificateRevocationStatus,
    ) -> Result<Option<CertificateRevocation>, kube::Error> {
        let name = revocation.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({
            "apiVersion": crds::API_VERSION,
            "kind": Kind::CertificateRevocation.as_str(),
            "metadata": {
                "name": name,
                "uid": revocation.metadata.uid,
                "resourceVersion": revocation.metadata.resource_version,
            },
            "status": status,
        });
        let by_us = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        match api.patch_status(name, &by_us, &Patch::Apply(&patch)).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.context.clock.now().unix()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
