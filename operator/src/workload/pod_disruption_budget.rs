//! How many replicas may be taken away at a time on purpose.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::blueprint::Blueprint;

/// None for a single replica, and where the spec wants none.
pub(super) fn render(blueprint: &Blueprint<'_>) -> Option<PodDisruptionBudget> {
    let max_unavailable = blueprint.max_unavailable()?;
    Some(PodDisruptionBudget {
        metadata: blueprint.meta(blueprint.name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(max_unavailable)),
            selector: Some(blueprint.label_selector()),
            // A replica that serves nothing is never in the way of draining a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
