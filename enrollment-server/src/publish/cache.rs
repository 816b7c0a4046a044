//! Revocation lists that were read a moment ago: a list may have tens of megabytes, and everybody asks for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::HeaderValue;
use issuance::{
    identity::KeyId,
    store::{Store, StoreError},
};
use pki::{certificate::Certificate, crl::CertificateList, time::Time};

/// How old what is served may be: a new list is seen within a second.
const MAX_AGE: Duration = Duration::from_secs(1);

/// One list, shared by all who ask.
#[derive(Clone, Debug)]
pub struct CachedCrl {
    pub(super) der: Bytes,
    pub(super) etag: HeaderValue,
    /// RFC 5280 §5.2.3; none in a list that was made elsewhere without it.
    pub(crate) number: Option<u64>,
    pub(crate) next_update: Time,
}

impl CachedCrl {
    /// A finished list of an authority that signs elsewhere, which must be that authority's.
    ///
    /// # Errors
    /// Where it cannot be read, another key signed it, or it does not say when the next one comes (RFC 5280 §5.1.2.5).
    pub fn made_elsewhere(der: &[u8], authority: &Certificate) -> anyhow::Result<Self> {
        let list = CertificateList::from_der(der).context("its revocation list")?;
        list.verify_signed_by(authority.public_key()).context("its revocation list")?;
        let next_update = list.next_update().context("its revocation list has no nextUpdate")?;
        let number = list.number().context("its revocation list")?.map(|number| number.0);
        let digest = digest(&SHA256, der);
        let etag = HeaderValue::from_str(&format!("\"{}\"", hex::encode(digest.as_ref())))?;
        Ok(Self { der: Bytes::copy_from_slice(der), etag, number, next_update })
    }
}

/// The newest list of each authority. Only authorities in force are asked for, so their number bounds it.
#[derive(Debug, Default)]
pub struct CrlCache {
    slots: Mutex<HashMap<KeyId, Arc<Slot>>>,
}

/// Locked while it is read, so that of many who ask at once one reads.
type Slot = tokio::sync::Mutex<Option<(Instant, Option<CachedCrl>)>>;

impl CrlCache {
    /// Reads the list anew when it is asked for next; those of all authorities without one.
    pub(crate) fn forget(&self, issuer: Option<KeyId>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match issuer {
            Some(issuer) => drop(slots.remove(&issuer)),
            None => slots.clear(),
        }
    }

    /// The newest list of an authority; none where none was made yet.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn latest(
        &self,
        store: &dyn Store,
        issuer: KeyId,
    ) -> Result<Option<CachedCrl>, StoreError> {
        let slot =
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(issuer).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some((at, cached)) = &*slot
            && at.elapsed() < MAX_AGE
        {
            return Ok(cached.clone());
        }
        let row = store.latest_crl(issuer).await?;
        let cached = row.and_then(|row| {
            let etag = HeaderValue::from_str(&format!("\"{}\"", row.number)).ok()?;
            let (number, next_update) = (Some(row.number), row.next_update);
            Some(CachedCrl { der: row.der.into(), etag, number, next_update })
        });
        *slot = Some((Instant::now(), cached.clone()));
        Ok(cached)
    }
}
