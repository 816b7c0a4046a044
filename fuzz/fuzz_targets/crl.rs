//! The entries of a revocation list survive being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{
    algorithm::SignatureAlgorithm,
    certificate::assemble,
    crl::{CertificateList, RevokedEntry, TbsCertList},
    extension::ReasonCode,
};

fuzz_target!(|data: &[u8]| {
    let Ok(list) = CertificateList::from_der(data) else { return };
    assert_eq!(list.der(), data);
    let Ok(mut entries) = list.entries().collect::<Result<Vec<RevokedEntry>, _>>() else { return };
    let tbs = TbsCertList {
        signature_algorithm: SignatureAlgorithm::Ed25519,
        issuer: list.issuer(),
        this_update: list.this_update(),
        next_update: list.next_update().unwrap_or(list.this_update()),
        number: list.number().ok().flatten().map_or(0, |number| number.0),
        authority_key_identifier: [7; 20],
    };
    let written = assemble(&tbs.to_der(entries.iter().copied()), SignatureAlgorithm::Ed25519, &[0; 64]);
    let read = CertificateList::from_der(&written).expect("what was written is read");
    // The reason "unspecified" is left out (RFC 5280 section 5.3.1).
    for entry in &mut entries {
        entry.reason = entry.reason.filter(|reason| *reason != ReasonCode::Unspecified);
    }
    assert_eq!(read.entries().collect::<Result<Vec<_>, _>>(), Ok(entries));
    assert_eq!((read.issuer(), read.this_update()), (list.issuer(), list.this_update()));
});
