//! An API server in memory, and a key that signs.

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
use crds::{EnrollmentCredential, Kind, labels};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use resolve::parts::{Manifest, ManifestIndex, Part, PartContent, PartKind, part_secret_name};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::{ManifestSigner, Order, PublishError, Published, Publisher};
use crate::{
    context::Scope,
    testing::{Call, FakeApi},
    world::{Watches, World},
};

#[derive(Debug)]

pub(super) struct Key(EcdsaKeyPair);

impl Key {
    pub(super) fn new() -> Self {
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

pub(super) struct Scene {
    pub(super) api: FakeApi,
    pub(super) watches: Watches,
    pub(super) wake: Arc<Notify>,
    pub(super) key: Key,
    pub(super) publisher: Publisher,
    pub(super) server: ResourceName,
    pub(super) uid: String,
    pub(super) unreadable: BTreeSet<(PartKind, ResourceName)>,
    pub(super) in_force: u64,
    pub(super) now: u64,
    _stop: DropGuard,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::on(FakeApi::new()).await
    }

    pub(super) async fn on(api: FakeApi) -> Self {
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

    pub(super) async fn until(&self, what: impl Fn(&World) -> bool) -> World {
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

    pub(super) async fn publish(&mut self, parts: &[Part]) -> Result<Arc<Published>, PublishError> {
        let client = self.api.client();
        self.publish_with(&client, parts).await
    }

    pub(super) async fn publish_with(
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
    pub(super) async fn publish_and_see(&mut self, parts: &[Part]) -> Arc<Published> {
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
    pub(super) async fn credential(&self, name: &str) {
        let document = json!({
            "metadata": { "name": name, "namespace": "pki" },
            "spec": { "methodRef": { "name": "m" }, "est": {}, "owner": { "user": "ann" } },
        });
        self.api.put(&serde_json::from_value::<EnrollmentCredential>(document).unwrap());
        let name = ResourceName::new("pki", name);
        self.until(|world| world.of_kind(Kind::EnrollmentCredential).any(|(found, _)| *found == name)).await;
    }

    /// The same, of any kind and whatever it holds.
    pub(super) async fn resource(&self, kind: &str, name: &str, spec: serde_json::Value) {
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

    pub(super) fn manifest(&self) -> Option<(Manifest, bool)> {
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

    pub(super) fn written(&self) -> Vec<String> {
        let name = |call: Call| call.path.rsplit('/').next().unwrap_or_default().to_owned();
        self.api.writes().into_iter().map(name).collect()
    }
}

pub(super) fn authority(name: &str, generation: i64) -> Part {
    let authority = json!({
        "name": format!("pki/{name}"), "certificate": "", "chain": [],
        "crl": { "validity": 7, "renewBefore": 2 }, "deletionPolicy": "Retain",
    });
    let content = PartContent::Authority(serde_json::from_value(authority).unwrap());
    Part { generation: Some(generation), content, key: None, crl: None }
}

pub(super) fn credential(name: &str) -> Part {
    let credential = json!({
        "name": format!("pki/{name}"), "method": "pki/m", "protocol": "est", "username": null, "owner": { "user": "ann" },
        "expiresAt": null, "maximumUses": null, "state": "active", "regeneration": 0, "value": { "given": "aHVudGVyMg==" },
    });
    let content = PartContent::Credential(serde_json::from_value(credential).unwrap());
    Part { generation: Some(1), content, key: None, crl: None }
}

pub(super) fn secret_of(name: &str) -> String {
    part_secret_name(PartKind::Authority, &ResourceName::new("pki", name))
}
