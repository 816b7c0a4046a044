//! Publishing against the API in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use crds::{CertificateAuthority, EnrollmentCredential, Kind, labels};
use issuance::identity::ResourceName;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use resolve::parts::{Manifest, ManifestIndex, Part, PartContent, PartKind, part_secret_name};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ManifestSigner, Order, PublishError, Published, Publisher};
use crate::{
    context::Scope,
    testing::{Call, FakeApi},
    world::{Watches, World},
};

#[derive(Debug)]
struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }
}

impl ManifestSigner for Key {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, String> {
        let signature = self.0.sign(&SystemRandom::new(), manifest).map_err(|_| "no".to_owned())?;
        Ok(signature.as_ref().to_vec())
    }

    fn is_signed(&self, manifest: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0.public_key().as_ref());
        key.verify(manifest, signature).is_ok()
    }
}

struct Scene {
    api: FakeApi,
    watches: Watches,
    wake: Arc<Notify>,
    key: Key,
    publisher: Publisher,
    server: ResourceName,
    uid: String,
    unreadable: BTreeSet<(PartKind, ResourceName)>,
    in_force: u64,
    now: u64,
    _stop: DropGuard,
}

impl Scene {
    async fn new() -> Self {
        Self::on(FakeApi::new()).await
    }

    async fn on(api: FakeApi) -> Self {
        // Something must have the UID of the server: what nobody owns is removed.
        let owner = json!({ "metadata": { "name": "devices", "namespace": "pki" } });
        let owner = api.put(&serde_json::from_value::<ConfigMap>(owner).unwrap());
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let watches = Watches::start(&api.client(), &Scope::Cluster, wake.clone(), &stop);
        let scene = Self {
            api,
            watches,
            wake,
            key: Key::new(),
            publisher: Publisher::default(),
            server: ResourceName::new("pki", "devices"),
            uid: owner.metadata.uid.unwrap(),
            unreadable: BTreeSet::new(),
            in_force: 0,
            now: 1,
            _stop: stop.drop_guard(),
        };
        let watches = scene.watches.clone();
        scene.until(move |_| watches.outstanding().is_empty()).await;
        scene
    }

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

    async fn publish(&mut self, parts: &[Part]) -> Result<Arc<Published>, PublishError> {
        let client = self.api.client();
        self.publish_with(&client, parts).await
    }

    async fn publish_with(
        &mut self,
        client: &kube::Client,
        parts: &[Part],
    ) -> Result<Arc<Published>, PublishError> {
        let order = Order {
            server: &self.server,
            uid: &self.uid,
            parts: parts.to_vec(),
            uids: BTreeMap::new(),
            unreadable: self.unreadable.clone(),
            in_force: self.in_force,
            now: self.now,
        };
        let world = self.watches.snapshot();
        self.publisher.publish(client, &world, &self.key, order).await
    }

    /// Publishes, and waits until the watch has seen it.
    async fn publish_and_see(&mut self, parts: &[Part]) -> Arc<Published> {
        let published = self.publish(parts).await.unwrap();
        let versions: BTreeMap<ResourceName, Option<String>> = self
            .api
            .all::<Secret>()
            .into_iter()
            .map(|secret| (resolve::resource_name(&secret.metadata), secret.metadata.resource_version))
            .collect();
        let watches = self.watches.clone();
        self.until(move |_| versions.iter().all(|(name, version)| watches.secret_version(name) == *version))
            .await;
        published
    }

    /// A resource, as the watch sees it.
    async fn credential(&self, name: &str) {
        let document = json!({
            "metadata": { "name": name, "namespace": "pki" },
            "spec": { "methodRef": { "name": "m" }, "est": {}, "owner": { "user": "ann" } },
        });
        self.api.put(&serde_json::from_value::<EnrollmentCredential>(document).unwrap());
        let name = ResourceName::new("pki", name);
        self.until(|world| world.of_kind(Kind::EnrollmentCredential).any(|(found, _)| *found == name)).await;
    }

    /// The same, of any kind and whatever it holds.
    async fn resource(&self, kind: &str, name: &str, spec: serde_json::Value) {
        let kind: Kind = kind.parse().unwrap();
        let document = json!({
            "apiVersion": crds::API_VERSION, "kind": kind.to_string(),
            "metadata": { "name": name, "namespace": "pki" },
            "spec": spec,
        });
        self.api.put_dynamic(&crate::world::api_resource(kind), document);
        let name = ResourceName::new("pki", name);
        self.until(|world| world.get(kind, &name).is_some()).await;
    }

    fn manifest(&self) -> Option<(Manifest, bool)> {
        let secret: Secret = self.api.get(Some("pki"), "chancery-manifest-devices")?;
        let data = secret.data?;
        let (json, signature) = (&data[labels::MANIFEST_KEY].0, &data[labels::SIGNATURE_KEY].0);
        let all: BTreeMap<String, Vec<u8>> = self
            .api
            .all::<Secret>()
            .into_iter()
            .filter_map(|secret| Some((secret.metadata.name?, secret.data?.remove(labels::PART_KEY)?.0)))
            .collect();
        let index = ManifestIndex::from_json(json).unwrap();
        let manifest = index.complete(|list| all.get(list).map(Vec::as_slice)).unwrap();
        Some((manifest, self.key.is_signed(json, signature)))
    }

    fn written(&self) -> Vec<String> {
        let name = |call: Call| call.path.rsplit('/').next().unwrap_or_default().to_owned();
        self.api.writes().into_iter().map(name).collect()
    }
}

fn authority(name: &str, generation: i64) -> Part {
    let authority = json!({
        "name": format!("pki/{name}"), "certificate": "", "chain": [],
        "crl": { "validity": 7, "renewBefore": 2 }, "deletionPolicy": "Retain",
    });
    let content = PartContent::Authority(serde_json::from_value(authority).unwrap());
    Part { generation: Some(generation), content, key: None, crl: None }
}

fn credential(name: &str) -> Part {
    let credential = json!({
        "name": format!("pki/{name}"), "method": "pki/m", "protocol": "est", "username": null, "owner": { "user": "ann" },
        "expiresAt": null, "maximumUses": null, "state": "active", "regeneration": 0, "value": { "given": "aHVudGVyMg==" },
    });
    let content = PartContent::Credential(serde_json::from_value(credential).unwrap());
    Part { generation: Some(1), content, key: None, crl: None }
}

fn secret_of(name: &str) -> String {
    part_secret_name(PartKind::Authority, &ResourceName::new("pki", name))
}

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

#[tokio::test(start_paused = true)]
async fn parts_that_are_no_longer_listed_are_removed_and_nothing_else() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let other = json!({
        "metadata": {
            "name": "of-another", "namespace": "pki",
            "labels": { labels::MANAGED_BY: labels::MANAGER, labels::SERVER: "other", labels::PART: "authority" },
        },
    });
    let unlabelled = json!({ "metadata": { "name": "theirs", "namespace": "pki", "labels": { labels::SERVER: "devices" } } });
    for document in [other, unlabelled] {
        scene.api.put(&serde_json::from_value::<Secret>(document).unwrap());
    }
    let published = scene.publish_and_see(&[authority("a", 1)]).await;
    let world = scene.watches.snapshot();
    let removed = scene.publisher.sweep(&scene.api.client(), &world, &published).await.unwrap();
    assert_eq!(removed, 1);
    let left: BTreeSet<String> =
        scene.api.all::<Secret>().into_iter().filter_map(|secret| secret.metadata.name).collect();
    let kept = [secret_of("a"), "chancery-manifest-devices".into(), "of-another".into(), "theirs".into()];
    assert_eq!(left, BTreeSet::from(kept));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_many_parts_has_lists_that_come_and_go_with_it() {
    let mut scene = Scene::new().await;
    let mut parts: Vec<Part> = (0..1_001).map(|number| authority(&format!("a{number}"), 1)).collect();
    let first = scene.publish_and_see(&parts).await;
    assert_eq!(first.lists.len(), 16);
    assert_eq!(scene.manifest().unwrap(), (first.manifest.clone(), true));

    // Another leader reads it as it is.
    scene.publisher = Publisher::default();
    scene.api.forget_calls();
    let again = scene.publish(&parts).await.unwrap();
    assert_eq!((scene.written(), again.generation()), (Vec::<String>::new(), first.generation()));

    parts[7] = authority("a7", 2);
    let second = scene.publish_and_see(&parts).await;
    let fresh: Vec<&String> = second.lists.difference(&first.lists).collect();
    assert_eq!(fresh.len(), 1);
    let expected = [secret_of("a7"), fresh[0].clone(), "chancery-manifest-devices".to_owned()];
    assert_eq!(scene.written(), expected);
    let world = scene.watches.snapshot();
    assert_eq!(scene.publisher.sweep(&scene.api.client(), &world, &second).await.unwrap(), 1);
    assert_eq!(
        scene.manifest().unwrap(),
        (second.manifest.clone(), true),
        "a list that is needed was removed"
    );
}

#[tokio::test(start_paused = true)]
async fn only_credentials_that_the_server_may_know_are_declared() {
    let mut scene = Scene::new().await;
    for name in ["served", "strange"] {
        scene.credential(name).await;
    }
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    assert_eq!(first.manifest.declared, BTreeSet::new(), "a new server has no rows");
    scene.publish_and_see(&[authority("a", 1), credential("served")]).await;
    for _ in 0..2 {
        let without = scene.publish_and_see(&[authority("a", 1)]).await;
        assert_eq!(without.manifest.declared, [ResourceName::new("pki", "served")].into());
        // Another leader knows as much.
        scene.publisher = Publisher::default();
    }

    // Where nobody can say any more what the server knew, nothing is taken for deleted.
    scene.api.delete::<Secret>(Some("pki"), "chancery-manifest-devices");
    scene.publisher = Publisher::default();
    let lost = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!(lost.manifest.declared.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_before_all_secrets_were_listed() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let published = scene.publish_and_see(&[authority("a", 1)]).await;
    let client = scene.api.client();
    let incomplete = World::default();
    assert_eq!(scene.publisher.sweep(&client, &incomplete, &published).await.unwrap(), 0);
    assert!(scene.api.get::<Secret>(Some("pki"), &secret_of("b")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_served_of_a_resource_that_cannot_be_read_any_more_stays_and_the_rest_is_published() {
    let mut scene = Scene::new().await;
    scene.resource("CertificateAuthority", "b", json!({ "odd": true })).await;
    let first = scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "b"))]);
    for leader in 0..2 {
        let published = scene.publish_and_see(&[authority("a", 2)]).await;
        assert!(published.generation() > first.generation(), "leader {leader}");
        assert_ne!(published.parts()[&secret_of("a")], first.parts()[&secret_of("a")]);
        assert_eq!(published.parts()[&secret_of("b")], first.parts()[&secret_of("b")]);
        assert_eq!(published.left_out, BTreeMap::new());
        let world = scene.watches.snapshot();
        assert_eq!(scene.publisher.sweep(&scene.api.client(), &world, &published).await.unwrap(), 0);
        // Another leader finds as much out, with nothing but what is there.
        scene.publisher = Publisher::default();
    }
    // Nothing is written, nor read again, while it stays so.
    scene.publish_and_see(&[authority("a", 2)]).await;
    scene.api.forget_calls();
    scene.publish(&[authority("a", 2)]).await.unwrap();
    assert_eq!(scene.api.calls(), []);
    // One that is deleted is not kept.
    scene.api.delete::<CertificateAuthority>(Some("pki"), "b");
    let b = ResourceName::new("pki", "b");
    scene.until(|world| world.get(Kind::CertificateAuthority, &b).is_none()).await;
    scene.unreadable.clear();
    let without = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert!(!without.parts().contains_key(&secret_of("b")));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_and_whose_part_was_forged_is_left_out_and_told_of() {
    let mut scene = Scene::new().await;
    scene.resource("CertificateAuthority", "b", json!({ "odd": true })).await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let mut forged: Secret = scene.api.get(Some("pki"), &secret_of("b")).unwrap();
    let other = ByteString(authority("b", 7).to_json().unwrap());
    forged.data.as_mut().unwrap().insert(labels::PART_KEY.to_owned(), other);
    scene.api.put(&forged);
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "b"))]);
    let published = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert!(!published.parts().contains_key(&secret_of("b")));
    assert!(published.left_out[&secret_of("b")].contains("cannot be read any more"));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_served_and_cannot_be_read_holds_nothing_up() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "c"))]);
    let published = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert_eq!(published.parts().keys().collect::<Vec<_>>(), [&secret_of("a")]);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_others_that_go_away_change_nothing() {
    let mut scene = Scene::new().await;
    scene.credential("strange").await;
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    scene.api.delete::<EnrollmentCredential>(Some("pki"), "strange");
    scene.until(|world| world.of_kind(Kind::EnrollmentCredential).next().is_none()).await;
    scene.api.forget_calls();
    let again = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!((scene.written(), again.generation()), (Vec::<String>::new(), first.generation()));
}
