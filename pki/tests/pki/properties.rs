//! Properties of every parser: it never panics, on anything and on almost valid bytes; what it accepts, it writes back.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, sample::select};

use pki::{
    ObjectIdentifier,
    algorithm::SignatureAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
    cms::{
        self,
        enveloped::{DecryptionKey, EnvelopedData, SymmetricKey},
    },
    crl,
    csr::UnverifiedCsr,
    csrattrs::{CertificationRequestInfoTemplate, CsrAttrs},
    der_io::{check_well_formed, encode, oid_value, parse_all},
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
        CrlDistributionPoints, CrlNumber, ExtendedKeyUsage, Extension, GeneralSubtree, InvalidityDate,
        KeyUsage, KeyUsageBit, NameConstraints, NoCheck, ReasonCode, SubjectAltName, SubjectKeyIdentifier,
        TypedExtension, extensions_from_der, write_extensions,
    },
    general_name::{GeneralName, general_names_from_der, is_valid_dns_name, is_valid_email, is_valid_uri},
    key::PublicKey,
    key_package::{asymmetric_keys, private_key_info},
    name::{Attribute, AttributeType, Name},
    oid, pem,
    serial::SerialNumber,
    time::Time,
};

use crate::support::{all_recorded, recorded};

/// Every parser on the same bytes; what comes out is shown and asked for everything.
fn parse_with_everything(bytes: &[u8]) {
    if let Ok(unverified) = UnverifiedCsr::from_der(bytes) {
        let _ = unverified.verify().map(|csr| format!("{csr:?} {:?}", csr.challenge_password()));
    }
    if let Ok(certificate) = Certificate::from_der(bytes) {
        let _ = format!("{certificate:?} {:?}", certificate.signature_algorithm());
        let _ = certificate.verify_signed_by(certificate.public_key());
        read_extensions_of(certificate.extensions());
    }
    if let Ok(list) = crl::CertificateList::from_der(bytes) {
        let _ = format!("{list:?} {}", list.entries().count());
        read_extensions_of(list.extensions());
    }
    let _ = cms::certs_only_certificates(bytes);
    if let Ok(message) = EnvelopedData::from_der(bytes) {
        assert_eq!(message.to_der(), bytes);
        let key = SymmetricKey::new(*b"device-7", vec![0x5a; 16].into()).unwrap();
        let _ = message.decrypt(&DecryptionKey::symmetric(key));
    }
    if let Ok(list) = CsrAttrs::from_der(bytes) {
        assert_eq!(list.to_der(), bytes);
        let _ = (list.extension_request(), list.template());
    }
    let _ = CertificationRequestInfoTemplate::from_der(bytes).map(|template| template.extensions());
    let _ = asymmetric_keys(bytes).map(|keys| keys.len());
    let _ = private_key_info(bytes).map(|info| info.len());
    let _ = Name::from_der(bytes).map(|name| name.to_string());
    let _ = GeneralName::from_der(bytes).map(|name| name.to_string());
    let _ = general_names_from_der(bytes);
    let _ = PublicKey::from_spki_der(bytes).map(|key| format!("{key:?}"));
    let _ = SignatureAlgorithm::from_identifier_der(bytes);
    let _ = extensions_from_der(bytes).map(|extensions| read_extensions_of(&extensions));
    let _ = oid_value(bytes).map(|oid| format!("{oid} {}", AttributeType::from_oid(oid)));
    let _ = check_well_formed(bytes, 8);
    let _ = parse_all(bytes, Time::read).map(|time| time.to_string());
    let _ = parse_all(bytes, SerialNumber::read).map(|serial| serial.to_string());
    let _ = SerialNumber::from_der_integer(bytes);
    let _ = pem::decode_all(bytes).map(|blocks| format!("{blocks:?}"));
}

/// Every extension type on every value, whatever its identifier.
fn read_extensions_of(extensions: &[Extension]) {
    for Extension { value, .. } in extensions {
        let _ = SubjectAltName::from_value(value);
        let _ = NameConstraints::from_value(value);
        let _ = KeyUsage::from_value(value);
        let _ = ExtendedKeyUsage::from_value(value);
        let _ = BasicConstraints::from_value(value);
        let _ = CertificatePolicies::from_value(value);
        let _ = SubjectKeyIdentifier::from_value(value);
        let _ = AuthorityKeyIdentifier::from_value(value);
        let _ = CrlDistributionPoints::from_value(value);
        let _ = AuthorityInfoAccess::from_value(value);
        let _ = CrlNumber::from_value(value);
        let _ = ReasonCode::from_value(value);
        let _ = InvalidityDate::from_value(value);
        let _ = NoCheck::from_value(value);
    }
}

fn any_recorded() -> impl Strategy<Value = Vec<u8>> {
    select(all_recorded("").into_iter().map(|(_, der)| der).collect::<Vec<_>>())
}

fn oid() -> impl Strategy<Value = ObjectIdentifier> {
    let arcs = (0..3u32, 0..40u32, vec(0..0x1000_0000u32, 2..6));
    arcs.prop_filter_map("what const-oid can hold", |(first, second, rest)| {
        let dotted: Vec<String> =
            [first, second].into_iter().chain(rest).map(|arc| arc.to_string()).collect();
        oid::parse(&dotted.join(".")).ok()
    })
}

fn text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,40}"
}

fn ascii() -> impl Strategy<Value = String> {
    "[!-~]{0,40}"
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        (select(vec!["CN", "O", "OU", "L", "ST", "STREET", "UID", "title"]), text()),
        (select(vec!["serialNumber", "dnQualifier"]), "[A-Za-z0-9 '()+,./:=?-]{1,40}".boxed()),
        (select(vec!["DC", "emailAddress"]), "[ -~]{1,40}".boxed()),
        (Just("C"), "[A-Za-z]{2}".boxed()),
    ]
    .prop_map(|(kind, value)| Attribute { kind: kind.parse().unwrap(), value })
}

fn name() -> impl Strategy<Value = Name> {
    vec(attribute(), 0..6).prop_map(|attributes| Name::from_attributes(&attributes).unwrap())
}

fn general_name() -> impl Strategy<Value = GeneralName> {
    prop_oneof![
        ascii().prop_map(GeneralName::Dns),
        ascii().prop_map(GeneralName::Uri),
        ascii().prop_map(GeneralName::Email),
        any::<IpAddr>().prop_map(GeneralName::Ip),
        oid().prop_map(GeneralName::RegisteredId),
        name().prop_map(GeneralName::DirectoryName),
        (oid(), text()).prop_map(|(oid, text)| GeneralName::other_name_from_utf8(oid, &text)),
    ]
}

fn subtree() -> impl Strategy<Value = GeneralSubtree> {
    prop_oneof![
        ascii().prop_map(GeneralSubtree::Dns),
        ascii().prop_map(GeneralSubtree::Email),
        ascii().prop_map(GeneralSubtree::Uri),
        name().prop_map(GeneralSubtree::DirectoryName),
        (any::<[u8; 4]>(), 0..=32u8).prop_map(|(address, prefix_length)| GeneralSubtree::Ip {
            address: address.into(),
            prefix_length
        }),
        (any::<[u8; 16]>(), 0..=128u8).prop_map(|(address, prefix_length)| GeneralSubtree::Ip {
            address: address.into(),
            prefix_length
        }),
    ]
}

fn serial() -> impl Strategy<Value = SerialNumber> {
    vec(any::<u8>(), 1..=19)
        .prop_filter_map("a positive number", |bytes| SerialNumber::from_be_bytes(&bytes).ok())
}

/// Years 0000 to 9999.
fn time() -> impl Strategy<Value = Time> {
    (-62_167_219_200..=253_402_300_799i64).prop_map(Time::from_unix)
}

/// Distinct object identifiers, as one list needs them.
fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let extension = (oid(), any::<bool>(), vec(any::<u8>(), 0..200));
    vec(extension, 0..8).prop_map(|list| {
        let mut seen = std::collections::BTreeSet::new();
        let distinct = list.into_iter().filter(|(oid, _, _)| seen.insert(*oid));
        distinct.map(|(oid, critical, value)| Extension { oid, critical, value }).collect()
    })
}

fn reason() -> impl Strategy<Value = Option<ReasonCode>> {
    let written = ReasonCode::ALL.into_iter().filter(|reason| *reason != ReasonCode::Unspecified);
    proptest::option::of(select(written.collect::<Vec<_>>()))
}

fn assert_round_trip<T: TypedExtension + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::from_extension(&value.to_extension()).as_ref(), Ok(value));
}

proptest! {
    #[test]
    fn no_parser_panics_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..300)) {
        parse_with_everything(&bytes);
    }

    #[test]
    fn no_parser_panics_on_recorded_bytes_with_octets_changed(
        mut bytes in any_recorded(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (index, octet) in changes {
            let at = index.index(bytes.len());
            bytes[at] = octet;
        }
        parse_with_everything(&bytes);
    }

    #[test]
    fn no_parser_panics_on_recorded_bytes_cut_and_joined(
        one in any_recorded(),
        other in any_recorded(),
        cut in any::<prop::sample::Index>(),
        join in any::<prop::sample::Index>(),
    ) {
        let bytes = [&one[..cut.index(one.len())], &other[join.index(other.len())..]].concat();
        parse_with_everything(&bytes);
    }

    #[test]
    fn no_text_check_panics(text in any::<String>()) {
        let _ = (is_valid_dns_name(&text, true), is_valid_email(&text), is_valid_uri(&text));
        let _ = (text.parse::<SerialNumber>(), text.parse::<AttributeType>(), text.parse::<KeyUsage>());
        let _ = oid::parse(&text);
        let _ = pem::decode_all(text.as_bytes());
    }

    #[test]
    fn names_round_trip(attributes in vec(attribute(), 0..8)) {
        let name = Name::from_attributes(&attributes).unwrap();
        let read = Name::from_der(name.der()).unwrap();
        prop_assert_eq!(read.attributes().cloned().collect::<Vec<_>>(), attributes);
        prop_assert_eq!(read, name);
    }

    #[test]
    fn general_names_round_trip(names in vec(general_name(), 1..10)) {
        assert_round_trip(&SubjectAltName(names));
    }

    #[test]
    fn extensions_round_trip(
        permitted in vec(subtree(), 1..5),
        excluded in vec(subtree(), 0..5),
        bits in proptest::sample::subsequence(KeyUsageBit::ALL.to_vec(), 0..=9),
        oids in vec(oid(), 1..6),
        path_length in any::<Option<u8>>(),
        octets in vec(any::<u8>(), 0..40),
        uris in vec(ascii(), 1..4),
        time in time(),
        number in any::<u64>(),
    ) {
        assert_round_trip(&NameConstraints { permitted, excluded });
        assert_round_trip(&KeyUsage::from(bits));
        assert_round_trip(&ExtendedKeyUsage(oids.clone()));
        assert_round_trip(&CertificatePolicies(oids));
        assert_round_trip(&BasicConstraints { ca: true, path_length });
        assert_round_trip(&SubjectKeyIdentifier(octets.clone()));
        assert_round_trip(&AuthorityKeyIdentifier(Some(octets)));
        assert_round_trip(&CrlDistributionPoints(uris.clone()));
        assert_round_trip(&AuthorityInfoAccess { ca_issuers: uris.clone(), ocsp: uris });
        assert_round_trip(&InvalidityDate(time));
        assert_round_trip(&CrlNumber(number));
    }

    #[test]
    fn extension_lists_round_trip(extensions in extensions().prop_filter("not empty", |list| !list.is_empty())) {
        let der = encode(|writer| write_extensions(writer, &extensions));
        prop_assert_eq!(extensions_from_der(&der), Ok(extensions));
    }

    #[test]
    fn certificates_round_trip(
        serial in serial(), issuer in name(), subject in name(), not_before in time(), not_after in time(),
        extensions in extensions(), algorithm in select(SignatureAlgorithm::ALL.to_vec()),
        signature in vec(any::<u8>(), 0..100),
    ) {
        let public_key = PublicKey::from_spki_der(&recorded("spki_p256")).unwrap();
        let tbs = TbsCertificate {
            serial: &serial, signature_algorithm: algorithm, issuer: &issuer, not_before, not_after,
            subject: &subject, public_key: &public_key, extensions: &extensions,
        };
        let tbs_der = tbs.to_der();
        let read = Certificate::from_der(&assemble(&tbs_der, algorithm, &signature)).unwrap();
        prop_assert_eq!(read.tbs_der(), tbs_der);
        prop_assert_eq!(read.serial(), &serial);
        prop_assert_eq!(read.issuer(), &issuer);
        prop_assert_eq!(read.subject(), &subject);
        prop_assert_eq!((read.not_before(), read.not_after()), (not_before, not_after));
        prop_assert_eq!(read.public_key(), &public_key);
        prop_assert_eq!(read.extensions(), extensions);
        prop_assert_eq!(read.signature_algorithm(), Ok(algorithm));
        prop_assert_eq!(read.signature(), signature);
    }

    #[test]
    fn revocation_lists_round_trip(
        issuer in name(), this_update in time(), next_update in time(), number in any::<u64>(),
        authority_key_identifier in any::<[u8; 20]>(),
        rows in vec((serial(), time(), reason(), proptest::option::of(time())), 0..20),
    ) {
        let list = crl::TbsCertList {
            signature_algorithm: SignatureAlgorithm::Ed25519, issuer: &issuer, this_update, next_update, number,
            authority_key_identifier,
        };
        let entries: Vec<crl::RevokedEntry> = rows
            .into_iter()
            .map(|(serial, revoked_at, reason, invalidity_date)| {
                crl::RevokedEntry { serial, revoked_at, reason, invalidity_date }
            })
            .collect();
        let der = assemble(&list.to_der(entries.iter().copied()), SignatureAlgorithm::Ed25519, &[1; 64]);
        let read = crl::CertificateList::from_der(&der).unwrap();
        prop_assert_eq!(read.issuer(), &issuer);
        prop_assert_eq!((read.this_update(), read.next_update()), (this_update, Some(next_update)));
        prop_assert_eq!(read.number(), Ok(Some(CrlNumber(number))));
        prop_assert_eq!(read.entries().collect::<Result<Vec<_>, _>>(), Ok(entries));
    }

    #[test]
    fn pem_round_trips(label in "[A-Z0-9]([A-Z0-9 ]{0,20}[A-Z0-9])?", der in vec(any::<u8>(), 1..300), noise in "[a-z\r\n]{0,20}") {
        let text = [noise.as_str(), &pem::encode(&label, &der), "\n", &noise, &pem::encode(&label, &der)].concat();
        let block = pem::Block { label, der };
        prop_assert_eq!(pem::decode_all(text.as_bytes()), Ok(vec![block.clone(), block]));
    }

    #[test]
    fn object_identifiers_round_trip(oid in oid()) {
        prop_assert_eq!(oid::parse(&oid.to_string()), Ok(oid));
        prop_assert_eq!(oid_value(oid.as_bytes()), Ok(oid));
    }

    #[test]
    fn serial_numbers_round_trip(serial in serial()) {
        prop_assert_eq!(serial.to_string().parse(), Ok(serial));
        let der = encode(|writer| serial.write(writer));
        prop_assert_eq!(parse_all(&der, SerialNumber::read), Ok(serial));
    }

    #[test]
    fn times_round_trip(time in time()) {
        prop_assert_eq!(parse_all(&encode(|writer| time.write(writer)), Time::read), Ok(time));
        let generalized = encode(|writer| time.write_generalized(writer));
        prop_assert_eq!(parse_all(&generalized, Time::read_generalized), Ok(time));
    }

    #[test]
    fn bundles_round_trip(certificates in vec(vec(any::<u8>(), 0..50), 0..5)) {
        let ders: Vec<Vec<u8>> =
            certificates.iter().map(|contents| encode(|writer| writer.primitive(0x30, contents))).collect();
        let bundle = cms::certs_only(&ders.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(cms::certs_only_certificates(&bundle), Ok(ders));
    }
}
