//! The certificate of the device listener: issued here and renewed in time, or taken from a Secret.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use issuance::{Engine, Error, authority::Authority, sealing::SealingKeys};
use resolve::{Compiled, CompiledTls};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::data::{DataFolder, write_private};
use crate::{
    jobs::Renewal,
    listeners::{ServerCertificate, TlsSettings},
    roles::{Role, RoleCertificate, role_certificate},
    serving::Serving,
};

/// How often a certificate that is not issued here is looked at: never; a reload brings the next.
const NOTHING_TO_RENEW: i64 = 3600;

/// What the device listener shows, and how it is renewed.
#[derive(Debug)]
pub(super) struct DeviceTls {
    engine: Engine,
    sealing: Arc<SealingKeys>,
    certificate: Arc<ServerCertificate>,
    issued: ArcSwapOption<(Role, Arc<Authority>)>,
}

/// A chain and its key.
type Shown = (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>);

impl DeviceTls {
    /// With the certificate that the configuration asks for.
    pub(super) async fn new(
        engine: Engine,
        sealing: Arc<SealingKeys>,
        folder: &DataFolder,
        compiled: &Compiled,
        serving: &Serving,
    ) -> anyhow::Result<Self> {
        let issued = role(compiled, serving)?;
        let (chain, key) = shown(&engine, &sealing, compiled, issued.as_ref()).await?;
        write_anchor(folder, compiled)?;
        Ok(Self {
            engine,
            sealing,
            certificate: Arc::new(ServerCertificate::new(chain, key)?),
            issued: ArcSwapOption::from_pointee(issued),
        })
    }

    pub(super) fn settings(&self) -> TlsSettings {
        TlsSettings { certificate: self.certificate.clone() }
    }

    /// Takes over what a changed configuration asks for; connections that are open keep what they have.
    pub(super) async fn reload(
        &self,
        folder: &DataFolder,
        compiled: &Compiled,
        serving: &Serving,
    ) -> anyhow::Result<()> {
        let issued = role(compiled, serving)?;
        let (chain, key) = shown(&self.engine, &self.sealing, compiled, issued.as_ref()).await?;
        self.certificate.replace(chain, key)?;
        write_anchor(folder, compiled)?;
        self.issued.store(issued.map(Arc::new));
        Ok(())
    }
}

#[async_trait]
impl Renewal for DeviceTls {
    async fn renew(&self) -> Result<i64, Error> {
        let Some(issued) = self.issued.load_full() else { return Ok(NOTHING_TO_RENEW) };
        let (role, authority) = &*issued;
        let current = role_certificate(&self.engine, &self.sealing, authority, role).await?;
        let again = current.renew_in(self.engine.clock().now());
        let (chain, key) = der(&current);
        if self.certificate.chain() != chain {
            self.certificate.replace(chain, key).map_err(|error| Error::Internal(error.to_string()))?;
            tracing::info!(not_after = %current.leaf.not_after(), "the server's TLS certificate is renewed");
        }
        // An hour at most, so that a clock that was set is noticed.
        Ok(again.clamp(1, 3600))
    }
}

fn role(compiled: &Compiled, serving: &Serving) -> anyhow::Result<Option<(Role, Arc<Authority>)>> {
    match &compiled.server.tls {
        Some(CompiledTls::Authority { authority, dns_names, ip_addresses, validity }) => {
            let issuer = serving.office.authorities.get(authority);
            let issuer =
                issuer.with_context(|| format!("no authority {authority} for the server's certificate"))?;
            let role = Role::tls(compiled.server.name.clone(), dns_names, ip_addresses, *validity);
            Ok(Some((role, issuer.clone())))
        }
        Some(CompiledTls::Secret { .. }) | None => Ok(None),
    }
}

async fn shown(
    engine: &Engine,
    sealing: &SealingKeys,
    compiled: &Compiled,
    issued: Option<&(Role, Arc<Authority>)>,
) -> anyhow::Result<Shown> {
    match (issued, &compiled.server.tls) {
        (Some((role, authority)), _) => Ok(der(&role_certificate(engine, sealing, authority, role).await?)),
        (None, Some(CompiledTls::Secret { certificates, key, .. })) => {
            let chain = certificates.iter().cloned().map(CertificateDer::from).collect();
            Ok((chain, PrivatePkcs8KeyDer::from(key.expose().to_vec())))
        }
        (None, Some(CompiledTls::Authority { .. }) | None) => {
            anyhow::bail!(
                "nothing can issue the server's TLS certificate; see the conditions of the EnrollmentServer"
            )
        }
    }
}

fn der(certificate: &RoleCertificate) -> Shown {
    let chain = certificate.chain.iter().cloned().map(CertificateDer::from).collect();
    (chain, PrivatePkcs8KeyDer::from(certificate.key.expose().to_vec()))
}

/// What clients trust to reach a server whose certificate was made elsewhere: the last of its chain.
fn write_anchor(folder: &DataFolder, compiled: &Compiled) -> anyhow::Result<()> {
    if let Some(CompiledTls::Secret { certificates, .. }) = &compiled.server.tls
        && let Some(last) = certificates.last()
    {
        let path: &Path = &folder.root().join("ca.pem");
        write_private(path, pki::pem::encode("CERTIFICATE", last).as_bytes())?;
    }
    Ok(())
}
