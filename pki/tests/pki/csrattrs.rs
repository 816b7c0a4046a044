//! What a server wants in a request: the examples of the standards, refusals, and a round trip.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection::vec, option, prelude::*, sample::select};

use pki::{
    ObjectIdentifier,
    algorithm::SignatureAlgorithm,
    attribute::Attribute,
    csrattrs::{
        AttrOrOid, CertificationRequestInfoTemplate, CsrAttrs, CsrAttrsError, ExtensionTemplate,
        SingleAttributeTemplate, SubjectPublicKeyInfoTemplate,
    },
    der_io::{DerError, encode, tag},
    extension::{Extension, ExtensionError, SubjectAltName, TypedExtension},
    general_name::GeneralName,
    key::{Curve, KeyType, PublicKey},
};

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const EXTENSION_REQUEST_TEMPLATE: &str = "1.2.840.113549.1.9.16.2.62";

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

fn read(base64: &str) -> CsrAttrs {
    let der = STANDARD.decode(base64).unwrap();
    let list = CsrAttrs::from_der(&der).unwrap();
    assert_eq!(list.to_der(), der);
    list
}

fn refusal(der: &[u8]) -> CsrAttrsError {
    CsrAttrs::from_der(der).expect_err("a list that must be refused")
}

#[test]
fn lists_that_are_malformed_are_refused_with_their_reason() {
    let malformed = |der: &[u8]| match refusal(der) {
        CsrAttrsError::Malformed(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(malformed(&[]), DerError::Truncated);
    assert_eq!(malformed(&[0x31, 0]), DerError::UnexpectedTag { expected: 0x30, found: 0x31 });
    assert_eq!(malformed(&[0x30, 0, 0]), DerError::Trailing);
    assert_eq!(malformed(&[0x30, 2, 5, 0]), DerError::UnexpectedTag { expected: 0x30, found: 5 });
    assert_eq!(malformed(&[0x30, 5, 0x30, 3, 6, 1, 0x80]), DerError::ObjectIdentifier);
    let der = STANDARD.decode(RFC_7030).unwrap();
    for length in 0..der.len() {
        assert!(CsrAttrs::from_der(&der[..length]).is_err(), "{length} octets");
    }
}

/// RFC 7030 §4.5.2.
const RFC_7030: &str =
    "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==";

#[test]
fn the_example_of_rfc_7030_is_read_and_made_byte_for_byte() {
    let list = read(RFC_7030);
    let made = CsrAttrs(vec![
        AttrOrOid::CHALLENGE_PASSWORD,
        AttrOrOid::key(KeyType::Ecdsa(Curve::P384)),
        AttrOrOid::extension_request_types(&[oid("1.3.6.1.1.1.1.22")]),
        AttrOrOid::signature(SignatureAlgorithm::EcdsaSha384),
    ]);
    assert_eq!(list, made);
    assert_eq!(STANDARD.encode(made.to_der()), RFC_7030);
    assert!(list.wants(oid("1.2.840.113549.1.9.7")) && !list.wants(oid("1.2.840.113549.1.9.8")));
    // RFC 9908 §3.2: its extensionRequest is not one, as it holds no extensions.
    assert!(matches!(list.extension_request(), Err(CsrAttrsError::Extension(ExtensionError::List(_)))));
}

/// The examples from the drafts of RFC 9908.
#[test]
fn examples_of_rfc_9908_are_read_and_made_byte_for_byte() {
    let rsa = "MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw==";
    let made = CsrAttrs(vec![
        AttrOrOid::CHALLENGE_PASSWORD,
        AttrOrOid::key(KeyType::Rsa { bits: 4096 }),
        AttrOrOid::signature(SignatureAlgorithm::RsaPkcs1Sha256),
    ]);
    assert_eq!(read(rsa), made);
    // As in RFC 7030, with several types.
    let several = "MFQGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjMCkGCSqGSIb3DQEJDjEcBgNVBAUGCSqGSIb3DQEJFAYK\
                   CZImiZPyLGQBBQYIKoZIzj0EAwQ=";
    let types = ["0.9.2342.19200300.100.1.5", "2.5.4.5", "1.2.840.113549.1.9.20"].map(oid);
    let made = CsrAttrs(vec![
        AttrOrOid::CHALLENGE_PASSWORD,
        AttrOrOid::key(KeyType::Ecdsa(Curve::P521)),
        AttrOrOid::extension_request_types(&types),
        AttrOrOid::signature(SignatureAlgorithm::EcdsaSha512),
    ]);
    assert_eq!(read(several), made);
    let acp = "MGowaAYJKoZIhvcNAQkOMVswWTBXBgNVHREBAf8ETTBLoEkwRwYIKwYBBQUHCAqgOxY5cmZjODk5NCtmZDczOWZjMjNjMzQ0MDEx\
               MjIzMzQ0NTUwMDAwMDAwMCtAYWNwLmV4YW1wbGUuY29t";
    let extensions = read(acp).extension_request().unwrap().unwrap();
    assert_eq!(extensions.len(), 1);
    assert!(extensions[0].critical && extensions[0].oid == SubjectAltName::OID);
    assert_eq!(CsrAttrs(vec![AttrOrOid::extension_request(&extensions)]), read(acp));
}

#[test]
fn an_empty_list_wants_nothing() {
    let empty = read("MAA=");
    assert_eq!(empty, CsrAttrs::default());
    assert_eq!((empty.extension_request(), empty.template()), (Ok(None), Ok(None)));
}

#[test]
fn parts_that_appear_twice_or_without_one_value_are_refused_when_they_are_asked_for() {
    let extension = Extension { oid: SubjectAltName::OID, critical: false, value: vec![0x30, 0] };
    let request = AttrOrOid::extension_request(&[extension]);
    let template = AttrOrOid::template(&CertificationRequestInfoTemplate::default());
    let name = "certificationRequestInfoTemplate";
    let list = CsrAttrs(vec![request.clone(), template.clone(), request, template]);
    assert_eq!(list.extension_request(), Err(CsrAttrsError::Duplicate("extensionRequest")));
    assert_eq!(list.template(), Err(CsrAttrsError::Duplicate(name)));
    for values in [vec![], vec![vec![5, 0], vec![5, 0]]] {
        let attribute = Attribute { oid: CertificationRequestInfoTemplate::OID, values };
        let list = CsrAttrs(vec![AttrOrOid::Attribute(attribute)]);
        assert_eq!(list.template(), Err(CsrAttrsError::NotOneValue(name)));
    }
}

#[test]
fn templates_that_break_a_rule_are_refused_with_their_reason() {
    let refusal = |write: &dyn Fn(&mut pki::der_io::Writer)| {
        let der = encode(|writer| writer.sequence(write));
        match CertificationRequestInfoTemplate::from_der(&der).expect_err("a template that must be refused") {
            CsrAttrsError::Malformed(error) => error,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refusal(&|template| template.small_unsigned(1)), DerError::Version);
    // RFC 9908 §3.4: the attributes are always there.
    assert_eq!(refusal(&|template| template.small_unsigned(0)), DerError::Truncated);
    let with_subject = |rdn: &[u8]| {
        refusal(&|template| {
            template.small_unsigned(0);
            template.sequence(|names| names.raw(rdn));
            template.raw(&[0xa1, 0]);
        })
    };
    assert_eq!(with_subject(&[0x31, 0]), DerError::EmptyList);
    assert_eq!(with_subject(&[0x30, 0]), DerError::UnexpectedTag { expected: 0x31, found: 0x30 });
    let with_key = |info: &[u8]| {
        refusal(&|template| {
            template.small_unsigned(0);
            template.primitive(0xa0, info);
            template.raw(&[0xa1, 0]);
        })
    };
    assert_eq!(with_key(&[]), DerError::Truncated);
    assert_eq!(with_key(&[0x30, 0, 3, 2, 1, 0]), DerError::BitString);

    let extension = ExtensionTemplate { oid: SubjectAltName::OID, critical: false, value: None };
    let both = CertificationRequestInfoTemplate::default()
        .with_extensions(std::slice::from_ref(&extension))
        .with_extensions(&[ExtensionTemplate { value: Some(vec![0x30, 0]), ..extension.clone() }]);
    assert!(matches!(both.extensions(), Err(CsrAttrsError::Duplicate(_))));
    for value in [&[0x30, 0][..], &[0x30, 10, 0x30, 8, 6, 3, 0x55, 0x1d, 0x11, 1, 1, 0]] {
        let attribute = Attribute::new(oid(EXTENSION_REQUEST_TEMPLATE), vec![value.to_vec()]);
        let template = CertificationRequestInfoTemplate { attributes: vec![attribute], ..Default::default() };
        assert!(matches!(template.extensions(), Err(CsrAttrsError::Malformed(_))));
    }
}

#[test]
fn extensions_of_a_template_take_the_plain_form_where_all_values_are_given() {
    let names = SubjectAltName(vec![GeneralName::Dns("host.example".into())]).to_extension();
    let given = ExtensionTemplate::from(names.clone());
    let open = ExtensionTemplate { oid: SubjectAltName::OID, critical: true, value: None };
    for (extensions, attribute) in [
        (vec![given.clone()], EXTENSION_REQUEST),
        (vec![open.clone()], EXTENSION_REQUEST_TEMPLATE),
        (vec![open, given], EXTENSION_REQUEST_TEMPLATE),
    ] {
        let template = CertificationRequestInfoTemplate::default().with_extensions(&extensions);
        assert_eq!(template.attributes[0].oid, oid(attribute));
        let list = CsrAttrs(vec![AttrOrOid::template(&template)]);
        let read = CsrAttrs::from_der(&list.to_der()).unwrap().template().unwrap().unwrap();
        assert_eq!(read.extensions(), Ok(extensions));
    }
}

#[test]
fn a_template_says_how_large_an_rsa_key_is_by_one_that_is_as_large() {
    for bits in [2048, 2049, 3072, 4095] {
        let template = SubjectPublicKeyInfoTemplate::new(KeyType::Rsa { bits });
        let spki = encode(|writer| {
            writer.sequence(|info| {
                info.raw(&template.algorithm);
                info.bit_string(template.public_key.as_deref().unwrap());
            });
        });
        assert_eq!(PublicKey::from_spki_der(&spki).unwrap().key_type(), KeyType::Rsa { bits });
    }
    assert_eq!(SubjectPublicKeyInfoTemplate::new(KeyType::Ed25519).public_key, None);
    assert_eq!(SubjectPublicKeyInfoTemplate::new(KeyType::Ecdsa(Curve::P256)).public_key, None);
}

fn identifier() -> impl Strategy<Value = ObjectIdentifier> {
    vec(0u32..0x0fff_ffff, 1..6)
        .prop_map(|arcs| arcs.iter().fold("1.3".to_owned(), |text, arc| format!("{text}.{arc}")))
        .prop_filter_map("too long", |text| pki::oid::parse(&text).ok())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    (select(vec![tag::UTF8_STRING, tag::INTEGER, tag::OCTET_STRING]), vec(any::<u8>(), 0..200))
        .prop_map(|(tag, contents)| encode(|writer| writer.primitive(tag, &contents)))
}

fn attribute() -> impl Strategy<Value = Attribute> {
    (identifier(), vec(value(), 0..4)).prop_map(|(oid, values)| Attribute::new(oid, values))
}

fn member() -> impl Strategy<Value = AttrOrOid> {
    prop_oneof![identifier().prop_map(AttrOrOid::Oid), attribute().prop_map(AttrOrOid::Attribute)]
}

fn template() -> impl Strategy<Value = CertificationRequestInfoTemplate> {
    let single =
        (identifier(), option::of(value())).prop_map(|(oid, value)| SingleAttributeTemplate { oid, value });
    let subject = option::of(vec(vec(single, 1..3), 0..4));
    let key_types = [KeyType::Ed25519, KeyType::Ecdsa(Curve::P256), KeyType::Rsa { bits: 3072 }];
    let key = option::of(select(key_types.to_vec()).prop_map(SubjectPublicKeyInfoTemplate::new));
    (subject, key, vec(attribute(), 0..3))
        .prop_map(|(subject, key, attributes)| CertificationRequestInfoTemplate { subject, key, attributes })
}

proptest! {
    #[test]
    fn what_is_made_is_read_the_same(members in vec(member(), 0..8), template in template()) {
        let list = CsrAttrs(members);
        prop_assert_eq!(CsrAttrs::from_der(&list.to_der()), Ok(list));
        prop_assert_eq!(CertificationRequestInfoTemplate::from_der(&template.to_der()), Ok(template));
    }

    #[test]
    fn what_is_read_is_written_byte_for_byte(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let extension = ExtensionTemplate { oid: SubjectAltName::OID, critical: true, value: None };
        let template = CertificationRequestInfoTemplate {
            subject: Some(vec![vec![SingleAttributeTemplate { oid: oid("2.5.4.3"), value: None }]]),
            key: Some(SubjectPublicKeyInfoTemplate::new(KeyType::Ecdsa(Curve::P256))),
            attributes: Vec::new(),
        };
        let template = template.with_extensions(&[extension]);
        let mut list = CsrAttrs::from_der(&STANDARD.decode(RFC_7030).unwrap()).unwrap();
        list.0.push(AttrOrOid::template(&template));
        let mut der = list.to_der();
        let at = at.index(der.len());
        der[at] ^= 1 << bit;
        if let Ok(read) = CsrAttrs::from_der(&der) {
            prop_assert_eq!(read.to_der(), der);
            if let Ok(Some(template)) = read.template() {
                let again = CertificationRequestInfoTemplate::from_der(&template.to_der());
                prop_assert_eq!(again, Ok(template));
            }
        }
    }
}
