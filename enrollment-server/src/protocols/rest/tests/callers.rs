//! Who is let in, and to what.

use axum::body::Body;
use http::{
    Method as HttpMethod, Request,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use issuance::{
    credential::{CredentialState, PreviousValue, Verifier},
    policy::Approval,
    ports::Clock as _,
    rest::{AccessKey, RestAction},
};
use serde_json::json;

use super::{
    orders::{approve, path},
    scene::{Scene, Setup, csr, request, with_json},
};
use crate::listeners::{FailedAuthentications, Limits};

fn with_authorization(values: &[&str]) -> Request<Body> {
    let request = values.iter().fold(request(HttpMethod::GET, "/orders", ""), |request, value| {
        request.header(AUTHORIZATION, http::HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn nobody_is_let_in_without_a_credential_and_is_told_what_would_help() {
    let scene = Scene::new().await;
    let answer = scene.get_with("", "/orders").await;
    answer.refused(401, "unauthenticated", "missing or not accepted");
    assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer realm=\"chancery\"");
}

#[tokio::test]
async fn what_is_no_access_key_lets_nobody_in_and_says_nothing_of_why() {
    let scene = Scene::new().await;
    let right = format!("Bearer {}", scene.key);
    let mut wrong = right.clone();
    let last = if wrong.pop() == Some('A') { 'B' } else { 'A' };
    wrong.push(last);
    let basic = format!("Basic {}", scene.key);
    let unknown = format!("Bearer chancery_{}_{}", "0".repeat(16), "a".repeat(27));
    let padded = format!("{right} ");
    let mut bodies = Vec::new();
    for values in [
        vec![&*wrong],
        vec![&unknown],
        vec![&basic],
        vec![&padded],
        vec!["Bearer"],
        vec!["Bearer "],
        vec![""],
        vec!["bearer\u{a0}x"],
        vec![&*scene.key],
        vec!["Bearer a.b.c"],
        vec![&right, &right],
        vec![&right, &wrong],
    ] {
        let answer = scene.send(with_authorization(&values)).await;
        answer.refused(401, "unauthenticated", "");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer realm=\"chancery\", error=\"invalid_token\"");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    scene.send(with_authorization(&[&right])).await.ok(200);
    scene.send(with_authorization(&[&right.replace("Bearer", "bEARER")])).await.ok(200);
}

#[tokio::test]
async fn a_credential_that_has_ended_lets_nobody_in_from_the_next_request_on() {
    for change in [
        (|row, _| row.state = CredentialState::Revoked)
            as fn(&mut issuance::credential::CredentialRow, pki::time::Time),
        |row, now| row.expires_at = Some(now),
        |row, _| {
            let another = issuance::rest::AccessKey::generate().unwrap();
            row.verifier = issuance::credential::Verifier::of_generated(another.secret());
        },
    ] {
        let scene = Scene::new().await;
        let (_, csr) = csr(&["a.acme.example"]);
        let body = json!({ "csr": csr });
        scene.get("/orders").await.ok(200);
        scene.post("/orders", &body).await.ok(201);
        let mut row = scene.credential_row().await;
        change(&mut row, scene.clock.now());
        scene.put_credential(row).await;
        scene.get("/orders").await.refused(401, "unauthenticated", "");
        scene.post("/orders", &body).await.refused(401, "unauthenticated", "");
        scene.post("/orders", &json!({})).await.refused(401, "unauthenticated", "");
        assert_eq!(scene.issued().await, 1);
    }
}

#[tokio::test]
async fn an_access_key_before_lets_its_holder_in_for_the_overlap_and_not_after_a_regeneration() {
    for regenerated in [true, false] {
        let scene = Scene::new().await;
        let (_, csr) = csr(&["a.acme.example"]);
        let body = json!({ "csr": csr });
        let mut row = scene.credential_row().await;
        let next = |name: &Option<String>| AccessKey::regenerate(name.as_deref().unwrap()).unwrap();
        let mut verifier = Verifier::of_generated(next(&row.username).secret());
        std::mem::swap(&mut row.verifier, &mut verifier);
        row.previous = Some(PreviousValue { verifier, until: scene.clock.now().plus_seconds(600) });
        let mut row = scene.put_credential(row).await;
        scene.get("/orders").await.ok(200);
        scene.post("/orders", &body).await.ok(201);
        if regenerated {
            row.verifier = Verifier::of_generated(next(&row.username).secret());
            row.previous = None;
            scene.put_credential(row).await;
        } else {
            scene.clock.forward(600);
        }
        scene.get("/orders").await.refused(401, "unauthenticated", "");
        scene.post("/orders", &body).await.refused(401, "unauthenticated", "");
        assert_eq!(scene.issued().await, 1);
    }
}

#[tokio::test]
async fn an_order_uses_a_credential_up_and_reading_does_not() {
    let scene = Scene::of(Setup::default().credential(|row| row.maximum_uses = Some(1))).await;
    let (_, csr) = csr(&["a.acme.example"]);
    scene.get("/orders").await.ok(200);
    let send = |name: &str| {
        let request = request(HttpMethod::POST, "/orders", &scene.key).header("idempotency-key", name);
        scene.send(with_json(request, &json!({ "csr": csr })))
    };
    let order = send("one").await.ok(201).json();
    let used_up = "maximumUses: this credential was used as often as it may be";
    send("two").await.refused(403, "refused", used_up);
    scene.post("/orders", &json!({})).await.refused(403, "refused", used_up);
    // What was ordered is there, also where the answer was lost.
    assert_eq!(send("one").await.ok(201).json(), order);
    scene.get(&path(&order)).await.ok(200);
    let certificate = order["certificateId"].as_str().unwrap();
    scene.get(&format!("/certificates/{certificate}/download?format=pem")).await.ok(200);
    assert_eq!(scene.issued().await, 1);
    // Nor does it decide or change anything.
    scene
        .post("/credentials", &json!({"name": "ci", "owner": "user:ann"}))
        .await
        .refused(403, "refused", used_up);
    scene
        .post(&format!("/certificates/{certificate}/revoke"), &json!({}))
        .await
        .refused(403, "refused", used_up);
}

#[tokio::test]
async fn what_was_approved_once_its_credential_is_used_up_is_read_and_says_why_it_came_to_nothing() {
    let setup = Setup::default().policy(|policy| policy.approval = Approval::Manual);
    let scene = Scene::of(setup.credential(|row| row.maximum_uses = Some(1))).await;
    let mut orders = Vec::new();
    for _ in 0..2 {
        let (_, csr) = csr(&["a.acme.example"]);
        orders.push(scene.post("/orders", &json!({ "csr": csr })).await.ok(201).json());
    }
    for order in &orders {
        approve(&scene, order, true).await;
    }
    let [first, second] = [0, 1].map(|place| path(&orders[place]));
    assert_eq!(scene.get(&first).await.ok(200).json()["status"], "issued");
    for _ in 0..2 {
        let order = scene.get(&second).await.ok(200).json();
        assert_eq!((&order["status"], scene.issued().await), (&json!("failed"), 1), "{order}");
        assert!(order["reason"].as_str().unwrap().starts_with("maximumUses: "), "{order}");
    }
}

#[tokio::test]
async fn the_key_that_the_last_use_of_a_credential_got_is_fetched_with_it() {
    let scene = Scene::of(Setup::default().credential(|row| row.maximum_uses = Some(1))).await;
    let body = json!({ "domains": ["a.acme.example"], "serverKey": true });
    let order = scene.post("/orders", &body).await.ok(201).json();
    assert_eq!(order["status"], "issued");
    let fetch = json!({ "format": "pkcs8", "passphrase": "correct horse" });
    scene.post(&format!("{}/key", path(&order)), &fetch).await.ok(200);
    scene.post("/orders", &body).await.refused(403, "refused", "maximumUses");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn whoever_lacks_the_action_is_told_which_before_anything_is_looked_up_and_that_is_on_the_record() {
    let scene = Scene::new().await;
    let (reader, row) = scene.another_key(&[RestAction::Read]).await;
    let (requester, _) = scene.another_key(&[RestAction::Request]).await;
    let answer = scene.post_with(&reader, "/orders", &json!({ "no": "order" })).await;
    answer.refused(403, "action-not-allowed", "\"request\"");
    assert_eq!(answer.json()["action"], "request");
    let last = scene.audit().await.pop().unwrap();
    assert_eq!((&last["action"], &last["outcome"]), (&json!("accessRefused"), &json!("refused")));
    assert_eq!(last["credential"], row.id.to_string());
    let nothing = format!("/orders/{}", "0".repeat(32));
    scene.get_with(&requester, &nothing).await.refused(403, "action-not-allowed", "\"read\"");
    scene.get_with(&reader, &nothing).await.refused(404, "not-found", "order");
}

#[tokio::test]
async fn a_credential_is_of_one_method_whatever_the_query_says() {
    let scene = Scene::new().await;
    scene.get("/orders?method=lab/api").await.ok(200);
    scene.get("/orders?method=lab/other").await.refused(404, "not-found", "method");
    scene.get("/orders?method=lab/none").await.refused(404, "not-found", "method");
    scene.get("/orders?method=lab").await.refused(400, "malformed", "namespace/name");
    scene.get("/orders?method=lab/api&method=lab/api").await.refused(400, "malformed", "twice");
}

#[tokio::test]
async fn a_method_that_takes_no_access_keys_takes_none() {
    let scene = Scene::of(Setup::default().settings(|settings, _| settings.access_keys = false)).await;
    scene.get("/orders").await.refused(401, "unauthenticated", "");
}

#[tokio::test]
async fn an_address_that_guesses_is_held_back_and_others_are_not() {
    let failed = FailedAuthentications { per_address: 3, ..FailedAuthentications::default() };
    let limits = Limits { failed_authentications: failed, ..Limits::default() };
    let scene = Scene::of(Setup { limits, ..Setup::default() }).await;
    let wrong = format!("chancery_{}_{}", "0".repeat(16), "a".repeat(27));
    for _ in 0..3 {
        scene.get_with(&wrong, "/orders").await.refused(401, "unauthenticated", "");
    }
    let answer = scene.get("/orders").await;
    answer.refused(429, "rate-limited", "too many");
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_path_or_a_method_that_nobody_serves_is_a_problem_too() {
    let scene = Scene::new().await;
    for path in ["/none", "/orders/a/b/c"] {
        scene.get(path).await.refused(404, "not-found", "path not found");
    }
    let patch = request(HttpMethod::PATCH, "/orders", &scene.key).body(Body::empty()).unwrap();
    let answer = scene.send(patch).await;
    answer.refused(405, "method-not-allowed", "");
    assert!(answer.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn a_body_without_end_or_without_sense_is_refused() {
    let limits = Limits { body_bytes: 10_000, ..Limits::default() };
    let scene = Scene::of(Setup { limits, ..Setup::default() }).await;
    let send = async |body: String| {
        let request = request(HttpMethod::POST, "/orders", &scene.key);
        scene.send(request.header("content-type", "application/json").body(body.into()).unwrap()).await
    };
    send(format!("{{\"csr\":\"{}\"}}", "A".repeat(20_000))).await.refused(413, "too-large", "");
    for body in ["", "{", "{} {}", "{\"a\":}", "\u{feff}{}", "{'csr':1}"] {
        send(body.into()).await.refused(400, "malformed", "not JSON");
    }
    let deep = format!("{{\"csr\":{}{}}}", "[".repeat(500), "]".repeat(500));
    send(deep).await.refused(400, "malformed", "not JSON");
    send("{\"csr\":\"a\",\"csr\":\"b\"}".into()).await.invalid("", "the member \"csr\" is there twice");
    send("{\"csr\":\"a\",\"\\u0063sr\":\"b\"}".into()).await.invalid("", "the member \"csr\" is there twice");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn of_two_requests_with_one_name_at_once_one_is_an_order_and_the_other_its_echo() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let send = || {
        let request = request(HttpMethod::POST, "/orders", &scene.key).header("idempotency-key", "one");
        scene.send(with_json(request, &json!({ "csr": csr })))
    };
    let (one, other) = tokio::join!(send(), send());
    let (one, other) = (one.ok(201).json(), other.ok(201).json());
    assert_eq!(one, other);
    assert_eq!(scene.issued().await, 1);
    scene.get(&path(&one)).await.ok(200);
}

#[tokio::test]
async fn a_credential_that_has_ended_is_told_nothing_whatever_is_remembered_of_it() {
    let (_, csr) = csr(&["a.acme.example"]);
    let (_, foreign) = self::csr(&["a.other.example"]);
    for (path, body) in [
        ("/orders", json!({ "no": "order" })),
        ("/orders", json!({ "product": "none" })),
        ("/orders", json!({ "csr": foreign })),
        ("/orders", json!({ "domains": ["a.other.example"] })),
        ("/orders?limit=1", json!({})),
        ("/certificates", json!({ "passphrase": "" })),
        ("/certificates", json!({ "domains": ["a.other.example"] })),
    ] {
        let scene = Scene::new().await;
        scene.post("/orders", &json!({ "csr": csr })).await.ok(201);
        let mut row = scene.credential_row().await;
        row.state = CredentialState::Revoked;
        scene.put_credential(row).await;
        let before = scene.audit().await.len();
        scene.post(path, &body).await.refused(401, "unauthenticated", "");
        let audit = scene.audit().await;
        assert!(
            audit.iter().skip(before).all(|event| event["action"] != "requestRefused"),
            "{path} {audit:?}"
        );
    }
    let scene = Scene::new().await;
    let (reader, mut row) = scene.another_key(&[RestAction::Read]).await;
    scene.post_with(&reader, "/orders", &json!({})).await.refused(403, "action-not-allowed", "");
    row.state = CredentialState::Revoked;
    scene.put_credential(row).await;
    scene.post_with(&reader, "/orders", &json!({})).await.refused(401, "unauthenticated", "");
}

#[tokio::test]
async fn a_stranger_is_not_told_what_is_wrong_with_a_query() {
    let scene = Scene::new().await;
    for query in ["method=lab", "a=1&a=2", "limit=none"] {
        scene.get_with("", &format!("/orders?{query}")).await.refused(401, "unauthenticated", "");
        scene.get(&format!("/orders?{query}")).await.refused(400, "malformed", "");
    }
}
