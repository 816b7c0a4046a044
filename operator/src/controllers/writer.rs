//! Statuses and events to the API server.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use crds::{
    API_VERSION, Kind,
    conditions::{ConditionType, Reason},
    labels::STATUS_FIELD_MANAGER,
};
use issuance::identity::ResourceName;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ObjectMeta,
};
use serde_json::{Value, json};

use super::{conditions::Status, undecodable::Bare};
use crate::{context::Context, world::api_resource};

/// Counters alone are written this often.
const COUNTS: Duration = Duration::from_secs(60);

/// A status that was written just now may not have come back by the watch yet.
const ECHO: Duration = Duration::from_secs(5);

/// A status to write.
#[derive(Debug)]
pub(super) struct Draft {
    kind: Kind,
    name: ResourceName,
    meta: ObjectMeta,
    status: Value,
    /// Nothing but counters is new.
    only_counts: bool,
    event: Option<Event>,
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    is_good: bool,
    reason: String,
    message: String,
}

/// What was written last, and when.
#[derive(Debug, Default)]
pub(super) struct Writer {
    written: HashMap<(Kind, ResourceName), (String, Value, Instant)>,
    /// What was read or written last of resources that cannot be read: the world does not hold their statuses.
    undecodable: HashMap<(Kind, ResourceName), (String, Option<Bare>)>,
}

impl Draft {
    pub(super) fn new<S: Status>(
        kind: Kind,
        name: &ResourceName,
        meta: &ObjectMeta,
        existing: Option<&S>,
        status: &S,
    ) -> Self {
        let only_counts =
            existing.is_some_and(|existing| existing.without_counts() == status.without_counts());
        Self {
            kind,
            name: name.clone(),
            meta: meta.clone(),
            // A status of ours always has a JSON.
            status: serde_json::to_value(status).unwrap_or_default(),
            only_counts,
            event: event(existing.map(Status::conditions).unwrap_or_default(), status.conditions()),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn name(&self) -> &ResourceName {
        &self.name
    }

    /// Writes it. What is gone, or is another object by now, needs none.
    pub(super) async fn write(&self, context: &Context) -> anyhow::Result<()> {
        let api = api(&context.client, self.kind, &self.name);
        let name = self.name.name();
        // With the UID: a status never lands on another object of the same name.
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": self.kind.as_str(),
            "metadata": { "name": name, "uid": self.meta.uid },
            "status": self.status,
        });
        let parameters = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        match api.patch_status(name, &parameters, &Patch::Apply(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return Ok(()),
            Err(error) => return Err(error).context("patching the status"),
        }
        if let Some(Event { is_good, reason, message }) = &self.event {
            let about = self.about();
            match is_good {
                true => context.events.normal(&about, "Reconcile", reason, message).await,
                false => context.events.warning(&about, "Reconcile", reason, message).await,
            }
        }
        Ok(())
    }

    fn about(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(self.kind.as_str().to_owned()),
            name: Some(self.name.name().to_owned()),
            namespace: self.meta.namespace.clone(),
            uid: self.meta.uid.clone(),
            ..ObjectReference::default()
        }
    }

    fn uid(&self) -> String {
        self.meta.uid.clone().unwrap_or_default()
    }
}

impl Writer {
    /// Whether it is to be written now.
    pub(super) fn is_due(&self, draft: &Draft) -> bool {
        match self.written.get(&(draft.kind, draft.name.clone())) {
            Some((uid, _, at)) if *uid == draft.uid() && draft.only_counts => at.elapsed() >= COUNTS,
            Some((uid, status, at)) if *uid == draft.uid() && *status == draft.status => at.elapsed() >= ECHO,
            Some(_) | None => true,
        }
    }

    /// It was written.
    pub(super) fn note(&mut self, draft: Draft) {
        let uid = draft.uid();
        let key = (draft.kind, draft.name);
        if let Some((of, known)) = self.undecodable.get_mut(&key)
            && *of == uid
        {
            *known = bare(&draft.status);
        }
        self.written.insert(key, (uid, draft.status, Instant::now()));
    }

    /// The status of a resource that cannot be read, read by itself the first time.
    pub(super) async fn undecodable(
        &mut self,
        client: &Client,
        kind: Kind,
        name: &ResourceName,
        meta: &ObjectMeta,
    ) -> Result<Option<Bare>, kube::Error> {
        let (key, uid) = ((kind, name.clone()), meta.uid.clone().unwrap_or_default());
        if let Some((of, known)) = self.undecodable.get(&key)
            && *of == uid
        {
            return Ok(known.clone());
        }
        let found = api(client, kind, name).get_opt(name.name()).await?;
        let known = found.and_then(|found| bare(found.data.get("status")?));
        self.undecodable.insert(key, (uid, known.clone()));
        Ok(known)
    }

    /// Forgets resources that are gone.
    pub(super) fn retain(&mut self, kept: impl Fn(Kind, &ResourceName) -> bool) {
        self.written.retain(|(kind, name), _| kept(*kind, name));
        self.undecodable.retain(|(kind, name), _| kept(*kind, name));
    }
}

fn api(client: &Client, kind: Kind, name: &ResourceName) -> Api<DynamicObject> {
    let resource = api_resource(kind);
    if kind.is_namespaced() {
        Api::namespaced_with(client.clone(), name.namespace(), &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

fn bare(status: &Value) -> Option<Bare> {
    let conditions = status.get("conditions").cloned()?;
    Some(Bare {
        observed_generation: status.get("observedGeneration").and_then(Value::as_i64),
        conditions: serde_json::from_value::<Vec<Condition>>(conditions).ok()?,
    })
}

/// A resource got ready, stops being ready, or is not accepted. That it is on its way is no event.
fn event(before: &[Condition], now: &[Condition]) -> Option<Event> {
    let find = |conditions: &[Condition], wanted: ConditionType| {
        conditions.iter().find(|found| found.type_ == wanted.as_str()).cloned()
    };
    let is_true =
        |condition: &Option<Condition>| condition.as_ref().is_some_and(|found| found.status == "True");
    let (was, is) = (find(before, ConditionType::Ready), find(now, ConditionType::Ready));
    if is_true(&is) {
        let good = Event { is_good: true, reason: Reason::Ready.as_str().to_owned(), message: String::new() };
        return (!is_true(&was)).then_some(good);
    }
    let (was_accepted, accepted) =
        (find(before, ConditionType::Accepted), find(now, ConditionType::Accepted));
    let said = |condition: &Option<Condition>| {
        condition.as_ref().map(|found| (found.reason.clone(), found.message.clone()))
    };
    if accepted.is_some() && !is_true(&accepted) {
        let (reason, message) = said(&accepted)?;
        return (said(&was_accepted) != said(&accepted)).then_some(Event { is_good: false, reason, message });
    }
    let (reason, message) = said(&is)?;
    is_true(&was).then_some(Event { is_good: false, reason, message })
}
