//! `tls-alpn-01` (RFC 8737): a certificate that carries the digest, shown to whoever speaks `acme-tls/1`.

use const_oid::ObjectIdentifier;
use issuance::acme::Identifier;
use pki::{certificate::Certificate, der_io, general_name::GeneralName};
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsConnector;

use super::{
    failure::{Deadline, ValidationFailure, tls_reason},
    network::{Connection, Host, Network},
    tls::Tls,
};

/// RFC 8737 §4.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// `acmeIdentifier` (RFC 8737 §3, §6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");

/// One method's way to shake hands.
#[derive(Debug)]
pub(super) struct TlsAlpn01<'a> {
    pub(super) network: &'a Network,
    pub(super) tls: &'a Tls,
    pub(super) port: u16,
    pub(super) deadline: Deadline,
}

impl TlsAlpn01<'_> {
    /// Connects to the identifier and judges the certificate that it shows.
    ///
    /// `digest`: SHA-256 of the key authorization.
    pub(super) async fn validate(
        &self,
        identifier: &Identifier,
        digest: [u8; 32],
    ) -> Result<(), ValidationFailure> {
        let host = Host::from(identifier);
        let name = server_name(identifier)?;
        let expected = identifier.clone();
        let judged = self.tls.judged(move |certificate| judge(certificate, &expected, &digest), PROTOCOL);
        let judged = judged.map_err(|error| ValidationFailure::tls(error.to_string()))?;
        let Connection { stream, at } = self.network.connect(&host, false, self.port, self.deadline).await?;
        let connecting = TlsConnector::from(judged.config.clone()).connect(name, stream);
        let late = || ValidationFailure::connection(format!("{at} did not finish its TLS handshake in time"));
        let shaken = self.deadline.run(connecting).await.ok_or_else(|| at.failure(late()))?;
        let mut stream = shaken.map_err(|error| {
            at.failure(match judged.refusal() {
                Some(refusal) => ValidationFailure::incorrect(format!(
                    "{at} shows a certificate that is refused: {refusal}"
                )),
                None => ValidationFailure::tls(format!("TLS with {at} failed: {}", tls_reason(&error))),
            })
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
            let failure = ValidationFailure::tls(format!("{at} did not choose acme-tls/1 (ALPN)"));
            return Err(at.failure(failure));
        }
        // RFC 8737 §3: the connection is of no further use. Whether the other side hears of that decides nothing.
        drop(self.deadline.run(stream.shutdown()).await);
        Ok(())
    }
}

/// The three things that RFC 8737 §3 asks of the certificate, and that it vouches for itself.
fn judge(certificate: &Certificate, identifier: &Identifier, digest: &[u8; 32]) -> Result<(), String> {
    let names = certificate.subject_alt_names().map_err(|error| error.to_string())?;
    let [name] = names.as_slice() else {
        return Err(format!("it has {} alternative names instead of one", names.len()));
    };
    let named = match (name, identifier) {
        (GeneralName::Dns(name), Identifier::Dns(expected)) => name.eq_ignore_ascii_case(expected),
        (GeneralName::Ip(address), Identifier::Ip(expected)) => address == expected,
        _ => false,
    };
    if !named {
        return Err(format!("it does not name {identifier}"));
    }
    let Some(extension) = certificate.extension(ACME_IDENTIFIER) else {
        return Err("it has no acmeIdentifier".into());
    };
    if !extension.critical {
        return Err("its acmeIdentifier is not critical".into());
    }
    let value = der_io::parse_all(&extension.value, |reader| reader.octet_string());
    if value.map_err(|error| format!("its acmeIdentifier is malformed: {error}"))? != digest {
        return Err("its acmeIdentifier is not the digest of this challenge's key authorization".into());
    }
    if !certificate.is_self_signed() {
        return Err("it is not self-signed".into());
    }
    Ok(())
}

/// What is asked for in the handshake: the name, or for an address its reverse name (RFC 8738 §6).
fn server_name(identifier: &Identifier) -> Result<ServerName<'static>, ValidationFailure> {
    let name = match identifier {
        Identifier::Dns(name) => name.clone(),
        Identifier::Ip(address) => reverse_name(*address),
    };
    let not_a_name = |_| ValidationFailure::dns(format!("{name} is not a name for TLS")).for_good();
    ServerName::try_from(name.clone()).map_err(not_a_name)
}

/// RFC 1034 §5.2.1 and RFC 3596 §2.5, without the last dot.
fn reverse_name(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        std::net::IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            let labels: Vec<_> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}
