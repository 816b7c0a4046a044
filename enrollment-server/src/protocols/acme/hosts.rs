//! The names by which the server may be asked. Whatever a client puts into `Host` comes back in every URL that it is given, and
//! in the CAA records that are compared with its account's: so only the server's own names count, which are those that its
//! certificate has, and that of the URL under which it is known.

use std::{collections::HashSet, net::IpAddr};

use http::uri::{Authority, Uri};
use pki::{certificate::Certificate, general_name::GeneralName};
use resolve::CompiledTls;

/// The server's own, of one generation of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// In lower case; `*.` before those that stand for one more label.
    names: HashSet<String>,
    addresses: HashSet<IpAddr>,
}

impl Hosts {
    /// `base`: the configured URL, if any.
    pub fn new(tls: Option<&CompiledTls>, base: Option<&str>) -> Self {
        let mut hosts = Self::default();
        match tls {
            Some(CompiledTls::Authority { dns_names, ip_addresses, .. }) => {
                dns_names.iter().for_each(|name| hosts.add_name(name));
                hosts.addresses.extend(ip_addresses.iter().map(|address| address.to_canonical()));
            }
            Some(CompiledTls::Secret { certificates, .. }) => {
                let certificate = certificates.first().and_then(|der| Certificate::from_der(der).ok());
                let names = certificate.and_then(|certificate| certificate.subject_alt_names().ok());
                names.unwrap_or_default().iter().for_each(|name| hosts.add(name));
            }
            None => {}
        }
        let base = base.and_then(|url| url.parse::<Uri>().ok());
        if let Some(authority) = base.as_ref().and_then(Uri::authority) {
            hosts.add_host(authority);
        }
        hosts
    }

    /// At whichever port: a Service or a load balancer may have another than the server. RFC 9110 §4.2.4: no user information in
    /// what is received.
    pub(super) fn include(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = host(authority);
        if let Some(address) = address(host) {
            return self.addresses.contains(&address);
        }
        let name = name(host);
        self.names.contains(&name)
            || name.split_once('.').is_some_and(|(_, rest)| self.names.contains(&format!("*.{rest}")))
    }

    fn add(&mut self, name: &GeneralName) {
        match name {
            GeneralName::Dns(name) => self.add_name(name),
            GeneralName::Ip(address) => drop(self.addresses.insert(address.to_canonical())),
            // Nobody connects to such a name.
            GeneralName::Uri(_)
            | GeneralName::Email(_)
            | GeneralName::OtherName { .. }
            | GeneralName::DirectoryName(_)
            | GeneralName::RegisteredId(_) => {}
        }
    }

    fn add_host(&mut self, authority: &Authority) {
        let host = host(authority);
        match address(host) {
            Some(address) => drop(self.addresses.insert(address)),
            None => self.add_name(host),
        }
    }

    fn add_name(&mut self, text: &str) {
        self.names.insert(name(text));
    }
}

/// Without brackets (RFC 3986 §3.2.2).
fn host(authority: &Authority) -> &str {
    let host = authority.host();
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// RFC 4343: case does not matter; nor does the dot of the root.
fn name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use issuance::{identity::ResourceName, secret::Secret};
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn issued_here() -> CompiledTls {
        CompiledTls::Authority {
            authority: ResourceName::new("lab", "root"),
            dns_names: vec!["ca.example".into(), "*.Pki.example".into()],
            ip_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            validity: Duration::from_secs(3600),
        }
    }

    fn of_a_secret() -> CompiledTls {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["ca.example".into(), "*.pki.example".into()]).unwrap();
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| SanType::IpAddress(text.parse().unwrap()));
        params.subject_alt_names.extend(addresses);
        let certificates = vec![params.self_signed(&key).unwrap().der().to_vec()];
        let secret = ResourceName::new("lab", "tls");
        CompiledTls::Secret { secret, certificates, key: Secret::new(key.serialize_der()) }
    }

    #[test]
    fn the_names_of_the_certificate_and_of_the_base_url_are_the_servers_at_any_port() {
        let base = Some("https://Enroll.example:8443/pki");
        for tls in [issued_here(), of_a_secret()] {
            let hosts = Hosts::new(Some(&tls), base);
            for (authority, is_ours) in [
                ("ca.example", true),
                ("CA.example:9443", true),
                ("ca.example.", true),
                ("a.pki.example", true),
                ("192.0.2.1:443", true),
                ("[2001:db8::1]", true),
                ("[2001:DB8:0::1]:8443", true),
                ("[::ffff:192.0.2.1]", true),
                ("enroll.example", true),
                ("pki.example", false),
                ("a.b.pki.example", false),
                ("*.example", false),
                ("evil.example", false),
                ("user@ca.example", false),
                ("ca.example.evil.example", false),
                ("xca.example", false),
                ("192.0.2.2", false),
                ("[2001:db8::2]", false),
                ("localhost", false),
            ] {
                assert_eq!(hosts.include(&authority.parse().unwrap()), is_ours, "{authority}");
            }
        }
    }

    #[test]
    fn a_server_without_a_name_is_asked_by_none() {
        assert!(!Hosts::new(None, None).include(&"localhost".parse().unwrap()));
    }
}
