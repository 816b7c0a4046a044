//! Servers that are killed, and two servers on one database.

use std::sync::Arc;

use chancery_postgres::Postgres;
use http::StatusCode;
use issuance::{policy::Permission, store::Store};
use serde_json::{Value, json};

use super::{
    super::wire::{ari::CertId, base64url},
    csr::csr,
    scene::{BASE, Scene, Setup, identifiers},
};
use crate::store::{PostgresOptions, PostgresStore, SqliteStore, StoreOptions};

const NAMES: [&str; 1] = ["shop.acme.example"];

pub(super) struct Database {
    _server: Arc<Postgres>,
    url: String,
}

impl Database {
    pub(super) fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.create_database().unwrap();
        Self { _server: server, url }
    }

    pub(super) async fn open(&self) -> Arc<dyn Store> {
        let options = PostgresOptions::new(self.url.parse().unwrap(), "server");
        Arc::new(PostgresStore::open(options).await.unwrap())
    }

    /// Two servers that share nothing but this database, the sealing key and the authority's key.
    async fn pair(&self) -> [Scene; 2] {
        self.pair_of(Setup::default()).await
    }

    async fn pair_of(&self, setup: Setup) -> [Scene; 2] {
        let one = Scene::of(Setup { store: self.open().await, ..setup }).await;
        let two = one.replica_on(self.open().await);
        [one, two]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_of_one_replica_is_good_at_the_other_and_once_at_both_together() {
    let database = Database::new();
    let [one, two] = database.pair().await;
    let client = one.client().await;
    let url = format!("{BASE}/new-order");
    let payload = json!({ "identifiers": identifiers(&NAMES) }).to_string();
    for (first, second) in [(&one, &two), (&two, &one)] {
        let header = client.key.header_of(&client.account, &url, &one.nonce().await);
        let jws = client.key.jws(&header, payload.as_bytes());
        first.post(&url, &jws).await.ok(StatusCode::CREATED);
        second.post(&url, &jws).await.refused(400, "badNonce", "used before");
    }
    let header = client.key.header_of(&client.account, &url, &two.nonce().await);
    let jws = client.key.jws(&header, payload.as_bytes());
    let (left, right) = tokio::join!(one.post(&url, &jws), two.post(&url, &jws));
    let mut answers = [left.status.as_u16(), right.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 400]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_finalized_at_both_replicas_at_once_has_one_certificate() {
    let database = Database::new();
    // The key of the one is that of the other: nobody is told of a key that was used before.
    let setup = Setup::default().policy(|policy| policy.keys.reuse = Permission::Refused);
    let [one, two] = database.pair_of(setup).await;
    let client = one.client().await;
    for round in 1..=10 {
        let order = one.new_order(&client, &NAMES).await.ok(StatusCode::CREATED).json();
        let (_, request) = csr(&NAMES);
        let answers =
            tokio::join!(one.finalize(&client, &order, &request), two.finalize(&client, &order, &request));
        let shown: Vec<Value> =
            [answers.0, answers.1].into_iter().map(|answer| answer.ok(StatusCode::OK).json()).collect();
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0]["status"], "valid");
        assert_eq!(one.issued().await, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_for_one_order_at_both_replicas_at_once_one_gets_the_certificate() {
    let database = Database::new();
    let [one, two] = database.pair().await;
    let client = one.client().await;
    for round in 1..=10 {
        let order = one.new_order(&client, &NAMES).await.ok(StatusCode::CREATED).json();
        let ((_, left), (_, right)) = (csr(&NAMES), csr(&NAMES));
        let answers =
            tokio::join!(one.finalize(&client, &order, &left), two.finalize(&client, &order, &right));
        let (won, lost) = match answers.0.status {
            StatusCode::OK => answers,
            _ => (answers.1, answers.0),
        };
        assert_eq!(won.ok(StatusCode::OK).json()["status"], "valid");
        lost.refused(403, "orderNotReady", "valid");
        assert_eq!(one.issued().await, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_bind_one_account_binds_one_of_two_at_once() {
    let database = Database::new();
    let store = database.open().await;
    let setup = Setup { store, ..Setup::default() }.credential(|row| row.maximum_uses = Some(1));
    let one = Scene::of(setup).await;
    let two = one.replica_on(database.open().await);
    let clients = [super::scene::Client::new(), super::scene::Client::new()];
    let bound = [one.bound(&clients[0]), one.bound(&clients[1])];
    let (left, right) =
        tokio::join!(one.new_account(&clients[0], &bound[0]), two.new_account(&clients[1], &bound[1]));
    let mut answers = [left.status.as_u16(), right.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 403], "{} {}", left.text(), right.text());
    assert_eq!(one.credential_row().await.uses, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_account_however_often_and_wherever_it_asks() {
    let database = Database::new();
    let [one, two] = database.pair().await;
    let client = super::scene::Client::new();
    let bound = one.bound(&client);
    let (left, right) = tokio::join!(one.new_account(&client, &bound), two.new_account(&client, &bound));
    assert_eq!(left.location(), right.location());
    let mut answers = [left.status.as_u16(), right.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 201]);
    assert_eq!(one.credential_row().await.uses, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_deactivates_the_other_refuses_at_once() {
    let database = Database::new();
    let [one, two] = database.pair().await;
    let client = one.client().await;
    two.new_order(&client, &NAMES).await.ok(StatusCode::CREATED);
    one.ask(&client, &client.account, &json!({ "status": "deactivated" })).await.ok(StatusCode::OK);
    two.new_order(&client, &NAMES).await.refused(401, "unauthorized", "deactivated");
}

/// Each step at a process of its own, the one before having been killed.
#[tokio::test]
async fn every_state_survives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let store = SqliteStore::open(folder.path().join("rows.db"), StoreOptions::new("main")).unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    let scene = Scene::of(Setup { store: open(), ..Setup::default() }).await;
    let next = |scene: &Scene| scene.replica_on(open());
    let scene = next(&scene);
    let client = scene.client().await;
    let old_nonce = scene.nonce().await;
    let scene = next(&scene);
    let answer = scene.new_order(&client, &NAMES).await.ok(StatusCode::CREATED);
    let (url, order) = (answer.location(), answer.json());
    let scene = next(&scene);
    assert_eq!(scene.read(&client, &url).await.ok(StatusCode::OK).json()["status"], "ready");
    let (_, csr) = csr(&NAMES);
    let order = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    let scene = next(&scene);
    assert_eq!(scene.read(&client, &url).await.ok(StatusCode::OK).json(), order);
    let chain = scene.read(&client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK).chain();
    let payload = json!({ "certificate": base64url::encode(chain[0].der()) });
    scene.ask(&client, &format!("{BASE}/revoke-cert"), &payload).await.ok(StatusCode::OK);
    let scene = next(&scene);
    let again = scene.ask(&client, &format!("{BASE}/revoke-cert"), &payload).await;
    again.refused(400, "alreadyRevoked", "already");
    // What an earlier process gave out, whose uses are forgotten, is not good any more; clients take the one they get with that.
    let header = client.key.header_of(&client.account, &url, &old_nonce);
    let answer = scene.post(&url, &client.key.jws(&header, b"")).await;
    answer.refused(400, "badNonce", "none of this server's");
    let fresh = answer.headers["replay-nonce"].to_str().unwrap();
    let header = client.key.header_of(&client.account, &url, fresh);
    scene.post(&url, &client.key.jws(&header, b"")).await.ok(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_by_one_of_two_orders_at_once() {
    let database = Database::new();
    let [one, two] = database.pair().await;
    let client = one.client().await;
    for _ in 0..10 {
        let certificate = one.certificate(&client, &NAMES).await;
        let identifier = certificate.authority_key_identifier().unwrap().unwrap().0.unwrap();
        let replaces = CertId::new(identifier, *certificate.serial()).to_string();
        let order = json!({ "identifiers": identifiers(&NAMES), "replaces": replaces });
        let url = format!("{BASE}/new-order");
        let (left, right) = tokio::join!(one.ask(&client, &url, &order), two.ask(&client, &url, &order));
        let (made, refused) = if left.status == StatusCode::CREATED { (left, right) } else { (right, left) };
        made.ok(StatusCode::CREATED);
        refused.refused(409, "alreadyReplaced", "another order");
    }
}
