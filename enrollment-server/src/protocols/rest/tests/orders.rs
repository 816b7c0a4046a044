//! Orders: made, waited for, cancelled, and what is wrong with those that are not made.

use std::collections::HashSet;

use http::{Method as HttpMethod, StatusCode, header::RETRY_AFTER};
use issuance::{
    approval::Verdict,
    policy::{Approval, Presence},
    rest::RestAction,
};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::scene::{Scene, Setup, csr, csr_with, request, with_json};

#[tokio::test]
async fn an_order_with_a_request_is_issued_in_the_call() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example", "192.0.2.1"]);
    let body = json!({ "csr": csr, "domains": ["192.0.2.1", "A.acme.example"], "product": "short" });
    let answer = scene.post("/orders", &body).await.ok(201);
    let order = answer.json();
    assert_eq!(answer.headers["location"], format!("/api/v1/orders/{}", order["id"].as_str().unwrap()));
    assert_eq!((&order["status"], &order["product"]), (&json!("issued"), &json!("short")));
    assert_eq!(order["key"], "requester");
    let again = scene.get(&path(&order)).await.ok(200).json();
    assert_eq!(again, order);
    let row = scene.order_row(&order).await;
    let (issuer, serial) = row.certificate().unwrap();
    let certificate = scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    assert_eq!(certificate.subject_alt_names, ["dns:a.acme.example", "ip:192.0.2.1"]);
    assert_eq!(certificate.credential.as_ref(), Some(&scene.credential.id));
    assert_eq!(row.version, 1);
}

#[tokio::test]
async fn an_order_waits_for_its_request_and_takes_it_once() {
    let scene = Scene::new().await;
    let order = scene.post("/orders", &json!({ "domains": ["a.acme.example"], "validityDays": 1 })).await;
    let order = order.ok(201).json();
    assert_eq!(order["status"], "awaitingCsr");
    let put = format!("{}/csr", path(&order));
    let (_, other) = csr(&["b.acme.example"]);
    scene.put(&put, &json!({ "csr": other })).await.invalid("/domains", "[dns:a.acme.example]");
    let (_, right) = csr(&["a.acme.example"]);
    let issued = scene.put(&put, &json!({ "csr": right })).await.ok(200).json();
    assert_eq!(issued["status"], "issued");
    assert_eq!(scene.put(&put, &json!({ "csr": right })).await.ok(200).json(), issued);
    let (_, late) = csr(&["a.acme.example"]);
    scene.put(&put, &json!({ "csr": late })).await.refused(409, "conflict", "the order is issued");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn base64_is_a_request_too() {
    let scene = Scene::new().await;
    let (_, pem) = csr(&["a.acme.example"]);
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let order = scene.post("/orders", &json!({ "csr": base64 })).await.ok(201).json();
    assert_eq!(order["status"], "issued");
}

#[tokio::test]
async fn what_an_order_says_is_what_its_request_says() {
    let scene = Scene::new().await;
    let key = KeyPair::generate().unwrap();
    let csr = csr_with(&key, &["a.acme.example", "b.acme.example"], Some("a.acme.example"));
    for domains in [json!(["a.acme.example"]), json!(["a.acme.example", "b.acme.example", "c.acme.example"])]
    {
        scene
            .post("/orders", &json!({ "csr": csr, "domains": domains }))
            .await
            .invalid("/domains", "the order is for");
    }
    let other = json!({ "csr": csr, "subject": "CN=b.acme.example" });
    scene.post("/orders", &other).await.invalid("/subject", "CN=a.acme.example");
    assert_eq!(scene.issued().await, 0);
    let same = json!({
        "csr": csr, "subject": "CN=a.acme.example", "domains": ["b.acme.example", "a.acme.example"],
    });
    scene.post("/orders", &same).await.ok(201);
}

#[tokio::test]
async fn what_is_no_order_is_refused_at_its_place() {
    let scene = Scene::of(Setup::default().settings(|settings, _| settings.maximum_domains = 2)).await;
    let (_, csr) = csr(&["a.acme.example"]);
    let many = json!(["a.acme.example", "b.acme.example", "c.acme.example"]);
    for (body, pointer, detail) in [
        (json!({ "prodcut": "default" }), "/prodcut", "does not belong here"),
        (json!({ "product": "gold" }), "/product", "there is no product \"gold\" here"),
        (json!({ "product": null }), "/product", "a string is expected"),
        (json!({ "product": 7 }), "/product", "a string is expected"),
        (json!({ "csr": "" }), "/csr", ""),
        (json!({ "csr": "no request" }), "/csr", "PEM, or DER in base64, is expected"),
        (
            json!({ "csr": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }),
            "/csr",
            "one PEM block",
        ),
        (json!({ "csr": format!("{csr}{csr}") }), "/csr", "one PEM block"),
        (json!({ "csr": csr, "serverKey": true }), "/serverKey", "a key of its own"),
        (json!({ "domains": [] }), "/domains", "1 to 2 names"),
        (json!({ "domains": many }), "/domains", "1 to 2 names"),
        (json!({ "domains": "a.acme.example" }), "/domains", "a sequence is expected"),
        (json!({ "domains": ["a.acme.example", 7] }), "/domains/1", "a string is expected"),
        (json!({ "domains": ["a.acme.example", "A.acme.example"] }), "/domains/1", "twice"),
        (json!({ "domains": ["ä.acme.example"] }), "/domains/0", "a DNS name"),
        (json!({ "domains": ["https://a.acme.example/"] }), "/domains/0", "a DNS name"),
        (json!({ "subject": "printer" }), "/subject", "type=value"),
        (json!({ "subject": "" }), "/subject", "octets"),
        (json!({ "validityDays": 0 }), "/validityDays", "1 to 36525"),
        (json!({ "validityDays": 40_000 }), "/validityDays", "1 to 36525"),
        (json!({ "validityDays": -1 }), "/validityDays", "u32 is expected"),
        (json!({ "validityDays": 1.5 }), "/validityDays", "u32 is expected"),
        (json!({ "notAfter": "tomorrow" }), "/notAfter", "RFC 3339"),
        (json!({ "validityDays": 1, "notAfter": "2030-01-01T00:00:00Z" }), "/notAfter", "one of them"),
        (json!({ "serverKey": "yes" }), "/serverKey", "a boolean is expected"),
        (json!([]), "", "a JSON object is expected"),
    ] {
        let answer = scene.post("/orders", &body).await;
        assert_eq!(answer.status.as_u16(), 422, "{body}: {}", answer.text());
        answer.invalid(pointer, detail);
    }
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_request_whose_signature_is_wrong_or_whose_key_is_weak_is_refused() {
    let scene = Scene::new().await;
    let (_, pem) = csr(&["a.acme.example"]);
    let mut der = pki::pem::decode_all(pem.as_bytes()).unwrap().remove(0).der;
    *der.last_mut().unwrap() ^= 1;
    let broken = pki::pem::encode("CERTIFICATE REQUEST", &der);
    scene.post("/orders", &json!({ "csr": broken })).await.invalid("/csr", "not signed by the key");
    let arguments =
        ["req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a"];
    let openssl = std::process::Command::new("openssl").args(arguments).output().unwrap();
    let weak = String::from_utf8(openssl.stdout).unwrap();
    scene.post("/orders", &json!({ "csr": weak })).await.refused(403, "refused", "1024");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn what_the_profile_forbids_is_refused_by_its_rule_and_on_the_record() {
    let scene = Scene::new().await;
    let (_, stranger) = csr(&["a.other.example"]);
    for (body, rule) in [
        (json!({ "csr": stranger }), "subjectAltNames"),
        (json!({ "domains": ["a.other.example"] }), "subjectAltNames"),
        (json!({ "serverKey": true, "domains": ["a.acme.example"], "validityDays": 400 }), "validity"),
        (
            json!({ "serverKey": true, "domains": ["a.acme.example"], "notAfter": "2001-01-01T00:00:00Z" }),
            "validity",
        ),
        (json!({ "serverKey": true, "domains": ["a.acme.example"], "subject": "C=DE" }), "subject"),
        (json!({ "serverKey": true }), "subject"),
    ] {
        let answer = scene.post("/orders", &body).await;
        answer.refused(403, "refused", "");
        assert_eq!(answer.json()["rule"], rule, "{body}");
        let last = scene.audit().await.pop().unwrap();
        assert_eq!((&last["outcome"], &last["reason"]), (&json!("refused"), &answer.json()["detail"]));
    }
    assert_eq!(scene.issued().await, 0);
    assert_eq!(scene.get("/orders").await.ok(200).json(), json!({ "items": [] }));
}

#[tokio::test]
async fn the_same_request_with_the_same_name_is_one_order() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let send = |key: String, name: &'static str, body: Value| {
        let scene = scene.clone();
        async move {
            let request = request(HttpMethod::POST, "/orders", &key).header("idempotency-key", name);
            scene.send(with_json(request, &body)).await
        }
    };
    let body = json!({ "csr": csr });
    let first = send(scene.key.clone(), "order-1", body.clone()).await.ok(201);
    let again = send(scene.key.clone(), "order-1", body.clone()).await.ok(201);
    assert_eq!((&first.body, &first.headers), (&again.body, &again.headers));
    let other = send(scene.key.clone(), "order-1", json!({ "csr": csr, "validityDays": 1 })).await;
    other.refused(409, "idempotency-conflict", "used before");
    let (key, _) = scene.another_key(&[RestAction::Request]).await;
    let of_another = send(key, "order-1", body).await.ok(201);
    assert_ne!(of_another.json()["id"], first.json()["id"]);
    assert_eq!(scene.issued().await, 2);
    let long: &'static str = Box::leak("k".repeat(256).into_boxed_str());
    for name in ["", long, "ä"] {
        send(scene.key.clone(), name, json!({})).await.refused(400, "malformed", "");
    }
}

#[tokio::test]
async fn an_order_that_a_person_decides_on_is_issued_when_the_requester_looks_again() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let (_, csr) = csr(&["a.acme.example"]);
    let answer = scene.post("/orders", &json!({ "csr": csr })).await.ok(201);
    assert_eq!(
        (&answer.headers[RETRY_AFTER], &answer.json()["status"]),
        (&"7".parse().unwrap(), &json!("pending"))
    );
    let order = answer.json();
    assert_eq!(scene.get(&path(&order)).await.ok(200).json(), order);
    approve(&scene, &order, true).await;
    let (reader, _) = scene.another_key(&[RestAction::Read]).await;
    assert_eq!(scene.get_with(&reader, &path(&order)).await.ok(200).json()["status"], "pending");
    let issued = scene.get(&path(&order)).await.ok(200).json();
    assert_eq!(issued["status"], "issued");
    assert_eq!(scene.get_with(&reader, &path(&order)).await.ok(200).json(), issued);
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn an_order_that_a_person_denies_ends() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
    let order = scene.post("/orders", &body).await.ok(201).json();
    approve(&scene, &order, false).await;
    let order = scene.get(&path(&order)).await.ok(200).json();
    assert_eq!((&order["status"], &order["reason"]), (&json!("denied"), &json!("no such machine")));
    assert_eq!(order["key"], "discarded");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn an_order_that_waits_with_a_key_made_here_is_issued_for_that_key() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
    let order = scene.post("/orders", &body).await.ok(201).json();
    approve(&scene, &order, true).await;
    let issued = scene.get(&path(&order)).await.ok(200).json();
    assert_eq!((&issued["status"], &issued["key"]), (&json!("issued"), &json!("held")));
    let row = scene.order_row(&order).await;
    let pkcs8 = row.key.unseal(&scene.app.sealing, &row.id).unwrap().unwrap();
    let signer = signers::SoftwareSigner::from_pkcs8(&pkcs8).unwrap();
    let (issuer, serial) = row.certificate().unwrap();
    let certificate = scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    let key = issuance::ports::Signer::public_key(&signer);
    assert_eq!(certificate.public_key_sha256, hex::encode(key.spki_sha256()));
    assert!(certificate.server_key);
}

#[tokio::test]
async fn nobody_decides_on_an_order_that_was_cancelled() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let (_, csr) = csr(&["a.acme.example"]);
    let order = scene.post("/orders", &json!({ "csr": csr })).await.ok(201).json();
    let (other, _) = scene.another_key(&[RestAction::Request, RestAction::Read]).await;
    let others = request(HttpMethod::DELETE, &path(&order), &other).body(axum::body::Body::empty()).unwrap();
    scene.send(others).await.refused(403, "refused", "only the credential that ordered");
    assert_eq!(scene.delete(&path(&order)).await.ok(200).json()["status"], "cancelled");
    let id = order["requestId"].as_str().unwrap().parse().unwrap();
    scene.app.engine.decide(&id, Verdict::Approve, "ann", None).await.unwrap_err();
    scene.delete(&path(&order)).await.refused(409, "conflict", "the order is cancelled");
    let put = format!("{}/csr", path(&order));
    scene.put(&put, &json!({ "csr": csr })).await.refused(409, "conflict", "the order is cancelled");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn an_order_that_is_issued_is_not_cancelled() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let order = scene.post("/orders", &json!({ "csr": csr })).await.ok(201).json();
    scene.delete(&path(&order)).await.refused(409, "conflict", "the order is issued");
    assert_eq!(scene.get(&path(&order)).await.ok(200).json(), order);
}

#[tokio::test]
async fn an_order_without_a_request_expires() {
    let scene = Scene::new().await;
    let order = scene.post("/orders", &json!({ "domains": ["a.acme.example"] })).await.ok(201).json();
    scene.clock.forward(7 * 86_400 + 1);
    assert_eq!(scene.get(&path(&order)).await.ok(200).json()["status"], "expired");
    let (_, csr) = csr(&["a.acme.example"]);
    let put = format!("{}/csr", path(&order));
    scene.put(&put, &json!({ "csr": csr })).await.refused(409, "conflict", "the order is expired");
    let listed = scene.get("/orders?status=expired").await.ok(200).json();
    assert_eq!(listed["items"][0]["id"], order["id"]);
    assert_eq!(scene.get("/orders?status=awaitingCsr").await.ok(200).json(), json!({ "items": [] }));
}

#[tokio::test]
async fn orders_are_listed_a_page_at_a_time_and_only_those_of_the_method() {
    let scene = Scene::new().await;
    for product in ["default", "short", "short", "default"] {
        scene.post("/orders", &json!({ "product": product })).await.ok(201);
    }
    scene.post_with(&scene.other_key, "/orders", &json!({})).await.ok(201);
    let page = scene.get("/orders?limit=3").await.ok(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    let next = format!("/orders?limit=3&cursor={}", page["next"].as_str().unwrap());
    let last = scene.get(&next).await.ok(200).json();
    assert_eq!((last["items"].as_array().unwrap().len(), last.get("next")), (1, None));
    let short = scene.get("/orders?product=short&limit=1").await.ok(200).json();
    let next = format!("/orders?product=short&limit=1&cursor={}", short["next"].as_str().unwrap());
    let short_too = scene.get(&next).await.ok(200).json();
    assert_eq!(
        (&short["items"][0]["product"], &short_too["items"][0]["product"]),
        (&json!("short"), &json!("short"))
    );
    assert_ne!(short["items"][0]["id"], short_too["items"][0]["id"]);
    assert_eq!(
        scene.get("/orders?createdAfter=2100-01-01T00:00:00Z").await.ok(200).json(),
        json!({ "items": [] })
    );
    for bad in [
        "status=open",
        "status=issued&status=issued",
        "createdBefore=now",
        "limit=0",
        "cursor=x",
        "colour=red",
    ] {
        scene.get(&format!("/orders?{bad}")).await.refused(400, "malformed", "parameter");
    }
}

#[tokio::test]
async fn a_page_ends_where_its_orders_are_long_and_its_next_goes_on() {
    let scene = Scene::new().await;
    let label = "a".repeat(60);
    let domains: Vec<_> = (0..100).map(|n| format!("n{n}.{label}.{label}.{label}.acme.example")).collect();
    let made = 60;
    for _ in 0..made {
        scene.post("/orders", &json!({ "domains": domains })).await.ok(201);
    }
    let (mut found, mut next) = (Vec::new(), Some(String::new()));
    while let Some(cursor) = next {
        let page = scene.get(&format!("/orders?limit=1000{cursor}")).await.ok(200);
        assert!(page.body.len() < 1_200_000, "{}", page.body.len());
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.len() < made);
        found.extend(items.iter().map(|order| order["id"].clone()));
        next = page["next"].as_str().map(|next| format!("&cursor={next}"));
    }
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), made);
    assert_eq!(found.len(), made);
}

#[tokio::test]
async fn an_order_of_another_method_is_not_there() {
    let scene = Scene::new().await;
    let order = scene.post_with(&scene.other_key, "/orders", &json!({})).await.ok(201).json();
    for id in [order["id"].as_str().unwrap(), "0", "../orders", "%00", &"f".repeat(32)] {
        scene.get(&format!("/orders/{id}")).await.refused(404, "not-found", "not found");
    }
    let (_, csr) = csr(&["a.acme.example"]);
    scene.put(&format!("{}/csr", path(&order)), &json!({ "csr": csr })).await.refused(
        404,
        "not-found",
        "order",
    );
    scene.delete(&path(&order)).await.refused(404, "not-found", "order");
    let key = json!({ "format": "pkcs8", "passphrase": "open sesame" });
    scene.post(&format!("{}/key", path(&order)), &key).await.refused(404, "not-found", "order");
}

#[tokio::test]
async fn a_self_signed_profile_takes_keys_that_are_made_here_and_no_requests() {
    let scene = Scene::with(|policy| policy.issuer = issuance::policy::IssuerChoice::SelfSigned).await;
    let (_, csr) = csr(&["a.acme.example"]);
    scene.post("/orders", &json!({ "csr": csr })).await.refused(403, "refused", "selfSigned");
}

#[tokio::test]
async fn a_method_that_makes_no_keys_says_so() {
    let scene = Scene::of(Setup::default().settings(|settings, _| settings.server_key = None)).await;
    let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
    scene.post("/orders", &body).await.refused(403, "refused", "rest.serverKeys: lab/api makes no keys");
}

#[tokio::test]
async fn a_credential_that_has_not_shown_enough_for_the_profile_is_refused() {
    let scene = Scene::with(|policy| {
        policy.protocols[0].minimum_authentication = issuance::policy::Strength::Certificate;
    })
    .await;
    let (_, csr) = csr(&["a.acme.example"]);
    scene.post("/orders", &json!({ "csr": csr })).await.refused(403, "refused", "protocols");
    scene.post("/orders", &json!({})).await.refused(403, "refused", "protocols");
}

#[tokio::test]
async fn the_subject_of_an_order_is_the_one_of_the_certificate() {
    let scene = Scene::with(|policy| {
        policy.subject.attributes.iter_mut().for_each(|rule| rule.presence = Presence::Required);
    })
    .await;
    let body = json!({ "serverKey": true, "subject": "CN=printer", "domains": ["a.acme.example"] });
    let order = scene.post("/orders", &body).await.ok(201).json();
    let (issuer, serial) = scene.order_row(&order).await.certificate().unwrap();
    let row = scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    assert_eq!(row.subject, "CN=printer");
}

pub(super) fn path(order: &Value) -> String {
    format!("/orders/{}", order["id"].as_str().unwrap())
}

pub(super) async fn approve(scene: &Scene, order: &Value, yes: bool) {
    let id = order["requestId"].as_str().unwrap().parse().unwrap();
    let (verdict, reason) = match yes {
        true => (Verdict::Approve, None),
        false => (Verdict::Deny, Some("no such machine".to_owned())),
    };
    scene.app.engine.decide(&id, verdict, "ann", reason).await.unwrap();
}

#[tokio::test]
async fn whatever_is_asked_without_a_media_type_is_refused_unread() {
    let scene = Scene::new().await;
    for content_type in [None, Some("text/plain"), Some("application/json+x"), Some("")] {
        let mut request = request(HttpMethod::POST, "/orders", &scene.key);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = scene.send(request.body("{}".into()).unwrap()).await;
        answer.refused(415, "unsupported-media-type", "application/json");
    }
    let request = request(HttpMethod::POST, "/orders", &scene.key);
    let request =
        request.header("content-type", "Application/JSON; charset=utf-8").body("{}".into()).unwrap();
    assert_eq!(scene.send(request).await.status, StatusCode::CREATED);
}
