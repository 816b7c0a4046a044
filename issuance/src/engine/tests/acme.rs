//! A certificate and its order are one commit.

use std::sync::Arc;

use pki::{serial::SerialNumber, time::Time};

use super::refused;
use crate::{
    Engine, Error, Issued, Outcome, Result,
    acme::{OrderCompletion, OrderRow, OrderState, OrderStatus},
    approval::Verdict,
    authn::{Authenticated, Evidence, Freshness, PasswordVerifier},
    credential::CredentialRow,
    engine::{Companion, Repeat, request_key},
    error::Rule,
    identity::{KeyId, RequestId},
    policy::Approval,
    ports::Clock as _,
    request::Asked,
    secret::Secret,
    store::{CertificateFilter, Commit, MethodScope, Page, RequestState, Store, Write, memory::MemoryStore},
    testing::{
        AcmeScene, Before, DAY, HookedStore, ManualClock, NOW, Request, acme_request, acme_scene, credential,
        issued, pending,
    },
};

/// An engine, and the rows of a scene in its store.
struct Office {
    scene: AcmeScene,
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

impl Office {
    async fn new(approval: Approval) -> Self {
        Self::on(Arc::new(MemoryStore::default()), approval).await
    }

    async fn on(store: Arc<dyn Store>, approval: Approval) -> Self {
        let (scene, clock) = (acme_scene(approval), ManualClock::new());
        let engine = Engine::new(store.clone(), clock.clone());
        let writes = vec![
            Write::PutCredential(Box::new(scene.credential.clone().unwrap())),
            Write::PutAcmeAccount(Box::new(scene.account.clone())),
            Write::PutAcmeOrder(Box::new(scene.order.clone())),
        ];
        store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
        Self { scene, engine, store, clock }
    }

    /// Reads the order again, as whoever is asked does.
    async fn read(&mut self) -> OrderRow {
        let order = self.store.acme_order(&self.scene.order.id).await.unwrap().unwrap();
        self.scene.order = order.clone();
        self.scene.now = self.clock.now();
        order
    }

    /// Finalizes on the rows that the scene has.
    async fn finalize(&self, request: &Request) -> Result<Outcome> {
        let (evidence, asked) = self.scene.ask(request).unwrap();
        self.finish(evidence, asked, &request.to_der()).await
    }

    async fn finish(&self, evidence: Evidence, asked: Asked, csr: &[u8]) -> Result<Outcome> {
        let (order, now) = (&self.scene.order, self.scene.now);
        let completion = OrderCompletion { order, csr, keep_until: NOW.plus_seconds(90 * DAY), now };
        let who = Authenticated::new(self.scene.method.clone(), evidence, None)?;
        let key = request_key(&[b"acme", order.id.as_str().as_bytes()]);
        self.engine.issue_with(who, asked, key, Repeat::Another, &completion).await
    }

    async fn certificates(&self) -> Vec<(KeyId, SerialNumber)> {
        let filter = CertificateFilter::default();
        let rows = self.store.certificates(&filter, &Page::first(10)).await.unwrap();
        rows.into_iter().map(|(_, row)| (row.issuer, row.serial)).collect()
    }

    /// The certificate is that of the order, and the only one.
    async fn assert_issued(&mut self, certificate: &Issued) {
        let order = self.read().await;
        assert_eq!(order.status(self.clock.now()), OrderStatus::Valid);
        let place = order.certificate().unwrap();
        assert_eq!(place.1, certificate.serial);
        assert_eq!(self.certificates().await, [place]);
    }
}

#[tokio::test]
async fn the_order_is_valid_with_its_certificate() {
    let mut office = Office::new(Approval::Automatic).await;
    let certificate = issued(office.finalize(&acme_request()).await);
    office.assert_issued(&certificate).await;
    assert_eq!(office.scene.order.keep_until, NOW.plus_seconds(90 * DAY));
    let row =
        office.store.certificate(office.scene.order.certificate().unwrap().0, &certificate.serial).await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.requester, format!("acme:{}", office.scene.account.id));
    let credential = office.scene.credential.as_ref().unwrap();
    assert_eq!((row.credential.as_ref(), &row.owner), (Some(&credential.id), &credential.owner));
    assert_eq!(row.subject_alt_names, ["dns:www.a.example", "dns:*.b.example", "ip:192.0.2.1"]);
    // An order is not a use of the credential: that was the binding.
    assert_eq!(office.store.credential(&credential.id).await.unwrap().unwrap().uses, 0);
}

/// Two replicas, or one that is asked twice, have read the same rows.
#[tokio::test]
async fn a_twin_that_comes_second_has_no_certificate() {
    for approval in [Approval::Automatic, Approval::Manual] {
        let mut office = Office::new(approval).await;
        let request = acme_request();
        let (one, other) = (office.scene.ask(&request).unwrap(), office.scene.ask(&request).unwrap());
        let first = office.finish(one.0, one.1, &request.to_der()).await.unwrap();
        let second = office.finish(other.0, other.1, &request.to_der()).await;
        match (approval, &first, second) {
            (Approval::Automatic, Outcome::Issued(issued), Err(Error::Stale)) => {
                office.assert_issued(issued).await;
            }
            // It finds the request that waits, and changes nothing.
            (Approval::Manual, Outcome::Pending(one), Ok(Outcome::Pending(other))) => {
                assert_eq!(one.request, other.request);
                let order = office.read().await;
                assert_eq!(
                    order.state,
                    OrderState::Processing { request: one.request.clone(), csr: request.to_der() }
                );
            }
            (_, first, second) => panic!("{approval:?}: {first:?}, {second:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_proved_and_is_no_longer_true_is_stale() {
    let request = acme_request();
    let changes: [fn(&AcmeScene) -> Write; 3] = [
        |scene| {
            let mut account = scene.account.clone();
            account.deactivate().unwrap();
            Write::PutAcmeAccount(Box::new(account))
        },
        |scene| {
            let mut order = scene.order.clone();
            order.deactivate_authorization(0, NOW).unwrap();
            Write::PutAcmeOrder(Box::new(order))
        },
        |scene| {
            let mut row = scene.credential.clone().unwrap();
            row.version += 1;
            Write::PutCredential(Box::new(row))
        },
    ];
    for approval in [Approval::Automatic, Approval::Manual] {
        for change in changes {
            let office = Office::new(approval).await;
            let write = change(&office.scene);
            let commit = Commit { writes: vec![write], ..Commit::default() };
            office.store.commit(commit).await.unwrap().unwrap();
            let outcome = office.finalize(&request).await;
            assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");
            assert_eq!(office.certificates().await, []);
        }
    }
}

#[tokio::test]
async fn an_order_waits_for_a_person_and_is_valid_when_asked_again() {
    let mut office = Office::new(Approval::Manual).await;
    let request = acme_request();
    let waiting = pending(office.finalize(&request).await).request;
    assert_eq!(office.read().await.status(NOW), OrderStatus::Processing);
    assert_eq!(pending(office.finalize(&request).await).request, waiting);
    assert_eq!(office.read().await.version, 8);
    office.engine.decide(&waiting, Verdict::Approve, "olga", None).await.unwrap();
    let certificate = issued(office.finalize(&request).await);
    office.assert_issued(&certificate).await;
    let row = office.store.request(&waiting).await.unwrap().unwrap();
    assert_eq!((row.state, row.certificate), (RequestState::Issued, office.scene.order.certificate()));
}

#[tokio::test]
async fn a_denied_order_is_refused_and_one_that_nobody_decided_on_asks_anew() {
    let mut office = Office::new(Approval::Manual).await;
    // Proved for long enough.
    office.scene.order.authorizations.iter_mut().for_each(|one| one.expires_at = NOW.plus_seconds(30 * DAY));
    let put = Write::PutAcmeOrder(Box::new(office.scene.order.clone()));
    office.store.commit(Commit { writes: vec![put], ..Commit::default() }).await.unwrap().unwrap();
    let request = acme_request();
    let first = pending(office.finalize(&request).await).request;
    office.clock.advance(8 * DAY);
    office.read().await;
    let second = pending(office.finalize(&request).await).request;
    assert_ne!(first, second);
    let state = OrderState::Processing { request: second.clone(), csr: request.to_der() };
    assert_eq!(office.read().await.state, state);
    office.engine.decide(&second, Verdict::Deny, "olga", None).await.unwrap();
    refused(office.finalize(&request).await, Rule::Approval);
    assert_eq!(office.certificates().await, []);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_order_ready() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let mut office = Office::on(store.clone(), Approval::Automatic).await;
    store.script([Before::Fail]);
    let outcome = office.finalize(&acme_request()).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(office.read().await.status(NOW), OrderStatus::Ready);
    let certificate = issued(office.finalize(&acme_request()).await);
    office.assert_issued(&certificate).await;
}

/// Says no at the last moment.
struct Unwilling;

impl Companion for Unwilling {
    fn issued(&self, _issuer: KeyId, _serial: &SerialNumber) -> Result<Vec<Write>> {
        Err(Error::Stale)
    }

    fn pending(&self, _request: &RequestId) -> Result<Vec<Write>> {
        Err(Error::Stale)
    }
}

#[tokio::test]
async fn nothing_is_recorded_where_the_companion_says_no() {
    for approval in [Approval::Automatic, Approval::Manual] {
        let office = Office::new(approval).await;
        let (evidence, asked) = office.scene.ask(&acme_request()).unwrap();
        let who = Authenticated::new(office.scene.method.clone(), evidence, None).unwrap();
        let key = request_key(&[b"key"]);
        let outcome = office.engine.issue_with(who, asked, key, Repeat::Another, &Unwilling).await;
        assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");
        assert_eq!(office.certificates().await, []);
        let page = Page::first(1);
        assert_eq!(office.store.requests(&Default::default(), &page).await.unwrap(), []);
        assert_eq!(office.store.audit_streams().await.unwrap(), Vec::<String>::new());
    }
}

/// Its clock has gone on since the evidence was made.
#[tokio::test]
async fn an_order_that_ended_meanwhile_is_stale() {
    let office = Office::new(Approval::Automatic).await;
    let (evidence, asked) = office.scene.ask(&acme_request()).unwrap();
    let who = Authenticated::new(office.scene.method.clone(), evidence, None).unwrap();
    let late: Time = NOW.plus_seconds(DAY);
    let completion = OrderCompletion { order: &office.scene.order, csr: b"", keep_until: late, now: late };
    let outcome =
        office.engine.issue_with(who, asked, request_key(&[b"key"]), Repeat::Another, &completion).await;
    assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");
    assert_eq!(office.certificates().await, []);
}

/// Whoever made the key that the account is bound by could have bound the account.
#[tokio::test]
async fn nobody_approves_for_an_account_whose_key_they_were_shown() {
    let mut office = Office::new(Approval::Manual).await;
    let [eve, bob] = ["eve", "bob"].map(|name| credential(&office.scene.method.name, Some(name), name));
    let mark = format!("credential:{}", eve.id);
    let row = office.scene.credential.take().unwrap();
    let row = CredentialRow { version: 2, verifier: row.verifier.shown_to([mark]), ..row };
    let rows = [&row, &eve, &bob].map(|row| Write::PutCredential(Box::new(row.clone())));
    office.store.commit(Commit { writes: rows.into(), ..Commit::default() }).await.unwrap().unwrap();
    office.scene.credential = Some(row);
    let waiting = pending(office.finalize(&acme_request()).await);
    let verifier = PasswordVerifier::new(office.store.clone()).unwrap();
    let (method, scope) = (&office.scene.method, MethodScope::from(office.scene.method.name.clone()));
    for (name, allowed) in [("eve", false), ("bob", true)] {
        let evidence =
            verifier.verify(method, name, &Secret::new(name), NOW, Freshness::Fresh, None).await.unwrap();
        let by = Authenticated::new(method.clone(), evidence, None).unwrap();
        let decided = office.engine.decide_as(&by, &scope, &waiting.request, Verdict::Approve, None).await;
        match decided {
            Ok(row) => assert!(allowed && row.state == RequestState::Approved, "{name}"),
            Err(error) => assert!(!allowed && matches!(error, Error::Refused(_)), "{name}: {error}"),
        }
    }
}
