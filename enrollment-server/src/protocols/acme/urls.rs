//! The URLs of one method, as its client spells them: `https://` and the authority that the request was sent to, which must be
//! one of the server's own. A client that reaches the server by another of its names finds all URLs below that name.

use http::{HeaderMap, Uri, header::HOST, uri::Authority};
use issuance::identity::{AcmeAccountId, AcmeOrderId, CertificateId, KeyId};
use pki::serial::SerialNumber;

use super::hosts::Hosts;

/// Below what an account's number follows.
const ACCOUNT: &str = "/acct/";

/// `https://{authority}/acme/{label}`, and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Urls {
    base: String,
    /// Where the path begins in `base`.
    path_at: usize,
}

/// What of a request's target the operations need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) urls: Urls,
    pub(super) authority: Authority,
    pub(super) label: String,
    /// The URL as a client must repeat it in what it signs (RFC 8555 §6.4).
    pub(super) url: String,
    /// Where in `url` the path below the method begins, without a slash before it.
    rest_at: usize,
}

impl Target {
    /// None where the request says no authority that could be one, or has a path that no route of ours matches.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let authority: Authority = match uri.authority() {
            Some(authority) => authority.clone(),
            None => headers.get(HOST)?.to_str().ok()?.parse().ok()?,
        };
        // RFC 9110 §4.2.4.
        if authority.as_str().contains('@') {
            return None;
        }
        let label = uri.path().strip_prefix("/acme/")?.split('/').next()?;
        let scheme_and_authority = "https://".len() + authority.as_str().len();
        let base = format!("https://{authority}/acme/{label}");
        let path_and_query = uri.path_and_query()?.as_str();
        let url = format!("https://{authority}{path_and_query}");
        let rest_at = base.len() + 1;
        let label = label.to_owned();
        let urls = Urls { base, path_at: scheme_and_authority };
        Some(Self { urls, authority, label, url, rest_at })
    }

    /// The part of the path at `index`, counted from what follows the label.
    pub(super) fn part(&self, index: usize) -> Option<&str> {
        let rest = self.url.get(self.rest_at..)?;
        rest.split('?').next()?.split('/').nth(index)
    }

    /// The value of a member of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.url.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Urls {
    pub(super) fn below(&self, operation: &str) -> String {
        format!("{}/{operation}", self.base)
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn account(&self, id: &AcmeAccountId) -> String {
        format!("{}{ACCOUNT}{id}", self.base)
    }

    pub(super) fn orders(&self, account: &AcmeAccountId) -> String {
        format!("{}{ACCOUNT}{account}/orders", self.base)
    }

    pub(super) fn order(&self, id: &AcmeOrderId) -> String {
        format!("{}/order/{id}", self.base)
    }

    pub(super) fn finalize(&self, id: &AcmeOrderId) -> String {
        format!("{}/order/{id}/finalize", self.base)
    }

    pub(super) fn authorization(&self, order: &AcmeOrderId, index: usize) -> String {
        format!("{}/authz/{order}/{index}", self.base)
    }

    pub(super) fn challenge(&self, order: &AcmeOrderId, index: usize, kind: &str) -> String {
        format!("{}/chall/{order}/{index}/{kind}", self.base)
    }

    pub(super) fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> String {
        format!("{}/cert/{}", self.base, CertificateId { issuer, serial: *serial })
    }

    /// The account that a `kid` names. The authority may be another of the server's names than that of the request: a server
    /// that got one more keeps its accounts, whose numbers are random and belong to one method.
    pub(super) fn account_of(&self, kid: &str, hosts: &Hosts) -> Option<AcmeAccountId> {
        let after_scheme = kid.strip_prefix("https://")?;
        let (authority, path) = after_scheme.split_at_checked(after_scheme.find('/')?)?;
        if !authority.parse().is_ok_and(|authority| hosts.include(&authority)) {
            return None;
        }
        let of_method = self.base.get(self.path_at..)?;
        path.strip_prefix(of_method)?.strip_prefix(ACCOUNT)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use issuance::identity::ResourceName;
    use resolve::CompiledTls;

    use super::*;

    fn target(uri: &str, host: Option<&'static str>) -> Option<Target> {
        let mut headers = HeaderMap::new();
        headers.extend(host.map(|host| (HOST, http::HeaderValue::from_static(host))));
        Target::of(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn urls_are_below_the_authority_that_the_request_names() {
        for (uri, host) in [
            ("/acme/lab.web/order/7/finalize?a=1&cursor=x", Some("ca.example:8443")),
            ("https://ca.example:8443/acme/lab.web/order/7/finalize?a=1&cursor=x", None),
        ] {
            let target = target(uri, host).unwrap();
            assert_eq!(target.url, "https://ca.example:8443/acme/lab.web/order/7/finalize?a=1&cursor=x");
            assert_eq!(target.urls.below("new-order"), "https://ca.example:8443/acme/lab.web/new-order");
            assert_eq!(
                (target.label.as_str(), target.part(1), target.part(2)),
                ("lab.web", Some("7"), Some("finalize"))
            );
            assert_eq!((target.part(3), target.query("cursor"), target.query("c")), (None, Some("x"), None));
        }
    }

    #[test]
    fn a_request_without_a_usable_authority_has_no_urls() {
        for host in [None, Some(""), Some("a b"), Some("user@ca.example")] {
            assert_eq!(target("/acme/lab.web/directory", host), None, "{host:?}");
        }
    }

    #[test]
    fn a_kid_is_read_by_every_name_of_the_server_and_of_this_method_only() {
        let urls = target("/acme/lab.web/new-order", Some("ca.example")).unwrap().urls;
        let id = AcmeAccountId::from_octets([7; 16]);
        let old = "https://old.example:8443";
        let tls = CompiledTls::Authority {
            authority: ResourceName::new("lab", "root"),
            dns_names: vec!["ca.example".into()],
            ip_addresses: Vec::new(),
            validity: Duration::from_secs(3600),
        };
        let hosts = Hosts::new(Some(&tls), Some(old));
        assert_eq!(urls.account_of(&urls.account(&id), &hosts), Some(id.clone()));
        let elsewhere = format!("{old}/acme/lab.web/acct/{id}");
        assert_eq!(urls.account_of(&elsewhere, &hosts), Some(id.clone()));
        for kid in [
            format!("https://ca.example/acme/lab.other/acct/{id}"),
            format!("https://ca.example/acme/lab.web/order/{id}"),
            format!("https://ca.example/acme/lab.web/acct/{id}/orders"),
            format!("http://ca.example/acme/lab.web/acct/{id}"),
            format!("https://other.example/acme/lab.web/acct/{id}"),
            format!("https://user@ca.example/acme/lab.web/acct/{id}"),
            format!("https://ca.example/x/acme/lab.web/acct/{id}"),
            format!("/acme/lab.web/acct/{id}"),
            "https://ca.example/acme/lab.web/acct/7".into(),
            "https://ca.example".into(),
            id.to_string(),
            String::new(),
        ] {
            assert_eq!(urls.account_of(&kid, &hosts), None, "{kid}");
        }
    }
}
