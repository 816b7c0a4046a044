//! CAA records again, before something is issued (RFC 8659 §4.1, RFC 8657).

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use issuance::acme::{Authorization, ChallengeStatus};
use pki::time::Time;
use tokio::{sync::Semaphore, time::timeout};

use super::{ValidationFailure, Validator};

/// RFC 8659 §4.1: how long what CAA records said still counts.
const CAA_SECONDS: i64 = 8 * 3600;

/// Names whose CAA records are asked for at once.
const CAA_AT_ONCE: usize = 8;

/// A name for which nothing may be issued now.
#[derive(Debug)]
pub(crate) struct Forbidden<'a> {
    pub(crate) failure: ValidationFailure,
    /// None where the time was over before all were read.
    pub(crate) authorization: Option<&'a Authorization>,
}

/// Whether the owners of the names permit them. At validation they were looked at too, so that only what is old by now, or needed no
/// validation, is looked at again. For all names together that takes no longer than for one. `places`: for orders.
///
/// # Errors
/// The first that was found.
pub(crate) async fn caa_again<'a>(
    validator: &Validator,
    authorizations: &'a [Authorization],
    now: Time,
    account_uri: &str,
    issuers: &[String],
    places: &Semaphore,
) -> Result<(), Forbidden<'a>> {
    let mut checks: Vec<BoxFuture<'_, Result<(), Forbidden<'a>>>> = Vec::new();
    for authorization in authorizations {
        let since = authorization.validated_at.map_or(i64::MAX, |at| now.unix() - at.unix());
        if authorization.preauthorized || since >= CAA_SECONDS {
            checks.push(check(validator, authorization, account_uri, issuers).boxed());
        }
    }
    if checks.is_empty() {
        return Ok(());
    }
    let checked = async {
        let _place = places.acquire().await;
        stream::iter(checks).buffer_unordered(CAA_AT_ONCE).try_collect::<Vec<()>>().await
    };
    match timeout(validator.timeout(), checked).await {
        Ok(outcome) => outcome.map(drop),
        Err(_) => {
            let failure = ValidationFailure::dns("the CAA records could not be read in time");
            Err(Forbidden { failure, authorization: None })
        }
    }
}

async fn check<'a>(
    validator: &Validator,
    authorization: &'a Authorization,
    account_uri: &str,
    issuers: &[String],
) -> Result<(), Forbidden<'a>> {
    let (identifier, wildcard) = (&authorization.identifier, authorization.wildcard);
    let mut met = authorization.challenges.iter().filter(|one| one.status == ChallengeStatus::Valid);
    let kind = met.next().map(|challenge| challenge.kind);
    let permitted = validator.caa(identifier, wildcard, kind, account_uri, issuers).await;
    permitted.map_err(|failure| Forbidden { failure, authorization: Some(authorization) })
}
