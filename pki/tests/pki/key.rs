//! Public keys: refusals, identifiers, and that signatures hold only for their own bytes.

use pki::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    der_io::{DerError, encode, parse_all},
    key::{Curve, KeyError, KeyType, PublicKey},
};

use crate::support::{TestKey, openssl, recorded};

const RSA: &str = "1.2.840.113549.1.1.1";

/// A `SubjectPublicKeyInfo` of an RSA key with this modulus and exponent.
fn rsa_spki(modulus: &[u8], exponent: &[u8], parameters: &[u8]) -> Vec<u8> {
    let key = encode(|writer| {
        writer.sequence(|rsa| {
            rsa.unsigned(modulus);
            rsa.unsigned(exponent);
        });
    });
    spki(RSA, parameters, &key)
}

fn spki(algorithm: &str, parameters: &[u8], key: &[u8]) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|spki| {
            spki.sequence(|identifier| {
                identifier.oid(&pki::ObjectIdentifier::new(algorithm).unwrap());
                identifier.raw(parameters);
            });
            spki.bit_string(key);
        });
    })
}

fn refusal(spki: &[u8]) -> KeyError {
    PublicKey::from_spki_der(spki).expect_err("a key that must be refused")
}

#[test]
fn malformed_and_dangerous_keys_are_refused_with_their_reason() {
    let null = [5, 0];
    let odd = |bits: usize| vec![0xff; bits / 8];
    let mut even = odd(2048);
    even[255] = 0xfe;
    let cases = [
        (rsa_spki(&odd(1016), &[3], &null), KeyError::RsaModulusSize { bits: 1016 }),
        (rsa_spki(&odd(8200), &[3], &null), KeyError::RsaModulusSize { bits: 8200 }),
        (rsa_spki(&[], &[3], &null), KeyError::RsaModulusSize { bits: 0 }),
        (rsa_spki(&even, &[3], &null), KeyError::RsaModulusEven),
        (rsa_spki(&odd(2048), &[1], &null), KeyError::RsaExponent),
        (rsa_spki(&odd(2048), &[], &null), KeyError::RsaExponent),
        (rsa_spki(&odd(2048), &[4], &null), KeyError::RsaExponent),
        (rsa_spki(&odd(2048), &odd(264), &null), KeyError::RsaExponent),
        (rsa_spki(&odd(2048), &[3], &[4, 0]), KeyError::RsaParameters),
        (spki(RSA, &null, &[0x30, 0]), KeyError::Malformed(DerError::Truncated)),
        (spki("1.3.101.112", &[], &[1; 31]), KeyError::Ed25519),
        (spki("1.3.101.112", &null, &[1; 32]), KeyError::Ed25519),
        (recorded("spki_p256_compressed"), KeyError::EcPoint),
        (recorded("spki_p256_hybrid"), KeyError::EcPoint),
    ];
    for (der, expected) in cases {
        assert_eq!(refusal(&der), expected);
    }
}

#[test]
fn a_point_off_its_curve_is_refused() {
    let mut der = recorded("spki_p256");
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&der), KeyError::EcPoint);
}

#[test]
fn a_key_with_unused_bits_or_bytes_after_it_is_refused() {
    let der = recorded("spki_p256");
    assert_eq!(refusal(&[der.as_slice(), &[0]].concat()), KeyError::Malformed(DerError::Trailing));
    let mut unused = der.clone();
    let at = der.len() - 66;
    assert_eq!(unused[at], 0);
    unused[at] = 1;
    assert_eq!(refusal(&unused), KeyError::Malformed(DerError::BitString));
}

#[test]
fn keys_of_every_kind_verify_their_own_signatures_and_no_others() {
    for key in TestKey::one_of_each() {
        let public = key.public();
        let signature = key.sign(b"message");
        assert_eq!(public.verify(key.algorithm, b"message", &signature), Ok(()), "{public:?}");
        assert_eq!(public.verify(key.algorithm, b"massage", &signature), Err(KeyError::Signature));
        assert_eq!(public.verify(key.algorithm, b"message", &signature[1..]), Err(KeyError::Signature));
        for algorithm in SignatureAlgorithm::ALL.into_iter().filter(|other| *other != key.algorithm) {
            assert!(public.verify(algorithm, b"message", &signature).is_err(), "{public:?} {algorithm}");
        }
    }
}

#[test]
fn a_small_rsa_key_verifies_so_that_policy_can_name_its_size_but_never_with_pss() {
    let spki = pki::csr::UnverifiedCsr::from_der(&recorded("csr_rsa_1024")).unwrap().verify().unwrap();
    let key = spki.public_key();
    assert_eq!(key.key_type(), KeyType::Rsa { bits: 1024 });
    let algorithm = SignatureAlgorithm::RsaPssSha256;
    let mismatch = KeyError::AlgorithmMismatch { key_type: key.key_type(), algorithm };
    assert_eq!(key.verify(algorithm, b"m", &[0; 128]), Err(mismatch));
}

#[test]
fn the_key_identifier_is_the_truncated_sha256_of_the_bit_string() {
    let key = PublicKey::from_spki_der(&recorded("spki_rsa_2048")).unwrap();
    // openssl computes the digest of what -strparse cuts out of the BIT STRING.
    let files: &[(&str, &[u8])] = &[("spki", key.spki_der()), ("bits", key.key_bytes())];
    let digest = openssl(&["dgst", "-sha256", "-r", "@bits"], files).unwrap();
    assert!(digest.starts_with(&hex::encode(key.key_identifier())), "{digest}");
    let whole = openssl(&["dgst", "-sha256", "-r", "@spki"], files).unwrap();
    assert!(whole.starts_with(&hex::encode(key.spki_sha256())), "{whole}");
    let parsed =
        openssl(&["rsa", "-pubin", "-RSAPublicKey_in", "-inform", "DER", "-in", "@bits", "-noout"], files);
    assert!(parsed.is_ok(), "{parsed:?}");
}

#[test]
fn key_types_are_named_like_the_algorithms_that_make_them() {
    for algorithm in KeyAlgorithm::ALL {
        assert_eq!(KeyType::from(algorithm).to_string(), algorithm.to_string());
    }
    assert_eq!(KeyType::Rsa { bits: 2560 }.to_string(), "RSA-2560");
    assert_eq!(KeyType::Ecdsa(Curve::P521).to_string(), "ECDSA-P521");
}

#[test]
fn keys_are_equal_by_their_bytes_and_debug_shows_only_kind_and_identifier() {
    let (one, other) = (TestKey::p256().public(), TestKey::p256().public());
    assert_eq!(one, one.clone());
    assert_ne!(one, other);
    assert_eq!(format!("{one:?}"), format!("PublicKey(ECDSA-P256, {})", hex::encode(one.key_identifier())));
}

#[test]
fn parts_that_make_no_key_are_refused() {
    let public = TestKey::p256().public();
    let (x, y) = public.key_bytes()[1..].split_at(32);
    let refused = |outcome: Result<PublicKey, KeyError>| outcome.expect_err("parts that make no key");
    assert_eq!(refused(PublicKey::from_ec_coordinates(Curve::P256, y, y)), KeyError::EcPoint);
    assert_eq!(refused(PublicKey::from_ec_coordinates(Curve::P384, x, y)), KeyError::EcPoint);
    // The octets of the right point, divided elsewhere.
    let (x, y) = public.key_bytes()[1..].split_at(31);
    assert_eq!(refused(PublicKey::from_ec_coordinates(Curve::P256, x, y)), KeyError::EcPoint);
    assert_eq!(refused(PublicKey::from_ed25519_octets(&[1; 33])), KeyError::Ed25519);
    assert_eq!(refused(PublicKey::from_rsa_numbers(&[], &[3])), KeyError::RsaModulusSize { bits: 0 });
    assert_eq!(refused(PublicKey::from_rsa_numbers(&[0xff; 256], &[2])), KeyError::RsaExponent);
}

#[test]
fn a_key_that_is_put_together_is_the_key_whose_parts_it_has() {
    for key in TestKey::one_of_each() {
        let public = key.public();
        let bytes = public.key_bytes();
        let again = match public.key_type() {
            KeyType::Ecdsa(curve) => {
                let (x, y) = bytes[1..].split_at(bytes.len() / 2);
                PublicKey::from_ec_coordinates(curve, x, y)
            }
            KeyType::Rsa { .. } => {
                let (modulus, exponent) = parse_all(bytes, |reader| {
                    reader.sequence(|rsa| Ok::<_, DerError>((rsa.unsigned()?, rsa.unsigned()?)))
                })
                .unwrap();
                PublicKey::from_rsa_numbers(modulus, exponent)
            }
            KeyType::Ed25519 => PublicKey::from_ed25519_octets(bytes),
        };
        assert_eq!(again.unwrap(), public);
    }
}
