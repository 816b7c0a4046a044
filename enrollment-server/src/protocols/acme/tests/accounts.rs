//! Accounts: found, changed, given another key, and the list of their orders.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;
use issuance::{
    credential::{CredentialState, Verifier, generate_hmac_key},
    secret::Secret,
};
use serde_json::json;

use super::{
    super::wire::{
        algorithm::{Algorithm, MacAlgorithm},
        base64url,
        testing::ClientKey,
    },
    csr::csr,
    scene::{BASE, Client, KID, Scene},
};

#[tokio::test]
async fn an_account_is_found_by_its_key_without_a_binding_and_a_key_without_one_is_told_so() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let only = json!({ "onlyReturnExisting": true });
    let found = scene.new_account(&client, &only).await.ok(StatusCode::OK);
    assert_eq!(found.location(), client.account);
    let again = scene.new_account(&client, &json!({})).await.ok(StatusCode::OK);
    assert_eq!((again.location(), again.json()), (client.account.clone(), found.json()));
    assert_eq!(scene.credential_row().await.uses, 1);
    let stranger = Client::new();
    scene.new_account(&stranger, &only).await.refused(400, "accountDoesNotExist", "no such account");
}

#[tokio::test]
async fn an_account_whose_credential_ended_goes_on_once_its_key_is_bound_by_another() {
    for is_regenerated in [false, true] {
        let scene = Scene::new().await;
        let client = scene.client().await;
        let names = ["shop.acme.example"];
        let order = scene.new_order(&client, &names).await.ok(StatusCode::CREATED).json();
        // To an account that can go on, no other binding is made.
        let (other, mut next) = scene.another_credential("second").await;
        let binding = |key: &Secret, kid: &str| {
            let url = format!("{BASE}/new-account");
            json!({ "externalAccountBinding": client.key.binding(MacAlgorithm::Hs256, key.expose(), kid, &url) })
        };
        let again = binding(&other, "second");
        scene.new_account(&client, &again).await.ok(StatusCode::OK);
        assert_eq!(scene.account_row(&client).await.binding.unwrap().kid, KID);
        let mut row = scene.credential_row().await;
        if is_regenerated {
            let key = generate_hmac_key().unwrap();
            row.verifier = Verifier::of_hmac_key(&scene.app.sealing, &row.id, &key).unwrap();
        } else {
            row.state = CredentialState::Revoked;
        }
        scene.put_credential(row).await;
        scene.new_order(&client, &names).await.refused(403, "unauthorized", "no longer valid");
        // By none that is no good itself.
        scene.new_account(&client, &scene.bound(&client)).await.refused(403, "unauthorized", "not accepted");
        let forged = binding(&Secret::new([7; 32]), "second");
        scene.new_account(&client, &forged).await.refused(403, "unauthorized", "not accepted");
        scene.new_order(&client, &names).await.refused(403, "unauthorized", "no longer valid");
        let answer = scene.new_account(&client, &again).await.ok(StatusCode::OK);
        assert_eq!(answer.location(), client.account);
        assert_eq!(answer.json()["externalAccountBinding"], again["externalAccountBinding"]);
        let row = scene.account_row(&client).await;
        assert_eq!((row.binding.unwrap().kid.as_str(), &row.owner), ("second", &next.owner));
        next = scene.app.engine.store().credential(&next.id).await.unwrap().unwrap();
        assert_eq!(next.uses, 1);
        let event = scene.audit().await.pop().unwrap();
        assert_eq!(
            (&event["action"], event["credential"].as_str()),
            (&json!("accountChanged"), Some(next.id.as_str()))
        );
        let (_, csr) = csr(&names);
        scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK);
        scene.certificate(&client, &names).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_changes_while_it_binds_refuses_nobody_for_that() {
    let scene = Scene::new().await;
    let (other, stopped) = (scene.clone(), Arc::new(AtomicBool::new(false)));
    let stop = stopped.clone();
    let changes = tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            other.put_credential(other.credential_row().await).await;
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..100 {
        let client = Client::new();
        let answer = scene.new_account(&client, &scene.bound(&client)).await;
        // Too busy, perhaps; but the credential is as good as ever.
        assert!(answer.status == StatusCode::CREATED || answer.status.is_server_error(), "{}", answer.text());
    }
    stopped.store(true, Ordering::Relaxed);
    changes.await.unwrap();
}

#[tokio::test]
async fn an_account_changes_its_contacts_and_keeps_what_it_does_not_speak_of() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let url = client.account.clone();
    let contact = json!({ "contact": ["mailto:ann@acme.example"] });
    let changed = scene.ask(&client, &url, &contact).await.ok(StatusCode::OK).json();
    assert_eq!(changed["contact"], contact["contact"]);
    let shown =
        scene.ask(&client, &url, &json!({ "status": "valid", "orders": "x" })).await.ok(StatusCode::OK);
    assert_eq!(shown.json(), changed);
    assert_eq!(scene.read(&client, &url).await.ok(StatusCode::OK).json(), changed);
    assert_eq!(scene.account_row(&client).await.version, 2);
    let cleared = scene.ask(&client, &url, &json!({ "contact": [] })).await.ok(StatusCode::OK).json();
    assert!(cleared.get("contact").is_none());
    for (contact, kind) in [("tel:+1", "unsupportedContact"), ("mailto:a,b", "invalidContact")] {
        scene.ask(&client, &url, &json!({ "contact": [contact] })).await.refused(400, kind, contact);
    }
    let actions: Vec<_> = scene.audit().await.iter().map(|event| event["action"].clone()).collect();
    assert!(actions.ends_with(&[json!("accountCreated"), json!("accountChanged"), json!("accountChanged")]));
}

#[tokio::test]
async fn an_account_gets_another_key_which_the_old_one_and_the_new_one_both_sign_for() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let url = format!("{BASE}/key-change");
    let new = ClientKey::of(Algorithm::Es384);
    let inner = new.key_change(&url, &client.account, &client.key);
    scene.ask(&client, &url, &inner).await.ok(StatusCode::OK);
    scene.read(&client, &client.account).await.refused(400, "badSignatureAlgorithm", "ES384");
    let old = std::mem::replace(&mut client.key, new);
    scene.certificate(&client, &["shop.acme.example"]).await;
    let of_old = Client::with(old);
    let only = json!({ "onlyReturnExisting": true });
    scene.new_account(&of_old, &only).await.refused(400, "accountDoesNotExist", "");
    assert_eq!(scene.new_account(&client, &only).await.ok(StatusCode::OK).location(), client.account);
    assert_eq!(scene.audit().await.iter().filter(|event| event["action"] == "accountKeyChanged").count(), 1);
}

#[tokio::test]
async fn a_key_that_another_account_has_or_that_does_not_sign_takes_over_nothing() {
    let scene = Scene::new().await;
    let (client, other) = (scene.client().await, scene.client().await);
    let url = format!("{BASE}/key-change");
    let taken = other.key.key_change(&url, &client.account, &client.key);
    let answer = scene.ask(&client, &url, &taken).await;
    answer.refused(409, "malformed", "another account");
    assert_eq!(answer.location(), other.account);
    let new = ClientKey::new();
    let wrong = [
        (new.key_change(&url, &other.account, &client.key), "account"),
        (new.key_change(&url, &client.account, &other.key), "oldKey"),
        (new.key_change(&format!("{BASE}/new-order"), &client.account, &client.key), "url"),
        (client.key.key_change(&url, &client.account, &client.key), "the new key"),
        (json!({ "account": client.account, "oldKey": client.key.jwk() }), "inner JWS"),
    ];
    for (inner, detail) in wrong {
        let answer = scene.ask(&client, &url, &inner).await;
        assert!(
            answer.status.is_client_error() && answer.text().contains(detail),
            "{detail}: {}",
            answer.text()
        );
    }
    let mut forged = new.key_change(&url, &client.account, &client.key);
    forged["signature"] =
        ClientKey::new().key_change(&url, &client.account, &client.key)["signature"].clone();
    scene.ask(&client, &url, &forged).await.refused(400, "malformed", "does not verify");
    scene.read(&client, &client.account).await.ok(StatusCode::OK);
}

#[tokio::test]
async fn the_orders_of_an_account_come_in_pages_without_what_came_to_nothing() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let mut urls = Vec::new();
    for _ in 0..102 {
        urls.push(scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED));
    }
    let (_, csr) = csr(&["shop.acme.example"]);
    scene.finalize(&client, &urls[0].json(), &csr).await.ok(StatusCode::OK);
    let authorization = urls[1].json()["authorizations"][0].as_str().unwrap().to_owned();
    scene.ask(&client, &authorization, &json!({ "status": "deactivated" })).await.ok(StatusCode::OK);
    let account = scene.read(&client, &client.account).await.ok(StatusCode::OK).json();
    let (mut next, mut listed, mut pages) =
        (Some(account["orders"].as_str().unwrap().to_owned()), Vec::new(), 0);
    while let Some(url) = next {
        let page = scene.read(&client, &url).await.ok(StatusCode::OK);
        listed.extend(page.json()["orders"].as_array().unwrap().clone());
        let links = page.links();
        let link = links.iter().find_map(|link| link.strip_suffix(">;rel=\"next\""));
        next = link.map(|link| link.trim_start_matches('<').to_owned());
        pages += 1;
    }
    urls.remove(1);
    // The newest first.
    let expected: Vec<_> = urls.iter().rev().map(|answer| json!(answer.location())).collect();
    assert_eq!((listed, pages), (expected, 2));
    let wrong = format!("{}/orders?cursor=x", client.account);
    scene.read(&client, &wrong).await.refused(404, "malformed", "page");
}

#[tokio::test]
async fn what_another_server_changed_is_seen_though_the_account_was_read_a_moment_ago() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let other = scene.replica();
    let names = ["shop.acme.example"];
    for server in [&scene, &other] {
        server.new_order(&client, &names).await.ok(StatusCode::CREATED);
    }
    // Another key: the new one is taken at once, and the old one makes nothing any more.
    let url = format!("{BASE}/key-change");
    let new = ClientKey::new();
    let inner = new.key_change(&url, &client.account, &client.key);
    scene.ask(&client, &url, &inner).await.ok(StatusCode::OK);
    let answer = other.new_order(&client, &names).await;
    answer.refused(403, "unauthorized", "another key");
    client.key = new;
    other.new_order(&client, &names).await.ok(StatusCode::CREATED);
    // No account any more.
    let order = other.new_order(&client, &names).await.ok(StatusCode::CREATED).json();
    let certificate = other.certificate(&client, &names).await;
    scene.ask(&client, &client.account, &json!({ "status": "deactivated" })).await.ok(StatusCode::OK);
    let (_, csr) = csr(&names);
    other.finalize(&client, &order, &csr).await.refused(401, "unauthorized", "deactivated");
    let payload = json!({ "certificate": base64url::encode(certificate.der()) });
    let revoked = other.ask(&client, &format!("{BASE}/revoke-cert"), &payload).await;
    revoked.refused(401, "unauthorized", "deactivated");
    assert_eq!(other.issued().await, 1);
}

#[tokio::test]
async fn a_new_key_is_taken_by_a_server_that_knows_the_old_one() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let other = scene.replica();
    other.read(&client, &client.account).await.ok(StatusCode::OK);
    let url = format!("{BASE}/key-change");
    let new = ClientKey::of(Algorithm::EdDsa);
    let inner = new.key_change(&url, &client.account, &client.key);
    scene.ask(&client, &url, &inner).await.ok(StatusCode::OK);
    client.key = new;
    other.read(&client, &client.account).await.ok(StatusCode::OK);
}
