//! A credential that is to be made, as it is sent.

use issuance::rest::RestAction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::protocols::rest::{
    body,
    credentials::members::{Identifiers, KeyIdentifier, MethodName, Username},
    objects::Timestamp,
    texts::{CredentialName, OwnerText},
};

/// A credential to be made. Which of `actions`, `username`, `kid` and `identifiers` may be given, the protocol of its method says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::protocols::rest::credentials) struct CredentialWanted {
    /// The audit trail tells by it who did what: used once in a method, and not while another of the namespace has it.
    pub(super) name: CredentialName,
    /// Whom it belongs to, `user:NAME` or `group:NAME`.
    pub(super) owner: OwnerText,
    /// The enrollment method that it opens, `namespace/name`: one that the caller's administers. Absent: the caller's own, or the one
    /// that `?method=` names.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) method: Option<MethodName>,
    /// REST: what may be done with it, within what may be done with the caller's own. Absent: request and read.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_items = 1, max_items = 6)]
    pub(super) actions: Option<Vec<Action>>,
    /// EST: the user name that the password goes with. Absent: the name of the credential.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) username: Option<Username>,
    /// ACME: the key identifier (RFC 8555 §7.3.4), which no other credential of the method has. Absent: the namespace and the name
    /// of the credential with a dot between.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) kid: Option<KeyIdentifier>,
    /// ACME: the names that accounts bound to it may order. Absent: every name that the profile allows. They restrict and do not vouch:
    /// with `preAuthorizedNames: Enabled` of the method each name needs a challenge all the same.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) identifiers: Option<Identifiers>,
    /// When it ends. Absent: never, or as the caller's own.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) expires_at: Option<Timestamp>,
    /// How many certificates may be issued with it; for ACME, how many accounts may be bound to it. Absent: any number.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000_000)]
    pub(super) maximum_uses: Option<u64>,
}

/// What a credential may do over REST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialAction)]
pub(in crate::protocols::rest::credentials) enum Action {
    Request,
    Read,
    Revoke,
    Approve,
    Report,
    Credentials,
}

impl From<RestAction> for Action {
    fn from(action: RestAction) -> Self {
        match action {
            RestAction::Request => Self::Request,
            RestAction::Read => Self::Read,
            RestAction::Revoke => Self::Revoke,
            RestAction::Approve => Self::Approve,
            RestAction::Report => Self::Report,
            RestAction::Credentials => Self::Credentials,
        }
    }
}

impl From<Action> for RestAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Request => Self::Request,
            Action::Read => Self::Read,
            Action::Revoke => Self::Revoke,
            Action::Approve => Self::Approve,
            Action::Report => Self::Report,
            Action::Credentials => Self::Credentials,
        }
    }
}
