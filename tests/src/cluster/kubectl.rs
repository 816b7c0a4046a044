//! kubectl, as functions.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::conditions::condition_is;
use super::watch;
use crate::program;

/// Who is said to own what tests apply.
const FIELD_MANAGER: &str = "chancery-tests";

/// kubectl with a namespace and a user of the caller's choice. `object` is always `kind/name`.
#[derive(Clone, Debug, Default)]
pub struct Kubectl {
    namespace: Option<String>,
    user: Option<String>,
}

impl Kubectl {
    /// The same in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The same as somebody else, for instance `system:serviceaccount:NAMESPACE:NAME` (impersonation).
    pub fn impersonate(&self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self.clone() }
    }

    /// A command line that the caller runs.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Command> {
        let mut command = Command::new(program::find("kubectl")?);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        if let Some(user) = &self.user {
            command.args(["--as", user]);
        }
        command.args(arguments);
        Ok(command)
    }

    /// Runs it to its end, whatever its status.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S], input: Option<&[u8]>) -> Result<Output> {
        program::output(&mut self.command(arguments)?, input)
    }

    /// As [`Kubectl::run`]; a status other than 0 is an error that holds all it printed.
    pub fn succeed<S: AsRef<OsStr>>(&self, arguments: &[S], input: Option<&[u8]>) -> Result<String> {
        let answer = self.run(arguments, input)?;
        if !answer.status.success() {
            let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
            bail!("`kubectl {}` failed: {}", words.join(" "), program::printed(&answer));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// Server-side apply of YAML or JSON documents.
    pub fn apply(&self, documents: &str) -> Result<()> {
        self.apply_from("-", Some(documents.as_bytes()))
    }

    /// Server-side apply of a file, or of all files in a folder.
    pub fn apply_path(&self, path: &Path) -> Result<()> {
        self.apply_from(path.to_str().context("the path is not UTF-8")?, None)
    }

    /// A JSON merge patch (RFC 7386).
    pub fn patch(&self, object: &str, patch: &Value) -> Result<()> {
        self.succeed(&["patch", object, "--type=merge", "--patch", &patch.to_string()], None).map(drop)
    }

    /// One object.
    pub fn get<T: DeserializeOwned>(&self, object: &str) -> Result<T> {
        let text = self.succeed(&["get", object, "--output=json"], None)?;
        serde_json::from_str(&text).with_context(|| format!("{object} is not what was expected"))
    }

    /// One object, or none where it does not exist.
    pub fn find(&self, object: &str) -> Result<Option<Value>> {
        let text = self.succeed(&["get", object, "--output=json", "--ignore-not-found"], None)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).with_context(|| format!("{object} is not JSON"))
    }

    /// All objects of a kind that a label selector chooses; an empty selector chooses all.
    pub fn list(&self, kind: &str, selector: &str) -> Result<Vec<Value>> {
        let text = self.succeed(&["get", kind, "--selector", selector, "--output=json"], None)?;
        let mut list: Value = serde_json::from_str(&text).context("kubectl printed no JSON")?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("kubectl printed no list of {kind}"),
        }
    }

    /// The decoded values of a Secret.
    pub fn secret(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        secret_data(&self.get(&format!("secret/{name}"))?)
    }

    /// Deletes an object if it is there, and returns when it is gone.
    pub fn delete(&self, object: &str, limit: Duration) -> Result<()> {
        let limit = format!("--timeout={}s", limit.as_secs());
        self.succeed(&["delete", object, "--ignore-not-found", &limit], None).map(drop)
    }

    /// Returns the object as soon as `holds` is true of it, whether it exists yet or not; an error after `limit` shows the
    /// object as it was then.
    pub fn wait_until(
        &self,
        object: &str,
        what: &str,
        limit: Duration,
        holds: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        watch::wait_until(self, object, what, limit, holds)
    }

    /// Waits until a condition of the object's present generation is `True`.
    pub fn wait_condition(&self, object: &str, condition: &str, limit: Duration) -> Result<Value> {
        self.wait_condition_is(object, condition, "True", None, limit)
    }

    /// Waits until a condition of the object's present generation has a status and, if one is given, a reason.
    pub fn wait_condition_is(
        &self,
        object: &str,
        condition: &str,
        status: &str,
        reason: Option<&str>,
        limit: Duration,
    ) -> Result<Value> {
        let what = format!("{condition}={status} {}", reason.unwrap_or_default());
        self.wait_until(object, &what, limit, |found| condition_is(found, condition, status, reason))
    }

    /// Waits until every replica of a Deployment, StatefulSet or DaemonSet is of its newest template and ready.
    pub fn wait_rollout(&self, object: &str, limit: Duration) -> Result<()> {
        let limit = format!("--timeout={}s", limit.as_secs());
        self.succeed(&["rollout", "status", object, &limit], None).map(drop)
    }

    /// Everything a pod's containers have logged; `object` may also be `deployment/x`.
    pub fn logs(&self, object: &str) -> Result<String> {
        self.succeed(&["logs", object, "--all-containers", "--tail=-1"], None)
    }

    /// Runs a program in a pod, whatever its status.
    pub fn exec<S: AsRef<OsStr>>(&self, pod: &str, arguments: &[S]) -> Result<Output> {
        let mut command = self.command(&["exec", pod, "--"])?;
        program::output(command.args(arguments), None)
    }

    /// Whether the user may do this, as `kubectl auth can-i` judges: `["get", "secrets/name"]`.
    pub fn can(&self, arguments: &[&str]) -> Result<bool> {
        let mut command = self.command(&["auth", "can-i"])?;
        let answer = program::output(command.args(arguments), None)?;
        match String::from_utf8_lossy(&answer.stdout).trim() {
            "yes" => Ok(true),
            answer if answer.starts_with("no") => Ok(false),
            _ => bail!("kubectl auth can-i {}: {}", arguments.join(" "), program::printed(&answer)),
        }
    }

    fn apply_from(&self, source: &str, input: Option<&[u8]>) -> Result<()> {
        let manager = format!("--field-manager={FIELD_MANAGER}");
        let arguments = ["apply", "--server-side", "--force-conflicts", &manager, "--filename", source];
        self.succeed(&arguments, input).map(drop)
    }
}

/// The decoded values of a Secret that was read already.
pub fn secret_data(secret: &Value) -> Result<BTreeMap<String, Vec<u8>>> {
    let data = secret.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let decode = |(key, value): (String, Value)| {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default());
        Ok((key, bytes.context("a value of the Secret is not base64")?))
    };
    data.into_iter().map(decode).collect()
}
