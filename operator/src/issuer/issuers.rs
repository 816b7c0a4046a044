//! Which issuers there are, and whether they can be asked now.

use std::{collections::BTreeMap, fmt};

use crds::{Kind, conditions::ConditionType};
use issuance::{identity::ResourceName, policy::IssuerChoice};
use resolve::{
    CLUSTER_SCOPE, ResourceStatus, issuer_method_name,
    parts::{PartKind, part_secret_name},
};

use super::cert_manager::IssuerRef;
use crate::{
    context::Outlook,
    servers::{Programmed, programmed},
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
            Self::Namespaced(issuer) => issuer_method_name(issuer),
            Self::Cluster(name) => issuer_method_name(&ResourceName::new(CLUSTER_SCOPE, name)),
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

/// The state of every issuer as the last pass left it: by what it resolved, published and heard of replicas, as statuses are
/// made too. The statuses themselves come back by the watch only later.
pub(super) fn states(outlook: &Outlook) -> BTreeMap<IssuerKey, IssuerState> {
    let of_kind = |kind| outlook.world.of_kind(kind).map(move |(name, entry)| (kind, name, entry));
    of_kind(Kind::ChanceryIssuer)
        .chain(of_kind(Kind::ChanceryClusterIssuer))
        .map(|(kind, name, entry)| (key_of(kind, name), judge(&findings(outlook, kind, name, entry))))
        .collect()
}

fn key_of(kind: Kind, name: &ResourceName) -> IssuerKey {
    if kind.is_namespaced() {
        IssuerKey::Namespaced(name.clone())
    } else {
        IssuerKey::Cluster(name.name().to_owned())
    }
}

/// What there is to say about one issuer.
#[derive(Clone, Debug)]
struct Findings {
    /// Why it cannot be read.
    undecodable: Option<String>,
    deleting: bool,
    generation: Option<i64>,
    resolved: Option<ResourceStatus>,
    served: Option<Served>,
}

/// The server whose configuration holds an issuer, and how far that is in force.
#[derive(Clone, Debug)]
struct Served {
    server: ResourceName,
    replicas: usize,
    issuer: Programmed,
    profile: (ResourceName, Programmed),
    /// What resolving says about the authority of the profile.
    authority: Option<ResourceStatus>,
}

fn findings(outlook: &Outlook, kind: Kind, name: &ResourceName, entry: &Entry) -> Findings {
    let meta = entry.meta();
    Findings {
        undecodable: match entry {
            Entry::Undecodable { reason, .. } => Some(reason.clone()),
            Entry::Read(_) => None,
        },
        deleting: meta.deletion_timestamp.is_some(),
        generation: meta.generation,
        resolved: outlook.status(kind, name).cloned(),
        served: served(outlook, &issuer_method_name(name)),
    }
}

fn served(outlook: &Outlook, method: &ResourceName) -> Option<Served> {
    outlook.servers.iter().find_map(|(server, state)| {
        let compiled = state.resolution.compiled.as_ref()?;
        let method = compiled.methods.iter().find(|candidate| candidate.name == *method)?;
        let profile = compiled.profiles.iter().find(|candidate| candidate.name == method.profile)?;
        let authority = match &profile.issuer {
            IssuerChoice::Authority(authority) => outlook.status(Kind::CertificateAuthority, authority),
            IssuerChoice::SelfSigned => None,
        };
        let part = |kind, name| {
            programmed(state.published.as_deref(), &state.replicas, &part_secret_name(kind, name))
        };
        Some(Served {
            server: server.clone(),
            replicas: state.replicas.iter().filter(|replica| replica.ready).count(),
            issuer: part(PartKind::Method, &method.name),
            profile: (profile.name.clone(), part(PartKind::Profile, &profile.name)),
            authority: authority.cloned(),
        })
    })
}

fn judge(found: &Findings) -> IssuerState {
    match ready(found) {
        Ok(served) => IssuerState::Ready { server: served.server.clone(), replicas: served.replicas },
        Err(sentence) => IssuerState::NotReady(sentence),
    }
}

fn ready(found: &Findings) -> Result<&Served, String> {
    if let Some(reason) = &found.undecodable {
        return Err(format!("cannot be read: {reason}"));
    }
    if found.deleting {
        return Err("is being deleted".to_owned());
    }
    let resolved = found
        .resolved
        .as_ref()
        .filter(|resolved| resolved.generation == found.generation)
        .ok_or("is new or has changed, and was not looked at yet")?;
    holds(resolved, ConditionType::Accepted)?;
    let served = found.served.as_ref().ok_or("is in no server's configuration yet")?;
    let (profile, profile_programmed) = &served.profile;
    if let Some(authority) = &served.authority {
        holds(authority, ConditionType::Issued)
            .map_err(|why| format!("waits: the CertificateAuthority {} {why}", authority.name))?;
    }
    in_force(&served.server, profile_programmed)
        .map_err(|why| format!("waits: the CertificateProfile {profile} {why}"))?;
    in_force(&served.server, &served.issuer)?;
    Ok(served)
}

fn holds(status: &ResourceStatus, condition: ConditionType) -> Result<(), String> {
    if status.is_true(condition) {
        return Ok(());
    }
    Err(match status.condition(condition) {
        Some(found) if found.message.is_empty() => format!("is not ready ({})", found.reason),
        Some(found) => format!("is not ready ({}): {}", found.reason, found.message),
        None => "is not ready".to_owned(),
    })
}

/// What changes with every look is left out: a message that stays is written once.
fn in_force(server: &ResourceName, programmed: &Programmed) -> Result<(), String> {
    match programmed {
        Programmed::Yes => Ok(()),
        Programmed::Pending(_) => Err(format!("is not served by every replica of {server} yet")),
        Programmed::Failed(why) => Err(format!("is not served by {server}: {why}")),
        Programmed::ServerNotReady => {
            Err(format!("is not served: no replica of the EnrollmentServer {server} is ready"))
        }
        Programmed::NotPublished => Err(format!("is not in the configuration of {server} yet")),
    }
}

#[cfg(test)]
mod tests {
    use crds::conditions::{ConditionStatus, Reason};
    use resolve::StatusCondition;

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

    fn status(kind: Kind, condition: ConditionType, reason: Reason) -> ResourceStatus {
        let holds = matches!(reason, Reason::Accepted | Reason::Issued);
        ResourceStatus {
            kind,
            name: ResourceName::new("pki", "issuing"),
            generation: Some(2),
            conditions: vec![StatusCondition {
                condition,
                status: if holds { ConditionStatus::True } else { ConditionStatus::False },
                reason,
                message: if holds { String::new() } else { "why".to_owned() },
            }],
        }
    }

    fn fine() -> Findings {
        let accepted = status(Kind::ChanceryIssuer, ConditionType::Accepted, Reason::Accepted);
        let issued = status(Kind::CertificateAuthority, ConditionType::Issued, Reason::Issued);
        Findings {
            undecodable: None,
            deleting: false,
            generation: Some(2),
            resolved: Some(accepted),
            served: Some(Served {
                server: ResourceName::new("pki", "main"),
                replicas: 2,
                issuer: Programmed::Yes,
                profile: (ResourceName::new("pki", "web"), Programmed::Yes),
                authority: Some(issued),
            }),
        }
    }

    #[test]
    fn an_issuer_is_asked_only_while_everything_it_leads_to_is_in_force() {
        type Change = fn(&mut Findings, &mut Served);
        let cases: [(Change, &str); 12] = [
            (|it, _| it.undecodable = Some("why".into()), "cannot be read: why"),
            (|it, _| it.deleting = true, "is being deleted"),
            (|it, _| it.resolved = None, "is new or has changed, and was not looked at yet"),
            (|it, _| it.generation = Some(3), "is new or has changed, and was not looked at yet"),
            (
                |it, _| {
                    let refused = Reason::ReferenceNotPermitted;
                    it.resolved = Some(status(Kind::ChanceryIssuer, ConditionType::Accepted, refused));
                },
                "is not ready (ReferenceNotPermitted): why",
            ),
            (
                |_, it| {
                    let expired = Reason::Expired;
                    it.authority = Some(status(Kind::CertificateAuthority, ConditionType::Issued, expired));
                },
                "waits: the CertificateAuthority pki/issuing is not ready (Expired): why",
            ),
            (
                |_, it| it.profile.1 = Programmed::Pending("main-0 serves generation 7".into()),
                "waits: the CertificateProfile pki/web is not served by every replica of pki/main yet",
            ),
            (
                |_, it| it.issuer = Programmed::Pending("main-0 serves generation 7".into()),
                "is not served by every replica of pki/main yet",
            ),
            (|_, it| it.issuer = Programmed::Failed("why".into()), "is not served by pki/main: why"),
            (
                |_, it| it.issuer = Programmed::ServerNotReady,
                "is not served: no replica of the EnrollmentServer pki/main is ready",
            ),
            (|_, it| it.issuer = Programmed::NotPublished, "is not in the configuration of pki/main yet"),
            (
                |_, it| it.profile.1 = Programmed::Failed("why".into()),
                "waits: the CertificateProfile pki/web is not served by pki/main: why",
            ),
        ];
        for (change, sentence) in cases {
            let mut found = fine();
            let mut served = found.served.take().unwrap();
            change(&mut found, &mut served);
            found.served = Some(served);
            assert_eq!(judge(&found), IssuerState::NotReady(sentence.to_owned()));
        }
        let nowhere = Findings { served: None, ..fine() };
        assert_eq!(judge(&nowhere), IssuerState::NotReady("is in no server's configuration yet".to_owned()));
        let server = ResourceName::new("pki", "main");
        assert_eq!(judge(&fine()), IssuerState::Ready { server, replicas: 2 });
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
