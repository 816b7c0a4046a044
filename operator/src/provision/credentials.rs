//! Values of credentials that are made here, each in a Secret beside its resource: a password in one of type
//! `kubernetes.io/basic-auth`, a key for ACME in one of type `Opaque`, with `kid` and `hmac`, an access key for REST in one of
//! type `Opaque`, with `accessKey`.
//!
//! | when | what |
//! | --- | --- |
//! | there is no Secret | a value is made |
//! | `spec.regeneration` has grown | another value, the old one stops, and any before it |
//! | the value is as old as `spec.rotation.every` says | another value; the old one stops, or is kept beside it for as long as `spec.rotation.overlap` says |
//! | the overlap is over, or asked for no more | the value before is removed from the Secret, and opens nothing |
//! | the value is from the future | it was made while the clock was ahead: its age, and the overlap, count from now |
//! | expired or revoked | the values are removed from the Secret, and nothing opens the credential |
//! | the Secret was made by something else | nothing is written, and the credential is not served |
//!
//! The Secret is the truth: what is in it is what servers are given. Values that users give (`valueFrom`) are not looked at here.

mod held;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use crds::{EnrollmentCredential, labels};
use futures::{StreamExt as _, stream};
use issuance::{credential::CredentialState, identity::ResourceName, ports::Clock, secret::Secret};
use k8s_openapi::{ByteString, api::core::v1, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Client, Resource as _, ResourceExt as _};
use pki::time::Time;
use resolve::{
    Compiled, CompiledCredential, CompiledPrevious, CredentialValue, Resources, ValueForm, resource_name,
};

use super::{
    ProvisionError,
    vault::{Created, Vault, annotation, is_ours, label, set_annotation, set_label},
};
use crate::world::World;
use held::{Given, Held, nothing, seconds};

/// The type of Secrets that hold values of this form. That of passwords wants `username` or `password` in them.
const fn type_of(form: ValueForm) -> &'static str {
    match form {
        ValueForm::Password => "kubernetes.io/basic-auth",
        ValueForm::HmacKey | ValueForm::AccessKey => "Opaque",
    }
}

/// Why there is no value: `expired` or `revoked`.
const STOPPED: &str = "chancery.dev/stopped";

/// How many Secrets are looked at at a time.
const CONCURRENCY: usize = 8;

/// Makes and keeps values. Remembers what it has read, until the Secret changes.
pub struct Values {
    client: Client,
    clock: Arc<dyn Clock>,
    known: HashMap<ResourceName, Known>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// What was last done for one credential.
#[derive(Clone)]
struct Known {
    /// Of the Secret, as the watch will tell it.
    version: String,
    /// Of what it was done for.
    wanted: Wanted,
    held: Held,
}

/// What a credential's Secret is to be.
#[derive(Clone, PartialEq)]
struct Wanted {
    secret: ResourceName,
    credential: ResourceName,
    uid: String,
    form: ValueForm,
    /// The user name, or the key identifier.
    username: Option<String>,
    regeneration: u64,
    /// Seconds.
    rotation: Option<u64>,
    /// Seconds: for how long the value before a rotation is accepted as well.
    overlap: Option<u64>,
    stopped: Option<Stopped>,
}

/// Why nothing may open a credential any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Expired,
    Revoked,
}

impl Stopped {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// One credential's value, for its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFacts {
    /// The Secret with the value, in the namespace of the credential.
    pub secret: String,
    pub created_at: Time,
    /// The `spec.regeneration` that it was made for.
    pub regeneration: u64,
    /// How many values came before, by rotation.
    pub rotations: u64,
    pub rotates_at: Option<Time>,
    /// Until when the value before is accepted as well.
    pub previous_until: Option<Time>,
}

impl ValueFacts {
    /// What is said of a rotation.
    pub fn announcement(&self) -> String {
        let before = match self.previous_until {
            Some(until) => format!("is accepted until {until}"),
            None => "is refused".to_owned(),
        };
        format!("the Secret {} has a new value; the one before {before}", self.secret)
    }
}

/// Why a credential has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFailure {
    pub text: String,
    /// It may be gone by itself: the next pass is to come soon.
    pub retried: bool,
}

/// What came of the credentials of one server.
#[derive(Clone, Debug, Default)]
pub struct Fulfilled {
    pub values: BTreeMap<ResourceName, ValueFacts>,
    /// Credentials whose value was rotated just now.
    pub rotated: BTreeSet<ResourceName>,
    /// Credentials whose Secret is not as it should be, and why. Those that have not ended are not among those compiled any more.
    pub failures: BTreeMap<ResourceName, ValueFailure>,
    /// Whether one of them may be gone by itself.
    pub retried: bool,
    /// When the next value is to be replaced or removed, one before among them.
    pub due: Option<Time>,
}

impl Values {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, known: HashMap::new() }
    }

    /// Puts values where the compiled configuration says that they are to be generated, making them where there are none.
    /// `world` says which Secrets have changed since; none: each is read.
    pub async fn fulfil(
        &mut self,
        compiled: &mut Compiled,
        resources: &Resources,
        world: Option<&World>,
    ) -> Fulfilled {
        let now = self.clock.now();
        let by_name: HashMap<ResourceName, &EnrollmentCredential> =
            resources.credentials.iter().map(|found| (resource_name(&found.metadata), found)).collect();
        let wanted: Vec<Wanted> = compiled
            .credentials
            .iter()
            .filter_map(|credential| Wanted::of(credential, by_name.get(&credential.name).copied(), now))
            .collect();
        let keep = |wanted: Wanted| {
            let known = self.known.get(&wanted.credential).filter(|known| known.stands(&wanted, world, now));
            let (known, client) = (known.cloned(), self.client.clone());
            async move {
                let kept = match known {
                    Some(known) => Ok((known, false)),
                    None => keep(&client, &wanted, now).await,
                };
                (wanted, kept)
            }
        };
        let kept: Vec<_> = stream::iter(wanted).map(keep).buffer_unordered(CONCURRENCY).collect().await;
        let mut fulfilled = Fulfilled::default();
        let mut values = HashMap::new();
        for (wanted, kept) in kept {
            match kept {
                Ok((known, is_rotated)) => {
                    let facts = known.facts();
                    let expiry = compiled.credentials.iter().find(|found| found.name == wanted.credential);
                    let expiry = expiry.and_then(|found| found.expires_at).filter(|end| *end > now);
                    let dues = [fulfilled.due, facts.rotates_at, facts.previous_until, expiry];
                    fulfilled.due = dues.into_iter().flatten().min();
                    if is_rotated {
                        fulfilled.rotated.insert(wanted.credential.clone());
                    }
                    fulfilled.values.insert(wanted.credential.clone(), facts);
                    values.insert(wanted.credential.clone(), known.held.given());
                    self.known.insert(wanted.credential, known);
                }
                Err(error) => {
                    self.known.remove(&wanted.credential);
                    // What has ended has ended, whatever becomes of its Secret.
                    if wanted.stopped.is_some() {
                        let ended = Given { value: nothing(), number: wanted.regeneration, previous: None };
                        values.insert(wanted.credential.clone(), ended);
                    }
                    let text = error.sentence();
                    tracing::error!(credential = %wanted.credential, error = text, "a credential has no value");
                    fulfilled.retried |= error.is_retried();
                    let failure = ValueFailure { text, retried: error.is_retried() };
                    fulfilled.failures.insert(wanted.credential, failure);
                }
            }
        }
        self.put(compiled, values);
        fulfilled
    }

    /// Forgets credentials that are gone.
    pub fn retain(&mut self, kept: impl Fn(&ResourceName) -> bool) {
        self.known.retain(|name, _| kept(name));
    }

    fn put(&self, compiled: &mut Compiled, mut values: HashMap<ResourceName, Given>) {
        compiled.credentials.retain_mut(|credential| match credential.value {
            CredentialValue::Given(_) | CredentialValue::Generated(_) => true,
            CredentialValue::Generate { .. } => match values.remove(&credential.name) {
                Some(Given { value, number, previous }) => {
                    credential.value = CredentialValue::Generated(value);
                    credential.regeneration = number;
                    credential.previous = previous;
                    true
                }
                None => false,
            },
        });
    }
}

impl Wanted {
    /// None where the value is not made here.
    fn of(compiled: &CompiledCredential, resource: Option<&EnrollmentCredential>, now: Time) -> Option<Self> {
        let CredentialValue::Generate { write_to } = &compiled.value else { return None };
        let stopped = match compiled.state {
            CredentialState::Revoked => Some(Stopped::Revoked),
            CredentialState::Active => {
                compiled.expires_at.is_some_and(|end| end <= now).then_some(Stopped::Expired)
            }
        };
        let rotation = resource.and_then(|resource| resource.spec.rotation.as_ref());
        Some(Self {
            secret: write_to.clone(),
            credential: compiled.name.clone(),
            uid: resource.and_then(|resource| resource.uid()).unwrap_or_default(),
            form: ValueForm::of(compiled.protocol),
            username: compiled.username.clone(),
            regeneration: compiled.regeneration,
            rotation: rotation.map(|rotation| rotation.every.seconds().max(1)),
            overlap: rotation.and_then(|rotation| rotation.overlap.as_ref()).map(|overlap| overlap.seconds()),
            stopped,
        })
    }

    /// What is to be there, given what is; none: it is so already.
    fn next(&self, held: Option<&Held>, now: Time) -> Result<Option<Held>, ProvisionError> {
        if self.stopped.is_some() {
            let is_removed = held.is_some_and(|held| held.value.is_none() && held.previous.is_none());
            return Ok((!is_removed).then(|| match held {
                Some(held) => Held { value: None, previous: None, ..held.clone() },
                None => self.first(None, now),
            }));
        }
        let standing = held.filter(|held| held.regeneration >= self.regeneration);
        let Some((held, value)) = standing.and_then(|held| Some((held, held.value.as_ref()?))) else {
            let rotations = held.map_or(0, |held| held.rotations);
            let value = self.form.generate()?;
            return Ok(Some(Held { rotations, ..self.first(Some(value), now) }));
        };
        if held.rotates_at(self.rotation).is_some_and(|at| at <= now) {
            return self.rotated(held, value, now).map(Some);
        }
        // A clock that was ahead for a while made it: it is as if it were made now.
        let created_at = held.created_at.min(now);
        let previous = self.overlapping(held, created_at, now);
        let is_so = previous == held.previous && created_at == held.created_at;
        Ok((!is_so).then(|| Held { previous, created_at, ..held.clone() }))
    }

    fn first(&self, value: Option<Secret>, now: Time) -> Held {
        Held { value, regeneration: self.regeneration, rotations: 0, created_at: now, previous: None }
    }

    /// What takes the place of a value that has become old. With one before it, which there is only where the resource has changed
    /// since, nothing is opened any more.
    fn rotated(&self, held: &Held, value: &Secret, now: Time) -> Result<Held, ProvisionError> {
        let rotations = held.rotations.saturating_add(1);
        let Some(overlap) = self.overlap else {
            return Ok(Held { rotations, ..self.first(Some(self.form.generate()?), now) });
        };
        let previous = CompiledPrevious { value: value.clone(), until: now.plus_seconds(seconds(overlap)) };
        let next = self.first(Some(self.form.succeed(value)?), now);
        Ok(Held { rotations, previous: Some(previous), ..next })
    }

    /// The value before, where it is still accepted. An overlap that has become longer does not prolong what was announced, and one
    /// that has become shorter cuts it off.
    fn overlapping(&self, held: &Held, created_at: Time, now: Time) -> Option<CompiledPrevious> {
        let previous = held.previous.clone()?;
        let until = previous.until.min(created_at.plus_seconds(seconds(self.overlap?)));
        (now < until).then_some(CompiledPrevious { until, ..previous })
    }

    fn secret(&self, vault: &Vault, held: &Held, found: Option<&v1::Secret>) -> v1::Secret {
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        // The type of passwords wants one of the two keys, also where there is neither a name nor a value.
        let mut data: BTreeMap<String, ByteString> = BTreeMap::new();
        if let Some(key) = self.form.name_key()
            && (self.username.is_some() || held.value.is_none())
        {
            data.insert(key.to_owned(), text(self.username.as_deref().unwrap_or_default()));
        }
        data.extend(held.data(self.form));
        let mut secret = vault.secret(self.secret.name(), type_of(self.form), data);
        if let Some(found) = found {
            let ours = secret.metadata.labels.take().unwrap_or_default();
            secret.metadata = kube::core::ObjectMeta { managed_fields: None, ..found.metadata.clone() };
            secret.metadata.labels.get_or_insert_default().extend(ours);
        }
        let meta = &mut secret.metadata;
        set_label(meta, labels::OWNER_UID, &self.uid);
        set_annotation(meta, labels::FOR, &self.credential.to_string());
        held.annotate(meta);
        match self.stopped {
            Some(stopped) => set_annotation(meta, STOPPED, stopped.as_str()),
            None => drop(meta.annotations.get_or_insert_default().remove(STOPPED)),
        }
        meta.owner_references = Some(vec![OwnerReference {
            api_version: EnrollmentCredential::api_version(&()).into_owned(),
            kind: EnrollmentCredential::kind(&()).into_owned(),
            name: self.credential.name().to_owned(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        secret
    }
}

impl Known {
    /// Whether there is nothing to do, without looking.
    fn stands(&self, wanted: &Wanted, world: Option<&World>, now: Time) -> bool {
        let version =
            world.and_then(|world| world.secret(&wanted.secret)).map(|found| &found.resource_version);
        let dues = [self.held.rotates_at(wanted.rotation), self.held.previous_until()];
        let is_due = dues.into_iter().flatten().any(|at| at <= now) || self.held.created_at > now;
        version == Some(&self.version) && self.wanted == *wanted && (!is_due || wanted.stopped.is_some())
    }

    fn facts(&self) -> ValueFacts {
        let has_value = self.held.value.is_some();
        ValueFacts {
            secret: self.wanted.secret.name().to_owned(),
            created_at: self.held.created_at,
            regeneration: self.held.regeneration,
            rotations: self.held.rotations,
            rotates_at: self.held.rotates_at(self.wanted.rotation).filter(|_| has_value),
            previous_until: self.held.previous_until(),
        }
    }
}

/// Reads the Secret of a credential and makes it what it is to be. Says also whether the value was rotated.
async fn keep(client: &Client, wanted: &Wanted, now: Time) -> Result<(Known, bool), ProvisionError> {
    let vault = Vault::new(client.clone(), wanted.secret.namespace());
    let mut found = vault.read(wanted.secret.name()).await?;
    // What was for a resource of the same name before is about to be removed with it: its value is not taken over.
    let replaced = found.as_ref().is_some_and(|found| is_of_former(found, wanted));
    if let Some(former) = found.take_if(|_| replaced) {
        vault.delete(&former.metadata).await?;
    }
    if let Some(found) = &found {
        let is_own = is_ours(&found.metadata)
            && found.type_.as_deref() == Some(type_of(wanted.form))
            && label(&found.metadata, labels::OWNER_UID) == Some(wanted.uid.as_str());
        if !is_own {
            return Err(ProvisionError::Foreign(wanted.secret.clone()));
        }
    }
    let held = found.as_ref().and_then(|found| Held::read(found, wanted.form));
    let known = |secret: &v1::Secret, held: Held| Known {
        version: secret.metadata.resource_version.clone().unwrap_or_default(),
        wanted: wanted.clone(),
        held,
    };
    let next = wanted.next(held.as_ref(), now)?;
    let rotations = |held: Option<&Held>| held.map_or(0, |held| held.rotations);
    let is_rotated = next.is_some() && rotations(next.as_ref()) > rotations(held.as_ref());
    match (found, held, next) {
        (Some(found), Some(held), None) => Ok((known(&found, held), is_rotated)),
        (Some(found), _, Some(next)) => {
            let written = vault.replace(&wanted.secret(&vault, &next, Some(&found))).await?;
            Ok((known(&written, next), is_rotated))
        }
        (None, _, Some(next)) => match vault.create(&wanted.secret(&vault, &next, None)).await? {
            Created::Made(made) => Ok((known(&made, next), is_rotated)),
            Created::Exists => Err(ProvisionError::Conflict(wanted.secret.clone())),
        },
        // `next` is none only where something is held.
        (Some(_) | None, None, None) | (None, Some(_), None) => {
            Err(ProvisionError::Conflict(wanted.secret.clone()))
        }
    }
}

/// Whether a Secret was made for a resource of the same name that is gone.
fn is_of_former(found: &v1::Secret, wanted: &Wanted) -> bool {
    is_ours(&found.metadata)
        && [ValueForm::Password, ValueForm::HmacKey, ValueForm::AccessKey]
            .map(type_of)
            .map(Some)
            .contains(&found.type_.as_deref())
        && annotation(&found.metadata, labels::FOR) == Some(wanted.credential.to_string().as_str())
        && label(&found.metadata, labels::OWNER_UID) != Some(wanted.uid.as_str())
}
