//! What ended is forgotten.

use issuance::{
    acme::OrderRow,
    identity::{AcmeOrderId, RestOrderId},
    rest::OrderRow as RestOrderRow,
    store::{
        JobKind, Page, RestOrderFilter, Write,
        suite::samples::{account_id, job, order, put_order, put_rest_order, rest_order, write},
    },
};

use super::scene::{HOUR, Scene};

/// More than one commit removes.
const ENDED: u16 = 1201;

fn octets(number: u16) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&number.to_be_bytes());
    octets
}

fn numbered(number: u16) -> AcmeOrderId {
    AcmeOrderId::from_octets(octets(number))
}

#[tokio::test]
async fn a_sweep_removes_every_order_and_claim_that_ended_and_no_other() {
    let scene = Scene::new(&[]).await;
    let (now, later) = (scene.now(), scene.now().plus_seconds(HOUR));
    write(&*scene.store, vec![Write::PutJob(Box::new(job(1, JobKind::Sweep, "requests", now)))]).await;
    let ending = |number, keep_until| put_order(OrderRow { id: numbered(number), keep_until, ..order(1) });
    let orders: Vec<Write> = (0..ENDED).map(|number| ending(number, now.plus_seconds(30))).collect();
    write(&*scene.store, orders).await;
    write(&*scene.store, vec![ending(ENDED, later)]).await;
    for (token, until) in [(b"ends", now), (b"kept", later)] {
        assert!(scene.store.claim_once("nonce", token, until).await.unwrap());
    }
    scene.wait(300);
    scene.runner.run_due().await;
    let left = scene.store.acme_orders_of(&account_id(1), &Page::first(10)).await.unwrap();
    assert_eq!(left.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [numbered(ENDED)]);
    assert!(scene.store.claim_once("nonce", b"ends", later).await.unwrap());
    assert!(!scene.store.claim_once("nonce", b"kept", later).await.unwrap());
    // And again in a minute.
    assert_eq!(scene.next(JobKind::Sweep).await, Some(60));
}

#[tokio::test]
async fn orders_of_rest_that_need_not_be_kept_go_with_the_same_sweep() {
    let scene = Scene::new(&[]).await;
    let (now, later) = (scene.now(), scene.now().plus_seconds(HOUR));
    write(&*scene.store, vec![Write::PutJob(Box::new(job(1, JobKind::Sweep, "requests", now)))]).await;
    let ending = |number, keep_until| {
        let id = RestOrderId::from_octets(octets(number));
        put_rest_order(RestOrderRow { id, keep_until, idempotency: None, ..rest_order(1) })
    };
    write(&*scene.store, (0..ENDED).map(|number| ending(number, now)).collect()).await;
    write(&*scene.store, vec![ending(ENDED, later)]).await;
    scene.runner.run_due().await;
    let left = scene.store.rest_orders(&RestOrderFilter::default(), &Page::first(10)).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|(_, row)| row.id).collect();
    assert_eq!(left, [RestOrderId::from_octets(octets(ENDED))]);
    assert_eq!(scene.next(JobKind::Sweep).await, Some(60));
}
