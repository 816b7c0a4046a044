//! The profiles that an order may choose.

use crds::{AcmeMethod, AcmeProfile, ExternalAccountBinding, Protocol};
use issuance::policy::Strength;

use super::{BINDING, strengths};
use crate::{
    compiled_acme::CompiledAcmeProfile,
    method::{Asking, Context},
    offered,
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
    let mut offered = Offered { least: context.minimum, ..Offered::default() };
    for (index, entry) in given.iter().enumerate() {
        let path = format!("spec.acme.profiles[{index}]");
        let earlier = given.iter().take(index).map(|earlier| earlier.name.as_str());
        offered::check_name(&path, &entry.name, earlier, problems);
        let Some((profile, waits)) = problems.note(judge(context, &path, entry, binding)) else { continue };
        offered.least = offered.least.min(Some(profile.minimum));
        offered.waits |= waits;
        offered.compiled.push(profile);
    }
    if let Some(minimum) = context.minimum
        && !given.is_empty()
        && !offered.compiled.iter().any(|listed| listed.profile == *context.target)
    {
        offered.compiled.push(CompiledAcmeProfile {
            name: AcmeMethod::DEFAULT_PROFILE.to_owned(),
            description: DEFAULT_DESCRIPTION.to_owned(),
            profile: context.target.clone(),
            minimum,
        });
    }
    offered.compiled.sort_by(|one, other| one.name.cmp(&other.name));
    offered
}

/// A profile with whether its authority is still to get its certificate.
fn judge(
    context: &Context<'_, '_>,
    path: &str,
    entry: &AcmeProfile,
    binding: ExternalAccountBinding,
) -> Result<(CompiledAcmeProfile, bool), Problem> {
    let path = format!("{path}.profileRef");
    let strengths = strengths(binding);
    let asking = Asking { protocol: Protocol::Acme, strengths, path: &path, weak: BINDING, unproven: None };
    let found = offered::judge(context, &entry.profile_ref, &asking)?;
    if found.profile.authority.is_none() {
        return Err(Problem::invalid(&path, offered::signs_itself(&found.target)));
    }
    let compiled = CompiledAcmeProfile {
        name: entry.name.clone(),
        description: entry.description.clone().unwrap_or_else(|| entry.name.clone()),
        profile: found.target,
        minimum: found.minimum,
    };
    Ok((compiled, found.waits))
}
