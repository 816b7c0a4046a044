//! What resolves and what does not, one line a rule. Each case changes the world of [`world::BASE`], has everything provisioned
//! that can be, and looks at the conditions.
//!
//! A case that is rejected also shows that nothing else is: whatever does not refer to what is wrong stays accepted.

mod acme;
mod acme_credentials;
mod acme_networks;
mod authorities;
mod cluster;
mod compiled;
mod credentials;
mod guard;
mod imports;
mod issued;
mod issuers;
mod methods;
mod parts;
mod profile_names;
mod profiles;
mod proof;
mod properties;
mod provisioner;
mod quickstart;
mod rest;
mod rest_credentials;
mod rest_tokens;
mod servers;
mod world;

use crds::{
    Kind,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use issuance::identity::ResourceName;

use self::{provisioner::NOW, world::World};
use crate::{Observed, Resolution};

/// What is wrong: the resource as `namespace/name`, the reason, a part of the message, and the YAML that makes it wrong.
type Reject = (Kind, &'static str, Reason, &'static str, &'static str);

const A: Kind = Kind::CertificateAuthority;
const P: Kind = Kind::CertificateProfile;
const M: Kind = Kind::EnrollmentMethod;
const C: Kind = Kind::EnrollmentCredential;
const S: Kind = Kind::EnrollmentServer;
const I: Kind = Kind::ChanceryIssuer;
const CI: Kind = Kind::ChanceryClusterIssuer;

/// Reasons that speak of other objects.
const OF_REFERENCES: &[Reason] = &[
    Reason::ReferenceNotFound,
    Reason::ReferenceNotPermitted,
    Reason::ReferenceNotAccepted,
    Reason::ReferenceCycle,
    Reason::SecretInvalid,
];

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

fn accepts(yaml: &str) {
    accepts_world(&World::base().with(yaml));
}

fn accepts_world(world: &World) {
    for resolution in before_and_after(world) {
        for status in &resolution.statuses {
            let conditions = &status.conditions;
            assert!(status.is_accepted(), "{} {} is not accepted: {conditions:?}", status.kind, status.name);
        }
    }
}

fn rejects((kind, rejected, reason, message, yaml): Reject) {
    rejects_world(&World::base().with(yaml), kind, rejected, reason, message);
}

fn rejects_world(world: &World, kind: Kind, rejected: &str, reason: Reason, message: &str) {
    let dependents = world.dependents(kind, &name(rejected));
    for resolution in before_and_after(world) {
        check_rejected(&resolution, kind, rejected, reason, message);
        for other in &resolution.statuses {
            let (kind, name) = (other.kind, &other.name);
            let needs_it = dependents.contains(&(kind, name.clone()));
            assert!(needs_it || other.is_accepted(), "{kind} {name} went down with {rejected}: {other:?}");
        }
    }
}

/// Whether a resource is accepted does not depend on what was made already.
fn before_and_after(world: &World) -> [Resolution; 2] {
    [world.resolve(&Observed::nothing(NOW)), world.settle().resolution]
}

fn check_rejected(resolution: &Resolution, kind: Kind, rejected: &str, reason: Reason, message: &str) {
    let status = resolution
        .status(kind, &name(rejected))
        .unwrap_or_else(|| panic!("{kind} {rejected} has no status ({message})"));
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert_eq!(accepted.status, ConditionStatus::False, "{kind} {rejected} is accepted; expected: {message}");
    assert_eq!(accepted.reason, reason, "{kind} {rejected}: {}", accepted.message);
    let said = &accepted.message;
    assert!(said.contains(message), "{kind} {rejected}: {said:?} does not hold {message:?}");
    for condition in status.conditions.iter().filter(|found| found.condition != ConditionType::ResolvedRefs) {
        assert_eq!(condition.status, ConditionStatus::False, "{kind} {rejected}: {condition:?}");
    }
    let references = status.condition(ConditionType::ResolvedRefs).unwrap();
    if OF_REFERENCES.contains(&reason) {
        assert_eq!((references.status, references.reason), (ConditionStatus::False, reason), "{status:?}");
        assert!(!references.message.is_empty() && said.contains(&references.message), "{status:?}");
    } else if !said.contains("; ") {
        assert_ne!(references.status, ConditionStatus::False, "{status:?}");
    }
}
