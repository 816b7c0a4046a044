//! The Deployment of a server with PostgreSQL: replicas that have nothing of their own.

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{blueprint::Blueprint, pod};

pub(super) fn render(blueprint: &Blueprint<'_>) -> Deployment {
    Deployment {
        metadata: blueprint.meta(blueprint.name),
        spec: DeploymentSpec {
            replicas: Some(blueprint.replicas),
            selector: blueprint.label_selector(),
            template: pod::template(blueprint),
            // A roll-out takes no replica away before the one in its place is ready.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            revision_history_limit: Some(3),
            ..DeploymentSpec::default()
        },
        status: None,
    }
}
