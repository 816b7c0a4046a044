//! The desk for credentials of other methods, of whatever protocol.

use std::{sync::Arc, time::Duration};

use crds::{EstAuthentication, ExternalAccountBinding};
use issuance::{
    Error,
    authn::Freshness,
    authority::{Method, Office},
    credential::CredentialRow,
    identity::{Protocol, ResourceName},
    rest::RestAction,
    secret::Secret,
};
use pki::algorithm::KeyAlgorithm;
use resolve::{Administered, CompiledAcme, CompiledEst, CompiledRest, ValueForm};
use serde_json::{Value, json};

use super::{
    super::{super::testing::new_credential, RestService, RestServices},
    desk::{act, all},
    scene::Scene,
};
use crate::{
    protocols::{
        acme::{AcmeService, Chains, Hosts},
        est::EstService,
    },
    serving::{Labelled, Serving},
};

const METHODS: [&str; 3] = ["devices", "other", "web"];

/// What the method `lab/other` administers in turn, and what the methods of the other protocols take.
#[derive(Clone)]
struct Setup {
    other: Administered,
    devices: EstAuthentication,
    web: ExternalAccountBinding,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            other: Administered::None,
            devices: EstAuthentication::Basic,
            web: ExternalAccountBinding::Required,
        }
    }
}

/// `lab/api` administers `lab/other` of REST, `lab/devices` of EST and `lab/web` of ACME; there is `lab/apart` of EST too.
async fn desk() -> Scene {
    desk_of(Setup::default()).await
}

async fn desk_of(setup: Setup) -> Scene {
    let scene = Scene::new().await;
    serve(&scene, setup);
    scene
}

fn serve(scene: &Scene, setup: Setup) {
    let mut office = Office::default();
    office.authorities.insert(scene.authority.name.clone(), scene.authority.clone());
    let rest = |method: &Arc<Method>, administers| {
        let server_key = Some(KeyAlgorithm::EcdsaP256);
        let settings = CompiledRest { server_key, administers, ..CompiledRest::default() };
        let products = [("default".to_owned(), method.clone())].into();
        Arc::new(RestService::new(method.clone(), &settings, products, &office).unwrap())
    };
    let administered = METHODS.map(|name| ResourceName::new("lab", name));
    let mut services = RestServices::default();
    services.insert(rest(&scene.method, Administered::Methods(administered.into())));
    services.insert(rest(&scene.other_method, setup.other));

    let est = |name: &str| {
        let settings = CompiledEst { authentication: setup.devices, ..CompiledEst::default() };
        let method = method(scene, name, Protocol::Est);
        (format!("lab.{name}"), Arc::new(EstService::new(method, &settings, &[], &office).unwrap()))
    };
    let settings = CompiledAcme { external_account_binding: setup.web, ..CompiledAcme::default() };
    let (chains, hosts) = (Arc::new(Chains::of_office(&office)), Arc::new(Hosts::new(None, None)));
    let web = method(scene, "web", Protocol::Acme);
    let acme = AcmeService::new(web, &settings, Default::default(), chains, hosts).unwrap();
    let est = [est("devices"), est("apart")].into();
    scene.app.serve(Serving {
        generation: 2,
        office,
        rest: services,
        est: Labelled { by_label: est, default: None },
        acme: Labelled { by_label: [("lab.web".to_owned(), Arc::new(acme))].into(), default: None },
        checkpoint_interval: Duration::from_secs(3600),
        ..Serving::default()
    });
}

fn method(scene: &Scene, name: &str, protocol: Protocol) -> Arc<Method> {
    let Method { minimum, profile, retry_after, .. } = &*scene.method;
    let name = ResourceName::new("lab", name);
    Arc::new(Method {
        name,
        protocol,
        minimum: *minimum,
        profile: profile.clone(),
        retry_after: *retry_after,
    })
}

fn wanted(name: &str, method: &str) -> Value {
    json!({"name": name, "owner": "group:ops", "method": method})
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

fn id(made: &Value) -> &str {
    made["credential"]["id"].as_str().unwrap()
}

fn path(made: &Value) -> String {
    format!("/credentials/{}", id(made))
}

async fn row(scene: &Scene, made: &Value) -> CredentialRow {
    scene.app.engine.store().credential(&id(made).parse().unwrap()).await.unwrap().unwrap()
}

/// Whether the password that was handed out opens `lab/devices`.
async fn opens(scene: &Scene, made: &Value) -> bool {
    let text = |member: &str| made[member].as_str().unwrap();
    let method = method(scene, "devices", Protocol::Est);
    let (password, now) = (Secret::new(text("password")), scene.app.engine.clock().now());
    let found = scene.app.passwords.verify(&method, text("username"), &password, now, Freshness::Fresh, None);
    match found.await {
        Ok(evidence) => {
            assert_eq!(evidence.credential().unwrap().as_str(), id(made));
            true
        }
        Err(Error::Unauthenticated(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Whether the key that was handed out is the one that accounts are bound by now.
async fn binds(scene: &Scene, made: &Value) -> bool {
    let row = row(scene, made).await;
    assert_eq!(row.username.as_deref(), made["kid"].as_str());
    let handed = ValueForm::HmacKey.read(made["hmac"].as_str().unwrap().as_bytes()).unwrap();
    row.verifier.hmac_key(&scene.app.sealing, &row.id).unwrap() == Some(handed)
}

/// The names of the members beside the credential.
fn secrets(made: &Value) -> Vec<&str> {
    made.as_object().unwrap().keys().map(String::as_str).filter(|member| *member != "credential").collect()
}

#[tokio::test]
async fn methods_that_are_not_administered_or_not_served_are_not_there() {
    let scene = desk().await;
    for method in ["lab/apart", "lab/gone", "other/devices", "lab/root"] {
        scene.post("/credentials", &wanted("ci", method)).await.refused(404, "not-found", "the method");
    }
    let answer = scene.post_with(&scene.other_key, "/credentials", &wanted("ci", "lab/api")).await;
    answer.refused(404, "not-found", "the method");
    for bad in [json!("devices"), json!("a/b/c"), json!(7), Value::Null] {
        scene.post("/credentials", &with(wanted("ci", ""), "method", bad)).await.invalid("/method", "");
    }
    // What is there of it neither.
    let apart = method(&scene, "apart", Protocol::Est);
    let name = ResourceName::new("lab", "apart");
    let template = scene.credential_row().await;
    let foreign = CredentialRow {
        owner: template.owner,
        ..new_credential(
            &scene.app.engine,
            &apart,
            "ab".repeat(16).parse().unwrap(),
            name,
            None,
            template.verifier,
        )
    };
    scene.put_credential(foreign).await;
    let foreign = format!("/credentials/{}", "ab".repeat(16));
    scene.get(&foreign).await.refused(404, "not-found", "credential");
    for change in ["revoke", "expire", "regenerate"] {
        act(&scene, &scene.key, &format!("{foreign}/{change}")).await.refused(404, "not-found", "credential");
    }
    assert!(all(&scene, &scene.key, "/credentials").await.iter().all(|shown| shown["name"] != "apart"));
}

#[tokio::test]
async fn a_member_of_another_protocol_is_refused_where_it_is() {
    let scene = desk().await;
    let given = [
        ("actions", json!(["read"])),
        ("username", json!("ann")),
        ("kid", json!("kid-1")),
        ("identifiers", json!({"dns": ["a.example"]})),
    ];
    for (method, own) in
        [("lab/api", &["actions"][..]), ("lab/devices", &["username"]), ("lab/web", &["kid", "identifiers"])]
    {
        for (member, value) in &given {
            let answer =
                scene.post("/credentials", &with(wanted(member, method), member, value.clone())).await;
            match own.contains(member) {
                true => drop(answer.ok(201)),
                false => answer.invalid(&format!("/{member}"), &format!("credentials of {method} have none")),
            }
        }
    }
    for (method, member, value, pointer) in [
        ("lab/devices", "username", json!("a:b"), "/username"),
        ("lab/devices", "username", json!(""), "/username"),
        ("lab/web", "kid", json!("a b"), "/kid"),
        ("lab/web", "identifiers", json!({}), "/identifiers"),
        ("lab/web", "identifiers", json!([["a.example"], []]), "/identifiers"),
        ("lab/web", "identifiers", json!({"dns": ["a.example", "***"]}), "/identifiers/dns/1"),
        ("lab/web", "identifiers", json!({"ip": ["10.1.0.1/16"]}), "/identifiers/ip/0"),
        ("lab/web", "identifiers", json!({"email": []}), "/identifiers/email"),
    ] {
        let answer = scene.post("/credentials", &with(wanted("ci", method), member, value)).await;
        answer.invalid(pointer, "");
    }
}

#[tokio::test]
async fn a_method_that_takes_no_secrets_gets_none() {
    let closed = Setup {
        devices: EstAuthentication::Certificate,
        web: ExternalAccountBinding::Disabled,
        ..Setup::default()
    };
    let scene = desk_of(closed).await;
    for (method, why) in [("lab/devices", "certificates only"), ("lab/web", "external account binding")] {
        scene.post("/credentials", &wanted("ci", method)).await.invalid("/method", why);
    }
}

#[tokio::test]
async fn nobody_makes_or_takes_over_a_key_that_does_or_administers_more_than_their_own() {
    let scene = desk().await;
    let (key, _) = scene.another_key(&[RestAction::Credentials, RestAction::Read]).await;
    let body = with(wanted("ci", "lab/other"), "actions", json!(["read", "approve"]));
    scene.post_with(&key, "/credentials", &body).await.refused(403, "action-not-allowed", "approve");
    let body = with(wanted("ci", "lab/other"), "actions", json!(["read"]));
    let made = scene.post("/credentials", &body).await.ok(201).json();
    assert_eq!((&made["credential"]["method"], secrets(&made)), (&json!("lab/other"), vec!["accessKey"]));

    serve(&scene, Setup { other: Administered::Namespace, ..Setup::default() });
    let wider = "administer methods that whoever asks does not";
    scene.post("/credentials", &with(body, "name", json!("cd"))).await.refused(403, "refused", wider);
    for change in ["regenerate", "expire", "revoke"] {
        act(&scene, &scene.key, &format!("{}/{change}", path(&made))).await.refused(403, "refused", wider);
    }
    let refused = scene.audit().await.pop().unwrap();
    assert_eq!((&refused["action"], &refused["outcome"]), (&json!("credentialRevoked"), &json!("refused")));
    assert_eq!((&refused["method"], &refused["credential"]), (&json!("lab/other"), &json!(id(&made))));
}

#[tokio::test]
async fn whose_uses_are_counted_or_who_lacks_the_action_makes_no_password() {
    let scene = desk().await;
    let (key, _) = scene.another_key(&[RestAction::Request, RestAction::Read]).await;
    let lacking = scene.post_with(&key, "/credentials", &wanted("ci", "lab/devices")).await;
    lacking.refused(403, "action-not-allowed", "credentials");
    let own = scene.credential_row().await;
    scene.put_credential(CredentialRow { maximum_uses: Some(9), ..own }).await;
    for method in ["lab/devices", "lab/web"] {
        let answer = scene.post("/credentials", &wanted("ci", method)).await;
        answer.refused(403, "refused", "lasts longer than their own");
    }
    // Nor a key that makes one.
    let body = with(wanted("ci", "lab/api"), "actions", json!(["credentials"]));
    scene.post("/credentials", &body).await.refused(403, "refused", "lasts longer than their own");
}

#[tokio::test]
async fn a_password_ends_with_the_key_that_it_was_made_with() {
    let scene = desk().await;
    let end = scene.app.engine.clock().now().plus_seconds(600);
    let own = scene.credential_row().await;
    scene.put_credential(CredentialRow { expires_at: Some(end), ..own }).await;
    for method in ["lab/devices", "lab/web"] {
        let later = json!(end.plus_seconds(1).to_string());
        let answer = scene.post("/credentials", &with(wanted("ci", method), "expiresAt", later)).await;
        answer.refused(403, "refused", "lasts longer than their own");
        let name = method.replace('/', "-");
        let made = scene.post("/credentials", &wanted(&name, method)).await.ok(201).json();
        assert_eq!(made["credential"]["expiresAt"], end.to_string());
    }
}

#[tokio::test]
async fn a_password_is_made_shown_once_regenerated_and_revoked() {
    let scene = desk().await;
    let answer = scene.post("/credentials", &wanted("ci", "lab/devices")).await.ok(201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let made = answer.json();
    assert_eq!(secrets(&made), ["password", "username"]);
    let shown = &made["credential"];
    assert_eq!((&shown["method"], &shown["protocol"]), (&json!("lab/devices"), &json!("est")));
    assert_eq!(
        (&shown["username"], &made["username"], &shown["actions"]),
        (&json!("ci"), &json!("ci"), &json!([]))
    );
    assert_eq!(scene.get(&path(&made)).await.ok(200).json(), *shown);
    assert!(opens(&scene, &made).await);
    let created = scene.audit().await.pop().unwrap();
    assert_eq!(
        (&created["action"], &created["method"]),
        (&json!("credentialCreated"), &json!("lab/devices"))
    );
    assert_eq!(created["actor"]["name"], "lab/all");

    let again = act(&scene, &scene.key, &format!("{}/regenerate", path(&made))).await.ok(200).json();
    assert_eq!((secrets(&again), &again["username"]), (vec!["password", "username"], &made["username"]));
    assert!(!opens(&scene, &made).await && opens(&scene, &again).await);
    act(&scene, &scene.key, &format!("{}/revoke", path(&made))).await.ok(200);
    assert!(!opens(&scene, &again).await);

    let body = with(wanted("named", "lab/devices"), "username", json!("ann@acme.example"));
    let named = scene.post("/credentials", &body).await.ok(201).json();
    assert!(named["username"] == "ann@acme.example" && opens(&scene, &named).await);
    act(&scene, &scene.key, &format!("{}/expire", path(&named))).await.ok(200);
    assert!(!opens(&scene, &named).await);
    let trail = json!(scene.audit().await).to_string();
    let exported = scene.get("/credentials/export?format=csv").await.ok(200).text();
    for made in [&made, &again, &named] {
        let password = made["password"].as_str().unwrap();
        assert!(password.len() == 27 && !trail.contains(password) && !exported.contains(password));
    }
}

#[tokio::test]
async fn a_key_for_acme_is_made_shown_once_regenerated_and_revoked() {
    let scene = desk().await;
    let identifiers = json!({"dns": ["*.shop.acme.example"], "ip": ["192.0.2.0/28"]});
    let body = with(wanted("shop", "lab/web"), "identifiers", identifiers.clone());
    let made = scene.post("/credentials", &body).await.ok(201).json();
    assert_eq!((secrets(&made), &made["kid"]), (vec!["hmac", "kid"], &json!("lab.shop")));
    let shown = &made["credential"];
    assert_eq!((&shown["protocol"], &shown["identifiers"]), (&json!("acme"), &identifiers));
    let record = scene.audit().await.pop().unwrap();
    assert_eq!(
        (&record["action"], &record["reason"]),
        (&json!("credentialCreated"), &json!("lab/shop: restricted to *.shop.acme.example, 192.0.2.0/28"))
    );
    assert!(binds(&scene, &made).await);
    assert_eq!(serde_json::to_value(row(&scene, &made).await.identifiers).unwrap(), identifiers);
    let again = act(&scene, &scene.key, &format!("{}/regenerate", path(&made))).await.ok(200).json();
    assert!(!binds(&scene, &made).await && binds(&scene, &again).await);
    let table = scene.get("/credentials/export?format=csv&name=shop").await.ok(200).text();
    assert!(table.contains(",lab/web,acme,lab.shop,group:ops,,*.shop.acme.example 192.0.2.0/28,"), "{table}");

    // A key identifier says which key is meant.
    let body = with(wanted("second", "lab/web"), "kid", json!("lab.shop"));
    scene.post("/credentials", &body).await.refused(409, "conflict", "key identifier");
    let revoked = act(&scene, &scene.key, &format!("{}/revoke", path(&made))).await.ok(200).json();
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(scene.post("/credentials", &body).await.ok(201).json()["kid"], "lab.shop");
}

#[tokio::test]
async fn what_a_resource_declares_of_an_administered_method_is_changed_there() {
    let scene = desk().await;
    let made = scene.post("/credentials", &wanted("ci", "lab/devices")).await.ok(201).json();
    let undeclared = row(&scene, &made).await;
    scene.put_credential(CredentialRow { declared: true, ..undeclared }).await;
    for (change, field) in
        [("regenerate", "spec.regeneration"), ("revoke", "spec.revoked"), ("expire", "spec.expiresAt")]
    {
        let answer = act(&scene, &scene.key, &format!("{}/{change}", path(&made))).await;
        answer.refused(
            409,
            "declared-by-resource",
            &format!("EnrollmentCredential lab/ci declares this credential: patch its {field}"),
        );
    }
    let answer = scene.post("/credentials", &wanted("ci", "lab/devices")).await;
    answer.refused(409, "declared-by-resource", "lab/ci");
}

#[tokio::test]
async fn credentials_of_a_method_that_is_gone_are_ended_and_get_no_new_secret() {
    let scene = desk().await;
    let made = scene.post("/credentials", &wanted("ci", "lab/devices")).await.ok(201).json();
    let mut gone = Serving { generation: 3, ..Serving::default() };
    for service in scene.app.serving().rest.iter() {
        gone.rest.insert(service.clone());
    }
    scene.app.serve(gone);
    scene.get(&path(&made)).await.ok(200);
    let regenerate = format!("{}/regenerate", path(&made));
    act(&scene, &scene.key, &regenerate).await.refused(409, "conflict", "lab/devices is not served");
    act(&scene, &scene.key, &format!("{}/expire", path(&made))).await.ok(200);
    act(&scene, &scene.key, &format!("{}/revoke", path(&made))).await.ok(200);
    scene.post("/credentials", &wanted("cd", "lab/devices")).await.refused(404, "not-found", "the method");
}

#[tokio::test]
async fn a_key_of_a_method_that_is_gone_lasts_no_longer_because_nobody_looks() {
    let scene = desk().await;
    let end = scene.app.engine.clock().now().plus_seconds(600);
    let body = with(wanted("ci", "lab/other"), "expiresAt", json!(end.to_string()));
    let made = scene.post("/credentials", &body).await.ok(201).json();
    let mut gone = Serving { generation: 3, ..Serving::default() };
    gone.rest.insert(scene.app.serving().rest.get(&scene.method.name).unwrap().clone());
    scene.app.serve(gone);
    let expire = format!("{}/expire", path(&made));
    let later = json!({"expiresAt": end.plus_seconds(1).to_string()});
    scene.post(&expire, &later).await.refused(409, "conflict", "lab/other is not served");
    assert_eq!(row(&scene, &made).await.expires_at, Some(end));
    act(&scene, &scene.key, &expire).await.ok(200);
}

#[tokio::test]
async fn a_name_in_use_is_given_to_nobody_else_of_the_namespace() {
    let scene = desk().await;
    let alice = scene.post("/credentials", &wanted("alice", "lab/api")).await.ok(201).json();
    for method in ["lab/other", "lab/devices", "lab/web"] {
        let answer = scene.post("/credentials", &wanted("alice", method)).await;
        answer.refused(409, "conflict", "has the name lab/alice and is in use");
    }
    act(&scene, &scene.key, &format!("{}/revoke", path(&alice))).await.ok(200);
    scene.post("/credentials", &wanted("alice", "lab/other")).await.ok(201);
    let made = scene.post("/credentials", &wanted("device", "lab/devices")).await.ok(201).json();
    scene.put_credential(CredentialRow { declared: true, ..row(&scene, &made).await }).await;
    let body = with(wanted("ci", "lab/devices"), "username", json!("device"));
    let answer = scene.post("/credentials", &body).await;
    answer.refused(409, "conflict", "lab/device declares a credential of the method with the user name");
}

#[tokio::test]
async fn whoever_asks_about_one_method_makes_credentials_of_that_one() {
    let scene = desk().await;
    let bare = |name: &str| json!({"name": name, "owner": "group:ops"});
    for (place, method) in [
        ("/credentials", "lab/api"),
        ("/credentials?method=lab/api", "lab/api"),
        ("/credentials?method=lab/devices", "lab/devices"),
        ("/credentials?method=lab/web", "lab/web"),
    ] {
        let made = scene.post(place, &bare(&place.replace(['/', '?', '='], ""))).await.ok(201).json();
        assert_eq!(made["credential"]["method"], method, "{place}");
        let about = format!("?method={method}");
        scene.get(&format!("{}{about}", path(&made))).await.ok(200);
        for listed in all(&scene, &scene.key, &format!("/credentials{about}")).await {
            assert_eq!(listed["method"], method);
        }
        let other = if method == "lab/web" { "lab/devices" } else { "lab/web" };
        let elsewhere = format!("{}/regenerate?method={other}", path(&made));
        act(&scene, &scene.key, &elsewhere).await.refused(404, "not-found", "credential");
    }
    let answer = scene.post("/credentials?method=lab/devices", &wanted("ci", "lab/web")).await;
    answer.refused(404, "not-found", "the method");
}
