//! Conditions and their reasons: what a status says about a resource, and why.
//!
//! `Accepted` (the resource resolved) is not `Programmed` (it is being served), and `Ready` sums both up.
//!
//! `ResolvedRefs` is the part of `Accepted` that other objects can mend: whatever stands in its way stands in the way of `Accepted`
//! too, with the same reason, and a resource that contradicts itself can still have all its references in order.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use schemars::{Schema, SchemaGenerator};

use crate::{resource::Kind, string_enum::string_enum};

string_enum! {
    /// What a condition is about.
    pub enum ConditionType {
        /// The resource and everything it refers to resolved: it is valid as it stands.
        Accepted = "Accepted",
        /// Every object that the resource names exists, is accepted itself, holds what it should, and may be named from here.
        ResolvedRefs = "ResolvedRefs",
        /// An authority has its key and a certificate that is valid now.
        Issued = "Issued",
        /// Every ready replica of the server works with this generation of the resource.
        Programmed = "Programmed",
        /// The summary: the resource can be used now.
        Ready = "Ready",
    }
}

string_enum! {
    /// Why a condition has its status.
    pub enum Reason {
        /// The resource resolved.
        Accepted = "Accepted",
        /// Every reference leads where it may.
        ResolvedRefs = "ResolvedRefs",
        /// Members of the resource contradict each other, or one of them cannot be understood; the message names it.
        Invalid = "Invalid",
        /// The resource names an object that does not exist.
        ReferenceNotFound = "ReferenceNotFound",
        /// The resource names an object in another namespace whose grants do not list this namespace.
        ReferenceNotPermitted = "ReferenceNotPermitted",
        /// The resource names an object that is not accepted itself.
        ReferenceNotAccepted = "ReferenceNotAccepted",
        /// The references lead back to the resource.
        ReferenceCycle = "ReferenceCycle",
        /// The resource names no server and there is not exactly one to default to, or it and what it refers to belong to
        /// different servers.
        ServerMismatch = "ServerMismatch",
        /// The Secret is missing, or holds something else than it should.
        SecretInvalid = "SecretInvalid",
        /// The parent authority may not sign it: its path length, its name constraints, its key usage or its validity forbid it.
        NotPermittedByParent = "NotPermittedByParent",
        /// The profile does not allow the protocol.
        ProtocolNotAllowed = "ProtocolNotAllowed",
        /// The profile asks for stronger authentication than the method does.
        AuthenticationTooWeak = "AuthenticationTooWeak",
        /// Another object has claimed the label.
        LabelConflict = "LabelConflict",
        /// Something that was decided for ever has been changed (possible where no API server refuses it).
        ImmutableMember = "ImmutableMember",
        /// The authority has its key and its certificate.
        Issued = "Issued",
        /// The key is still to be made.
        KeyPending = "KeyPending",
        /// The certificate is still to be signed, by the authority itself or by its parent.
        CertificatePending = "CertificatePending",
        /// The time of validity has not begun.
        NotYetValid = "NotYetValid",
        /// The time of validity is over.
        Expired = "Expired",
        /// It was revoked.
        Revoked = "Revoked",
        /// The authority has issued no such certificate.
        CertificateNotFound = "CertificateNotFound",
        /// The server refused; the message says why.
        Refused = "Refused",
        /// Every ready replica works with this generation.
        Programmed = "Programmed",
        /// No replica has reported this generation yet.
        Pending = "Pending",
        /// A replica could not take the configuration over; the message says why. The last good one stays in force.
        ProgrammingFailed = "ProgrammingFailed",
        /// No replica of the server is ready.
        ServerNotReady = "ServerNotReady",
        /// The resource can be used.
        Ready = "Ready",
        /// It is not ready because it is not accepted.
        NotAccepted = "NotAccepted",
        /// It is not ready because it is not programmed.
        NotProgrammed = "NotProgrammed",
        /// It is not ready because the authority has no valid certificate.
        NotIssued = "NotIssued",
        /// A credential has been used as often as it may.
        UsedUp = "UsedUp",
        /// The observer could not find out; it tries again.
        Unknown = "Unknown",
    }
}

/// One condition type of one kind, with the reasons it can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionRow {
    pub condition: ConditionType,
    /// Reasons with status `True`.
    pub positive: &'static [Reason],
    /// Reasons with status `False`, or `Unknown` for [`Reason::Unknown`] and [`Reason::Pending`].
    pub negative: &'static [Reason],
}

/// The rows of a kind that names objects.
const fn resolved_refs(negative: &'static [Reason]) -> ConditionRow {
    ConditionRow { condition: ConditionType::ResolvedRefs, positive: &[Reason::ResolvedRefs], negative }
}

const PROGRAMMED: ConditionRow = ConditionRow {
    condition: ConditionType::Programmed,
    positive: &[Reason::Programmed],
    negative: &[
        Reason::NotAccepted,
        Reason::Pending,
        Reason::ProgrammingFailed,
        Reason::ServerNotReady,
        Reason::Unknown,
    ],
};

const READY: ConditionRow = ConditionRow {
    condition: ConditionType::Ready,
    positive: &[Reason::Ready],
    negative: &[Reason::NotAccepted, Reason::NotProgrammed],
};

/// The conditions of a CertificateAuthority.
pub const CERTIFICATE_AUTHORITY: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ImmutableMember,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotPermitted,
            Reason::ReferenceNotAccepted,
            Reason::ReferenceCycle,
            Reason::ServerMismatch,
            Reason::SecretInvalid,
            Reason::NotPermittedByParent,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotPermitted,
        Reason::ReferenceNotAccepted,
        Reason::ReferenceCycle,
        Reason::SecretInvalid,
        Reason::Unknown,
    ]),
    ConditionRow {
        condition: ConditionType::Issued,
        positive: &[Reason::Issued],
        negative: &[
            Reason::NotAccepted,
            Reason::KeyPending,
            Reason::CertificatePending,
            Reason::NotYetValid,
            Reason::Expired,
            Reason::Revoked,
        ],
    },
    PROGRAMMED,
    ConditionRow {
        condition: ConditionType::Ready,
        positive: &[Reason::Ready],
        negative: &[Reason::NotAccepted, Reason::NotIssued, Reason::NotProgrammed],
    },
];

/// The conditions of a CertificateProfile.
pub const CERTIFICATE_PROFILE: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotPermitted,
            Reason::ReferenceNotAccepted,
            Reason::NotPermittedByParent,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotPermitted,
        Reason::ReferenceNotAccepted,
        Reason::Unknown,
    ]),
    PROGRAMMED,
    READY,
];

/// The conditions of an EnrollmentMethod.
pub const ENROLLMENT_METHOD: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotPermitted,
            Reason::ReferenceNotAccepted,
            Reason::ServerMismatch,
            Reason::SecretInvalid,
            Reason::ProtocolNotAllowed,
            Reason::AuthenticationTooWeak,
            Reason::Unknown,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotPermitted,
        Reason::ReferenceNotAccepted,
        Reason::SecretInvalid,
        Reason::Unknown,
    ]),
    PROGRAMMED,
    READY,
];

/// The conditions of an EnrollmentCredential.
pub const ENROLLMENT_CREDENTIAL: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotAccepted,
            Reason::SecretInvalid,
            Reason::LabelConflict,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotAccepted,
        Reason::SecretInvalid,
        Reason::Unknown,
    ]),
    PROGRAMMED,
    ConditionRow {
        condition: ConditionType::Ready,
        positive: &[Reason::Ready],
        negative: &[
            Reason::NotAccepted,
            Reason::NotProgrammed,
            Reason::Expired,
            Reason::Revoked,
            Reason::UsedUp,
        ],
    },
];

/// The conditions of an EnrollmentServer.
pub const ENROLLMENT_SERVER: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotPermitted,
            Reason::ReferenceNotAccepted,
            Reason::ServerMismatch,
            Reason::SecretInvalid,
            Reason::LabelConflict,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotPermitted,
        Reason::ReferenceNotAccepted,
        Reason::SecretInvalid,
        Reason::Unknown,
    ]),
    PROGRAMMED,
    READY,
];

/// The conditions of a ChanceryIssuer and of a ChanceryClusterIssuer.
pub const ISSUER: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotPermitted,
            Reason::ReferenceNotAccepted,
            Reason::ProtocolNotAllowed,
        ],
    },
    resolved_refs(&[
        Reason::ReferenceNotFound,
        Reason::ReferenceNotPermitted,
        Reason::ReferenceNotAccepted,
        Reason::Unknown,
    ]),
    PROGRAMMED,
    ConditionRow {
        condition: ConditionType::Ready,
        positive: &[Reason::Ready],
        negative: &[Reason::NotAccepted, Reason::NotIssued, Reason::NotProgrammed],
    },
];

/// The conditions of a CertificateRevocation.
pub const CERTIFICATE_REVOCATION: &[ConditionRow] = &[
    ConditionRow {
        condition: ConditionType::Accepted,
        positive: &[Reason::Accepted],
        negative: &[
            Reason::Invalid,
            Reason::ReferenceNotFound,
            Reason::ReferenceNotAccepted,
            Reason::SecretInvalid,
        ],
    },
    ConditionRow {
        condition: ConditionType::Ready,
        positive: &[Reason::Revoked],
        negative: &[
            Reason::NotAccepted,
            Reason::CertificateNotFound,
            Reason::Refused,
            Reason::ServerNotReady,
            Reason::Pending,
        ],
    },
];

/// The conditions of a kind, in the order in which a status lists them.
pub const fn rows(kind: Kind) -> &'static [ConditionRow] {
    match kind {
        Kind::CertificateAuthority => CERTIFICATE_AUTHORITY,
        Kind::CertificateProfile => CERTIFICATE_PROFILE,
        Kind::EnrollmentMethod => ENROLLMENT_METHOD,
        Kind::EnrollmentCredential => ENROLLMENT_CREDENTIAL,
        Kind::EnrollmentServer => ENROLLMENT_SERVER,
        Kind::ChanceryIssuer | Kind::ChanceryClusterIssuer => ISSUER,
        Kind::CertificateRevocation => CERTIFICATE_REVOCATION,
    }
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Longest message the API server takes in a condition, in characters.
const MAX_MESSAGE: usize = 32_768;

/// Sets one condition in a list that holds one per type. `lastTransitionTime` moves to `now` only when the status changes,
/// as clients that wait for a transition expect.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    condition: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut new = Condition {
        type_: condition.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.chars().take(MAX_MESSAGE).collect(),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The schema of a status' conditions: Kubernetes conditions as a list with one entry per type.
pub(crate) fn conditions_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), serde_json::json!(["type"]));
    schema.insert("maxItems".to_owned(), 16.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        let mut set = |status, reason, generation, second| {
            set_condition(&mut list, ConditionType::Ready, status, reason, "", Some(generation), at(second));
            let ready: &Condition = &list[0];
            (
                list.len(),
                ready.last_transition_time.0.as_second(),
                ready.observed_generation,
                ready.reason.clone(),
            )
        };
        assert_eq!(
            set(ConditionStatus::False, Reason::NotAccepted, 1, 10),
            (1, 10, Some(1), "NotAccepted".into())
        );
        assert_eq!(
            set(ConditionStatus::False, Reason::NotProgrammed, 2, 20),
            (1, 10, Some(2), "NotProgrammed".into())
        );
        assert_eq!(set(ConditionStatus::True, Reason::Ready, 2, 30), (1, 30, Some(2), "Ready".into()));
    }

    #[test]
    fn what_stands_in_the_way_of_references_stands_in_the_way_of_being_accepted() {
        for kind in Kind::ALL {
            let (accepted, rest) = rows(*kind).split_first().unwrap();
            for row in rest.iter().filter(|row| row.condition == ConditionType::ResolvedRefs) {
                let missing =
                    |reason: &&Reason| **reason != Reason::Unknown && !accepted.negative.contains(*reason);
                assert_eq!(row.negative.iter().find(missing), None, "{kind}");
            }
        }
    }

    #[test]
    fn every_kind_sums_up_in_ready_and_every_reason_has_a_use() {
        let kinds: Vec<&[ConditionRow]> = Kind::ALL.iter().map(|kind| rows(*kind)).collect();
        for rows in &kinds {
            assert_eq!(rows.last().map(|row| row.condition), Some(ConditionType::Ready));
            assert_eq!(rows.first().map(|row| row.condition), Some(ConditionType::Accepted));
        }
        let used: Vec<Reason> = kinds
            .iter()
            .flat_map(|rows| rows.iter())
            .flat_map(|row| row.positive.iter().chain(row.negative))
            .copied()
            .collect();
        for reason in Reason::ALL {
            assert!(used.contains(reason), "{reason} belongs to no condition");
        }
    }
}
