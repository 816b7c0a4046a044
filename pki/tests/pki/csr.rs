//! Requests: what is refused, what is accepted because OpenSSL accepts it, and that only verified ones exist.

use pki::{
    ObjectIdentifier,
    algorithm::AlgorithmError,
    csr::{Csr, CsrError, UnverifiedCsr},
    der_io::{DerError, encode, tag},
    extension::{
        BasicConstraints, CertificatePolicies, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage,
        SubjectAltName, TypedExtension, eku_oid, write_extensions,
    },
    general_name::GeneralName,
    key::{KeyError, KeyType},
    name::{AttributeType, NameError},
};

use crate::support::{TestKey, openssl_verifies_csr, recorded, write_attributes};

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const MICROSOFT_EXTENSIONS: &str = "1.3.6.1.4.1.311.2.1.14";
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";

fn accept(der: &[u8]) -> Csr {
    UnverifiedCsr::from_der(der).unwrap().verify().unwrap()
}

fn refusal(der: &[u8]) -> CsrError {
    match UnverifiedCsr::from_der(der).and_then(UnverifiedCsr::verify) {
        Ok(csr) => panic!("accepted: {csr:?}"),
        Err(error) => error,
    }
}

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

fn extension_list(extensions: &[Extension]) -> Vec<u8> {
    encode(|writer| write_extensions(writer, extensions))
}

fn no_check() -> Extension {
    pki::extension::NoCheck.to_extension()
}

fn utf8(text: &str) -> Vec<u8> {
    encode(|writer| writer.primitive(tag::UTF8_STRING, text.as_bytes()))
}

#[test]
fn recorded_requests_that_must_not_pass_are_refused_with_their_reason() {
    let weak = |name| CsrError::Algorithm(AlgorithmError::Weak(name));
    let curve = |curve| CsrError::PublicKey(KeyError::UnsupportedCurve(oid(curve)));
    let key = |algorithm| CsrError::PublicKey(KeyError::UnsupportedAlgorithm(oid(algorithm)));
    let cases = [
        ("csr_sha1", weak("sha1WithRSAEncryption")),
        ("csr_sha224", weak("sha224WithRSAEncryption")),
        ("csr_md5", weak("md5WithRSAEncryption")),
        ("csr_ecdsa_sha1", weak("ecdsa-with-SHA1")),
        ("csr_rsa_pss_sha1", weak("RSASSA-PSS with SHA-1")),
        ("csr_rsa_pss_long_salt", CsrError::Algorithm(AlgorithmError::PssParameters)),
        ("csr_secp256k1", curve("1.3.132.0.10")),
        ("csr_explicit_curve", CsrError::PublicKey(KeyError::CurveNotNamed)),
        ("csr_ed448", CsrError::Algorithm(AlgorithmError::Unsupported(oid("1.3.101.113")))),
        ("csr_pss_key", key("1.2.840.113549.1.1.10")),
        (
            "csr_control_character",
            CsrError::Subject(NameError::ControlCharacter { kind: AttributeType::CommonName }),
        ),
    ];
    for (name, expected) in cases {
        assert_eq!(refusal(&recorded(name)), expected, "{name}");
    }
}

#[test]
fn recorded_requests_are_accepted_with_their_key_and_subject() {
    let cases = [
        ("csr_rsa_2048", "RSA-2048", "CN=rsa-2048,O=Example,C=DE"),
        ("csr_rsa_2560_sha512", "RSA-2560", "CN=rsa-2560"),
        ("csr_rsa_1024", "RSA-1024", "CN=rsa-1024"),
        ("csr_rsa_pss", "RSA-2048", "CN=pss"),
        ("csr_p256", "ECDSA-P256", "CN=p256"),
        ("csr_p384", "ECDSA-P384", "CN=p384"),
        ("csr_p521", "ECDSA-P521", "CN=p521"),
        ("csr_p256_sha512", "ECDSA-P256", "CN=p256-sha512"),
        ("csr_ed25519", "Ed25519", "CN=ed25519"),
        ("csr_extensions", "ECDSA-P256", "CN=extensions"),
        ("csr_challenge_password", "ECDSA-P256", "CN=device-1"),
        ("csr_empty_subject", "ECDSA-P256", ""),
        ("csr_utf8_subject", "ECDSA-P256", "CN=Gerät 7,O=株式会社例,C=JP"),
        ("csr_bmp_subject", "ECDSA-P256", "CN=bmp-7"),
        ("csr_multi_valued_rdn", "ECDSA-P256", "OU=Lab+serialNumber=0815+CN=multi,O=Example"),
    ];
    for (name, key, subject) in cases {
        let der = recorded(name);
        let csr = accept(&der);
        assert_eq!(csr.public_key().key_type().to_string(), key, "{name}");
        assert_eq!(csr.subject().to_string(), subject, "{name}");
        assert_eq!(csr.der(), der, "{name}");
    }
}

#[test]
fn requested_extensions_are_read_whole() {
    let csr = accept(&recorded("csr_extensions"));
    let extensions = csr.requested_extensions();
    assert_eq!(extensions.len(), 5);

    let usage = KeyUsage::find(extensions).unwrap().unwrap();
    assert_eq!(usage.to_string(), "digitalSignature, keyEncipherment");
    let purposes = ExtendedKeyUsage::find(extensions).unwrap().unwrap().0;
    assert_eq!(purposes, ["serverAuth", "clientAuth", "smartcardLogon"].map(|name| eku_oid(name).unwrap()));
    let constraints = BasicConstraints::find(extensions).unwrap().unwrap();
    assert_eq!(constraints, BasicConstraints { ca: false, path_length: None });
    let policies = CertificatePolicies::find(extensions).unwrap().unwrap().0;
    assert_eq!(policies, [oid("1.3.6.1.4.1.99999.1"), oid("1.3.6.1.4.1.99999.2")]);
    let names: Vec<String> =
        SubjectAltName::find(extensions).unwrap().unwrap().0.iter().map(GeneralName::to_string).collect();
    assert_eq!(
        names,
        [
            "dns:host.example",
            "dns:*.wild.example",
            "ip:192.0.2.7",
            "ip:2001:db8::7",
            "uri:https://host.example/path",
            "email:ops@host.example",
            "otherName:1.3.6.1.4.1.311.20.2.3:ops@corp.example",
            "rid:1.2.3.4",
            "dirName:O=Directory Inc",
        ]
    );
}

#[test]
fn the_challenge_password_is_read_and_never_shown() {
    let unverified = UnverifiedCsr::from_der(&recorded("csr_challenge_password")).unwrap();
    assert!(!format!("{unverified:?}").contains("s3cret"));
    let csr = unverified.verify().unwrap();
    assert_eq!(csr.challenge_password(), Some("s3cret-pässword"));
    assert!(!format!("{csr:?} {:?}", csr.attributes()).contains("s3cret"));
    // unstructuredName is not understood and kept as it is.
    let other: Vec<_> = csr.attributes().iter().filter(|a| a.oid != oid(CHALLENGE_PASSWORD)).collect();
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].values, [utf8("unit 7")]);
}

#[test]
fn what_openssl_accepts_is_accepted() {
    let key = TestKey::p256();
    let wanted = [no_check()];
    let list = extension_list(&wanted);
    let without_attributes = key.compose_csr(|_| ());
    let empty_list = key.compose_csr(|w| write_attributes(w, &[(EXTENSION_REQUEST, &[extension_list(&[])])]));
    // Neither set is in DER's order.
    let unsorted = key.compose_csr(|w| {
        write_attributes(w, &[("1.9.9.9", &[utf8("b"), utf8("a")]), ("1.2.3.4", &[utf8("z")])]);
    });
    let microsoft =
        key.compose_csr(|w| write_attributes(w, &[(MICROSOFT_EXTENSIONS, std::slice::from_ref(&list))]));
    let false_written_out = key.compose_csr(|w| {
        let list = encode(|writer| {
            writer.sequence(|list| {
                list.sequence(|extension| {
                    extension.oid(&no_check().oid);
                    extension.boolean(false);
                    extension.octet_string(&no_check().value);
                });
            });
        });
        write_attributes(w, &[(EXTENSION_REQUEST, &[list])]);
    });
    let valueless = key.compose_csr(|w| write_attributes(w, &[("1.2.3.4", &[])]));
    for (der, extensions) in [
        (&without_attributes, &wanted[..0]),
        (&empty_list, &wanted[..0]),
        (&unsorted, &wanted[..0]),
        (&microsoft, &wanted[..]),
        (&false_written_out, &wanted[..]),
        (&valueless, &wanted[..0]),
    ] {
        assert!(openssl_verifies_csr(der));
        assert_eq!(accept(der).requested_extensions(), extensions);
    }
    let attributes = accept(&unsorted).attributes().to_vec();
    assert_eq!(attributes[0].values, [utf8("b"), utf8("a")], "values keep their order");
}

#[test]
fn absent_parameters_of_an_rsa_key_are_accepted_as_openssl_does() {
    let key = TestKey::rsa();
    let null = [0x05, 0x00];
    let spki = key.spki();
    let at = spki.windows(2).position(|pair| pair == null).unwrap();
    // Two octets fewer in the algorithm identifier (offset 5) and in the whole (a two-octet length at offset 2).
    let mut short = spki.clone();
    short.drain(at..at + 2);
    let outer = u16::from_be_bytes([short[2], short[3]]) - 2;
    short[2..4].copy_from_slice(&outer.to_be_bytes());
    short[5] -= 2;
    let der = key.compose_csr_with(0, &[0x30, 0], &short, |_| ());
    assert!(openssl_verifies_csr(&der));
    assert_eq!(accept(&der).public_key().key_type(), KeyType::Rsa { bits: 2048 });
}

#[test]
fn requests_that_rcgen_makes_are_accepted_for_every_key() {
    for key in TestKey::one_of_each() {
        let mut parameters = rcgen::CertificateParams::new(["device.example".to_owned()]).unwrap();
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let der = parameters.serialize_request(&key.pair).unwrap();
        let csr = accept(der.der());
        assert_eq!(csr.public_key().spki_der(), key.spki());
        let names = SubjectAltName::find(csr.requested_extensions()).unwrap().unwrap();
        assert_eq!(names.0, [GeneralName::Dns("device.example".to_owned())]);
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let der = key.compose_csr_with(0, &[0x30, 0], &other.spki(), |_| ());
    assert_eq!(refusal(&der), CsrError::Signature);
}

#[test]
fn a_changed_bit_anywhere_in_the_signed_part_is_refused() {
    let der = recorded("csr_p256");
    let signed_part = 3..3 + 2 + usize::from(der[4]);
    for position in signed_part {
        let mut changed = der.clone();
        changed[position] ^= 1;
        let result = UnverifiedCsr::from_der(&changed).and_then(UnverifiedCsr::verify);
        assert!(result.is_err(), "octet {position}");
    }
}

#[test]
fn a_signature_algorithm_of_another_kind_of_key_is_refused() {
    let key = TestKey::p256();
    let csr = key.compose_csr(|_| ());
    let ecdsa = key.algorithm.identifier_der();
    let at = csr.windows(ecdsa.len()).position(|window| window == ecdsa).unwrap();
    let info = &csr[3..at];
    let algorithm = pki::algorithm::SignatureAlgorithm::Ed25519;
    let der = pki::certificate::assemble(info, algorithm, &key.sign(info));
    let mismatch = KeyError::AlgorithmMismatch { key_type: key.public().key_type(), algorithm };
    assert_eq!(refusal(&der), CsrError::PublicKey(mismatch));
}

#[test]
fn composed_requests_that_break_a_rule_are_refused_with_their_reason() {
    let key = TestKey::p256();
    let list = extension_list(&[no_check()]);
    let twice = extension_list(&[no_check(), no_check()]);
    let with = |attributes: &[(&str, &[Vec<u8>])]| key.compose_csr(|w| write_attributes(w, attributes));
    let one = std::slice::from_ref(&list);
    let deep = (0..20).fold(utf8("x"), |inner, _| encode(|w| w.primitive(tag::SEQUENCE, &inner)));
    let duplicate = || CsrError::DuplicateAttribute("extensionRequest");
    let cases = [
        (key.compose_csr_with(1, &[0x30, 0], &key.spki(), |_| ()), CsrError::Version),
        (with(&[(EXTENSION_REQUEST, one), (EXTENSION_REQUEST, one)]), duplicate()),
        (with(&[(EXTENSION_REQUEST, one), (MICROSOFT_EXTENSIONS, one)]), duplicate()),
        (
            with(&[(EXTENSION_REQUEST, &[list.clone(), list.clone()])]),
            CsrError::NotOneValue("extensionRequest"),
        ),
        (with(&[(EXTENSION_REQUEST, &[])]), CsrError::NotOneValue("extensionRequest")),
        (
            with(&[(EXTENSION_REQUEST, &[twice])]),
            CsrError::Extension(ExtensionError::Duplicate(no_check().oid)),
        ),
        (
            with(&[(CHALLENGE_PASSWORD, &[utf8("a")]), (CHALLENGE_PASSWORD, &[utf8("b")])]),
            CsrError::DuplicateAttribute("challengePassword"),
        ),
        (with(&[(CHALLENGE_PASSWORD, &[vec![0x02, 0x01, 0x05]])]), CsrError::ChallengePassword),
        (with(&[("1.2.3.4", &[deep])]), CsrError::Malformed(DerError::Depth)),
        (key.compose_csr(|w| w.null()), {
            let (expected, found) = (tag::context_constructed(0), tag::NULL);
            CsrError::Malformed(DerError::UnexpectedTag { expected, found })
        }),
    ];
    for (der, expected) in cases {
        assert_eq!(refusal(&der), expected);
    }
}

#[test]
fn bytes_after_the_request_and_bytes_missing_from_it_are_refused() {
    let der = recorded("csr_extensions");
    let longer = [der.as_slice(), &[0]].concat();
    assert_eq!(refusal(&longer), CsrError::Malformed(DerError::Trailing));
    for length in 0..der.len() {
        assert!(UnverifiedCsr::from_der(&der[..length]).is_err(), "{length} octets");
    }
}

const DECRYPT_KEY_IDENTIFIER: &str = "1.2.840.113549.1.9.16.2.37";
const ASYMMETRIC_DECRYPT_KEY_IDENTIFIER: &str = "1.2.840.113549.1.9.16.2.54";
const SMIME_CAPABILITIES: &str = "1.2.840.113549.1.9.15";

/// RFC 7030 §4.4.1.
#[test]
fn what_a_request_says_about_the_encryption_of_a_generated_key_is_read() {
    let key = TestKey::p256();
    let capability = |oid_text: &str, parameters: &[u8]| {
        encode(|writer| {
            writer.sequence(|capability| {
                capability.oid(&oid(oid_text));
                capability.raw(parameters);
            });
        })
    };
    let (aes, rc2) = ("2.16.840.1.101.3.4.1.42", "1.2.840.113549.3.2");
    let list = [capability(aes, &[]), capability(rc2, &[2, 2, 0, 0x80])].concat();
    let capabilities = encode(|writer| writer.primitive(tag::SEQUENCE, &list));
    let der = key.compose_csr(|info| {
        write_attributes(
            info,
            &[
                (DECRYPT_KEY_IDENTIFIER, &[vec![4, 2, 7, 8]]),
                (ASYMMETRIC_DECRYPT_KEY_IDENTIFIER, &[vec![4, 0]]),
                (SMIME_CAPABILITIES, &[capabilities]),
            ],
        );
    });
    let csr = accept(&der);
    assert_eq!(csr.decrypt_key_identifier(), Some(&[7, 8][..]));
    assert_eq!(csr.asymmetric_decrypt_key_identifier(), Some(&[][..]));
    assert_eq!(csr.smime_capabilities(), [oid(aes), oid(rc2)]);
    assert_eq!(csr.attributes().len(), 3);

    let without = accept(&recorded("csr_p256"));
    assert_eq!(without.decrypt_key_identifier().or(without.asymmetric_decrypt_key_identifier()), None);
    assert!(without.smime_capabilities().is_empty());
}

#[test]
fn attributes_about_the_encryption_of_a_generated_key_are_refused_where_malformed() {
    let key = TestKey::p256();
    let with = |attributes: &[(&str, &[Vec<u8>])]| {
        refusal(&key.compose_csr(|info| write_attributes(info, attributes)))
    };
    for (oid, name) in
        [(DECRYPT_KEY_IDENTIFIER, "decryptKeyID"), (ASYMMETRIC_DECRYPT_KEY_IDENTIFIER, "asymmDecryptKeyID")]
    {
        let error = DerError::UnexpectedTag { expected: 4, found: 5 };
        assert_eq!(with(&[(oid, &[vec![5, 0]])]), CsrError::MalformedAttribute(name, error));
        assert_eq!(with(&[(oid, &[])]), CsrError::NotOneValue(name));
        assert_eq!(with(&[(oid, &[vec![4, 0], vec![4, 1, 1]])]), CsrError::NotOneValue(name));
        let twice: [(&str, &[Vec<u8>]); 2] = [(oid, &[vec![4, 0]]), (oid, &[vec![4, 0]])];
        assert_eq!(with(&twice), CsrError::DuplicateAttribute(name));
    }
    for value in [vec![0x30, 2, 5, 0], vec![0x30, 2, 0x30, 0], vec![0x30, 9, 0x30, 7, 6, 1, 0x2a, 5, 0, 5, 0]]
    {
        let outcome = with(&[(SMIME_CAPABILITIES, &[value])]);
        assert!(matches!(outcome, CsrError::MalformedAttribute("smimeCapabilities", _)), "{outcome}");
    }
}
