//! Orders whose certificates the server is to renew by itself.

use issuance::{
    Error,
    authn::Evidence,
    policy::{Profile, ProofOfControl, Request},
    rest::{OrderRow, Renewal},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{auth::Caller, error::RestError},
    request::days,
    sent::OrderRequest,
};

pub(super) const ACCESS_KEYS_ONLY: &str =
    "the server renews only what is ordered with an access key: it looks whether that is still good";

/// How the server renews the certificate by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) struct RenewalObject {
    renew_before: String,
    /// Why it could not be renewed when that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The order that is to renew it, where a person decides on that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order: Option<String>,
}

impl From<Renewal> for RenewalObject {
    fn from(renewal: Renewal) -> Self {
        Self {
            renew_before: text(renewal.before),
            reason: renewal.problem,
            order: renewal.order.map(|order| order.to_string()),
        }
    }
}

/// What the order says of renewal, where that can be.
///
/// # Errors
/// [`RestError::Invalid`].
pub(super) fn wished(
    caller: &Caller,
    profile: &Profile,
    request: &OrderRequest,
) -> Result<Option<Renewal>, RestError> {
    let Some(wish) = &request.renewal else { return Ok(None) };
    let refuse = |sentence: &str| Err(RestError::invalid("/renewal", sentence));
    if request.server_key != Some(true) {
        return refuse("the server renews only certificates whose keys it makes (serverKey)");
    }
    match profile.proof_of_control {
        ProofOfControl::NotRequired => {}
        ProofOfControl::Required => {
            return refuse(
                "the names of this product are proved with each order, which the server cannot do",
            );
        }
    }
    let invalid = |sentence: String| RestError::invalid("/renewal/renewBefore", sentence);
    let before: crds::Duration = wish.renew_before.parse().map_err(|error| invalid(format!("{error}")))?;
    let before = i64::try_from(before.seconds()).unwrap_or(i64::MAX);
    let life = expected_life(caller, profile, request);
    let most = Renewal::most(life);
    if !(1..=most).contains(&before) {
        return Err(invalid(format!(
            "more than 0 s and at most {most} s are expected, two thirds of the time for which the certificate is good"
        )));
    }
    Ok(Some(Renewal::new(before)))
}

/// A length of time as orders have it.
fn text(seconds: i64) -> String {
    let units =
        [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let there = units.into_iter().filter(|(_, count)| *count > 0);
    there.map(|(unit, count)| format!("{count}{unit}")).collect()
}

/// Whether the server can look at whoever orders as it will have to when it is time. Of others there is no row to be looked at.
///
/// # Errors
/// [`RestError::Core`] without the store.
pub(super) async fn is_renewable(caller: &Caller, order: &OrderRow) -> Result<bool, RestError> {
    if order.renewal.is_none() {
        return Ok(true);
    }
    match Evidence::of_renewal(&**caller.app().engine.store(), order, caller.ask.now).await {
        Ok(_) => Ok(true),
        Err(Error::Unauthenticated(_)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Seconds from now that the certificate is good for, unless its authority ends before.
fn expected_life(caller: &Caller, profile: &Profile, request: &OrderRequest) -> i64 {
    let validity = &profile.validity;
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let asked = match (validity.request, request.not_after, request.validity_days) {
        (Request::Honour, Some(end), _) => return end.0.unix().saturating_sub(caller.ask.now.unix()),
        (Request::Honour, None, Some(count)) => days(count),
        (Request::Honour, None, None) | (Request::Ignore, _, _) => validity.default,
    };
    seconds(asked.min(validity.maximum)).saturating_sub(seconds(validity.backdate))
}
