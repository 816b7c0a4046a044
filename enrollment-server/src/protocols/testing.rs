//! What the tests of every protocol's folder begin with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use issuance::{
    Engine,
    authority::{Authority, CrlSettings, Method, PublicationUrls},
    ceremony::AuthorityTemplate,
    credential::{CredentialRow, CredentialState, Verifier},
    identity::{CredentialId, Owner, ResourceName},
    ports::{Clock, Signer, SystemClock},
    store::{Commit, Expect, Write},
};
use pki::{
    certificate::Certificate,
    name::{Attribute, AttributeType, Name},
    time::Time,
};

/// The machine's clock, and what it is put forward by.
#[derive(Debug, Default)]
pub(super) struct TurnedClock(AtomicI64);

impl TurnedClock {
    pub(super) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Time {
        SystemClock.now().plus_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A root that issues by itself.
pub(super) async fn root(
    engine: &Engine,
    name: ResourceName,
    validity: Duration,
    signer: Arc<dyn Signer>,
) -> Arc<Authority> {
    let common_name = Attribute { kind: AttributeType::CommonName, value: name.to_string() };
    let template = AuthorityTemplate {
        name: name.clone(),
        subject: Name::from_attributes(&[common_name]).unwrap(),
        validity,
        path_length: None,
        name_constraints: None,
    };
    let der = engine.create_root(&template, &signer).await.unwrap();
    let crl = CrlSettings { validity: Duration::from_secs(3600), renew_before: Duration::from_secs(60) };
    let certificate = Certificate::from_der(&der).unwrap();
    let urls = PublicationUrls::default();
    Arc::new(Authority::new(name, certificate, vec![der], signer, crl, &urls).unwrap())
}

/// A credential that no row is of yet: good for ever, for the group `workshop`.
pub(super) fn new_credential(
    engine: &Engine,
    method: &Method,
    id: CredentialId,
    name: ResourceName,
    username: Option<&str>,
    verifier: Verifier,
) -> CredentialRow {
    CredentialRow {
        id,
        version: 0,
        method: method.name.clone(),
        protocol: method.protocol,
        name,
        username: username.map(str::to_owned),
        verifier,
        owner: Some(Owner::Group("workshop".into())),
        state: CredentialState::Active,
        created_at: engine.clock().now(),
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

/// Records it as the version after the one it has, and answers it as recorded.
pub(super) async fn put_credential(engine: &Engine, row: CredentialRow) -> CredentialRow {
    let recorded = CredentialRow { version: row.version + 1, ..row };
    let commit = Commit {
        expect: vec![Expect::CredentialVersion { id: recorded.id.clone(), version: row.version }],
        writes: vec![Write::PutCredential(Box::new(recorded.clone()))],
        audit: Vec::new(),
    };
    engine.store().commit(commit).await.unwrap().unwrap();
    recorded
}
