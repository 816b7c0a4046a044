//! What a set of records says.

use issuance::acme::ChallengeType;

use super::{Asked, CaaRecord, Permission, judge};

/// Critical, tag, value.
type Property = (bool, &'static str, &'static str);

const ACCOUNT: &str = "https://ca.example/acme/acct/1";

fn issuers() -> Vec<String> {
    vec!["ca.example".into()]
}

fn record(critical: bool, tag: &str, value: &str) -> CaaRecord {
    CaaRecord { critical, tag: tag.into(), value: value.as_bytes().to_vec() }
}

fn says(
    records: &[(bool, &str, &str)],
    wildcard: bool,
    challenge: Option<ChallengeType>,
) -> Result<(), String> {
    let records: Vec<_> =
        records.iter().map(|(critical, tag, value)| record(*critical, tag, value)).collect();
    judge(&records, &Asked { wildcard, challenge, account_uri: ACCOUNT, issuers: &issuers() })
}

fn permits(records: &[(bool, &str, &str)]) -> bool {
    says(records, false, Some(ChallengeType::Http01)).is_ok()
}

#[test]
fn a_value_that_does_not_name_this_authority_permits_nothing() {
    for value in [
        "",
        ";",
        " ",
        "other.example",
        "ca.example.",
        "xca.example",
        "ca.example.org",
        "ca.example other.example",
        "ca.example, other.example",
        "\"ca.example\"",
        "ca.example\u{0}",
        "cä.example",
        "https://ca.example",
        // Malformed parameters make the whole value permit nobody.
        "ca.example; account",
        "ca.example; =x",
        "ca.example; a b=c",
        "ca.example; a=b c",
        "ca.example;; a=b",
        "ca.example; a=\u{7f}",
        "ca.example; a_b=c",
    ] {
        assert!(!permits(&[(false, "issue", value)]), "{value:?}");
    }
    let undecodable = CaaRecord { critical: false, tag: "issue".into(), value: vec![b'c', 0xff] };
    assert_eq!(Permission::parse(&undecodable.value), Permission::default());
}

#[test]
fn a_value_that_names_this_authority_permits() {
    for value in [
        "ca.example",
        "CA.Example",
        " ca.example ",
        "\tca.example",
        "ca.example;",
        "ca.example ;",
        "ca.example; ",
        "ca.example; policy=ev",
        "ca.example ; policy = ev ; cansignhttpexchanges=yes",
        "ca.example;a=b;",
        "ca.example; a=",
        "ca.example; a=b=c",
    ] {
        assert!(permits(&[(false, "issue", value)]), "{value:?}");
        assert!(permits(&[(true, "ISSUE", value)]), "{value:?}");
        assert!(permits(&[(false, "issue", "other.example"), (false, "issue", value)]), "{value:?}");
    }
}

#[test]
fn a_critical_property_that_is_not_known_forbids() {
    let right = (false, "issue", "ca.example");
    assert!(!permits(&[right, (true, "tbs", "x")]));
    assert!(!permits(&[(true, "issuemail", "ca.example")]));
    assert!(permits(&[right, (false, "tbs", "x")]));
    assert!(permits(&[(false, "tbs", "x")]));
    assert!(permits(&[right, (true, "iodef", "mailto:a@b.example")]));
    assert!(permits(&[right, (true, "issuewild", ";")]));
}

#[test]
fn for_wildcards_issuewild_comes_before_issue() {
    let tables: [(&[Property], bool, bool); 7] = [
        (&[(false, "issue", "ca.example")], true, true),
        (&[(false, "issue", "other.example")], false, false),
        (&[(false, "issue", "ca.example"), (false, "issuewild", ";")], true, false),
        (&[(false, "issue", ";"), (false, "issuewild", "ca.example")], false, true),
        (&[(false, "issuewild", ";")], true, false),
        (&[(false, "issuewild", "ca.example")], true, true),
        (&[(false, "iodef", "mailto:a@b.example")], true, true),
    ];
    for (records, name, wildcard) in tables {
        assert_eq!(says(records, false, None).is_ok(), name, "{records:?}");
        assert_eq!(says(records, true, None).is_ok(), wildcard, "{records:?}");
    }
}

#[test]
fn only_the_account_that_is_named_may_ask() {
    let of = |value: &str| permits(&[(false, "issue", value)]);
    assert!(of(&format!("ca.example; accounturi={ACCOUNT}")));
    assert!(of(&format!("ca.example; AccountURI={ACCOUNT}")));
    for other in [
        format!("{ACCOUNT}2"),
        ACCOUNT.to_uppercase(),
        String::new(),
        "https://other.example/acct/1".into(),
        // RFC 8657 §3: several are satisfied by none.
        format!("{ACCOUNT}; accounturi={ACCOUNT}"),
    ] {
        assert!(!of(&format!("ca.example; accounturi={other}")), "{other}");
    }
    // One record for each account.
    let mine = format!("ca.example; accounturi={ACCOUNT}");
    assert!(permits(&[
        (false, "issue", "ca.example; accounturi=https://x.example"),
        (false, "issue", &mine)
    ]));
}

#[test]
fn only_the_ways_that_are_named_may_prove_control() {
    let by = |value: &str, challenge| says(&[(false, "issue", value)], false, challenge);
    let (http, dns) = (Some(ChallengeType::Http01), Some(ChallengeType::Dns01));
    let only_dns = "ca.example; validationmethods=dns-01";
    assert!(by(only_dns, dns).is_ok());
    assert!(by(only_dns, http).unwrap_err().contains("another way"));
    // By no challenge is no way that was named.
    assert!(by(only_dns, None).is_err());
    assert!(by("ca.example", None).is_ok());
    assert!(by("ca.example; validationmethods=tls-alpn-01,http-01", http).is_ok());
    assert!(by("ca.example; validationmethods=", http).is_err());
    assert!(by("ca.example; validationmethods=http-010", http).is_err());
    assert!(by("ca.example; validationmethods=http-01; validationmethods=http-01", http).is_err());
}
