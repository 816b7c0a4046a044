//! The subjectAltName, each kind of name by its own rule.

use std::time::{Duration, Instant};

use const_oid::ObjectIdentifier;
use pki::{
    extension::SubjectAltName,
    general_name::GeneralName,
    name::{AttributeType, Name},
};

use super::{super::permits_name, accepts, cannot_be_read, refuses, shown_names, under_usual};
use crate::{
    error::Rule,
    policy::{
        CommonNameUse, DnsRule, IpRule, NameRule, Oid, OtherNameRule, Permission, Presence, Profile,
        SubjectAltNamesPolicy, Unlisted,
    },
    testing::{Request, patterns, policy, policy_with, request},
};

/// User principal name.
const UPN: &str = "1.3.6.1.4.1.311.20.2.3";

fn rule(presence: Presence, texts: &[&str]) -> NameRule {
    NameRule { presence, values: Vec::new(), patterns: patterns(texts) }
}

fn fixed(values: &[&str]) -> NameRule {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    NameRule { presence: Presence::Fixed, values, patterns: Vec::new() }
}

fn dns(texts: &[&str]) -> DnsRule {
    DnsRule { name: rule(Presence::Allowed, texts), wildcards: Permission::Refused }
}

fn ip(networks: &[&str]) -> IpRule {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    IpRule { presence: Presence::Allowed, values: Vec::new(), networks }
}

fn upn(name: NameRule) -> OtherNameRule {
    OtherNameRule { type_id: Oid(ObjectIdentifier::new_unwrap(UPN)), name }
}

fn with_names(change: impl FnOnce(&mut SubjectAltNamesPolicy)) -> Profile {
    policy_with(|policy| change(&mut policy.subject_alt_names))
}

fn dns_like(texts: &[&str]) -> Profile {
    with_names(|names| names.dns = Some(dns(texts)))
}

#[track_caller]
fn accepts_names(policy: &Profile, request: &Request, names: &[&str]) {
    assert_eq!(shown_names(&accepts(policy, request)), names);
}

#[track_caller]
fn refuses_names(policy: &Profile, request: &Request, field: &str, words: &[&str]) {
    refuses(policy, request, Rule::SubjectAltNames, field, words);
}

#[test]
fn a_kind_without_a_rule_is_refused_or_dropped() {
    let kinds = [
        (request().dns("a.acme.com"), "dns:a.acme.com"),
        (request().ip("192.0.2.1"), "ip:192.0.2.1"),
        (request().uri("https://acme.com/"), "uri:https://acme.com/"),
        (request().email("a@acme.com"), "email:a@acme.com"),
        (request().other_name(UPN, "ann@acme.com"), "ann@acme.com"),
        (
            request().names([GeneralName::RegisteredId(ObjectIdentifier::new_unwrap("1.2.3.4"))]),
            "rid:1.2.3.4",
        ),
        (request().names([GeneralName::DirectoryName(Name::empty())]), "dirName:"),
    ];
    let dropping = with_names(|names| names.others = Unlisted::Drop);
    for (request, shown) in kinds {
        refuses_names(&policy(), &request, "subjectAltNames", &["does not allow this kind of name", shown]);
        accepts_names(&dropping, &request, &[]);
    }
}

#[test]
fn dns_names_must_match_a_pattern() {
    let policy = dns_like(&["*.acme.com", "acme.org"]);
    accepts_names(
        &policy,
        &request().dns("www.acme.com").dns("acme.org"),
        &["dns:www.acme.com", "dns:acme.org"],
    );
    for evil in ["acme.com", "a.b.acme.com", "www.acme.com.evil.org", "xacme.org"] {
        let words = ["allows names like \"*.acme.com\", \"acme.org\"", &format!("\"{evil}\" was asked for")];
        refuses_names(&policy, &request().dns("www.acme.com").dns(evil), "subjectAltNames.dns", &words);
    }
}

#[test]
fn dns_names_are_written_in_lower_case_and_once() {
    accepts_names(
        &dns_like(&["*.acme.com"]),
        &request().dns("WWW.Acme.COM").dns("www.acme.com"),
        &["dns:www.acme.com"],
    );
}

#[test]
fn what_is_no_host_name_is_refused_whatever_the_patterns() {
    let open = with_names(|names| {
        names.dns = Some(DnsRule { wildcards: Permission::Allowed, ..dns(&["**"]) });
    });
    let bad = [
        "",
        ".",
        "acme.com.",
        ".acme.com",
        "a..com",
        "-a.acme.com",
        "a-.acme.com",
        "a_b.acme.com",
        "a%00b.acme.com",
        "192.0.2.1",
        "*",
        "*.",
        "*.com",
        "*.*",
        "*.*.acme.com",
        "www*.acme.com",
        "*www.acme.com",
        "a.*.com",
        "http://acme.com",
        "acme.com:443",
        "acme.com/x",
        "a@acme.com",
        &"a".repeat(64),
        &format!("{}.com", "a.".repeat(130)),
    ];
    for evil in bad {
        refuses_names(
            &open,
            &request().dns(evil),
            "subjectAltNames.dns",
            &["is not a name that a certificate can hold"],
        );
    }
}

#[test]
fn names_with_octets_that_are_not_printable_ascii_cannot_be_read() {
    for evil in [
        "www.acme.com\0.evil.org",
        " www.acme.com",
        "www.acme.com ",
        "bücher.example",
        "a\tb.acme.com",
        "a\u{202e}b",
    ] {
        cannot_be_read(&request().dns(evil), "the certificate request cannot be read");
        cannot_be_read(&request().email(evil), "the certificate request cannot be read");
        cannot_be_read(&request().uri(evil), "the certificate request cannot be read");
    }
}

#[test]
fn a_wildcard_needs_permission_and_a_pattern() {
    let wildcards = with_names(|names| {
        names.dns = Some(DnsRule { wildcards: Permission::Allowed, ..dns(&["*.acme.com"]) });
    });
    accepts_names(&wildcards, &request().dns("*.acme.com"), &["dns:*.acme.com"]);
    refuses_names(
        &wildcards,
        &request().dns("*.b.acme.com"),
        "subjectAltNames.dns",
        &["\"*.b.acme.com\" was asked for"],
    );
    refuses_names(
        &wildcards,
        &request().dns("*.evil.org"),
        "subjectAltNames.dns",
        &["\"*.evil.org\" was asked for"],
    );
    for policy in [dns_like(&["*.acme.com"]), dns_like(&["**"]), dns_like(&[])] {
        let words = ["acme/web does not allow wildcards", "\"*.acme.com\" was asked for"];
        refuses_names(&policy, &request().dns("*.acme.com"), "subjectAltNames.dns.wildcards", &words);
    }
}

#[test]
fn addresses_must_lie_in_a_network() {
    let policy = with_names(|names| names.ip = Some(ip(&["10.0.0.0/8", "2001:db8::/32"])));
    accepts_names(&policy, &request().ip("10.1.2.3").ip("2001:db8::7"), &["ip:10.1.2.3", "ip:2001:db8::7"]);
    for evil in ["11.0.0.1", "2001:db9::1", "::ffff:10.1.2.3", "0.0.0.0"] {
        let words = ["allows addresses of 10.0.0.0/8, 2001:db8::/32", &format!("{evil} was asked for")];
        refuses_names(&policy, &request().ip(evil), "subjectAltNames.ip", &words);
    }
    let any = with_names(|names| names.ip = Some(ip(&[])));
    accepts_names(&any, &request().ip("192.0.2.1"), &["ip:192.0.2.1"]);
}

#[test]
fn an_address_written_as_a_dns_name_is_refused() {
    refuses_names(&dns_like(&[]), &request().dns("10.0.0.1"), "subjectAltNames.dns", &["\"10.0.0.1\""]);
}

#[test]
fn uris_must_match_a_pattern_exactly_as_written() {
    let policy =
        with_names(|names| names.uri = Some(rule(Presence::Allowed, &["spiffe://acme.com/ns/*/sa/*"])));
    accepts_names(
        &policy,
        &request().uri("spiffe://acme.com/ns/a/sa/b"),
        &["uri:spiffe://acme.com/ns/a/sa/b"],
    );
    let evil = [
        "spiffe://evil.org/ns/a/sa/b",
        "spiffe://acme.com/ns/a/b/sa/c",
        "spiffe://ACME.com/ns/a/sa/b",
        "spiffe://acme.com@evil.org/ns/a/sa/b",
    ];
    for evil in evil {
        refuses_names(&policy, &request().uri(evil), "subjectAltNames.uri", &["allows names like", evil]);
    }
    for bad in [
        "acme",
        "https:",
        "https://",
        "https://a b",
        "javascript:alert(1)",
        "https://acme.com/%zz",
        "//acme.com",
    ] {
        let open = with_names(|names| names.uri = Some(rule(Presence::Allowed, &[])));
        if bad.contains(' ') {
            cannot_be_read(&request().uri(bad), "subjectAltName");
        } else {
            refuses_names(&open, &request().uri(bad), "subjectAltNames.uri", &["is not a name", bad]);
        }
    }
}

#[test]
fn mailboxes_must_match_a_pattern() {
    let policy = with_names(|names| names.email = Some(rule(Presence::Allowed, &["*@acme.com"])));
    accepts_names(&policy, &request().email("Ann@ACME.com"), &["email:Ann@ACME.com"]);
    for evil in ["ann@evil.org", "ann@acme.com.evil.org", "ann.smith@acme.com"] {
        refuses_names(&policy, &request().email(evil), "subjectAltNames.email", &["\"*@acme.com\"", evil]);
    }
    for bad in ["ann", "@acme.com", "ann@", "ann@evil.org@acme.com", "a..b@acme.com", "ann@acme_.com"] {
        refuses_names(&policy, &request().email(bad), "subjectAltNames.email", &["is not a name", bad]);
    }
}

#[test]
fn other_names_are_judged_by_their_type() {
    let policy = with_names(|names| names.other_names = vec![upn(rule(Presence::Allowed, &["*@acme.com"]))]);
    accepts_names(
        &policy,
        &request().other_name(UPN, "ann@acme.com"),
        &["otherName:1.3.6.1.4.1.311.20.2.3:ann@acme.com"],
    );
    refuses_names(
        &policy,
        &request().other_name(UPN, "ann@evil.org"),
        "subjectAltNames.otherName",
        &["\"ann@evil.org\""],
    );
    refuses_names(&policy, &request().other_name("1.2.3.4", "ann@acme.com"), "subjectAltNames", &["1.2.3.4"]);
    let type_id = ObjectIdentifier::new_unwrap(UPN);
    for value in [vec![0x05, 0x00], b"\x16\x0cann@acme.com".to_vec(), b"\x0c\x0dann@acme.com\0".to_vec()] {
        let request = request().names([GeneralName::OtherName { type_id, value }]);
        refuses_names(&policy, &request, "subjectAltNames.otherName", &[UPN, "is not a UTF8String"]);
    }
    let any = with_names(|names| names.other_names = vec![upn(rule(Presence::Allowed, &[]))]);
    accepts_names(
        &any,
        &request().names([GeneralName::OtherName { type_id, value: vec![0x05, 0x00] }]),
        &["otherName:1.3.6.1.4.1.311.20.2.3:#0500"],
    );
}

#[test]
fn a_required_kind_must_be_there() {
    let required = || rule(Presence::Required, &[]);
    let cases: [(Profile, &str, Request); 5] = [
        (
            with_names(|names| names.dns = Some(DnsRule { name: required(), ..dns(&[]) })),
            "subjectAltNames.dns",
            request().dns("a.acme.com"),
        ),
        (
            with_names(|names| names.ip = Some(IpRule { presence: Presence::Required, ..ip(&[]) })),
            "subjectAltNames.ip",
            request().ip("192.0.2.1"),
        ),
        (
            with_names(|names| names.uri = Some(required())),
            "subjectAltNames.uri",
            request().uri("https://acme.com/"),
        ),
        (
            with_names(|names| names.email = Some(required())),
            "subjectAltNames.email",
            request().email("a@acme.com"),
        ),
        (
            with_names(|names| names.other_names = vec![upn(required())]),
            "subjectAltNames.otherName",
            request().other_name(UPN, "ann@acme.com"),
        ),
    ];
    for (policy, field, good) in cases {
        assert_eq!(accepts(&policy, &good).subject_alt_names.len(), 1);
        refuses_names(&policy, &request(), field, &["acme/web requires one; the request has none"]);
    }
}

#[test]
fn fixed_names_take_the_place_of_what_was_asked() {
    let policy = with_names(|names| {
        names.dns = Some(DnsRule { name: fixed(&["fixed.acme.com"]), ..dns(&[]) });
        names.ip =
            Some(IpRule { presence: Presence::Fixed, values: vec!["192.0.2.7".parse().unwrap()], ..ip(&[]) });
        names.uri = Some(fixed(&["https://fixed.acme.com/"]));
        names.email = Some(fixed(&["fixed@acme.com"]));
        names.other_names = vec![upn(fixed(&["fixed@corp"]))];
        names.common_name = CommonNameUse::CopyToDns;
    });
    let evil = request()
        .common_name("evil.org")
        .dns("evil.org")
        .ip("203.0.113.1")
        .uri("https://evil.org/")
        .email("a@evil.org")
        .other_name(UPN, "a@evil.org");
    let expected = [
        "dns:fixed.acme.com",
        "ip:192.0.2.7",
        "uri:https://fixed.acme.com/",
        "email:fixed@acme.com",
        "otherName:1.3.6.1.4.1.311.20.2.3:fixed@corp",
    ];
    let template = accepts(&policy, &evil);
    assert_eq!(shown_names(&template), expected);
    let written =
        template.extensions.iter().flat_map(|extension| extension.value.clone()).collect::<Vec<_>>();
    assert!(!written.windows(4).any(|four| four == b"evil"));
    accepts_names(&policy, &request(), &expected);
}

#[test]
fn a_common_name_is_copied_to_the_dns_names_and_judged_as_one() {
    let copying = with_names(|names| {
        names.dns = Some(dns(&["*.acme.com"]));
        names.common_name = CommonNameUse::CopyToDns;
    });
    accepts_names(&copying, &request().common_name("WWW.acme.com"), &["dns:www.acme.com"]);
    accepts_names(
        &copying,
        &request().common_name("www.acme.com").dns("www.acme.com"),
        &["dns:www.acme.com"],
    );
    accepts_names(
        &copying,
        &request().common_name("b.acme.com").dns("a.acme.com"),
        &["dns:a.acme.com", "dns:b.acme.com"],
    );
    accepts_names(&copying, &request().common_name("Ann Smith"), &[]);
    accepts_names(&copying, &request().common_name("192.0.2.1"), &[]);
    refuses_names(
        &copying,
        &request().common_name("evil.org").dns("a.acme.com"),
        "subjectAltNames.dns",
        &["\"evil.org\""],
    );
    refuses_names(
        &copying,
        &request().common_name("*.acme.com"),
        "subjectAltNames.dns.wildcards",
        &["\"*.acme.com\""],
    );
    let required = with_names(|names| {
        names.dns = Some(DnsRule { name: rule(Presence::Required, &[]), ..dns(&[]) });
        names.common_name = CommonNameUse::CopyToDns;
    });
    accepts_names(&required, &request().common_name("www.acme.com"), &["dns:www.acme.com"]);
    accepts_names(&dns_like(&["*.acme.com"]), &request().common_name("www.acme.com"), &[]);
}

#[test]
fn the_maximum_counts_names_of_all_kinds() {
    let policy = with_names(|names| {
        names.maximum = 2;
        names.dns = Some(dns(&[]));
        names.ip = Some(ip(&[]));
        names.uri = Some(fixed(&[]));
    });
    let two = request().dns("a.acme.com").ip("192.0.2.1");
    accepts_names(&policy, &two, &["dns:a.acme.com", "ip:192.0.2.1"]);
    accepts_names(
        &policy,
        &two.clone().dns("A.acme.com").uri("https://ignored.acme.com/"),
        &["dns:a.acme.com", "ip:192.0.2.1"],
    );
    let words = ["acme/web allows 2 names; 3 were asked for"];
    refuses_names(&policy, &two.dns("b.acme.com"), "subjectAltNames.maximum", &words);
    let with_fixed = with_names(|names| {
        names.maximum = 1;
        names.dns = Some(dns(&[]));
        names.email = Some(fixed(&["ops@acme.com"]));
    });
    refuses_names(
        &with_fixed,
        &request().dns("a.acme.com"),
        "subjectAltNames.maximum",
        &["allows 1 names; 2"],
    );
}

#[test]
fn a_huge_number_of_names_is_refused_soon() {
    let policy = dns_like(&["**.acme.com"]);
    let many = request().names((0..20_000).map(|number| GeneralName::Dns(format!("n{number}.acme.com"))));
    let began = Instant::now();
    refuses_names(&policy, &many, "subjectAltNames.maximum", &["20000 were asked for"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_extension_is_critical_where_the_subject_is_empty() {
    let policy = policy_with(|policy| {
        policy.subject.empty = Permission::Allowed;
        policy.subject_alt_names.dns = Some(dns(&[]));
    });
    let criticality = |request: &Request| {
        let template = accepts(&policy, request);
        let oid = <SubjectAltName as pki::extension::TypedExtension>::OID;
        template.extensions.iter().find(|extension| extension.oid == oid).unwrap().critical
    };
    assert!(criticality(&request().subject(&[]).dns("a.acme.com")));
    assert!(!criticality(&request().subject(&[(AttributeType::CommonName, "a")]).dns("a.acme.com")));
}

#[test]
fn a_name_alone_is_judged_as_in_a_request_whatever_else_a_request_would_need() {
    let policy = with_names(|names| {
        names.dns = Some(dns(&["*.acme.com"]));
        names.ip = Some(ip(&["192.0.2.0/24"]));
        names.uri = Some(NameRule { presence: Presence::Required, ..rule(Presence::Required, &[]) });
        names.email = Some(fixed(&["ca@acme.com"]));
        names.others = Unlisted::Drop;
    });
    let profile = under_usual(&policy);
    for name in [GeneralName::Dns("WWW.acme.com".into()), GeneralName::Ip("192.0.2.7".parse().unwrap())] {
        assert_eq!(permits_name(&profile, &name), Ok(()), "{name}");
    }
    for name in [
        GeneralName::Dns("www.other.com".into()),
        GeneralName::Dns("*.acme.com".into()),
        GeneralName::Dns("not a name".into()),
        GeneralName::Ip("198.51.100.7".parse().unwrap()),
        // These a profile would leave out or put its own in their place.
        GeneralName::Email("ann@acme.com".into()),
        GeneralName::DirectoryName(Name::empty()),
    ] {
        let refusal = permits_name(&profile, &name).unwrap_err();
        assert_eq!(refusal.rule(), Rule::SubjectAltNames, "{name}: {refusal}");
    }
}
