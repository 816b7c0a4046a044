//! From the compiled configuration to what requests are served with.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use issuance::{
    authority::{Authority, CrlSettings, IssuingProfile, Method, Office},
    policy::IssuerChoice,
};
use resolve::{Compiled, CompiledLimits, CompiledMethod, MethodSettings};

use super::provision::{Authorities, runtime_authority};
use crate::{
    listeners::{FailedAuthentications, Limits},
    protocols::est::EstService,
    serving::{Labelled, Serving},
};

/// Everything of one generation.
///
/// # Errors
/// Where a compiled part refers to one that is not there, or a key does not fit: defects, since resolving checks both.
pub(super) fn serving(
    compiled: &Compiled,
    existing: &Authorities,
    generation: u64,
) -> anyhow::Result<Serving> {
    let mut office = Office::default();
    let base = compiled.server.public_base_url.as_deref();
    for authority in &compiled.authorities {
        let name = &authority.name;
        let files = existing.get(name).with_context(|| format!("authority {name} has no key"))?;
        let crl = CrlSettings { validity: authority.crl.validity, renew_before: authority.crl.renew_before };
        office.authorities.insert(name.clone(), Arc::new(runtime_authority(name, files, crl, base)?));
    }
    for profile in &compiled.profiles {
        let authority = match &profile.issuer {
            IssuerChoice::Authority(name) => {
                let authority = office.authorities.get(name);
                Some(
                    authority
                        .with_context(|| format!("profile {}: no authority {name}", profile.name))?
                        .clone(),
                )
            }
            IssuerChoice::SelfSigned => None,
        };
        let profile = Arc::new(IssuingProfile { policy: profile.clone(), authority });
        office.profiles.insert(profile.policy.name.clone(), profile);
    }
    let mut est = Labelled::default();
    let mut notices = HashMap::new();
    for method in &compiled.methods {
        let profile = office.profiles.get(&method.profile);
        let profile =
            profile.with_context(|| format!("method {}: no profile {}", method.name, method.profile))?;
        let runtime = Arc::new(Method {
            name: method.name.clone(),
            protocol: method.protocol,
            minimum: method.minimum,
            profile: profile.clone(),
            retry_after: method.retry_after,
        });
        office.methods.insert(method.name.clone(), runtime.clone());
        let short = compiled.server.labels.iter().filter(|(_, name)| **name == method.name);
        let labels = short.map(|(label, _)| label).chain([&method.label]);
        let default = compiled.server.default_method.as_ref() == Some(&method.name);
        match &method.settings {
            MethodSettings::Est(settings) => {
                if !settings.notices.is_empty() {
                    notices.insert(method.name.clone(), settings.notices.clone());
                }
                let successor = successor(compiled, &office, method);
                let service = Arc::new(EstService::new(runtime, settings, successor, &office)?);
                est.by_label.extend(labels.map(|label| (label.clone(), service.clone())));
                if default {
                    est.default = Some(service);
                }
            }
        }
    }
    let checkpoint_interval = compiled.server.checkpoint_interval;
    Ok(Serving { generation, office, est, notices, checkpoint_interval })
}

/// The authority that will take over from the one of this method.
fn successor<'a>(compiled: &Compiled, office: &'a Office, method: &CompiledMethod) -> Option<&'a Authority> {
    let current = office.methods.get(&method.name)?.profile.authority.as_ref()?;
    let current = compiled.authorities.iter().find(|authority| authority.name == current.name)?;
    current.successor.as_ref().and_then(|name| office.authorities.get(name)).map(|authority| &**authority)
}

/// The limits of all listeners.
pub(super) fn limits(compiled: &CompiledLimits) -> Limits {
    let defaults = Limits::default();
    let failures = compiled.failed_authentications;
    Limits {
        header_bytes: size(compiled.header_bytes),
        body_bytes: size(compiled.body_bytes),
        handshake_timeout: compiled.handshake_timeout,
        header_timeout: compiled.header_timeout,
        read_timeout: compiled.read_timeout,
        connections: size(compiled.connections),
        requests_in_flight: size(compiled.requests_in_flight),
        failed_authentications: FailedAuthentications {
            per_address: failures
                .map_or(defaults.failed_authentications.per_address, |limit| limit.per_address),
            window: failures.map_or(defaults.failed_authentications.window, |limit| limit.window),
            enforced: failures.is_some(),
        },
        ..defaults
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
