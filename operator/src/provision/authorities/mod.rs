//! Keys, certificates and revocation lists of authorities.
//!
//! ```text
//! Secrets ─observe─► Kept ─┬─► resolve ─► wants ─fulfil─► Secrets, Kept ─┐
//!                          └──────────────── again, until none ◄─────────┘
//!                          ─► lists of those whose key stays here ─► keys and lists for the parts
//! ```
//!
//! Every key is here, also those that servers issue with: an intermediate is made where its parent's key is. A key that was once given
//! to a server stays given, because only that server knows everything that was signed with it and so has to make its lists.
//!
//! | file | what |
//! | --- | --- |
//! | `kept.rs` | one authority as its Secret keeps it |
//! | `fulfil.rs` | keys and certificates that are wanted |
//! | `lists.rs` | revocation lists of authorities whose key stays here |

mod fulfil;
mod kept;
mod lists;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crds::{CertificateAuthority, DeletionPolicy};
use issuance::{
    authority::{Authority, CrlSettings, PublicationUrls, key_identifier},
    identity::{KeyId, ResourceName},
    ports::Clock,
    secret::Secret,
};
use kube::{Client, ResourceExt as _};
use pki::{certificate::Certificate, crl::CertificateList};
use resolve::{Observed, ObservedAuthority, Resolution, Resources, resolve, resource_name};

use super::{ProvisionError, vault::Vault};
use crate::{context::Scope, revocation::RevokedIntermediate};

pub use self::kept::{KeptAuthority, secret_name};

/// Keeps the keys of authorities.
#[derive(Clone)]
pub struct Keeper {
    vault: Vault,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("vault", &self.vault).finish_non_exhaustive()
    }
}

/// All authorities that have a key here, by name.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    authorities: BTreeMap<ResourceName, KeptAuthority>,
    /// Secrets that are ours and cannot be used, and why.
    unusable: Vec<String>,
}

/// What came of one server's authorities.
#[derive(Clone, Debug)]
pub struct Settled {
    /// After everything was made that could be. Its `issuing` holds those authorities too whose keys were given before.
    pub resolution: Resolution,
    /// Authorities for which something could not be made, and why.
    pub failures: BTreeMap<ResourceName, String>,
    /// Whether one of them may be gone by itself.
    pub retried: bool,
}

/// The newest revocation list of an authority whose key stays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFacts {
    pub number: u64,
    pub this_update: pki::time::Time,
    pub next_update: pki::time::Time,
}

impl Kept {
    /// What exists, for resolving: authorities that have key and certificate.
    pub fn observed(&self, now: pki::time::Time) -> Observed {
        let mut observed = Observed::nothing(now);
        for (name, kept) in &self.authorities {
            if let Some(certificate) = kept.chain.first() {
                let found = ObservedAuthority { certificate: certificate.clone(), chain: kept.chain.clone() };
                observed.authorities.insert(name.clone(), found);
            }
            if let Some(server) = &kept.given {
                observed.delegated.insert(name.clone(), server.clone());
            }
        }
        observed
    }

    /// Every key, PKCS#8 DER. [`split`](resolve::parts::split) takes those that the server issues with, and no others.
    pub fn keys(&self) -> BTreeMap<ResourceName, Secret> {
        self.authorities.iter().map(|(name, kept)| (name.clone(), kept.key.clone())).collect()
    }

    /// The revocation lists that were made here, DER.
    pub fn lists(&self) -> BTreeMap<ResourceName, Vec<u8>> {
        let list = |(name, kept): (&ResourceName, &KeptAuthority)| Some((name.clone(), kept.list.clone()?));
        self.authorities.iter().filter_map(list).collect()
    }

    /// The newest list of an authority; none where its server makes them.
    pub fn list_facts(&self, authority: &ResourceName) -> Option<ListFacts> {
        let kept = self.authorities.get(authority).filter(|kept| kept.given.is_none())?;
        let list = CertificateList::from_der(kept.list.as_deref()?).ok()?;
        let number = list.number().ok().flatten()?.0;
        Some(ListFacts { number, this_update: list.this_update(), next_update: list.next_update()? })
    }

    /// Secrets that are ours and cannot be used, in a sentence each.
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }

    /// Keys that are to go: `uids` are those of the resources that there are in `scope`.
    fn left_over(&self, scope: &Scope, uids: &BTreeSet<String>) -> impl Iterator<Item = &KeptAuthority> {
        self.authorities.values().filter(move |found| {
            found.deletion_policy == DeletionPolicy::Delete
                && scope.covers(found.name.namespace())
                && !uids.contains(&found.owner)
        })
    }

    fn put(&mut self, kept: KeptAuthority) {
        self.authorities.insert(kept.name.clone(), kept);
    }
}

impl Keeper {
    /// `namespace` is the operator's own.
    pub fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self { vault: Vault::new(client, namespace), clock }
    }

    /// Everything there is.
    ///
    /// # Errors
    /// [`ProvisionError::List`]: nothing is known then about what does not exist, and nothing may be made.
    pub async fn observe(&self) -> Result<Kept, ProvisionError> {
        let mut all = Kept::default();
        for secret in self.vault.list(kept::HOLDS_AUTHORITY_KEY).await? {
            match KeptAuthority::read(&secret) {
                Ok(kept) => all.put(kept),
                Err(what) => {
                    let name = self.vault.name(secret.metadata.name.as_deref().unwrap_or_default());
                    all.unusable.push(format!("the Secret {name} {what}"));
                }
            }
        }
        Ok(all)
    }

    /// Resolves for one server and makes what is wanted, parents first, until nothing is wanted that can be made; then the revocation
    /// lists of those authorities whose keys stay here. What could not be made is among the failures, and only what hangs on it
    /// waits.
    ///
    /// `revoked` is what resources have revoked, by the key of who signed.
    pub async fn settle(
        &self,
        kept: &mut Kept,
        resources: &Resources,
        server: &ResourceName,
        revoked: &BTreeMap<KeyId, Vec<RevokedIntermediate>>,
    ) -> Settled {
        let mut failures = Failures::default();
        let owners = owners(resources);
        self.forget_replaced(kept, &owners, &mut failures).await;
        let mut resolution = loop {
            let resolution = resolve(resources, &kept.observed(self.clock.now()), Some(server));
            let base = public_base_url(&resolution);
            let mut made = false;
            for want in &resolution.wants {
                if failures.texts.contains_key(want.name()) {
                    continue;
                }
                let owner = owners.get(want.name()).copied();
                match self.fulfil(want, owner, kept, base.as_deref()).await {
                    Ok(authority) => {
                        tracing::info!(authority = %want.name(), "authority created");
                        kept.put(authority);
                        made = true;
                    }
                    Err(error) => failures.note(want.name(), &error),
                }
            }
            if !made {
                break resolution;
            }
        };
        self.mark(kept, &owners, &mut resolution, &mut failures).await;
        self.publish_lists(kept, &resolution, revoked, &mut failures).await;
        Settled { resolution, failures: failures.texts, retried: failures.retried }
    }

    /// Removes the keys of authorities that are gone and asked for that (`deletionPolicy: Delete`). `uids` are those of **all**
    /// CertificateAuthorities of `scope`, from a complete list: keys of other namespaces are left alone. Says whose keys were
    /// destroyed.
    ///
    /// # Errors
    /// [`ProvisionError::Api`] and [`ProvisionError::Conflict`]: the rest is still there.
    pub async fn sweep(
        &self,
        kept: &mut Kept,
        scope: &Scope,
        uids: &BTreeSet<String>,
    ) -> Result<Vec<ResourceName>, ProvisionError> {
        let gone: Vec<KeptAuthority> = kept.left_over(scope, uids).cloned().collect();
        let mut destroyed = Vec::new();
        for authority in gone {
            self.vault.delete(&authority.meta).await?;
            tracing::warn!(authority = %authority.name, "its resource is gone and said Delete: its key is destroyed");
            kept.authorities.remove(&authority.name);
            destroyed.push(authority.name);
        }
        Ok(destroyed)
    }

    /// Whether a [`sweep`](Self::sweep) would remove any key in `kept`, where these were all there are.
    pub fn is_sweep_due(kept: &Kept, scope: &Scope, uids: &BTreeSet<String>) -> bool {
        kept.left_over(scope, uids).next().is_some()
    }

    /// A resource that was deleted, said Delete and was made again before a sweep: its old key must not come back with it.
    async fn forget_replaced(
        &self,
        kept: &mut Kept,
        owners: &BTreeMap<ResourceName, &CertificateAuthority>,
        failures: &mut Failures,
    ) {
        let is_replaced = |found: &&KeptAuthority| {
            let owner = owners.get(&found.name).and_then(|owner| owner.uid());
            found.deletion_policy == DeletionPolicy::Delete && owner.is_some_and(|uid| uid != found.owner)
        };
        let replaced: Vec<KeptAuthority> = kept.authorities.values().filter(is_replaced).cloned().collect();
        for authority in replaced {
            match self.vault.delete(&authority.meta).await {
                Ok(()) => {
                    kept.authorities.remove(&authority.name);
                }
                Err(error) => failures.note(&authority.name, &error),
            }
        }
    }

    /// Writes down whose each key is, what is to become of it, and that it was given away, before it is.
    async fn mark(
        &self,
        kept: &mut Kept,
        owners: &BTreeMap<ResourceName, &CertificateAuthority>,
        resolution: &mut Resolution,
        failures: &mut Failures,
    ) {
        let Some(compiled) = &resolution.compiled else { return };
        for name in compiled.authorities.iter().map(|authority| &authority.name) {
            let (Some(found), Some(owner)) = (kept.authorities.get(name), owners.get(name)) else { continue };
            let newly = resolution.issuing.contains(name).then(|| compiled.server.name.clone());
            let given = found.given.clone().or(newly);
            let marked = KeptAuthority {
                owner: owner.uid().unwrap_or_default(),
                deletion_policy: owner.spec.deletion_policy,
                given: given.clone(),
                ..found.clone()
            };
            let is_marked = (&marked.owner, marked.deletion_policy, &given)
                == (&found.owner, found.deletion_policy, &found.given);
            if !is_marked {
                match self.write(marked).await {
                    Ok(written) => kept.put(written),
                    Err(error) => {
                        failures.note(name, &error);
                        // What is not written down is not given: the next pass does both.
                        if found.given.is_none() {
                            resolution.issuing.remove(name);
                        }
                        continue;
                    }
                }
            }
            if given.is_some() {
                resolution.issuing.insert(name.clone());
            }
        }
    }

    /// Writes an authority that was read before.
    async fn write(&self, authority: KeptAuthority) -> Result<KeptAuthority, ProvisionError> {
        let written = self.vault.replace(&authority.to_secret(&self.vault)).await?;
        let meta = kube::core::ObjectMeta { managed_fields: None, ..written.metadata };
        Ok(KeptAuthority { meta, ..authority })
    }

    /// The authority as it signs.
    fn runtime(
        &self,
        kept: &KeptAuthority,
        crl: CrlSettings,
        base: Option<&str>,
    ) -> Result<Authority, ProvisionError> {
        let unusable = |what: String| ProvisionError::Unusable {
            secret: self.vault.name(&secret_name(&kept.name)),
            what,
        };
        let der = kept.chain.first().ok_or_else(|| unusable("has no certificate yet".to_owned()))?;
        let certificate = Certificate::from_der(der)
            .map_err(|error| unusable(format!("holds a certificate that cannot be read: {error}")))?;
        let urls = PublicationUrls::below(base, key_identifier(&certificate));
        let (name, chain, signer) = (kept.name.clone(), kept.chain.clone(), kept.signer.clone());
        Ok(Authority::new(name, certificate, chain, signer, crl, &urls)?)
    }
}

/// What could not be made.
#[derive(Debug, Default)]
struct Failures {
    texts: BTreeMap<ResourceName, String>,
    retried: bool,
}

impl Failures {
    fn note(&mut self, name: &ResourceName, error: &ProvisionError) {
        let text = error.sentence();
        tracing::error!(authority = %name, error = text, "an authority could not be provided for");
        self.retried |= error.is_retried();
        self.texts.insert(name.clone(), text);
    }
}

fn owners(resources: &Resources) -> BTreeMap<ResourceName, &CertificateAuthority> {
    resources.authorities.iter().map(|authority| (resource_name(&authority.metadata), authority)).collect()
}

fn public_base_url(resolution: &Resolution) -> Option<String> {
    resolution.compiled.as_ref()?.server.public_base_url.clone()
}
