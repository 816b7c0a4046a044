//! Who is at the other end, as the socket and the TLS handshake say it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{ProtocolVersion, ServerConnection};
use rustls_pki_types::CertificateDer;

use crate::metrics::TlsVersionLabel;

/// The other end of a connection, in the extensions of each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Address of the socket. An IPv4 address that reached a dual-stack socket is given as IPv4.
    pub address: SocketAddr,
    /// The certificate chain that the peer showed, leaf first; empty without one. The handshake proved that the peer
    /// holds the key of the leaf and **nothing else**: whether the chain leads anywhere, whether it is within its
    /// validity and whom it names is for each method to judge against its own trust anchors.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// TLS version; `None` on a plain listener.
    pub tls: Option<TlsVersion>,
}

impl Peer {
    /// A peer on a plain connection.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address: canonical(address), certificates: Arc::default(), tls: None }
    }

    /// A peer whose handshake is complete.
    pub(super) fn secured(address: SocketAddr, connection: &ServerConnection) -> Self {
        let certificates = connection.peer_certificates().unwrap_or_default();
        Self {
            address: canonical(address),
            certificates: certificates.iter().map(|c| c.clone().into_owned()).collect(),
            tls: connection.protocol_version().and_then(TlsVersion::from_rustls),
        }
    }

    /// The address without its port.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}

/// A TLS version that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// The version as logs and metrics spell it.
    pub const fn as_str(self) -> &'static str {
        self.label().as_str()
    }

    pub(super) const fn label(self) -> TlsVersionLabel {
        match self {
            Self::Tls12 => TlsVersionLabel::Tls12,
            Self::Tls13 => TlsVersionLabel::Tls13,
        }
    }

    fn from_rustls(version: ProtocolVersion) -> Option<Self> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Self::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Self::Tls13),
            _ => None,
        }
    }
}

/// `::ffff:192.0.2.1` is the IPv4 peer 192.0.2.1 (RFC 4291 §2.5.5.2), and must count as the same.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
