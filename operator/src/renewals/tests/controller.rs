//! Against servers and an API server in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use client::internal::{RenewalNews, Renewals};
use crds::{Kind, Resource};
use issuance::{
    identity::ResourceName,
    ports::{Clock as _, SystemClock},
};
use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use resolve::{Observed, Resources, resolve};
use serde_json::{Value, json};

use super::{MINUTE, api, failed, renewed};
use crate::{
    context::{Context, Outlook, ServerOutlook},
    issuer::test_context,
    provision::credentials::Fulfilled,
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
    let about = ObjectReference {
        kind: Some("EnrollmentMethod".into()),
        namespace: Some("team-a".into()),
        name: Some("api".into()),
        uid: Some("uid-1".into()),
        ..ObjectReference::default()
    };
    BTreeMap::from([(api(), about)])
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

    /// An operator that has just begun to lead.
    fn operator(&self, api: &FakeApi) -> Context {
        let (servers, rows) = (Arc::new(MemoryServers::default()), self.clone());
        servers.renews_by(move |_, request| {
            let mut rows = rows.0.lock().unwrap();
            rows.retain(|row| !request.told.contains(&row.id));
            Ok(Renewals { news: rows.iter().take(Renewals::MAX).cloned().collect() })
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
    for code in [429, 500, 503] {
        let (api, rows) = (FakeApi::new(), Rows::default());
        rows.put([renewed(1, 0), renewed(2, 0)]);
        api.refuse("POST", "/events", code, "InternalError", 1);
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (0, 2), "{code}");
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (2, 0), "{code}");
    }
    for code in [403, 404, 422] {
        let (api, rows) = (FakeApi::new(), Rows::default());
        rows.put([renewed(1, 0), renewed(2, 0)]);
        api.refuse("POST", "/events", code, "Forbidden", 1);
        look(&rows.operator(&api), &server(), &known()).await;
        assert_eq!((events(&api).len(), rows.count()), (1, 0), "{code}");
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

#[test]
fn methods_of_rest_are_asked_about_where_the_server_has_a_replica_that_is_ready() {
    let profile = json!({ "selfSigned": {}, "preset": "TLSServer" });
    let keys = json!({ "serverKeys": { "algorithm": "ECDSA-P256" } });
    let of_rest = json!({ "profileRef": { "name": "lab" }, "rest": keys });
    let of_est = json!({ "profileRef": { "name": "lab" }, "est": {} });
    let all = [
        resource(Kind::EnrollmentServer, "main", &json!({ "tls": {} })),
        resource(Kind::CertificateProfile, "lab", &profile),
        resource(Kind::EnrollmentMethod, "api", &of_rest),
        resource(Kind::EnrollmentMethod, "devices", &of_est),
    ];
    let mut resources: Resources = all.iter().cloned().collect();
    resources.cluster = Some(resolve::Cluster::default());
    let resolution = resolve(&resources, &Observed::nothing(SystemClock.now()), Some(&server()));
    let served = resolution.compiled.as_ref().unwrap().methods.len();
    assert_eq!(served, 2, "{:?}", resolution.statuses);
    let outlook = |ready: bool, world: World| {
        let address = [10, 0, 0, 1].into();
        let replica = Replica { server: server(), pod: "main-0".into(), uid: "pod".into(), address };
        let of_server = ServerOutlook {
            resolution: Arc::new(resolution.clone()),
            published: None,
            replicas: vec![ReplicaState { replica, ready, loaded: None, usage: None, error: None }],
            workload: WorkloadState::default(),
            authority_failures: BTreeMap::new(),
            credentials: Arc::new(Fulfilled::default()),
            failure: None,
        };
        Outlook { world, servers: BTreeMap::from([(server(), of_server)]), ..Outlook::default() }
    };
    let found = methods(&outlook(true, World::holding(all.clone())), &server());
    let names: Vec<String> = found.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["pki/api"]);
    assert_eq!(found.into_values().next().unwrap().uid.as_deref(), Some("uid-api"));
    assert_eq!(methods(&outlook(false, World::holding(all)), &server()), Methods::new());
    assert_eq!(methods(&outlook(true, World::default()), &server()), Methods::new());
    assert_eq!(methods(&Outlook::default(), &server()), Methods::new());
}
