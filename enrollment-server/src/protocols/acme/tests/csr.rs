//! Certificate requests of clients.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519, PublicKeyData, SanType,
    SignatureAlgorithm, SigningKey,
};

use super::super::wire::testing::ClientKey;

/// A new key, and a request for these names with it.
pub(super) fn csr(names: &[&str]) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let csr = csr_with(&key, names, None);
    (key, csr)
}

pub(super) fn csr_with(key: &impl SigningKey, names: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    params.serialize_request(key).unwrap().der().to_vec()
}

/// A key of Ed25519 that signs requests of ACME, as one that signs a certificate request.
pub(super) struct RequestKey<'a>(pub(super) &'a ClientKey);

impl PublicKeyData for RequestKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.account_key().public_key().key_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for RequestKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message))
    }
}
