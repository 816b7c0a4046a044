//! Certificates: refusals, and that OpenSSL and x509-cert read what was written.

use der::{Decode, Encode};
use pki::{
    SignatureError,
    algorithm::AlgorithmError,
    certificate::{Certificate, CertificateError, assemble},
    der_io::{DerError, Writer, encode, tag},
    extension::{
        AuthorityKeyIdentifier, BasicConstraints, Extension, ExtensionError, KeyUsage, KeyUsageBit, NoCheck,
        SubjectAltName, SubjectKeyIdentifier, TypedExtension, write_extensions,
    },
    general_name::GeneralName,
    key::KeyError,
    name::Name,
    pem,
    serial::{SerialError, SerialNumber},
};

use crate::support::{NOT_AFTER, NOT_BEFORE, TestKey, common_name, openssl, recorded};

fn refusal(der: &[u8]) -> CertificateError {
    Certificate::from_der(der).expect_err("a certificate that must be refused")
}

/// A certificate whose signed part is written by hand up to the key, and by `rest` after it.
fn composed(key: &TestKey, version: &[u8], rest: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let tbs = encode(|writer| {
        writer.sequence(|tbs| {
            tbs.raw(version);
            tbs.small_unsigned(5);
            tbs.raw(key.algorithm.identifier_der());
            tbs.raw(Name::empty().der());
            tbs.sequence(|validity| {
                NOT_BEFORE.write(validity);
                NOT_AFTER.write(validity);
            });
            tbs.raw(Name::empty().der());
            tbs.raw(&key.spki());
            rest(tbs);
        });
    });
    key.signed(&tbs)
}

const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];

fn write_explicit_extensions(writer: &mut Writer, extensions: &[Extension]) {
    writer.nested(tag::context_constructed(3), |explicit| write_extensions(explicit, extensions));
}

#[test]
fn recorded_certificates_with_serial_numbers_out_of_range_are_refused() {
    for (name, error) in [
        ("certificate_serial_zero", SerialError::NotPositive),
        ("certificate_serial_negative", SerialError::NotPositive),
        ("certificate_serial_21_octets", SerialError::TooLong),
    ] {
        assert_eq!(refusal(&recorded(name)), CertificateError::Serial(error), "{name}");
        assert!(x509_cert::Certificate::from_der(&recorded(name)).is_ok(), "what x509-cert lets through");
    }
    let longest = Certificate::from_der(&recorded("certificate_serial_20_octets")).unwrap();
    assert_eq!(longest.serial().to_string(), format!("7F{}", "FF".repeat(19)));
}

#[test]
fn certificates_that_break_a_rule_are_refused_with_their_reason() {
    let key = TestKey::p256();
    let one = NoCheck.to_extension();
    assert_eq!(refusal(&recorded("certificate_version_1")), CertificateError::Version);
    assert_eq!(refusal(&composed(&key, &[0xa0, 3, 2, 1, 1], |_| ())), CertificateError::Version);
    assert_eq!(refusal(&composed(&key, &[0xa0, 3, 2, 1, 3], |_| ())), CertificateError::Version);
    assert_eq!(
        refusal(&composed(&key, &VERSION_3, |tbs| write_explicit_extensions(tbs, &[]))),
        CertificateError::Extension(ExtensionError::EmptyList)
    );
    let twice = [one.clone(), one.clone()];
    assert_eq!(
        refusal(&composed(&key, &VERSION_3, |tbs| write_explicit_extensions(tbs, &twice))),
        CertificateError::Extension(ExtensionError::Duplicate(one.oid))
    );
    assert_eq!(
        refusal(&composed(&key, &VERSION_3, |tbs| tbs.null())),
        CertificateError::Malformed(DerError::Trailing)
    );
}

#[test]
fn unique_identifiers_are_read_over() {
    let key = TestKey::p256();
    let der = composed(&key, &VERSION_3, |tbs| {
        tbs.primitive(tag::context(1), &[0, 1]);
        tbs.primitive(tag::context(2), &[0, 2]);
        write_explicit_extensions(tbs, &[NoCheck.to_extension()]);
    });
    assert_eq!(Certificate::from_der(&der).unwrap().extensions(), [NoCheck.to_extension()]);
}

#[test]
fn two_signature_algorithms_in_one_certificate_are_refused() {
    let (ecdsa, other) = (TestKey::p256(), pki::algorithm::SignatureAlgorithm::EcdsaSha384);
    let name = common_name("x");
    let der = ecdsa.issue(&name, &name, &ecdsa.public(), &[]);
    let read = Certificate::from_der(&der).unwrap();
    let swapped = assemble(read.tbs_der(), other, read.signature());
    assert_eq!(refusal(&swapped), CertificateError::AlgorithmMismatch);
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_does_not_verify() {
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let name = common_name("original");
    let der = key.issue(&name, &name, &key.public(), &[]);
    let certificate = Certificate::from_der(&der).unwrap();
    assert!(certificate.is_self_signed());
    let wrong_key = certificate.verify_signed_by(&other.public());
    assert_eq!(wrong_key, Err(SignatureError::Key(KeyError::Signature)));
    let mut changed = der.clone();
    let at = der.windows(8).rposition(|window| window == b"original").unwrap();
    changed[at] = b'O';
    let changed = Certificate::from_der(&changed).unwrap();
    assert!(changed.verify_signed_by(&key.public()).is_err());
    assert!(!changed.is_self_signed());
}

#[test]
fn a_weak_signature_is_readable_but_never_verifies() {
    let csr = recorded("csr_sha1");
    let algorithm: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0];
    assert!(csr.windows(algorithm.len()).any(|window| window == algorithm));
    let key = TestKey::rsa();
    let name = common_name("x");
    let strong = key.issue(&name, &name, &key.public(), &[]);
    let from = key.algorithm.identifier_der();
    let weak: Vec<u8> = replace_all(&strong, from, algorithm);
    let certificate = Certificate::from_der(&weak).unwrap();
    let error = AlgorithmError::Weak("sha1WithRSAEncryption");
    assert_eq!(certificate.signature_algorithm(), Err(error.clone()));
    assert_eq!(certificate.verify_signed_by(&key.public()), Err(SignatureError::Algorithm(error)));
}

fn replace_all(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut replaced = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            replaced[at..at + to.len()].copy_from_slice(to);
        }
    }
    replaced
}

#[test]
fn a_certificate_cut_short_or_with_bytes_after_it_is_refused() {
    let der = recorded("certificate_leaf");
    assert_eq!(refusal(&[der.as_slice(), &[0]].concat()), CertificateError::Malformed(DerError::Trailing));
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length} octets");
    }
}

#[test]
fn recorded_certificates_are_read_as_openssl_shows_them() {
    let root = Certificate::from_der(&recorded("certificate_root")).unwrap();
    for name in ["certificate_root", "certificate_leaf", "certificate_until_2060"] {
        let der = recorded(name);
        let certificate = Certificate::from_der(&der).unwrap();
        let show = |what: &[&str]| {
            let arguments = [&["x509", "-inform", "DER", "-in", "@c", "-noout"], what].concat();
            let text = openssl(&arguments, &[("c", &der)]).unwrap();
            text.trim_end().split_once('=').unwrap().1.to_owned()
        };
        assert_eq!(show(&["-serial"]), certificate.serial().to_string());
        assert_eq!(show(&["-subject", "-nameopt", "RFC2253"]), certificate.subject().to_string());
        assert_eq!(show(&["-issuer", "-nameopt", "RFC2253"]), certificate.issuer().to_string());
        let fingerprint = show(&["-fingerprint", "-sha256"]).replace(':', "").to_lowercase();
        assert_eq!(fingerprint, hex::encode(certificate.fingerprint_sha256()));
        let date = |what| show(&[what, "-dateopt", "iso_8601"]).replace(' ', "T");
        assert_eq!(date("-startdate"), certificate.not_before().to_string());
        assert_eq!(date("-enddate"), certificate.not_after().to_string());
        assert_eq!(certificate.der(), der);
        certificate.verify_signed_by(root.public_key()).unwrap();
    }
    assert!(root.is_self_signed());
}

#[test]
fn issued_chains_are_verified_by_openssl_for_every_key() {
    for authority in TestKey::one_of_each() {
        let leaf_key = TestKey::p256();
        let (root_name, leaf_name) = (common_name("Root"), Name::empty());
        let key_id = authority.public().key_identifier().to_vec();
        let ca_usage = KeyUsage::empty().with(KeyUsageBit::KeyCertSign).with(KeyUsageBit::CrlSign);
        let root = authority.issue(
            &root_name,
            &root_name,
            &authority.public(),
            &[
                BasicConstraints { ca: true, path_length: Some(0) }.to_extension(),
                ca_usage.to_extension(),
                SubjectKeyIdentifier(key_id.clone()).to_extension(),
            ],
        );
        let names = SubjectAltName(vec![GeneralName::Dns("leaf.example".to_owned())]);
        let leaf = authority.issue(
            &root_name,
            &leaf_name,
            &leaf_key.public(),
            &[names.to_extension_for(&leaf_name), AuthorityKeyIdentifier(Some(key_id)).to_extension()],
        );
        let (root_pem, leaf_pem) = (pem::encode("CERTIFICATE", &root), pem::encode("CERTIFICATE", &leaf));
        let files = [("root", root_pem.as_bytes()), ("leaf", leaf_pem.as_bytes())];
        let strict = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "@root"];
        let arguments = [&strict[..], &["-verify_hostname", "leaf.example", "@leaf"]].concat();
        openssl(&arguments, &files).unwrap_or_else(|error| panic!("{}: {error}", authority.algorithm));
        assert_read_alike(&leaf);
        assert_read_alike(&root);
    }
}

/// The x509-cert crate reads the same, and encodes it to the same bytes.
fn assert_read_alike(der: &[u8]) {
    let (ours, theirs) =
        (Certificate::from_der(der).unwrap(), x509_cert::Certificate::from_der(der).unwrap());
    assert_eq!(theirs.to_der().unwrap(), der);
    let tbs = theirs.tbs_certificate;
    assert_eq!(SerialNumber::from_be_bytes(tbs.serial_number.as_bytes()).as_ref(), Ok(ours.serial()));
    assert_eq!(tbs.subject.to_der().unwrap(), ours.subject().der());
    assert_eq!(tbs.issuer.to_der().unwrap(), ours.issuer().der());
    assert_eq!(tbs.validity.not_before.to_unix_duration().as_secs() as i64, ours.not_before().unix());
    assert_eq!(tbs.validity.not_after.to_unix_duration().as_secs() as i64, ours.not_after().unix());
    assert_eq!(tbs.subject_public_key_info.to_der().unwrap(), ours.public_key().spki_der());
    assert_eq!(tbs.extensions.unwrap_or_default().len(), ours.extensions().len());
}

#[test]
fn certificates_that_rcgen_makes_are_read() {
    let key = TestKey::p256();
    let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(3));
    let der = parameters.self_signed(&key.pair).unwrap();
    let certificate = Certificate::from_der(der.der()).unwrap();
    assert_eq!(certificate.subject_alt_names().unwrap(), [GeneralName::Dns("a.example".to_owned())]);
    let constraints = certificate.basic_constraints().unwrap();
    assert_eq!(constraints, Some(BasicConstraints { ca: true, path_length: Some(3) }));
    assert!(certificate.is_self_signed());
}
