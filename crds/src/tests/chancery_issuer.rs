//! Cases of ChanceryIssuer and ChanceryClusterIssuer.

use super::{Reject, accepts, rejects};
use crate::Kind;

pub(super) const REJECTS: &[Reject] = &[
    ("{}", "spec.profileRef", "is missing"),
    ("{profileRef: {}}", "spec.profileRef.name", "is missing"),
    ("{profileRef: {name: p}, grants: {}}", "spec.grants", "is not known here"),
];

pub(super) const CLUSTER_REJECTS: &[Reject] = &[
    ("{}", "spec.profileRef", "is missing"),
    ("{profileRef: {name: p}}", "spec.profileRef.namespace", "is missing"),
    ("{profileRef: {name: p, namespace: ''}}", "spec.profileRef.namespace", "is 0 long; 1 is the least"),
];

#[test]
fn issuers_reject() {
    REJECTS.iter().for_each(|case| rejects(Kind::ChanceryIssuer, *case));
    CLUSTER_REJECTS.iter().for_each(|case| rejects(Kind::ChanceryClusterIssuer, *case));
}

#[test]
fn issuers_accept() {
    accepts(Kind::ChanceryIssuer, "{profileRef: {name: p}}");
    accepts(Kind::ChanceryIssuer, "{profileRef: {name: p, namespace: n}}");
    accepts(Kind::ChanceryClusterIssuer, "{profileRef: {name: p, namespace: n}}");
}
