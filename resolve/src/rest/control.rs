//! How control of names is proved: as over ACME.

use crds::RestDomainValidation;

use super::DOMAIN_VALIDATION;
use crate::{
    acme::{challenge_types, issuer_names, validation},
    compiled_rest::CompiledDomainValidation,
    length::{DAY, MINUTE, check_length},
    method::Context,
    status::Problems,
};

/// What is wrong with it is noted.
pub(super) fn compile(
    context: &Context<'_, '_>,
    given: &RestDomainValidation,
    problems: &mut Problems,
) -> CompiledDomainValidation {
    if given.challenges.is_empty() {
        problems.invalid(format!("{DOMAIN_VALIDATION}.challenges"), "give at least one");
    }
    let path = format!("{DOMAIN_VALIDATION}.authorizationLifetime");
    check_length(&path, &given.authorization_lifetime, MINUTE..=90 * DAY, problems);
    let caa = given.caa.as_ref();
    CompiledDomainValidation {
        challenges: challenge_types(&given.challenges),
        validation: validation::compile(
            context,
            &format!("{DOMAIN_VALIDATION}.validation"),
            &given.validation,
            problems,
        ),
        caa: caa.map(|caa| issuer_names(&format!("{DOMAIN_VALIDATION}.caa"), caa, problems)),
        authorization_lifetime: given.authorization_lifetime.as_std(),
    }
}
