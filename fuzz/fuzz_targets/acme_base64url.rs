//! Every run of octets has one spelling, and nothing else is read.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/acme/wire"]
mod wire {
    pub mod base64url;
}

use libfuzzer_sys::fuzz_target;
use wire::base64url::{decode, encode};

fuzz_target!(|data: &[u8]| {
    let encoded = encode(data);
    assert_eq!(decode(&encoded, encoded.len()).as_deref(), Ok(data));
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(octets) = decode(text, text.len()) {
        assert_eq!(encode(octets), text);
    }
});
