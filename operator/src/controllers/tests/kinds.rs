//! What only one kind's status says.

use std::collections::BTreeMap;

use client::internal::{CredentialUsage, Loaded, MethodUsage};
use crds::{
    CertificateAuthority, ChanceryIssuer, CredentialState, EnrollmentCredential, EnrollmentMethod,
    EnrollmentServer, Kind, conditions::ConditionType,
};
use issuance::identity::ResourceName;
use pki::{certificate::Certificate, pem};
use resolve::{Compiled, CompiledAcme, CompiledTls, MethodSettings};

use super::{NOW, accepted, message, refused, resource, said, stored};
use crate::{
    controllers::{
        certificate_authority, chancery_issuer, enrollment_credential, enrollment_method, enrollment_server,
    },
    provision::{
        authorities::ListFacts,
        credentials::{ValueFacts, ValueFailure},
        tests::compiled,
    },
    servers::{Programmed, Replica, ReplicaState},
    workload::{Problem, ProblemKind, WorkloadState},
};

fn authority_of<'a>(compiled: &'a Compiled, name: &str) -> &'a resolve::CompiledAuthority {
    compiled.authorities.iter().find(|found| found.name.name() == name).unwrap()
}

#[tokio::test]
async fn an_authority_shows_what_people_compare_and_what_peers_fetch() {
    let compiled = compiled().await;
    let authority: CertificateAuthority =
        resource(Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: Root}}");
    let decide = |authority: &CertificateAuthority, name: &str, list| {
        let extras = certificate_authority::Extras {
            compiled: Some(authority_of(&compiled, name)),
            public_base_url: Some("http://pki.acme.com"),
            list,
            ..certificate_authority::Extras::default()
        };
        let resolved = accepted(Kind::CertificateAuthority);
        certificate_authority::decide(authority, &resolved, &Programmed::Yes, &extras, NOW)
    };
    let list = ListFacts { number: 7, this_update: NOW, next_update: NOW.plus_seconds(60) };
    let status = decide(&authority, "root", Some(list)).unwrap();
    let root = Certificate::from_der(&authority_of(&compiled, "root").certificate).unwrap();
    let key_id = hex::encode(root.public_key().key_identifier());
    assert_eq!(status.fingerprint, Some(hex::encode(root.fingerprint_sha256())));
    assert_eq!(status.key_id.as_ref(), Some(&key_id));
    assert_eq!(status.subject.as_deref(), Some("CN=Root"));
    assert_eq!(status.not_after.as_ref().unwrap().0.as_second(), root.not_after().unix());
    assert_eq!(status.urls.as_ref().unwrap().crl, Some(format!("http://pki.acme.com/pki/{key_id}/crl")));
    assert_eq!(status.crl.as_ref().unwrap().number, 7);
    assert_eq!(status.chain, status.certificate, "a root is its own chain");

    let status = decide(&authority, "issuing", None).unwrap();
    let chain = pem::decode_all(status.chain.unwrap().as_bytes()).unwrap();
    assert_eq!(chain.len(), 1, "the root is not to be trusted because a server sent it");
    assert_eq!(status.crl, None);
}

#[tokio::test]
async fn an_authoritys_list_is_said_of_it_until_the_next_and_of_no_other_key() {
    let compiled = compiled().await;
    let decide = |authority: &CertificateAuthority, name: &str, list| {
        let extras = certificate_authority::Extras {
            compiled: Some(authority_of(&compiled, name)),
            list,
            ..certificate_authority::Extras::default()
        };
        let resolved = accepted(Kind::CertificateAuthority);
        certificate_authority::decide(authority, &resolved, &Programmed::Yes, &extras, NOW)
    };
    let mut authority: CertificateAuthority =
        resource(Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: Root}}");
    let list = ListFacts { number: 7, this_update: NOW, next_update: NOW.plus_seconds(60) };
    authority.status = decide(&authority, "issuing", Some(list));
    // No replica answers for a while.
    assert_eq!(decide(&authority, "issuing", None), None);
    let next = decide(&authority, "issuing", Some(ListFacts { number: 8, ..list })).unwrap();
    assert_eq!(next.crl.unwrap().number, 8);
    assert_eq!(decide(&authority, "root", None).unwrap().crl, None);
}

#[tokio::test]
async fn what_an_authority_was_is_still_shown_when_it_is_not_accepted_any_more() {
    let compiled = compiled().await;
    let mut authority: CertificateAuthority =
        resource(Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: Root}}");
    let kind = Kind::CertificateAuthority;
    let extras = certificate_authority::Extras {
        compiled: Some(authority_of(&compiled, "root")),
        ..certificate_authority::Extras::default()
    };
    authority.status =
        certificate_authority::decide(&authority, &accepted(kind), &Programmed::Yes, &extras, NOW);
    let nothing = certificate_authority::Extras::default();
    let status = certificate_authority::decide(&authority, &refused(kind), &Programmed::Yes, &nothing, NOW);
    let (before, after) = (authority.status.unwrap(), status.unwrap());
    // Its identifier says later that there was a key, which must not be made anew.
    assert_eq!((after.key_id, after.fingerprint), (before.key_id, before.fingerprint));
    assert_eq!(said(&after.conditions, ConditionType::Ready), "False NotAccepted");
}

#[test]
fn an_authority_that_was_revoked_is_not_ready() {
    let authority: CertificateAuthority =
        resource(Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: Root}}");
    let extras =
        certificate_authority::Extras { revoked_at: Some(NOW), ..certificate_authority::Extras::default() };
    let kind = Kind::CertificateAuthority;
    let decide = |resolved: &resolve::ResourceStatus| {
        let status =
            certificate_authority::decide(&authority, resolved, &Programmed::Yes, &extras, NOW).unwrap();
        [ConditionType::Issued, ConditionType::Ready].map(|wanted| said(&status.conditions, wanted))
    };
    assert_eq!(decide(&accepted(kind)), ["False Revoked", "False NotIssued"]);
    assert_eq!(decide(&refused(kind)), ["False NotAccepted", "False NotAccepted"]);
}

#[tokio::test]
async fn what_could_not_be_made_for_an_authority_is_said_of_it() {
    let authority: CertificateAuthority =
        resource(Kind::CertificateAuthority, "{selfSigned: {}, subject: {commonName: Root}}");
    let extras = certificate_authority::Extras {
        failure: Some("the Secret is in the way"),
        ..certificate_authority::Extras::default()
    };
    let resolved = super::unissued(crds::conditions::Reason::KeyPending);
    let status =
        certificate_authority::decide(&authority, &resolved, &Programmed::NotPublished, &extras, NOW)
            .unwrap();
    assert_eq!(message(&status.conditions, ConditionType::Ready), "not now; the Secret is in the way");
}

#[tokio::test]
async fn a_method_hands_out_its_shortest_url_first() {
    let mut compiled = compiled().await;
    let name = compiled.methods[0].name.clone();
    compiled.server.labels =
        BTreeMap::from([("factories".into(), name.clone()), ("devices".into(), name.clone())]);
    let method: EnrollmentMethod = resource(Kind::EnrollmentMethod, "{profileRef: {name: profile}, est: {}}");
    let urls = |compiled: &Compiled| {
        let served = enrollment_method::Served {
            method: &compiled.methods[0],
            server: &compiled.server,
            base: "https://enroll.acme.com".into(),
            ca_fingerprint: Some("ab".into()),
        };
        let extras =
            enrollment_method::Extras { served: Some(served), ..enrollment_method::Extras::default() };
        let resolved = accepted(Kind::EnrollmentMethod);
        let status = enrollment_method::decide(&method, &resolved, &Programmed::Yes, &extras, NOW).unwrap();
        assert_eq!(status.label.as_deref(), Some("devices"));
        assert_eq!(status.ca_fingerprint.as_deref(), Some("ab"));
        status.urls.into_iter().map(|url| url.url).collect::<Vec<_>>()
    };
    let base = "https://enroll.acme.com/.well-known/est";
    let labelled = ["devices", "factories", "pki.method"].map(|label| format!("{base}/{label}"));
    assert_eq!(urls(&compiled), labelled);
    compiled.server.default_method = Some(name);
    assert_eq!(urls(&compiled)[0], base);
    assert_eq!(urls(&compiled)[1..], labelled);
}

#[tokio::test]
async fn a_method_that_speaks_acme_hands_out_its_directory() {
    let mut compiled = compiled().await;
    let name = compiled.methods[0].name.clone();
    compiled.methods[0].settings = MethodSettings::Acme(CompiledAcme::default());
    compiled.server.labels = BTreeMap::from([("web".into(), name)]);
    let method: EnrollmentMethod =
        resource(Kind::EnrollmentMethod, "{profileRef: {name: profile}, acme: {}}");
    let served = enrollment_method::Served {
        method: &compiled.methods[0],
        server: &compiled.server,
        base: "https://enroll.acme.com".into(),
        ca_fingerprint: None,
    };
    let extras = enrollment_method::Extras { served: Some(served), ..enrollment_method::Extras::default() };
    let resolved = accepted(Kind::EnrollmentMethod);
    let status = enrollment_method::decide(&method, &resolved, &Programmed::Yes, &extras, NOW).unwrap();
    let urls: Vec<_> = status.urls.iter().map(|url| (url.purpose.as_deref(), url.url.as_str())).collect();
    assert_eq!(
        urls,
        [
            (Some("directory"), "https://enroll.acme.com/acme/web/directory"),
            (Some("directory"), "https://enroll.acme.com/acme/pki.method/directory")
        ]
    );
}

#[tokio::test]
async fn a_method_that_is_not_served_hands_out_nothing_and_keeps_its_last_failure() {
    let compiled = compiled().await;
    let mut method: EnrollmentMethod =
        resource(Kind::EnrollmentMethod, "{profileRef: {name: profile}, est: {}}");
    let usage = |at: i64| MethodUsage { issued: 5, refused: 2, last_failure: Some((at, "x".repeat(3000))) };
    let served = enrollment_method::Served {
        method: &compiled.methods[0],
        server: &compiled.server,
        base: "https://enroll.acme.com".into(),
        ca_fingerprint: None,
    };
    let kind = Kind::EnrollmentMethod;
    let extras =
        enrollment_method::Extras { served: Some(served), usage: Some(usage(2_000)), waits_for: None };
    let status = enrollment_method::decide(&method, &accepted(kind), &Programmed::Yes, &extras, NOW).unwrap();
    assert_eq!(status.last_failure.as_ref().unwrap().reason.len(), 1024, "the longest that is taken");
    method.status = Some(stored(&status));
    // Its replica was replaced by one that remembers less.
    let extras =
        enrollment_method::Extras { usage: Some(usage(1_000)), ..enrollment_method::Extras::default() };
    let status =
        enrollment_method::decide(&method, &refused(kind), &Programmed::NotPublished, &extras, NOW).unwrap();
    assert_eq!((status.urls.len(), status.label), (0, None));
    assert_eq!(status.last_failure.unwrap().time.0.as_second(), 2_000);
}

const CREDENTIAL: &str = "methodRef: {name: method}, est: {}, owner: {user: ada}";

fn credential(
    spec: &str,
    programmed: &Programmed,
    extras: &enrollment_credential::Extras<'_>,
) -> crds::EnrollmentCredentialStatus {
    let found: EnrollmentCredential =
        resource(Kind::EnrollmentCredential, &format!("{{{CREDENTIAL}{spec}}}"));
    let resolved = accepted(Kind::EnrollmentCredential);
    enrollment_credential::decide(&found, &resolved, programmed, extras, NOW).unwrap()
}

#[test]
fn a_credential_says_why_it_opens_nothing() {
    let used = |uses| CredentialUsage { id: "row-1".into(), uses, last_used_at: Some(1_700_000_000) };
    let table = [
        (", revoked: true, expiresAt: '2020-01-01T00:00:00Z'", 0, CredentialState::Revoked, "False Revoked"),
        (", expiresAt: '2020-01-01T00:00:00Z'", 0, CredentialState::Expired, "False Expired"),
        (", maximumUses: 2", 2, CredentialState::UsedUp, "False UsedUp"),
        (", maximumUses: 2", 1, CredentialState::Active, "True Ready"),
        (", expiresAt: '2200-01-01T00:00:00Z'", 9, CredentialState::Active, "True Ready"),
    ];
    for (spec, uses, state, ready) in table {
        let extras = enrollment_credential::Extras {
            usage: Some(used(uses)),
            ..enrollment_credential::Extras::default()
        };
        let status = credential(spec, &Programmed::Yes, &extras);
        assert_eq!(status.state, Some(state), "{spec}");
        assert_eq!(said(&status.conditions, ConditionType::Ready), ready, "{spec}");
        assert_eq!((status.uses, status.credential_id.as_deref()), (Some(uses), Some("row-1")));
    }
    let nothing = enrollment_credential::Extras::default();
    assert_eq!(credential("", &Programmed::ServerNotReady, &nothing).state, Some(CredentialState::Pending));
}

#[test]
fn a_secret_in_the_way_is_refused_and_an_outage_only_waits() {
    let facts = ValueFacts {
        secret: "it".into(),
        created_at: NOW,
        regeneration: 2,
        rotations: 0,
        rotates_at: None,
        previous_until: Some(NOW.plus_seconds(60)),
    };
    let with = |retried| ValueFailure { text: "the Secret pki/it is in the way".into(), retried };
    let (foreign, outage) = (with(false), with(true));
    let extras = |failure| enrollment_credential::Extras {
        failure: Some(failure),
        ..enrollment_credential::Extras::default()
    };
    let status = credential("", &Programmed::Yes, &extras(&foreign));
    for condition in [ConditionType::Accepted, ConditionType::ResolvedRefs] {
        assert_eq!(said(&status.conditions, condition), "False SecretInvalid");
        assert!(message(&status.conditions, condition).starts_with("spec.writeTo: the Secret"));
    }
    assert_eq!(said(&status.conditions, ConditionType::Ready), "False NotAccepted");
    let status = credential("", &Programmed::Yes, &extras(&outage));
    assert_eq!(said(&status.conditions, ConditionType::Accepted), "True Accepted");
    assert_eq!(said(&status.conditions, ConditionType::Programmed), "Unknown Pending");
    assert_eq!(status.state, Some(CredentialState::Pending));

    let extras =
        enrollment_credential::Extras { value: Some(&facts), ..enrollment_credential::Extras::default() };
    let status = credential(", regeneration: 2", &Programmed::Yes, &extras);
    assert_eq!(status.secret_ref.unwrap().name, "it");
    assert_eq!((status.regeneration, status.state), (Some(2), Some(CredentialState::Active)));
    let until = status.previous_value_until.map(|until| until.0.as_second());
    assert_eq!(until, Some(NOW.unix() + 60));
}

fn replica(pod: &str, ready: bool, generation: Option<u64>) -> ReplicaState {
    ReplicaState {
        replica: Replica {
            server: ResourceName::new("pki", "it"),
            pod: pod.into(),
            uid: pod.into(),
            address: [10, 0, 0, 1].into(),
        },
        ready,
        loaded: generation.map(|generation| Loaded { generation, ..Loaded::default() }),
        usage: None,
        error: None,
    }
}

#[test]
fn a_server_says_which_configuration_all_its_ready_replicas_work_with() {
    let server: EnrollmentServer = resource(Kind::EnrollmentServer, "{tls: {authorityRef: {name: root}}}");
    let table: [(&[ReplicaState], Option<u64>); 5] = [
        (&[], None),
        (&[replica("a", true, Some(5)), replica("b", true, Some(4))], Some(4)),
        (&[replica("a", true, Some(5)), replica("b", false, Some(4))], Some(5)),
        (&[replica("a", true, Some(5)), replica("b", true, None)], None),
        (&[replica("a", true, Some(0))], None),
    ];
    for (replicas, expected) in table {
        let extras = enrollment_server::Extras { replicas, ..enrollment_server::Extras::default() };
        let resolved = accepted(Kind::EnrollmentServer);
        let status = enrollment_server::decide(&server, &resolved, &Programmed::Yes, &extras, NOW).unwrap();
        assert_eq!(status.configuration_generation, expected);
    }
}

#[test]
fn what_keeps_pods_from_running_is_said_of_the_server() {
    let server: EnrollmentServer = resource(Kind::EnrollmentServer, "{tls: {authorityRef: {name: root}}}");
    let workload = WorkloadState {
        replicas: 1,
        addresses: vec!["192.0.2.7".into()],
        problems: vec![Problem { kind: ProblemKind::Pods, message: "Pod it-0: ImagePullBackOff".into() }],
        ..WorkloadState::default()
    };
    let extras =
        enrollment_server::Extras { workload: Some(&workload), ..enrollment_server::Extras::default() };
    let resolved = accepted(Kind::EnrollmentServer);
    let status =
        enrollment_server::decide(&server, &resolved, &Programmed::ServerNotReady, &extras, NOW).unwrap();
    assert_eq!((status.replicas, status.ready_replicas), (Some(1), Some(0)));
    assert_eq!(status.addresses, ["192.0.2.7"]);
    assert_eq!(said(&status.conditions, ConditionType::Ready), "False NotProgrammed");
    assert!(message(&status.conditions, ConditionType::Ready).ends_with("Pod it-0: ImagePullBackOff"));
}

#[tokio::test]
async fn an_issuer_whose_authority_cannot_sign_is_not_ready() {
    let compiled = compiled().await;
    assert!(matches!(compiled.server.tls, Some(CompiledTls::Authority { .. })));
    let issuer: ChanceryIssuer = resource(Kind::ChanceryIssuer, "{profileRef: {name: profile}}");
    let decide = |not_issued: Option<&str>| {
        let extras = chancery_issuer::Extras {
            ca_fingerprint: Some("ab".into()),
            not_issued: not_issued.map(str::to_owned),
            usage: Some(MethodUsage { issued: 3, ..MethodUsage::default() }),
        };
        let resolved = accepted(Kind::ChanceryIssuer);
        chancery_issuer::decide_namespaced(&issuer, &resolved, &Programmed::Yes, &extras, NOW).unwrap()
    };
    let status = decide(Some("the CertificateAuthority pki/issuing cannot sign now"));
    assert_eq!(said(&status.conditions, ConditionType::Ready), "False NotIssued");
    let status = decide(None);
    assert_eq!(said(&status.conditions, ConditionType::Ready), "True Ready");
    assert_eq!(status.counters.unwrap().issued, 3);
    assert_eq!(status.ca_fingerprint.as_deref(), Some("ab"));
}
