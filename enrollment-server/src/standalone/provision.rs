//! Makes what is declared and does not exist: keys and certificates of authorities.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use issuance::{Engine, authority::CrlSettings, ceremony::AuthorityTemplate, identity::ResourceName};
use resolve::{
    AuthorityIssuer, AuthorityWant, Observed, ObservedAuthority, Resolution, Resources, Want, resolve,
};

use super::keys::{AuthorityFiles, AuthorityStore};
use crate::configuration::runtime_authority;

/// What exists of each authority, by name.
pub(super) type Authorities = BTreeMap<ResourceName, AuthorityFiles>;

/// What came of settling.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) resolution: Resolution,
    pub(super) authorities: Authorities,
    /// Authorities that could not be made, and why.
    pub(super) failures: BTreeMap<ResourceName, String>,
}

/// Fulfils wants.
#[derive(Clone, Debug)]
pub(super) struct Provisioner {
    pub(super) keys: Arc<AuthorityStore>,
    pub(super) engine: Engine,
}

impl Provisioner {
    /// Resolves and makes what is wanted, parents first, until nothing is wanted that can be made.
    pub(super) async fn settle(&self, resources: &Resources) -> anyhow::Result<Settled> {
        let mut existing = self.keys.read_all()?;
        let mut failures: BTreeMap<ResourceName, String> = BTreeMap::new();
        loop {
            let resolution = resolve(resources, &self.observe(&existing), None);
            let base =
                resolution.compiled.as_ref().and_then(|compiled| compiled.server.public_base_url.clone());
            let mut made = false;
            for want in &resolution.wants {
                if failures.contains_key(want.name()) {
                    continue;
                }
                match self.fulfil(want, &existing, base.as_deref()).await {
                    Ok(files) => {
                        tracing::info!(authority = %want.name(), "authority created");
                        existing.insert(want.name().clone(), files);
                        made = true;
                    }
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(authority = %want.name(), %error, "authority could not be created");
                        failures.insert(want.name().clone(), error);
                    }
                }
            }
            if !made {
                return Ok(Settled { resolution, authorities: existing, failures });
            }
        }
    }

    fn observe(&self, existing: &Authorities) -> Observed {
        let mut observed = Observed::nothing(self.engine.clock().now());
        for (name, files) in existing {
            if let Some(certificate) = files.chain.first() {
                let authority =
                    ObservedAuthority { certificate: certificate.clone(), chain: files.chain.clone() };
                observed.authorities.insert(name.clone(), authority);
            }
        }
        observed
    }

    async fn fulfil(
        &self,
        want: &Want,
        existing: &Authorities,
        base: Option<&str>,
    ) -> anyhow::Result<AuthorityFiles> {
        let files = match want {
            Want::Authority(want) => self.create(want, existing, base).await?,
            Want::ImportAuthority(want) => {
                let signer = self.keys.import(&want.name, &want.key)?;
                anyhow::ensure!(
                    signer.public_key().spki_der() == want.certificate.public_key().spki_der(),
                    "the key in Secret {} is not the certificate's",
                    want.secret
                );
                AuthorityFiles { signer, chain: want.chain.clone() }
            }
        };
        self.keys.write_chain(want.name(), &files.chain)?;
        Ok(files)
    }

    async fn create(
        &self,
        want: &AuthorityWant,
        existing: &Authorities,
        base: Option<&str>,
    ) -> anyhow::Result<AuthorityFiles> {
        // RSA takes seconds: not on a thread that serves.
        let (keys, name, algorithm) = (self.keys.clone(), want.name.clone(), want.key);
        let signer = tokio::task::spawn_blocking(move || keys.generate(&name, algorithm)).await??;
        let wanted = &want.certificate;
        let template = AuthorityTemplate {
            name: want.name.clone(),
            subject: wanted.subject_name.clone(),
            validity: wanted.validity,
            path_length: wanted.path_length,
            name_constraints: wanted.name_constraints.clone(),
        };
        let chain = match &wanted.issuer {
            AuthorityIssuer::SelfSigned => vec![self.engine.create_root(&template, &signer).await?],
            AuthorityIssuer::Authority(parent) => {
                let files =
                    existing.get(parent).with_context(|| format!("its parent {parent} does not exist"))?;
                // What it publishes matters here, how often does not.
                let crl = CrlSettings { validity: Duration::ZERO, renew_before: Duration::ZERO };
                let parent = runtime_authority(parent, &files.chain, files.signer.clone(), crl, base)?;
                let der = self.engine.create_intermediate(&template, signer.public_key(), &parent).await?;
                std::iter::once(der).chain(files.chain.iter().cloned()).collect()
            }
        };
        Ok(AuthorityFiles { signer, chain })
    }
}
