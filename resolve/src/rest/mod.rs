//! Settings of methods that speak REST.
//!
//! | file | decides |
//! | --- | --- |
//! | `mod.rs` | how strong, actions, and the rest |
//! | `administers.rs` | the methods that are looked after from one |
//! | `control.rs` | how control of names is proved |
//! | `products.rs` | the profiles that an order may name, and the keys that are made for them |
//! | `tokens.rs` | whose tokens are taken |
//! | `jwks.rs` | which keys verify them |

mod administers;
mod control;
mod jwks;
mod products;
mod tokens;

use crds::{AccessKeys, RestMethod};
use issuance::{
    policy::Strength,
    rest::{RestAction, RestActions},
};

use crate::{
    compiled_rest::{CompiledRest, CompiledRestCertificates},
    length::{DAY, MINUTE, check_length},
    method::Context,
    notice,
    status::Problems,
    trust::{self, Given},
};

/// The member that is missing where a profile wants more than a secret.
pub(crate) const AUTHENTICATION: &str = "spec.rest.clientCertificates";

/// The member that is missing where a profile wants control of names proved.
const DOMAIN_VALIDATION: &str = "spec.rest.domainValidation";

/// Most domains of an order; its row holds them all.
const MOST_DOMAINS: u16 = 250;

/// Settings, as far as they can be compiled.
pub(crate) struct Settings {
    pub(crate) compiled: CompiledRest,
    /// Whether an authority that it trusts, or that of a product, is still to get its certificate.
    pub(crate) waits: bool,
}

/// The least and the most that a caller can be made to show. An access key is the secret of one owner. So is the token of a
/// service account: it is sent as it is, and good for whoever has it, however well it was signed. Each order is held to what its
/// own product asks for, so that one may insist on a certificate where others take a secret.
pub(crate) fn strengths(rest: &RestMethod) -> (Strength, Strength) {
    let takes_secrets = match rest.access_keys {
        AccessKeys::Enabled => true,
        AccessKeys::Disabled => rest.service_account_tokens.is_some(),
    };
    match (takes_secrets, &rest.client_certificates) {
        (true, Some(_)) => (Strength::PersonalSecret, Strength::Certificate),
        (false, Some(_)) => (Strength::Certificate, Strength::Certificate),
        (true | false, None) => (Strength::PersonalSecret, Strength::PersonalSecret),
    }
}

/// What is missing for a profile that wants control of names proved.
pub(crate) fn unproven(rest: &RestMethod) -> Option<&'static str> {
    match rest.domain_validation {
        Some(_) => None,
        None => Some(DOMAIN_VALIDATION),
    }
}

/// The settings of a method; what is wrong with them is noted.
pub(crate) fn compile(context: &Context<'_, '_>, rest: &RestMethod, problems: &mut Problems) -> Settings {
    check_bounds(rest, problems);
    let trust = rest.client_certificates.as_ref().map(|given| {
        let trust = trust::compile(context, &Given::of_rest(given), problems);
        let actions = actions("spec.rest.clientCertificates.actions", &given.actions, problems);
        (CompiledRestCertificates { trust: trust.compiled, actions }, trust.waits)
    });
    let tokens = rest.service_account_tokens.as_ref();
    let tokens = tokens.and_then(|given| tokens::compile(context, given, problems));
    let products = products::compile(context, rest, problems);
    let (client_certificates, trust_waits) = trust.unzip();
    let compiled = CompiledRest {
        access_keys: match rest.access_keys {
            AccessKeys::Enabled => true,
            AccessKeys::Disabled => false,
        },
        client_certificates,
        tokens,
        products: products.compiled,
        server_key: products.server_key,
        domain_validation: rest
            .domain_validation
            .as_ref()
            .map(|given| control::compile(context, given, problems)),
        administers: administers::compile(context, rest.administers.as_ref(), problems),
        order_lifetime: rest.order_lifetime.as_std(),
        maximum_domains: rest.maximum_domains,
        notices: notice::compile(context, "spec.rest.notices", &rest.notices, problems),
    };
    Settings { compiled, waits: products.waits || trust_waits.unwrap_or_default() }
}

/// A set of actions; that it is empty is noted. `path` is the member that lists them.
pub(crate) fn actions(path: &str, given: &[crds::RestAction], problems: &mut Problems) -> RestActions {
    if given.is_empty() {
        problems.invalid(path, "give at least one: nothing could be done");
    }
    given.iter().copied().map(action).collect()
}

/// The same in the words of the core.
fn action(given: crds::RestAction) -> RestAction {
    match given {
        crds::RestAction::Request => RestAction::Request,
        crds::RestAction::Read => RestAction::Read,
        crds::RestAction::Revoke => RestAction::Revoke,
        crds::RestAction::Approve => RestAction::Approve,
        crds::RestAction::Report => RestAction::Report,
        crds::RestAction::Credentials => RestAction::Credentials,
    }
}

fn check_bounds(rest: &RestMethod, problems: &mut Problems) {
    let nobody = match rest.access_keys {
        AccessKeys::Enabled => false,
        AccessKeys::Disabled => rest.client_certificates.is_none() && rest.service_account_tokens.is_none(),
    };
    if nobody {
        problems.invalid(
            "spec.rest.accessKeys",
            "is Disabled: give clientCertificates or serviceAccountTokens, or nobody could show anything",
        );
    }
    if rest.pending_retry_after.seconds() == 0 {
        problems.invalid("spec.rest.pendingRetryAfter", "must be longer than zero");
    }
    if rest.maximum_domains == 0 || rest.maximum_domains > MOST_DOMAINS {
        problems.invalid("spec.rest.maximumDomains", format!("must be 1 to {MOST_DOMAINS}"));
    }
    check_length("spec.rest.orderLifetime", &rest.order_lifetime, MINUTE..=90 * DAY, problems);
}
