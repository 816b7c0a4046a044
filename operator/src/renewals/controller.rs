//! Asks servers what they renewed, and has events tell of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use client::internal::{RenewalNews, RenewalsRequest};
use crds::{API_VERSION, Kind, Resource};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::ObjectReference;
use resolve::parts::PartKind;
use tokio::time::sleep;

use super::plan::{Planned, plan};
use crate::{
    context::{Context, Outlook, ServerOutlook},
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

/// Asks a server until there is nothing more to tell, or nobody to tell it to.
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
        if answer.news.is_empty() {
            return;
        }
        let (told, is_answered) = tell(context, methods, &answer.news).await;
        request.told = told;
        if !is_answered {
            break;
        }
    }
    // What comes with the answer is given again later.
    if !request.told.is_empty()
        && let Err(error) = context.servers.renewals(server, &request).await
    {
        tracing::debug!(%server, %error, "what was told of renewals will be told again");
    }
}

/// Says what needs not be told again, and whether the API server answers.
async fn tell(context: &Context, methods: &Methods, news: &[RenewalNews]) -> (Vec<String>, bool) {
    let (mut known, mut told) = (Vec::new(), Vec::new());
    for one in news {
        match one.renewal.method.parse().ok().filter(|method| methods.contains_key(method)) {
            Some(method) => known.push((method, one)),
            None => told.push(one.id.clone()),
        }
    }
    // What holds one namespace up, such as a webhook or a quota, holds up no other.
    let mut held_up: BTreeSet<String> = BTreeSet::new();
    for planned in plan(known) {
        let method = &planned.method;
        if held_up.contains(method.namespace()) {
            continue;
        }
        match write(context, methods, &planned).await {
            Ok(()) => told.extend(planned.tells),
            Err(error) => {
                tracing::warn!(%method, %error, "events of renewals cannot be written; they are tried again");
                if !matches!(error, kube::Error::Api(_)) {
                    return (told, false);
                }
                held_up.insert(method.namespace().to_owned());
            }
        }
    }
    (told, true)
}

/// Writes all of it: a part of it would be told in other words when what is left is planned anew.
async fn write(context: &Context, methods: &Methods, planned: &Planned) -> Result<(), kube::Error> {
    let Some(about) = methods.get(&planned.method) else { return Ok(()) };
    for event in &planned.events {
        context.events.once(about, event).await?;
    }
    Ok(())
}

/// Of one server, by which it may have renewed something.
pub(super) type Methods = BTreeMap<ResourceName, ObjectReference>;

/// Those that the server serves, and those that nobody serves and that name no other server: where something about a method became
/// wrong, what it renewed before is told of, and what it cannot renew any more. Of those of others a server that was broken into
/// tells nothing. None where nobody can be asked.
pub(super) fn methods(outlook: &Outlook, server: &ResourceName) -> Methods {
    let Some(of_server) = outlook.servers.get(server) else { return Methods::new() };
    if !of_server.replicas.iter().any(|replica| replica.ready) {
        return Methods::new();
    }
    let own: BTreeSet<&ResourceName> = served(of_server).collect();
    let others = outlook.servers.iter().filter(|(name, _)| *name != server);
    let of_others: BTreeSet<&ResourceName> = others.flat_map(|(_, other)| served(other)).collect();
    let methods = outlook.world.of_kind(Kind::EnrollmentMethod);
    methods
        .filter(|(name, entry)| {
            own.contains(name) || (!of_others.contains(name) && !names_another(name, entry, server))
        })
        .map(|(name, entry)| (name.clone(), reference(name, entry)))
        .collect()
}

/// What it is to serve, and what it has served until now.
fn served(server: &ServerOutlook) -> impl Iterator<Item = &ResourceName> {
    let compiled = server.resolution.compiled.iter().flat_map(|compiled| &compiled.methods);
    let published = server.published.iter().flat_map(|published| published.parts().values());
    let published = published.filter(|part| part.kind == PartKind::Method);
    compiled.map(|method| &method.name).chain(published.map(|part| &part.name))
}

fn names_another(name: &ResourceName, entry: &Entry, server: &ResourceName) -> bool {
    match entry {
        Entry::Read(Resource::EnrollmentMethod(method)) => {
            method.spec.server_ref.as_ref().is_some_and(|named| {
                (named.namespace_or(name.namespace()), named.name.as_str())
                    != (server.namespace(), server.name())
            })
        }
        Entry::Read(_) | Entry::Undecodable { .. } => false,
    }
}

fn reference(name: &ResourceName, entry: &Entry) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(Kind::EnrollmentMethod.as_str().to_owned()),
        namespace: Some(name.namespace().to_owned()),
        name: Some(name.name().to_owned()),
        uid: entry.meta().uid.clone(),
        ..ObjectReference::default()
    }
}
