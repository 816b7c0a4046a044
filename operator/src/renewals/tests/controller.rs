//! Against servers and an API server in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use client::internal::{RenewalNews, Renewals};
use crds::{Kind, Resource};
use issuance::{
    identity::ResourceName,
    ports::{Clock as _, SystemClock},
};
use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use resolve::{
    Observed, Resources,
    parts::{Manifest, split},
    resolve,
};
use serde_json::{Value, json};

use super::{MINUTE, api, failed, renewed};
use crate::{
    context::{Context, Outlook, ServerOutlook},
    issuer::test_context,
    provision::credentials::Fulfilled,
    publish::Published,
    renewals::{
        controller::{Methods, look, methods},
        plan::EACH,
    },
    servers::{MemoryServers, Replica, ReplicaState},
    testing::FakeApi,
    workload::WorkloadState,
    world::World,
};

fn server() -> ResourceName {
    ResourceName::new("pki", "main")
}

fn known() -> Methods {
    let about = |name: &ResourceName| ObjectReference {
        kind: Some("EnrollmentMethod".into()),
        namespace: Some(name.namespace().into()),
        name: Some(name.name().into()),
        uid: Some("uid-1".into()),
        ..ObjectReference::default()
    };
    [api(), other()].into_iter().map(|name| (name.clone(), about(&name))).collect()
}

fn other() -> ResourceName {
    ResourceName::new("team-b", "other")
}

fn of_other(mut news: RenewalNews) -> RenewalNews {
    news.renewal.method = other().to_string();
    news
}

/// A server's rows, which go when they are told of.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<Vec<RenewalNews>>>);

impl Rows {
    fn put(&self, news: impl IntoIterator<Item = RenewalNews>) {
        self.0.lock().unwrap().extend(news);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// An operator that has just begun to lead, after the leases of the one before. It is given nothing twice.
    fn operator(&self, api: &FakeApi) -> Context {
        let (servers, rows, given) =
            (Arc::new(MemoryServers::default()), self.clone(), Mutex::new(BTreeSet::new()));
        servers.renews_by(move |_, request| {
            let (mut rows, mut given) = (rows.0.lock().unwrap(), given.lock().unwrap());
            rows.retain(|row| !request.told.contains(&row.id));
            let free = rows.iter().filter(|row| !given.contains(&row.id)).take(Renewals::MAX);
            let news: Vec<_> = free.cloned().collect();
            given.extend(news.iter().map(|row| row.id.clone()));
            Ok(Renewals { news })
        });
        test_context(api, servers)
    }
}

fn events(api: &FakeApi) -> Vec<Event> {
    api.all()
}

#[tokio::test]
async fn each_renewal_is_told_of_once_and_forgotten() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    rows.put([renewed(1, 5), failed(2, 6, "no")]);
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!((events(&api).len(), rows.count()), (2, 0));
    let event =
        events(&api).into_iter().find(|event| event.reason.as_deref() == Some("CertificateRenewed")).unwrap();
    assert_eq!((event.type_.as_deref(), event.action.as_deref()), (Some("Normal"), Some("Renew")));
    assert_eq!(event.regarding, known().remove(&super::api()));
    assert_eq!(event.metadata.namespace.as_deref(), Some("team-a"));
    assert_eq!(event.event_time.unwrap().0.as_second(), MINUTE + 5);
    assert_eq!(event.reporting_controller.as_deref(), Some("chancery-operator"));
    assert_eq!(event.reporting_instance.as_deref(), Some("operator-0"));
    api.forget_calls();
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!(api.writes(), []);
}

#[tokio::test]
async fn an_operator_that_dies_before_it_says_what_was_told_leaves_no_second_event() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    let all: Vec<_> = (0..EACH + 20).map(|number| renewed(number, 1)).collect();
    rows.put(all.clone());
    look(&rows.operator(&api), &server(), &known()).await;
    // As if the server had not heard it.
    rows.put(all);
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!((events(&api).len(), rows.count()), (EACH + 1, 0));
}

#[tokio::test]
async fn what_cannot_be_written_now_is_told_later_and_what_is_refused_holds_up_nothing() {
    for code in [403, 429, 500, 503] {
        let (api, rows) = (FakeApi::new(), Rows::default());
        rows.put([renewed(1, 0), renewed(2, 0)]);
        api.refuse("POST", "/events", code, "InternalError", 1);
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (0, 2), "{code}");
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (2, 0), "{code}");
    }
    for (code, reason) in [(403, "NamespaceTerminating"), (404, "NotFound"), (422, "Invalid")] {
        let (api, rows) = (FakeApi::new(), Rows::default());
        rows.put([renewed(1, 0), renewed(2, 0)]);
        api.refuse("POST", "/events", code, reason, 1);
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (1, 0), "{code}");
    }
}

#[tokio::test]
async fn a_namespace_that_takes_no_events_holds_up_no_other() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    // More than one answer holds, and the others behind them.
    rows.put((0..=Renewals::MAX).map(|number| renewed(number, 0)));
    rows.put([of_other(renewed(9000, 0)), of_other(failed(9001, 0, "no"))]);
    api.refuse("POST", "/namespaces/team-a/events", 500, "InternalError", usize::MAX);
    look(&rows.operator(&api), &server(), &known()).await;
    let told: BTreeSet<_> = events(&api).into_iter().map(|event| event.metadata.namespace.unwrap()).collect();
    assert_eq!((events(&api).len(), told), (2, BTreeSet::from(["team-b".to_owned()])));
    assert_eq!(rows.count(), Renewals::MAX + 1);
    // Each answer asked once.
    assert_eq!(api.writes().iter().filter(|call| call.path.contains("team-a")).count(), 2);
}

#[tokio::test]
async fn nothing_more_is_asked_of_an_api_server_that_does_not_answer() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    rows.put([renewed(1, 0), of_other(renewed(2, 0))]);
    api.stop();
    look(&rows.operator(&api), &server(), &known()).await;
    api.start();
    assert_eq!(rows.count(), 2);
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!((events(&api).len(), rows.count()), (2, 0));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_minute_makes_no_other_events_of_it() {
    for (skip, is_done) in [(3, false), (EACH, false), (EACH, true)] {
        let (api, rows) = (FakeApi::new(), Rows::default());
        rows.put((0..3 * EACH).map(|number| renewed(number, 0)));
        api.refuse_after("POST", "/events", skip, 504, is_done);
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!(rows.count(), 3 * EACH, "{skip} {is_done}");
        assert_eq!(events(&api).len(), skip + usize::from(is_done));
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (EACH + 1, 0), "{skip} {is_done}");
    }
}

#[tokio::test]
async fn a_server_says_nothing_of_methods_that_it_does_not_serve() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    for (number, method) in ["team-b/api", "team-a/other", "api", "", "a/b/c"].into_iter().enumerate() {
        let mut news = renewed(number, 0);
        news.renewal.method = method.into();
        rows.put([news]);
    }
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!((api.writes(), rows.count()), (Vec::new(), 0));
}

#[tokio::test]
async fn a_flood_makes_few_events() {
    let (api, rows) = (FakeApi::new(), Rows::default());
    rows.put((0..3 * Renewals::MAX).map(|number| renewed(number, 1)));
    look(&rows.operator(&api), &server(), &known()).await;
    assert_eq!((events(&api).len(), rows.count()), (3 * (EACH + 1), 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again_another_time() {
    let api = FakeApi::new();
    let servers = Arc::new(MemoryServers::default());
    look(&test_context(&api, servers), &server(), &known()).await;
    assert_eq!(api.writes(), []);
}

fn resource(kind: Kind, name: &str, spec: &Value) -> Resource {
    let document = json!({
        "apiVersion": "chancery.dev/v1alpha1", "kind": kind.as_str(),
        "metadata": { "name": name, "namespace": "pki", "uid": format!("uid-{name}") }, "spec": spec,
    });
    Resource::from_value(kind, document).unwrap()
}

fn a_server(name: &str) -> Resource {
    resource(Kind::EnrollmentServer, name, &json!({ "tls": {} }))
}

fn a_profile() -> Resource {
    resource(Kind::CertificateProfile, "lab", &json!({ "selfSigned": {}, "preset": "TLSServer" }))
}

fn a_method(name: &str, server: Option<&str>, profile: &str) -> Resource {
    let mut spec = json!({
        "profileRef": { "name": profile }, "rest": { "serverKeys": { "algorithm": "ECDSA-P256" } },
    });
    if let Some(server) = server {
        spec["serverRef"] = json!({ "name": server });
    }
    resource(Kind::EnrollmentMethod, name, &spec)
}

/// What a pass came to, with a replica of each server, as it publishes what is compiled of the resources that were there before.
fn outlook(before: &[Resource], now: &[Resource], is_ready: bool) -> Outlook {
    let resolution = |all: &[Resource], server: &ResourceName| {
        let mut resources: Resources = all.iter().cloned().collect();
        resources.cluster = Some(resolve::Cluster::default());
        resolve(&resources, &Observed::nothing(SystemClock.now()), Some(server))
    };
    let servers = now.iter().filter(|resource| resource.kind() == Kind::EnrollmentServer);
    let of_server = |server: &Resource| {
        let name = resolve::resource_name(server.meta());
        let address = [10, 0, 0, 1].into();
        let replica = Replica { server: name.clone(), pod: "pod-0".into(), uid: "pod".into(), address };
        let earlier = resolution(before, &name);
        let parts = split(&earlier, earlier.compiled.as_ref()?, &BTreeMap::new(), &BTreeMap::new());
        let (manifest, _) = Manifest::of(name.clone(), 7, &parts).unwrap();
        let published = Published { manifest, left_out: BTreeMap::new(), lists: BTreeSet::new() };
        let of_server = ServerOutlook {
            resolution: Arc::new(resolution(now, &name)),
            published: Some(Arc::new(published)),
            replicas: vec![ReplicaState { replica, ready: is_ready, loaded: None, usage: None, error: None }],
            workload: WorkloadState::default(),
            authority_failures: BTreeMap::new(),
            credentials: Arc::new(Fulfilled::default()),
            failure: None,
        };
        Some((name, of_server))
    };
    let servers = servers.filter_map(of_server).collect();
    Outlook { world: World::holding(now.iter().cloned()), servers, ..Outlook::default() }
}

/// The methods of which one of these servers is believed.
fn told_of(outlook: &Outlook, server: &str) -> Vec<String> {
    let methods = methods(outlook, &ResourceName::new("pki", server));
    methods.keys().map(|name| name.name().to_owned()).collect()
}

#[test]
fn a_server_is_asked_about_its_methods_where_a_replica_is_ready() {
    let all = [a_server("main"), a_profile(), a_method("api", None, "lab")];
    let ready = outlook(&all, &all, true);
    assert_eq!(told_of(&ready, "main"), ["api"]);
    let about = methods(&ready, &server()).remove(&ResourceName::new("pki", "api")).unwrap();
    assert_eq!((about.kind.as_deref(), about.uid.as_deref()), (Some("EnrollmentMethod"), Some("uid-api")));
    assert_eq!(about.api_version.as_deref(), Some(crds::API_VERSION));
    assert_eq!((about.namespace.as_deref(), about.name.as_deref()), (Some("pki"), Some("api")));
    assert_eq!(told_of(&outlook(&all, &all, false), "main"), [""; 0]);
    assert_eq!(told_of(&Outlook::default(), "main"), [""; 0]);
    // Nothing is there to tell it of.
    assert_eq!(told_of(&outlook(&all, &all[..1], true), "main"), [""; 0]);
}

#[test]
fn what_a_method_that_is_broken_cannot_renew_is_told_by_its_server_and_no_other() {
    let servers = [a_server("main"), a_server("edge"), a_profile()];
    let all = |profile| {
        let methods = [("api", "main", profile), ("other", "edge", profile), ("sound", "edge", "lab")];
        methods.map(|(name, server, profile)| a_method(name, Some(server), profile))
    };
    let [before, broken] = ["lab", "gone"].map(|profile| [&servers[..], &all(profile)].concat());
    for (before, now) in [(&before, &before), (&before, &broken), (&broken, &broken)] {
        let outlook = outlook(before, now, true);
        let compiled = outlook.servers[&server()].resolution.compiled.as_ref().unwrap();
        assert_eq!(compiled.methods.is_empty(), now == &broken);
        assert_eq!(told_of(&outlook, "main"), ["api"]);
        assert_eq!(told_of(&outlook, "edge"), ["other", "sound"]);
    }
}

#[test]
fn a_method_that_cannot_be_read_is_told_of_by_whoever_serves_it() {
    let servers = [a_server("main"), a_server("edge"), a_profile()];
    let all = [&servers[..], &[a_method("api", Some("main"), "lab")]].concat();
    let mut outlook = outlook(&all, &servers, true);
    let name = ResourceName::new("pki", "api");
    outlook.world = World::holding_unreadable(Kind::EnrollmentMethod, &name);
    assert_eq!(told_of(&outlook, "main"), ["api"]);
    assert_eq!(told_of(&outlook, "edge"), [""; 0]);
}
