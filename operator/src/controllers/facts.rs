//! What one pass has come to, by resource.

use std::collections::{BTreeMap, HashMap};

use client::internal::{CredentialUsage, MethodUsage};
use crds::{
    CertificateProfileSpec, Counters, EnrollmentCredentialSpec, EnrollmentMethodSpec, EnrollmentServerSpec,
    Kind, ServerUrls, conditions::ConditionType, labels,
};
use issuance::{
    authority::key_identifier,
    identity::{KeyId, ResourceName},
    policy::{IssuerChoice, Profile},
};
use pki::{certificate::Certificate, time::Time};
use resolve::{
    Compiled, CompiledAuthority, CompiledMethod, CompiledServer, CompiledTls, ResourceStatus,
    issuer_method_name,
    parts::{PartKind, part_secret_name},
};

use super::{
    certificate_authority, certificate_profile, chancery_issuer, enrollment_credential, enrollment_method,
    enrollment_server,
};
use crate::{
    context::{Outlook, ServerOutlook},
    provision::authorities::ListFacts,
    revocation::{RevokedIntermediate, revoked_intermediates},
    servers::{Programmed, programmed},
};

/// What one pass has come to, with what is looked for found quickly.
pub(super) struct Facts<'a> {
    outlook: &'a Outlook,
    statuses: HashMap<(Kind, &'a ResourceName), &'a ResourceStatus>,
    authorities: HashMap<&'a ResourceName, (&'a ServerOutlook, &'a CompiledAuthority)>,
    profiles: HashMap<&'a ResourceName, (&'a ServerOutlook, &'a Profile)>,
    methods: HashMap<&'a ResourceName, (&'a ServerOutlook, &'a CompiledMethod)>,
    credentials: HashMap<&'a ResourceName, &'a ServerOutlook>,
    usage: HashMap<&'a ResourceName, MethodUsage>,
    /// What profiles ask for, accepted or not.
    specs: HashMap<ResourceName, &'a CertificateProfileSpec>,
    /// What resources have revoked, by the key of who signed.
    revoked: BTreeMap<KeyId, Vec<RevokedIntermediate>>,
    /// By the name of profiles and authorities.
    counted: HashMap<(Kind, &'a ResourceName), Counters>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(outlook: &'a Outlook) -> Self {
        let statuses = outlook.statuses.iter().map(|status| ((status.kind, &status.name), status)).collect();
        let specs = outlook.resources.profiles.iter();
        let specs = specs.map(|found| (resolve::resource_name(&found.metadata), &found.spec)).collect();
        let mut facts = Self {
            outlook,
            statuses,
            authorities: HashMap::new(),
            profiles: HashMap::new(),
            methods: HashMap::new(),
            credentials: HashMap::new(),
            usage: HashMap::new(),
            specs,
            revoked: revoked_intermediates(&outlook.world),
            counted: HashMap::new(),
        };
        for server in outlook.servers.values() {
            if let Some(compiled) = &server.resolution.compiled {
                facts.add(server, compiled);
            }
        }
        facts.count();
        facts
    }

    fn add(&mut self, server: &'a ServerOutlook, compiled: &'a Compiled) {
        let authorities = compiled.authorities.iter();
        self.authorities.extend(authorities.map(|found| (&found.name, (server, found))));
        self.profiles.extend(compiled.profiles.iter().map(|found| (&found.name, (server, found))));
        self.methods.extend(compiled.methods.iter().map(|found| (&found.name, (server, found))));
        self.credentials.extend(compiled.credentials.iter().map(|found| (&found.name, server)));
        let usages = || server.replicas.iter().filter_map(|state| state.usage.as_ref());
        if usages().next().is_none() {
            return;
        }
        for method in &compiled.methods {
            let key = method.name.to_string();
            let total =
                usages().filter_map(|usage| usage.methods.get(&key)).fold(MethodUsage::default(), add);
            self.usage.insert(&method.name, total);
        }
    }

    /// Sums up what methods have counted.
    fn count(&mut self) {
        for (method, usage) in &self.usage {
            let Some((_, compiled)) = self.methods.get(method) else { continue };
            let Some((_, profile)) = self.profiles.get(&compiled.profile) else { continue };
            let authority = match &profile.issuer {
                IssuerChoice::Authority(authority) => Some((Kind::CertificateAuthority, authority)),
                IssuerChoice::SelfSigned => None,
            };
            for key in std::iter::once((Kind::CertificateProfile, &profile.name)).chain(authority) {
                let counters = self.counted.entry(key).or_default();
                counters.issued = counters.issued.saturating_add(usage.issued);
                counters.refused = counters.refused.saturating_add(usage.refused);
            }
        }
    }

    pub(super) fn resolved(&self, kind: Kind, name: &ResourceName) -> Option<&'a ResourceStatus> {
        self.statuses.get(&(kind, name)).copied()
    }

    pub(super) fn authority(
        &self,
        name: &'a ResourceName,
    ) -> (Programmed, certificate_authority::Extras<'a>) {
        let found = self.authorities.get(name).copied();
        let failures = self.outlook.servers.values().map(|server| &server.authority_failures);
        let extras = certificate_authority::Extras {
            compiled: found.map(|(_, compiled)| compiled),
            public_base_url: found
                .and_then(|(server, _)| compiled_server(server)?.public_base_url.as_deref()),
            list: self
                .outlook
                .lists
                .get(name)
                .copied()
                .or_else(|| found.and_then(|(server, compiled)| list_of(server, compiled))),
            counters: self.counted.get(&(Kind::CertificateAuthority, name)).copied(),
            bundle: self.outlook.bundles.get(name),
            revoked_at: found.and_then(|(_, compiled)| self.revoked_at(compiled)),
            failure: failures.filter_map(|failures| failures.get(name)).next().map(String::as_str),
        };
        (is_programmed(found.map(|(server, _)| server), PartKind::Authority, name), extras)
    }

    pub(super) fn profile(
        &self,
        name: &ResourceName,
        spec: &CertificateProfileSpec,
    ) -> (Programmed, certificate_profile::Extras) {
        let found = self.profiles.get(name).map(|(server, _)| *server);
        let extras = certificate_profile::Extras {
            counters: self.counted.get(&(Kind::CertificateProfile, name)).copied(),
            waits_for: self.unissued(name, spec).filter(|_| found.is_none()),
        };
        (is_programmed(found, PartKind::Profile, name), extras)
    }

    pub(super) fn method(
        &self,
        name: &ResourceName,
        spec: &EnrollmentMethodSpec,
    ) -> (Programmed, enrollment_method::Extras<'a>) {
        let found = self.methods.get(name).copied();
        let served = found.and_then(|(server, method)| {
            let compiled = compiled_server(server)?;
            Some(enrollment_method::Served {
                method,
                server: compiled,
                base: self.device_base(server, compiled),
                ca_fingerprint: self.fingerprint(&method.profile),
            })
        });
        let target = &spec.profile_ref;
        let profile = ResourceName::new(target.namespace_or(name.namespace()), &target.name);
        let extras = enrollment_method::Extras {
            served,
            usage: self.usage.get(name).cloned(),
            waits_for: self.waits_for_profile(&profile).filter(|_| found.is_none()),
        };
        (is_programmed(found.map(|(server, _)| server), PartKind::Method, name), extras)
    }

    pub(super) fn credential(
        &self,
        name: &ResourceName,
        spec: &EnrollmentCredentialSpec,
    ) -> (Programmed, enrollment_credential::Extras<'a>) {
        let found = self.credentials.get(name).copied();
        let key = name.to_string();
        let usages = found.into_iter().flat_map(|server| &server.replicas);
        let usages = usages.filter_map(|state| state.usage.as_ref()?.credentials.get(&key).cloned());
        let method = ResourceName::new(name.namespace(), &spec.method_ref.name);
        let waits = || format!("the EnrollmentMethod {method} is not served yet");
        let extras = enrollment_credential::Extras {
            value: found.and_then(|server| server.credentials.values.get(name)),
            failure: found.and_then(|server| server.credentials.failures.get(name)),
            usage: usages.reduce(newer),
            waits_for: found.is_none().then(waits),
        };
        (is_programmed(found, PartKind::Credential, name), extras)
    }

    pub(super) fn server(
        &self,
        name: &ResourceName,
        spec: &EnrollmentServerSpec,
    ) -> (Programmed, enrollment_server::Extras<'a>) {
        let found = self.outlook.servers.get(name);
        let urls = found.and_then(|server| {
            let compiled = compiled_server(server)?;
            let service = format!("{}.{}.svc", labels::service_name(name.name()), name.namespace());
            let within = || at("http", &service, spec.service.ports.public, 80);
            Some(ServerUrls {
                enrollment: Some(self.device_base(server, compiled)),
                public: Some(compiled.public_base_url.clone().unwrap_or_else(within)),
            })
        });
        let extras = enrollment_server::Extras {
            workload: found.map(|server| &server.workload),
            replicas: found.map(|server| server.replicas.as_slice()).unwrap_or_default(),
            urls,
        };
        (is_programmed(found, PartKind::Server, name), extras)
    }

    pub(super) fn issuer(
        &self,
        name: &ResourceName,
        profile: &ResourceName,
    ) -> (Programmed, chancery_issuer::Extras) {
        let method = issuer_method_name(name);
        let found = self.methods.get(&method).map(|(server, _)| *server);
        let extras = chancery_issuer::Extras {
            ca_fingerprint: self.fingerprint(profile),
            not_issued: self.waits_for_profile(profile),
            usage: self.usage.get(&method).cloned(),
        };
        (is_programmed(found, PartKind::Method, &method), extras)
    }

    /// When the authority above revoked this one's certificate, as far as resources have brought that about.
    fn revoked_at(&self, authority: &CompiledAuthority) -> Option<Time> {
        let certificate = Certificate::from_der(&authority.certificate).ok()?;
        let above = Certificate::from_der(authority.chain.get(1)?).ok()?;
        let entries = self.revoked.get(&key_identifier(&above))?;
        entries.iter().find(|entry| entry.serial == *certificate.serial()).map(|entry| entry.at)
    }

    /// The beginning of URLs for devices: as configured, or an address that the server's certificate has, or else the Service.
    fn device_base(&self, server: &ServerOutlook, compiled: &CompiledServer) -> String {
        if let Some(base) = &compiled.enrollment_base_url {
            return base.clone();
        }
        let name = &compiled.name;
        let service = format!("{}.{}.svc", labels::service_name(name.name()), name.namespace());
        let host = match &compiled.tls {
            Some(CompiledTls::Authority { dns_names, ip_addresses, .. }) => {
                let is_certified = |address: &&String| {
                    dns_names.contains(address)
                        || address.parse().is_ok_and(|address| ip_addresses.contains(&address))
                };
                server.workload.addresses.iter().find(is_certified).cloned().unwrap_or(service)
            }
            Some(CompiledTls::Secret { .. }) | None => service,
        };
        let spec = self
            .outlook
            .resources
            .servers
            .iter()
            .find(|found| resolve::resource_name(&found.metadata) == *name);
        at("https", &host, spec.map_or(443, |found| found.spec.service.ports.device), 443)
    }

    /// SHA-256 of the certificate of the authority that issues for a profile.
    fn fingerprint(&self, profile: &ResourceName) -> Option<String> {
        let (_, profile) = self.profiles.get(profile)?;
        let IssuerChoice::Authority(authority) = &profile.issuer else { return None };
        let (_, authority) = self.authorities.get(authority)?;
        let certificate = Certificate::from_der(&authority.certificate).ok()?;
        Some(hex::encode(certificate.fingerprint_sha256()))
    }

    /// What a profile hangs on that is not there or cannot sign now.
    fn waits_for_profile(&self, name: &ResourceName) -> Option<String> {
        self.unissued(name, self.specs.get(name)?)
    }

    fn unissued(&self, profile: &ResourceName, spec: &CertificateProfileSpec) -> Option<String> {
        let target = spec.authority_ref.as_ref()?;
        let name = ResourceName::new(target.namespace_or(profile.namespace()), &target.name);
        let status = self.statuses.get(&(Kind::CertificateAuthority, &name))?;
        let is_issued = status.is_true(ConditionType::Issued);
        (!is_issued).then(|| format!("the CertificateAuthority {name} cannot sign now"))
    }
}

/// The newest list of an authority that its server issues with, as its replicas say.
fn list_of(server: &ServerOutlook, authority: &CompiledAuthority) -> Option<ListFacts> {
    let certificate = Certificate::from_der(&authority.certificate).ok()?;
    let key = key_identifier(&certificate).to_string();
    let lists = server.replicas.iter().filter_map(|state| state.usage.as_ref()?.crls.get(&key));
    lists.max_by_key(|list| (list.number, list.this_update)).map(|list| ListFacts {
        number: list.number,
        this_update: Time::from_unix(list.this_update),
        next_update: Time::from_unix(list.next_update),
    })
}

fn compiled_server(server: &ServerOutlook) -> Option<&CompiledServer> {
    Some(&server.resolution.compiled.as_ref()?.server)
}

/// Whether all ready replicas serve it as it is now. What could not be published is served by none.
fn is_programmed(server: Option<&ServerOutlook>, kind: PartKind, name: &ResourceName) -> Programmed {
    let Some(server) = server else { return Programmed::NotPublished };
    match &server.failure {
        Some(why) => Programmed::Failed(why.clone()),
        None => programmed(server.published.as_deref(), &server.replicas, &part_secret_name(kind, name)),
    }
}

fn add(total: MethodUsage, usage: &MethodUsage) -> MethodUsage {
    let failures = [total.last_failure, usage.last_failure.clone()];
    MethodUsage {
        issued: total.issued.saturating_add(usage.issued),
        refused: total.refused.saturating_add(usage.refused),
        last_failure: failures.into_iter().flatten().max_by_key(|(at, _)| *at),
    }
}

/// Replicas show the same row, each as it was when it was asked.
fn newer(one: CredentialUsage, other: CredentialUsage) -> CredentialUsage {
    if (other.uses, other.last_used_at) > (one.uses, one.last_used_at) { other } else { one }
}

fn at(scheme: &str, host: &str, port: u16, usual: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}
