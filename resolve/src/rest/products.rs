//! The profiles that an order may name, and the keys that are made for them.

use crds::{Protocol, RestMethod, RestProduct};
use issuance::identity::ResourceName;
use pki::algorithm::KeyAlgorithm;

use super::{AUTHENTICATION, strengths, unproven};
use crate::{
    authority,
    compiled_rest::CompiledProduct,
    method::{Asking, Context},
    offered,
    profile::ResolvedProfile,
    status::Problems,
};

const ALGORITHM: &str = "spec.rest.serverKeys.algorithm";

/// Most products of one method beside its own.
const MOST_PRODUCTS: usize = 16;

/// What is said of the method's own profile.
const DEFAULT_DESCRIPTION: &str = "What an order gets that names no product";

/// What orders may name, as far as it can be compiled.
pub(super) struct Products {
    /// Sorted by name.
    pub(super) compiled: Vec<CompiledProduct>,
    pub(super) server_key: Option<KeyAlgorithm>,
    pub(super) waits: bool,
}

/// The products of a method; what is wrong with them is noted.
pub(super) fn compile(context: &Context<'_, '_>, rest: &RestMethod, problems: &mut Problems) -> Products {
    let server_key = rest.server_keys.as_ref().map(|given| authority::key_algorithm(given.algorithm));
    let (mut compiled, mut waits) = (Vec::new(), false);
    let mut keys = Keys { made: server_key, is_allowed: false };
    if let Some(profile) = context.profile {
        keys.check("spec.profileRef", context.target, profile, problems);
    }
    compiled.extend(context.minimum.map(|minimum| CompiledProduct {
        name: RestMethod::DEFAULT_PRODUCT.to_owned(),
        description: DEFAULT_DESCRIPTION.to_owned(),
        profile: context.target.clone(),
        minimum,
    }));
    if rest.products.len() > MOST_PRODUCTS {
        problems.invalid("spec.rest.products", format!("{MOST_PRODUCTS} are the most"));
    }
    for (index, entry) in rest.products.iter().enumerate() {
        let RestProduct { name, description, profile_ref } = entry;
        let path = format!("spec.rest.products[{index}]");
        let earlier = rest.products.iter().take(index).map(|earlier| earlier.name.as_str());
        offered::check_name(&path, name, earlier, problems);
        let path = format!("{path}.profileRef");
        let strengths = strengths(rest);
        let (weak, unproven) = (AUTHENTICATION, unproven(rest));
        let asking = Asking { protocol: Protocol::Rest, strengths, path: &path, weak, unproven };
        let Some(found) = problems.note(offered::judge(context, profile_ref, &asking)) else {
            // What could not be looked into is not said to be wrong for its keys too.
            keys.is_allowed = true;
            continue;
        };
        keys.check(&path, &found.target, found.profile, problems);
        waits |= found.waits;
        compiled.push(CompiledProduct {
            name: name.clone(),
            description: description.clone().unwrap_or_else(|| name.clone()),
            profile: found.target,
            minimum: found.minimum,
        });
    }
    if let (Some(given), false, Some(_)) = (&rest.server_keys, keys.is_allowed, context.profile) {
        problems.invalid(ALGORITHM, format!("no profile of this method allows {} keys", given.algorithm));
    }
    compiled.sort_by(|one, other| one.name.cmp(&other.name));
    Products { compiled, server_key, waits }
}

/// The keys that the server makes, held against the profiles that they are made for.
struct Keys {
    made: Option<KeyAlgorithm>,
    /// By one of those that were looked at.
    is_allowed: bool,
}

impl Keys {
    /// `path` is the member that names the profile.
    fn check(
        &mut self,
        path: &str,
        name: &ResourceName,
        profile: &ResolvedProfile<'_>,
        problems: &mut Problems,
    ) {
        let is_allowed = self.made.is_some_and(|key| profile.policy.keys.allowed.contains(&key));
        self.is_allowed |= is_allowed;
        if profile.authority.is_some() || is_allowed {
            return;
        }
        // Only the holder of the key can sign.
        let why = match self.made {
            None => "this method makes no keys: give serverKeys",
            Some(_) => "it does not allow the keys of serverKeys",
        };
        problems.invalid(path, format!("the profile {name} lets certificates sign themselves, and {why}"));
    }
}
