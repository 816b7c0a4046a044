//! Extensions: refusals of each, and values that OpenSSL wrote.

use std::fmt::Debug;

use pki::{
    ObjectIdentifier,
    der_io::{DerError, encode, parse_all, tag},
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
        CrlDistributionPoints, CrlNumber, ExtendedKeyUsage, Extension, ExtensionError, GeneralSubtree,
        InvalidityDate, KeyUsage, KeyUsageBit, NameConstraints, NoCheck, ReasonCode, SubjectAltName,
        SubjectKeyIdentifier, TypedExtension, eku_name, eku_oid, extensions_from_der, read_extensions,
        write_extensions,
    },
    general_name::{GeneralName, GeneralNameError},
    name::Name,
    time::Time,
};

use crate::support::{common_name, recorded};

fn certificate(name: &str) -> pki::certificate::Certificate {
    pki::certificate::Certificate::from_der(&recorded(name)).unwrap()
}

fn find<T: TypedExtension>(name: &str) -> T {
    T::find(certificate(name).extensions()).unwrap().unwrap()
}

fn malformed<T: TypedExtension + Debug>(value: &[u8]) {
    let error = T::from_value(value).expect_err("a value that must be refused");
    assert!(matches!(error, ExtensionError::Malformed { name, .. } if name == T::NAME), "{error:?}");
}

fn unsupported<T: TypedExtension + Debug>(value: &[u8]) {
    let error = T::from_value(value).expect_err("a value that must be refused");
    assert!(matches!(error, ExtensionError::Unsupported { name, .. } if name == T::NAME), "{error:?}");
}

fn round_trip<T: TypedExtension + Debug + PartialEq>(value: &T) {
    let extension = value.to_extension();
    assert_eq!(T::from_extension(&extension).as_ref(), Ok(value));
    assert_eq!(extension.critical, T::CRITICAL);
}

#[test]
fn malformed_values_are_refused_by_name() {
    malformed::<KeyUsage>(&[3, 1, 8]);
    malformed::<KeyUsage>(&[3, 2, 1, 1]);
    malformed::<KeyUsage>(&[3, 2, 5, 0xa0, 0]);
    malformed::<ExtendedKeyUsage>(&[0x30, 0]);
    malformed::<ExtendedKeyUsage>(&[0x30, 2, 5, 0]);
    malformed::<BasicConstraints>(&[0x30, 3, 1, 1, 1]);
    malformed::<BasicConstraints>(&[0x30, 6, 1, 1, 0xff, 2, 1, 0xff]);
    malformed::<SubjectAltName>(&[0x30, 0]);
    malformed::<SubjectKeyIdentifier>(&[4, 1]);
    malformed::<AuthorityKeyIdentifier>(&[0x30, 2, 5, 0]);
    malformed::<AuthorityKeyIdentifier>(&[0x30, 3, 0x82, 1, 1]);
    malformed::<CrlDistributionPoints>(&[0x30, 0]);
    malformed::<CrlDistributionPoints>(&[0x30, 2, 5, 0]);
    malformed::<AuthorityInfoAccess>(&[0x30, 0]);
    malformed::<AuthorityInfoAccess>(&[0x30, 2, 0x30, 0]);
    malformed::<NameConstraints>(&[0x30, 0]);
    malformed::<NameConstraints>(&[0x30, 2, 0xa0, 0]);
    malformed::<CertificatePolicies>(&[0x30, 0]);
    malformed::<CertificatePolicies>(&[0x30, 2, 0x30, 0]);
    malformed::<CrlNumber>(&[2, 1, 0xff]);
    malformed::<CrlNumber>(&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    malformed::<ReasonCode>(&[2, 1, 1]);
    malformed::<NoCheck>(&[5, 1, 0]);
    let not_generalized = InvalidityDate::from_value(b"\x17\x0d260101000000Z");
    assert!(matches!(not_generalized, Err(ExtensionError::Time { name: "invalidityDate", .. })));
}

#[test]
fn values_with_a_meaning_that_is_not_kept_are_refused() {
    unsupported::<KeyUsage>(&[3, 3, 6, 0, 0x40]);
    unsupported::<BasicConstraints>(&[0x30, 3, 2, 1, 0]);
    unsupported::<BasicConstraints>(&[0x30, 7, 1, 1, 0xff, 2, 2, 1, 0]);
    unsupported::<ReasonCode>(&[0x0a, 1, 7]);
    unsupported::<ReasonCode>(&[0x0a, 1, 11]);
    let indirect = certificate("certificate_indirect_crl");
    let points = CrlDistributionPoints::find(indirect.extensions());
    assert!(matches!(points, Err(ExtensionError::Unsupported { .. })), "{points:?}");
}

#[test]
fn constraints_on_names_that_cannot_be_checked_are_refused() {
    let permitted = |base: &[u8]| {
        encode(|writer| {
            writer.sequence(|constraints| {
                constraints.nested(tag::context_constructed(0), |list| list.primitive(tag::SEQUENCE, base));
            });
        })
    };
    let gaps = [&[0x87, 8][..], &[10, 0, 0, 0], &[255, 0, 255, 0]].concat();
    for base in [&gaps[..], &[0x87, 4, 10, 0, 0, 0], &[0x82, 1, b'a', 0x80, 1, 1], &[0x88, 2, 0x2a, 3]] {
        let refused = NameConstraints::from_value(&permitted(base));
        assert!(
            matches!(refused, Err(ExtensionError::GeneralName { name: "nameConstraints", .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn an_unsupported_alternative_name_is_refused_by_its_kind() {
    let error = SubjectAltName::from_value(&[0x30, 2, 0xa5, 0]).unwrap_err();
    let source = GeneralNameError::Unsupported("ediPartyName");
    assert_eq!(error, ExtensionError::GeneralName { name: "subjectAltName", source });
}

#[test]
fn two_extensions_of_one_type_and_an_empty_list_are_refused() {
    let list = |extensions: &[Extension]| encode(|writer| write_extensions(writer, extensions));
    let one = NoCheck.to_extension();
    let duplicate = ExtensionError::Duplicate(one.oid);
    assert_eq!(extensions_from_der(&list(&[one.clone(), one.clone()])), Err(duplicate.clone()));
    let apart = [one.clone(), CrlNumber(1).to_extension(), one.clone().with_critical(true)];
    assert_eq!(extensions_from_der(&list(&apart)), Err(duplicate));
    assert_eq!(extensions_from_der(&list(&[])), Err(ExtensionError::EmptyList));
    let contents = parse_all(&[], read_extensions);
    assert_eq!(contents, Ok(Vec::new()), "whether an empty list is an error depends on where it stands");
    assert_eq!(
        extensions_from_der(&[5, 0]).unwrap_err(),
        ExtensionError::List(DerError::UnexpectedTag { expected: tag::SEQUENCE, found: tag::NULL })
    );
}

#[test]
fn critical_false_written_out_is_tolerated_and_not_written_again() {
    let oid = NoCheck::OID;
    let with_false = encode(|writer| {
        writer.sequence(|list| {
            list.sequence(|extension| {
                extension.oid(&oid);
                extension.boolean(false);
                extension.octet_string(&[5, 0]);
            });
        });
    });
    let read = extensions_from_der(&with_false).unwrap();
    assert_eq!(read, [NoCheck.to_extension()]);
    assert_eq!(encode(|writer| write_extensions(writer, &read)).len(), with_false.len() - 3);
}

#[test]
fn the_wrong_extension_is_not_taken_for_another() {
    let error = KeyUsage::from_extension(&NoCheck.to_extension()).unwrap_err();
    assert_eq!(error, ExtensionError::WrongType { name: "keyUsage", found: NoCheck::OID });
    assert_eq!(KeyUsage::find(&[NoCheck.to_extension()]), Ok(None));
}

#[test]
fn values_read_back_as_they_were_written() {
    round_trip(&SubjectAltName(vec![GeneralName::Dns("a".to_owned())]));
    round_trip(&KeyUsage::empty());
    for bit in KeyUsageBit::ALL {
        round_trip(&KeyUsage::empty().with(bit));
    }
    round_trip(&KeyUsage::from_iter(KeyUsageBit::ALL));
    round_trip(&ExtendedKeyUsage(vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::ANY]));
    round_trip(&BasicConstraints { ca: false, path_length: None });
    round_trip(&BasicConstraints { ca: true, path_length: None });
    round_trip(&BasicConstraints { ca: true, path_length: Some(0) });
    round_trip(&BasicConstraints { ca: true, path_length: Some(255) });
    round_trip(&SubjectKeyIdentifier(vec![1; 20]));
    round_trip(&AuthorityKeyIdentifier(None));
    round_trip(&AuthorityKeyIdentifier(Some(vec![2; 20])));
    round_trip(&CrlDistributionPoints(vec!["http://a/1".to_owned(), "http://b/2".to_owned()]));
    round_trip(&AuthorityInfoAccess {
        ca_issuers: vec!["http://a".to_owned()],
        ocsp: vec!["http://b".to_owned()],
    });
    round_trip(&CertificatePolicies(vec![ObjectIdentifier::new_unwrap("1.2.3.4")]));
    round_trip(&CrlNumber(u64::MAX));
    round_trip(&InvalidityDate(Time::from_unix(0)));
    round_trip(&NoCheck);
    ReasonCode::ALL.iter().for_each(round_trip);
    round_trip(&NameConstraints {
        permitted: vec![
            GeneralSubtree::Dns(String::new()),
            GeneralSubtree::Ip { address: [10, 0, 0, 0].into(), prefix_length: 0 },
            GeneralSubtree::Ip { address: [10, 0, 0, 1].into(), prefix_length: 32 },
            GeneralSubtree::Ip { address: "2001:db8::".parse().unwrap(), prefix_length: 33 },
            GeneralSubtree::Ip { address: "::".parse().unwrap(), prefix_length: 0 },
            GeneralSubtree::Ip { address: "::1".parse().unwrap(), prefix_length: 128 },
        ],
        excluded: vec![GeneralSubtree::DirectoryName(common_name("x"))],
    });
}

#[test]
fn key_usages_are_written_as_openssl_writes_them() {
    let bits = |text: &str| text.parse::<KeyUsage>().unwrap().to_value();
    assert_eq!(bits("digitalSignature, keyEncipherment"), [3, 2, 5, 0xa0]);
    assert_eq!(bits("keyCertSign,cRLSign"), [3, 2, 1, 6]);
    assert_eq!(bits("decipherOnly"), [3, 3, 7, 0, 0x80]);
    assert_eq!(bits("encipherOnly"), [3, 2, 0, 1]);
    assert_eq!(bits(""), [3, 1, 0]);
    assert_eq!(find::<KeyUsage>("certificate_root").to_value(), bits("keyCertSign,cRLSign"));
}

#[test]
fn key_usages_have_the_names_of_rfc_5280() {
    let all = KeyUsage::from_iter(KeyUsageBit::ALL);
    assert_eq!(
        all.to_string(),
        "digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign, \
         encipherOnly, decipherOnly"
    );
    assert_eq!(all.to_string().parse(), Ok(all));
    assert_eq!("contentCommitment".parse(), Ok(KeyUsageBit::NonRepudiation));
    for bit in KeyUsageBit::ALL {
        assert_eq!(serde_json::to_string(&bit).unwrap(), format!("{:?}", bit.as_str()));
        assert_eq!(serde_json::from_str::<KeyUsageBit>(&format!("{:?}", bit.as_str())).unwrap(), bit);
    }
    let two: KeyUsage = serde_json::from_str("[\"contentCommitment\",\"cRLSign\"]").unwrap();
    assert_eq!(two.to_string(), "nonRepudiation, cRLSign");
    assert_eq!(all.difference(two).intersection(two), KeyUsage::empty());
    assert!("DigitalSignature".parse::<KeyUsageBit>().is_err());
}

#[test]
fn purposes_have_names_in_both_directions() {
    for name in ["serverAuth", "clientAuth", "codeSigning", "emailProtection", "timeStamping", "OCSPSigning"]
    {
        assert_eq!(eku_name(&eku_oid(name).unwrap()), Some(name));
    }
    assert_eq!(eku_oid("1.3.6.1.5.5.7.3.1"), Some(ExtendedKeyUsage::SERVER_AUTH));
    assert_eq!(eku_oid("serverauthentication"), None);
    assert_eq!(eku_name(&ObjectIdentifier::new_unwrap("1.2.3.4")), None);
}

#[test]
fn revocation_reasons_have_the_names_of_rfc_5280() {
    for reason in ReasonCode::ALL {
        assert_eq!(reason.to_string().parse(), Ok(reason));
        assert_eq!(ReasonCode::from_code(reason.code().into()), Some(reason));
        assert_eq!(serde_json::to_string(&reason).unwrap(), format!("{:?}", reason.as_str()));
        assert_eq!(serde_json::from_str::<ReasonCode>(&format!("{:?}", reason.as_str())).unwrap(), reason);
    }
    assert_eq!("keycompromise".parse(), Ok(ReasonCode::KeyCompromise));
    assert!("because".parse::<ReasonCode>().is_err());
    assert_eq!(ReasonCode::from_code(7), None);
}

#[test]
fn what_openssl_wrote_into_a_root_is_read() {
    let constraints: BasicConstraints = find("certificate_root");
    assert_eq!(constraints, BasicConstraints { ca: true, path_length: Some(1) });
    let names: NameConstraints = find("certificate_root");
    let network = GeneralSubtree::Ip { address: [192, 0, 2, 0].into(), prefix_length: 24 };
    let permitted =
        [GeneralSubtree::Dns("example".to_owned()), network, GeneralSubtree::Uri(".example".to_owned())];
    assert_eq!(names.permitted, permitted);
    let [GeneralSubtree::Email(email), GeneralSubtree::DirectoryName(directory)] = &names.excluded[..] else {
        panic!("{names:?}");
    };
    assert_eq!((email.as_str(), directory.to_string().as_str()), (".bad.example", "O=Directory Inc"));
    let extension = certificate("certificate_root").extension(NameConstraints::OID).unwrap().clone();
    assert_eq!(names.to_extension(), extension, "written as OpenSSL wrote it");
}

#[test]
fn what_openssl_wrote_into_a_leaf_is_read() {
    let points: CrlDistributionPoints = find("certificate_leaf");
    assert_eq!(points.0, ["http://pki.example/ca.crl", "http://backup.example/ca.crl"]);
    let access: AuthorityInfoAccess = find("certificate_leaf");
    assert_eq!(access.ca_issuers, ["http://pki.example/ca.cer"]);
    assert_eq!(access.ocsp, ["http://pki.example/ocsp"]);
    let NoCheck = find("certificate_leaf");
    let leaf = certificate("certificate_leaf");
    let root = certificate("certificate_root");
    let issuer_key = leaf.authority_key_identifier().unwrap().unwrap().0.unwrap();
    assert_eq!(root.subject_key_identifier().unwrap().unwrap().0, issuer_key);
    // The root's own carries issuer and serial number as well, which are read over.
    assert_eq!(root.authority_key_identifier().unwrap().unwrap().0, Some(issuer_key));
    for extension in leaf.extensions() {
        let written = match extension.oid {
            SubjectAltName::OID => find::<SubjectAltName>("certificate_leaf").to_value(),
            CrlDistributionPoints::OID => points.to_value(),
            KeyUsage::OID => find::<KeyUsage>("certificate_leaf").to_value(),
            ExtendedKeyUsage::OID => find::<ExtendedKeyUsage>("certificate_leaf").to_value(),
            BasicConstraints::OID => find::<BasicConstraints>("certificate_leaf").to_value(),
            AuthorityKeyIdentifier::OID => find::<AuthorityKeyIdentifier>("certificate_leaf").to_value(),
            _ => continue,
        };
        assert_eq!(written, extension.value, "{}", extension.oid);
    }
}

#[test]
fn the_alternative_name_is_critical_only_where_the_subject_is_empty() {
    let names = SubjectAltName(vec![GeneralName::Dns("a".to_owned())]);
    assert!(names.to_extension_for(&Name::empty()).critical);
    assert!(!names.to_extension_for(&common_name("a")).critical);
}
