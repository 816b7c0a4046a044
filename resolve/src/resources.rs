//! The resources that are resolved together, and how one finds another.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use crds::{
    CertificateAuthority, CertificateProfile, EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind,
    NamespaceGrant, Resource, conditions::Reason,
};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;

use crate::status::{Problem, Problems};

/// The namespace of a resource that names none, as `kubectl` has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Everything that is resolved together. Order does not matter. What could not be decoded is not here; whoever read it
/// reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    pub servers: Vec<EnrollmentServer>,
    pub authorities: Vec<CertificateAuthority>,
    pub profiles: Vec<CertificateProfile>,
    pub methods: Vec<EnrollmentMethod>,
    pub credentials: Vec<EnrollmentCredential>,
    pub secrets: Vec<Secret>,
    /// The labels of each namespace, for grants that select by label. Every namespace has `kubernetes.io/metadata.name`,
    /// whether or not it is listed; standalone lists none.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
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
    secrets: ByName<'a, Secret>,
    namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(resources: &'a Resources) -> Self {
        Self {
            servers: by_name(&resources.servers),
            authorities: by_name(&resources.authorities),
            profiles: by_name(&resources.profiles),
            methods: by_name(&resources.methods),
            credentials: by_name(&resources.credentials),
            secrets: by_name(&resources.secrets),
            namespaces: &resources.namespaces,
        }
    }

    /// Whether what is in `own` may be used from `from`; without a grant, only from `own`.
    pub(crate) fn permits(&self, grant: Option<&NamespaceGrant>, own: &str, from: &str) -> bool {
        let mut labels = self.namespaces.get(from).cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), from.to_owned());
        own == from || grant.is_some_and(|grant| grant.permits(own, from, &labels))
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

fn by_name<T: kube::ResourceExt>(resources: &[T]) -> ByName<'_, T> {
    let mut found: ByName<'_, T> = BTreeMap::new();
    for resource in resources {
        let name = resource_name(resource.meta());
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
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.name().len() > 253 || !name.name().split('.').all(label) {
        return Err(Problem::invalid(
            "metadata.name",
            "is not a name: small letters, digits, hyphens and dots, at most 253",
        ));
    }
    if name.namespace().len() > 63 || !label(name.namespace()) {
        return Err(Problem::invalid(
            "metadata.namespace",
            "is not a name: small letters, digits and hyphens, at most 63",
        ));
    }
    Ok(())
}
