//! Keys and certificates of authorities.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{
    Kind,
    conditions::{ConditionType, Reason},
    labels,
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use pki::{certificate::Certificate, pem};
use resolve::Resources;

use super::{BASE, Hands, OWN, foreign, named, resources, secret, with};
use crate::{
    context::Scope,
    provision::authorities::{Keeper, Kept, Settled, secret_name},
    testing::FakeApi,
};

struct Scene {
    api: FakeApi,
    clock: Arc<Hands>,
}

impl Scene {
    fn new() -> Self {
        Self { api: FakeApi::new(), clock: Hands::new() }
    }

    /// An operator that has just started.
    fn keeper(&self) -> Keeper {
        Keeper::new(self.api.client(), OWN, self.clock.clone())
    }

    async fn settle(&self, resources: &Resources) -> (Kept, Settled) {
        let keeper = self.keeper();
        let mut kept = keeper.observe().await.unwrap();
        let settled = keeper.settle(&mut kept, resources, &named("server"), &BTreeMap::new()).await;
        (kept, settled)
    }

    fn key(&self, authority: &str) -> Secret {
        secret(&self.api, OWN, &secret_name(&named(authority)))
    }

    /// The certificates that are kept, the authority's own first.
    fn chain(&self, authority: &str) -> Vec<Certificate> {
        let text = self.key(authority).data.unwrap()["tls.crt"].0.clone();
        let blocks = pem::decode_all(&text).unwrap();
        blocks.iter().map(|block| Certificate::from_der(&block.der).unwrap()).collect()
    }
}

fn failure<'a>(settled: &'a Settled, authority: &str) -> &'a str {
    settled.failures.get(&named(authority)).unwrap_or_else(|| panic!("{:?}", settled.failures))
}

#[tokio::test]
async fn a_key_that_something_else_put_in_the_way_is_never_used_nor_overwritten() {
    let scene = Scene::new();
    let before = scene.api.put(&foreign(OWN, &secret_name(&named("root")), labels::AUTHORITY_KEY_TYPE));
    let (kept, settled) = scene
        .settle(&with(
            "
kind: CertificateAuthority
metadata: {name: other, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Other}}
",
        ))
        .await;
    assert!(failure(&settled, "root").contains("in the way"), "{:?}", settled.failures);
    assert_eq!(scene.key("root"), before);
    assert!(!settled.retried, "somebody has to remove it");
    // What does not hang on it is made all the same.
    assert_eq!(kept.keys().into_keys().collect::<Vec<_>>(), [named("other")]);
}

#[tokio::test]
async fn a_key_of_ours_that_was_damaged_is_not_made_anew() {
    let scene = Scene::new();
    scene.settle(&resources(BASE)).await;
    let mut damaged = scene.key("root");
    damaged.data.as_mut().unwrap().insert("tls.key".into(), ByteString(b"nonsense".to_vec()));
    let damaged = scene.api.put(&damaged);
    let (kept, settled) = scene.settle(&resources(BASE)).await;
    assert!(kept.unusable()[0].contains("PRIVATE KEY"), "{:?}", kept.unusable());
    assert!(failure(&settled, "root").contains("PRIVATE KEY"), "{:?}", settled.failures);
    assert_eq!(scene.key("root"), damaged);
}

#[tokio::test]
async fn a_lost_key_is_not_replaced_by_another_one() {
    let scene = Scene::new();
    let issued = with(
        "
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Root}, pathLength: 1}
status: {keyId: 00112233445566778899aabbccddeeff00112233}
",
    );
    let (kept, settled) = scene.settle(&issued).await;
    assert!(failure(&settled, "root").contains("its key is lost"), "{:?}", settled.failures);
    assert!(kept.keys().is_empty() && scene.api.all::<Secret>().is_empty());
}

#[tokio::test]
async fn a_key_that_is_no_longer_what_is_asked_for_signs_nothing() {
    let scene = Scene::new();
    scene.settle(&resources(BASE)).await;
    // Its certificate is lost, and the resource was made again with another algorithm.
    let mut key = scene.key("root");
    key.data.as_mut().unwrap().remove("tls.crt");
    scene.api.put(&key);
    let (_, settled) = scene
        .settle(&with(
            "
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Root}, pathLength: 1, key: {algorithm: Ed25519}}
",
        ))
        .await;
    assert!(failure(&settled, "root").contains("Ed25519"), "{:?}", settled.failures);
}

#[tokio::test]
async fn a_root_and_what_hangs_on_it_are_made_once() {
    let scene = Scene::new();
    let (kept, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.failures.is_empty(), "{:?}", settled.failures);
    let compiled = settled.resolution.compiled.as_ref().unwrap();
    assert_eq!(compiled.authorities.len(), 2);
    let chain = scene.chain("issuing");
    assert_eq!(chain.len(), 2);
    chain[0].verify_signed_by(chain[1].public_key()).unwrap();
    assert!(chain[1].is_self_signed());
    assert_eq!(chain[1], scene.chain("root")[0]);
    // Where the root publishes is in what it signed.
    assert!(chain[0].der().windows(19).any(|window| window == b"http://pki.acme.com"));

    let key = scene.key("root");
    let label = |key: &str| key_label(&scene.key("root"), key);
    assert_eq!(label(labels::MANAGED_BY).as_deref(), Some(labels::MANAGER));
    assert_eq!(label(labels::OWNER_UID).as_deref(), Some("CertificateAuthority-root"));
    assert_eq!(key.type_.as_deref(), Some(labels::AUTHORITY_KEY_TYPE));

    scene.api.forget_calls();
    let (again, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.failures.is_empty());
    assert_eq!(scene.api.writes(), [], "nothing is to be written a second time");
    assert_eq!(again.keys(), kept.keys());
}

#[tokio::test]
async fn two_operators_at_once_end_with_the_same_keys() {
    let scene = Scene::new();
    let (one, other) = (scene.keeper(), scene.keeper());
    let (mut of_one, mut of_other) = (one.observe().await.unwrap(), other.observe().await.unwrap());
    let (resources, server, none) = (resources(BASE), named("server"), BTreeMap::new());
    // The first has made the key of the root when it is stopped.
    scene.api.refuse("PUT", &secret_name(&named("root")), 500, "InternalError", 1);
    let stopped = one.settle(&mut of_one, &resources, &server, &none).await;
    assert!(stopped.retried && failure(&stopped, "root").contains("cannot be written"));
    let settled = other.settle(&mut of_other, &resources, &server, &none).await;
    assert!(settled.failures.is_empty(), "{:?}", settled.failures);
    let chain = scene.chain("root");
    // It goes on with what it saw before: what it would sign now is refused, and it sees what is there.
    one.settle(&mut of_one, &resources, &server, &none).await;
    let (kept, settled) = scene.settle(&resources).await;
    assert!(settled.failures.is_empty(), "{:?}", settled.failures);
    assert_eq!(kept.keys(), of_other.keys());
    assert_eq!(scene.chain("root"), chain);
}

#[tokio::test]
async fn an_api_server_that_fails_in_between_costs_no_key() {
    let scene = Scene::new();
    scene.api.refuse("PUT", "secrets", 500, "InternalError", 1);
    let (_, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.retried);
    let key = scene.key("root").data.unwrap()["tls.key"].clone();
    let (_, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.failures.is_empty(), "{:?}", settled.failures);
    assert_eq!(scene.key("root").data.unwrap()["tls.key"], key);
}

#[tokio::test]
async fn only_what_a_server_issues_with_is_given_to_it_and_what_was_given_stays_given() {
    let scene = Scene::new();
    let (_, settled) = scene.settle(&resources(BASE)).await;
    assert_eq!(settled.resolution.issuing, [named("issuing")].into());
    // For a while a profile issues with the root.
    let of_root = "
kind: CertificateProfile
metadata: {name: profile, namespace: pki}
spec: {authorityRef: {name: root}, preset: Device}
";
    let (_, settled) = scene.settle(&with(of_root)).await;
    assert_eq!(settled.resolution.issuing, [named("issuing"), named("root")].into());
    let (kept, settled) = scene.settle(&resources(BASE)).await;
    assert_eq!(settled.resolution.issuing, [named("issuing"), named("root")].into());
    // Its server knows all that it has signed, so its server makes the lists.
    assert_eq!(kept.list_facts(&named("root")), None);
}

#[tokio::test]
async fn a_key_is_not_given_before_that_is_written_down() {
    let scene = Scene::new();
    // The third PUT of `issuing`: its certificate, then the mark.
    scene
        .settle(&resources(
            &BASE
                .replace("authorityRef: {name: issuing}, dns", "authorityRef: {name: root}, dns")
                .replace("authorityRef: {name: issuing}, preset", "authorityRef: {name: root}, preset"),
        ))
        .await;
    scene.api.refuse("PUT", &secret_name(&named("issuing")), 500, "InternalError", 1);
    let (_, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.retried);
    assert!(!settled.resolution.issuing.contains(&named("issuing")));
    let (_, settled) = scene.settle(&resources(BASE)).await;
    assert!(settled.resolution.issuing.contains(&named("issuing")));
}

#[tokio::test]
async fn keys_outlive_their_resources_unless_these_said_otherwise() {
    let scene = Scene::new();
    let mortal = "
kind: CertificateAuthority
metadata: {name: mortal, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Mortal}, deletionPolicy: Delete}
";
    scene.settle(&with(mortal)).await;
    let keeper = scene.keeper();
    let mut kept = keeper.observe().await.unwrap();
    let all = ["CertificateAuthority-root", "CertificateAuthority-issuing", "CertificateAuthority-mortal"];
    let uids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let scope = Scope::Cluster;
    assert!(!Keeper::is_sweep_due(&kept, &scope, &uids(&all)));
    assert_eq!(keeper.sweep(&mut kept, &scope, &uids(&all)).await.unwrap(), []);
    assert!(Keeper::is_sweep_due(&kept, &scope, &uids(&[])));
    assert_eq!(keeper.sweep(&mut kept, &scope, &uids(&[])).await.unwrap(), [named("mortal")]);
    let left: Vec<String> =
        scene.api.all::<Secret>().into_iter().filter_map(|secret| secret.metadata.name).collect();
    assert_eq!(left, [secret_name(&named("issuing")), secret_name(&named("root"))]);
}

#[tokio::test]
async fn keys_of_namespaces_that_are_not_looked_after_are_nobodys_to_destroy() {
    let scene = Scene::new();
    let mortal = "
kind: CertificateAuthority
metadata: {name: mortal, namespace: pki}
spec: {selfSigned: {}, subject: {commonName: Mortal}, deletionPolicy: Delete}
";
    scene.settle(&with(mortal)).await;
    let keeper = scene.keeper();
    let mut kept = keeper.observe().await.unwrap();
    // Its resource is there still, and in no list that is made of another namespace.
    let (narrow, nothing) = (Scope::Namespaces(["team-a".to_owned()].into()), BTreeSet::new());
    assert!(!Keeper::is_sweep_due(&kept, &narrow, &nothing));
    assert_eq!(keeper.sweep(&mut kept, &narrow, &nothing).await.unwrap(), []);
    scene.key("mortal");
    let within = Scope::Namespaces(["team-a".to_owned(), "pki".to_owned()].into());
    assert!(Keeper::is_sweep_due(&kept, &within, &nothing));
    assert_eq!(keeper.sweep(&mut kept, &within, &nothing).await.unwrap(), [named("mortal")]);
}

#[tokio::test]
async fn a_resource_made_again_has_its_old_key_only_where_that_was_to_be_retained() {
    let again = |policy: &str, uid: &str| {
        with(&format!(
            "
kind: CertificateAuthority
metadata: {{name: root, namespace: pki, uid: {uid}}}
spec: {{selfSigned: {{}}, subject: {{commonName: Root}}, pathLength: 1, deletionPolicy: {policy}}}
"
        ))
    };
    for (policy, same) in [("Retain", true), ("Delete", false)] {
        let scene = Scene::new();
        let (before, _) = scene.settle(&again(policy, "first")).await;
        let (after, settled) = scene.settle(&again(policy, "second")).await;
        let key = |kept: &Kept| kept.keys()[&named("root")].clone();
        assert_eq!(key(&before) == key(&after), same, "{policy}: {:?}", settled.failures);
        assert_eq!(key_label(&scene.key("root"), labels::OWNER_UID).as_deref(), Some("second"));
    }
}

#[tokio::test]
async fn a_key_that_outlived_its_resource_is_given_to_no_other_server() {
    let other = "
kind: EnrollmentServer
metadata: {name: other, namespace: pki, uid: other}
spec: {tls: {secretRef: {name: tls}}}
---
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {serverRef: {name: SERVER}, selfSigned: {}, subject: {commonName: Root}, pathLength: 1}
---
kind: CertificateAuthority
metadata: {name: issuing, namespace: pki, uid: again}
spec: {serverRef: {name: SERVER}, intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, pathLength: 0}
---
kind: EnrollmentMethod
metadata: {name: method, namespace: pki}
spec: {profileRef: {name: profile}, est: {}}
";
    let scene = Scene::new();
    scene.settle(&resources(BASE)).await;
    let before = scene.key("issuing");
    for without_first in [false, true] {
        let mut moved = with(&other.replace("SERVER", "other"));
        if without_first {
            moved.servers.retain(|server| server.metadata.name.as_deref() == Some("other"));
        }
        let keeper = scene.keeper();
        let mut kept = keeper.observe().await.unwrap();
        let settled = keeper.settle(&mut kept, &moved, &named("other"), &BTreeMap::new()).await;
        assert_eq!(settled.resolution.issuing, BTreeSet::new());
        let status = settled.resolution.status(Kind::CertificateAuthority, &named("issuing")).unwrap();
        let accepted = status.condition(ConditionType::Accepted).unwrap();
        assert_eq!(accepted.reason, Reason::ImmutableMember, "{}", accepted.message);
        assert!(
            accepted.message.contains("belongs to the EnrollmentServer pki/server"),
            "{}",
            accepted.message
        );
        assert_eq!(scene.key("issuing"), before);
    }
    // Under the server that has had it, it goes on.
    let (_, settled) = scene.settle(&with(&other.replace("SERVER", "server"))).await;
    assert!(settled.resolution.issuing.contains(&named("issuing")), "{:?}", settled.resolution.statuses);
    assert_eq!(scene.key("issuing").data, before.data);
}

#[tokio::test]
async fn an_imported_key_must_be_the_certificates_and_its_renewed_certificate_is_taken_over() {
    let scene = Scene::new();
    let (kept, _) = scene.settle(&resources(BASE)).await;
    let (root, issuing) = (scene.chain("root"), scene.chain("issuing"));
    let tls = |certificate: &Certificate, key: &str| -> Secret {
        let key = pem::encode("PRIVATE KEY", kept.keys()[&named(key)].expose());
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "theirs", "namespace": "pki" },
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": pem::encode("CERTIFICATE", certificate.der()), "tls.key": key },
        }))
        .unwrap()
    };
    let import = "
kind: CertificateAuthority
metadata: {name: imported, namespace: pki}
spec: {imported: {secretRef: {name: theirs}}}
";
    let mut resources = with(import);
    resources.secrets = vec![tls(&root[0], "issuing")];
    let (_, settled) = scene.settle(&resources).await;
    assert!(failure(&settled, "imported").contains("not the certificate's"), "{:?}", settled.failures);
    assert!(scene.api.get::<Secret>(Some(OWN), &secret_name(&named("imported"))).is_none());

    resources.secrets = vec![tls(&root[0], "root")];
    let (_, settled) = scene.settle(&resources).await;
    assert!(settled.failures.is_empty(), "{:?}", settled.failures);
    assert_eq!(scene.chain("imported"), root);
    // Another authority in the same Secret is not taken over.
    resources.secrets = vec![tls(&issuing[0], "issuing")];
    scene.settle(&resources).await;
    assert_eq!(scene.chain("imported"), root);
}

fn key_label(secret: &Secret, key: &str) -> Option<String> {
    secret.metadata.labels.as_ref()?.get(key).cloned()
}
