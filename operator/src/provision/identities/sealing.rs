//! Sealing keys: made once for each server, and kept when the server is gone. Without it, what the server sealed is lost.
//!
//! A server is published only after its key was made. Where it is published and the key is gone, somebody lost it.

use std::str;

use crds::labels;
use issuance::{identity::ResourceName, sealing::SealingKeys};
use k8s_openapi::ByteString;

use crate::provision::{
    ProvisionError,
    vault::{Created, Vault, bytes, is_ours, set_annotation, set_label},
};

/// Makes the Secret where there is none. One that somebody restored, or put there, is taken as it is: it is never written to.
pub(super) async fn ensure(vault: &Vault, server: &ResourceName, uid: &str) -> Result<(), ProvisionError> {
    let name = labels::sealing_secret_name(server.name());
    let mut found = vault.read(&name).await?;
    if found.is_none() {
        let manifest = labels::manifest_secret_name(server.name());
        if vault.read(&manifest).await?.is_some_and(|found| is_ours(&found.metadata)) {
            let (sealing, manifest) = (vault.name(&name), vault.name(&manifest));
            return Err(ProvisionError::SealingLost { sealing, manifest });
        }
        let line = SealingKeys::generate_line()?;
        let data = [(labels::SEALING_KEY.to_owned(), ByteString(format!("{}\n", *line).into_bytes()))];
        let mut secret = vault.secret(&name, "Opaque", data.into());
        set_label(&mut secret.metadata, labels::SERVER, server.name());
        set_label(&mut secret.metadata, labels::OWNER_UID, uid);
        set_annotation(&mut secret.metadata, labels::FOR, &server.to_string());
        match vault.create(&secret).await? {
            Created::Made(_) => return Ok(()),
            Created::Exists => found = vault.read(&name).await?,
        }
    }
    let secret = found.ok_or_else(|| ProvisionError::Conflict(vault.name(&name)))?;
    let text = bytes(&secret, labels::SEALING_KEY).and_then(|bytes| str::from_utf8(bytes).ok());
    match text.map(SealingKeys::parse) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(ProvisionError::Unusable {
            secret: vault.name(&name),
            what: format!("is of no use: {error}"),
        }),
        None => {
            let what = format!("holds no text under {}", labels::SEALING_KEY);
            Err(ProvisionError::Unusable { secret: vault.name(&name), what })
        }
    }
}
