//! Encrypted messages: refusals, no oracle, and OpenSSL as judge in both directions.

use pki::{
    ObjectIdentifier,
    certificate::Certificate,
    cms::{
        AUTH_ENVELOPED_DATA, DATA, ENVELOPED_DATA, SIGNED_DATA,
        enveloped::{
            ContentCipher, DecryptionKey, EnvelopedData, EnvelopedError, Recipient, RecipientIdentifier,
            RsaPadding, SymmetricKey, encrypt,
        },
    },
    der_io::{DerError, Reader, Writer, encode, tag},
    key::PublicKey,
    name::Name,
    pem,
};

use crate::support::{TestKey, openssl, openssl_bytes, recorded};

const PLAINTEXT: &[u8] = b"a private key, or a certificate that nobody else may see";
const SHARED: [u8; 32] = [0x5a; 32];

/// A key, its certificate, and both as PEM.
struct Peer {
    certificate: Certificate,
    pkcs8: Vec<u8>,
}

impl Peer {
    fn new(key: &TestKey) -> Self {
        Self { certificate: key.self_signed("peer"), pkcs8: key.pkcs8() }
    }

    fn rsa() -> Self {
        Self::new(&TestKey::rsa())
    }

    fn key(&self) -> DecryptionKey {
        DecryptionKey::for_certificate(&self.certificate, &self.pkcs8).unwrap()
    }

    fn recipient(&self) -> Recipient {
        Recipient::certificate(&self.certificate).unwrap()
    }

    fn by_key_identifier(&self) -> Recipient {
        let identifier = self.certificate.subject_key_identifier().unwrap().unwrap();
        let identifier = RecipientIdentifier::SubjectKeyIdentifier(identifier.0);
        Recipient::public_key(identifier, self.certificate.public_key()).unwrap()
    }

    fn certificate_pem(&self) -> String {
        pem::encode("CERTIFICATE", self.certificate.der())
    }

    /// What `openssl cms -decrypt` makes of a message.
    fn openssl_decrypt(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let arguments = [
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "@message", "-recip", "@cert", "-inkey",
            "@key",
        ];
        let key = pem::encode("PRIVATE KEY", &self.pkcs8);
        let certificate = self.certificate_pem();
        let files = [("message", message), ("cert", certificate.as_bytes()), ("key", key.as_bytes())];
        openssl_bytes(&arguments, &files)
    }

    /// A message to this peer that `openssl cms -encrypt` makes.
    fn openssl_encrypt(&self, options: &[&str]) -> Vec<u8> {
        let head = ["cms", "-encrypt", "-binary", "-in", "@plain", "-outform", "DER"];
        let arguments = [&head, &options[..1], &["-recip", "@cert"], &options[1..]].concat();
        let certificate = self.certificate_pem();
        openssl_bytes(&arguments, &[("plain", PLAINTEXT), ("cert", certificate.as_bytes())]).unwrap()
    }
}

fn ec_keys() -> Vec<TestKey> {
    let is_ec = |key: &TestKey| matches!(key.public().key_type(), pki::key::KeyType::Ecdsa(_));
    TestKey::one_of_each().into_iter().filter(is_ec).collect()
}

fn symmetric(octets: usize) -> SymmetricKey {
    SymmetricKey::new(*b"device-7", SHARED[..octets].to_vec().into()).unwrap()
}

fn refusal(der: &[u8]) -> EnvelopedError {
    EnvelopedData::from_der(der).expect_err("a message that must be refused")
}

/// A message whose members after the version are written by hand.
fn composed(content_type: ObjectIdentifier, version: u64, members: impl FnOnce(&mut Writer)) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|info| {
            info.oid(&content_type);
            info.nested(tag::context_constructed(0), |explicit| {
                explicit.sequence(|content| {
                    content.small_unsigned(version);
                    members(content);
                });
            });
        });
    })
}

/// A recipient that nothing here reads: `[4] OtherRecipientInfo`.
fn other_recipient(content: &mut Writer) {
    content.nested(tag::SET, |set| set.primitive(tag::context_constructed(4), &[5, 0]));
}

fn encrypted_content(content: &mut Writer, cipher: ObjectIdentifier, parameters: &[u8], has_content: bool) {
    content.sequence(|encrypted| {
        encrypted.oid(&DATA);
        encrypted.sequence(|identifier| {
            identifier.oid(&cipher);
            identifier.raw(parameters);
        });
        if has_content {
            encrypted.primitive(tag::context(0), &[0; 16]);
        }
    });
}

fn octets(length: usize) -> Vec<u8> {
    encode(|writer| writer.octet_string(&vec![0; length]))
}

fn gcm_parameters(nonce: usize, tag_length: Option<u64>) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|parameters| {
            parameters.octet_string(&vec![0; nonce]);
            tag_length.into_iter().for_each(|length| parameters.small_unsigned(length));
        });
    })
}

#[test]
fn messages_that_are_not_encrypted_ones_are_refused_with_their_reason() {
    assert_eq!(refusal(&recorded("cms_signed")), EnvelopedError::NotEnvelopedData);
    let cbc = ContentCipher::Aes128Cbc.oid();
    let enveloped = |version, members: &dyn Fn(&mut Writer)| composed(ENVELOPED_DATA, version, members);
    let good = |content: &mut Writer| {
        other_recipient(content);
        encrypted_content(content, cbc, &octets(16), true);
    };
    assert!(EnvelopedData::from_der(&enveloped(3, &good)).is_ok());
    assert_eq!(refusal(&enveloped(1, &good)), EnvelopedError::Malformed(DerError::Version));
    assert_eq!(
        refusal(&composed(AUTH_ENVELOPED_DATA, 3, good)),
        EnvelopedError::Malformed(DerError::Version)
    );
    let no_recipient = |content: &mut Writer| {
        content.nested(tag::SET, |_| ());
        encrypted_content(content, cbc, &octets(16), true);
    };
    assert_eq!(refusal(&enveloped(0, &no_recipient)), EnvelopedError::Malformed(DerError::EmptyList));
    let detached = |content: &mut Writer| {
        other_recipient(content);
        encrypted_content(content, cbc, &octets(16), false);
    };
    assert_eq!(refusal(&enveloped(3, &detached)), EnvelopedError::NoContent);
    let trailing = |content: &mut Writer| {
        good(content);
        content.null();
    };
    assert_eq!(refusal(&enveloped(3, &trailing)), EnvelopedError::Malformed(DerError::Trailing));
}

#[test]
fn ciphers_that_cannot_be_used_are_refused_with_their_reason() {
    let with = |content_type, cipher: ObjectIdentifier, parameters: &[u8]| {
        refusal(&composed(content_type, 0, |content| {
            other_recipient(content);
            encrypted_content(content, cipher, parameters, true);
            content.octet_string(&[0; 16]);
        }))
    };
    let (cbc, gcm) = (ContentCipher::Aes256Cbc.oid(), ContentCipher::Aes256Gcm.oid());
    let des = ObjectIdentifier::new("1.2.840.113549.3.7").unwrap();
    assert_eq!(with(ENVELOPED_DATA, des, &octets(8)), EnvelopedError::UnsupportedCipher(des));
    assert_eq!(with(ENVELOPED_DATA, cbc, &octets(15)), EnvelopedError::CipherParameters);
    assert_eq!(with(ENVELOPED_DATA, cbc, &[]), EnvelopedError::Malformed(DerError::Truncated));
    let good_gcm = gcm_parameters(12, Some(16));
    // A cipher in the other kind of message.
    assert_eq!(with(ENVELOPED_DATA, gcm, &good_gcm), EnvelopedError::UnsupportedCipher(gcm));
    assert_eq!(with(AUTH_ENVELOPED_DATA, cbc, &octets(16)), EnvelopedError::UnsupportedCipher(cbc));
    for parameters in [gcm_parameters(12, None), gcm_parameters(12, Some(8)), gcm_parameters(8, Some(16))] {
        assert_eq!(with(AUTH_ENVELOPED_DATA, gcm, &parameters), EnvelopedError::CipherParameters);
    }
    let short_tag = composed(AUTH_ENVELOPED_DATA, 0, |content| {
        other_recipient(content);
        encrypted_content(content, gcm, &good_gcm, true);
        content.octet_string(&[0; 12]);
    });
    assert_eq!(refusal(&short_tag), EnvelopedError::CipherParameters);
}

#[test]
fn every_message_that_is_cut_off_or_has_more_after_it_is_refused() {
    let ec = Peer::new(&TestKey::p256());
    let messages = [
        encrypt(&Peer::rsa().by_key_identifier(), DATA, PLAINTEXT, ContentCipher::Aes256Cbc).unwrap(),
        encrypt(&ec.recipient(), SIGNED_DATA, PLAINTEXT, ContentCipher::Aes128Gcm).unwrap(),
        encrypt(&Recipient::symmetric(symmetric(16)), DATA, PLAINTEXT, ContentCipher::Aes128Cbc).unwrap(),
    ];
    for message in messages {
        assert!(EnvelopedData::from_der(&message).is_ok());
        for length in 0..message.len() {
            assert!(EnvelopedData::from_der(&message[..length]).is_err(), "{length} octets");
        }
        let longer = [message.as_slice(), &[0]].concat();
        assert_eq!(refusal(&longer), EnvelopedError::Malformed(DerError::Trailing));
    }
}

#[test]
fn keys_that_nothing_can_be_encrypted_to_are_refused() {
    let name = RecipientIdentifier::SubjectKeyIdentifier(vec![7]);
    for spki in ["csr_ed25519", "csr_rsa_1024"].map(recorded) {
        let csr = pki::csr::UnverifiedCsr::from_der(&spki).unwrap().verify().unwrap();
        let refused = Recipient::public_key(name.clone(), csr.public_key()).expect_err("a key to refuse");
        assert_eq!(refused, EnvelopedError::RecipientKey);
    }
    for length in [0, 8, 15, 24, 33] {
        let refused = SymmetricKey::new(*b"id", vec![0; length].into()).expect_err("a length to refuse");
        assert_eq!(refused, EnvelopedError::SymmetricKeyLength);
    }
    let peer = Peer::rsa();
    let ec = TestKey::p256().pkcs8();
    // RFC 5915, without the PKCS #8 around it.
    let bare = Reader::new(&ec).sequence(|info| {
        info.small_unsigned()?;
        info.any()?;
        let bare = info.octet_string()?;
        info.remaining().is_empty().then_some(bare).ok_or(DerError::Trailing)
    });
    for pkcs8 in [&[][..], &peer.pkcs8[1..], peer.certificate.der(), bare.unwrap()] {
        let refused = DecryptionKey::for_certificate(&peer.certificate, pkcs8).expect_err("no key");
        assert_eq!(refused, EnvelopedError::PrivateKey);
    }
    let public = PublicKey::from_spki_der(&recorded("spki_rsa_2048")).unwrap();
    assert!(Recipient::public_key(name, &public).is_ok());
}

#[test]
fn a_message_for_somebody_else_is_told_apart_from_one_that_does_not_decrypt() {
    let (rsa, other) = (Peer::rsa(), Peer::new(&TestKey::p256()));
    for recipient in [rsa.recipient(), other.recipient(), Recipient::symmetric(symmetric(32))] {
        let message = EnvelopedData::encrypt(&recipient, DATA, PLAINTEXT, ContentCipher::Aes128Gcm).unwrap();
        let stranger = Peer::new(&TestKey::p256());
        // The stranger goes by the same issuer and serial number where it has a key of the same kind.
        let by_name = RecipientIdentifier::IssuerAndSerialNumber {
            issuer: Name::empty(),
            serial: *stranger.certificate.serial(),
        };
        let key = DecryptionKey::private_key(by_name, &stranger.pkcs8).unwrap();
        assert_eq!(message.decrypt(&key), Err(EnvelopedError::NotRecipient));
        let shared = SymmetricKey::new(*b"device-8", SHARED.to_vec().into()).unwrap();
        assert_eq!(message.decrypt(&DecryptionKey::symmetric(shared)), Err(EnvelopedError::NotRecipient));
    }
    for (peer, same_name) in [(&rsa, Peer::rsa()), (&other, Peer::new(&TestKey::p256()))] {
        let message =
            EnvelopedData::encrypt(&peer.recipient(), DATA, PLAINTEXT, ContentCipher::Aes128Gcm).unwrap();
        assert_eq!(message.decrypt(&same_name.key()), Err(EnvelopedError::Decryption));
    }
    let recipient = Recipient::symmetric(symmetric(32));
    let message = EnvelopedData::encrypt(&recipient, DATA, PLAINTEXT, ContentCipher::Aes128Gcm).unwrap();
    for wrong in [vec![1; 32], vec![1; 16]] {
        let key = DecryptionKey::symmetric(SymmetricKey::new(*b"device-7", wrong.into()).unwrap());
        assert_eq!(message.decrypt(&key), Err(EnvelopedError::Decryption));
    }
}

#[test]
fn whatever_octet_is_changed_the_one_error_says_nothing_about_it() {
    let (rsa, ec) = (Peer::rsa(), Peer::new(&TestKey::p256()));
    let oaep = rsa.recipient().with_rsa_padding(RsaPadding::OaepSha256);
    for (peer, recipient) in [(&rsa, rsa.recipient()), (&rsa, oaep), (&ec, ec.recipient())] {
        let message = encrypt(&recipient, SIGNED_DATA, PLAINTEXT, ContentCipher::Aes256Gcm).unwrap();
        let key = peer.key();
        assert_eq!(EnvelopedData::from_der(&message).unwrap().decrypt(&key).unwrap().as_slice(), PLAINTEXT);
        let (mut decrypted_none, mut unread) = (0, 0);
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 0x01;
            match EnvelopedData::from_der(&changed).and_then(|message| message.decrypt(&key)) {
                Ok(_) => panic!("octet {at} of {} does not matter", hex::encode(&message)),
                Err(EnvelopedError::Decryption) => decrypted_none += 1,
                Err(_) => unread += 1,
            }
        }
        assert!(decrypted_none > PLAINTEXT.len() + 16 + 40, "{decrypted_none} and {unread}");
    }
}

/// RFC 3218 §2.3.2. With a random key, one message in 256 ends in an octet that passes for padding.
#[test]
fn a_content_key_that_does_not_come_out_is_replaced_by_a_random_one() {
    let peer = Peer::rsa();
    let key = peer.key();
    let message = encrypt(&peer.recipient(), DATA, PLAINTEXT, ContentCipher::Aes128Cbc).unwrap();
    let mut broken = message.clone();
    let encrypted_key = message.windows(4).position(|window| window == [4, 0x82, 1, 0]).unwrap() + 4;
    broken[encrypted_key + 255] ^= 1;
    let broken = EnvelopedData::from_der(&broken).unwrap();
    let outcomes = (0..20_000).map(|_| broken.decrypt(&key));
    let garbage = outcomes.inspect(|outcome| {
        assert!(matches!(outcome, Ok(_) | Err(EnvelopedError::Decryption)), "{outcome:?}");
    });
    let garbage = garbage.flatten().next().expect("decryption never goes on with a random key");
    assert_ne!(garbage.as_slice(), PLAINTEXT);
}

#[test]
fn openssl_decrypts_key_transport_with_either_padding_and_either_name() {
    let peer = Peer::rsa();
    for cipher in [ContentCipher::Aes128Cbc, ContentCipher::Aes256Cbc, ContentCipher::Aes256Gcm] {
        for padding in [RsaPadding::Pkcs1, RsaPadding::OaepSha256] {
            for recipient in [peer.recipient(), peer.by_key_identifier()] {
                let recipient = recipient.with_rsa_padding(padding);
                let message = encrypt(&recipient, DATA, PLAINTEXT, cipher).unwrap();
                let read = peer.openssl_decrypt(&message);
                assert_eq!(read.as_deref(), Ok(PLAINTEXT), "{cipher:?} {padding:?} {recipient:?}");
            }
        }
    }
}

#[test]
fn openssl_decrypts_key_agreement_on_every_curve() {
    for key in ec_keys() {
        let peer = Peer::new(&key);
        for recipient in [peer.recipient(), peer.by_key_identifier()] {
            let message = encrypt(&recipient, DATA, PLAINTEXT, ContentCipher::Aes256Cbc).unwrap();
            assert_eq!(peer.openssl_decrypt(&message).as_deref(), Ok(PLAINTEXT), "{recipient:?}");
        }
    }
}

#[test]
fn openssl_decrypts_with_a_shared_key() {
    for octets in [16, 32] {
        let recipient = Recipient::symmetric(symmetric(octets));
        let message = encrypt(&recipient, DATA, PLAINTEXT, ContentCipher::Aes256Cbc).unwrap();
        let (key, identifier) = (hex::encode(&SHARED[..octets]), hex::encode("device-7"));
        let arguments = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "@message"];
        let secret = ["-secretkey", &key, "-secretkeyid", &identifier];
        let read = openssl_bytes(&[&arguments[..], &secret].concat(), &[("message", &message)]);
        assert_eq!(read.as_deref(), Ok(PLAINTEXT));
    }
}

#[test]
fn messages_that_openssl_made_are_read_and_written_again_byte_for_byte() {
    let rsa = Peer::rsa();
    let oaep = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
    let mut cases = vec![
        (rsa.openssl_encrypt(&["-aes128"]), rsa.key()),
        (rsa.openssl_encrypt(&["-aes256", "-keyid"]), rsa.key()),
        (rsa.openssl_encrypt(&["-aes-256-gcm"]), rsa.key()),
        (rsa.openssl_encrypt(&[&["-aes256"][..], &oaep].concat()), rsa.key()),
    ];
    for key in ec_keys() {
        let peer = Peer::new(&key);
        for kdf in ["ecdh_kdf_md:sha256", "ecdh_kdf_md:sha384", "ecdh_kdf_md:sha512"] {
            cases.push((peer.openssl_encrypt(&["-aes256", "-keyopt", kdf]), peer.key()));
            cases.push((peer.openssl_encrypt(&["-aes128", "-keyid", "-keyopt", kdf]), peer.key()));
        }
    }
    // Several recipients, of which one can be used and one, by password, is of no use here.
    let shared = ["-secretkey", &hex::encode(SHARED), "-secretkeyid", &hex::encode("device-7")];
    let password = ["-pwri_password", "open sesame"];
    let mixed = rsa.openssl_encrypt(&[&["-aes256"][..], &shared, &password].concat());
    cases.push((mixed.clone(), rsa.key()));
    cases.push((mixed, DecryptionKey::symmetric(symmetric(32))));
    for (der, key) in cases {
        let message = EnvelopedData::from_der(&der).unwrap();
        assert_eq!(message.to_der(), der, "{message:?}");
        assert_eq!(message.decrypt(&key).unwrap().as_slice(), PLAINTEXT, "{message:?}");
        assert_eq!(message.content_type(), DATA);
    }
}

#[test]
fn recorded_messages_are_read_with_the_keys_beside_them() {
    let peer = |name: &str| Peer {
        certificate: Certificate::from_der(&recorded(&format!("recipient_{name}"))).unwrap(),
        pkcs8: recorded(&format!("private_key_{name}")),
    };
    let (rsa, ec) = (peer("rsa").key(), peer("ec").key());
    let shared = DecryptionKey::symmetric(symmetric(16));
    for (name, key) in [
        ("rsa_pkcs1", &rsa),
        ("rsa_by_key_identifier", &rsa),
        ("rsa_oaep", &rsa),
        ("rsa_gcm", &rsa),
        ("ec", &ec),
        ("ec_by_key_identifier", &ec),
        ("shared_key", &shared),
        ("mixed", &shared),
        ("mixed", &rsa),
    ] {
        let der = recorded(&format!("enveloped_{name}"));
        let message = EnvelopedData::from_der(&der).unwrap();
        assert_eq!(message.to_der(), der, "{name}");
        assert_eq!(message.decrypt(key).unwrap().as_slice(), b"only for the owner of the key", "{name}");
    }
}

#[test]
fn algorithms_of_openssl_that_are_too_old_are_refused_by_name() {
    let (rsa, ec) = (Peer::rsa(), Peer::new(&TestKey::p256()));
    let triple_des = ObjectIdentifier::new("1.2.840.113549.3.7").unwrap();
    assert_eq!(refusal(&rsa.openssl_encrypt(&["-des3"])), EnvelopedError::UnsupportedCipher(triple_des));
    let oaep_sha1 = rsa.openssl_encrypt(&["-aes256", "-keyopt", "rsa_padding_mode:oaep"]);
    let outcome = EnvelopedData::from_der(&oaep_sha1).unwrap().decrypt(&rsa.key());
    assert_eq!(outcome, Err(EnvelopedError::KeyManagementParameters));
    let sha1_kdf = ObjectIdentifier::new("1.3.133.16.840.63.0.2").unwrap();
    let outcome = EnvelopedData::from_der(&ec.openssl_encrypt(&["-aes256"])).unwrap().decrypt(&ec.key());
    assert_eq!(outcome, Err(EnvelopedError::UnsupportedKeyManagement(sha1_kdf)));
    let indefinite = rsa.openssl_encrypt(&["-aes256", "-stream"]);
    assert_eq!(refusal(&indefinite), EnvelopedError::Malformed(DerError::Length));
}

#[test]
fn what_is_authenticated_names_the_type_of_the_content() {
    let peer = Peer::rsa();
    let message = encrypt(&peer.recipient(), SIGNED_DATA, PLAINTEXT, ContentCipher::Aes256Gcm).unwrap();
    let read = EnvelopedData::from_der(&message).unwrap();
    assert_eq!((read.content_type(), read.cipher()), (SIGNED_DATA, ContentCipher::Aes256Gcm));
    // The type in the attributes, which comes last, becomes id-data, then the one outside.
    let type_bytes = encode(|writer| writer.oid(&SIGNED_DATA));
    let last = message.windows(type_bytes.len()).rposition(|window| window == type_bytes).unwrap();
    let first = message.windows(type_bytes.len()).position(|window| window == type_bytes).unwrap();
    assert_ne!(first, last);
    for at in [first, last] {
        let mut changed = message.clone();
        changed[at + type_bytes.len() - 1] = 1;
        assert_eq!(refusal(&changed), EnvelopedError::ContentType);
    }
    let printed = openssl(&["asn1parse", "-inform", "DER", "-in", "@m"], &[("m", &message)]).unwrap();
    assert!(printed.contains("aes-256-gcm"), "{printed}");
}

#[test]
fn no_secret_is_shown() {
    let key = symmetric(32);
    let peer = Peer::rsa();
    let message =
        EnvelopedData::encrypt(&peer.recipient(), DATA, PLAINTEXT, ContentCipher::Aes256Cbc).unwrap();
    let shown = format!("{key:?} {:?} {:?} {message:?}", Recipient::symmetric(key.clone()), peer.key());
    assert!(shown.contains(&hex::encode("device-7")));
    assert!(!shown.contains("90, 90") && !shown.contains("5a5a"), "{shown}");
    assert_eq!(message.recipient_identifiers().count(), 1);
}
