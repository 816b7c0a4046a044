//! From a name to a connection: every address is judged, and the one that was judged is the one that is connected to.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use issuance::acme::Identifier;
use resolve::{AddressGuard, Reach};
use tokio::net::TcpStream;

use super::{
    failure::{Deadline, ValidationFailure, io_reason},
    resolver::{Found, Resolver},
};

/// How many addresses of one name are tried.
const MAX_ADDRESSES: usize = 4;

/// Whom to contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(String),
    Address(IpAddr),
}

/// What validations of one method see of the world.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) resolver: Resolver,
    pub(super) guard: AddressGuard,
}

/// A connection, and to whom.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) at: At,
}

/// Whom a connection is to, as the account may know it: `example.com (192.0.2.1, port 80)`, or the address alone. Where an
/// alias or a redirect led there, its address is not told.
#[derive(Debug)]
pub(super) struct At {
    host: Host,
    peer: SocketAddr,
    reach: Reach,
    by_detour: bool,
}

impl Network {
    /// Tries a few of the host's addresses, one after the other. `redirected`: the host is none that the account named.
    pub(super) async fn connect(
        &self,
        host: &Host,
        redirected: bool,
        port: u16,
        deadline: Deadline,
    ) -> Result<Connection, ValidationFailure> {
        let judged = self.judged(host, deadline).await;
        let judged = judged.map_err(|failure| if redirected { failure.elsewhere() } else { failure })?;
        let by_detour = redirected || judged.by_alias;
        let mut last = None;
        for (index, (address, reach)) in judged.records.iter().enumerate() {
            let peer = SocketAddr::new(*address, port);
            let at = At { host: host.clone(), peer, reach: *reach, by_detour };
            let share = deadline.share(judged.records.len() - index);
            match share.run(TcpStream::connect(peer)).await {
                Some(Ok(stream)) => return Ok(Connection { stream, at }),
                Some(Err(error)) => last = Some((at, io_reason(&error))),
                None => last = Some((at, "it took too long".into())),
            }
        }
        Err(match last {
            Some((at, reason)) => at
                .failure(ValidationFailure::connection(format!("connecting to {at} did not work: {reason}"))),
            None => ValidationFailure::dns("there is no address to connect to"),
        })
    }

    /// The addresses that may be contacted, in the order to try.
    async fn judged(
        &self,
        host: &Host,
        deadline: Deadline,
    ) -> Result<Found<(IpAddr, Reach)>, ValidationFailure> {
        let found = match host {
            Host::Address(address) => Found { records: vec![*address], by_alias: false },
            Host::Name(name) => self.addresses(name, deadline).await?,
        };
        let (addresses, by_alias) = (found.records, found.by_alias);
        let judge = |address: &IpAddr| self.guard.judge(*address).map(|reach| (*address, reach));
        let judged: Vec<_> = addresses.iter().filter_map(judge).take(MAX_ADDRESSES).collect();
        if !judged.is_empty() {
            return Ok(Found { records: judged, by_alias });
        }
        let refused: Vec<_> = addresses.iter().take(MAX_ADDRESSES).map(ToString::to_string).collect();
        let refused = refused.join(", ");
        let denied = addresses.iter().any(|address| self.guard.denies(*address));
        let why = if denied { "is not public, or is denied by this server" } else { "is not public" };
        let detail = match host {
            Host::Name(name) => {
                format!("{name} has no address that may be contacted: {refused} {why}")
            }
            Host::Address(_) => format!("{refused} may not be contacted: it {why}"),
        };
        let failure = ValidationFailure::connection(detail).for_good();
        Err(if by_alias { failure.elsewhere() } else { failure })
    }

    /// All addresses of a name, IPv6 and IPv4 in turns.
    async fn addresses(&self, name: &str, deadline: Deadline) -> Result<Found<IpAddr>, ValidationFailure> {
        let (v6, v4) = futures::join!(self.resolver.ipv6(name, deadline), self.resolver.ipv4(name, deadline));
        let failure = v6.as_ref().err().or(v4.as_ref().err()).cloned();
        let by_alias = [v6.as_ref().map(|found| found.by_alias), v4.as_ref().map(|found| found.by_alias)];
        let by_alias = by_alias.contains(&Ok(true));
        // One that fails where the other has addresses is a server that does not know of IPv6.
        let (v6, v4) = (
            v6.map_or_else(|_| Vec::new(), |found| found.records),
            v4.map_or_else(|_| Vec::new(), |found| found.records),
        );
        if v6.is_empty() && v4.is_empty() {
            let none = || ValidationFailure::dns(format!("{name} has no address"));
            let failure = failure.map_or_else(none, Into::into);
            return Err(if by_alias { failure.elsewhere() } else { failure });
        }
        let (mut v6, mut v4) = (v6.into_iter().map(IpAddr::V6), v4.into_iter().map(IpAddr::V4));
        let mut records = Vec::new();
        loop {
            let pair = [v6.next(), v4.next()];
            if pair == [None, None] {
                return Ok(Found { records, by_alias });
            }
            records.extend(pair.into_iter().flatten());
        }
    }
}

impl At {
    /// What the account is told of a failure there, and whoever runs this server.
    pub(super) fn failure(&self, failure: ValidationFailure) -> ValidationFailure {
        if !self.by_detour {
            return failure;
        }
        let failure = failure.withholding(format!("at {}", self.peer));
        match self.reach {
            Reach::Public => failure,
            // The account would look at what only this server can reach.
            Reach::Allowed => failure.elsewhere(),
        }
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip()
    }
}

impl From<&Identifier> for Host {
    fn from(identifier: &Identifier) -> Self {
        match identifier {
            Identifier::Dns(name) => Self::Name(name.clone()),
            Identifier::Ip(address) => Self::Address(*address),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.peer.ip(), self.peer.port());
        match &self.host {
            Host::Name(name) if self.by_detour => write!(f, "{name} (port {port})"),
            Host::Name(name) => write!(f, "{name} ({ip}, port {port})"),
            Host::Address(_) => write!(f, "{ip}, port {port}"),
        }
    }
}
