//! Starting without an API server, and never going back.

use issuance::{
    identity::ResourceName,
    secret::Secret,
    store::{Commit, Expect, Write},
};

use super::{operator::FakeOperator, scene::Scene, scene::Volume};

#[tokio::test]
async fn a_restarted_server_serves_the_last_configuration_without_an_api_server() {
    let mut scene = Scene::new().await;
    scene.publish().await;
    let before = scene.replica.loaded();
    let mut again = scene.volume.start(&scene.operator);
    assert!(!again.is_ready());
    again.configuration.restore().await;
    assert_eq!(again.loaded(), before);
    assert!(again.is_ready());
    let value = scene.operator.values[&ResourceName::new("enrollment", "factory")].clone();
    again.login("factory", &value).await.unwrap();
    // And goes on when the API server is back.
    scene.operator.delete(crds::Kind::EnrollmentCredential, "factory");
    let next = scene.operator.publish().await;
    again.consider(&next.found()).await;
    assert_eq!(again.loaded().generation, 3);
    assert!(again.login("factory", &value).await.is_err());
}

#[tokio::test]
async fn a_manifest_with_lists_is_put_in_force_and_outlives_the_process() {
    let mut scene = Scene::new().await;
    let parts = scene.operator.parts().await;
    let long = scene.operator.publish_declaring(&parts, 1_000);
    let lists = long.secrets.keys().filter(|secret| secret.starts_with("chancery-part-list-"));
    assert_eq!(lists.count(), 16);
    scene.replica.consider(&long.found()).await;
    let before = scene.replica.loaded();
    assert_eq!((before.generation, before.rejected.clone()), (2, None));
    let mut again = scene.volume.start(&scene.operator);
    again.configuration.restore().await;
    assert_eq!(again.loaded(), before);
}

#[tokio::test]
async fn a_restarted_server_does_not_take_an_older_manifest_for_its_first() {
    let mut scene = Scene::new().await;
    let old = scene.published.clone();
    scene.publish().await;
    let mut again = scene.volume.start(&scene.operator);
    again.consider(&old.found()).await;
    let loaded = again.loaded();
    assert_eq!(loaded.generation, 2, "the last good one, from the rows");
    assert!(loaded.rejected.unwrap().contains("older than 2"));
}

#[tokio::test]
async fn a_restarted_server_with_forged_secrets_serves_the_last_configuration() {
    let scene = Scene::new().await;
    let mut stranger = FakeOperator::new();
    let mut again = scene.volume.start(&scene.operator);
    again.consider(&stranger.publish().await.found()).await;
    let loaded = again.loaded();
    assert_eq!(loaded.generation, 1);
    assert!(loaded.rejected.unwrap().contains("not signed"));
    assert!(again.is_ready());
}

#[tokio::test]
async fn the_last_configuration_is_sealed() {
    let scene = Scene::new().await;
    let value = scene.operator.values[&ResourceName::new("enrollment", "factory")].clone();
    let needle = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value.expose());
    let rows = scene.volume.store.all_sealed().await.unwrap();
    let row = rows.iter().find(|row| row.name == "configuration/enrollment/enroll").unwrap();
    for bytes in [&row.sealed, &row.public] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(&needle) && !text.contains("privateKey"), "{text}");
    }
    // With another sealing key nothing can be restored, and nothing is served.
    let other = Volume::on(scene.volume.store.clone());
    let mut again = other.start(&scene.operator);
    again.configuration.restore().await;
    assert!(!again.is_ready());
}

#[tokio::test]
async fn a_resealed_row_is_the_same_configuration() {
    let mut scene = Scene::new().await;
    let row = scene.volume.store.sealed("configuration/enrollment/enroll").await.unwrap().unwrap();
    let secret: Secret = scene.volume.sealing.unseal(&row.name, &row.sealed).unwrap();
    let sealed = scene.volume.sealing.seal(&row.name, &secret).unwrap();
    let expect = vec![Expect::SealedVersion { name: row.name.clone(), version: row.version }];
    let row = issuance::store::SealedRow { sealed, version: row.version + 1, ..row };
    let commit = Commit { expect, writes: vec![Write::PutSealed(Box::new(row))], audit: Vec::new() };
    scene.volume.store.commit(commit).await.unwrap().unwrap();
    scene.publish().await;
}
