//! What one pass makes of what changed.

use std::{collections::BTreeMap, time::Duration};

use client::internal::{ListUsage, MethodUsage, Usage};
use crds::{CertificateAuthority, CertificateProfile, EnrollmentCredential, EnrollmentMethod, Kind, labels};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Secret},
    events::v1::Event,
};
use resolve::parts::{Part, PartContent, PartKind, part_secret_name};
use serde_json::json;
use tokio::time::timeout;

use super::scene::{SERVER, Scene, example, example_scene, name, put};
use crate::{testing::FakeApi, world::Watches};

#[tokio::test(start_paused = true)]
async fn the_example_becomes_a_published_configuration_and_what_runs_it() {
    let mut scene = example_scene().await;
    let outlook = scene.settle().await;
    let server = &outlook.servers[&name(SERVER)];
    assert_eq!(server.failure, None);
    assert_eq!(server.authority_failures, BTreeMap::new());
    let published = server.published.as_ref().unwrap();
    let listed: Vec<String> =
        published.parts().values().map(|part| format!("{} {}", part.kind, part.name)).collect();
    for part in [
        "server enrollment/enroll",
        "authority enrollment/root",
        "authority enrollment/issuing",
        "profile enrollment/device",
        "profile enrollment/service",
        "method enrollment/devices",
        "method -/issuer:services",
        "method shop/issuer:services",
        "credential enrollment/factory",
    ] {
        assert!(listed.iter().any(|listed| listed == part), "{part} is not among {listed:?}");
    }
    assert_eq!(listed.len(), 9, "{listed:?}");
    assert!(scene.api.get::<StatefulSet>(Some("enrollment"), "enroll").is_some());
    assert!(scene.secrets("enrollment").contains(&"enroll-sealing".to_owned()));
    assert!(scene.api.get::<ConfigMap>(Some("shop"), "example-root").is_some());
    assert_eq!(scene.ready::<EnrollmentMethod>("enrollment", "devices").0, "False");

    scene.serve(&outlook);
    let counts = MethodUsage { issued: 3, refused: 1, last_failure: None };
    let methods = BTreeMap::from([("enrollment/devices".to_owned(), counts)]);
    let api = scene.api.clone();
    let issuing = || api.get::<CertificateAuthority>(Some("enrollment"), "issuing").unwrap();
    let status = issuing().status.unwrap();
    assert_eq!(status.crl, None, "its server makes its lists");
    let list = ListUsage { number: 5, this_update: 1_790_000_000, next_update: 1_790_086_400 };
    let other = ListUsage { number: 9, ..list };
    let crls = BTreeMap::from([(status.key_id.unwrap(), list), ("00".repeat(20), other)]);
    scene.servers.has_used("enroll-0", Usage { methods, crls, ..Usage::default() });
    scene.until_seen().await;
    let outlook = scene.settle().await;
    assert!(outlook.settled);
    let method: EnrollmentMethod = scene.api.get(Some("enrollment"), "devices").unwrap();
    assert_eq!(method.status.unwrap().counters.unwrap().issued, 3);
    let list = issuing().status.unwrap().crl.unwrap();
    assert_eq!((list.number, list.next_update.0.as_second()), (5, 1_790_086_400));
    for ready in [
        scene.ready::<EnrollmentMethod>("enrollment", "devices"),
        scene.ready::<EnrollmentCredential>("enrollment", "factory"),
        scene.ready::<CertificateAuthority>("enrollment", "issuing"),
        scene.ready::<CertificateProfile>("enrollment", "service"),
        scene.ready::<crds::ChanceryIssuer>("shop", "services"),
    ] {
        assert_eq!(ready, ("True".to_owned(), "Ready".to_owned(), String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_roots_key_is_given_to_nobody() {
    let mut scene = example_scene().await;
    let outlook = scene.settle().await;
    let published = outlook.servers[&name(SERVER)].published.clone().unwrap();
    let mut keys = Vec::new();
    for (secret, part) in published.parts() {
        let secret: Secret = scene.api.get(Some("enrollment"), secret).unwrap();
        let json = &secret.data.unwrap()[labels::PART_KEY].0;
        if Part::from_json(json).unwrap().key.is_some() {
            keys.push(part.name.to_string());
        }
    }
    assert_eq!(keys, ["enrollment/issuing"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_begins_anew_writes_nothing_where_nothing_changed() {
    let mut scene = example_scene().await;
    let before = scene.settle().await;
    let mut again = Scene::new(scene.api.clone()).await;
    again.api.forget_calls();
    let after = again.reconciler.pass().await.unwrap();
    let secrets: Vec<_> =
        again.api.writes().into_iter().filter(|call| call.path.contains("/secrets/")).collect();
    assert_eq!(secrets, []);
    assert_eq!(after.servers[&name(SERVER)].published, before.servers[&name(SERVER)].published);
}

#[tokio::test(start_paused = true)]
async fn a_changed_profile_is_published_with_the_next_pass_alone() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&scene.api, &profile);
    let generation = |watches: &Watches| {
        let world = watches.snapshot();
        world.get(Kind::CertificateProfile, &name("enrollment/device"))?.meta().generation
    };
    while generation(&scene.watches) != Some(2) {
        let _ = timeout(Duration::from_millis(10), scene.wake.notified()).await;
    }
    scene.api.forget_calls();
    let after = scene.reconciler.pass().await.unwrap().servers[&name(SERVER)].published.clone().unwrap();
    assert!(after.generation() > before.generation());
    let written: Vec<_> = scene
        .api
        .writes()
        .into_iter()
        .filter(|call| call.method == "PATCH" && call.path.contains("/secrets/"))
        .map(|call| call.path.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    let part = part_secret_name(PartKind::Profile, &name("enrollment/device"));
    assert_eq!(written, [part, "chancery-manifest-enroll".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_now_and_then_is_asked_until_everything_is_there() {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    let mut scene = Scene::new(api).await;
    for (method, path, code, reason) in [
        ("POST", "/secrets", 503, "ServiceUnavailable"),
        ("PATCH", "chancery-part-authority", 500, "InternalError"),
        ("PATCH", "chancery-manifest", 409, "Conflict"),
        ("PATCH", "statefulsets", 429, "TooManyRequests"),
        ("PATCH", "/status", 409, "Conflict"),
    ] {
        scene.api.refuse(method, path, code, reason, 2);
    }
    let mut settled = false;
    for _ in 0..20 {
        settled = scene.reconciler.pass().await.is_ok_and(|outlook| outlook.settled);
        scene.until_seen().await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        if settled {
            break;
        }
    }
    assert!(settled);
    let outlook = scene.settle().await;
    assert!(outlook.servers[&name(SERVER)].published.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_cannot_be_read_stops_nobody_and_is_told_of() {
    let api = FakeApi::new();
    for document in example() {
        put(&api, &document);
    }
    let odd = json!({
        "apiVersion": crds::API_VERSION, "kind": "CertificateProfile",
        "metadata": { "name": "odd", "namespace": "shop" },
        "spec": { "authorityRef": { "name": "issuing" }, "quantum": true },
    });
    put(&api, &odd);
    let mut scene = Scene::new(api).await;
    let outlook = scene.settle().await;
    assert!(outlook.servers[&name(SERVER)].published.is_some());
    let status = scene.api.get_dynamic(&crate::world::api_resource(Kind::CertificateProfile), "shop", "odd");
    let conditions = status.unwrap()["status"]["conditions"].clone();
    let accepted =
        conditions.as_array().unwrap().iter().find(|found| found["type"] == "Accepted").unwrap().clone();
    assert_eq!(accepted["status"], "False");
    assert!(accepted["message"].as_str().unwrap().contains("quantum"), "{accepted}");
}

#[tokio::test(start_paused = true)]
async fn a_served_profile_that_cannot_be_read_any_more_holds_up_nothing_else() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    let documents = example();
    let find = |name: &str| documents.iter().find(|found| found["metadata"]["name"] == name).unwrap().clone();
    let mut profile = find("device");
    profile["spec"]["quantum"] = json!(true);
    put(&scene.api, &profile);
    scene.until_seen().await;
    let stays = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    assert_eq!(stays.parts(), before.parts());

    // What is changed beside it, and what ends a credential of a method of it, is taken up.
    let mut other = find("service");
    other["spec"]["validity"]["default"] = json!("3d");
    put(&scene.api, &other);
    let mut credential = find("factory");
    credential["spec"]["revoked"] = json!(true);
    put(&scene.api, &credential);
    scene.until_seen().await;
    let outlook = scene.settle().await;
    let server = &outlook.servers[&name(SERVER)];
    assert_eq!(server.failure, None);
    let after = server.published.clone().unwrap();
    let part = |kind, of: &str| part_secret_name(kind, &name(of));
    let (ended, changed) =
        (part(PartKind::Credential, "enrollment/factory"), part(PartKind::Profile, "enrollment/service"));
    let differ: Vec<&String> = before
        .parts()
        .iter()
        .filter(|(secret, entry)| after.parts().get(*secret) != Some(*entry))
        .map(|(secret, _)| secret)
        .collect();
    let mut expected = [&ended, &changed];
    expected.sort();
    assert_eq!(differ, expected);
    let secret: Secret = scene.api.get(Some("enrollment"), &ended).unwrap();
    let part = Part::from_json(&secret.data.unwrap()[labels::PART_KEY].0).unwrap();
    let PartContent::Credential(credential) = part.content else { panic!("another part") };
    assert_eq!(credential.state, issuance::credential::CredentialState::Revoked);

    // Put right, everything is compiled anew.
    put(&scene.api, &find("device"));
    scene.until_seen().await;
    let right = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    assert_eq!(right.parts().len(), before.parts().len());
}

/// A settled operator whose credential is about to be rotated, and the value that it has.
async fn due_for_rotation() -> (Scene, Vec<u8>) {
    let api = FakeApi::new();
    for mut document in example() {
        if document["kind"] == "EnrollmentCredential" {
            document["spec"]["rotation"] = json!({ "every": "30d", "overlap": "1d" });
        }
        put(&api, &document);
    }
    let mut scene = Scene::new(api).await;
    scene.settle().await;
    let mut old: Secret = scene.api.get(Some("enrollment"), "factory").unwrap();
    let made_at = "chancery.dev/created-at".to_owned();
    old.metadata.annotations.get_or_insert_default().insert(made_at, "2020-01-01T00:00:00Z".into());
    let before = old.data.as_ref().unwrap()["password"].0.clone();
    scene.api.put(&old);
    scene.until_seen().await;
    (scene, before)
}

/// What events say of rotations.
fn announced(api: &FakeApi) -> Vec<Event> {
    let is_of_rotation = |event: &Event| event.reason.as_deref() == Some("ValueRotated");
    api.all::<Event>().into_iter().filter(is_of_rotation).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_announced_once_the_server_is_given_both_values_and_by_whichever_process() {
    let (mut scene, _) = due_for_rotation().await;
    scene.api.refuse(
        "*",
        &part_secret_name(PartKind::Credential, &name("enrollment/factory")),
        500,
        "InternalError",
        usize::MAX,
    );
    scene.reconciler.pass().await.unwrap();
    let rotated: Secret = scene.api.get(Some("enrollment"), "factory").unwrap();
    assert!(rotated.data.unwrap().contains_key("previous"));
    scene.until_seen().await;
    assert_eq!(announced(&scene.api), [], "it is not published");

    // It is published then, and cannot be announced.
    scene.api.relent();
    scene.api.refuse("POST", "/events", 500, "InternalError", usize::MAX);
    scene.settle().await;
    assert_eq!(announced(&scene.api), []);
    scene.api.relent();
    scene.reconciler.pass().await.unwrap();
    let events = announced(&scene.api);
    assert_eq!(events.len(), 1);

    // Another process does not know what was announced.
    scene.reconciler.pass().await.unwrap();
    let mut scene = Scene::new(scene.api.clone()).await;
    scene.settle().await;
    assert_eq!(announced(&scene.api), events);
    scene.api.delete::<Event>(Some("enrollment"), events[0].metadata.name.as_deref().unwrap());
    scene.settle().await;
    assert_eq!(announced(&scene.api), [], "once for each process");
    let mut scene = Scene::new(scene.api.clone()).await;
    scene.settle().await;
    assert_eq!(announced(&scene.api).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_announced_and_the_server_is_given_both_values() {
    let (mut scene, before) = due_for_rotation().await;
    scene.settle().await;

    let credential: EnrollmentCredential = scene.api.get(Some("enrollment"), "factory").unwrap();
    let until =
        credential.status.unwrap().previous_value_until.expect("the status says nothing").0.as_second();
    let until = pki::time::Time::from_unix(until);
    let told: Vec<(String, String)> = announced(&scene.api)
        .into_iter()
        .map(|event| (event.regarding.unwrap().name.unwrap(), event.note.unwrap()))
        .collect();
    let note = format!("the Secret factory has a new value; the one before is accepted until {until}");
    assert_eq!(told, [("factory".to_owned(), note)]);

    let part = part_secret_name(PartKind::Credential, &name("enrollment/factory"));
    let part: Secret = scene.api.get(Some("enrollment"), &part).unwrap();
    let part = Part::from_json(&part.data.unwrap()[labels::PART_KEY].0).unwrap();
    let PartContent::Credential(compiled) = part.content else { panic!("another part") };
    let previous = compiled.previous.unwrap();
    assert_eq!((previous.value.expose(), previous.until), (before.as_slice(), until));
    let now: Secret = scene.api.get(Some("enrollment"), "factory").unwrap();
    assert_ne!(now.data.unwrap()["password"].0, before);
}
