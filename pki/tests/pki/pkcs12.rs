//! PKCS #12 files, judged by OpenSSL.

use std::{fs, process::Command};

use pki::{
    certificate::Certificate,
    der_io::DerError,
    passphrase::{Iterations, Passphrase},
    pem,
    pkcs12::{Pkcs12, Pkcs12Error},
};

use crate::support::{TestKey, common_name, openssl_bytes};

const PASSPHRASE: &str = "correct horse";

/// What follows the contents.
const MAC_DATA_OCTETS: usize = 75;

fn few() -> Iterations {
    Iterations::new(Iterations::FEWEST).unwrap()
}

fn written(file: Pkcs12<'_>, passphrase: &str) -> Vec<u8> {
    file.with_iterations(few()).to_der(&Passphrase::new(passphrase).unwrap()).unwrap()
}

/// A leaf of this key, an issuing authority and a root, each signed by the one after it.
fn three_certificates(key: &TestKey) -> [Certificate; 3] {
    let (root_key, issuing_key) = (TestKey::p256(), TestKey::p256());
    let root = root_key.self_signed("root");
    let issuing = root_key.issue(root.subject(), &common_name("issuing"), &issuing_key.public(), &[]);
    let issuing = Certificate::from_der(&issuing).unwrap();
    let leaf = issuing_key.issue(issuing.subject(), &common_name("leaf"), &key.public(), &[]);
    [Certificate::from_der(&leaf).unwrap(), issuing, root]
}

/// What `openssl pkcs12 -nodes` takes out with these further arguments: its PEM, and what it says beside.
fn openssl_opens(file: &[u8], passphrase: &str, further: &[&str]) -> Result<(Vec<u8>, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.p12");
    fs::write(&path, file).unwrap();
    let output = Command::new("openssl")
        .args(["pkcs12", "-nodes", "-passin", &format!("pass:{passphrase}"), "-in"])
        .arg(path)
        .args(further)
        .output()
        .expect("openssl is on the PATH");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok((output.stdout, said)) } else { Err(said) }
}

/// The DER of the certificates that come out, in their order.
fn certificates_in(file: &[u8], further: &[&str]) -> Vec<Vec<u8>> {
    let (text, _) = openssl_opens(file, PASSPHRASE, &[&["-nokeys"], further].concat()).unwrap();
    pem::decode_all(&text).unwrap().into_iter().map(|block| block.der).collect()
}

/// The public key of the private key that comes out.
fn public_key_in(file: &[u8], passphrase: &str) -> Vec<u8> {
    let (text, _) = openssl_opens(file, passphrase, &["-nocerts"]).unwrap();
    openssl_bytes(&["pkey", "-pubout", "-outform", "DER", "-in", "@key"], &[("key", &text)]).unwrap()
}

#[test]
fn openssl_opens_files_with_keys_of_every_kind() {
    for key in TestKey::one_of_each() {
        let [leaf, ..] = three_certificates(&key);
        let file = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), PASSPHRASE);
        assert_eq!(public_key_in(&file, PASSPHRASE), key.spki(), "{:?}", key.algorithm);
        assert_eq!(certificates_in(&file, &[]), [leaf.der()], "{:?}", key.algorithm);
    }
}

#[test]
fn no_other_passphrase_opens_a_file() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let file = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), PASSPHRASE);
    for wrong in ["", "correct hors", "correct horse ", "Correct horse", "сorrect horse"] {
        let said = openssl_opens(&file, wrong, &[]).expect_err(wrong);
        assert!(said.contains("Mac verify error"), "{wrong:?}: {said}");
    }
}

#[test]
fn a_change_of_what_is_in_a_file_is_noticed() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let file = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), PASSPHRASE);
    for at in (0..file.len() - MAC_DATA_OCTETS).step_by(37) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(openssl_opens(&changed, PASSPHRASE, &[]).is_err(), "octet {at} of {}", file.len());
    }
}

#[test]
fn the_chain_follows_the_leaf_in_its_order_and_only_where_it_was_asked_for() {
    let key = TestKey::p256();
    let [leaf, issuing, root] = three_certificates(&key);
    let alone = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), PASSPHRASE);
    assert_eq!(certificates_in(&alone, &[]), [leaf.der()]);
    for chain in [vec![issuing.der()], vec![issuing.der(), root.der()], vec![root.der(), issuing.der()]] {
        let file = Pkcs12::new(&leaf, &key.pkcs8()).unwrap().with_chain(chain.iter().copied());
        let file = written(file, PASSPHRASE);
        assert_eq!(certificates_in(&file, &[]), [&[leaf.der()], chain.as_slice()].concat());
        // What belongs to the key, and what does not.
        assert_eq!(certificates_in(&file, &["-clcerts"]), [leaf.der()]);
        assert_eq!(certificates_in(&file, &["-cacerts"]), chain);
    }
}

#[test]
fn openssl_sees_the_algorithms_and_the_counts_of_a_file_as_they_are_meant_to_be() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let file = Pkcs12::new(&leaf, &key.pkcs8()).unwrap();
    let file = file.to_der(&Passphrase::new(PASSPHRASE).unwrap()).unwrap();
    let (_, said) = openssl_opens(&file, PASSPHRASE, &["-info"]).unwrap();
    assert!(said.contains("MAC: sha256, Iteration 300000\nMAC length: 32, salt length: 16\n"), "{said}");
    let encryption = "PBES2, PBKDF2, AES-256-CBC, Iteration 300000, PRF hmacWithSHA256";
    assert!(said.contains(&format!("PKCS7 Encrypted data: {encryption}")), "{said}");
    assert!(said.contains(&format!("Shrouded Keybag: {encryption}")), "{said}");
}

#[test]
fn the_key_and_the_leaf_have_the_same_identifier_and_the_friendly_name_if_there_is_one() {
    let key = TestKey::p256();
    let [leaf, issuing, _] = three_certificates(&key);
    let identifier = key.public().key_identifier().map(|octet| format!("{octet:02X} ")).concat();
    let attributes = |file: &[u8], further: &[&str]| {
        let (text, _) = openssl_opens(file, PASSPHRASE, further).unwrap();
        String::from_utf8(text).unwrap()
    };
    let file = Pkcs12::new(&leaf, &key.pkcs8()).unwrap().with_chain([issuing.der()]);
    let named = written(file.with_friendly_name("cold store 7").unwrap(), PASSPHRASE);
    for part in [["-nocerts"].as_slice(), &["-nokeys", "-clcerts"]] {
        let shown = attributes(&named, part);
        assert!(shown.contains(&format!("localKeyID: {identifier}")), "{shown}");
        assert!(shown.contains("friendlyName: cold store 7\n"), "{shown}");
    }
    let chain = attributes(&named, &["-nokeys", "-cacerts"]);
    assert!(!chain.contains("localKeyID") && !chain.contains("friendlyName"), "{chain}");
    let nameless = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), PASSPHRASE);
    let shown = attributes(&nameless, &[]);
    assert_eq!(shown.matches(&identifier).count(), 2, "{shown}");
    assert!(!shown.contains("friendlyName"), "{shown}");
}

#[test]
fn openssl_opens_a_file_whose_passphrase_is_not_ascii_or_as_long_as_can_be() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let longest = "ß".repeat(Passphrase::LONGEST);
    // 32 characters and their terminator just exceed a block of the key derivation, 31 fill it.
    for text in ["Kühlraum", "пароль", "密码 €", "\u{ffef}", &"7".repeat(31), &"7".repeat(32), &longest]
    {
        let file = written(Pkcs12::new(&leaf, &key.pkcs8()).unwrap(), text);
        assert_eq!(public_key_in(&file, text), key.spki(), "{text}");
    }
}

#[test]
fn a_key_that_is_not_the_one_of_the_certificate_is_refused() {
    for key in TestKey::one_of_each() {
        let [leaf, ..] = three_certificates(&key);
        for other in TestKey::one_of_each() {
            let refused = Pkcs12::new(&leaf, &other.pkcs8()).expect_err("a foreign key");
            assert_eq!(refused, Pkcs12Error::KeyMismatch, "{:?} {:?}", key.algorithm, other.algorithm);
        }
    }
}

#[test]
fn what_is_no_private_key_is_refused() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let refusal = |bytes: &[u8]| Pkcs12::new(&leaf, bytes).expect_err("no key");
    assert_eq!(refusal(&[]), Pkcs12Error::Malformed(DerError::Truncated));
    let trailing = [key.pkcs8().as_slice(), &[0]].concat();
    assert_eq!(refusal(&trailing), Pkcs12Error::Malformed(DerError::Trailing));
    assert!(matches!(refusal(leaf.der()), Pkcs12Error::Malformed(_)));
}

/// Beside the key it is not encrypted. What OpenSSL shows of it depends on the version.
#[test]
fn a_friendly_name_that_is_not_ascii_is_written_as_bmp_string() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let file = Pkcs12::new(&leaf, &key.pkcs8()).unwrap().with_friendly_name("Kühl 库").unwrap();
    let file = written(file, PASSPHRASE);
    let expected = [0x1e, 12, 0, b'K', 0, 0xfc, 0, b'h', 0, b'l', 0, b' ', 0x5e, 0x93];
    assert!(file.windows(expected.len()).any(|window| window == expected));
    assert_eq!(public_key_in(&file, PASSPHRASE), key.spki());
}

#[test]
fn friendly_names_that_the_attribute_cannot_hold_are_refused() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let named = |name: &str| Pkcs12::new(&leaf, &key.pkcs8()).unwrap().with_friendly_name(name).map(drop);
    let longest = "ü".repeat(Pkcs12::LONGEST_FRIENDLY_NAME);
    for refused in ["", "door 🚪", &format!("{longest}ü")] {
        assert_eq!(named(refused), Err(Pkcs12Error::FriendlyName), "{refused}");
    }
    assert_eq!(named(&longest), Ok(()));
}

#[test]
fn no_key_is_shown() {
    let key = TestKey::p256();
    let [leaf, ..] = three_certificates(&key);
    let pkcs8 = key.pkcs8();
    let shown = format!("{:?}", Pkcs12::new(&leaf, &pkcs8).unwrap());
    // A PrivateKeyInfo begins like this: version 0 and the algorithm.
    assert!(shown.contains("leaf") && !shown.contains("48, 129"), "{shown}");
    assert!(!shown.contains("private"), "{shown}");
}
