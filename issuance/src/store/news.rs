//! Word of rows that changed, for whoever keeps copies of them: caches of credentials and CRLs, workers that wait for
//! jobs. News makes copies fresh sooner; it is never what keeps them right, because it may be late or lost.

use std::future;

use pki::serial::SerialNumber;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Commit, JobKind, Write};
use crate::identity::{AcmeAccountId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId};

/// What a commit changed, here or on another replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum News {
    /// Made, changed, regenerated or revoked. Uses are no news.
    Credential { id: CredentialId, method: ResourceName },
    /// Revoked, held or released.
    CertificateStatus { issuer: KeyId, serial: SerialNumber },
    /// A newer CRL of this authority.
    Crl { issuer: KeyId },
    /// Another secret of the server itself.
    Sealed { name: String },
    /// A job of this kind was asked for or is due at another time.
    Job { kind: JobKind },
    /// Changed: deactivated, or with another key.
    AcmeAccount { id: AcmeAccountId },
    /// A person decided on it.
    Request { id: RequestId },
    /// Changed: issued, denied, cancelled, or its key was handed out.
    RestOrder { id: RestOrderId },
    /// Some news was missed: whatever is remembered may be old.
    Everything,
}

impl News {
    /// What others should hear once this is committed. Issuing is no news: nobody has a copy of what is new, and
    /// telling all replicas would cost more than the certificate.
    pub fn of(commit: &Commit) -> Vec<Self> {
        let mut news: Vec<Self> = Vec::new();
        for one in commit.writes.iter().filter_map(Self::of_write) {
            if !news.contains(&one) {
                news.push(one);
            }
        }
        news
    }

    fn of_write(write: &Write) -> Option<Self> {
        match write {
            Write::PutCredential(row) => {
                Some(Self::Credential { id: row.id.clone(), method: row.method.clone() })
            }
            Write::SetCertificateStatus { issuer, serial, .. } => {
                Some(Self::CertificateStatus { issuer: *issuer, serial: *serial })
            }
            Write::PutCrl(row) => Some(Self::Crl { issuer: row.issuer }),
            Write::PutSealed(row) => Some(Self::Sealed { name: row.name.clone() }),
            // Whoever makes one also does it, and needs no other to hear of it.
            Write::PutJob(job) if job.kind == JobKind::AcmeValidation => None,
            Write::PutJob(job) => Some(Self::Job { kind: job.kind }),
            // Of a new one nobody has a copy.
            Write::PutAcmeAccount(row) if row.version > 1 => Some(Self::AcmeAccount { id: row.id.clone() }),
            Write::UpdateRequest { id, decision: Some(_), .. } => Some(Self::Request { id: id.clone() }),
            Write::PutRestOrder(row) if row.version > 1 => Some(Self::RestOrder { id: row.id.clone() }),
            Write::InsertCertificate(_)
            | Write::InsertRequest(_)
            | Write::UpdateRequest { .. }
            | Write::DeleteRequest { .. }
            | Write::ExpireRequests { .. }
            | Write::UseCredential { .. }
            | Write::NoteCredentialUsage(_)
            | Write::RescheduleJob { .. }
            | Write::DeleteJob { .. }
            | Write::PutCheckpoint(_)
            | Write::PruneCrls { .. }
            | Write::PutAcmeAccount(_)
            | Write::PutAcmeOrder(_)
            | Write::SweepAcmeOrders { .. }
            | Write::PutRestOrder(_)
            | Write::SweepRestOrders { .. } => None,
        }
    }
}

/// Hands news to all who subscribed.
#[derive(Clone, Debug)]
pub struct Announcer(broadcast::Sender<News>);

/// How much news a subscriber may lag behind before it hears [`News::Everything`] instead.
const KEPT: usize = 1024;

impl Announcer {
    pub fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    /// Nobody listening is no error.
    pub fn announce(&self, news: impl IntoIterator<Item = News>) {
        news.into_iter().for_each(|one| drop(self.0.send(one)));
    }

    /// From now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(Some(self.0.subscribe()))
    }
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new()
    }
}

/// One listener's end.
#[derive(Debug)]
pub struct Subscription(Option<broadcast::Receiver<News>>);

impl Subscription {
    /// Of a store that never has news.
    pub fn silent() -> Self {
        Self(None)
    }

    /// The next news; waits for ever once the store is closed. May be dropped and asked again without losing any.
    pub async fn next(&mut self) -> News {
        let received = match &mut self.0 {
            Some(receiver) => receiver.recv().await,
            None => Err(RecvError::Closed),
        };
        match received {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => News::Everything,
            Err(RecvError::Closed) => {
                self.0 = None;
                future::pending().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::samples::issuer;

    #[tokio::test]
    async fn whoever_lags_hears_that_everything_may_be_old() {
        let announcer = Announcer::new();
        let mut subscription = announcer.subscribe();
        let crl = |number: usize| News::Crl { issuer: issuer(number as u8) };
        announcer.announce((0..=KEPT).map(crl));
        assert_eq!(subscription.next().await, News::Everything);
        assert_eq!(subscription.next().await, crl(1));
    }

    #[tokio::test]
    async fn a_closed_or_silent_store_has_no_news() {
        let announcer = Announcer::new();
        let mut closed = announcer.subscribe();
        drop(announcer);
        for subscription in [&mut closed, &mut Subscription::silent()] {
            for _ in 0..2 {
                assert!(waits(subscription.next()).await);
            }
        }
    }

    /// Whether the future waits when it is asked the first time.
    async fn waits(future: impl Future) -> bool {
        let mut future = std::pin::pin!(future);
        future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }
}
