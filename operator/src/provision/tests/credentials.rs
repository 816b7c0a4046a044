//! Values of credentials.

mod overlap;

use std::sync::Arc;

use crds::labels;
use issuance::{
    credential::{CredentialState, Verifier},
    identity::{Owner, Protocol, ResourceName},
    ports::Clock as _,
    rest::{AccessKey, RestActions},
    secret,
};
use k8s_openapi::api::core::v1::Secret;
use pki::time::Time;
use resolve::{Compiled, CompiledCredential, CredentialValue, Resources, ValueForm};

use super::{DAY, Hands, compiled, foreign, named, resources, secret};
use crate::{
    provision::credentials::{Fulfilled, Values},
    testing::FakeApi,
    world::World,
};

struct Scene {
    api: FakeApi,
    clock: Arc<Hands>,
    values: Values,
    compiled: Compiled,
}

impl Scene {
    async fn new() -> Self {
        let (api, clock) = (FakeApi::new(), Hands::new());
        // Authorities in an API of their own: only Secrets of credentials are in `api`.
        let compiled = compiled().await;
        let values = Values::new(api.client(), clock.clone());
        Self { api, clock, values, compiled }
    }

    /// What the server is given for the credential, if it is given any.
    async fn fulfil(&mut self, credential: &str) -> (Option<CompiledCredential>, Fulfilled) {
        self.fulfil_all(declared(credential)).await
    }

    async fn fulfil_all(&mut self, resources: Resources) -> (Option<CompiledCredential>, Fulfilled) {
        self.fulfil_in(resources, None).await
    }

    async fn fulfil_in(
        &mut self,
        resources: Resources,
        world: Option<&World>,
    ) -> (Option<CompiledCredential>, Fulfilled) {
        let mut compiled = Compiled { credentials: vec![compile(&resources)], ..self.compiled.clone() };
        let fulfilled = self.values.fulfil(&mut compiled, &resources, world).await;
        (compiled.credentials.pop(), fulfilled)
    }

    async fn given(&mut self, credential: &str) -> (secret::Secret, u64) {
        let (found, fulfilled) = self.fulfil(credential).await;
        let found = found.unwrap_or_else(|| panic!("{:?}", fulfilled.failures));
        match found.value {
            CredentialValue::Generated(value) => (value, found.regeneration),
            other => panic!("{other:?}"),
        }
    }

    fn secret(&self) -> Secret {
        secret(&self.api, "pki", "credential")
    }

    fn password(&self) -> Option<Vec<u8>> {
        Some(self.secret().data?.get("password")?.0.clone())
    }
}

fn declared(extra: &str) -> Resources {
    resources(&format!(
        "
kind: EnrollmentCredential
metadata: {{name: credential, namespace: pki}}
spec: {{methodRef: {{name: method}}, est: {{username: line-3}}, owner: {{group: factory}}{extra}}}
"
    ))
}

fn declared_key(extra: &str) -> Resources {
    resources(&format!(
        "
kind: EnrollmentCredential
metadata: {{name: credential, namespace: pki}}
spec: {{methodRef: {{name: method}}, acme: {{kid: web-1}}, owner: {{group: factory}}{extra}}}
"
    ))
}

fn declared_access_key(extra: &str) -> Resources {
    resources(&format!(
        "
kind: EnrollmentCredential
metadata: {{name: credential, namespace: pki}}
spec: {{methodRef: {{name: method}}, rest: {{}}, owner: {{group: factory}}{extra}}}
"
    ))
}

/// As resolving does.
fn compile(resources: &Resources) -> CompiledCredential {
    let spec = &resources.credentials[0].spec;
    let write_to = spec.write_to.as_ref().map_or("credential", |target| target.secret_name.as_str());
    CompiledCredential {
        name: named("credential"),
        method: named("method"),
        protocol: match (&spec.acme, &spec.rest) {
            (Some(_), _) => Protocol::Acme,
            (None, Some(_)) => Protocol::Rest,
            (None, None) => Protocol::Est,
        },
        username: match (&spec.est, &spec.acme) {
            (Some(est), _) => est.username.clone(),
            (None, acme) => acme.as_ref().and_then(|acme| acme.kid.clone()),
        },
        identifiers: None,
        actions: RestActions::default(),
        owner: Owner::Group("factory".into()),
        expires_at: spec.expires_at.as_ref().map(|end| Time::from_unix(end.0.as_second())),
        maximum_uses: None,
        state: if spec.revoked { CredentialState::Revoked } else { CredentialState::Active },
        regeneration: spec.regeneration.into(),
        value: CredentialValue::Generate { write_to: ResourceName::new("pki", write_to) },
        previous: None,
    }
}

#[tokio::test]
async fn a_secret_that_something_else_made_is_never_overwritten_and_opens_nothing() {
    let mut scene = Scene::new().await;
    for type_ in ["Opaque", "kubernetes.io/basic-auth"] {
        let before = scene.api.put(&foreign("pki", "credential", type_));
        let (given, fulfilled) = scene.fulfil("").await;
        assert_eq!(given, None);
        let failure = &fulfilled.failures[&named("credential")];
        assert!(failure.text.contains("in the way") && !failure.retried, "{failure:?}");
        assert_eq!(scene.secret(), before);
    }
}

#[tokio::test]
async fn the_secret_of_another_credential_is_not_shared() {
    let mut scene = Scene::new().await;
    scene.given("").await;
    let mut other = scene.secret();
    let labels = other.metadata.labels.as_mut().unwrap();
    labels.insert(labels::OWNER_UID.into(), "EnrollmentCredential-other".into());
    let annotations = other.metadata.annotations.as_mut().unwrap();
    annotations.insert(labels::FOR.into(), "pki/other".into());
    let before = scene.api.put(&other);
    let (given, fulfilled) = scene.fulfil("").await;
    assert_eq!((given, fulfilled.failures.len()), (None, 1));
    assert_eq!(scene.secret(), before);
}

#[tokio::test]
async fn a_value_is_made_once_and_is_what_the_secret_says() {
    let mut scene = Scene::new().await;
    let (value, _) = scene.given("").await;
    assert_eq!(scene.password().as_deref(), Some(value.expose()));
    let made = scene.secret();
    assert_eq!(made.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_eq!(made.data.as_ref().unwrap()["username"].0, b"line-3");
    let owner = &made.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str()),
        ("EnrollmentCredential", "EnrollmentCredential-credential")
    );
    scene.api.forget_calls();
    assert_eq!(scene.given("").await.0, value);
    // Also after the operator was started anew.
    scene.values = Values::new(scene.api.client(), scene.clock.clone());
    assert_eq!(scene.given("").await.0, value);
    assert_eq!(scene.api.writes(), []);
}

#[tokio::test]
async fn a_grown_regeneration_makes_another_value_and_a_lower_one_does_not() {
    let mut scene = Scene::new().await;
    let (first, number) = scene.given("").await;
    let (second, next) = scene.given(", regeneration: 4").await;
    assert_ne!(first, second);
    assert!(next > number);
    assert_eq!(scene.password().as_deref(), Some(second.expose()));
    assert_eq!(scene.given(", regeneration: 2").await.0, second);
}

#[tokio::test]
async fn a_value_is_replaced_when_it_is_as_old_as_it_may_be() {
    let mut scene = Scene::new().await;
    let rotation = ", rotation: {every: 30d}";
    let (first, number) = scene.given(rotation).await;
    let due = scene.clock.now().plus_seconds(30 * DAY);
    let (_, fulfilled) = scene.fulfil(rotation).await;
    assert_eq!(fulfilled.values[&named("credential")].rotates_at, Some(due));
    assert_eq!(fulfilled.due, Some(due));
    scene.clock.turn(30 * DAY - 1);
    assert_eq!(scene.given(rotation).await.0, first);
    scene.clock.turn(1);
    let (second, next) = scene.given(rotation).await;
    assert_ne!(second, first);
    assert!(next > number);
    // Both kinds of replacement count up together.
    let (_, last) = scene.given(", rotation: {every: 30d}, regeneration: 1").await;
    assert!(last > next);
}

#[tokio::test]
async fn a_secret_that_was_emptied_or_deleted_gets_another_value() {
    let mut scene = Scene::new().await;
    let (first, _) = scene.given("").await;
    let mut emptied = scene.secret();
    emptied.data.as_mut().unwrap().remove("password");
    scene.api.put(&emptied);
    let (second, _) = scene.given("").await;
    assert_ne!(second, first);
    scene.api.delete::<Secret>(Some("pki"), "credential");
    let (third, _) = scene.given("").await;
    assert_ne!(third, second);
    assert_eq!(scene.password().as_deref(), Some(third.expose()));
}

#[tokio::test]
async fn what_has_ended_has_no_value_any_more_and_nothing_opens_it() {
    for ended in [", revoked: true", ", expiresAt: '2020-01-01T00:00:00Z'"] {
        let mut scene = Scene::new().await;
        let (first, _) = scene.given("").await;
        let (nothing, _) = scene.given(ended).await;
        assert_eq!(scene.password(), None, "{ended}");
        assert_eq!(scene.secret().data.unwrap()["username"].0, b"line-3");
        let verifier = Verifier::of_generated(&nothing);
        for presented in [first.expose(), b"", b"anything"] {
            assert!(!verifier.matches(&secret::Secret::new(presented)).unwrap(), "{ended}");
        }
        scene.api.forget_calls();
        scene.given(ended).await;
        assert_eq!(scene.api.writes(), [], "{ended}");
    }
}

#[tokio::test]
async fn what_was_revoked_opens_nothing_also_where_its_secret_cannot_be_emptied() {
    let mut scene = Scene::new().await;
    let (first, _) = scene.given("").await;
    scene.api.put(&foreign("pki", "credential", "Opaque"));
    let (given, fulfilled) = scene.fulfil(", revoked: true").await;
    assert_eq!(fulfilled.failures.len(), 1);
    let given = given.unwrap();
    assert_eq!(given.state, CredentialState::Revoked);
    let CredentialValue::Generated(value) = given.value else { panic!("{:?}", given.value) };
    assert!(!Verifier::of_generated(&value).matches(&first).unwrap());
}

#[tokio::test]
async fn what_ends_before_it_began_has_a_secret_without_a_value() {
    let mut scene = Scene::new().await;
    scene.given(", est: {}, revoked: true").await;
    let data = scene.secret().data.unwrap();
    // The type wants one of its two keys.
    assert_eq!(data.keys().collect::<Vec<_>>(), ["username"]);
}

#[tokio::test]
async fn the_secret_of_a_former_resource_of_the_same_name_is_not_taken_over() {
    let mut scene = Scene::new().await;
    let (first, _) = scene.given("").await;
    let mut former = scene.secret();
    former.metadata.labels.as_mut().unwrap().insert(labels::OWNER_UID.into(), "former".into());
    scene.api.put(&former);
    let (second, _) = scene.given("").await;
    assert_ne!(second, first);
    assert_eq!(scene.secret().metadata.labels.unwrap()[labels::OWNER_UID], "EnrollmentCredential-credential");
}

#[tokio::test]
async fn an_api_server_that_fails_leaves_others_alone_and_is_asked_again() {
    let mut scene = Scene::new().await;
    scene.api.refuse("POST", "secrets", 500, "InternalError", 1);
    let (given, fulfilled) = scene.fulfil("").await;
    assert_eq!(given, None);
    assert!(fulfilled.retried && fulfilled.failures[&named("credential")].retried);
    scene.given("").await;
}

#[tokio::test]
async fn a_key_for_acme_lies_in_its_secret_as_clients_take_it() {
    let mut scene = Scene::new().await;
    let given = async |scene: &mut Scene, extra: &str| {
        let (found, fulfilled) = scene.fulfil_all(declared_key(extra)).await;
        let found = found.unwrap_or_else(|| panic!("{:?}", fulfilled.failures));
        match found.value {
            CredentialValue::Generated(value) => value,
            other => panic!("{other:?}"),
        }
    };
    let hmac = |scene: &Scene| String::from_utf8(scene.secret().data.unwrap()["hmac"].0.clone()).unwrap();
    let key = given(&mut scene, "").await;
    assert_eq!(key.expose().len(), 32);
    let made = scene.secret();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    let data = made.data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["hmac", "kid"]);
    assert_eq!(data["kid"].0, b"web-1");
    let text = hmac(&scene);
    assert_eq!(ValueForm::HmacKey.read(text.as_bytes()), Ok(key.clone()));
    assert!(text.len() == 43 && !text.contains(['=', '+', '/', '\n']), "{text}");
    // The Secret is the truth, also for an operator that was started anew.
    scene.values = Values::new(scene.api.client(), scene.clock.clone());
    assert_eq!(given(&mut scene, "").await, key);
    // What somebody broke is no key: it is replaced, as one that was removed.
    let mut broken = scene.secret();
    broken.data.as_mut().unwrap().get_mut("hmac").unwrap().0 = b"not a key".to_vec();
    scene.api.put(&broken);
    scene.values = Values::new(scene.api.client(), scene.clock.clone());
    let other = given(&mut scene, "").await;
    assert_ne!(other, key);
    let regenerated = given(&mut scene, ", regeneration: 1").await;
    assert_ne!(regenerated, other);
    assert_eq!(ValueForm::HmacKey.read(hmac(&scene).as_bytes()), Ok(regenerated));
    // Nothing is left of it when it has ended.
    let ended = given(&mut scene, ", regeneration: 1, revoked: true").await;
    assert!(ended.is_empty());
    assert_eq!(scene.secret().data.unwrap().keys().collect::<Vec<_>>(), ["kid"]);
}

#[tokio::test]
async fn a_secret_of_another_kind_is_not_made_one_for_acme() {
    let mut scene = Scene::new().await;
    scene.given("").await;
    let before = scene.secret();
    let (given, fulfilled) = scene.fulfil_all(declared_key("")).await;
    assert_eq!((given, fulfilled.failures.len()), (None, 1));
    assert_eq!(scene.secret(), before);
}

#[tokio::test]
async fn an_access_key_lies_in_its_secret_as_it_is_sent() {
    let mut scene = Scene::new().await;
    let given = async |scene: &mut Scene, extra: &str| {
        let (found, fulfilled) = scene.fulfil_all(declared_access_key(extra)).await;
        let found = found.unwrap_or_else(|| panic!("{:?}", fulfilled.failures));
        match found.value {
            CredentialValue::Generated(value) => (value, found.regeneration),
            other => panic!("{other:?}"),
        }
    };
    let (key, _) = given(&mut scene, "").await;
    assert!(AccessKey::parse(&key).is_some());
    let made = scene.secret();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    let data = made.data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["accessKey"]);
    assert_eq!(data["accessKey"].0, key.expose());
    // The Secret is the truth, also for an operator that was started anew.
    scene.values = Values::new(scene.api.client(), scene.clock.clone());
    assert_eq!(given(&mut scene, "").await, (key.clone(), 0));
    // What somebody broke is no key: it is replaced, as one that was removed.
    let mut broken = scene.secret();
    broken.data.as_mut().unwrap().get_mut("accessKey").unwrap().0.push(b'\n');
    scene.api.put(&broken);
    scene.values = Values::new(scene.api.client(), scene.clock.clone());
    let (mended, _) = given(&mut scene, "").await;
    assert_ne!(mended, key);
    // Another value has another name, too.
    let name = |key: &secret::Secret| AccessKey::parse(key).unwrap().name().to_owned();
    let (regenerated, number) = given(&mut scene, ", regeneration: 1").await;
    assert!(number == 1 && name(&regenerated) != name(&mended));
    let rotating = ", regeneration: 1, rotation: {every: 1d}";
    assert_eq!(given(&mut scene, rotating).await.0, regenerated);
    scene.clock.turn(DAY);
    let (rotated, number) = given(&mut scene, rotating).await;
    assert!(number == 2 && name(&rotated) != name(&regenerated));
    assert_eq!(scene.secret().data.unwrap()["accessKey"].0, rotated.expose());
    // Nothing is left of it when it has ended.
    let (ended, _) = given(&mut scene, ", regeneration: 1, revoked: true").await;
    assert!(ended.is_empty());
    assert!(scene.secret().data.unwrap_or_default().is_empty());
}
