//! What a certificate says.

use pki::certificate::Certificate;

use super::{description::Description, extensions, key};

pub(super) fn describe(certificate: &Certificate) -> Description {
    let mut said = Description::of("Certificate");
    said.text("subject", certificate.subject())
        .text("issuer", certificate.issuer())
        .text("serialNumber", certificate.serial())
        .text("notBefore", certificate.not_before())
        .text("notAfter", certificate.not_after());
    match certificate.signature_algorithm() {
        Ok(algorithm) => said.text("signatureAlgorithm", algorithm),
        Err(error) => said.text("signatureAlgorithm", error),
    };
    key::members(&mut said, certificate.public_key());
    extensions::describe(&mut said, certificate.extensions());
    said.flag("selfSigned", certificate.is_self_signed());
    said.text("sha256", hex::encode(certificate.fingerprint_sha256()));
    said
}
