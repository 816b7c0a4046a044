//! The first octet chooses an extension, the rest is its value: what is read survives being written again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use pki::extension::{
    AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
    CrlDistributionPoints, CrlNumber, ExtendedKeyUsage, InvalidityDate, KeyUsage, NameConstraints, NoCheck,
    ReasonCode, SubjectAltName, SubjectKeyIdentifier, TypedExtension, extensions_from_der, write_extensions,
};

/// Reading, writing and reading gives the same value.
fn idempotent<T: TypedExtension + PartialEq + Debug>(value: &[u8]) {
    if let Ok(first) = T::from_value(value) {
        assert_eq!(T::from_extension(&first.to_extension()).as_ref(), Ok(&first));
    }
}

/// Reading and writing gives the same bytes.
fn identical<T: TypedExtension>(value: &[u8]) {
    if let Ok(read) = T::from_value(value) {
        assert_eq!(read.to_value(), value);
    }
}

/// Like [`idempotent`] where URIs are kept and other names read over: nothing may be left to write.
fn idempotent_unless_empty<T: TypedExtension + PartialEq + Debug>(
    value: &[u8],
    is_empty: impl Fn(&T) -> bool,
) {
    if T::from_value(value).is_ok_and(|read| !is_empty(&read)) {
        idempotent::<T>(value);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, value)) = data.split_first() else { return };
    match choice % 15 {
        0 => identical::<SubjectAltName>(value),
        1 => identical::<NameConstraints>(value),
        2 => idempotent::<KeyUsage>(value),
        3 => identical::<ExtendedKeyUsage>(value),
        4 => idempotent::<BasicConstraints>(value),
        5 => idempotent::<CertificatePolicies>(value),
        6 => identical::<SubjectKeyIdentifier>(value),
        7 => idempotent::<AuthorityKeyIdentifier>(value),
        8 => idempotent_unless_empty::<CrlDistributionPoints>(value, |points| points.0.is_empty()),
        9 => idempotent_unless_empty::<AuthorityInfoAccess>(value, |access| {
            access.ca_issuers.is_empty() && access.ocsp.is_empty()
        }),
        10 => identical::<CrlNumber>(value),
        11 => identical::<ReasonCode>(value),
        12 => identical::<InvalidityDate>(value),
        13 => identical::<NoCheck>(value),
        _ => {
            if let Ok(extensions) = extensions_from_der(value) {
                let written = pki::der_io::encode(|writer| write_extensions(writer, &extensions));
                assert_eq!(extensions_from_der(&written), Ok(extensions));
            }
        }
    }
});
