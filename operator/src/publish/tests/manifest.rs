//! When a manifest is written, and which one counts.

use crds::labels;
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::json;

use super::super::{PublishError, Publisher};

use super::scene::{Key, Scene, authority, secret_of};

#[tokio::test(start_paused = true)]
async fn the_manifest_comes_last_and_is_signed() {
    let mut scene = Scene::new().await;
    let published = scene.publish(&[authority("a", 1), authority("b", 1)]).await.unwrap();
    let written = scene.written();
    assert_eq!(written.last().map(String::as_str), Some("chancery-manifest-devices"));
    assert_eq!(written.len(), 3);
    let (manifest, signed) = scene.manifest().unwrap();
    assert!(signed);
    assert_eq!(manifest, published.manifest);
    let part: Secret = scene.api.get(Some("pki"), &secret_of("a")).unwrap();
    assert_eq!(part.type_.as_deref(), Some(labels::PART_TYPE));
    let bytes = &part.data.unwrap()[labels::PART_KEY].0;
    assert_eq!(resolve::parts::sha256_hex(bytes), manifest.parts[&secret_of("a")].sha256);
    assert_eq!(part.metadata.owner_references.unwrap()[0].uid, scene.uid);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_is_not_written_again() {
    let mut scene = Scene::new().await;
    let first = scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    scene.api.forget_calls();
    let again = scene.publish(&[authority("a", 1), authority("b", 1)]).await.unwrap();
    assert_eq!(scene.api.calls(), []);
    assert_eq!(again, first);

    let changed = scene.publish(&[authority("a", 2), authority("b", 1)]).await.unwrap();
    assert_eq!(scene.written(), [secret_of("a"), "chancery-manifest-devices".to_owned()]);
    assert!(changed.generation() > first.generation());
}

#[tokio::test(start_paused = true)]
async fn another_leader_writes_nothing_where_nothing_changed() {
    let mut scene = Scene::new().await;
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    scene.publisher = Publisher::default();
    scene.api.forget_calls();
    let again = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!(scene.written(), Vec::<String>::new());
    assert_eq!(again.generation(), first.generation());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_operator_did_not_make_is_never_overwritten() {
    let theirs = Secret {
        metadata: serde_json::from_value(json!({ "name": secret_of("a"), "namespace": "pki" })).unwrap(),
        data: Some([("theirs".to_owned(), ByteString(b"precious".to_vec()))].into()),
        ..Secret::default()
    };
    for name in [secret_of("a"), "chancery-manifest-devices".to_owned()] {
        let mut scene = Scene::new().await;
        let mut theirs = theirs.clone();
        theirs.metadata.name = Some(name.clone());
        let before = scene.api.put(&theirs);
        let error = scene.publish(&[authority("a", 1)]).await.unwrap_err();
        assert!(matches!(error, PublishError::Foreign(secret) if secret.name() == name));
        assert_eq!(scene.api.get::<Secret>(Some("pki"), &name), Some(before));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_written_holds_the_manifest_back() {
    let mut scene = Scene::new().await;
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    scene.api.refuse("PATCH", &secret_of("b"), 503, "ServiceUnavailable", 1);
    let error = scene.publish(&[authority("a", 2), authority("b", 1)]).await.unwrap_err();
    assert!(matches!(error, PublishError::Api { .. }));
    assert_eq!(scene.manifest().unwrap().0, first.manifest);
    let second = scene.publish(&[authority("a", 2), authority("b", 1)]).await.unwrap();
    assert_eq!(scene.manifest().unwrap().0, second.manifest);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_or_removed_is_written_anew() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let good: Secret = scene.api.get(Some("pki"), &secret_of("a")).unwrap();
    let mut bad = good.clone();
    bad.data.as_mut().unwrap().insert(labels::PART_KEY.to_owned(), ByteString(b"forged".to_vec()));
    scene.api.put(&bad);
    scene.api.delete::<Secret>(Some("pki"), &secret_of("b"));
    let watches = scene.watches.clone();
    let gone = ResourceName::new("pki", secret_of("b"));
    scene.until(move |_| watches.secret_version(&gone).is_none()).await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    assert_eq!(scene.api.get::<Secret>(Some("pki"), &secret_of("a")).unwrap().data, good.data);
    assert!(scene.api.get::<Secret>(Some("pki"), &secret_of("b")).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_older_manifest_that_somebody_put_back_is_replaced() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    let old: Secret = scene.api.get(Some("pki"), "chancery-manifest-devices").unwrap();
    let new = scene.publish_and_see(&[authority("a", 2)]).await;
    let version = ResourceName::new("pki", "chancery-manifest-devices");
    let put_back = scene.api.put(&old).metadata.resource_version;
    let watches = scene.watches.clone();
    scene.until(move |_| watches.secret_version(&version) == put_back).await;
    let again = scene.publish_and_see(&[authority("a", 2)]).await;
    assert_eq!(scene.manifest().unwrap(), (again.manifest.clone(), true));
    assert!(again.generation() > new.generation() && again.manifest.lists_the_same(&new.manifest));

    // A leader that knows only what was put back: what replicas have in force counts.
    scene.api.put(&old);
    scene.publisher = Publisher::default();
    scene.in_force = again.generation();
    let after = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert!(after.generation() > again.generation());
}

#[tokio::test(start_paused = true)]
async fn what_two_leaders_publish_at_one_time_never_has_the_same_generation() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    // Another leads for a while, and this one has not seen yet what it wrote.
    let mut other = Publisher::default();
    std::mem::swap(&mut scene.publisher, &mut other);
    let theirs = scene.publish(&[authority("a", 2)]).await.unwrap();
    std::mem::swap(&mut scene.publisher, &mut other);
    // What it knows only from a watch that lags is not overwritten; then it looks, and goes above.
    let error = scene.publish(&[authority("a", 3)]).await.unwrap_err();
    assert!(matches!(error, PublishError::Changed(_)), "{error}");
    assert_eq!(scene.manifest().unwrap().0, theirs.manifest);
    let ours = scene.publish_and_see(&[authority("a", 3)]).await;
    assert!(ours.generation() > theirs.generation(), "{} {}", ours.generation(), theirs.generation());
    assert_eq!(scene.manifest().unwrap(), (ours.manifest.clone(), true));
    // The other, whose watch says that somebody else has written, looks first.
    std::mem::swap(&mut scene.publisher, &mut other);
    let again = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert!(again.generation() > ours.generation());
    assert_eq!(scene.manifest().unwrap(), (again.manifest.clone(), true));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_another_leader_writes_in_between_is_not_overwritten() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    // The other writes its manifest while this one writes its parts.
    let (api, inner) = (scene.api.clone(), scene.api.client());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (api, inner) = (api.clone(), inner.clone());
        async move {
            if request.method() == "PATCH" && request.uri().path().ends_with(&secret_of("b")) {
                let mut manifest: Secret = api.get(Some("pki"), "chancery-manifest-devices").unwrap();
                let data = manifest.data.as_mut().unwrap();
                data.insert(labels::SIGNATURE_KEY.to_owned(), ByteString(b"theirs".to_vec()));
                api.put(&manifest);
            }
            inner.send(request).await
        }
    });
    let (parts, client) = ([authority("a", 1), authority("b", 1)], kube::Client::new(service, "pki"));
    let error = scene.publish_with(&client, &parts).await.unwrap_err();
    assert!(matches!(error, PublishError::Changed(_)), "{error}");
    assert!(!scene.manifest().unwrap().1, "it was overwritten");
    scene.publish(&parts).await.unwrap();
    assert!(scene.manifest().unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_another_key_signed_says_nothing() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    scene.key = Key::new();
    scene.publisher = Publisher::default();
    scene.now = 1_000_000;
    let published = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!(published.generation(), 1_000_000);
    assert!(scene.manifest().unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_no_secret_can_hold_takes_out_itself_alone() {
    let mut scene = Scene::new().await;
    let mut large = authority("large", 1);
    large.crl = Some(vec![0; 2_000_000]);
    let published = scene.publish(&[authority("a", 1), large]).await.unwrap();
    assert_eq!(published.parts().keys().collect::<Vec<_>>(), [&secret_of("a")]);
    assert!(published.left_out.contains_key(&secret_of("large")));
}
