//! The forms in which certificates are handed out. Those that hold a private key too are [`crate::pkcs12`] and, beside
//! any of these, [`crate::encrypted_key`].

use crate::{cms::certs_only, pem};

/// One of the forms, each of which has its own bytes, media type and extension of a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateFormat {
    /// The leaf alone, `-----BEGIN CERTIFICATE-----` (RFC 7468 §5).
    Pem,
    /// The leaf and then its issuers, each in PEM (RFC 8555 §9.1).
    FullChain,
    /// The leaf alone, as it was signed.
    Der,
    /// The leaf and then its issuers in a `SignedData` without signers (RFC 5652 §5.1), DER.
    Pkcs7,
    /// The same, `-----BEGIN PKCS7-----` (RFC 7468 §8).
    Pkcs7Pem,
}

impl CertificateFormat {
    pub const ALL: [Self; 5] = [Self::Pem, Self::FullChain, Self::Der, Self::Pkcs7, Self::Pkcs7Pem];

    /// The body of a download, from DER. `chain` has the issuers in order, the leaf's first; who hands out decides
    /// whether the root is among them.
    pub fn encode(self, leaf: &[u8], chain: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Pem => certificate_pem(leaf).into_bytes(),
            Self::FullChain => all(leaf, chain).map(certificate_pem).collect::<String>().into_bytes(),
            Self::Der => leaf.to_vec(),
            Self::Pkcs7 => bundle(leaf, chain),
            Self::Pkcs7Pem => pem::encode("PKCS7", &bundle(leaf, chain)).into_bytes(),
        }
    }

    /// The value of `Content-Type`. None is registered for PKCS #7 in PEM; what is here is what programs say.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pem | Self::FullChain => "application/pem-certificate-chain",
            // RFC 2585 §4.1.
            Self::Der => "application/pkix-cert",
            // RFC 8551 §3.2.2.
            Self::Pkcs7 => "application/pkcs7-mime; smime-type=certs-only",
            Self::Pkcs7Pem => "application/x-pem-file",
        }
    }

    /// Without the dot. Windows opens bundles by `p7b`, whether they are DER or PEM.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Pem | Self::FullChain => "pem",
            // RFC 2585 §3.
            Self::Der => "cer",
            Self::Pkcs7 | Self::Pkcs7Pem => "p7b",
        }
    }
}

fn certificate_pem(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der)
}

fn bundle(leaf: &[u8], chain: &[&[u8]]) -> Vec<u8> {
    certs_only(&all(leaf, chain).collect::<Vec<_>>())
}

fn all<'a>(leaf: &'a [u8], chain: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::once(leaf).chain(chain.iter().copied())
}
