//! Many challenges at once: of one order, of one account that would take all places, and at two servers on one database.

use std::sync::Arc;

use futures::future::join_all;
use http::StatusCode;
use issuance::{
    acme::{AuthorizationStatus, OrderStatus},
    ports::Clock as _,
    store::{JobKind, Store},
};
use serde_json::json;

use super::{
    super::validation::{Claimant, OF_ONE_ACCOUNT, Permit},
    csr::csr,
    replicas::Database,
    scene::{Client, Scene, Setup},
    validating::{Ordered, work},
};
use crate::store::{SqliteStore, StoreOptions};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}.acme.example")).collect()
}

async fn ordered(count: usize, setup: Setup) -> Ordered {
    let names = names(count);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ordered::with(&names, None, setup).await
}

impl Ordered {
    /// Where the client says that it is ready.
    async fn challenge_url(&self, place: usize) -> String {
        let authorization = self.order["authorizations"][place].as_str().unwrap();
        let authorization = self.scene.read(&self.client, authorization).await.ok(StatusCode::OK).json();
        let challenges = authorization["challenges"].as_array().unwrap();
        let challenge = challenges.iter().find(|challenge| challenge["type"] == "http-01").unwrap();
        challenge["url"].as_str().unwrap().to_owned()
    }

    /// How often the audit trails of all servers have this action.
    async fn recorded_anywhere(&self, action: &str) -> usize {
        let store = self.scene.app.engine.store();
        let mut count = 0;
        for stream in store.audit_streams().await.unwrap() {
            let records = store.audit_records(&stream, 0, 1000).await.unwrap();
            let action = format!(r#""action":"{action}""#);
            count += records.iter().filter(|record| record.body.contains(&action)).count();
        }
        count
    }

    /// All that the client's account may have.
    async fn all_places(&self) -> Vec<Permit> {
        let account = Claimant::Account(self.row().await.account);
        let validations = &self.scene.app.acme.validations;
        std::iter::from_fn(|| validations.permit(&account)).collect()
    }
}

async fn says_it_is_ready(scene: &Scene, client: &Client, url: &str) {
    scene.ask(client, url, &json!({})).await.ok(StatusCode::OK);
}

#[tokio::test]
async fn one_account_takes_no_more_than_its_part_of_the_places() {
    let ordered = ordered(3, Setup::default()).await;
    let held = ordered.all_places().await;
    assert_eq!(held.len(), OF_ONE_ACCOUNT);
    // With a request, and by a job.
    ordered.ready(0).await;
    ordered.work().await;
    assert_eq!(
        (ordered.web.heads().len(), ordered.row().await.authorizations[0].status),
        (0, AuthorizationStatus::Pending)
    );
    // Nobody keeps it meanwhile: it is looked at again soon, by whoever comes.
    assert!(
        ordered.next().await.is_some_and(|seconds| (1..=2).contains(&seconds)),
        "{:?}",
        ordered.next().await
    );
    // Others find places.
    let other = ordered.scene.stranger().await;
    let answer = ordered.scene.new_order(&other, &["0.acme.example"]).await.ok(StatusCode::CREATED);
    let account = Claimant::Account(ordered.scene.order_row(&answer.location()).await.account);
    assert!(ordered.scene.app.acme.validations.permit(&account).is_some());
    drop(held);
    ordered.scene.clock.forward(2);
    ordered.work().await;
    assert_eq!(ordered.row().await.authorizations[0].status, AuthorizationStatus::Valid);
    // What ended is free for what comes.
    assert_eq!(ordered.all_places().await.len(), OF_ONE_ACCOUNT);
}

#[tokio::test]
async fn a_long_queue_of_one_account_is_not_in_the_way_of_what_is_behind_it() {
    let crowd = ordered(40, Setup::default()).await;
    let held = crowd.all_places().await;
    for place in 0..40 {
        crowd.ready(place).await;
    }
    let other = crowd.scene.stranger().await;
    let order = crowd.scene.new_order(&other, &["0.acme.example"]).await.ok(StatusCode::CREATED);
    let (url, order) = (order.location(), order.json());
    let behind = Ordered { url, order, client: other, ..crowd };
    // It finds no place with the request, and its job is due after all those of the crowd.
    let of_all: Vec<_> = std::iter::from_fn(|| behind.scene.app.acme.validations.place()).collect();
    says_it_is_ready(&behind.scene, &behind.client, &behind.challenge_url(0).await).await;
    drop(of_all);
    behind.work().await;
    // The client has another key than the web server knows.
    assert_eq!(behind.web.heads().len(), 1);
    assert_eq!(behind.row().await.authorizations[0].processing().unwrap().attempts, 1);
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_challenges_of_one_order_are_taken_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("rows.db"), StoreOptions::new("main")).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let ordered = Arc::new(ordered(20, Setup { store, ..Setup::default() }).await);
    let urls = join_all((0..20).map(|place| ordered.challenge_url(place))).await;
    let posts = urls.into_iter().map(|url| {
        let ordered = ordered.clone();
        tokio::spawn(async move { says_it_is_ready(&ordered.scene, &ordered.client, &url).await })
    });
    for posted in posts.collect::<Vec<_>>() {
        posted.await.unwrap();
    }
    // Those of them that are above the part of one account are done by jobs.
    while ordered.status().await != OrderStatus::Ready {
        ordered.idle().await;
        ordered.scene.clock.forward(2);
        ordered.work().await;
    }
    assert_eq!((ordered.recorded("authorizationValid").await, ordered.next().await), (20, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_validate_a_challenge_and_issue_once() {
    let database = Database::new();
    let one = ordered(1, Setup { store: database.open().await, ..Setup::default() }).await;
    let two = one.scene.replica_on(database.open().await);
    let (_, request) = csr(&["0.acme.example"]);
    for round in 1..=10 {
        let answer = one.scene.new_order(&one.client, &["0.acme.example"]).await.ok(StatusCode::CREATED);
        let (address, order) = (answer.location(), answer.json());
        let authorization = order["authorizations"][0].as_str().unwrap();
        let authorization = one.scene.read(&one.client, authorization).await.ok(StatusCode::OK).json();
        let challenges = authorization["challenges"].as_array().unwrap();
        let challenge = challenges.iter().find(|challenge| challenge["type"] == "http-01").unwrap();
        let url = challenge["url"].as_str().unwrap();
        tokio::join!(
            says_it_is_ready(&one.scene, &one.client, url),
            says_it_is_ready(&two, &one.client, url)
        );
        tokio::join!(one.idle(), two.app.acme.validations.idle());
        // Whatever falls due is nobody's any more.
        one.scene.clock.forward(3600);
        tokio::join!(work(&one.scene), work(&two));
        assert_eq!(one.scene.order_row(&address).await.status(one.scene.clock.now()), OrderStatus::Ready);
        assert_eq!(
            (one.web.heads().len(), one.recorded_anywhere("authorizationValid").await),
            (round, round)
        );
        let answers = tokio::join!(
            one.scene.finalize(&one.client, &order, &request),
            two.finalize(&one.client, &order, &request)
        );
        let answers = [answers.0.ok(StatusCode::OK).json(), answers.1.ok(StatusCode::OK).json()];
        assert_eq!(answers[0], answers[1]);
        assert_eq!(one.scene.issued().await, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_that_falls_due_at_two_servers_is_done_by_one() {
    let database = Database::new();
    let one = ordered(1, Setup { store: database.open().await, ..Setup::default() }).await;
    let two = one.scene.replica_on(database.open().await);
    one.ready_and_dead().await;
    one.scene.clock.forward(60);
    tokio::join!(work(&one.scene), work(&two));
    assert_eq!((one.web.heads().len(), one.status().await), (1, OrderStatus::Ready));
    assert_eq!(one.scene.app.engine.store().next_job(&[JobKind::AcmeValidation]).await.unwrap(), None);
}
