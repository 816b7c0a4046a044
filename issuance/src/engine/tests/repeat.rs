//! The same request again, one after the other and at once.

use std::sync::Arc;

use super::refused;
use crate::{
    Issued,
    audit::Actor,
    engine::{Repeat, request_key},
    error::Rule,
    policy::{Permission, Profile},
    revocation::Revocation,
    store::memory::MemoryStore,
    testing::{HookedStore, Request, Scene, issued, policy, policy_with, request},
};

async fn same(scene: &Scene, request: &Request) -> Issued {
    issued(scene.ask_as(request, b"transaction", Repeat::Same).await)
}

#[tokio::test]
async fn another_means_another_certificate() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    assert_ne!(scene.issue(&request).await.serial, scene.issue(&request).await.serial);
    assert_eq!(scene.certificates().await.len(), 2);
}

#[tokio::test]
async fn same_means_the_same_certificate_and_one_use() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    let first = same(&scene, &request).await;
    let second = same(&scene, &request).await;
    assert_eq!(first.certificate, second.certificate);
    assert_eq!(second.authority.unwrap().key_id(), scene.authority.key_id());
    assert_eq!(scene.certificates().await.len(), 1);
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 1);
    let row = scene.row(&first).await;
    assert!(row.request.is_some());
}

#[tokio::test]
async fn same_stays_the_same_after_a_revocation_and_with_keys_that_are_new_each_time() {
    let scene = Scene::new(&policy_with(|policy| policy.keys.reuse = Permission::Refused)).await;
    let request = request();
    let first = same(&scene, &request).await;
    scene
        .engine
        .revoke(scene.authority.key_id(), &first.serial, Revocation::Hold, Actor::Server)
        .await
        .unwrap();
    assert_eq!(same(&scene, &request).await.certificate, first.certificate);
}

#[tokio::test]
async fn the_same_key_with_other_content_is_refused() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    let first = same(&scene, &request).await;
    let other = request.clone().common_name("device-2");
    let refusal = refused(scene.ask_as(&other, b"transaction", Repeat::Same).await, Rule::Idempotency);
    assert!(refusal.sentence().starts_with("idempotency: "));
    assert_eq!(same(&scene, &request).await.certificate, first.certificate);
    assert_eq!(scene.certificates().await.len(), 1);
}

#[tokio::test]
async fn another_key_is_another_request() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    let first = same(&scene, &request).await;
    let second = issued(scene.ask_as(&request, b"transaction-2", Repeat::Same).await);
    assert_ne!(first.serial, second.serial);
}

#[tokio::test]
async fn a_refused_request_is_judged_anew_each_time() {
    let scene = Scene::new(&policy()).await;
    let bad = request().dns("evil.org");
    refused(scene.ask_as(&bad, b"transaction", Repeat::Same).await, Rule::SubjectAltNames);
    refused(scene.ask_as(&bad, b"transaction", Repeat::Same).await, Rule::SubjectAltNames);
    same(&scene, &request()).await;
}

async fn two_at_once_get_one(policy: &Profile) {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), policy).await;
    let request = request();
    store.meet(2);
    let (one, other) = tokio::join!(same(&scene, &request), same(&scene, &request));
    assert_eq!(one.certificate, other.certificate);
    assert_eq!(scene.certificates().await.len(), 1);
    let log = store.log();
    let conflicts = log.lock().unwrap().iter().filter(|line| line.starts_with("conflict")).count();
    assert_eq!(conflicts, 1, "they did not meet: {log:?}");
}

#[tokio::test]
async fn two_of_the_same_at_once_get_one_certificate() {
    two_at_once_get_one(&policy()).await;
}

#[tokio::test]
async fn two_of_the_same_at_once_get_one_certificate_where_keys_are_new_each_time() {
    two_at_once_get_one(&policy_with(|policy| policy.keys.reuse = Permission::Refused)).await;
}

#[test]
fn request_keys_know_where_one_part_ends() {
    assert_eq!(request_key(&[b"ab", b"c"]), request_key(&[b"ab", b"c"]));
    let keys = [
        request_key(&[b"ab", b"c"]),
        request_key(&[b"a", b"bc"]),
        request_key(&[b"abc"]),
        request_key(&[b"abc", b""]),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key));
    }
}
