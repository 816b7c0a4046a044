//! Authorizations as they are shown, and the challenges that prove them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    acme::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Identifier},
    rest::{OrderRow, requester_thumbprint},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{auth::Caller, objects::Timestamp, openapi};

/// RFC 9110 §4.2.1
const HTTP: u16 = 80;

/// Whether control of a name was proved.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizationObject {
    /// A DNS name, with `*.` for a wildcard, or an IP address.
    name: String,
    status: ProofStatus,
    /// Until when it can be proved; of what is proved, until when that counts.
    expires_at: Timestamp,
    /// Any one of them proves control. Once one did, or failed, that one.
    challenges: Vec<ChallengeObject>,
}

/// How far a proof has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ProofStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Revoked,
    Expired,
}

/// A way to prove control (RFC 8555 §8).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChallengeObject {
    #[serde(rename = "type")]
    kind: Kind,
    status: AnswerStatus,
    /// Where to say, with POST, that it can be looked at.
    answer: String,
    token: String,
    /// What proves control: the content of the file; for `dns-01` its hash is in the record.
    key_authorization: String,
    /// `http-01`: where the server looks for the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
    /// `dns-01`: the name of the TXT record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    record_name: Option<String>,
    /// `dns-01`: what the TXT record says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    record_value: Option<String>,
    /// Why the last look did not find it, also while it is to be looked at again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// `http-01` (RFC 8555 §8.3), `dns-01` (§8.4), `tls-alpn-01` (RFC 8737).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
enum Kind {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "dns-01")]
    Dns01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// How far a challenge has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum AnswerStatus {
    Pending,
    Processing,
    Valid,
    Invalid,
}

/// Of an order, in the order of its names.
pub(super) fn authorizations(caller: &Caller, order: &OrderRow) -> Vec<AuthorizationObject> {
    (0..order.authorizations.len()).filter_map(|place| authorization(caller, order, place)).collect()
}

/// None where the order has none there.
pub(super) fn authorization(caller: &Caller, order: &OrderRow, place: usize) -> Option<AuthorizationObject> {
    let (authorization, now) = (order.authorizations.get(place)?, caller.ask.now);
    let thumbprint = requester_thumbprint(&order.requester);
    // As RFC 8555 §7.1.4: afterwards only the one that was met or failed.
    let wanted = match authorization.status {
        AuthorizationStatus::Valid => Some(ChallengeStatus::Valid),
        AuthorizationStatus::Invalid => Some(ChallengeStatus::Invalid),
        AuthorizationStatus::Pending
        | AuthorizationStatus::Deactivated
        | AuthorizationStatus::Revoked
        | AuthorizationStatus::Expired => None,
    };
    let challenges = authorization.challenges.iter();
    let challenges = challenges.filter(|challenge| wanted.is_none_or(|wanted| challenge.status == wanted));
    let path = openapi::path(&format!("/orders/{}/authorizations/{place}/challenges", order.id));
    // A method that validates nothing any more looks nowhere.
    let port = caller.service.control.as_ref().map_or(HTTP, |control| control.settings.validation.http_port);
    Some(AuthorizationObject {
        name: authorization.name(),
        status: authorization.status_at(now).into(),
        expires_at: authorization.expires_at.into(),
        challenges: challenges.map(|one| challenge(authorization, one, &path, &thumbprint, port)).collect(),
    })
}

fn challenge(
    authorization: &Authorization,
    challenge: &Challenge,
    path: &str,
    thumbprint: &str,
    http_port: u16,
) -> ChallengeObject {
    let (kind, token) = (challenge.kind, &challenge.token);
    let key_authorization = format!("{token}.{thumbprint}");
    let (mut url, mut record_name, mut record_value) = (None, None, None);
    match kind {
        ChallengeType::Http01 => {
            let authority = authority(&authorization.identifier, http_port);
            url = Some(format!("http://{authority}/.well-known/acme-challenge/{token}"));
        }
        ChallengeType::Dns01 => {
            let hash = digest(&SHA256, key_authorization.as_bytes());
            record_name = Some(format!("_acme-challenge.{}", authorization.identifier));
            record_value = Some(URL_SAFE_NO_PAD.encode(hash));
        }
        ChallengeType::TlsAlpn01 => {}
    }
    ChallengeObject {
        kind: kind.into(),
        status: challenge.status.into(),
        answer: format!("{path}/{}", kind.as_str()),
        token: token.clone(),
        key_authorization,
        url,
        record_name,
        record_value,
        error: challenge.error.as_ref().map(|problem| problem.detail.clone()),
    }
}

/// RFC 3986 §3.2, without the port that goes without saying (RFC 9110 §4.2.1).
fn authority(identifier: &Identifier, port: u16) -> String {
    let host = match identifier {
        Identifier::Ip(address) if address.is_ipv6() => format!("[{address}]"),
        Identifier::Ip(_) | Identifier::Dns(_) => identifier.to_string(),
    };
    if port == HTTP { host } else { format!("{host}:{port}") }
}

impl From<AuthorizationStatus> for ProofStatus {
    fn from(status: AuthorizationStatus) -> Self {
        match status {
            AuthorizationStatus::Pending => Self::Pending,
            AuthorizationStatus::Valid => Self::Valid,
            AuthorizationStatus::Invalid => Self::Invalid,
            AuthorizationStatus::Deactivated => Self::Deactivated,
            AuthorizationStatus::Revoked => Self::Revoked,
            AuthorizationStatus::Expired => Self::Expired,
        }
    }
}

impl From<ChallengeType> for Kind {
    fn from(kind: ChallengeType) -> Self {
        match kind {
            ChallengeType::Http01 => Self::Http01,
            ChallengeType::Dns01 => Self::Dns01,
            ChallengeType::TlsAlpn01 => Self::TlsAlpn01,
        }
    }
}

impl From<ChallengeStatus> for AnswerStatus {
    fn from(status: ChallengeStatus) -> Self {
        match status {
            ChallengeStatus::Pending => Self::Pending,
            ChallengeStatus::Processing => Self::Processing,
            ChallengeStatus::Valid => Self::Valid,
            ChallengeStatus::Invalid => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_said_where_it_is_another_than_that_of_http() {
        let dns = Identifier::Dns("www.acme.example".into());
        let [v4, v6] = ["192.0.2.1", "2001:db8::1"].map(|address| Identifier::Ip(address.parse().unwrap()));
        let cases = [
            (&dns, 80, "www.acme.example"),
            (&dns, 8080, "www.acme.example:8080"),
            (&v4, 5002, "192.0.2.1:5002"),
            (&v6, 80, "[2001:db8::1]"),
            (&v6, 5002, "[2001:db8::1]:5002"),
        ];
        for (identifier, port, expected) in cases {
            assert_eq!(authority(identifier, port), expected);
        }
    }
}
