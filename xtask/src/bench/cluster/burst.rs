//! Many CertificateRequests of cert-manager.
//!
//! | | the issuer comes | what is measured |
//! | --- | --- | --- |
//! | at once | when all requests are made and approved | operator and server, and not how fast requests are made and approved |
//! | as they come | first | what a request costs and waits in everyday use; cert-manager sets the pace |

use std::collections::BTreeMap;
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

const SERVER_NAMESPACE: &str = "enrollment";

/// So many a call of kubectl: above 300 it slows itself down.
const CHUNK: usize = 250;

/// Metric of requests that were looked at, by what became of them.
const REQUESTS: &str = "chancery_operator_requests_total";

/// When the issuer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AtOnce,
    AsTheyCome,
}

/// What came of it. CPU and memory only where the processes run on this machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Burst {
    pub(super) requests: u32,
    /// From the API server's answer to the issuer (at once) or the first approval (as they come) until the first request, and
    /// until all, were seen issued.
    pub(super) first_seconds: f64,
    pub(super) all_seconds: f64,
    /// Between the first and the last.
    pub(super) per_second: f64,
    /// From approval to certificate, of each, as a watch saw both. Not where the issuer came last.
    pub(super) waited_ms: Vec<f64>,
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

/// Both orders.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bursts {
    pub(super) at_once: Burst,
    pub(super) as_they_come: Burst,
}

/// Requests of one issuer, all of its name and a number.
struct Batch {
    kubectl: Kubectl,
    id: String,
    requests: u32,
    watch: Watch,
}

/// When what was seen.
struct Course {
    begun: Instant,
    first: Instant,
    last: Instant,
    waited_ms: Vec<f64>,
}

/// Makes requests and their issuer, waits until all are issued, and looks into the server's store.
pub(super) fn measure(cluster: &Cluster, workspace: &Workspace, requests: u32) -> Result<Bursts> {
    let kubectl = cluster.kubectl().in_namespace(NAMESPACE);
    let csr = csr(workspace)?;
    let one = |order: Order| {
        let batch = Batch::new(&kubectl, order, requests)?;
        let measured = batch.measure(order, &csr);
        let removed = batch.remove();
        let burst = measured?;
        ensure!(
            burst.not_once == 0 && u32::try_from(burst.stored).ok() == Some(requests),
            "{requests} requests and {} certificates; {} requests have not exactly one",
            burst.stored,
            burst.not_once
        );
        removed.map(|()| burst)
    };
    Ok(Bursts { at_once: one(Order::AtOnce)?, as_they_come: one(Order::AsTheyCome)? })
}

impl Batch {
    fn new(kubectl: &Kubectl, order: Order, requests: u32) -> Result<Self> {
        let suffix = match order {
            Order::AtOnce => "a",
            Order::AsTheyCome => "b",
        };
        let id = format!("{}-{suffix}", run_id());
        let watch = Watch::start(kubectl, "certificaterequests", &format!("--selector=bench={id}"))?;
        Ok(Self { kubectl: kubectl.clone(), id, requests, watch })
    }

    fn measure(&self, order: Order, csr: &str) -> Result<Burst> {
        let (operator, server) = (Pod::leader()?, server()?);
        match order {
            Order::AtOnce => self.create_and_wait_for_approval(csr)?,
            Order::AsTheyCome => {
                self.kubectl.apply(&self.issuer().to_string())?;
                self.kubectl.wait_condition(&format!("chanceryissuer/{}", self.id), "Ready", LIMIT)?;
            }
        }
        let (calls, counted) = (operator.api_calls()?, issued(&operator)?);
        operator.forget_peak()?;
        server.forget_peak()?;
        let before = [operator.cpu()?, server.cpu()?];
        let course = self.course(order, csr)?;
        let after = [operator.cpu()?, server.cpu()?];
        let peaks = [operator.peak_mib()?, server.peak_mib()?];

        let all = f64::from(self.requests);
        // The operator counts before it writes the event: those of the last few may be missing among its calls.
        wait_until("the operator's count", LIMIT, || Ok(issued(&operator)? - counted >= all))?;
        let (rows, counts) = (self.rows(&server)?, operator.api_calls()?);
        let api_calls = counts.into_iter().map(|(method, count)| {
            let before = calls.get(&method).copied().unwrap_or_default();
            (method, (count - before) / all)
        });
        let [operator_cpu_ms, server_cpu_ms] = [0, 1].map(|pod| {
            let spent = after.get(pod).copied()??.checked_sub(before.get(pod).copied()??)?;
            Some(spent.as_secs_f64() * 1000.0 / all)
        });
        let [operator_peak_mib, server_peak_mib] = peaks;
        let names = (0..self.requests).map(|number| self.requester(number));
        Ok(Burst {
            requests: self.requests,
            first_seconds: course.first.saturating_duration_since(course.begun).as_secs_f64(),
            all_seconds: course.last.saturating_duration_since(course.begun).as_secs_f64(),
            per_second: all / course.last.saturating_duration_since(course.first).as_secs_f64(),
            waited_ms: course.waited_ms,
            api_calls: api_calls.collect(),
            operator_cpu_ms,
            operator_peak_mib,
            server_cpu_ms,
            server_peak_mib,
            stored: rows.values().sum(),
            not_once: names.filter(|name| rows.get(name) != Some(&1)).count(),
        })
    }

    fn create_and_wait_for_approval(&self, csr: &str) -> Result<()> {
        self.create(csr)?;
        eprintln!("{} requests are made; waiting until they are approved", self.requests);
        let seen = self.every("approval of all requests", |_, request| {
            is_true(request, "Approved") && is(request, "Ready", "False", "Pending")
        });
        seen.map(drop)
    }

    /// Makes what is missing, the issuer or the requests, and returns when all are issued.
    fn course(&self, order: Order, csr: &str) -> Result<Course> {
        let mut begun = None;
        match order {
            Order::AtOnce => {
                self.kubectl.apply(&self.issuer().to_string())?;
                begun = Some(Instant::now());
            }
            Order::AsTheyCome => self.create(csr)?,
        }
        let mut approved = BTreeMap::new();
        let issued = self.every("a certificate for all requests", |when, request| {
            if order == Order::AsTheyCome && is_true(request, "Approved") {
                // The first event that says so is the one that counts.
                approved.entry(text(request, "/metadata/name").to_owned()).or_insert(when);
            }
            is_true(request, "Ready")
        })?;
        let waited = |(name, issued): (&String, &Instant)| {
            let approved = approved.get(name)?;
            Some(issued.saturating_duration_since(*approved).as_secs_f64() * 1000.0)
        };
        Ok(Course {
            begun: begun.or_else(|| approved.values().min().copied()).context("nothing was approved")?,
            first: issued.values().min().copied().context("nothing was issued")?,
            last: issued.values().max().copied().context("nothing was issued")?,
            waited_ms: issued.iter().filter_map(waited).collect(),
        })
    }

    fn create(&self, csr: &str) -> Result<()> {
        let all: Vec<String> =
            (0..self.requests).map(|number| self.request(number, csr).to_string()).collect();
        for chunk in all.chunks(CHUNK) {
            let arguments = ["create", "--validate=false", "--filename=-"];
            self.kubectl.succeed(&arguments, Some(chunk.join("\n---\n").as_bytes()))?;
        }
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        let selector = format!("--selector=bench={}", self.id);
        let arguments = ["delete", "certificaterequests,chanceryissuers", &selector, "--wait=false"];
        self.kubectl.succeed(&arguments, None).map(drop)
    }

    /// Waits until every request was seen to fulfil a condition; when each first did, by name.
    fn every(
        &self,
        what: &str,
        mut holds: impl FnMut(Instant, &Value) -> bool,
    ) -> Result<BTreeMap<String, Instant>> {
        let (mut seen, wanted) = (BTreeMap::new(), usize::try_from(self.requests)?);
        self.watch.until(what, LIMIT, |when, request| {
            if holds(when, request) {
                seen.entry(text(request, "/metadata/name").to_owned()).or_insert(when);
            }
            seen.len() == wanted
        })?;
        Ok(seen)
    }

    /// How many certificates the server has for whom, of those that these requests asked for.
    fn rows(&self, server: &Pod) -> Result<BTreeMap<String, usize>> {
        let method = format!("--method={NAMESPACE}/issuer:{}", self.id);
        let list = [
            "/usr/bin/chancery-server",
            "certificates",
            "list",
            "--data=/var/lib/chancery",
            "--sealing-key-file=/etc/chancery/sealing/keys",
            "--format=json",
            &method,
        ];
        let kubectl = self.kubectl.in_namespace(SERVER_NAMESPACE);
        let answer = kubectl.exec(&format!("pod/{}", server.name), &list)?;
        ensure!(answer.status.success(), "the list failed: {}", program::printed(&answer));
        let list: Vec<Value> = serde_json::from_slice(&answer.stdout).context("the list is no JSON")?;
        let mut rows = BTreeMap::new();
        for row in &list {
            *rows.entry(text(row, "/requester").to_owned()).or_default() += 1;
        }
        Ok(rows)
    }

    fn name(&self, number: u32) -> String {
        format!("{}-{number}", self.id)
    }

    /// As the operator names it to servers.
    fn requester(&self, number: u32) -> String {
        format!("CertificateRequest {NAMESPACE}/{}", self.name(number))
    }

    fn request(&self, number: u32, csr: &str) -> Value {
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
            "metadata": {"name": self.name(number), "labels": {"bench": self.id}},
            "spec": {
                "request": csr, "usages": ["digital signature", "server auth"],
                "issuerRef": {"group": "chancery.dev", "kind": "ChanceryIssuer", "name": self.id},
            },
        })
    }

    fn issuer(&self) -> Value {
        json!({
            "apiVersion": "chancery.dev/v1alpha1", "kind": "ChanceryIssuer",
            "metadata": {"name": self.id, "labels": {"bench": self.id}},
            "spec": {"profileRef": {"name": "service", "namespace": SERVER_NAMESPACE}},
        })
    }
}

/// PEM in base64, as requests hold it. All have one key: that saves a thousand calls of openssl, and costs the server what
/// others would.
fn csr(workspace: &Workspace) -> Result<String> {
    let names = ["subjectAltName=DNS:burst.shop.example.com"];
    let csr = CsrOptions::new("/").extensions(&names).make(workspace, "burst")?;
    let text = String::from_utf8(openssl::base64_line(&std::fs::read(&csr.pem)?)?)?;
    Ok(text.trim().to_owned())
}

fn server() -> Result<Pod> {
    let kubectl = Kubectl::default().in_namespace(SERVER_NAMESPACE);
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
