//! Asks servers what they renewed, and has events tell of it.

use std::{collections::BTreeMap, time::Duration};

use client::internal::{RenewalNews, RenewalsRequest};
use crds::{Kind, Resource};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use resolve::MethodSettings;
use tokio::time::sleep;

use super::plan::{Planned, plan};
use crate::{
    context::{Context, Outlook},
    world::Entry,
};

/// Time between two looks: a server says nothing of a minute before it is over.
const EVERY: Duration = Duration::from_secs(30);

/// How many servers are asked at once. Each has its events written one after the other.
const CONCURRENCY: usize = 4;

/// How often one server is asked in one look. What is left then waits for the next.
const ROUNDS: usize = 10;

/// Tells for as long as it is polled. Only the leader runs it.
pub async fn run(context: Context) {
    loop {
        let outlook = context.last();
        let servers: Vec<ResourceName> = outlook.servers.keys().cloned().collect();
        let (context, outlook) = (&context, &*outlook);
        let looks = stream::iter(servers).map(|name| async move {
            let methods = methods(outlook, &name);
            if !methods.is_empty() {
                look(context, &name, &methods).await;
            }
        });
        looks.buffer_unordered(CONCURRENCY).for_each(async |()| {}).await;
        sleep(EVERY).await;
    }
}

/// Asks a server until there is nothing more to tell.
pub(super) async fn look(context: &Context, server: &ResourceName, methods: &Methods) {
    let mut request = RenewalsRequest::default();
    for _ in 0..ROUNDS {
        let answer = match context.servers.renewals(server, &request).await {
            Ok(answer) => answer,
            // One of the release before does not know the question.
            Err(error) => {
                tracing::debug!(%server, %error, "what was renewed is not known");
                return;
            }
        };
        request.told = tell(context, methods, &answer.news).await;
        if request.told.is_empty() {
            return;
        }
    }
}

/// Says what needs not be told again.
async fn tell(context: &Context, methods: &Methods, news: &[RenewalNews]) -> Vec<String> {
    let (mut known, mut told) = (Vec::new(), Vec::new());
    for one in news {
        match one.renewal.method.parse().ok().filter(|method| methods.contains_key(method)) {
            Some(method) => known.push((method, one)),
            None => told.push(one.id.clone()),
        }
    }
    for Planned { method, event, tells } in plan(known) {
        if let Some(about) = methods.get(&method)
            && let Err(error) = context.events.once(about, &event).await
        {
            tracing::warn!(%method, %error, "events of renewals cannot be written; they are tried again");
            break;
        }
        told.extend(tells);
    }
    told
}

/// Of one server, by which it may have renewed something.
pub(super) type Methods = BTreeMap<ResourceName, ObjectReference>;

/// Those that the server serves: one that was broken into tells nothing of those of others. None where nobody can be asked.
pub(super) fn methods(outlook: &Outlook, server: &ResourceName) -> Methods {
    let server =
        outlook.servers.get(server).filter(|server| server.replicas.iter().any(|replica| replica.ready));
    let compiled = server.and_then(|server| server.resolution.compiled.as_ref());
    let methods = compiled.into_iter().flat_map(|compiled| &compiled.methods);
    let of_rest = methods.filter(|method| matches!(method.settings, MethodSettings::Rest(_)));
    of_rest.filter_map(|method| Some((method.name.clone(), reference(outlook, &method.name)?))).collect()
}

fn reference(outlook: &Outlook, method: &ResourceName) -> Option<ObjectReference> {
    match outlook.world.get(Kind::EnrollmentMethod, method)? {
        Entry::Read(Resource::EnrollmentMethod(method)) => Some(method.object_ref(&())),
        Entry::Read(_) | Entry::Undecodable { .. } => None,
    }
}
