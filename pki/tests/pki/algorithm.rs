//! Algorithm names and identifiers.

use pki::{
    algorithm::{AlgorithmError, KeyAlgorithm, SignatureAlgorithm},
    der_io::{DerError, encode},
};

fn identifier(oid: &str, parameters: &[u8]) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|identifier| {
            identifier.oid(&pki::ObjectIdentifier::new(oid).unwrap());
            identifier.raw(parameters);
        });
    })
}

fn refusal(der: &[u8]) -> AlgorithmError {
    SignatureAlgorithm::from_identifier_der(der).expect_err("an algorithm that must be refused")
}

#[test]
fn weak_unknown_and_malformed_algorithms_are_refused_with_their_reason() {
    let null = [5, 0];
    let unknown = pki::ObjectIdentifier::new("1.2.3.4").unwrap();
    let cases = [
        (identifier("1.2.840.113549.1.1.5", &null), AlgorithmError::Weak("sha1WithRSAEncryption")),
        (identifier("1.2.840.113549.1.1.4", &null), AlgorithmError::Weak("md5WithRSAEncryption")),
        (identifier("1.2.840.113549.1.1.14", &null), AlgorithmError::Weak("sha224WithRSAEncryption")),
        (identifier("1.2.840.10045.4.1", &[]), AlgorithmError::Weak("ecdsa-with-SHA1")),
        (identifier("1.2.840.10045.4.3.1", &[]), AlgorithmError::Weak("ecdsa-with-SHA224")),
        (identifier("1.2.840.113549.1.1.10", &[]), AlgorithmError::Weak("RSASSA-PSS with SHA-1")),
        (identifier("1.2.840.113549.1.1.10", &[0x30, 0]), AlgorithmError::Weak("RSASSA-PSS with SHA-1")),
        (identifier("1.2.3.4", &null), AlgorithmError::Unsupported(unknown)),
        (identifier("1.2.840.10045.4.3.2", &null), AlgorithmError::Parameters),
        (identifier("1.3.101.112", &null), AlgorithmError::Parameters),
        (identifier("1.2.840.113549.1.1.11", &[4, 0]), AlgorithmError::Parameters),
        (identifier("1.2.840.113549.1.1.11", &[5, 1, 0]), AlgorithmError::Malformed(DerError::Null)),
        (vec![0x30, 0x01], AlgorithmError::Malformed(DerError::Truncated)),
    ];
    for (der, expected) in cases {
        assert_eq!(refusal(&der), expected, "{}", hex::encode(der));
    }
}

#[test]
fn identifiers_read_back_as_what_wrote_them_and_are_what_x509_cert_reads() {
    use der::{Decode, Encode};
    for algorithm in SignatureAlgorithm::ALL {
        let der = algorithm.identifier_der();
        assert_eq!(SignatureAlgorithm::from_identifier_der(der), Ok(algorithm));
        let read = spki::AlgorithmIdentifierOwned::from_der(der).unwrap();
        assert_eq!(read.to_der().unwrap(), der);
        let longer = [der, &[0]].concat();
        assert_eq!(refusal(&longer), AlgorithmError::Malformed(DerError::Trailing));
    }
}

#[test]
fn pss_parameters_without_null_are_read_and_with_another_salt_refused() {
    let canonical = SignatureAlgorithm::RsaPssSha256.identifier_der();
    let mut salt = canonical.to_vec();
    *salt.last_mut().unwrap() = 20;
    assert_eq!(refusal(&salt), AlgorithmError::PssParameters);

    let digest = identifier("2.16.840.1.101.3.4.2.1", &[]);
    let parameters = encode(|writer| {
        writer.sequence(|members| {
            members.primitive(0xa0, &digest);
            members.primitive(0xa1, &identifier("1.2.840.113549.1.1.8", &digest));
            members.primitive(0xa2, &[2, 1, 32]);
        });
    });
    let der = identifier("1.2.840.113549.1.1.10", &parameters);
    assert_eq!(SignatureAlgorithm::from_identifier_der(&der), Ok(SignatureAlgorithm::RsaPssSha256));
}

#[test]
fn rsa_without_parameters_is_read() {
    let der = identifier("1.2.840.113549.1.1.11", &[]);
    assert_eq!(SignatureAlgorithm::from_identifier_der(&der), Ok(SignatureAlgorithm::RsaPkcs1Sha256));
}

#[test]
fn key_algorithms_have_one_spelling_everywhere() {
    for algorithm in KeyAlgorithm::ALL {
        let text = algorithm.to_string();
        assert_eq!(text.parse(), Ok(algorithm));
        let json = serde_json::to_string(&algorithm).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<KeyAlgorithm>(&json).unwrap(), algorithm);
    }
    assert_eq!(
        "rsa-1024".parse::<KeyAlgorithm>(),
        Err(AlgorithmError::UnknownKeyAlgorithm("rsa-1024".to_owned()))
    );
}
