//! Rows for the credentials that resources declare.

#[cfg(test)]
mod access_keys;
mod previous;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use issuance::{
    Engine, Error,
    administration::named_id,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    credential::{CredentialRow, CredentialState, Verifier, generate_hmac_key, hmac_key_fingerprint},
    error::{Refusal, Rule},
    identity::{CredentialId, ResourceName},
    rest::AccessKey,
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, CredentialFilter, Expect, Page, Write},
};
use resolve::{CompiledCredential, CredentialValue, ValueForm};

use super::{FailedKind, Failure};

const PAGE: usize = 500;

/// How often rows are read again that somebody else changes at the same time.
const ATTEMPTS: usize = 3;

/// How often a credential of one name may have been made, removed and made again.
const INCARNATIONS: u64 = 100_000;

/// What is declared.
#[derive(Clone, Debug)]
pub(crate) struct Declared<'a> {
    pub(crate) in_force: &'a [CompiledCredential],
    /// The names of all that a resource speaks of, those included that cannot be served at the moment. A declared row of
    /// another name is revoked.
    pub(crate) names: &'a BTreeSet<ResourceName>,
    /// What must be true for rows to be changed: that this configuration is the newest.
    pub(crate) guard: Option<Expect>,
}

/// Where values go that are made here.
pub(crate) trait Values: Send + Sync + fmt::Debug {
    /// Keeps a new value, before its row is written: whoever finds the row finds the value too.
    fn keep(&self, credential: &CompiledCredential, value: &Secret) -> Result<(), Error>;

    /// Forgets the value of a credential that is gone.
    fn forget(&self, name: &ResourceName) -> Result<(), Error>;
}

/// Credentials that were seen to agree with their rows: a slow hash is not computed again for those.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    known: HashMap<ResourceName, (CompiledCredential, CredentialId, u64)>,
}

impl Reconciled {
    /// Makes the rows agree with what is declared. What is wrong with one credential alone is returned and leaves its row as
    /// it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`], and [`Error::Conflict`] where others change the rows at the same time, again and again.
    pub(super) async fn reconcile(
        &mut self,
        engine: &Engine,
        sealing: &SealingKeys,
        values: &dyn Values,
        declared: &Declared<'_>,
    ) -> Result<Vec<Failure>, Error> {
        let mut outcome = Ok(Vec::new());
        for _ in 0..ATTEMPTS {
            outcome = Pass { engine, sealing, values, declared, known: &mut self.known }.run().await;
            // Another server on the same database may change the same row first: then there is less left to do.
            if !matches!(outcome, Err(Error::Conflict(_))) {
                break;
            }
        }
        outcome
    }
}

struct Pass<'a> {
    engine: &'a Engine,
    sealing: &'a SealingKeys,
    values: &'a dyn Values,
    declared: &'a Declared<'a>,
    known: &'a mut HashMap<ResourceName, (CompiledCredential, CredentialId, u64)>,
}

impl Pass<'_> {
    async fn run(&mut self) -> Result<Vec<Failure>, Error> {
        let mut rows = self.declared_rows().await?;
        let mut failures = Vec::new();
        for credential in self.declared.in_force {
            match self.agree(credential, rows.remove(&credential.name)).await {
                Ok(()) => {}
                Err(error @ (Error::Unavailable(_) | Error::Conflict(_) | Error::Stale)) => {
                    return Err(error);
                }
                Err(error) => {
                    let name = credential.name.clone();
                    let reason = error.to_string();
                    failures.push(Failure { kind: FailedKind::Credential, name, reason });
                }
            }
        }
        for row in rows.into_values().filter(|row| !self.declared.names.contains(&row.name)) {
            tracing::info!(credential = %row.name, "its resource is gone; revoked");
            self.values.forget(&row.name)?;
            self.known.remove(&row.name);
            self.release(row).await?;
        }
        Ok(failures)
    }

    async fn declared_rows(&self) -> Result<BTreeMap<ResourceName, CredentialRow>, Error> {
        let filter = CredentialFilter { declared: Some(true), ..CredentialFilter::default() };
        let (mut rows, mut page) = (BTreeMap::new(), Page::first(PAGE));
        loop {
            let batch = self.engine.store().credentials(&filter, &page).await?;
            let Some((last, _)) = batch.last() else { return Ok(rows) };
            page.after = Some(*last);
            rows.extend(batch.into_iter().map(|(_, row)| (row.name.clone(), row)));
        }
    }

    async fn agree(&mut self, wanted: &CompiledCredential, row: Option<CredentialRow>) -> Result<(), Error> {
        let row = match row {
            Some(row) if is_same(wanted, &row) => row,
            // A resource of the same name that came after the one that the row was made for.
            Some(row) => {
                self.release(row).await?;
                return self.create(wanted).await;
            }
            None => return self.create(wanted).await,
        };
        let known = self.known.get(&wanted.name);
        if known.is_some_and(|(seen, id, version)| seen == wanted && *id == row.id && *version == row.version)
        {
            return Ok(());
        }
        let (id, version) = self.update(wanted, row).await?;
        self.known.insert(wanted.name.clone(), (wanted.clone(), id, version));
        Ok(())
    }

    async fn create(&mut self, wanted: &CompiledCredential) -> Result<(), Error> {
        let id = self.free_id(wanted).await?;
        let (username, verifier) = self.value(wanted, &id).await?;
        let previous = self.previous(wanted, &id, username.as_deref(), None)?;
        let row = CredentialRow {
            id: id.clone(),
            version: 0,
            method: wanted.method.clone(),
            protocol: wanted.protocol,
            name: wanted.name.clone(),
            username,
            verifier,
            owner: Some(wanted.owner.clone()),
            state: wanted.state,
            created_at: self.engine.clock().now(),
            expires_at: wanted.expires_at,
            maximum_uses: wanted.maximum_uses,
            uses: 0,
            last_used_at: None,
            declared: true,
            regeneration: wanted.regeneration,
            identifiers: wanted.identifiers.clone(),
            actions: wanted.actions,
            previous,
        };
        self.put(row, 0, Action::CredentialCreated).await?;
        self.known.insert(wanted.name.clone(), (wanted.clone(), id, 1));
        Ok(())
    }

    /// Two replicas that make the same credential at once choose the same: one of them is first, the other sees it.
    async fn free_id(&self, wanted: &CompiledCredential) -> Result<CredentialId, Error> {
        let name = &wanted.name;
        for incarnation in 0..INCARNATIONS {
            let id = named_id(name, incarnation);
            match self.engine.store().credential(&id).await? {
                None => return Ok(id),
                Some(row) if row.declared => return Err(Error::Conflict(format!("{name} was just made"))),
                // Not one that a resource declared: those are revoked when they are let go.
                Some(row) if row.state == CredentialState::Active && row.method == wanted.method => {
                    let sentence = "a credential of this name was made over REST: revoke it first";
                    return Err(Error::Malformed(sentence.into()));
                }
                Some(_) => {}
            }
        }
        Err(Error::Internal(format!("the credential {name} was made {INCARNATIONS} times")))
    }

    async fn update(
        &self,
        wanted: &CompiledCredential,
        row: CredentialRow,
    ) -> Result<(CredentialId, u64), Error> {
        let mut changed = CredentialRow {
            owner: Some(wanted.owner.clone()),
            expires_at: wanted.expires_at,
            maximum_uses: wanted.maximum_uses,
            state: wanted.state,
            identifiers: wanted.identifiers.clone(),
            actions: wanted.actions,
            ..row.clone()
        };
        let mut action = match (row.state, wanted.state) {
            (CredentialState::Active, CredentialState::Revoked) => Action::CredentialRevoked,
            (CredentialState::Active | CredentialState::Revoked, _) => Action::CredentialChanged,
        };
        // What has ended needs no value, and may come with none: it is no other for that.
        let has_ended = wanted.state == CredentialState::Revoked
            || wanted.expires_at.is_some_and(|end| end <= self.engine.clock().now());
        if !has_ended && value_changed(wanted, &row).await? {
            (changed.username, changed.verifier) = self.value(wanted, &row.id).await?;
            changed.regeneration = wanted.regeneration;
            changed.uses = 0;
            action = Action::CredentialRegenerated;
        } else if !has_ended && let Some(verifier) = self.resealed(wanted, &row)? {
            changed.verifier = verifier;
        }
        changed.previous = match has_ended {
            true => None,
            false => self.previous(wanted, &row.id, changed.username.as_deref(), row.previous.as_ref())?,
        };
        if changed == row {
            return Ok((row.id, row.version));
        }
        self.put(changed, row.version, action).await?;
        Ok((row.id, row.version + 1))
    }

    /// The user name that the row gets with the value, and what the value is checked by.
    async fn value(
        &self,
        wanted: &CompiledCredential,
        id: &CredentialId,
    ) -> Result<(Option<String>, Verifier), Error> {
        let form = ValueForm::of(wanted.protocol);
        let made;
        let (value, chosen) = match &wanted.value {
            CredentialValue::Given(value) => (value, true),
            CredentialValue::Generated(value) => (value, false),
            CredentialValue::Generate { .. } => {
                made = form.generate()?;
                self.values.keep(wanted, &made)?;
                (&made, false)
            }
        };
        let username = wanted.username.clone();
        match form {
            ValueForm::Password if chosen => {
                let secret = value.clone();
                Ok((username, slow(move || Verifier::of_chosen(&secret)).await?))
            }
            ValueForm::Password => Ok((username, Verifier::of_generated(value))),
            ValueForm::HmacKey => Ok((username, self.hmac_key(id, value)?)),
            ValueForm::AccessKey => {
                Ok((self.access_key_name(value, id).await?, Verifier::of_generated(value)))
            }
        }
    }

    /// None where it has ended, which an empty value says. One whose name another credential has would be found as that one, if
    /// it were stored at all: resolving sees only the keys that are given, and no rows.
    async fn access_key_name(&self, value: &Secret, id: &CredentialId) -> Result<Option<String>, Error> {
        let Some(key) = AccessKey::parse(value) else { return Ok(None) };
        let holder = self.engine.store().credential_by_access_key(key.name()).await?;
        if holder.is_some_and(|holder| holder.id != *id) {
            let sentence = "another credential has an access key of this name";
            return Err(Error::Refused(Refusal::new(Rule::KeyReuse, sentence)));
        }
        Ok(Some(key.name().to_owned()))
    }

    fn hmac_key(&self, id: &CredentialId, key: &Secret) -> Result<Verifier, Error> {
        if key.is_empty() {
            // It has ended. Anybody could compute with an empty key, and nobody knows this one.
            return Verifier::of_hmac_key(self.sealing, id, &generate_hmac_key()?);
        }
        Verifier::of_hmac_key(self.sealing, id, key)
    }

    /// The same key sealed with the newest sealing key, where it is not. What no sealing key opens any more is sealed anew where
    /// the key is known here.
    fn resealed(&self, wanted: &CompiledCredential, row: &CredentialRow) -> Result<Option<Verifier>, Error> {
        match (row.verifier.resealed(self.sealing, &row.id), &wanted.value) {
            (Ok(resealed), _) => Ok(resealed),
            (Err(_), CredentialValue::Given(key) | CredentialValue::Generated(key)) => {
                self.hmac_key(&row.id, key).map(Some)
            }
            (Err(error), CredentialValue::Generate { .. }) => Err(error.into()),
        }
    }

    /// Revokes a row and lets its name go, that of its access key too: the same may be declared again.
    async fn release(&self, row: CredentialRow) -> Result<(), Error> {
        let version = row.version;
        let username = match ValueForm::of(row.protocol) {
            ValueForm::AccessKey => None,
            ValueForm::Password | ValueForm::HmacKey => row.username.clone(),
        };
        let changed = CredentialRow { state: CredentialState::Revoked, declared: false, username, ..row };
        self.put(changed, version, Action::CredentialRevoked).await
    }

    async fn put(&self, row: CredentialRow, version: u64, action: Action) -> Result<(), Error> {
        let now = self.engine.clock().now();
        let reason = match row.previous_at(now).filter(|_| action == Action::CredentialRegenerated) {
            Some(previous) => {
                format!("{}; the value before is accepted until {}", row.name, previous.until)
            }
            None => row.name.to_string(),
        };
        let mut event = AuditEvent::new(now, action, AuditOutcome::Done, Actor::Server).because(&reason);
        event.method = Some(row.method.clone());
        event.credential = Some(row.id.clone());
        let mut expect = vec![Expect::CredentialVersion { id: row.id.clone(), version }];
        expect.extend(self.declared.guard.clone());
        let commit = Commit {
            expect,
            writes: vec![Write::PutCredential(Box::new(CredentialRow { version: version + 1, ..row }))],
            audit: vec![event],
        };
        let outcome = self.engine.store().commit(commit).await?;
        outcome.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
        Ok(())
    }
}

/// Whether the row was made for this resource: a credential's method and user never change. An access key has its name from its
/// value, which does.
fn is_same(wanted: &CompiledCredential, row: &CredentialRow) -> bool {
    let is_of_user = match ValueForm::of(wanted.protocol) {
        ValueForm::AccessKey => true,
        ValueForm::Password | ValueForm::HmacKey => wanted.username == row.username,
    };
    wanted.method == row.method && wanted.protocol == row.protocol && is_of_user
}

async fn value_changed(wanted: &CompiledCredential, row: &CredentialRow) -> Result<bool, Error> {
    match (&wanted.value, ValueForm::of(wanted.protocol)) {
        (CredentialValue::Generate { .. }, _) => Ok(wanted.regeneration > row.regeneration),
        (CredentialValue::Given(key) | CredentialValue::Generated(key), ValueForm::HmacKey) => {
            Ok(row.verifier.fingerprint() != Some(hmac_key_fingerprint(key)))
        }
        (CredentialValue::Generated(secret), ValueForm::Password)
        | (CredentialValue::Given(secret) | CredentialValue::Generated(secret), ValueForm::AccessKey) => {
            Ok(row.verifier != Verifier::of_generated(secret))
        }
        (CredentialValue::Given(secret), ValueForm::Password) => {
            let (verifier, secret) = (row.verifier.clone(), secret.clone());
            Ok(!slow(move || verifier.matches(&secret)).await?)
        }
    }
}

/// Hashing a secret that a person may have chosen takes tens of milliseconds.
async fn slow<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal("hashing a secret was interrupted".into()))?
}
