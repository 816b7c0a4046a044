//! Removes what belongs to resources that are gone and lies where no owner reference reaches. There are no finalizers: whoever
//! deletes resources, namespaces and the operator in whatever order is never kept waiting.
//!
//! Whether something is left over is seen in the world. Before it is removed, a complete list straight from the API server
//! has to say the same: see `world::live`. What belongs to namespaces that are not looked after is left alone: what is in no list
//! of theirs may be there.

use std::collections::BTreeSet;

use crds::{Kind, labels};
use kube::Client;

use crate::{
    context::Scope,
    provision::{
        authorities::{Keeper, Kept},
        identities::{HOLDS_SERVER_IDENTITY, Identities, is_of},
    },
    world::{Source, World, live},
};

/// Destroys the keys of authorities that are gone and said `deletionPolicy: Delete`.
pub(super) async fn authorities(
    client: &Client,
    scope: &Scope,
    world: &World,
    keeper: &Keeper,
    kept: &mut Kept,
) -> anyhow::Result<()> {
    let kind = Kind::CertificateAuthority;
    if world.is_complete(Source::Resources(kind)) && Keeper::is_sweep_due(kept, scope, &uids(world, kind)) {
        let uids = live::uids(client, scope, kind).await?;
        keeper.sweep(kept, scope, &uids).await?;
    }
    Ok(())
}

/// Removes the internal certificates of servers that are gone.
pub(super) async fn identities(
    client: &Client,
    scope: &Scope,
    world: &World,
    namespace: &str,
    identities: &Identities,
) -> anyhow::Result<()> {
    let kind = Kind::EnrollmentServer;
    let living = uids(world, kind);
    let is_left_over = world.secrets().any(|(name, secret)| {
        name.namespace() == namespace
            && secret.is_ours()
            && secret.label(labels::HOLDS) == Some(HOLDS_SERVER_IDENTITY)
            && is_of(scope, secret.annotations.get(labels::FOR).map(String::as_str))
            && secret.label(labels::OWNER_UID).is_some_and(|owner| !living.contains(owner))
    });
    if is_left_over && world.is_complete(Source::Resources(kind)) {
        let uids = live::uids(client, scope, kind).await?;
        identities.sweep(scope, &uids).await?;
    }
    Ok(())
}

/// Of all resources of a kind, those included that cannot be read.
fn uids(world: &World, kind: Kind) -> BTreeSet<String> {
    world.of_kind(kind).filter_map(|(_, entry)| entry.meta().uid.clone()).collect()
}
