//! Which bundles there are to be, and which are to go. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crds::{BundleConfigMap, BundleStatus, CertificateAuthority, Kind, Resource, labels};
use issuance::identity::ResourceName;
use k8s_openapi::{
    api::{
        certificates::v1beta1::{ClusterTrustBundle, ClusterTrustBundleSpec},
        core::v1::ConfigMap,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::{
    COMPONENT, COMPONENT_LABEL,
    anchors::{Authorities, anchors, pem},
};
use crate::{
    context::Scope,
    owned::{RenderError, Rendered},
    world::{Entry, Object, OwnedKind, Source, World},
};

/// The kinds of bundles.
pub(super) const KINDS: [OwnedKind; 2] = [OwnedKind::ConfigMap, OwnedKind::ClusterTrustBundle];

/// Longest name of an object.
const MAX_NAME: usize = 253;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) keep: Vec<Kept>,
    /// Whether one is removed because its authority is gone, rather than because it wants none.
    pub(super) remove: Vec<(OwnedKind, ResourceName, Object, Removal)>,
    /// One for each authority that asks for a bundle, with what is known before anything is applied.
    pub(super) statuses: BTreeMap<ResourceName, BundleStatus>,
    /// UIDs of all authorities that there are.
    pub(super) living: BTreeSet<String>,
}

/// One bundle.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) authority: ResourceName,
    /// Of the authority.
    pub(super) uid: String,
    pub(super) object: Rendered,
}

/// Why a bundle goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// No authority has the UID that it carries.
    AuthorityGone,
    /// The authority asks for it no longer, or not there.
    NotWanted,
}

impl Plan {
    /// What the authorities of this world ask for. Nothing of an authority without a certificate changes: what was handed out
    /// stays until there is something better.
    pub(super) fn of(
        world: &World,
        scope: &Scope,
        authorities: &Authorities<'_>,
    ) -> Result<Self, RenderError> {
        let mut plan = Self::default();
        let mut claims = Claims::default();
        let mut untouched = BTreeSet::new();
        for (name, entry) in world.of_kind(Kind::CertificateAuthority) {
            plan.living.extend(entry.meta().uid.clone());
            let Entry::Read(Resource::CertificateAuthority(authority)) = entry else {
                untouched.extend(entry.meta().uid.clone());
                continue;
            };
            let Some(bundle) = &authority.spec.bundle else { continue };
            if authority.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let status = plan.statuses.entry(name.clone()).or_default();
            let Some(anchors) = anchors(authorities, name) else {
                status.problem = Some("the authority has no certificate to hand out yet".to_owned());
                untouched.extend(authority.metadata.uid.clone());
                continue;
            };
            let claimant = Claimant { name, authority, pem: pem(&anchors) };
            if let Some(config_map) = &bundle.config_map {
                status.namespaces = Some(0);
                for namespace in reached(world, scope, name, config_map) {
                    claims.add(ResourceName::new(namespace, config_map.name.clone()), claimant.clone());
                }
            }
            if bundle.cluster_trust_bundle.is_some() {
                match claimant.cluster_trust_bundle(scope) {
                    Ok(object) => plan.keep.push(claimant.kept(Rendered::of(&object)?)),
                    Err(problem) => status.problem = Some(problem),
                }
            }
        }
        plan.keep_config_maps(world, claims)?;
        plan.remove_the_rest(world, &untouched);
        Ok(plan)
    }

    fn keep_config_maps(&mut self, world: &World, claims: Claims<'_>) -> Result<(), RenderError> {
        for (place, mut claimants) in claims.0 {
            let holder =
                world.owned(OwnedKind::ConfigMap, &place).and_then(|found| found.label(labels::OWNER_UID));
            // Whoever has it keeps it; else the oldest, so that nobody takes it away by coming later.
            claimants.sort_by_key(|claimant| (holder != Some(claimant.uid()), claimant.age(), claimant.name));
            let mut claimants = claimants.into_iter();
            let Some(first) = claimants.next() else { continue };
            for late in claimants {
                let status = self.statuses.entry(late.name.clone()).or_default();
                note(
                    status,
                    &format!("ConfigMap {place} is the bundle of the CertificateAuthority {}", first.name),
                );
            }
            self.keep.push(first.kept(Rendered::of(&first.config_map(&place))?));
        }
        Ok(())
    }

    /// Everything that looks like a bundle and is none any more, where the lists of bundles and of authorities are complete.
    fn remove_the_rest(&mut self, world: &World, untouched: &BTreeSet<String>) {
        if !world.is_complete(Source::Resources(Kind::CertificateAuthority))
            || !world.is_complete(Source::Namespaces)
        {
            return;
        }
        for kind in KINDS.into_iter().filter(|kind| world.is_complete(Source::Owned(*kind))) {
            for (name, object) in world.owned_of_kind(kind) {
                let uid = object.label(labels::OWNER_UID).unwrap_or_default();
                let is_kept =
                    self.keep.iter().any(|kept| kept.object.kind() == kind && kept.object.name() == name);
                if is_bundle(&object.labels) && !object.deleting && !is_kept && !untouched.contains(uid) {
                    let removal =
                        if self.living.contains(uid) { Removal::NotWanted } else { Removal::AuthorityGone };
                    self.remove.push((kind, name.clone(), object.clone(), removal));
                }
            }
        }
    }
}

/// Whether an object with these labels was made here.
pub(super) fn is_bundle(found: &BTreeMap<String, String>) -> bool {
    let label = |key: &str| found.get(key).map(String::as_str);
    label(labels::MANAGED_BY) == Some(labels::MANAGER) && label(COMPONENT_LABEL) == Some(COMPONENT)
}

/// Adds a problem to those of a status, which stays within what the API server takes.
pub(super) fn note(status: &mut BundleStatus, problem: &str) {
    const LONGEST: usize = 4096;
    let text = match status.problem.take() {
        None => problem.to_owned(),
        Some(before) => format!("{before}; {problem}"),
    };
    let fits = text.chars().count() <= LONGEST;
    status.problem = Some(if fits { text } else { text.chars().take(LONGEST - 1).chain(['…']).collect() });
}

/// Who wants which ConfigMap.
#[derive(Debug, Default)]
struct Claims<'a>(BTreeMap<ResourceName, Vec<Claimant<'a>>>);

impl<'a> Claims<'a> {
    fn add(&mut self, place: ResourceName, claimant: Claimant<'a>) {
        self.0.entry(place).or_default().push(claimant);
    }
}

/// An authority and what it hands out.
#[derive(Clone, Debug)]
struct Claimant<'a> {
    name: &'a ResourceName,
    authority: &'a CertificateAuthority,
    pem: String,
}

impl Claimant<'_> {
    fn uid(&self) -> &str {
        self.authority.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Seconds since 1970 at which it was made.
    fn age(&self) -> i64 {
        self.authority.metadata.creation_timestamp.as_ref().map_or(i64::MAX, |made| made.0.as_second())
    }

    fn kept(&self, object: Rendered) -> Kept {
        Kept { authority: self.name.clone(), uid: self.uid().to_owned(), object }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        [
            (COMPONENT_LABEL, COMPONENT),
            ("app.kubernetes.io/part-of", "chancery"),
            (labels::MANAGED_BY, labels::MANAGER),
            (labels::OWNER_UID, self.uid()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    fn config_map(&self, place: &ResourceName) -> ConfigMap {
        // Owners cannot be in another namespace: there, the sweep removes it.
        let owner = (place.namespace() == self.name.namespace()).then(|| OwnerReference {
            api_version: crds::API_VERSION.to_owned(),
            kind: Kind::CertificateAuthority.to_string(),
            name: self.name.name().to_owned(),
            uid: self.uid().to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        });
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(place.name().to_owned()),
                namespace: Some(place.namespace().to_owned()),
                owner_references: owner.map(|owner| vec![owner]),
                ..self.meta()
            },
            data: Some([(BundleConfigMap::KEY.to_owned(), self.pem.clone())].into()),
            ..ConfigMap::default()
        }
    }

    fn cluster_trust_bundle(&self, scope: &Scope) -> Result<ClusterTrustBundle, String> {
        let name = labels::cluster_trust_bundle_name(self.name.namespace(), self.name.name());
        if *scope != Scope::Cluster {
            return Err("a ClusterTrustBundle belongs to the whole cluster, and this operator looks after namespaces only"
                .to_owned());
        }
        if name.len() > MAX_NAME {
            return Err(format!("{name} is too long for the name of a ClusterTrustBundle"));
        }
        Ok(ClusterTrustBundle {
            metadata: ObjectMeta { name: Some(name), ..self.meta() },
            spec: ClusterTrustBundleSpec { signer_name: None, trust_bundle: self.pem.clone() },
        })
    }

    fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            labels: Some(self.labels()),
            annotations: Some([(labels::FOR.to_owned(), self.name.to_string())].into()),
            ..ObjectMeta::default()
        }
    }
}

/// The namespaces that get a ConfigMap, of those that there are.
fn reached(world: &World, scope: &Scope, own: &ResourceName, wanted: &BundleConfigMap) -> Vec<String> {
    let unlabelled = BTreeMap::new();
    let named = |namespace: &String, labels: &BTreeMap<String, String>| {
        wanted.reaches(own.namespace(), namespace, labels).then(|| namespace.clone())
    };
    match scope {
        Scope::Cluster => {
            world.namespaces().iter().filter_map(|(name, labels)| named(name, labels)).collect()
        }
        Scope::Namespaces(namespaces) => {
            namespaces.iter().filter_map(|name| named(name, &unlabelled)).collect()
        }
    }
}
