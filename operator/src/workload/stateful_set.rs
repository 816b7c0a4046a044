//! The StatefulSet of a server with SQLite: one replica and its volume.

use k8s_openapi::api::{
    apps::v1::{
        StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
        StatefulSetUpdateStrategy,
    },
    core::v1::PersistentVolumeClaim,
};

use super::{blueprint::Blueprint, pod};

/// `claims` as it was made, for ever: a StatefulSet does not let go of it (`volume.rs`).
pub(super) fn render(blueprint: &Blueprint<'_>, claims: Vec<PersistentVolumeClaim>) -> StatefulSet {
    StatefulSet {
        metadata: blueprint.meta(blueprint.name),
        spec: StatefulSetSpec {
            replicas: Some(blueprint.replicas),
            selector: blueprint.label_selector(),
            service_name: Some(crds::labels::headless_service_name(blueprint.name)),
            template: pod::template(blueprint),
            volume_claim_templates: Some(claims),
            // The rows outlive everything but a person who deletes the claim.
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            // With OrderedReady a replica that never gets ready is waited for, also by the roll-out that would mend it.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(3),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}
