//! From nothing to a certificate, and back.

use axum::body::Body;
use http::{
    Method, StatusCode,
    header::{ALLOW, CACHE_CONTROL},
};
use serde_json::json;

use super::{
    super::wire::{algorithm::Algorithm, testing::ClientKey},
    csr::csr,
    scene::{BASE, Scene, request},
};

#[tokio::test]
async fn the_directory_is_for_everybody_and_every_url_in_it_is_below_the_host_that_was_asked() {
    let scene = Scene::new().await;
    let answer = scene.get(&format!("{BASE}/directory")).await.ok(StatusCode::OK);
    let directory = answer.json();
    for (name, path) in [
        ("newNonce", "new-nonce"),
        ("newAccount", "new-account"),
        ("newOrder", "new-order"),
        ("revokeCert", "revoke-cert"),
        ("keyChange", "key-change"),
        ("renewalInfo", "renewal-info"),
    ] {
        assert_eq!(directory[name], format!("{BASE}/{path}"));
    }
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    assert!(answer.headers.get("replay-nonce").is_none());
}

#[tokio::test]
async fn a_nonce_comes_by_head_and_by_get_and_is_never_stored() {
    let scene = Scene::new().await;
    let url = format!("{BASE}/new-nonce");
    for (method, status) in [(Method::HEAD, StatusCode::OK), (Method::GET, StatusCode::NO_CONTENT)] {
        let answer = scene.send(request(method, &url).body(Body::empty()).unwrap()).await.ok(status);
        assert!(answer.headers["replay-nonce"].len() > 20);
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
        assert_eq!(answer.links(), [format!("<{BASE}/directory>;rel=\"index\"")]);
    }
}

#[tokio::test]
async fn what_is_only_posted_says_so_to_a_get() {
    let scene = Scene::new().await;
    for path in ["new-account", "new-order", "acct/7", "order/7", "cert/7", "revoke-cert", "key-change"] {
        let answer = scene.get(&format!("{BASE}/{path}")).await;
        answer.refused(405, "malformed", "RFC 8555 §6.3");
        assert_eq!(answer.headers[ALLOW], "POST", "{path}");
    }
}

#[tokio::test]
async fn an_account_orders_names_of_its_credential_and_gets_a_certificate_without_a_challenge() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let names = ["shop.acme.example", "*.shop.acme.example", "192.0.2.3"];
    let answer = scene.new_order(&client, &names).await.ok(StatusCode::CREATED);
    let order = answer.json();
    assert_eq!(order["status"], "ready");
    assert_eq!(order["identifiers"].as_array().unwrap().len(), 3);
    for url in order["authorizations"].as_array().unwrap() {
        let authorization = scene.read(&client, url.as_str().unwrap()).await.ok(StatusCode::OK).json();
        assert_eq!((&authorization["status"], &authorization["challenges"]), (&json!("valid"), &json!([])));
    }
    let (_, csr) = csr(&names);
    let finalized = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK);
    assert_eq!(finalized.location(), answer.location());
    let order = finalized.json();
    assert_eq!(order["status"], "valid");
    let chain = scene.read(&client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK).chain();
    assert_eq!(chain.len(), 2);
    chain[0].verify_signed_by(scene.authority.certificate.public_key()).unwrap();
    let held = chain[0].subject_alt_names().unwrap();
    assert_eq!(held.len(), 3, "{held:?}");
    let row = scene.app.engine.store().certificate(scene.authority.key_id(), chain[0].serial()).await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.credential.as_ref(), Some(&scene.credential.id));
    assert_eq!(row.owner, scene.credential.owner);
    assert_eq!(row.requester, scene.account_row(&client).await.requester());
}

#[tokio::test]
async fn every_algorithm_of_a_key_will_do() {
    let scene = Scene::new().await;
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::EdDsa] {
        let client = scene.client_with(ClientKey::of(algorithm)).await;
        scene.certificate(&client, &["a.shop.acme.example"]).await;
    }
    assert_eq!(scene.issued().await, 4);
}
