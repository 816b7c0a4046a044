//! Who is who between the operator and its servers.
//!
//! | what | where | made anew |
//! | --- | --- | --- |
//! | internal authority | Secret in the operator's namespace | certificate when a third of its time is left, key never |
//! | the operator's certificate | in memory | with each process, and when a third of its time is left |
//! | a server's internal certificate | Secret in the operator's namespace, and from there the server's part | when a third of its time is left |
//! | key of manifests | Secret in the operator's namespace | never |
//! | sealing key of a server | Secret in the server's namespace | never, and never removed |
//!
//! The internal authority issues for nothing else, and nothing else is asked who is who. To replace its key, or that of manifests,
//! delete the Secret: servers then take over the new one with their next configuration (authority), or their next start (manifests).
//!
//! | file | what |
//! | --- | --- |
//! | `internal.rs` | the internal authority and certificates by it |
//! | `manifest_key.rs` | the key of manifests |
//! | `sealing.rs` | sealing keys |

mod internal;
mod manifest_key;
mod sealing;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr as _,
    sync::Arc,
};

use crds::labels;
use issuance::{identity::ResourceName, ports::Clock, secret::Secret};
use k8s_openapi::{ByteString, api::core::v1};
use kube::Client;
use pki::pem;
use resolve::CompiledInternal;

use self::internal::{Internal, Leaf};
use super::{
    ProvisionError,
    vault::{Created, Vault, annotation, bytes, is_ours, label, set_annotation, set_label},
};
use crate::{context::Scope, servers::OperatorIdentity};

pub use self::manifest_key::ManifestKey;

const AUTHORITY_SECRET: &str = "chancery-internal-authority";
const HOLDS_INTERNAL_AUTHORITY: &str = "internal-authority";
/// What the Secrets of servers' internal certificates hold: the value of the label [`HOLDS`](labels::HOLDS).
pub const HOLDS_SERVER_IDENTITY: &str = "server-identity";
const MANIFEST_KEY_SECRET: &str = "chancery-manifest-key";
const HOLDS_MANIFEST_KEY: &str = "manifest-key";

/// The type of Secrets with keys that belong to the operator itself.
const IDENTITY_TYPE: &str = "chancery.dev/identity";

const KEY: &str = "tls.key";
const CERTIFICATES: &str = "tls.crt";

/// Makes and keeps identities.
#[derive(Clone)]
pub struct Identities {
    client: Client,
    vault: Vault,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("vault", &self.vault).finish_non_exhaustive()
    }
}

impl Identities {
    /// `namespace` is the operator's own.
    pub fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self { vault: Vault::new(client.clone(), namespace), client, clock }
    }

    /// The key of manifests, made where there is none.
    ///
    /// # Errors
    /// [`ProvisionError`]; without it nothing can be published.
    pub async fn manifest_key(&self) -> Result<ManifestKey, ProvisionError> {
        let held = self
            .read_or_create(MANIFEST_KEY_SECRET, HOLDS_MANIFEST_KEY, async || {
                Ok((ManifestKey::generate()?, Vec::new()))
            })
            .await?;
        ManifestKey::from_pkcs8(&held.key).map_err(|what| self.unusable(MANIFEST_KEY_SECRET, what))
    }

    /// The internal authority, made where there is none, its certificate renewed in time.
    ///
    /// # Errors
    /// [`ProvisionError`]; without it no server can be asked anything.
    pub async fn internal(&self) -> Result<InternalAuthority, ProvisionError> {
        let now = self.clock.now();
        let held = self
            .read_or_create(AUTHORITY_SECRET, HOLDS_INTERNAL_AUTHORITY, async || {
                let made = Internal::generate(now).await?;
                Ok((made.pkcs8()?, vec![made.certificate().to_vec()]))
            })
            .await?;
        let read = Internal::read(&held.key, &held.chain);
        let internal = read.map_err(|what| self.unusable(AUTHORITY_SECRET, what))?;
        if !internal.is_renewal_due(now) {
            return Ok(InternalAuthority { internal });
        }
        // The same key and name: what was issued before stays good for those who have the new certificate, and the other way round.
        let renewed = internal.renew(now).await?;
        let chain = vec![renewed.certificate().to_vec()];
        self.write(&held.secret, &held.key, &chain).await?;
        Ok(InternalAuthority { internal: renewed })
    }

    /// The certificate of a server's internal listener, as its part holds it.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn server(
        &self,
        authority: &InternalAuthority,
        server: &ResourceName,
        uid: &str,
    ) -> Result<CompiledInternal, ProvisionError> {
        let (now, internal) = (self.clock.now(), &authority.internal);
        let dns_name = client::internal::server_dns_name(server.namespace(), server.name());
        let name = server_secret_name(server);
        let compiled = |leaf: Leaf| CompiledInternal {
            chain: vec![leaf.certificate],
            key: leaf.key,
            authority: internal.certificate().to_vec(),
        };
        let found = self.vault.read(&name).await?;
        if let Some(secret) = &found {
            if !is_ours(&secret.metadata) {
                return Err(ProvisionError::Foreign(self.vault.name(&name)));
            }
            let held = Held::read(secret).ok();
            let leaf = held.and_then(|held| Leaf::read(&held.key, &held.chain));
            let is_current =
                |leaf: &Leaf| internal.issued(leaf) && leaf.is_for(&dns_name) && !leaf.is_renewal_due(now);
            let is_owned = label(&secret.metadata, labels::OWNER_UID) == Some(uid);
            if let Some(leaf) = leaf.filter(|leaf| is_owned && is_current(leaf)) {
                return Ok(compiled(leaf));
            }
        }
        let leaf = internal.issue(&dns_name, internal::Role::Server, now).await?;
        let data = data(&leaf.key, std::slice::from_ref(&leaf.certificate));
        let mut secret = self.vault.secret(&name, IDENTITY_TYPE, data);
        secret.metadata.resource_version =
            found.as_ref().and_then(|found| found.metadata.resource_version.clone());
        set_label(&mut secret.metadata, labels::HOLDS, HOLDS_SERVER_IDENTITY);
        set_label(&mut secret.metadata, labels::OWNER_UID, uid);
        set_annotation(&mut secret.metadata, labels::FOR, &server.to_string());
        match found {
            Some(_) => drop(self.vault.replace(&secret).await?),
            None => match self.vault.create(&secret).await? {
                Created::Made(_) => {}
                Created::Exists => return Err(ProvisionError::Conflict(self.vault.name(&name))),
            },
        }
        Ok(compiled(leaf))
    }

    /// The sealing key of a server, made where there is none: without it a server cannot begin.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn sealing(&self, server: &ResourceName, uid: &str) -> Result<(), ProvisionError> {
        sealing::ensure(&Vault::new(self.client.clone(), server.namespace()), server, uid).await
    }

    /// Removes the identities of servers that are gone. `uids` are those of **all** EnrollmentServers of `scope`, from a complete list:
    /// those of other namespaces are left alone.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn sweep(&self, scope: &Scope, uids: &BTreeSet<String>) -> Result<(), ProvisionError> {
        for secret in self.vault.list(HOLDS_SERVER_IDENTITY).await? {
            let owner = label(&secret.metadata, labels::OWNER_UID);
            let is_seen = is_of(scope, annotation(&secret.metadata, labels::FOR));
            if is_seen && owner.is_some_and(|owner| !uids.contains(owner)) {
                self.vault.delete(&secret.metadata).await?;
            }
        }
        Ok(())
    }

    /// A Secret of ours with a key, made where there is none.
    async fn read_or_create(
        &self,
        name: &str,
        holds: &str,
        make: impl AsyncFnOnce() -> Result<(Secret, Vec<Vec<u8>>), ProvisionError>,
    ) -> Result<Held, ProvisionError> {
        let mut found = self.vault.read(name).await?;
        if found.is_none() {
            let (key, chain) = make().await?;
            let mut secret = self.vault.secret(name, IDENTITY_TYPE, data(&key, &chain));
            set_label(&mut secret.metadata, labels::HOLDS, holds);
            found = match self.vault.create(&secret).await? {
                Created::Made(made) => Some(*made),
                Created::Exists => self.vault.read(name).await?,
            };
        }
        let secret = found.ok_or_else(|| ProvisionError::Conflict(self.vault.name(name)))?;
        if !is_ours(&secret.metadata) {
            return Err(ProvisionError::Foreign(self.vault.name(name)));
        }
        Held::read(&secret).map_err(|what| self.unusable(name, what))
    }

    async fn write(&self, found: &v1::Secret, key: &Secret, chain: &[Vec<u8>]) -> Result<(), ProvisionError> {
        let secret = v1::Secret { data: Some(data(key, chain)), ..found.clone() };
        self.vault.replace(&secret).await.map(drop)
    }

    fn unusable(&self, name: &str, what: String) -> ProvisionError {
        ProvisionError::Unusable { secret: self.vault.name(name), what }
    }
}

/// The authority that operator and servers know each other by.
#[derive(Clone, Debug)]
pub struct InternalAuthority {
    internal: Internal,
}

impl InternalAuthority {
    /// What the operator shows to servers, with a key that is nowhere else. `held` is what it has shown so far; what is still good
    /// comes back unchanged.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn operator(
        &self,
        held: Option<&OperatorIdentity>,
        clock: &dyn Clock,
    ) -> Result<OperatorIdentity, ProvisionError> {
        let now = clock.now();
        if let Some(held) = held.filter(|held| held.authority == self.internal.certificate()) {
            let leaf = Leaf::read(&held.key, &held.chain);
            if leaf.is_some_and(|leaf| self.internal.issued(&leaf) && !leaf.is_renewal_due(now)) {
                return Ok(held.clone());
            }
        }
        let name = client::internal::OPERATOR_DNS_NAME;
        let leaf = self.internal.issue(name, internal::Role::Operator, now).await?;
        let authority = self.internal.certificate().to_vec();
        Ok(OperatorIdentity { chain: vec![leaf.certificate], key: leaf.key, authority })
    }
}

/// A key and its certificates, as a Secret holds them.
struct Held {
    secret: v1::Secret,
    key: Secret,
    chain: Vec<Vec<u8>>,
}

impl Held {
    /// What is wrong is the end of a sentence that begins with the Secret's name.
    fn read(secret: &v1::Secret) -> Result<Self, String> {
        let text = bytes(secret, KEY).ok_or_else(|| format!("has no {KEY}"))?;
        let mut blocks = pem::decode_all(text).map_err(|error| format!("{KEY} is not PEM: {error}"))?;
        let key = blocks.pop().filter(|block| block.label == "PRIVATE KEY");
        let key = key.ok_or_else(|| format!("has no PRIVATE KEY under {KEY}"))?;
        let blocks = pem::decode_all(bytes(secret, CERTIFICATES).unwrap_or_default());
        let blocks = blocks.map_err(|error| format!("{CERTIFICATES} is not PEM: {error}"))?;
        let chain = blocks.into_iter().map(|block| block.der).collect();
        Ok(Self { secret: secret.clone(), key: Secret::new(key.der), chain })
    }
}

/// Whether the server that an identity is for ([`FOR`](labels::FOR)) is in a namespace that is looked after.
pub fn is_of(scope: &Scope, server: Option<&str>) -> bool {
    server
        .and_then(|text| ResourceName::from_str(text).ok())
        .is_some_and(|server| scope.covers(server.namespace()))
}

/// The Secret with the internal certificate of a server, in the operator's namespace.
fn server_secret_name(server: &ResourceName) -> String {
    let readable = format!("chancery-server-identity-{}", server.dotted());
    if readable.len() <= 253 {
        return readable;
    }
    format!("chancery-server-identity-{}", resolve::parts::sha256_hex(server.to_string().as_bytes()))
}

fn data(key: &Secret, chain: &[Vec<u8>]) -> BTreeMap<String, ByteString> {
    let key = pem::encode("PRIVATE KEY", key.expose());
    let mut data: BTreeMap<String, ByteString> = [(KEY.to_owned(), ByteString(key.into_bytes()))].into();
    if !chain.is_empty() {
        let text: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        data.insert(CERTIFICATES.to_owned(), ByteString(text.into_bytes()));
    }
    data
}
