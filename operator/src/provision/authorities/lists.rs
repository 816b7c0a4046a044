//! Revocation lists of authorities whose key stays here: what they revoked are intermediates, by CertificateRevocations.

use std::collections::BTreeMap;

use issuance::{
    authority::{Authority, CrlSettings},
    identity::{KeyId, ResourceName},
    publication::{next_number, sign_crl},
};
use pki::{
    crl::{CertificateList, RevokedEntry},
    serial::SerialNumber,
    time::Time,
};
use resolve::{CompiledAuthority, Resolution};

use super::{Failures, Keeper, Kept, KeptAuthority};
use crate::{provision::ProvisionError, revocation::RevokedIntermediate};

/// The list that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Next {
    number: u64,
    entries: Vec<RevokedEntry>,
}

impl Keeper {
    /// Makes the lists that are due.
    pub(super) async fn publish_lists(
        &self,
        kept: &mut Kept,
        resolution: &Resolution,
        revoked: &BTreeMap<KeyId, Vec<RevokedIntermediate>>,
        failures: &mut Failures,
    ) {
        let Some(compiled) = &resolution.compiled else { return };
        for authority in &compiled.authorities {
            let Some(found) = kept.authorities.get(&authority.name) else { continue };
            // An earlier failure of the same authority says more.
            if resolution.issuing.contains(&authority.name) || failures.texts.contains_key(&authority.name) {
                continue;
            }
            match self.publish_list(found, authority, revoked).await {
                Ok(Some(written)) => {
                    tracing::info!(authority = %authority.name, "revocation list made");
                    kept.put(written);
                }
                Ok(None) => {}
                Err(error) => failures.note(&ResourceName::clone(&authority.name), &error),
            }
        }
    }

    async fn publish_list(
        &self,
        kept: &KeptAuthority,
        compiled: &CompiledAuthority,
        revoked: &BTreeMap<KeyId, Vec<RevokedIntermediate>>,
    ) -> Result<Option<KeptAuthority>, ProvisionError> {
        let settings =
            CrlSettings { validity: compiled.crl.validity, renew_before: compiled.crl.renew_before };
        let authority = self.runtime(kept, settings, None)?;
        if !authority.signs_crls() {
            return Ok(None);
        }
        let revoked = revoked.get(&authority.key_id()).map(Vec::as_slice).unwrap_or_default();
        let now = self.clock.now();
        let last = kept.list.as_deref().and_then(|der| own_list(der, &authority));
        let Some(next) = next(last.as_ref(), revoked, settings, now) else { return Ok(None) };
        let row = sign_crl(&authority, next.number, next.entries, now).await?;
        self.write(KeptAuthority { list: Some(row.der), ..kept.clone() }).await.map(Some)
    }
}

/// A list that can be read and that this authority signed: anything else is made anew.
fn own_list(der: &[u8], authority: &Authority) -> Option<CertificateList> {
    let list = CertificateList::from_der(der).ok()?;
    list.verify_signed_by(authority.certificate.public_key()).is_ok().then_some(list)
}

/// The next list, if one is due: the first, one before the last ends, or one with something new in it. What was once revoked stays so,
/// also when the resource that asked for it is deleted.
fn next(
    last: Option<&CertificateList>,
    revoked: &[RevokedIntermediate],
    settings: CrlSettings,
    now: Time,
) -> Option<Next> {
    let number = last.and_then(|list| list.number().ok().flatten()).map(|number| number.0);
    let before: BTreeMap<SerialNumber, RevokedEntry> = last
        .into_iter()
        .flat_map(CertificateList::entries)
        .flatten()
        .map(|entry| (entry.serial, entry))
        .collect();
    let mut entries = before.clone();
    for revoked in revoked {
        entries.entry(revoked.serial).or_insert_with(|| RevokedEntry {
            serial: revoked.serial,
            revoked_at: revoked.at,
            reason: revoked.reason,
            invalidity_date: None,
        });
    }
    let is_current = last.and_then(|list| renew_at(list, settings)).is_some_and(|renew_at| now < renew_at);
    if is_current && entries.len() == before.len() {
        return None;
    }
    Some(Next { number: next_number(number, now), entries: entries.into_values().collect() })
}

/// When a list is followed by the next. One that was cut short, because its authority ends, is not followed at once.
fn renew_at(list: &CertificateList, settings: CrlSettings) -> Option<Time> {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let span = list.next_update()?.unix().saturating_sub(list.this_update().unix());
    let span = span.min(seconds(settings.validity));
    let wait = span.saturating_sub(seconds(settings.renew_before)).max(span / 2).max(1);
    Some(list.this_update().plus_seconds(wait))
}
