//! EnrollmentServers: which one this is, its labels, its TLS certificate, its limits.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crds::{
    AuditSettings, EnrollmentServerSpec, Kind, LimitState, ObjectRef, ServerLimits, ServerTls,
    ServerTlsSource, conditions::Reason, labels,
};
use issuance::identity::ResourceName;
use pki::general_name::{GeneralName, is_valid_dns_name};

use crate::{
    acme,
    authority::{self, Authority},
    cluster,
    compiled::{CompiledFailureLimit, CompiledLimits, CompiledMethod, CompiledServer, CompiledTls},
    method::Method,
    resources::{DEFAULT_NAMESPACE, Index, Judged, follow},
    status::{Problem, Problems},
};

pub(crate) const SERVER_REF: &str = "spec.serverRef";
const TLS_AUTHORITY_REF: &str = "spec.tls.authorityRef";
const TLS_SECRET_REF: &str = "spec.tls.secretRef";

/// The server that is meant where none is declared.
pub fn implied_server_name() -> ResourceName {
    ResourceName::new(DEFAULT_NAMESPACE, "server")
}

/// A server, as far as it can be compiled: what is wrong with it is left out, and noted.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) compiled: CompiledServer,
    pub(crate) problems: Problems,
}

/// Which server an authority belongs to: once a server has had its key, that one for ever.
pub(crate) fn home_of_authority(
    index: &Index<'_>,
    name: &ResourceName,
    reference: Option<&ObjectRef>,
) -> Result<ResourceName, Problem> {
    let Some(kept) = index.delegated.get(name) else { return home(index, name, reference) };
    let named = reference.map(|named| ResourceName::new(named.namespace_or(name.namespace()), &named.name));
    if named.is_some_and(|named| named != *kept) {
        return Err(Problem::new(
            Reason::ImmutableMember,
            SERVER_REF,
            format!("it belongs to the EnrollmentServer {kept}; that cannot change: make a new authority"),
        ));
    }
    existing(index, kept.clone())
}

/// Which server a resource belongs to: the one it names, or else the only one of its namespace, or else the only one there is.
///
/// The namespace comes first, so that nobody changes whose the resources of others are by making a server.
pub(crate) fn home(
    index: &Index<'_>,
    name: &ResourceName,
    reference: Option<&ObjectRef>,
) -> Result<ResourceName, Problem> {
    let Some(reference) = reference else {
        let mut near = index.servers.keys().filter(|server| server.namespace() == name.namespace());
        if let (Some(only), None) = (near.next(), near.next()) {
            return Ok(only.clone());
        }
        let mut servers = index.servers.keys();
        return match (servers.next(), servers.next()) {
            (None, _) if index.cluster.is_some() => Err(Problem::new(
                Reason::ReferenceNotFound,
                SERVER_REF,
                format!("there is no {}", Kind::EnrollmentServer),
            )),
            (None, _) => Ok(implied_server_name()),
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => Err(Problem::new(
                Reason::ServerMismatch,
                SERVER_REF,
                "is needed: there are several EnrollmentServers",
            )),
        };
    };
    existing(index, ResourceName::new(reference.namespace_or(name.namespace()), &reference.name))
}

/// A server that is named, where there is one.
fn existing(index: &Index<'_>, server: ResourceName) -> Result<ResourceName, Problem> {
    match index.servers.get(&server).map(|found| &found.resource) {
        Some(Ok(_)) => Ok(server),
        Some(Err(_)) => Err(Problem::new(
            Reason::ReferenceNotAccepted,
            SERVER_REF,
            format!("the {} {server} is not accepted", Kind::EnrollmentServer),
        )),
        None => Err(Problem::new(
            Reason::ReferenceNotFound,
            SERVER_REF,
            format!("there is no {} {server}", Kind::EnrollmentServer),
        )),
    }
}

/// The server to compile for; none where it is not there, or not decided.
pub(crate) fn choose(index: &Index<'_>, wished: Option<&ResourceName>) -> Option<ResourceName> {
    let mut servers = index.servers.keys();
    match (wished, servers.next(), servers.next()) {
        (_, None, _) if index.cluster.is_some() => None,
        (Some(wished), None, _) => (*wished == implied_server_name()).then(|| wished.clone()),
        (Some(wished), Some(_), _) => index.servers.contains_key(wished).then(|| wished.clone()),
        (None, None, _) => Some(implied_server_name()),
        (None, Some(only), None) => Some(only.clone()),
        (None, Some(_), Some(_)) => None,
    }
}

/// Judges every server; where none is declared, the implied one.
pub(crate) fn judge_all<'a>(
    index: &Index<'a>,
    authorities: &Judged<Authority<'a>>,
    methods: &Judged<Method>,
) -> Judged<Server> {
    let context = Context { index, authorities, methods };
    if index.servers.is_empty() && index.cluster.is_none() {
        let name = implied_server_name();
        let server = context.judge(&name, &implied_spec());
        return Judged::from([(name, Ok(server))]);
    }
    let judge_one =
        |(name, found): (&ResourceName, &crate::resources::Indexed<'a, crds::EnrollmentServer>)| {
            let judged = match &found.resource {
                Ok(resource) => Ok(context.judge(name, &resource.spec)),
                Err(problem) => Err(Problems::unread(problem.clone())),
            };
            (name.clone(), judged)
        };
    index.servers.iter().map(judge_one).collect()
}

/// Every default, and the names of this machine for itself.
fn implied_spec() -> EnrollmentServerSpec {
    EnrollmentServerSpec {
        public_base_url: None,
        enrollment_base_url: None,
        tls: ServerTls {
            dns_names: vec!["localhost".to_owned()],
            ip_addresses: vec!["127.0.0.1".to_owned(), "::1".to_owned()],
            ..ServerTls::default()
        },
        default_method_ref: None,
        labels: Vec::new(),
        limits: ServerLimits::default(),
        audit: AuditSettings::default(),
        storage: crds::Storage::default(),
        replicas: None,
        service: crds::ServerService::default(),
        resources: crds::PodResources::default(),
        pod_template: crds::PodTemplate::default(),
        network_policy: crds::ServerNetworkPolicy::default(),
        pod_disruption_budget: crds::ServerDisruptionBudget::default(),
        proxy_protocol: crds::ProxyProtocol::default(),
        validation: crds::ServerValidation::default(),
    }
}

struct Context<'n, 'a> {
    index: &'n Index<'a>,
    authorities: &'n Judged<Authority<'a>>,
    methods: &'n Judged<Method>,
}

impl Context<'_, '_> {
    fn judge(&self, name: &ResourceName, spec: &EnrollmentServerSpec) -> Server {
        let mut problems = Problems::default();
        let default_method = spec.default_method_ref.as_ref().and_then(|reference| {
            problems.note(self.default_method(name, reference)).map(|method| method.compiled.name.clone())
        });
        let labels = self.labels(name, spec, &mut problems);
        let tls = self.tls(name, spec, default_method.as_ref(), &mut problems);
        let compiled = CompiledServer {
            name: name.clone(),
            public_base_url: base_url(
                "spec.publicBaseUrl",
                "http://",
                spec.public_base_url.as_ref(),
                &mut problems,
            ),
            enrollment_base_url: base_url(
                "spec.enrollmentBaseUrl",
                "https://",
                spec.enrollment_base_url.as_ref(),
                &mut problems,
            ),
            default_method,
            labels,
            tls,
            limits: limits(&spec.limits, &mut problems),
            checkpoint_interval: spec.audit.checkpoint_interval.as_std(),
            proxy_protocol: cluster::proxy_protocol(&spec.proxy_protocol, &mut problems),
            internal: None,
        };
        acme::check_server(&spec.validation, &mut problems);
        if self.index.cluster.is_some() {
            cluster::check(name, spec, &mut problems);
        }
        if spec.audit.checkpoint_interval.seconds() == 0 {
            problems.invalid("spec.audit.checkpointInterval", "must be longer than zero");
        }
        // Where the rows are is known to whoever starts the process; here only that it is said once.
        if spec.storage.kind().is_none() {
            problems.invalid("spec.storage", "give exactly one storage: sqlite or postgres");
        }
        Server { compiled, problems }
    }

    /// A method of this server.
    fn method(&self, name: &ResourceName, path: &str, reference: &ObjectRef) -> Result<&Method, Problem> {
        let target = ResourceName::new(reference.namespace_or(name.namespace()), &reference.name);
        let method = follow(self.methods, Kind::EnrollmentMethod, path, &target)?;
        if method.server == *name {
            return Ok(method);
        }
        Err(Problem::new(
            Reason::ServerMismatch,
            path,
            format!("the method {target} belongs to the EnrollmentServer {}", method.server),
        ))
    }

    /// The method that answers where a URL has no label, if there are such URLs.
    fn default_method(&self, name: &ResourceName, reference: &ObjectRef) -> Result<&Method, Problem> {
        let path = "spec.defaultMethodRef";
        let method = self.method(name, path, reference)?;
        let CompiledMethod { name, protocol, .. } = &method.compiled;
        match method.compiled.path(None) {
            Some(_) => Ok(method),
            None => Err(Problem::invalid(
                path,
                format!("the method {name} speaks {protocol}, whose URLs always have a label"),
            )),
        }
    }

    fn labels(
        &self,
        name: &ResourceName,
        spec: &EnrollmentServerSpec,
        problems: &mut Problems,
    ) -> BTreeMap<String, ResourceName> {
        let mut labels = BTreeMap::new();
        for (index, entry) in spec.labels.iter().enumerate() {
            let path = format!("spec.labels[{index}]");
            let others = spec.labels.iter().enumerate().filter(|(other, _)| *other != index);
            let twice = others.into_iter().any(|(_, other)| other.label == entry.label);
            let dotted = self.index.methods.keys().find(|method| method.dotted() == entry.label);
            match dotted {
                // Nobody gets it: which entry stands first must not decide whose devices enrol where.
                _ if twice => problems.push(Problem::new(
                    Reason::LabelConflict,
                    &path,
                    format!("the label {:?} is there twice", entry.label),
                )),
                Some(method) => problems.push(Problem::new(
                    Reason::LabelConflict,
                    &path,
                    format!("{:?} is the own label of the method {method}", entry.label),
                )),
                None if !is_label(&entry.label) => problems.invalid(
                    format!("{path}.label"),
                    format!(
                        "{:?} is not a label: small letters, digits and hyphens, at most 63",
                        entry.label
                    ),
                ),
                None => {
                    let found = self.method(name, &format!("{path}.methodRef"), &entry.method_ref);
                    if let Some(method) = problems.note(found) {
                        labels.insert(entry.label.clone(), method.compiled.name.clone());
                    }
                }
            }
        }
        labels
    }

    fn tls(
        &self,
        name: &ResourceName,
        spec: &EnrollmentServerSpec,
        default_method: Option<&ResourceName>,
        problems: &mut Problems,
    ) -> Option<CompiledTls> {
        let tls = &spec.tls;
        let issuer = match tls.source() {
            Some(ServerTlsSource::Secret(secret)) => {
                let secret = ResourceName::new(name.namespace(), &secret.name);
                return problems.note(self.tls_from_secret(secret));
            }
            Some(ServerTlsSource::Authority(reference)) => {
                problems.note(self.named_tls_authority(name, reference))
            }
            None if tls.authority_ref.is_some() => {
                problems.invalid("spec.tls", "give one of authorityRef and secretRef, not both");
                None
            }
            None => problems.note(self.default_tls_authority(name, default_method)).flatten(),
        };
        let service = self
            .index
            .cluster
            .map(|cluster| labels::service_dns_names(name.namespace(), name.name(), &cluster.domain));
        let (dns_names, ip_addresses) = tls_names(tls, service.unwrap_or_default(), problems)?;
        let issuer = issuer?;
        let dns = dns_names.iter().cloned().map(GeneralName::Dns);
        let mut names = dns.chain(ip_addresses.iter().copied().map(GeneralName::Ip));
        if let Some(refused) = names.find_map(|name| issuer.refuse_name(&name)) {
            problems.invalid("spec.tls", refused);
            return None;
        }
        let validity = tls_validity(tls, issuer, problems)?;
        issuer.has_certificate().then(|| CompiledTls::Authority {
            authority: issuer.name.clone(),
            dns_names,
            ip_addresses,
            validity,
        })
    }

    /// The authority belongs to the server, which is its consent: `allowedNamespaces` speaks of others.
    fn named_tls_authority(
        &self,
        name: &ResourceName,
        reference: &ObjectRef,
    ) -> Result<&Authority<'_>, Problem> {
        let target = ResourceName::new(reference.namespace_or(name.namespace()), &reference.name);
        let authority = follow(self.authorities, Kind::CertificateAuthority, TLS_AUTHORITY_REF, &target)?;
        if authority.server == *name {
            return Ok(authority);
        }
        Err(Problem::new(
            Reason::ServerMismatch,
            TLS_AUTHORITY_REF,
            format!("{target} belongs to the EnrollmentServer {}", authority.server),
        ))
    }

    /// Where the server names none: the authority of the default method's profile; else, of those in its namespace, the only
    /// intermediate; else the first by name that can sign now. `Ok(None)`: all are still to be made.
    fn default_tls_authority(
        &self,
        name: &ResourceName,
        default_method: Option<&ResourceName>,
    ) -> Result<Option<&Authority<'_>>, Problem> {
        let find =
            |name: &ResourceName| self.authorities.get(name).and_then(|authority| authority.as_ref().ok());
        let method = default_method
            .and_then(|method| self.methods.get(method))
            .and_then(|method| method.as_ref().ok());
        if let Some(authority) = method.and_then(|method| method.authority.as_ref()).and_then(find) {
            return Ok(Some(authority));
        }
        let (near, far): (Vec<&Authority<'_>>, Vec<&Authority<'_>>) = self
            .authorities
            .values()
            .flatten()
            .filter(|authority| authority.server == *name)
            // In a cluster whoever makes an authority in another namespace does not decide over what this server shows.
            .partition(|authority| {
                self.index.cluster.is_none() || authority.name.namespace() == name.namespace()
            });
        let mut intermediates = near.iter().filter(|authority| authority.spec.intermediate.is_some());
        match (intermediates.next(), intermediates.next()) {
            (Some(only), None) => Ok(Some(*only)),
            _ if near.is_empty() => Err(Problem::new(
                Reason::ReferenceNotFound,
                "spec.tls",
                match far.first() {
                    None => {
                        "no CertificateAuthority of this server is accepted: none can issue its TLS certificate"
                    }
                    Some(_) => {
                        "the CertificateAuthorities of this server are in other namespaces: say in authorityRef which issues its TLS certificate"
                    }
                },
            )),
            _ => Ok(near.iter().find(|authority| authority.is_issued()).copied()),
        }
    }

    fn tls_from_secret(&self, secret: ResourceName) -> Result<CompiledTls, Problem> {
        let chain = authority::read_chain(self.index, TLS_SECRET_REF, &secret)?;
        let key = authority::read_key(self.index, TLS_SECRET_REF, &secret)?;
        let certificates = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        Ok(CompiledTls::Secret { secret, certificates, key })
    }
}

/// The names of a resource, and after them those that the server has by itself.
fn tls_names(
    tls: &ServerTls,
    service: Vec<String>,
    problems: &mut Problems,
) -> Option<(Vec<String>, Vec<IpAddr>)> {
    let mut dns_names = Vec::with_capacity(tls.dns_names.len());
    for (index, name) in tls.dns_names.iter().enumerate() {
        if is_valid_dns_name(name, false) {
            dns_names.push(name.to_ascii_lowercase());
        } else {
            problems.invalid(format!("spec.tls.dnsNames[{index}]"), format!("{name:?} is not a DNS name"));
        }
    }
    let mut ip_addresses = Vec::with_capacity(tls.ip_addresses.len());
    for (index, address) in tls.ip_addresses.iter().enumerate() {
        match address.parse() {
            Ok(address) => ip_addresses.push(address),
            Err(_) => problems.invalid(
                format!("spec.tls.ipAddresses[{index}]"),
                format!("{address:?} is not an IP address"),
            ),
        }
    }
    for name in service {
        if !dns_names.contains(&name) {
            dns_names.push(name);
        }
    }
    if dns_names.is_empty() && ip_addresses.is_empty() {
        problems.invalid("spec.tls", "give at least one of dnsNames and ipAddresses");
        return None;
    }
    Some((dns_names, ip_addresses))
}

/// The default is shortened where the authority itself is not valid that long.
fn tls_validity(tls: &ServerTls, issuer: &Authority<'_>, problems: &mut Problems) -> Option<Duration> {
    let validity = tls.effective_validity();
    if validity.seconds() == 0 {
        problems.invalid("spec.tls.validity", "must be longer than zero");
        return None;
    }
    if tls.validity.is_some() && validity.as_std() > issuer.bounds.lifetime {
        problems.invalid("spec.tls.validity", format!("{validity} is longer than {} is valid", issuer.name));
        return None;
    }
    Some(validity.as_std().min(issuer.bounds.lifetime))
}

fn limits(given: &ServerLimits, problems: &mut Problems) -> CompiledLimits {
    let failures = &given.failed_authentications;
    for (path, duration) in [
        ("spec.limits.headerTimeout", &given.header_timeout),
        ("spec.limits.readTimeout", &given.read_timeout),
        ("spec.limits.handshakeTimeout", &given.handshake_timeout),
        ("spec.limits.failedAuthentications.window", &failures.window),
    ] {
        if duration.seconds() == 0 {
            problems.invalid(path, "must be longer than zero");
        }
    }
    CompiledLimits {
        header_bytes: given.header_bytes,
        body_bytes: given.body_bytes,
        header_timeout: given.header_timeout.as_std(),
        read_timeout: given.read_timeout.as_std(),
        handshake_timeout: given.handshake_timeout.as_std(),
        connections: given.connections,
        requests_in_flight: given.requests_in_flight,
        failed_authentications: match failures.state {
            LimitState::Enforced => Some(CompiledFailureLimit {
                per_address: failures.per_address,
                window: failures.window.as_std(),
            }),
            LimitState::Disabled => None,
        },
    }
}

fn base_url(path: &str, scheme: &str, given: Option<&String>, problems: &mut Problems) -> Option<String> {
    let url = given?;
    let rest = url.strip_prefix(scheme);
    let ok = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.ends_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic())
    });
    if ok {
        return Some(url.clone());
    }
    problems.invalid(path, format!("{url:?} is not an {scheme} URL without a slash at the end"));
    None
}

/// One label of a host name, as the resource says: it becomes a part of a path.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
