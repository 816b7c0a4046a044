//! How the server is doing.

use issuance::{
    authn::Requester,
    identity::{Protocol, RequestId, ResourceName},
    policy::{Approval, Strength},
    ports::random,
    store::{Commit, RequestRow, RequestState, Write},
};
use pki::time::Time;
use resolve::Administered;
use serde_json::{Value, json};

use super::scene::{Scene, Setup, csr};
use crate::serving::Behind;

/// Of all that wait, no more are counted.
const COUNTED: usize = 1000;

async fn status(scene: &Scene, path: &str) -> Value {
    scene.get(path).await.ok(200).json()
}

/// Somebody asks with this key, and has to wait.
async fn ask(scene: &Scene, key: &str) {
    let (_, csr) = csr(&["shop.acme.example"]);
    let order = scene.post_with(key, "/orders", &json!({ "csr": csr })).await.ok(201).json();
    assert_eq!(order["status"], "pending", "{order}");
}

/// A row alone.
fn waiting(scene: &Scene, now: Time) -> RequestRow {
    let requester = Requester {
        protocol: Protocol::Rest,
        method: scene.method.name.clone(),
        name: "lab/all".into(),
        strength: Strength::PersonalSecret,
        credential: Some(scene.credential.id.clone()),
        holder: None,
        owner: None,
        certified: None,
        address: None,
    };
    RequestRow {
        id: RequestId::from_random(random().unwrap()),
        method: scene.method.name.clone(),
        key: None,
        content: [0; 32],
        profile: ResourceName::new("lab", "default"),
        requester,
        state: RequestState::Pending,
        summary: String::new(),
        encoded: Vec::new(),
        created_at: now,
        expires_at: now.plus_seconds(3600),
        decision: None,
        certificate: None,
    }
}

#[tokio::test]
async fn a_method_is_told_with_its_products_and_with_who_signs() {
    let scene = Scene::new().await;
    let before = scene.app.engine.clock().now();
    let list = scene.app.engine.publish_crl(&scene.authority, None).await.unwrap();
    let status = status(&scene, "/status").await;
    assert_eq!(
        (&status["version"], &status["time"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(before.to_string()))
    );
    let profile =
        |name: &str| json!({"name": name, "profile": format!("lab/{name}"), "authority": "lab/root"});
    let method = json!({
        "name": "lab/api", "protocol": "rest", "urls": [], "profiles": [profile("default"), profile("short")],
        "pendingRequests": {"count": 0, "atLeast": false},
    });
    assert_eq!(status["methods"], json!([method]), "nothing of lab/other is told");
    let certificate = &scene.authority.certificate;
    let authority = json!({
        "name": "lab/root", "subject": certificate.subject().to_string(), "notAfter": certificate.not_after().to_string(),
        "crl": {"number": list.number, "nextUpdate": list.next_update.to_string()},
    });
    assert_eq!(status["authorities"], json!([authority]));
}

#[tokio::test]
async fn what_is_in_force_is_not_told_as_if_it_were_all_that_was_declared() {
    let scene = Scene::new().await;
    let generation = scene.app.serving().generation;
    let all = (None, json!({"generation": generation, "current": true}));
    let told = |problem: &str| json!({"generation": generation, "current": false, "problem": problem});
    let rejected = (Some(Behind::Rejected), told("rejected"));
    let incomplete = (Some(Behind::Incomplete), told("incomplete"));
    for (behind, expected) in [all.clone(), rejected, incomplete, all] {
        scene.app.falls_behind(behind);
        assert_eq!(status(&scene, "/status").await["configuration"], expected);
    }
}

#[tokio::test]
async fn an_authority_without_a_list_yet_is_told_without_one() {
    let scene = Scene::new().await;
    let status = status(&scene, "/status").await;
    assert_eq!(status["authorities"][0]["name"], "lab/root");
    assert!(status["authorities"][0].get("crl").is_none(), "{status}");
}

#[tokio::test]
async fn what_waits_is_counted_by_method_until_nobody_decides_on_it_any_more() {
    let setup = Setup::default().policy(|policy| policy.approval = Approval::Manual);
    let scene = Scene::of(setup.settings(|settings, _| settings.administers = Administered::Namespace)).await;
    let counts = async |path: &str| {
        let status = status(&scene, path).await;
        let methods = status["methods"].as_array().unwrap().clone();
        methods
            .into_iter()
            .map(|method| (method["name"].clone(), method["pendingRequests"]["count"].clone()))
            .collect::<Vec<_>>()
    };
    ask(&scene, &scene.key).await;
    ask(&scene, &scene.other_key).await;
    scene.clock.forward(6 * 86_400);
    ask(&scene, &scene.other_key).await;
    let (api, other) = (json!("lab/api"), json!("lab/other"));
    assert_eq!(counts("/status").await, [(api.clone(), json!(1)), (other.clone(), json!(2))]);
    assert_eq!(counts("/status?method=lab/other").await, [(other.clone(), json!(2))]);
    scene.get("/status?method=lab/gone").await.ok(200);
    scene.get("/status?method=far/other").await.refused(404, "not-found", "");
    // Requests wait for a week.
    scene.clock.forward(2 * 86_400);
    assert_eq!(counts("/status").await, [(api, json!(0)), (other, json!(1))]);
}

#[tokio::test]
async fn a_bounded_number_is_counted() {
    let scene = Scene::new().await;
    let now = scene.app.engine.clock().now();
    let insert = async |count: usize| {
        let rows = (0..count).map(|_| Write::InsertRequest(Box::new(waiting(&scene, now))));
        let commit = Commit { writes: rows.collect(), ..Commit::default() };
        scene.app.engine.store().commit(commit).await.unwrap().unwrap();
    };
    insert(COUNTED - 1).await;
    let pending = |status: &Value| status["methods"][0]["pendingRequests"].clone();
    assert_eq!(pending(&status(&scene, "/status").await), json!({"count": COUNTED - 1, "atLeast": false}));
    insert(5).await;
    assert_eq!(pending(&status(&scene, "/status").await), json!({"count": COUNTED, "atLeast": true}));
}
