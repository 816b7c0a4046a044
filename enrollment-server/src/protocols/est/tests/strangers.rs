//! Authorities elsewhere, the certificates that devices come with, and the requests they make, all by rcgen.

use issuance::authority::Authority;
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};

/// An authority that this server knows at most by its certificate.
pub(super) struct Stranger {
    pub(super) der: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

/// A device with a certificate and the key to it.
pub(super) struct Device {
    pub(super) der: Vec<u8>,
    pub(super) key: KeyPair,
}

impl Stranger {
    pub(super) fn root(name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, params, key }
    }

    /// An authority that claims to be one of ours: same name, same key identifier, another key.
    pub(super) fn disguised_as(authority: &Authority) -> Self {
        let mut params = authority_params(&authority.name.to_string());
        params.key_identifier_method = KeyIdMethod::PreSpecified(authority.key_id().0.to_vec());
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, params, key }
    }

    pub(super) fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Self { der, params, key }
    }

    pub(super) fn device(&self, change: impl FnOnce(&mut CertificateParams)) -> Device {
        self.device_with(KeyPair::generate().unwrap(), change)
    }

    pub(super) fn device_with(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Device {
        let mut params = device_params();
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Device { der, key }
    }

    /// A list that holds this serial number.
    pub(super) fn crl(&self, revoked: u64, next_update: i32) -> Vec<u8> {
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(revoked),
            revocation_time: date_time_ymd(2024, 1, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 3),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: vec![entry],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer()).unwrap().der().to_vec()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::Sha256;
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 1, 1));
    params
}

/// Number 7, `CN=device-7`, for TLS clients, good until 2049.
fn device_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("device-7");
    params.serial_number = Some(SerialNumber::from(7u64));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 1, 1));
    params
}

pub(super) fn common_name(value: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, value);
    name
}

/// A request as a device would make it, DER: a new P-256 key and this common name.
pub(super) fn csr(common_name: &str) -> Vec<u8> {
    request(common_name, &[], &KeyPair::generate().unwrap())
}

/// With these names in the subjectAltName, in this order.
pub(super) fn request(name: &str, names: &[SanType], key: &KeyPair) -> Vec<u8> {
    request_with(name, names, key, Vec::new())
}

pub(super) fn request_with(
    name: &str,
    names: &[SanType],
    key: &KeyPair,
    attributes: Vec<Attribute>,
) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.subject_alt_names = names.to_vec();
    params.serialize_request_with_attributes(key, attributes).unwrap().der().to_vec()
}

pub(super) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(super) fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// A CSR attribute with one value, whose tag and octets are given.
pub(super) fn attribute(oid: &'static [u64], tag: u8, octets: &[u8]) -> Attribute {
    let value = pki::der_io::encode(|writer| writer.nested(0x31, |set| set.primitive(tag, octets)));
    Attribute { oid, values: value }
}
