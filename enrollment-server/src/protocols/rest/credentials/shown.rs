//! A credential as it is shown.

use issuance::{
    credential::{CredentialRow, CredentialState},
    error::AuthenticationFailure,
    rest::RestAction,
};
use pki::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{export::Tabular, objects::Timestamp},
    known::Known,
    wanted::Action,
};

/// Who may ask by a method. Never a secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credential {
    id: String,
    name: String,
    pub(super) status: Status,
    /// The enrollment method that it opens, `namespace/name`.
    method: String,
    protocol: &'static str,
    /// The user name of a password; the key identifier of a key for ACME; of an access key its name, which is the part of it that is
    /// no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// `user:NAME` or `group:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<String>,
    /// What may be done with it over REST.
    actions: Vec<Action>,
    /// ACME: the names that accounts bound to it may order. Absent: every name that the profile allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identifiers: Option<ShownIdentifiers>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<Timestamp>,
    /// Until when the secret before is accepted as well: the present one took its place by rotation, with an overlap. Absent: it is
    /// refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_accepted_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    maximum_uses: Option<u64>,
    /// Certificates that were issued with its present secret; for ACME, accounts that were bound to it.
    uses: u64,
    /// Requests that were accepted. What is counted here and below lags a few seconds behind.
    requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_used_at: Option<Timestamp>,
    /// From where it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_address: Option<String>,
    /// How often it was refused: with another secret, or although it had ended.
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_failure: Option<LastFailure>,
    /// How often it was given another secret.
    regeneration: u64,
    /// The EnrollmentCredential that declares it, as `namespace/name`; only there does it change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    declared_by: Option<String>,
}

/// Patterns for DNS names, and ranges of IP addresses in CIDR notation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialIdentifiers)]
pub(super) struct ShownIdentifiers {
    dns: Vec<String>,
    ip: Vec<String>,
}

/// When a credential was refused last, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialFailure)]
pub(super) struct LastFailure {
    at: Timestamp,
    /// As in the audit trail: `mismatch`, `revoked`, `expired`, `usedUp`.
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
}

/// Whether it may be used now, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialStatus)]
pub(super) enum Status {
    Active,
    Revoked,
    Expired,
    /// As often as it may be.
    UsedUp,
}

impl Status {
    fn of(row: &CredentialRow, now: Time) -> Self {
        match row.usable(now) {
            Ok(()) => Self::Active,
            Err(AuthenticationFailure::Expired) => Self::Expired,
            Err(AuthenticationFailure::UsedUp) => Self::UsedUp,
            Err(_) => match row.state {
                CredentialState::Active => Self::Active,
                CredentialState::Revoked => Self::Revoked,
            },
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(text.into()).ok()
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::UsedUp => "usedUp",
        }
    }
}

impl Credential {
    pub(super) fn of(Known { row, usage }: &Known, now: Time) -> Self {
        let usage = usage.as_ref();
        let last_failure = usage.and_then(|usage| usage.last_failure.as_ref()).map(|failure| LastFailure {
            at: failure.at.into(),
            reason: failure.reason.clone(),
            address: failure.address.map(|address| address.to_string()),
        });
        Self {
            id: row.id.to_string(),
            name: row.name.name().to_owned(),
            status: Status::of(row, now),
            method: row.method.to_string(),
            protocol: row.protocol.as_str(),
            username: row.username.clone(),
            owner: row.owner.as_ref().map(ToString::to_string),
            actions: row.actions.iter().map(Action::from).collect(),
            identifiers: row.identifiers.as_ref().map(|restriction| ShownIdentifiers {
                dns: restriction.dns.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
                ip: restriction.ip.iter().map(ToString::to_string).collect(),
            }),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Timestamp::from),
            previous_accepted_until: row.previous_accepted_until(now).map(Timestamp::from),
            maximum_uses: row.maximum_uses,
            uses: row.uses,
            requests: usage.map_or(0, |usage| usage.requests),
            first_used_at: usage.and_then(|usage| usage.first_used_at).map(Timestamp::from),
            last_used_at: usage.and_then(|usage| usage.last_used_at).map(Timestamp::from),
            last_address: usage.and_then(|usage| usage.last_address).map(|address| address.to_string()),
            failures: usage.map_or(0, |usage| usage.failures),
            last_failure,
            regeneration: row.regeneration,
            declared_by: row.declared.then(|| row.name.to_string()),
        }
    }
}

impl Tabular for Credential {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "status",
        "method",
        "protocol",
        "username",
        "owner",
        "actions",
        "identifiers",
        "createdAt",
        "expiresAt",
        "previousAcceptedUntil",
        "maximumUses",
        "uses",
        "requests",
        "firstUsedAt",
        "lastUsedAt",
        "lastAddress",
        "failures",
        "lastFailureAt",
        "lastFailureReason",
        "lastFailureAddress",
        "regeneration",
        "declaredBy",
    ];

    fn cells(&self) -> Vec<String> {
        let time = |time: Option<Timestamp>| time.map(|time| time.0.to_string()).unwrap_or_default();
        let failure = self.last_failure.as_ref();
        let actions = self.actions.iter().map(|action| RestAction::from(*action).as_str());
        vec![
            self.id.clone(),
            self.name.clone(),
            self.status.as_str().into(),
            self.method.clone(),
            self.protocol.into(),
            self.username.clone().unwrap_or_default(),
            self.owner.clone().unwrap_or_default(),
            actions.collect::<Vec<_>>().join(" "),
            self.identifiers
                .as_ref()
                .map(|names| [&*names.dns, &*names.ip].concat().join(" "))
                .unwrap_or_default(),
            self.created_at.0.to_string(),
            time(self.expires_at),
            time(self.previous_accepted_until),
            self.maximum_uses.map(|uses| uses.to_string()).unwrap_or_default(),
            self.uses.to_string(),
            self.requests.to_string(),
            time(self.first_used_at),
            time(self.last_used_at),
            self.last_address.clone().unwrap_or_default(),
            self.failures.to_string(),
            time(failure.map(|failure| failure.at)),
            failure.map(|failure| failure.reason.clone()).unwrap_or_default(),
            failure.and_then(|failure| failure.address.clone()).unwrap_or_default(),
            self.regeneration.to_string(),
            self.declared_by.clone().unwrap_or_default(),
        ]
    }
}
