//! The resources that are resolved together, and how one finds another.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use crds::{
    CertificateAuthority, CertificateProfile, CertificateRevocation, ChanceryClusterIssuer, ChanceryIssuer,
    EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind, NamespaceGrant, Resource,
    conditions::Reason,
};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use serde::Serialize;

use crate::{
    compiled::Granted,
    observed::Observed,
    parts::MAX_PART_BYTES,
    status::{Problem, Problems},
};

/// The namespace of a resource that names none, as `kubectl` has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Stands for the namespace of a resource that has none because its kind is cluster-scoped. No namespace can have this name.
pub const CLUSTER_SCOPE: &str = "-";

/// What a part has beside its content.
const ENVELOPE_BYTES: usize = 1_000;

/// Everything that is resolved together. Order does not matter. What could not be decoded is not here; whoever read it
/// reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    pub servers: Vec<EnrollmentServer>,
    pub authorities: Vec<CertificateAuthority>,
    pub profiles: Vec<CertificateProfile>,
    pub methods: Vec<EnrollmentMethod>,
    pub credentials: Vec<EnrollmentCredential>,
    pub issuers: Vec<ChanceryIssuer>,
    pub cluster_issuers: Vec<ChanceryClusterIssuer>,
    /// Not judged here: what became of them only a server can say.
    pub revocations: Vec<CertificateRevocation>,
    pub secrets: Vec<Secret>,
    /// The labels of each namespace, for grants that select by label. Every namespace has `kubernetes.io/metadata.name`,
    /// whether or not it is listed; standalone lists none.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The cluster that all of this is in; none: standalone.
    pub cluster: Option<Cluster>,
}

/// What resolving asks about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The domain of its Services.
    pub domain: String,
    /// Who makes the tokens of its service accounts; where that could not be read, why not.
    pub tokens: Result<TokenIssuer, String>,
}

/// Who makes tokens of service accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuer {
    /// What tokens say of it (`iss`).
    pub issuer: String,
    /// Its public keys, JSON (RFC 7517 §5).
    pub jwks: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { domain: "cluster.local".to_owned(), tokens: Err("nobody has asked yet".to_owned()) }
    }
}

impl Resources {
    /// Adds one.
    pub fn push(&mut self, resource: Resource) {
        match resource {
            Resource::CertificateAuthority(authority) => self.authorities.push(*authority),
            Resource::CertificateProfile(profile) => self.profiles.push(*profile),
            Resource::EnrollmentMethod(method) => self.methods.push(*method),
            Resource::EnrollmentCredential(credential) => self.credentials.push(*credential),
            Resource::EnrollmentServer(server) => self.servers.push(*server),
            Resource::ChanceryIssuer(issuer) => self.issuers.push(*issuer),
            Resource::ChanceryClusterIssuer(issuer) => self.cluster_issuers.push(*issuer),
            Resource::CertificateRevocation(revocation) => self.revocations.push(*revocation),
        }
    }
}

impl Extend<Resource> for Resources {
    fn extend<I: IntoIterator<Item = Resource>>(&mut self, resources: I) {
        resources.into_iter().for_each(|resource| self.push(resource));
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut all = Self::default();
        all.extend(resources);
        all
    }
}

/// The name of a resource, its namespace filled in.
pub fn resource_name(meta: &ObjectMeta) -> ResourceName {
    ResourceName::new(
        meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// The name of a resource of a cluster-scoped kind, in [`CLUSTER_SCOPE`].
pub fn cluster_resource_name(meta: &ObjectMeta) -> ResourceName {
    ResourceName::new(CLUSTER_SCOPE, meta.name.as_deref().unwrap_or_default())
}

/// The name of a resource of this kind, as [`ResourceStatus`](crate::ResourceStatus) has it.
pub fn name_of(kind: Kind, meta: &ObjectMeta) -> ResourceName {
    if kind.is_namespaced() { resource_name(meta) } else { cluster_resource_name(meta) }
}

/// One resource by its name.
#[derive(Clone, Debug)]
pub(crate) struct Indexed<'a, T> {
    pub(crate) generation: Option<i64>,
    /// An error where the name is not usable, or there are two.
    pub(crate) resource: Result<&'a T, Problem>,
}

pub(crate) type ByName<'a, T> = BTreeMap<ResourceName, Indexed<'a, T>>;

/// What became of each resource of a kind.
pub(crate) type Judged<N> = BTreeMap<ResourceName, Result<N, Problems>>;

/// All resources by name.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    pub(crate) servers: ByName<'a, EnrollmentServer>,
    pub(crate) authorities: ByName<'a, CertificateAuthority>,
    pub(crate) profiles: ByName<'a, CertificateProfile>,
    pub(crate) methods: ByName<'a, EnrollmentMethod>,
    pub(crate) credentials: ByName<'a, EnrollmentCredential>,
    pub(crate) issuers: ByName<'a, ChanceryIssuer>,
    pub(crate) cluster_issuers: ByName<'a, ChanceryClusterIssuer>,
    pub(crate) cluster: Option<&'a Cluster>,
    /// Authorities that have been with a server, and that server.
    pub(crate) delegated: &'a BTreeMap<ResourceName, ResourceName>,
    secrets: ByName<'a, Secret>,
    namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(resources: &'a Resources, observed: &'a Observed) -> Self {
        Self {
            servers: by_name(&resources.servers, resource_name),
            authorities: by_name(&resources.authorities, resource_name),
            profiles: by_name(&resources.profiles, resource_name),
            methods: by_name(&resources.methods, resource_name),
            credentials: by_name(&resources.credentials, resource_name),
            issuers: by_name(&resources.issuers, resource_name),
            cluster_issuers: by_name(&resources.cluster_issuers, cluster_resource_name),
            cluster: resources.cluster.as_ref(),
            delegated: &observed.delegated,
            secrets: by_name(&resources.secrets, resource_name),
            namespaces: &resources.namespaces,
        }
    }

    /// Whether what is in `own` may be used from `from`; without a grant, only from `own`.
    pub(crate) fn permits(&self, grant: Option<&NamespaceGrant>, own: &str, from: &str) -> bool {
        let labels = self.labels_of(from);
        own == from || grant.is_some_and(|grant| grant.permits(own, from, &labels))
    }

    /// The labels of a namespace.
    fn labels_of(&self, namespace: &str) -> BTreeMap<String, String> {
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }

    /// Every namespace that may use what is in `own`: that one, those a grant lists, and those its selector picks now.
    pub(crate) fn permitted(&self, grant: Option<&NamespaceGrant>, own: &str) -> Granted {
        let listed = grant.map(|grant| grant.namespaces.as_slice()).unwrap_or_default();
        if listed.iter().any(|name| name == "*") {
            return Granted::All;
        }
        let selector = grant.and_then(|grant| grant.selector.as_ref());
        let is_picked = |namespace: &&String| {
            selector.is_some_and(|selector| selector.matches(&self.labels_of(namespace)))
        };
        let picked = self.namespaces.keys().filter(is_picked);
        Granted::Listed(listed.iter().chain(picked).cloned().chain([own.to_owned()]).collect())
    }

    /// In a cluster what was compiled travels in a Secret, with a little besides.
    pub(crate) fn check_size(&self, path: &str, compiled: &impl Serialize) -> Option<Problem> {
        self.cluster?;
        let size = serde_json::to_vec(compiled).map_or(0, |json| json.len());
        let most = MAX_PART_BYTES.saturating_sub(ENVELOPE_BYTES);
        (size > most).then(|| {
            Problem::invalid(path, format!("has {size} bytes with what it refers to; {most} are the most"))
        })
    }

    /// The bytes under `key` of a Secret; `path` is the member that names it.
    pub(crate) fn secret_value(
        &self,
        path: &str,
        name: &ResourceName,
        key: &str,
    ) -> Result<Option<&'a [u8]>, Problem> {
        let invalid = |what: &dyn fmt::Display| Problem::new(Reason::SecretInvalid, path, what);
        let found =
            self.secrets.get(name).ok_or_else(|| invalid(&format!("the Secret {name} does not exist")))?;
        let secret = found
            .resource
            .as_ref()
            .map_err(|problem| invalid(&format!("the Secret {name} cannot be used: {}", problem.message)))?;
        // The API server folds stringData into data, where it wins; a file may still have both.
        let text = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
        let bytes = || secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
        Ok(text.or_else(bytes))
    }
}

/// What a reference leads to, where that is accepted; `path` is the member that refers.
pub(crate) fn follow<'n, N>(
    judged: &'n Judged<N>,
    kind: Kind,
    path: &str,
    name: &ResourceName,
) -> Result<&'n N, Problem> {
    match judged.get(name) {
        None => Err(Problem::new(Reason::ReferenceNotFound, path, format!("there is no {kind} {name}"))),
        Some(Err(_)) => Err(Problem::new(
            Reason::ReferenceNotAccepted,
            path,
            format!("the {kind} {name} is not accepted"),
        )),
        Some(Ok(node)) => Ok(node),
    }
}

fn by_name<T: kube::ResourceExt>(resources: &[T], name_of: fn(&ObjectMeta) -> ResourceName) -> ByName<'_, T> {
    let mut found: ByName<'_, T> = BTreeMap::new();
    for resource in resources {
        let name = name_of(resource.meta());
        match found.entry(name) {
            Entry::Vacant(vacant) => {
                let resource_or = check_name(vacant.key()).map(|()| resource);
                vacant.insert(Indexed { generation: resource.meta().generation, resource: resource_or });
            }
            // Neither counts: which of them is read first must not matter.
            Entry::Occupied(mut occupied) => {
                let problem =
                    Problem::invalid("metadata.name", "there are two resources of this kind and name");
                occupied.insert(Indexed { generation: None, resource: Err(problem) });
            }
        }
    }
    found
}

/// RFC 1123 names, as Kubernetes takes them: they become URLs, file names and keys of rows.
fn check_name(name: &ResourceName) -> Result<(), Problem> {
    if !is_dns_subdomain(name.name()) {
        return Err(Problem::invalid(
            "metadata.name",
            "is not a name: small letters, digits, hyphens and dots, at most 253",
        ));
    }
    let in_namespace = name.namespace() != CLUSTER_SCOPE;
    if in_namespace && !is_dns_label(name.namespace()) {
        return Err(Problem::invalid(
            "metadata.namespace",
            "is not a name: small letters, digits and hyphens, at most 63",
        ));
    }
    Ok(())
}

/// RFC 1123: what namespaces are called.
pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_label(text)
}

/// RFC 1123: what most other objects are called.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
