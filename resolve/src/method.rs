//! EnrollmentMethods: which profile, over which protocol, asking for how much.

use crds::{EnrollmentMethodSpec, Kind, MethodProtocol, Protocol, conditions::Reason};
use issuance::{
    identity::ResourceName,
    policy::{ProofOfControl, Strength},
};

use crate::{
    acme,
    authority::Authority,
    compiled::{CompiledMethod, MethodSettings},
    est,
    profile::{self, ResolvedProfile},
    resources::{Index, Judged, follow},
    rest, server,
    status::{Problem, Problems},
};

const PROFILE_REF: &str = "spec.profileRef";

/// A method that is accepted.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) compiled: CompiledMethod,
    /// The server that answers.
    pub(crate) server: ResourceName,
    /// The authority of its profile; none: self-signed.
    pub(crate) authority: Option<ResourceName>,
    /// Whether its profile can be issued by, and what it trusts is there.
    pub(crate) can_be_served: bool,
}

impl Method {
    pub(crate) fn is_served_by(&self, server: &ResourceName) -> bool {
        self.server == *server && self.can_be_served
    }
}

/// What the settings of a method are compiled from, besides themselves.
pub(crate) struct Context<'n, 'a> {
    pub(crate) index: &'n Index<'a>,
    pub(crate) authorities: &'n Judged<Authority<'a>>,
    pub(crate) profiles: &'n Judged<ResolvedProfile<'a>>,
    /// The method.
    pub(crate) name: &'n ResourceName,
    /// What `profileRef` names.
    pub(crate) target: &'n ResourceName,
    /// None where that is a problem already.
    pub(crate) profile: Option<&'n ResolvedProfile<'a>>,
    /// The least a caller must show for it; none where that is a problem already.
    pub(crate) minimum: Option<Strength>,
    /// None where that is a problem already.
    pub(crate) server: Option<&'n ResourceName>,
}

pub(crate) fn judge_all<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
    profiles: &Judged<ResolvedProfile<'a>>,
) -> Judged<Method> {
    let mut judged = Judged::new();
    for (name, found) in &index.methods {
        let outcome = match &found.resource {
            Ok(resource) => judge(index, authorities, profiles, name, &resource.spec),
            Err(problem) => Err(Problems::unread(problem.clone())),
        };
        judged.insert(name.clone(), outcome);
    }
    judged
}

fn judge(
    index: &Index<'_>,
    authorities: &Judged<Authority<'_>>,
    profiles: &Judged<ResolvedProfile<'_>>,
    name: &ResourceName,
    spec: &EnrollmentMethodSpec,
) -> Result<Method, Problems> {
    let mut problems = Problems::default();
    let Some(protocol) = spec.protocol() else {
        problems.invalid("spec", "give exactly one protocol");
        return Err(problems);
    };
    let reference = &spec.profile_ref;
    let target = ResourceName::new(reference.namespace_or(name.namespace()), &reference.name);
    let profile = problems.note(attach(index, profiles, PROFILE_REF, &target, name));
    let minimum = profile.and_then(|profile| problems.note(minimum(&target, profile, &Asking::of(protocol))));
    let authority = profile
        .and_then(|profile| profile.authority.as_ref())
        .and_then(|authority| authorities.get(authority))
        .and_then(|authority| authority.as_ref().ok());
    let server = profile.and_then(|_| problems.note(answering(index, name, spec, authority)));
    let context = Context {
        index,
        authorities,
        profiles,
        name,
        target: &target,
        profile,
        minimum,
        server: server.as_ref(),
    };
    let (retry_after, settings, waits) = match protocol {
        MethodProtocol::Est(est) => {
            let settings = est::compile(&context, est, &mut problems);
            (est.pending_retry_after.as_std(), MethodSettings::Est(settings.compiled), settings.waits)
        }
        MethodProtocol::Acme(acme) => {
            let settings = acme::compile(&context, acme, &mut problems);
            (acme.pending_retry_after.as_std(), MethodSettings::Acme(settings.compiled), settings.waits)
        }
        MethodProtocol::Rest(rest) => {
            let settings = rest::compile(&context, rest, &mut problems);
            (rest.pending_retry_after.as_std(), MethodSettings::Rest(settings.compiled), settings.waits)
        }
    };
    let method: Option<Method> = minimum.zip(server).map(|(minimum, server)| Method {
        compiled: CompiledMethod {
            name: name.clone(),
            profile: target.clone(),
            protocol: profile::protocol(protocol.protocol()),
            label: name.dotted(),
            minimum,
            retry_after,
            settings,
        },
        server,
        authority: authority.map(|authority| authority.name.clone()),
        can_be_served: !waits && authority.is_none_or(Authority::has_certificate),
    });
    if let Some(method) = &method {
        problems.extend(index.check_size("spec", &method.compiled));
    }
    problems.or(method)
}

/// The profile, where a method of this namespace may be put on it; `path` is the member that names it.
pub(crate) fn attach<'n, 'a>(
    index: &Index<'_>,
    profiles: &'n Judged<ResolvedProfile<'a>>,
    path: &str,
    target: &ResourceName,
    name: &ResourceName,
) -> Result<&'n ResolvedProfile<'a>, Problem> {
    let profile = follow(profiles, Kind::CertificateProfile, path, target)?;
    if index.permits(profile.spec.grants.attach.as_ref(), target.namespace(), name.namespace()) {
        return Ok(profile);
    }
    Err(Problem::new(
        Reason::ReferenceNotPermitted,
        path,
        format!("{target} does not list the namespace {} under grants.attach", name.namespace()),
    ))
}

/// What a method asks of its callers.
pub(crate) struct Asking<'p> {
    pub(crate) protocol: Protocol,
    /// The least and the most that a caller can be made to show.
    pub(crate) strengths: (Strength, Strength),
    /// The member that is wrong where the profile does not allow the protocol.
    pub(crate) path: &'p str,
    /// The member that is wrong where the profile wants more.
    pub(crate) weak: &'p str,
    /// The member that is wrong where the profile wants control of names proved; none: the method can have that proved.
    pub(crate) unproven: Option<&'p str>,
}

impl Asking<'static> {
    fn of(protocol: MethodProtocol<'_>) -> Self {
        let (strengths, weak, unproven) = match protocol {
            MethodProtocol::Est(est) => {
                (est::strengths(est.authentication), est::AUTHENTICATION, Some(PROFILE_REF))
            }
            MethodProtocol::Acme(acme) => {
                (acme::strengths(acme.external_account_binding), acme::BINDING, None)
            }
            MethodProtocol::Rest(rest) => (rest::strengths(rest), rest::AUTHENTICATION, rest::unproven(rest)),
        };
        Self { protocol: protocol.protocol(), strengths, path: "spec", weak, unproven }
    }
}

/// The least a caller must show, where the method can ask for that much.
pub(crate) fn minimum(
    target: &ResourceName,
    profile: &ResolvedProfile<'_>,
    asking: &Asking<'_>,
) -> Result<Strength, Problem> {
    let Some(asked) = profile.spec.minimum_authentication(asking.protocol) else {
        return Err(Problem::new(
            Reason::ProtocolNotAllowed,
            asking.path,
            format!("the profile {target} does not allow {}", asking.protocol),
        ));
    };
    let (least, most) = asking.strengths;
    let wanted = profile::strength(asked);
    if wanted > most {
        return Err(Problem::new(
            Reason::AuthenticationTooWeak,
            asking.weak,
            format!("the profile {target} asks for {asked}, which this method cannot ask for"),
        ));
    }
    if let Some(path) = asking.unproven {
        check_provable(target, profile, asking.protocol, path)?;
    }
    Ok(least.max(wanted))
}

/// Refuses a profile that wants control of names proved, for whatever has no way to do so; `path` is the member that is wrong.
pub(crate) fn check_provable(
    target: &ResourceName,
    profile: &ResolvedProfile<'_>,
    protocol: Protocol,
    path: &str,
) -> Result<(), Problem> {
    match profile.policy.proof_of_control {
        ProofOfControl::NotRequired => Ok(()),
        ProofOfControl::Required => Err(Problem::new(
            Reason::ProtocolNotAllowed,
            path,
            format!(
                "the profile {target} asks for proof of control over names, which nobody can give here over {protocol}"
            ),
        )),
    }
}

/// The server that answers: that of the profile's authority.
fn answering(
    index: &Index<'_>,
    name: &ResourceName,
    spec: &EnrollmentMethodSpec,
    authority: Option<&Authority<'_>>,
) -> Result<ResourceName, Problem> {
    let Some(authority) = authority else {
        return server::home(index, name, spec.server_ref.as_ref());
    };
    let Some(reference) = &spec.server_ref else { return Ok(authority.server.clone()) };
    let named = server::home(index, name, Some(reference))?;
    if named == authority.server {
        return Ok(named);
    }
    Err(Problem::new(
        Reason::ServerMismatch,
        server::SERVER_REF,
        format!(
            "the authority of the profile, {}, belongs to the EnrollmentServer {}",
            authority.name, authority.server
        ),
    ))
}
