//! Takes the folder over: read, settle what is wanted, make rows agree, serve. All of it or nothing of it: what was in
//! force stays in force until the new is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use crds::{Kind, Resource, conditions::ConditionStatus};
use issuance::{audit::Action, identity::ResourceName, sealing::SealingKeys, secret::Secret};
use resolve::{Compiled, CompiledTls, Resolution, Resources};

use super::{
    CONFIGURATION_PURPOSE,
    data::{DataFolder, read_if_there, write_private},
    endpoints::{self, Endpoint},
    folder::{Folder, Reader},
    keys::AuthorityStore,
    provision::{Provisioner, Settled},
    status::{LiveStatus, ResourceStatus},
};
use crate::{
    configuration::{Declared, DeviceTls, Failure, Installer, Material},
    metrics::ReloadOutcome,
    process::record,
    serving::App,
};

/// The folder of resources and what became of it.
#[derive(Debug)]
pub(super) struct Configuration {
    app: Arc<App>,
    installer: Installer,
    folder: DataFolder,
    sealing: Arc<SealingKeys>,
    live: Arc<LiveStatus>,
    resources: PathBuf,
    device: std::net::SocketAddr,
    reader: Reader,
    provisioner: Provisioner,
    in_force: Folder,
    generation: u64,
}

/// What was put in force.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) endpoints: Vec<Endpoint>,
}

impl Configuration {
    pub(super) fn new(
        app: Arc<App>,
        tls: Arc<DeviceTls>,
        folder: DataFolder,
        sealing: Arc<SealingKeys>,
        live: Arc<LiveStatus>,
        resources: &Path,
        device: std::net::SocketAddr,
    ) -> Self {
        let keys = Arc::new(AuthorityStore::new(folder.clone(), sealing.clone()));
        let provisioner = Provisioner { keys, engine: app.engine.clone() };
        Self {
            installer: Installer::new(app.clone(), tls),
            app,
            folder,
            sealing,
            live,
            resources: resources.into(),
            device,
            reader: Reader::default(),
            provisioner,
            in_force: Folder::default(),
            generation: 0,
        }
    }

    /// The first configuration of this process: the folder, or where that is bad, the last good one.
    ///
    /// # Errors
    /// Where the folder is bad and there is no last good configuration.
    pub(super) async fn start(&mut self) -> anyhow::Result<Applied> {
        let last_good = self.restore()?;
        if let Some(folder) = &last_good {
            self.in_force = folder.clone();
        }
        let error = match self.take_over().await {
            Ok(Some(applied)) => return Ok(applied),
            Ok(None) => anyhow!("the folder of resources holds what was in force already"),
            Err(error) => error,
        };
        let Some(folder) = last_good else { return Err(error) };
        tracing::error!(
            error = format!("{error:#}"),
            "the folder was not taken; starting with the last good configuration"
        );
        self.in_force = Folder::default();
        let applied = self.apply(folder).await?;
        self.app.metrics.rejecting(true);
        self.live.rejected(format!("{error:#}"));
        Ok(applied)
    }

    /// Takes the folder over as it is now, if it has changed. A bad one is reported and changes nothing.
    pub(super) async fn reload(&mut self) {
        match self.take_over().await {
            Ok(Some(_applied)) => {
                self.app.metrics.reloaded(ReloadOutcome::Applied);
                self.app.metrics.rejecting(false);
            }
            Ok(None) => self.app.metrics.rejecting(false),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%error, "the folder was not taken; the last good configuration stays in force");
                self.app.metrics.reloaded(ReloadOutcome::Rejected);
                self.app.metrics.rejecting(true);
                self.live.rejected(error);
            }
        }
    }

    async fn take_over(&mut self) -> anyhow::Result<Option<Applied>> {
        let folder = self.reader.read(&self.resources, &self.in_force)?;
        if self.generation > 0 && folder.documents == self.in_force.documents {
            // Back to what is in force, perhaps after a mistake.
            self.live.recovered();
            return Ok(None);
        }
        self.apply(folder).await.map(Some)
    }

    async fn apply(&mut self, folder: Folder) -> anyhow::Result<Applied> {
        for ignored in &folder.ignored {
            tracing::info!(object = ignored, "left alone: not one of ours");
        }
        let resources = resources_of(&folder);
        let Settled { resolution, authorities, failures } = self.provisioner.settle(&resources).await?;
        let compiled = resolution.compiled.clone().ok_or_else(|| anyhow!(problems(&resolution)))?;
        if compiled.server.tls.is_none() {
            return Err(
                anyhow!(problems(&resolution)).context("nothing can issue the server's TLS certificate")
            );
        }
        let generation = self.generation + 1;
        let signers = authorities.iter().map(|(name, files)| (name.clone(), files.signer.clone())).collect();
        let base = endpoints::base_url(&compiled, self.device);
        let material = Material { signers: &signers, crls: &BTreeMap::new(), base: Some(&base) };
        let (prepared, failed) = self.installer.prepare(&compiled, &material, generation).await?;
        none(failed)?;
        let names = names(&folder, Kind::EnrollmentCredential);
        let declared = Declared { in_force: &compiled.credentials, names: &names, guard: None };
        none(self.installer.reconcile(&self.folder, &declared).await?)?;
        self.record(&folder, generation).await?;
        // From here on nothing fails any more.
        self.installer.install(prepared).await;
        self.generation = generation;
        self.forget_deleted(&folder);
        self.in_force = folder;
        self.live.applied(generation, statuses(resolution, &failures));
        let endpoints = endpoints::endpoints(&compiled, &self.folder, self.device);
        self.tell(&compiled, &endpoints);
        tracing::info!(generation, methods = compiled.methods.len(), "configuration in force");
        Ok(Applied { endpoints })
    }

    /// Writes files that say where to enrol and whom to trust there.
    fn tell(&self, compiled: &Compiled, endpoints: &[Endpoint]) {
        if let Err(error) = endpoints::write(&self.folder, endpoints) {
            tracing::warn!(%error, "endpoints.json could not be written");
        }
        // What clients trust to reach a server whose certificate was made elsewhere: the last of its chain.
        if let Some(CompiledTls::Secret { certificates, .. }) = &compiled.server.tls
            && let Some(last) = certificates.last()
        {
            let path = self.folder.root().join("ca.pem");
            if let Err(error) = write_private(&path, pki::pem::encode("CERTIFICATE", last).as_bytes()) {
                tracing::warn!(%error, "ca.pem could not be written");
            }
        }
    }

    /// Keeps the folder as the last good one, and writes into the audit trail that it is in force.
    async fn record(&self, folder: &Folder, generation: u64) -> anyhow::Result<()> {
        let documents = Secret::new(serde_json::to_vec(&folder.documents)?);
        let sealed = self.sealing.seal(CONFIGURATION_PURPOSE, &documents)?;
        write_private(&self.folder.configuration(), &sealed)?;
        record(&self.app, Action::ConfigurationLoaded, Some(generation)).await
    }

    fn restore(&self) -> anyhow::Result<Option<Folder>> {
        let path = self.folder.configuration();
        let Some(sealed) = read_if_there(&path)? else { return Ok(None) };
        let documents = self.sealing.unseal(CONFIGURATION_PURPOSE, &sealed);
        let documents = documents.with_context(|| path.display().to_string())?;
        let restored = serde_json::from_slice(documents.expose())
            .map_err(anyhow::Error::from)
            .and_then(|documents| Ok(self.reader.restore(&path, documents)?));
        match restored {
            Ok(folder) => Ok(Some(folder)),
            Err(error) => {
                // An older release wrote it by older rules: the folder alone counts then.
                tracing::warn!(error = format!("{error:#}"), "the last good configuration cannot be read");
                Ok(None)
            }
        }
    }

    /// Removes the keys of authorities that are gone and said so.
    fn forget_deleted(&self, folder: &Folder) {
        let kept = names(folder, Kind::CertificateAuthority);
        for ((kind, namespace, name), resource) in &self.in_force.resources {
            let name = ResourceName::new(namespace, name);
            let Resource::CertificateAuthority(authority) = resource else { continue };
            if *kind != Kind::CertificateAuthority || kept.contains(&name) {
                continue;
            }
            match authority.spec.deletion_policy {
                crds::DeletionPolicy::Retain => {
                    tracing::warn!(authority = %name, "its resource is gone; its key is kept");
                }
                crds::DeletionPolicy::Delete => {
                    tracing::warn!(authority = %name, "its resource is gone; its key is removed, as its deletionPolicy says");
                    if let Err(error) = self.provisioner.keys.remove(&name) {
                        tracing::error!(authority = %name, error = format!("{error:#}"), "the key could not be removed");
                    }
                }
            }
        }
    }
}

/// A folder is taken whole or not at all. Resolving has checked what fails here: it is a defect.
fn none(failures: Vec<Failure>) -> anyhow::Result<()> {
    match failures.into_iter().next() {
        Some(failure) => Err(anyhow!("{failure}")),
        None => Ok(()),
    }
}

fn names(folder: &Folder, kind: Kind) -> BTreeSet<ResourceName> {
    let of_kind = folder.resources.keys().filter(|(found, ..)| *found == kind);
    of_kind.map(|(_, namespace, name)| ResourceName::new(namespace, name)).collect()
}

fn resources_of(folder: &Folder) -> Resources {
    let mut resources: Resources = folder.resources.values().cloned().collect();
    resources.secrets.clone_from(&folder.secrets);
    for namespace in &folder.namespaces {
        let labels = namespace.metadata.labels.clone().unwrap_or_default();
        resources.namespaces.insert(namespace.metadata.name.clone().unwrap_or_default(), labels);
    }
    resources
}

/// What stands in the way, for the log and the command line.
fn problems(resolution: &Resolution) -> String {
    let refused = resolution.statuses.iter().flat_map(|status| {
        status
            .conditions
            .iter()
            .filter(|condition| condition.status == ConditionStatus::False && !condition.message.is_empty())
            .map(move |condition| format!("{} {}: {}", status.kind, status.name, condition.message))
    });
    let all: Vec<String> = refused.collect();
    if all.is_empty() {
        "there is nothing to serve in the folder of resources".to_owned()
    } else {
        all.join("; ")
    }
}

fn statuses(resolution: Resolution, failures: &BTreeMap<ResourceName, String>) -> Vec<ResourceStatus> {
    let mut statuses = Vec::new();
    for status in resolution.statuses {
        let status = status.programmed();
        let ready = status.is_true(crds::conditions::ConditionType::Ready);
        let mut message: Vec<String> = status
            .conditions
            .iter()
            .filter(|condition| condition.status != ConditionStatus::True && !condition.message.is_empty())
            .map(|condition| format!("{}: {}", condition.reason, condition.message))
            .collect();
        if status.kind == Kind::CertificateAuthority {
            message.extend(failures.get(&status.name).cloned());
        }
        if !ready {
            tracing::warn!(kind = %status.kind, name = %status.name, reason = message.join("; "), "resource is not ready");
        }
        statuses.push(ResourceStatus {
            kind: status.kind.to_string(),
            name: status.name.to_string(),
            state: if ready { ResourceStatus::READY } else { ResourceStatus::NOT_READY }.to_owned(),
            message: message.join("; "),
        });
    }
    statuses
}
