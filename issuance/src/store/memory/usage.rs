//! How credentials were used.

use std::{net::IpAddr, sync::Arc};

use pki::time::Time;

use super::{super::Conflict, Tables};
use crate::{
    credential::{CredentialRow, CredentialUsage, GrantedUses, Seen, UsageNote},
    identity::CredentialId,
};

/// Beside the counts in the row.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    first: Option<Time>,
    last_address: Option<IpAddr>,
    noted: Option<UsageNote>,
}

impl Tables {
    pub(super) fn use_credential(
        &mut self,
        id: CredentialId,
        at: Time,
        address: Option<IpAddr>,
    ) -> Result<(), Conflict> {
        let row = self.credentials.values_mut().find(|row| row.id == id);
        let row = Arc::make_mut(row.ok_or(Conflict::Missing("credential"))?);
        row.uses += 1;
        let usage = self.usage.entry(id).or_default();
        usage.first = Some(usage.first.map_or(at, |first| first.min(at)));
        if row.last_used_at <= Some(at) {
            (row.last_used_at, usage.last_address) = (Some(at), address);
        }
        Ok(())
    }

    /// A row takes the place of another. A new secret that was never used begins anew.
    pub(super) fn keep_usage(&mut self, before: &CredentialRow, after: &CredentialRow) {
        if before.verifier != after.verifier
            && after.last_used_at.is_none()
            && let Some(usage) = self.usage.get_mut(&after.id)
        {
            (usage.first, usage.last_address) = (None, None);
        }
    }

    pub(super) fn note_usage(&mut self, note: UsageNote) {
        if self.credential(&note.credential).is_none() {
            return;
        }
        let noted = &mut self.usage.entry(note.credential.clone()).or_default().noted;
        noted.get_or_insert_with(|| UsageNote::empty(note.credential.clone())).add(note);
    }

    pub(super) fn usage_of(&self, id: &CredentialId) -> Option<CredentialUsage> {
        let (_, row) = self.credential(id)?;
        let Usage { first, last_address, noted } = self.usage.get(id).cloned().unwrap_or_default();
        let last = row.last_used_at.map(|at| Seen { at, address: last_address });
        let granted = GrantedUses { credential: id.clone(), uses: row.uses, first, last };
        Some(CredentialUsage::new(granted, noted))
    }
}
