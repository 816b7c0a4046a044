//! What the metrics show of resources: the few whose readiness somebody wants to be woken for.

use crds::{Kind, Resource, conditions::ConditionType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    metrics::ShownResource,
    world::{Entry, World},
};

const KINDS: [Kind; 4] =
    [Kind::CertificateAuthority, Kind::EnrollmentServer, Kind::ChanceryIssuer, Kind::ChanceryClusterIssuer];

/// Authorities, servers and issuers, as their statuses say.
pub(super) fn resources(world: &World) -> Vec<ShownResource> {
    let mut shown = Vec::new();
    for kind in KINDS {
        for (name, entry) in world.of_kind(kind) {
            let (ready, not_after) = match entry {
                Entry::Undecodable { .. } => (false, None),
                Entry::Read(resource) => state(resource),
            };
            shown.push(ShownResource { kind, name: name.clone(), ready, not_after });
        }
    }
    shown
}

fn state(resource: &Resource) -> (bool, Option<i64>) {
    match resource {
        Resource::CertificateAuthority(authority) => {
            let Some(status) = &authority.status else { return (false, None) };
            (is_ready(&status.conditions), status.not_after.as_ref().map(|time| time.0.as_second()))
        }
        Resource::EnrollmentServer(server) => {
            (server.status.as_ref().is_some_and(|status| is_ready(&status.conditions)), None)
        }
        Resource::ChanceryIssuer(issuer) => {
            (issuer.status.as_ref().is_some_and(|status| is_ready(&status.conditions)), None)
        }
        Resource::ChanceryClusterIssuer(issuer) => {
            (issuer.status.as_ref().is_some_and(|status| is_ready(&status.conditions)), None)
        }
        Resource::CertificateProfile(_)
        | Resource::EnrollmentMethod(_)
        | Resource::EnrollmentCredential(_)
        | Resource::CertificateRevocation(_) => (false, None),
    }
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|found| found.type_ == ConditionType::Ready.as_str() && found.status == "True")
}
