//! What the operator makes for an EnrollmentServer, on a real cluster: pods, volumes, Services, rights, and CA bundles.
//!
//! Namespaces of tests enforce the strictest of Kubernetes' pod security standards, so that a pod that asks for more never
//! starts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::office::{self, READY, enrol, text};
use chancery_tests::cluster::{Kubectl, Namespace, Route, condition, database, in_namespace};
use chancery_tests::curl::Request;
use chancery_tests::openssl;
use chancery_tests::{Workspace, program};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

fn apply_office(namespace: &Namespace, server: &Value) -> Result<()> {
    namespace.cluster().install_chancery()?;
    office::apply_all(&namespace.kubectl(), &office::office(server))
}

fn open_office(namespace: &Namespace, server: &Value) -> Result<()> {
    apply_office(namespace, server)?;
    let kubectl = namespace.kubectl();
    for object in ["enrollmentserver/enroll", "enrollmentmethod/devices", "enrollmentcredential/factory"] {
        kubectl.wait_condition(object, "Ready", READY)?;
    }
    Ok(())
}

/// The only pod of the server.
fn pod(kubectl: &Kubectl) -> Result<Value> {
    let mut pods = kubectl.list("pods", "chancery.dev/server=enroll")?;
    ensure!(pods.len() == 1, "{} pods", pods.len());
    pods.pop().context("no pod")
}

/// What the server's own command says it has issued.
fn issued(kubectl: &Kubectl) -> Result<String> {
    let name = format!("pod/{}", text(&pod(kubectl)?, "/metadata/name"));
    let arguments = [
        "/usr/bin/chancery-server",
        "certificates",
        "list",
        "--data=/var/lib/chancery",
        "--sealing-key-file=/etc/chancery/sealing/keys",
    ];
    let answer = kubectl.exec(&name, &arguments)?;
    ensure!(answer.status.success(), "{}", program::printed(&answer));
    Ok(String::from_utf8(answer.stdout)?)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn rows_outlive_the_pod_and_the_server() -> Result<()> {
    in_namespace("workload", |namespace| {
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        open_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
        let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
        enrol(namespace, &route, &workspace, "before")?;
        let before = issued(&kubectl)?;
        ensure!(before.contains("before"), "{before}");

        // As a node that fails takes a pod with it.
        let uid = text(&pod(&kubectl)?, "/metadata/uid").to_owned();
        kubectl.delete("pod/enroll-0", LIMIT)?;
        kubectl
            .wait_until("pod/enroll-0", "is another one", LIMIT, |pod| text(pod, "/metadata/uid") != uid)?;
        kubectl.wait_condition("pod/enroll-0", "Ready", LIMIT)?;
        ensure!(issued(&kubectl)?.contains("before"), "the rows are gone with the pod");

        // Everything goes with the server but the rows, and the key that they are sealed with.
        kubectl.delete("enrollmentserver/enroll", LIMIT)?;
        let gone =
            ["--timeout=90s", "--for=delete", "statefulset/enroll", "service/enroll", "role/enroll-server"];
        kubectl.succeed(&[["wait"].as_slice(), &gone].concat(), None)?;
        for kept in ["persistentvolumeclaim/data-enroll-0", "secret/enroll-sealing"] {
            ensure!(kubectl.find(kept)?.is_some(), "{kept} is gone");
        }
        open_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
        ensure!(issued(&kubectl)?.contains("before"), "the rows are gone with the server");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn devices_enrol_through_the_address_of_the_load_balancer() -> Result<()> {
    in_namespace("workload-lb", |namespace| {
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        let service = json!({ "type": "LoadBalancer", "ports": { "device": 443, "public": 8080 } });
        open_office(namespace, &json!({ "service": service, "storage": { "sqlite": { "size": "64Mi" } } }))?;
        let route = |port| Route::through_load_balancer(namespace.cluster(), &kubectl, "enroll", port, LIMIT);
        enrol(namespace, &route(443)?, &workspace, "outside")?;
        let addressed = |server: &Value| !text(server, "/status/addresses/0").is_empty();
        let server = kubectl.wait_until("enrollmentserver/enroll", "knows its address", LIMIT, addressed)?;
        let address = route(8080)?.address();
        ensure!(text(&server, "/status/addresses/0") == address.ip().to_string(), "{}", server["status"]);

        let issuing: Value = kubectl.get("certificateauthority/issuing")?;
        let key_id = text(&issuing, "/status/keyId");
        ensure!(!key_id.is_empty(), "{}", issuing["status"]);
        let public = format!("http://{address}/pki/{key_id}");
        let found = ["certificate", "crl"].map(|file| Request::get(&format!("{public}/{file}")).send());
        for answer in found {
            ensure!(!answer?.expect(200)?.body.is_empty());
        }
        // Neither the operator's listener nor metrics.
        let spec: Value = kubectl.get("service/enroll")?;
        let ports = spec["spec"]["ports"].as_array().context("no ports")?;
        let ports: Vec<i64> = ports.iter().filter_map(|port| port["port"].as_i64()).collect();
        ensure!(ports == [443, 8080], "{ports:?}");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_server_can_read_secrets_of_its_namespace_and_not_the_key_of_a_root_nor_anything_else() -> Result<()> {
    in_namespace("workload-rbac", |namespace| {
        open_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
        let server = namespace.service_account("enroll-server");
        for verb in ["get", "list", "watch"] {
            ensure!(server.can(&[verb, "secrets"])?, "{verb}");
        }
        for refused in [
            ["create", "secrets"],
            ["update", "secrets/enroll-sealing"],
            ["delete", "secrets/enroll-sealing"],
            ["get", "configmaps"],
            ["get", "pods"],
            ["create", "pods"],
            ["create", "serviceaccounts/token"],
            ["get", "certificateauthorities.chancery.dev"],
            ["get", "enrollmentcredentials.chancery.dev"],
            ["get", "leases.coordination.k8s.io"],
        ] {
            ensure!(!server.can(&refused)?, "{refused:?}");
        }
        let system = server.in_namespace("chancery-system");
        for elsewhere in ["chancery-system", "kube-system", "default"] {
            ensure!(!server.in_namespace(elsewhere).can(&["get", "secrets"])?, "{elsewhere}");
        }
        ensure!(!server.can(&["list", "secrets", "--all-namespaces"])?, "all namespaces");

        // Not only as the API server judges, but with the name of the very Secret.
        let keys = namespace.kubectl().in_namespace("chancery-system");
        let root: Value = namespace.kubectl().get("certificateauthority/root")?;
        let owner = format!("chancery.dev/owner-uid={}", text(&root, "/metadata/uid"));
        let secrets = keys.list("secrets", &owner)?;
        let key = secrets.iter().find(|secret| text(secret, "/type") == "chancery.dev/authority-key");
        let name = text(key.context("the root has no key")?, "/metadata/name");
        let answer = system.run(&["get", "secret", name], None)?;
        let printed = program::printed(&answer);
        ensure!(!answer.status.success() && printed.contains("forbidden"), "{printed}");

        // The root signs nothing here: its key is not among what the server is given either.
        for secret in namespace.kubectl().list("secrets", "chancery.dev/part=authority")? {
            let content =
                openssl::openssl(&["base64", "-d", "-A"], Some(text(&secret, "/data/part.json").as_bytes()))?;
            let part: Value = serde_json::from_slice(&content)?;
            let name = text(&part, "/content/authority/name");
            ensure!(name.starts_with(namespace.name()), "{name:?}");
            ensure!(part.get("key").is_some() != name.ends_with("/root"), "{name}");
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_a_volume_cannot_become_is_refused_or_said() -> Result<()> {
    in_namespace("workload-volume", |namespace| {
        let kubectl = namespace.kubectl();
        open_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
        for refused in [
            json!({ "sqlite": null, "postgres": { "secretRef": { "name": "database" } } }),
            json!({ "sqlite": { "storageClassName": "other" } }),
            json!({ "sqlite": { "accessMode": "ReadWriteOnce" } }),
        ] {
            let patch = json!({ "spec": { "storage": refused } });
            ensure!(kubectl.patch("enrollmentserver/enroll", &patch).is_err(), "{refused} was accepted");
        }
        kubectl.patch(
            "enrollmentserver/enroll",
            &json!({ "spec": { "storage": { "sqlite": { "size": "32Mi" } } } }),
        )?;
        let says = |server: &Value| {
            let ready = condition(server, "Ready");
            ready.is_some_and(|ready| text(ready, "/message").contains("do not shrink"))
        };
        kubectl.wait_until("enrollmentserver/enroll", "says that volumes do not shrink", LIMIT, says)?;
        grow(&kubectl)?;
        kubectl.wait_condition("enrollmentserver/enroll", "Ready", LIMIT).map(drop)
    })
}

/// A claim grows where the storage class lets it, and the status says so where it does not.
fn grow(kubectl: &Kubectl) -> Result<()> {
    let size = |size: &str| json!({ "spec": { "storage": { "sqlite": { "size": size } } } });
    kubectl.patch("enrollmentserver/enroll", &size("128Mi"))?;
    let claim: Value = kubectl.get("persistentvolumeclaim/data-enroll-0")?;
    let class: Value = kubectl.get(&format!("storageclass/{}", text(&claim, "/spec/storageClassName")))?;
    if class.get("allowVolumeExpansion").is_some_and(|allowed| allowed == true) {
        let grown = |claim: &Value| text(claim, "/spec/resources/requests/storage") == "128Mi";
        kubectl.wait_until("persistentvolumeclaim/data-enroll-0", "is told to grow", LIMIT, grown)?;
    } else {
        let says = |server: &Value| {
            let ready = condition(server, "Ready");
            ready.is_some_and(|ready| text(ready, "/message").contains("must support resize"))
        };
        kubectl.wait_until("enrollmentserver/enroll", "says what the class lacks", LIMIT, says)?;
    }
    kubectl.patch("enrollmentserver/enroll", &size("64Mi"))
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_changed_pod_template_replaces_the_pod_and_drift_is_undone() -> Result<()> {
    in_namespace("workload-drift", |namespace| {
        let kubectl = namespace.kubectl();
        open_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
        let patch = json!({ "spec": { "podTemplate": { "annotations": { "acme.com/round": "2" } } } });
        kubectl.patch("enrollmentserver/enroll", &patch)?;
        let second = |pod: &Value| pod["metadata"]["annotations"]["acme.com/round"] == "2";
        kubectl.wait_until("pod/enroll-0", "is of the new template", LIMIT, second)?;
        kubectl.wait_condition("pod/enroll-0", "Ready", LIMIT)?;

        let widened = json!({ "rules": [{ "apiGroups": [""], "resources": ["*"], "verbs": ["*"] }] });
        kubectl.patch("role/enroll-server", &widened)?;
        let narrow = |role: &Value| role["rules"][0]["resources"] == json!(["secrets"]);
        kubectl.wait_until("role/enroll-server", "is as it was", LIMIT, narrow)?;
        let uid = text(&kubectl.get::<Value>("service/enroll")?, "/metadata/uid").to_owned();
        kubectl.delete("service/enroll", LIMIT)?;
        let another = |service: &Value| text(service, "/metadata/uid") != uid;
        kubectl.wait_until("service/enroll", "is there again", LIMIT, another).map(drop)
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn of_two_replicas_with_postgresql_one_is_always_left() -> Result<()> {
    in_namespace("workload-pg", |namespace| {
        let kubectl = namespace.kubectl();
        let (_postgres, storage) = database::start(namespace)?;
        open_office(namespace, &json!({ "storage": storage }))?;
        kubectl.wait_rollout("deployment/enroll", LIMIT)?;

        let pods = kubectl.list("pods", "chancery.dev/server=enroll")?;
        let names: Vec<&str> = pods.iter().map(|pod| text(pod, "/metadata/name")).collect();
        let [first, second] = names.as_slice() else { anyhow::bail!("pods {names:?}") };
        ensure!(evict(namespace, first)?.contains("201"), "the first may go");
        let refused = evict(namespace, second)?;
        ensure!(refused.contains("disruption budget"), "the second may not go yet: {refused}");
        kubectl.wait_rollout("deployment/enroll", LIMIT)?;

        // A new password: the pods are replaced, one after the other.
        let before: Value = kubectl.get("deployment/enroll")?;
        kubectl.patch("secret/database", &json!({ "stringData": { "note": "changed" } }))?;
        let renewed =
            |deployment: &Value| deployment["metadata"]["generation"] != before["metadata"]["generation"];
        kubectl.wait_until("deployment/enroll", "has a new template", LIMIT, renewed)?;
        kubectl.wait_rollout("deployment/enroll", LIMIT)?;
        kubectl.wait_condition("enrollmentserver/enroll", "Ready", LIMIT).map(drop)
    })
}

/// What the API server says to an eviction: `201`, or why not.
fn evict(namespace: &Namespace, pod: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", namespace.name());
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    let answer = namespace
        .kubectl()
        .run(&["create", "--raw", &path, "--filename=-"], Some(body.to_string().as_bytes()))?;
    Ok(program::printed(&answer))
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_trust_anchor_reaches_the_namespaces_that_are_picked_and_leaves_them_again() -> Result<()> {
    in_namespace("workload-bundle", |namespace| {
        in_namespace("workload-trust", |other| {
            let (kubectl, there) = (namespace.kubectl(), other.kubectl());
            apply_office(namespace, &json!({ "storage": { "sqlite": { "size": "64Mi" } } }))?;
            kubectl.wait_condition("certificateauthority/root", "Issued", READY)?;
            let mine = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "mine" }, "data": { "ca.crt": "mine" },
            });
            there.apply(&mine.to_string())?;

            let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": other.name() } });
            let bundle = |name: &str| {
                let config_map = json!({ "name": name, "selector": selector });
                json!({ "spec": { "bundle": { "configMap": config_map, "clusterTrustBundle": {} } } })
            };
            kubectl.patch("certificateauthority/root", &bundle("anchor"))?;
            let map = there.wait_until("configmap/anchor", "is there", LIMIT, |_| true)?;
            let root: Value = kubectl.get("certificateauthority/root")?;
            let certificate = text(&root, "/status/certificate");
            ensure!(
                !certificate.is_empty() && text(&map, "/data/ca.crt").trim() == certificate.trim(),
                "{map}"
            );
            trust_bundle(namespace)?;

            there.patch("configmap/anchor", &json!({ "data": { "ca.crt": "something else" } }))?;
            let restored = |map: &Value| text(map, "/data/ca.crt").trim() == certificate.trim();
            there.wait_until("configmap/anchor", "is as it was", LIMIT, restored)?;

            // Another name: the old one goes; a ConfigMap that somebody else made stays and is complained about.
            kubectl.patch("certificateauthority/root", &bundle("mine"))?;
            there.succeed(&["wait", "--for=delete", "configmap/anchor", "--timeout=90s"], None)?;
            let complains = |root: &Value| text(root, "/status/bundle/problem").contains("mine");
            kubectl.wait_until("certificateauthority/root", "complains", LIMIT, complains)?;
            let left: Value = there.get("configmap/mine")?;
            ensure!(text(&left, "/data/ca.crt") == "mine", "{left}");
            kubectl.wait_until("configmap/mine", "is beside the authority", LIMIT, |_| true)?;
            kubectl.delete("certificateauthority/root", LIMIT)?;
            kubectl.succeed(&["wait", "--for=delete", "configmap/mine", "--timeout=90s"], None).map(drop)
        })
    })
}

/// An API server has ClusterTrustBundles, or the status says that it has none.
fn trust_bundle(namespace: &Namespace) -> Result<()> {
    let kubectl = namespace.kubectl();
    let known =
        kubectl.succeed(&["api-resources", "--api-group=certificates.k8s.io", "--output=name"], None)?;
    if known.contains("clustertrustbundles") {
        let object = format!("clustertrustbundle/chancery.{}.root", namespace.name());
        return kubectl.wait_until(&object, "is there", LIMIT, |_| true).map(drop);
    }
    let says = |root: &Value| text(root, "/status/bundle/problem").contains("has no ClusterTrustBundle");
    kubectl.wait_until("certificateauthority/root", "says that there is none", LIMIT, says).map(drop)
}
