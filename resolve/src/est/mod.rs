//! Settings of methods that speak EST: how strong, renewal, keys made by the server.

use crds::{
    DecryptKey, EstAuthentication, EstMethod, ReenrollState, ServerKeyGeneration, conditions::Reason,
};
use issuance::{identity::ResourceName, policy::Strength, secret::Secret};

use crate::{
    authority,
    compiled_est::{CompiledDecryptKey, CompiledEst, CompiledKeyGeneration, CompiledReenroll},
    method::Context,
    notice, profile,
    status::{Problem, Problems},
    trust::{self, Given},
};

/// The member that says how strong a method is.
pub(crate) const AUTHENTICATION: &str = "spec.est.authentication";

/// Settings, as far as they can be compiled.
pub(crate) struct Settings {
    pub(crate) compiled: CompiledEst,
    /// Whether an authority that it trusts is still to get its certificate.
    pub(crate) waits: bool,
}

/// The settings of a method; what is wrong with them is noted.
pub(crate) fn compile(context: &Context<'_, '_>, est: &EstMethod, problems: &mut Problems) -> Settings {
    if est.pending_retry_after.seconds() == 0 {
        problems.invalid("spec.est.pendingRetryAfter", "must be longer than zero");
    }
    let trust = match (&est.client_certificates, est.authentication.takes_certificates()) {
        (None, false) => None,
        (Some(given), true) => Some(trust::compile(context, &Given::of_est(given), problems)),
        (None, true) => {
            let what = format!("is needed with authentication {}", est.authentication);
            problems.invalid("spec.est.clientCertificates", what);
            None
        }
        (Some(_), false) => {
            let what = format!("is refused with authentication {}", est.authentication);
            problems.invalid("spec.est.clientCertificates", what);
            None
        }
    };
    let reenroll = match est.reenroll.state {
        ReenrollState::Enabled => Some(CompiledReenroll {
            grace: est.reenroll.grace_after_expiry.as_std(),
            keys: est.reenroll.keys,
        }),
        ReenrollState::Disabled => None,
    };
    let key_generation = est.server_key_generation.as_ref();
    let compiled = CompiledEst {
        authentication: est.authentication,
        reenroll,
        server_key_generation: key_generation.map(|given| key_generation_of(context, given, problems)),
        notices: notice::compile(context, "spec.est.notices", &est.notices, problems),
        trust: None,
    };
    match trust {
        None => Settings { compiled, waits: false },
        Some(trust) => {
            Settings { compiled: CompiledEst { trust: Some(trust.compiled), ..compiled }, waits: trust.waits }
        }
    }
}

/// The least and the most that a caller can be made to show.
///
/// Whether a password is the method's or one user's is decided at each request, so that a profile can insist on the second.
/// It cannot insist on a certificate where the device may choose not to show one.
pub(crate) fn strengths(authentication: EstAuthentication) -> (Strength, Strength) {
    let least = profile::strength(authentication.level());
    match authentication {
        EstAuthentication::Basic | EstAuthentication::Either => (least, Strength::PersonalSecret),
        EstAuthentication::Certificate | EstAuthentication::Both => (least, least),
    }
}

fn key_generation_of(
    context: &Context<'_, '_>,
    given: &ServerKeyGeneration,
    problems: &mut Problems,
) -> CompiledKeyGeneration {
    let key = authority::key_algorithm(given.key);
    if let Some(profile) = context.profile
        && !profile.policy.keys.allowed.contains(&key)
    {
        problems.invalid(
            "spec.est.serverKeyGeneration.key",
            format!("the profile {} does not allow {} keys", profile.policy.name, given.key),
        );
    }
    let mut decrypt_keys = Vec::with_capacity(given.decrypt_keys.len());
    for (index, shared) in given.decrypt_keys.iter().enumerate() {
        let path = format!("spec.est.serverKeyGeneration.decryptKeys[{index}].secretRef");
        decrypt_keys.extend(problems.note(decrypt_key(context, &path, shared)));
    }
    CompiledKeyGeneration { delivery: given.delivery, key, decrypt_keys }
}

fn decrypt_key(
    context: &Context<'_, '_>,
    path: &str,
    given: &DecryptKey,
) -> Result<CompiledDecryptKey, Problem> {
    let name = ResourceName::new(context.name.namespace(), &given.secret_ref.name);
    let key = given.secret_ref.key.as_deref().unwrap_or(DecryptKey::DEFAULT_KEY);
    let refuse =
        |what: &str| Problem::new(Reason::SecretInvalid, path, format!("the Secret {name}: {key} {what}"));
    let value = context.index.secret_value(path, &name, key)?.ok_or_else(|| refuse("is missing"))?;
    // AES-128 and AES-256 key wrap (RFC 3394).
    if !matches!(value.len(), 16 | 32) {
        return Err(refuse("must have 16 or 32 octets"));
    }
    Ok(CompiledDecryptKey { identifier: given.identifier.clone().into_bytes(), key: Secret::new(value) })
}
