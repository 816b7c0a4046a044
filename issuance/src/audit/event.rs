//! One thing that happened. Never holds a secret; texts from peers are bounded.

use std::str::FromStr;

use pki::{serial::SerialNumber, time::Time};
use serde::{Deserialize, Serialize};

use crate::{
    authn::Requester,
    identity::{CredentialId, KeyId, ParseError, Protocol, RequestId, ResourceName},
};

/// What is recorded. Absent parts are left out of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    pub at: Time,
    pub action: Action,
    pub outcome: AuditOutcome,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ResourceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ResourceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<ResourceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// The rule or the reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many times, where several were counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What was done or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    ServerStarted,
    ServerStopped,
    ConfigurationLoaded,
    AuthorityCreated,
    CertificateRequested,
    CertificateIssued,
    CertificateRevoked,
    CertificateHeld,
    CertificateReleased,
    RequestApproved,
    RequestDenied,
    RequestsExpired,
    /// A private key that the server made was given to whoever ordered it.
    KeyHandedOut,
    /// Something that the credential is not for.
    AccessRefused,
    CredentialCreated,
    CredentialRegenerated,
    CredentialChanged,
    CredentialRevoked,
    AuthenticationFailed,
    /// An ACME account (RFC 8555 §7.3).
    AccountCreated,
    AccountChanged,
    AccountKeyChanged,
    AccountDeactivated,
    AccountRevoked,
    /// Control of a name (RFC 8555 §7.5): proved, not proved, or given up.
    AuthorizationValid,
    AuthorizationInvalid,
    AuthorizationDeactivated,
    CrlPublished,
    /// A webhook that was to hear of a certificate did not, until the certificate ended.
    NoticeUndelivered,
    /// The server was to renew a certificate, and will not any more.
    RenewalFailed,
    SealingKeyRotated,
}

impl Action {
    pub const ALL: [Action; 31] = [
        Self::ServerStarted,
        Self::ServerStopped,
        Self::ConfigurationLoaded,
        Self::AuthorityCreated,
        Self::CertificateRequested,
        Self::CertificateIssued,
        Self::CertificateRevoked,
        Self::CertificateHeld,
        Self::CertificateReleased,
        Self::RequestApproved,
        Self::RequestDenied,
        Self::RequestsExpired,
        Self::KeyHandedOut,
        Self::AccessRefused,
        Self::CredentialCreated,
        Self::CredentialRegenerated,
        Self::CredentialChanged,
        Self::CredentialRevoked,
        Self::AuthenticationFailed,
        Self::AccountCreated,
        Self::AccountChanged,
        Self::AccountKeyChanged,
        Self::AccountDeactivated,
        Self::AccountRevoked,
        Self::AuthorizationValid,
        Self::AuthorizationInvalid,
        Self::AuthorizationDeactivated,
        Self::CrlPublished,
        Self::NoticeUndelivered,
        Self::RenewalFailed,
        Self::SealingKeyRotated,
    ];

    /// The spelling of the records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerStarted => "serverStarted",
            Self::ServerStopped => "serverStopped",
            Self::ConfigurationLoaded => "configurationLoaded",
            Self::AuthorityCreated => "authorityCreated",
            Self::CertificateRequested => "certificateRequested",
            Self::CertificateIssued => "certificateIssued",
            Self::CertificateRevoked => "certificateRevoked",
            Self::CertificateHeld => "certificateHeld",
            Self::CertificateReleased => "certificateReleased",
            Self::RequestApproved => "requestApproved",
            Self::RequestDenied => "requestDenied",
            Self::RequestsExpired => "requestsExpired",
            Self::KeyHandedOut => "keyHandedOut",
            Self::AccessRefused => "accessRefused",
            Self::CredentialCreated => "credentialCreated",
            Self::CredentialRegenerated => "credentialRegenerated",
            Self::CredentialChanged => "credentialChanged",
            Self::CredentialRevoked => "credentialRevoked",
            Self::AuthenticationFailed => "authenticationFailed",
            Self::AccountCreated => "accountCreated",
            Self::AccountChanged => "accountChanged",
            Self::AccountKeyChanged => "accountKeyChanged",
            Self::AccountDeactivated => "accountDeactivated",
            Self::AccountRevoked => "accountRevoked",
            Self::AuthorizationValid => "authorizationValid",
            Self::AuthorizationInvalid => "authorizationInvalid",
            Self::AuthorizationDeactivated => "authorizationDeactivated",
            Self::CrlPublished => "crlPublished",
            Self::NoticeUndelivered => "noticeUndelivered",
            Self::RenewalFailed => "renewalFailed",
            Self::SealingKeyRotated => "sealingKeyRotated",
        }
    }
}

impl FromStr for Action {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| ParseError { text: text.into(), expected: "an action of the audit trail" })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditOutcome {
    Done,
    Pending,
    Refused,
    Failed,
}

impl AuditOutcome {
    pub const ALL: [AuditOutcome; 4] = [Self::Done, Self::Pending, Self::Refused, Self::Failed];

    /// The spelling of the records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for AuditOutcome {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| ParseError { text: text.into(), expected: "done, pending, refused or failed" })
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Actor {
    /// Through a protocol, authenticated.
    Requester {
        protocol: Protocol,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// Their own, where one was shown: a name may be another one's later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<CredentialId>,
    },
    /// Through a protocol, nobody in particular.
    Stranger {
        protocol: Protocol,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// A person at the command line or the API.
    Operator { name: String },
    /// The server by itself.
    Server,
}

impl Actor {
    pub fn of(requester: &Requester) -> Self {
        if requester.protocol == Protocol::Internal {
            return Self::Server;
        }
        Self::Requester {
            protocol: requester.protocol,
            name: requester.name.clone(),
            address: requester.address.map(|address| address.to_string()),
            credential: requester.credential.clone(),
        }
    }

    /// The credential that was shown by whoever did it.
    pub fn credential(&self) -> Option<&CredentialId> {
        match self {
            Self::Requester { credential, .. } => credential.as_ref(),
            Self::Stranger { .. } | Self::Operator { .. } | Self::Server => None,
        }
    }
}

impl AuditEvent {
    /// An event with nothing but the necessary; the rest is set by field.
    pub fn new(at: Time, action: Action, outcome: AuditOutcome, actor: Actor) -> Self {
        Self {
            at,
            action,
            outcome,
            actor,
            method: None,
            profile: None,
            authority: None,
            issuer: None,
            serial: None,
            subject: None,
            request: None,
            credential: None,
            reason: None,
            count: None,
        }
    }

    /// With the reason cut to a bounded length, because part of it may come from a peer.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        const MAX_REASON: usize = 500;
        self.reason = Some(reason.chars().take(MAX_REASON).collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_outcomes_are_spelt_as_in_records() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
            assert_eq!(action.as_str().parse::<Action>().unwrap(), action);
        }
        for outcome in AuditOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
            assert_eq!(outcome.as_str().parse::<AuditOutcome>().unwrap(), outcome);
        }
        assert!("CertificateIssued".parse::<Action>().is_err() && "".parse::<AuditOutcome>().is_err());
    }
}
