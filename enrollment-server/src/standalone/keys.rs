//! Keys and certificates of authorities, as files: the key sealed, the rest for everybody.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, ensure};
use issuance::{identity::ResourceName, ports::Signer, sealing::SealingKeys, secret::Secret};
use pki::{algorithm::KeyAlgorithm, pem};
use signers::SoftwareSigner;

use super::{
    authority_purpose,
    data::{DataFolder, read_if_there, remove_folder, write_private},
};

/// What is there of one authority.
#[derive(Clone, Debug)]
pub(super) struct AuthorityFiles {
    pub(super) signer: Arc<dyn Signer>,
    /// DER, from its own certificate up to the root; none until it is signed.
    pub(super) chain: Vec<Vec<u8>>,
}

/// The `authorities` folder.
#[derive(Debug)]
pub(super) struct AuthorityStore {
    folder: DataFolder,
    sealing: Arc<SealingKeys>,
}

impl AuthorityStore {
    pub(super) fn new(folder: DataFolder, sealing: Arc<SealingKeys>) -> Self {
        Self { folder, sealing }
    }

    /// Everything there is. An authority whose key cannot be opened is an error: to make a new one in its place
    /// would cut off everything it ever issued.
    pub(super) fn read_all(&self) -> anyhow::Result<BTreeMap<ResourceName, AuthorityFiles>> {
        let mut all = BTreeMap::new();
        let entries = match fs::read_dir(self.folder.authorities()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(error).context(self.folder.authorities().display().to_string()),
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some((namespace, own)) = name.split_once('.') else { continue };
            let name = ResourceName::new(namespace, own);
            if let Some(files) = self.read(&name)? {
                all.insert(name, files);
            }
        }
        Ok(all)
    }

    /// One authority; none without a key.
    pub(super) fn read(&self, name: &ResourceName) -> anyhow::Result<Option<AuthorityFiles>> {
        let path = self.key_path(name);
        let chain_path = self.folder.authority(name).join("chain.pem");
        let Some(sealed) = read_if_there(&path)? else {
            ensure!(
                !chain_path.exists(),
                "{} is there and its key {} is not; restore the key, or remove the folder to begin anew",
                chain_path.display(),
                path.display()
            );
            return Ok(None);
        };
        let key = self.sealing.unseal(&authority_purpose(&name.dotted()), &sealed);
        let key = key.with_context(|| path.display().to_string())?;
        let signer = SoftwareSigner::from_pkcs8(&key).with_context(|| path.display().to_string())?;
        let chain = match read_if_there(&chain_path)? {
            Some(text) => {
                let blocks = pem::decode_all(&text).with_context(|| chain_path.display().to_string())?;
                blocks.into_iter().map(|block| block.der).collect()
            }
            None => Vec::new(),
        };
        Ok(Some(AuthorityFiles { signer: Arc::new(signer), chain }))
    }

    /// Makes and keeps a key, sealed; an existing one is never overwritten.
    pub(super) fn generate(
        &self,
        name: &ResourceName,
        algorithm: KeyAlgorithm,
    ) -> anyhow::Result<Arc<dyn Signer>> {
        if let Some(files) = self.read(name)? {
            return Ok(files.signer);
        }
        let signer = SoftwareSigner::generate(algorithm)?;
        self.write_key(name, &signer.to_pkcs8()?)?;
        Ok(Arc::new(signer))
    }

    /// Keeps a key that was made elsewhere.
    pub(super) fn import(&self, name: &ResourceName, key: &Secret) -> anyhow::Result<Arc<dyn Signer>> {
        let signer = SoftwareSigner::from_pkcs8(key)?;
        if let Some(files) = self.read(name)? {
            ensure!(
                files.signer.public_key().spki_der() == signer.public_key().spki_der(),
                "authority {name} has another key already; remove {} to import this one",
                self.folder.authority(name).display()
            );
            return Ok(files.signer);
        }
        self.write_key(name, key)?;
        Ok(Arc::new(signer))
    }

    /// Keeps the certificates, its own first.
    pub(super) fn write_chain(&self, name: &ResourceName, chain: &[Vec<u8>]) -> anyhow::Result<()> {
        let folder = self.folder.authority(name);
        let encoded: Vec<String> = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        let first = encoded.first().context("an authority has a certificate")?;
        write_private(&folder.join("certificate.pem"), first.as_bytes())?;
        let root = encoded.last().context("an authority has a certificate")?;
        write_private(&self.folder.root_certificate(name), root.as_bytes())?;
        // Last: what it says is there, is there.
        write_private(&folder.join("chain.pem"), encoded.concat().as_bytes())?;
        Ok(())
    }

    /// Removes key and certificates: only what `deletionPolicy: Delete` asks for.
    pub(super) fn remove(&self, name: &ResourceName) -> anyhow::Result<()> {
        Ok(remove_folder(&self.folder.authority(name))?)
    }

    fn key_path(&self, name: &ResourceName) -> PathBuf {
        self.folder.authority(name).join("key.sealed")
    }

    fn write_key(&self, name: &ResourceName, key: &Secret) -> anyhow::Result<()> {
        let sealed = self.sealing.seal(&authority_purpose(&name.dotted()), key)?;
        Ok(write_private(&self.key_path(name), &sealed)?)
    }
}
