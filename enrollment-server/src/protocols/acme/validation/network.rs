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
    resolver::Resolver,
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
    pub(super) peer: SocketAddr,
    pub(super) reach: Reach,
}

impl Network {
    /// Tries a few of the host's addresses, one after the other.
    pub(super) async fn connect(
        &self,
        host: &Host,
        port: u16,
        deadline: Deadline,
    ) -> Result<Connection, ValidationFailure> {
        let judged = self.judged(host, deadline).await?;
        let mut last = None;
        for (index, (address, reach)) in judged.iter().enumerate() {
            let peer = SocketAddr::new(*address, port);
            let share = deadline.share(judged.len() - index);
            match share.run(TcpStream::connect(peer)).await {
                Some(Ok(stream)) => return Ok(Connection { stream, peer, reach: *reach }),
                Some(Err(error)) => last = Some((peer, io_reason(&error))),
                None => last = Some((peer, "it took too long".into())),
            }
        }
        let (peer, reason) = last.unwrap_or_else(|| (SocketAddr::new([0; 4].into(), port), "nothing".into()));
        Err(ValidationFailure::connection(format!("connecting to {} did not work: {reason}", At(host, peer))))
    }

    /// The addresses that may be contacted, in the order to try.
    async fn judged(
        &self,
        host: &Host,
        deadline: Deadline,
    ) -> Result<Vec<(IpAddr, Reach)>, ValidationFailure> {
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.addresses(name, deadline).await?,
        };
        let judge = |address: &IpAddr| self.guard.judge(*address).map(|reach| (*address, reach));
        let judged: Vec<_> = addresses.iter().filter_map(judge).take(MAX_ADDRESSES).collect();
        if !judged.is_empty() {
            return Ok(judged);
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
        Err(ValidationFailure::connection(detail).for_good())
    }

    /// All addresses of a name, IPv6 and IPv4 in turns.
    async fn addresses(&self, name: &str, deadline: Deadline) -> Result<Vec<IpAddr>, ValidationFailure> {
        let (v6, v4) = futures::join!(self.resolver.ipv6(name, deadline), self.resolver.ipv4(name, deadline));
        let failure = v6.as_ref().err().or(v4.as_ref().err()).cloned();
        // One that fails where the other has addresses is a server that does not know of IPv6.
        let (v6, v4) = (v6.unwrap_or_default(), v4.unwrap_or_default());
        if v6.is_empty() && v4.is_empty() {
            let none = || ValidationFailure::dns(format!("{name} has no address"));
            return Err(failure.map_or_else(none, Into::into));
        }
        let (mut v6, mut v4) = (v6.into_iter().map(IpAddr::V6), v4.into_iter().map(IpAddr::V4));
        let mut addresses = Vec::new();
        loop {
            let pair = [v6.next(), v4.next()];
            if pair == [None, None] {
                return Ok(addresses);
            }
            addresses.extend(pair.into_iter().flatten());
        }
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

/// `example.com (192.0.2.1, port 80)`, or the address alone.
pub(super) struct At<'a>(pub(super) &'a Host, pub(super) SocketAddr);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.1.ip(), self.1.port());
        match self.0 {
            Host::Name(name) => write!(f, "{name} ({ip}, port {port})"),
            Host::Address(_) => write!(f, "{ip}, port {port}"),
        }
    }
}
