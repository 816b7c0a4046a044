//! What is told, and what happens when nobody listens.

use http::{Method, StatusCode};
use issuance::{
    audit::{Action, Actor, AuditOutcome},
    secret::Secret,
    store::{
        CertificateRow, JobKind,
        suite::samples::{NOW, rest_order_id, serial},
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    super::{
        runner::Done,
        webhook::{Topic, Webhooks, messages},
    },
    scene::{DAY, SECRET, Scene, another_runner, ending, write},
};

/// One certificate that ends in ten days, found and not yet told of.
async fn found() -> Scene {
    let scene = Scene::new(&[30]).await;
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(1, 10) }).await;
    scene.runner.look_for_notices().await;
    scene
}

#[tokio::test]
async fn the_message_says_which_certificate_and_who_sent_it() {
    let scene = found().await;
    scene.wait(60);
    scene.runner.tell_webhooks().await;
    let told = scene.receiver.told().remove(0);
    assert_eq!((told.method.clone(), told.path.as_str()), (Method::POST, "/hook?tenant=1"));
    assert_eq!(told.headers["content-type"], "application/json");
    assert_eq!(told.headers["host"], scene.receiver.address.to_string());
    let mut body = told.json();
    let id = body.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32);
    let expected = json!({
        "type": "certificate.expiring",
        "time": NOW.to_string(),
        "method": "factory/est",
        "profile": "pki/device",
        "authority": "pki/devices-ca",
        "serial": "01",
        "subject": "CN=device-1,O=Acme",
        "subjectAltNames": ["dns:device-1.acme.example", "ip:192.0.2.1"],
        "notAfter": NOW.plus_seconds(10 * DAY).to_string(),
        "owner": "group:line-1",
        "credential": "01".repeat(16),
        "daysLeft": 10,
    });
    assert_eq!(body, expected);
    assert_eq!(told.signed_at(SECRET), Some(scene.now().unix()));
    assert_eq!(told.signed_at(b"some other key of some length"), None);
}

#[tokio::test]
async fn a_message_of_a_renewal_has_all_members_of_the_others_and_its_own() {
    let scene = Scene::new(&[30]).await;
    let row = ending(1, 10);
    scene.insert(row.clone()).await;
    let topics = [
        Topic::Renewed { order: rest_order_id(7), replaces: serial(3) },
        Topic::RenewalFailed { order: rest_order_id(7), reason: "the credential is revoked".into() },
    ];
    let kinds = ["certificate.renewed", "certificate.renewal-failed"];
    let own = [json!(["03", null]), json!([null, "the credential is revoked"])];
    for (before, ((topic, kind), own)) in topics.into_iter().zip(kinds).zip(own).enumerate() {
        write(&*scene.store, messages(&scene.app.serving(), &row, &topic, scene.now()).unwrap()).await;
        // The same again is the same message.
        write(&*scene.store, messages(&scene.app.serving(), &row, &topic, scene.now()).unwrap()).await;
        scene.runner.tell_webhooks().await;
        let told = scene.receiver.told();
        assert_eq!(told.len(), before + 1);
        assert_eq!(told[before].signed_at(SECRET), Some(scene.now().unix()));
        let body = told[before].json();
        assert_eq!((&body["type"], &body["serial"]), (&json!(kind), &json!("01")));
        assert_eq!((&body["daysLeft"], &body["order"]), (&json!(10), &json!("07".repeat(16))));
        assert_eq!(json!([body["replaces"], body["reason"]]), own);
    }
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_again_with_the_same_identifier() {
    let scene = found().await;
    scene.receiver.answer(StatusCode::INTERNAL_SERVER_ERROR, "");
    scene.receiver.answer(StatusCode::FOUND, "");
    scene.runner.tell_webhooks().await;
    assert_eq!(scene.receiver.told().len(), 1);
    for failures in 1..=2 {
        let wait = scene.next(JobKind::Webhook).await.unwrap();
        assert!((10..=40).contains(&wait), "{wait}");
        scene.wait(wait - 1);
        scene.runner.tell_webhooks().await;
        assert_eq!(scene.receiver.told().len(), failures);
        scene.wait(1);
        // Another process goes on where this one stopped.
        another_runner(&scene.app).tell_webhooks().await;
        assert_eq!(scene.receiver.told().len(), failures + 1);
    }
    assert_eq!(scene.next(JobKind::Webhook).await, None);
    let told = scene.receiver.told();
    assert!(told.iter().all(|one| one.path == "/hook?tenant=1" && one.body == told[0].body));
    // Each with a signature of its own time.
    let times: Vec<_> = told.iter().map(|one| one.signed_at(SECRET).unwrap()).collect();
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
}

#[tokio::test]
async fn tries_become_rarer_up_to_one_a_day() {
    let scene = found().await;
    let mut longest = 20;
    for _ in 0..16 {
        scene.receiver.answer(StatusCode::SERVICE_UNAVAILABLE, "");
        scene.runner.tell_webhooks().await;
        let wait = scene.next(JobKind::Webhook).await.unwrap();
        let left = NOW.plus_seconds(10 * DAY).unix() - scene.now().unix();
        assert!((longest / 2..=longest).contains(&wait) || wait == left, "{wait} of {longest}");
        longest = (longest * 2).min(DAY);
        scene.wait(wait);
    }
}

#[tokio::test]
async fn a_webhook_that_never_listens_is_given_up_at_the_end_and_that_is_recorded() {
    let scene = found().await;
    let mut tries = 0;
    while let Some(wait) = scene.next(JobKind::Webhook).await {
        scene.receiver.answer(StatusCode::FORBIDDEN, "who are you?\r\n");
        scene.wait(wait);
        scene.runner.tell_webhooks().await;
        tries += 1;
    }
    assert_eq!(scene.now(), NOW.plus_seconds(10 * DAY));
    let told = scene.receiver.told().len();
    assert_eq!(told + 1, tries);
    let event = scene.events().await.remove(0);
    assert_eq!((event.action, event.outcome), (Action::NoticeUndelivered, AuditOutcome::Failed));
    assert_eq!((event.actor, event.count), (Actor::Server, Some(told as u64)));
    assert_eq!(event.subject.as_deref(), Some("CN=device-1,O=Acme"));
    assert_eq!(event.reason.as_deref(), Some("the webhook answered 403 Forbidden: \"who are you?\""));
    let metrics = scene.app.metrics.encode().unwrap();
    assert!(metrics.contains(r#"kind="webhook",outcome="failed"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_webhook_out_of_reach_spares_the_others_the_wait() {
    let scene = found().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut notice = scene.receiver.notice(&[30]);
    notice.url = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    scene.insert(CertificateRow { issued_at: NOW.plus_seconds(-90 * DAY), ..ending(2, 10) }).await;
    scene.serve(vec![notice]).await;
    scene.runner.look_for_notices().await;
    let webhooks = Webhooks::default();
    // The message to the URL that is not configured any more is dropped without being sent.
    let mut reasons = Vec::new();
    for job in scene.take(JobKind::Webhook, "me").await {
        match webhooks.run(&scene.app, &job).await.unwrap() {
            Done::Retry { error, .. } => reasons.push(error),
            Done::Obsolete => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].starts_with("the host of the webhook cannot be reached: "), "{reasons:?}");
    assert_eq!(reasons[1], "the webhook was out of reach a moment ago");
    assert_eq!(scene.receiver.told().len(), 0);
}

#[tokio::test]
async fn a_new_secret_signs_what_waits() {
    let scene = found().await;
    let rotated: &[u8] = b"the key of the second year";
    let mut notice = scene.receiver.notice(&[30]);
    notice.secret = Secret::new(rotated);
    scene.serve(vec![notice]).await;
    scene.work().await;
    let told = scene.receiver.told();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].signed_at(SECRET), told[0].signed_at(rotated)), (None, Some(NOW.unix())));
}

#[tokio::test]
async fn rows_hold_neither_the_url_nor_the_secret() {
    let scene = found().await;
    scene.receiver.answer(StatusCode::INTERNAL_SERVER_ERROR, "");
    scene.runner.tell_webhooks().await;
    scene.wait(DAY);
    let mut jobs = scene.take(JobKind::Webhook, "me").await;
    jobs.extend(scene.take(JobKind::Notice, "me").await);
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let text = format!("{} {} {:?}", job.key, String::from_utf8_lossy(&job.payload), job.last_error);
        assert!(!text.contains("tenant") && !text.contains("a key that"), "{text}");
    }
}

#[tokio::test]
async fn the_documentation_shows_a_message_as_it_is() {
    let page = include_str!("../../../../docs/notices.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let shown: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    let scene = found().await;
    scene.runner.tell_webhooks().await;
    let told = scene.receiver.told().remove(0).json();
    let form = |value: &Value| -> Vec<(String, bool, bool)> {
        let members = value.as_object().unwrap().iter();
        members.map(|(name, value)| (name.clone(), value.is_string(), value.is_array())).collect()
    };
    assert_eq!(form(&shown), form(&told));
    assert_eq!(shown["type"], told["type"]);
}
