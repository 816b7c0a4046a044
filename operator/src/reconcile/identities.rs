//! The operator's own keys between passes: what was read is not read again with every change somewhere.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use issuance::{identity::ResourceName, ports::Clock};
use kube::Client;
use resolve::CompiledInternal;

use crate::{
    provision::{
        ProvisionError,
        identities::{Identities, InternalAuthority, ManifestKey},
    },
    servers::{InternalClient, OperatorIdentity},
};

/// After this everything is read again: certificates are renewed, and what somebody replaced is noticed.
const FORGET: Duration = Duration::from_secs(60);

/// What was read, and since when that is known.
#[derive(Debug)]
pub(super) struct Identified {
    identities: Identities,
    clock: Arc<dyn Clock>,
    known: Option<Known>,
    shown: Option<OperatorIdentity>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    manifest_key: Arc<ManifestKey>,
    authority: InternalAuthority,
    /// By server, with the UID it was made for.
    servers: BTreeMap<ResourceName, (String, CompiledInternal)>,
}

impl Identified {
    pub(super) fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            identities: Identities::new(client, namespace, clock.clone()),
            clock,
            known: None,
            shown: None,
        }
    }

    pub(super) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Reads or makes the operator's own keys where they are not known, and shows servers who asks.
    ///
    /// # Errors
    /// Where they can neither be read nor made.
    pub(super) async fn refresh(&mut self, client: &InternalClient) -> anyhow::Result<()> {
        if self.known.as_ref().is_some_and(|known| known.since.elapsed() < FORGET) {
            return Ok(());
        }
        let manifest_key = Arc::new(self.identities.manifest_key().await?);
        let authority = self.identities.internal().await?;
        let identity = authority.operator(self.shown.as_ref(), self.clock.as_ref()).await?;
        if self.shown.as_ref() != Some(&identity) {
            client.identify(&identity)?;
            self.shown = Some(identity);
        }
        self.known = Some(Known { since: Instant::now(), manifest_key, authority, servers: BTreeMap::new() });
        Ok(())
    }

    /// Makes the sealing key of a server where there is none. Says so where it is lost: nothing is sealed with another one then.
    ///
    /// # Errors
    /// Where it can neither be read nor made.
    pub(super) async fn sealing(
        &self,
        server: &ResourceName,
        uid: &str,
    ) -> anyhow::Result<Option<ProvisionError>> {
        match self.identities.sealing(server, uid).await {
            Ok(()) => Ok(None),
            Err(lost @ ProvisionError::SealingLost { .. }) => Ok(Some(lost)),
            Err(error) => Err(error).context("the sealing key"),
        }
    }

    /// The internal certificate of a server.
    ///
    /// # Errors
    /// Where it can neither be read nor made.
    pub(super) async fn server(
        &mut self,
        server: &ResourceName,
        uid: &str,
    ) -> anyhow::Result<CompiledInternal> {
        let known = self.known.as_mut().context("the operator's own keys are not known")?;
        if let Some((of, internal)) = known.servers.get(server)
            && of == uid
        {
            return Ok(internal.clone());
        }
        let internal = self.identities.server(&known.authority, server, uid).await;
        let internal = internal.context("the internal certificate")?;
        known.servers.insert(server.clone(), (uid.to_owned(), internal.clone()));
        Ok(internal)
    }

    /// Signs manifests.
    ///
    /// # Errors
    /// Before the first [`refresh`](Self::refresh).
    pub(super) fn signer(&self) -> anyhow::Result<Arc<ManifestKey>> {
        let known = self.known.as_ref().context("the operator's own keys are not known")?;
        Ok(known.manifest_key.clone())
    }

    /// What servers check manifests with.
    pub(super) fn manifest_key(&self) -> Option<String> {
        self.known.as_ref().map(|known| known.manifest_key.public_key_base64())
    }

    /// Forgets servers that are gone.
    pub(super) fn retain(&mut self, kept: impl Fn(&ResourceName) -> bool) {
        if let Some(known) = &mut self.known {
            known.servers.retain(|server, _| kept(server));
        }
    }
}
