//! The session that listens. Commits tell by `NOTIFY` what they changed, in their own transaction; every replica,
//! the committing one included, hears it here.

use std::{sync::Arc, time::Duration};

use issuance::{
    ports,
    store::{Announcer, News},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_postgres::{Client, Notification};
use tokio_util::sync::CancellationToken;

use super::{connect::Connector, failure::Failure};

pub(super) const CHANNEL: &str = "chancery";

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A session in which the channel is listened to.
pub(super) struct Listener {
    connector: Arc<Connector>,
    announcer: Announcer,
    /// How long a new session may take.
    patience: Duration,
    session: Session,
}

/// Ends when the client is dropped.
type Session = (Client, mpsc::UnboundedReceiver<Notification>);

impl Listener {
    /// From the moment this returns, nothing is missed unnoticed.
    pub(super) async fn open(
        connector: Arc<Connector>,
        announcer: Announcer,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let session = connect(&connector, patience).await?;
        Ok(Self { connector, announcer, patience, session })
    }

    /// Until the store is shut down. A session that was lost is replaced, and then everything may have changed.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let _ended = shutdown
            .run_until_cancelled(async {
                loop {
                    self.hear().await;
                    tracing::warn!("the connection that hears of other replicas was lost");
                    self.session = self.reconnect().await;
                    self.announcer.announce([News::Everything]);
                }
            })
            .await;
    }

    /// Until the session ends.
    async fn hear(&mut self) {
        while let Some(notification) = self.session.1.recv().await {
            // What a newer release tells and this one does not understand may be about anything.
            let news = serde_json::from_str(notification.payload()).unwrap_or(News::Everything);
            self.announcer.announce([news]);
        }
    }

    async fn reconnect(&self) -> Session {
        let mut pause = FIRST_PAUSE;
        loop {
            match connect(&self.connector, self.patience).await {
                Ok(session) => return session,
                Err(error) => tracing::debug!(%error, "the database cannot be listened to"),
            }
            // Replicas that lost their sessions together do not come back together.
            let part = ports::random::<1>().map_or(u8::MAX, u8::from_be_bytes);
            sleep(pause.mul_f64(0.5 + f64::from(part) / 510.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn connect(connector: &Connector, patience: Duration) -> Result<Session, Failure> {
    timeout(patience, connector.listen(CHANNEL))
        .await
        .map_err(|_| Failure::Unavailable("the database took too long to let a listener in".into()))?
}
