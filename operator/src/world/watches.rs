//! The watches that keep the world current, each of its own: one that fails leaves the others alone, and what it knew stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crds::Kind;
use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::{
    Api, Client,
    api::DynamicObject,
    core::{
        ApiResource, DynamicResourceScope, NamespaceResourceScope, ObjectMeta, PartialObjectMeta, Resource,
    },
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    decode,
    sinks::{NamespaceSink, OwnedSink, PodSink, ResourceSink, SecretSink, Sink},
    snapshot::{OwnedKind, Source, World},
};
use crate::{api::sentence, context::Scope, owned};

/// Keeps a [`World`] current.
#[derive(Clone, Debug)]
pub struct Watches {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told of every change that may need a pass.
    wake: Arc<Notify>,
    /// Cancelled where one of the watches is not kept any more.
    broken: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) world: World,
    /// The version of every Secret, also of those that are nobody's business here, and of no Secret the content.
    pub(super) versions: BTreeMap<ResourceName, String>,
    /// Secrets that resources name: changes of others wake nobody.
    pub(super) referenced: BTreeSet<ResourceName>,
    /// Watches whose first list is still to come, by what and where.
    outstanding: BTreeSet<(Source, Option<String>)>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Watches {
    /// Starts every watch; they end with `shutdown`.
    pub fn start(client: &Client, scope: &Scope, wake: Arc<Notify>, shutdown: &CancellationToken) -> Self {
        let watches = Self {
            shared: Arc::new(Shared { state: Mutex::default(), wake, broken: CancellationToken::new() }),
        };
        let mut starter = Starter { watches: &watches, client, scope, followers: Vec::new() };
        for kind in Kind::ALL {
            starter.resources(*kind);
        }
        starter.namespaces();
        starter.secrets();
        starter.pods();
        for kind in OwnedKind::ALL {
            starter.owned(*kind);
        }
        // Only now: before, a source could seem complete that has more namespaces to come.
        let mut followers: JoinSet<()> = starter.followers.into_iter().collect();
        let (shutdown, broken) = (shutdown.clone(), watches.shared.broken.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(ended) = followers.join_next() => {
                    tracing::error!(error = ?ended.err(), "a watch has died");
                    broken.cancel();
                }
            }
            // What is left of them ends here.
            drop(followers);
        });
        watches
    }

    /// Waits until one of the watches has died: what it saw is not current any more, and never will be again.
    pub async fn broken(&self) {
        self.shared.broken.cancelled().await;
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> World {
        self.lock().world.clone()
    }

    /// The newest known version of a Secret, whoever made it; none: there is none, as far as the watch knows.
    pub fn secret_version(&self, name: &ResourceName) -> Option<String> {
        self.lock().versions.get(name).cloned()
    }

    /// From now on changes of these Secrets wake the loop, and those of others that are not ours do not.
    pub fn refer_to_secrets(&self, names: BTreeSet<ResourceName>) {
        self.lock().referenced = names;
    }

    /// What is still to be listed for the first time.
    pub fn outstanding(&self) -> Vec<String> {
        let state = self.lock();
        state
            .outstanding
            .iter()
            .map(|(source, _)| format!("{source:?}"))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.lock()) {
            self.shared.wake.notify_one();
        }
    }

    /// Nothing is left half done where a thread panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn complete(&mut self, source: Source, namespace: Option<&str>) {
        self.outstanding.remove(&(source, namespace.map(str::to_owned)));
        if !self.outstanding.iter().any(|(other, _)| *other == source) {
            Arc::make_mut(&mut self.world.complete).insert(source);
        }
    }
}

struct Starter<'a> {
    watches: &'a Watches,
    client: &'a Client,
    scope: &'a Scope,
    followers: Vec<BoxFuture<'static, ()>>,
}

impl Starter<'_> {
    fn resources(&mut self, kind: Kind) {
        let resource = decode::api_resource(kind);
        if kind.is_namespaced() {
            for (namespace, api) in self.dynamic::<DynamicObject>(&resource) {
                self.follow(namespace, watcher(api, watcher::Config::default()), ResourceSink(kind));
            }
        } else if *self.scope == Scope::Cluster {
            let api = Api::all_with(self.client.clone(), &resource);
            self.follow(None, watcher(api, watcher::Config::default()), ResourceSink(kind));
        } else {
            self.watches.lock().complete(Source::Resources(kind), None);
        }
    }

    fn namespaces(&mut self) {
        if *self.scope == Scope::Cluster {
            let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
            let stream = watcher(api, watcher::Config::default()).map(|event| event.map(meta_event));
            self.follow(None, stream, NamespaceSink);
        } else {
            self.watches.lock().complete(Source::Namespaces, None);
        }
    }

    fn secrets(&mut self) {
        // What Helm keeps of its releases is large, changes often, and is nothing that a resource could name.
        let config = watcher::Config::default().fields("type!=helm.sh/release.v1");
        for (namespace, api) in self.typed::<PartialObjectMeta<Secret>>() {
            let stream = watcher(api, config.clone()).map(|event| event.map(meta_event));
            self.follow(namespace, stream, SecretSink);
        }
    }

    fn pods(&mut self) {
        let ours = format!("{}={},{}", crds::labels::MANAGED_BY, crds::labels::MANAGER, crds::labels::SERVER);
        let config = watcher::Config::default().labels(&ours);
        for (namespace, api) in self.typed::<Pod>() {
            self.follow(namespace, watcher(api, config.clone()), PodSink);
        }
    }

    fn owned(&mut self, kind: OwnedKind) {
        let resource = owned::api_resource(kind);
        let ours = format!("{}={}", crds::labels::MANAGED_BY, crds::labels::MANAGER);
        let config = watcher::Config::default().labels(&ours);
        if kind.is_namespaced() {
            for (namespace, api) in self.dynamic::<PartialObjectMeta>(&resource) {
                let stream = watcher(api, config.clone()).map(|event| event.map(meta_event));
                self.follow(namespace, stream, OwnedSink(kind));
            }
        } else if *self.scope == Scope::Cluster {
            let api: Api<PartialObjectMeta> = Api::all_with(self.client.clone(), &resource);
            let stream = watcher(api, config).map(|event| event.map(meta_event));
            self.follow(None, stream, OwnedSink(kind));
        } else {
            self.watches.lock().complete(Source::Owned(kind), None);
        }
    }

    fn dynamic<K>(&self, resource: &ApiResource) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let one = |namespace: &String| {
            (Some(namespace.clone()), Api::namespaced_with(self.client.clone(), namespace, resource))
        };
        match self.scope {
            Scope::Cluster => vec![(None, Api::all_with(self.client.clone(), resource))],
            Scope::Namespaces(namespaces) => namespaces.iter().map(one).collect(),
        }
    }

    fn typed<K>(&self) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let one =
            |namespace: &String| (Some(namespace.clone()), Api::namespaced(self.client.clone(), namespace));
        match self.scope {
            Scope::Cluster => vec![(None, Api::all(self.client.clone()))],
            Scope::Namespaces(namespaces) => namespaces.iter().map(one).collect(),
        }
    }

    fn follow<S: Sink>(
        &mut self,
        namespace: Option<String>,
        events: impl Stream<Item = watcher::Result<Event<S::Object>>> + Send + 'static,
        sink: S,
    ) {
        self.watches.lock().outstanding.insert((sink.source(), namespace.clone()));
        let watches = self.watches.clone();
        let follow = async move {
            let mut events = std::pin::pin!(events.default_backoff());
            let mut follower = Follower { watches, sink, namespace, listed: BTreeSet::new(), failing: false };
            while let Some(event) = events.next().await {
                follower.take(event);
            }
        };
        self.followers.push(follow.boxed());
    }
}

/// One watch, and how far its present list is.
struct Follower<S> {
    watches: Watches,
    sink: S,
    namespace: Option<String>,
    listed: BTreeSet<ResourceName>,
    failing: bool,
}

impl<S: Sink> Follower<S> {
    fn take(&mut self, event: watcher::Result<Event<S::Object>>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.failed(&error),
        };
        // A list that begins says nothing yet about whether the API server answers.
        if self.failing && !matches!(event, Event::Init) {
            tracing::info!(source = ?self.sink.source(), "the watch works again");
            self.failing = false;
        }
        let (sink, namespace, listed) = (&self.sink, self.namespace.as_deref(), &mut self.listed);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(sink.name(&object));
                self.watches.change(|state| sink.put(state, object));
            }
            Event::InitDone => self.watches.change(|state| {
                let removed = sink.retain(state, namespace, listed);
                let first = state.outstanding.contains(&(sink.source(), namespace.map(str::to_owned)));
                state.complete(sink.source(), namespace);
                listed.clear();
                removed || first
            }),
            Event::Apply(object) => self.watches.change(|state| sink.put(state, object)),
            Event::Delete(object) => self.watches.change(|state| sink.remove(state, object)),
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        let source = self.sink.source();
        let error = error as &(dyn std::error::Error + 'static);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(?source, error = sentence(error), "a watch failed; trying again");
        }
        // An API server without the kind has none of it. Our own kinds are another matter: their CRDs are still to come.
        if matches!(source, Source::Owned(_)) && is_unknown_kind(error) {
            let namespace = self.namespace.as_deref();
            self.watches.change(|state| {
                let first = state.outstanding.contains(&(source, namespace.map(str::to_owned)));
                state.complete(source, namespace);
                first
            });
        }
    }
}

fn is_unknown_kind(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref::<watcher::Error>() {
        Some(watcher::Error::InitialListFailed(kube::Error::Api(status))) => status.code == 404,
        _ => false,
    }
}

fn meta_event<K>(event: Event<PartialObjectMeta<K>>) -> Event<ObjectMeta> {
    match event {
        Event::Apply(object) => Event::Apply(object.metadata),
        Event::Delete(object) => Event::Delete(object.metadata),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.metadata),
        Event::InitDone => Event::InitDone,
    }
}
