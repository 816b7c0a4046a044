//! A person decides.

use std::sync::Arc;

use super::refused;
use crate::{
    Error, Issued, Pending, Result,
    approval::Verdict,
    audit::{Action, Actor, AuditOutcome},
    authn::{Authenticated, Freshness},
    authority::Method,
    credential::{CredentialRow, CredentialState},
    engine::{Outcome, Repeat, request_key},
    error::Rule,
    identity::{Owner, RequestId, ResourceName},
    policy::{Approval, Permission, Profile},
    ports::Clock as _,
    revocation::Revocation,
    secret::Secret,
    store::{Commit, Decision, MethodScope, RequestRow, RequestState, Write, memory::MemoryStore},
    testing::{
        Before, DAY, HookedStore, NOW, Request, Scene, credential, issued, method, pending, policy_with,
        request,
    },
};

fn manual() -> Profile {
    policy_with(|policy| policy.approval = Approval::Manual)
}

async fn asks_and_waits(scene: &Scene, request: &Request) -> Pending {
    let pending = pending(scene.ask(request).await);
    assert_eq!(pending.retry_after, scene.method.retry_after);
    pending
}

async fn decide(scene: &Scene, id: &RequestId, verdict: Verdict) -> Result<RequestRow> {
    let reason = (verdict == Verdict::Deny).then(|| "no such device".to_owned());
    scene.engine.decide(id, verdict, "olga", reason).await
}

async fn approved(scene: &Scene, request: &Request) -> Issued {
    let waiting = asks_and_waits(scene, request).await;
    decide(scene, &waiting.request, Verdict::Approve).await.unwrap();
    scene.issue(request).await
}

#[tokio::test]
async fn a_request_waits_and_the_same_request_after_approval_gets_the_certificate() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let first = asks_and_waits(&scene, &request).await;
    let second = asks_and_waits(&scene, &request).await;
    assert_eq!(first.request, second.request);
    assert!(scene.certificates().await.is_empty());
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 0);

    let row = scene.store.request(&first.request).await.unwrap().unwrap();
    assert_eq!(row.summary, "CN=device-1 [] ECDSA-P256, 2025-12-31T23:55:00Z to 2026-01-30T23:55:00Z");
    assert_eq!(row.encoded, request.to_der());
    let decided = decide(&scene, &first.request, Verdict::Approve).await.unwrap();
    assert_eq!(decided.state, RequestState::Approved);

    let certificate = scene.issue(&request).await;
    let row = scene.store.request(&first.request).await.unwrap().unwrap();
    assert_eq!(row.state, RequestState::Issued);
    assert_eq!(row.certificate, Some((scene.authority.key_id(), certificate.serial)));
    assert_eq!(row.decision, Some(Decision { by: "olga".into(), at: NOW, reason: None, decider: None }));
    assert_eq!(scene.row(&certificate).await.request, Some(first.request.clone()));
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 1);

    let events = scene.events().await;
    let trail: Vec<_> = events.iter().map(|event| (event.action, event.outcome)).collect();
    let expected = [
        (Action::CertificateRequested, AuditOutcome::Pending),
        (Action::RequestApproved, AuditOutcome::Done),
        (Action::CertificateIssued, AuditOutcome::Done),
    ];
    assert_eq!(trail, expected);
    assert!(events.iter().all(|event| event.request.as_ref() == Some(&first.request)));
    assert_eq!(events[1].actor, Actor::Operator { name: "olga".into() });
}

#[tokio::test]
async fn an_issued_request_answers_with_its_certificate_while_that_is_good() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let first = approved(&scene, &request).await;
    assert_eq!(scene.issue(&request).await.certificate, first.certificate);
    scene
        .engine
        .revoke(scene.authority.key_id(), &first.serial, Revocation::Hold, Actor::Server)
        .await
        .unwrap();
    asks_and_waits(&scene, &request).await;
    let scene = Scene::new(&manual()).await;
    approved(&scene, &request).await;
    scene.clock.advance(31 * DAY);
    asks_and_waits(&scene, &request).await;
}

#[tokio::test]
async fn a_denied_request_is_refused_with_the_reason() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let waiting = asks_and_waits(&scene, &request).await;
    decide(&scene, &waiting.request, Verdict::Deny).await.unwrap();
    for _ in 0..2 {
        let refusal = refused(scene.ask(&request).await, Rule::Approval);
        assert_eq!(refusal.sentence(), "approval: the request was denied: no such device");
    }
    assert!(scene.certificates().await.is_empty());
    let denial =
        scene.events().await.into_iter().find(|event| event.action == Action::RequestDenied).unwrap();
    assert_eq!(denial.reason.as_deref(), Some("no such device"));
}

#[tokio::test]
async fn another_request_waits_for_a_decision_of_its_own() {
    let scene = Scene::new(&manual()).await;
    approved(&scene, &request()).await;
    asks_and_waits(&scene, &request()).await;
}

#[tokio::test]
async fn a_request_that_the_profile_refuses_never_waits() {
    let scene = Scene::new(&manual()).await;
    refused(scene.ask(&request().dns("evil.org")).await, Rule::SubjectAltNames);
    let page = crate::store::Page::first(10);
    assert!(scene.store.requests(&crate::store::RequestFilter::default(), &page).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_request_that_nobody_decides_on_is_asked_anew() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let first = asks_and_waits(&scene, &request).await;
    scene.clock.advance(7 * DAY);
    match decide(&scene, &first.request, Verdict::Approve).await {
        Err(Error::Conflict(reason)) => assert!(reason.contains("is expired")),
        other => panic!("{other:?}"),
    }
    let second = asks_and_waits(&scene, &request).await;
    assert_ne!(first.request, second.request);
    assert!(scene.store.request(&first.request).await.unwrap().is_none());

    // Swept before the requester comes back: the same.
    scene.clock.advance(7 * DAY);
    let sweep = Commit {
        writes: vec![Write::ExpireRequests { now: NOW.plus_seconds(14 * DAY) }],
        ..Commit::default()
    };
    scene.store.commit(sweep).await.unwrap().unwrap();
    let third = asks_and_waits(&scene, &request).await;
    decide(&scene, &third.request, Verdict::Approve).await.unwrap();
    scene.issue(&request).await;
}

#[tokio::test]
async fn only_a_pending_request_can_be_decided_and_only_once() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let waiting = asks_and_waits(&scene, &request).await;
    decide(&scene, &waiting.request, Verdict::Approve).await.unwrap();
    for verdict in [Verdict::Approve, Verdict::Deny] {
        assert!(matches!(decide(&scene, &waiting.request, verdict).await, Err(Error::Conflict(_))));
    }
    scene.issue(&request).await;
    assert!(matches!(decide(&scene, &waiting.request, Verdict::Deny).await, Err(Error::Conflict(_))));
    let unknown = RequestId::from_random([9; 16]);
    assert!(matches!(decide(&scene, &unknown, Verdict::Approve).await, Err(Error::NotFound("request"))));
}

/// Somebody else of the same method.
async fn colleague(scene: &Scene, username: &str, owner: Option<Owner>) -> Authenticated {
    let row = CredentialRow { owner, ..credential(&scene.method.name, Some(username), "another-horse") };
    scene.put(&row).await;
    let evidence = scene.verify(username, "another-horse", Freshness::Fresh).await.unwrap();
    Authenticated::new(scene.method.clone(), evidence, None).unwrap()
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_and_the_refusal_is_recorded() {
    let scene = Scene::new(&manual()).await;
    scene.change_ann(|row| row.owner = Some(Owner::User("ann".into()))).await;
    let waiting = asks_and_waits(&scene, &request()).await;
    let second_key = colleague(&scene, "ann-2", Some(Owner::User("ann".into()))).await;
    for by in [scene.login().await, second_key] {
        let outcome =
            scene.engine.decide_as(&by, &scene.own(), &waiting.request, Verdict::Approve, None).await;
        let Err(Error::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refusal.rule(), Rule::Approval);
        let last = scene.events().await.pop().unwrap();
        assert_eq!((last.action, last.outcome), (Action::RequestApproved, AuditOutcome::Refused));
        assert_eq!((last.actor, last.request), (Actor::of(by.requester()), Some(waiting.request.clone())));
        assert_eq!(last.reason.as_deref(), Some(refusal.sentence()));
    }
    let row = scene.store.request(&waiting.request).await.unwrap().unwrap();
    assert_eq!((row.state, row.decision), (RequestState::Pending, None));
    let given_up = scene
        .engine
        .decide_as(&scene.login().await, &scene.own(), &waiting.request, Verdict::Deny, None)
        .await;
    assert_eq!(given_up.unwrap().state, RequestState::Denied);
}

#[tokio::test]
async fn nobody_approves_with_or_for_a_credential_whose_secret_they_were_shown() {
    let scene = Scene::new(&manual()).await;
    let ann = format!("credential:{}", scene.ann.id);
    // Ann made the one that approves; Eve made the one that ann asks with, and another one that approves.
    let known =
        |row: &mut CredentialRow, mark: &str| row.verifier = row.verifier.clone().shown_to([mark.to_owned()]);
    let by_eve = "user:eve";
    scene.change_ann(|row| known(row, by_eve)).await;
    let waiting = asks_and_waits(&scene, &request()).await;
    for (name, mark, owner) in [
        ("made-by-ann", ann.as_str(), None),
        ("made-by-eve", by_eve, None),
        ("eve", "user:nobody", Some(Owner::User("eve".into()))),
    ] {
        let by = colleague(&scene, name, owner).await;
        let row = scene.store.credential(by.requester().credential.as_ref().unwrap()).await.unwrap().unwrap();
        let mut row = CredentialRow { version: 2, ..row };
        known(&mut row, mark);
        scene.put(&row).await;
        let evidence = scene.verify(name, "another-horse", Freshness::Fresh).await.unwrap();
        let by = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
        let outcome =
            scene.engine.decide_as(&by, &scene.own(), &waiting.request, Verdict::Approve, None).await;
        assert!(matches!(outcome, Err(Error::Refused(_))), "{name}: {outcome:?}");
    }
    let bob = colleague(&scene, "bob", Some(Owner::User("bob".into()))).await;
    scene.engine.decide_as(&bob, &scene.own(), &waiting.request, Verdict::Approve, None).await.unwrap();
}

#[tokio::test]
async fn a_colleague_approves_and_the_trail_names_their_credential() {
    let scene = Scene::new(&manual()).await;
    let (ann, group) = (request(), Some(Owner::Group("shop".into())));
    scene.change_ann(|row| row.owner = Some(Owner::Group("shop".into()))).await;
    let waiting = asks_and_waits(&scene, &ann).await;
    let bob = colleague(&scene, "bob", group).await;
    let decided =
        scene.engine.decide_as(&bob, &scene.own(), &waiting.request, Verdict::Approve, None).await.unwrap();
    assert_eq!(decided.decision.unwrap().by, "bob");
    assert!(bob.requester().credential.is_some());
    let last = scene.events().await.pop().unwrap();
    assert_eq!((last.action, last.outcome), (Action::RequestApproved, AuditOutcome::Done));
    assert_eq!(last.actor, Actor::of(bob.requester()));
    assert_eq!(last.credential, Some(scene.ann.id.clone()), "whose request it was");
    assert_eq!(last.actor.credential(), bob.requester().credential.as_ref(), "by whose decision");
    scene.issue(&ann).await;
}

#[tokio::test]
async fn whoever_approved_and_is_shown_the_secret_afterwards_gets_no_certificate_with_it() {
    let scene = Scene::new(&manual()).await;
    let ann = request();
    let waiting = asks_and_waits(&scene, &ann).await;
    let bob = colleague(&scene, "bob", Some(Owner::User("bob".into()))).await;
    let decided =
        scene.engine.decide_as(&bob, &scene.own(), &waiting.request, Verdict::Approve, None).await.unwrap();
    let decider = decided.decision.unwrap().decider.unwrap();
    assert_eq!(decider.credential.as_ref(), bob.requester().credential.as_ref());
    // As regenerating leaves it: the requester asks with the new value, which bob has seen.
    let verifier = scene.ann.verifier.clone();
    scene.change_ann(|row| row.verifier = verifier.clone().shown_to(["user:bob".to_owned()])).await;
    for _ in 0..2 {
        refused(scene.ask(&ann).await, Rule::Approval);
        let last = scene.events().await.pop().unwrap();
        assert_eq!((last.action, last.outcome), (Action::CertificateRequested, AuditOutcome::Refused));
    }
    assert!(scene.certificates().await.is_empty());
    // Somebody else's having seen it is no harm.
    scene.change_ann(|row| row.verifier = verifier.shown_to(["user:eve".to_owned()])).await;
    scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await.unwrap();
    scene.issue(&ann).await;
}

#[tokio::test]
async fn a_request_of_another_method_is_not_there_and_a_revoked_credential_decides_nothing() {
    let scene = Scene::new(&manual()).await;
    let waiting = asks_and_waits(&scene, &request()).await;
    let bob = colleague(&scene, "bob", None).await;
    let row = scene.store.credential(bob.requester().credential.as_ref().unwrap()).await.unwrap().unwrap();
    scene.put(&CredentialRow { version: 2, state: CredentialState::Revoked, ..row }).await;
    let outcome = scene.engine.decide_as(&bob, &scene.own(), &waiting.request, Verdict::Approve, None).await;
    assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");

    let same = Arc::into_inner(method(&manual(), &scene.authority)).unwrap();
    let elsewhere = Method { name: ResourceName::new("acme", "elsewhere"), ..same };
    let row = credential(&elsewhere.name, Some("eve"), "another-horse");
    scene.put(&row).await;
    let now = scene.clock.now();
    let password = Secret::new("another-horse");
    let evidence =
        scene.verifier.verify(&elsewhere, "eve", &password, now, Freshness::Fresh, None).await.unwrap();
    let own = MethodScope::from(elsewhere.name.clone());
    let eve = Authenticated::new(Arc::new(elsewhere), evidence, None).unwrap();
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let outcome = scene.engine.decide_as(&eve, &own, &waiting.request, verdict, None).await;
        assert!(matches!(outcome, Err(Error::NotFound("request"))), "{outcome:?}");
    }
    assert_eq!(scene.store.request(&waiting.request).await.unwrap().unwrap().state, RequestState::Pending);
    // Whoever administers the method of the request as well does, and it is said which one it was.
    let both = MethodScope::of([eve.method().name.clone(), scene.method.name.clone()]);
    scene.engine.decide_as(&eve, &both, &waiting.request, Verdict::Approve, None).await.unwrap();
    let event = scene.events().await.pop().unwrap();
    assert_eq!((event.method.as_ref(), event.actor), (Some(&scene.method.name), Actor::of(eve.requester())));
}

#[tokio::test]
async fn nobody_approves_by_another_method_what_they_asked_for_themselves() {
    let scene = Scene::new(&manual()).await;
    scene.change_ann(|row| row.owner = Some(Owner::User("ann".into()))).await;
    let waiting = asks_and_waits(&scene, &request()).await;
    let same = Arc::into_inner(method(&manual(), &scene.authority)).unwrap();
    let desk = Method { name: ResourceName::new(scene.method.name.namespace(), "desk"), ..same };
    let row = credential(&desk.name, Some("ann-at-the-desk"), "another-horse");
    scene.put(&CredentialRow { owner: Some(Owner::User("ann".into())), ..row }).await;
    let (now, password) = (scene.clock.now(), Secret::new("another-horse"));
    let evidence = scene
        .verifier
        .verify(&desk, "ann-at-the-desk", &password, now, Freshness::Fresh, None)
        .await
        .unwrap();
    let by = Authenticated::new(Arc::new(desk), evidence, None).unwrap();
    let scope = MethodScope::Namespace(scene.method.name.namespace().to_owned());
    let outcome = scene.engine.decide_as(&by, &scope, &waiting.request, Verdict::Approve, None).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_is_told() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &manual()).await;
    let waiting = asks_and_waits(&scene, &request()).await;
    let denial = Write::UpdateRequest {
        id: waiting.request.clone(),
        state: RequestState::Denied,
        decision: None,
        certificate: None,
    };
    store.script([Before::Other(Box::new(Commit { writes: vec![denial], ..Commit::default() }))]);
    match decide(&scene, &waiting.request, Verdict::Approve).await {
        Err(Error::Conflict(reason)) => assert!(reason.contains("decided by somebody else")),
        other => panic!("{other:?}"),
    }
    let row = scene.store.request(&waiting.request).await.unwrap().unwrap();
    assert_eq!(row.state, RequestState::Denied);
}

/// Asks as ann at the scene's method with another profile in force.
async fn ask_under(scene: &Scene, profile: &Profile, request: &Request) -> Result<Outcome> {
    let method: Arc<Method> = method(profile, &scene.authority);
    let authenticated = Authenticated::new(method, scene.evidence().await, None).unwrap();
    let key = request_key(&[b"ann", b"approval"]);
    scene.engine.issue(authenticated, request.asked(), key, Repeat::Same).await
}

#[tokio::test]
async fn an_approved_request_is_judged_again_by_the_profile_of_now() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let stricter = policy_with(|policy| {
        policy.approval = Approval::Manual;
        policy.keys.allowed.clear();
    });
    let waiting = pending(ask_under(&scene, &manual(), &request).await);
    decide(&scene, &waiting.request, Verdict::Approve).await.unwrap();
    refused(ask_under(&scene, &stricter, &request).await, Rule::Keys);
    assert!(scene.certificates().await.is_empty());
    assert_eq!(scene.store.request(&waiting.request).await.unwrap().unwrap().state, RequestState::Approved);
    issued(ask_under(&scene, &manual(), &request).await);
}

#[tokio::test]
async fn a_credential_revoked_after_approval_stops_the_certificate() {
    let scene = Scene::new(&manual()).await;
    let request = request();
    let waiting = asks_and_waits(&scene, &request).await;
    decide(&scene, &waiting.request, Verdict::Approve).await.unwrap();
    scene.change_ann(|row| row.state = CredentialState::Revoked).await;
    assert!(matches!(scene.ask(&request).await, Err(Error::Stale)));
    assert!(scene.certificates().await.is_empty());
}

#[tokio::test]
async fn two_who_come_back_at_once_after_approval_get_one_certificate() {
    for reuse in [Permission::Allowed, Permission::Refused] {
        let store = HookedStore::new(Arc::new(MemoryStore::default()));
        let policy = policy_with(|policy| {
            policy.approval = Approval::Manual;
            policy.keys.reuse = reuse;
        });
        let scene = Scene::on(store.clone(), &policy).await;
        let request = request();
        let waiting = asks_and_waits(&scene, &request).await;
        decide(&scene, &waiting.request, Verdict::Approve).await.unwrap();
        store.meet(2);
        let (one, other) = tokio::join!(scene.issue(&request), scene.issue(&request));
        assert_eq!(one.certificate, other.certificate);
        assert_eq!(scene.certificates().await.len(), 1);
    }
}
