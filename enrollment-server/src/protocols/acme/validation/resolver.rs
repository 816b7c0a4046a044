//! Questions to DNS: to the servers that the method names, or to those of the machine.
//!
//! Nothing is remembered between two questions, so that what was published a moment ago is seen; the machine's hosts file
//! and search domains do not count, because a certificate names what everybody means by a name. Signatures of DNSSEC are
//! the resolvers' to check.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use resolve::AddressGuard;

use super::failure::{Deadline, ValidationFailure};

/// Of one question to one server; a second try must fit into the whole validation.
const QUESTION: Duration = Duration::from_secs(3);

/// Names one leads to, one after the other.
const MAX_ALIASES: usize = 16;

/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 64;

/// Asks DNS servers.
pub(super) struct Resolver {
    /// None: there is no DNS server to ask.
    inner: Option<TokioResolver>,
}

/// One CAA record (RFC 8659 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaaRecord {
    pub(super) critical: bool,
    pub(super) tag: String,
    pub(super) value: Vec<u8>,
}

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<T> {
    pub(super) records: Vec<T>,
    /// Whether it is another name that has it, or does not: the one asked for is an alias.
    pub(super) by_alias: bool,
}

/// Why DNS did not say what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupFailure {
    #[error("{name} does not exist (NXDOMAIN)")]
    NoSuchName { name: String, by_alias: bool },
    #[error("the aliases of {0} lead to no end")]
    NoEnd(String),
    #[error("the DNS server answered {code} when asked for the {kind} records of {name}")]
    Refused { name: String, kind: RecordType, code: String },
    #[error("no DNS server answered in time when asked for the {kind} records of {name}")]
    TimedOut { name: String, kind: RecordType },
    #[error("DNS did not answer when asked for the {kind} records of {name}: {reason}")]
    Failed { name: String, kind: RecordType, reason: &'static str },
    #[error("this server has no DNS server to ask")]
    NoServers,
    #[error("{0} is not a name that DNS knows")]
    NotAName(String),
}

impl Resolver {
    /// `servers`: none of them: those of the machine, which nobody but its owner chose. One that is denied is not asked, and
    /// none in its place.
    pub(super) fn new(servers: &[SocketAddr], guard: &AddressGuard) -> Self {
        let named = servers.iter().filter(|server| !guard.denies(server.ip())).map(name_server);
        let named: Vec<_> = named.collect();
        let config = match servers {
            [] => read_system_conf().map(|(config, _)| config.name_servers),
            [_, ..] if named.is_empty() => return Self { inner: None },
            [_, ..] => Ok(named),
        };
        let inner = config.and_then(build);
        if let Err(error) = &inner {
            tracing::warn!(%error, "no DNS server can be asked: names cannot be validated");
        }
        Self { inner: inner.ok() }
    }

    pub(super) async fn ipv4(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Found<Ipv4Addr>, LookupFailure> {
        let address = |data: RData| if let RData::A(address) = data { Some(address.0) } else { None };
        self.lookup(name, RecordType::A, address, deadline).await
    }

    pub(super) async fn ipv6(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Found<Ipv6Addr>, LookupFailure> {
        let address = |data: RData| if let RData::AAAA(address) = data { Some(address.0) } else { None };
        self.lookup(name, RecordType::AAAA, address, deadline).await
    }

    /// Each record as one value: the strings of a record belong together (RFC 8555 §8.4, RFC 1035 §3.3.14).
    pub(super) async fn txt(&self, name: &str, deadline: Deadline) -> Result<Found<Vec<u8>>, LookupFailure> {
        let text =
            |data: RData| if let RData::TXT(text) = data { Some(text.txt_data.concat()) } else { None };
        self.lookup(name, RecordType::TXT, text, deadline).await
    }

    pub(super) async fn caa(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Found<CaaRecord>, LookupFailure> {
        let record = |data: RData| {
            let RData::CAA(caa) = data else { return None };
            Some(CaaRecord { critical: caa.issuer_critical, tag: caa.tag.clone(), value: caa.value.clone() })
        };
        self.lookup(name, RecordType::CAA, record, deadline).await
    }

    /// What the name has, or what it is another name of; nothing where there is the name and no such record.
    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(RData) -> Option<T>,
        deadline: Deadline,
    ) -> Result<Found<T>, LookupFailure> {
        let inner = self.inner.as_ref().ok_or(LookupFailure::NoServers)?;
        let mut question = Name::from_ascii(name).map_err(|_| LookupFailure::NotAName(name.into()))?;
        // With its last dot: no search domain is tried.
        question.set_fqdn(true);
        let answer = deadline.run(inner.lookup(question.clone(), kind)).await;
        match answer.unwrap_or(Err(NetError::Timeout)) {
            Ok(lookup) => {
                let end = end_of_aliases(lookup.answers(), question.clone())
                    .ok_or_else(|| LookupFailure::NoEnd(name.into()))?;
                let of_end = |record: &&Record| record.record_type() == kind && record.name == end;
                let records = lookup.answers().iter().filter(of_end).take(MAX_RECORDS);
                let records = records.filter_map(|record| read(record.data.clone())).collect();
                Ok(Found { records, by_alias: end != question })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if none.ns.is_some() && none.soa.is_none() => {
                let reason = "it refers to other servers instead of asking them";
                Err(LookupFailure::Failed { name: name.into(), kind, reason })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                // The last question was of the name that the aliases lead to.
                let by_alias = *none.query.name() != question;
                match none.response_code {
                    ResponseCode::NXDomain => Err(LookupFailure::NoSuchName { name: name.into(), by_alias }),
                    // No answer says that there is nothing: the last one was one more alias. A server that gives a circle as
                    // one answer, which ends where it began, is not told from one that has nothing; resolvers give none.
                    _ if by_alias && none.soa.is_none() => Err(LookupFailure::NoEnd(name.into())),
                    _ => Ok(Found { records: Vec::new(), by_alias }),
                }
            }
            Err(error) => Err(failure(&error, name.into(), kind)),
        }
    }
}

/// The name at the end of the aliases, or the name itself; none where there is no end of them.
fn end_of_aliases(answers: &[Record], name: Name) -> Option<Name> {
    let mut end = name;
    for _ in 0..=MAX_ALIASES {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == end => Some(target.0.clone()),
            _ => None,
        });
        let Some(alias) = alias else { return Some(end) };
        end = alias;
    }
    None
}

/// Of a library that may come to know more errors than it does.
fn failure(error: &NetError, name: String, kind: RecordType) -> LookupFailure {
    match error {
        NetError::Timeout => LookupFailure::TimedOut { name, kind },
        NetError::Dns(DnsError::ResponseCode(code)) => {
            LookupFailure::Refused { name, kind, code: code_name(*code) }
        }
        NetError::Io(_) | NetError::NoConnections => {
            LookupFailure::Failed { name, kind, reason: "it cannot be reached" }
        }
        NetError::Proto(_) => LookupFailure::Failed { name, kind, reason: "its answer cannot be read" },
        other => {
            tracing::debug!(error = %other, "a DNS lookup failed");
            LookupFailure::Failed { name, kind, reason: "it does not work" }
        }
    }
}

/// As people know it.
fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        other => other.to_str().into(),
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn build(servers: Vec<NameServerConfig>) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_name_servers(servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = QUESTION;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    options.preserve_intermediates = true;
    options.cache_size = 0;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_max_ttl = Some(Duration::ZERO);
    builder.build()
}

impl From<LookupFailure> for ValidationFailure {
    fn from(failure: LookupFailure) -> Self {
        let problem = Self::dns(failure.to_string());
        match failure {
            LookupFailure::NotAName(_) => problem.for_good(),
            LookupFailure::NoSuchName { by_alias: true, .. } => problem.elsewhere(),
            LookupFailure::NoSuchName { by_alias: false, .. }
            | LookupFailure::NoEnd(_)
            | LookupFailure::Refused { .. }
            | LookupFailure::TimedOut { .. }
            | LookupFailure::Failed { .. }
            | LookupFailure::NoServers => problem,
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("asks", &self.inner.is_some()).finish()
    }
}
