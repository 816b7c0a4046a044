//! An API server and servers in memory, and the loop between them.

use std::{path::Path, sync::Arc, time::Duration};

use client::internal::Loaded;
use crds::{Kind, labels};
use issuance::{identity::ResourceName, ports::SystemClock};
use k8s_openapi::{
    api::core::v1::{Namespace, Pod, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{Resource, ResourceExt as _};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::pass::Reconciler;
use crate::{
    context::{Context, Options, Outlook, Scope},
    events::Events,
    metrics::Metrics,
    servers::{Fleet, InternalClient, MemoryServers, Poller},
    testing::FakeApi,
    world::Watches,
};

pub(super) const SERVER: &str = "enrollment/enroll";

pub(super) struct Scene {
    pub(super) api: FakeApi,
    pub(super) watches: Watches,
    pub(super) wake: Arc<Notify>,
    pub(super) servers: Arc<MemoryServers>,
    pub(super) poller: Poller,
    pub(super) reconciler: Reconciler,
    _stop: DropGuard,
}

impl Scene {
    pub(super) async fn new(api: FakeApi) -> Self {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let client = api.client();
        let watches = Watches::start(&client, &Scope::Cluster, wake.clone(), &stop);
        let (fleet, servers) = (Fleet::default(), Arc::new(MemoryServers::default()));
        let poller = Poller::new(fleet.clone(), servers.clone(), wake.clone());
        let context = Context {
            client: client.clone(),
            options: Arc::new(options()),
            servers: servers.clone(),
            metrics: Arc::new(Metrics::new()),
            events: Events::new(client, "test"),
            clock: Arc::new(SystemClock),
            wake: wake.clone(),
            outlook: watch::channel(Arc::new(Outlook::default())).1,
        };
        let internal = InternalClient::new(fleet.clone(), labels::INTERNAL_PORT);
        let reconciler = Reconciler::new(context, watches.clone(), fleet, poller.clone(), internal);
        let scene = Self { api, watches, wake, servers, poller, reconciler, _stop: stop.drop_guard() };
        scene.until_seen().await;
        scene
    }

    /// Waits until the watches know everything that there is.
    pub(super) async fn until_seen(&self) {
        let seen = async {
            loop {
                let world = self.watches.snapshot();
                let versions = self.api.all::<Secret>().into_iter().all(|secret| {
                    self.watches.secret_version(&resolve::resource_name(&secret.metadata))
                        == secret.metadata.resource_version
                });
                let gone = world
                    .secrets()
                    .all(|(name, _)| self.api.get::<Secret>(Some(name.namespace()), name.name()).is_some());
                let resources = Kind::ALL.iter().all(|kind| {
                    world.of_kind(*kind).count() == self.api.count(&crate::world::api_resource(*kind))
                });
                let pods = world.pods().count() == self.api.all::<Pod>().len();
                if self.watches.outstanding().is_empty() && versions && gone && resources && pods {
                    return;
                }
                let _ = timeout(Duration::from_millis(10), self.wake.notified()).await;
            }
        };
        timeout(Duration::from_secs(60), seen).await.expect("the watches fell behind");
    }

    /// Passes until one has nothing to write.
    pub(super) async fn settle(&mut self) -> Outlook {
        for _ in 0..30 {
            self.api.forget_calls();
            let outlook = self.reconciler.pass().await.unwrap();
            let news = self.poller.ask_all(true).await;
            let is_quiet = !news && self.api.writes().iter().all(|call| call.path.contains("/events"));
            self.until_seen().await;
            if is_quiet {
                return outlook;
            }
            // What was written comes back by the watches; what was written twice is no longer an echo.
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        panic!("it never settles: {:?}", self.api.writes());
    }

    /// As the kubelet and the server do: a pod that serves what was published.
    pub(super) fn serve(&self, outlook: &Outlook) {
        let published = outlook.servers[&name(SERVER)].published.clone().expect("nothing is published");
        let parts =
            published.parts().iter().map(|(secret, part)| (secret.clone(), part.sha256.clone())).collect();
        let loaded = Loaded {
            version: "1".to_owned(),
            formats: (resolve::FORMAT, resolve::FORMAT),
            generation: published.generation(),
            parts,
            ..Loaded::default()
        };
        self.servers.serves("enroll-0", loaded);
        let pod = json!({
            "metadata": {
                "name": "enroll-0", "namespace": "enrollment",
                "labels": { labels::MANAGED_BY: labels::MANAGER, labels::SERVER: "enroll" },
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.7",
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        });
        self.api.put(&serde_json::from_value::<Pod>(pod).unwrap());
    }

    pub(super) fn secrets(&self, namespace: &str) -> Vec<String> {
        let of = |secret: &Secret| secret.metadata.namespace.as_deref() == Some(namespace);
        self.api.all::<Secret>().into_iter().filter(of).map(|secret| secret.name_any()).collect()
    }

    /// Status, reason and what stands in the way.
    pub(super) fn ready<K>(&self, namespace: &str, name: &str) -> (String, String, String)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + serde::Serialize,
    {
        let found = self.api.get::<K>(Some(namespace), name).expect("it is not there");
        let value = serde_json::to_value(found).unwrap();
        let conditions = value["status"]["conditions"].clone();
        let conditions: Vec<Condition> = serde_json::from_value(conditions).unwrap_or_default();
        let says = |condition: &Condition| format!("{}: {}", condition.type_, condition.message);
        let problems: Vec<String> = conditions
            .iter()
            .filter(|found| found.status != "True" && !found.message.is_empty())
            .map(says)
            .collect();
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        ready.map(|ready| (ready.status, ready.reason, problems.join("; "))).unwrap_or_default()
    }
}

pub(super) fn options() -> Options {
    Options {
        namespace: "chancery-system".to_owned(),
        server_image: "chancery-server:test".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        scope: Scope::Cluster,
        cluster_domain: "cluster.local".to_owned(),
        metrics_listen: ([127, 0, 0, 1], 0).into(),
        leader_election: false,
        identity: "test".to_owned(),
    }
}

pub(super) fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// Everything of `examples/cluster/` but what belongs to cert-manager.
pub(super) fn example() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let documents = files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let documents = serde_yaml_ng::Deserializer::from_str(&text);
        documents.map(|document| Value::deserialize(document).unwrap()).collect::<Vec<_>>()
    });
    documents.filter(|document| document["apiVersion"] != "cert-manager.io/v1").collect()
}

pub(super) fn put(api: &FakeApi, document: &Value) {
    match document["kind"].as_str().unwrap().parse::<Kind>() {
        Ok(kind) => api.put_dynamic(&crate::world::api_resource(kind), document.clone()),
        Err(_) => drop(api.put(&serde_json::from_value::<Namespace>(document.clone()).unwrap())),
    }
}

pub(super) async fn example_scene() -> Scene {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    Scene::new(api).await
}
