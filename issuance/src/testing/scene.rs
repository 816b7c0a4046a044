//! An engine at work on a store, with a user who may ask.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::{AuthoritySpec, ManualClock, NOW, Request, authority, method};
use crate::{
    Engine, Issued, Outcome, Pending, Result,
    audit::AuditEvent,
    authn::{Authenticated, Evidence, Freshness, PasswordVerifier},
    authority::{Authority, Method},
    credential::{CredentialRow, CredentialState, Verifier},
    engine::{Repeat, request_key},
    identity::{CredentialId, ResourceName},
    policy::Profile,
    ports::{Clock as _, random},
    secret::Secret,
    store::{
        CertificateFilter, CertificateRow, Commit, Expect, MethodScope, Page, Store, Write,
        memory::MemoryStore,
    },
};

/// One profile under one authority, asked over one method by `ann`, whose password is [`Scene::PASSWORD`].
pub(crate) struct Scene {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Engine,
    pub(crate) verifier: PasswordVerifier,
    pub(crate) authority: Arc<Authority>,
    pub(crate) method: Arc<Method>,
    pub(crate) ann: CredentialRow,
}

impl Scene {
    pub(crate) const PASSWORD: &str = "correct-horse-battery";
    /// From where passwords are shown.
    pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    pub(crate) async fn new(policy: &Profile) -> Self {
        Self::on(Arc::new(MemoryStore::default()), policy).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>, policy: &Profile) -> Self {
        Self::with(store, policy, authority(AuthoritySpec::default())).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, policy: &Profile, authority: Arc<Authority>) -> Self {
        let clock = ManualClock::new();
        let engine = Engine::new(store.clone(), clock.clone());
        let verifier = PasswordVerifier::new(store.clone()).unwrap();
        let method = method(policy, &authority);
        let ann = credential(&method.name, Some("ann"), Self::PASSWORD);
        let scene = Self { store, clock, engine, verifier, authority, method, ann };
        scene.put(&scene.ann).await;
        scene
    }

    /// Inserts or replaces a credential.
    pub(crate) async fn put(&self, row: &CredentialRow) {
        let commit =
            Commit { writes: vec![Write::PutCredential(Box::new(row.clone()))], ..Commit::default() };
        self.store.commit(commit).await.unwrap().unwrap();
    }

    /// Changes ann's credential as an operator would: the version grows.
    pub(crate) async fn change_ann(&self, change: impl FnOnce(&mut CredentialRow)) {
        let mut row = self.store.credential(&self.ann.id).await.unwrap().unwrap();
        let expect = Expect::CredentialVersion { id: row.id.clone(), version: row.version };
        row.version += 1;
        change(&mut row);
        let writes = vec![Write::PutCredential(Box::new(row))];
        let commit = Commit { expect: vec![expect], writes, audit: Vec::new() };
        self.store.commit(commit).await.unwrap().unwrap();
    }

    pub(crate) async fn verify(&self, user: &str, password: &str, freshness: Freshness) -> Result<Evidence> {
        let now = self.clock.now();
        self.verifier
            .verify(&self.method, user, &Secret::new(password), now, freshness, Some(Self::ADDRESS))
            .await
    }

    pub(crate) async fn evidence(&self) -> Evidence {
        self.verify("ann", Self::PASSWORD, Freshness::Cached).await.unwrap()
    }

    /// What whoever is authenticated by the method looks after, where it administers no other.
    pub(crate) fn own(&self) -> MethodScope {
        MethodScope::from(self.method.name.clone())
    }

    pub(crate) async fn login(&self) -> Authenticated {
        Authenticated::new(self.method.clone(), self.evidence().await, None).unwrap()
    }

    /// Asks as ann, as a protocol does whose repeats mean another certificate.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Outcome> {
        self.ask_as(request, &request.to_der(), Repeat::Another).await
    }

    /// Asks as ann with this idempotency key.
    pub(crate) async fn ask_as(&self, request: &Request, key: &[u8], repeat: Repeat) -> Result<Outcome> {
        self.engine.issue(self.login().await, request.asked(), request_key(&[b"ann", key]), repeat).await
    }

    pub(crate) async fn issue(&self, request: &Request) -> Issued {
        issued(self.ask(request).await)
    }

    pub(crate) async fn certificates(&self) -> Vec<CertificateRow> {
        let page = Page::first(1000);
        let rows = self.store.certificates(&CertificateFilter::default(), &page).await.unwrap();
        rows.into_iter().map(|(_, row)| row).collect()
    }

    pub(crate) async fn row(&self, issued: &Issued) -> CertificateRow {
        self.store.certificate(self.authority.key_id(), &issued.serial).await.unwrap().unwrap()
    }

    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        for stream in self.store.audit_streams().await.unwrap() {
            let records = self.store.audit_records(&stream, 0, 10_000).await.unwrap();
            events.extend(records.iter().map(|record| record.event().unwrap()));
        }
        events
    }
}

/// A credential of the method with a password that was made by us.
pub(crate) fn credential(method: &ResourceName, username: Option<&str>, password: &str) -> CredentialRow {
    CredentialRow {
        id: CredentialId::from_random(random().unwrap()),
        version: 1,
        method: method.clone(),
        protocol: crate::identity::Protocol::Est,
        name: ResourceName::new("acme", username.unwrap_or("shared")),
        username: username.map(str::to_owned),
        verifier: Verifier::of_generated(&Secret::new(password)),
        owner: None,
        state: CredentialState::Active,
        created_at: NOW,
        expires_at: None,
        maximum_uses: None,
        uses: 0,
        last_used_at: None,
        declared: false,
        regeneration: 0,
        identifiers: None,
        actions: Default::default(),
        previous: None,
    }
}

pub(crate) fn issued(outcome: Result<Outcome>) -> Issued {
    match outcome {
        Ok(Outcome::Issued(issued)) => issued,
        other => panic!("not issued: {other:?}"),
    }
}

pub(crate) fn pending(outcome: Result<Outcome>) -> Pending {
    match outcome {
        Ok(Outcome::Pending(pending)) => pending,
        other => panic!("not pending: {other:?}"),
    }
}
