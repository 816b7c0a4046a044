//! The resources of Chancery in a cluster, and whether each can be used.

use anyhow::Context as _;
use crds::Kind;
use kube::{
    Error,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::Context,
    kubernetes::Cluster,
    output::{List, Row},
};

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceStatus {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// `True`, `False` or `Unknown`; absent: nobody has said yet, or it speaks of a spec that was changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programmed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<String>,
    /// Of the first condition that is not `True`, else of `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Objects in an answer of the API server.
const PAGE: u32 = 500;

/// Of the namespace, or of all of them, with what belongs to none.
pub(super) async fn show(context: &Context, all_namespaces: bool) -> anyhow::Result<()> {
    let cluster = context.cluster.cluster().await?;
    let namespace = (!all_namespaces).then_some(cluster.namespace.as_str());
    let mut list = List::begin(context.output);
    let mut found = Vec::new();
    for kind in Kind::ALL {
        if kind.is_namespaced() || all_namespaces {
            found.extend(statuses(&cluster, *kind, namespace.filter(|_| kind.is_namespaced())).await?);
        }
    }
    list.items(&found)?;
    list.finish()
}

async fn statuses(
    cluster: &Cluster,
    kind: Kind,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<ResourceStatus>> {
    let objects = cluster.objects(kind, namespace);
    let mut parameters = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = match objects.list(&parameters).await {
            // A release that is older, or newer, knows other kinds.
            Err(Error::Api(answer)) if answer.code == 404 => break,
            page => page.with_context(|| format!("cannot list {}s", kind.as_str()))?,
        };
        found.extend(page.items.iter().map(|object| ResourceStatus::of(kind, object)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    Ok(found)
}

impl ResourceStatus {
    fn of(kind: Kind, object: &DynamicObject) -> Self {
        let name = object.metadata.name.clone().unwrap_or_default();
        let namespace = object.metadata.namespace.clone();
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        // What speaks of an older spec says nothing of this one.
        let current = |condition: &&Value| match condition.get("observedGeneration").and_then(Value::as_i64) {
            Some(observed) => Some(observed) == object.metadata.generation,
            None => true,
        };
        let conditions: Vec<&Value> = conditions.into_iter().flatten().filter(current).collect();
        let text = |condition: &Value, member: &str| {
            condition.get(member).and_then(Value::as_str).map(str::to_owned)
        };
        let condition = |wanted: &str| {
            conditions
                .iter()
                .copied()
                .find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted))
        };
        let status = |wanted: &str| condition(wanted).and_then(|found| text(found, "status"));
        let is_true = |found: &&Value| found.get("status").and_then(Value::as_str) == Some("True");
        // In the order in which one stands in the way of the next.
        let first_bad = ["Accepted", "ResolvedRefs", "Issued", "Programmed", "Ready"]
            .into_iter()
            .filter_map(condition)
            .find(|found| !is_true(found));
        let telling = first_bad.or_else(|| condition("Ready"));
        Self {
            kind: kind.as_str(),
            namespace,
            name,
            accepted: status("Accepted"),
            programmed: status("Programmed"),
            ready: status("Ready"),
            reason: telling.and_then(|found| text(found, "reason")),
            message: telling.and_then(|found| text(found, "message")),
        }
    }
}

impl Row for ResourceStatus {
    const KIND: &'static str = "resource";
    const COLUMNS: &'static [&'static str] =
        &["NAMESPACE", "KIND", "NAME", "ACCEPTED", "PROGRAMMED", "READY", "REASON", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            or_nothing(&self.namespace),
            self.kind.to_owned(),
            self.name.clone(),
            or_nothing(&self.accepted),
            or_nothing(&self.programmed),
            or_nothing(&self.ready),
            or_nothing(&self.reason),
            or_nothing(&self.message),
        ]
    }

    fn name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    fn kind(&self) -> String {
        self.kind.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(conditions: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": crds::API_VERSION, "kind": "EnrollmentMethod",
            "metadata": {"name": "desk", "namespace": "team", "generation": 2},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn condition(kind: &str, status: &str, reason: &str, generation: i64) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": format!("{reason}."),
               "observedGeneration": generation, "lastTransitionTime": "2027-01-01T00:00:00Z"})
    }

    #[test]
    fn the_reason_is_that_of_the_first_condition_in_the_way() {
        let found = ResourceStatus::of(
            Kind::EnrollmentMethod,
            &object(json!([
                condition("Ready", "False", "NotAccepted", 2),
                condition("Programmed", "Unknown", "Pending", 2),
                condition("Accepted", "False", "ReferenceNotFound", 2),
            ])),
        );
        let shown = (found.accepted.as_deref(), found.programmed.as_deref(), found.ready.as_deref());
        assert_eq!(shown, (Some("False"), Some("Unknown"), Some("False")));
        assert_eq!(found.reason.as_deref(), Some("ReferenceNotFound"));
        assert_eq!(
            (Row::name(&found).as_str(), Row::kind(&found).as_str()),
            ("team/desk", "enrollmentmethod")
        );
    }

    #[test]
    fn what_was_said_of_an_older_spec_is_not_shown() {
        let found = ResourceStatus::of(
            Kind::EnrollmentMethod,
            &object(json!([
                condition("Accepted", "True", "Accepted", 2),
                condition("Ready", "True", "Ready", 1),
            ])),
        );
        assert_eq!((found.accepted.as_deref(), found.ready, found.reason), (Some("True"), None, None));
    }

    #[test]
    fn a_resource_that_nobody_has_looked_at_is_shown_all_the_same() {
        for status in [json!(null), json!({}), json!([]), json!("what")] {
            let found = ResourceStatus::of(Kind::EnrollmentMethod, &object(status));
            assert_eq!((found.name.as_str(), found.ready), ("desk", None));
        }
    }
}
