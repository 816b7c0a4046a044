//! The certificates of a bundle survive being bundled again, in their order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::cms::{certs_only, certs_only_certificates};

fuzz_target!(|data: &[u8]| {
    let Ok(certificates) = certs_only_certificates(data) else { return };
    let written = certs_only(&certificates.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(certs_only_certificates(&written), Ok(certificates));
});
