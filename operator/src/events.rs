//! Events of Kubernetes: what a person who looks at one object is told of its history.

use std::fmt;

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::PostParams,
    core::{ObjectMeta, Status},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use pki::time::Time;

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

const CONTROLLER: &str = "chancery-operator";

/// Longest name of a process that the API server takes.
const MAX_INSTANCE: usize = 128;

/// The cause of a refusal to make something in a namespace that is being deleted, as the API server spells it.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// Writes events. The same event again within minutes is counted on the one that is there.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    client: Client,
    instance: String,
}

/// An event whose name says which one it is: it is there once, however often and by whomever it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEvent {
    pub name: String,
    pub type_: EventType,
    pub action: &'static str,
    pub reason: &'static str,
    pub note: String,
    /// When it happened.
    pub at: Time,
}

impl Events {
    /// `instance` tells the replicas of the operator apart.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(instance.to_owned()) };
        let instance = instance.chars().take(MAX_INSTANCE).collect();
        Self { recorder: Recorder::new(client.clone(), reporter), client, instance }
    }

    /// Something went as it should.
    pub async fn normal(&self, about: &ObjectReference, action: &str, reason: &str, note: &str) {
        self.publish(EventType::Normal, about, action, reason, note).await;
    }

    /// Something needs a person.
    pub async fn warning(&self, about: &ObjectReference, action: &str, reason: &str, note: &str) {
        self.publish(EventType::Warning, about, action, reason, note).await;
    }

    /// Writes an event unless it is there. One that can never be written is not worth failing for.
    ///
    /// # Errors
    /// Where it may be written later: what is forbidden now may be allowed then.
    pub async fn once(&self, about: &ObjectReference, event: &NamedEvent) -> Result<(), kube::Error> {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let written = v1::Event {
            metadata: ObjectMeta {
                name: Some(event.name.clone()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(type_of(event.type_).to_owned()),
            action: Some(event.action.to_owned()),
            reason: Some(event.reason.to_owned()),
            note: Some(shorten(&event.note).to_owned()),
            event_time: Timestamp::from_second(event.at.unix()).ok().map(MicroTime),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..v1::Event::default()
        };
        let api: Api<v1::Event> = Api::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &written).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(kube::Error::Api(status)) if is_for_good(&status) => {
                tracing::warn!(reason = event.reason, why = status.message, "an event was refused");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// An event that cannot be written is not worth failing for.
    async fn publish(
        &self,
        type_: EventType,
        about: &ObjectReference,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: (!note.is_empty()).then(|| shorten(note).to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::debug!(%error, reason, "an event could not be written");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// Whether the event would be refused again: nobody would ever take it, or the namespace is going away or gone.
fn is_for_good(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    matches!(status.code, 400 | 404 | 422)
        || status.code == 403 && causes.into_iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
}

fn type_of(type_: EventType) -> &'static str {
    match type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

fn shorten(note: &str) -> &str {
    let mut end = note.len().min(MAX_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        let note = format!("{}é", "a".repeat(MAX_NOTE - 1));
        assert_eq!(shorten(&note), "a".repeat(MAX_NOTE - 1));
        assert_eq!(shorten("short"), "short");
    }
}
