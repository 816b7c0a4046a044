use std::sync::Arc;

use crate::{
    Error, Outcome, Result,
    engine::{Repeat, request_key},
    policy::Approval,
    rest::{OrderCompletion, OrderKey, OrderRow, OrderStatus, RenewalCompletion},
    store::{Commit, Expect, Write, suite::samples::rest_order},
    testing::{NOW, Scene, issued, pending, policy, policy_with, request},
};

/// Ordered just now and not in the store yet.
fn new_order(scene: &Scene) -> OrderRow {
    OrderRow {
        version: 0,
        method: scene.method.name.clone(),
        expires_at: NOW.plus_seconds(60),
        ..rest_order(1)
    }
}

async fn ask(scene: &Scene, order: &OrderRow) -> Result<Outcome> {
    let asked = request().asked();
    let csr = asked.encoded.clone();
    let completion = OrderCompletion { order, csr: &csr, now: NOW };
    let key = request_key(&[order.id.as_str().as_bytes()]);
    scene.engine.issue_with(scene.login().await, asked, key, Repeat::Another, &completion).await
}

async fn stored(scene: &Scene, order: &OrderRow) -> Option<OrderRow> {
    scene.store.rest_order(&order.id).await.unwrap()
}

#[tokio::test]
async fn an_order_is_there_as_soon_as_its_certificate_is() {
    let scene = Scene::new(&policy()).await;
    let order = new_order(&scene);
    let certificate = issued(ask(&scene, &order).await);
    let row = stored(&scene, &order).await.unwrap();
    assert_eq!((row.version, row.status(NOW)), (1, OrderStatus::Issued));
    assert_eq!(row.certificate(), Some((scene.authority.key_id(), certificate.serial)));
}

#[tokio::test]
async fn an_order_that_waits_for_a_person_says_for_which_request() {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let order = new_order(&scene);
    let waiting = pending(ask(&scene, &order).await);
    let row = stored(&scene, &order).await.unwrap();
    assert_eq!((row.version, row.status(NOW)), (1, OrderStatus::Pending));
    assert_eq!(row.state, crate::rest::OrderState::Pending { request: waiting.request });
}

#[tokio::test]
async fn a_refused_request_leaves_no_order() {
    let scene = Scene::new(&policy_with(|policy| policy.keys.allowed.clear())).await;
    let order = new_order(&scene);
    assert!(matches!(ask(&scene, &order).await, Err(Error::Refused(_))));
    assert_eq!(stored(&scene, &order).await, None);
}

#[tokio::test]
async fn an_order_that_was_cancelled_meanwhile_has_no_certificate() {
    let scene = Scene::new(&policy()).await;
    let read = OrderRow { version: 1, ..new_order(&scene) };
    let mut cancelled = read.clone();
    cancelled.cancel(NOW).unwrap();
    let put = Commit { writes: vec![Write::PutRestOrder(Box::new(cancelled.clone()))], ..Commit::default() };
    scene.store.commit(put).await.unwrap().unwrap();
    assert!(matches!(ask(&scene, &read).await, Err(Error::Stale)));
    // Nor has one that is read as it is.
    assert!(matches!(ask(&scene, &cancelled).await, Err(Error::Stale)));
    assert!(scene.certificates().await.is_empty());
    assert_eq!(stored(&scene, &read).await, Some(cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_orders_with_one_idempotency_key_have_one_certificate() {
    let scene = Arc::new(Scene::new(&policy()).await);
    let tasks: Vec<_> = (1..=10)
        .map(|number| {
            let scene = scene.clone();
            let mut order = new_order(&scene);
            order.id = rest_order(number).id;
            tokio::spawn(async move { ask(&scene, &order).await })
        })
        .collect();
    let mut certificates = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => certificates += 1,
            Err(error) => assert!(matches!(error, Error::Conflict(_)), "{error}"),
        }
    }
    assert_eq!((certificates, scene.certificates().await.len()), (1, 1));
    let expected = Expect::RestOrderVersion { id: rest_order(99).id, version: 0 };
    let nothing = Commit { expect: vec![expected], ..Commit::default() };
    scene.store.commit(nothing).await.unwrap().unwrap();
}

async fn renew(scene: &Scene, order: &OrderRow, renewed: Option<&OrderRow>) -> Result<Outcome> {
    let asked = request().asked();
    let csr = asked.encoded.clone();
    let completion = RenewalCompletion { order: OrderCompletion { order, csr: &csr, now: NOW }, renewed };
    let key = request_key(&[order.id.as_str().as_bytes()]);
    scene.engine.issue_with(scene.login().await, asked, key, Repeat::Another, &completion).await
}

/// An order whose certificate is there, and whose key was made here.
async fn keyed(scene: &Scene) -> OrderRow {
    let key = OrderKey::Held { sealed: vec![1] };
    let order = OrderRow { key, ..new_order(scene) };
    issued(ask(scene, &order).await);
    stored(scene, &order).await.unwrap()
}

fn renewing(scene: &Scene, number: u8, renewed: &OrderRow) -> OrderRow {
    let rest_order = rest_order(number);
    OrderRow { id: rest_order.id, idempotency: None, replaces: renewed.certificate(), ..new_order(scene) }
}

#[tokio::test]
async fn a_renewed_order_says_by_which_other() {
    let scene = Scene::new(&policy()).await;
    let renewed = keyed(&scene).await;
    let order = renewing(&scene, 2, &renewed);
    issued(renew(&scene, &order, Some(&renewed)).await);
    assert_eq!(stored(&scene, &renewed).await.unwrap().replaced_by, Some(order.id.clone()));
    let (issuer, serial) = renewed.certificate().unwrap();
    let found = scene.store.rest_order_replacing(&order.method, issuer, &serial).await.unwrap();
    assert_eq!(found, stored(&scene, &order).await);
}

#[tokio::test]
async fn an_order_that_is_not_kept_any_more_is_renewed_all_the_same() {
    let scene = Scene::new(&policy()).await;
    let renewed = keyed(&scene).await;
    let order = renewing(&scene, 2, &renewed);
    issued(renew(&scene, &order, None).await);
    assert_eq!(stored(&scene, &order).await.unwrap().status(NOW), OrderStatus::Issued);
}

#[tokio::test]
async fn a_renewal_that_waits_says_nothing_yet() {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let key = OrderKey::Held { sealed: vec![1] };
    let mut renewed = OrderRow { key, version: 1, ..new_order(&scene) };
    renewed
        .issued((scene.authority.key_id(), pki::serial::SerialNumber::from_random([1; 16])), &[], NOW)
        .unwrap();
    let order = renewing(&scene, 2, &renewed);
    pending(renew(&scene, &order, None).await);
    // A second one sees that there is one.
    let second = renewing(&scene, 3, &renewed);
    let outcome = renew(&scene, &second, None).await;
    assert!(matches!(outcome, Err(Error::Conflict(_))), "{outcome:?}");
    assert_eq!(stored(&scene, &second).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_renewals_of_one_certificate_one_is_made() {
    let scene = Arc::new(Scene::new(&policy()).await);
    let renewed = keyed(&scene).await;
    let tasks: Vec<_> = (2..=12)
        .map(|number| {
            let (scene, renewed) = (scene.clone(), renewed.clone());
            let order = renewing(&scene, number, &renewed);
            tokio::spawn(async move { renew(&scene, &order, Some(&renewed)).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, Error::Conflict(_) | Error::Stale), "{error}"),
        }
    }
    assert_eq!((made, scene.certificates().await.len()), (1, 2));
}
