//! What is read as the body of an EST request comes through base64 of any shape unchanged.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the file is the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/est/wire.rs"]
mod wire;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(der) = wire::decode_pkcs10(data) else { return };
    if !der.is_empty() {
        let encoded = STANDARD.encode(&der);
        assert_eq!(wire::decode_pkcs10(encoded.as_bytes()), Ok(der));
    }
});
