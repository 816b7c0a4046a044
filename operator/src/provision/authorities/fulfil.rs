//! Keys and certificates that are wanted.

use std::time::Duration;

use crds::CertificateAuthority;
use issuance::{
    authority::CrlSettings,
    ceremony::{AuthorityTemplate, sign_intermediate, sign_root},
    identity::ResourceName,
    secret::Secret,
};
use kube::ResourceExt as _;
use pki::{algorithm::KeyAlgorithm, key::KeyType};
use resolve::{AuthorityIssuer, AuthorityWant, ImportAuthorityWant, Want};
use signers::SoftwareSigner;

use super::{Keeper, Kept, KeptAuthority, secret_name};
use crate::provision::{ProvisionError, vault::Created};

impl Keeper {
    /// Makes what one authority lacks. `owner` is its resource, `base` the public base URL of its server.
    pub(super) async fn fulfil(
        &self,
        want: &Want,
        owner: Option<&CertificateAuthority>,
        kept: &Kept,
        base: Option<&str>,
    ) -> Result<KeptAuthority, ProvisionError> {
        let found = kept.authorities.get(want.name());
        if found.is_none() && owner.is_some_and(had_certificate) {
            return Err(ProvisionError::KeyLost(self.vault.name(&secret_name(want.name()))));
        }
        let owner = owner.and_then(|owner| owner.uid()).unwrap_or_default();
        match want {
            Want::Authority(want) => self.make(want, &owner, kept, base).await,
            Want::ImportAuthority(want) => self.import(want, &owner, found).await,
        }
    }

    async fn make(
        &self,
        want: &AuthorityWant,
        owner: &str,
        kept: &Kept,
        base: Option<&str>,
    ) -> Result<KeptAuthority, ProvisionError> {
        let parent = self.parent(want, kept)?;
        let authority = match kept.authorities.get(&want.name) {
            Some(found) => found.clone(),
            None => {
                let key = generate(want.key).await?;
                self.create(KeptAuthority::new(&want.name, owner, key, want.deletion_policy)?).await?
            }
        };
        if authority.signer.public_key().key_type() != KeyType::from(want.key) {
            let what = format!(
                "keeps a key of {}, and {} is asked for",
                authority.signer.public_key().key_type(),
                KeyType::from(want.key)
            );
            return Err(self.unusable(&want.name, what));
        }
        // Another operator was faster.
        if !authority.chain.is_empty() {
            return Ok(authority);
        }
        let chain = self.sign(want, &authority, parent, base).await?;
        self.write(KeptAuthority { chain, ..authority }).await
    }

    /// Who signs, where that is another authority: no key is made before there is somebody who signs for it.
    fn parent<'k>(
        &self,
        want: &AuthorityWant,
        kept: &'k Kept,
    ) -> Result<Option<&'k KeptAuthority>, ProvisionError> {
        match &want.certificate.issuer {
            AuthorityIssuer::SelfSigned => Ok(None),
            AuthorityIssuer::Authority(parent) => {
                let found = kept.authorities.get(parent).filter(|found| !found.chain.is_empty());
                found.map(Some).ok_or_else(|| ProvisionError::ParentMissing(parent.clone()))
            }
        }
    }

    async fn sign(
        &self,
        want: &AuthorityWant,
        authority: &KeptAuthority,
        parent: Option<&KeptAuthority>,
        base: Option<&str>,
    ) -> Result<Vec<Vec<u8>>, ProvisionError> {
        let (wanted, now) = (&want.certificate, self.clock.now());
        let template = AuthorityTemplate {
            name: want.name.clone(),
            subject: wanted.subject_name.clone(),
            validity: wanted.validity,
            path_length: wanted.path_length,
            name_constraints: wanted.name_constraints.clone(),
        };
        let Some(parent) = parent else {
            return Ok(vec![sign_root(&template, &authority.signer, now).await?]);
        };
        // What it publishes matters here, how often does not.
        let crl = CrlSettings { validity: Duration::ZERO, renew_before: Duration::ZERO };
        let issuer = self.runtime(parent, crl, base)?;
        let der = sign_intermediate(&template, authority.signer.public_key(), &issuer, now).await?;
        Ok(std::iter::once(der).chain(parent.chain.iter().cloned()).collect())
    }

    async fn import(
        &self,
        want: &ImportAuthorityWant,
        owner: &str,
        found: Option<&KeptAuthority>,
    ) -> Result<KeptAuthority, ProvisionError> {
        let mut imported = KeptAuthority::new(&want.name, owner, want.key.clone(), want.deletion_policy)?;
        let is_key = |key: &pki::key::PublicKey| key.spki_der() == want.certificate.public_key().spki_der();
        if !is_key(imported.signer.public_key()) {
            let what = "holds a key under tls.key that is not the certificate's".to_owned();
            return Err(ProvisionError::Unusable { secret: want.secret.clone(), what });
        }
        imported.chain.clone_from(&want.chain);
        let kept = match found {
            Some(found) => found.clone(),
            None => self.create(imported.clone()).await?,
        };
        if !is_key(kept.signer.public_key()) {
            let what = format!("keeps another key than the one in the Secret {}", want.secret);
            return Err(self.unusable(&want.name, what));
        }
        if kept.chain == imported.chain {
            return Ok(kept);
        }
        self.write(KeptAuthority { chain: imported.chain, ..kept }).await
    }

    /// Creates the Secret, or takes the one that another operator has just created; never one that something else made.
    async fn create(&self, authority: KeptAuthority) -> Result<KeptAuthority, ProvisionError> {
        let secret = match self.vault.create(&authority.to_secret(&self.vault)).await? {
            Created::Made(made) => {
                let meta = kube::core::ObjectMeta { managed_fields: None, ..made.metadata };
                return Ok(KeptAuthority { meta, ..authority });
            }
            Created::Exists => self.vault.read(&secret_name(&authority.name)).await?,
        };
        let secret =
            secret.ok_or_else(|| ProvisionError::Conflict(self.vault.name(&secret_name(&authority.name))))?;
        if !crate::provision::vault::is_ours(&secret.metadata) {
            return Err(ProvisionError::Foreign(self.vault.name(&secret_name(&authority.name))));
        }
        KeptAuthority::read(&secret).map_err(|what| self.unusable(&authority.name, what))
    }

    fn unusable(&self, authority: &ResourceName, what: String) -> ProvisionError {
        ProvisionError::Unusable { secret: self.vault.name(&secret_name(authority)), what }
    }
}

/// Whether the status says that there was a certificate, which is never signed before its key is kept.
fn had_certificate(authority: &CertificateAuthority) -> bool {
    authority.status.as_ref().is_some_and(|status| status.key_id.is_some())
}

/// RSA takes seconds: not on a thread that serves.
async fn generate(algorithm: KeyAlgorithm) -> Result<Secret, ProvisionError> {
    let made = tokio::task::spawn_blocking(move || SoftwareSigner::generate(algorithm)?.to_pkcs8());
    Ok(made.await.map_err(|_| ProvisionError::Interrupted)??)
}
