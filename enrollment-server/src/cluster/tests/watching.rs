//! Secrets that come, change and go, and an API server that is not always there.

use std::collections::BTreeSet;

use super::{
    super::watch::SecretWatch,
    api::{FakeApi, unreadable},
    operator::{FakeOperator, Publication, server},
    scene::{Replica, Volume, soon},
};

fn watch(api: &FakeApi) -> SecretWatch {
    SecretWatch::start(&api.client(), server().namespace(), server().name())
}

/// Waits until exactly this is what the watch has found.
async fn finds(watch: &mut SecretWatch, published: &Publication) {
    soon(async {
        loop {
            watch.changed().await;
            let Some(found) = watch.found() else { continue };
            let names: BTreeSet<_> = found.parts.keys().collect();
            if found.manifest.as_ref() == Some(&published.signed)
                && names == published.secrets.keys().collect()
            {
                let same = |(name, json): (&String, &Vec<u8>)| found.parts[name] == json;
                assert!(published.secrets.iter().all(same));
                return;
            }
        }
    })
    .await;
}

/// Waits until the server has this generation in force.
async fn serves(replica: &mut Replica, watch: &mut SecretWatch, generation: u64) {
    soon(async {
        while replica.loaded().generation != generation {
            replica.configuration.next(watch).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_there_and_what_changes_is_found() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let first = operator.publish().await;
    api.put(&first);
    let mut watch = watch(&api);
    finds(&mut watch, &first).await;
    operator.delete(crds::Kind::EnrollmentCredential, "factory");
    let second = operator.publish().await;
    assert!(second.secrets.len() < first.secrets.len());
    api.put(&second);
    finds(&mut watch, &second).await;
}

#[tokio::test]
async fn many_parts_are_read_in_pages() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    for number in 0..1200 {
        operator.apply(&format!(
            "{{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentCredential, metadata: {{name: c{number}, namespace: enrollment}}, spec: {{methodRef: {{name: devices}}, est: {{username: u{number}}}, owner: {{user: ann}}}}}}"
        ));
    }
    let published = operator.publish().await;
    api.put(&published);
    let mut watch = watch(&api);
    finds(&mut watch, &published).await;
    assert_eq!(api.lists(), 3 + 1, "pages of 500, and the manifest");
}

#[tokio::test]
async fn an_api_server_that_was_away_is_asked_again() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let first = operator.publish().await;
    api.put(&first);
    let mut watch = watch(&api);
    finds(&mut watch, &first).await;
    api.down(true);
    operator.apply(
        "{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentCredential, metadata: {name: more, namespace: enrollment}, spec: {methodRef: {name: devices}, est: {username: more}, owner: {user: ann}}}",
    );
    let second = operator.publish().await;
    api.put(&second);
    assert_eq!(watch.found().unwrap().manifest, Some(first.signed.clone()), "what was read stays");
    api.down(false);
    finds(&mut watch, &second).await;
}

#[tokio::test]
async fn a_secret_without_a_part_is_no_part() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let published = operator.publish().await;
    api.put(&published);
    api.write(unreadable("chancery-part-none"));
    let mut watch = watch(&api);
    finds(&mut watch, &published).await;
}

#[tokio::test]
async fn a_server_follows_what_is_published() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let mut replica = Volume::new().start(&operator);
    let mut watch = watch(&api);
    api.put(&operator.publish().await);
    serves(&mut replica, &mut watch, 1).await;
    api.put(&operator.publish().await);
    serves(&mut replica, &mut watch, 2).await;
    assert!(replica.is_ready());
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_the_last_configuration_is_taken_and_the_next_once_it_is_back() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let volume = Volume::new();
    let mut before = volume.start(&operator);
    before.consider(&operator.publish().await.found()).await;
    api.down(true);
    let mut replica = volume.start(&operator);
    let mut watch = watch(&api);
    serves(&mut replica, &mut watch, 1).await;
    let next = operator.publish().await;
    api.put(&next);
    api.down(false);
    serves(&mut replica, &mut watch, 2).await;
}
