//! Resources as they are shown (RFC 8555 §7.1, RFC 9773 §4.2).

use issuance::acme::{
    AccountStatus, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, OrderStatus,
    StoredProblem,
};
use pki::time::Time;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::Value;

use crate::protocols::acme::wire::{
    identifier::IdentifierObject,
    problem::{Problem, ProblemType},
};

/// RFC 8555 §7.1.2.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountObject<'a> {
    pub status: AccountStatus,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub contact: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    pub terms_of_service_agreed: bool,
    /// The JWS that bound the account, JSON.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "embedded")]
    pub external_account_binding: Option<&'a str>,
    /// A URL.
    pub orders: String,
}

/// RFC 8555 §7.1.2.1. Where there are more, the next page is in a Link header field.
#[derive(Clone, Debug, Serialize)]
pub struct OrdersList {
    /// URLs.
    pub orders: Vec<String>,
}

/// RFC 8555 §7.1.3, with `profile` of the profiles extension and `replaces` of RFC 9773 §5.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderObject<'a> {
    pub status: OrderStatus,
    /// Necessary while the order is pending or valid.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// As they were asked for, with `*.`: see [`IdentifierObject::of`].
    pub identifiers: Vec<IdentifierObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// A certificate's identifier: see [`CertId`](crate::protocols::acme::wire::ari::CertId).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// URLs, as `finalize` and `certificate`.
    pub authorizations: Vec<String>,
    pub finalize: String,
    /// Only of a valid order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// RFC 8555 §7.1.4.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationObject<'a> {
    /// Without `*.`.
    pub identifier: &'a Identifier,
    pub status: AuthorizationStatus,
    /// Necessary while the authorization is valid.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    pub challenges: Vec<ChallengeObject<'a>>,
    /// Left out where false (RFC 8555 §7.1.4).
    #[serde(skip_serializing_if = "is_false")]
    pub wildcard: bool,
}

/// RFC 8555 §7.1.5, §8.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeObject<'a> {
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    pub url: String,
    pub status: ChallengeStatus,
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub validated: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    pub token: &'a str,
}

/// RFC 9773 §4.2.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo<'a> {
    pub suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL", skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<&'a str>,
}

/// Both ends belong to it, and the end lies behind the start (RFC 9773 §4.2).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SuggestedWindow {
    #[serde(serialize_with = "rfc3339_always")]
    pub start: Time,
    #[serde(serialize_with = "rfc3339_always")]
    pub end: Time,
}

impl IdentifierObject {
    /// As an order shows it.
    pub fn of(identifier: &Identifier, wildcard: bool) -> Self {
        match identifier {
            Identifier::Dns(name) if wildcard => Self::dns(format!("*.{name}")),
            Identifier::Dns(name) => Self::dns(name),
            Identifier::Ip(address) => Self::ip(*address),
        }
    }
}

/// What was recorded as the reason of a failure. A name that this version does not know is our mistake.
impl From<&StoredProblem> for Problem {
    fn from(stored: &StoredProblem) -> Self {
        let kind = ProblemType::from_name(&stored.kind).unwrap_or(ProblemType::ServerInternal);
        Self::new(kind, &stored.detail)
    }
}

/// RFC 3339, which is how a [`Time`] displays.
fn rfc3339<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

fn rfc3339_always<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// JSON that is text in a row and an object in an answer.
fn embedded<S: Serializer>(json: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    let value: Option<Value> = json
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| S::Error::custom("what was recorded is no JSON"))?;
    value.serialize(serializer)
}

fn is_false(flag: &bool) -> bool {
    !flag
}
