//! Puts in force what the operator has signed, and remembers it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use client::internal::OPERATOR_DNS_NAME;
use issuance::{
    Error, audit::Action, authn::OperatorTrust, identity::ResourceName, ports::Signer, sealing::SealingKeys,
    secret::Secret,
};
use resolve::{
    CompiledCredential, CompiledInternal,
    parts::{Manifest, PartKind, part_secret_name},
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use signers::SoftwareSigner;
use tokio::time::Instant;

use super::{
    candidate::{Candidate, ManifestKey, Mark, Rejection},
    inventory,
    snapshot::{Agreed, Snapshot},
    status::ClusterStatus,
    watch::{Found, SecretWatch},
};
use crate::{
    configuration::{Declared, DeviceTls, FailedKind, Failure, Installer, Material, Values},
    listeners::{OperatorGate, ServerCertificate, ServerIdentity},
    metrics::ReloadOutcome,
    process::record,
    serving::App,
};

/// How long the API server may take to answer for the first time, before the last good configuration is used.
const FIRST_READ: Duration = Duration::from_secs(10);

/// How long a part may be on its way before it is said to be missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// After an outage (store, signer) the same is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// How often a configuration is recorded that another replica records at the same time.
const ATTEMPTS: usize = 5;

/// What the internal listener shows, and whom it takes.
#[derive(Clone, Debug)]
pub(super) struct InternalTls {
    pub(super) certificate: Arc<ServerCertificate>,
    pub(super) gate: Arc<OperatorGate>,
}

/// One per process.
#[derive(Debug)]
pub(super) struct Configuration {
    app: Arc<App>,
    installer: Installer,
    sealing: Arc<SealingKeys>,
    status: Arc<ClusterStatus>,
    internal: InternalTls,
    server: ResourceName,
    key: ManifestKey,
    snapshot: Snapshot,
    in_force: Option<Mark>,
    patience: Patience,
    /// When to look again, whether anything has changed or not.
    again: Option<Instant>,
}

/// Why a configuration was not put in force.
#[derive(Debug)]
enum NotTaken {
    Rejected(Rejection),
    /// A content that does not do, whenever it is tried.
    Unfit(anyhow::Error),
    /// Store or signer do not answer.
    Outage(anyhow::Error),
}

impl Configuration {
    pub(super) fn new(
        app: Arc<App>,
        tls: Arc<DeviceTls>,
        status: Arc<ClusterStatus>,
        internal: InternalTls,
        server: ResourceName,
        key: ManifestKey,
    ) -> Self {
        Self {
            installer: Installer::new(app.clone(), tls),
            sealing: app.sealing.clone(),
            app,
            status,
            internal,
            snapshot: Snapshot::new(&server),
            server,
            key,
            in_force: None,
            patience: Patience::default(),
            again: Some(Instant::now() + FIRST_READ),
        }
    }

    /// Whether anything is in force.
    pub(super) fn is_in_force(&self) -> bool {
        self.in_force.is_some()
    }

    /// Waits until something changes or is to be looked at again, and puts in force what may be.
    pub(super) async fn next(&mut self, watch: &mut SecretWatch) {
        match self.again.take() {
            Some(at) => drop(tokio::time::timeout_at(at, watch.changed()).await),
            None => watch.changed().await,
        }
        match watch.found() {
            Some(found) => self.consider(&found).await,
            None if self.is_in_force() => {}
            None => {
                tracing::warn!("the Secrets of this namespace have not been read yet");
                self.restore().await;
            }
        }
    }

    /// Puts what lies there in force, where it may be.
    pub(super) async fn consider(&mut self, found: &Found) {
        let why = match self.take_over(found).await {
            Ok(()) => {
                self.patience.reset();
                self.app.metrics.rejecting(false);
                return;
            }
            Err(NotTaken::Rejected(rejection)) => {
                let why = rejection.to_string();
                if rejection.may_pass()
                    && let Some(left) = self.patience.left(&why)
                {
                    self.look_again(left);
                    return;
                }
                why
            }
            Err(NotTaken::Unfit(error)) => format!("{error:#}"),
            Err(NotTaken::Outage(error)) => {
                self.look_again(TRY_AGAIN);
                format!("{error:#}")
            }
        };
        if !self.is_in_force() {
            self.restore().await;
        }
        self.app.metrics.rejecting(true);
        if self.status.rejected(why.clone()) {
            tracing::error!(why, "the configuration was not taken; the last good one stays in force");
            self.app.metrics.reloaded(ReloadOutcome::Rejected);
        }
    }

    fn look_again(&mut self, wait: Duration) {
        self.again = Some(Instant::now() + wait);
    }

    /// Puts the configuration that was recorded last in force, where there is one.
    pub(super) async fn restore(&mut self) {
        match self.restore_last().await {
            Ok(Some(generation)) => {
                tracing::warn!(generation, "started with the last configuration that was in force");
            }
            Ok(None) => {}
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the last configuration that was in force cannot be used; trying again"
                );
                self.look_again(TRY_AGAIN);
            }
        }
    }

    async fn restore_last(&mut self) -> anyhow::Result<Option<u64>> {
        let store = self.app.engine.store().clone();
        let agreed = self.snapshot.agreed(&*store).await?;
        let Some(candidate) = self.snapshot.restore(&*store, &self.sealing).await? else { return Ok(None) };
        let generation = candidate.mark().generation;
        match self.apply(candidate, agreed, false).await {
            Ok(()) => Ok(Some(generation)),
            Err(NotTaken::Rejected(rejection)) => Err(rejection.into()),
            Err(NotTaken::Unfit(error) | NotTaken::Outage(error)) => Err(error),
        }
    }

    async fn take_over(&mut self, found: &Found) -> Result<(), NotTaken> {
        for _ in 0..ATTEMPTS {
            let agreed = self.snapshot.agreed(&**self.app.engine.store()).await?;
            let newest = newest(self.in_force.as_ref(), agreed.as_ref());
            let candidate = Candidate::find(&self.key, &self.server, self.in_force.as_ref(), found);
            let Some(candidate) = candidate.map_err(NotTaken::Rejected)? else {
                self.status.recovered();
                return Ok(());
            };
            if let Some(newest) = newest {
                candidate.mark().check_follows(newest).map_err(NotTaken::Rejected)?;
            }
            match self.apply(candidate, agreed, true).await {
                // Another replica records at the same time: look what it was.
                Err(NotTaken::Outage(error)) if is_conflict(&error) => continue,
                other => return other,
            }
        }
        Err(NotTaken::Outage(anyhow!("other replicas record configurations at the same time")))
    }

    async fn apply(
        &mut self,
        candidate: Candidate,
        agreed: Option<Agreed>,
        news: bool,
    ) -> Result<(), NotTaken> {
        let (mark, assembled) = (candidate.mark(), &candidate.assembled);
        let compiled = &assembled.compiled;
        let mut failures = Vec::new();
        let signers = signers(&assembled.keys, &mut failures);
        let base = compiled.server.enrollment_base_url.as_deref();
        let material = Material { signers: &signers, crls: &assembled.crls, base };
        let internal =
            compiled.server.internal.as_ref().map(internal).transpose().map_err(NotTaken::Unfit)?;
        let (prepared, failed) =
            self.installer.prepare(compiled, &material, mark.generation).await.map_err(of_prepare)?;
        failures.extend(failed);
        let agreed = match agreed {
            Some(agreed) if agreed.mark == mark => agreed,
            before => {
                let store = self.app.engine.store();
                self.snapshot.record(&**store, &self.sealing, &candidate, before.as_ref()).await?
            }
        };
        let names = declared_names(&candidate);
        let declared = Declared { in_force: &compiled.credentials, names: &names, guard: Some(agreed.guard) };
        failures.extend(self.installer.reconcile(&MadeByTheOperator, &declared).await?);
        inventory::adopt(&self.app.engine, compiled).await?;
        if news {
            record(&self.app, Action::ConfigurationLoaded, Some(mark.generation))
                .await
                .map_err(NotTaken::Outage)?;
        }
        // From here on nothing fails any more.
        self.installer.install(prepared).await;
        if let Some((identity, trust)) = internal {
            self.internal.certificate.show(Some(identity));
            self.internal.gate.trust(Some(trust));
        }
        self.report(&mark, &candidate, failures);
        self.app.metrics.reloaded(ReloadOutcome::Applied);
        tracing::info!(
            generation = mark.generation,
            methods = compiled.methods.len(),
            "configuration in force"
        );
        self.in_force = Some(mark);
        Ok(())
    }

    fn report(&self, mark: &Mark, candidate: &Candidate, failures: Vec<Failure>) {
        let assembled = &candidate.assembled;
        let (mut parts, mut failed) = (assembled.parts.clone(), assembled.failed.clone());
        for failure in failures {
            tracing::warn!(%failure, "a part of the configuration is not in force");
            let secret = part_secret_name(part_kind(failure.kind), &failure.name);
            parts.remove(&secret);
            failed.entry(secret).or_insert(failure.reason);
        }
        for (secret, why) in &assembled.failed {
            tracing::warn!(secret, why, "a part of the configuration is not in force");
        }
        self.app.metrics.failed_parts(failed.len());
        self.status.applied(mark.generation, parts, failed);
    }
}

/// Waits a while for what may be on its way, before it says that it is missing.
#[derive(Debug, Default)]
struct Patience {
    since: Option<(String, Instant)>,
}

impl Patience {
    fn reset(&mut self) {
        self.since = None;
    }

    /// How much longer; none: it was long enough.
    fn left(&mut self, why: &str) -> Option<Duration> {
        let now = Instant::now();
        let since = match &self.since {
            Some((known, since)) if known == why => *since,
            Some(_) | None => {
                self.since = Some((why.to_owned(), now));
                now
            }
        };
        let left = PATIENCE.saturating_sub(now.duration_since(since));
        (!left.is_zero()).then_some(left)
    }
}

impl From<Error> for NotTaken {
    fn from(error: Error) -> Self {
        Self::Outage(error.into())
    }
}

/// The server's own certificate: store and signer may be out of reach, and what was given may not do.
fn of_prepare(error: anyhow::Error) -> NotTaken {
    match error.downcast_ref::<Error>() {
        Some(Error::Unavailable(_) | Error::Conflict(_) | Error::Stale) => NotTaken::Outage(error),
        Some(_) | None => NotTaken::Unfit(error),
    }
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Conflict(_)))
}

fn newest<'a>(in_force: Option<&'a Mark>, agreed: Option<&'a Agreed>) -> Option<&'a Mark> {
    [in_force, agreed.map(|agreed| &agreed.mark)].into_iter().flatten().max_by_key(|mark| mark.generation)
}

/// Keys that can be used; what is wrong with the others is noted, and their authorities sign nothing here.
fn signers(
    keys: &BTreeMap<ResourceName, Secret>,
    failures: &mut Vec<Failure>,
) -> BTreeMap<ResourceName, Arc<dyn Signer>> {
    let mut signers: BTreeMap<ResourceName, Arc<dyn Signer>> = BTreeMap::new();
    for (name, key) in keys {
        match SoftwareSigner::from_pkcs8(key) {
            Ok(signer) => {
                signers.insert(name.clone(), Arc::new(signer));
            }
            Err(error) => failures.push(Failure {
                kind: FailedKind::Authority,
                name: name.clone(),
                reason: format!("its key: {error}"),
            }),
        }
    }
    signers
}

fn internal(compiled: &CompiledInternal) -> anyhow::Result<(ServerIdentity, OperatorTrust)> {
    let chain = compiled.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(compiled.key.expose().to_vec());
    let identity = ServerIdentity::new(chain, key).context("the certificate of the internal listener")?;
    let trust = OperatorTrust::new(&compiled.authority, OPERATOR_DNS_NAME)
        .context("the authority of the internal listener")?;
    Ok((identity, trust))
}

/// The credentials that resources declare, those included that cannot be served at the moment.
fn declared_names(candidate: &Candidate) -> BTreeSet<ResourceName> {
    let Manifest { parts, declared, .. } = &candidate.manifest;
    let listed = parts.values().filter(|entry| entry.kind == PartKind::Credential);
    listed.map(|entry| &entry.name).chain(declared).cloned().collect()
}

fn part_kind(kind: FailedKind) -> PartKind {
    match kind {
        FailedKind::Authority => PartKind::Authority,
        FailedKind::Profile => PartKind::Profile,
        FailedKind::Method => PartKind::Method,
        FailedKind::Credential => PartKind::Credential,
    }
}

/// In a cluster the operator makes values, and says them.
#[derive(Debug)]
struct MadeByTheOperator;

impl Values for MadeByTheOperator {
    fn keep(&self, credential: &CompiledCredential, _value: &Secret) -> Result<(), Error> {
        Err(Error::Internal(format!("the operator has made no value for {}", credential.name)))
    }

    fn forget(&self, _name: &ResourceName) -> Result<(), Error> {
        Ok(())
    }
}
