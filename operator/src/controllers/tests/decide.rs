//! What all kinds share: `Programmed`, `Ready`, and that what was decided is not decided again.

use client::internal::{CredentialUsage, MethodUsage};
use crds::{
    CertificateAuthority, CertificateProfile, ChanceryClusterIssuer, ChanceryIssuer, Counters,
    EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind,
    conditions::{ConditionType, Reason, rows},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pki::time::Time;
use proptest::prelude::*;
use resolve::ResourceStatus;

use super::{NOW, accepted, message, refused, resource, said, stored, unissued};
use crate::{
    controllers::{
        certificate_authority, certificate_profile, chancery_issuer, enrollment_credential,
        enrollment_method, enrollment_server, undecodable,
    },
    provision::credentials::{ValueFacts, ValueFailure},
    servers::Programmed,
};

const KINDS: [Kind; 7] = [
    Kind::CertificateAuthority,
    Kind::CertificateProfile,
    Kind::EnrollmentMethod,
    Kind::EnrollmentCredential,
    Kind::EnrollmentServer,
    Kind::ChanceryIssuer,
    Kind::ChanceryClusterIssuer,
];

/// Numbers that stand for whatever else is known.
#[derive(Clone, Debug)]
struct Known {
    counted: Option<u64>,
    value: bool,
    failed: Option<bool>,
    text: Option<String>,
}

const NOTHING: Known = Known { counted: None, value: false, failed: None, text: None };

/// Decides twice: for a resource without a status, and for the one that has got it. The first comes back with what the second says.
fn decide(
    kind: Kind,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    known: &Known,
    later: Time,
) -> (Vec<Condition>, bool) {
    let usage = known.counted.map(|issued| MethodUsage {
        issued,
        refused: issued / 2,
        last_failure: Some((1_700_000_000, "password: wrong".into())),
    });
    let counters = known.counted.map(|issued| Counters { issued, refused: 1 });
    macro_rules! twice {
        ($kind:ty, $spec:literal, $decide:path, $extras:expr) => {{
            let mut found: $kind = resource(kind, $spec);
            let extras = $extras;
            let first = $decide(&found, resolved, programmed, &extras, NOW).expect("the first time");
            found.status = Some(stored(&first));
            (first.conditions, $decide(&found, resolved, programmed, &extras, later).is_some())
        }};
    }
    match kind {
        Kind::CertificateAuthority => twice!(
            CertificateAuthority,
            "{selfSigned: {}, subject: {commonName: Root}}",
            certificate_authority::decide,
            certificate_authority::Extras {
                counters,
                failure: known.text.as_deref(),
                ..certificate_authority::Extras::default()
            }
        ),
        Kind::CertificateProfile => twice!(
            CertificateProfile,
            "{authorityRef: {name: root}, preset: Device}",
            certificate_profile::decide,
            certificate_profile::Extras { counters, waits_for: known.text.clone() }
        ),
        Kind::EnrollmentMethod => twice!(
            EnrollmentMethod,
            "{profileRef: {name: profile}, est: {}}",
            enrollment_method::decide,
            enrollment_method::Extras { usage, waits_for: known.text.clone(), served: None }
        ),
        Kind::EnrollmentCredential => {
            let value = ValueFacts {
                secret: "it".into(),
                created_at: NOW,
                regeneration: 1,
                rotations: 0,
                rotates_at: known.counted.map(|_| NOW.plus_seconds(60)),
                previous_until: known.counted.map(|_| NOW.plus_seconds(30)),
            };
            let failure = known.failed.map(|retried| ValueFailure { text: "in the way".into(), retried });
            twice!(
                EnrollmentCredential,
                "{methodRef: {name: method}, est: {}, owner: {user: ada}, maximumUses: 9}",
                enrollment_credential::decide,
                enrollment_credential::Extras {
                    value: known.value.then_some(&value),
                    failure: failure.as_ref(),
                    usage: known.counted.map(|uses| CredentialUsage {
                        id: "row".into(),
                        uses,
                        last_used_at: Some(1_700_000_000),
                    }),
                    waits_for: known.text.clone(),
                }
            )
        }
        Kind::EnrollmentServer => twice!(
            EnrollmentServer,
            "{tls: {authorityRef: {name: root}}}",
            enrollment_server::decide,
            enrollment_server::Extras::default()
        ),
        Kind::ChanceryIssuer => twice!(
            ChanceryIssuer,
            "{profileRef: {name: profile}}",
            chancery_issuer::decide_namespaced,
            chancery_issuer::Extras { usage, not_issued: known.text.clone(), ca_fingerprint: None }
        ),
        Kind::ChanceryClusterIssuer => twice!(
            ChanceryClusterIssuer,
            "{profileRef: {name: profile, namespace: pki}}",
            chancery_issuer::decide_of_cluster,
            chancery_issuer::Extras { usage, not_issued: known.text.clone(), ca_fingerprint: None }
        ),
        Kind::CertificateRevocation => unreachable!("decided elsewhere"),
    }
}

fn conditions(kind: Kind, resolved: &ResourceStatus, programmed: &Programmed) -> Vec<Condition> {
    decide(kind, resolved, programmed, &NOTHING, NOW).0
}

#[test]
fn what_is_not_accepted_is_neither_programmed_nor_ready_whatever_replicas_say() {
    for kind in KINDS {
        for programmed in [Programmed::Yes, Programmed::ServerNotReady, Programmed::Failed("no".into())] {
            let found = conditions(kind, &refused(kind), &programmed);
            assert_eq!(said(&found, ConditionType::Accepted), "False ReferenceNotFound", "{kind}");
            assert_eq!(said(&found, ConditionType::Programmed), "False NotAccepted", "{kind}");
            assert_eq!(said(&found, ConditionType::Ready), "False NotAccepted", "{kind}");
        }
    }
}

#[test]
fn programmed_says_what_every_ready_replica_has_said() {
    let table = [
        (
            Programmed::Failed("server-0: no".into()),
            "False ProgrammingFailed",
            "False NotProgrammed",
            "server-0: no",
        ),
        (
            Programmed::ServerNotReady,
            "False ServerNotReady",
            "False NotProgrammed",
            "no replica of the server is ready",
        ),
        (Programmed::NotPublished, "Unknown Pending", "False NotProgrammed", ""),
        (
            Programmed::Pending("server-0 serves generation 4".into()),
            "Unknown Pending",
            "False NotProgrammed",
            "server-0 serves generation 4",
        ),
        (Programmed::Yes, "True Programmed", "True Ready", ""),
    ];
    for kind in KINDS {
        for (programmed, expected, ready, why) in &table {
            let found = conditions(kind, &accepted(kind), programmed);
            assert_eq!(said(&found, ConditionType::Programmed), *expected, "{kind}");
            assert_eq!(said(&found, ConditionType::Ready), *ready, "{kind}");
            assert_eq!(message(&found, ConditionType::Ready), *why, "{kind}");
            assert!(found.iter().all(|condition| condition.observed_generation == Some(3)));
        }
    }
}

#[test]
fn an_authority_without_a_valid_certificate_is_not_ready_also_where_it_is_served() {
    for reason in [Reason::KeyPending, Reason::CertificatePending, Reason::Expired, Reason::NotYetValid] {
        let found = conditions(Kind::CertificateAuthority, &unissued(reason), &Programmed::Yes);
        assert_eq!(said(&found, ConditionType::Programmed), "True Programmed");
        assert_eq!(said(&found, ConditionType::Ready), "False NotIssued");
        assert_eq!(message(&found, ConditionType::Ready), "not now");
    }
}

#[test]
fn a_transition_has_the_time_of_its_status_alone() {
    let mut server: EnrollmentServer =
        resource(Kind::EnrollmentServer, "{tls: {authorityRef: {name: root}}}");
    let decide = |server: &EnrollmentServer, programmed: &Programmed, at: i64| {
        let extras = enrollment_server::Extras::default();
        enrollment_server::decide(
            server,
            &accepted(Kind::EnrollmentServer),
            programmed,
            &extras,
            Time::from_unix(at),
        )
    };
    let ready = |server: &EnrollmentServer| {
        let conditions = &server.status.as_ref().unwrap().conditions;
        let found = conditions.iter().find(|found| found.type_ == "Ready").unwrap();
        (found.reason.clone(), found.last_transition_time.0.as_second())
    };
    server.status = decide(&server, &Programmed::ServerNotReady, 10);
    assert_eq!(ready(&server), ("NotProgrammed".to_owned(), 10));
    server.status = decide(&server, &Programmed::Failed("no".into()), 20);
    assert_eq!(ready(&server), ("NotProgrammed".to_owned(), 10));
    server.status = decide(&server, &Programmed::Yes, 30);
    assert_eq!(ready(&server), ("Ready".to_owned(), 30));
    assert_eq!(decide(&server, &Programmed::Yes, 40), None);
}

#[test]
fn what_cannot_be_read_is_not_accepted_of_every_kind() {
    for kind in Kind::ALL {
        let first = undecodable::decide(*kind, None, Some(3), "unknown field `quantum`", NOW).unwrap();
        let types: Vec<&str> = first.conditions.iter().map(|found| found.type_.as_str()).collect();
        assert_eq!(types, rows(*kind).iter().map(|row| row.condition.as_str()).collect::<Vec<_>>());
        assert_eq!(said(&first.conditions, ConditionType::Accepted), "False Invalid");
        assert_eq!(said(&first.conditions, ConditionType::Ready), "False NotAccepted");
        assert_eq!(message(&first.conditions, ConditionType::Accepted), "unknown field `quantum`");
        assert_known(*kind, &first.conditions);
        let again =
            undecodable::decide(*kind, Some(&first), Some(3), "unknown field `quantum`", NOW.plus_seconds(9));
        assert_eq!(again, None);
        assert!(undecodable::decide(*kind, Some(&first), Some(4), "unknown field `quantum`", NOW).is_some());
    }
}

/// Only reasons that the reference of the kinds lists.
fn assert_known(kind: Kind, conditions: &[Condition]) {
    for found in conditions {
        let row = rows(kind).iter().find(|row| row.condition.as_str() == found.type_);
        let row = row.unwrap_or_else(|| panic!("{kind} has no {}", found.type_));
        let listed = if found.status == "True" { row.positive } else { row.negative };
        assert!(listed.iter().any(|reason| reason.as_str() == found.reason), "{kind}: {found:?}");
        let is_open = ["Pending", "Unknown"].contains(&found.reason.as_str());
        assert_eq!(found.status == "Unknown", is_open, "{kind}: {found:?}");
    }
}

fn programmed() -> impl Strategy<Value = Programmed> {
    prop_oneof![
        Just(Programmed::Yes),
        Just(Programmed::NotPublished),
        Just(Programmed::ServerNotReady),
        "[ -~]{0,40}".prop_map(Programmed::Pending),
        "\\PC{0,40}".prop_map(Programmed::Failed),
    ]
}

fn known() -> impl Strategy<Value = Known> {
    let text = proptest::option::of("[ -~]{1,40}");
    (proptest::option::of(0u64..20), any::<bool>(), proptest::option::of(any::<bool>()), text)
        .prop_map(|(counted, value, failed, text)| Known { counted, value, failed, text })
}

fn resolved() -> impl Strategy<Value = (Kind, ResourceStatus)> {
    let any = (proptest::sample::select(&KINDS[..]), any::<bool>())
        .prop_map(|(kind, good)| (kind, if good { accepted(kind) } else { refused(kind) }));
    let reasons = vec![Reason::KeyPending, Reason::CertificatePending, Reason::Expired, Reason::NotYetValid];
    let unissued =
        proptest::sample::select(reasons).prop_map(|reason| (Kind::CertificateAuthority, unissued(reason)));
    prop_oneof![4 => any, 1 => unissued]
}

proptest! {
    #[test]
    fn what_was_decided_is_not_decided_again_and_has_only_reasons_of_its_kind(
        (kind, resolved) in resolved(),
        programmed in programmed(),
        known in known(),
        later in 0i64..1_000_000,
    ) {
        let (conditions, again) = decide(kind, &resolved, &programmed, &known, NOW.plus_seconds(later));
        prop_assert!(!again, "{kind}: {conditions:?}");
        assert_known(kind, &conditions);
    }
}
