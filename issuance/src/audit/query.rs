//! Looking for records in all streams at once, in the order of time.
//!
//! Nothing is indexed for this, because every issuance would pay for it. A stream is nearly in the order of time, so that a
//! range of time is found in it by halving; within the range, every record is looked at. What that costs, a call bounds:
//! at most [`MAX_SCANNED`] records, of which a few thousand are in memory at once.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{serial::SerialNumber, time::Time};
use serde::Serialize;

use super::{Action, Actor, AuditEvent, AuditOutcome, AuditRecord};
use crate::{
    identity::{CredentialId, ResourceName},
    store::{MethodScope, Store, StoreError, StoreResult},
};

/// Most records that one call looks at.
pub const MAX_SCANNED: usize = 50_000;

/// Records in memory at once, of all streams together; of each stream at least [`MIN_CHUNK`].
const BUFFERED: usize = 4096;
const MIN_CHUNK: usize = 16;
const MAX_CHUNK: usize = 1000;

/// What the server is called as an actor.
const SERVER: &str = "server";

/// How far a record may be from its place in time: clocks are put right, and an event is recorded after it happened.
const DISORDER_SECONDS: i64 = 3600;

/// All given parts must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditFilter {
    /// At or after.
    pub from: Option<Time>,
    /// Before.
    pub until: Option<Time>,
    /// The requester's or operator's name; `server` for the server itself. None of it is secret.
    pub actor: Option<String>,
    pub credential: Option<CredentialId>,
    pub profile: Option<ResourceName>,
    pub serial: Option<SerialNumber>,
    pub methods: Option<MethodScope>,
    pub outcome: Option<AuditOutcome>,
    pub action: Option<Action>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// A bounded piece of the trail.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    pub filter: AuditFilter,
    pub order: AuditOrder,
    /// From an earlier answer to the same question.
    pub after: Option<AuditCursor>,
    /// Most records of the answer.
    pub limit: usize,
}

/// What was found. Fewer than were asked for, or none, does not mean that there are no more: `next` does.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    pub records: Vec<(AuditRecord, AuditEvent)>,
    pub next: Option<AuditCursor>,
}

/// How far each stream was read: the sequence of the last record that was looked at. Opaque to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor(BTreeMap<String, u64>);

/// A text that no answer had as its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cursor of the audit trail")]
pub struct BadCursor;

impl std::fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = serde_json::to_vec(&self.0).map_err(|_| std::fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl std::str::FromStr for AuditCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        serde_json::from_slice(&json).map(Self).map_err(|_| BadCursor)
    }
}

impl AuditFilter {
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.from.is_none_or(|from| event.at >= from)
            && self.until.is_none_or(|until| event.at < until)
            && self.actor.as_ref().is_none_or(|name| actor_name(&event.actor) == Some(name))
            && self.credential.as_ref().is_none_or(|credential| {
                event.credential.as_ref() == Some(credential) || event.actor.credential() == Some(credential)
            })
            && (self.profile.is_none() || event.profile == self.profile)
            && (self.serial.is_none() || event.serial == self.serial)
            && self
                .methods
                .as_ref()
                .is_none_or(|scope| event.method.as_ref().is_some_and(|method| scope.contains(method)))
            && (self.methods.is_none() || !is_own(event))
            && self.outcome.is_none_or(|outcome| event.outcome == outcome)
            && self.action.is_none_or(|action| event.action == action)
    }

    /// What stands in the JSON of every event that matches, letter for letter, each time one of several texts: looking for it
    /// costs a tenth of reading the JSON.
    fn needles(&self) -> Vec<Vec<String>> {
        fn json(value: Option<&impl Serialize>) -> Option<String> {
            value.and_then(|value| serde_json::to_string(value).ok())
        }
        let methods = self.methods.as_ref().and_then(|scope| match scope {
            MethodScope::Methods(methods) => methods.iter().map(|method| json(Some(method))).collect(),
            MethodScope::Namespace(namespace) => {
                let start = json(Some(&format!("{namespace}/")))?;
                Some(vec![start.strip_suffix('"')?.to_owned()])
            }
        });
        // The server itself is called so without that standing there.
        let actor = self.actor.as_ref().filter(|name| *name != SERVER);
        let needles = [
            json(actor),
            json(self.credential.as_ref()),
            json(self.profile.as_ref()),
            json(self.serial.as_ref()),
            json(self.outcome.as_ref()),
            json(self.action.as_ref()),
        ];
        needles.into_iter().flatten().map(|needle| vec![needle]).chain(methods).collect()
    }
}

/// Whether it is of what the server issued to itself: of no method, though older records have the server's name as that of one.
fn is_own(event: &AuditEvent) -> bool {
    event.actor == Actor::Server && event.action == Action::CertificateIssued
}

/// As [`AuditFilter::actor`] has it; nobody in particular has no name.
pub fn actor_name(actor: &Actor) -> Option<&str> {
    match actor {
        Actor::Requester { name, .. } | Actor::Operator { name } => Some(name),
        Actor::Stranger { .. } => None,
        Actor::Server => Some(SERVER),
    }
}

/// Answers a query from what every store can do. Records of one stream come in their order; those of different streams in
/// the order of time.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Corrupt`] for a record whose event no version of this program wrote.
pub async fn query<S: Store + ?Sized>(store: &S, query: &AuditQuery) -> StoreResult<AuditPage> {
    let mut streams = open(store, query).await?;
    let needles = query.filter.needles();
    // Where every record is given out, no more is read than that.
    let wanted = if needles.is_empty() { query.limit.min(BUFFERED) } else { BUFFERED };
    let chunk = (wanted / streams.len().max(1)).clamp(MIN_CHUNK, MAX_CHUNK);
    let mut page = AuditPage::default();
    for _ in 0..MAX_SCANNED {
        if page.records.len() >= query.limit {
            break;
        }
        let mut first: Option<(Time, usize)> = None;
        for (place, stream) in streams.iter_mut().enumerate() {
            let Some(at) = stream.peek(store, query, chunk).await? else { continue };
            if first.is_none_or(|(best, _)| query.order.comes_before(at, best)) {
                first = Some((at, place));
            }
        }
        let next = first.and_then(|(_, place)| streams.get_mut(place)).and_then(Reader::take);
        let Some(record) = next else { return Ok(page) };
        if needles.iter().all(|texts| texts.iter().any(|text| record.body.contains(text))) {
            let event = event_of(&record)?;
            if query.filter.matches(&event) {
                page.records.push((record, event));
            }
        }
    }
    page.next = Some(AuditCursor(streams.into_iter().map(|stream| (stream.name, stream.position)).collect()));
    Ok(page)
}

impl AuditOrder {
    fn comes_before(self, one: Time, other: Time) -> bool {
        match self {
            Self::OldestFirst => one < other,
            Self::NewestFirst => one > other,
        }
    }
}

/// One stream, as far as it was read.
struct Reader {
    name: String,
    /// The last that was given out: the next is after it, or before it.
    position: u64,
    buffer: VecDeque<(AuditRecord, Time)>,
    /// Nothing more of the range is in it.
    ended: bool,
}

/// All streams that may hold anything, each where the reading begins.
async fn open<S: Store + ?Sized>(store: &S, query: &AuditQuery) -> StoreResult<Vec<Reader>> {
    let mut readers = Vec::new();
    for name in store.audit_streams().await? {
        let known = query.after.as_ref().map(|AuditCursor(streams)| streams.get(&name).copied());
        let position = match (known, query.order) {
            (Some(Some(position)), _) => position,
            // It came after the first answer, and nothing in it is older than that.
            (Some(None), AuditOrder::NewestFirst) => continue,
            (Some(None), AuditOrder::OldestFirst) | (None, _) => start(store, &name, query).await?,
        };
        readers.push(Reader { name, position, buffer: VecDeque::new(), ended: false });
    }
    Ok(readers)
}

/// Just outside the range, on the side where reading begins.
async fn start<S: Store + ?Sized>(store: &S, name: &str, query: &AuditQuery) -> StoreResult<u64> {
    let Some(head) = store.audit_head(name).await? else { return Ok(0) };
    match query.order {
        AuditOrder::OldestFirst => match query.filter.from {
            Some(from) => last_before(store, &head, from.plus_seconds(-DISORDER_SECONDS)).await,
            None => Ok(0),
        },
        AuditOrder::NewestFirst => match query.filter.until {
            Some(until) => {
                Ok(last_before(store, &head, until.plus_seconds(DISORDER_SECONDS)).await?.saturating_add(1))
            }
            None => Ok(head.sequence.saturating_add(1)),
        },
    }
}

/// The sequence of the last record before this time; 0 where there is none. Sequences have no gaps.
async fn last_before<S: Store + ?Sized>(store: &S, head: &AuditRecord, time: Time) -> StoreResult<u64> {
    if time_of(head)? < time {
        return Ok(head.sequence);
    }
    let (mut before, mut at_or_after) = (0, head.sequence);
    while at_or_after - before > 1 {
        let middle = before + (at_or_after - before) / 2;
        let record = store.audit_records(&head.stream, middle - 1, 1).await?.pop();
        // What was pruned was before everything that is there.
        let is_before = match record {
            Some(record) if record.sequence == middle => time_of(&record)? < time,
            Some(_) | None => true,
        };
        if is_before { before = middle } else { at_or_after = middle }
    }
    Ok(before)
}

impl Reader {
    /// The time of the next record, where there is one in the range.
    async fn peek<S: Store + ?Sized>(
        &mut self,
        store: &S,
        query: &AuditQuery,
        chunk: usize,
    ) -> StoreResult<Option<Time>> {
        if self.buffer.is_empty() && !self.ended {
            self.fill(store, query.order, chunk).await?;
        }
        let Some((_, at)) = self.buffer.front() else { return Ok(None) };
        let at = *at;
        let beyond = match query.order {
            AuditOrder::OldestFirst => {
                query.filter.until.is_some_and(|until| at >= until.plus_seconds(DISORDER_SECONDS))
            }
            AuditOrder::NewestFirst => {
                query.filter.from.is_some_and(|from| at < from.plus_seconds(-DISORDER_SECONDS))
            }
        };
        if beyond {
            self.ended = true;
            self.buffer.clear();
            return Ok(None);
        }
        Ok(Some(at))
    }

    fn take(&mut self) -> Option<AuditRecord> {
        let (record, _) = self.buffer.pop_front()?;
        self.position = record.sequence;
        Some(record)
    }

    async fn fill<S: Store + ?Sized>(
        &mut self,
        store: &S,
        order: AuditOrder,
        chunk: usize,
    ) -> StoreResult<()> {
        let size = u64::try_from(chunk).unwrap_or(u64::MAX);
        let mut records = match order {
            AuditOrder::OldestFirst => store.audit_records(&self.name, self.position, chunk).await?,
            AuditOrder::NewestFirst => {
                let last = self.position.saturating_sub(1);
                let after = last.saturating_sub(size);
                let count = usize::try_from(last - after).unwrap_or(chunk);
                let mut records = store.audit_records(&self.name, after, count).await?;
                // Where the oldest were pruned, what comes after them was given out before.
                records.retain(|record| record.sequence <= last);
                records.reverse();
                records
            }
        };
        self.ended = records.is_empty();
        for record in records.drain(..) {
            let at = time_of(&record)?;
            self.buffer.push_back((record, at));
        }
        Ok(())
    }
}

/// Without reading the whole event, which begins with its time.
fn time_of(record: &AuditRecord) -> StoreResult<Time> {
    let digits = record.body.strip_prefix("{\"at\":").and_then(|rest| rest.split_once(','));
    match digits.map(|(digits, _)| digits.parse()) {
        Some(Ok(seconds)) => Ok(Time::from_unix(seconds)),
        Some(Err(_)) | None => Ok(event_of(record)?.at),
    }
}

fn event_of(record: &AuditRecord) -> StoreResult<AuditEvent> {
    let place = (&record.stream, record.sequence);
    record.event().map_err(|error| StoreError::Corrupt(format!("the audit record {place:?}: {error}")))
}
