//! `Prefer: wait=N` (RFC 7240 §4.3): an answer once something has become of an order, or when the time is over.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use issuance::{
    rest::{OrderRow, OrderState},
    store::{News, Subscription},
};
use tokio::time::{Instant, timeout_at};

use super::{
    super::{auth::Caller, error::RestError},
    issue::{is_open, load, look},
};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Clients and what is between them and here give up on longer ones.
const LONGEST: u64 = 30;

/// What another process wrote may be no news here.
const LOOK: Duration = Duration::from_secs(5);

/// How long is waited; none where nothing is said, or nothing that can be read (RFC 7240 §2: that is as if it were not there).
pub(super) fn preferred(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    // RFC 7240 §2: the first of several counts.
    preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let seconds: u64 = name.trim().eq_ignore_ascii_case("wait").then(|| value.parse().ok())??;
        (seconds > 0).then_some(seconds.min(LONGEST))
    })
}

/// The order as it is after `seconds`, or sooner where it has ended, and whoever asks as they are then. `news`: from before it was
/// read.
pub(super) async fn wait(
    caller: Caller,
    order: OrderRow,
    seconds: u64,
    news: &mut Subscription,
) -> Result<(Caller, OrderRow), RestError> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let (mut caller, mut order) = (caller, order);
    loop {
        // Heard or not.
        let _news = timeout_at(deadline.min(Instant::now() + LOOK), of_order(news, &order)).await;
        // Meanwhile the credential may have ended too.
        caller = caller.again().await?;
        order = look(&caller, load(&caller, &order.id).await?).await?;
        if Instant::now() >= deadline || !is_open(&order, &caller) {
            return Ok((caller, order));
        }
    }
}

/// News that may be of this order.
async fn of_order(news: &mut Subscription, order: &OrderRow) {
    loop {
        match news.next().await {
            News::RestOrder { id } if id == order.id => return,
            News::Request { id } if matches!(&order.state, OrderState::Pending { request } if *request == id) =>
            {
                return;
            }
            News::Everything => return,
            News::RestOrder { .. }
            | News::Request { .. }
            | News::Credential { .. }
            | News::CertificateStatus { .. }
            | News::Crl { .. }
            | News::Sealed { .. }
            | News::Job { .. }
            | News::AcmeAccount { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_wait_that_can_be_read_counts_up_to_half_a_minute() {
        let preferred = |values: &[&'static str]| {
            let values = values.iter().map(|value| (PREFER, HeaderValue::from_static(value)));
            preferred(&values.collect())
        };
        assert_eq!(preferred(&["wait=10"]), Some(10));
        assert_eq!(preferred(&["respond-async, Wait = \"7\"; x=y"]), Some(7));
        assert_eq!(preferred(&["return=minimal", "wait=3600"]), Some(30));
        assert_eq!(preferred(&["wait=5, wait=9"]), Some(5));
        for none in ["wait", "wait=", "wait=0", "wait=-1", "wait=soon", "waiting=3", ""] {
            assert_eq!(preferred(&[none]), None, "{none}");
        }
        assert_eq!(preferred(&[]), None);
    }
}
