//! CertificateRequests: every gate, every answer.

use std::time::Duration;

use client::internal::{IssueOutcome, RefusalCause};
use k8s_openapi::ByteString;

use super::scene::{
    CSR, condition, earlier, issued, issuers, now, ready, refused, request, server, shop, with,
};
use crate::{
    issuer::{
        cert_manager::{CertificateRequest, Presence, StatusPatch},
        issuers::{IssuerKey, IssuerState},
        request::{Again, Answer, Fate, Question, Request as _, Step, Verdict},
    },
    servers::CallError,
};

fn decide(request: &CertificateRequest) -> Step<StatusPatch> {
    request.decide(&issuers([(shop(), ready())]), now())
}

fn tells(step: Step<StatusPatch>) -> Verdict<StatusPatch> {
    match step {
        Step::Tell(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

fn asks(step: Step<StatusPatch>) -> Question {
    match step {
        Step::Ask(question) => *question,
        other => panic!("{other:?}"),
    }
}

/// Type, status and reason of each condition.
fn said(verdict: &Verdict<StatusPatch>) -> Vec<(String, String, String)> {
    let conditions = &verdict.status.as_ref().expect("a status").conditions;
    conditions.iter().map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect()
}

fn three(type_: &str, status: &str, reason: &str) -> (String, String, String) {
    (type_.into(), status.into(), reason.into())
}

#[test]
fn requests_of_other_issuers_are_left_alone_whatever_their_state() {
    for (group, kind) in [
        (Some("cert-manager.io"), Some("Issuer")),
        (None, Some("ChanceryIssuer")),
        (Some("chancery.dev"), Some("Issuer")),
        (Some("chancery.dev"), None),
        (Some("awspca.cert-manager.io"), Some("AWSPCAIssuer")),
    ] {
        for conditions in
            [vec![], vec![condition("Approved", "True", "", "")], vec![condition("Denied", "True", "", "")]]
        {
            let mut request = with(request(), conditions);
            request.spec.issuer_ref.group = group.map(str::to_owned);
            request.spec.issuer_ref.kind = kind.map(str::to_owned);
            request.spec.request = ByteString(b"nonsense".to_vec());
            assert_eq!(decide(&request), Step::Leave, "{group:?} {kind:?}");
        }
    }
}

#[test]
fn nothing_is_said_before_an_approver_has_spoken() {
    for conditions in [
        vec![],
        vec![condition("Approved", "False", "", "")],
        vec![condition("Approved", "Unknown", "", ""), condition("Denied", "False", "", "")],
        vec![condition("Ready", "False", "Pending", "")],
    ] {
        assert_eq!(decide(&with(request(), conditions.clone())), Step::Leave, "{conditions:?}");
    }
    let mut untouched = request();
    untouched.status = None;
    assert_eq!(decide(&untouched), Step::Leave);
}

#[test]
fn a_denied_request_is_denied_with_the_time_of_failure() {
    for conditions in [
        vec![condition("Denied", "True", "", "")],
        // Kubernetes would not let this be; whoever denies wins.
        vec![condition("Approved", "True", "", ""), condition("Denied", "True", "", "")],
    ] {
        let verdict = tells(decide(&with(request(), conditions)));
        assert_eq!(verdict.fate, Fate::Denied);
        assert_eq!(said(&verdict), [three("Ready", "False", "Denied")]);
        assert_eq!(verdict.status.unwrap().failure_time.unwrap().0, now());
        assert_eq!(verdict.again, Again::WhenChanged);
    }
}

#[test]
fn what_is_over_is_left_alone() {
    let approved = || condition("Approved", "True", "", "");
    for conditions in [
        vec![approved(), condition("Ready", "True", "Issued", "")],
        vec![approved(), condition("Ready", "False", "Failed", "")],
        vec![approved(), condition("Ready", "False", "Denied", "")],
        vec![condition("Denied", "True", "", ""), condition("Ready", "False", "Denied", "")],
        vec![condition("Denied", "True", "", ""), condition("Ready", "False", "Failed", "")],
        vec![approved(), condition("InvalidRequest", "True", "", "")],
    ] {
        assert_eq!(decide(&with(request(), conditions.clone())), Step::Leave, "{conditions:?}");
    }
    let mut has_certificate = request();
    has_certificate.status.as_mut().unwrap().certificate = Presence(true);
    assert_eq!(decide(&has_certificate), Step::Leave);
    let mut deleted = request();
    deleted.metadata.deletion_timestamp = Some(earlier(1));
    assert_eq!(decide(&deleted), Step::Leave);
}

#[test]
fn a_request_that_cannot_be_read_fails_and_is_called_invalid() {
    let edit = |edit: &dyn Fn(&mut CertificateRequest)| {
        let mut request = request();
        edit(&mut request);
        request
    };
    let pem = |label: &str| ByteString(pki::pem::encode(label, CSR).into_bytes());
    let twice = || ByteString([pem("CERTIFICATE REQUEST").0, pem("CERTIFICATE REQUEST").0].concat());
    let cases = [
        (edit(&|it| it.spec.request.0.clear()), "spec.request: must be one PEM block; there are 0"),
        (edit(&|it| it.spec.request = twice()), "spec.request: must be one PEM block; there are 2"),
        (
            edit(&|it| it.spec.request = pem("CERTIFICATE")),
            "spec.request: is a CERTIFICATE, not a CERTIFICATE REQUEST",
        ),
        (edit(&|it| it.spec.request.0 = vec![b'-'; 65 * 1024]), "spec.request: is longer than 64 KiB"),
        (
            edit(&|it| it.spec.request.0 = b"-----BEGIN CERTIFICATE REQUEST-----".to_vec()),
            "spec.request: a PEM block has no end line",
        ),
        (
            edit(&|it| it.spec.duration = Some("90d".into())),
            "spec.duration: \"90d\" is not a duration such as 2160h or 1h30m",
        ),
        (edit(&|it| it.spec.duration = Some("-1h".into())), "spec.duration: \"-1h\" is not longer than zero"),
        (
            edit(&|it| it.spec.duration = Some("1h1ms".into())),
            "spec.duration: \"1h1ms\" is not a whole number of seconds",
        ),
    ];
    for (request, message) in cases {
        let verdict = tells(decide(&request));
        assert_eq!(verdict.message, message);
        assert_eq!(
            said(&verdict),
            [three("Ready", "False", "Failed"), three("InvalidRequest", "True", "InvalidRequest")]
        );
        assert_eq!(verdict.status.unwrap().failure_time.unwrap().0, now(), "{message}");
    }
}

#[test]
fn a_missing_issuer_leaves_a_request_pending_until_it_appears() {
    let request = request();
    let others = issuers([
        (IssuerKey::Cluster("shop".into()), ready()),
        (IssuerKey::Namespaced(issuance::identity::ResourceName::new("team-b", "shop")), ready()),
    ]);
    let verdict = tells(request.decide(&others, now()));
    assert_eq!(said(&verdict), [three("Ready", "False", "Pending")]);
    assert_eq!(verdict.message, "ChanceryIssuer team-a/shop does not exist");
    assert_eq!((verdict.fate, verdict.again), (Fate::Pending, Again::WhenChanged));
    assert_eq!(verdict.status.unwrap().failure_time, None);
    assert_eq!(asks(request.decide(&issuers([(shop(), ready())]), now())).server, server());
}

#[test]
fn an_issuer_that_is_not_ready_leaves_a_request_pending_and_says_why() {
    let not_ready = issuers([(shop(), IssuerState::NotReady("is not ready (NotProgrammed)".into()))]);
    let verdict = tells(request().decide(&not_ready, now()));
    assert_eq!(said(&verdict), [three("Ready", "False", "Pending")]);
    assert_eq!(verdict.message, "ChanceryIssuer team-a/shop is not ready (NotProgrammed)");
}

#[test]
fn what_is_said_already_is_not_written_again() {
    let pending = |message: &str| {
        with(
            request(),
            vec![condition("Approved", "True", "", ""), condition("Ready", "False", "Pending", message)],
        )
    };
    let same = tells(pending("ChanceryIssuer team-a/shop does not exist").decide(&issuers([]), now()));
    assert_eq!((same.status, same.is_news), (None, false));
    let other = tells(pending("something else").decide(&issuers([]), now()));
    let status = other.status.unwrap();
    // Still not ready: since the time at which it became so.
    assert_eq!(status.conditions[0].last_transition_time, Some(earlier(600)));
    assert!(other.is_news);
}

#[test]
fn the_server_is_asked_for_what_the_request_says() {
    let mut request = request();
    request.spec.duration = Some("896h".into());
    request.spec.usages = vec!["signing".into(), "server auth".into(), "server auth".into()];
    let question = asks(decide(&request));
    let asked = question.request;
    assert_eq!(question.server, server());
    assert_eq!(asked.method, "team-a/issuer:shop");
    assert_eq!(asked.namespace.as_deref(), Some("team-a"));
    assert_eq!(asked.requester, "CertificateRequest team-a/shop-1");
    assert_eq!((asked.uid.as_str(), asked.spec_sha256.len()), ("uid-1", 64));
    assert_eq!(asked.csr, CSR);
    assert_eq!(asked.duration_seconds, Some(896 * 3600));
    assert!(!asked.is_ca);
    assert_eq!(asked.usages, ["signing", "server auth"]);
}

#[test]
fn who_asks_for_an_authority_asks_for_signing_certificates_too() {
    let usages = |usages: &[&str]| {
        let mut request = request();
        request.spec.is_ca = true;
        request.spec.usages = usages.iter().map(|usage| (*usage).to_owned()).collect();
        asks(decide(&request)).request.usages
    };
    assert_eq!(usages(&["digital signature"]), ["digital signature", "cert sign"]);
    assert_eq!(usages(&["cert sign"]), ["cert sign"]);
    // The request itself says which.
    assert!(usages(&[]).is_empty());
}

#[test]
fn the_same_request_asks_the_same_again() {
    assert_eq!(asks(decide(&request())), asks(decide(&request())));
    let mut renamed = request();
    renamed.metadata.uid = Some("uid-2".into());
    let (first, second) = (asks(decide(&request())).request, asks(decide(&renamed)).request);
    assert_eq!(first.spec_sha256, second.spec_sha256);
    assert_ne!(first.uid, second.uid);
}

#[test]
fn a_certificate_comes_leaf_first_without_the_root_which_is_the_ca() {
    let pem = |der: &[u8]| pki::pem::encode("CERTIFICATE", der);
    let expected = format!("{}{}", pem(&[1]), pem(&[2]));
    for chain in [vec![vec![1], vec![2]], vec![vec![1], vec![2], vec![3]]] {
        let answer = Ok(IssueOutcome::Issued { chain, root: vec![3] });
        let verdict = request().conclude(&answer, now());
        assert_eq!(said(&verdict), [three("Ready", "True", "Issued")]);
        let status = verdict.status.unwrap();
        assert_eq!(String::from_utf8(status.certificate.unwrap().0).unwrap(), expected);
        assert_eq!(String::from_utf8(status.ca.unwrap().0).unwrap(), pem(&[3]));
        assert_eq!(status.failure_time, None);
        assert_eq!(verdict.again, Again::WhenChanged);
    }
    let unknown_root =
        request().conclude(&Ok(IssueOutcome::Issued { chain: vec![vec![1]], root: vec![] }), now());
    assert_eq!(unknown_root.status.unwrap().ca, None);
}

#[test]
fn an_answer_without_a_certificate_is_no_certificate() {
    for chain in [vec![], vec![vec![3]]] {
        let verdict = request().conclude(&Ok(IssueOutcome::Issued { chain, root: vec![3] }), now());
        assert_eq!(said(&verdict), [three("Ready", "False", "Pending")]);
        assert_eq!(verdict.again, Again::Later(None));
    }
}

#[test]
fn refusals_are_for_ever_and_name_the_request_where_it_is_at_fault() {
    for (cause, invalid) in [
        (RefusalCause::InvalidRequest, true),
        (RefusalCause::Policy, false),
        (RefusalCause::NotGranted, false),
        (RefusalCause::Denied, false),
    ] {
        let verdict = request().conclude(&refused(cause), now());
        let mut expected = vec![three("Ready", "False", "Failed")];
        if invalid {
            expected.push(three("InvalidRequest", "True", "InvalidRequest"));
        }
        assert_eq!(said(&verdict), expected, "{cause:?}");
        assert_eq!((verdict.message.as_str(), verdict.again), ("keys: no", Again::WhenChanged));
        assert_eq!(verdict.status.unwrap().failure_time.unwrap().0, now(), "{cause:?}");
    }
}

#[test]
fn a_grant_may_arrive_a_moment_after_the_request() {
    let aged = |seconds| {
        let mut request = request();
        request.metadata.creation_timestamp = Some(earlier(seconds));
        request.conclude(&refused(RefusalCause::NotGranted), now())
    };
    for young in [0, 5, 59] {
        assert_eq!(said(&aged(young)), [three("Ready", "False", "Pending")], "{young}");
        assert_eq!(aged(young).again, Again::Later(None));
    }
    assert_eq!(said(&aged(60)), [three("Ready", "False", "Failed")]);
    let mut ageless = request();
    ageless.metadata.creation_timestamp = None;
    assert_eq!(ageless.conclude(&refused(RefusalCause::NotGranted), now()).fate, Fate::Failed);
}

#[test]
fn everything_that_may_pass_leaves_a_request_pending() {
    let replica = || "pki/main-0".to_owned();
    let wait = Some(Duration::from_secs(30));
    let answers: [(Answer, &str, Option<Duration>); 5] = [
        (
            Ok(IssueOutcome::Pending { request: "07".into(), retry_after_seconds: 30 }),
            "waits for approval in the EnrollmentServer, as request 07",
            wait,
        ),
        (
            Err(CallError::NoReplica(server())),
            "no replica of the EnrollmentServer pki/main is ready; it is asked again",
            None,
        ),
        (
            Err(CallError::Unreachable { replica: replica(), detail: "10.0.0.7:8444: refused".into() }),
            "the EnrollmentServer cannot be reached; it is asked again",
            None,
        ),
        (
            Err(CallError::Unavailable { replica: replica(), detail: "disk full".into(), retry_after: wait }),
            "the EnrollmentServer asks to try again: disk full; it is asked again",
            wait,
        ),
        (
            Err(CallError::Unexpected { replica: replica(), status: 404, detail: "no such path".into() }),
            "the EnrollmentServer answered 404: no such path; it is asked again",
            None,
        ),
    ];
    for (answer, message, not_before) in answers {
        let verdict = request().conclude(&answer, now());
        assert_eq!(verdict.message, message);
        assert_eq!(said(&verdict), [three("Ready", "False", "Pending")], "{message}");
        assert_eq!(verdict.again, Again::Later(not_before), "{message}");
        assert_eq!(verdict.status.unwrap().failure_time, None, "{message}");
    }
}

#[test]
fn only_ends_carry_a_time_of_failure_and_only_issue_a_certificate() {
    let answers = [
        issued(),
        refused(RefusalCause::Policy),
        Ok(IssueOutcome::Pending { request: "07".into(), retry_after_seconds: 1 }),
        Err(CallError::NoReplica(server())),
    ];
    for answer in answers {
        let verdict = request().conclude(&answer, now());
        let status = verdict.status.unwrap();
        assert_eq!(status.certificate.is_some(), verdict.fate == Fate::Issued, "{answer:?}");
        assert_eq!(status.failure_time.is_some(), verdict.fate == Fate::Failed, "{answer:?}");
    }
}

#[test]
fn what_is_forgotten_changes_no_decision() {
    let approved = || condition("Approved", "True", "", "");
    let mut foreign = request();
    foreign.spec.issuer_ref.group = Some("cert-manager.io".into());
    for before in [
        request(),
        foreign,
        with(request(), vec![approved(), condition("Ready", "True", "Issued", "")]),
        with(request(), vec![approved(), condition("Ready", "False", "Failed", "")]),
        with(request(), vec![]),
    ] {
        let mut after = before.clone();
        after.shrink();
        assert_eq!(decide(&after), decide(&before));
    }
}
