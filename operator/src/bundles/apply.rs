//! Makes bundles what they are to be.

use std::collections::{BTreeMap, BTreeSet};

use crds::{BundleStatus, Kind, labels};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use kube::Client;
use resolve::CompiledAuthority;

use super::plan::{Kept, Plan, Removal, is_bundle, note};
use crate::{
    context::Scope,
    owned::{KeepError, Keeper},
    world::{Object, OwnedKind, World, live},
};

/// How many objects are written at a time: there is one for each namespace.
const AT_A_TIME: usize = 8;

/// The bundles of all authorities. One value for the life of the process: it remembers what was applied.
#[derive(Debug, Default)]
pub struct Bundles {
    keeper: Keeper,
}

/// What one pass came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// One for each authority that asks for a bundle, for its status.
    pub statuses: BTreeMap<ResourceName, BundleStatus>,
    /// Something could not be read or written that may work a moment later.
    pub is_retried: bool,
}

impl Bundles {
    /// Makes the bundles what `authorities` (of all servers) ask for, and removes what none asks for any more.
    pub async fn apply<'a>(
        &self,
        client: &Client,
        scope: &Scope,
        world: &World,
        authorities: impl IntoIterator<Item = &'a CompiledAuthority>,
    ) -> Applied {
        let authorities = authorities.into_iter().map(|authority| (&authority.name, authority)).collect();
        let plan = match Plan::of(world, scope, &authorities) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::error!(%error, "the bundles cannot be rendered");
                return Applied::default();
            }
        };
        let mut applied = Applied { statuses: plan.statuses, is_retried: false };
        let living = &plan.living;
        let keep = plan.keep.into_iter().map(|kept| async move {
            let outcome = self.keep(client, world, &kept, living).await;
            (kept, outcome)
        });
        let outcomes: Vec<_> = stream::iter(keep).buffered(AT_A_TIME).collect().await;
        for (kept, outcome) in outcomes {
            let status = applied.statuses.entry(kept.authority.clone()).or_default();
            match outcome {
                Ok(()) => count(status, &kept),
                Err(error) if is_going_away(&error) => {}
                Err(error) => {
                    applied.is_retried |= error.is_passing();
                    note(status, &error.text());
                }
            }
        }
        applied.is_retried |= !self.remove(client, scope, plan.remove).await;
        applied
    }

    async fn keep(
        &self,
        client: &Client,
        world: &World,
        kept: &Kept,
        living: &BTreeSet<String>,
    ) -> Result<(), KeepError> {
        let ownership = |found: &BTreeMap<String, String>| {
            let owner = found.get(labels::OWNER_UID).map(String::as_str).unwrap_or_default();
            if !is_bundle(found) {
                return Err("it lacks the labels of a bundle, and is left as it is".to_owned());
            }
            // The bundle of an authority that is gone may be taken over.
            if owner != kept.uid && living.contains(owner) {
                return Err("it is the bundle of another CertificateAuthority".to_owned());
            }
            Ok(())
        };
        self.keeper.keep(client, world, &kept.object, &ownership).await.map(|_| ())
    }

    /// Whether all of them are gone.
    async fn remove(
        &self,
        client: &Client,
        scope: &Scope,
        superfluous: Vec<(OwnedKind, ResourceName, Object, Removal)>,
    ) -> bool {
        // An operator that has just become the leader may have missed an authority that was made a moment ago.
        let mut living = BTreeSet::new();
        if superfluous.iter().any(|(.., removal)| *removal == Removal::AuthorityGone) {
            match live::uids(client, scope, Kind::CertificateAuthority).await {
                Ok(found) => living = found,
                Err(error) => {
                    tracing::warn!(%error, "authorities cannot be listed; no bundle is removed");
                    return false;
                }
            }
        }
        let mut all = true;
        for (kind, name, object, removal) in superfluous {
            let owner = object.label(labels::OWNER_UID).unwrap_or_default();
            if removal == Removal::AuthorityGone && living.contains(owner) {
                continue;
            }
            let namespace = kind.is_namespaced().then(|| name.namespace());
            if let Err(error) = self.keeper.remove(client, kind, namespace, &name, &object).await {
                tracing::warn!(error = error.text(), "a bundle that nobody asks for could not be removed");
                all = false;
            }
        }
        all
    }
}

/// Whether the namespace is being deleted, and everything in it: nobody misses the bundle there.
pub(super) fn is_going_away(error: &KeepError) -> bool {
    match error {
        KeepError::Refused { message, .. } => message.contains("because it is being terminated"),
        KeepError::Foreign { .. } | KeepError::NoSuchKind(_) | KeepError::Api { .. } => false,
    }
}

fn count(status: &mut BundleStatus, kept: &Kept) {
    if kept.object.kind() == OwnedKind::ClusterTrustBundle {
        status.cluster_trust_bundle = Some(kept.object.name().name().to_owned());
    } else {
        status.namespaces = Some(status.namespaces.unwrap_or_default().saturating_add(1));
    }
}
