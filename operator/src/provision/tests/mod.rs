//! Keys, identities and values against the API in memory.

mod authorities;
mod credentials;
mod identities;
mod lists;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use crds::Resource;
use issuance::{identity::ResourceName, ports::Clock};
use k8s_openapi::api::core::v1::Secret;
use pki::time::Time;
use resolve::{Cluster, Compiled, Resources};
use serde::Deserialize as _;
use serde_json::Value;

use super::authorities::Keeper;
use crate::testing::FakeApi;

/// The operator's own namespace.
pub(crate) const OWN: &str = "chancery-system";

const DAY: i64 = 86_400;

/// A root, an intermediate that the server's TLS certificate is issued by, a profile, a method and a credential.
pub(crate) const BASE: &str = "
kind: EnrollmentServer
metadata: {name: server, namespace: pki}
spec: {publicBaseUrl: 'http://pki.acme.com', tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}}
---
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Root}, pathLength: 1, crl: {validity: 7d, renewBefore: 2d}}
---
kind: CertificateAuthority
metadata: {name: issuing, namespace: pki}
spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, pathLength: 0}
---
kind: CertificateProfile
metadata: {name: profile, namespace: pki}
spec: {authorityRef: {name: issuing}, preset: Device}
---
kind: EnrollmentMethod
metadata: {name: method, namespace: pki}
spec: {profileRef: {name: profile}, est: {}}
---
kind: EnrollmentCredential
metadata: {name: credential, namespace: pki}
spec: {methodRef: {name: method}, est: {username: line-3}, owner: {group: factory}}
";

/// Time that tests turn.
#[derive(Debug)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_790_000_000)))
    }

    pub(crate) fn turn(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Time {
        Time::from_unix(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn named(text: &str) -> ResourceName {
    ResourceName::new("pki", text)
}

/// The documents, each with a UID that its kind and name make; of two of the same name the later counts.
pub(crate) fn resources(yaml: &str) -> Resources {
    let mut documents: Vec<Value> = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let mut document = Value::deserialize(document).unwrap();
        let (kind, name) = (document["kind"].clone(), document["metadata"]["name"].clone());
        document["apiVersion"] = crds::API_VERSION.into();
        if document["metadata"]["uid"].is_null() {
            document["metadata"]["uid"] =
                format!("{}-{}", kind.as_str().unwrap(), name.as_str().unwrap()).into();
        }
        document["metadata"]["generation"] = 1.into();
        documents.retain(|old| (&old["kind"], &old["metadata"]["name"]) != (&kind, &name));
        documents.push(document);
    }
    let mut resources = Resources { cluster: Some(Cluster::default()), ..Resources::default() };
    resources.extend(documents.into_iter().map(|document| {
        let kind = document["kind"].as_str().unwrap().parse().unwrap();
        Resource::from_value(kind, document).unwrap()
    }));
    resources
}

fn with(yaml: &str) -> Resources {
    resources(&format!("{BASE}---{yaml}"))
}

fn secret(api: &FakeApi, namespace: &str, name: &str) -> Secret {
    api.get(Some(namespace), name).unwrap_or_else(|| panic!("there is no Secret {namespace}/{name}"))
}

/// A Secret that somebody else made.
fn foreign(namespace: &str, name: &str, type_: &str) -> Secret {
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": name, "namespace": namespace },
        "type": type_,
        "data": { "password": "c2VjcmV0", "tls.key": "c2VjcmV0" },
    }))
    .unwrap()
}

/// What the resources of [`BASE`] compile to when everything is there.
pub(crate) async fn compiled() -> Compiled {
    let keeper = Keeper::new(FakeApi::new().client(), OWN, Hands::new());
    let mut kept = keeper.observe().await.unwrap();
    let settled = keeper.settle(&mut kept, &resources(BASE), &named("server"), &BTreeMap::new()).await;
    settled.resolution.compiled.unwrap()
}
