//! The profiles that an order may choose.

use crds::{AcmeMethod, AcmeProfile, ExternalAccountBinding, Protocol, conditions::Reason};
use issuance::{identity::ResourceName, policy::Strength};

use super::{BINDING, Context, strengths};
use crate::{
    authority::Authority,
    compiled_acme::CompiledAcmeProfile,
    method,
    status::{Problem, Problems},
};

/// What the directory says about the method's own profile where it is listed under no name of its own.
const DEFAULT_DESCRIPTION: &str = "What an order gets that chooses no profile";

/// What orders may choose, as far as it can be compiled.
#[derive(Default)]
pub(super) struct Offered {
    /// Sorted by name; empty where nothing was listed.
    pub(super) compiled: Vec<CompiledAcmeProfile>,
    /// The least that a caller must show for the weakest of all, the method's own among them.
    pub(super) least: Option<Strength>,
    pub(super) waits: bool,
}

/// The profiles of a method; what is wrong with them is noted.
pub(super) fn compile(
    context: &Context<'_, '_>,
    given: &[AcmeProfile],
    binding: ExternalAccountBinding,
    problems: &mut Problems,
) -> Offered {
    let mut offered = Offered { least: context.own.map(|(_, _, minimum)| minimum), ..Offered::default() };
    for (index, entry) in given.iter().enumerate() {
        let path = format!("spec.acme.profiles[{index}]");
        check_name(&path, entry, problems);
        if given.iter().take(index).any(|earlier| earlier.name == entry.name) {
            problems.invalid(format!("{path}.name"), format!("{:?} is there twice", entry.name));
        }
        let Some((profile, waits)) = problems.note(judge(context, &path, entry, binding)) else { continue };
        offered.least = offered.least.min(Some(profile.minimum));
        offered.waits |= waits;
        offered.compiled.push(profile);
    }
    if let Some((own, _, minimum)) = context.own
        && !given.is_empty()
        && !offered.compiled.iter().any(|listed| listed.profile == *own)
    {
        offered.compiled.push(CompiledAcmeProfile {
            name: AcmeMethod::DEFAULT_PROFILE.to_owned(),
            description: DEFAULT_DESCRIPTION.to_owned(),
            profile: own.clone(),
            minimum,
        });
    }
    offered.compiled.sort_by(|one, other| one.name.cmp(&other.name));
    offered
}

/// A member of JSON that clients print and people type.
fn check_name(path: &str, entry: &AcmeProfile, problems: &mut Problems) {
    let name = &entry.name;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_word) {
        problems.invalid(
            format!("{path}.name"),
            format!("{name:?} is not a name: letters, digits, dots, hyphens and underscores, at most 63"),
        );
    } else if name == AcmeMethod::DEFAULT_PROFILE {
        problems.invalid(format!("{path}.name"), "default is what profileRef of the method is called");
    }
}

/// A profile with whether its authority is still to get its certificate.
fn judge(
    context: &Context<'_, '_>,
    path: &str,
    entry: &AcmeProfile,
    binding: ExternalAccountBinding,
) -> Result<(CompiledAcmeProfile, bool), Problem> {
    let path = format!("{path}.profileRef");
    let reference = &entry.profile_ref;
    let target = ResourceName::new(reference.namespace_or(context.name.namespace()), &reference.name);
    let profile = method::attach(context.index, context.profiles, &path, &target, context.name)?;
    let asking = method::Asking {
        protocol: Protocol::Acme,
        strengths: strengths(binding),
        path: &path,
        weak: BINDING,
    };
    let minimum = method::minimum(&target, profile, &asking)?;
    let Some(authority) = &profile.authority else {
        return Err(Problem::invalid(&path, signs_itself(&target)));
    };
    let authority = context.authorities.get(authority).and_then(|authority| authority.as_ref().ok());
    if let (Some(authority), Some(server)) = (authority, context.server)
        && authority.server != *server
    {
        return Err(Problem::new(
            Reason::ServerMismatch,
            &path,
            format!(
                "the authority of the profile, {}, belongs to the EnrollmentServer {}",
                authority.name, authority.server
            ),
        ));
    }
    let compiled = CompiledAcmeProfile {
        name: entry.name.clone(),
        description: entry.description.clone().unwrap_or_else(|| entry.name.clone()),
        profile: target,
        minimum,
    };
    Ok((compiled, !authority.is_some_and(Authority::has_certificate)))
}

/// Why nothing could be issued by a profile.
pub(super) fn signs_itself(profile: &ResourceName) -> String {
    format!("the profile {profile} lets certificates sign themselves, and requests here bring their own keys")
}
