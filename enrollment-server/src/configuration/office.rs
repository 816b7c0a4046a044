//! From the compiled configuration to what requests are served with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context as _;
use issuance::{
    authority::{
        Authority, CrlSettings, InheritedCrl, IssuingProfile, Method, PublicationUrls, key_identifier,
    },
    identity::{KeyId, ResourceName},
    policy::{IssuerChoice, Profile, Strength},
    ports::Signer,
};
use pki::{certificate::Certificate, crl::CertificateList};
use resolve::{
    Compiled, CompiledAcme, CompiledAuthority, CompiledLimits, CompiledMethod, CompiledRest, MethodSettings,
};

use super::{FailedKind, Failure};
use crate::{
    listeners::{FailedAuthentications, Limits},
    protocols::{
        acme::{AcmeProfiles, AcmeService, Chains, Hosts},
        est::EstService,
        rest::{Overview, RestProducts, RestService},
    },
    publish::{self, Published},
    serving::{IssuerService, Labelled, Serving},
};

/// What is not part of the compiled configuration itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Material<'a> {
    /// Keys of the authorities that sign here.
    pub(crate) signers: &'a BTreeMap<ResourceName, Arc<dyn Signer>>,
    /// DER: finished revocation lists of authorities that sign elsewhere; of those that sign here, the last one from before.
    pub(crate) crls: &'a BTreeMap<ResourceName, Vec<u8>>,
    /// What the URLs of methods begin with; none where nobody has said.
    pub(crate) base: Option<&'a str>,
}

/// Everything of one generation, and what could not be made of it: a part that cannot be served takes only what refers to it
/// with it.
pub(crate) fn serving(
    compiled: &Compiled,
    material: &Material<'_>,
    generation: u64,
) -> (Serving, Vec<Failure>) {
    let mut builder = Builder {
        compiled,
        serving: Serving {
            generation,
            has_operator: compiled.server.internal.is_some(),
            checkpoint_interval: compiled.server.checkpoint_interval,
            ..Serving::default()
        },
        chains: None,
        hosts: Arc::new(Hosts::new(
            compiled.server.tls.as_ref(),
            compiled.server.enrollment_base_url.as_deref(),
        )),
        failures: Vec::new(),
    };
    for authority in &compiled.authorities {
        let outcome = builder.authority(authority, material);
        builder.note(FailedKind::Authority, &authority.name, outcome);
    }
    for profile in &compiled.profiles {
        let outcome = builder.profile(profile);
        builder.note(FailedKind::Profile, &profile.name, outcome);
    }
    for method in &compiled.methods {
        let outcome = builder.method(method);
        builder.note(FailedKind::Method, &method.name, outcome);
    }
    builder.serving.overview = Overview::of(compiled, &builder.serving.office, material.base);
    (builder.serving, builder.failures)
}

struct Builder<'a> {
    compiled: &'a Compiled,
    serving: Serving,
    /// Of all authorities, once a method needs them.
    chains: Option<Arc<HashMap<KeyId, Chains>>>,
    hosts: Arc<Hosts>,
    failures: Vec<Failure>,
}

impl Builder<'_> {
    fn note(&mut self, kind: FailedKind, name: &ResourceName, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            self.failures.push(Failure { kind, name: name.clone(), reason: format!("{error:#}") });
        }
    }

    fn authority(&mut self, compiled: &CompiledAuthority, material: &Material<'_>) -> anyhow::Result<()> {
        let name = &compiled.name;
        let Some(signer) = material.signers.get(name) else {
            let (key_id, published) = published(compiled, material.crls.get(name))?;
            self.serving.published.insert(key_id, published);
            return Ok(());
        };
        let crl = CrlSettings { validity: compiled.crl.validity, renew_before: compiled.crl.renew_before };
        let base = self.compiled.server.public_base_url.as_deref();
        let mut authority = runtime_authority(name, &compiled.chain, signer.clone(), crl, base)?;
        if let Some(list) = material.crls.get(name) {
            let inherited = inherited(list, &authority.certificate)?;
            authority = authority.continuing(inherited);
        }
        self.serving.office.authorities.insert(name.clone(), Arc::new(authority));
        Ok(())
    }

    fn profile(&mut self, policy: &Profile) -> anyhow::Result<()> {
        let authority = match &policy.issuer {
            IssuerChoice::Authority(name) => {
                let found = self.serving.office.authorities.get(name);
                Some(found.with_context(|| format!("the authority {name} does not sign here"))?.clone())
            }
            IssuerChoice::SelfSigned => None,
        };
        let profile = Arc::new(IssuingProfile { policy: policy.clone(), authority });
        self.serving.office.profiles.insert(policy.name.clone(), profile);
        Ok(())
    }

    fn method(&mut self, compiled: &CompiledMethod) -> anyhow::Result<()> {
        let profile = self.serving.office.profiles.get(&compiled.profile);
        let profile =
            profile.with_context(|| format!("the profile {} is not in force", compiled.profile))?.clone();
        let method = Arc::new(Method {
            name: compiled.name.clone(),
            protocol: compiled.protocol,
            minimum: compiled.minimum,
            profile,
            retry_after: compiled.retry_after,
        });
        match &compiled.settings {
            MethodSettings::Est(settings) => {
                let successor = self.successor(&method);
                let service = EstService::new(method.clone(), settings, &successor, &self.serving.office)?;
                label(&mut self.serving.est, self.compiled, compiled, Arc::new(service));
                if !settings.notices.is_empty() {
                    self.serving.notices.insert(compiled.name.clone(), settings.notices.clone());
                }
            }
            MethodSettings::Acme(settings) => {
                let profiles = self.acme_profiles(&method, settings)?;
                let chains =
                    self.chains.get_or_insert_with(|| Arc::new(Chains::of_office(&self.serving.office)));
                let hosts = self.hosts.clone();
                let service = AcmeService::new(method.clone(), settings, profiles, chains.clone(), hosts)?;
                label(&mut self.serving.acme, self.compiled, compiled, Arc::new(service));
            }
            MethodSettings::Rest(settings) => {
                let products = self.rest_products(&method, settings)?;
                let service = RestService::new(method.clone(), settings, products, &self.serving.office)?;
                self.serving.rest.insert(Arc::new(service));
                if !settings.notices.is_empty() {
                    self.serving.notices.insert(compiled.name.clone(), settings.notices.clone());
                }
            }
            MethodSettings::Issuer(settings) => {
                let service = IssuerService { method: method.clone(), granted: settings.namespaces.clone() };
                self.serving.issuers.insert(compiled.name.clone(), Arc::new(service));
            }
        }
        self.serving.office.methods.insert(compiled.name.clone(), method);
        Ok(())
    }

    /// The method once for each profile that an order may choose.
    fn acme_profiles(&self, method: &Method, settings: &CompiledAcme) -> anyhow::Result<AcmeProfiles> {
        let listed = settings.profiles.iter().map(|listed| {
            let with_it = self.with_profile(method, &listed.profile, listed.minimum)?;
            Ok((listed.name.clone(), with_it))
        });
        listed.collect()
    }

    /// The method once for each product that an order may name.
    fn rest_products(&self, method: &Method, settings: &CompiledRest) -> anyhow::Result<RestProducts> {
        let listed = settings.products.iter().map(|listed| {
            let with_it = self.with_profile(method, &listed.profile, listed.minimum)?;
            Ok((listed.name.clone(), with_it))
        });
        listed.collect()
    }

    /// The same method, which issues by another profile.
    fn with_profile(
        &self,
        method: &Method,
        profile: &ResourceName,
        minimum: Strength,
    ) -> anyhow::Result<Arc<Method>> {
        let found = self.serving.office.profiles.get(profile);
        let found = found.with_context(|| format!("the profile {profile} is not in force"))?;
        Ok(Arc::new(Method {
            name: method.name.clone(),
            protocol: method.protocol,
            minimum,
            profile: found.clone(),
            retry_after: method.retry_after,
        }))
    }

    /// The chain of the authority that will take over from the one of this method; it need not sign here yet.
    fn successor(&self, method: &Method) -> Vec<Vec<u8>> {
        let find =
            |name: &ResourceName| self.compiled.authorities.iter().find(|authority| authority.name == *name);
        let current = method.profile.authority.as_ref().and_then(|authority| find(&authority.name));
        let next = current.and_then(|current| current.successor.as_ref()).and_then(find);
        next.map(|authority| authority.chain.clone()).unwrap_or_default()
    }
}

/// Shows the service of a method under all its labels, and without one where it is the default.
fn label<T>(labelled: &mut Labelled<T>, all: &Compiled, compiled: &CompiledMethod, service: Arc<T>) {
    let short = all.server.labels.iter().filter(|(_, name)| **name == compiled.name);
    let labels = short.map(|(label, _)| label).chain([&compiled.label]);
    labelled.by_label.extend(labels.map(|label| (label.clone(), service.clone())));
    if all.server.default_method.as_ref() == Some(&compiled.name) {
        labelled.default = Some(service);
    }
}

/// The authority as the engine uses it. `chain`: DER, from its own certificate up to the root.
pub(crate) fn runtime_authority(
    name: &ResourceName,
    chain: &[Vec<u8>],
    signer: Arc<dyn Signer>,
    crl: CrlSettings,
    base: Option<&str>,
) -> anyhow::Result<Authority> {
    let der = chain.first().with_context(|| format!("authority {name} has no certificate"))?;
    let certificate =
        Certificate::from_der(der).with_context(|| format!("the certificate of authority {name}"))?;
    let urls = PublicationUrls::below(base, key_identifier(&certificate));
    Ok(Authority::new(name.clone(), certificate, chain.to_vec(), signer, crl, &urls)?)
}

/// The list from before the key came here, which must be the authority's own.
fn inherited(der: &[u8], authority: &Certificate) -> anyhow::Result<InheritedCrl> {
    let list = CertificateList::from_der(der).context("its revocation list")?;
    list.verify_signed_by(authority.public_key()).context("its revocation list")?;
    let entries = list.entries().collect::<Result<_, _>>().context("its revocation list")?;
    let number = list.number().context("its revocation list")?;
    Ok(InheritedCrl { number: number.map_or(0, |number| number.0), entries })
}

/// An authority that signs elsewhere, with the list that was made there.
fn published(compiled: &CompiledAuthority, crl: Option<&Vec<u8>>) -> anyhow::Result<(KeyId, Published)> {
    let certificate = Certificate::from_der(&compiled.certificate).context("its certificate")?;
    let key_id = key_identifier(&certificate);
    let crl = crl.map(|der| publish::CachedCrl::made_elsewhere(der, &certificate)).transpose()?;
    Ok((key_id, Published { certificate: compiled.certificate.clone().into(), crl }))
}

/// The limits of all listeners.
pub(crate) fn limits(compiled: &CompiledLimits) -> Limits {
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
