//! A certificate's identifier has one spelling.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/acme/wire"]
mod wire {
    pub mod ari;
    pub mod base64url;
}

use libfuzzer_sys::fuzz_target;
use pki::serial::SerialNumber;
use wire::ari::CertId;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(id) = text.parse::<CertId>()
    {
        assert_eq!(id.to_string(), text);
    }
    let (key_identifier, serial) = data.split_at(data.len().min(20));
    if let Ok(serial) = SerialNumber::from_be_bytes(serial)
        && !key_identifier.is_empty()
    {
        let id = CertId::new(key_identifier, serial);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
