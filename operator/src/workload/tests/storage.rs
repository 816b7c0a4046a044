//! What of a storage can change once it stands.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::PersistentVolumeClaim,
};
use serde_json::json;

use super::{FULL, PLAIN, ProblemKind, Rendering, Standing, all, only, rendered};
use crate::world::OwnedKind;

fn stands(spec: &str) -> Standing {
    let rendering = rendered(spec, &Standing::default());
    let stateful_set: Option<StatefulSet> = all(&rendering, OwnedKind::StatefulSet).pop();
    let deployment: Option<Deployment> = all(&rendering, OwnedKind::Deployment).pop();
    let claim = stateful_set.as_ref().map(|set| {
        let mut claim = set.spec.clone().volume_claim_templates.unwrap().remove(0);
        claim.metadata.name = Some("data-devices-0".to_owned());
        claim
    });
    Standing { stateful_set, deployment, claim }
}

fn sqlite(storage: &str) -> String {
    format!("{PLAIN}\nstorage: {{sqlite: {storage}}}")
}

fn templates(rendering: &Rendering) -> Vec<PersistentVolumeClaim> {
    only::<StatefulSet>(rendering, OwnedKind::StatefulSet).spec.volume_claim_templates.unwrap()
}

fn refusal(rendering: &Rendering) -> &str {
    let [problem] = rendering.problems.as_slice() else { panic!("{:?}", rendering.problems) };
    assert_eq!(problem.kind, ProblemKind::Storage);
    &problem.message
}

#[test]
fn a_server_with_sqlite_does_not_become_one_with_postgresql() {
    let all = stands(PLAIN);
    for standing in [
        Standing { claim: None, ..all.clone() },
        // Somebody deleted the StatefulSet: the rows are still there.
        Standing { stateful_set: None, ..all },
    ] {
        let rendering = rendered(FULL, &standing);
        assert!(refusal(&rendering).contains("rows are in SQLite"), "{:?}", rendering.problems);
        assert_eq!(rendering.kept, [OwnedKind::StatefulSet, OwnedKind::Deployment]);
        assert_eq!(super::all::<Deployment>(&rendering, OwnedKind::Deployment), []);
    }
}

#[test]
fn a_server_with_postgresql_does_not_become_one_with_sqlite() {
    let rendering = rendered(PLAIN, &stands(FULL));
    assert!(refusal(&rendering).contains("runs with PostgreSQL"));
    assert_eq!(rendering.kept, [OwnedKind::StatefulSet, OwnedKind::Deployment]);
    assert_eq!(all::<StatefulSet>(&rendering, OwnedKind::StatefulSet), []);
}

#[test]
fn a_volume_does_not_shrink() {
    let standing = stands(&sqlite("{size: 2Gi}"));
    let rendering = rendered(&sqlite("{size: 1Gi}"), &standing);
    assert!(refusal(&rendering).contains("asks for 2Gi already"), "{:?}", rendering.problems);
    assert_eq!(rendering.grow, None);
    assert_eq!(templates(&rendering), standing.stateful_set.unwrap().spec.volume_claim_templates.unwrap());
}

#[test]
fn class_and_access_mode_of_a_volume_cannot_change() {
    let standing = stands(&sqlite("{storageClassName: slow}"));
    for (changed, member) in [
        ("{storageClassName: fast}", "storageClassName"),
        ("{storageClassName: slow, accessMode: ReadWriteOnce}", "accessMode"),
    ] {
        let rendering = rendered(&sqlite(changed), &standing);
        assert!(
            refusal(&rendering).contains(&format!("spec.storage.sqlite.{member}")),
            "{:?}",
            rendering.problems
        );
        assert_eq!(
            only::<StatefulSet>(&rendering, OwnedKind::StatefulSet).spec,
            standing.stateful_set.clone().unwrap().spec
        );
    }
}

#[test]
fn the_claim_grows_and_the_template_stays() {
    let standing = stands(&sqlite("{size: 1Gi}"));
    let rendering = rendered(&sqlite("{size: 2Gi}"), &standing);
    assert_eq!(rendering.problems, []);
    assert_eq!(rendering.grow.as_ref().map(|size| size.0.as_str()), Some("2Gi"));
    assert_eq!(templates(&rendering), templates(&rendered(&sqlite("{size: 1Gi}"), &Standing::default())));
    let mut grown = standing;
    let requests = serde_json::from_value(json!({ "storage": "2048Mi" })).unwrap();
    grown.claim.as_mut().unwrap().spec.as_mut().unwrap().resources.as_mut().unwrap().requests =
        Some(requests);
    assert_eq!(rendered(&sqlite("{size: 2Gi}"), &grown).grow, None, "the same size, written in another way");
}

#[test]
fn a_claim_that_was_there_before_is_used_as_it_is() {
    let mut standing = stands(&sqlite("{size: 5Gi, accessMode: ReadWriteOnce}"));
    standing.stateful_set = None;
    let rendering = rendered(&sqlite("{size: 5Gi, accessMode: ReadWriteOnce}"), &standing);
    assert_eq!((rendering.problems.as_slice(), rendering.grow), ([].as_slice(), None));
}

#[test]
fn templates_are_given_back_as_the_api_server_completed_them() {
    let mut standing = stands(PLAIN);
    let spec = &mut standing.stateful_set.as_mut().unwrap().spec;
    let template = &mut spec.volume_claim_templates.as_mut().unwrap()[0];
    template.spec.as_mut().unwrap().volume_mode = Some("Filesystem".to_owned());
    template.status = Some(serde_json::from_value(json!({ "phase": "Pending" })).unwrap());
    let completed = vec![template.clone()];
    assert_eq!(templates(&rendered(PLAIN, &standing)), completed);
}

#[test]
fn a_claim_outlives_the_server() {
    let set: StatefulSet = only(&rendered(PLAIN, &Standing::default()), OwnedKind::StatefulSet);
    let spec = set.spec;
    let retention = spec.persistent_volume_claim_retention_policy.unwrap();
    assert_eq!(
        (retention.when_deleted.as_deref(), retention.when_scaled.as_deref()),
        (Some("Retain"), Some("Retain"))
    );
    let labels = spec.volume_claim_templates.unwrap().remove(0).metadata.labels.unwrap();
    assert!(!labels.contains_key(crds::labels::OWNER_UID), "a sweep by owner would take it for a leftover");
}
