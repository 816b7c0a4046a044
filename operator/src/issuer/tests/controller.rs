//! The controller against an API in memory: each request asked for once, within bounds, and told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use client::internal::{
    IssueOutcome, IssueRequest, Loaded, RefusalCause, Renewals, RenewalsRequest, RevokeOutcome,
    RevokeRequest, Usage,
};
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, runtime::wait::await_condition};
use tokio::{sync::watch, task::JoinHandle};

use super::scene::{condition, context, issuers, ready, request, server, shop, with};
use crate::{
    issuer::{
        cert_manager::CertificateRequest,
        controller,
        issuers::{IssuerState, Issuers},
    },
    servers::{CallError, MemoryServers, Replica, ServerApi},
    testing::FakeApi,
};

/// Far more than any of this takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// A controller that ends with the test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn run(
    api: &FakeApi,
    servers: &Arc<impl ServerApi + 'static>,
    issuers: &watch::Sender<Arc<Issuers>>,
) -> Running {
    let context = context(api, servers.clone());
    let (requests, issuers) = (Api::<CertificateRequest>::all(context.client.clone()), issuers.subscribe());
    Running(tokio::spawn(async move {
        controller::run(context, requests, issuers).await;
    }))
}

fn there(
    states: impl IntoIterator<Item = (crate::issuer::issuers::IssuerKey, IssuerState)>,
) -> watch::Sender<Arc<Issuers>> {
    watch::channel(Arc::new(issuers(states))).0
}

fn named(name: &str) -> CertificateRequest {
    let mut request = request();
    request.metadata.name = Some(name.to_owned());
    request.metadata.uid = Some(format!("uid-of-{name}"));
    request
}

/// Waits until the condition Ready of a request has this reason.
async fn until(api: &FakeApi, name: &str, reason: &str) -> CertificateRequest {
    let requests = Api::<CertificateRequest>::namespaced(api.client(), "team-a");
    let said = |found: Option<&CertificateRequest>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.and_then(|status| status.condition("Ready")).is_some_and(|ready| ready.reason == reason)
    };
    tokio::time::timeout(DEADLINE, await_condition(requests, name, said))
        .await
        .unwrap_or_else(|_| panic!("{name} never became {reason}"))
        .unwrap()
        .unwrap()
}

fn chain_of(request: &IssueRequest) -> IssueOutcome {
    IssueOutcome::Issued { chain: vec![request.uid.clone().into_bytes(), vec![2]], root: vec![3] }
}

fn status_writes(api: &FakeApi) -> usize {
    api.writes().iter().filter(|call| call.path.ends_with("/status")).count()
}

#[tokio::test]
async fn a_request_is_issued_and_told_once() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, request| Ok(chain_of(request)));
    api.put(&named("a"));
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    let told = until(&api, "a", "Issued").await;
    // Approval is another manager's, and stays.
    assert!(told.status.as_ref().unwrap().is_true("Approved"));
    assert!(told.status.as_ref().unwrap().is_true("Ready"));
    assert_eq!(servers.issue_requests().len(), 1);
    assert_eq!(status_writes(&api), 1);
    let patched = api.writes().into_iter().find(|call| call.path.ends_with("/status")).unwrap();
    assert!(patched.query.contains("fieldManager=chancery-operator%2Fstatus"), "{}", patched.query);
}

#[tokio::test]
async fn requests_of_others_are_never_written() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, request| Ok(chain_of(request)));
    for (name, group, kind) in [("x", "cert-manager.io", "Issuer"), ("y", "other.example", "ChanceryIssuer")]
    {
        let mut foreign = named(name);
        foreign.spec.issuer_ref.group = Some(group.into());
        foreign.spec.issuer_ref.kind = Some(kind.into());
        api.put(&foreign);
    }
    let mut denied = with(named("z"), vec![condition("Denied", "True", "", "")]);
    denied.spec.issuer_ref.group = Some("cert-manager.io".into());
    api.put(&denied);
    api.put(&named("ours"));
    api.forget_calls();
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    until(&api, "ours", "Issued").await;
    // What came later in the list would have been looked at by now: asked about or not, nothing of it is written.
    let foreign: Vec<_> = api
        .writes()
        .into_iter()
        .filter(|call| !call.path.contains("ours") && !call.path.contains("events"))
        .collect();
    assert_eq!(foreign, []);
    assert_eq!(servers.issue_requests().len(), 1);
}

#[tokio::test]
async fn an_operator_that_dies_before_it_tells_asks_for_the_same_again() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, request| Ok(chain_of(request)));
    let issuers = there([(shop(), ready())]);
    api.put(&named("a"));
    api.refuse("PATCH", "/status", 500, "InternalError", usize::MAX);
    let first = run(&api, &servers, &issuers);
    tokio::time::timeout(DEADLINE, async {
        while status_writes(&api) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    drop(first);
    let asked_before = servers.issue_requests();
    let fresh = FakeApi::new();
    fresh.put(&named("a"));
    let _second = run(&fresh, &servers, &issuers);
    until(&fresh, "a", "Issued").await;
    let asked = servers.issue_requests();
    assert!(asked.len() > asked_before.len() && !asked_before.is_empty());
    assert!(asked.iter().all(|(_, request)| *request == asked[0].1), "{asked:?}");
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_written_later() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, request| Ok(chain_of(request)));
    api.put(&named("a"));
    api.refuse("PATCH", "/status", 500, "InternalError", 1);
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    until(&api, "a", "Issued").await;
    let asked = servers.issue_requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn a_request_wakes_when_its_issuer_appears_and_when_its_server_comes_back() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    let issuers = there([]);
    api.put(&named("a"));
    let _running = run(&api, &servers, &issuers);
    until(&api, "a", "Pending").await;
    assert_eq!(servers.issue_requests(), []);

    // It appears, and no replica answers: pending still, with another message.
    issuers.send_modify(|known| *known = Arc::new(known.updated([(shop(), ready())].into()).unwrap()));
    let requests = Api::<CertificateRequest>::namespaced(api.client(), "team-a");
    let waits = |found: Option<&CertificateRequest>| {
        let status = found.and_then(|found| found.status.as_ref());
        status
            .and_then(|status| status.condition("Ready"))
            .is_some_and(|ready| ready.message.starts_with("no replica"))
    };
    tokio::time::timeout(DEADLINE, await_condition(requests, "a", waits)).await.unwrap().unwrap();

    // A replica more ends the wait at once.
    servers.issues_by(|_, request| Ok(chain_of(request)));
    let more = IssuerState::Ready { server: server(), replicas: 2 };
    issuers.send_modify(|known| *known = Arc::new(known.updated([(shop(), more)].into()).unwrap()));
    until(&api, "a", "Issued").await;
}

#[tokio::test]
async fn writing_pending_does_not_end_the_wait() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, _| Ok(IssueOutcome::Pending { request: "07".into(), retry_after_seconds: 600 }));
    api.put(&named("a"));
    api.put(&named("b"));
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    until(&api, "a", "Pending").await;
    until(&api, "b", "Pending").await;
    // Their own statuses have come back by the watch once this one is served after them.
    servers.issues_by(|_, request| Ok(chain_of(request)));
    api.put(&named("c"));
    until(&api, "c", "Issued").await;
    assert_eq!(servers.issue_requests().len(), 3);
}

#[tokio::test]
async fn what_a_request_was_told_meanwhile_is_not_overwritten() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    let other = api.clone();
    servers.issues_by(move |_, _| {
        // Another leader was faster, and had another answer.
        let mut told = named("a");
        told.status.get_or_insert_default().conditions.push(condition("Ready", "True", "Issued", ""));
        other.put(&told);
        Ok(IssueOutcome::Refused { cause: RefusalCause::Policy, message: "keys: no".into() })
    });
    api.put(&named("a"));
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    tokio::time::timeout(DEADLINE, async {
        while status_writes(&api) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let told: CertificateRequest = api.get(Some("team-a"), "a").unwrap();
    assert_eq!(told.status.unwrap().condition("Ready").unwrap().reason, "Issued");
}

#[tokio::test]
async fn odd_base64_of_one_user_stops_nobody_else() {
    let (api, servers) = (FakeApi::new(), Arc::new(MemoryServers::default()));
    servers.issues_by(|_, request| Ok(chain_of(request)));
    let encoded = serde_json::to_value(named("a")).unwrap()["spec"]["request"].as_str().unwrap().to_owned();
    let wrapped = format!("{}\r\n{}", &encoded[..40], &encoded[40..]);
    // One octet in two characters leaves four bits, which Go does not look at.
    for (name, request) in [("trailing", "QR=="), ("none", "!"), ("wrapped", wrapped.as_str())] {
        let mut odd = serde_json::to_value(named(name)).unwrap();
        odd["spec"]["request"] = request.into();
        api.put_unchecked::<CertificateRequest>(odd);
    }
    api.put(&named("z"));
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    for (name, reason) in [("z", "Issued"), ("wrapped", "Issued"), ("trailing", "Failed"), ("none", "Failed")]
    {
        let told = until(&api, name, reason).await;
        assert_eq!(told.status.unwrap().is_true("InvalidRequest"), reason == "Failed", "{name}");
    }
}

/// Answers when told to, and counts how many are asked at once.
#[derive(Debug, Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    asked: std::sync::Mutex<BTreeMap<String, usize>>,
}

#[async_trait]
impl ServerApi for Counting {
    async fn loaded(&self, _: &Replica) -> Result<Loaded, CallError> {
        Ok(Loaded::default())
    }

    async fn usage(&self, _: &Replica) -> Result<Usage, CallError> {
        Ok(Usage::default())
    }

    async fn issue(&self, _: &ResourceName, request: &IssueRequest) -> Result<IssueOutcome, CallError> {
        *self.asked.lock().unwrap().entry(request.uid.clone()).or_default() += 1;
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(chain_of(request))
    }

    async fn revoke(&self, server: &ResourceName, _: &RevokeRequest) -> Result<RevokeOutcome, CallError> {
        Err(CallError::NoReplica(server.clone()))
    }

    async fn renewals(&self, _: &ResourceName, _: &RenewalsRequest) -> Result<Renewals, CallError> {
        Ok(Renewals::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_are_served_a_few_at_a_time_and_each_once() {
    const REQUESTS: usize = 1_000;
    let (api, servers) = (FakeApi::new(), Arc::new(Counting::default()));
    for index in 0..REQUESTS {
        api.put(&named(&format!("r{index}")));
    }
    // Something else of the same cluster, to see that only requests are looked at.
    let mut secret = Secret::default();
    secret.metadata.name = Some("s".into());
    secret.metadata.namespace = Some("team-a".into());
    secret.data = Some([("k".to_owned(), ByteString(vec![1]))].into());
    api.put(&secret);
    api.forget_calls();
    let _running = run(&api, &servers, &there([(shop(), ready())]));
    for index in 0..REQUESTS {
        until(&api, &format!("r{index}"), "Issued").await;
    }
    let asked = servers.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), REQUESTS);
    assert!(asked.values().all(|times| *times == 1));
    let most = servers.most.load(Ordering::SeqCst);
    assert!((2..=32).contains(&most), "{most} at once");
    assert_eq!(status_writes(&api), REQUESTS);
    assert!(api.calls().iter().all(|call| !call.path.contains("secrets")));
}
