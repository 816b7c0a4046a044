//! A request is kept byte for byte, and the extensions it asks for survive being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{
    csr::UnverifiedCsr,
    der_io::encode,
    extension::{extensions_from_der, write_extensions},
    name::Name,
};

fuzz_target!(|data: &[u8]| {
    let Ok(unverified) = UnverifiedCsr::from_der(data) else { return };
    assert_eq!(unverified.der(), data);
    let Ok(csr) = unverified.verify() else { return };
    assert_eq!(csr.der(), data);
    assert_eq!(Name::from_der(csr.subject().der()).as_ref(), Ok(csr.subject()));
    let requested = csr.requested_extensions();
    if !requested.is_empty() {
        let written = encode(|writer| write_extensions(writer, requested));
        assert_eq!(extensions_from_der(&written).as_deref(), Ok(requested));
    }
});
