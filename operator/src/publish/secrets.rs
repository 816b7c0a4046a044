//! What is written.

use std::collections::BTreeMap;

use crds::labels;
use issuance::identity::ResourceName;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use resolve::parts::PartEntry;

use super::publisher::Order;

/// The Secret of one part.
pub(super) fn part(order: &Order<'_>, secret: &str, entry: &PartEntry, json: Vec<u8>) -> Secret {
    let mut meta = meta(order, secret);
    let labels = meta.labels.get_or_insert_default();
    labels.insert(labels::PART.to_owned(), entry.kind.as_str().to_owned());
    if let Some(uid) = order.uids.get(&(entry.kind, entry.name.clone())) {
        labels.insert(labels::OWNER_UID.to_owned(), uid.clone());
    }
    meta.annotations = Some(BTreeMap::from([(labels::FOR.to_owned(), entry.name.to_string())]));
    whole(meta, labels::PART_TYPE, [(labels::PART_KEY, json)])
}

/// The Secret of a list of the manifest.
pub(super) fn list(order: &Order<'_>, secret: &str, json: Vec<u8>) -> Secret {
    let mut meta = meta(order, secret);
    let labels = meta.labels.get_or_insert_default();
    labels.insert(labels::PART.to_owned(), labels::PART_LIST.to_owned());
    labels.insert(labels::OWNER_UID.to_owned(), order.uid.to_owned());
    whole(meta, labels::PART_TYPE, [(labels::PART_KEY, json)])
}

/// The Secret of the manifest.
pub(super) fn manifest(order: &Order<'_>, json: Vec<u8>, signature: Vec<u8>) -> Secret {
    let mut meta = meta(order, &labels::manifest_secret_name(order.server.name()));
    let labels = meta.labels.get_or_insert_default();
    labels.insert(labels::OWNER_UID.to_owned(), order.uid.to_owned());
    whole(meta, labels::MANIFEST_TYPE, [(labels::MANIFEST_KEY, json), (labels::SIGNATURE_KEY, signature)])
}

/// Whether the operator made it, for this server.
pub(super) fn is_ours(meta: &ObjectMeta, server: &ResourceName) -> bool {
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label(labels::MANAGED_BY) == Some(labels::MANAGER) && label(labels::SERVER) == Some(server.name())
}

/// Owned by the server, which is in the same namespace: they go when it goes.
fn meta(order: &Order<'_>, name: &str) -> ObjectMeta {
    let labels = [
        (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
        (labels::SERVER.to_owned(), order.server.name().to_owned()),
    ];
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(order.server.namespace().to_owned()),
        labels: Some(labels.into()),
        owner_references: Some(vec![OwnerReference {
            api_version: crds::API_VERSION.to_owned(),
            kind: crds::Kind::EnrollmentServer.to_string(),
            name: order.server.name().to_owned(),
            uid: order.uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

fn whole<const N: usize>(metadata: ObjectMeta, type_: &str, data: [(&str, Vec<u8>); N]) -> Secret {
    let data = data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect();
    Secret { metadata, type_: Some(type_.to_owned()), data: Some(data), ..Secret::default() }
}
