//! EnrollmentCredential: who may ask by one method.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    acme_method::AcmeCredential,
    common::{LocalRef, SecretKeyRef},
    conditions::conditions_schema,
    duration::{Duration, longer_than_zero},
    rest_method::RestCredential,
    string_enum::string_enum,
};

/// Declares one credential of one method: a secret that its owner shows to enrol.
///
/// Credentials are rows in the server's database; this resource declares a few of them. The value is generated, or taken
/// from a Secret. The server keeps a password and an access key hashed, and a key for ACME encrypted, since it computes with it;
/// what was generated is in the Secret that `status.secretRef` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "EnrollmentCredential",
    namespaced,
    category = "chancery",
    shortname = "ecred",
    status = "EnrollmentCredentialStatus",
    derive = "PartialEq",
    doc = "Declares one credential of one method: a secret that its owner shows to enrol.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.methodRef.name"),
    printcolumn(name = "Uses", type_ = "integer", json_path = ".status.uses"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Last-Used", type_ = "date", json_path = ".status.lastUsedAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("[has(self.est), has(self.acme), has(self.rest)].exists_one(given, given)")
        .message("give exactly one protocol: est, acme or rest (scep, cmp and waep are not served by this release)"),
    validation = Rule::new(
        "has(self.est) == has(oldSelf.est) && has(self.acme) == has(oldSelf.acme) && has(self.rest) == has(oldSelf.rest)"
    )
        .message("the protocol cannot change: make a new credential"),
    validation = Rule::new("!has(self.valueFrom) || !has(self.writeTo)")
        .message("writeTo is refused with valueFrom: the value is in that Secret already").field_path(".writeTo"),
    validation = Rule::new("!has(self.valueFrom) || !has(self.rotation)")
        .message("rotation is refused with valueFrom: whoever writes that Secret decides when").field_path(".rotation"),
    validation = Rule::new("!has(self.maximumUses) || !has(self.rotation) || !has(self.rotation.overlap)")
        .message("overlap is refused with maximumUses: each value has its own uses, and the one before would get those of the next")
        .field_path(".rotation"),
)]
pub struct EnrollmentCredentialSpec {
    /// The EnrollmentMethod, in the same namespace, that this credential opens. It cannot change.
    #[x_kube(validation = Rule::new("self == oldSelf").message("methodRef cannot change: make a new credential"))]
    pub method_ref: LocalRef,

    /// A credential for EST: a password or a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("est cannot change: make a new credential"))]
    pub est: Option<EstCredential>,

    /// A credential for ACME: the key of an external account binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeCredential>,

    /// A credential for REST: an access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<RestCredential>,

    /// Who answers for the use of this credential; the audit trail names them.
    pub owner: CredentialOwner,

    /// Takes the value from a Secret in the same namespace; the default key is `password` for EST; `hmac` for ACME, whose
    /// value is 32 to 1024 octets as base64url (RFC 4648 §5); `accessKey` for REST, whose value is `chancery_`, 16 hexadecimal
    /// digits in small letters that name the key and that no other key has, `_`, and 27 random characters of base64url. A new value there replaces the old one at once. Absent: a value is
    /// generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<CredentialSource>,

    /// The Secret, in the same namespace, that a generated value is written to: for EST as type `kubernetes.io/basic-auth`, for
    /// ACME as type `Opaque` with `kid` and `hmac`, for REST as type `Opaque` with `accessKey`. Absent: a Secret with the name of this object. A Secret that something else made
    /// is never overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_to: Option<CredentialTarget>,

    /// After this moment it is refused, but accounts of ACME that are bound to it by then go on; RFC 3339, for example `2027-01-31T12:00:00Z`. Absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment_schema")]
    pub expires_at: Option<Time>,

    /// How many certificates it may open; for ACME, how many accounts may be bound to it, whose orders do not count. An access key that is used up orders
    /// nothing any more; what was ordered can be fetched. Absent: no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub maximum_uses: Option<u32>,

    /// Stops it at once and for ever. Certificates it opened stay valid until they are revoked themselves. For ACME
    /// `onCredentialRevoked` of the method says what becomes of accounts that are bound to it.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self || !oldSelf").message("a revoked credential stays revoked: make a new one"))]
    pub revoked: bool,

    /// Raise it to have a new value generated; the old one stops at once, whatever `rotation.overlap` says. Without effect with
    /// `valueFrom`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message("regeneration can only grow"))]
    pub regeneration: u32,

    /// Has a new value generated by itself from time to time. It needs a cluster; standalone refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<CredentialRotation>,
}

/// RFC 3339. API servers take more for a date and time than can be read: any offset, any sign before the fraction.
fn moment_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "format": "date-time",
        "pattern": r"^[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
        "maxLength": 64,
    })
}

/// When a credential gets a new value by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialRotation {
    /// The age at which a value is replaced, at least `1m`. The old one stops at once unless there is an `overlap`, so whoever uses
    /// it reads the Secret anew.
    #[x_kube(validation = longer_than_zero())]
    pub every: Duration,

    /// For how long the value before is accepted as well, at least `1m` and shorter than `every`; the status and an event say until
    /// when. An access key then keeps its name when it rotates. Revoking the credential and raising `regeneration` end both values at
    /// once. Refused with `maximumUses`. Absent: there is no time in which both are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = longer_than_zero())]
    pub overlap: Option<Duration>,
}

/// The protocol of a credential with its settings, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialProtocol<'a> {
    Est(&'a EstCredential),
    Acme(&'a AcmeCredential),
    Rest(&'a RestCredential),
}

impl EnrollmentCredentialSpec {
    /// The protocol; `None` unless exactly one is given.
    pub fn protocol(&self) -> Option<CredentialProtocol<'_>> {
        match (&self.est, &self.acme, &self.rest) {
            (Some(est), None, None) => Some(CredentialProtocol::Est(est)),
            (None, Some(acme), None) => Some(CredentialProtocol::Acme(acme)),
            (None, None, Some(rest)) => Some(CredentialProtocol::Rest(rest)),
            _ => None,
        }
    }
}

/// A credential for EST.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EstCredential {
    /// The user name to give with HTTP Basic; no colon (RFC 7617 §2). Absent: this is the passphrase of the method, good with
    /// any user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[^:\x00-\x1f\x7f]+$"))]
    pub username: Option<String>,
}

/// Who owns a credential: a user or a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.user) != has(self.group)").message("give exactly one of user and group"))]
pub struct CredentialOwner {
    /// A user, for example `ada@example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub user: Option<String>,
    /// A group, for example `factory-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub group: Option<String>,
}

/// Where the value of a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialSource {
    /// The Secret and the key in it; the default key is `password` for EST, `hmac` for ACME, `accessKey` for REST.
    pub secret_key_ref: SecretKeyRef,
}

/// Where a generated value is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialTarget {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// What is known about a credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentCredentialStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Identifier of the row, as the audit trail and the inventory show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub credential_id: Option<String>,
    /// Whether it opens anything now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CredentialState>,
    /// When its present value was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it last opened something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
    /// How many certificates it has opened; for ACME, how many accounts were bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// The regeneration its present value was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regeneration: Option<u32>,
    /// When its present value is replaced, with `rotation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates_at: Option<Time>,
    /// Until when the value before its present one is accepted as well, with an `overlap`. Absent: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_value_until: Option<Time>,
    /// The Secret that holds its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
}

string_enum! {
    /// Whether a credential opens anything.
    pub enum CredentialState {
        /// Its value is still to be made, or to be read.
        Pending = "Pending",
        /// It opens its method.
        Active = "Active",
        /// Its time is over.
        Expired = "Expired",
        /// It has been used as often as it may.
        UsedUp = "UsedUp",
        /// It was stopped for ever.
        Revoked = "Revoked",
    }
}
