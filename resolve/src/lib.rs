//! Resources → compiled configuration, conditions and *wants*. Pure: no clock, no files, no cluster, so that the operator and
//! the standalone server decide the same.
//!
//! ```text
//! Resources ┐            ┌─► Compiled    what one server needs, every reference followed
//!           ├─ resolve ──┼─► statuses    what is wrong with which resource, and why
//! Observed  ┘            └─► wants       keys and certificates that are still to be made, parents first
//! ```
//!
//! Before it travels to a server, a compiled configuration is split into [`parts`], and there put together again.
//!
//! A caller resolves, fulfils the wants, and resolves again until there are none. Only what exists is compiled: a profile
//! appears once its authority has a certificate, its methods with it.
//!
//! **A resource that does not resolve takes nothing else down** but what refers to it. What one resource alone can say is
//! checked by its schema and rules (`crds`) before it gets here; what would be dangerous if that were skipped is checked again.
//!
//! | file | decides |
//! | --- | --- |
//! | `resources.rs` | which resources there are; references, names, grants |
//! | `authority/` | sources, parents, path length, name constraints, imports |
//! | `profile/` | the policy, with presets filled in |
//! | `method.rs` | grants, protocols, strength of authentication |
//! | `acme/` | binding, profiles to choose, validation and the rest of ACME's settings |
//! | `guard.rs` | which addresses may be contacted on behalf of others |
//! | `est/` | renewal and the rest of EST's settings |
//! | `rest/` | products, tokens and the rest of REST's settings |
//! | `offered.rs` | profiles that an order may choose beside the method's own |
//! | `trust.rs` | whose client certificates are taken |
//! | `notice.rs` | webhooks |
//! | `credential.rs` | owners, values, key identifiers |
//! | `value_form.rs` | in which form values are handed out |
//! | `issuer.rs` | grants of cert-manager's issuers |
//! | `server.rs` | which server, default method, labels, TLS certificate |
//! | `cluster.rs` | what only a server in a cluster has |

mod acme;
mod authority;
mod bundle;
mod cluster;
mod compiled;
mod compiled_acme;
mod compiled_est;
mod compiled_rest;
mod credential;
mod encoding;
mod est;
mod guard;
mod issuer;
mod length;
mod method;
mod notice;
mod observed;
mod offered;
pub mod parts;
mod profile;
mod resources;
mod rest;
mod server;
mod status;
#[cfg(test)]
mod tests;
mod trust;
mod value_form;
mod want;

use std::collections::BTreeSet;

use crds::{Kind, conditions::Reason};
use issuance::identity::ResourceName;

use crate::{
    authority::Authority,
    method::Method,
    profile::ResolvedProfile,
    resources::{ByName, Index, Judged},
    server::Server,
    status::{IssuedState, Problem},
};

pub use crate::{
    compiled::*,
    compiled_acme::*,
    compiled_est::*,
    compiled_rest::*,
    guard::{AddressGuard, Reach},
    observed::{Observed, ObservedAuthority},
    resources::{
        CLUSTER_SCOPE, Cluster, DEFAULT_NAMESPACE, Resources, TokenIssuer, cluster_resource_name, name_of,
        resource_name,
    },
    server::implied_server_name,
    status::{ResourceStatus, StatusCondition},
    value_form::{ValueForm, ValueFormError},
    want::*,
};

/// What resolving gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// None: which server this is for is not decided, or there is no such server; the last good configuration stays in force.
    pub compiled: Option<Compiled>,
    /// One for every resource, by kind and name, those of other servers included; and one for the implied server.
    pub statuses: Vec<ResourceStatus>,
    /// For the authorities of this server.
    pub wants: Vec<Want>,
    /// Of the authorities in `compiled`, those whose keys the server needs; the others it only publishes for, with revocation
    /// lists made elsewhere.
    pub issuing: BTreeSet<ResourceName>,
}

impl Resolution {
    /// The status of one resource.
    pub fn status(&self, kind: Kind, name: &ResourceName) -> Option<&ResourceStatus> {
        self.statuses.iter().find(|status| status.kind == kind && status.name == *name)
    }
}

/// Resolves everything for one server: `server`, or else the only one there is, or else, where none is declared, one
/// named [`implied_server_name`] with every default.
pub fn resolve(resources: &Resources, observed: &Observed, server: Option<&ResourceName>) -> Resolution {
    let index = Index::new(resources, observed);
    let authorities = authority::judge_all(&index, observed);
    let profiles = profile::judge_all(&index, &authorities);
    let methods = method::judge_all(&index, &authorities, &profiles);
    let credentials = credential::judge_all(&index, &methods, observed.now);
    let issuers = issuer::judge_all(&index, &authorities, &profiles);
    let cluster_issuers = issuer::judge_all_of_cluster(&index, &authorities, &profiles);
    let mut servers = server::judge_all(&index, &authorities, &methods);

    let chosen = server::choose(&index, server);
    if chosen.is_none() && server.is_none() {
        for server in servers.values_mut().flatten() {
            server.problems.push(Problem::new(
                Reason::ServerMismatch,
                "metadata.name",
                "there are several EnrollmentServers and none was chosen",
            ));
        }
    }
    let world = World { authorities, profiles, methods, credentials, issuers, cluster_issuers };
    let compiled = chosen
        .as_ref()
        .and_then(|chosen| servers.get(chosen))
        .and_then(|server| server.as_ref().ok())
        .map(|server| world.compile(server));
    let wants =
        chosen.as_ref().map(|chosen| authority::wants(&world.authorities, chosen)).unwrap_or_default();
    let statuses = world.statuses(&index, &servers);
    let issuing = compiled.as_ref().map(|compiled| issuing(compiled, observed)).unwrap_or_default();
    Resolution { compiled, statuses, wants, issuing }
}

fn issuing(compiled: &Compiled, observed: &Observed) -> BTreeSet<ResourceName> {
    let compiled_there = compiled.authorities.iter().map(|authority| &authority.name);
    let delegated = compiled_there.filter(|name| observed.delegated.contains_key(*name)).cloned();
    compiled.issuing().into_iter().chain(delegated).collect()
}

/// Everything that was judged, but for servers.
struct World<'a> {
    authorities: Judged<Authority<'a>>,
    profiles: Judged<ResolvedProfile<'a>>,
    methods: Judged<Method>,
    credentials: Judged<CompiledCredential>,
    issuers: Judged<Method>,
    cluster_issuers: Judged<Method>,
}

impl World<'_> {
    fn compile(&self, server: &Server) -> Compiled {
        let all =
            accepted(&self.methods).chain(accepted(&self.issuers)).chain(accepted(&self.cluster_issuers));
        let mut methods: Vec<CompiledMethod> = all
            .filter(|method| method.is_served_by(&server.compiled.name))
            .map(|method| method.compiled.clone())
            .collect();
        methods.sort_by(|one, other| one.name.cmp(&other.name));
        let is_served =
            |name: &ResourceName| methods.binary_search_by(|method| method.name.cmp(name)).is_ok();
        let mut compiled = server.compiled.clone();
        compiled.default_method = compiled.default_method.filter(is_served);
        compiled.labels.retain(|_, method| is_served(method));
        let profiles = accepted(&self.profiles)
            .filter(|profile| profile.is_served_by(&server.compiled.name, &self.authorities))
            .map(|profile| profile.policy.clone())
            .collect();
        let mut authorities: Vec<CompiledAuthority> = accepted(&self.authorities)
            .filter(|authority| authority.server == server.compiled.name)
            .filter_map(Authority::compiled)
            .collect();
        let there: BTreeSet<ResourceName> =
            authorities.iter().map(|authority| authority.name.clone()).collect();
        for authority in &mut authorities {
            authority.successor = authority.successor.take().filter(|successor| there.contains(successor));
        }
        let credentials =
            accepted(&self.credentials).filter(|credential| is_served(&credential.method)).cloned().collect();
        Compiled { format: FORMAT, server: compiled, authorities, profiles, methods, credentials }
    }

    fn statuses(&self, index: &Index<'_>, servers: &Judged<Server>) -> Vec<ResourceStatus> {
        let mut statuses = Vec::new();
        say(&mut statuses, Kind::CertificateAuthority, &index.authorities, &self.authorities, |authority| {
            Some(authority.issued.clone())
        });
        say(&mut statuses, Kind::CertificateProfile, &index.profiles, &self.profiles, |_| None);
        say(&mut statuses, Kind::EnrollmentMethod, &index.methods, &self.methods, |_| None);
        say(&mut statuses, Kind::EnrollmentCredential, &index.credentials, &self.credentials, |_| None);
        say(&mut statuses, Kind::ChanceryIssuer, &index.issuers, &self.issuers, |_| None);
        say(
            &mut statuses,
            Kind::ChanceryClusterIssuer,
            &index.cluster_issuers,
            &self.cluster_issuers,
            |_| None,
        );
        for (name, judged) in servers {
            let kind = Kind::EnrollmentServer;
            let generation = index.servers.get(name).and_then(|found| found.generation);
            statuses.push(match judged {
                // A server serves on with what is right of it, so that its problems are not its end.
                Ok(server) if server.problems.is_empty() => {
                    status::accepted(kind, name.clone(), generation, None)
                }
                Ok(server) => status::refused(kind, name.clone(), generation, &server.problems),
                Err(problems) => status::refused(kind, name.clone(), generation, problems),
            });
        }
        statuses
    }
}

fn accepted<N>(judged: &Judged<N>) -> impl Iterator<Item = &N> {
    judged.values().filter_map(|node| node.as_ref().ok())
}

fn say<T, N>(
    statuses: &mut Vec<ResourceStatus>,
    kind: Kind,
    indexed: &ByName<'_, T>,
    judged: &Judged<N>,
    issued: impl Fn(&N) -> Option<IssuedState>,
) {
    for (name, found) in indexed {
        let generation = found.generation;
        statuses.extend(judged.get(name).map(|judged| match judged {
            Ok(node) => status::accepted(kind, name.clone(), generation, issued(node)),
            Err(problems) => status::refused(kind, name.clone(), generation, problems),
        }));
    }
}
