//! What becomes of an order whose names are proved, or never are.

use issuance::{
    credential::CredentialRow,
    rest::{OrderKey, OrderRow, OrderState},
    store::{Commit, Write},
};
use serde_json::{Value, json};

use super::{
    control::{A, B, Proving, path},
    scene::{Answer, Scene, csr, request, with_json},
};

/// So many requests at once are answered alike.
async fn at_once(scene: &Scene, ask: impl Fn(Scene) -> tokio::task::JoinHandle<Answer>) -> Vec<Value> {
    let asked: Vec<_> = (0..10).map(|_| ask(scene.clone())).collect();
    let mut answers = Vec::new();
    for task in asked {
        answers.push(task.await.unwrap().ok(200).json());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_look_at_a_proved_order_all_see_it_issued() {
    let proving = Proving::new().await;
    let (_, csr) = csr(&[A]);
    let order = proving.order(&json!({ "csr": csr })).await;
    // It is proved when nobody looks.
    proving.answer(&order, 0, "http-01").await.ok(200);
    proving.put_files(&order);
    proving.scene.clock.forward(3);
    proving.work().await;
    let answers = at_once(&proving.scene, |scene| {
        let path = path(&order);
        tokio::spawn(async move { scene.get(&path).await })
    });
    for answer in answers.await {
        assert_eq!(answer["status"], "issued", "{answer}");
    }
    assert_eq!(proving.scene.issued().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_send_the_same_request_for_a_proved_order_all_see_it_issued() {
    let proving = Proving::new().await;
    let order = proving.order(&json!({ "domains": [A] })).await;
    proving.prove(&order, 0).await;
    let (_, csr) = csr(&[A]);
    let answers = at_once(&proving.scene, |scene| {
        let (path, body) = (format!("{}/csr", path(&order)), json!({ "csr": csr }));
        tokio::spawn(async move {
            scene.send(with_json(request(http::Method::PUT, &path, &scene.key), &body)).await
        })
    });
    for answer in answers.await {
        assert_eq!(answer["status"], "issued", "{answer}");
    }
    assert_eq!(proving.scene.issued().await, 1);
}

/// An order whose time is over before its names are proved.
async fn let_expire(scene: &Scene, order: &Value) {
    let row = scene.order_row(order).await;
    let row = OrderRow { expires_at: row.created_at, version: row.version + 1, ..row };
    let writes = vec![Write::PutRestOrder(Box::new(row))];
    scene.app.engine.store().commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_renewal_that_nobody_finishes_is_in_nobodys_way() {
    let proving = Proving::new().await;
    let scene = &proving.scene;
    let order = proving.order(&json!({ "domains": [A], "serverKey": true })).await;
    proving.prove(&order, 0).await;
    let issued = proving.read(&order).await;
    let renew = format!("/certificates/{}/renew", issued["certificateId"].as_str().unwrap());
    let first = scene.post(&renew, &json!({})).await.ok(202).json()["order"].clone();
    scene.post(&renew, &json!({})).await.refused(409, "not-renewable", "is to renew");
    let_expire(scene, &first).await;
    scene.delete(&path(&first)).await.refused(409, "conflict", "the order is expired");
    let second = scene.post(&renew, &json!({})).await.ok(202).json()["order"].clone();
    let row = scene.order_row(&first).await;
    assert!(matches!(row.state, OrderState::Failed { .. }), "{row:?}");
    assert_eq!(row.key, OrderKey::Discarded);
    // Proved, and not looked at in time, is not finished either.
    proving.answer(&second, 0, "http-01").await.ok(200);
    proving.put_files(&second);
    scene.clock.forward(3);
    proving.work().await;
    let_expire(scene, &second).await;
    let third = scene.post(&renew, &json!({})).await.ok(202).json()["order"].clone();
    let second = proving.read(&second).await;
    assert_eq!(
        (&second["status"], &second["reason"]),
        (&json!("failed"), &json!("it was not finished in time"))
    );
    proving.prove(&third, 0).await;
    assert_eq!(proving.read(&third).await["status"], "issued");
    assert_eq!(scene.issued().await, 2);
}

#[tokio::test]
async fn a_proof_gets_nothing_from_a_credential_that_is_used_up_and_its_order_says_why() {
    let proving = Proving::new().await;
    let scene = &proving.scene;
    let row = scene.credential_row().await;
    scene.put_credential(CredentialRow { maximum_uses: Some(1), ..row }).await;
    let mut orders = Vec::new();
    for name in [A, B] {
        let (_, csr) = csr(&[name]);
        orders.push(proving.order(&json!({ "csr": csr })).await);
    }
    // Both are proved when nobody looks.
    for order in &orders {
        proving.answer(order, 0, "http-01").await.ok(200);
        proving.put_files(order);
    }
    scene.clock.forward(3);
    proving.work().await;
    assert_eq!(proving.read(&orders[0]).await["status"], "issued");
    let second = proving.read(&orders[1]).await;
    assert_eq!((&second["status"], scene.issued().await), (&json!("failed"), 1), "{second}");
    assert!(second["reason"].as_str().unwrap().starts_with("maximumUses: "), "{second}");
    assert_eq!(second["authorizations"][0]["status"], "valid");
}
