//! What is taken for a passphrase, and keys under one, judged by OpenSSL.

use pki::{
    der_io::DerError,
    encrypted_key::{EncryptedKeyError, PEM_LABEL, encrypt_private_key},
    passphrase::{Iterations, IterationsError, Passphrase, PassphraseError},
    pem,
};

use crate::support::{TestKey, openssl, openssl_bytes};

fn few() -> Iterations {
    Iterations::new(Iterations::FEWEST).unwrap()
}

/// The public key of what this passphrase opens.
fn openssl_opens(encrypted: &[u8], passphrase: &str) -> Result<Vec<u8>, String> {
    let given = format!("pass:{passphrase}");
    let arguments =
        ["pkey", "-inform", "DER", "-in", "@key", "-passin", &given, "-pubout", "-outform", "DER"];
    openssl_bytes(&arguments, &[("key", encrypted)])
}

#[test]
fn passphrases_that_some_program_could_not_take_are_refused_with_their_reason() {
    let refusal = |text: &str| Passphrase::new(text).expect_err("a passphrase that must be refused");
    assert_eq!(refusal(""), PassphraseError::Empty);
    assert_eq!(refusal(&"a".repeat(Passphrase::LONGEST + 1)), PassphraseError::TooLong);
    assert_eq!(refusal(&"ß".repeat(Passphrase::LONGEST + 1)), PassphraseError::TooLong);
    for control in ["one\ntwo", "tab\t", "\0", "nul\0inside", "delete\u{7f}", "c1\u{85}"] {
        assert_eq!(refusal(control), PassphraseError::ControlCharacter, "{control:?}");
    }
    assert_eq!(refusal("correct horse 🐴"), PassphraseError::BeyondBmp);
    assert_eq!(refusal("\u{10000}"), PassphraseError::BeyondBmp);
}

#[test]
fn passphrases_of_any_script_within_the_basic_plane_are_taken() {
    for (text, ascii) in [("x", true), (" spaces are kept ", true), ("Schlüssel", false), ("密码", false)]
    {
        assert_eq!(Passphrase::new(text).unwrap().is_ascii(), ascii, "{text}");
    }
    assert!(Passphrase::new(&"ß".repeat(Passphrase::LONGEST)).is_ok());
    assert!(Passphrase::new("\u{ffff}").is_ok());
}

#[test]
fn iteration_counts_have_a_floor_and_a_ceiling() {
    for count in [0, 1, Iterations::FEWEST - 1, Iterations::MOST + 1, u32::MAX] {
        assert_eq!(Iterations::new(count), Err(IterationsError), "{count}");
    }
    for count in [Iterations::FEWEST, 2048, Iterations::MOST] {
        assert_eq!(Iterations::new(count).unwrap().get().get(), count);
    }
    assert_eq!(Iterations::new(600_000), Ok(Iterations::ENCRYPTED_KEY));
    assert_eq!(Iterations::new(300_000), Ok(Iterations::PKCS12));
}

#[test]
fn a_passphrase_is_not_shown() {
    assert_eq!(format!("{:?}", Passphrase::new("hunter2").unwrap()), "Passphrase(redacted)");
}

#[test]
fn openssl_opens_encrypted_keys_of_every_kind_with_their_passphrase_and_no_other() {
    let passphrase = Passphrase::new("correct horse").unwrap();
    for key in TestKey::one_of_each() {
        let encrypted = encrypt_private_key(&key.pkcs8(), &passphrase, few()).unwrap();
        assert_eq!(openssl_opens(&encrypted, "correct horse").unwrap(), key.spki(), "{:?}", key.algorithm);
        for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
            assert!(openssl_opens(&encrypted, wrong).is_err(), "{wrong:?}");
        }
    }
}

#[test]
fn openssl_opens_an_encrypted_key_in_pem_by_its_own_command() {
    let key = TestKey::p256();
    let encrypted = encrypt_private_key(&key.pkcs8(), &Passphrase::new("secret").unwrap(), few()).unwrap();
    let text = pem::encode(PEM_LABEL, &encrypted);
    let arguments = ["pkcs8", "-in", "@key", "-passin", "pass:secret"];
    let opened = openssl(&arguments, &[("key", text.as_bytes())]).unwrap();
    let blocks = pem::decode_all(opened.as_bytes()).unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].label, "PRIVATE KEY");
    let public = ["pkey", "-pubout", "-outform", "DER", "-in", "@key"];
    assert_eq!(openssl_bytes(&public, &[("key", opened.as_bytes())]).unwrap(), key.spki());
}

#[test]
fn openssl_opens_a_key_whose_passphrase_is_not_ascii_or_as_long_as_can_be() {
    let key = TestKey::p256();
    for text in ["Schlüssel zum Kühlraum", "пароль", "密码", &"ß".repeat(Passphrase::LONGEST)] {
        let encrypted = encrypt_private_key(&key.pkcs8(), &Passphrase::new(text).unwrap(), few()).unwrap();
        assert_eq!(openssl_opens(&encrypted, text).unwrap(), key.spki(), "{text}");
    }
}

#[test]
fn an_encrypted_key_says_how_it_is_encrypted() {
    let (key, passphrase) = (TestKey::p256(), Passphrase::new("secret").unwrap());
    let encrypted = encrypt_private_key(&key.pkcs8(), &passphrase, Iterations::ENCRYPTED_KEY).unwrap();
    let shown = openssl(&["asn1parse", "-inform", "DER", "-in", "@key"], &[("key", &encrypted)]).unwrap();
    // 0x0927c0 is 600,000.
    for part in [":PBES2", ":PBKDF2", ":hmacWithSHA256", ":aes-256-cbc", ":0927C0"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(openssl_opens(&encrypted, "secret").unwrap(), key.spki());
}

#[test]
fn salt_and_initialisation_vector_are_fresh_for_each_encryption() {
    let (key, passphrase) = (TestKey::p256().pkcs8(), Passphrase::new("secret").unwrap());
    let random_parts = || {
        let encrypted = encrypt_private_key(&key, &passphrase, few()).unwrap();
        let shown = openssl(&["asn1parse", "-inform", "DER", "-in", "@key"], &[("key", &encrypted)]).unwrap();
        let octet_strings = shown.lines().filter_map(|line| line.split_once("[HEX DUMP]:"));
        octet_strings.map(|(_, octets)| octets.to_owned()).collect::<Vec<String>>()
    };
    let (first, second) = (random_parts(), random_parts());
    assert_eq!((first.len(), second.len()), (3, 3), "salt, vector and key: {first:?}");
    assert!(first.iter().take(2).all(|octets| octets.len() == 32), "{first:?}");
    assert!(first.iter().all(|octets| !second.contains(octets)), "{first:?} {second:?}");
}

#[test]
fn what_is_no_private_key_is_not_encrypted() {
    let passphrase = Passphrase::new("secret").unwrap();
    let refusal = |bytes: &[u8]| encrypt_private_key(bytes, &passphrase, few()).expect_err("no key");
    assert_eq!(refusal(&[]), EncryptedKeyError::Malformed(DerError::Truncated));
    let key = TestKey::p256();
    assert_eq!(
        refusal(&[key.pkcs8().as_slice(), &[0]].concat()),
        EncryptedKeyError::Malformed(DerError::Trailing)
    );
    assert!(matches!(refusal(&key.spki()), EncryptedKeyError::Malformed(DerError::UnexpectedTag { .. })));
}
