//! Requests → objects → answers.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};

use super::{
    Call, FakeApi, State,
    objects::{Happening, Key, Part, Refusal, not_found},
};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Why nothing is made in a namespace that is going away.
const TERMINATING: &str = "NamespaceTerminating";

/// No answer: the server is down.
#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
pub(super) struct Down;

/// A request, taken apart.
struct Asked {
    method: String,
    /// A collection where its name is empty.
    key: Key,
    subresource: Option<String>,
    query: BTreeMap<String, String>,
    content_type: String,
    metadata_only: bool,
    body: Value,
}

impl FakeApi {
    pub(super) async fn answer(&self, request: Request<Body>) -> Result<Answer, Down> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(|_| Down)?;
        let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
        let query = head.uri.query().unwrap_or_default().to_owned();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let metadata_only = header(header::ACCEPT).contains("PartialObjectMetadata");
        let fault = {
            let mut state = self.lock();
            if state.down {
                return Err(Down);
            }
            let call =
                Call { method: method.clone(), path: path.clone(), query: query.clone(), metadata_only };
            state.calls.push(call);
            state.fault(&method, &path, &query)
        };
        if let Some((refusal, false)) = &fault {
            return Ok(refused(refusal));
        }
        let Some((key, subresource)) = route(&path) else {
            if let Some(document) = self.lock().documents.get(&path) {
                return Ok(found(document));
            }
            return Ok(refused(&Refusal(404, "NotFound", path)));
        };
        let asked = Asked {
            method,
            key,
            subresource,
            query: pairs(&query),
            content_type: header(header::CONTENT_TYPE).to_owned(),
            metadata_only,
            // Apply patches are YAML by name; ours are JSON, which is YAML too.
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        if asked.method == "GET" && asked.query.get("watch").is_some_and(|watch| watch == "true") {
            return Ok(self.watch(asked));
        }
        let outcome = match (asked.method.as_str(), asked.key.name.is_empty()) {
            ("GET", true) => self.list(&asked),
            ("GET", false) => {
                self.lock().objects.get(&asked.key).cloned().ok_or_else(|| not_found(&asked.key))
            }
            ("DELETE", false) => self.delete_one(&asked),
            ("DELETE", true) => Ok(self.delete_all(&asked)),
            _ => self.write(&asked),
        };
        if let Some((refusal, _)) = &fault {
            return Ok(refused(refusal));
        }
        Ok(match outcome {
            Ok(value) if asked.metadata_only && !asked.key.name.is_empty() => found(&metadata_of(&value)),
            Ok(value) => found(&value),
            Err(refusal) => refused(&refusal),
        })
    }

    fn write(&self, asked: &Asked) -> Result<Value, Refusal> {
        let manager = asked.query.get("fieldManager").map_or("unknown", String::as_str);
        let force = asked.query.get("force").is_some_and(|force| force == "true");
        let part = if asked.subresource.is_some() { Part::Status } else { Part::Spec };
        let (key, body) = (&asked.key, &asked.body);
        self.change(|objects| match asked.method.as_str() {
            "POST" => {
                let name = body["metadata"]["name"].as_str().map(str::to_owned);
                let generated = || {
                    let prefix = body["metadata"]["generateName"].as_str().unwrap_or_default();
                    format!("{prefix}{:05}", objects.version())
                };
                let key = Key { name: name.unwrap_or_else(generated), ..key.clone() };
                objects.create(&key, body.clone(), manager)
            }
            "PUT" => objects.replace(key, body.clone(), manager, part),
            "PATCH" if asked.content_type.contains("apply-patch") => {
                objects.apply(key, body, manager, force, part)
            }
            "PATCH" => objects.merge(key, body, manager, part),
            other => Err(Refusal(405, "MethodNotAllowed", other.to_owned())),
        })
    }

    fn list(&self, asked: &Asked) -> Result<Value, Refusal> {
        let state = self.lock();
        let after = asked.query.get("continue");
        let limit = asked.query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let place = |key: &Key| format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name);
        let mut all: Vec<(String, &Value)> = state
            .objects
            .of_kind(&asked.key.group, &asked.key.plural)
            .filter(|(key, value)| asked.selects(key, value))
            .map(|(key, value)| (place(key), value))
            .filter(|(place, _)| after.is_none_or(|after| place > after))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        let more = all.len() > limit;
        all.truncate(limit);
        let mut metadata = json!({ "resourceVersion": state.objects.version().to_string() });
        if let (true, Some((last, _))) = (more, all.last()) {
            metadata["continue"] = json!(last);
        }
        let items: Vec<Value> = all
            .into_iter()
            .map(|(_, value)| if asked.metadata_only { metadata_of(value) } else { value.clone() })
            .collect();
        Ok(json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }))
    }

    fn delete_one(&self, asked: &Asked) -> Result<Value, Refusal> {
        self.change(|objects| {
            let found = objects.get(&asked.key).ok_or_else(|| not_found(&asked.key))?;
            for field in ["uid", "resourceVersion"] {
                let expected = &asked.body["preconditions"][field];
                if !expected.is_null() && *expected != found["metadata"][field] {
                    return Err(Refusal(409, "Conflict", format!("the precondition on {field} failed")));
                }
            }
            objects.delete(&asked.key).ok_or_else(|| not_found(&asked.key))
        })
    }

    fn delete_all(&self, asked: &Asked) -> Value {
        self.change(|objects| {
            let keys: Vec<Key> = objects
                .of_kind(&asked.key.group, &asked.key.plural)
                .filter(|(key, value)| asked.selects(key, value))
                .map(|(key, _)| key.clone())
                .collect();
            for key in keys {
                objects.delete(&key);
            }
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })
        })
    }

    fn watch(&self, asked: Asked) -> Answer {
        let from = asked.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let mut news = self.news.subscribe();
        let cuts = news.borrow_and_update().1;
        if from < self.lock().oldest_watch {
            let gone =
                json!({ "type": "ERROR", "object": status(410, "Expired", "too old resource version") });
            return streamed(stream::iter([line(&gone)]));
        }
        let api = self.clone();
        let lines = stream::unfold((news, from, asked), move |(mut news, from, asked)| {
            let api = api.clone();
            async move {
                loop {
                    if news.borrow_and_update().1 != cuts {
                        return None;
                    }
                    let (happened, version) = {
                        let state = api.lock();
                        (state.objects.since(from, &asked.key), state.objects.version())
                    };
                    let lines: Vec<Bytes> = happened
                        .iter()
                        .filter_map(|happening| asked.event(happening))
                        .map(|event| line(&event))
                        .collect();
                    if !lines.is_empty() {
                        return Some((Bytes::from(lines.concat()), (news, version, asked)));
                    }
                    news.changed().await.ok()?;
                }
            }
        });
        streamed(lines)
    }
}

impl State {
    /// Says also whether what was asked is done all the same.
    fn fault(&mut self, method: &str, path: &str, query: &str) -> Option<(Refusal, bool)> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.times > 0
                && (fault.method == "*" || fault.method == method)
                && path.contains(&fault.path)
                && query.contains(&fault.query)
        })?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        let reason = fault.reason.clone();
        // A test's reasons are few; leaking them keeps refusals simple.
        let reason = Box::leak(reason.into_boxed_str());
        Some((Refusal(fault.code, reason, "refused by the test".to_owned()), fault.is_done))
    }
}

impl Asked {
    fn selects(&self, key: &Key, value: &Value) -> bool {
        let namespace = self.key.namespace.is_none() || self.key.namespace == key.namespace;
        let labels = self.query.get("labelSelector").is_none_or(|selector| {
            selector.split(',').filter(|one| !one.is_empty()).all(|one| matches_label(one, value))
        });
        let fields = self.query.get("fieldSelector").is_none_or(|selector| {
            selector.split(',').filter(|one| !one.is_empty()).all(|one| matches_field(one, key, value))
        });
        namespace && labels && fields
    }

    fn event(&self, happening: &Happening) -> Option<Value> {
        let object =
            if self.metadata_only { metadata_of(&happening.object) } else { happening.object.clone() };
        self.selects(&happening.key, &happening.object)
            .then(|| json!({ "type": happening.kind, "object": object }))
    }
}

/// `path=value`, `path!=value`.
fn matches_field(selector: &str, key: &Key, value: &Value) -> bool {
    let field = |path: &str| match path {
        "metadata.name" => Some(key.name.clone()),
        "metadata.namespace" => key.namespace.clone(),
        path => {
            let found = path.split('.').try_fold(value, |value, member| value.get(member));
            found.and_then(Value::as_str).map(str::to_owned)
        }
    };
    if let Some((path, unwanted)) = selector.split_once("!=") {
        field(path).as_deref() != Some(unwanted)
    } else if let Some((path, wanted)) = selector.split_once('=') {
        field(path).as_deref() == Some(wanted.trim_start_matches('='))
    } else {
        false
    }
}

/// `key=value`, `key!=value`, `key`, `!key`, `key in (a,b)` is not needed here.
fn matches_label(selector: &str, value: &Value) -> bool {
    let label = |name: &str| value["metadata"]["labels"].get(name.trim()).and_then(Value::as_str);
    if let Some((name, wanted)) = selector.split_once("!=") {
        label(name) != Some(wanted)
    } else if let Some((name, wanted)) = selector.split_once('=') {
        label(name) == Some(wanted.trim_start_matches('='))
    } else if let Some(name) = selector.strip_prefix('!') {
        label(name).is_none()
    } else {
        label(selector).is_some()
    }
}

/// `/api/v1/…` and `/apis/group/version/…`, with or without a namespace, a name and a subresource.
fn route(path: &str) -> Option<(Key, Option<String>)> {
    let mut parts = path.trim_matches('/').split('/');
    let group = match parts.next()? {
        "api" => String::new(),
        "apis" => parts.next()?.to_owned(),
        _ => return None,
    };
    parts.next()?;
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, rest @ ..]
            if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
        {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", None),
        [plural, name] => (*plural, *name, None),
        [plural, name, subresource] => (*plural, *name, Some((*subresource).to_owned())),
        _ => return None,
    };
    Some((Key { group, plural: plural.to_owned(), namespace, name: name.to_owned() }, subresource))
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let hex = after.get(..2).and_then(|pair| hex::decode(pair).ok());
            match (first, hex) {
                (b'%', Some(byte)) => {
                    bytes.extend(byte);
                    rest = &after[2..];
                }
                (other, _) => {
                    bytes.push(*other);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decode(name), decode(value)));
    query.split('&').filter_map(pair).collect()
}

fn metadata_of(value: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": value["metadata"],
    })
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    // It is said as the cause of another.
    if reason == TERMINATING {
        let mut forbidden = status(code, "Forbidden", message);
        forbidden["details"] = json!({ "causes": [{ "reason": TERMINATING }] });
        return forbidden;
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn found(value: &Value) -> Answer {
    whole(StatusCode::OK, value)
}

fn refused(Refusal(code, reason, message): &Refusal) -> Answer {
    let code_or = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(code_or, &status(*code, reason, message))
}

fn whole(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

fn streamed(lines: impl stream::Stream<Item = Bytes> + Send + 'static) -> Answer {
    Response::new(StreamBody::new(lines.map(|line| Ok(Frame::data(line)))).boxed_unsync())
}
