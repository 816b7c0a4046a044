//! An encrypted message survives being written again byte for byte, and no key makes its decryption panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pki::{
    certificate::Certificate,
    cms::enveloped::{DecryptionKey, EnvelopedData, SymmetricKey},
    key_package::{asymmetric_key_package, asymmetric_keys},
};

/// The keys that read the recorded messages.
static KEYS: LazyLock<[DecryptionKey; 3]> = LazyLock::new(|| {
    let recorded = |certificate: &[u8], pkcs8: &[u8]| {
        let certificate = Certificate::from_der(certificate).expect("a recorded certificate");
        DecryptionKey::for_certificate(&certificate, pkcs8).expect("a recorded key")
    };
    let shared = SymmetricKey::new(*b"device-7", vec![0x5a; 16].into()).expect("a key of 16 octets");
    [
        recorded(
            include_bytes!("../../pki/fixtures/recorded/recipient_rsa.der"),
            include_bytes!("../../pki/fixtures/recorded/private_key_rsa.der"),
        ),
        recorded(
            include_bytes!("../../pki/fixtures/recorded/recipient_ec.der"),
            include_bytes!("../../pki/fixtures/recorded/private_key_ec.der"),
        ),
        DecryptionKey::symmetric(shared),
    ]
});

fuzz_target!(|data: &[u8]| {
    if let Ok(keys) = asymmetric_keys(data) {
        for key in keys {
            let package = asymmetric_key_package(key).expect("a key that was read");
            assert_eq!(asymmetric_keys(&package), Ok(vec![key]));
        }
    }
    let Ok(message) = EnvelopedData::from_der(data) else { return };
    assert_eq!(message.to_der(), data);
    for key in KEYS.iter() {
        let _ = message.decrypt(key);
    }
});
