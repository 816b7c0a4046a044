//! The certificate of the device listener: issued here and renewed in time, or taken from a Secret.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use issuance::{Engine, Error, authority::Authority, sealing::SealingKeys};
use resolve::{CompiledServer, CompiledTls};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::{
    jobs::Renewal,
    listeners::{ServerCertificate, ServerIdentity, TlsError, TlsSettings},
    roles::{Role, RoleCertificate, role_certificate},
    serving::Serving,
};

/// How often a certificate that is not issued here is looked at: never; a new configuration brings the next.
const NOTHING_TO_RENEW: i64 = 3600;

/// What the device listener shows, and how it is renewed. Until the first configuration it shows nothing.
#[derive(Debug)]
pub(crate) struct DeviceTls {
    engine: Engine,
    sealing: Arc<SealingKeys>,
    certificate: Arc<ServerCertificate>,
    issued: ArcSwapOption<(Role, Arc<Authority>)>,
}

/// What is to be shown next.
#[derive(Debug)]
pub(super) struct PreparedTls {
    identity: Option<ServerIdentity>,
    issued: Option<Arc<(Role, Arc<Authority>)>>,
}

impl DeviceTls {
    pub(crate) fn new(engine: Engine, sealing: Arc<SealingKeys>) -> Self {
        let certificate = Arc::new(ServerCertificate::none());
        Self { engine, sealing, certificate, issued: ArcSwapOption::empty() }
    }

    pub(crate) fn settings(&self) -> TlsSettings {
        TlsSettings { certificate: self.certificate.clone() }
    }

    /// Has the certificate that the configuration asks for; none where it asks for none.
    pub(super) async fn prepare(
        &self,
        server: &CompiledServer,
        serving: &Serving,
    ) -> anyhow::Result<PreparedTls> {
        Ok(match &server.tls {
            None => PreparedTls { identity: None, issued: None },
            Some(CompiledTls::Secret { secret, certificates, key }) => {
                let chain = certificates.iter().cloned().map(CertificateDer::from).collect();
                let key = PrivatePkcs8KeyDer::from(key.expose().to_vec());
                let identity = ServerIdentity::new(chain, key)
                    .with_context(|| format!("the server's TLS certificate in the Secret {secret}"))?;
                PreparedTls { identity: Some(identity), issued: None }
            }
            Some(CompiledTls::Authority { authority, dns_names, ip_addresses, validity }) => {
                let issuer = serving.office.authorities.get(authority);
                let issuer = issuer.with_context(|| {
                    format!("the authority {authority} of the server's TLS certificate does not sign here")
                })?;
                let role = Role::tls(server.name.clone(), dns_names, ip_addresses, *validity);
                let certificate = role_certificate(&self.engine, &self.sealing, issuer, &role).await?;
                let issued = Some(Arc::new((role, issuer.clone())));
                PreparedTls { identity: Some(identity(&certificate)?), issued }
            }
        })
    }

    /// Shows it from now on; connections that are open keep what they have.
    pub(super) fn show(&self, prepared: PreparedTls) {
        self.certificate.show(prepared.identity);
        self.issued.store(prepared.issued);
    }
}

#[async_trait]
impl Renewal for DeviceTls {
    async fn renew(&self) -> Result<i64, Error> {
        let Some(issued) = self.issued.load_full() else { return Ok(NOTHING_TO_RENEW) };
        let (role, authority) = &*issued;
        let current = role_certificate(&self.engine, &self.sealing, authority, role).await?;
        let again = current.renew_in(self.engine.clock().now());
        if self.certificate.chain().iter().map(|der| der.as_ref()).ne(current.chain.iter().map(Vec::as_slice))
        {
            let identity = identity(&current).map_err(|error| Error::Internal(error.to_string()))?;
            self.certificate.show(Some(identity));
            tracing::info!(not_after = %current.leaf.not_after(), "the server's TLS certificate is renewed");
        }
        // An hour at most, so that a clock that was set is noticed.
        Ok(again.clamp(1, 3600))
    }
}

fn identity(certificate: &RoleCertificate) -> Result<ServerIdentity, TlsError> {
    let chain = certificate.chain.iter().cloned().map(CertificateDer::from).collect();
    ServerIdentity::new(chain, PrivatePkcs8KeyDer::from(certificate.key.expose().to_vec()))
}
