//! Which issuers there are, and whether they can be asked now.

use std::{collections::BTreeMap, fmt};

use crds::{IssuerStatus, Kind, Resource, conditions::ConditionType};
use issuance::identity::ResourceName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::ObjectMeta;

use super::cert_manager::IssuerRef;
use crate::{
    context::{Outlook, ServerOutlook},
    world::Entry,
};

/// An issuer, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum IssuerKey {
    /// A ChanceryIssuer.
    Namespaced(ResourceName),
    /// A ChanceryClusterIssuer.
    Cluster(String),
}

impl IssuerKey {
    /// The issuer that a request in `namespace` names; none: it is not one of ours. cert-manager takes a missing kind for its
    /// own.
    pub(super) fn of_reference(reference: &IssuerRef, namespace: &str) -> Option<Self> {
        if reference.group.as_deref() != Some(crds::GROUP) {
            return None;
        }
        match reference.kind.as_deref() {
            Some("ChanceryIssuer") => Some(Self::Namespaced(ResourceName::new(namespace, &reference.name))),
            Some("ChanceryClusterIssuer") => Some(Self::Cluster(reference.name.clone())),
            Some(_) | None => None,
        }
    }

    /// The issuer that a CertificateSigningRequest names; none: it is not one of ours.
    pub(super) fn of_signer_name(signer_name: &str) -> Option<Self> {
        let name = signer_name.strip_prefix(SIGNER_NAMES)?.strip_prefix('/')?;
        (!name.is_empty()).then(|| Self::Cluster(name.to_owned()))
    }

    /// The compiled method of the issuer.
    pub(super) fn method(&self) -> ResourceName {
        match self {
            Self::Namespaced(issuer) => {
                ResourceName::new(issuer.namespace(), format!("issuer:{}", issuer.name()))
            }
            Self::Cluster(name) => ResourceName::new("-", format!("issuer:{name}")),
        }
    }
}

/// What names of signers begin with, up to the name of a ChanceryClusterIssuer.
pub(super) const SIGNER_NAMES: &str = "chanceryclusterissuers.chancery.dev";

impl fmt::Display for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaced(name) => write!(f, "ChanceryIssuer {name}"),
            Self::Cluster(name) => write!(f, "ChanceryClusterIssuer {name}"),
        }
    }
}

/// An issuer as requests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IssuerState {
    Ready {
        /// The EnrollmentServer to ask.
        server: ResourceName,
        /// How many replicas of it are ready: a change ends waiting.
        replicas: usize,
    },
    /// A sentence without the issuer's name.
    NotReady(String),
}

/// All issuers. Each has a revision that changes with its state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Issuers {
    states: BTreeMap<IssuerKey, (u64, IssuerState)>,
    newest: u64,
}

impl Issuers {
    /// None: there is no such issuer.
    pub(super) fn state(&self, key: &IssuerKey) -> Option<&IssuerState> {
        self.states.get(key).map(|(_, state)| state)
    }

    /// Changes whenever the state does; 0: there is no such issuer.
    pub(super) fn revision(&self, key: &IssuerKey) -> u64 {
        self.states.get(key).map_or(0, |(revision, _)| *revision)
    }

    /// The same after a look at what there is now; none: nothing has changed.
    pub(super) fn updated(&self, states: BTreeMap<IssuerKey, IssuerState>) -> Option<Self> {
        let mut next = Self { states: BTreeMap::new(), newest: self.newest };
        for (key, state) in states {
            let entry = match self.states.get(&key) {
                Some(known) if known.1 == state => known.clone(),
                Some(_) | None => {
                    next.newest += 1;
                    (next.newest, state)
                }
            };
            next.states.insert(key, entry);
        }
        (next.states != self.states).then_some(next)
    }
}

/// The state of every issuer as the last pass left it.
pub(super) fn states(outlook: &Outlook) -> BTreeMap<IssuerKey, IssuerState> {
    let world = &outlook.world;
    let issuers = world.of_kind(Kind::ChanceryIssuer).chain(world.of_kind(Kind::ChanceryClusterIssuer));
    issuers
        .filter_map(|(_, entry)| {
            let key = key_of(entry)?;
            let state = state(outlook, &key, entry);
            Some((key, state))
        })
        .collect()
}

fn key_of(entry: &Entry) -> Option<IssuerKey> {
    let meta = entry.meta();
    let name = meta.name.clone()?;
    Some(match meta.namespace.as_deref() {
        Some(namespace) => IssuerKey::Namespaced(ResourceName::new(namespace, name)),
        None => IssuerKey::Cluster(name),
    })
}

fn state(outlook: &Outlook, key: &IssuerKey, entry: &Entry) -> IssuerState {
    let read = match entry {
        Entry::Undecodable { reason, .. } => {
            return IssuerState::NotReady(format!("cannot be read: {reason}"));
        }
        Entry::Read(resource) => resource,
    };
    if let Err(sentence) = ready(entry.meta(), issuer_status(read).map(|status| status.conditions.as_slice()))
    {
        return IssuerState::NotReady(sentence);
    }
    let Some((server, profile)) = served_by(outlook, key) else {
        return IssuerState::NotReady("is served by no EnrollmentServer".to_owned());
    };
    if let Some(Entry::Read(Resource::CertificateProfile(found))) =
        outlook.world.get(Kind::CertificateProfile, &profile)
    {
        let conditions = found.status.as_ref().map(|status| status.conditions.as_slice());
        if let Err(sentence) = ready(&found.metadata, conditions) {
            return IssuerState::NotReady(format!("waits: the CertificateProfile {profile} {sentence}"));
        }
    }
    let replicas = |found: &ServerOutlook| found.replicas.iter().filter(|replica| replica.ready).count();
    IssuerState::Ready { replicas: outlook.servers.get(&server).map_or(0, replicas), server }
}

fn issuer_status(resource: &Resource) -> Option<&IssuerStatus> {
    match resource {
        Resource::ChanceryIssuer(issuer) => issuer.status.as_ref(),
        Resource::ChanceryClusterIssuer(issuer) => issuer.status.as_ref(),
        Resource::CertificateAuthority(_)
        | Resource::CertificateProfile(_)
        | Resource::EnrollmentMethod(_)
        | Resource::EnrollmentCredential(_)
        | Resource::EnrollmentServer(_)
        | Resource::CertificateRevocation(_) => None,
    }
}

/// The server whose configuration holds the issuer, and the issuer's profile.
fn served_by(outlook: &Outlook, key: &IssuerKey) -> Option<(ResourceName, ResourceName)> {
    let method = key.method();
    outlook.servers.iter().find_map(|(server, found)| {
        let compiled = found.resolution.compiled.as_ref()?;
        let method = compiled.methods.iter().find(|candidate| candidate.name == method)?;
        Some((server.clone(), method.profile.clone()))
    })
}

/// # Errors
/// Why the resource cannot be used now, as a sentence without its name.
fn ready(meta: &ObjectMeta, conditions: Option<&[Condition]>) -> Result<(), String> {
    if meta.deletion_timestamp.is_some() {
        return Err("is being deleted".to_owned());
    }
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == ConditionType::Ready.as_str())
        .ok_or("has no status yet")?;
    if ready.observed_generation != meta.generation {
        return Err("was changed, and its status does not speak of that yet".to_owned());
    }
    if ready.status == "True" {
        return Ok(());
    }
    Err(match ready.message.as_str() {
        "" => format!("is not ready ({})", ready.reason),
        message => format!("is not ready ({}): {message}", ready.reason),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    fn reference(group: Option<&str>, kind: Option<&str>) -> IssuerRef {
        IssuerRef { name: "shop".into(), kind: kind.map(str::to_owned), group: group.map(str::to_owned) }
    }

    #[test]
    fn issuers_of_others_are_not_ours() {
        for (group, kind) in [
            (None, None),
            (None, Some("ChanceryIssuer")),
            (Some(""), Some("ChanceryIssuer")),
            (Some("cert-manager.io"), Some("ChanceryIssuer")),
            (Some("cert-manager.io"), Some("ClusterIssuer")),
            (Some("chancery.dev.example"), Some("ChanceryIssuer")),
            (Some("Chancery.dev"), Some("ChanceryIssuer")),
            (Some("chancery.dev"), None),
            (Some("chancery.dev"), Some("Issuer")),
            (Some("chancery.dev"), Some("CertificateProfile")),
        ] {
            assert_eq!(IssuerKey::of_reference(&reference(group, kind), "a"), None, "{group:?} {kind:?}");
        }
        for signer in [
            "kubernetes.io/kubelet-serving",
            "chanceryclusterissuers.chancery.dev",
            "chanceryclusterissuers.chancery.dev/",
            "chanceryissuers.chancery.dev/a.shop",
            "xchanceryclusterissuers.chancery.dev/shop",
        ] {
            assert_eq!(IssuerKey::of_signer_name(signer), None, "{signer}");
        }
    }

    #[test]
    fn an_issuer_of_a_namespace_is_the_requests_own() {
        let key = |kind| IssuerKey::of_reference(&reference(Some("chancery.dev"), Some(kind)), "a").unwrap();
        assert_eq!(key("ChanceryIssuer").method().to_string(), "a/issuer:shop");
        assert_eq!(key("ChanceryClusterIssuer").method().to_string(), "-/issuer:shop");
        let signer = IssuerKey::of_signer_name("chanceryclusterissuers.chancery.dev/shop").unwrap();
        assert_eq!(signer, key("ChanceryClusterIssuer"));
    }

    fn condition(status: &str, generation: i64) -> Condition {
        Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: "NotProgrammed".into(),
            message: String::new(),
            observed_generation: Some(generation),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn readiness_of_an_earlier_generation_does_not_count() {
        let meta = ObjectMeta { generation: Some(2), ..ObjectMeta::default() };
        for (conditions, sentence) in [
            (None, "has no status yet"),
            (Some(vec![]), "has no status yet"),
            (Some(vec![condition("True", 1)]), "was changed, and its status does not speak of that yet"),
            (Some(vec![condition("False", 2)]), "is not ready (NotProgrammed)"),
            (Some(vec![condition("Unknown", 2)]), "is not ready (NotProgrammed)"),
        ] {
            assert_eq!(ready(&meta, conditions.as_deref()), Err(sentence.to_owned()));
        }
        assert_eq!(ready(&meta, Some(&[condition("True", 2)])), Ok(()));
        let deleted = ObjectMeta { deletion_timestamp: Some(Time(Timestamp::UNIX_EPOCH)), ..meta };
        assert_eq!(ready(&deleted, Some(&[condition("True", 2)])), Err("is being deleted".to_owned()));
    }

    #[test]
    fn a_revision_changes_with_the_state_and_only_with_it() {
        let key = |name: &str| IssuerKey::Cluster(name.to_owned());
        let ready = |replicas| IssuerState::Ready { server: ResourceName::new("pki", "main"), replicas };
        let first = Issuers::default().updated([(key("a"), ready(1)), (key("b"), ready(1))].into()).unwrap();
        assert_eq!(first.updated([(key("a"), ready(1)), (key("b"), ready(1))].into()), None);
        let second = first.updated([(key("a"), ready(2)), (key("b"), ready(1))].into()).unwrap();
        assert_ne!(second.revision(&key("a")), first.revision(&key("a")));
        assert_eq!(second.revision(&key("b")), first.revision(&key("b")));
        // Away and back is another revision: what was waited for may have happened.
        let third = second.updated([(key("b"), ready(1))].into()).unwrap();
        let fourth = third.updated([(key("a"), ready(2)), (key("b"), ready(1))].into()).unwrap();
        assert_eq!(third.revision(&key("a")), 0);
        assert!(fourth.revision(&key("a")) > second.revision(&key("a")));
    }
}
