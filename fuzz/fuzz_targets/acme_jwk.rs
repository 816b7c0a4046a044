//! A key that is taken is the same key in its canonical JSON and in a certificate.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/acme/wire"]
mod wire {
    pub mod algorithm;
    pub mod base64url;
    #[path = "../../json.rs"]
    pub mod json;
    pub mod jwk;
}

use libfuzzer_sys::fuzz_target;
use pki::key::PublicKey;
use wire::{json::Object, jwk::AccountKey};

fuzz_target!(|data: &[u8]| {
    let Ok(object) = Object::parse(data) else { return };
    let Ok(key) = AccountKey::parse(&object) else { return };
    let again = AccountKey::from_canonical(key.canonical()).unwrap();
    assert_eq!((again.canonical(), again.thumbprint()), (key.canonical(), key.thumbprint()));
    assert!(key.is(&PublicKey::from_spki_der(again.public_key().spki_der()).unwrap()));
});
