//! The Kubernetes objects that run an EnrollmentServer.
//!
//! ```text
//! EnrollmentServer ─► blueprint ─► render: pure, a file for each kind of object ─► owned::Keeper: server-side apply
//!      what stands (StatefulSet, claim) ─► volume: what of the storage can still change ─┘        │
//! Pods, statuses of controllers ──────────────────────────────────────────────► WorkloadState ◄───┘
//! ```
//!
//! | storage | runs as | volume |
//! | --- | --- | --- |
//! | SQLite | StatefulSet, one replica | a claim that outlives the server |
//! | PostgreSQL | Deployment, any number of replicas, none missing during a roll-out | |
//!
//! Beside it: Service, headless Service, ServiceAccount with a Role that reads the Secrets of its namespace, NetworkPolicy,
//! PodDisruptionBudget. All of them are owned by the EnrollmentServer, so that Kubernetes removes them with it; the claim is not.

mod apply;
mod blueprint;
mod deployment;
mod formats;
mod network_policy;
mod pod;
mod pod_disruption_budget;
mod quantity;
mod render;
mod service;
mod service_account;
mod state;
mod stateful_set;
#[cfg(test)]
mod tests;
mod volume;

pub use self::{
    apply::{Workloads, database_secret},
    formats::{Formats, NoCommonFormat, format_to_write},
    network_policy::resolver_ports,
    render::{Rendering, Standing, render},
    state::{Problem, ProblemKind, WorkloadState},
};

use std::collections::BTreeSet;

use crate::context::Options;

/// What is rendered beside the spec: the same for every server, but for the last two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Image of the server.
    pub image: String,
    pub image_pull_policy: Option<String>,
    pub image_pull_secrets: Vec<String>,
    /// From where replicas are asked what they serve.
    pub operator_namespace: String,
    /// The public key that manifests are checked with: SubjectPublicKeyInfo, DER, base64.
    pub manifest_key: String,
    /// Changes whenever the Secret with the URL of the database does: its resource version. A server reads the URL only at its
    /// start, so the pods are replaced then. A hash would tell whoever can read pods what to try passwords against.
    pub database_version: Option<String>,
    /// The ports of the resolvers that methods name, which validations of challenges ask.
    pub resolver_ports: BTreeSet<u16>,
}

impl Inputs {
    /// For a server with SQLite, or whose Secret with the URL does not exist yet, and without methods that name resolvers.
    pub fn new(options: &Options, manifest_key: impl Into<String>) -> Self {
        Self {
            image: options.server_image.clone(),
            image_pull_policy: options.image_pull_policy.clone(),
            image_pull_secrets: options.image_pull_secrets.clone(),
            operator_namespace: options.namespace.clone(),
            manifest_key: manifest_key.into(),
            database_version: None,
            resolver_ports: BTreeSet::new(),
        }
    }
}
