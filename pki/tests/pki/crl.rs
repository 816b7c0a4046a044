//! Revocation lists: refusals, large ones, and OpenSSL as judge in both directions.

use pki::{
    SignatureError,
    certificate::{Certificate, assemble},
    crl::{CertificateList, CrlError, RevokedEntry, TbsCertList},
    der_io::{DerError, encode, tag},
    extension::{
        BasicConstraints, CrlNumber, KeyUsage, KeyUsageBit, ReasonCode, SubjectKeyIdentifier, TypedExtension,
        write_extensions,
    },
    key::KeyError,
    name::Name,
    pem,
    serial::{SerialError, SerialNumber},
    time::Time,
};

use crate::support::{NOT_AFTER, NOT_BEFORE, TestKey, common_name, openssl, recorded};

fn entry(serial: &str, reason: Option<ReasonCode>, invalidity_date: Option<Time>) -> RevokedEntry {
    RevokedEntry { serial: serial.parse().unwrap(), revoked_at: NOT_BEFORE, reason, invalidity_date }
}

fn list<'a>(key: &TestKey, issuer: &'a Name) -> TbsCertList<'a> {
    TbsCertList {
        signature_algorithm: key.algorithm,
        issuer,
        this_update: NOT_BEFORE,
        next_update: NOT_AFTER,
        number: 0xfeed,
        authority_key_identifier: key.public().key_identifier(),
    }
}

fn read(der: &[u8]) -> (CertificateList, Vec<RevokedEntry>) {
    let crl = CertificateList::from_der(der).unwrap();
    let entries = crl.entries().collect::<Result<Vec<_>, _>>().unwrap();
    (crl, entries)
}

/// A CRL whose signed part holds these members after the issuer and the two times.
fn composed(key: &TestKey, version: &[u8], rest: &[u8]) -> Vec<u8> {
    let tbs = encode(|writer| {
        writer.sequence(|tbs| {
            tbs.raw(version);
            tbs.raw(key.algorithm.identifier_der());
            tbs.raw(Name::empty().der());
            NOT_BEFORE.write(tbs);
            NOT_AFTER.write(tbs);
            tbs.raw(rest);
        });
    });
    key.signed(&tbs)
}

const VERSION_2: [u8; 3] = [2, 1, 1];

fn entry_list(contents: &[u8]) -> Vec<u8> {
    encode(|writer| writer.sequence(|list| list.sequence(|entry| entry.raw(contents))))
}

#[test]
fn lists_that_break_a_rule_are_refused_with_their_reason() {
    let key = TestKey::p256();
    let refusal = |der: &[u8]| CertificateList::from_der(der).expect_err("a CRL that must be refused");
    assert_eq!(refusal(&composed(&key, &[], &[])), CrlError::Version);
    assert_eq!(refusal(&composed(&key, &[2, 1, 2], &[])), CrlError::Version);
    assert_eq!(refusal(&composed(&key, &VERSION_2, &[5, 0])), CrlError::Malformed(DerError::Trailing));
    let der = recorded("crl_entries");
    assert_eq!(refusal(&[der.as_slice(), &[0]].concat()), CrlError::Malformed(DerError::Trailing));
    for length in 0..der.len() {
        assert!(CertificateList::from_der(&der[..length]).is_err(), "{length} octets");
    }
    let issuer = common_name("x");
    let tbs = list(&key, &issuer).to_der([]);
    let mixed = assemble(&tbs, pki::algorithm::SignatureAlgorithm::EcdsaSha384, &key.sign(&tbs));
    assert_eq!(refusal(&mixed), CrlError::AlgorithmMismatch);
}

#[test]
fn entries_that_break_a_rule_end_the_list_with_their_reason() {
    let key = TestKey::p256();
    let time = encode(|writer| NOT_BEFORE.write(writer));
    let critical = |oid: &str| {
        let extension = pki::extension::Extension {
            oid: pki::ObjectIdentifier::new(oid).unwrap(),
            critical: true,
            value: vec![0x30, 0],
        };
        let extensions = encode(|writer| write_extensions(writer, &[extension]));
        [&[2, 1, 5], time.as_slice(), &extensions].concat()
    };
    for (contents, error) in [
        ([&[2, 1, 0], time.as_slice()].concat(), CrlError::Serial(SerialError::NotPositive)),
        (vec![2, 1, 5], CrlError::Time(DerError::Truncated.into())),
        (critical("2.5.29.29"), CrlError::CriticalExtension),
        (critical("1.2.3.4"), CrlError::CriticalExtension),
    ] {
        let crl = CertificateList::from_der(&composed(&key, &VERSION_2, &entry_list(&contents))).unwrap();
        assert_eq!(crl.entries().collect::<Vec<_>>(), [Err(error)]);
    }
}

#[test]
fn a_list_signed_by_another_key_does_not_verify() {
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let issuer = common_name("x");
    let (crl, _) = read(&key.signed(&list(&key, &issuer).to_der([entry("01", None, None)])));
    assert_eq!(crl.verify_signed_by(&key.public()), Ok(()));
    assert_eq!(crl.verify_signed_by(&other.public()), Err(SignatureError::Key(KeyError::Signature)));
}

#[test]
fn recorded_lists_are_read() {
    let root = Certificate::from_der(&recorded("certificate_root")).unwrap();
    let (empty, none) = read(&recorded("crl_empty"));
    assert_eq!((none.len(), empty.number().unwrap()), (0, Some(CrlNumber(0x2a))));

    let (crl, entries) = read(&recorded("crl_entries"));
    crl.verify_signed_by(root.public_key()).unwrap();
    assert_eq!(crl.issuer(), root.subject());
    assert_eq!(crl.number().unwrap(), Some(CrlNumber(0x2b)));
    assert!(crl.is_complete() && crl.next_update() > Some(crl.this_update()));
    let issuer_key = crl.authority_key_identifier().unwrap().unwrap().0.unwrap();
    assert_eq!(root.subject_key_identifier().unwrap().unwrap().0, issuer_key);
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry.serial.to_string(), entry.revoked_at.to_string(), entry.reason))
        .collect();
    let row =
        |serial: &str, day: &str, reason| (serial.to_owned(), format!("2026-11-{day}T12:00:00Z"), reason);
    assert_eq!(
        shown,
        [
            row("01", "01", Some(ReasonCode::KeyCompromise)),
            row("0A", "02", None),
            row("FF00", "04", Some(ReasonCode::Superseded)),
            row("7FFFFFFFFFFFFFFF", "03", Some(ReasonCode::KeyCompromise)),
        ]
    );
    assert_eq!(entries[3].invalidity_date.unwrap().to_string(), "2026-10-01T00:00:00Z");
}

#[test]
fn a_partial_list_is_not_taken_for_a_complete_one() {
    let (partial, _) = read(&recorded("crl_partial"));
    assert!(!partial.is_complete());
}

#[test]
fn written_lists_are_verified_and_shown_by_openssl() {
    let key = TestKey::p256();
    let issuer = common_name("Authority");
    let usage = KeyUsage::empty().with(KeyUsageBit::CrlSign).with(KeyUsageBit::KeyCertSign);
    let authority = key.issue(
        &issuer,
        &issuer,
        &key.public(),
        &[
            BasicConstraints { ca: true, path_length: None }.to_extension(),
            usage.to_extension(),
            SubjectKeyIdentifier(key.public().key_identifier().to_vec()).to_extension(),
        ],
    );
    let entries = [
        entry("01", Some(ReasonCode::KeyCompromise), Some(Time::from_unix(0))),
        entry("80FF", Some(ReasonCode::Unspecified), None),
        entry("0FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", None, None),
    ];
    let der = key.signed(&list(&key, &issuer).to_der(entries));
    let authority_pem = pem::encode("CERTIFICATE", &authority);
    let files = [("crl", der.as_slice()), ("ca", authority_pem.as_bytes())];
    let arguments = ["crl", "-inform", "DER", "-in", "@crl", "-CAfile", "@ca", "-noout", "-text"];
    let text = openssl(&arguments, &files).unwrap();
    for expected in [
        "Version 2",
        "CN = Authority",
        "X509v3 CRL Number: \n                65261",
        "Serial Number: 01\n",
        "Serial Number: 80FF\n",
        "Serial Number: 0FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\n",
        "Key Compromise",
        "Jan  1 00:00:00 1970 GMT",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    }
    assert!(!text.contains("Unspecified"), "RFC 5280 section 5.3.1 leaves it out: {text}");
    let (_, read) = read(&der);
    assert_eq!(read[1].reason, None);
    assert_eq!((read[0], read[2]), (entries[0], entries[2]));
}

#[test]
fn a_list_without_entries_leaves_the_list_out() {
    let key = TestKey::p256();
    let issuer = common_name("x");
    let tbs = list(&key, &issuer).to_der([]);
    let after_times = [NOT_AFTER].map(|time| encode(|writer| time.write(writer))).concat();
    let at = tbs.windows(after_times.len()).position(|window| window == after_times).unwrap();
    assert_eq!(tbs[at + after_times.len()], tag::context_constructed(0));
}

#[test]
fn a_hundred_thousand_entries_go_through_without_being_collected() {
    let key = TestKey::p256();
    let issuer = common_name("x");
    let serial = |index: u32| SerialNumber::from_be_bytes(&(index + 1).to_be_bytes()).unwrap();
    let entries = (0..100_000).map(|index| RevokedEntry {
        serial: serial(index),
        revoked_at: NOT_BEFORE,
        reason: Some(ReasonCode::Superseded),
        invalidity_date: None,
    });
    let der = key.signed(&list(&key, &issuer).to_der(entries));
    let crl = CertificateList::from_der(&der).unwrap();
    let mut count = 0;
    for (index, entry) in crl.entries().enumerate() {
        assert_eq!(entry.unwrap().serial, serial(index as u32));
        count += 1;
    }
    assert_eq!(count, 100_000);
}
