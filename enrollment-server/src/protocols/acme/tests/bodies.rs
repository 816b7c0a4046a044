//! Whatever is signed, and whatever comes in place of a JWS: a problem of the client's, never one of ours.

use axum::body::Body;
use http::{Method, StatusCode, header::CONTENT_TYPE};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::scene::{Answer, BASE, Client, Scene, request};

/// All that an account may ask, with an order of its own.
async fn operations(scene: &Scene, client: &Client) -> Vec<String> {
    let answer = scene.new_order(client, &["shop.acme.example"]).await.ok(StatusCode::CREATED);
    let (url, order) = (answer.location(), answer.json());
    let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = format!("{}/dns-01", authorization.replace("/authz/", "/chall/"));
    let mut operations =
        vec![format!("{url}/finalize"), url, authorization, challenge, client.account.clone()];
    operations.push(format!("{}/orders", client.account));
    operations
        .extend(["new-order", "key-change", "revoke-cert", "cert/7.7"].map(|path| format!("{BASE}/{path}")));
    operations
}

#[track_caller]
fn is_the_clients(answer: &Answer, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!answer.status.is_server_error(), "{what}: {} {text}", answer.status);
    if answer.status.is_client_error() {
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json", "{what}: {text}");
        assert!(answer.headers.contains_key("replay-nonce"), "{what}");
    }
}

#[tokio::test]
async fn a_payload_of_another_shape_is_the_clients_mistake_in_every_operation() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let payloads = [
        "null",
        "7",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "{}{}",
        "\u{0}",
        &deep,
        "{\"csr\":7}",
        "{\"csr\":\"!\"}",
        "{\"csr\":\"\"}",
        "{\"identifiers\":{}}",
        "{\"identifiers\":[7]}",
        "{\"identifiers\":[{}]}",
        "{\"identifiers\":[{\"type\":\"dns\"}]}",
        "{\"status\":7}",
        "{\"contact\":\"mailto:a@b.example\"}",
        "{\"certificate\":[]}",
        "{\"certificate\":\"AA\",\"reason\":-1}",
        "{\"account\":1,\"oldKey\":{}}",
        "{\"protected\":\"\",\"payload\":\"\",\"signature\":\"\"}",
        "{\"a\":1,\"a\":2}",
    ];
    for url in operations(&scene, &client).await {
        for payload in payloads {
            is_the_clients(
                &scene.by_account(&client, &url, payload.as_bytes()).await,
                &format!("{url} {payload}"),
            );
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "identifiers",
        "type",
        "value",
        "notBefore",
        "notAfter",
        "profile",
        "replaces",
        "csr",
        "status",
        "contact",
        "certificate",
        "reason",
        "account",
        "oldKey",
        "externalAccountBinding",
        "onlyReturnExisting",
        "dns",
        "ip",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
        names.clone().prop_map(Value::from),
        Just(json!("shop.acme.example")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let member = (names.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_answered_by_every_operation(payload in any_json()) {
        runtime().block_on(async {
            let scene = Scene::new().await;
            let client = scene.client().await;
            for url in operations(&scene, &client).await {
                // Its own wish is a right one.
                if payload["status"] != "deactivated" {
                    is_the_clients(&scene.ask(&client, &url, &payload).await, &url);
                }
            }
            is_the_clients(&scene.new_account(&Client::new(), &payload).await, "new-account");
        });
    }

    #[test]
    fn any_octets_are_answered(octets in prop::collection::vec(any::<u8>(), 0..300), path in "[a-z0-9/.?=-]{0,40}") {
        runtime().block_on(async {
            let scene = Scene::new().await;
            for url in [format!("{BASE}/new-order"), format!("{BASE}/new-account"), format!("{BASE}/{path}")] {
                for method in [Method::POST, Method::GET] {
                    let builder = request(method, &url).header(CONTENT_TYPE, "application/jose+json");
                    let answer = scene.send(builder.body(Body::from(octets.clone())).unwrap()).await;
                    assert!(!answer.status.is_server_error(), "{url}: {answer:?}");
                }
            }
        });
    }
}
