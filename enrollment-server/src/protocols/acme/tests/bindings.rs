//! What binds an account to a credential, what such an account may, and how many there may be.

use http::StatusCode;
use issuance::credential::{CredentialRow, CredentialState, Verifier, generate_hmac_key};
use serde_json::{Value, json};

use super::{
    super::wire::{algorithm::MacAlgorithm, testing::ClientKey},
    csr::csr,
    refusals::new_order,
    scene::{BASE, Client, KID, Scene, Setup},
};

#[tokio::test]
async fn a_binding_that_is_not_made_with_the_credentials_key_for_this_key_and_url_is_refused() {
    let scene = Scene::new().await;
    let client = Client::new();
    let url = format!("{BASE}/new-account");
    let key = scene.hmac_key.expose();
    let hs256 = MacAlgorithm::Hs256;
    let with = |binding: Value| json!({ "externalAccountBinding": binding });
    let wrong = with(client.key.binding(hs256, &[7; 32], KID, &url));
    scene.new_account(&client, &wrong).await.refused(403, "unauthorized", "not accepted");
    let unknown = with(client.key.binding(hs256, key, "nobody", &url));
    scene.new_account(&client, &unknown).await.refused(403, "unauthorized", "not accepted");
    let elsewhere = with(client.key.binding(hs256, key, KID, &new_order()));
    scene.new_account(&client, &elsewhere).await.refused(400, "malformed", "url");
    let of_another = with(ClientKey::new().binding(hs256, key, KID, &url));
    scene.new_account(&client, &of_another).await.refused(400, "malformed", "not for the key");
    scene.new_account(&client, &json!({})).await.refused(403, "externalAccountRequired", "");
    assert_eq!(scene.credential_row().await.uses, 0);
    // The key has 32 octets.
    for algorithm in [MacAlgorithm::Hs384, MacAlgorithm::Hs512] {
        let too_short = with(client.key.binding(algorithm, key, KID, &url));
        scene.new_account(&client, &too_short).await.refused(400, "malformed", "use HS256");
    }
    assert_eq!(scene.credential_row().await.uses, 0);
    let right = with(client.key.binding(hs256, key, KID, &url));
    let account = scene.new_account(&client, &right).await.ok(StatusCode::CREATED).json();
    assert_eq!(account["externalAccountBinding"], right["externalAccountBinding"]);
    assert_eq!(scene.credential_row().await.uses, 1);
}

#[tokio::test]
async fn a_binding_where_none_is_taken_is_refused_and_none_is_needed() {
    let none = |acme: &mut resolve::CompiledAcme| {
        acme.external_account_binding = crds::ExternalAccountBinding::Disabled;
        acme.pre_authorized_names = crds::PreAuthorizedNames::Disabled;
    };
    let scene = Scene::of(Setup::default().settings(none)).await;
    let client = Client::new();
    scene.new_account(&client, &scene.bound(&client)).await.refused(400, "malformed", "not bound");
    scene.stranger().await;
}

#[tokio::test]
async fn a_credential_binds_as_many_accounts_as_it_may_and_none_after_its_end() {
    let scene = Scene::of(Setup::default().credential(|row| row.maximum_uses = Some(1))).await;
    let client = scene.client().await;
    let second = Client::new();
    let refused = scene.new_account(&second, &scene.bound(&second)).await;
    refused.refused(403, "unauthorized", "not accepted");
    // What it has bound goes on.
    scene.certificate(&client, &["shop.acme.example"]).await;
    let scene = Scene::new().await;
    let client = scene.client().await;
    let ended =
        CredentialRow { expires_at: Some(scene.app.engine.clock().now()), ..scene.credential_row().await };
    scene.put_credential(ended).await;
    let refused = scene.new_account(&second, &scene.bound(&second)).await;
    refused.refused(403, "unauthorized", "not accepted");
    scene.certificate(&client, &["shop.acme.example"]).await;
}

#[tokio::test]
async fn a_revoked_or_regenerated_credential_stops_its_accounts_where_the_method_says_so() {
    let other = generate_hmac_key().unwrap();
    for keep in [false, true] {
        for regenerated in [false, true] {
            let on_revoked =
                if keep { crds::OnCredentialRevoked::Keep } else { crds::OnCredentialRevoked::Stop };
            let setup = Setup::default().settings(move |acme| acme.on_credential_revoked = on_revoked);
            let scene = Scene::of(setup).await;
            let client = scene.client().await;
            let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
            let mut row = scene.credential_row().await;
            if regenerated {
                row.verifier = Verifier::of_hmac_key(&scene.app.sealing, &row.id, &other).unwrap();
            } else {
                row.state = CredentialState::Revoked;
            }
            scene.put_credential(row).await;
            let second = Client::new();
            let refused = scene.new_account(&second, &scene.bound(&second)).await;
            refused.refused(403, "unauthorized", "not accepted");
            let (_, csr) = csr(&["shop.acme.example"]);
            let finalized = scene.finalize(&client, &order, &csr).await;
            let ordered = scene.new_order(&client, &["shop.acme.example"]).await;
            if keep {
                // It goes on, but nothing is its own any more without a challenge.
                assert_eq!(ordered.ok(StatusCode::CREATED).json()["status"], "pending");
                finalized.refused(403, "unauthorized", "revoked");
            } else {
                finalized.refused(403, "unauthorized", "no longer valid");
                ordered.refused(403, "unauthorized", "no longer valid");
            }
            assert_eq!(scene.issued().await, 0);
        }
    }
}

#[tokio::test]
async fn a_key_that_no_resource_declares_vouches_for_none_of_its_names() {
    let undeclared = || Setup::default().credential(|row| row.declared = false);
    let scene = Scene::of(undeclared()).await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
    assert_eq!(order["status"], "pending");
    scene.finalize(&client, &order, &csr(&["shop.acme.example"]).1).await.refused(
        403,
        "orderNotReady",
        "pending",
    );
    // It restricts as ever.
    let other = scene.new_order(&client, &["other.acme.example"]).await;
    other.refused(400, "rejectedIdentifier", "external account binding");
    // Nor where there is no other way to show anything.
    let scene = Scene::of(undeclared().settings(|acme| acme.challenges.clear())).await;
    let client = scene.client().await;
    let refused = scene.new_order(&client, &["shop.acme.example"]).await;
    refused.refused(400, "rejectedIdentifier", "no challenge is offered");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn strangers_make_so_many_accounts_and_orders_and_no_more() {
    let open = |acme: &mut resolve::CompiledAcme| {
        acme.external_account_binding = crds::ExternalAccountBinding::Optional;
    };
    let scene = Scene::of(Setup::default().settings(open)).await;
    let client = scene.stranger().await;
    for _ in 0..300 {
        scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED);
    }
    let answer = scene.new_order(&client, &["shop.acme.example"]).await;
    answer.refused(429, "rateLimited", "new orders");
    assert_eq!(answer.headers["retry-after"], "2");
    for _ in 1..50 {
        scene.stranger().await;
    }
    let answer = scene.new_account(&Client::new(), &json!({})).await;
    answer.refused(429, "rateLimited", "new accounts");
    // Whoever is known is not counted with them.
    scene.client().await;
}

#[tokio::test]
async fn all_accounts_of_a_credential_together_make_so_many_orders_and_the_credential_so_many_accounts() {
    let scene = Scene::new().await;
    let clients = [scene.client().await, scene.client().await];
    let limits = &scene.app.acme.limits;
    // What is counted becomes less by the second.
    let now = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while limits.new_order_by(&scene.credential.id, now).is_ok() {}
    for client in &clients {
        scene.new_order(client, &["shop.acme.example"]).await.refused(
            429,
            "rateLimited",
            "new orders of this credential",
        );
    }
    while limits.new_account_by(&scene.credential.id, now).is_ok() {}
    let client = Client::new();
    let answer = scene.new_account(&client, &scene.bound(&client)).await;
    answer.refused(429, "rateLimited", "new accounts of this credential");
    let (key, _) = scene.another_credential("second").await;
    let url = format!("{BASE}/new-account");
    let other = client.key.binding(MacAlgorithm::Hs256, key.expose(), "second", &url);
    let bound = json!({ "externalAccountBinding": other });
    scene.new_account(&client, &bound).await.ok(StatusCode::CREATED);
}
