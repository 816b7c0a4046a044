//! External accounts whose key was rotated: for a while the key before binds as well, and what is bound by it goes on.

use http::StatusCode;
use issuance::{
    credential::{PreviousValue, Verifier, generate_hmac_key},
    ports::Clock as _,
    secret::Secret,
};
use serde_json::{Value, json};

use super::{
    super::wire::algorithm::MacAlgorithm,
    scene::{BASE, Client, KID, Scene},
};

const OVERLAP: i64 = 600;

const NAMES: [&str; 1] = ["shop.acme.example"];

impl Scene {
    /// The credential's new key.
    async fn rotate(&self) -> Secret {
        let new = generate_hmac_key().unwrap();
        let mut row = self.credential_row().await;
        let next = Verifier::of_hmac_key(&self.app.sealing, &row.id, &new).unwrap();
        let verifier = std::mem::replace(&mut row.verifier, next);
        row.previous = Some(PreviousValue { verifier, until: self.clock.now().plus_seconds(OVERLAP) });
        self.put_credential(row).await;
        new
    }

    async fn fingerprint(&self, client: &Client) -> [u8; 32] {
        self.account_row(client).await.binding.unwrap().fingerprint
    }
}

fn bound(client: &Client, key: &Secret, kid: &str) -> Value {
    let url = format!("{BASE}/new-account");
    json!({ "externalAccountBinding": client.key.binding(MacAlgorithm::Hs256, key.expose(), kid, &url) })
}

#[tokio::test]
async fn a_regeneration_in_an_overlap_refuses_both_keys_and_stops_what_they_bound_at_once() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let rotated = scene.rotate().await;
    scene.certificate(&client, &NAMES).await;
    let mut row = scene.credential_row().await;
    let third = generate_hmac_key().unwrap();
    row.verifier = Verifier::of_hmac_key(&scene.app.sealing, &row.id, &third).unwrap();
    row.previous = None;
    scene.put_credential(row).await;
    for key in [&scene.hmac_key, &rotated] {
        let stranger = Client::new();
        let refused = scene.new_account(&stranger, &bound(&stranger, key, KID)).await;
        refused.refused(403, "unauthorized", "not accepted");
    }
    scene.new_order(&client, &NAMES).await.refused(403, "unauthorized", "no longer valid");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn both_keys_bind_in_an_overlap_and_the_one_before_binds_nothing_after_it() {
    let scene = Scene::new().await;
    let rotated = scene.rotate().await;
    let (old, new) = (Client::new(), Client::new());
    scene.new_account(&old, &bound(&old, &scene.hmac_key, KID)).await.ok(StatusCode::CREATED);
    scene.new_account(&new, &bound(&new, &rotated, KID)).await.ok(StatusCode::CREATED);
    assert_eq!(scene.credential_row().await.uses, 2);
    scene.clock.forward(OVERLAP);
    let stranger = Client::new();
    let refused = scene.new_account(&stranger, &bound(&stranger, &scene.hmac_key, KID)).await;
    refused.refused(403, "unauthorized", "not accepted");
    scene.new_account(&stranger, &bound(&stranger, &rotated, KID)).await.ok(StatusCode::CREATED);
}

#[tokio::test]
async fn an_account_that_the_key_before_bound_stops_with_it() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    scene.rotate().await;
    scene.certificate(&client, &NAMES).await;
    scene.clock.forward(OVERLAP);
    scene.new_order(&client, &NAMES).await.refused(403, "unauthorized", "no longer valid");
}

#[tokio::test]
async fn an_account_that_the_key_before_bound_goes_over_to_the_present_one() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let before = scene.fingerprint(&client).await;
    let rotated = scene.rotate().await;
    let (other, _) = scene.another_credential("second").await;
    // It can go on, and nothing else takes the place of its binding.
    let forged = Secret::new([7; 32]);
    for (key, kid) in [(&scene.hmac_key, KID), (&forged, KID), (&other, "second")] {
        scene.new_account(&client, &bound(&client, key, kid)).await.ok(StatusCode::OK);
        assert_eq!(scene.fingerprint(&client).await, before, "{kid}");
    }
    assert_eq!(scene.credential_row().await.uses, 1);
    let renewed = bound(&client, &rotated, KID);
    let answer = scene.new_account(&client, &renewed).await.ok(StatusCode::OK).json();
    assert_eq!(answer["externalAccountBinding"], renewed["externalAccountBinding"]);
    assert_ne!(scene.fingerprint(&client).await, before);
    assert_eq!(scene.credential_row().await.uses, 2);
    scene.clock.forward(OVERLAP);
    scene.certificate(&client, &NAMES).await;
}
