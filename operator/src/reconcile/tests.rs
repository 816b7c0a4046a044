//! Whole passes, from the resources of `examples/cluster/` to what is in the API server, with servers in memory.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use client::internal::{ListUsage, Loaded, MethodUsage, Usage};
use crds::{
    CertificateAuthority, CertificateProfile, EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind,
    labels,
};
use issuance::{identity::ResourceName, ports::SystemClock};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Namespace, Pod, Secret},
    },
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

use super::pass::Reconciler;
use crate::{
    context::{Context, Options, Outlook, Scope},
    events::Events,
    metrics::Metrics,
    servers::{Fleet, InternalClient, MemoryServers, Poller},
    testing::FakeApi,
    world::Watches,
};

const SERVER: &str = "enrollment/enroll";

struct Scene {
    api: FakeApi,
    watches: Watches,
    wake: Arc<Notify>,
    servers: Arc<MemoryServers>,
    poller: Poller,
    reconciler: Reconciler,
    _stop: DropGuard,
}

impl Scene {
    async fn new(api: FakeApi) -> Self {
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
    async fn until_seen(&self) {
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
    async fn settle(&mut self) -> Outlook {
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
    fn serve(&self, outlook: &Outlook) {
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

    fn secrets(&self, namespace: &str) -> Vec<String> {
        let of = |secret: &Secret| secret.metadata.namespace.as_deref() == Some(namespace);
        self.api.all::<Secret>().into_iter().filter(of).map(|secret| secret.name_any()).collect()
    }

    /// Status, reason and what stands in the way.
    fn ready<K>(&self, namespace: &str, name: &str) -> (String, String, String)
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

fn options() -> Options {
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

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// Everything of `examples/cluster/` but what belongs to cert-manager.
fn example() -> Vec<Value> {
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

fn put(api: &FakeApi, document: &Value) {
    match document["kind"].as_str().unwrap().parse::<Kind>() {
        Ok(kind) => api.put_dynamic(&crate::world::api_resource(kind), document.clone()),
        Err(_) => drop(api.put(&serde_json::from_value::<Namespace>(document.clone()).unwrap())),
    }
}

async fn example_scene() -> Scene {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    Scene::new(api).await
}

#[tokio::test(start_paused = true)]
async fn the_example_becomes_a_published_configuration_and_what_runs_it() {
    let mut scene = example_scene().await;
    let outlook = scene.settle().await;
    let server = &outlook.servers[&name(SERVER)];
    assert_eq!(server.failure, None);
    assert_eq!(server.authority_failures, BTreeMap::new());
    let published = server.published.as_ref().unwrap();
    let listed: Vec<String> =
        published.parts().values().map(|part| format!("{} {}", part.kind, part.name)).collect();
    for part in [
        "server enrollment/enroll",
        "authority enrollment/root",
        "authority enrollment/issuing",
        "profile enrollment/device",
        "profile enrollment/service",
        "method enrollment/devices",
        "method -/issuer:services",
        "method shop/issuer:services",
        "credential enrollment/factory",
    ] {
        assert!(listed.iter().any(|listed| listed == part), "{part} is not among {listed:?}");
    }
    assert_eq!(listed.len(), 9, "{listed:?}");
    assert!(scene.api.get::<StatefulSet>(Some("enrollment"), "enroll").is_some());
    assert!(scene.secrets("enrollment").contains(&"enroll-sealing".to_owned()));
    assert!(scene.api.get::<ConfigMap>(Some("shop"), "example-root").is_some());
    assert_eq!(scene.ready::<EnrollmentMethod>("enrollment", "devices").0, "False");

    scene.serve(&outlook);
    let counts = MethodUsage { issued: 3, refused: 1, last_failure: None };
    let methods = BTreeMap::from([("enrollment/devices".to_owned(), counts)]);
    let api = scene.api.clone();
    let issuing = || api.get::<CertificateAuthority>(Some("enrollment"), "issuing").unwrap();
    let status = issuing().status.unwrap();
    assert_eq!(status.crl, None, "its server makes its lists");
    let list = ListUsage { number: 5, this_update: 1_790_000_000, next_update: 1_790_086_400 };
    let other = ListUsage { number: 9, ..list };
    let crls = BTreeMap::from([(status.key_id.unwrap(), list), ("00".repeat(20), other)]);
    scene.servers.has_used("enroll-0", Usage { methods, crls, ..Usage::default() });
    scene.until_seen().await;
    let outlook = scene.settle().await;
    assert!(outlook.settled);
    let method: EnrollmentMethod = scene.api.get(Some("enrollment"), "devices").unwrap();
    assert_eq!(method.status.unwrap().counters.unwrap().issued, 3);
    let list = issuing().status.unwrap().crl.unwrap();
    assert_eq!((list.number, list.next_update.0.as_second()), (5, 1_790_086_400));
    for ready in [
        scene.ready::<EnrollmentMethod>("enrollment", "devices"),
        scene.ready::<EnrollmentCredential>("enrollment", "factory"),
        scene.ready::<CertificateAuthority>("enrollment", "issuing"),
        scene.ready::<CertificateProfile>("enrollment", "service"),
        scene.ready::<crds::ChanceryIssuer>("shop", "services"),
    ] {
        assert_eq!(ready, ("True".to_owned(), "Ready".to_owned(), String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_roots_key_is_given_to_nobody() {
    let mut scene = example_scene().await;
    let outlook = scene.settle().await;
    let published = outlook.servers[&name(SERVER)].published.clone().unwrap();
    let mut keys = Vec::new();
    for (secret, part) in published.parts() {
        let secret: Secret = scene.api.get(Some("enrollment"), secret).unwrap();
        let json = &secret.data.unwrap()[labels::PART_KEY].0;
        if resolve::parts::Part::from_json(json).unwrap().key.is_some() {
            keys.push(part.name.to_string());
        }
    }
    assert_eq!(keys, ["enrollment/issuing"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_begins_anew_writes_nothing_where_nothing_changed() {
    let mut scene = example_scene().await;
    let before = scene.settle().await;
    let mut again = Scene::new(scene.api.clone()).await;
    again.api.forget_calls();
    let after = again.reconciler.pass().await.unwrap();
    let secrets: Vec<_> =
        again.api.writes().into_iter().filter(|call| call.path.contains("/secrets/")).collect();
    assert_eq!(secrets, []);
    assert_eq!(after.servers[&name(SERVER)].published, before.servers[&name(SERVER)].published);
}

#[tokio::test(start_paused = true)]
async fn a_changed_profile_is_published_with_the_next_pass_alone() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&scene.api, &profile);
    let generation = |watches: &Watches| {
        let world = watches.snapshot();
        world.get(Kind::CertificateProfile, &name("enrollment/device"))?.meta().generation
    };
    while generation(&scene.watches) != Some(2) {
        let _ = timeout(Duration::from_millis(10), scene.wake.notified()).await;
    }
    scene.api.forget_calls();
    let after = scene.reconciler.pass().await.unwrap().servers[&name(SERVER)].published.clone().unwrap();
    assert!(after.generation() > before.generation());
    let written: Vec<_> = scene
        .api
        .writes()
        .into_iter()
        .filter(|call| call.method == "PATCH" && call.path.contains("/secrets/"))
        .map(|call| call.path.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    let part =
        resolve::parts::part_secret_name(resolve::parts::PartKind::Profile, &name("enrollment/device"));
    assert_eq!(written, [part, "chancery-manifest-enroll".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_now_and_then_is_asked_until_everything_is_there() {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    let mut scene = Scene::new(api).await;
    for (method, path, code, reason) in [
        ("POST", "/secrets", 503, "ServiceUnavailable"),
        ("PATCH", "chancery-part-authority", 500, "InternalError"),
        ("PATCH", "chancery-manifest", 409, "Conflict"),
        ("PATCH", "statefulsets", 429, "TooManyRequests"),
        ("PATCH", "/status", 409, "Conflict"),
    ] {
        scene.api.refuse(method, path, code, reason, 2);
    }
    let mut settled = false;
    for _ in 0..20 {
        settled = scene.reconciler.pass().await.is_ok_and(|outlook| outlook.settled);
        scene.until_seen().await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        if settled {
            break;
        }
    }
    assert!(settled);
    let outlook = scene.settle().await;
    assert!(outlook.servers[&name(SERVER)].published.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_cannot_be_read_stops_nobody_and_is_told_of() {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    let odd = json!({
        "apiVersion": crds::API_VERSION, "kind": "CertificateProfile",
        "metadata": { "name": "odd", "namespace": "shop" },
        "spec": { "authorityRef": { "name": "issuing" }, "quantum": true },
    });
    put(&api, &odd);
    let mut scene = Scene::new(api).await;
    let outlook = scene.settle().await;
    assert!(outlook.servers[&name(SERVER)].published.is_some());
    let status = scene.api.get_dynamic(&crate::world::api_resource(Kind::CertificateProfile), "shop", "odd");
    let conditions = status.unwrap()["status"]["conditions"].clone();
    let accepted =
        conditions.as_array().unwrap().iter().find(|found| found["type"] == "Accepted").unwrap().clone();
    assert_eq!(accepted["status"], "False");
    assert!(accepted["message"].as_str().unwrap().contains("quantum"), "{accepted}");
}

#[tokio::test(start_paused = true)]
async fn deleting_everything_in_either_order_leaves_only_what_is_to_be_kept() {
    for reversed in [false, true] {
        let mut scene = example_scene().await;
        let mut documents = example();
        for document in &mut documents {
            if document["kind"] == "CertificateAuthority" && document["metadata"]["name"] == "issuing" {
                document["spec"]["deletionPolicy"] = json!("Delete");
                put(&scene.api, document);
            }
        }
        scene.until_seen().await;
        let outlook = scene.settle().await;
        scene.serve(&outlook);
        scene.until_seen().await;
        scene.settle().await;
        if reversed {
            documents.reverse();
        }
        for document in documents.iter().filter(|document| document["kind"] != "Namespace") {
            let kind = document["kind"].as_str().unwrap().parse().unwrap();
            let meta = &document["metadata"];
            scene.api.delete_dynamic(
                &crate::world::api_resource(kind),
                meta["namespace"].as_str(),
                meta["name"].as_str().unwrap(),
            );
            scene.until_seen().await;
            scene.reconciler.pass().await.unwrap();
            scene.until_seen().await;
        }
        scene.settle().await;
        assert_eq!(scene.secrets("enrollment"), ["enroll-sealing"], "reversed: {reversed}");
        assert!(scene.api.all::<StatefulSet>().is_empty() && scene.api.all::<ConfigMap>().is_empty());
        let own = scene.secrets("chancery-system");
        let keys: Vec<_> = own.iter().filter(|name| name.starts_with("chancery-authority-")).collect();
        assert_eq!(keys, ["chancery-authority-enrollment.root"], "reversed: {reversed}");
        assert!(!own.iter().any(|name| name.contains("enroll") && name.contains("server")), "{own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_sealing_key_is_told_of_and_what_changes_is_published_all_the_same() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    scene.api.delete::<Secret>(Some("enrollment"), "enroll-sealing");
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&scene.api, &profile);
    scene.until_seen().await;
    let outlook = scene.reconciler.pass().await.unwrap();
    let server = &outlook.servers[&name(SERVER)];
    assert!(server.published.as_ref().unwrap().generation() > before.generation());
    let failure = server.failure.as_deref().unwrap_or_default();
    assert!(failure.contains("sealing key is lost"), "{failure}");
    assert!(!scene.secrets("enrollment").contains(&"enroll-sealing".to_owned()));
    let (ready, _, why) = scene.ready::<EnrollmentServer>("enrollment", "enroll");
    assert!(ready == "False" && why.contains("sealing key is lost"), "{ready}: {why}");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_destroyed_while_authorities_cannot_be_listed() {
    let mut scene = example_scene().await;
    let mut root = example().into_iter().find(|found| found["metadata"]["name"] == "root").unwrap();
    root["spec"]["deletionPolicy"] = json!("Delete");
    put(&scene.api, &root);
    scene.until_seen().await;
    scene.settle().await;
    scene.api.delete::<CertificateAuthority>(Some("enrollment"), "root");
    scene.until_seen().await;
    scene.api.refuse("GET", "/certificateauthorities", 503, "ServiceUnavailable", 2);
    let outlook = scene.reconciler.pass().await.unwrap();
    assert!(!outlook.settled);
    assert!(scene.secrets("chancery-system").contains(&"chancery-authority-enrollment.root".to_owned()));
    scene.until_seen().await;
    scene.settle().await;
    assert!(!scene.secrets("chancery-system").contains(&"chancery-authority-enrollment.root".to_owned()));
    assert!(scene.api.get::<EnrollmentServer>(Some("enrollment"), "enroll").is_some());
}

/// The whole operator, as the leader runs it.
fn operate(api: &FakeApi, shutdown: &CancellationToken) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    let run = super::run(
        api.client(),
        Arc::new(options()),
        Arc::new(Metrics::new()),
        crate::health::Heartbeat::default(),
        shutdown.clone(),
    );
    tokio::spawn(run)
}

async fn until_published(api: &FakeApi) -> Secret {
    let published = async {
        loop {
            if let Some(manifest) = api.get::<Secret>(Some("enrollment"), "chancery-manifest-enroll") {
                return manifest;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(120), published).await.expect("nothing is published")
}

#[tokio::test(start_paused = true)]
async fn the_loop_survives_an_api_server_that_restarts_and_takes_up_what_changed_meanwhile() {
    let (api, shutdown) = (FakeApi::new(), CancellationToken::new());
    for document in example() {
        put(&api, &document);
    }
    let running = operate(&api, &shutdown);
    let before = until_published(&api).await;
    api.stop();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&api, &profile);
    api.expire_watches();
    api.start();
    let changed = async {
        while api.get::<Secret>(Some("enrollment"), "chancery-manifest-enroll").unwrap().data == before.data {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(180), changed).await.expect("the change was not taken up");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_any_more_once_the_lead_is_lost() {
    let (api, shutdown) = (FakeApi::new(), CancellationToken::new());
    for document in example() {
        put(&api, &document);
    }
    let running = operate(&api, &shutdown);
    until_published(&api).await;
    // As the process does when it cannot renew the lease.
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    api.forget_calls();
    api.delete::<Secret>(Some("enrollment"), "chancery-manifest-enroll");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(api.calls(), []);
}

/// A client of it that panics where a path holds this.
fn client_that_panics(api: &FakeApi, path: &'static str) -> kube::Client {
    let inner = api.client();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        async move {
            assert!(!request.uri().path().contains(path), "on purpose");
            inner.send(request).await
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_operator_that_dies_ends_it_with_an_error() {
    for (path, why) in [("/certificaterequests", "a task of the operator has died"), ("/pods", "a watch")] {
        let api = FakeApi::new();
        for document in example() {
            put(&api, &document);
        }
        let run = super::run(
            client_that_panics(&api, path),
            Arc::new(options()),
            Arc::new(Metrics::new()),
            crate::health::Heartbeat::default(),
            CancellationToken::new(),
        );
        let outcome = timeout(Duration::from_secs(600), run).await.expect("nobody noticed");
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains(why), "{path}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_served_profile_that_cannot_be_read_any_more_holds_up_nothing_else() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    let documents = example();
    let find = |name: &str| documents.iter().find(|found| found["metadata"]["name"] == name).unwrap().clone();
    let mut profile = find("device");
    profile["spec"]["quantum"] = json!(true);
    put(&scene.api, &profile);
    scene.until_seen().await;
    let stays = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    assert_eq!(stays.parts(), before.parts());

    // What is changed beside it, and what ends a credential of a method of it, is taken up.
    let mut other = find("service");
    other["spec"]["validity"]["default"] = json!("3d");
    put(&scene.api, &other);
    let mut credential = find("factory");
    credential["spec"]["revoked"] = json!(true);
    put(&scene.api, &credential);
    scene.until_seen().await;
    let outlook = scene.settle().await;
    let server = &outlook.servers[&name(SERVER)];
    assert_eq!(server.failure, None);
    let after = server.published.clone().unwrap();
    let part = |kind, of: &str| resolve::parts::part_secret_name(kind, &name(of));
    use resolve::parts::{Part, PartContent, PartKind};
    let (ended, changed) =
        (part(PartKind::Credential, "enrollment/factory"), part(PartKind::Profile, "enrollment/service"));
    let differ: Vec<&String> = before
        .parts()
        .iter()
        .filter(|(secret, entry)| after.parts().get(*secret) != Some(*entry))
        .map(|(secret, _)| secret)
        .collect();
    let mut expected = [&ended, &changed];
    expected.sort();
    assert_eq!(differ, expected);
    let secret: Secret = scene.api.get(Some("enrollment"), &ended).unwrap();
    let part = Part::from_json(&secret.data.unwrap()[labels::PART_KEY].0).unwrap();
    let PartContent::Credential(credential) = part.content else { panic!("another part") };
    assert_eq!(credential.state, issuance::credential::CredentialState::Revoked);

    // Put right, everything is compiled anew.
    put(&scene.api, &find("device"));
    scene.until_seen().await;
    let right = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    assert_eq!(right.parts().len(), before.parts().len());
}
