//! Against an API server in memory.

use std::sync::Arc;

use crds::{EnrollmentServer, labels};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{Api, Client, Resource, api::PatchParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{FULL, PLAIN, inputs, server};
use crate::{
    context::Scope,
    testing::FakeApi,
    workload::{Inputs, ProblemKind, WorkloadState, Workloads},
    world::{Watches, World},
};

struct Cluster {
    api: FakeApi,
    client: Client,
    workloads: Workloads,
}

impl Cluster {
    fn new() -> Self {
        let api = FakeApi::new();
        Self { client: api.client(), api, workloads: Workloads::default() }
    }

    /// Everything as it is now: listed anew.
    async fn world(&self) -> World {
        let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let watches = Watches::start(&self.client, &Scope::Cluster, Arc::clone(&wake), &shutdown);
        while !watches.outstanding().is_empty() {
            wake.notified().await;
        }
        shutdown.cancel();
        watches.snapshot()
    }

    async fn pass(&self, server: &EnrollmentServer) -> WorkloadState {
        self.pass_with(server, &inputs()).await
    }

    async fn pass_with(&self, server: &EnrollmentServer, inputs: &Inputs) -> WorkloadState {
        let world = self.world().await;
        self.api.forget_calls();
        self.workloads.apply(&self.client, &world, server, inputs).await
    }

    fn get<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, name: &str) -> Option<K> {
        self.api.get(Some("pki"), name)
    }

    /// What is not the operator's.
    fn put<K>(&self, value: Value) -> K
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        self.api.put(&serde_json::from_value::<K>(value).unwrap())
    }

    /// The claim as the controller of StatefulSets makes it.
    fn claim(&self) -> PersistentVolumeClaim {
        let set: StatefulSet = self.get("devices").unwrap();
        let mut claim = set.spec.volume_claim_templates.unwrap().remove(0);
        claim.metadata.name = Some("data-devices-0".to_owned());
        claim.metadata.namespace = Some("pki".to_owned());
        self.api.put(&claim)
    }
}

fn kinds(state: &WorkloadState) -> Vec<ProblemKind> {
    state.problems.iter().map(|problem| problem.kind).collect()
}

#[tokio::test]
async fn an_account_that_something_else_made_is_left_alone_and_nobody_gets_the_role() {
    let cluster = Cluster::new();
    let foreign: ServiceAccount = cluster
        .put(json!({ "metadata": { "name": "devices-server", "namespace": "pki", "labels": { "a": "b" } } }));
    let state = cluster.pass(&server(PLAIN)).await;
    assert_eq!(kinds(&state), [ProblemKind::Foreign]);
    assert!(state.message().contains("ServiceAccount pki/devices-server"), "{}", state.message());
    assert_eq!(cluster.get::<ServiceAccount>("devices-server"), Some(foreign));
    assert_eq!(cluster.api.writes(), []);
}

#[tokio::test]
async fn a_service_of_another_server_is_not_taken_over() {
    let cluster = Cluster::new();
    let labels = json!({ labels::MANAGED_BY: labels::MANAGER, labels::SERVER: "other" });
    let theirs: Service = cluster
        .put(json!({ "metadata": { "name": "devices", "namespace": "pki", "labels": labels }, "spec": {} }));
    let state = cluster.pass(&server(PLAIN)).await;
    assert_eq!(kinds(&state), [ProblemKind::Foreign]);
    assert_eq!(cluster.get::<Service>("devices"), Some(theirs));
    assert_eq!(cluster.get::<StatefulSet>("devices"), None, "what comes after it is not made");
}

#[tokio::test]
async fn nothing_is_made_before_it_is_known_what_stands() {
    let cluster = Cluster::new();
    let state = cluster.workloads.apply(&cluster.client, &World::default(), &server(PLAIN), &inputs()).await;
    assert_eq!(kinds(&state), [ProblemKind::Unreachable]);
    assert!(state.is_retried());
    assert_eq!(cluster.api.calls(), []);
}

#[tokio::test]
async fn a_server_that_is_being_deleted_is_left_to_kubernetes() {
    let cluster = Cluster::new();
    let mut server = server(PLAIN);
    server.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-21T13:00:00Z")).unwrap());
    assert_eq!(cluster.pass(&server).await.problems, []);
    assert_eq!(cluster.api.calls(), []);
}

#[tokio::test]
async fn a_refusal_of_one_object_keeps_no_other_from_being_made() {
    let cluster = Cluster::new();
    cluster.api.refuse("PATCH", "/networkpolicies/", 403, "Forbidden", 1);
    let state = cluster.pass(&server(PLAIN)).await;
    assert_eq!(kinds(&state), [ProblemKind::Refused]);
    assert!(!state.is_retried());
    assert!(cluster.get::<StatefulSet>("devices").is_some());
    assert_eq!(cluster.get::<NetworkPolicy>("devices"), None);
    assert_eq!(cluster.pass(&server(PLAIN)).await.problems, []);
    assert!(cluster.get::<NetworkPolicy>("devices").is_some());
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_asked_again() {
    let cluster = Cluster::new();
    cluster.api.refuse("PATCH", "/services/", 503, "ServiceUnavailable", 2);
    let state = cluster.pass(&server(PLAIN)).await;
    assert_eq!(kinds(&state), [ProblemKind::Unreachable, ProblemKind::Unreachable]);
    assert!(state.is_retried());
}

#[tokio::test]
async fn a_pass_in_which_nothing_changed_asks_the_api_server_for_nothing() {
    let cluster = Cluster::new();
    cluster.pass(&server(FULL)).await;
    let before = cluster.pass(&server(FULL)).await;
    assert_eq!(cluster.api.calls(), []);
    assert_eq!(cluster.pass(&server(FULL)).await, before, "and says the same");
}

#[tokio::test]
async fn what_somebody_else_changes_is_changed_back() {
    let cluster = Cluster::new();
    cluster.pass(&server(FULL)).await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "pki");
    let patch = kube::api::Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    let manager = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    deployments.patch("devices", &manager, &patch).await.unwrap();
    cluster.pass(&server(FULL)).await;
    assert_eq!(cluster.get::<Deployment>("devices").unwrap().spec.replicas, Some(3));
    cluster.api.delete::<Service>(Some("pki"), "devices");
    cluster.pass(&server(FULL)).await;
    assert!(cluster.get::<Service>("devices").is_some());
}

#[tokio::test]
async fn a_new_image_reaches_the_pods() {
    let cluster = Cluster::new();
    cluster.pass(&server(PLAIN)).await;
    let inputs = Inputs { image: "registry.example/chancery-server:0.2.0".to_owned(), ..inputs() };
    cluster.pass_with(&server(PLAIN), &inputs).await;
    let set: StatefulSet = cluster.get("devices").unwrap();
    assert_eq!(set.spec.template.spec.unwrap().containers[0].image, Some(inputs.image));
}

#[tokio::test]
async fn what_is_no_longer_rendered_is_removed_and_what_others_made_is_not() {
    let cluster = Cluster::new();
    let foreign: NetworkPolicy = cluster.put(json!({ "metadata": { "name": "theirs", "namespace": "pki" } }));
    cluster.pass(&server(FULL)).await;
    assert!(cluster.get::<NetworkPolicy>("devices").is_some());
    let without = format!("{FULL}\n").replace("networkPolicy:\n", "networkPolicy:\n  state: Disabled\n");
    let state = cluster.pass(&server(&without)).await;
    assert_eq!(kinds(&state), [ProblemKind::Address], "only the load balancer is missing");
    assert_eq!(cluster.get::<NetworkPolicy>("devices"), None);
    assert_eq!(cluster.get::<NetworkPolicy>("theirs"), Some(foreign));
}

#[tokio::test]
async fn a_refused_change_of_storage_leaves_everything_running() {
    let cluster = Cluster::new();
    cluster.pass(&server(PLAIN)).await;
    cluster.claim();
    let before: StatefulSet = cluster.get("devices").unwrap();
    let state = cluster.pass(&server(FULL)).await;
    assert!(kinds(&state).contains(&ProblemKind::Storage), "{}", state.message());
    assert_eq!(cluster.get::<StatefulSet>("devices"), Some(before));
    assert_eq!(cluster.get::<Deployment>("devices"), None);
    // The rows stay what the server is bound by, also without the StatefulSet.
    cluster.api.delete::<StatefulSet>(Some("pki"), "devices");
    let state = cluster.pass(&server(FULL)).await;
    assert!(kinds(&state).contains(&ProblemKind::Storage), "{}", state.message());
    cluster.api.delete::<PersistentVolumeClaim>(Some("pki"), "data-devices-0");
    let state = cluster.pass(&server(FULL)).await;
    assert!(!kinds(&state).contains(&ProblemKind::Storage), "{}", state.message());
    assert!(cluster.get::<Deployment>("devices").is_some());
}

#[tokio::test]
async fn the_claim_is_told_to_grow_and_a_storage_class_may_refuse() {
    let cluster = Cluster::new();
    cluster.pass(&server(PLAIN)).await;
    cluster.claim();
    let larger = server(&format!("{PLAIN}\nstorage: {{sqlite: {{size: 3Gi}}}}"));
    cluster.api.refuse("PATCH", "/persistentvolumeclaims/", 403, "Forbidden", 1);
    let state = cluster.pass(&larger).await;
    assert_eq!(kinds(&state), [ProblemKind::Storage]);
    assert!(
        state
            .message()
            .starts_with("spec.storage.sqlite.size: PersistentVolumeClaim pki/data-devices-0 is refused")
    );
    assert_eq!(cluster.pass(&larger).await.problems, []);
    let claim: PersistentVolumeClaim = cluster.get("data-devices-0").unwrap();
    let requests = claim.spec.unwrap().resources.unwrap().requests.unwrap();
    assert_eq!(requests["storage"].0, "3Gi");
    cluster.pass(&larger).await;
    assert_eq!(cluster.api.writes(), [], "it was told once");
}

#[tokio::test]
async fn a_claim_without_labels_that_was_there_before_counts() {
    let cluster = Cluster::new();
    cluster.put::<PersistentVolumeClaim>(json!({
        "metadata": { "name": "data-devices-0", "namespace": "pki" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "8Gi" } } },
    }));
    let state = cluster.pass(&server(PLAIN)).await;
    let [mode, size] = state.problems.as_slice() else { panic!("{:?}", state.problems) };
    assert!(
        mode.message.contains("accessMode") && size.message.contains("do not shrink"),
        "{}",
        state.message()
    );
    assert!(cluster.get::<StatefulSet>("devices").is_some(), "it is used all the same");
}

#[tokio::test]
async fn everything_is_owned_by_the_server_so_that_it_goes_with_it() {
    let cluster = Cluster::new();
    cluster.pass(&server(PLAIN)).await;
    let binding: RoleBinding = cluster.get("devices-server").unwrap();
    let owner = &binding.metadata.owner_references.unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str(), owner.controller),
        ("EnrollmentServer", "devices", Some(true))
    );
    assert_eq!(owner.uid, server(PLAIN).metadata.uid.unwrap());
}

#[tokio::test]
async fn the_state_is_what_controllers_say() {
    let cluster = Cluster::new();
    cluster.pass(&server(FULL)).await;
    let mut deployment: Deployment = cluster.get("devices").unwrap();
    let generation = deployment.metadata.generation;
    deployment.status = Some(
        serde_json::from_value(
            json!({ "observedGeneration": generation, "replicas": 3, "readyReplicas": 2, "updatedReplicas": 3 }),
        )
        .unwrap(),
    );
    cluster.api.put(&deployment);
    let mut service: Service = cluster.get("devices").unwrap();
    service.status = Some(
        serde_json::from_value(json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }] } })).unwrap(),
    );
    cluster.api.put(&service);
    let state = cluster.pass(&server(FULL)).await;
    assert_eq!((state.wanted, state.replicas, state.ready, state.updated), (3, 3, 2, 3));
    assert_eq!(
        (state.addresses.as_slice(), state.problems.as_slice()),
        (["192.0.2.7".to_owned()].as_slice(), [].as_slice())
    );
    assert!(!state.is_settled());
}
