//! What is rendered: the spec of an EnrollmentServer, the names and labels of what belongs to it, and what the operator adds.

use std::collections::BTreeMap;

use crds::{
    EnrollmentServer, EnrollmentServerSpec, FeatureState, PostgresStorage, SqliteStorage, StorageKind, labels,
};
use k8s_openapi::{
    api::core::v1::ResourceRequirements,
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
    },
};

use super::{Inputs, Problem, ProblemKind};

/// Longest name of a server: the StatefulSet's controller adds a hash of ten characters and a hyphen, and makes a label of it.
const MAX_NAME: usize = 52;

/// The value of `app.kubernetes.io/name`.
const APPLICATION: &str = "chancery-server";

/// What is rendered.
#[derive(Debug)]
pub(super) struct Blueprint<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    uid: &'a str,
    pub(super) spec: &'a EnrollmentServerSpec,
    pub(super) inputs: &'a Inputs,
    pub(super) storage: StorageKind<'a>,
    /// At most one with SQLite.
    pub(super) replicas: i32,
}

impl<'a> Blueprint<'a> {
    /// # Errors
    /// What is wrong with the resource itself; the API server lets none but its name through.
    pub(super) fn of(server: &'a EnrollmentServer, inputs: &'a Inputs) -> Result<Self, Problem> {
        let meta = &server.metadata;
        let name = meta.name.as_deref().unwrap_or_default();
        if !is_usable(name) {
            return Err(Problem::new(
                ProblemKind::Name,
                format!(
                    "metadata.name: the name of a server is that of its Service too: small letters, digits and hyphens, a \
                     letter first, at most {MAX_NAME}"
                ),
            ));
        }
        let storage = server.spec.storage.kind().ok_or_else(|| {
            Problem::new(ProblemKind::Storage, "spec.storage: give exactly one of sqlite and postgres")
        })?;
        let most = match storage {
            StorageKind::Sqlite(_) => 1,
            StorageKind::Postgres(_) => u32::MAX,
        };
        Ok(Self {
            name,
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            uid: meta.uid.as_deref().unwrap_or_default(),
            spec: &server.spec,
            inputs,
            storage,
            replicas: i32::try_from(server.spec.effective_replicas().min(most)).unwrap_or(i32::MAX),
        })
    }

    /// The metadata of an object that belongs to the server.
    pub(super) fn meta(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.to_owned()),
            labels: Some(self.labels()),
            owner_references: Some(vec![OwnerReference {
                api_version: crds::API_VERSION.to_owned(),
                kind: "EnrollmentServer".to_owned(),
                name: self.name.to_owned(),
                uid: self.uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        }
    }

    /// What tells pods of this server from all others. It can never change.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        [("app.kubernetes.io/name", APPLICATION), (labels::SERVER, self.name)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// The labels of everything that belongs to the server, those of the selector among them.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut found = self.selector();
        found.extend(
            [
                ("app.kubernetes.io/instance", self.name),
                ("app.kubernetes.io/component", "enrollment-server"),
                ("app.kubernetes.io/part-of", "chancery"),
                (labels::MANAGED_BY, labels::MANAGER),
                (labels::OWNER_UID, self.uid),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        found
    }

    pub(super) fn label_selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector()), ..LabelSelector::default() }
    }

    /// Not the server's own name: every namespace has an account `default`, and binding a role to that one would give it to every
    /// pod there.
    pub(super) fn service_account(&self) -> String {
        format!("{}-server", self.name)
    }

    /// How many replicas may be missing; none: there is no budget. One replica is never held in place, or draining its node would
    /// wait for ever.
    pub(super) fn max_unavailable(&self) -> Option<i32> {
        let budget = &self.spec.pod_disruption_budget;
        match budget.state {
            FeatureState::Enabled if self.replicas > 1 => i32::try_from(budget.max_unavailable).ok(),
            FeatureState::Enabled | FeatureState::Disabled => None,
        }
    }

    /// What the spec says, and for what it does not limit and not set aside, a small server's needs.
    pub(super) fn resources(&self) -> ResourceRequirements {
        let mut requests = self.spec.resources.requests.clone();
        let limits = &self.spec.resources.limits;
        for (resource, amount) in [("cpu", "50m"), ("memory", "128Mi")] {
            // A request is as great as the limit where only that is given; ours could be greater, which is refused.
            if !limits.contains_key(resource) {
                requests.entry(resource.to_owned()).or_insert_with(|| Quantity(amount.to_owned()));
            }
        }
        ResourceRequirements {
            requests: Some(requests),
            limits: (!limits.is_empty()).then(|| limits.clone()),
            claims: None,
        }
    }

    /// The Secret with the URL of the database, and the key in it.
    pub(super) fn database_secret(&self) -> Option<(&'a str, &'a str)> {
        match self.storage {
            StorageKind::Sqlite(SqliteStorage { .. }) => None,
            StorageKind::Postgres(PostgresStorage { secret_ref }) => {
                let key = secret_ref.key.as_deref().unwrap_or(PostgresStorage::DEFAULT_KEY);
                Some((&secret_ref.name, key))
            }
        }
    }
}

/// RFC 1035 labels, which Services and host names of pods need, short enough for all that is made of the name.
fn is_usable(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
