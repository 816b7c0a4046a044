//! Names that an order is about.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use pki::general_name::GeneralName;
use serde::{Deserialize, Serialize};

use crate::pattern::{Case, Pattern};

/// A name as an authorization holds it: a DNS name in lower case without `*.` (RFC 8555 §7.1.4), or an address
/// (RFC 8738 §3). The JSON is that of the standard: `{"type":"dns","value":"a.example"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum Identifier {
    Dns(String),
    Ip(IpAddr),
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

/// The name as an order shows it and a certificate holds it: `*.a.example` for a wildcard.
pub fn identifier_text(identifier: &Identifier, wildcard: bool) -> String {
    match identifier {
        Identifier::Dns(name) if wildcard => format!("*.{name}"),
        Identifier::Dns(_) | Identifier::Ip(_) => identifier.to_string(),
    }
}

/// As the subjectAltName of a certificate.
pub fn general_name(identifier: &Identifier, wildcard: bool) -> GeneralName {
    match identifier {
        Identifier::Dns(_) => GeneralName::Dns(identifier_text(identifier, wildcard)),
        Identifier::Ip(address) => GeneralName::Ip(*address),
    }
}

/// The identifier of a name, and whether it is a wildcard: the other way round. None for what no challenge could prove.
pub fn identifier_of(name: &GeneralName) -> Option<(Identifier, bool)> {
    match name {
        GeneralName::Dns(text) => Some(dns_identifier(text)),
        GeneralName::Ip(address) => Some((Identifier::Ip(*address), false)),
        GeneralName::Uri(_)
        | GeneralName::Email(_)
        | GeneralName::OtherName { .. }
        | GeneralName::DirectoryName(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

/// RFC 4343: case does not matter.
pub(crate) fn dns_identifier(text: &str) -> (Identifier, bool) {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix("*.") {
        Some(rest) => (Identifier::Dns(rest.to_owned()), true),
        None => (Identifier::Dns(text), false),
    }
}

/// Which names the accounts of a credential may ask for. A kind of name without an entry: none of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restriction {
    /// Of DNS names, in either case. A wildcard is compared as it is written, `*.a.example`: a pattern covers it only
    /// where it covers every name that the wildcard stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Pattern>,
    /// Networks of addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<IpNet>,
}

impl Restriction {
    pub fn permits(&self, identifier: &Identifier, wildcard: bool) -> bool {
        match identifier {
            Identifier::Dns(_) => {
                let text = identifier_text(identifier, wildcard);
                self.dns.iter().any(|pattern| pattern.matches(&text, Case::Insensitive))
            }
            Identifier::Ip(address) => self.ip.iter().any(|network| network.contains(address)),
        }
    }
}

/// `*.a.example, 192.0.2.0/28`, for the audit trail.
impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dns, ip) = (self.dns.iter().map(ToString::to_string), self.ip.iter().map(ToString::to_string));
        f.write_str(&dns.chain(ip).collect::<Vec<_>>().join(", "))
    }
}
