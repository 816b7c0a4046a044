//! Many CertificateRequests of cert-manager at once.
//!
//! They are made and approved while their issuer does not exist. The operator knows them all when the issuer comes, so that
//! what is measured is the operator and the server, and not how fast requests are made and approved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Cluster, Kubectl, condition};
use chancery_tests::openssl::{self, CsrOptions};
use chancery_tests::program;
use chancery_tests::server::wait_until;
use serde::Serialize;
use serde_json::{Value, json};

use super::pods::{Pod, value};
use super::run_id;
use super::watch::{Watch, text};

/// cert-manager approves some 20 a second.
const LIMIT: Duration = Duration::from_secs(900);

/// The namespace that the example's profile `service` grants.
const NAMESPACE: &str = "shop";

/// So many a call of kubectl: above 300 it slows itself down.
const CHUNK: u32 = 250;

/// Metric of requests that were looked at, by what became of them.
const REQUESTS: &str = "chancery_operator_requests_total";

/// What came of it. CPU and memory only where the processes run on this machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Burst {
    pub(super) requests: u32,
    /// From the API server's answer to the issuer until the first request, and until all, were seen issued.
    pub(super) first_seconds: f64,
    pub(super) all_seconds: f64,
    /// Between the first and the last.
    pub(super) per_second: f64,
    /// Calls of the API server per request, by method.
    pub(super) api_calls: BTreeMap<String, f64>,
    pub(super) operator_cpu_ms: Option<f64>,
    pub(super) operator_peak_mib: Option<f64>,
    pub(super) server_cpu_ms: Option<f64>,
    pub(super) server_peak_mib: Option<f64>,
    /// Certificates of this issuer in the server's store.
    pub(super) stored: usize,
    /// Requests that have more than one there, or none.
    pub(super) not_once: usize,
}

/// Makes requests and then their issuer, waits until all are issued, and looks into the server's store.
pub(super) fn measure(cluster: &Cluster, workspace: &Workspace, requests: u32) -> Result<Burst> {
    let kubectl = cluster.kubectl().in_namespace(NAMESPACE);
    let selector = format!("--selector=bench={}", run_id());
    let measured = burst(&kubectl, workspace, requests, &selector);
    let removed = kubectl
        .succeed(&["delete", "certificaterequests,chanceryissuers", &selector, "--wait=false"], None)
        .map(drop);
    let burst = measured?;
    removed?;
    ensure!(
        burst.not_once == 0 && u32::try_from(burst.stored).ok() == Some(requests),
        "{requests} requests and {} certificates; {} requests have not exactly one",
        burst.stored,
        burst.not_once
    );
    Ok(burst)
}

fn burst(kubectl: &Kubectl, workspace: &Workspace, requests: u32, selector: &str) -> Result<Burst> {
    let watch = Watch::start(kubectl, "certificaterequests", selector)?;
    create(kubectl, workspace, requests)?;
    eprintln!("{requests} requests are made; waiting until they are approved");
    every(&watch, requests, "approval of all requests", |request| {
        is_true(request, "Approved") && is(request, "Ready", "False", "Pending")
    })?;
    let (operator, server) = (Pod::leader()?, server()?);
    let (calls, counted) = (operator.api_calls()?, issued(&operator)?);
    for pod in [&operator, &server] {
        pod.forget_peak()?;
    }
    let before = [operator.cpu()?, server.cpu()?];
    kubectl.apply(&issuer().to_string())?;
    let begun = Instant::now();
    let (first, last) =
        every(&watch, requests, "a certificate for all requests", |request| is_true(request, "Ready"))?;
    let after = [operator.cpu()?, server.cpu()?];
    let peaks = [operator.peak_mib()?, server.peak_mib()?];

    wait_until("the operator's count", LIMIT, || Ok(issued(&operator)? - counted >= f64::from(requests)))?;
    let rows = rows(&server)?;
    let per_request = |value: f64| value / f64::from(requests);
    let cpu = |pod: usize| -> Option<f64> {
        let spent = after.get(pod).copied()??.checked_sub(before.get(pod).copied()??)?;
        Some(per_request(spent.as_secs_f64() * 1000.0))
    };
    let api_calls = operator.api_calls()?.into_iter().map(|(method, count)| {
        let before = calls.get(&method).copied().unwrap_or_default();
        (method, per_request(count - before))
    });
    let names: BTreeSet<String> = (0..requests).map(|n| requester(&name(n))).collect();
    let not_once = names.iter().filter(|name| rows.get(*name) != Some(&1)).count();
    Ok(Burst {
        requests,
        first_seconds: first.duration_since(begun).as_secs_f64(),
        all_seconds: last.duration_since(begun).as_secs_f64(),
        per_second: f64::from(requests) / last.duration_since(first).as_secs_f64(),
        api_calls: api_calls.collect(),
        operator_cpu_ms: cpu(0),
        operator_peak_mib: peaks.first().copied().flatten(),
        server_cpu_ms: cpu(1),
        server_peak_mib: peaks.get(1).copied().flatten(),
        stored: rows.values().sum(),
        not_once,
    })
}

/// All with one key: that saves a thousand calls of openssl, and costs the server what others would.
fn create(kubectl: &Kubectl, workspace: &Workspace, requests: u32) -> Result<()> {
    let names = ["subjectAltName=DNS:burst.shop.example.com"];
    let csr = CsrOptions::new("/").extensions(&names).make(workspace, "burst")?;
    let pem = String::from_utf8(openssl::base64_line(&std::fs::read(&csr.pem)?)?)?;
    let all: Vec<String> = (0..requests).map(|n| request(&name(n), pem.trim()).to_string()).collect();
    for chunk in all.chunks(usize::try_from(CHUNK)?) {
        let arguments = ["create", "--validate=false", "--filename=-"];
        kubectl.succeed(&arguments, Some(chunk.join("\n---\n").as_bytes()))?;
    }
    Ok(())
}

/// Waits until every request was seen to fulfil a condition; when the first and the last did.
fn every(
    watch: &Watch,
    requests: u32,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Result<(Instant, Instant)> {
    let (mut first, mut seen) = (None, BTreeSet::new());
    let wanted = usize::try_from(requests)?;
    let last = watch.until(what, LIMIT, |when, request| {
        if holds(request) {
            first.get_or_insert(when);
            seen.insert(text(request, "/metadata/name").to_owned());
        }
        seen.len() == wanted
    })?;
    Ok((first.context("no request")?, last))
}

/// How many certificates the server has for whom, of those that this issuer's requests asked for.
fn rows(server: &Pod) -> Result<BTreeMap<String, usize>> {
    let method = format!("--method={NAMESPACE}/issuer:{}", run_id());
    let list = [
        "/usr/bin/chancery-server",
        "certificates",
        "list",
        "--data=/var/lib/chancery",
        "--sealing-key-file=/etc/chancery/sealing/keys",
        "--format=json",
        &method,
    ];
    let answer =
        Kubectl::default().in_namespace("enrollment").exec(&format!("pod/{}", server.name), &list)?;
    ensure!(answer.status.success(), "the list failed: {}", program::printed(&answer));
    let list: Vec<Value> = serde_json::from_slice(&answer.stdout).context("the list is no JSON")?;
    let mut rows = BTreeMap::new();
    for row in &list {
        *rows.entry(text(row, "/requester").to_owned()).or_default() += 1;
    }
    Ok(rows)
}

fn server() -> Result<Pod> {
    let kubectl = Kubectl::default().in_namespace("enrollment");
    Pod::all(&kubectl, "chancery.dev/server=enroll")?.pop().context("the server has no pod")
}

/// What the operator has counted.
fn issued(operator: &Pod) -> Result<f64> {
    let labels = [("kind", "CertificateRequest"), ("outcome", "Issued")];
    Ok(value(&operator.metrics()?, REQUESTS, &labels))
}

fn is_true(request: &Value, kind: &str) -> bool {
    condition(request, kind).is_some_and(|found| text(found, "/status") == "True")
}

fn is(request: &Value, kind: &str, status: &str, reason: &str) -> bool {
    let fits = |found: &Value| text(found, "/status") == status && text(found, "/reason") == reason;
    condition(request, kind).is_some_and(fits)
}

fn name(number: u32) -> String {
    format!("{}-{number}", run_id())
}

/// As the operator names it to servers.
fn requester(name: &str) -> String {
    format!("CertificateRequest {NAMESPACE}/{name}")
}

fn request(name: &str, pem: &str) -> Value {
    json!({
        "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
        "metadata": {"name": name, "labels": {"bench": run_id()}},
        "spec": {
            "request": pem, "usages": ["digital signature", "server auth"],
            "issuerRef": {"group": "chancery.dev", "kind": "ChanceryIssuer", "name": run_id()},
        },
    })
}

fn issuer() -> Value {
    json!({
        "apiVersion": "chancery.dev/v1alpha1", "kind": "ChanceryIssuer",
        "metadata": {"name": run_id(), "labels": {"bench": run_id()}},
        "spec": {"profileRef": {"name": "service", "namespace": "enrollment"}},
    })
}
