//! `chancery-server sealing`: replaces the key that seals secrets at rest.

use std::fs;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use issuance::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    credential::CredentialRow,
    rest::OrderRow,
    sealing::SealingKeys,
    store::{Commit, CredentialFilter, Expect, Page, RestOrderFilter, SealedRow, Store, Write},
};
use pki::time::Time;

use super::{
    DataArgs,
    offline::{Offline, operator, with_store},
    output,
};
use crate::standalone::data::{read_if_there, read_secret, write_private};

/// Rows that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum SealingCommand {
    /// Makes a new sealing key, seals everything with it, and forgets the old one. The server must be stopped.
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    data: DataArgs,
}

impl SealingCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Rotate(args) => {
                with_store(&args.data.clone(), async |offline| rotate(&offline, &args.data).await)
            }
        }
    }
}

/// Each step can be repeated: until the last, the file holds both keys, and either opens what it sealed.
async fn rotate(offline: &Offline, args: &DataArgs) -> anyhow::Result<()> {
    let _lock = offline.folder.lock().context("stop the server first")?;
    let path = args.sealing_key_file.clone().unwrap_or_else(|| offline.folder.sealing_key());
    ensure!(
        path.exists(),
        "the sealing key is not in a file; put the new key before the old one where it is kept, start the server once, then remove the old one"
    );
    let old = read_secret(&path)?;
    let new = SealingKeys::generate_line()?;
    write_private(&path, format!("{}\n{}", *new, *old).as_bytes())?;
    let keys = SealingKeys::parse(&read_secret(&path)?)?;
    let resealed = reseal_rows(offline, &keys).await?
        + reseal_credentials(&**offline.engine.store(), &keys, offline.engine.clock().now()).await?
        + reseal_order_keys(&**offline.engine.store(), &keys).await?
        + reseal_files(offline, &keys)?;
    write_private(&path, new.as_bytes())?;
    let now = offline.engine.clock().now();
    let mut event = AuditEvent::new(
        now,
        Action::SealingKeyRotated,
        AuditOutcome::Done,
        Actor::Operator { name: operator() },
    );
    event.count = Some(resealed);
    let commit = Commit { audit: vec![event], ..Commit::default() };
    offline.engine.store().commit(commit).await??;
    output::line(format_args!("{resealed} secrets are sealed with the new key in {}", path.display()))?;
    Ok(())
}

async fn reseal_rows(offline: &Offline, keys: &SealingKeys) -> anyhow::Result<u64> {
    let mut count = 0;
    for row in offline.engine.store().all_sealed().await? {
        if keys.is_current(&row.sealed) {
            continue;
        }
        let secret = keys.unseal(&row.name, &row.sealed)?;
        let sealed = keys.seal(&row.name, &secret)?;
        let commit = Commit {
            expect: vec![Expect::SealedVersion { name: row.name.clone(), version: row.version }],
            writes: vec![Write::PutSealed(Box::new(SealedRow { sealed, version: row.version + 1, ..row }))],
            audit: Vec::new(),
        };
        offline.engine.store().commit(commit).await??;
        count += 1;
    }
    Ok(count)
}

/// Keys for ACME, which are kept because the server computes with them. One before that is accepted no more is forgotten: nobody
/// needs to open it.
async fn reseal_credentials(store: &dyn Store, keys: &SealingKeys, now: Time) -> anyhow::Result<u64> {
    let (mut count, mut page) = (0, Page::first(PAGE));
    loop {
        let batch = store.credentials(&CredentialFilter::default(), &page).await?;
        let Some((last, _)) = batch.last() else { return Ok(count) };
        page.after = Some(*last);
        for (_, row) in batch {
            let verifier = row.verifier.resealed(keys, &row.id)?;
            let previous = match row.previous_at(now) {
                Some(before) => before.resealed(keys, &row.id)?.or_else(|| Some(before.clone())),
                None => None,
            };
            if verifier.is_none() && previous == row.previous {
                continue;
            }
            let verifier = verifier.unwrap_or_else(|| row.verifier.clone());
            let commit = Commit {
                expect: vec![Expect::CredentialVersion { id: row.id.clone(), version: row.version }],
                writes: vec![Write::PutCredential(Box::new(CredentialRow {
                    verifier,
                    previous,
                    version: row.version + 1,
                    ..row
                }))],
                audit: Vec::new(),
            };
            store.commit(commit).await??;
            count += 1;
        }
    }
}

/// Private keys that were made here for orders of REST, and that nobody has fetched yet.
async fn reseal_order_keys(store: &dyn Store, keys: &SealingKeys) -> anyhow::Result<u64> {
    let filter = RestOrderFilter { key_held: Some(true), ..RestOrderFilter::default() };
    let (mut count, mut page) = (0, Page::first(PAGE));
    loop {
        let batch = store.rest_orders(&filter, &page).await?;
        let Some((last, _)) = batch.last() else { return Ok(count) };
        page.after = Some(*last);
        for (_, row) in batch {
            let Some(key) = row.key.resealed(keys, &row.id)? else { continue };
            let expect = vec![Expect::RestOrderVersion { id: row.id.clone(), version: row.version }];
            let resealed = OrderRow { key, version: row.version + 1, ..row };
            let writes = vec![Write::PutRestOrder(Box::new(resealed))];
            store.commit(Commit { expect, writes, audit: Vec::new() }).await??;
            count += 1;
        }
    }
}

fn reseal_files(offline: &Offline, keys: &SealingKeys) -> anyhow::Result<u64> {
    let mut files =
        vec![(crate::standalone::CONFIGURATION_PURPOSE.to_owned(), offline.folder.configuration())];
    if let Ok(entries) = fs::read_dir(offline.folder.authorities()) {
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((crate::standalone::authority_purpose(&name), entry.path().join("key.sealed")));
        }
    }
    let mut count = 0;
    for (purpose, path) in files {
        let Some(sealed) = read_if_there(&path)? else { continue };
        if keys.is_current(&sealed) {
            continue;
        }
        let secret = keys.unseal(&purpose, &sealed).with_context(|| path.display().to_string())?;
        write_private(&path, &keys.seal(&purpose, &secret)?)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use issuance::{
        credential::{PreviousValue, Verifier, generate_hmac_key},
        rest::OrderKey,
        secret::Secret,
        store::{
            memory::MemoryStore,
            suite::samples::{EARLIER, LATER, NOW, credential, put_rest_order, rest_order, write},
        },
    };

    use super::*;

    #[tokio::test]
    async fn keys_for_acme_move_to_the_new_sealing_key_and_the_ones_before_while_they_are_accepted() {
        let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
        let (before, after) = (SealingKeys::parse(&old).unwrap(), SealingKeys::parse(&new).unwrap());
        let both = SealingKeys::parse(&format!("{}\n{}", *new, *old)).unwrap();
        let store = MemoryStore::default();
        let keys = [generate_hmac_key().unwrap(), generate_hmac_key().unwrap()];
        for (number, until) in [(1, LATER), (2, EARLIER)] {
            let id = credential(number).id;
            let sealed = |keys: &SealingKeys, key| Verifier::of_hmac_key(keys, &id, key).unwrap();
            let previous = Some(PreviousValue { verifier: sealed(&before, &keys[1]), until });
            // One is sealed with the new one already, but for the key before.
            let verifier = sealed(if number == 1 { &both } else { &before }, &keys[0]);
            let row = CredentialRow { verifier, previous, ..credential(number) };
            write(&store, vec![Write::PutCredential(Box::new(row))]).await;
        }
        write(&store, vec![Write::PutCredential(Box::new(credential(3)))]).await;
        assert_eq!(reseal_credentials(&store, &both, NOW).await.unwrap(), 2);
        assert_eq!(reseal_credentials(&store, &both, NOW).await.unwrap(), 0);
        for (number, expected) in [(1, Some(&keys[1])), (2, None)] {
            let row = store.credential(&credential(number).id).await.unwrap().unwrap();
            let opened = |verifier: &Verifier| verifier.hmac_key(&after, &row.id).unwrap();
            assert_eq!(opened(&row.verifier).as_ref(), Some(&keys[0]));
            assert_eq!(
                row.previous.as_ref().and_then(|previous| opened(&previous.verifier)).as_ref(),
                expected
            );
        }
        assert_eq!(store.credential(&credential(3).id).await.unwrap(), Some(credential(3)));
    }

    #[tokio::test]
    async fn every_key_that_nobody_has_fetched_moves_to_the_new_sealing_key_once() {
        let (old, new) = (SealingKeys::generate_line().unwrap(), SealingKeys::generate_line().unwrap());
        let (before, after) = (SealingKeys::parse(&old).unwrap(), SealingKeys::parse(&new).unwrap());
        let both = SealingKeys::parse(&format!("{}\n{}", *new, *old)).unwrap();
        let store = MemoryStore::default();
        let secret = |number: u8| Secret::new(vec![number; 3]);
        for number in 1..=3 {
            let mut row = rest_order(number);
            row.key = OrderKey::seal(&before, &row.id, &secret(number)).unwrap();
            write(&store, vec![put_rest_order(row), put_rest_order(rest_order(number + 10))]).await;
        }
        assert_eq!(reseal_order_keys(&store, &both).await.unwrap(), 3);
        assert_eq!(reseal_order_keys(&store, &both).await.unwrap(), 0);
        for number in 1..=3 {
            let row = store.rest_order(&rest_order(number).id).await.unwrap().unwrap();
            assert_eq!(row.key.unseal(&after, &row.id).unwrap(), Some(secret(number)));
            let other = store.rest_order(&rest_order(number + 10).id).await.unwrap();
            assert_eq!(other, Some(rest_order(number + 10)));
        }
    }
}
