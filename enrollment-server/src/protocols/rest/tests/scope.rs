//! Methods that are administered from another one: `lab/api` from `lab/other`, and not the other way round.

use axum::body::Body;
use http::Method as HttpMethod;
use issuance::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    identity::{Protocol, ResourceName},
    policy::Approval,
    rest::RestAction,
    store::{CertificateRow, CertificateStatus, Commit, MethodScope, Write},
};
use resolve::Administered;
use serde_json::{Value, json};

use super::{
    desk::{act, all, certificate, insert},
    scene::{Answer, Scene, Setup, access_key, csr, request},
};

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// Whoever opens one of the two methods looks after these, beside their own.
async fn administering(administers: Administered) -> Scene {
    let setup = Setup::default().policy(|policy| policy.approval = Approval::Manual);
    Scene::of(setup.administering(administers)).await
}

/// `lab/other` administers `lab/api`, and `lab/api` itself alone.
async fn laboratory() -> Scene {
    administering(Administered::Methods(vec![name("lab/api")])).await
}

async fn delete(scene: &Scene, key: &str, path: &str) -> Answer {
    scene.send(request(HttpMethod::DELETE, path, key).body(Body::empty()).unwrap()).await
}

/// One of this method, as it was issued before.
async fn issued_by(scene: &Scene, number: u8, method: &str) -> String {
    let now = scene.app.engine.clock().now();
    let row = CertificateRow { method: name(method), ..certificate(scene, number, now) };
    let id = format!("{}.{}", row.issuer, row.serial);
    insert(scene, [row]).await;
    id
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// Waits for a person.
async fn order(scene: &Scene, key: &str) -> Value {
    let (_, csr) = csr(&["a.acme.example"]);
    let order = scene.post_with(key, "/orders", &json!({ "csr": csr })).await.ok(201).json();
    assert_eq!(order["status"], "pending", "{order}");
    order
}

#[tokio::test]
async fn what_is_out_of_scope_is_not_there_on_any_route() {
    let scene = laboratory().await;
    let foreign = issued_by(&scene, 1, "lab/other").await;
    let request = order(&scene, &scene.other_key).await["requestId"].as_str().unwrap().to_owned();
    let held = json!({});
    for path in ["", "/download?format=pem"] {
        scene.get(&format!("/certificates/{foreign}{path}")).await.refused(404, "not-found", "certificate");
    }
    for verb in ["revoke", "hold", "release"] {
        let path = format!("/certificates/{foreign}/{verb}");
        scene.post(&path, &held).await.refused(404, "not-found", "certificate");
    }
    scene.get(&format!("/requests/{request}")).await.refused(404, "not-found", "request");
    for verb in ["approve", "deny"] {
        let path = format!("/requests/{request}/{verb}");
        act(&scene, &scene.key, &path).await.refused(404, "not-found", "request");
    }
    for list in
        ["/certificates", "/requests", "/reports/inventory", "/audit", "/audit/export", "/credentials"]
    {
        for method in ["lab/other", "lab/none", "lab2/api", "lab-x/api"] {
            let path = format!("{list}?method={method}");
            scene.get(&path).await.refused(404, "not-found", "method");
        }
        let own = scene.get(&format!("{list}?method=lab/api")).await.ok(200);
        assert_eq!(
            scene.get(list).await.ok(200).text().contains("lab/other"),
            own.text().contains("lab/other")
        );
        assert!(!own.text().contains("lab/other"), "{list}: {}", own.text());
    }
}

#[tokio::test]
async fn whoever_administers_a_method_reads_and_revokes_what_it_issued() {
    let scene = laboratory().await;
    let (theirs, own) = (issued_by(&scene, 1, "lab/api").await, issued_by(&scene, 2, "lab/other").await);
    issued_by(&scene, 3, "lab/none").await;
    issued_by(&scene, 4, "lab2/api").await;
    let desk = &scene.other_key;
    let list = |query: &str| format!("/certificates{query}");
    assert_eq!(ids(&all(&scene, desk, &list("")).await), [&*theirs, &*own]);
    assert_eq!(ids(&all(&scene, desk, &list("?limit=1")).await), [&*theirs, &*own]);
    assert_eq!(ids(&all(&scene, desk, &list("?method=lab/api")).await), [&*theirs]);
    assert_eq!(ids(&all(&scene, desk, &list("?method=lab/other")).await), [&*own]);
    assert_eq!(ids(&all(&scene, &scene.key, &list("")).await), [&*theirs]);
    let path = format!("/certificates/{theirs}");
    assert_eq!(scene.get_with(desk, &path).await.ok(200).json()["method"], "lab/api");
    scene.get_with(desk, &format!("{path}?method=lab/other")).await.refused(404, "not-found", "certificate");
    scene.get_with(desk, &format!("{path}/download?format=pem")).await.ok(200);
    // What narrows reading narrows changing.
    let hold = format!("{path}/hold");
    scene.post_with(desk, &format!("{hold}?method=lab/other"), &json!({})).await.refused(
        404,
        "not-found",
        "certificate",
    );
    for (verb, status) in [("hold", "held"), ("release", "valid"), ("revoke", "revoked")] {
        let answer = scene.post_with(desk, &format!("{path}/{verb}"), &json!({})).await.ok(200).json();
        assert_eq!(answer["status"], status);
        let last = scene.audit().await.pop().unwrap();
        assert_eq!(last["method"], "lab/api");
        assert_eq!(last["actor"]["name"], "lab/other", "{last}");
    }
}

#[tokio::test]
async fn whoever_administers_a_method_decides_on_its_requests() {
    let scene = laboratory().await;
    let desk = &scene.other_key;
    for (verb, state) in [("approve", "approved"), ("deny", "denied")] {
        let waiting = order(&scene, &scene.key).await["requestId"].as_str().unwrap().to_owned();
        let listed = all(&scene, desk, "/requests?state=pending").await;
        assert_eq!((ids(&listed), &listed[0]["method"]), (vec![&*waiting], &json!("lab/api")));
        assert_eq!(all(&scene, desk, "/requests?state=pending&method=lab/other").await, [] as [Value; 0]);
        let path = format!("/requests/{waiting}");
        scene.get_with(desk, &format!("{path}?method=lab/other")).await.refused(404, "not-found", "request");
        scene.get_with(desk, &path).await.ok(200);
        act(&scene, desk, &format!("{path}/{verb}?method=lab/other")).await.refused(
            404,
            "not-found",
            "request",
        );
        let decided = act(&scene, desk, &format!("{path}/{verb}")).await.ok(200).json();
        assert_eq!((&decided["state"], &decided["method"]), (&json!(state), &json!("lab/api")));
        assert_eq!(scene.audit().await.pop().unwrap()["method"], "lab/api");
    }
    // Their own request is nobody else's to be approved by them.
    let own = order(&scene, desk).await["requestId"].as_str().unwrap().to_owned();
    act(&scene, desk, &format!("/requests/{own}/approve")).await.refused(403, "refused", "approval");
}

#[tokio::test]
async fn nothing_is_ordered_of_another_method_and_its_orders_are_not_seen() {
    let scene = laboratory().await;
    let desk = &scene.other_key;
    let theirs = order(&scene, &scene.key).await;
    let path = format!("/orders/{}", theirs["id"].as_str().unwrap());
    let (_, csr) = csr(&["a.acme.example"]);
    for query in ["", "?method=lab/api"] {
        let what = if query.is_empty() { "order" } else { "method" };
        scene.get_with(desk, &format!("{path}{query}")).await.refused(404, "not-found", "order");
        delete(&scene, desk, &format!("{path}{query}")).await.refused(404, "not-found", what);
        let certificate = issued_by(&scene, 10 + query.len() as u8, "lab/api").await;
        let renew = format!("/certificates/{certificate}/renew{query}");
        let what = if query.is_empty() { "certificate" } else { "method" };
        act(&scene, desk, &renew).await.refused(404, "not-found", what);
    }
    assert_eq!(all(&scene, desk, "/orders").await, [] as [Value; 0]);
    scene.get_with(desk, "/orders?method=lab/api").await.refused(404, "not-found", "method");
    for path in ["/orders?method=lab/api", "/certificates?method=lab/api"] {
        let body = json!({ "csr": csr });
        scene.post_with(desk, path, &body).await.refused(404, "not-found", "method");
    }
    assert_eq!(all(&scene, &scene.key, "/orders").await.len(), 1);
    scene.get_with(desk, "/orders?method=lab/other").await.ok(200);
}

#[tokio::test]
async fn a_missing_action_is_said_before_the_scope_is_looked_at() {
    let scene = laboratory().await;
    let certificate = issued_by(&scene, 1, "lab/api").await;
    for (action, path) in [
        (RestAction::Read, "/certificates".to_owned()),
        (RestAction::Read, format!("/certificates/{certificate}")),
        (RestAction::Approve, "/requests".to_owned()),
        (RestAction::Report, "/reports/issued".to_owned()),
        (RestAction::Report, "/audit".to_owned()),
        (RestAction::Credentials, "/credentials".to_owned()),
    ] {
        let others = RestAction::ALL.into_iter().filter(|other| *other != action).collect();
        let (key, _) =
            access_key(&scene.app.engine, &scene.other_method, action.as_str(), &|row| row.actions = others)
                .await;
        for query in ["", "?method=lab/api", "?method=lab/none", "?method=elsewhere/api"] {
            let answer = scene.get_with(&key, &format!("{path}{query}")).await;
            answer.refused(403, "action-not-allowed", action.as_str());
            if path == "/certificates" {
                break;
            }
        }
    }
    assert_eq!(scene.audit().await.pop().unwrap()["method"], "lab/other", "where it was refused");
}

#[tokio::test]
async fn reports_and_the_trail_have_the_rows_of_each_administered_method_and_say_whose_they_are() {
    let scene = laboratory().await;
    for (number, method) in [(1, "lab/api"), (2, "lab/other"), (3, "lab/none"), (4, "lab2/api")] {
        issued_by(&scene, number, method).await;
    }
    let now = scene.app.engine.clock().now();
    let event = |action, text: &str| AuditEvent {
        method: Some(name(text)),
        ..AuditEvent::new(now, action, AuditOutcome::Done, Actor::Server)
    };
    let done = |text| event(Action::CredentialCreated, text);
    let mut audit: Vec<_> = ["lab/api", "lab/other", "lab/none", "lab2/api"].map(done).into();
    // What a server of the name of a method issued to itself, as it was once recorded.
    audit.push(event(Action::CertificateIssued, "lab/api"));
    scene.app.engine.store().commit(Commit { audit, ..Commit::default() }).await.unwrap().unwrap();
    let desk = &scene.other_key;
    let methods = |rows: &[Value]| {
        rows.iter().map(|row| row["method"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", &["lab/api", "lab/other"][..]),
        ("?method=lab/api", &["lab/api"]),
        ("?method=lab/other", &["lab/other"]),
    ] {
        let rows = scene.get_with(desk, &format!("/reports/inventory{query}")).await.ok(200).json();
        assert_eq!(methods(rows.as_array().unwrap()), expected);
        let total = &scene.get_with(desk, &format!("/reports/summary{query}")).await.ok(200).json()["total"];
        assert_eq!(*total, expected.len());
        assert_eq!(methods(&all(&scene, desk, &format!("/audit{query}")).await), expected);
        let lines = scene.get_with(desk, &format!("/audit/export{query}")).await.ok(200).text();
        assert_eq!(lines.lines().count(), expected.len(), "{lines}");
    }
    let csv = scene.get_with(desk, "/reports/issued?format=csv").await.ok(200).text();
    let place = csv.lines().next().unwrap().split(',').position(|column| column == "method").unwrap();
    let cells: Vec<_> = csv.lines().skip(1).map(|line| line.split(',').nth(place).unwrap()).collect();
    assert_eq!(cells, ["lab/api", "lab/other"]);
}

#[tokio::test]
async fn credentials_of_administered_methods_are_listed_with_their_method() {
    let scene = laboratory().await;
    let desk = &scene.other_key;
    for (query, expected) in [("", &["lab/api", "lab/other"][..]), ("?method=lab/api", &["lab/api"])] {
        let listed = all(&scene, desk, &format!("/credentials{query}")).await;
        let exported = scene.get_with(desk, &format!("/credentials/export{query}")).await.ok(200).json();
        for rows in [&listed, exported.as_array().unwrap()] {
            let methods: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
            assert_eq!(methods, expected);
        }
    }
    let theirs = format!("/credentials/{}", scene.credential.id);
    scene.get_with(desk, &theirs).await.ok(200);
    scene.get_with(desk, &format!("{theirs}?method=lab/other")).await.refused(404, "not-found", "credential");
}

#[tokio::test]
async fn all_of_a_namespace_is_what_was_deleted_too_and_nothing_beyond_or_of_the_server_itself() {
    let scene = administering(Administered::Namespace).await;
    let mut inside = Vec::new();
    for (number, method) in [(1, "lab/api"), (2, "lab/other"), (3, "lab/deleted"), (4, "lab/issuer:web")] {
        inside.push(issued_by(&scene, number, method).await);
    }
    for (number, method) in [(5, "lab2/api"), (6, "lab-x/api"), (7, "la/api"), (8, "Lab/api")] {
        let foreign = issued_by(&scene, number, method).await;
        scene.get(&format!("/certificates/{foreign}")).await.refused(404, "not-found", "certificate");
        scene.get(&format!("/certificates?method={method}")).await.refused(404, "not-found", "method");
    }
    assert_eq!(ids(&all(&scene, &scene.key, "/certificates").await), inside);
    assert_eq!(all(&scene, &scene.key, "/certificates?method=lab/nobody").await, [] as [Value; 0]);
    assert_eq!(ids(&all(&scene, &scene.key, "/certificates?method=lab/deleted").await), [&*inside[2]]);
    let revoke = format!("/certificates/{}/revoke", inside[2]);
    assert_eq!(scene.post(&revoke, &json!({})).await.ok(200).json()["status"], "revoked");
    // An authority of the name of a method, and its own certificate.
    let now = scene.app.engine.clock().now();
    let row = CertificateRow { protocol: Protocol::Internal, ..certificate(&scene, 9, now) };
    let (issuer, serial) = (row.issuer, row.serial);
    scene
        .app
        .engine
        .store()
        .commit(Commit { writes: vec![Write::InsertCertificate(Box::new(row))], ..Commit::default() })
        .await
        .unwrap()
        .unwrap();
    let path = format!("/certificates/{issuer}.{serial}");
    scene.get(&path).await.refused(404, "not-found", "certificate");
    scene.post(&format!("{path}/revoke"), &json!({})).await.refused(404, "not-found", "certificate");
    let kept = scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    assert_eq!(kept.status, CertificateStatus::Valid);
    assert_eq!(all(&scene, &scene.key, "/certificates").await.len(), inside.len());
    let service = scene.app.serving().rest.get(&scene.method.name).unwrap().clone();
    assert_eq!(service.scope, MethodScope::Namespace("lab".into()));
}
