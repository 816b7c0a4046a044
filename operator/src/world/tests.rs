//! Watches against the API in memory.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crds::{CertificateProfile, EnrollmentServer, Kind};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Entry, OwnedKind, ReferencedSecrets, Source, Watches, World, live};
use crate::{context::Scope, testing::FakeApi};

struct Scene {
    api: FakeApi,
    watches: Watches,
    wake: Arc<Notify>,
    _stop: DropGuard,
}

impl Scene {
    fn new(api: FakeApi, scope: &Scope) -> Self {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let watches = Watches::start(&api.client(), scope, wake.clone(), &stop);
        Self { api, watches, wake, _stop: stop.drop_guard() }
    }

    /// Waits until the world is as told.
    async fn until(&self, what: impl Fn(&World) -> bool) -> World {
        let wait = async {
            loop {
                let world = self.watches.snapshot();
                if what(&world) {
                    return world;
                }
                // Secrets that are nobody's business wake nobody; time stands still here but for this.
                let _ = timeout(Duration::from_millis(10), self.wake.notified()).await;
            }
        };
        timeout(Duration::from_secs(60), wait).await.expect("the world never became so")
    }

    async fn listed(&self) -> World {
        let watches = self.watches.clone();
        self.until(move |_| watches.outstanding().is_empty()).await
    }
}

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

fn profile(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": crds::API_VERSION, "kind": "CertificateProfile",
        "metadata": { "name": name, "namespace": "a" },
        "spec": { "authorityRef": { "name": "root" }, "validity": { "default": "30d", "maximum": "30d" } },
    })
}

fn undecodable(name: &str) -> serde_json::Value {
    let mut document = profile(name);
    document["spec"]["quantum"] = json!(true);
    document
}

fn secret(namespace: &str, name: &str, labels: serde_json::Value) -> Secret {
    let document = json!({
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "data": { "password": "c2VjcmV0" },
    });
    serde_json::from_value(document).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_kept_with_the_reason_and_takes_nothing_else_down() {
    let api = FakeApi::new();
    api.put_unchecked::<CertificateProfile>(undecodable("odd"));
    api.put_unchecked::<EnrollmentServer>(json!({
        "apiVersion": crds::API_VERSION, "kind": "EnrollmentServer",
        "metadata": { "name": "s", "namespace": "a" }, "spec": { "tls": {} },
    }));
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene.listed().await;
    let Some(Entry::Undecodable { reason, .. }) = world.get(Kind::CertificateProfile, &name("a/odd")) else {
        panic!("read, or not there")
    };
    assert!(reason.contains("quantum"), "{reason}");
    assert!(matches!(world.get(Kind::EnrollmentServer, &name("a/s")), Some(Entry::Read(_))));
    assert!(world.has_all_resources());
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_nobody_watched_is_gone_after_the_next_list() {
    let api = FakeApi::new();
    for index in 0..700 {
        api.put_unchecked::<CertificateProfile>(undecodable(&format!("p{index}")));
    }
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene.listed().await;
    assert_eq!(world.of_kind(Kind::CertificateProfile).count(), 700);
    scene.api.stop();
    scene.api.delete::<CertificateProfile>(Some("a"), "p699");
    scene.api.expire_watches();
    scene.api.start();
    let world = scene.until(|world| world.of_kind(Kind::CertificateProfile).count() == 699).await;
    assert!(world.get(Kind::CertificateProfile, &name("a/p699")).is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_complete_before_its_kind_could_be_listed() {
    let api = FakeApi::new();
    api.refuse("GET", "certificateprofiles", 403, "Forbidden", usize::MAX);
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene
        .until(|world| world.is_complete(Source::Secrets) && world.is_complete(Source::Namespaces))
        .await;
    assert!(!world.is_complete(Source::Resources(Kind::CertificateProfile)));
    assert!(!world.has_all_resources());
    assert!(!scene.watches.outstanding().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_the_api_server_does_not_know_has_no_objects() {
    let api = FakeApi::new();
    api.refuse("GET", "clustertrustbundles", 404, "NotFound", usize::MAX);
    let scene = Scene::new(api, &Scope::Cluster);
    assert!(scene.listed().await.is_complete(Source::Owned(OwnedKind::ClusterTrustBundle)));
}

#[tokio::test(start_paused = true)]
async fn other_namespaces_are_not_looked_at_where_some_are_named() {
    let api = FakeApi::new();
    api.put(&serde_json::from_value::<Namespace>(json!({ "metadata": { "name": "a" } })).unwrap());
    let scope = Scope::Namespaces(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    let scene = Scene::new(api, &scope);
    let world = scene.listed().await;
    assert!(world.has_all_resources() && world.is_complete(Source::Namespaces));
    let across = |path: &str| !path.contains("/namespaces/a/") && !path.contains("/namespaces/b/");
    let calls = scene.api.calls();
    assert!(!calls.is_empty());
    let cluster_wide: Vec<_> = calls.iter().filter(|call| across(&call.path)).collect();
    assert!(cluster_wide.is_empty(), "{cluster_wide:?}");
}

#[tokio::test(start_paused = true)]
async fn the_content_of_secrets_is_never_listed() {
    let api = FakeApi::new();
    api.put(&secret("a", "theirs", json!({})));
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene.listed().await;
    // Only the Secrets of the operator are known at all.
    assert_eq!(world.secrets().count(), 0);
    let listed = scene.api.calls().into_iter().filter(|call| call.path.ends_with("/secrets")).count();
    assert_eq!(listed, scene.api.metadata_calls("/secrets"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_a_resource_names_is_fetched_again_only_when_it_changes() {
    let api = FakeApi::new();
    api.put_unchecked::<crds::EnrollmentCredential>(json!({
        "apiVersion": crds::API_VERSION, "kind": "EnrollmentCredential",
        "metadata": { "name": "c", "namespace": "a" },
        "spec": {
            "methodRef": { "name": "m" }, "owner": { "user": "ada" }, "est": {},
            "valueFrom": { "secretKeyRef": { "name": "given" } },
        },
    }));
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene.listed().await;
    let (client, mut referenced) = (scene.api.client(), ReferencedSecrets::default());
    let fetch = async |referenced: &mut ReferencedSecrets, world: &World| {
        scene.api.forget_calls();
        let found = referenced.fetch(&client, &scene.watches, world).await.unwrap();
        (found.len(), scene.api.calls().iter().filter(|call| call.path.ends_with("/secrets/given")).count())
    };
    assert_eq!(fetch(&mut referenced, &world).await, (0, 0));

    scene.api.put(&secret("a", "unrelated", json!({})));
    scene.api.put(&secret("a", "given", json!({})));
    let watches = scene.watches.clone();
    scene.until(move |_| watches.secret_version(&name("a/given")).is_some()).await;
    assert_eq!(fetch(&mut referenced, &world).await, (1, 1));
    assert_eq!(fetch(&mut referenced, &world).await, (1, 0));

    // A Secret that cannot be read just now is not one that is gone.
    let before = scene.watches.secret_version(&name("a/given"));
    scene.api.put(&secret("a", "given", json!({ "changed": "yes" })));
    let watches = scene.watches.clone();
    scene.until(move |_| watches.secret_version(&name("a/given")) != before).await;
    scene.api.refuse("GET", "/secrets/given", 500, "InternalError", 1);
    assert_eq!(fetch(&mut referenced, &world).await, (1, 1));
    assert_eq!(fetch(&mut referenced, &world).await, (1, 1));
    assert_eq!(fetch(&mut referenced, &world).await, (1, 0));

    scene.api.delete::<Secret>(Some("a"), "given");
    let watches = scene.watches.clone();
    scene.until(move |_| watches.secret_version(&name("a/given")).is_none()).await;
    assert_eq!(fetch(&mut referenced, &world).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_made_is_known_by_its_metadata() {
    let api = FakeApi::new();
    let ours = json!({ crds::labels::MANAGED_BY: crds::labels::MANAGER, crds::labels::SERVER: "s" });
    api.put(&secret("a", "part", ours.clone()));
    let map = json!({ "metadata": { "name": "map", "namespace": "a", "labels": ours } });
    api.put(&serde_json::from_value::<ConfigMap>(map).unwrap());
    let theirs = json!({ "metadata": { "name": "other", "namespace": "a" } });
    api.put(&serde_json::from_value::<ConfigMap>(theirs).unwrap());
    let scene = Scene::new(api, &Scope::Cluster);
    let world = scene.listed().await;
    assert!(world.secret(&name("a/part")).unwrap().is_ours());
    let maps: Vec<_> = world.owned_of_kind(OwnedKind::ConfigMap).map(|(name, _)| name.to_string()).collect();
    assert_eq!(maps, ["a/map"]);
}

#[tokio::test]
async fn a_list_of_which_a_page_is_missing_is_no_list() {
    let api = FakeApi::new();
    for index in 0..600 {
        api.put_unchecked::<CertificateProfile>(profile(&format!("p{index}")));
    }
    let client = api.client();
    let all = live::uids(&client, &Scope::Cluster, Kind::CertificateProfile).await.unwrap();
    assert_eq!(all.len(), 600);
    api.refuse_query("GET", "certificateprofiles", "continue=", 500, "InternalError", 1);
    assert!(live::uids(&client, &Scope::Cluster, Kind::CertificateProfile).await.is_err());
}
