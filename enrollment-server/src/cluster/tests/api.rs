//! An API server that knows Secrets of one namespace: lists in pages, watches, outages.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use crds::labels::{
    MANIFEST_KEY, MANIFEST_TYPE, PART, PART_KEY, PART_TYPE, SIGNATURE_KEY, manifest_secret_name,
};
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Client, client::Body, core::ObjectMeta};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

use super::operator::{Publication, server};

/// Secrets by name, and all that happened to them.
#[derive(Clone)]
pub(super) struct FakeApi {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    secrets: BTreeMap<String, Secret>,
    /// What happened, oldest first; the version of each is its place, from 1.
    log: Vec<(&'static str, Secret)>,
    down: bool,
    lists: usize,
}

/// No answer: the server is down.
#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
struct Down;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl FakeApi {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), changes: watch::Sender::new(0) }
    }

    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { api.answer(&request) }
        });
        Client::new(service, server().namespace())
    }

    /// Nobody is answered, and open watches end.
    pub(super) fn down(&self, down: bool) {
        self.lock().down = down;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Lists that were asked for, each page once.
    pub(super) fn lists(&self) -> usize {
        self.lock().lists
    }

    /// What an operator writes: parts, then the manifest; and it removes the parts that are not listed any more.
    pub(super) fn put(&self, publication: &Publication) {
        for (name, json) in &publication.secrets {
            self.write(secret(name, PART_TYPE, Some("part"), &[(PART_KEY, json)]));
        }
        let (json, signature) = (&publication.signed.json, &publication.signed.signature);
        let data = [(MANIFEST_KEY, json.as_ref()), (SIGNATURE_KEY, signature.as_ref())];
        self.write(secret(&manifest_secret_name(server().name()), MANIFEST_TYPE, None, &data));
        let parts = |name: &String| name.starts_with("chancery-part-");
        let gone: Vec<String> = {
            let state = self.lock();
            let names = state.secrets.keys().filter(|name| parts(name));
            names.filter(|name| !publication.secrets.contains_key(*name)).cloned().collect()
        };
        gone.iter().for_each(|name| self.delete(name));
    }

    pub(super) fn write(&self, mut secret: Secret) {
        let mut state = self.lock();
        let name = secret.metadata.name.clone().unwrap();
        let before = state.secrets.get(&name);
        if before.is_some_and(|before| before.data == secret.data) {
            return;
        }
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        secret.metadata.resource_version = Some((state.log.len() + 1).to_string());
        state.secrets.insert(name, secret.clone());
        state.log.push((kind, secret));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn delete(&self, name: &str) {
        let mut state = self.lock();
        let mut secret = state.secrets.remove(name).unwrap();
        secret.metadata.resource_version = Some((state.log.len() + 1).to_string());
        state.log.push(("DELETED", secret));
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    fn answer(&self, request: &Request<Body>) -> Result<Answer, Down> {
        let query: BTreeMap<String, String> = pairs(request.uri().query().unwrap_or_default());
        assert_eq!(request.uri().path(), "/api/v1/namespaces/enrollment/secrets");
        assert_eq!(request.method(), "GET", "a server only reads");
        if self.lock().down {
            return Err(Down);
        }
        let selector = Selector::new(&query);
        if query.get("watch").is_some_and(|watch| watch == "true") {
            let from = query.get("resourceVersion").map_or(0, |version| version.parse().unwrap());
            return Ok(self.watch(selector, from));
        }
        Ok(self.list(&selector, &query))
    }

    fn list(&self, selector: &Selector, query: &BTreeMap<String, String>) -> Answer {
        let mut state = self.lock();
        state.lists += 1;
        let limit: usize = query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let after = query.get("continue").cloned().unwrap_or_default();
        let mut matching = state
            .secrets
            .iter()
            .filter(|(name, secret)| **name > after && selector.matches(secret))
            .peekable();
        let mut items = Vec::new();
        let mut more = None;
        while let Some((name, secret)) = matching.next() {
            items.push(serde_json::to_value(secret).unwrap());
            if items.len() == limit {
                more = matching.peek().is_some().then(|| name.clone());
                break;
            }
        }
        let version = state.log.len().to_string();
        let list = json!({
            "apiVersion": "v1", "kind": "SecretList", "items": items,
            "metadata": {"resourceVersion": version, "continue": more},
        });
        Response::new(Full::new(Bytes::from(list.to_string())).boxed_unsync())
    }

    fn watch(&self, selector: Selector, from: usize) -> Answer {
        let (state, changes) = (self.state.clone(), self.changes.subscribe());
        let events = stream::unfold(
            (from, state, changes, selector),
            async |(mut at, state, mut changes, selector)| {
                loop {
                    changes.borrow_and_update();
                    let line = {
                        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                        if state.down {
                            return None;
                        }
                        let event = state.log.get(at..).into_iter().flatten().find(|(_, secret)| {
                            at += 1;
                            selector.matches(secret)
                        });
                        event.map(|(kind, secret)| format!("{}\n", json!({"type": kind, "object": secret})))
                    };
                    if let Some(line) = line {
                        let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(line)));
                        return Some((frame, (at, state, changes, selector)));
                    }
                    changes.changed().await.ok()?;
                }
            },
        );
        Response::new(StreamBody::new(events).boxed_unsync())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Selector {
    label: Option<String>,
    name: Option<String>,
}

impl Selector {
    fn new(query: &BTreeMap<String, String>) -> Self {
        let name = query.get("fieldSelector").map(|field| field.strip_prefix("metadata.name=").unwrap());
        Self { label: query.get("labelSelector").cloned(), name: name.map(str::to_owned) }
    }

    fn matches(&self, secret: &Secret) -> bool {
        let labels = secret.metadata.labels.as_ref();
        self.label.as_ref().is_none_or(|label| labels.is_some_and(|labels| labels.contains_key(label)))
            && (self.name.is_none() || self.name == secret.metadata.name)
    }
}

fn secret(name: &str, kind: &str, part: Option<&str>, data: &[(&str, &[u8])]) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(server().namespace().to_owned()),
            labels: part.map(|kind| BTreeMap::from([(PART.to_owned(), kind.to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some(kind.to_owned()),
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()),
        ..Secret::default()
    }
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

/// A document that is no Secret of ours.
pub(super) fn unreadable(name: &str) -> Secret {
    let value: Value =
        json!({"metadata": {"name": name, "namespace": "enrollment", "labels": {PART: "part"}}});
    serde_json::from_value(value).unwrap()
}
