//! Who a server is to the API server, and what it may: read the Secrets of its own namespace, nothing else.
//!
//! RBAC cannot narrow that down to the parts of the configuration (a watch cannot be limited to names that are not known
//! beforehand, nor by labels), so a server may read every Secret of its namespace: it has a namespace of its own.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use super::blueprint::Blueprint;

pub(super) fn render(blueprint: &Blueprint<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: blueprint.meta(&blueprint.service_account()),
        // Only the server's pods ask for it.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

pub(super) fn role(blueprint: &Blueprint<'_>) -> Role {
    Role {
        metadata: blueprint.meta(&blueprint.service_account()),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".to_owned()]),
            verbs: ["get", "list", "watch"].map(ToOwned::to_owned).into(),
            ..PolicyRule::default()
        }]),
    }
}

pub(super) fn binding(blueprint: &Blueprint<'_>) -> RoleBinding {
    let name = blueprint.service_account();
    RoleBinding {
        metadata: blueprint.meta(&name),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            api_group: None,
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: Some(blueprint.namespace.to_owned()),
        }]),
    }
}
