//! Signed messages and the private keys in them, judged by OpenSSL.

use pki::{
    ObjectIdentifier,
    algorithm::SignatureAlgorithm,
    attribute::Attribute,
    cms::{
        DATA, SIGNED_DATA,
        enveloped::{ContentCipher, EnvelopedData, Recipient},
        signed_data::{SignedData, SignedDataBuilder},
    },
    der_io::{DerError, encode, tag},
    key_package::{ASYMMETRIC_KEY_PACKAGE, asymmetric_key_package, asymmetric_keys, private_key_info},
    pem,
};

use crate::support::{NOT_BEFORE, TestKey, common_name, openssl, openssl_bytes};

const CONTENT: &[u8] = b"signed as it stands\n";

/// What `openssl cms -verify` takes out of a message, with this certificate as the only trust anchor.
fn openssl_verify(message: &[u8], anchor: &[u8]) -> Result<Vec<u8>, String> {
    let anchor = pem::encode("CERTIFICATE", anchor);
    let arguments = [
        "cms", "-verify", "-binary", "-inform", "DER", "-in", "@message", "-CAfile", "@anchor", "-purpose",
        "any",
    ];
    openssl_bytes(&arguments, &[("message", message), ("anchor", anchor.as_bytes())])
}

fn sign(builder: SignedDataBuilder<'_>, key: &TestKey) -> SignedData {
    let prepared = builder.prepare();
    assert_eq!(prepared.algorithm(), key.algorithm);
    let signature = key.sign(prepared.to_be_signed());
    prepared.assemble(&signature)
}

#[test]
fn openssl_verifies_what_keys_of_every_kind_sign() {
    for key in TestKey::one_of_each() {
        // OpenSSL 3.0 has no Ed25519 in CMS (RFC 8419).
        if key.algorithm == SignatureAlgorithm::Ed25519 {
            continue;
        }
        let certificate = key.self_signed("signer");
        for content_type in [DATA, ASYMMETRIC_KEY_PACKAGE] {
            let builder = SignedDataBuilder::new(content_type, CONTENT, &certificate, key.algorithm);
            let message = sign(builder.with_signing_time(NOT_BEFORE), &key).content_info_der();
            assert_eq!(
                openssl_verify(&message, certificate.der()).as_deref(),
                Ok(CONTENT),
                "{:?}",
                key.algorithm
            );
        }
    }
}

#[test]
fn openssl_refuses_a_message_whose_content_or_signature_was_changed() {
    let key = TestKey::p256();
    let certificate = key.self_signed("signer");
    let builder = || SignedDataBuilder::new(DATA, CONTENT, &certificate, key.algorithm);
    let message = sign(builder(), &key).content_info_der();
    let content = message.windows(CONTENT.len()).position(|window| window == CONTENT).unwrap();
    let mut changed = message.clone();
    changed[content] ^= 1;
    let refused = openssl_verify(&changed, certificate.der()).unwrap_err();
    assert!(refused.contains("content verify error"), "{refused}");
    let foreign = TestKey::p256().sign(builder().prepare().to_be_signed());
    let message = builder().prepare().assemble(&foreign).content_info_der();
    assert!(openssl_verify(&message, certificate.der()).unwrap_err().contains("verification failure"));
}

#[test]
fn the_chain_follows_the_signer_and_further_attributes_are_signed() {
    let (root, key) = (TestKey::rsa(), TestKey::p256());
    let anchor = root.self_signed("root");
    let leaf = root.issue(anchor.subject(), &common_name("signer"), &key.public(), &[]);
    let leaf = pki::certificate::Certificate::from_der(&leaf).unwrap();
    let transaction = ObjectIdentifier::new("2.16.840.1.113733.1.9.7").unwrap();
    let text = encode(|writer| writer.primitive(tag::PRINTABLE_STRING, b"transaction-7"));
    let builder = SignedDataBuilder::new(DATA, CONTENT, &leaf, key.algorithm)
        .with_chain([&anchor])
        .with_attribute(Attribute::new(transaction, vec![text]));
    let message = sign(builder, &key).content_info_der();
    assert_eq!(openssl_verify(&message, anchor.der()).as_deref(), Ok(CONTENT));
    let position = |needle: &[u8]| message.windows(needle.len()).position(|window| window == needle);
    assert!(position(leaf.der()).unwrap() < position(anchor.der()).unwrap());
    let printed =
        openssl(&["cms", "-cmsout", "-print", "-inform", "DER", "-in", "@m"], &[("m", &message)]).unwrap();
    assert!(printed.contains("transaction-7"), "{printed}");
}

/// RFC 7030 §4.4.2: EnvelopedData around SignedData around AsymmetricKeyPackage.
#[test]
fn openssl_unpacks_a_generated_key_from_its_three_wrappings() {
    let (authority, device) = (TestKey::p256(), TestKey::rsa());
    let (anchor, own) = (authority.self_signed("authority"), device.self_signed("device"));
    for generated in TestKey::one_of_each() {
        // Ed25519 comes with its public key, which OpenSSL 3.0 does not read.
        let pkcs8 = private_key_info(&generated.pkcs8()).unwrap();
        let package = asymmetric_key_package(&pkcs8).unwrap();
        let signed = sign(
            SignedDataBuilder::new(ASYMMETRIC_KEY_PACKAGE, &package, &anchor, authority.algorithm),
            &authority,
        );
        let recipient = Recipient::certificate(&own).unwrap();
        let message =
            EnvelopedData::encrypt(&recipient, SIGNED_DATA, signed.der(), ContentCipher::Aes256Cbc).unwrap();

        let arguments = [
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "@message", "-inkey", "@key", "-recip",
            "@cert",
        ];
        let files = [
            ("message", message.to_der()),
            ("key", pem::encode("PRIVATE KEY", &device.pkcs8()).into_bytes()),
            ("cert", pem::encode("CERTIFICATE", own.der()).into_bytes()),
        ];
        let files = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
        let inner = openssl_bytes(&arguments, &files).unwrap();
        assert_eq!(inner, signed.der());
        let info = encode(|writer| {
            writer.sequence(|info| {
                info.oid(&SIGNED_DATA);
                info.nested(tag::context_constructed(0), |explicit| explicit.raw(&inner));
            });
        });
        assert_eq!(info, signed.content_info_der());
        let unpacked = openssl_verify(&info, anchor.der()).unwrap();
        let keys = asymmetric_keys(&unpacked).unwrap();
        assert_eq!(keys, [pkcs8.as_slice()]);
        let public = ["pkey", "-inform", "DER", "-in", "@key", "-pubout", "-outform", "DER"];
        assert_eq!(openssl_bytes(&public, &[("key", keys[0])]).unwrap(), generated.spki());
    }
}

#[test]
fn what_is_no_private_key_is_not_packaged_and_not_unpacked() {
    let pkcs8 = TestKey::p256().pkcs8();
    let refusal = |bytes: &[u8]| asymmetric_key_package(bytes).expect_err("no key");
    assert_eq!(refusal(&[]), DerError::Truncated);
    assert_eq!(refusal(&[pkcs8.as_slice(), &[0]].concat()), DerError::Trailing);
    assert_eq!(refusal(&TestKey::p256().spki()), DerError::UnexpectedTag { expected: 2, found: 0x30 });
    let encode_key = |version: u64, rest: &[u8]| {
        encode(|writer| {
            writer.sequence(|key| {
                key.small_unsigned(version);
                key.sequence(|algorithm| algorithm.oid(&ASYMMETRIC_KEY_PACKAGE));
                key.octet_string(&[7]);
                key.raw(rest);
            });
        })
    };
    assert_eq!(refusal(&encode_key(2, &[])), DerError::Version);
    assert_eq!(refusal(&encode_key(0, &[0x81, 1, 0])), DerError::Version);
    assert!(asymmetric_key_package(&encode_key(1, &[0x81, 1, 0])).is_ok());
    assert_eq!(asymmetric_keys(&[0x30, 0]), Err(DerError::EmptyList));
    assert!(asymmetric_keys(&pkcs8).is_err());
}

#[test]
fn no_content_is_shown() {
    let key = TestKey::p256();
    let certificate = key.self_signed("signer");
    let builder = SignedDataBuilder::new(DATA, &[0x5a; 64], &certificate, key.algorithm);
    let mut shown = format!("{builder:?}");
    let prepared = builder.prepare();
    shown += &format!("{prepared:?}");
    shown += &format!("{:?}", prepared.assemble(&[1]));
    assert!(!shown.contains("90, 90"), "{shown}");
}
