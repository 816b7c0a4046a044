//! Requests that wait for a person.

use std::sync::Arc;

use issuance::{
    Outcome,
    authn::{Authenticated, Freshness},
    authority::Method,
    credential::{CredentialRow, CredentialState},
    engine::{Repeat, request_key},
    identity::{Owner, RequestId},
    policy::Approval,
    request::Asked,
    rest::{RestAction, RestActions},
    secret::Secret,
    store::RequestState,
};
use pki::{csr::UnverifiedCsr, pem};
use serde_json::json;

use super::{
    desk::act,
    scene::{Scene, Setup, csr},
};

struct Desk {
    scene: Scene,
    /// May approve, and nothing else.
    key: String,
    approver: CredentialRow,
}

impl Desk {
    async fn new() -> Self {
        let scene = Scene::of(Setup::default().policy(|policy| policy.approval = Approval::Manual)).await;
        let (key, approver) = scene.another_key(&[RestAction::Approve]).await;
        Self { scene, key, approver }
    }

    /// Somebody asks, and has to wait.
    async fn waiting(&self) -> RequestId {
        self.waiting_for(&self.scene.key, &self.scene.method).await
    }

    async fn waiting_for(&self, key: &str, method: &Arc<Method>) -> RequestId {
        let app = &self.scene.app;
        let now = app.engine.clock().now();
        let holder =
            app.passwords.verify_access_key(&Secret::new(key), now, Freshness::Fresh, None).await.unwrap();
        let authenticated = Authenticated::new(method.clone(), holder.evidence, None).unwrap();
        let (_, csr) = csr(&["shop.acme.example"]);
        let der = &pem::decode_all(csr.as_bytes()).unwrap()[0].der;
        let csr = UnverifiedCsr::from_der(der).unwrap().verify().unwrap();
        let key = request_key(&[csr.der()]);
        let asked = Asked::from_csr(&csr).unwrap();
        match app.engine.issue(authenticated, asked, key, Repeat::Same).await.unwrap() {
            Outcome::Pending(pending) => pending.request,
            other => panic!("{other:?}"),
        }
    }

    async fn state(&self, id: &RequestId) -> RequestState {
        self.scene.app.engine.store().request(id).await.unwrap().unwrap().state
    }
}

#[tokio::test]
async fn a_request_is_listed_read_and_approved_and_only_its_requester_gets_it_signed() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    let listed = desk.scene.get_with(&desk.key, "/requests?state=pending").await.ok(200).json();
    let request = &listed["items"][0];
    assert_eq!(request["id"], json!(id));
    assert_eq!((&request["state"], &request["requester"]), (&json!("pending"), &json!("lab/all")));
    assert!(request["summary"].as_str().unwrap().contains("dns:shop.acme.example"), "{request}");
    let read = desk.scene.get_with(&desk.key, &format!("/requests/{id}")).await.ok(200).json();
    assert_eq!(read, *request);
    let approve = format!("/requests/{id}/approve");
    let approved = desk.scene.post_with(&desk.key, &approve, &json!({})).await.ok(200).json();
    assert_eq!(approved["state"], "approved");
    assert_eq!(approved["decision"]["by"], desk.approver.name.to_string());
    assert_eq!(approved["decision"]["credential"], json!(desk.approver.id));
    let last = desk.scene.audit().await.pop().unwrap();
    assert_eq!(last["actor"]["credential"], json!(desk.approver.id));
    assert_eq!(desk.scene.issued().await, 0, "approval does not sign");
    let last = desk.scene.audit().await.pop().unwrap();
    assert_eq!((&last["action"], &last["outcome"]), (&json!("requestApproved"), &json!("done")));
    assert_eq!(last["actor"]["name"], desk.approver.name.to_string());
    assert_eq!(last["actor"]["kind"], "requester");
}

#[tokio::test]
async fn a_request_is_denied_with_a_reason_or_without() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    let body = json!({"reason": "not in the inventory"});
    let denied = desk.scene.post_with(&desk.key, &format!("/requests/{id}/deny"), &body).await.ok(200).json();
    assert_eq!((&denied["state"], &denied["decision"]["reason"]), (&json!("denied"), &body["reason"]));
    let id = desk.waiting().await;
    act(&desk.scene, &desk.key, &format!("/requests/{id}/deny")).await.ok(200);
    assert_eq!(desk.state(&id).await, RequestState::Denied);
}

#[tokio::test]
async fn nobody_approves_their_own_request_nor_that_of_their_other_credential() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    let approve = format!("/requests/{id}/approve");
    desk.scene.post(&approve, &json!({})).await.refused(403, "refused", "whoever asked");
    let last = desk.scene.audit().await.pop().unwrap();
    assert_eq!((&last["action"], &last["outcome"]), (&json!("requestApproved"), &json!("refused")));
    for row in [desk.scene.credential_row().await, desk.approver.clone()] {
        desk.scene.put_credential(CredentialRow { owner: Some(Owner::User("ann".into())), ..row }).await;
    }
    let id = desk.waiting().await;
    let approve = format!("/requests/{id}/approve");
    desk.scene.post_with(&desk.key, &approve, &json!({})).await.refused(403, "refused", "whoever asked");
    assert_eq!(desk.state(&id).await, RequestState::Pending);
    act(&desk.scene, &desk.scene.key, &format!("/requests/{id}/deny")).await.ok(200);
}

#[tokio::test]
async fn a_request_is_decided_once() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    act(&desk.scene, &desk.key, &format!("/requests/{id}/approve")).await.ok(200);
    for verdict in ["approve", "deny"] {
        let again = act(&desk.scene, &desk.key, &format!("/requests/{id}/{verdict}")).await;
        again.refused(409, "conflict", "is approved");
    }
    let id = desk.waiting().await;
    desk.scene.clock.forward(8 * 86_400);
    let late = act(&desk.scene, &desk.key, &format!("/requests/{id}/approve")).await;
    late.refused(409, "conflict", "is expired");
    let shown = desk.scene.get_with(&desk.key, "/requests?state=expired").await.ok(200).json();
    assert_eq!(shown["items"][0]["id"], json!(id));
    let pending = desk.scene.get_with(&desk.key, "/requests?state=pending").await.ok(200).json();
    assert_eq!(pending["items"], json!([]));
}

#[tokio::test]
async fn requests_of_other_methods_are_not_there() {
    let desk = Desk::new().await;
    let foreign = desk.waiting_for(&desk.scene.other_key, &desk.scene.other_method).await;
    let listed = desk.scene.get_with(&desk.key, "/requests").await.ok(200).json();
    assert_eq!(listed, json!({"items": []}));
    for id in [foreign.to_string(), RequestId::from_random([9; 16]).to_string(), "x".into(), "%00".into()] {
        let path = format!("/requests/{id}");
        desk.scene.get_with(&desk.key, &path).await.refused(404, "not-found", "request");
        for verdict in ["approve", "deny"] {
            let answer = act(&desk.scene, &desk.key, &format!("{path}/{verdict}")).await;
            answer.refused(404, "not-found", "request");
        }
    }
    assert_eq!(desk.state(&foreign).await, RequestState::Pending);
}

#[tokio::test]
async fn who_lacks_the_action_learns_nothing_and_decides_nothing() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    let others: Vec<_> =
        RestAction::ALL.into_iter().filter(|action| *action != RestAction::Approve).collect();
    let (key, _) = desk.scene.another_key(&others).await;
    for id in [id.to_string(), RequestId::from_random([9; 16]).to_string()] {
        for path in ["/requests".to_owned(), format!("/requests/{id}")] {
            desk.scene.get_with(&key, &path).await.refused(403, "action-not-allowed", "approve");
        }
        for verdict in ["approve", "deny"] {
            let answer = act(&desk.scene, &key, &format!("/requests/{id}/{verdict}")).await;
            answer.refused(403, "action-not-allowed", "approve");
        }
    }
    assert_eq!(desk.state(&id).await, RequestState::Pending);
    let revoked = CredentialRow { state: CredentialState::Revoked, ..desk.approver.clone() };
    desk.scene.put_credential(revoked).await;
    let answer = act(&desk.scene, &desk.key, &format!("/requests/{id}/approve")).await;
    answer.refused(401, "unauthenticated", "");
}

#[tokio::test]
async fn what_is_asked_for_badly_is_refused() {
    let desk = Desk::new().await;
    let id = desk.waiting().await;
    for query in ["state=open", "state=", "state=pending&state=denied", "limit=0", "cursor=x", "order=up"] {
        let answer = desk.scene.get_with(&desk.key, &format!("/requests?{query}")).await;
        answer.refused(400, "malformed", "the parameter");
    }
    let deny = format!("/requests/{id}/deny");
    for (body, pointer) in [
        (json!({"reason": ""}), "/reason"),
        (json!({"reason": null}), "/reason"),
        (json!({"reason": 7}), "/reason"),
        (json!({"reason": "a\nb"}), "/reason"),
        (json!({"reason": "x".repeat(401)}), "/reason"),
        (json!({"because": "x"}), "/because"),
        (json!([]), ""),
    ] {
        desk.scene.post_with(&desk.key, &deny, &body).await.invalid(pointer, "");
    }
    assert_eq!(desk.state(&id).await, RequestState::Pending);
}

#[tokio::test]
async fn pages_of_requests_hold_each_once() {
    let desk = Desk::new().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(json!(desk.waiting().await));
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = desk.scene.get_with(&desk.key, &format!("/requests?limit=2{cursor}")).await.ok(200).json();
        found.extend(page["items"].as_array().unwrap().iter().map(|request| request["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, expected);
    let actions: RestActions = [RestAction::Approve].into_iter().collect();
    assert_eq!(desk.approver.actions, actions);
}
