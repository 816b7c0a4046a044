//! Proof of control: of each name that the certificate would hold, whoever put it there.

use pki::general_name::GeneralName;

use super::{super::proof, accepts, check_sentence, shown_names};
use crate::{
    error::{Error, Rule},
    policy::{
        Approval, CommonNameUse, DnsRule, IpRule, NameRule, Permission, Presence, Profile, ProofOfControl,
    },
    store::RequestFilter,
    testing::{AcmeScene, NOW, Request, Scene, acme_request, acme_scene, policy_with, request},
};

fn rule(presence: Presence, values: &[&str]) -> NameRule {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    NameRule { presence, values, patterns: Vec::new() }
}

/// Any name of these kinds, once it is proved.
fn strict() -> Profile {
    policy_with(|policy| {
        policy.proof_of_control = ProofOfControl::Required;
        policy.subject.empty = Permission::Allowed;
        let names = &mut policy.subject_alt_names;
        names.dns = Some(DnsRule { name: rule(Presence::Allowed, &[]), wildcards: Permission::Allowed });
        names.ip = Some(IpRule { presence: Presence::Allowed, values: Vec::new(), networks: Vec::new() });
        names.uri = Some(rule(Presence::Allowed, &[]));
        names.email = Some(rule(Presence::Allowed, &[]));
    })
}

fn dns(name: &str) -> GeneralName {
    GeneralName::Dns(name.into())
}

fn ip(address: &str) -> GeneralName {
    GeneralName::Ip(address.parse().unwrap())
}

#[track_caller]
fn refuses_names(policy: &Profile, request: &Request, proven: &[GeneralName], unproven: &str) {
    let refusal = proof::check(policy, &accepts(policy, request), proven).unwrap_err();
    check_sentence(&refusal, Rule::SubjectAltNames, "proofOfControl", &[unproven, "acme/web"]);
}

#[test]
fn a_name_that_was_not_proved_is_refused_whatever_else_was() {
    let strict = strict();
    let bare = || request().subject(&[]);
    let copying = policy_with(|policy| {
        *policy = strict.clone();
        policy.subject_alt_names.common_name = CommonNameUse::CopyToDns;
    });
    let fixing = policy_with(|policy| {
        *policy = strict.clone();
        let name = rule(Presence::Fixed, &["fixed.example"]);
        policy.subject_alt_names.dns = Some(DnsRule { name, wildcards: Permission::Refused });
    });
    for (policy, request, proven, unproven) in [
        (&strict, bare().dns("a.example"), vec![], "\"dns:a.example\""),
        (&strict, bare().dns("a.example").dns("b.example"), vec![dns("a.example")], "b.example"),
        (&strict, bare().dns("a.a.example"), vec![dns("a.example")], "a.a.example"),
        (&strict, bare().dns("a.example"), vec![dns("a.a.example")], "a.example"),
        // A wildcard does not prove the names that it stands for, nor they it.
        (&strict, bare().dns("a.example"), vec![dns("*.example")], "a.example"),
        (&strict, bare().dns("*.b.example"), vec![dns("b.example"), dns("a.b.example")], "*.b.example"),
        (&strict, bare().ip("192.0.2.1"), vec![ip("192.0.2.2"), dns("a.example")], "192.0.2.1"),
        (&strict, bare().ip("192.0.2.1"), vec![dns("192.0.2.1")], "192.0.2.1"),
        (&strict, bare().ip("::ffff:192.0.2.1"), vec![ip("192.0.2.1")], "::ffff:192.0.2.1"),
        (&strict, request().common_name("a.example"), vec![], "a.example"),
        (
            &strict,
            request().common_name("A.example").dns("b.example"),
            vec![dns("b.example")],
            "dns:a.example",
        ),
        (&strict, request().common_name("192.0.2.1"), vec![dns("a.example")], "192.0.2.1"),
        (&strict, request().common_name("2001:db8::1"), vec![], "2001:db8::1"),
        (&copying, request().common_name("a.example"), vec![], "a.example"),
        (&fixing, bare(), vec![], "fixed.example"),
        (&fixing, bare().dns("a.example"), vec![dns("a.example")], "fixed.example"),
    ] {
        refuses_names(policy, &request, &proven, unproven);
    }
}

#[test]
fn names_that_were_proved_pass_and_so_does_what_is_no_host() {
    let strict = strict();
    let bare = || request().subject(&[]);
    for (request, proven) in [
        (bare().dns("a.example"), vec![dns("b.example"), dns("a.example")]),
        (bare().dns("A.Example"), vec![dns("a.example")]),
        (bare().dns("*.a.example"), vec![dns("*.a.example")]),
        (bare().ip("192.0.2.1").ip("2001:db8::1"), vec![ip("2001:db8::1"), ip("192.0.2.1")]),
        (request().common_name("A.example").dns("a.example"), vec![dns("a.example")]),
        (request().common_name("192.0.2.1"), vec![ip("192.0.2.1")]),
        (request().common_name("device-1"), vec![]),
        (request().common_name("Acme Inc. of a.example"), vec![]),
        (bare().uri("https://a.example/x").email("x@a.example"), vec![]),
    ] {
        let template = accepts(&strict, &request);
        assert_eq!(proof::check(&strict, &template, &proven), Ok(()), "{:?}", shown_names(&template));
    }
}

#[tokio::test]
async fn evidence_without_proof_is_good_for_no_name_whatever_is_configured() {
    for approval in [Approval::Automatic, Approval::Manual] {
        let scene = Scene::new(&policy_with(|policy| {
            *policy = strict();
            policy.approval = approval;
        }))
        .await;
        let refused = scene.ask(&request().dns("a.example")).await;
        let Err(Error::Refused(refusal)) = refused else { panic!("{refused:?}") };
        check_sentence(&refusal, Rule::SubjectAltNames, "proofOfControl", &["a.example"]);
        assert!(scene.certificates().await.is_empty());
        let waiting = scene.store.requests(&RequestFilter::default(), &crate::store::Page::first(9)).await;
        assert!(waiting.unwrap().is_empty());
        assert!(scene.ask(&request().common_name("device-1")).await.is_ok());
    }
}

/// What an account has proved it has proved for the names of its order, and a profile adds none to them.
#[tokio::test]
async fn an_order_of_acme_proves_its_names() {
    let ask = |scene: &AcmeScene| {
        let (evidence, asked) = scene.ask(&acme_request()).unwrap();
        let who = crate::authn::Authenticated::new(scene.method.clone(), evidence, None).unwrap();
        crate::profile::authorize(who, asked, NOW)
    };
    let mut scene = acme_scene(Approval::Automatic);
    scene.require_proof(|_| {});
    let names = shown_names(ask(&scene).unwrap().template());
    assert_eq!(names, ["dns:www.a.example", "dns:*.b.example", "ip:192.0.2.1"]);
    scene.require_proof(|policy| {
        policy.subject_alt_names.ip = Some(IpRule {
            presence: Presence::Fixed,
            values: vec!["192.0.2.9".parse().unwrap()],
            networks: Vec::new(),
        });
    });
    let Err(Error::Refused(refusal)) = ask(&scene) else { panic!("it was not refused") };
    check_sentence(&refusal, Rule::SubjectAltNames, "proofOfControl", &["192.0.2.9"]);
}
