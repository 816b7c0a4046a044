//! One authority as its Secret keeps it.
//!
//! | in the Secret | what |
//! | --- | --- |
//! | `tls.key` | the key, PKCS#8 PEM |
//! | `tls.crt` | the certificates, PEM, its own first; absent until it is signed |
//! | `crl.der` | the newest revocation list, where the operator makes them |
//! | label `chancery.dev/owner-uid` | of the CertificateAuthority |
//! | annotation `chancery.dev/for` | its `namespace/name` |
//! | annotation `chancery.dev/deletion-policy` | what is to become of the key when the resource is gone: there is nobody else to ask then |
//! | annotation `chancery.dev/given` | `namespace/name` of the server that the key was once given to: from then on it makes the lists, and the authority stays with it |

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use crds::{DeletionPolicy, labels};
use issuance::{identity::ResourceName, ports::Signer, secret::Secret};
use k8s_openapi::{ByteString, api::core::v1};
use pki::pem;
use signers::SoftwareSigner;

use crate::provision::vault::{Vault, annotation, bytes, is_ours, label, set_annotation, set_label};

/// The value of the label that all Secrets of this kind have.
pub(super) const HOLDS_AUTHORITY_KEY: &str = "authority-key";

const KEY: &str = "tls.key";
const CERTIFICATES: &str = "tls.crt";
const LIST: &str = "crl.der";

const DELETION_POLICY: &str = "chancery.dev/deletion-policy";
const GIVEN: &str = "chancery.dev/given";

/// The longest name of a Secret.
const LONGEST_NAME: usize = 253;

/// One authority, with its key.
#[derive(Clone)]
pub struct KeptAuthority {
    pub(super) name: ResourceName,
    /// UID of the resource.
    pub(super) owner: String,
    /// PKCS#8 DER.
    pub(super) key: Secret,
    pub(super) signer: Arc<dyn Signer>,
    /// DER, its own certificate first, up to the root; empty until it is signed.
    pub(super) chain: Vec<Vec<u8>>,
    /// DER.
    pub(super) list: Option<Vec<u8>>,
    pub(super) deletion_policy: DeletionPolicy,
    /// The server that has had the key.
    pub(super) given: Option<ResourceName>,
    /// As it was read, without what it holds.
    pub(super) meta: kube::core::ObjectMeta,
}

impl fmt::Debug for KeptAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAuthority")
            .field("name", &self.name)
            .field("certificates", &self.chain.len())
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl KeptAuthority {
    /// One that is still to be created.
    pub(super) fn new(
        name: &ResourceName,
        owner: &str,
        key: Secret,
        deletion_policy: DeletionPolicy,
    ) -> Result<Self, signers::KeyError> {
        let signer = Arc::new(SoftwareSigner::from_pkcs8(&key)?);
        Ok(Self {
            name: name.clone(),
            owner: owner.to_owned(),
            key,
            signer,
            chain: Vec::new(),
            list: None,
            deletion_policy,
            given: None,
            meta: kube::core::ObjectMeta::default(),
        })
    }

    /// The Secret as it is to be.
    pub(super) fn to_secret(&self, vault: &Vault) -> v1::Secret {
        let key = pem::encode("PRIVATE KEY", self.key.expose());
        let mut data = [(KEY.to_owned(), ByteString(key.into_bytes()))]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>();
        if !self.chain.is_empty() {
            let pem: String = self.chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
            data.insert(CERTIFICATES.to_owned(), ByteString(pem.into_bytes()));
        }
        if let Some(list) = &self.list {
            data.insert(LIST.to_owned(), ByteString(list.clone()));
        }
        let mut secret = vault.secret(&secret_name(&self.name), labels::AUTHORITY_KEY_TYPE, data);
        let fresh = secret.metadata.labels.take().unwrap_or_default();
        let mut meta = self.meta.clone();
        meta.name = secret.metadata.name.take();
        meta.namespace = secret.metadata.namespace.take();
        meta.labels.get_or_insert_default().extend(fresh);
        set_label(&mut meta, labels::HOLDS, HOLDS_AUTHORITY_KEY);
        set_label(&mut meta, labels::OWNER_UID, &self.owner);
        set_annotation(&mut meta, labels::FOR, &self.name.to_string());
        set_annotation(&mut meta, DELETION_POLICY, self.deletion_policy.as_str());
        if let Some(server) = &self.given {
            set_annotation(&mut meta, GIVEN, &server.to_string());
        }
        v1::Secret { metadata: meta, ..secret }
    }

    /// Reads a Secret of ours.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its name. Never holds what the Secret holds.
    pub(super) fn read(secret: &v1::Secret) -> Result<Self, String> {
        let meta = &secret.metadata;
        if !is_ours(meta) || secret.type_.as_deref() != Some(labels::AUTHORITY_KEY_TYPE) {
            return Err("was not made by the operator".to_owned());
        }
        let name = annotation(meta, labels::FOR).and_then(|text| ResourceName::from_str(text).ok());
        let name = name.ok_or_else(|| format!("does not say for which authority it is ({})", labels::FOR))?;
        if meta.name.as_deref() != Some(secret_name(&name).as_str()) {
            return Err(format!("is not where the key of {name} belongs"));
        }
        let key = read_key(bytes(secret, KEY).ok_or_else(|| format!("has no {KEY}"))?)?;
        let mut kept =
            Self::new(&name, label(meta, labels::OWNER_UID).unwrap_or_default(), key, policy(meta))
                .map_err(|error| format!("holds a key that cannot be used: {error}"))?;
        kept.chain = read_chain(bytes(secret, CERTIFICATES).unwrap_or_default())?;
        kept.list = bytes(secret, LIST).map(<[u8]>::to_vec);
        kept.given = annotation(meta, GIVEN)
            .map(|server| ResourceName::from_str(server).map_err(|error| format!("has {GIVEN}: {error}")))
            .transpose()?;
        kept.meta = kube::core::ObjectMeta { managed_fields: None, ..meta.clone() };
        Ok(kept)
    }
}

/// The Secret with the key of an authority, in the operator's namespace. A namespace holds no dot: two authorities never share one.
pub fn secret_name(authority: &ResourceName) -> String {
    let readable = format!("chancery-authority-{}", authority.dotted());
    if readable.len() <= LONGEST_NAME {
        return readable;
    }
    format!("chancery-authority-{}", hex::encode(digest(&SHA256, authority.to_string().as_bytes())))
}

/// What cannot be read keeps the key.
fn policy(meta: &kube::core::ObjectMeta) -> DeletionPolicy {
    match annotation(meta, DELETION_POLICY) {
        Some(text) if text == DeletionPolicy::Delete.as_str() => DeletionPolicy::Delete,
        Some(_) | None => DeletionPolicy::Retain,
    }
}

fn read_key(text: &[u8]) -> Result<Secret, String> {
    let mut blocks = pem::decode_all(text).map_err(|error| format!("{KEY} is not PEM: {error}"))?;
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) if block.label == "PRIVATE KEY" => Ok(Secret::new(block.der)),
        (Some(_) | None, _) => Err(format!("has something else than one PRIVATE KEY (PKCS#8) under {KEY}")),
    }
}

fn read_chain(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let blocks = pem::decode_all(text).map_err(|error| format!("{CERTIFICATES} is not PEM: {error}"))?;
    Ok(blocks.into_iter().map(|block| block.der).collect())
}
