//! Makes the objects of a server what they are to be, and reads how far they are.

use std::collections::BTreeMap;

use crds::{EnrollmentServer, StorageKind, labels};
use issuance::identity::ResourceName;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::PersistentVolumeClaim,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Client, api::DynamicObject};
use resolve::resource_name;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    Inputs, Problem, ProblemKind, Rendering, Standing, WorkloadState, render, render::KINDS, volume,
};
use crate::{
    owned::{KeepError, Keeper, Rendered},
    world::{OwnedKind, Source, World},
};

/// The objects of all servers. One value for the life of the process: it remembers what was applied.
#[derive(Debug, Default)]
pub struct Workloads {
    keeper: Keeper,
}

impl Workloads {
    /// Makes the objects of one server what they are to be. What could not be done is among the problems of the state, and is tried
    /// again by the next call.
    ///
    /// A server that is being deleted is left to Kubernetes, which removes what it owns.
    pub async fn apply(
        &self,
        client: &Client,
        world: &World,
        server: &EnrollmentServer,
        inputs: &Inputs,
    ) -> WorkloadState {
        let name = resource_name(&server.metadata);
        let mut state =
            WorkloadState { wanted: server.spec.effective_replicas(), ..WorkloadState::default() };
        if server.metadata.deletion_timestamp.is_some() {
            return state;
        }
        if let Some(source) = BINDING.iter().find(|source| !world.is_complete(**source)) {
            let message = format!("what stands of the server is not known yet ({source:?})");
            state.problems.push(Problem::new(ProblemKind::Unreachable, message));
            return state;
        }
        if let Err(problem) = self.bring_about(client, world, server, inputs, &mut state).await {
            state.problems.push(problem);
        }
        state.take_pods(&name, world.pods());
        state.sorted()
    }

    async fn bring_about(
        &self,
        client: &Client,
        world: &World,
        server: &EnrollmentServer,
        inputs: &Inputs,
        state: &mut WorkloadState,
    ) -> Result<(), Problem> {
        let name = resource_name(&server.metadata);
        let standing = self.standing(client, world, &name, server).await?;
        let Rendering { objects, kept, grow, problems } = render(server, inputs, &standing)
            .map_err(|error| Problem::new(ProblemKind::Refused, error.to_string()))?;
        state.problems.extend(problems);
        for object in &objects {
            match self.keeper.keep(client, world, object, &|found| is_of(found, &name)).await {
                Ok(found) => take(state, object.kind(), &found),
                // What comes after it would work with somebody else's account, or beside somebody else's pods.
                Err(error @ KeepError::Foreign { .. }) => return Err(problem(error)),
                Err(error) => state.problems.push(problem(error)),
            }
        }
        if let Some(size) = grow {
            self.grow(client, &name, size).await?;
        }
        self.prune(client, world, &name, &objects, &kept).await
    }

    /// What binds what can still be made. The StatefulSet's templates never change, so what was seen of it once is enough.
    async fn standing(
        &self,
        client: &Client,
        world: &World,
        name: &ResourceName,
        server: &EnrollmentServer,
    ) -> Result<Standing, Problem> {
        let stateful_set =
            self.keeper.recall(client, world, OwnedKind::StatefulSet, name).await.map_err(problem)?;
        let deployment =
            self.keeper.recall(client, world, OwnedKind::Deployment, name).await.map_err(problem)?;
        let claim_name = ResourceName::new(name.namespace(), volume::claim_name(name.name()));
        let claim = match server.spec.storage.kind() {
            Some(StorageKind::Sqlite(_)) => self
                .keeper
                .read(client, world, OwnedKind::PersistentVolumeClaim, &claim_name)
                .await
                .map_err(problem)?,
            // A claim that is not ours is nothing to a server that needs none.
            Some(StorageKind::Postgres(_)) | None => self
                .keeper
                .recall(client, world, OwnedKind::PersistentVolumeClaim, &claim_name)
                .await
                .map_err(problem)?,
        };
        Ok(Standing {
            stateful_set: stateful_set.map(|found| typed::<StatefulSet>(&found)).transpose()?,
            deployment: deployment.map(|found| typed::<Deployment>(&found)).transpose()?,
            claim: claim.map(|found| typed::<PersistentVolumeClaim>(&found)).transpose()?,
        })
    }

    /// Tells the claim of the only replica to grow; the storage class decides whether it may.
    async fn grow(&self, client: &Client, server: &ResourceName, size: Quantity) -> Result<(), Problem> {
        let name = ResourceName::new(server.namespace(), volume::claim_name(server.name()));
        let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        let kind = OwnedKind::PersistentVolumeClaim;
        match self.keeper.change(client, kind, &name, &patch).await {
            Ok(()) => {
                tracing::info!(claim = %name, size = size.0, "told the volume to grow");
                Ok(())
            }
            Err(error) => Err(Problem::new(
                if error.is_passing() { ProblemKind::Unreachable } else { ProblemKind::Storage },
                format!("spec.storage.sqlite.size: {}", error.text()),
            )),
        }
    }

    /// Removes what belongs to the server and is not rendered any more.
    async fn prune(
        &self,
        client: &Client,
        world: &World,
        server: &ResourceName,
        objects: &[Rendered],
        kept: &[OwnedKind],
    ) -> Result<(), Problem> {
        for kind in KINDS.iter().copied().filter(|kind| !kept.contains(kind)) {
            if !world.is_complete(Source::Owned(kind)) {
                continue;
            }
            let superfluous = world.owned_of_kind(kind).filter(|(name, object)| {
                name.namespace() == server.namespace()
                    && is_of(&object.labels, server).is_ok()
                    && !object.deleting
                    && !objects.iter().any(|rendered| rendered.kind() == kind && rendered.name() == *name)
            });
            for (name, object) in superfluous {
                self.keeper
                    .remove(client, kind, Some(name.namespace()), name, object)
                    .await
                    .map_err(problem)?;
            }
        }
        Ok(())
    }
}

/// What has to be known before anything is made: taken for absent, it would be contradicted.
const BINDING: &[Source] = &[
    Source::Owned(OwnedKind::StatefulSet),
    Source::Owned(OwnedKind::Deployment),
    Source::Owned(OwnedKind::PersistentVolumeClaim),
];

/// The Secret with the URL of a server's database, where it has one: [`Inputs::database_version`] is its resource version.
pub fn database_secret(server: &EnrollmentServer) -> Option<ResourceName> {
    match server.spec.storage.kind()? {
        StorageKind::Sqlite(_) => None,
        StorageKind::Postgres(postgres) => {
            let namespace = resource_name(&server.metadata).namespace().to_owned();
            Some(ResourceName::new(namespace, postgres.secret_ref.name.clone()))
        }
    }
}

/// Whether an object with these labels belongs to the server.
fn is_of(found: &BTreeMap<String, String>, server: &ResourceName) -> Result<(), String> {
    let label = |key: &str| found.get(key).map(String::as_str);
    if label(labels::MANAGED_BY) != Some(labels::MANAGER) {
        return Err("it lacks the label of what the operator makes, and is left as it is".to_owned());
    }
    if label(labels::SERVER) != Some(server.name()) {
        return Err("the operator made it for something else".to_owned());
    }
    Ok(())
}

fn take(state: &mut WorkloadState, kind: OwnedKind, found: &DynamicObject) {
    let taken = match kind {
        OwnedKind::StatefulSet => typed(found).map(|set| state.count_stateful_set(&set)),
        OwnedKind::Deployment => typed(found).map(|deployment| state.count_deployment(&deployment)),
        // The headless one has no address, and nobody asks for it.
        OwnedKind::Service if !is_headless(found) => typed(found).map(|service| state.take_service(&service)),
        OwnedKind::Service
        | OwnedKind::ServiceAccount
        | OwnedKind::Role
        | OwnedKind::RoleBinding
        | OwnedKind::PodDisruptionBudget
        | OwnedKind::NetworkPolicy
        | OwnedKind::PersistentVolumeClaim
        | OwnedKind::ConfigMap
        | OwnedKind::ClusterTrustBundle => Ok(()),
    };
    if let Err(problem) = taken {
        state.problems.push(problem);
    }
}

fn is_headless(found: &DynamicObject) -> bool {
    found.data.pointer("/spec/clusterIP").and_then(|ip| ip.as_str()) == Some("None")
}

/// The same object with its own type.
fn typed<K: kube::Resource + DeserializeOwned>(found: &DynamicObject) -> Result<K, Problem> {
    found.clone().try_parse().map_err(|error| {
        Problem::new(ProblemKind::Refused, format!("the API server answered what cannot be read: {error}"))
    })
}

fn problem(error: KeepError) -> Problem {
    let kind = match &error {
        KeepError::Foreign { .. } => ProblemKind::Foreign,
        KeepError::NoSuchKind(_) | KeepError::Refused { .. } => ProblemKind::Refused,
        KeepError::Api { .. } => ProblemKind::Unreachable,
    };
    Problem::new(kind, error.text())
}
