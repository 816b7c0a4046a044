//! The value before a rotation.

use issuance::{
    audit::Action,
    credential::{PreviousValue, Verifier, hmac_key_fingerprint},
    ports::{Clock as _, SystemClock},
    rest::AccessKey,
};
use resolve::CompiledPrevious;

use super::*;

fn later() -> Time {
    Time::from_unix(SystemClock.now().unix() + 3600)
}

fn generated(value: &Secret) -> CompiledCredential {
    key(CredentialValue::Generated(value.clone()))
}

/// The second value, with the first beside it.
fn rotated(first: &Secret, second: &Secret, until: Time) -> CompiledCredential {
    let previous = Some(CompiledPrevious { value: first.clone(), until });
    CompiledCredential { regeneration: 1, previous, ..generated(second) }
}

fn keys() -> [Secret; 3] {
    [(); 3].map(|()| generate_hmac_key().unwrap())
}

impl Scene {
    fn before(&self, row: &CredentialRow) -> Option<Secret> {
        let previous = row.previous.as_ref()?;
        previous.verifier.hmac_key(&self.keys(), &row.id).unwrap()
    }
}

#[tokio::test]
async fn a_regeneration_ends_the_value_before_in_the_same_commit() {
    let mut scene = Scene::new();
    let [first, second, third] = keys();
    scene.row(&generated(&first)).await;
    let overlapping = scene.row(&rotated(&first, &second, later())).await;
    assert_eq!(scene.before(&overlapping), Some(first));
    let regenerated = scene.row(&CompiledCredential { regeneration: 2, ..generated(&third) }).await;
    assert_eq!((scene.opened(&regenerated), regenerated.previous), (third, None));
    assert_eq!(regenerated.version, overlapping.version + 1);
}

#[tokio::test]
async fn a_rotation_puts_both_values_into_the_row_and_the_trail_says_until_when() {
    let mut scene = Scene::new();
    let [first, second, _] = keys();
    let row = scene.row(&generated(&first)).await;
    let until = later();
    let wanted = rotated(&first, &second, until);
    let overlapping = scene.row(&wanted).await;
    assert_eq!((scene.opened(&overlapping), scene.before(&overlapping)), (second.clone(), Some(first)));
    assert_eq!(overlapping.previous.as_ref().map(|previous| previous.until), Some(until));
    assert_eq!((overlapping.version, overlapping.regeneration), (row.version + 1, 1));
    let stream = &scene.engine.store().audit_streams().await.unwrap()[0];
    let records = scene.engine.store().audit_records(stream, 0, 100).await.unwrap();
    let event = records.last().unwrap().event().unwrap();
    let said = format!("web/key; the value before is accepted until {until}");
    assert_eq!((event.action, event.reason), (Action::CredentialRegenerated, Some(said)));
    // Nothing is sealed anew for looking at it again.
    scene.restart();
    assert_eq!(scene.row(&wanted).await, overlapping);
    use_once(&scene, &overlapping).await;
    // The operator has removed it.
    let after = scene.row(&CompiledCredential { previous: None, ..wanted }).await;
    assert_eq!((after.previous, after.uses), (None, 1));
    assert_eq!(after.verifier, overlapping.verifier);
}

#[tokio::test]
async fn a_value_whose_time_is_over_or_that_is_none_is_not_taken_as_the_one_before() {
    let [first, second, _] = keys();
    let nothing = Secret::new(Vec::new());
    for (value, until) in [(&first, Time::from_unix(1)), (&nothing, later())] {
        let mut scene = Scene::new();
        scene.row(&generated(&first)).await;
        let row = scene.row(&rotated(value, &second, until)).await;
        assert_eq!((scene.opened(&row), row.previous), (second.clone(), None));
    }
}

#[tokio::test]
async fn whose_uses_are_counted_has_no_value_before_that_would_be_good_again() {
    let mut scene = Scene::new();
    let [first, second, _] = keys();
    let once = |wanted| CompiledCredential { maximum_uses: Some(1), ..wanted };
    let row = scene.row(&once(generated(&first))).await;
    use_once(&scene, &row).await;
    let wanted = once(rotated(&first, &second, later()));
    let row = scene.row(&wanted).await;
    assert_eq!((scene.opened(&row), row.uses, &row.previous), (second, 0, &None));
    // Nor once the new value is used up, by a server that has seen nothing of the old one.
    use_once(&scene, &row).await;
    scene.restart();
    assert_eq!(scene.row(&wanted).await.previous, None);
}

#[tokio::test]
async fn a_credential_that_has_ended_keeps_no_value_before() {
    let [first, second, _] = keys();
    for (state, expires_at) in
        [(CredentialState::Revoked, None), (CredentialState::Active, Some(Time::from_unix(1)))]
    {
        let mut scene = Scene::new();
        scene.row(&generated(&first)).await;
        let overlapping = rotated(&first, &second, later());
        assert!(scene.row(&overlapping).await.previous.is_some());
        assert_eq!(scene.row(&CompiledCredential { state, expires_at, ..overlapping }).await.previous, None);
    }
}

#[tokio::test]
async fn a_key_before_moves_to_the_newest_sealing_key_and_is_sealed_anew_where_none_opens_it() {
    let mut scene = Scene::new();
    let [first, second, _] = keys();
    scene.row(&generated(&first)).await;
    let wanted = rotated(&first, &second, later());
    scene.row(&wanted).await;
    for lines in [|old: &str| format!("{}\n{old}", sealing_line()), |_: &str| sealing_line()] {
        scene.sealing = lines(&scene.sealing);
        scene.restart();
        let row = scene.row(&wanted).await;
        scene.sealing = scene.sealing.lines().next().unwrap().to_owned();
        assert_eq!((scene.opened(&row), scene.before(&row)), (second.clone(), Some(first.clone())));
        let fingerprint = row.previous.unwrap().verifier.fingerprint();
        assert_eq!(fingerprint, Some(hmac_key_fingerprint(&first)));
    }
}

#[tokio::test]
async fn a_password_or_an_access_key_before_is_hashed_and_the_key_must_have_the_name() {
    let other = AccessKey::generate().unwrap();
    let first = AccessKey::generate().unwrap();
    let second = AccessKey::regenerate(first.name()).unwrap();
    for (before, taken) in [(&first, true), (&other, false)] {
        for protocol in [Protocol::Rest, Protocol::Est] {
            let mut scene = Scene::new();
            let username = (protocol == Protocol::Est).then(|| first.name().to_owned());
            let wanted = CompiledCredential {
                protocol,
                username,
                ..rotated(before.secret(), second.secret(), later())
            };
            assert!(scene.declare(&wanted).await.is_empty());
            let rows = scene.engine.store().credentials_for(&wanted.method, first.name()).await.unwrap();
            let expected = PreviousValue {
                verifier: Verifier::of_generated(before.secret()),
                until: wanted.previous.as_ref().unwrap().until,
            };
            let expected = (taken || protocol == Protocol::Est).then_some(expected);
            assert_eq!(rows[0].previous, expected, "{protocol}");
        }
    }
}
