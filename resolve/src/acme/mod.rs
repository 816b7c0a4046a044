//! Settings of methods that speak ACME.
//!
//! | file | decides |
//! | --- | --- |
//! | `mod.rs` | how strong, lifetimes, renewal, what the directory says |
//! | `profiles.rs` | the profiles that an order may choose |
//! | `identifiers.rs` | the names that a key is restricted to |
//! | `validation.rs` | whom to ask, and what may be contacted |
//! | `bounds.rs` | which networks a server leaves to its methods |

mod bounds;
mod identifiers;
mod profiles;
pub(crate) mod validation;

use crds::{AcmeCaa, AcmeMethod, AcmeRenewal, ExternalAccountBinding, PreAuthorizedNames};
use issuance::{acme::ChallengeType, policy::Strength};
use pki::general_name::is_valid_dns_name;

use crate::{
    compiled_acme::{CompiledAcme, CompiledAcmeMeta, CompiledRenewal},
    length::{DAY, MINUTE, check_length},
    method::Context,
    offered,
    status::Problems,
};

pub(crate) use self::{bounds::check_server, identifiers::restriction};

/// The member that says how strong a method is.
pub(crate) const BINDING: &str = "spec.acme.externalAccountBinding";

/// Most names of an order; its row holds them all.
const MOST_IDENTIFIERS: u16 = 250;

/// Settings, as far as they can be compiled.
pub(crate) struct Settings {
    pub(crate) compiled: CompiledAcme,
    /// Whether the authority of a profile that an order may choose is still to get its certificate.
    pub(crate) waits: bool,
}

/// The least and the most that a caller can be made to show: an account that is bound to a key is its owner's, another one is
/// nobody's in particular.
pub(crate) fn strengths(binding: ExternalAccountBinding) -> (Strength, Strength) {
    match binding {
        ExternalAccountBinding::Required => (Strength::PersonalSecret, Strength::PersonalSecret),
        ExternalAccountBinding::Optional => (Strength::Anonymous, Strength::PersonalSecret),
        ExternalAccountBinding::Disabled => (Strength::Anonymous, Strength::Anonymous),
    }
}

/// The settings of a method; what is wrong with them is noted.
pub(crate) fn compile(context: &Context<'_, '_>, acme: &AcmeMethod, problems: &mut Problems) -> Settings {
    if let Some(profile) = context.profile
        && profile.authority.is_none()
    {
        problems.invalid("spec.profileRef", offered::signs_itself(context.target));
    }
    check_proofs(acme, problems);
    if acme.pending_retry_after.seconds() == 0 {
        problems.invalid("spec.acme.pendingRetryAfter", "must be longer than zero");
    }
    if acme.maximum_identifiers == 0 || acme.maximum_identifiers > MOST_IDENTIFIERS {
        problems.invalid("spec.acme.maximumIdentifiers", format!("must be 1 to {MOST_IDENTIFIERS}"));
    }
    check_length("spec.acme.orderLifetime", &acme.order_lifetime, MINUTE..=90 * DAY, problems);
    check_length(
        "spec.acme.authorizationLifetime",
        &acme.authorization_lifetime,
        MINUTE..=90 * DAY,
        problems,
    );
    let offered = profiles::compile(context, &acme.profiles, acme.external_account_binding, problems);
    let caa = acme.caa.as_ref().map(|caa| issuer_names("spec.acme.caa", caa, problems));
    let compiled = CompiledAcme {
        external_account_binding: effective_binding(acme.external_account_binding, offered.least),
        on_credential_revoked: acme.on_credential_revoked,
        challenges: challenge_types(&acme.challenges),
        pre_authorized_names: acme.pre_authorized_names,
        validation: validation::compile(context, "spec.acme.validation", &acme.validation, problems),
        profiles: offered.compiled,
        order_lifetime: acme.order_lifetime.as_std(),
        authorization_lifetime: acme.authorization_lifetime.as_std(),
        maximum_identifiers: acme.maximum_identifiers,
        renewal: renewal(&acme.renewal, problems),
        meta: meta(acme, caa.as_deref(), problems),
        caa,
    };
    Settings { compiled, waits: offered.waits }
}

/// Where nothing is issued to an account that is not bound, there is no point in having one.
fn effective_binding(given: ExternalAccountBinding, least: Option<Strength>) -> ExternalAccountBinding {
    match given {
        ExternalAccountBinding::Optional if least.is_some_and(|least| least > Strength::Anonymous) => {
            ExternalAccountBinding::Required
        }
        ExternalAccountBinding::Optional => ExternalAccountBinding::Optional,
        ExternalAccountBinding::Required => ExternalAccountBinding::Required,
        ExternalAccountBinding::Disabled => ExternalAccountBinding::Disabled,
    }
}

/// The same in the words of the core, each once.
pub(crate) fn challenge_types(given: &[crds::ChallengeType]) -> Vec<ChallengeType> {
    let mut challenges: Vec<ChallengeType> = given.iter().copied().map(challenge_type).collect();
    challenges.sort_unstable();
    challenges.dedup();
    challenges
}

fn challenge_type(given: crds::ChallengeType) -> ChallengeType {
    match given {
        crds::ChallengeType::Http01 => ChallengeType::Http01,
        crds::ChallengeType::Dns01 => ChallengeType::Dns01,
        crds::ChallengeType::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// Whether anybody could show anything.
fn check_proofs(acme: &AcmeMethod, problems: &mut Problems) {
    match (acme.pre_authorized_names, acme.external_account_binding) {
        (PreAuthorizedNames::Enabled, ExternalAccountBinding::Disabled) => problems.invalid(
            "spec.acme.preAuthorizedNames",
            "needs an external account binding: the names are those of its key",
        ),
        (
            PreAuthorizedNames::Enabled,
            ExternalAccountBinding::Required | ExternalAccountBinding::Optional,
        ) => {}
        (PreAuthorizedNames::Disabled, _) if acme.challenges.is_empty() => {
            problems
                .invalid("spec.acme.challenges", "give at least one, or set preAuthorizedNames to Enabled");
        }
        (PreAuthorizedNames::Disabled, _) => {}
    }
}

fn renewal(given: &AcmeRenewal, problems: &mut Problems) -> CompiledRenewal {
    if given.window_start == 0 || given.window_end <= given.window_start || given.window_end > 99 {
        problems.invalid(
            "spec.acme.renewal",
            "windowStart must be at least 1, windowEnd greater than it and at most 99",
        );
    }
    check_length("spec.acme.renewal.pollInterval", &given.poll_interval, MINUTE..=7 * DAY, problems);
    CompiledRenewal {
        window_start: given.window_start,
        window_end: given.window_end,
        poll_interval: given.poll_interval.as_std(),
    }
}

/// The names by which CAA records permit a method, lower case. `path` is the member that says so.
pub(crate) fn issuer_names(path: &str, given: &AcmeCaa, problems: &mut Problems) -> Vec<String> {
    let path = format!("{path}.issuerDomainNames");
    if given.issuer_domain_names.is_empty() {
        problems.invalid(&path, "give at least one");
    }
    host_names(&path, &given.issuer_domain_names, problems)
}

fn meta(acme: &AcmeMethod, caa: Option<&[String]>, problems: &mut Problems) -> CompiledAcmeMeta {
    let given = &acme.meta;
    for (member, url) in [("termsOfService", &given.terms_of_service), ("website", &given.website)] {
        if let Some(url) = url.as_ref().filter(|url| !is_url(url)) {
            problems
                .invalid(format!("spec.acme.meta.{member}"), format!("{url:?} is not an http or https URL"));
        }
    }
    let identities = host_names("spec.acme.meta.caaIdentities", &given.caa_identities, problems);
    CompiledAcmeMeta {
        terms_of_service: given.terms_of_service.clone(),
        website: given.website.clone(),
        caa_identities: match caa {
            Some(names) if identities.is_empty() => names.to_vec(),
            Some(_) | None => identities,
        },
    }
}

/// Names of hosts in lower case, in the order given; what is none is noted.
fn host_names(path: &str, given: &[String], problems: &mut Problems) -> Vec<String> {
    let mut names = Vec::with_capacity(given.len());
    for (index, name) in given.iter().enumerate() {
        if is_valid_dns_name(name, false) {
            names.push(name.to_ascii_lowercase());
        } else {
            problems.invalid(format!("{path}[{index}]"), format!("{name:?} is not a DNS name"));
        }
    }
    names
}

/// It becomes a part of JSON that anybody reads, and a link.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'))
    })
}
