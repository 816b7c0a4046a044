//! What comes after a certificate: chains, revocation, renewal information, and orders that replace.

use http::{StatusCode, header::ACCEPT};
use issuance::{credential::CredentialState, store::CertificateStatus};
use pki::{algorithm::KeyAlgorithm, certificate::Certificate, extension::ReasonCode};
use resolve::CompiledAcmeProfile;
use serde_json::{Value, json};

use super::{
    super::wire::{algorithm::Algorithm, ari::CertId, base64url, testing::ClientKey},
    csr::{RequestKey, csr, csr_with},
    scene::{BASE, Client, Scene, Setup, identifiers},
};

fn revoke_cert() -> String {
    format!("{BASE}/revoke-cert")
}

fn of(certificate: &Certificate) -> Value {
    json!({ "certificate": base64url::encode(certificate.der()) })
}

async fn status(scene: &Scene, certificate: &Certificate) -> CertificateStatus {
    let store = scene.app.engine.store();
    store.certificate(scene.authority.key_id(), certificate.serial()).await.unwrap().unwrap().status
}

fn id_of(certificate: &Certificate) -> String {
    let identifier = certificate.authority_key_identifier().unwrap().unwrap().0.unwrap();
    CertId::new(identifier, *certificate.serial()).to_string()
}

async fn window(scene: &Scene, certificate: &Certificate) -> (String, String) {
    let answer = scene.get(&format!("{BASE}/renewal-info/{}", id_of(certificate))).await.ok(StatusCode::OK);
    assert_eq!(answer.headers["retry-after"], "21600");
    let window = &answer.json()["suggestedWindow"];
    (window["start"].as_str().unwrap().to_owned(), window["end"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_account_revokes_what_was_issued_to_it_and_says_why() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let certificate = scene.certificate(&client, &["shop.acme.example"]).await;
    let mut payload = of(&certificate);
    for code in [2, 6, 7, 8, 10, 99] {
        payload["reason"] = code.into();
        scene.ask(&client, &revoke_cert(), &payload).await.refused(
            400,
            "badRevocationReason",
            "is no reason",
        );
    }
    payload["reason"] = 4.into();
    scene.ask(&client, &revoke_cert(), &payload).await.ok(StatusCode::OK);
    let status = status(&scene, &certificate).await;
    assert!(
        matches!(status, CertificateStatus::Revoked { reason: ReasonCode::Superseded, .. }),
        "{status:?}"
    );
    scene.ask(&client, &revoke_cert(), &payload).await.refused(400, "alreadyRevoked", "already");
}

#[tokio::test]
async fn whoever_holds_the_certificates_key_revokes_it_without_an_account() {
    let ed25519 = |policy: &mut issuance::policy::Profile| policy.keys.allowed = vec![KeyAlgorithm::Ed25519];
    let scene = Scene::of(Setup::default().policy(ed25519)).await;
    let client = scene.client().await;
    let (own, names) = (ClientKey::of(Algorithm::EdDsa), ["shop.acme.example"]);
    let csr = csr_with(&RequestKey(&own), &names, None);
    let certificate = scene.certificate_for(&client, &names, &csr).await;
    let stranger = Client::new();
    let answer = scene.by_key(&stranger.key, &revoke_cert(), &of(&certificate)).await;
    answer.refused(403, "unauthorized", "certificate's key");
    // The key of the account is none of the certificate's.
    let answer = scene.by_key(&client.key, &revoke_cert(), &of(&certificate)).await;
    answer.refused(403, "unauthorized", "certificate's key");
    scene.by_key(&own, &revoke_cert(), &of(&certificate)).await.ok(StatusCode::OK);
    assert!(matches!(status(&scene, &certificate).await, CertificateStatus::Revoked { .. }));
}

#[tokio::test]
async fn another_account_revokes_only_while_it_has_valid_authorizations_for_all_names() {
    let scene = Scene::new().await;
    let (client, other) = (scene.client().await, scene.client().await);
    let names = ["a.shop.acme.example", "b.shop.acme.example"];
    let certificate = scene.certificate(&client, &names).await;
    let refused = async |why: &str| {
        let answer = scene.ask(&other, &revoke_cert(), &of(&certificate)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{why}");
        answer.refused(403, "unauthorized", "no valid authorization for all");
    };
    refused("it has none").await;
    scene.new_order(&other, &names[..1]).await.ok(StatusCode::CREATED);
    refused("it has one of two").await;
    scene.new_order(&other, &names[1..]).await.ok(StatusCode::CREATED);
    scene.clock.forward(31 * 86_400);
    refused("they have ended").await;
    scene.new_order(&other, &names).await.ok(StatusCode::CREATED);
    scene.ask(&other, &revoke_cert(), &of(&certificate)).await.ok(StatusCode::OK);
}

#[tokio::test]
async fn an_account_whose_credential_ended_or_holds_less_now_revokes_nobody_elses_certificate() {
    let keep = |acme: &mut resolve::CompiledAcme| {
        acme.on_credential_revoked = crds::OnCredentialRevoked::Keep;
        acme.external_account_binding = crds::ExternalAccountBinding::Optional;
    };
    for is_narrowed in [false, true] {
        let scene = Scene::of(Setup::default().settings(keep)).await;
        let (client, other) = (scene.client().await, scene.client().await);
        let names = ["a.shop.acme.example"];
        let certificate = scene.certificate(&client, &names).await;
        scene.new_order(&other, &names).await.ok(StatusCode::CREATED);
        let mut row = scene.credential_row().await;
        if is_narrowed {
            row.identifiers.as_mut().unwrap().dns.remove(0);
        } else {
            row.state = CredentialState::Revoked;
        }
        scene.put_credential(row).await;
        let answer = scene.ask(&other, &revoke_cert(), &of(&certificate)).await;
        answer.refused(403, "unauthorized", "no valid authorization for all");
        // Whoever got it keeps the right to end it.
        scene.ask(&client, &revoke_cert(), &of(&certificate)).await.ok(StatusCode::OK);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_of_this_method_is_not_found() {
    let (scene, elsewhere) = (Scene::new().await, Scene::new().await);
    let client = scene.client().await;
    let foreign = elsewhere.certificate(&elsewhere.client().await, &["shop.acme.example"]).await;
    scene.ask(&client, &revoke_cert(), &of(&foreign)).await.refused(404, "malformed", "not found");
    let own = scene.certificate(&client, &["shop.acme.example"]).await;
    let mut changed = own.der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = json!({ "certificate": base64url::encode(&changed) });
    scene.ask(&client, &revoke_cert(), &changed).await.refused(404, "malformed", "not found");
    let none = json!({ "certificate": "AAAA" });
    scene.ask(&client, &revoke_cert(), &none).await.refused(400, "malformed", "cannot be read");
}

#[tokio::test]
async fn a_root_alone_is_shown_beside_its_certificate_and_no_other_chain_is_offered() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
    let (_, csr) = csr(&["shop.acme.example"]);
    let order = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    let url = order["certificate"].as_str().unwrap();
    let answer = scene.read(&client, url).await.ok(StatusCode::OK);
    assert_eq!(answer.links(), [format!("<{BASE}/directory>;rel=\"index\"")]);
    assert_eq!(answer.chain()[1].der(), scene.authority.certificate.der());
    scene.read(&client, &format!("{url}/1")).await.refused(404, "malformed", "chain");
    let wanting = async |accepted: &'static str| {
        let header = client.key.header_of(&client.account, url, &scene.nonce().await);
        scene.post_with(url, &client.key.jws(&header, b""), (ACCEPT, accepted)).await
    };
    wanting("application/pkix-cert").await.refused(406, "malformed", "application/pem-certificate-chain");
    wanting("application/pkix-cert, */*;q=0.1").await.ok(StatusCode::OK);
}

#[tokio::test]
async fn renewal_is_suggested_late_in_a_lifetime_and_at_once_after_a_revocation() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let certificate = scene.certificate(&client, &["shop.acme.example"]).await;
    let (start, end) = window(&scene, &certificate).await;
    let now = scene.app.engine.clock().now().to_string();
    assert!(now < start && start < end && end < certificate.not_after().to_string(), "{start} {end}");
    scene.clock.forward(7200);
    scene.ask(&client, &revoke_cert(), &of(&certificate)).await.ok(StatusCode::OK);
    let (start, end) = window(&scene, &certificate).await;
    assert!(start < end && end < scene.app.engine.clock().now().to_string(), "{start} {end}");
    for unknown in ["AAAA.AQ", "AAAA", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"] {
        let answer = scene.get(&format!("{BASE}/renewal-info/{unknown}")).await;
        answer.refused(404, "malformed", "certificate not found");
    }
}

#[tokio::test]
async fn an_order_replaces_a_certificate_of_its_account_once() {
    let scene = Scene::new().await;
    let (client, other) = (scene.client().await, scene.client().await);
    let names = ["shop.acme.example"];
    let certificate = scene.certificate(&client, &names).await;
    let replacing =
        |names: &[&str]| json!({ "identifiers": identifiers(names), "replaces": id_of(&certificate) });
    let url = format!("{BASE}/new-order");
    let stranger = scene.ask(&other, &url, &replacing(&names)).await;
    stranger.refused(400, "malformed", "no certificate of this account");
    let apart = scene.ask(&client, &url, &replacing(&["a.shop.acme.example"])).await;
    apart.refused(400, "malformed", "none of the names");
    let answer = scene.ask(&client, &url, &replacing(&names)).await.ok(StatusCode::CREATED);
    let order = answer.json();
    assert_eq!(order["replaces"], id_of(&certificate));
    scene.ask(&client, &url, &replacing(&names)).await.refused(409, "alreadyReplaced", "another order");
    let authorization = order["authorizations"][0].as_str().unwrap();
    scene.ask(&client, authorization, &json!({ "status": "deactivated" })).await.ok(StatusCode::OK);
    // What came to nothing replaces nothing.
    let order = scene.ask(&client, &url, &replacing(&names)).await.ok(StatusCode::CREATED).json();
    let (_, csr) = csr(&names);
    scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK);
    scene.ask(&client, &url, &replacing(&names)).await.refused(409, "alreadyReplaced", "another order");
}

#[tokio::test]
async fn an_order_chooses_among_the_profiles_that_the_method_lists() {
    let listed = |acme: &mut resolve::CompiledAcme| {
        acme.profiles = vec![CompiledAcmeProfile {
            name: "short".into(),
            description: "an hour".into(),
            profile: issuance::identity::ResourceName::new("lab", "short"),
            minimum: issuance::policy::Strength::PersonalSecret,
        }];
    };
    let scene = Scene::of(Setup::default().settings(listed)).await;
    let client = scene.client().await;
    let directory = scene.get(&format!("{BASE}/directory")).await.json();
    assert_eq!(directory["meta"]["profiles"], json!({ "short": "an hour" }));
    let url = format!("{BASE}/new-order");
    let mut asked = json!({ "identifiers": identifiers(&["shop.acme.example"]), "profile": "long" });
    scene.ask(&client, &url, &asked).await.refused(400, "invalidProfile", "long");
    asked["profile"] = "short".into();
    let order = scene.ask(&client, &url, &asked).await.ok(StatusCode::CREATED).json();
    assert_eq!(order["profile"], "short");
    let (_, csr) = csr(&["shop.acme.example"]);
    let order = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    let chain = scene.read(&client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK).chain();
    let lifetime = chain[0].not_after().unix() - chain[0].not_before().unix();
    assert_eq!(lifetime, 3600);
    let regular = scene.certificate(&client, &["shop.acme.example"]).await;
    assert!(regular.not_after().unix() - regular.not_before().unix() > 3600);
}

#[tokio::test]
async fn dates_are_as_ordered_where_the_profile_listens_and_refused_where_not() {
    let honour = |policy: &mut issuance::policy::Profile| {
        policy.validity.request = issuance::policy::Request::Honour;
    };
    let scene = Scene::of(Setup::default().policy(honour)).await;
    let client = scene.client().await;
    let now = scene.app.engine.clock().now();
    let url = format!("{BASE}/new-order");
    let asked = |from: i64, until: i64| {
        json!({
            "identifiers": identifiers(&["shop.acme.example"]),
            "notBefore": now.plus_seconds(from).to_string(),
            "notAfter": now.plus_seconds(until).to_string(),
        })
    };
    let order = scene.ask(&client, &url, &asked(60, 600)).await.ok(StatusCode::CREATED).json();
    let (_, request) = csr(&["shop.acme.example"]);
    let order = scene.finalize(&client, &order, &request).await.ok(StatusCode::OK).json();
    let chain = scene.read(&client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK).chain();
    assert_eq!((chain[0].not_before(), chain[0].not_after()), (now.plus_seconds(60), now.plus_seconds(600)));
    for (from, until) in [(600, 60), (60, 60), (-600, -60)] {
        scene.ask(&client, &url, &asked(from, until)).await.refused(400, "malformed", "notAfter");
    }
    let order = scene.ask(&client, &url, &asked(0, 400 * 86_400)).await.ok(StatusCode::CREATED).json();
    let (_, request) = csr(&["shop.acme.example"]);
    scene.finalize(&client, &order, &request).await.refused(400, "malformed", "validity.maximum");
    let scene = Scene::new().await;
    let client = scene.client().await;
    scene.ask(&client, &url, &asked(60, 600)).await.refused(400, "malformed", "leave out notBefore");
}
