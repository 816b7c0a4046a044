//! Rows for the credentials that resources declare, and files for the values that are made here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use issuance::{
    Engine, Error,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    credential::{CredentialRow, CredentialState, Verifier, generate},
    identity::{CredentialId, ResourceName},
    ports::random,
    secret::Secret,
    store::{Commit, CredentialFilter, Expect, Page, Write},
};
use resolve::{CompiledCredential, CredentialValue};

use super::data::{DataFolder, remove_folder, write_private};

const PAGE: usize = 500;

/// How often rows are read again that somebody else changes at the same time.
const ATTEMPTS: usize = 3;

/// Makes the rows agree with what is declared: `compiled` are the credentials in force, `declared` the names of all that
/// a resource speaks of, those included that cannot be served at the moment. A row whose resource is gone is revoked.
pub(super) async fn reconcile(
    engine: &Engine,
    folder: &DataFolder,
    compiled: &[CompiledCredential],
    declared: &BTreeSet<ResourceName>,
) -> anyhow::Result<()> {
    // Another server on the same database may change the same row first: then there is less left to do.
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        outcome = reconcile_once(engine, folder, compiled, declared).await;
        let conflict = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Conflict(_)));
        if !outcome.as_ref().err().is_some_and(conflict) {
            break;
        }
    }
    outcome
}

async fn reconcile_once(
    engine: &Engine,
    folder: &DataFolder,
    compiled: &[CompiledCredential],
    declared: &BTreeSet<ResourceName>,
) -> anyhow::Result<()> {
    let mut rows = declared_rows(engine).await?;
    for credential in compiled {
        let outcome = match rows.remove(&credential.name) {
            Some(row) => update(engine, folder, credential, row).await,
            None => create(engine, folder, credential).await,
        };
        outcome.with_context(|| format!("credential {}", credential.name))?;
    }
    for row in rows.into_values().filter(|row| !declared.contains(&row.name)) {
        tracing::info!(credential = %row.name, "its resource is gone; revoked");
        remove_folder(&folder.credential(&row.name))?;
        // Not declared any more: a resource of the same name is another credential.
        let changed = CredentialRow { state: CredentialState::Revoked, declared: false, ..row.clone() };
        put(engine, changed, row.version, Action::CredentialRevoked).await?;
    }
    Ok(())
}

async fn declared_rows(engine: &Engine) -> anyhow::Result<BTreeMap<ResourceName, CredentialRow>> {
    let filter = CredentialFilter { declared: Some(true), ..CredentialFilter::default() };
    let (mut rows, mut page) = (BTreeMap::new(), Page::first(PAGE));
    loop {
        let batch = engine.store().credentials(&filter, &page).await?;
        let Some((last, _)) = batch.last() else { return Ok(rows) };
        page.after = Some(*last);
        rows.extend(batch.into_iter().map(|(_, row)| (row.name.clone(), row)));
    }
}

async fn create(engine: &Engine, folder: &DataFolder, wanted: &CompiledCredential) -> anyhow::Result<()> {
    let row = CredentialRow {
        id: CredentialId::from_random(random()?),
        version: 0,
        method: wanted.method.clone(),
        protocol: wanted.protocol,
        name: wanted.name.clone(),
        username: wanted.username.clone(),
        verifier: verifier(folder, wanted).await?,
        owner: Some(wanted.owner.clone()),
        state: wanted.state,
        created_at: engine.clock().now(),
        expires_at: wanted.expires_at,
        maximum_uses: wanted.maximum_uses,
        uses: 0,
        last_used_at: None,
        declared: true,
        regeneration: wanted.regeneration,
    };
    Ok(put(engine, row, 0, Action::CredentialCreated).await?)
}

async fn update(
    engine: &Engine,
    folder: &DataFolder,
    wanted: &CompiledCredential,
    row: CredentialRow,
) -> anyhow::Result<()> {
    let mut changed = CredentialRow {
        owner: Some(wanted.owner.clone()),
        expires_at: wanted.expires_at,
        maximum_uses: wanted.maximum_uses,
        state: wanted.state,
        ..row.clone()
    };
    let mut action = match (row.state, wanted.state) {
        (CredentialState::Active, CredentialState::Revoked) => Action::CredentialRevoked,
        (CredentialState::Active | CredentialState::Revoked, _) => Action::CredentialChanged,
    };
    if value_changed(wanted, &row).await? {
        changed.verifier = verifier(folder, wanted).await?;
        changed.regeneration = wanted.regeneration;
        changed.uses = 0;
        action = Action::CredentialRegenerated;
    }
    if changed == row {
        return Ok(());
    }
    Ok(put(engine, changed, row.version, action).await?)
}

async fn value_changed(wanted: &CompiledCredential, row: &CredentialRow) -> anyhow::Result<bool> {
    match &wanted.value {
        CredentialValue::Generate { .. } => Ok(wanted.regeneration > row.regeneration),
        CredentialValue::Given(secret) => {
            let (verifier, secret) = (row.verifier.clone(), secret.clone());
            Ok(!slow(move || verifier.matches(&secret)).await?)
        }
    }
}

/// The value goes to its file before its row is written: whoever finds the row finds the file too.
async fn verifier(folder: &DataFolder, wanted: &CompiledCredential) -> anyhow::Result<Verifier> {
    match &wanted.value {
        CredentialValue::Given(secret) => {
            let secret = secret.clone();
            Ok(slow(move || Verifier::of_chosen(&secret)).await?)
        }
        CredentialValue::Generate { .. } => {
            let secret: Secret = generate()?;
            let files = folder.credential(&wanted.name);
            if let Some(username) = &wanted.username {
                write_private(&files.join("username"), username.as_bytes())?;
            }
            write_private(&files.join("password"), secret.expose())?;
            Ok(Verifier::of_generated(&secret))
        }
    }
}

/// Hashing a secret that a person may have chosen takes tens of milliseconds.
async fn slow<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

async fn put(engine: &Engine, row: CredentialRow, version: u64, action: Action) -> Result<(), Error> {
    let mut event = AuditEvent::new(engine.clock().now(), action, AuditOutcome::Done, Actor::Server)
        .because(&row.name.to_string());
    event.method = Some(row.method.clone());
    event.credential = Some(row.id.clone());
    let commit = Commit {
        expect: vec![Expect::CredentialVersion { id: row.id.clone(), version }],
        writes: vec![Write::PutCredential(Box::new(CredentialRow { version: version + 1, ..row }))],
        audit: vec![event],
    };
    engine.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    Ok(())
}
