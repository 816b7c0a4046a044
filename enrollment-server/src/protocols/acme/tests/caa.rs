//! What the owner of a domain permits (RFC 8659), when the certificate is asked for: for names that needed no challenge, and for
//! those whose challenge was met long ago.

use hickory_resolver::proto::rr::RecordType;
use http::StatusCode;
use issuance::{
    acme::ChallengeType,
    store::{Commit, Expect, Write},
};

use super::{
    super::validation::tests::dns::Dns,
    csr::csr,
    scene::{Client, Scene, Setup},
};

const NAME: &str = "shop.acme.example";

/// A server that asks this one for records, and issues as `ca.example`.
async fn scene() -> (Scene, Dns) {
    let dns = Dns::new().await;
    let address = dns.address;
    let scene = Scene::of(Setup::default().settings(move |settings| {
        settings.external_account_binding = crds::ExternalAccountBinding::Optional;
        settings.validation.resolvers = vec![address];
        settings.caa = Some(vec!["ca.example".to_owned()]);
    }));
    (scene.await, dns)
}

/// An order whose challenge was met a moment ago.
async fn proved(scene: &Scene, client: &Client) -> serde_json::Value {
    let answer = scene.new_order(client, &[NAME]).await.ok(StatusCode::CREATED);
    let mut order = scene.order_row(&answer.location()).await;
    let (version, now) = (order.version, scene.app.engine.clock().now());
    order.start_challenge(0, ChallengeType::Dns01, now).unwrap();
    let until = order.expires_at;
    order.challenge_succeeded(0, ChallengeType::Dns01, now, until).unwrap();
    let commit = Commit {
        expect: vec![Expect::AcmeOrderVersion { id: order.id.clone(), version }],
        writes: vec![Write::PutAcmeOrder(Box::new(order))],
        audit: Vec::new(),
    };
    scene.app.engine.store().commit(commit).await.unwrap().unwrap();
    answer.json()
}

#[tokio::test]
async fn a_name_that_needed_no_challenge_is_asked_about_before_anything_is_signed() {
    let (scene, dns) = scene().await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &[NAME, "192.0.2.3"]).await.ok(StatusCode::CREATED).json();
    let (_, csr) = csr(&[NAME, "192.0.2.3"]);
    dns.caa("acme.example", false, "issue", "other.example");
    let refused = scene.finalize(&client, &order, &csr).await;
    refused.refused(403, "caa", "acme.example");
    assert_eq!(refused.json()["subproblems"][0]["identifier"]["value"], NAME);
    // RFC 8657 §4: how control was proved is not one of the methods that the records name.
    dns.clear("acme.example");
    dns.caa("acme.example", false, "issue", "ca.example; validationmethods=dns-01");
    scene.finalize(&client, &order, &csr).await.refused(403, "caa", "");
    assert_eq!(scene.issued().await, 0);
    dns.clear("acme.example");
    let value = format!("ca.example; accounturi={}", client.account);
    dns.caa("acme.example", false, "issue", &value);
    let order = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    assert_eq!(order["status"], "valid");
}

#[tokio::test]
async fn what_was_looked_at_with_the_challenge_is_looked_at_again_after_eight_hours() {
    let (scene, dns) = scene().await;
    let client = scene.stranger().await;
    dns.caa("acme.example", false, "issue", "other.example");
    let (first, second) = (proved(&scene, &client).await, proved(&scene, &client).await);
    scene.clock.forward(8 * 3600 - 60);
    scene.finalize(&client, &first, &csr(&[NAME]).1).await.ok(StatusCode::OK);
    assert_eq!(dns.asked_for(RecordType::CAA), Vec::<String>::new());
    scene.clock.forward(120);
    scene.finalize(&client, &second, &csr(&[NAME]).1).await.refused(403, "caa", "acme.example");
}
