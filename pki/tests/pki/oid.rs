//! Object identifiers as text.

use pki::{
    der_io::{DerError, oid_value},
    oid::{OidError, parse},
};

#[test]
fn text_that_is_no_object_identifier_is_refused() {
    for text in [
        "",
        ".",
        "1",
        "1.2",
        "1.2.",
        ".1.2.3",
        "1..2.3",
        "1.2..3",
        "a.b.c",
        "1.2.x",
        "1.2.-3",
        "1.2.+3",
        "1.2.03",
        "1.2. 3",
        "3.1.1",
        "1.40.1",
        "1.2.268435456",
        "1.2.99999999999999999999",
        "1.2.340.٣",
    ] {
        assert_eq!(parse(text), Err(OidError), "{text:?}");
    }
    assert_eq!(parse(&format!("1.2{}", ".268435455".repeat(10))), Err(OidError));
}

#[test]
fn arcs_at_the_edges_of_an_octet_are_encoded_as_openssl_encodes_them() {
    for text in
        ["1.2.127.128", "1.2.128.1", "1.3.6.1.4.1.128", "1.2.16383.16384", "1.2.16511.2097151.2097152"]
    {
        let oid = parse(text).unwrap();
        assert_eq!(oid.to_string(), text);
        let shown = crate::support::openssl(&["asn1parse", "-genstr", &format!("OID:{text}")], &[]).unwrap();
        assert!(shown.trim_end().ends_with(&format!(":{text}")), "{shown}");
        let length: usize =
            shown.split("l=").nth(2).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(oid.as_bytes().len(), length, "{shown}");
    }
}

#[test]
fn arcs_of_five_octets_are_refused_on_the_wire() {
    let largest_with_four_octets = [0x2a, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(oid_value(&largest_with_four_octets).unwrap().to_string(), "1.2.268435455");
    for contents in [&[0x2a, 0x90, 0x80, 0x80, 0x80, 0x00][..], &[0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert_eq!(oid_value(contents), Err(DerError::ObjectIdentifier));
    }
}

#[test]
fn constants_that_const_oid_parsed_are_encoded_right() {
    use pki::extension::*;
    let constants = [
        SubjectAltName::OID,
        NameConstraints::OID,
        KeyUsage::OID,
        ExtendedKeyUsage::OID,
        BasicConstraints::OID,
        CertificatePolicies::OID,
        SubjectKeyIdentifier::OID,
        AuthorityKeyIdentifier::OID,
        CrlDistributionPoints::OID,
        AuthorityInfoAccess::OID,
        CrlNumber::OID,
        ReasonCode::OID,
        InvalidityDate::OID,
        NoCheck::OID,
        ExtendedKeyUsage::SERVER_AUTH,
        ExtendedKeyUsage::CLIENT_AUTH,
        ExtendedKeyUsage::CODE_SIGNING,
        ExtendedKeyUsage::EMAIL_PROTECTION,
        ExtendedKeyUsage::TIME_STAMPING,
        ExtendedKeyUsage::OCSP_SIGNING,
        ExtendedKeyUsage::CMC_CA,
        ExtendedKeyUsage::CMC_RA,
        ExtendedKeyUsage::ANY,
    ];
    for oid in constants {
        assert_eq!(parse(&oid.to_string()), Ok(oid));
    }
}
