//! Which names a credential may ask for.

use proptest::prelude::*;

use crate::{
    acme::{ChallengeType, Identifier, Restriction},
    pattern::Pattern,
    testing::patterns,
};

fn restriction(dns: &[&str], ip: &[&str]) -> Restriction {
    Restriction { dns: patterns(dns), ip: ip.iter().map(|network| network.parse().unwrap()).collect() }
}

fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.into())
}

#[test]
fn a_name_is_permitted_where_a_pattern_or_network_holds_it() {
    let some = restriction(&["*.a.example", "b.example", "**.c.example"], &["192.0.2.0/24", "2001:db8::/32"]);
    let table = [
        (dns("www.a.example"), false, true),
        (dns("WWW.A.example"), false, true),
        (dns("a.example"), false, false),
        (dns("x.www.a.example"), false, false),
        (dns("b.example"), false, true),
        // A wildcard only where all its names are.
        (dns("a.example"), true, true),
        (dns("b.example"), true, false),
        (dns("c.example"), true, true),
        (dns("www.a.example"), true, false),
        (Identifier::Ip([192, 0, 2, 7].into()), false, true),
        (Identifier::Ip([192, 0, 3, 7].into()), false, false),
        (Identifier::Ip("2001:db8::1".parse().unwrap()), false, true),
        // An address inside another is another address.
        (Identifier::Ip("::ffff:192.0.2.7".parse().unwrap()), false, false),
        (dns("192.0.2.7"), false, false),
    ];
    for (identifier, wildcard, expected) in table {
        assert_eq!(some.permits(&identifier, wildcard), expected, "{identifier} {wildcard}");
    }
    let names_alone = restriction(&["**"], &[]);
    assert!(!names_alone.permits(&Identifier::Ip([192, 0, 2, 7].into()), false));
    assert!(!Restriction::default().permits(&dns("b.example"), false));
}

#[test]
fn a_restriction_that_this_release_does_not_know_is_not_read() {
    let stored = serde_json::to_string(&restriction(&["*.a.example"], &["192.0.2.0/24"])).unwrap();
    assert_eq!(stored, r#"{"dns":["*.a.example"],"ip":["192.0.2.0/24"]}"#);
    assert_eq!(
        serde_json::from_str::<Restriction>(&stored).unwrap(),
        restriction(&["*.a.example"], &["192.0.2.0/24"])
    );
    assert!(serde_json::from_str::<Restriction>(r#"{"dns":["a"],"except":["b"]}"#).is_err());
}

#[test]
fn a_challenge_fits_what_it_can_prove() {
    let address = Identifier::Ip([192, 0, 2, 7].into());
    let fitting = |identifier: &Identifier, wildcard| {
        let kinds = ChallengeType::ALL.into_iter().filter(|kind| kind.fits(identifier, wildcard));
        kinds.map(ChallengeType::as_str).collect::<Vec<_>>()
    };
    assert_eq!(fitting(&dns("a.example"), false), ["http-01", "dns-01", "tls-alpn-01"]);
    assert_eq!(fitting(&dns("a.example"), true), ["dns-01"]);
    assert_eq!(fitting(&address, false), ["http-01", "tls-alpn-01"]);
    for kind in ChallengeType::ALL {
        assert_eq!(kind.as_str().parse::<ChallengeType>().unwrap(), kind);
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert!("HTTP-01".parse::<ChallengeType>().is_err());
}

proptest! {
    /// Whoever may have the wildcard could have had each name it stands for.
    #[test]
    fn a_pattern_that_holds_a_wildcard_holds_every_name_of_it(
        pattern in r"([ab*.-]|\*\*){1,8}",
        rest in r"[ab]{1,2}(\.[ab]{1,2}){0,2}",
        label in "[ab-]{1,4}",
    ) {
        let Ok(pattern) = Pattern::parse(&pattern) else { return Ok(()) };
        let restriction = Restriction { dns: vec![pattern], ip: Vec::new() };
        if restriction.permits(&dns(&rest), true) {
            let name = format!("{label}.{rest}");
            prop_assert!(restriction.permits(&dns(&name), false), "{name}");
        }
    }
}
