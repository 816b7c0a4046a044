//! The chart, `examples/cluster`, and what comes of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Cluster, Helm, Kubectl, Route};
use chancery_tests::curl::Request;
use chancery_tests::openssl::{self, Csr, CsrOptions};
use chancery_tests::plain_http;
use chancery_tests::{Workspace, program};
use serde_json::Value;

use crate::empty::from_empty;
use crate::office::READY;

const LIMIT: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_chart_and_the_example_are_all_that_it_takes() -> Result<()> {
    from_empty(|cluster| {
        let helm = Helm::chancery();
        helm.upgrade_or_install(&Helm::image_values(cluster)?, READY)?;
        let kubectl = cluster.kubectl();
        kubectl.in_namespace("chancery-server").wait_condition("enrollmentserver/server", "Ready", READY)?;

        kubectl.apply_path(&repository().join("examples/cluster"))?;
        everything_is_ready(&kubectl)?;
        a_certificate_of_cert_manager_verifies(&kubectl)?;
        a_device_enrols_through_the_load_balancer_and_again(cluster, &kubectl)?;
        what_the_notes_say_can_be_pasted(&helm, &kubectl)?;
        nothing_was_forbidden_and_every_metric_is_there(cluster)
    })
}

fn everything_is_ready(kubectl: &Kubectl) -> Result<()> {
    for (namespace, object) in [
        ("enrollment", "certificateauthority/root"),
        ("enrollment", "certificateauthority/issuing"),
        ("enrollment", "enrollmentserver/enroll"),
        ("enrollment", "certificateprofile/device"),
        ("enrollment", "certificateprofile/service"),
        ("enrollment", "enrollmentmethod/devices"),
        ("enrollment", "enrollmentcredential/factory"),
        ("enrollment", "chanceryclusterissuer/services"),
        ("shop", "chanceryissuer/services"),
        ("shop", "certificate/web"),
    ] {
        kubectl.in_namespace(namespace).wait_condition(object, "Ready", READY)?;
    }
    Ok(())
}

fn a_certificate_of_cert_manager_verifies(kubectl: &Kubectl) -> Result<()> {
    let workspace = Workspace::new()?;
    let secret = kubectl.in_namespace("shop").secret("web-tls")?;
    let part = |key: &str| secret.get(key).with_context(|| format!("the Secret has no {key}"));
    let (chain, key) =
        (workspace.write("web.pem", part("tls.crt")?)?, workspace.write("web.key", part("tls.key")?)?);
    let root = workspace.write("root.pem", part("ca.crt")?)?;
    // The chain holds the intermediate; the root comes from where nobody but the operator writes.
    let bundle: Value = kubectl.in_namespace("shop").get("configmap/example-root")?;
    let bundle =
        workspace.write("bundle.pem", bundle["data"]["ca.crt"].as_str().context("an empty bundle")?)?;
    let [chain_path, root_path] = [&chain, &root].map(|path| path.to_string_lossy().into_owned());
    for anchor in [root_path, bundle.to_string_lossy().into_owned()] {
        let words = [
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            &anchor,
            "-untrusted",
            &chain_path,
            &chain_path,
        ];
        openssl::openssl(&words, None)?;
    }
    ensure!(openssl::is_for_key(&chain, &key)?, "the certificate is for another key");
    Ok(())
}

/// As docs/devices.md says it.
fn a_device_enrols_through_the_load_balancer_and_again(cluster: &Cluster, kubectl: &Kubectl) -> Result<()> {
    let (kubectl, workspace) = (kubectl.in_namespace("enrollment"), Workspace::new()?);
    let route = Route::through_load_balancer(cluster, &kubectl, "enroll", 443, LIMIT)?;
    let root: Value = kubectl.get("certificateauthority/root")?;
    let root = root["status"]["certificate"].as_str().context("the root has no certificate")?.to_owned();
    let root = workspace.write("root.pem", root)?;
    let password = kubectl.secret("factory")?.remove("password").context("no password")?;
    let password = String::from_utf8(password)?;
    let url = |operation: &str| format!("https://enroll.example.com/.well-known/est/devices/{operation}");
    let request = |operation: &str, body: Vec<u8>| {
        Request::post(&url(operation), body).ca(&root).option("--connect-to").option(&route.connect_to())
    };

    let base64 = |csr: &Csr| openssl::base64_lines(&csr.der);
    let csr = CsrOptions::new("/CN=device-1.example.com").make(&workspace, "first")?;
    let answer = request("simpleenroll", base64(&csr)?).user("factory", &password).send()?.expect(200)?;
    let first = workspace.write("first.pem", openssl::certificates_of_answer(&answer.body)?)?;
    ensure!(openssl::is_for_key(&first, &csr.key)?, "the certificate is for another key");
    let again = CsrOptions::new("/CN=device-1.example.com").make(&workspace, "again")?;
    let answer =
        request("simplereenroll", base64(&again)?).certificate(&first, &csr.key).send()?.expect(200)?;
    let second = workspace.write("second.pem", openssl::certificates_of_answer(&answer.body)?)?;
    ensure!(openssl::serial(&first)? != openssl::serial(&second)?, "it is the same certificate");
    let refused = request("simpleenroll", base64(&csr)?).user("factory", "wrong").send()?;
    ensure!(refused.status == 401, "a wrong password is answered {}", refused.status);
    Ok(())
}

fn what_the_notes_say_can_be_pasted(helm: &Helm, kubectl: &Kubectl) -> Result<()> {
    let notes = helm.run(&["get", "notes", "chancery"], None)?;
    let (_, rest) = notes.split_once("<<'YAML'\n").context("the notes hold no YAML")?;
    let (yaml, _) = rest.split_once("\n  YAML\n").context("the notes do not end the YAML")?;
    let yaml: String =
        yaml.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    kubectl.apply(&yaml)?;
    kubectl.in_namespace("default").wait_condition("certificate/shop", "Ready", READY)?;
    kubectl.succeed(&["delete", "--filename=-"], Some(yaml.as_bytes()))?;
    kubectl.in_namespace("default").delete("secret/shop-tls", LIMIT)
}

/// The role of the chart is enough, and what rules and dashboard ask for is counted by what runs.
fn nothing_was_forbidden_and_every_metric_is_there(cluster: &Cluster) -> Result<()> {
    let operator = cluster.kubectl().in_namespace("chancery-system");
    let server = cluster.kubectl().in_namespace("enrollment");
    let mut text = String::new();
    for (kubectl, selector) in
        [(operator, "app.kubernetes.io/component=operator"), (server, "chancery.dev/server=enroll")]
    {
        for pod in kubectl.list("pods", selector)? {
            let object = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap_or_default());
            let route = Route::to(cluster, &kubectl, &object, 8081)?;
            text.push_str(&plain_http::get(&format!("http://{}/metrics", route.address()))?.text());
        }
    }
    let forbidden: Vec<&str> = text.lines().filter(|line| line.contains(r#"outcome="Forbidden""#)).collect();
    ensure!(forbidden.is_empty(), "{forbidden:?}");
    let counted: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for name in named()? {
        // Nothing has gone wrong here that these count.
        if ["chancery_throttled_total"].contains(&name.as_str()) {
            continue;
        }
        ensure!(
            counted.contains(name.as_str()),
            "{name} is on the dashboard or in a rule, and nothing counts it"
        );
    }
    Ok(())
}

/// The metrics of ours that the dashboard and the rules name.
fn named() -> Result<BTreeSet<String>> {
    let chart = repository().join("charts/chancery");
    let dashboard = std::fs::read_to_string(chart.join("dashboards/chancery.json"))?;
    let rules = std::fs::read_to_string(chart.join("templates/prometheusrule.yaml"))?;
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("chancery_")).map(ToOwned::to_owned).collect()
    };
    let named: BTreeSet<String> = words(&dashboard).into_iter().chain(words(&rules)).collect();
    ensure!(named.len() > 15, "{named:?}");
    Ok(named)
}

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn an_upgrade_brings_resource_definitions_up_to_date() -> Result<()> {
    from_empty(|cluster| {
        let (helm, kubectl) = (Helm::chancery(), cluster.kubectl());
        helm.upgrade_or_install(&cluster.chancery_values()?, READY)?;
        // As another release could have had it.
        let patch = r#"[{"op": "replace", "path": "/spec/names/shortNames", "value": ["former"]}]"#;
        let definition = "crd/chanceryissuers.chancery.dev";
        kubectl.succeed(&["patch", definition, "--type=json", "--patch", patch], None)?;
        helm.upgrade_or_install(&cluster.chancery_values()?, READY)?;
        let found: Value = kubectl.get(definition)?;
        ensure!(
            found["spec"]["names"]["shortNames"] == serde_json::json!(["cissuer"]),
            "{}",
            found["spec"]["names"]
        );
        // The job's right to do so is gone with it.
        let names = kubectl.list("clusterroles", "app.kubernetes.io/instance=chancery")?;
        let left: Vec<_> = names.iter().filter(|role| role["metadata"]["name"] == "chancery-crds").collect();
        ensure!(left.is_empty(), "the role of the upgrade job is still there");
        let answer = program::run("kubectl", &["get", "cissuer", "--all-namespaces"], None)?;
        ensure!(answer.status.success(), "{}", program::printed(&answer));
        Ok(())
    })
}
