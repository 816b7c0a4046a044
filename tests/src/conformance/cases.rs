//! What Certificates ask for.

use serde_json::{Value, json};

/// One Certificate.
#[derive(Clone, Debug)]
pub struct Case {
    /// Also the name of its Certificate, after something of its own.
    pub name: &'static str,
    /// Members of `spec`, but for the Secret and the issuer.
    pub spec: Value,
    pub issuing: Issuing,
}

/// Which profile a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuing {
    Leaf,
    Authority,
}

/// The table. `suffix` is the domain that names end in; a case has names that no other has.
pub fn cases(suffix: &str) -> Vec<Case> {
    let mut all = keys(suffix);
    all.extend(subjects(suffix));
    all.extend(names(suffix));
    all.extend(rest(suffix));
    all
}

fn leaf(name: &'static str, spec: Value) -> Case {
    Case { name, spec, issuing: Issuing::Leaf }
}

fn authority(name: &'static str, spec: Value) -> Case {
    Case { name, spec, issuing: Issuing::Authority }
}

fn keys(suffix: &str) -> Vec<Case> {
    let dns = |name: &str| json!([format!("{name}.{suffix}")]);
    vec![
        leaf("rsa-dns", json!({"dnsNames": dns("rsa-dns")})),
        leaf("rsa-cn", json!({"commonName": "test-common-name-rsa"})),
        leaf(
            "rsa-4096",
            json!({"dnsNames": dns("rsa-4096"), "privateKey": {"algorithm": "RSA", "size": 4096}}),
        ),
        leaf("ecdsa-dns", json!({"dnsNames": dns("ecdsa-dns"), "privateKey": {"algorithm": "ECDSA"}})),
        leaf(
            "ecdsa-cn",
            json!({"commonName": "test-common-name-ecdsa", "privateKey": {"algorithm": "ECDSA"}}),
        ),
        leaf(
            "ecdsa-384",
            json!({"dnsNames": dns("ecdsa-384"), "privateKey": {"algorithm": "ECDSA", "size": 384}}),
        ),
        leaf(
            "ecdsa-521",
            json!({"dnsNames": dns("ecdsa-521"), "privateKey": {"algorithm": "ECDSA", "size": 521}}),
        ),
        leaf("ed25519-dns", json!({"dnsNames": dns("ed25519-dns"), "privateKey": {"algorithm": "Ed25519"}})),
        leaf(
            "ed25519-cn",
            json!({"commonName": "test-common-name-ed25519", "privateKey": {"algorithm": "Ed25519"}}),
        ),
    ]
}

fn subjects(suffix: &str) -> Vec<Case> {
    let literal_host = format!("*.literal.{suffix}");
    vec![
        leaf(
            "other-name-email",
            json!({
                "commonName": "someCN",
                "otherNames": [
                    {"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@domain.test"},
                    {"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@domain2.test"},
                ],
                "emailAddresses": ["email@domain.test"],
            }),
        ),
        leaf(
            "literal-subject",
            json!({
                "literalSubject": format!("CN={literal_host},OU=FooLong,OU=Bar,OU=Baz,OU=Dept.,O=Corp."),
                "dnsNames": [literal_host],
            }),
        ),
        leaf(
            "literal-subject-unusual",
            json!({
                "literalSubject": "CN=J. Doe,UID=jdoe,OU=Bar\\, inc.,STREET=1 Main St,L=Town,ST=State,C=DE,DC=corp,DC=example",
                "uris": ["spiffe://cluster.local/ns/sandbox/sa/unusual"],
            }),
        ),
        leaf(
            "full-subject",
            json!({
                "commonName": format!("subject.{suffix}"),
                "dnsNames": [format!("subject.{suffix}")],
                "subject": {
                    "organizations": ["Corp."], "organizationalUnits": ["Dept."], "countries": ["DE"],
                    "localities": ["Town"], "provinces": ["State"], "streetAddresses": ["1 Main St"],
                    "postalCodes": ["12345"], "serialNumber": "0815",
                },
            }),
        ),
        leaf(
            "dns-copied-to-cn",
            json!({
                "commonName": format!("copied.{suffix}"),
                "dnsNames": [format!("copied.{suffix}"), format!("beside-copied.{suffix}")],
            }),
        ),
        leaf(
            "distinct-cn",
            json!({
                "commonName": format!("distinct-cn.{suffix}"), "dnsNames": [format!("distinct.{suffix}")],
            }),
        ),
    ]
}

fn names(suffix: &str) -> Vec<Case> {
    let long = format!("{}.{suffix}", "l".repeat(63));
    vec![
        leaf("ip", json!({"ipAddresses": ["127.0.0.1"]})),
        leaf("ipv6", json!({"ipAddresses": ["2001:db8::1"]})),
        leaf("dns-ip", json!({"dnsNames": [format!("dns-ip.{suffix}")], "ipAddresses": ["127.0.0.1"]})),
        leaf("cn-ip", json!({"commonName": "test-common-name-ip", "ipAddresses": ["127.0.0.1"]})),
        leaf("email", json!({"emailAddresses": ["alice@example.com"]})),
        leaf("uri", json!({"uris": ["spiffe://cluster.local/ns/sandbox/sa/foo"]})),
        leaf(
            "cn-uri",
            json!({
                "commonName": "test-common-name-uri", "uris": ["spiffe://cluster.local/ns/sandbox/sa/foo"],
            }),
        ),
        leaf("wildcard", json!({"dnsNames": [format!("*.wild.{suffix}")]})),
        leaf("wildcard-apex", json!({"dnsNames": [format!("*.apex.{suffix}"), format!("apex.{suffix}")]})),
        leaf("long-label", json!({"dnsNames": [long]})),
        leaf(
            "every-form",
            json!({
                "dnsNames": [format!("every.{suffix}")], "ipAddresses": ["192.0.2.1"],
                "uris": ["https://example.com/every"], "emailAddresses": ["every@example.com"],
            }),
        ),
    ]
}

fn rest(suffix: &str) -> Vec<Case> {
    vec![
        leaf("duration", json!({"dnsNames": [format!("duration.{suffix}")], "duration": "896h"})),
        leaf(
            "duration-odd",
            json!({
                "dnsNames": [format!("odd.{suffix}")], "duration": "1h1m1s", "renewBefore": "15m",
            }),
        ),
        leaf(
            "usages",
            json!({
                "dnsNames": [format!("usages.{suffix}")],
                "usages": ["signing", "data encipherment", "server auth", "client auth"],
            }),
        ),
        leaf(
            "usages-few",
            json!({
                "dnsNames": [format!("usages-few.{suffix}")],
                "usages": ["digital signature", "content commitment", "code signing"],
                "privateKey": {"algorithm": "ECDSA"},
            }),
        ),
        authority(
            "ca",
            json!({"isCA": true, "commonName": "a-conformance-ca", "dnsNames": [format!("ca.{suffix}")]}),
        ),
        // RFC 5280 §4.1.2.6 wants a name for an authority; cert-manager's own case has none.
        authority("ca-without-subject", json!({"isCA": true, "dnsNames": [format!("ca-nameless.{suffix}")]})),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_that_kubernetes_takes() {
        let all = cases("example.com");
        let names: BTreeSet<&str> = all.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        }));
        assert!(all.iter().all(|case| (case.spec["isCA"] == true) == (case.issuing == Issuing::Authority)));
    }
}
