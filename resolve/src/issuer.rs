//! ChanceryIssuers and ChanceryClusterIssuers: methods by which requests of a cluster's API are issued.
//!
//! Whoever makes such a request has been authenticated by the API server, and an approver has said yes; the operator, which passes it
//! on, shows a certificate. So an issuer asks for as much as any profile can want, and none is too strong for it. What counts
//! beside that is the namespace of each request.

use std::{collections::BTreeSet, time::Duration};

use crds::{Kind, Protocol, conditions::Reason};
use issuance::identity::ResourceName;

use crate::{
    authority::Authority,
    compiled::{CompiledIssuer, CompiledMethod, Granted, MethodSettings, issuer_method_name},
    method::{self, Method},
    profile::{self, ResolvedProfile},
    resources::{ByName, CLUSTER_SCOPE, Index, Indexed, Judged, follow},
    status::{Problem, Problems},
};

const PROFILE_REF: &str = "spec.profileRef";

/// How long the operator waits before it asks again about a request that waits for a person.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// What issuers are judged by.
struct Context<'n, 'a> {
    index: &'n Index<'a>,
    authorities: &'n Judged<Authority<'a>>,
    profiles: &'n Judged<ResolvedProfile<'a>>,
}

/// Judges the issuers of namespaces.
pub(crate) fn judge_all<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
    profiles: &Judged<ResolvedProfile<'a>>,
) -> Judged<Method> {
    Context { index, authorities, profiles }.judge_each(&index.issuers, |name, issuer| {
        let reference = &issuer.spec.profile_ref;
        ResourceName::new(reference.namespace_or(name.namespace()), &reference.name)
    })
}

/// Judges the issuers of the cluster.
pub(crate) fn judge_all_of_cluster<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
    profiles: &Judged<ResolvedProfile<'a>>,
) -> Judged<Method> {
    Context { index, authorities, profiles }.judge_each(&index.cluster_issuers, |_, issuer| {
        let reference = &issuer.spec.profile_ref;
        ResourceName::new(&reference.namespace, &reference.name)
    })
}

impl Context<'_, '_> {
    fn judge_each<T>(
        &self,
        issuers: &ByName<'_, T>,
        profile: impl Fn(&ResourceName, &T) -> ResourceName,
    ) -> Judged<Method> {
        let judge_one = |(name, found): (&ResourceName, &Indexed<'_, T>)| {
            let judged = match &found.resource {
                Ok(resource) => self.judge(name, profile(name, resource)),
                Err(problem) => Err(Problems::unread(problem.clone())),
            };
            (name.clone(), judged)
        };
        issuers.iter().map(judge_one).collect()
    }

    fn judge(&self, name: &ResourceName, target: ResourceName) -> Result<Method, Problems> {
        let profile = follow(self.profiles, Kind::CertificateProfile, PROFILE_REF, &target)?;
        let mut problems = Problems::default();
        let granted = problems.note(self.granted(name, &target, profile));
        let asked = profile.spec.minimum_authentication(Protocol::Issuer);
        if asked.is_none() {
            problems.push(Problem::new(
                Reason::ProtocolNotAllowed,
                "spec",
                format!("the profile {target} does not allow {}", Protocol::Issuer),
            ));
        }
        // The API server says who asks, and nobody which names are theirs.
        problems.extend(method::check_provable(&target, profile, Protocol::Issuer, PROFILE_REF).err());
        let authority = profile
            .authority
            .as_ref()
            .and_then(|authority| self.authorities.get(authority))
            .and_then(|authority| authority.as_ref().ok());
        if profile.authority.is_none() {
            problems.invalid(
                PROFILE_REF,
                format!("the profile {target} lets certificates sign themselves, and requests here bring their own keys"),
            );
        }
        let method = granted.zip(asked).zip(authority).map(|((namespaces, asked), authority)| {
            let method = issuer_method_name(name);
            Method {
                compiled: CompiledMethod {
                    label: method.dotted(),
                    name: method,
                    profile: target.clone(),
                    protocol: profile::protocol(Protocol::Issuer),
                    minimum: profile::strength(asked),
                    retry_after: RETRY_AFTER,
                    settings: MethodSettings::Issuer(CompiledIssuer { namespaces }),
                },
                server: authority.server.clone(),
                authority: Some(authority.name.clone()),
                can_be_served: authority.has_certificate(),
            }
        });
        problems.or(method)
    }

    /// Whose requests may come: those of its own namespace, where the profile grants that; an issuer of the cluster takes those
    /// of every namespace that the profile grants.
    fn granted(
        &self,
        name: &ResourceName,
        target: &ResourceName,
        profile: &ResolvedProfile<'_>,
    ) -> Result<Granted, Problem> {
        let grant = profile.spec.grants.issue.as_ref();
        if name.namespace() == CLUSTER_SCOPE {
            return Ok(self.index.permitted(grant, target.namespace()));
        }
        if self.index.permits(grant, target.namespace(), name.namespace()) {
            return Ok(Granted::Listed(BTreeSet::from([name.namespace().to_owned()])));
        }
        Err(Problem::new(
            Reason::ReferenceNotPermitted,
            PROFILE_REF,
            format!("{target} does not list the namespace {} under grants.issue", name.namespace()),
        ))
    }
}
