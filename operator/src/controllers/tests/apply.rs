//! From an API server in memory to statuses in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crds::{
    CertificateAuthority, CertificateProfile, EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind,
    conditions::ConditionType,
};
use issuance::{identity::ResourceName, ports::Clock};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
};
use resolve::parts::{Manifest, split};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{message, said};
use crate::{
    context::{Context, Options, Outlook, Scope, ServerOutlook},
    controllers::Statuses,
    events::Events,
    metrics::Metrics,
    provision::{
        authorities::Keeper,
        credentials::{Fulfilled, Values},
        tests::{BASE, Hands, OWN, named, resources},
    },
    publish::Published,
    servers::{MemoryServers, Replica, ReplicaState},
    testing::FakeApi,
    workload::WorkloadState,
    world::{Entry, Watches, World},
};

struct Scene {
    api: FakeApi,
    context: Context,
    clock: Arc<Hands>,
    watches: Watches,
    statuses: Statuses,
    /// What the only replica serves; none: it is not ready.
    generation: Option<u64>,
    _stop: DropGuard,
}

impl Scene {
    /// The resources are there, and the watches have seen them.
    async fn new() -> Self {
        let api = FakeApi::new();
        let all = resources(BASE);
        all.servers.iter().for_each(|found| drop(api.put(found)));
        all.authorities.iter().for_each(|found| drop(api.put(found)));
        all.profiles.iter().for_each(|found| drop(api.put(found)));
        all.methods.iter().for_each(|found| drop(api.put(found)));
        all.credentials.iter().for_each(|found| drop(api.put(found)));
        let (clock, wake, stop) = (Hands::new(), Arc::new(Notify::new()), CancellationToken::new());
        let watches = Watches::start(&api.client(), &Scope::Cluster, wake.clone(), &stop);
        let context = context(&api, clock.clone(), wake);
        let scene = Self {
            api,
            context,
            clock,
            watches,
            statuses: Statuses::default(),
            generation: None,
            _stop: stop.drop_guard(),
        };
        scene.until(|_| scene.watches.outstanding().is_empty()).await;
        scene
    }

    async fn until(&self, what: impl Fn(&World) -> bool) -> World {
        let wait = async {
            loop {
                let world = self.watches.snapshot();
                if what(&world) {
                    return world;
                }
                // Statuses wake nobody.
                let _ = timeout(Duration::from_millis(5), self.context.wake.notified()).await;
            }
        };
        timeout(Duration::from_secs(60), wait).await.expect("the world never became so")
    }

    /// What a pass of the loop comes to, without the loop.
    async fn outlook(&self) -> Outlook {
        // Whatever was written has come back.
        let versions: Vec<(Kind, ResourceName, Option<String>)> = self.versions();
        let world = self
            .until(|world| {
                versions.iter().all(|(kind, name, version)| {
                    world.get(*kind, name).is_some_and(|found| found.meta().resource_version == *version)
                })
            })
            .await;
        let mut resources = resources("kind: EnrollmentServer\nmetadata: {name: x}\nspec: {tls: {}}");
        resources.servers.clear();
        resources.extend(world.iter().filter_map(|(_, _, entry)| match entry {
            Entry::Read(resource) => Some(resource.clone()),
            Entry::Undecodable { .. } => None,
        }));
        let keeper = Keeper::new(self.api.client(), OWN, self.clock.clone());
        let mut kept = keeper.observe().await.unwrap();
        let server = named("server");
        let settled = keeper.settle(&mut kept, &resources, &server, &BTreeMap::new()).await;
        let mut outlook = Outlook {
            world,
            statuses: Arc::new(settled.resolution.statuses.clone()),
            lists: kept.list_facts(&named("root")).map(|facts| (named("root"), facts)).into_iter().collect(),
            ..Outlook::default()
        };
        let mut fulfilled = Fulfilled::default();
        let mut published = None;
        if let Some(mut compiled) = settled.resolution.compiled.clone() {
            let mut values = Values::new(self.api.client(), self.clock.clone());
            fulfilled = values.fulfil(&mut compiled, &resources, None).await;
            let parts = split(&settled.resolution, &compiled, &kept.keys(), &kept.lists());
            let (manifest, _) = Manifest::of(server.clone(), 7, &parts).unwrap();
            published =
                Some(Arc::new(Published { manifest, left_out: BTreeMap::new(), lists: BTreeSet::new() }));
        }
        let of_server = ServerOutlook {
            replicas: vec![self.replica(published.as_deref())],
            resolution: Arc::new(settled.resolution),
            published,
            workload: WorkloadState { replicas: 1, ready: 1, ..WorkloadState::default() },
            authority_failures: settled.failures,
            credentials: Arc::new(fulfilled),
            failure: None,
        };
        outlook.servers.insert(server, of_server);
        outlook.resources = Arc::new(resources);
        outlook
    }

    fn versions(&self) -> Vec<(Kind, ResourceName, Option<String>)> {
        let mut found = Vec::new();
        macro_rules! all {
            ($($kind:ident),*) => {$(
                for object in self.api.all::<PartialObjectMeta<crds::$kind>>() {
                    let name = resolve::resource_name(&object.metadata);
                    found.push((Kind::$kind, name, object.metadata.resource_version));
                }
            )*};
        }
        all!(
            CertificateAuthority,
            CertificateProfile,
            EnrollmentMethod,
            EnrollmentCredential,
            EnrollmentServer
        );
        found
    }

    fn replica(&self, published: Option<&Published>) -> ReplicaState {
        let parts = published.map(|published| {
            let hash =
                |(name, entry): (&String, &resolve::parts::PartEntry)| (name.clone(), entry.sha256.clone());
            published.parts().iter().map(hash).collect()
        });
        ReplicaState {
            replica: Replica {
                server: named("server"),
                pod: "server-0".into(),
                uid: "pod".into(),
                address: [10, 0, 0, 1].into(),
            },
            ready: self.generation.is_some(),
            loaded: self.generation.map(|generation| client::internal::Loaded {
                generation,
                parts: parts.unwrap_or_default(),
                ..client::internal::Loaded::default()
            }),
            usage: None,
            error: None,
        }
    }

    async fn pass(&mut self) -> bool {
        let outlook = self.outlook().await;
        self.statuses.apply(&self.context, &outlook).await
    }

    fn events(&self) -> Vec<(String, String)> {
        let event = |event: Event| {
            let about = event.regarding.unwrap();
            (format!("{}/{}", about.kind.unwrap(), about.name.unwrap()), event.reason.unwrap())
        };
        self.api.all::<Event>().into_iter().map(event).collect()
    }

    fn status_writes(&self) -> Vec<String> {
        let of_status = self.api.writes().into_iter().filter(|call| call.path.ends_with("/status"));
        of_status.map(|call| call.path).collect()
    }
}

fn context(api: &FakeApi, clock: Arc<dyn Clock>, wake: Arc<Notify>) -> Context {
    let options = Options {
        namespace: OWN.into(),
        server_image: "chancery-server".into(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        scope: Scope::Cluster,
        metrics_listen: ([127, 0, 0, 1], 0).into(),
        leader_election: false,
        identity: "operator-0".into(),
        cluster_domain: "cluster.local".into(),
    };
    Context {
        client: api.client(),
        options: Arc::new(options),
        servers: Arc::new(MemoryServers::default()),
        metrics: Arc::new(Metrics::new()),
        events: Events::new(api.client(), "operator-0"),
        clock,
        wake,
        outlook: watch::channel(Arc::new(Outlook::default())).1,
    }
}

#[tokio::test]
async fn everything_becomes_ready_when_the_replica_says_so_and_is_then_left_alone() {
    let mut scene = Scene::new().await;
    assert!(scene.pass().await);
    let method: EnrollmentMethod = scene.api.get(Some("pki"), "method").unwrap();
    let conditions = method.status.unwrap().conditions;
    assert_eq!(said(&conditions, ConditionType::Accepted), "True Accepted");
    assert_eq!(said(&conditions, ConditionType::Programmed), "False ServerNotReady");
    assert_eq!(scene.events(), [], "being on its way is no event");

    scene.generation = Some(7);
    assert!(scene.pass().await);
    let server: EnrollmentServer = scene.api.get(Some("pki"), "server").unwrap();
    let status = server.status.unwrap();
    assert_eq!(said(&status.conditions, ConditionType::Ready), "True Ready");
    assert_eq!(status.configuration_generation, Some(7));
    let urls = status.urls.unwrap();
    assert_eq!(urls.enrollment.as_deref(), Some("https://server.pki.svc"));
    assert_eq!(urls.public.as_deref(), Some("http://pki.acme.com"));
    let root: CertificateAuthority = scene.api.get(Some("pki"), "root").unwrap();
    let root = root.status.unwrap();
    assert_eq!(said(&root.conditions, ConditionType::Ready), "True Ready");
    assert!(root.crl.is_some() && root.key_id.is_some());
    let method: EnrollmentMethod = scene.api.get(Some("pki"), "method").unwrap();
    let method = method.status.unwrap();
    assert_eq!(method.urls[0].url, "https://server.pki.svc/.well-known/est/pki.method");
    assert!(method.ca_fingerprint.is_some());
    let credential: EnrollmentCredential = scene.api.get(Some("pki"), "credential").unwrap();
    assert_eq!(credential.status.unwrap().secret_ref.unwrap().name, "credential");
    let events = scene.events();
    assert_eq!(events.len(), 6);
    assert!(events.iter().all(|(_, reason)| reason == "Ready"), "{events:?}");

    scene.api.forget_calls();
    scene.clock.turn(30);
    assert!(scene.pass().await);
    assert_eq!(scene.status_writes(), [""; 0]);
}

#[tokio::test]
async fn what_stops_being_ready_is_told_once() {
    let mut scene = Scene::new().await;
    scene.generation = Some(7);
    scene.pass().await;
    let mut profile: CertificateProfile = scene.api.get(Some("pki"), "profile").unwrap();
    profile.spec.authority_ref = Some(crds::ObjectRef { name: "nobody".into(), namespace: None });
    profile.metadata.generation = Some(2);
    scene.api.put(&profile);
    scene.pass().await;
    scene.pass().await;
    let told: Vec<_> = scene.events().into_iter().filter(|(_, reason)| reason != "Ready").collect();
    let expected = [
        ("CertificateProfile/profile", "ReferenceNotFound"),
        ("EnrollmentCredential/credential", "ReferenceNotAccepted"),
        ("EnrollmentMethod/method", "ReferenceNotAccepted"),
    ];
    let mut told: Vec<(&str, &str)> =
        told.iter().map(|(about, reason)| (about.as_str(), reason.as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, expected);
    let profile: CertificateProfile = scene.api.get(Some("pki"), "profile").unwrap();
    assert_eq!(profile.status.unwrap().observed_generation, Some(2));
}

#[tokio::test]
async fn what_others_say_in_a_status_stays() {
    let mut scene = Scene::new().await;
    let mut profile: CertificateProfile = scene.api.get(Some("pki"), "profile").unwrap();
    let foreign = json!([{ "type": "Audited", "status": "True", "reason": "Yes", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
    let status = profile.status.get_or_insert_default();
    status.conditions = serde_json::from_value(foreign).unwrap();
    scene.api.put(&profile);
    scene.generation = Some(7);
    scene.pass().await;
    scene.api.forget_calls();
    scene.pass().await;
    assert_eq!(scene.status_writes(), [""; 0], "what is not ours is no reason to write");
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_written_with_the_next_pass() {
    let mut scene = Scene::new().await;
    scene.api.refuse("PATCH", "/status", 500, "InternalError", 1);
    assert!(!scene.pass().await);
    assert!(scene.pass().await);
    let server: EnrollmentServer = scene.api.get(Some("pki"), "server").unwrap();
    assert!(server.status.is_some());
    // Somebody was faster, or it is gone: the next pass sees what is there.
    scene.generation = Some(7);
    scene.api.refuse("PATCH", "/status", 409, "Conflict", 1);
    assert!(scene.pass().await);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_so_once() {
    let mut scene = Scene::new().await;
    let strange = json!({
        "apiVersion": crds::API_VERSION, "kind": "EnrollmentMethod",
        "metadata": { "name": "strange", "namespace": "pki", "generation": 2 },
        "spec": { "profileRef": { "name": "profile" }, "est": {}, "quantum": 1 },
    });
    scene.api.put_unchecked::<EnrollmentMethod>(strange);
    scene.until(|world| world.get(Kind::EnrollmentMethod, &named("strange")).is_some()).await;
    assert!(scene.pass().await);
    let resource = ApiResource::erase::<EnrollmentMethod>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(scene.api.client(), "pki", &resource);
    let status = async || -> Value { api.get("strange").await.unwrap().data["status"].clone() };
    let first = status().await;
    let conditions: Vec<_> = serde_json::from_value(first["conditions"].clone()).unwrap();
    assert_eq!(said(&conditions, ConditionType::Accepted), "False Invalid");
    assert!(message(&conditions, ConditionType::Accepted).contains("quantum"));
    assert!(scene.events().contains(&("EnrollmentMethod/strange".into(), "Invalid".into())));
    // Also by an operator that has just started, at another time.
    scene.statuses = Statuses::default();
    scene.clock.turn(100);
    scene.api.forget_calls();
    assert!(scene.pass().await);
    assert!(!scene.status_writes().iter().any(|path| path.contains("strange")));
    assert_eq!(status().await, first);
}
