//! The volume of a SQLite database: what is asked for, what stands, and what can still be done about the difference.
//!
//! A StatefulSet never lets go of the claim template it was made with, and a volume of most of what it was made with. So the
//! template stays as it is, the claim grows where it may, and everything else that the spec changes is said in the status.

use std::collections::BTreeMap;

use crds::{SqliteStorage, labels};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{Problem, ProblemKind, blueprint::Blueprint, pod::DATA_VOLUME, quantity};

const STORAGE: &str = "storage";

/// The claim of the only replica.
pub(super) fn claim_name(server: &str) -> String {
    format!("{DATA_VOLUME}-{server}-0")
}

/// What is to be done about the volume.
#[derive(Debug, PartialEq)]
pub(super) struct VolumePlan {
    /// For the StatefulSet.
    pub(super) templates: Vec<PersistentVolumeClaim>,
    /// What the claim is to be told to grow to.
    pub(super) grow: Option<Quantity>,
    pub(super) problems: Vec<Problem>,
}

/// Compares what is asked for with what stands.
pub(super) fn plan(
    blueprint: &Blueprint<'_>,
    wanted: &SqliteStorage,
    stateful_set: Option<&StatefulSet>,
    claim: Option<&PersistentVolumeClaim>,
) -> VolumePlan {
    let standing = stateful_set
        .and_then(|set| set.spec.volume_claim_templates.as_ref())
        .filter(|templates| !templates.is_empty());
    // Verbatim, with what the API server filled in: anything else it would refuse.
    let templates = standing.cloned().unwrap_or_else(|| vec![template(blueprint, wanted)]);
    let binding = claim.or_else(|| standing.and_then(|templates| templates.first()));
    let mut plan = VolumePlan { templates, grow: None, problems: Vec::new() };
    if let Some(spec) = binding.and_then(|claim| claim.spec.as_ref()) {
        let name = claim_name(blueprint.name);
        plan.problems.extend(immutable(&name, wanted, spec));
        match size(&name, wanted, spec) {
            Ok(true) if claim.is_some() => plan.grow = Some(wanted.size.clone()),
            Ok(_) => {}
            Err(problem) => plan.problems.push(problem),
        }
    }
    plan
}

fn template(blueprint: &Blueprint<'_>, wanted: &SqliteStorage) -> PersistentVolumeClaim {
    let mut claim_labels = blueprint.selector();
    claim_labels.insert(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA_VOLUME.to_owned()),
            // Without the server's UID: the volume outlives it.
            labels: Some(claim_labels),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![wanted.access_mode.as_str().to_owned()]),
            storage_class_name: wanted.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(STORAGE.to_owned(), wanted.size.clone())])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// What a volume keeps for ever.
fn immutable(name: &str, wanted: &SqliteStorage, found: &PersistentVolumeClaimSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut differs = |path: &str, wanted: &str, found: &str| {
        problems.push(Problem::new(
            ProblemKind::Storage,
            format!(
                "spec.storage.sqlite.{path}: the PersistentVolumeClaim {name} was made with {found} and cannot change to \
                 {wanted}; to start anew without its rows, delete the claim and then the StatefulSet"
            ),
        ));
    };
    // Without a class in the spec any will do; without one in the claim none was chosen yet.
    if let (Some(wanted), Some(found)) = (&wanted.storage_class_name, &found.storage_class_name)
        && wanted != found
    {
        differs("storageClassName", wanted, found);
    }
    let mode = wanted.access_mode.as_str();
    if let Some(found) = &found.access_modes
        && !found.iter().any(|found| found == mode)
    {
        differs("accessMode", mode, &found.join(", "));
    }
    problems
}

/// Whether the claim is to grow.
fn size(name: &str, wanted: &SqliteStorage, found: &PersistentVolumeClaimSpec) -> Result<bool, Problem> {
    let requested = found.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let Some(requested) = requested.and_then(|requests| requests.get(STORAGE)) else { return Ok(false) };
    let problem =
        |what: String| Err(Problem::new(ProblemKind::Storage, format!("spec.storage.sqlite.size: {what}")));
    let (Some(wanted_bytes), Some(found_bytes)) =
        (quantity::bytes(&wanted.size.0), quantity::bytes(&requested.0))
    else {
        return problem(format!("{:?} cannot be compared with {:?}", wanted.size.0, requested.0));
    };
    if wanted_bytes < found_bytes {
        return problem(format!(
            "the PersistentVolumeClaim {name} asks for {} already, and volumes do not shrink to {}",
            requested.0, wanted.size.0
        ));
    }
    Ok(wanted_bytes > found_bytes)
}
