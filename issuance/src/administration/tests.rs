//! Who may do what to which credential.

mod administered;

use std::sync::Arc;

use super::{
    AdministrationError, Administrator, Change, NewCredential, NewValue, NewVerifier, Target, named_id,
};
use crate::{
    Error,
    audit::{Action, Actor, AuditOutcome},
    authn::{Authenticated, Freshness},
    credential::{CredentialRow, CredentialState, PreviousValue, Verifier},
    identity::{CredentialId, Owner, Protocol, ResourceName},
    rest::{RestAction, RestActions},
    secret::Secret,
    store::{Commit, Expect, MethodScope, Store, Write, memory::MemoryStore},
    testing::{Before, HookedStore, NOW, Scene, policy},
};

/// Ann may read, and manage credentials.
fn own_actions() -> RestActions {
    [RestAction::Read, RestAction::Credentials].into_iter().collect()
}

struct Desk {
    scene: Scene,
    ann: Authenticated,
    /// That of ann's method.
    scope: MethodScope,
    /// What she makes and changes credentials of.
    target: Target,
}

impl Desk {
    async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::default())).await
    }

    async fn on(store: Arc<dyn Store>) -> Self {
        let scene = Scene::on(store, &policy()).await;
        scene.change_ann(|row| row.actions = own_actions()).await;
        let evidence = scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await.unwrap();
        let ann = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
        let method = scene.method.name.clone();
        let scope = MethodScope::from(method.clone());
        let target = Target { method, protocol: Protocol::Rest, scope: Some(scope.clone()) };
        Self { scene, ann, scope, target }
    }

    fn by(&self) -> Administrator<'_> {
        Administrator { authenticated: &self.ann, actions: own_actions(), scope: &self.scope }
    }

    async fn create(&self, wanted: NewCredential) -> Result<CredentialRow, AdministrationError> {
        self.scene.engine.create_credential(self.by(), &self.target, wanted).await
    }

    async fn change(&self, id: &CredentialId, change: Change) -> Result<CredentialRow, AdministrationError> {
        self.scene.engine.change_credential(self.by(), &self.target, id, &change).await
    }

    async fn stored(&self, id: &CredentialId) -> CredentialRow {
        self.scene.store.credential(id).await.unwrap().unwrap()
    }

    /// What the trail says last: action, outcome, credential, reason; always done by ann.
    async fn last(&self) -> (Action, AuditOutcome, Option<CredentialId>, String) {
        let last = self.scene.events().await.pop().unwrap();
        assert_eq!(last.actor, Actor::of(self.ann.requester()));
        assert_eq!(last.method.as_ref(), Some(&self.scene.method.name));
        (last.action, last.outcome, last.credential, last.reason.unwrap())
    }
}

fn wanted(name: &str) -> NewCredential {
    NewCredential {
        name: name.into(),
        owner: Owner::Group("ops".into()),
        expires_at: None,
        maximum_uses: None,
        actions: [RestAction::Read].into_iter().collect(),
        identifiers: None,
        value: NewValue { username: Some(name.into()), verifier: verifier(name) },
    }
}

fn verifier(secret: &str) -> NewVerifier {
    NewVerifier::Made(Verifier::of_generated(&Secret::new(secret)))
}

fn every_change() -> [Change; 3] {
    [
        Change::Revoke { reason: None },
        Change::Expire { at: NOW.plus_seconds(60) },
        Change::Regenerate { verifier: verifier("other") },
    ]
}

#[tokio::test]
async fn a_credential_is_made_with_a_record_of_who_made_it() {
    let desk = Desk::new().await;
    let row = desk.create(NewCredential { maximum_uses: Some(3), ..wanted("ci") }).await.unwrap();
    assert_eq!(desk.stored(&row.id).await, row);
    assert_eq!(row.name, ResourceName::new(desk.scene.method.name.namespace(), "ci"));
    assert_eq!((row.maximum_uses, row.declared, row.version), (Some(3), false, 1));
    let expected =
        (Action::CredentialCreated, AuditOutcome::Done, Some(row.id.clone()), row.name.to_string());
    assert_eq!(desk.last().await, expected);
    desk.scene.verify("ci", "ci", Freshness::Fresh).await.unwrap();
}

#[tokio::test]
async fn a_name_is_given_once_even_where_two_ask_at_the_same_time_or_the_first_is_revoked() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let desk = Desk::on(store.clone()).await;
    let other = desk.create(wanted("other")).await.unwrap();
    let name = ResourceName::new(other.name.namespace(), "ci");
    let first =
        CredentialRow { id: named_id(&name, 0), name: name.clone(), username: Some("ci".into()), ..other };
    let writes = vec![Write::PutCredential(Box::new(first.clone()))];
    store.script([Before::Other(Box::new(Commit { writes, ..Commit::default() }))]);
    for _ in 0..2 {
        match desk.create(wanted("ci")).await {
            Err(AdministrationError::NameTaken(taken)) => assert_eq!(taken, name),
            outcome => panic!("{outcome:?}"),
        }
        assert_eq!(desk.stored(&first.id).await.verifier, first.verifier);
        desk.change(&first.id, Change::Revoke { reason: None }).await.unwrap();
    }
}

#[tokio::test]
async fn the_name_of_another_methods_credential_is_free_once_that_has_ended() {
    let desk = Desk::new().await;
    let (elsewhere, row) =
        (ResourceName::new("acme", "elsewhere"), desk.create(wanted("other")).await.unwrap());
    let name = ResourceName::new(row.name.namespace(), "ci");
    let foreign = CredentialRow {
        id: named_id(&name, 0),
        name: name.clone(),
        method: elsewhere,
        username: None,
        ..row.clone()
    };
    let used_up = CredentialRow { maximum_uses: Some(1), uses: 1, ..foreign.clone() };
    let declared = CredentialRow { declared: true, ..foreign.clone() };
    for (version, row) in [(1, foreign.clone()), (2, used_up), (3, declared)] {
        desk.scene.put(&CredentialRow { version, ..row }).await;
        match desk.create(wanted("ci")).await {
            Err(AdministrationError::NameInUse(taken)) => assert_eq!(taken, name),
            outcome => panic!("{outcome:?}"),
        }
    }
    let ended = CredentialRow { version: 4, state: CredentialState::Revoked, ..foreign };
    desk.scene.put(&ended).await;
    assert_eq!(desk.create(wanted("ci")).await.unwrap().id, named_id(&name, 1));
    let outcome = desk.create(wanted("ci")).await;
    assert!(matches!(outcome, Err(AdministrationError::NameTaken(_))), "{outcome:?}");
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let desk = Desk::new().await;
    let actions = [RestAction::Read, RestAction::Approve].into_iter().collect();
    let outcome = desk.create(NewCredential { actions, ..wanted("ci") }).await;
    assert!(matches!(outcome, Err(AdministrationError::Beyond(RestAction::Approve))), "{outcome:?}");
    let (action, how, id, reason) = desk.last().await;
    assert_eq!((action, how), (Action::CredentialCreated, AuditOutcome::Refused));
    assert!(reason.ends_with("approve"), "{reason}");
    assert_eq!(desk.scene.store.credential(&id.unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_credential_that_may_do_more_is_not_touched() {
    let desk = Desk::new().await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let mighty = CredentialRow { version: 2, actions: RestAction::ALL.into_iter().collect(), ..row };
    desk.scene.put(&mighty).await;
    for change in every_change() {
        let action = change.action();
        let outcome = desk.change(&mighty.id, change).await;
        assert!(matches!(outcome, Err(AdministrationError::Beyond(RestAction::Request))), "{outcome:?}");
        let (recorded, how, ..) = desk.last().await;
        assert_eq!((recorded, how), (action, AuditOutcome::Refused));
    }
    assert_eq!(desk.stored(&mighty.id).await, mighty);
}

#[tokio::test]
async fn what_a_resource_declares_or_another_method_has_is_not_changed() {
    let desk = Desk::new().await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let declared = CredentialRow { version: 2, declared: true, ..row.clone() };
    let foreign = CredentialRow { version: 3, method: ResourceName::new("acme", "elsewhere"), ..row };
    desk.scene.put(&declared).await;
    let fields: Vec<_> = every_change().iter().map(Change::field).collect();
    assert_eq!(fields, ["spec.revoked", "spec.expiresAt", "spec.regeneration"]);
    for change in every_change() {
        let outcome = desk.change(&declared.id, change).await;
        assert!(
            matches!(&outcome, Err(AdministrationError::Declared(name)) if *name == declared.name),
            "{outcome:?}"
        );
    }
    let outcome = desk.create(wanted("ci")).await;
    assert!(matches!(outcome, Err(AdministrationError::Declared(_))), "{outcome:?}");
    desk.scene.put(&foreign).await;
    let absent = CredentialId::from_random([9; 16]);
    for id in [&foreign.id, &absent] {
        for change in every_change() {
            let outcome = desk.change(id, change).await;
            assert!(matches!(outcome, Err(AdministrationError::Core(Error::NotFound(_)))), "{outcome:?}");
        }
    }
    assert_eq!(desk.stored(&foreign.id).await, foreign);
}

#[tokio::test]
async fn the_old_value_is_refused_as_soon_as_there_is_a_new_one() {
    let desk = Desk::new().await;
    let row = desk.create(NewCredential { maximum_uses: Some(1), ..wanted("ci") }).await.unwrap();
    let writes = vec![Write::UseCredential { id: row.id.clone(), at: NOW, address: None }];
    desk.scene.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    let changed = desk.change(&row.id, Change::Regenerate { verifier: verifier("new") }).await.unwrap();
    assert_eq!((changed.version, changed.regeneration, changed.uses), (2, 1, 0));
    assert_eq!(desk.stored(&row.id).await, changed);
    let name = row.name.to_string();
    assert_eq!(desk.last().await, (Action::CredentialRegenerated, AuditOutcome::Done, Some(row.id), name));
    assert!(matches!(desk.scene.verify("ci", "ci", Freshness::Fresh).await, Err(Error::Unauthenticated(_))));
    desk.scene.verify("ci", "new", Freshness::Fresh).await.unwrap();
}

#[tokio::test]
async fn a_revoked_credential_stays_revoked_and_revoking_again_changes_nothing() {
    let desk = Desk::new().await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let revoke = Change::Revoke { reason: Some("left in a log".into()) };
    let revoked = desk.change(&row.id, revoke.clone()).await.unwrap();
    assert_eq!((revoked.state, revoked.version), (CredentialState::Revoked, 2));
    let (action, _, _, reason) = desk.last().await;
    assert_eq!((action, reason), (Action::CredentialRevoked, format!("{}: left in a log", row.name)));
    let recorded = desk.scene.events().await.len();
    assert_eq!(desk.change(&row.id, revoke).await.unwrap(), revoked);
    for change in [Change::Expire { at: NOW }, Change::Regenerate { verifier: verifier("new") }] {
        let outcome = desk.change(&row.id, change).await;
        assert!(matches!(outcome, Err(AdministrationError::Revoked)), "{outcome:?}");
    }
    assert_eq!((desk.stored(&row.id).await, desk.scene.events().await.len()), (revoked, recorded));
}

#[tokio::test]
async fn an_expired_credential_gets_a_new_value_once_it_ends_later() {
    let desk = Desk::new().await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let ended = desk.change(&row.id, Change::Expire { at: NOW }).await.unwrap();
    assert_eq!(ended.expires_at, Some(NOW));
    assert!(matches!(desk.scene.verify("ci", "ci", Freshness::Fresh).await, Err(Error::Unauthenticated(_))));
    let regenerate = || Change::Regenerate { verifier: verifier("new") };
    let outcome = desk.change(&row.id, regenerate()).await;
    assert!(matches!(outcome, Err(AdministrationError::Expired)), "{outcome:?}");
    desk.change(&row.id, Change::Expire { at: NOW.plus_seconds(60) }).await.unwrap();
    desk.change(&row.id, regenerate()).await.unwrap();
    desk.scene.verify("ci", "new", Freshness::Fresh).await.unwrap();
}

#[tokio::test]
async fn nobody_makes_their_own_credential_last_longer_but_all_may_end_it() {
    let desk = Desk::new().await;
    let own = desk.scene.ann.id.clone();
    desk.change(&own, Change::Expire { at: NOW.plus_seconds(60) }).await.unwrap();
    let desk = Desk { ann: desk.scene.login().await, ..desk };
    let outcome = desk.change(&own, Change::Expire { at: NOW.plus_seconds(61) }).await;
    assert!(matches!(outcome, Err(AdministrationError::OwnLonger)), "{outcome:?}");
    assert_eq!(desk.last().await.1, AuditOutcome::Refused);
    desk.scene.change_ann(|row| row.maximum_uses = Some(5)).await;
    let evidence = desk.scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await.unwrap();
    let ann = Authenticated::new(desk.scene.method.clone(), evidence, None).unwrap();
    let desk = Desk { ann, ..desk };
    let outcome = desk.change(&own, Change::Regenerate { verifier: verifier("new") }).await;
    assert!(matches!(outcome, Err(AdministrationError::OwnLonger)), "{outcome:?}");
    desk.change(&own, Change::Revoke { reason: None }).await.unwrap();
}

/// Ann's own credential as the change leaves it, and ann as she shows it then.
async fn with_own(desk: Desk, change: impl FnOnce(&mut CredentialRow)) -> Desk {
    desk.scene.change_ann(change).await;
    let evidence = desk.scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await.unwrap();
    let ann = Authenticated::new(desk.scene.method.clone(), evidence, None).unwrap();
    Desk { ann, ..desk }
}

#[tokio::test]
async fn what_somebody_makes_or_prolongs_ends_no_later_than_their_own_credential() {
    let (end, later) = (NOW.plus_seconds(60), NOW.plus_seconds(61));
    let desk = Desk::new().await;
    let endless = desk.create(wanted("endless")).await.unwrap();
    let short = desk
        .create(NewCredential { expires_at: Some(NOW.plus_seconds(5)), ..wanted("short") })
        .await
        .unwrap();
    let desk = with_own(desk, |row| row.expires_at = Some(end)).await;
    let longer = |outcome: Result<CredentialRow, AdministrationError>| {
        assert!(matches!(outcome, Err(AdministrationError::Longer)), "{outcome:?}");
    };
    longer(desk.create(NewCredential { expires_at: Some(later), ..wanted("ci") }).await);
    assert_eq!(desk.last().await.1, AuditOutcome::Refused);
    longer(desk.change(&short.id, Change::Expire { at: later }).await);
    assert_eq!(desk.last().await.1, AuditOutcome::Refused);
    // Nor do they get the secret of one that does.
    longer(desk.change(&endless.id, Change::Regenerate { verifier: verifier("new") }).await);
    assert_eq!(desk.stored(&endless.id).await, endless);
    assert_eq!(desk.create(wanted("ci")).await.unwrap().expires_at, Some(end), "which it ends with");
    desk.change(&short.id, Change::Expire { at: end }).await.unwrap();
    desk.change(&short.id, Change::Regenerate { verifier: verifier("new") }).await.unwrap();
    // Ending another one is no harm.
    desk.change(&endless.id, Change::Expire { at: later }).await.unwrap();
}

#[tokio::test]
async fn whose_uses_are_counted_gets_no_other_uses_nor_a_key_that_makes_credentials() {
    let actions: RestActions = [RestAction::Request, RestAction::Credentials].into_iter().collect();
    for action in [RestAction::Request, RestAction::Credentials] {
        let desk = with_own(Desk::new().await, |row| row.actions = actions).await;
        let able = |name| NewCredential { actions: [action].into_iter().collect(), ..wanted(name) };
        let ann = desk.ann.clone();
        let before = Administrator { authenticated: &ann, actions, scope: &desk.scope };
        let other = desk.scene.engine.create_credential(before, &desk.target, able("other")).await.unwrap();
        let desk = with_own(desk, |row| row.maximum_uses = Some(1)).await;
        let ann = desk.ann.clone();
        let limited = Administrator { authenticated: &ann, actions, scope: &desk.scope };
        let made = desk.scene.engine.create_credential(limited, &desk.target, able("ci")).await;
        assert!(matches!(made, Err(AdministrationError::Longer)), "{made:?}");
        let change = Change::Regenerate { verifier: verifier("new") };
        let changed = desk.scene.engine.change_credential(limited, &desk.target, &other.id, &change).await;
        assert!(matches!(changed, Err(AdministrationError::Longer)), "{changed:?}");
        assert_eq!(desk.stored(&other.id).await, other);
        // What neither orders nor makes anything gains them nothing.
        desk.create(wanted("reader")).await.unwrap();
    }
}

#[tokio::test]
async fn the_secret_of_a_credential_is_known_to_all_who_were_shown_it() {
    let desk = Desk::new().await;
    let ann = format!("credential:{}", desk.scene.ann.id);
    let first = desk.create(wanted("first")).await.unwrap();
    assert_eq!(first.verifier.known_to().collect::<Vec<_>>(), [&ann]);
    let mighty = CredentialRow { version: 2, actions: own_actions(), ..first.clone() };
    desk.scene.put(&mighty).await;
    let evidence = desk.scene.verify("first", "first", Freshness::Fresh).await.unwrap();
    let by_first = Authenticated::new(desk.scene.method.clone(), evidence, None).unwrap();
    let by_first = Administrator { authenticated: &by_first, actions: own_actions(), scope: &desk.scope };
    let second = desk.scene.engine.create_credential(by_first, &desk.target, wanted("second")).await.unwrap();
    // Whoever made the one it was made with could have made it.
    let knows = |row: &CredentialRow, mark: &String| row.verifier.known_to().any(|known| known == mark);
    assert!(knows(&second, &ann) && knows(&second, &format!("credential:{}", first.id)));
    let third = desk.create(wanted("third")).await.unwrap();
    let change = Change::Regenerate { verifier: verifier("new") };
    let previous = Some(PreviousValue { verifier: third.verifier.clone(), until: NOW.plus_seconds(60) });
    desk.scene.put(&CredentialRow { version: 2, previous, ..third.clone() }).await;
    let third =
        desk.scene.engine.change_credential(by_first, &desk.target, &third.id, &change).await.unwrap();
    assert!(knows(&third, &ann) && knows(&third, &format!("credential:{}", first.id)));
    assert_eq!(third.previous, None, "no value before it is good any more");
    assert_eq!(desk.stored(&third.id).await, third);
}

#[tokio::test]
async fn who_was_revoked_meanwhile_changes_nothing() {
    let desk = Desk::new().await;
    let row = desk.create(wanted("ci")).await.unwrap();
    desk.scene.change_ann(|row| row.state = CredentialState::Revoked).await;
    for change in every_change() {
        let outcome = desk.change(&row.id, change).await;
        assert!(matches!(outcome, Err(AdministrationError::Core(Error::Stale))), "{outcome:?}");
    }
    let outcome = desk.create(wanted("more")).await;
    assert!(matches!(outcome, Err(AdministrationError::Core(Error::Stale))), "{outcome:?}");
    assert_eq!(desk.stored(&row.id).await, row);
}

#[tokio::test]
async fn a_change_by_somebody_else_at_the_same_time_is_kept() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let desk = Desk::on(store.clone()).await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let shorter = CredentialRow { version: 2, expires_at: Some(NOW.plus_seconds(5)), ..row.clone() };
    let other = Commit {
        expect: vec![Expect::CredentialVersion { id: row.id.clone(), version: 1 }],
        writes: vec![Write::PutCredential(Box::new(shorter))],
        audit: Vec::new(),
    };
    store.script([Before::Other(Box::new(other))]);
    let changed = desk.change(&row.id, Change::Regenerate { verifier: verifier("new") }).await.unwrap();
    assert_eq!((changed.version, changed.expires_at), (3, Some(NOW.plus_seconds(5))));
}
