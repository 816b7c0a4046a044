//! REST by curl: requests with an access key, and answers in JSON.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Endpoint;
use crate::curl::{Answer, Request};

/// Somebody with an access key, or without any.
#[derive(Clone)]
pub struct Client {
    base: String,
    ca: PathBuf,
    key: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    /// With the access key that a credential of the method declares, `namespace/name`.
    pub fn new(endpoint: &Endpoint, credential: &str) -> Result<Self> {
        let key = std::fs::read_to_string(endpoint.access_key_file(credential)?)?.trim().to_owned();
        let base = endpoint.urls.first().with_context(|| format!("{} has no URL", endpoint.method))?;
        Ok(Self { base: base.clone(), ca: endpoint.ca.clone(), key })
    }

    /// With another access key; without any where it is empty.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// At this server and no other.
    pub fn at(&self, server: SocketAddr) -> Result<Self> {
        let (_, path) = self.base.split_once("/api/").context("the URL has another path")?;
        Ok(Self { base: format!("https://{server}/api/{path}"), ..self.clone() })
    }

    /// The access key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A request without a body for a path below the base.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let request = Request::get(&format!("{}{path}", self.base)).ca(&self.ca).method(method);
        if self.key.is_empty() {
            request
        } else {
            request.header("Authorization", &format!("Bearer {}", self.key))
        }
    }

    /// A request with a JSON body.
    pub fn with_json(&self, method: &str, path: &str, body: &Value) -> Request {
        self.request(method, path)
            .header("Content-Type", "application/json")
            .option("--data-binary")
            .option(&body.to_string())
    }

    /// GET: the object of an answer with status 200.
    pub fn get(&self, path: &str) -> Result<Value> {
        object(&self.request("GET", path).send()?.expect(200)?)
    }

    /// POST: the object of an answer with this status.
    pub fn post(&self, path: &str, body: &Value, status: u16) -> Result<Value> {
        object(&self.with_json("POST", path, body).send()?.expect(status)?)
    }
}

/// The object of an answer.
pub fn object(answer: &Answer) -> Result<Value> {
    serde_json::from_slice(&answer.body).with_context(|| format!("no JSON: {}", answer.text()))
}

/// A member that is text.
pub fn text(object: &Value, pointer: &str) -> Result<String> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {pointer} in {object}"))
}
