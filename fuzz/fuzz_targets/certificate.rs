//! What is read from a certificate, written again and read again, is the same, and so are its bytes from then on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{
    algorithm::SignatureAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
};

fn write(certificate: &Certificate, signature_algorithm: SignatureAlgorithm) -> Vec<u8> {
    let tbs = TbsCertificate {
        serial: certificate.serial(),
        signature_algorithm,
        issuer: certificate.issuer(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        subject: certificate.subject(),
        public_key: certificate.public_key(),
        extensions: certificate.extensions(),
    };
    assemble(&tbs.to_der(), signature_algorithm, certificate.signature())
}

fuzz_target!(|data: &[u8]| {
    let Ok(first) = Certificate::from_der(data) else { return };
    assert_eq!(first.der(), data);
    let _ = first.is_self_signed();
    let Ok(algorithm) = first.signature_algorithm() else { return };
    let written = write(&first, algorithm);
    let second = Certificate::from_der(&written).expect("what was written is read");
    assert_eq!(first.serial(), second.serial());
    assert_eq!(first.subject(), second.subject());
    assert_eq!((first.not_before(), first.not_after()), (second.not_before(), second.not_after()));
    assert_eq!(first.public_key(), second.public_key());
    assert_eq!(first.extensions(), second.extensions());
    assert_eq!(write(&second, algorithm), written);
});
