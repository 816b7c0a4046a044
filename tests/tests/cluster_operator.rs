//! The operator on a real cluster: from the example to Ready, deletion in any order, and what becomes of a cluster whose operator
//! or API server dies.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::office::{self, READY, enrol, object, text};
use chancery_tests::cluster::{Cluster, Kubectl, Namespace, Route, dump, in_namespace, secret_data};
use chancery_tests::curl::Request;
use chancery_tests::openssl::{self};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

/// Where the operator runs and keeps keys.
const SYSTEM: &str = "chancery-system";

/// As others have it, with a bundle of the root, and an authority whose key goes with it.
fn documents() -> Vec<Value> {
    let mut documents = office::office(&json!({ "storage": { "sqlite": { "size": "64Mi" } } }));
    for document in &mut documents {
        let more = match office::object(document).as_str() {
            "certificateauthority/root" => json!({ "bundle": { "configMap": { "name": "operator-root" } } }),
            "certificateauthority/issuing" => json!({ "deletionPolicy": "Delete" }),
            _ => continue,
        };
        office::merge(&mut document["spec"], &more);
    }
    documents
}

fn open(namespace: &Namespace) -> Result<()> {
    namespace.cluster().install_chancery()?;
    let kubectl = namespace.kubectl();
    let documents = documents();
    office::apply_all(&kubectl, &documents)?;
    for document in &documents {
        kubectl.wait_condition(&object(document), "Ready", READY)?;
    }
    Ok(())
}

fn uid(kubectl: &Kubectl, object: &str) -> Result<String> {
    Ok(text(&kubectl.get::<Value>(object)?, "/metadata/uid").to_owned())
}

/// Changes the profile, and waits until every replica works with the change.
fn change_profile(kubectl: &Kubectl, days: u32, limit: Duration) -> Result<()> {
    let patch = json!({ "spec": { "validity": { "default": format!("{days}d") } } });
    kubectl.patch("certificateprofile/device", &patch)?;
    kubectl.wait_condition("certificateprofile/device", "Programmed", limit).map(drop)
}

/// The pods of the operator.
fn operators(system: &Kubectl) -> Result<Vec<String>> {
    let pods = system.list("pods", "app.kubernetes.io/component=operator")?;
    Ok(pods.iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect())
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_example_becomes_ready_and_its_certificate_verifies() -> Result<()> {
    let cluster = Cluster::current()?;
    cluster.install_chancery()?;
    let kubectl = cluster.kubectl();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster");
    kubectl.apply_path(&example)?;
    let outcome = example_is_ready(&kubectl);
    if outcome.is_err() {
        dump(&kubectl.in_namespace("enrollment"), "enrollment");
        dump(&kubectl.in_namespace("shop"), "shop");
    }
    // Namespaces go last or first, as the files stand: nothing may keep them.
    let folder = example.display().to_string();
    let removed = kubectl.succeed(&["delete", "--ignore-not-found", "--timeout=180s", "-f", &folder], None);
    outcome?;
    removed.map(drop)
}

fn example_is_ready(kubectl: &Kubectl) -> Result<()> {
    let (server, shop) = (kubectl.in_namespace("enrollment"), kubectl.in_namespace("shop"));
    for object in [
        "certificateauthority/root",
        "certificateauthority/issuing",
        "certificateprofile/device",
        "certificateprofile/service",
        "enrollmentmethod/devices",
        "enrollmentcredential/factory",
        "enrollmentserver/enroll",
    ] {
        server.wait_condition(object, "Ready", READY)?;
    }
    shop.wait_condition("chanceryissuer/services", "Ready", LIMIT)?;
    kubectl.wait_condition("chanceryclusterissuer/services", "Ready", LIMIT)?;
    shop.wait_condition("certificate/web", "Ready", LIMIT)?;

    let (workspace, secret) = (Workspace::new()?, shop.secret("web-tls")?);
    let bundle: Value = shop.get("configmap/example-root")?;
    let root = workspace.write("root.pem", text(&bundle, "/data/ca.crt"))?;
    let chain = workspace.write("chain.pem", secret.get("tls.crt").context("no certificate")?)?;
    let key = workspace.write("key.pem", secret.get("tls.key").context("no key")?)?;
    let [root, chain_text] = [&root, &chain].map(|path| path.display().to_string());
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", &root, "-untrusted"];
    let answer = openssl::openssl(&[verify.as_slice(), &[&chain_text, &chain_text]].concat(), None)?;
    ensure!(String::from_utf8_lossy(&answer).trim_end().ends_with(": OK"), "it does not verify");
    ensure!(openssl::is_for_key(&chain, &key)?, "the key is another one");
    Ok(())
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn deleting_everything_in_either_order_leaves_only_what_is_to_be_kept() -> Result<()> {
    for reversed in [false, true] {
        in_namespace("operator-delete", |namespace| {
            open(namespace)?;
            let (kubectl, system) = (namespace.kubectl(), namespace.kubectl().in_namespace(SYSTEM));
            let issuing = uid(&kubectl, "certificateauthority/issuing")?;
            let root = uid(&kubectl, "certificateauthority/root")?;
            let server = uid(&kubectl, "enrollmentserver/enroll")?;
            let mut documents = documents();
            if reversed {
                documents.reverse();
            }
            for document in &documents {
                kubectl.delete(&object(document), LIMIT)?;
            }
            let ours = "app.kubernetes.io/managed-by=chancery-operator";
            let left = until(|| {
                let secrets = kubectl.list("secrets", ours)?;
                let mut left: Vec<String> =
                    secrets.iter().map(|secret| text(secret, "/metadata/name").to_owned()).collect();
                for kind in ["configmaps", "statefulsets", "services", "serviceaccounts", "roles"] {
                    left.extend(kubectl.list(kind, ours)?.iter().map(object));
                }
                for gone in [&issuing, &server] {
                    let owned = format!("chancery.dev/owner-uid={gone}");
                    left.extend(system.list("secrets", &owned)?.iter().map(object));
                }
                Ok((left == ["enroll-sealing"]).then_some(()).ok_or(left))
            })?;
            ensure!(left.is_ok(), "this was left: {left:?}");
            let kept = system.list("secrets", &format!("chancery.dev/owner-uid={root}"))?;
            ensure!(kept.len() == 1, "the key of the root is to be retained: {}", kept.len());
            Ok(())
        })?;
    }
    Ok(())
}

/// Looks until it is so, or the limit is over. What has no object to watch has to be looked at.
fn until<T, E>(mut look: impl FnMut() -> Result<Result<T, E>>) -> Result<Result<T, E>> {
    let began = std::time::Instant::now();
    loop {
        let seen = look()?;
        if seen.is_ok() || began.elapsed() > LIMIT {
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_namespace_with_everything_in_it_can_be_deleted_at_once() -> Result<()> {
    // `in_namespace` fails where the namespace does not go away.
    in_namespace("operator-namespace", open)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn devices_enrol_while_the_operator_is_killed_and_it_goes_on_where_it_was() -> Result<()> {
    in_namespace("operator-killed", |namespace| {
        open(namespace)?;
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        let system = kubectl.in_namespace(SYSTEM);
        let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
        for round in 0..3_u32 {
            let pods = operators(&system)?;
            ensure!(!pods.is_empty(), "there is no operator");
            let mut arguments = vec!["delete", "pod", "--grace-period=0", "--force", "--wait=false"];
            arguments.extend(pods.iter().map(String::as_str));
            system.succeed(&arguments, None)?;
            enrol(namespace, &route, &workspace, &format!("device-{round}"))?;
            change_profile(&kubectl, 30 + round, LIMIT)?;
        }
        let credential: Value =
            kubectl.wait_until("enrollmentcredential/factory", "was used", LIMIT, |found| {
                found.pointer("/status/uses").and_then(Value::as_u64) == Some(3)
            })?;
        ensure!(credential["status"]["state"] == "Active", "{}", credential["status"]);
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn an_api_server_that_restarts_costs_nothing_but_time() -> Result<()> {
    in_namespace("operator-restart", |namespace| {
        open(namespace)?;
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
        let pod = |kubectl: &Kubectl| uid(kubectl, "pod/enroll-0");
        let before = pod(&kubectl)?;
        for round in 0..2_u32 {
            namespace.cluster().restart_api_server()?;
            enrol(namespace, &route, &workspace, &format!("device-{round}"))?;
            change_profile(&kubectl, 40 + round, LIMIT)?;
        }
        ensure!(pod(&kubectl)? == before, "the server was replaced");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_somebody_writes_over_a_part_is_not_served_and_undone() -> Result<()> {
    in_namespace("operator-forged", |namespace| {
        open(namespace)?;
        let (kubectl, workspace) = (namespace.kubectl(), Workspace::new()?);
        let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
        let parts = kubectl.list("secrets", "chancery.dev/part=profile")?;
        let part = parts.first().context("there is no part")?;
        let name = format!("secret/{}", text(part, "/metadata/name"));
        let good = text(part, "/data/part.json").to_owned();
        kubectl.patch(&name, &json!({ "stringData": { "part.json": "{\"format\":1}" } }))?;
        enrol(namespace, &route, &workspace, "meanwhile")?;
        kubectl.wait_until(&name, "is as the operator wrote it", LIMIT, |secret| {
            text(secret, "/data/part.json") == good
        })?;

        // A manifest from before, with its own signature.
        let old: Value = kubectl.get("secret/chancery-manifest-enroll")?;
        change_profile(&kubectl, 50, LIMIT)?;
        let new = generation(&kubectl.get("secret/chancery-manifest-enroll")?)?;
        kubectl.patch("secret/chancery-manifest-enroll", &json!({ "data": old["data"] }))?;
        // The operator may raise the generation when it finds what is not its own.
        let undone = |secret: &Value| generation(secret).is_ok_and(|generation| generation >= new);
        kubectl.wait_until("secret/chancery-manifest-enroll", "is the newest again", LIMIT, undone)?;
        kubectl.wait_condition("certificateprofile/device", "Programmed", LIMIT)?;
        enrol(namespace, &route, &workspace, "afterwards")
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_method_of_another_namespace_is_served_for_as_long_as_the_profile_lets_it_be_attached() -> Result<()> {
    in_namespace("operator-attach", |namespace| {
        in_namespace("operator-tenant", |tenant| {
            open(namespace)?;
            let (kubectl, theirs, workspace) = (namespace.kubectl(), tenant.kubectl(), Workspace::new()?);
            let method = json!({
                "apiVersion": "chancery.dev/v1alpha1", "kind": "EnrollmentMethod", "metadata": { "name": "theirs" },
                "spec": {
                    "profileRef": { "name": "device", "namespace": namespace.name() },
                    "serverRef": { "name": "enroll", "namespace": namespace.name() },
                    "est": {},
                },
            });
            theirs.apply(&method.to_string())?;
            let (object, refused) = ("enrollmentmethod/theirs", Some("ReferenceNotPermitted"));
            theirs.wait_condition_is(object, "ResolvedRefs", "False", refused, LIMIT)?;
            theirs.wait_condition_is(object, "Ready", "False", None, LIMIT)?;

            let route = Route::to(namespace.cluster(), &kubectl, "service/enroll", 443)?;
            let root: Value = kubectl.get("certificateauthority/root")?;
            workspace.write("root.pem", text(&root, "/status/certificate"))?;
            let host = format!("enroll.{}.svc", namespace.name());
            let url = format!("https://{host}/.well-known/est/{}.theirs/cacerts", tenant.name());
            let ask = |status| {
                let request = Request::get(&url).ca(&workspace.file("root.pem"));
                request.option("--connect-to").option(&route.connect_to()).send()?.expect(status)
            };
            ask(404)?;

            let grant = |namespaces: &[&str]| json!({ "spec": { "grants": { "attach": { "namespaces": namespaces } } } });
            kubectl.patch("certificateprofile/device", &grant(&[tenant.name()]))?;
            theirs.wait_condition(object, "Ready", LIMIT)?;
            ask(200)?;

            kubectl.patch("certificateprofile/device", &grant(&[]))?;
            theirs.wait_condition_is(object, "ResolvedRefs", "False", refused, LIMIT)?;
            kubectl.wait_condition("certificateprofile/device", "Programmed", LIMIT)?;
            ask(404).map(drop)
        })
    })
}

/// Of a manifest.
fn generation(secret: &Value) -> Result<u64> {
    let data = secret_data(secret)?;
    let manifest = data.get("manifest.json").context("there is no manifest in the Secret")?;
    let manifest: Value = serde_json::from_slice(manifest)?;
    manifest.get("generation").and_then(Value::as_u64).context("the manifest has no generation")
}
