//! CertificateSigningRequests of Kubernetes.

use client::internal::{IssueOutcome, RefusalCause};
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{
        CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
        CertificateSigningRequestStatus,
    },
};
use kube::core::ObjectMeta;

use super::scene::{earlier, issued, issuers, now, pem, ready, refused, server};
use crate::{
    issuer::{
        certificate_signing_request::{DURATION_ANNOTATION, IS_CA_ANNOTATION, SignerStatus},
        issuers::IssuerKey,
        request::{Again, Fate, Request as _, Step},
    },
    servers::CallError,
};

fn request(conditions: &[&str]) -> CertificateSigningRequest {
    let conditions = conditions.iter().map(|type_| CertificateSigningRequestCondition {
        type_: (*type_).to_owned(),
        status: "True".to_owned(),
        ..CertificateSigningRequestCondition::default()
    });
    CertificateSigningRequest {
        metadata: ObjectMeta {
            name: Some("csr-1".into()),
            uid: Some("uid-1".into()),
            creation_timestamp: Some(earlier(3600)),
            ..ObjectMeta::default()
        },
        spec: CertificateSigningRequestSpec {
            signer_name: "chanceryclusterissuers.chancery.dev/web".into(),
            request: pem(),
            usages: Some(vec!["digital signature".into(), "server auth".into()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: Some(CertificateSigningRequestStatus {
            conditions: Some(conditions.collect()),
            ..CertificateSigningRequestStatus::default()
        }),
    }
}

fn annotated(pairs: &[(&str, &str)]) -> CertificateSigningRequest {
    let mut request = request(&["Approved"]);
    request.metadata.annotations =
        Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    request
}

fn decide(request: &CertificateSigningRequest) -> Step<SignerStatus> {
    request.decide(&issuers([(IssuerKey::Cluster("web".into()), ready())]), now())
}

fn asked(request: &CertificateSigningRequest) -> client::internal::IssueRequest {
    match decide(request) {
        Step::Ask(question) => question.request,
        other => panic!("{other:?}"),
    }
}

fn failure(request: &CertificateSigningRequest) -> String {
    match decide(request) {
        Step::Tell(verdict) => {
            assert_eq!(verdict.fate, Fate::Failed);
            let status = verdict.status.unwrap();
            let types: Vec<_> =
                status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect();
            assert_eq!(types, [("Failed", "True")]);
            verdict.message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn signers_of_others_and_requests_without_approval_are_left_alone() {
    for signer in
        ["kubernetes.io/kubelet-serving", "issuers.cert-manager.io/a.b", "chanceryissuers.chancery.dev/a.web"]
    {
        let mut foreign = request(&["Approved"]);
        foreign.spec.signer_name = signer.into();
        assert_eq!(decide(&foreign), Step::Leave, "{signer}");
    }
    for conditions in [&[][..], &["Denied"], &["Approved", "Denied"], &["Approved", "Failed"]] {
        assert_eq!(decide(&request(conditions)), Step::Leave, "{conditions:?}");
    }
    let mut signed = request(&["Approved"]);
    signed.status.as_mut().unwrap().certificate = Some(ByteString(vec![1]));
    assert_eq!(decide(&signed), Step::Leave);
    let mut deleted = request(&["Approved"]);
    deleted.metadata.deletion_timestamp = Some(earlier(1));
    assert_eq!(decide(&deleted), Step::Leave);
}

#[test]
fn a_request_of_the_cluster_names_no_namespace() {
    let asked = asked(&request(&["Approved"]));
    assert_eq!((asked.method.as_str(), asked.namespace), ("-/issuer:web", None));
    assert_eq!(asked.requester, "CertificateSigningRequest csr-1");
    assert_eq!(asked.usages, ["digital signature", "server auth"]);
    assert_eq!((asked.duration_seconds, asked.is_ca), (None, false));
}

#[test]
fn both_forms_of_duration_count_and_the_annotation_first() {
    let mut seconds = request(&["Approved"]);
    seconds.spec.expiration_seconds = Some(3333);
    assert_eq!(asked(&seconds).duration_seconds, Some(3333));
    let mut both = annotated(&[(DURATION_ANNOTATION, "896h")]);
    both.spec.expiration_seconds = Some(3333);
    assert_eq!(asked(&both).duration_seconds, Some(896 * 3600));
    let mut negative = request(&["Approved"]);
    negative.spec.expiration_seconds = Some(-1);
    assert_eq!(failure(&negative), "spec.expirationSeconds: must be longer than zero");
    let message = failure(&annotated(&[(DURATION_ANNOTATION, "a year")]));
    assert!(
        message.starts_with("metadata.annotations[experimental.cert-manager.io/request-duration]: "),
        "{message}"
    );
}

#[test]
fn an_authority_is_asked_for_by_annotation() {
    let authority = asked(&annotated(&[(IS_CA_ANNOTATION, "true")]));
    assert!(authority.is_ca);
    assert_eq!(authority.usages, ["digital signature", "server auth", "cert sign"]);
    for other in ["false", "yes", ""] {
        assert!(!asked(&annotated(&[(IS_CA_ANNOTATION, other)])).is_ca, "{other}");
    }
}

#[test]
fn a_request_waits_without_a_word_in_its_status() {
    let Step::Tell(missing) = request(&["Approved"]).decide(&issuers([]), now()) else { panic!() };
    assert_eq!((missing.status, missing.again), (None, Again::WhenChanged));
    assert_eq!(missing.message, "ChanceryClusterIssuer web does not exist");
    for answer in [
        Err(CallError::NoReplica(server())),
        Ok(IssueOutcome::Pending { request: "07".into(), retry_after_seconds: 1 }),
    ] {
        let verdict = request(&["Approved"]).conclude(&answer, now());
        assert_eq!((verdict.status, verdict.fate), (None, Fate::Pending), "{answer:?}");
    }
}

#[test]
fn refusals_fail_the_request_and_certificates_come_without_the_root() {
    for cause in
        [RefusalCause::InvalidRequest, RefusalCause::Policy, RefusalCause::NotGranted, RefusalCause::Denied]
    {
        let verdict = request(&["Approved"]).conclude(&refused(cause), now());
        assert_eq!((verdict.fate, verdict.message.as_str()), (Fate::Failed, "keys: no"), "{cause:?}");
    }
    let verdict = request(&["Approved"]).conclude(&issued(), now());
    let status = verdict.status.unwrap();
    assert!(status.conditions.is_empty());
    let pem = pki::pem::decode_all(&status.certificate.unwrap().0).unwrap();
    assert_eq!(pem.into_iter().map(|block| block.der).collect::<Vec<_>>(), [[1], [2]]);
}

#[test]
fn what_is_forgotten_changes_no_decision() {
    let mut foreign = request(&["Approved"]);
    foreign.spec.signer_name = "kubernetes.io/kubelet-serving".into();
    let mut signed = request(&["Approved"]);
    signed.status.as_mut().unwrap().certificate = Some(ByteString(vec![1; 4096]));
    for before in
        [request(&["Approved"]), annotated(&[(DURATION_ANNOTATION, "896h")]), foreign, signed, request(&[])]
    {
        let mut after = before.clone();
        after.shrink();
        assert_eq!(decide(&after), decide(&before));
    }
}
