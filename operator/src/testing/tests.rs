//! The API in memory does what tests take it for.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::watcher,
};
use serde_json::json;

use super::FakeApi;

fn config_map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    let data: serde_json::Map<_, _> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "a" }, "data": data })).unwrap()
}

fn applied(data: serde_json::Value) -> Patch<serde_json::Value> {
    Patch::Apply(
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" }, "data": data }),
    )
}

#[tokio::test]
async fn a_stale_replacement_is_a_conflict() {
    let fake = FakeApi::new();
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "a");
    let first = api.create(&PostParams::default(), &config_map("m", &[("k", "1")])).await.unwrap();
    let mut changed = first.clone();
    changed.data.as_mut().unwrap().insert("k".to_owned(), "2".to_owned());
    api.replace("m", &PostParams::default(), &changed).await.unwrap();
    let error = api.replace("m", &PostParams::default(), &first).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409));
}

#[tokio::test]
async fn apply_owns_its_fields_and_drops_what_it_no_longer_wants() {
    let fake = FakeApi::new();
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "a");
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    api.patch("m", &one, &applied(json!({ "x": "1", "y": "1" }))).await.unwrap();
    api.patch("m", &two, &applied(json!({ "z": "2" }))).await.unwrap();
    let error = api.patch("m", &two, &applied(json!({ "x": "2", "z": "2" }))).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409));
    let after = api.patch("m", &one, &applied(json!({ "x": "1" }))).await.unwrap();
    let again = api.patch("m", &one, &applied(json!({ "x": "1" }))).await.unwrap();
    assert_eq!(after.data.unwrap().into_keys().collect::<Vec<_>>(), ["x", "z"]);
    assert_eq!(after.metadata.resource_version, again.metadata.resource_version);
    let forced = api.patch("m", &two.clone().force(), &applied(json!({ "x": "2" }))).await.unwrap();
    assert_eq!(forced.data.unwrap()["x"], "2");
}

#[tokio::test]
async fn lists_come_in_pages_and_by_label() {
    let fake = FakeApi::new();
    for index in 0..5 {
        let mut secret = Secret::default();
        secret.metadata.name = Some(format!("s{index}"));
        secret.metadata.namespace = Some("a".to_owned());
        secret.metadata.labels = Some([("even".to_owned(), (index % 2 == 0).to_string())].into());
        fake.put(&secret);
    }
    let api: Api<Secret> = Api::all(fake.client());
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.items.len(), 2);
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().limit(9).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.len(), 3);
    assert_eq!(api.list_metadata(&ListParams::default().labels("even=true")).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn a_deletion_is_held_to_its_preconditions() {
    let fake = FakeApi::new();
    let stored = fake.put(&config_map("m", &[]));
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "a");
    let wrong = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    assert!(api.delete("m", &DeleteParams::default().preconditions(wrong)).await.is_err());
    let right = Preconditions { uid: stored.metadata.uid, resource_version: None };
    api.delete("m", &DeleteParams::default().preconditions(right)).await.unwrap();
    assert!(fake.get::<ConfigMap>(Some("a"), "m").is_none());
}

#[tokio::test]
async fn a_watch_tells_of_changes_and_begins_anew_when_it_is_too_old() {
    let fake = FakeApi::new();
    fake.put(&config_map("m", &[]));
    let api: Api<ConfigMap> = Api::all(fake.client());
    let mut events = watcher(api, watcher::Config::default()).boxed();
    let mut next = async || events.next().await.unwrap();
    assert!(matches!(next().await, Ok(watcher::Event::Init)));
    assert!(matches!(next().await, Ok(watcher::Event::InitApply(_))));
    assert!(matches!(next().await, Ok(watcher::Event::InitDone)));
    fake.put(&config_map("n", &[]));
    assert!(matches!(next().await, Ok(watcher::Event::Apply(_))));
    fake.delete::<ConfigMap>(Some("a"), "n");
    assert!(matches!(next().await, Ok(watcher::Event::Delete(_))));
    fake.expire_watches();
    assert!(next().await.is_err());
    assert!(matches!(next().await, Ok(watcher::Event::Init)));
    assert!(matches!(next().await, Ok(watcher::Event::InitApply(_))));
    assert!(matches!(next().await, Ok(watcher::Event::InitDone)));
}

#[tokio::test]
async fn what_only_a_deleted_object_owned_goes_with_it_in_its_namespace_only() {
    let fake = FakeApi::new();
    let owner = fake.put(&config_map("owner", &[]));
    for namespace in ["a", "b"] {
        let mut owned = config_map("owned", &[]);
        owned.metadata.namespace = Some(namespace.to_owned());
        owned.metadata.owner_references =
            Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
                uid: owner.metadata.uid.clone().unwrap(),
                ..Default::default()
            }]);
        fake.put(&owned);
    }
    fake.delete::<ConfigMap>(Some("a"), "owner");
    assert!(fake.get::<ConfigMap>(Some("a"), "owned").is_none());
}

#[tokio::test]
async fn a_server_that_is_down_answers_nothing() {
    let fake = FakeApi::new();
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "a");
    fake.stop();
    assert!(matches!(api.get("m").await, Err(kube::Error::Service(_))));
    fake.start();
    assert!(api.get_opt("m").await.unwrap().is_none());
    fake.refuse("GET", "configmaps", 503, "ServiceUnavailable", 1);
    assert!(api.get_opt("m").await.is_err());
    assert!(api.get_opt("m").await.is_ok());
    assert_eq!(fake.writes(), []);
}

#[tokio::test]
async fn conditions_are_merged_by_type_and_each_is_its_managers() {
    let fake = FakeApi::new();
    let api: Api<crds::CertificateProfile> = Api::namespaced(fake.client(), "a");
    fake.put_unchecked::<crds::CertificateProfile>(json!({
        "apiVersion": "chancery.dev/v1alpha1", "kind": "CertificateProfile",
        "metadata": { "name": "p", "namespace": "a" },
        "spec": { "authorityRef": { "name": "x" }, "preset": "Device" },
    }));
    let condition = |type_: &str, status: &str| {
        json!({
            "type": type_, "status": status, "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let apply = async |manager: &str, conditions: Vec<serde_json::Value>| {
        let patch = json!({
            "apiVersion": "chancery.dev/v1alpha1", "kind": "CertificateProfile",
            "metadata": { "name": "p" }, "status": { "conditions": conditions },
        });
        let manager = PatchParams::apply(manager).force();
        let found = api.patch_status("p", &manager, &Patch::Apply(&patch)).await.unwrap();
        let conditions = found.status.map(|status| status.conditions).unwrap_or_default();
        conditions.into_iter().map(|found| (found.type_, found.status)).collect::<Vec<_>>()
    };
    let pair = |type_: &str, status: &str| (type_.to_owned(), status.to_owned());
    apply("approver", vec![condition("Approved", "True")]).await;
    let both = apply("signer", vec![condition("Ready", "False"), condition("Seen", "True")]).await;
    assert_eq!(both, [pair("Approved", "True"), pair("Ready", "False"), pair("Seen", "True")]);
    let fewer = apply("signer", vec![condition("Ready", "True")]).await;
    assert_eq!(fewer, [pair("Approved", "True"), pair("Ready", "True")]);
}
