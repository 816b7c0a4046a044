//! Profiles that an order may choose by name, beside the method's own: the same for every protocol that has them.

use crds::{ObjectRef, conditions::Reason};
use issuance::{identity::ResourceName, policy::Strength};

use crate::{
    authority::Authority,
    method::{self, Asking, Context},
    profile::ResolvedProfile,
    status::{Problem, Problems},
};

/// What orders call the method's own profile.
pub(crate) const DEFAULT: &str = "default";

/// A profile that may be chosen.
pub(crate) struct Offered<'n, 'a> {
    pub(crate) target: ResourceName,
    pub(crate) profile: &'n ResolvedProfile<'a>,
    /// The least a caller must show for it.
    pub(crate) minimum: Strength,
    /// Whether its authority is still to get its certificate.
    pub(crate) waits: bool,
}

/// It becomes a part of JSON that clients print and people type. `path` is the entry that has it; `earlier` are those before.
pub(crate) fn check_name<'e>(
    path: &str,
    name: &str,
    mut earlier: impl Iterator<Item = &'e str>,
    problems: &mut Problems,
) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_word) {
        problems.invalid(
            format!("{path}.name"),
            format!("{name:?} is not a name: letters, digits, dots, hyphens and underscores, at most 63"),
        );
    } else if name == DEFAULT {
        problems.invalid(format!("{path}.name"), "default is what profileRef of the method is called");
    }
    if earlier.any(|other| other == name) {
        problems.invalid(format!("{path}.name"), format!("{name:?} is there twice"));
    }
}

/// The profile that an entry refers to, where it may be put there and the same server issues by it.
pub(crate) fn judge<'n, 'a>(
    context: &Context<'n, 'a>,
    reference: &ObjectRef,
    asking: &Asking<'_>,
) -> Result<Offered<'n, 'a>, Problem> {
    let target = ResourceName::new(reference.namespace_or(context.name.namespace()), &reference.name);
    let profile = method::attach(context.index, context.profiles, asking.path, &target, context.name)?;
    let minimum = method::minimum(&target, profile, asking)?;
    let authority = profile.authority.as_ref().and_then(|authority| context.authorities.get(authority));
    let authority = authority.and_then(|authority| authority.as_ref().ok());
    if let (Some(authority), Some(server)) = (authority, context.server)
        && authority.server != *server
    {
        return Err(Problem::new(
            Reason::ServerMismatch,
            asking.path,
            format!(
                "the authority of the profile, {}, belongs to the EnrollmentServer {}",
                authority.name, authority.server
            ),
        ));
    }
    let is_ready = match &profile.authority {
        Some(_) => authority.is_some_and(Authority::has_certificate),
        // It signs itself.
        None => true,
    };
    Ok(Offered { target, profile, minimum, waits: !is_ready })
}

/// Why nothing could be issued by a profile.
pub(crate) fn signs_itself(profile: &ResourceName) -> String {
    format!("the profile {profile} lets certificates sign themselves, and requests here bring their own keys")
}
