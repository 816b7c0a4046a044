//! Names: what may be in them, how they are written, how they are shown.

use pki::{
    ObjectIdentifier,
    der_io::{DerError, encode, tag},
    name::{Attribute, AttributeType, Name, NameError},
};

use crate::support::{common_name, openssl};

fn attribute(kind: AttributeType, value: &str) -> Attribute {
    Attribute { kind, value: value.to_owned() }
}

fn written(kind: AttributeType, value: &str) -> Result<Name, NameError> {
    Name::from_attributes(&[attribute(kind, value)])
}

/// The DER of a name with one common name in this string type.
fn encoded(string_tag: u8, value: &[u8]) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|name| {
            name.nested(tag::SET, |rdn| {
                rdn.sequence(|pair| {
                    pair.oid(&AttributeType::CommonName.oid());
                    pair.primitive(string_tag, value);
                });
            });
        });
    })
}

fn read(string_tag: u8, value: &[u8]) -> Result<String, NameError> {
    let name = Name::from_der(&encoded(string_tag, value))?;
    Ok(name.first(AttributeType::CommonName).unwrap().to_owned())
}

#[test]
fn values_that_are_no_text_are_refused() {
    let kind = AttributeType::CommonName;
    for (string_tag, value) in [
        (tag::UTF8_STRING, &b"\xff"[..]),
        (tag::UTF8_STRING, b"\xc0\x80"),
        (tag::PRINTABLE_STRING, b"\xe4"),
        (tag::IA5_STRING, "ä".as_bytes()),
        (tag::BMP_STRING, b"\x00"),
        (tag::BMP_STRING, b"\xd8\x00\xdc\x00"),
        (tag::UNIVERSAL_STRING, b"\x00\x11\x00\x00"),
        (tag::UNIVERSAL_STRING, b"\x00\x00\x00"),
        (tag::BIT_STRING, b"\x00a"),
        (tag::OCTET_STRING, b"a"),
        (tag::INTEGER, b"\x01"),
    ] {
        assert_eq!(
            read(string_tag, value),
            Err(NameError::NotText { kind }),
            "{string_tag:02x} {value:02x?}"
        );
    }
}

#[test]
fn control_characters_are_refused_in_every_string_type() {
    let kind = AttributeType::CommonName;
    for (string_tag, value) in [
        (tag::UTF8_STRING, &b"a\0b"[..]),
        (tag::UTF8_STRING, b"a\n"),
        (tag::UTF8_STRING, "a\u{85}".as_bytes()),
        (tag::PRINTABLE_STRING, b"\x1b"),
        (tag::IA5_STRING, b"a\0"),
        (tag::TELETEX_STRING, b"\x9b"),
        (tag::BMP_STRING, b"\x00\x00"),
        (tag::UNIVERSAL_STRING, b"\x00\x00\x00\x7f"),
    ] {
        assert_eq!(read(string_tag, value), Err(NameError::ControlCharacter { kind }));
    }
    assert_eq!(written(kind, "a\0b"), Err(NameError::ControlCharacter { kind }));
}

#[test]
fn every_string_type_is_read() {
    for (string_tag, value, text) in [
        (tag::UTF8_STRING, "Gerät".as_bytes(), "Gerät"),
        (tag::PRINTABLE_STRING, b"*.host_1@example", "*.host_1@example"),
        (tag::IA5_STRING, b"a@b", "a@b"),
        (tag::NUMERIC_STRING, b"12 3", "12 3"),
        (tag::VISIBLE_STRING, b"v", "v"),
        (tag::TELETEX_STRING, b"Ger\xe4t", "Gerät"),
        (tag::BMP_STRING, b"\x00a\x26\x3a", "a☺"),
        (tag::UNIVERSAL_STRING, b"\x00\x01\xf5\x11", "🔑"),
        (tag::UTF8_STRING, b"", ""),
    ] {
        assert_eq!(read(string_tag, value).as_deref(), Ok(text));
    }
}

#[test]
fn malformed_names_are_refused() {
    let good = common_name("a");
    let longer = [good.der(), &[0]].concat();
    assert_eq!(Name::from_der(&longer), Err(NameError::Malformed(DerError::Trailing)));
    assert_eq!(Name::from_der(&[0x30, 2, 0x31, 0]), Err(NameError::Malformed(DerError::EmptyList)));
    assert_eq!(Name::from_der(&[]), Err(NameError::Malformed(DerError::Truncated)));
    let not_a_set = DerError::UnexpectedTag { expected: tag::SET, found: tag::SEQUENCE };
    assert_eq!(Name::from_der(&[0x30, 2, 0x30, 0]), Err(NameError::Malformed(not_a_set)));
    for length in 0..good.der().len() {
        assert!(Name::from_der(&good.der()[..length]).is_err());
    }
}

#[test]
fn values_beyond_their_bounds_are_not_written() {
    use AttributeType::*;
    let too_long = |kind, length, maximum| NameError::TooLong { kind, length, maximum };
    for (kind, value, error) in [
        (CommonName, String::new(), NameError::Empty { kind: CommonName }),
        (CommonName, "x".repeat(65), too_long(CommonName, 65, 64)),
        (CommonName, "ä".repeat(65), too_long(CommonName, 65, 64)),
        (Organization, "x".repeat(65), too_long(Organization, 65, 64)),
        (OrganizationalUnit, "x".repeat(65), too_long(OrganizationalUnit, 65, 64)),
        (SerialNumber, "1".repeat(65), too_long(SerialNumber, 65, 64)),
        (Locality, "x".repeat(129), too_long(Locality, 129, 128)),
        (EmailAddress, "x".repeat(256), too_long(EmailAddress, 256, 255)),
        (DomainComponent, "x".repeat(64), too_long(DomainComponent, 64, 63)),
        (Country, "DEU".to_owned(), NameError::Country),
        (Country, "D".to_owned(), NameError::Country),
        (Country, "D1".to_owned(), NameError::Country),
        (Country, "ÄÖ".to_owned(), NameError::Country),
        (
            SerialNumber,
            "a_b".to_owned(),
            NameError::Characters { kind: SerialNumber, string_type: "PrintableString" },
        ),
        (
            DnQualifier,
            "a*".to_owned(),
            NameError::Characters { kind: DnQualifier, string_type: "PrintableString" },
        ),
        (
            EmailAddress,
            "ä@b".to_owned(),
            NameError::Characters { kind: EmailAddress, string_type: "IA5String" },
        ),
        (
            DomainComponent,
            "ä".to_owned(),
            NameError::Characters { kind: DomainComponent, string_type: "IA5String" },
        ),
    ] {
        assert_eq!(written(kind, &value), Err(error));
    }
    for (kind, length) in [(CommonName, 64), (Locality, 128), (Surname, 32_768), (Other(OID), 32_768)] {
        assert!(written(kind, &"ä".repeat(length)).is_ok());
        assert!(written(kind, &"ä".repeat(length + 1)).is_err());
    }
}

const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.3.4.5");

#[test]
fn written_names_read_back_the_same_and_openssl_shows_them_the_same() {
    let attributes = [
        attribute(AttributeType::Country, "DE"),
        attribute(AttributeType::Organization, "Müller, Söhne + Co; \"x\" <y> \\ #1"),
        attribute(AttributeType::OrganizationalUnit, " lead and trail "),
        attribute(AttributeType::DomainComponent, "example"),
        attribute(AttributeType::UserId, "#7"),
        attribute(AttributeType::CommonName, "device-1"),
    ];
    let name = Name::from_attributes(&attributes).unwrap();
    let read = Name::from_der(name.der()).unwrap();
    assert_eq!(read.attributes().cloned().collect::<Vec<_>>(), attributes);
    assert_eq!(read.rdns().map(<[_]>::len).collect::<Vec<_>>(), [1; 6]);
    assert_eq!(read, name);

    let key = crate::support::TestKey::p256();
    let certificate = key.issue(&name, &name, &key.public(), &[]);
    let arguments = ["x509", "-inform", "DER", "-in", "@c", "-noout", "-subject"];
    let arguments = [&arguments[..], &["-nameopt", "RFC2253,-esc_msb,utf8"]].concat();
    let shown = openssl(&arguments, &[("c", &certificate)]).unwrap();
    assert_eq!(shown.trim_end_matches('\n'), format!("subject={name}"));
}

#[test]
fn names_are_shown_in_reverse_order_and_escaped() {
    assert_eq!(Name::empty().to_string(), "");
    assert_eq!(common_name(" ").to_string(), "CN=\\ ");
    assert_eq!(common_name("#1").to_string(), "CN=\\#1");
    assert_eq!(common_name("a b").to_string(), "CN=a b");
    let other = written(AttributeType::Other(OID), "ab").unwrap();
    assert_eq!(other.to_string(), "1.2.3.4.5=#0c026162");
    let plain = written(AttributeType::SerialNumber, "0815").unwrap();
    assert_eq!(plain.to_string(), "serialNumber=0815");
}

#[test]
fn the_empty_name_has_no_attributes() {
    let empty = Name::from_attributes(&[]).unwrap();
    assert_eq!(empty, Name::empty());
    assert!(empty.is_empty() && empty.rdns().next().is_none());
    assert_eq!(Name::from_der(&[0x30, 0]), Ok(empty));
}

#[test]
fn attribute_types_are_found_by_long_name_short_name_and_identifier() {
    use AttributeType::*;
    let named = [
        CommonName,
        Surname,
        SerialNumber,
        Country,
        Locality,
        StateOrProvince,
        Street,
        Organization,
        OrganizationalUnit,
        Title,
        GivenName,
        Initials,
        GenerationQualifier,
        DnQualifier,
        Pseudonym,
        DomainComponent,
        EmailAddress,
        UserId,
        PostalCode,
        OrganizationIdentifier,
    ];
    for kind in named {
        assert_eq!(AttributeType::from_oid(kind.oid()), kind);
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(kind.to_string().to_uppercase().parse(), Ok(kind));
        assert_eq!(kind.oid().to_string().parse(), Ok(kind));
        assert!(kind.short_name().is_none_or(|short| short.parse() == Ok(kind)));
        assert!(!kind.as_str().contains('.'));
    }
    assert_eq!("1.2.3.4.5".parse(), Ok(Other(OID)));
    assert_eq!(Other(OID).to_string(), "1.2.3.4.5");
    assert_eq!(serde_json::to_string(&CommonName).unwrap(), "\"commonName\"");
    assert_eq!(serde_json::from_str::<AttributeType>("\"OU\"").unwrap(), OrganizationalUnit);
    for unknown in ["", "cn2", "1", "1..2", "9.9.9"] {
        assert!(unknown.parse::<AttributeType>().is_err(), "{unknown:?}");
    }
}
