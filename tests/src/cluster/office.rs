//! What most tests of devices on a cluster begin with: a server that issues to whoever knows a passphrase.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Kubectl, Namespace, Route};
use crate::{
    Workspace,
    curl::Request,
    openssl::{self, CsrOptions},
};

/// From nothing to a server that answers, on a machine that does something else besides.
pub const READY: Duration = Duration::from_secs(240);

/// One of our resources, without a namespace.
pub fn resource(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "chancery.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// `kind/name`, as kubectl wants it.
pub fn object(document: &Value) -> String {
    format!("{}/{}", text(document, "/kind").to_lowercase(), text(document, "/metadata/name"))
}

/// The text at a JSON pointer (RFC 6901); empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Adds the members of one object to another.
pub fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.clone());
    }
}

/// A server called `enroll`, a root and what signs with it, a profile, a method for devices and a credential for all of
/// them; in the order in which a person would write it down. `server` are members of the server's spec.
pub fn office(server: &Value) -> Vec<Value> {
    let mut spec = json!({ "tls": { "authorityRef": { "name": "issuing" } } });
    merge(&mut spec, server);
    vec![
        resource("EnrollmentServer", "enroll", spec),
        resource(
            "CertificateAuthority",
            "root",
            json!({ "selfSigned": {}, "subject": { "commonName": "Office Root" }, "pathLength": 1 }),
        ),
        resource(
            "CertificateAuthority",
            "issuing",
            json!({
                "intermediate": { "parentRef": { "name": "root" } }, "subject": { "commonName": "Office Issuing" },
                "pathLength": 0,
            }),
        ),
        resource(
            "CertificateProfile",
            "device",
            json!({ "authorityRef": { "name": "issuing" }, "preset": "Device", "protocols": [{ "protocol": "est" }] }),
        ),
        resource("EnrollmentMethod", "devices", json!({ "profileRef": { "name": "device" }, "est": {} })),
        resource(
            "EnrollmentCredential",
            "factory",
            json!({
                "methodRef": { "name": "devices" }, "est": { "username": "factory" }, "owner": { "group": "factory" },
            }),
        ),
    ]
}

/// Applies them all at once.
///
/// # Errors
/// Whatever kubectl says.
pub fn apply_all(kubectl: &Kubectl, documents: &[Value]) -> Result<()> {
    let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
    kubectl.apply(&documents.join("\n---\n"))
}

/// The passphrase that the operator has made.
///
/// # Errors
/// There is no such Secret, or it holds none.
pub fn passphrase(kubectl: &Kubectl) -> Result<String> {
    let password = kubectl.secret("factory")?.remove("password").context("the Secret has no password")?;
    Ok(String::from_utf8(password)?)
}

/// A device enrols by the address of a Service, and gets a certificate of the office's authority.
///
/// # Errors
/// The answer is not 200, or no certificate.
pub fn enrol(namespace: &Namespace, route: &Route, workspace: &Workspace, device: &str) -> Result<()> {
    let kubectl = namespace.kubectl();
    let root: Value = kubectl.get("certificateauthority/root")?;
    workspace.write("root.pem", text(&root, "/status/certificate"))?;
    let csr = CsrOptions::new(&format!("/CN={device}")).make(workspace, device)?;
    let host = format!("enroll.{}.svc", namespace.name());
    let url = format!("https://{host}/.well-known/est/{}.devices/simpleenroll", namespace.name());
    let answer = Request::post(&url, openssl::base64_lines(&csr.der)?)
        .ca(&workspace.file("root.pem"))
        .user("factory", &passphrase(&kubectl)?)
        .option("--connect-to")
        .option(&route.connect_to())
        .send()?
        .expect(200)?;
    openssl::certificates_of_answer(&answer.body).map(drop)
}
