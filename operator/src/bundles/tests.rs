//! Against an API server in memory: refusals and what stays, then what is handed out where.

use std::sync::Arc;

use crds::{CertificateAuthority, DeletionPolicy, labels};
use issuance::identity::ResourceName;
use k8s_openapi::api::{
    certificates::v1beta1::ClusterTrustBundle,
    core::v1::{ConfigMap, Namespace},
};
use kube::{Client, ResourceExt as _};
use resolve::{CompiledAuthority, CompiledCrl};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Applied, Bundles, apply::is_going_away};
use crate::{
    context::Scope,
    owned::KeepError,
    testing::FakeApi,
    world::{Watches, World},
};

struct Cluster {
    api: FakeApi,
    client: Client,
    bundles: Bundles,
    scope: Scope,
}

impl Cluster {
    /// Namespaces `pki`, `team-a` and `team-b`; the last one has a label.
    fn new() -> Self {
        let api = FakeApi::new();
        for (name, labels) in
            [("pki", json!({})), ("team-a", json!({})), ("team-b", json!({ "trust": "devices" }))]
        {
            let namespace = json!({ "metadata": { "name": name, "labels": labels } });
            api.put(&serde_json::from_value::<Namespace>(namespace).unwrap());
        }
        Self { client: api.client(), api, bundles: Bundles::default(), scope: Scope::Cluster }
    }

    fn authority(&self, name: &str, bundle: Value) -> CertificateAuthority {
        let spec = json!({ "selfSigned": {}, "subject": { "commonName": name }, "bundle": bundle });
        let spec = serde_json::from_value(spec).unwrap();
        let mut authority = CertificateAuthority::new(name, spec);
        authority.metadata.namespace = Some("pki".to_owned());
        if let Some(before) = self.api.get::<CertificateAuthority>(Some("pki"), name) {
            authority.metadata = before.metadata;
        }
        self.api.put(&authority)
    }

    /// Everything as it is now: listed anew.
    async fn world(&self) -> World {
        let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let watches = Watches::start(&self.client, &self.scope, Arc::clone(&wake), &shutdown);
        while !watches.outstanding().is_empty() {
            wake.notified().await;
        }
        shutdown.cancel();
        watches.snapshot()
    }

    async fn pass(&self, authorities: &[CompiledAuthority]) -> Applied {
        let world = self.world().await;
        self.api.forget_calls();
        self.bundles.apply(&self.client, &self.scope, &world, authorities).await
    }

    fn map(&self, namespace: &str, name: &str) -> Option<ConfigMap> {
        self.api.get(Some(namespace), name)
    }

    /// Namespaces that have a ConfigMap of this name.
    fn places(&self, name: &str) -> Vec<String> {
        let found = self.api.all::<ConfigMap>().into_iter().filter(|map| map.name_any() == name);
        found.filter_map(|map| map.namespace()).collect()
    }
}

/// An authority whose chain has these certificates; bundles do not look into them.
fn compiled(name: &str, chain: &[&str], successor: Option<&str>) -> CompiledAuthority {
    let chain: Vec<Vec<u8>> = chain.iter().map(|text| text.as_bytes().to_vec()).collect();
    let crl: CompiledCrl = serde_json::from_value(json!({ "validity": 7, "renewBefore": 2 })).unwrap();
    let mut authority = CompiledAuthority {
        name: ResourceName::new("pki", name),
        certificate: chain[0].clone(),
        chain,
        crl,
        deletion_policy: DeletionPolicy::Retain,
        successor: None,
    };
    authority.successor = successor.map(|name| ResourceName::new("pki", name));
    authority
}

fn pem(texts: &[&str]) -> String {
    texts.iter().map(|text| pki::pem::encode("CERTIFICATE", text.as_bytes())).collect()
}

fn everywhere(name: &str) -> Value {
    json!({ "configMap": { "name": name, "namespaces": ["*"] } })
}

fn problem<'a>(applied: &'a Applied, authority: &str) -> &'a str {
    applied.statuses[&ResourceName::new("pki", authority)].problem.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_config_map_that_something_else_made_is_never_written_to() {
    let cluster = Cluster::new();
    let map = json!({ "metadata": { "name": "devices-ca", "namespace": "team-a" }, "data": { "ca.crt": "theirs" } });
    let theirs = cluster.api.put(&serde_json::from_value::<ConfigMap>(map).unwrap());
    cluster.authority("devices", everywhere("devices-ca"));
    let applied = cluster.pass(&[compiled("devices", &["root"], None)]).await;
    assert_eq!(cluster.map("team-a", "devices-ca"), Some(theirs));
    assert!(problem(&applied, "devices").contains("ConfigMap team-a/devices-ca"), "{applied:?}");
    let status = &applied.statuses[&ResourceName::new("pki", "devices")];
    assert_eq!((status.namespaces, applied.is_retried), (Some(2), false), "the others have it");
}

#[tokio::test]
async fn an_object_of_the_operator_that_is_no_bundle_is_not_written_to_either() {
    let cluster = Cluster::new();
    let labels = json!({ labels::MANAGED_BY: labels::MANAGER, labels::OWNER_UID: "something" });
    let map = json!({ "metadata": { "name": "devices-ca", "namespace": "pki", "labels": labels } });
    let other = cluster.api.put(&serde_json::from_value::<ConfigMap>(map).unwrap());
    cluster.authority("devices", json!({ "configMap": { "name": "devices-ca" } }));
    cluster.pass(&[compiled("devices", &["root"], None)]).await;
    cluster.pass(&[]).await;
    assert_eq!(cluster.map("pki", "devices-ca"), Some(other));
}

#[tokio::test]
async fn of_two_authorities_that_want_one_config_map_the_holder_keeps_it() {
    let cluster = Cluster::new();
    cluster.authority("second", everywhere("shared"));
    let both = [compiled("first", &["one"], None), compiled("second", &["two"], None)];
    cluster.pass(&both).await;
    // It comes later, though its name comes first.
    cluster.authority("first", everywhere("shared"));
    let applied = cluster.pass(&both).await;
    assert_eq!(cluster.map("team-a", "shared").unwrap().data.unwrap()["ca.crt"], pem(&["two"]));
    assert!(
        problem(&applied, "first").contains("is the bundle of the CertificateAuthority pki/second"),
        "{applied:?}"
    );
    assert_eq!(problem(&applied, "second"), "");
    assert_eq!(cluster.pass(&both).await, applied, "and stays so");
}

#[tokio::test]
async fn an_authority_without_a_certificate_changes_nothing() {
    let cluster = Cluster::new();
    cluster.authority("devices", everywhere("devices-ca"));
    let applied = cluster.pass(&[]).await;
    assert_eq!(cluster.places("devices-ca"), [""; 0]);
    assert!(problem(&applied, "devices").contains("no certificate"), "{applied:?}");
    cluster.pass(&[compiled("devices", &["root"], None)]).await;
    let before = cluster.map("team-a", "devices-ca");
    // As while its reference to a parent does not resolve: what was handed out stays.
    cluster.pass(&[]).await;
    assert!(before.is_some());
    assert_eq!(cluster.map("team-a", "devices-ca"), before);
}

#[tokio::test]
async fn without_the_kind_a_cluster_trust_bundle_is_a_clear_problem_and_config_maps_are_made() {
    let cluster = Cluster::new();
    cluster.api.refuse("PATCH", "/clustertrustbundles/", 404, "404 page not found", 1);
    cluster.authority("devices", json!({ "configMap": { "name": "ca" }, "clusterTrustBundle": {} }));
    let applied = cluster.pass(&[compiled("devices", &["root"], None)]).await;
    assert_eq!(
        problem(&applied, "devices"),
        "the API server has no ClusterTrustBundle (certificates.k8s.io/v1beta1)"
    );
    assert!(!applied.is_retried);
    assert_eq!(cluster.places("ca"), ["pki"]);
    let again = cluster.pass(&[compiled("devices", &["root"], None)]).await;
    assert_eq!((again, cluster.api.calls().len()), (applied, 0), "it is not asked in every pass");
}

#[tokio::test]
async fn an_operator_for_namespaces_makes_nothing_outside_of_them() {
    let mut cluster = Cluster::new();
    cluster.scope = Scope::Namespaces(["pki".to_owned(), "team-a".to_owned()].into());
    cluster.authority(
        "devices",
        json!({
            "configMap": { "name": "ca", "namespaces": ["*"], "selector": { "matchLabels": { "trust": "devices" } } },
            "clusterTrustBundle": {},
        }),
    );
    let applied = cluster.pass(&[compiled("devices", &["root"], None)]).await;
    assert_eq!(cluster.places("ca"), ["pki", "team-a"]);
    assert!(problem(&applied, "devices").contains("looks after namespaces only"), "{applied:?}");
    assert_eq!(cluster.api.all::<ClusterTrustBundle>(), []);
}

#[test]
fn a_namespace_that_is_going_away_is_no_problem_and_any_other_refusal_is_one() {
    let refused = |message: &str| KeepError::Refused {
        object: "ConfigMap a/ca".to_owned(),
        message: message.to_owned(),
    };
    let going = "configmaps \"ca\" is forbidden: unable to create new content in namespace a because it is being terminated";
    assert!(is_going_away(&refused(going)));
    assert!(!is_going_away(&refused("configmaps \"ca\" is forbidden: exceeded quota")));
}

#[tokio::test]
async fn bundles_of_an_authority_that_was_made_a_moment_ago_survive_an_operator_that_has_not_seen_it() {
    let cluster = Cluster::new();
    cluster.authority("devices", everywhere("ca"));
    cluster.pass(&[compiled("devices", &["root"], None)]).await;
    // A leader whose list of authorities is older than its list of bundles.
    let late = Cluster::new();
    for map in cluster.api.all::<ConfigMap>() {
        late.api.put(&map);
    }
    let world = late.world().await;
    assert_eq!(late.places("ca").len(), 3);
    cluster.bundles.apply(&cluster.client, &cluster.scope, &world, &[]).await;
    assert_eq!(cluster.places("ca").len(), 3);
}

#[tokio::test]
async fn nothing_is_removed_while_authorities_cannot_be_listed() {
    let cluster = Cluster::new();
    cluster.authority("devices", everywhere("ca"));
    cluster.pass(&[compiled("devices", &["root"], None)]).await;
    cluster.api.delete::<CertificateAuthority>(Some("pki"), "devices");
    let world = cluster.world().await;
    cluster.api.refuse("GET", "/certificateauthorities", 503, "ServiceUnavailable", 1);
    let applied = cluster.bundles.apply(&cluster.client, &cluster.scope, &world, &[]).await;
    assert!(applied.is_retried);
    assert_eq!(cluster.places("ca"), ["team-a", "team-b"], "Kubernetes removes the one beside its owner");
    assert!(!cluster.pass(&[]).await.is_retried);
    assert_eq!(cluster.places("ca"), [""; 0]);
}

#[tokio::test]
async fn a_bundle_is_where_the_authority_says_and_nowhere_else() {
    let cluster = Cluster::new();
    let selected =
        json!({ "configMap": { "name": "ca", "selector": { "matchLabels": { "trust": "devices" } } } });
    let authorities = [compiled("devices", &["leaf", "issuing", "root"], None)];
    for (bundle, places) in [
        (everywhere("ca"), vec!["pki", "team-a", "team-b"]),
        (
            json!({ "configMap": { "name": "ca", "namespaces": ["team-a", "no-such"] } }),
            vec!["pki", "team-a"],
        ),
        (selected, vec!["pki", "team-b"]),
        (json!({ "configMap": { "name": "ca" } }), vec!["pki"]),
    ] {
        cluster.authority("devices", bundle);
        let applied = cluster.pass(&authorities).await;
        assert_eq!(cluster.places("ca"), places);
        let status = &applied.statuses[&ResourceName::new("pki", "devices")];
        assert_eq!((status.namespaces, &status.problem), (u32::try_from(places.len()).ok(), &None));
    }
    assert_eq!(cluster.map("pki", "ca").unwrap().data.unwrap()["ca.crt"], pem(&["root"]), "only the root");
    cluster.authority("devices", Value::Null);
    assert_eq!(cluster.pass(&authorities).await.statuses.len(), 0);
    assert_eq!(cluster.places("ca"), [""; 0]);
}

#[tokio::test]
async fn during_a_change_over_the_roots_of_both_are_handed_out_once_each() {
    let cluster = Cluster::new();
    cluster.authority("old", json!({ "configMap": { "name": "ca" }, "clusterTrustBundle": {} }));
    let text = |cluster: &Cluster| cluster.map("pki", "ca").unwrap().data.unwrap()["ca.crt"].clone();
    let old = compiled("old", &["old issuing", "old root"], Some("new"));
    cluster.pass(std::slice::from_ref(&old)).await;
    assert_eq!(text(&cluster), pem(&["old root"]), "a successor without a certificate is not waited for");
    cluster.pass(&[old.clone(), compiled("new", &["new issuing", "new root"], None)]).await;
    assert_eq!(text(&cluster), pem(&["old root", "new root"]));
    let bundle: ClusterTrustBundle = cluster.api.get(None, "chancery.pki.old").unwrap();
    assert_eq!((bundle.spec.trust_bundle, bundle.spec.signer_name), (text(&cluster), None));
    cluster.pass(&[old, compiled("new", &["new issuing", "old root"], None)]).await;
    assert_eq!(text(&cluster), pem(&["old root"]), "the same root above both");
}

#[tokio::test]
async fn a_pass_in_which_nothing_changed_asks_the_api_server_for_nothing() {
    let cluster = Cluster::new();
    cluster.authority(
        "devices",
        json!({ "configMap": { "name": "ca", "namespaces": ["*"] }, "clusterTrustBundle": {} }),
    );
    let authorities = [compiled("devices", &["root"], None)];
    let first = cluster.pass(&authorities).await;
    assert_eq!(cluster.pass(&authorities).await, first);
    assert_eq!(cluster.api.calls(), []);
}

#[tokio::test]
async fn what_somebody_else_changes_or_removes_is_put_back() {
    let cluster = Cluster::new();
    cluster.authority("devices", everywhere("ca"));
    let authorities = [compiled("devices", &["root"], None)];
    cluster.pass(&authorities).await;
    let mut map = cluster.map("team-a", "ca").unwrap();
    map.data.as_mut().unwrap().insert("ca.crt".to_owned(), pem(&["evil"]));
    cluster.api.put(&map);
    cluster.api.delete::<ConfigMap>(Some("team-b"), "ca");
    cluster.pass(&authorities).await;
    for place in ["team-a", "team-b"] {
        assert_eq!(cluster.map(place, "ca").unwrap().data.unwrap()["ca.crt"], pem(&["root"]));
    }
}

#[tokio::test]
async fn an_authority_that_was_made_anew_takes_its_bundles_over() {
    let cluster = Cluster::new();
    cluster.authority("devices", everywhere("ca"));
    cluster.pass(&[compiled("devices", &["root"], None)]).await;
    cluster.api.delete::<CertificateAuthority>(Some("pki"), "devices");
    let uid = cluster.authority("devices", everywhere("ca")).metadata.uid.unwrap();
    cluster.pass(&[compiled("devices", &["other root"], None)]).await;
    let map = cluster.map("team-a", "ca").unwrap();
    assert_eq!(
        (map.labels()[labels::OWNER_UID].as_str(), map.data.as_ref().unwrap()["ca.crt"].as_str()),
        (uid.as_str(), pem(&["other root"]).as_str())
    );
}
