//! What was collected of how credentials were used is written once.

use std::{net::IpAddr, sync::Arc};

use issuance::{
    credential::CredentialUsage,
    error::AuthenticationFailure,
    identity::CredentialId,
    store::{
        Store, Write,
        memory::MemoryStore,
        suite::samples::{credential, credential_id, write},
    },
};

use super::{super::usage, scene::Scene};
use crate::store::{SqliteStore, StoreOptions};

/// More than one commit writes.
const MANY: u16 = 1201;

const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn numbered(number: u16) -> CredentialId {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&number.to_be_bytes());
    CredentialId::from_octets(octets)
}

async fn usage_of(store: &dyn Store, id: &CredentialId) -> CredentialUsage {
    store.credential_usages(std::slice::from_ref(id)).await.unwrap().remove(0)
}

#[tokio::test]
async fn each_request_and_each_failure_is_written_once_however_many_credentials_there_are() {
    let scene = Scene::on(Arc::new(MemoryStore::default()), &[]).await;
    let rows = (0..MANY).map(|number| {
        let row = issuance::credential::CredentialRow { id: numbered(number), ..credential(1) };
        Write::PutCredential(Box::new(row))
    });
    write(&*scene.store, rows.collect()).await;
    let (collector, now) = (scene.app.passwords.usage(), scene.now());
    for number in 0..MANY {
        collector.accepted(&numbered(number), now, Some(FROM));
    }
    collector.failed(&numbered(MANY - 1), AuthenticationFailure::Mismatch, now, Some(FROM));
    // Of a credential that is gone by now.
    collector.failed(&credential_id(250), AuthenticationFailure::Mismatch, now, None);
    usage::write(&scene.app).await;
    usage::write(&scene.app).await;
    for number in [0, 499, 500, MANY - 1] {
        let usage = usage_of(&*scene.store, &numbered(number)).await;
        assert_eq!((usage.requests, usage.last_address), (1, Some(FROM)));
        assert_eq!(usage.failures, u64::from(number == MANY - 1));
    }
    assert_eq!(collector.take(), []);
}

#[tokio::test]
async fn what_cannot_be_written_waits_for_the_next_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("chancery.db"), StoreOptions::new("main"));
    let store = Arc::new(store.unwrap());
    let scene = Scene::on(store.clone(), &[]).await;
    let (collector, now) = (scene.app.passwords.usage(), scene.now());
    for number in 0..MANY {
        collector.accepted(&numbered(number), now, Some(FROM));
    }
    store.shutdown().await;
    usage::write(&scene.app).await;
    let kept = collector.take();
    assert_eq!(kept.len(), usize::from(MANY));
    assert!(kept.iter().all(|note| note.requests == 1));
}
