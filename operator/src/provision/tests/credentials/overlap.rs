//! The value before a rotation: kept for a while, and no longer.

use resolve::CompiledPrevious;

use super::*;

const ROTATION: &str = ", rotation: {every: 30d, overlap: 1d}";

/// What the server is given: the value, and the one before.
type Given = (secret::Secret, Option<CompiledPrevious>);

impl Scene {
    async fn both(&mut self, resources: Resources) -> Given {
        let (found, fulfilled) = self.fulfil_all(resources).await;
        let found = found.unwrap_or_else(|| panic!("{:?}", fulfilled.failures));
        match found.value {
            CredentialValue::Generated(value) => (value, found.previous),
            other => panic!("{other:?}"),
        }
    }

    /// A value, and the one that follows it after 30 days.
    async fn rotated(&mut self) -> (secret::Secret, secret::Secret, Time) {
        let (first, before) = self.both(declared(ROTATION)).await;
        assert_eq!(before, None);
        self.clock.turn(30 * DAY);
        let until = self.clock.now().plus_seconds(DAY);
        let (second, before) = self.both(declared(ROTATION)).await;
        assert_ne!(second, first);
        assert_eq!(before, Some(CompiledPrevious { value: first.clone(), until }));
        (first, second, until)
    }

    fn restart(&mut self) {
        self.values = Values::new(self.api.client(), self.clock.clone());
    }

    fn keys(&self) -> Vec<String> {
        self.secret().data.unwrap_or_default().into_keys().collect()
    }

    fn says_until(&self) -> bool {
        let annotations = self.secret().metadata.annotations.unwrap_or_default();
        annotations.contains_key("chancery.dev/previous-until")
    }
}

#[tokio::test]
async fn a_regeneration_ends_the_value_before_at_once() {
    for extra in [", regeneration: 1", ", regeneration: 1, rotation: {every: 30d, overlap: 1d}"] {
        let mut scene = Scene::new().await;
        let (first, second, _) = scene.rotated().await;
        let (third, before) = scene.both(declared(extra)).await;
        assert_eq!(before, None, "{extra}");
        assert!(third != second && third != first);
        assert_eq!(scene.keys(), ["password", "username"]);
        assert!(!scene.says_until());
    }
}

#[tokio::test]
async fn a_regeneration_that_comes_when_the_value_is_due_keeps_none_before() {
    let mut scene = Scene::new().await;
    scene.both(declared(ROTATION)).await;
    scene.clock.turn(30 * DAY);
    let (_, before) = scene.both(declared(&format!("{ROTATION}, regeneration: 1"))).await;
    assert_eq!(before, None);
}

#[tokio::test]
async fn what_ends_takes_the_value_before_with_it() {
    for ended in [", revoked: true", ", expiresAt: '2020-01-01T00:00:00Z'"] {
        let mut scene = Scene::new().await;
        scene.rotated().await;
        let (nothing, before) = scene.both(declared(ended)).await;
        assert!(nothing.is_empty() && before.is_none(), "{ended}");
        assert_eq!(scene.keys(), ["username"], "{ended}");
        assert!(!scene.says_until(), "{ended}");
    }
}

#[tokio::test]
async fn without_an_overlap_there_is_no_value_before() {
    let mut scene = Scene::new().await;
    let rotation = ", rotation: {every: 30d}";
    scene.both(declared(rotation)).await;
    scene.clock.turn(30 * DAY);
    let (_, fulfilled) = scene.fulfil(rotation).await;
    assert!(fulfilled.rotated.contains(&named("credential")));
    let facts = &fulfilled.values[&named("credential")];
    assert_eq!(facts.previous_until, None);
    assert_eq!(facts.announcement(), "the Secret credential has a new value; the one before is refused");
    assert_eq!(scene.both(declared(rotation)).await.1, None);
    assert_eq!(scene.keys(), ["password", "username"]);
}

#[tokio::test]
async fn the_value_before_is_kept_for_the_overlap_and_then_removed() {
    let mut scene = Scene::new().await;
    scene.both(declared(ROTATION)).await;
    scene.clock.turn(30 * DAY);
    let until = scene.clock.now().plus_seconds(DAY);
    let (_, fulfilled) = scene.fulfil(ROTATION).await;
    assert!(fulfilled.rotated.contains(&named("credential")));
    let facts = &fulfilled.values[&named("credential")];
    assert_eq!((facts.previous_until, fulfilled.due), (Some(until), Some(until)));
    assert_eq!(
        facts.announcement(),
        format!("the Secret credential has a new value; the one before is accepted until {until}")
    );
    let data = scene.secret().data.unwrap();
    let (second, before) = scene.both(declared(ROTATION)).await;
    let first = before.clone().unwrap().value;
    assert_eq!(
        (data["password"].0.as_slice(), data["previous"].0.as_slice()),
        (second.expose(), first.expose())
    );
    // Also after the operator was started anew, which has nothing to announce.
    scene.clock.turn(DAY - 1);
    scene.restart();
    scene.api.forget_calls();
    let (_, fulfilled) = scene.fulfil(ROTATION).await;
    assert_eq!((fulfilled.rotated.len(), fulfilled.due), (0, Some(until)));
    assert_eq!(scene.both(declared(ROTATION)).await, (second.clone(), before));
    assert_eq!(scene.api.writes(), []);
    scene.clock.turn(1);
    let (_, fulfilled) = scene.fulfil(ROTATION).await;
    assert_eq!(fulfilled.values[&named("credential")].previous_until, None);
    assert_eq!(scene.both(declared(ROTATION)).await, (second, None));
    assert_eq!(scene.keys(), ["password", "username"]);
    assert!(!scene.says_until());
}

#[tokio::test]
async fn a_longer_overlap_prolongs_nothing_that_was_announced_and_a_shorter_one_cuts_it_off() {
    let mut scene = Scene::new().await;
    let (first, second, until) = scene.rotated().await;
    let before = |until| Some(CompiledPrevious { value: first.clone(), until });
    let longer = ", rotation: {every: 30d, overlap: 9d}";
    assert_eq!(scene.both(declared(longer)).await, (second.clone(), before(until)));
    let shorter = ", rotation: {every: 30d, overlap: 12h}";
    let sooner = until.plus_seconds(-DAY / 2);
    assert_eq!(scene.both(declared(shorter)).await, (second.clone(), before(sooner)));
    assert_eq!(scene.both(declared(longer)).await, (second.clone(), before(sooner)));
    let none = ", rotation: {every: 30d}";
    assert_eq!(scene.both(declared(none)).await, (second.clone(), None));
    assert_eq!(scene.both(declared(longer)).await, (second, None));
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_prolongs_nothing() {
    for is_restarted in [false, true] {
        let mut scene = Scene::new().await;
        let (first, _) = scene.both(declared(ROTATION)).await;
        scene.clock.turn(40 * DAY);
        let (second, before) = scene.both(declared(ROTATION)).await;
        assert_eq!(before.map(|before| before.value), Some(first.clone()));
        scene.clock.turn(-40 * DAY);
        let until = scene.clock.now().plus_seconds(DAY);
        if is_restarted {
            scene.restart();
        } else {
            // Nothing has changed but the clock.
            let world = World::holding_secret(&scene.secret());
            let (_, fulfilled) = scene.fulfil_in(declared(ROTATION), Some(&world)).await;
            assert_eq!(fulfilled.values[&named("credential")].previous_until, Some(until));
        }
        let before = Some(CompiledPrevious { value: first, until });
        assert_eq!(scene.both(declared(ROTATION)).await, (second.clone(), before.clone()));
        let (_, fulfilled) = scene.fulfil(ROTATION).await;
        let facts = &fulfilled.values[&named("credential")];
        assert_eq!(facts.rotates_at, Some(scene.clock.now().plus_seconds(30 * DAY)));
        // Once, and not until that moment comes.
        scene.clock.turn(3600);
        assert_eq!(scene.both(declared(ROTATION)).await, (second.clone(), before));
        scene.clock.turn(DAY - 3600);
        assert_eq!(scene.both(declared(ROTATION)).await, (second.clone(), None));
        scene.clock.turn(29 * DAY);
        assert_ne!(scene.both(declared(ROTATION)).await.0, second);
    }
}

#[tokio::test]
async fn a_rotation_in_an_overlap_leaves_the_older_value_behind() {
    let mut scene = Scene::new().await;
    let (_, second, _) = scene.rotated().await;
    scene.clock.turn(3600);
    let (third, before) = scene.both(declared(", rotation: {every: 1h, overlap: 1m}")).await;
    assert_ne!(third, second);
    let until = scene.clock.now().plus_seconds(60);
    assert_eq!(before, Some(CompiledPrevious { value: second, until }));
}

#[tokio::test]
async fn a_secret_that_does_not_say_until_when_keeps_no_value_before() {
    let mut scene = Scene::new().await;
    let (_, second, _) = scene.rotated().await;
    let mut broken = scene.secret();
    broken.metadata.annotations.as_mut().unwrap().remove("chancery.dev/previous-until");
    scene.api.put(&broken);
    scene.restart();
    assert_eq!(scene.both(declared(ROTATION)).await, (second, None));
}

#[tokio::test]
async fn an_access_key_keeps_its_name_where_the_one_before_is_accepted() {
    let mut scene = Scene::new().await;
    let name = |key: &secret::Secret| AccessKey::parse(key).unwrap().name().to_owned();
    let (first, _) = scene.both(declared_access_key(ROTATION)).await;
    scene.clock.turn(30 * DAY);
    let (second, before) = scene.both(declared_access_key(ROTATION)).await;
    assert_eq!(before.as_ref().map(|before| &before.value), Some(&first));
    assert!(second != first && name(&second) == name(&first));
    scene.restart();
    assert_eq!(scene.both(declared_access_key(ROTATION)).await, (second.clone(), before));
    let regenerated = format!("{ROTATION}, regeneration: 1");
    let (third, before) = scene.both(declared_access_key(&regenerated)).await;
    assert!(before.is_none() && name(&third) != name(&second));
}

#[tokio::test]
async fn a_key_before_lies_in_its_secret_as_clients_take_it() {
    let mut scene = Scene::new().await;
    let (first, _) = scene.both(declared_key(ROTATION)).await;
    scene.clock.turn(30 * DAY);
    let (_, before) = scene.both(declared_key(ROTATION)).await;
    assert_eq!(before.unwrap().value, first);
    let data = scene.secret().data.unwrap();
    assert_eq!(ValueForm::HmacKey.read(&data["previous"].0), Ok(first));
    assert_eq!(data.keys().collect::<Vec<_>>(), ["hmac", "kid", "previous"]);
}
