//! What resolves and what does not, one line a rule. Each case changes the world of [`world::BASE`], has everything provisioned
//! that can be, and looks at the conditions.
//!
//! A case that is rejected also shows that nothing else is: whatever does not refer to what is wrong stays accepted.

mod authorities;
mod compiled;
mod credentials;
mod imports;
mod issued;
mod methods;
mod profile_names;
mod profiles;
mod properties;
mod provisioner;
mod quickstart;
mod servers;
mod world;

use crds::{
    Kind,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use issuance::identity::ResourceName;

use self::world::World;

/// What is wrong: the resource as `namespace/name`, the reason, a part of the message, and the YAML that makes it wrong.
type Reject = (Kind, &'static str, Reason, &'static str, &'static str);

const A: Kind = Kind::CertificateAuthority;
const P: Kind = Kind::CertificateProfile;
const M: Kind = Kind::EnrollmentMethod;
const C: Kind = Kind::EnrollmentCredential;
const S: Kind = Kind::EnrollmentServer;

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

fn accepts(yaml: &str) {
    accepts_world(&World::base().with(yaml));
}

fn accepts_world(world: &World) {
    for status in &world.settle().resolution.statuses {
        assert!(
            status.is_accepted(),
            "{} {} is not accepted: {:?}",
            status.kind,
            status.name,
            status.conditions
        );
    }
}

fn rejects((kind, rejected, reason, message, yaml): Reject) {
    rejects_world(&World::base().with(yaml), kind, rejected, reason, message);
}

fn rejects_world(world: &World, kind: Kind, rejected: &str, reason: Reason, message: &str) {
    let resolution = world.settle().resolution;
    let status = resolution
        .status(kind, &name(rejected))
        .unwrap_or_else(|| panic!("{kind} {rejected} has no status ({message})"));
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert_eq!(accepted.status, ConditionStatus::False, "{kind} {rejected} is accepted; expected: {message}");
    assert_eq!(accepted.reason, reason, "{kind} {rejected}: {}", accepted.message);
    assert!(
        accepted.message.contains(message),
        "{kind} {rejected}: {:?} does not hold {message:?}",
        accepted.message
    );
    for condition in &status.conditions {
        assert_eq!(condition.status, ConditionStatus::False, "{kind} {rejected}: {condition:?}");
    }
    let dependents = world.dependents(kind, &name(rejected));
    for other in &resolution.statuses {
        let expected = !dependents.contains(&(other.kind, other.name.clone()));
        if expected {
            assert!(
                other.is_accepted(),
                "{} {} went down with {kind} {rejected}: {:?}",
                other.kind,
                other.name,
                other.conditions
            );
        }
    }
}
