//! Revocation lists of authorities whose keys stay with the operator.

use std::{collections::BTreeMap, sync::Arc};

use issuance::{identity::KeyId, ports::Clock as _};
use pki::{
    certificate::Certificate,
    crl::{CertificateList, RevokedEntry},
    extension::ReasonCode,
};
use resolve::Resources;

use super::{BASE, DAY, Hands, OWN, named, resources};
use crate::{
    provision::authorities::{Keeper, Kept},
    revocation::RevokedIntermediate,
    testing::FakeApi,
};

struct Scene {
    api: FakeApi,
    clock: Arc<Hands>,
    resources: Resources,
    revoked: BTreeMap<KeyId, Vec<RevokedIntermediate>>,
}

impl Scene {
    fn new() -> Self {
        let resources = resources(BASE);
        Self { api: FakeApi::new(), clock: Hands::new(), resources, revoked: BTreeMap::new() }
    }

    async fn settle(&self) -> Kept {
        let keeper = Keeper::new(self.api.client(), OWN, self.clock.clone());
        let mut kept = keeper.observe().await.unwrap();
        let settled = keeper.settle(&mut kept, &self.resources, &named("server"), &self.revoked).await;
        assert!(settled.failures.is_empty(), "{:?}", settled.failures);
        kept
    }

    /// The root's list, checked.
    async fn list(&self) -> (u64, Vec<RevokedEntry>) {
        let kept = self.settle().await;
        let list = CertificateList::from_der(&kept.lists()[&named("root")]).unwrap();
        let root = certificate(&kept, "root", &self.clock);
        list.verify_signed_by(root.public_key()).unwrap();
        let number = list.number().unwrap().unwrap().0;
        assert_eq!(kept.list_facts(&named("root")).unwrap().number, number);
        (number, list.entries().collect::<Result<_, _>>().unwrap())
    }

    /// As if a CertificateRevocation had revoked the intermediate.
    async fn revoke_issuing(&mut self) -> RevokedIntermediate {
        let kept = self.settle().await;
        let (root, issuing) =
            (certificate(&kept, "root", &self.clock), certificate(&kept, "issuing", &self.clock));
        let revoked = RevokedIntermediate {
            serial: *issuing.serial(),
            at: self.clock.now(),
            reason: Some(ReasonCode::CaCompromise),
        };
        self.revoked.insert(KeyId(root.public_key().key_identifier()), vec![revoked]);
        revoked
    }
}

fn certificate(kept: &Kept, authority: &str, clock: &Hands) -> Certificate {
    let observed = kept.observed(clock.now());
    Certificate::from_der(&observed.authorities[&named(authority)].certificate).unwrap()
}

#[tokio::test]
async fn the_lists_of_what_a_server_issues_with_are_not_made_here() {
    let scene = Scene::new();
    let kept = scene.settle().await;
    assert_eq!(kept.lists().into_keys().collect::<Vec<_>>(), [named("root")]);
}

#[tokio::test]
async fn a_list_is_made_again_before_it_ends_and_not_earlier() {
    let scene = Scene::new();
    let (first, entries) = scene.list().await;
    assert_eq!(entries, []);
    scene.clock.turn(5 * DAY - 1);
    scene.api.forget_calls();
    assert_eq!(scene.list().await.0, first);
    assert_eq!(scene.api.writes(), []);
    scene.clock.turn(1);
    let (second, _) = scene.list().await;
    // The number follows the clock, so that what was restored never goes back.
    assert_eq!(i64::try_from(second).unwrap(), scene.clock.now().unix());
    // A clock that was set back does not take the number with it.
    scene.clock.turn(-30 * DAY);
    let mut scene = scene;
    scene.revoke_issuing().await;
    assert_eq!(scene.list().await.0, second + 1);
}

#[tokio::test]
async fn a_revocation_is_listed_at_once_and_stays_when_its_resource_is_deleted() {
    let mut scene = Scene::new();
    let (first, _) = scene.list().await;
    let revoked = scene.revoke_issuing().await;
    let (second, entries) = scene.list().await;
    assert!(second > first);
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].serial, entries[0].revoked_at), (revoked.serial, revoked.at));
    assert_eq!(entries[0].reason, Some(ReasonCode::CaCompromise));
    scene.api.forget_calls();
    assert_eq!(scene.list().await, (second, entries.clone()));
    assert_eq!(scene.api.writes(), []);
    scene.revoked.clear();
    scene.clock.turn(6 * DAY);
    assert_eq!(scene.list().await.1, entries);
}

#[tokio::test]
async fn a_list_that_another_key_signed_is_replaced() {
    let scene = Scene::new();
    let (first, _) = scene.list().await;
    let stranger = Scene::new();
    stranger.settle().await;
    let name = crate::provision::authorities::secret_name(&named("root"));
    let theirs = super::secret(&stranger.api, OWN, &name).data.unwrap()["crl.der"].clone();
    let mut ours = super::secret(&scene.api, OWN, &name);
    ours.data.as_mut().unwrap().insert("crl.der".into(), theirs);
    scene.api.put(&ours);
    scene.clock.turn(1);
    let (second, _) = scene.list().await;
    assert!(second > first);
}

#[tokio::test]
async fn a_list_that_ends_with_its_authority_is_not_made_again_and_again() {
    let mut scene = Scene::new();
    scene.resources = resources(&BASE.replace("pathLength: 1, crl", "pathLength: 1, validity: 8d, crl"));
    scene.settle().await;
    scene.clock.turn(7 * DAY);
    let (first, _) = scene.list().await;
    scene.clock.turn(60);
    assert_eq!(scene.list().await.0, first);
}
