//! Replicas, and what is made of what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ::client::internal::Loaded;
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Pod;
use resolve::parts::{Manifest, PartEntry, PartKind};
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Fleet, MemoryServers, Poller, Programmed, ReplicaState, programmed, replicas_of};
use crate::publish::Published;

const PART: &str = "chancery-part-profile-1";

fn server() -> ResourceName {
    ResourceName::new("pki", "devices")
}

fn pod(name: &str, ready: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "pki", "uid": format!("uid-{name}"),
            "labels": { crds::labels::SERVER: "devices" },
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.7",
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        },
    }))
    .unwrap()
}

fn published(sha256: &str, generation: u64) -> Published {
    let entry =
        PartEntry { kind: PartKind::Profile, name: ResourceName::new("pki", "p"), sha256: sha256.to_owned() };
    let parts = BTreeMap::from([(PART.to_owned(), entry)]);
    Published {
        manifest: Manifest { format: 1, server: server(), generation, parts, declared: BTreeSet::new() },
        left_out: BTreeMap::new(),
        lists: BTreeSet::new(),
    }
}

fn loaded(sha256: &str, generation: u64) -> Loaded {
    Loaded { generation, parts: BTreeMap::from([(PART.to_owned(), sha256.to_owned())]), ..Loaded::default() }
}

fn states(of: &[(&str, bool, Option<Loaded>)]) -> Vec<ReplicaState> {
    let pods: Vec<Pod> = of.iter().map(|(name, ready, _)| pod(name, *ready)).collect();
    let mut states = replicas_of(&pods).remove(&server()).unwrap_or_default();
    for state in &mut states {
        let found = of.iter().find(|(name, ..)| *name == state.replica.pod);
        state.loaded = found.and_then(|(_, _, loaded)| loaded.clone());
    }
    states
}

#[test]
fn a_pod_without_an_address_that_is_going_or_is_nobodys_is_no_replica() {
    let mut no_address = pod("a", true);
    no_address.status.as_mut().unwrap().pod_ip = None;
    let mut nobodys = pod("b", true);
    nobodys.metadata.labels = None;
    let mut going = serde_json::to_value(pod("c", true)).unwrap();
    going["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
    let going = serde_json::from_value(going).unwrap();
    let mut over = pod("d", true);
    over.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    assert!(replicas_of(&[no_address, nobodys, going, over]).is_empty());
    assert_eq!(states(&[("e", true, None)]).len(), 1);
}

#[test]
fn a_part_is_programmed_when_every_ready_replica_serves_it_as_it_is_now() {
    let wanted = published("new", 2);
    let check = |of: &[(&str, bool, Option<Loaded>)]| programmed(Some(&wanted), &states(of), PART);
    let (new, old) = (Some(loaded("new", 2)), Some(loaded("old", 1)));
    assert_eq!(check(&[]), Programmed::ServerNotReady);
    assert_eq!(check(&[("a", false, new.clone())]), Programmed::ServerNotReady);
    assert!(
        matches!(check(&[("a", true, new.clone()), ("b", true, old.clone())]), Programmed::Pending(why) if why.contains('b'))
    );
    assert!(matches!(check(&[("a", true, new.clone()), ("b", true, None)]), Programmed::Pending(_)));
    assert_eq!(check(&[("a", true, new.clone()), ("b", false, old)]), Programmed::Yes);
    assert_eq!(programmed(Some(&wanted), &states(&[("a", true, new)]), "another"), Programmed::NotPublished);
    assert_eq!(programmed(None, &[], PART), Programmed::NotPublished);
}

#[test]
fn a_part_that_a_replica_does_not_take_is_failed_with_its_reason() {
    let wanted = published("new", 2);
    let mut failed = loaded("old", 2);
    failed.parts.clear();
    failed.failed.insert(PART.to_owned(), "the policy is empty".to_owned());
    let of = states(&[("a", true, Some(loaded("new", 2))), ("b", true, Some(failed))]);
    assert_eq!(programmed(Some(&wanted), &of, PART), Programmed::Failed("b: the policy is empty".to_owned()));

    let rejected = Loaded { rejected: Some("its signature is wrong".to_owned()), ..loaded("old", 1) };
    let of = states(&[("a", true, Some(rejected.clone()))]);
    assert_eq!(
        programmed(Some(&wanted), &of, PART),
        Programmed::Failed("a: its signature is wrong".to_owned())
    );
    // What it serves unchanged is programmed all the same.
    assert_eq!(
        programmed(Some(&published("old", 2)), &states(&[("a", true, Some(rejected))]), PART),
        Programmed::Yes
    );
}

#[test]
fn a_part_that_could_not_be_written_is_failed() {
    let mut wanted = published("new", 2);
    wanted.left_out.insert("large".to_owned(), "too large".to_owned());
    assert_eq!(programmed(Some(&wanted), &[], "large"), Programmed::Failed("too large".to_owned()));
}

#[test]
fn what_was_heard_stays_with_its_pod_and_not_with_its_name() {
    let fleet = Fleet::default();
    fleet.update(replicas_of(&[pod("a", true)]));
    let replica = fleet.ready(&server()).remove(0);
    assert!(fleet.heard(&replica, Ok(loaded("new", 2))));
    assert!(!fleet.heard(&replica, Ok(loaded("new", 2))));
    fleet.update(replicas_of(&[pod("a", false)]));
    assert_eq!(fleet.of(&server())[0].loaded, Some(loaded("new", 2)));
    let mut again = pod("a", true);
    again.metadata.uid = Some("another".to_owned());
    fleet.update(replicas_of(&[again]));
    assert_eq!(fleet.of(&server())[0].loaded, None);
    assert!(!fleet.heard(&replica, Ok(loaded("new", 2))));
}

#[tokio::test(start_paused = true)]
async fn replicas_are_asked_often_only_while_something_is_to_be_programmed() {
    let (servers, wake, fleet) =
        (Arc::new(MemoryServers::default()), Arc::new(Notify::new()), Fleet::default());
    let poller = Poller::new(fleet.clone(), servers.clone(), wake.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(poller.clone().run(stop.clone()));
    servers.serves("a", loaded("old", 1));
    fleet.update(replicas_of(&[pod("a", true)]));
    poller.expect(BTreeMap::from([(server(), Arc::new(published("new", 2)))]));
    timeout(Duration::from_secs(2), wake.notified()).await.unwrap();
    assert_eq!(fleet.of(&server())[0].loaded, Some(loaded("old", 1)));

    let began = Instant::now();
    servers.serves("a", loaded("new", 2));
    timeout(Duration::from_secs(2), wake.notified()).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(1));

    // Now nothing is waited for: that it falls silent is noticed later.
    servers.fails("a");
    assert!(timeout(Duration::from_secs(10), wake.notified()).await.is_err());
    timeout(Duration::from_secs(30), wake.notified()).await.unwrap();
    let state = fleet.of(&server()).remove(0);
    assert_eq!(state.loaded, None);
    assert!(state.error.is_some());
    stop.cancel();
    running.await.unwrap();
}
