//! The resources of a case, as YAML.

use std::collections::{BTreeMap, BTreeSet};

use crds::{API_VERSION, Kind, Resource};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize as _;
use serde_json::Value;

use super::provisioner::{Provisioner, Settled};
use crate::{
    CLUSTER_SCOPE, Cluster, DEFAULT_NAMESPACE, Observed, Resolution, Resources, TokenIssuer, resolve,
};

/// A server, a root, an intermediate, a profile, a method and a credential, all named for what they are, in `pki`.
pub(super) const BASE: &str = "
kind: EnrollmentServer
metadata: {name: server, namespace: pki}
spec: {tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, defaultMethodRef: {name: method}, labels: [{label: devices, methodRef: {name: method}}]}
---
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Root}, pathLength: 1}
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
spec: {methodRef: {name: method}, est: {}, owner: {group: factory}}
";

/// Documents, in the order given.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    documents: Vec<Value>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    cluster: Option<Cluster>,
}

impl World {
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// The documents of all of them.
    pub(super) fn merged(worlds: impl IntoIterator<Item = Self>) -> Self {
        let documents = worlds.into_iter().flat_map(|world| world.documents).collect();
        Self { documents, ..Self::default() }
    }

    pub(super) fn base() -> Self {
        Self::empty().with(BASE)
    }

    /// Adds documents, each in place of one of the same kind and name.
    pub(super) fn with(mut self, yaml: &str) -> Self {
        for document in parse(yaml) {
            self.documents.retain(|old| key(old) != key(&document));
            self.documents.push(document);
        }
        self
    }

    /// Adds documents beside what is there, of the same name or not.
    pub(super) fn with_also(mut self, yaml: &str) -> Self {
        self.documents.extend(parse(yaml));
        self
    }

    pub(super) fn without(mut self, kind: &str, name: &str) -> Self {
        let before = self.documents.len();
        self.documents.retain(|document| key(document) != (kind.to_owned(), super::name(name)));
        assert!(self.documents.len() < before, "there is no {kind} {name}");
        self
    }

    pub(super) fn with_namespace(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.namespaces.insert(name.to_owned(), labels);
        self
    }

    pub(super) fn in_cluster(mut self) -> Self {
        self.cluster = Some(Cluster::default());
        self
    }

    /// The same, with what is known of who makes the tokens of service accounts.
    pub(super) fn in_cluster_of(mut self, tokens: Result<TokenIssuer, String>) -> Self {
        self.cluster = Some(Cluster { tokens, ..Cluster::default() });
        self
    }

    /// The same documents in another order.
    pub(super) fn permuted(mut self, order: &[usize]) -> Self {
        let old = std::mem::take(&mut self.documents);
        let mut ranked: Vec<(usize, Value)> = order.iter().copied().cycle().zip(old).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        self.documents = ranked.into_iter().map(|(_, document)| document).collect();
        self
    }

    pub(super) fn keys(&self) -> Vec<(Kind, ResourceName)> {
        let keys = self.documents.iter().map(key);
        keys.filter_map(|(kind, name)| Some((kind.parse().ok()?, name))).collect()
    }

    pub(super) fn resources(&self) -> Resources {
        let mut resources = Resources {
            namespaces: self.namespaces.clone(),
            cluster: self.cluster.clone(),
            ..Resources::default()
        };
        for document in &self.documents {
            match key(document).0.as_str() {
                "Secret" => resources.secrets.push(secret(document)),
                kind => resources.push(resource(kind.parse().unwrap(), document.clone())),
            }
        }
        resources
    }

    pub(super) fn resolve(&self, observed: &Observed) -> Resolution {
        resolve(&self.resources(), observed, None)
    }

    /// Resolves and makes what is wanted, until nothing is.
    pub(super) fn settle(&self) -> Settled {
        Provisioner::default().settle(&self.resources(), None)
    }

    pub(super) fn settle_for(&self, server: &str) -> Settled {
        Provisioner::default().settle(&self.resources(), Some(&super::name(server)))
    }

    /// The resource, and all that refer to it, themselves or through others.
    pub(super) fn dependents(&self, kind: Kind, name: &ResourceName) -> BTreeSet<(Kind, ResourceName)> {
        let mut found = BTreeSet::from([(kind, name.clone())]);
        loop {
            let before = found.len();
            for document in &self.documents {
                let (own_kind, own) = key(document);
                let Ok(own_kind) = own_kind.parse::<Kind>() else { continue };
                if references(document, own.namespace()).iter().any(|target| found.contains(target)) {
                    found.insert((own_kind, own));
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }
}

/// Whatever a document refers to, but for its server: that a server is not accepted takes nothing down.
fn references(document: &Value, namespace: &str) -> Vec<(Kind, ResourceName)> {
    let target = |kind, reference: &Value| {
        let namespace = reference.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        Some((kind, ResourceName::new(namespace, reference.get("name")?.as_str()?)))
    };
    let at = |kind, path: &str| document.pointer(path).and_then(|reference| target(kind, reference));
    let labels = document.pointer("/spec/labels").and_then(Value::as_array);
    let labelled = labels
        .into_iter()
        .flatten()
        .filter_map(|label| target(Kind::EnrollmentMethod, label.get("methodRef")?));
    let listed = |path: &str| document.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let chosen = listed("/spec/acme/profiles").chain(listed("/spec/rest/products"));
    let chosen = chosen.filter_map(|entry| target(Kind::CertificateProfile, entry.get("profileRef")?));
    let trusted = listed("/spec/est/clientCertificates/authorities")
        .chain(listed("/spec/rest/clientCertificates/authorities"));
    let trusted =
        trusted.filter_map(|entry| target(Kind::CertificateAuthority, entry.get("certificateAuthorityRef")?));
    [
        at(Kind::CertificateAuthority, "/spec/successorRef"),
        at(Kind::CertificateAuthority, "/spec/intermediate/parentRef"),
        at(Kind::CertificateAuthority, "/spec/authorityRef"),
        at(Kind::CertificateAuthority, "/spec/tls/authorityRef"),
        at(Kind::CertificateProfile, "/spec/profileRef"),
        at(Kind::EnrollmentMethod, "/spec/methodRef"),
        at(Kind::EnrollmentMethod, "/spec/defaultMethodRef"),
    ]
    .into_iter()
    .flatten()
    .chain(labelled)
    .chain(chosen)
    .chain(trusted)
    .collect()
}

fn parse(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{yaml}: {error}")));
    documents.filter(|document| !document.is_null()).collect()
}

fn key(document: &Value) -> (String, ResourceName) {
    let text = |path: &str| document.pointer(path).and_then(Value::as_str);
    let is_of_cluster = text("/kind") == Some("ChanceryClusterIssuer");
    let namespace =
        text("/metadata/namespace").unwrap_or(if is_of_cluster { CLUSTER_SCOPE } else { DEFAULT_NAMESPACE });
    (
        text("/kind").unwrap().to_owned(),
        ResourceName::new(namespace, text("/metadata/name").unwrap_or_default()),
    )
}

fn resource(kind: Kind, mut document: Value) -> Resource {
    document["apiVersion"] = API_VERSION.into();
    Resource::from_value(kind, document.clone()).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn secret(document: &Value) -> Secret {
    serde_json::from_value(document.clone()).unwrap()
}
