//! A manufacturer of devices, by rcgen: certificates that devices come with, and that are not ours.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::Workspace;

/// A root, and below it an authority that signs for devices.
pub struct Manufacturer {
    root: CertifiedIssuer<'static, KeyPair>,
    issuing: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate alone, without what is above it.
    pub certificate: PathBuf,
    /// PKCS#8.
    pub key: PathBuf,
}

impl Manufacturer {
    /// With fresh keys.
    pub fn new() -> Result<Self> {
        let root = CertifiedIssuer::self_signed(authority("Manufacturer Root"), KeyPair::generate()?)?;
        let issuing =
            CertifiedIssuer::signed_by(authority("Manufacturer Devices"), KeyPair::generate()?, &root)?;
        Ok(Self { root, issuing })
    }

    /// Both certificates, PEM.
    pub fn bundle(&self) -> String {
        format!("{}{}", self.root.pem(), self.issuing.pem())
    }

    /// `spec.est.clientCertificates` that trusts this manufacturer, in YAML flow style.
    pub fn client_certificates(&self) -> Result<String> {
        Ok(format!("{{authorities: [{{bundle: {}}}]}}", serde_json::to_string(&self.bundle())?))
    }

    /// A device with its certificate as `NAME.pem` and its key as `NAME.key`.
    pub fn device(&self, workspace: &Workspace, name: &str) -> Result<Identity> {
        self.device_with(workspace, name, |_| {})
    }

    /// A device with something else in its certificate.
    pub fn device_with(
        &self,
        workspace: &Workspace,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 1, 1));
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuing)?;
        Ok(Identity {
            certificate: workspace.write(&format!("{name}.pem"), certificate.pem())?,
            key: workspace.write(&format!("{name}.key"), key.serialize_pem())?,
        })
    }
}

impl std::fmt::Debug for Manufacturer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Manufacturer")
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 1, 1));
    params
}
