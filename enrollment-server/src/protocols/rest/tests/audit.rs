//! The audit trail, as far as it is about the caller's method.

use issuance::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    identity::{Protocol, ResourceName},
    rest::RestAction,
    store::Commit,
};
use pki::{serial::SerialNumber, time::Time};
use serde_json::{Value, json};

use super::{
    desk::{accepting, all},
    scene::Scene,
};

struct Trail {
    scene: Scene,
    now: Time,
}

impl Trail {
    /// Events 1 to 4 of the method, an hour apart; the others are of another method, or of none.
    async fn new() -> Self {
        let scene = Scene::new().await;
        let now = scene.app.engine.clock().now();
        let event = |number: i64, action, outcome, name: &str| AuditEvent {
            method: Some(scene.method.name.clone()),
            subject: Some(format!("CN={number}")),
            ..AuditEvent::new(now.plus_seconds((number - 4) * 3600), action, outcome, requester(name))
        };
        let events = vec![
            AuditEvent {
                serial: Some(SerialNumber::from_random([1; 16])),
                profile: Some(ResourceName::new("lab", "short")),
                ..event(1, Action::CertificateIssued, AuditOutcome::Done, "ann")
            },
            AuditEvent {
                credential: Some(scene.credential.id.clone()),
                reason: Some("keys: \"] no".into()),
                ..event(2, Action::CertificateRequested, AuditOutcome::Refused, "bob")
            },
            AuditEvent {
                method: Some(scene.other_method.name.clone()),
                ..event(3, Action::CertificateIssued, AuditOutcome::Done, "eve")
            },
            AuditEvent { method: None, ..event(3, Action::ServerStarted, AuditOutcome::Done, "eve") },
            event(3, Action::RequestApproved, AuditOutcome::Done, "ann"),
            event(4, Action::CertificateRevoked, AuditOutcome::Done, "bob"),
        ];
        let commit = Commit { audit: events, ..Commit::default() };
        scene.app.engine.store().commit(commit).await.unwrap().unwrap();
        Self { scene, now }
    }

    async fn numbers(&self, query: &str) -> Vec<String> {
        let found = all(&self.scene, &self.scene.key, &format!("/audit?{query}")).await;
        found.iter().map(|entry| entry["subject"].as_str().unwrap().replace("CN=", "")).collect()
    }
}

fn requester(name: &str) -> Actor {
    Actor::Requester {
        protocol: Protocol::Rest,
        name: name.into(),
        address: Some("192.0.2.9".into()),
        credential: None,
    }
}

#[tokio::test]
async fn records_are_found_by_time_actor_credential_profile_serial_and_outcome() {
    let trail = Trail::new().await;
    let hours = |hours: i64| trail.now.plus_seconds((hours - 4) * 3600);
    let serial = SerialNumber::from_random([1; 16]);
    for (query, expected) in [
        (String::new(), vec!["1", "2", "3", "4"]),
        ("order=newestFirst".into(), vec!["4", "3", "2", "1"]),
        ("limit=1&order=newestFirst".into(), vec!["4", "3", "2", "1"]),
        ("limit=1".into(), vec!["1", "2", "3", "4"]),
        (format!("from={}", hours(2)), vec!["2", "3", "4"]),
        (format!("from={}&to={}", hours(2), hours(4)), vec!["2", "3"]),
        ("actor=ann".into(), vec!["1", "3"]),
        ("actor=eve".into(), vec![]),
        ("actor=server".into(), vec![]),
        (format!("credential={}", trail.scene.credential.id), vec!["2"]),
        ("profile=lab/short".into(), vec!["1"]),
        (format!("serial={serial}"), vec!["1"]),
        ("outcome=refused".into(), vec!["2"]),
        ("action=requestApproved".into(), vec!["3"]),
        ("action=serverStarted".into(), vec![]),
        ("actor=ann&outcome=refused".into(), vec![]),
    ] {
        assert_eq!(trail.numbers(&query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_record_says_who_did_what_and_where_it_stands() {
    let trail = Trail::new().await;
    let entry = all(&trail.scene, &trail.scene.key, "/audit?outcome=refused").await.remove(0);
    for (member, expected) in [
        ("at", json!(trail.now.plus_seconds(-2 * 3600).to_string())),
        ("action", json!("certificateRequested")),
        ("actor", json!({"kind": "requester", "protocol": "rest", "name": "bob", "address": "192.0.2.9"})),
        ("reason", json!("keys: \"] no")),
        ("credential", json!(trail.scene.credential.id)),
    ] {
        assert_eq!(entry[member], expected, "{member}");
    }
    assert!(entry["sequence"].as_u64().is_some() && entry["hash"].as_str().unwrap().len() == 64, "{entry}");
}

#[tokio::test]
async fn all_records_are_streamed_as_they_are_stored_or_as_syslog() {
    let trail = Trail::new().await;
    let jsonl = trail.scene.get("/audit/export").await.ok(200);
    assert_eq!(jsonl.headers["content-type"], "application/jsonl");
    let records: Vec<Value> = jsonl.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_str(record["body"].as_str().unwrap()).unwrap())
        .collect();
    let subjects: Vec<_> = bodies.iter().map(|body| body["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["CN=1", "CN=2", "CN=3", "CN=4"]);
    assert!(bodies.iter().all(|body| body["method"] == "lab/api"));
    let syslog =
        trail.scene.get("/audit/export?format=syslog&enterpriseNumber=64000&actor=bob").await.ok(200);
    let lines: Vec<String> = syslog.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("<108>1 ") && lines[0].contains(" [audit@64000 "), "{}", lines[0]);
    assert!(lines[0].contains(r#"reason="keys: \"\] no""#), "{}", lines[0]);
    let plain = accepting(&trail.scene, &trail.scene.key, "/audit/export", "text/plain").await.ok(200).text();
    assert!(
        plain.lines().all(|line| line.contains(" [audit@32473 ")) && plain.lines().count() == 4,
        "{plain}"
    );
}

#[tokio::test]
async fn the_trail_of_others_is_not_shown() {
    let trail = Trail::new().await;
    let others = all(&trail.scene, &trail.scene.other_key, "/audit").await;
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["actor"]["name"], "eve");
    trail.scene.get("/audit?method=lab/other").await.refused(404, "not-found", "method");
    let may: Vec<_> = RestAction::ALL.into_iter().filter(|action| *action != RestAction::Report).collect();
    let (key, _) = trail.scene.another_key(&may).await;
    for path in ["/audit", "/audit/export"] {
        trail.scene.get_with(&key, path).await.refused(403, "action-not-allowed", "report");
        trail.scene.get_with("", path).await.refused(401, "unauthenticated", "");
    }
}

#[tokio::test]
async fn what_is_asked_for_badly_is_refused() {
    let trail = Trail::new().await;
    for query in [
        "from=yesterday",
        "to=1",
        "credential=x",
        "profile=short",
        "serial=xyz",
        "outcome=good",
        "action=issued",
        "colour=red",
        "actor=a&actor=b",
    ] {
        for path in ["/audit", "/audit/export"] {
            trail.scene.get(&format!("{path}?{query}")).await.refused(400, "malformed", "the parameter");
        }
    }
    for query in ["cursor=c1", "cursor=", "limit=0", "limit=1001", "order=up", "format=jsonl"] {
        trail.scene.get(&format!("/audit?{query}")).await.refused(400, "malformed", "the parameter");
    }
    for query in ["format=json", "enterpriseNumber=-1", "limit=1"] {
        trail.scene.get(&format!("/audit/export?{query}")).await.refused(400, "malformed", "the parameter");
    }
    let answer = accepting(&trail.scene, &trail.scene.key, "/audit/export", "text/csv").await;
    answer.refused(406, "not-acceptable", "application/jsonl");
}
