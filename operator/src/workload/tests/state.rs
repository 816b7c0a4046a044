//! What is read from controllers and pods.

use issuance::identity::ResourceName;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Pod, Service},
};
use serde_json::{Value, json};

use super::super::{ProblemKind, WorkloadState};

fn pod(server: &str, status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "devices-0", "namespace": "pki", "labels": { "chancery.dev/server": server } },
        "status": status,
    }))
    .unwrap()
}

fn troubles(pods: &[Pod]) -> Vec<String> {
    let mut state = WorkloadState::default();
    state.take_pods(&ResourceName::new("pki", "devices"), pods.iter());
    assert!(state.problems.iter().all(|problem| problem.kind == ProblemKind::Pods));
    state.problems.into_iter().map(|problem| problem.message).collect()
}

fn waiting(reason: &str, message: &str, last: Value) -> Value {
    json!({ "containerStatuses": [{
        "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
        "state": { "waiting": { "reason": reason, "message": message } }, "lastState": last,
    }] })
}

#[test]
fn pods_say_why_they_do_not_start() {
    let unscheduled = json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
    }] });
    assert_eq!(
        troubles(&[pod("devices", unscheduled)]),
        ["Pod devices-0: it cannot be put on a node (0/1 nodes are available)"]
    );
    let pull = waiting("ImagePullBackOff", "Back-off pulling image", json!({}));
    assert_eq!(
        troubles(&[pod("devices", pull.clone()), pod("devices", pull)]),
        ["Pod devices-0: ImagePullBackOff (Back-off pulling image)"]
    );
    let ended =
        json!({ "terminated": { "exitCode": 1, "message": "\nError: the database refuses the password\n" } });
    assert_eq!(
        troubles(&[pod("devices", waiting("CrashLoopBackOff", "back-off 10s", ended))]),
        ["Pod devices-0: CrashLoopBackOff (Error: the database refuses the password)"]
    );
}

#[test]
fn what_every_pod_goes_through_and_what_other_servers_do_is_no_trouble() {
    assert_eq!(troubles(&[pod("devices", waiting("ContainerCreating", "", json!({})))]), [""; 0]);
    assert_eq!(troubles(&[pod("others", waiting("ImagePullBackOff", "", json!({})))]), [""; 0]);
    assert_eq!(troubles(&[pod("devices", json!({ "phase": "Running" }))]), [""; 0]);
}

#[test]
fn a_long_log_is_cut_to_its_end() {
    let ended = json!({ "terminated": { "exitCode": 1, "message": format!("{}the end", "x".repeat(5000)) } });
    let [text] =
        <[_; 1]>::try_from(troubles(&[pod("devices", waiting("CrashLoopBackOff", "", ended))])).unwrap();
    assert!(text.ends_with("the end)") && text.len() < 400, "{text}");
}

#[test]
fn counts_of_an_older_template_are_not_those_of_the_newest() {
    let mut state = WorkloadState { wanted: 1, ..WorkloadState::default() };
    let set = |generation: i64| -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "devices", "generation": generation },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1 },
        }))
        .unwrap()
    };
    state.count_stateful_set(&set(2));
    assert_eq!((state.replicas, state.ready, state.updated, state.is_settled()), (1, 1, 0, false));
    state.count_stateful_set(&set(1));
    assert!(state.is_settled());
}

#[test]
fn a_roll_out_with_an_extra_pod_is_not_settled() {
    let mut state = WorkloadState { wanted: 2, ..WorkloadState::default() };
    let deployment = |replicas: i32, updated: i32| -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "devices", "generation": 3 },
            "status": { "observedGeneration": 3, "replicas": replicas, "readyReplicas": 2, "updatedReplicas": updated },
        }))
        .unwrap()
    };
    state.count_deployment(&deployment(3, 2));
    assert!(!state.is_settled());
    state.count_deployment(&deployment(2, 2));
    assert!(state.is_settled());
}

#[test]
fn a_load_balancer_without_an_address_is_told_apart_from_one_with() {
    let service = |ingress: Value| -> Service {
        serde_json::from_value(json!({
            "metadata": { "name": "devices" },
            "spec": { "type": "LoadBalancer", "clusterIP": "10.0.0.7" },
            "status": { "loadBalancer": { "ingress": ingress } },
        }))
        .unwrap()
    };
    let mut state = WorkloadState::default();
    state.take_service(&service(json!([])));
    assert_eq!(state.problems[0].kind, ProblemKind::Address);
    let mut state = WorkloadState::default();
    state.take_service(&service(json!([{ "ip": "192.0.2.1" }, { "hostname": "lb.example" }])));
    assert_eq!(
        (state.addresses.as_slice(), state.problems.as_slice()),
        (["192.0.2.1".to_owned(), "lb.example".to_owned()].as_slice(), [].as_slice())
    );
    assert_eq!(state.cluster_address, Some("10.0.0.7".parse().unwrap()));
}
