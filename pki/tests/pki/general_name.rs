//! General names and the syntax of what is in them.

use pki::{
    ObjectIdentifier,
    der_io::{DerError, encode, tag},
    general_name::{
        GeneralName, GeneralNameError, general_names_from_der, general_names_to_der, is_valid_dns_name,
        is_valid_email, is_valid_uri,
    },
};

use crate::support::common_name;

const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

fn refusal(tag: u8, contents: &[u8]) -> GeneralNameError {
    let der = encode(|writer| writer.primitive(tag, contents));
    GeneralName::from_der(&der).expect_err("a general name that must be refused")
}

#[test]
fn general_names_that_cannot_be_handled_are_refused_with_their_reason() {
    for (tag, contents, error) in [
        (0x82, &b"a\0b"[..], GeneralNameError::Characters("dns")),
        (0x82, "ä".as_bytes(), GeneralNameError::Characters("dns")),
        (0x82, b"a b", GeneralNameError::Characters("dns")),
        (0x81, b"a@b\n", GeneralNameError::Characters("email")),
        (0x86, b"http://a/\x7f", GeneralNameError::Characters("uri")),
        (0x87, b"\x01\x02\x03", GeneralNameError::IpLength(3)),
        (0x87, &[0; 8], GeneralNameError::IpLength(8)),
        (0x87, b"", GeneralNameError::IpLength(0)),
        (0xa3, b"", GeneralNameError::Unsupported("x400Address")),
        (0xa5, b"", GeneralNameError::Unsupported("ediPartyName")),
        (0x88, b"\x2a\x80\x01", GeneralNameError::Malformed(DerError::ObjectIdentifier)),
        (0xa0, b"", GeneralNameError::Malformed(DerError::Truncated)),
        (0xa0, b"\x06\x03\x2a\x03\x04\xa0\x01\x05", GeneralNameError::Malformed(DerError::Truncated)),
        (0xa0, b"\x06\x03\x2a\x03\x04\xa0\x02\x05\x00\x00", GeneralNameError::Malformed(DerError::Trailing)),
        (0xa4, b"\x30\x01", GeneralNameError::DirectoryName(DerError::Truncated.into())),
    ] {
        assert_eq!(refusal(tag, contents), error, "{tag:02x}");
    }
    let universal = DerError::UnexpectedTag { expected: 0x82, found: 0x0c };
    assert_eq!(refusal(0x0c, b"a"), GeneralNameError::Malformed(universal));
}

#[test]
fn an_empty_list_of_names_is_refused() {
    assert_eq!(general_names_from_der(&[0x30, 0]), Err(GeneralNameError::EmptyList));
}

#[test]
fn names_read_back_as_they_were_written_and_are_shown_with_their_type() {
    let raw = GeneralName::OtherName { type_id: UPN, value: vec![0x02, 0x01, 0x05] };
    let names = [
        (GeneralName::Dns("Host.example".to_owned()), "dns:Host.example"),
        (GeneralName::Ip([192, 0, 2, 1].into()), "ip:192.0.2.1"),
        (GeneralName::Ip("2001:db8::1".parse().unwrap()), "ip:2001:db8::1"),
        (GeneralName::Uri("urn:a:b".to_owned()), "uri:urn:a:b"),
        (GeneralName::Email("a@b".to_owned()), "email:a@b"),
        (GeneralName::other_name_from_utf8(UPN, "a@b"), "otherName:1.3.6.1.4.1.311.20.2.3:a@b"),
        (raw, "otherName:1.3.6.1.4.1.311.20.2.3:#020105"),
        (GeneralName::DirectoryName(common_name("x")), "dirName:CN=x"),
        (GeneralName::RegisteredId(UPN), "rid:1.3.6.1.4.1.311.20.2.3"),
    ];
    for (name, shown) in &names {
        assert_eq!(GeneralName::from_der(&name.to_der()).as_ref(), Ok(name));
        assert_eq!(name.to_string(), *shown);
    }
    let list: Vec<GeneralName> = names.into_iter().map(|(name, _)| name).collect();
    assert_eq!(general_names_from_der(&general_names_to_der(&list)), Ok(list));
}

#[test]
fn only_a_utf8_string_without_control_characters_is_the_text_of_an_other_name() {
    let text = |tag, contents: &[u8]| {
        let value = encode(|writer| writer.primitive(tag, contents));
        GeneralName::OtherName { type_id: UPN, value }.other_name_utf8()
    };
    assert_eq!(text(tag::UTF8_STRING, "ä".as_bytes()).as_deref(), Some("ä"));
    assert_eq!(text(tag::UTF8_STRING, b"a\0"), None);
    assert_eq!(text(tag::UTF8_STRING, b"\xff"), None);
    assert_eq!(text(tag::IA5_STRING, b"a"), None);
    assert_eq!(GeneralName::Dns("a".to_owned()).other_name_utf8(), None);
}

#[test]
fn host_names_have_preferred_syntax_and_wildcards_only_as_the_whole_leftmost_label() {
    let label = "a".repeat(63);
    let longest = [label.as_str(), &label, &label, &"a".repeat(61)].join(".");
    assert_eq!(longest.len(), 253);
    for name in ["a", "host.example", "xn--bcher-kva.example", "1a.example", "3com.com", &longest] {
        assert!(is_valid_dns_name(name, false) && is_valid_dns_name(name, true), "{name}");
    }
    for name in ["*.host.example", "*.co.uk"] {
        assert!(is_valid_dns_name(name, true) && !is_valid_dns_name(name, false), "{name}");
    }
    let too_long = [longest.as_str(), "a"].join("");
    let long_label = format!("{label}a.example");
    for name in [
        "",
        ".",
        "host.",
        ".host",
        "a..b",
        "-a.example",
        "a-.example",
        "a_b.example",
        "a b",
        "ä.example",
        "*",
        "*.example",
        "a.*.example",
        "a*.host.example",
        "*a.host.example",
        "*.*.example",
        "**.host.example",
        "192.0.2.1",
        "1",
        "2001:db8::1",
        "host.example:80",
        "host/",
        &too_long,
        &long_label,
    ] {
        assert!(!is_valid_dns_name(name, true), "{name}");
    }
}

#[test]
fn mail_addresses_are_a_dot_string_at_a_host() {
    for address in ["a@b.example", "first.last+tag@host.example", "x@localhost", "o'neil@b.example"] {
        assert!(is_valid_email(address), "{address}");
    }
    let long_local = format!("{}@b.example", "a".repeat(65));
    for address in [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        ".a@b",
        "a.@b",
        "a..b@c",
        "a b@c",
        "\"a\"@b",
        "a@b_c",
        "a@-b",
        "a@[192.0.2.1]",
        "ä@b",
        "a@*.example",
        &long_local,
    ] {
        assert!(!is_valid_email(address), "{address}");
    }
}

#[test]
fn uris_are_absolute_with_a_host_or_are_urns() {
    for uri in [
        "http://host.example",
        "https://host.example:8443/a/b?c=d#e",
        "spiffe://trust.example/ns/x/sa/y",
        "ldap://192.0.2.1/cn=x",
        "http://[2001:db8::1]:80/",
        "http://user@host.example/",
        "http://h/%20",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "urn:dev:mac:0024befffe804ff1",
    ] {
        assert!(is_valid_uri(uri), "{uri}");
    }
    for uri in [
        "",
        "host.example",
        "/path",
        "http:",
        "http:/a",
        "http://",
        "http:///path",
        "1http://h",
        "ht tp://h",
        "http://ho st",
        "http://h/%",
        "http://h/%2",
        "http://h/%zz",
        "http://ä",
        "http://h:port",
        "http://h:65536",
        "http://[::1",
        "http://[192.0.2.1]/",
        "http://[::1]x",
        "mailto:a@b",
        "urn:",
        "urn:a:b",
        "urn:ab:",
        "http://h_1/",
        "http://*.example/",
        "http://h/\"",
    ] {
        assert!(!is_valid_uri(uri), "{uri}");
    }
}
