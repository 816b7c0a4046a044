//! EnrollmentServer + what stands → the objects as they are to be. Pure.

use crds::{EnrollmentServer, StorageKind};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::PersistentVolumeClaim,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    Inputs, Problem, ProblemKind, blueprint::Blueprint, deployment, network_policy, pod_disruption_budget,
    service, service_account, stateful_set, volume,
};
use crate::{
    owned::{RenderError, Rendered},
    world::OwnedKind,
};

/// What stands of the objects that bind what can still be made.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub stateful_set: Option<StatefulSet>,
    pub deployment: Option<Deployment>,
    pub claim: Option<PersistentVolumeClaim>,
}

/// What is to be done for one server.
#[derive(Debug)]
pub struct Rendering {
    /// In the order in which they are made: a pod finds what it needs.
    pub objects: Vec<Rendered>,
    /// Objects that stand in contradiction to the spec and are left as they are.
    pub kept: Vec<OwnedKind>,
    /// What the claim is to be told to grow to.
    pub grow: Option<Quantity>,
    pub problems: Vec<Problem>,
}

/// The objects of a server. What stands decides only where something cannot change any more; the rendering says so.
///
/// # Errors
/// [`RenderError`], which no object of these types causes.
pub fn render(
    server: &EnrollmentServer,
    inputs: &Inputs,
    standing: &Standing,
) -> Result<Rendering, RenderError> {
    let mut rendering = Rendering { objects: Vec::new(), kept: Vec::new(), grow: None, problems: Vec::new() };
    let blueprint = match Blueprint::of(server, inputs) {
        Ok(blueprint) => blueprint,
        Err(problem) => {
            // Nothing is taken away because of what cannot be rendered.
            rendering.kept = KINDS.to_vec();
            rendering.problems.push(problem);
            return Ok(rendering);
        }
    };
    let objects = &mut rendering.objects;
    objects.push(Rendered::of(&service_account::render(&blueprint))?);
    objects.push(Rendered::of(&service_account::role(&blueprint))?);
    objects.push(Rendered::of(&service_account::binding(&blueprint))?);
    objects.push(Rendered::of(&service::headless(&blueprint))?);
    objects.push(Rendered::of(&service::render(&blueprint))?);
    if let Some(policy) = network_policy::render(&blueprint) {
        objects.push(Rendered::of(&policy)?);
    }
    if let Some(budget) = pod_disruption_budget::render(&blueprint) {
        objects.push(Rendered::of(&budget)?);
    }
    render_pods(&blueprint, standing, &mut rendering)?;
    Ok(rendering)
}

/// The kinds that are rendered, and removed where they are no longer.
pub(super) const KINDS: &[OwnedKind] = &[
    OwnedKind::ServiceAccount,
    OwnedKind::Role,
    OwnedKind::RoleBinding,
    OwnedKind::Service,
    OwnedKind::NetworkPolicy,
    OwnedKind::PodDisruptionBudget,
    OwnedKind::StatefulSet,
    OwnedKind::Deployment,
];

/// Rows do not move from one storage to the other by themselves: a server that has been started with one keeps it, running as it
/// is, until a person removes what stands.
fn render_pods(
    blueprint: &Blueprint<'_>,
    standing: &Standing,
    rendering: &mut Rendering,
) -> Result<(), RenderError> {
    let refused = |what: String, rendering: &mut Rendering| {
        rendering.kept = vec![OwnedKind::StatefulSet, OwnedKind::Deployment];
        rendering.problems.push(Problem::new(
            ProblemKind::Storage,
            format!("spec.storage: {what}, and rows do not move by themselves; the server stays as it is"),
        ));
    };
    match blueprint.storage {
        StorageKind::Sqlite(wanted) => {
            if standing.deployment.is_some() {
                let what = "the server runs with PostgreSQL (a Deployment stands)".to_owned();
                refused(what, rendering);
                return Ok(());
            }
            let volume =
                volume::plan(blueprint, wanted, standing.stateful_set.as_ref(), standing.claim.as_ref());
            rendering.grow = volume.grow;
            rendering.problems.extend(volume.problems);
            rendering.objects.push(Rendered::of(&stateful_set::render(blueprint, volume.templates))?);
        }
        StorageKind::Postgres(_) => {
            if standing.stateful_set.is_some() || standing.claim.is_some() {
                let claim = volume::claim_name(blueprint.name);
                let what = format!(
                    "the rows are in SQLite (the PersistentVolumeClaim {claim} or its StatefulSet stands)"
                );
                refused(what, rendering);
                return Ok(());
            }
            rendering.objects.push(Rendered::of(&deployment::render(blueprint))?);
        }
    }
    Ok(())
}
